//! Published test vectors, each file run whole; `tests/data/README.md` says where they come from.

mod notation;
mod script_tests;
mod sighash;
mod taproot_cases;
mod transactions;
