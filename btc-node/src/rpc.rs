//! The node's RPC: who answers a method, what a request says, and the HTTP port.
//!
//! | module | what it does | what it does not |
//! |---|---|---|
//! | [`registry`] | methods by name, local and of other processes; runs a call | know HTTP or JSON-RPC |
//! | [`jsonrpc`] | JSON-RPC 1.0, 1.1 and 2.0, batches, notifications | read from a socket |
//! | [`auth`] | credentials, the cookie file, method whitelists | |
//! | [`server`] | the HTTP port, its limits, its threads | know a method |
//! | [`rest`] | public data over plain GET requests, on the same port | |
//! | [`options`] | reads what the options say of all this | |
//! | [`control`] | the methods about the server itself | |
//!
//! Every other category ([`blockchain`], [`fees`], [`mempool`], [`mining`], [`network`], [`rawtransaction`], [`util`]) has a file of
//! its own with a table of methods, which [`context::register_all`] registers.

pub mod auth;
pub mod block_json;
pub mod blockchain;
pub mod context;
pub mod control;
pub mod fees;
pub mod jsonrpc;
pub mod mempool;
pub mod mining;
pub mod network;
pub mod numbers;
pub mod options;
pub mod rawtransaction;
pub mod registry;
pub mod rest;
mod results;
pub mod server;
pub mod util;

use btc_interfaces::rpc::table::Method;

/// The tables of all methods of a node without wallets.
pub fn tables() -> Vec<&'static Method> {
    let entries = context::entries().into_iter().flatten();
    let tables = entries.map(|entry| &entry.method);
    let large = context::text_entries().map(|entry| &entry.method);
    let tables = tables.chain(large);
    tables.chain(control::methods()).collect()
}
