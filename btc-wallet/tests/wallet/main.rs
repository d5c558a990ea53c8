//! The wallet as a node and its users meet it: through its loader and its RPC methods.
#![allow(clippy::unwrap_used, reason = "a failed assumption must fail the test")]

mod core_wallets;
mod files;
mod interop;
mod keys;
mod payment;
mod support;
