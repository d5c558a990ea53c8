//! Hands libFuzzer's bytes to [`fuzz::consensus_tx`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::consensus_tx(data));
