//! Hands libFuzzer's bytes to [`fuzz::rpc_sequence`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::rpc_sequence(data));
