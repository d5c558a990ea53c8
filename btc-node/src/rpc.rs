//! The node's RPC: who answers a method, what a request says, and the HTTP port.
//!
//! | module | what it does | what it does not |
//! |---|---|---|
//! | [`registry`] | methods by name, local and of other processes; runs a call | know HTTP or JSON-RPC |
//! | [`jsonrpc`] | JSON-RPC 1.0, 1.1 and 2.0, batches, notifications | read from a socket |
//! | [`auth`] | credentials, the cookie file, method whitelists | |
//! | [`server`] | the HTTP port, its limits, its threads | know a method |
//! | [`control`] | the methods about the server itself | |
//!
//! Every other category has a file of its own with a table of methods and a function that registers them.

pub mod auth;
pub mod control;
pub mod jsonrpc;
pub mod registry;
pub mod server;
pub mod subnet;
