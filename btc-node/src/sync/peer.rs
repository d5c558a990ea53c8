//! What is known of one peer.

use super::addresses::AddressRelay;
use super::bloom::Bloom;
use super::event::{ConnectionKind, NewPeer, PeerId, Permissions};
use super::outbound::ChainSync;
use super::presync::Presync;
use super::reconciliation::Reconciliation;
use crate::net::recent::RecentSet;
use crate::net::{Endpoint, Network};
use bitcoin::p2p::ServiceFlags;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{BlockHash, Wtxid};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Transactions that a peer is remembered to know.
const MAX_KNOWN: usize = 50_000;

/// Pings under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Ping {
    /// The user asked for one.
    pub(super) queued: bool,
    /// The number sent and when, until it comes back.
    pub(super) waiting: Option<(u64, Duration)>,
    pub(super) last_start: Option<Duration>,
    pub(super) last: Option<Duration>,
    pub(super) least: Option<Duration>,
}

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) kind: ConnectionKind,
    pub(super) address: Endpoint,
    pub(super) listener: Option<SocketAddr>,
    pub(super) onion: bool,
    pub(super) prefer_evict: bool,
    pub(super) permissions: Permissions,
    pub(super) connected: Duration,
    pub(super) last_received: Option<Duration>,
    pub(super) last_sent: Option<Duration>,
    /// The transport's handshake began and is not over.
    pub(super) transport_pending: bool,
    pub(super) disconnecting: bool,
    pub(super) congested: bool,
    /// Compact filters that it waits for.
    pub(super) wanted_filters: VecDeque<super::filters::WantedFilters>,

    /// The number in our version message, once sent.
    pub(super) our_nonce: Option<u64>,
    /// Its version; 0 before its version message.
    pub(super) version: u32,
    /// The lower of both versions.
    pub(super) common_version: u32,
    pub(super) services: ServiceFlags,
    pub(super) user_agent: String,
    pub(super) start_height: i32,
    pub(super) time_offset: i64,
    pub(super) handshake_done: bool,
    pub(super) wtxid_relay: bool,
    pub(super) wants_addrv2: bool,
    /// Whether it wants transactions announced.
    pub(super) wants_transactions: bool,
    pub(super) ping: Ping,

    /// The block with the most work that it is known to have.
    pub(super) best_known: Option<BlockHash>,
    /// A block that it says it has, and whose header is not known yet.
    pub(super) unknown_block: Option<BlockHash>,
    /// The last header sent to it.
    pub(super) best_sent: Option<BlockHash>,
    pub(super) sync_started: bool,
    /// Until when its headers are waited for, while this node catches up.
    pub(super) headers_deadline: Option<Duration>,
    /// It was asked for headers because of a block that it announced, before its turn.
    pub(super) asked_before_sync: bool,
    pub(super) reconciliation: Reconciliation,
    /// Its headers led nowhere.
    pub(super) sync_given_up: bool,
    pub(super) last_getheaders: Option<Duration>,
    pub(super) presync: Option<Presync>,
    pub(super) prefers_headers: bool,
    pub(super) sent_headers_wish: bool,
    pub(super) to_announce: Vec<BlockHash>,
    /// It understands compact blocks of this node's version.
    pub(super) provides_compact: bool,
    /// It wants new blocks compactly, unasked.
    pub(super) high_bandwidth_from: bool,
    /// It was asked to tell of new blocks so.
    pub(super) high_bandwidth_to: bool,
    /// A block of its chain: up to there all blocks are on disk.
    pub(super) stored_up_to: Option<BlockHash>,
    /// Blocks asked for, the oldest first.
    pub(super) blocks_asked: VecDeque<BlockHash>,
    /// Since when the first of them is waited for.
    pub(super) downloading_since: Duration,
    /// Since when it alone holds up the others.
    pub(super) stalling_since: Option<Duration>,
    pub(super) last_block: Option<Duration>,

    /// What it asked for and was not given yet.
    pub(super) wanted: VecDeque<Inventory>,
    /// After this block of an answer to `getblocks`, it is told of the tip.
    pub(super) continue_after: Option<BlockHash>,

    /// The least feerate it wants to hear of, in sat/kvB.
    pub(super) fee_filter: i64,
    pub(super) fee_filter_sent: Option<i64>,
    pub(super) next_fee_filter: Duration,
    pub(super) known_transactions: RecentSet<[u8; 32]>,
    pub(super) transactions_to_tell: BTreeSet<Wtxid>,
    pub(super) next_trickle: Duration,
    /// The mempool's sequence when it was last told of transactions: it may ask for all before.
    pub(super) told_sequence: u64,
    pub(super) last_transaction: Option<Duration>,
    pub(super) addresses: AddressRelay,
    /// Whether the connection may be used for transactions at all: known once its version is.
    pub(super) may_relay: bool,
    pub(super) bloom: Option<Bloom>,
    pub(super) chain_sync: ChainSync,
    /// When it last told of a block that was new.
    pub(super) last_announcement: Option<Duration>,
}

