//! Hands libFuzzer's bytes to [`fuzz::rpc_connection`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::rpc_connection(data));
