//! Whole blocks through the rules in the order that a node applies them: real ones, and regtest
//! ones that break one rule each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chain;
mod difficulty;
mod headers;
mod real;
mod rules;
