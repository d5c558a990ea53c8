//! The methods about peers, and what they need of the network.
//!
//! | module | whose methods |
//! |---|---|
//! | `addresses` | the address book |
//! | `bans` | bans |
//! | `connections` | connections made and ended |
//! | `fetch` | what is asked of peers |
//! | `info` | the network as a whole |
//! | `peers` | who is connected |

mod addresses;
mod bans;
mod connections;
mod fetch;
mod info;
mod peers;

use super::context::{Entry, NodeParts};
use crate::chainstate::BlockSummary;
use crate::net::connections::Traffic;
use crate::net::dial::Proxy;
use crate::net::message::Command;
use crate::net::subnet::Subnet;
use crate::net::{Directory, Endpoint, NetAddress, Network};
use crate::sync::{ConnectionKind, FetchError, OrphanInfo, PeerInfo, RelayInfo, UploadInfo};
use bitcoin::Transaction;
use bitcoin::p2p::ServiceFlags;
use btc_interfaces::rpc::{RpcError, code};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// The category's methods.
pub fn methods() -> &'static [Entry] {
    static METHODS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        let mut methods = Vec::new();
        methods.extend(addresses::METHODS);
        methods.extend(bans::METHODS);
        methods.extend(connections::METHODS);
        methods.extend(fetch::METHODS);
        methods.extend(info::METHODS);
        methods.extend(peers::METHODS);
        methods
    });
    &METHODS
}

/// A peer with what its connection carried.
#[derive(Clone, Debug)]
pub struct PeerView {
    /// What is known of the peer.
    pub info: PeerInfo,
    /// What its connection carried.
    pub traffic: Traffic,
    /// What the user wrote to reach it, if it was the user.
    pub name: Option<String>,
    /// The autonomous system of its address; 0 if that is not known.
    pub mapped_as: u32,
}

/// A peer that the user wants to be connected to.
#[derive(Clone, Debug)]
pub struct AddedNode {
    /// What the user wrote.
    pub target: String,
    /// The connection's address and whether the peer made it, if there is one.
    pub connected: Option<(Endpoint, bool)>,
}

/// Why the list of wanted peers stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// It is on the list.
    #[error("Error: Node already added")]
    AlreadyAdded,
    /// It is not on the list.
    #[error("Error: Node could not be removed. It has not been added previously.")]
    NotAdded,
    /// It is to be encrypted, and this node does not.
    #[error("Error: v2transport requested but not enabled (see -v2transport)")]
    NoV2,
}

/// Why no connection of a kind is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddConnectionError {
    /// There are as many as there may be.
    #[error("Error: Already at capacity for specified connection type.")]
    Full,
    /// It is to be encrypted, and this node does not.
    #[error("Error: Adding v2transport connections requires -v2transport init flag to be set.")]
    NoV2,
}

