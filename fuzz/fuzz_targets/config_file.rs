//! Hands libFuzzer's bytes to [`fuzz::config_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::config_file(data));
