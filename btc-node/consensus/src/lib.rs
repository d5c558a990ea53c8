//! Bitcoin's consensus rules as pure functions.
//!
//! Nothing here reads a file, a clock or a random number, starts a thread or writes a log: every
//! input is an argument. So a node, a test vector, a fuzzer and an oracle all call the same code.

pub mod limits;
pub mod script;
pub mod sighash;

mod curve;
