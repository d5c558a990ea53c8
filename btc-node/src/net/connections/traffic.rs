//! Bytes and times of a connection.

use crate::net::transport::Kind;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// What a connection carried.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// This end's address.
    pub local: Option<SocketAddr>,
    /// Bytes received by type of message; unknown ones are `*other*`.
    pub received: BTreeMap<String, u64>,
    /// Bytes sent by type of message.
    pub sent: BTreeMap<String, u64>,
    /// All bytes received.
    pub bytes_received: u64,
    /// All bytes sent.
    pub bytes_sent: u64,
    /// When bytes last came.
    pub last_received: Option<SystemTime>,
    /// When bytes last went.
    pub last_sent: Option<SystemTime>,
    /// The transport that is spoken.
    pub transport: Kind,
}

/// Types of messages that are counted by name.
const KNOWN: &[&str] = &[
    "version",
    "verack",
    "addr",
    "addrv2",
    "sendaddrv2",
    "inv",
    "getdata",
    "merkleblock",
    "getblocks",
    "getheaders",
    "tx",
    "headers",
    "block",
    "getaddr",
    "mempool",
    "ping",
    "pong",
    "notfound",
    "filterload",
    "filteradd",
    "filterclear",
    "sendheaders",
    "feefilter",
    "sendcmpct",
    "cmpctblock",
    "getblocktxn",
    "blocktxn",
    "getcfilters",
    "cfilter",
    "getcfheaders",
    "cfheaders",
    "getcfcheckpt",
    "cfcheckpt",
    "wtxidrelay",
    "sendtxrcncl",
    "feature",
];

/// Counts bytes of a message. Names are a peer's choice, so unknown ones share one count.
pub(super) fn count(counts: &mut BTreeMap<String, u64>, name: &str, bytes: usize) {
    let name = if KNOWN.contains(&name) {
        name
    } else {
        "*other*"
    };
    if let Some(count) = counts.get_mut(name) {
        *count += bytes as u64;
    } else {
        counts.insert(name.to_owned(), bytes as u64);
    }
}

/// Sums over all connections, ended ones included.
#[derive(Debug, Default)]
pub(super) struct Totals {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Totals {
    pub(super) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> (u64, u64) {
        (
            self.received.load(Ordering::Relaxed),
            self.sent.load(Ordering::Relaxed),
        )
    }
}
