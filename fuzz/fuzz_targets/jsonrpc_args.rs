//! Hands libFuzzer's bytes to [`fuzz::jsonrpc_args`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::jsonrpc_args(data));
