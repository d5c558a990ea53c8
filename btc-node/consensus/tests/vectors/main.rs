//! Published test vectors, each file run whole; `tests/data/README.md` says where they come from.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod notation;
mod script_tests;
mod sighash;
mod taproot_cases;
mod transactions;
