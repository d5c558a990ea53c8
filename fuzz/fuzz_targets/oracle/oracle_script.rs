//! Hands libFuzzer's bytes to [`fuzz::oracle::script`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::oracle::script(data));
