//! What comes in and goes out.

use crate::net::Message;
use crate::net::connections::HandshakeStep;
use crate::net::message::DecodeError;
use bitcoin::{BlockHash, Transaction};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
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
}

impl ConnectionKind {
    /// The word that `getpeerinfo` has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Manual => "manual",
            Self::OutboundFullRelay => "outbound-full-relay",
            Self::BlockRelayOnly => "block-relay-only",
        }
    }
}

/// What a peer may do beyond others (`-whitelist`, `-whitebind`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Is not punished, and told of transactions without delay.
    pub no_ban: bool,
    /// May send transactions under `-blocksonly`.
    pub relay: bool,
    /// May ask for the whole mempool.
    pub mempool: bool,
}

impl Permissions {
    /// The names of those granted.
    pub fn names(self) -> Vec<&'static str> {
        [
            (self.relay, "relay"),
            (self.mempool, "mempool"),
            (self.no_ban, "noban"),
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
    pub address: SocketAddr,
    /// What it may do.
    pub permissions: Permissions,
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
    /// The mempool has a new transaction.
    TxAdded(Arc<Transaction>),
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
    Discourage(IpAddr),
}
