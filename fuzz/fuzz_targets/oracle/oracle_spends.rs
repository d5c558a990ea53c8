//! Hands libFuzzer's bytes to [`fuzz::oracle::spends`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::oracle::spends(data));
