//! Ways to a peer that are not a plain connection: by a proxy, and over I2P.
//!
//! Both speak over a stream that somebody else opened, and know no sockets' addresses but those that the other end
//! names; how long anything may take is the caller's affair too.

pub mod i2p;
pub mod socks5;