/// What these methods need of the network.
pub trait PeerHooks: Send + Sync {
    /// All peers.
    fn peers(&self) -> Vec<PeerView>;
    /// Tries once to reach a peer, encrypted or not; if that is not said, as `-v2transport` says.
    ///
    /// # Errors
    /// [`AddError::NoV2`].
    fn connect_once(&self, target: &str, v2: Option<bool>) -> Result<(), AddError>;
    /// Makes a connection of a kind that this node makes by itself.
    ///
    /// # Errors
    /// See [`AddConnectionError`].
    fn connect_as(
        &self,
        target: &str,
        kind: ConnectionKind,
        v2: bool,
    ) -> Result<(), AddConnectionError>;
    /// Keeps a connection to a peer from now on, encrypted or not as before.
    ///
    /// # Errors
    /// It is kept already, or [`AddError::NoV2`].
    fn add(&self, target: &str, v2: Option<bool>) -> Result<(), AddError>;
    /// Does so no longer; a connection that is there stays.
    ///
    /// # Errors
    /// It was never added.
    fn remove(&self, target: &str) -> Result<(), AddError>;
    /// The peers so added.
    fn added(&self) -> Vec<AddedNode>;
    /// Ends a connection by its number; says whether there was one.
    fn disconnect(&self, id: u64) -> bool;
    /// Ends connections by the peer's address or what the user wrote; says whether there were any.
    fn disconnect_address(&self, address: &str) -> bool;
    /// Ends the connections to all addresses of a range.
    fn disconnect_subnet(&self, subnet: &Subnet);
    /// Bytes received and sent since the start.
    fn totals(&self) -> (u64, u64);
    /// What this node offers, as bits.
    fn services(&self) -> u64;
    /// Pings all peers.
    fn ping(&self);
    /// Announces a transaction of the mempool to peers that don't know it.
    fn announce(&self, tx: &Arc<Transaction>);
    /// Whether there are connections at all.
    fn is_active(&self) -> bool;
    /// Switches the network on or off; off ends all connections.
    fn set_active(&self, active: bool);
    /// Sends bytes as a message; says whether there is such a connection.
    fn send_message(&self, id: u64, command: Command, payload: Vec<u8>) -> bool;
    /// Asks a peer for a block whose header is known.
    ///
    /// # Errors
    /// See [`FetchError`].
    fn fetch_block(&self, id: u64, block: &BlockSummary) -> Result<(), FetchError>;
    /// The transactions that wait for their parents.
    fn orphans(&self) -> Vec<OrphanInfo>;
    /// How it stands with `-maxuploadtarget`.
    fn upload(&self) -> UploadInfo;
    /// How fast transactions are told.
    fn relay(&self) -> RelayInfo;
    /// What is known of addresses.
    fn directory(&self) -> &Directory;
    /// The proxy by which a network is reached; on I2P, the router.
    fn proxy(&self, network: Network) -> Option<Proxy>;
    /// The time that peers live in, in seconds since 1970.
    fn seconds(&self) -> i64;
    /// The bans are not as they were: they are written down.
    fn bans_changed(&self);
    /// The autonomous system of an address; 0 if that is not known.
    fn mapped_as(&self, address: NetAddress) -> u32;
}

/// The network, once it is open.
pub type FindPeers = Arc<dyn Fn() -> Option<Arc<dyn PeerHooks>> + Send + Sync>;

/// The help of a method, for those who call it as it cannot be called.
fn help(entries: &[Entry], name: &str) -> String {
    entries
        .iter()
        .find(|entry| entry.method.name == name)
        .map_or_else(String::new, |entry| entry.method.help())
}

fn network(parts: &NodeParts) -> Result<Arc<dyn PeerHooks>, RpcError> {
    (parts.peers)().ok_or_else(|| {
        RpcError::new(
            code::CLIENT_P2P_DISABLED,
            "Error: Peer-to-peer functionality missing or disabled",
        )
    })
}

/// The peers; none before the network is open.
pub(super) fn peer_views(parts: &NodeParts) -> Vec<PeerView> {
    (parts.peers)().map_or_else(Vec::new, |network| network.peers())
}

/// The names of service bits.
fn service_names(services: u64) -> Value {
    let known = [
        (ServiceFlags::NETWORK, "NETWORK"),
        (ServiceFlags::BLOOM, "BLOOM"),
        (ServiceFlags::WITNESS, "WITNESS"),
        (ServiceFlags::COMPACT_FILTERS, "COMPACT_FILTERS"),
        (ServiceFlags::NETWORK_LIMITED, "NETWORK_LIMITED"),
        (ServiceFlags::P2P_V2, "P2P_V2"),
    ];
    (0..64)
        .map(|bit| 1u64 << bit)
        .filter(|bit| services & bit != 0)
        .map(|bit| {
            let name = known
                .iter()
                .find(|(flag, _)| flag.to_u64() == bit)
                .map(|(_, name)| (*name).to_owned());
            json!(name.unwrap_or_else(|| format!("UNKNOWN[2^{}]", bit.trailing_zeros())))
        })
        .collect()
}
