//! Peers as bytes: what stands on the wire, and the connections it travels over.
//!
//! | module | what it does |
//! |---|---|
//! | [`connections`] | sockets, on one thread |
//! | [`message`] | messages from bytes and to bytes |
//! | [`frame`] | where one message ends and the next begins (the v1 transport) |
//! | [`transport`] | which of the two transports a connection speaks |
//! | [`v2`] | the encrypted transport (BIP 324) |
//! | [`version`] | the message that opens a connection |
//!
//! What messages mean is [`sync`](crate::sync)'s matter; this room knows neither the chain nor the mempool.

pub mod connections;
pub mod frame;
pub mod message;
pub mod transport;
pub mod v2;
pub mod version;

pub use frame::{Frame, FrameError, Frames};
pub use message::{DecodeError, Message};
pub use transport::Transport;
pub use version::Version;

/// The protocol version that this node speaks: 70017 has `feature` (BIP 434).
pub const PROTOCOL_VERSION: u32 = 70_017;

/// The longest payload of a message, in bytes.
pub const MAX_PAYLOAD: usize = 4_000_000;
