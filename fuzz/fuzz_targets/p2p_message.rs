//! Hands libFuzzer's bytes to [`fuzz::p2p_message`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::p2p_message(data));
