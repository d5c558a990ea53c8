//! The control port of Tor, as far as a node needs it: to be given an onion service.
//!
//! | module | what it does |
//! |---|---|
//! | [`reply`] | what comes from the port: replies of several lines, and the values in them |
//! | [`conversation`] | what is said next |
//!
//! Neither has a socket or reads a file. The protocol is Tor's control-spec, version 1.

pub mod conversation;
pub mod reply;
