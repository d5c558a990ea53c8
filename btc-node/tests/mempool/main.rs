//! The mempool, mining and the RPC methods over them, on a regtest chain in a temporary directory.

mod harness;

mod accept;
mod cached_chain;
mod changes;
mod rpc;
mod template;
