//! Hands libFuzzer's bytes to [`fuzz::oracle::chain`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::oracle::chain(data));
