//! Hands libFuzzer's bytes to [`fuzz::oracle::transaction`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::oracle::transaction(data));
