//! The runtime by its public interface: calls, values, objects, threads, errors and ends of connections, over a socket
//! pair within this process.

#![allow(missing_docs)]

mod calls;
mod ends;
mod inline;
mod interface;
mod limits;
mod logs;
mod objects;
mod raw;
mod server;
#[rustfmt::skip]
mod tables;
mod threads;
