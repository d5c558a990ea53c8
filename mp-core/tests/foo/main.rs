//! The runtime by its public interface: calls, values, objects, threads, errors and ends of connections, over a socket
//! pair within this process.

// The interface under test is called `Foo`.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_names)]

mod calls;
mod cancel;
mod ends;
mod inline;
mod interface;
mod limits;
mod logs;
mod objects;
mod peers;
mod raw;
mod server;
mod streams;
#[allow(dead_code)]
#[rustfmt::skip]
mod tables;
mod threads;
mod twins;
