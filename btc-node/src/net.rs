//! Peers as bytes: what stands on the wire, and the connections it travels over.
//!
//! | module | what it does |
//! |---|---|
//! | [`address`] | addresses of nodes, on all networks |
//! | [`addrman`] | the book of addresses that might be connected to |
//! | [`asmap`] | which autonomous system an address is of |
//! | [`bans`] | addresses that are not connected to |
//! | [`connections`] | sockets, on one thread |
//! | [`dial`] | ways to a peer by a proxy or over I2P |
//! | [`message`] | messages from bytes and to bytes |
//! | [`netgroup`] | which addresses are likely to be one person's |
//! | [`directory`] | what the node knows of addresses, together |
//! | [`interfaces`] | the addresses of this machine |
//! | [`local`] | the node's own addresses |
//! | [`frame`] | where one message ends and the next begins (the v1 transport) |
//! | [`transport`] | which of the two transports a connection speaks |
//! | [`v2`] | the encrypted transport (BIP 324) |
//! | [`subnet`] | ranges of addresses |
//! | [`tor`] | the control port of Tor, which gives onion services |
//! | [`version`] | the message that opens a connection |
//!
//! What messages mean is [`sync`](crate::sync)'s matter; this room knows neither the chain nor the mempool.

pub mod address;
pub mod addrman;
pub mod asmap;
pub mod bans;
pub mod connections;
pub mod dial;
pub mod directory;
pub mod frame;
pub mod interfaces;
pub mod local;
pub mod message;
pub mod netgroup;
pub(crate) mod recent;
pub mod subnet;
pub mod tor;
pub mod transport;
pub mod v2;
pub mod version;

pub use address::{Endpoint, NetAddress, Network, PeerAddress};
pub use directory::Directory;
pub use frame::{Frame, FrameError, Frames};
pub use message::{DecodeError, Message};
pub use transport::Transport;
pub use version::Version;

/// The protocol version that this node speaks: 70017 has `feature` (BIP 434).
pub const PROTOCOL_VERSION: u32 = 70_017;

/// The longest payload of a message, in bytes.
pub const MAX_PAYLOAD: usize = 4_000_000;
