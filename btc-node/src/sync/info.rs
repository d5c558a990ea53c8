//! What is shown of peers.

use super::Peers;
use super::event::{ConnectionKind, PeerId};
use crate::net::{Endpoint, Network};
use bitcoin::p2p::ServiceFlags;
use std::time::Duration;

/// A peer, as `getpeerinfo` shows it; what its connection carried is the connections' to tell.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Its name.
    pub id: PeerId,
    /// Who made the connection.
    pub kind: ConnectionKind,
    /// Its address.
    pub address: Endpoint,
    /// The network that it is connected by.
    pub network: Network,
    /// The names of what it may do beyond others.
    pub permissions: Vec<&'static str>,
    /// What it offers.
    pub services: ServiceFlags,
    /// Its protocol version; 0 before it said so.
    pub version: u32,
    /// Its user agent, made safe to show.
    pub user_agent: String,
    /// The height of its chain when it connected; -1 before it said so.
    pub start_height: i32,
    /// Whether transactions are told to it.
    pub relays_transactions: bool,
    /// Its clock against ours, in seconds.
    pub time_offset: i64,
    /// When it connected, since 1970.
    pub connected: Duration,
    /// When it last gave a transaction that was taken, since 1970.
    pub last_transaction: Option<Duration>,
    /// When it last gave a block that was new, since 1970.
    pub last_block: Option<Duration>,
    /// How long its last answer to a ping took.
    pub ping: Option<Duration>,
    /// The least of these times.
    pub least_ping: Option<Duration>,
    /// How long an answer is waited for.
    pub ping_wait: Option<Duration>,
    /// Height of the best header that it is known to have.
    pub synced_headers: Option<u32>,
    /// Height of the last block that it and this node have.
    pub synced_blocks: Option<u32>,
    /// Heights of the blocks that it was asked for.
    pub in_flight: Vec<u32>,
    /// Whether it is asked to send compact blocks unasked.
    pub high_bandwidth_to: bool,
    /// Whether it wants compact blocks unasked.
    pub high_bandwidth_from: bool,
    /// The least feerate that it wants to hear of, in sat/kvB.
    pub fee_filter: i64,
    /// The mempool's sequence when it was last told of transactions.
    pub told_sequence: u64,
    /// Transactions that wait to be told.
    pub transactions_to_tell: usize,
    /// Whether addresses are told to it.
    pub address_relay: bool,
    /// Addresses of it that were taken.
    pub addresses: u64,
    /// Addresses of it that were too many.
    pub addresses_limited: u64,
    /// The address by which it reaches this node, as it says.
    pub seen_as: Option<Endpoint>,
    /// Height of the last header of a chain that is not known to be worth keeping.
    pub presynced: Option<u32>,
}

impl Peers {
    /// All peers, the oldest connection first, as of the last event.
    pub fn info(&self) -> Vec<PeerInfo> {
        let tip = self.chain.tip().hash;
        self.peers
            .values()
            .map(|peer| {
                let best = peer
                    .best_known
                    .and_then(|hash| self.chain.block_summary(&hash));
                let common = best
                    .as_ref()
                    .and_then(|best| self.last_in_common(peer, &best.hash, &tip));
                PeerInfo {
                    id: peer.id,
                    kind: peer.kind,
                    address: peer.address,
                    network: peer.network(),
                    permissions: peer.permissions.names(),
                    services: peer.services,
                    version: peer.version,
                    user_agent: peer.user_agent.clone(),
                    start_height: peer.start_height,
                    relays_transactions: peer.relays_transactions(),
                    time_offset: peer.time_offset,
                    connected: peer.connected,
                    last_transaction: peer.last_transaction,
                    last_block: peer.last_block,
                    ping: peer.ping.last,
                    least_ping: peer.ping.least,
                    ping_wait: peer
                        .ping
                        .waiting
                        .map(|(_, since)| self.now.saturating_sub(since)),
                    synced_headers: best.map(|block| block.height),
                    synced_blocks: common.map(|block| block.height),
                    in_flight: peer
                        .blocks_asked
                        .iter()
                        .filter_map(|hash| self.in_flight.get(hash, peer.id))
                        .map(|download| download.height)
                        .collect(),
                    high_bandwidth_to: peer.high_bandwidth_to,
                    high_bandwidth_from: peer.high_bandwidth_from,
                    fee_filter: peer.fee_filter,
                    told_sequence: if peer.may_relay {
                        peer.told_sequence
                    } else {
                        0
                    },
                    transactions_to_tell: peer.transactions_to_tell.len(),
                    address_relay: peer.addresses.enabled,
                    addresses: peer.addresses.processed,
                    addresses_limited: peer.addresses.rate_limited,
                    seen_as: peer.addresses.seen_as,
                    presynced: peer.presync.as_ref().and_then(|presync| presync.height()),
                }
            })
            .collect()
    }
}
