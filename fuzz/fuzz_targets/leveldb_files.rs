//! Hands libFuzzer's bytes to [`fuzz::leveldb_files`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::leveldb_files(data));
