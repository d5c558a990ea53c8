//! Hands libFuzzer's bytes to [`fuzz::storage_record`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::storage_record(data));
