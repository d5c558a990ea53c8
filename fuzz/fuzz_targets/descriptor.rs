//! Hands libFuzzer's bytes to [`fuzz::descriptor`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::descriptor(data));
