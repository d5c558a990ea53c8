//! The mempool, mining and the RPC methods over them, on a regtest chain in a temporary directory.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod harness;

mod accept;
mod cached_chain;
mod changes;
mod package;
mod rpc;
mod template;