impl Peer {
    pub(super) fn new(new: NewPeer, now: Duration) -> Self {
        Self {
            id: new.id,
            kind: new.kind,
            address: new.address,
            listener: new.listener,
            onion: new.onion,
            prefer_evict: new.prefer_evict,
            permissions: new.permissions,
            connected: now,
            last_received: None,
            last_sent: None,
            transport_pending: false,
            disconnecting: false,
            congested: false,
            wanted_filters: VecDeque::new(),
            our_nonce: None,
            version: 0,
            common_version: 0,
            services: ServiceFlags::NONE,
            user_agent: String::new(),
            start_height: -1,
            time_offset: 0,
            handshake_done: false,
            wtxid_relay: false,
            wants_addrv2: false,
            wants_transactions: false,
            ping: Ping::default(),
            best_known: None,
            stored_up_to: None,
            unknown_block: None,
            best_sent: None,
            sync_started: false,
            sync_given_up: false,
            headers_deadline: None,
            asked_before_sync: false,
            reconciliation: Reconciliation::default(),
            last_getheaders: None,
            presync: None,
            prefers_headers: false,
            sent_headers_wish: false,
            to_announce: Vec::new(),
            provides_compact: false,
            high_bandwidth_from: false,
            high_bandwidth_to: false,
            blocks_asked: VecDeque::new(),
            downloading_since: now,
            stalling_since: None,
            last_block: None,
            wanted: VecDeque::new(),
            continue_after: None,
            fee_filter: 0,
            fee_filter_sent: None,
            next_fee_filter: Duration::ZERO,
            known_transactions: RecentSet::new(MAX_KNOWN),
            transactions_to_tell: BTreeSet::new(),
            next_trickle: Duration::ZERO,
            told_sequence: 1,
            last_transaction: None,
            addresses: AddressRelay::new(now),
            may_relay: false,
            bloom: None,
            chain_sync: ChainSync::default(),
            last_announcement: None,
        }
    }

    pub(super) fn is_inbound(&self) -> bool {
        self.kind == ConnectionKind::Inbound
    }

    /// Whether it has blocks at all.
    pub(super) fn serves_blocks(&self) -> bool {
        self.services.has(ServiceFlags::NETWORK) || self.services.has(ServiceFlags::NETWORK_LIMITED)
    }

    /// Whether it has blocks of any age.
    pub(super) fn serves_all_blocks(&self) -> bool {
        self.services.has(ServiceFlags::NETWORK)
    }

    pub(super) fn serves_witnesses(&self) -> bool {
        self.services.has(ServiceFlags::WITNESS)
    }

    /// Whether blocks are rather fetched from it: this node chose it.
    pub(super) fn is_preferred(&self) -> bool {
        (!self.is_inbound() || self.permissions.no_ban)
            && self.kind != ConnectionKind::AddrFetch
            && self.serves_blocks()
    }

    /// Whether transactions travel over this connection in either direction.
    pub(super) fn relays_transactions(&self) -> bool {
        self.wants_transactions && self.may_relay
    }

    /// Whether this node chose it, to stay.
    pub(super) fn is_chosen(&self) -> bool {
        matches!(
            self.kind,
            ConnectionKind::OutboundFullRelay | ConnectionKind::BlockRelayOnly
        )
    }

    /// The network that it is connected by.
    pub(super) fn network(&self) -> Network {
        if self.onion {
            Network::Onion
        } else {
            self.address.address.class()
        }
    }
}
