//! What comes in and goes out.

use crate::net::connections::HandshakeStep;
use crate::net::message::DecodeError;
use crate::net::{Endpoint, Message, NetAddress};
use bitcoin::{Block, BlockHash, Transaction};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Names a connection; never used again after it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who made a connection, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionKind {
    /// The peer made it.
    Inbound,
    /// The user asked for it (`-connect`, `-addnode`, `addnode`).
    Manual,
    /// This node made it, for blocks and transactions.
    OutboundFullRelay,
    /// This node made it, for blocks only.
    BlockRelayOnly,
    /// This node made it to see whether the address works, and ends it then.
    Feeler,
    /// This node made it to ask for addresses, and ends it then.
    AddrFetch,
}

impl ConnectionKind {
    /// The word that `getpeerinfo` has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Manual => "manual",
            Self::OutboundFullRelay => "outbound-full-relay",
            Self::BlockRelayOnly => "block-relay-only",
            Self::Feeler => "feeler",
            Self::AddrFetch => "addr-fetch",
        }
    }

    /// The kind of such a name, of those that this node makes by itself.
    pub fn automatic(name: &str) -> Option<Self> {
        [
            Self::OutboundFullRelay,
            Self::BlockRelayOnly,
            Self::Feeler,
            Self::AddrFetch,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == name)
    }

    /// Whether this node makes such connections by itself.
    pub fn is_automatic(self) -> bool {
        !matches!(self, Self::Inbound | Self::Manual)
    }
}

/// What a peer may do beyond others (`-whitelist`, `-whitebind`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// May set Bloom filters, whether or not this node offers them.
    pub bloom_filter: bool,
    /// Is not punished, and told of transactions without delay. Implies `download`.
    pub no_ban: bool,
    /// Has its transactions told to others, even if they are known. Implies `relay`.
    pub force_relay: bool,
    /// May send transactions under `-blocksonly`.
    pub relay: bool,
    /// May ask for the whole mempool.
    pub mempool: bool,
    /// May ask for headers while this node catches up, and for blocks beyond `-maxuploadtarget`.
    pub download: bool,
    /// Gets a fresh answer to each `getaddr`, and has its addresses all taken.
    pub addr: bool,
}

impl Permissions {
    /// All of them.
    pub const ALL: Self = Self {
        bloom_filter: true,
        no_ban: true,
        force_relay: true,
        relay: true,
        mempool: true,
        download: true,
        addr: true,
    };

    /// What either grants.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            bloom_filter: self.bloom_filter | other.bloom_filter,
            no_ban: self.no_ban | other.no_ban,
            force_relay: self.force_relay | other.force_relay,
            relay: self.relay | other.relay,
            mempool: self.mempool | other.mempool,
            download: self.download | other.download,
            addr: self.addr | other.addr,
        }
    }

    /// The permission of a name with what it implies; `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        let none = Self::default();
        Some(match name {
            "bloomfilter" | "bloom" => Self {
                bloom_filter: true,
                ..none
            },
            "noban" => Self {
                no_ban: true,
                download: true,
                ..none
            },
            "forcerelay" => Self {
                force_relay: true,
                relay: true,
                ..none
            },
            "relay" => Self {
                relay: true,
                ..none
            },
            "mempool" => Self {
                mempool: true,
                ..none
            },
            "download" => Self {
                download: true,
                ..none
            },
            "addr" => Self { addr: true, ..none },
            "all" => Self::ALL,
            _ => return None,
        })
    }

    /// The names of those granted.
    pub fn names(self) -> Vec<&'static str> {
        [
            (self.bloom_filter, "bloomfilter"),
            (self.no_ban, "noban"),
            (self.force_relay, "forcerelay"),
            (self.relay, "relay"),
            (self.mempool, "mempool"),
            (self.download, "download"),
            (self.addr, "addr"),
        ]
        .into_iter()
        .filter_map(|(granted, name)| granted.then_some(name))
        .collect()
    }
}

/// A connection that was just made.
#[derive(Clone, Debug)]
pub struct NewPeer {
    /// Its name from now on.
    pub id: PeerId,
    /// Who made it.
    pub kind: ConnectionKind,
    /// The peer's address.
    pub address: Endpoint,
    /// What it may do.
    pub permissions: Permissions,
    /// Where it came, if it made the connection: one of the addresses that this node listens on.
    pub listener: Option<SocketAddr>,
    /// Whether it came by Tor: its address is then that of the proxy.
    pub onion: bool,
    /// Its address broke rules before: it goes first if another wants its place.
    pub prefer_evict: bool,
}

impl NewPeer {
    /// A peer of which nothing else is known.
    pub fn new(id: PeerId, kind: ConnectionKind, address: Endpoint) -> Self {
        Self {
            id,
            kind,
            address,
            permissions: Permissions::default(),
            listener: None,
            onion: false,
            prefer_evict: false,
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A connection was made.
    Connected(NewPeer),
    /// A connection is gone.
    Disconnected(PeerId),
    /// A peer sent a message.
    Received(PeerId, Message),
    /// A peer sent what is no message.
    Malformed(PeerId, DecodeError),
    /// The handshake of the encrypted transport went on, before any message.
    Handshake(PeerId, HandshakeStep),
    /// Much waits to be sent to a peer, or no longer does.
    Congested(PeerId, bool),
    /// Time went by. It should, several times in a second.
    Tick,
    /// The active chain ends in another block.
    TipChanged {
        /// The tip.
        hash: BlockHash,
        /// Height of the last block that is on the chain as before.
        fork_height: u32,
    },
    /// A block became part of the active chain, once this node has caught up.
    BlockConnected(Arc<Block>),
    /// A block left the active chain.
    BlockDisconnected,
    /// A stored block broke a rule when it was to be connected.
    BlockInvalid {
        /// The block's hash.
        hash: BlockHash,
        /// Core's reject reason.
        reason: String,
    },
    /// A transaction of the mempool is to be told to all who don't know it: the user sent it.
    Broadcast(Arc<Transaction>),
    /// All peers are to be pinged.
    Ping,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message.
    Send(PeerId, Message),
    /// End a connection, once what was to be sent before is sent.
    Disconnect(PeerId),
    /// Take no more connections from an address for a while.
    Discourage(NetAddress),
}
