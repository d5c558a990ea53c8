//! Hands libFuzzer's bytes to [`fuzz::codegen_request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::codegen_request(data));
