//! What peers say to each other and mean by it: handshakes, headers, blocks, transactions.
//!
//! [`Peers`] takes what happened, one [`Event`] after the other with the time of each, and gives the [`Action`]s that
//! follow. It has no sockets, no clock and no randomness of its own, so a network of many nodes runs in a test, in one
//! thread, the same way each time. It asks the chainstate and the mempool, and hands them blocks and transactions.
//!
//! | module | what it does |
//! |---|---|
//! | [`event`] | what comes in and goes out |
//! | [`peer`] | what is known of one peer |
//! | `handshake` | `version` to `verack` |
//! | `liveness` | pings and timeouts |
//! | `fee_filter` | which transactions are worth announcing to this node |
//! | `headers` | which chains peers have |
//! | `presync` | long chains of headers, before they are known to be worth keeping |
//! | `progress` | how far headers have come, told in the log |
//! | `compact` | blocks told by the ids of their transactions |
//! | `in_flight` | which blocks were asked of whom |
//! | `blocks` | which blocks are fetched from whom |
//! | `addresses` | addresses of nodes, told and heard |
//! | `announce` | new blocks told to peers |
//! | `bloom` | filters of peers that want few transactions |
//! | [`links`] | which connections there are, are being made, and are wanted |
//! | [`admission`] | whether a connection is taken or made |
//! | [`dial`] | whom to connect to |
//! | `eviction` | who goes when another wants its place |
//! | `outbound` | whether chosen peers are worth their places |
//! | `reconciliation` | who agreed to reconcile transactions |
//! | `serve` | answers to what peers ask |
//! | [`filters`] | compact filters of blocks for those that ask |
//! | `transactions` | announcements taken and made |
//! | `downloads` | transactions fetched and judged |
//! | `requests` | whom to ask for which transaction, and when |
//! | `orphans` | transactions that wait for their parents |
//! | [`relay`] | how fast transactions are told |
//! | `upload` | how much is sent in a day |

mod addresses;
pub mod admission;
mod announce;
mod blocks;
mod bloom;
mod compact;
pub mod dial;
mod downloads;
pub mod event;
mod eviction;
mod fee_filter;
pub mod filters;
mod handshake;
mod headers;
mod in_flight;
mod info;
pub mod links;
mod liveness;
mod orphans;
mod outbound;
pub mod peer;
mod presync;
mod progress;
mod reconciliation;
pub mod relay;
mod requests;
mod serve;
mod transactions;
mod upload;

pub use blocks::FetchError;
pub use event::{Action, ConnectionKind, Event, NewPeer, PeerId, Permissions};
pub use filters::FilterSource;
pub use info::PeerInfo;
pub use orphans::OrphanInfo;
pub use relay::RelayInfo;
pub use upload::UploadInfo;

use crate::chainstate::{BlockSummary, ChainstateManager};
use crate::mempool::Mempool;
use crate::net::message::{DecodeError, MAX_LOCATOR};
use crate::net::{Directory, Message};
use addresses::AnswerCache;
use bitcoin::BlockHash;
use bitcoin::key::rand::rngs::StdRng;
use bitcoin::key::rand::{Rng, SeedableRng};
use bitcoin::p2p::ServiceFlags;
use compact::ExtraTransactions;
use downloads::Downloads;
use in_flight::InFlight;
use outbound::OutboundWatch;
use peer::Peer;
use relay::Backlogs;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use upload::Upload;

/// How long peers that say nothing may wait for what is due.
const ROUND: Duration = Duration::from_millis(100);

/// How a node behaves towards its peers.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it says it is (BIP 14).
    pub user_agent: String,
    /// Takes no transactions from peers (`-blocksonly`).
    pub blocks_only: bool,
    /// Offers the encrypted transport (`-v2transport`).
    pub v2_transport: bool,
    /// How long a new peer may take for its first messages (`-peertimeout`).
    pub peer_timeout: Duration,
    /// Bytes to be sent in a day, 0 for any number (`-maxuploadtarget`).
    pub upload_target: u64,
    /// Transactions told in a second (`-txsendrate`).
    pub tx_send_rate: u32,
    /// Offers to reconcile transactions (`-txreconciliation`).
    pub reconciliation: bool,
    /// Offers Bloom filters (`-peerbloomfilters`).
    pub bloom_filters: bool,
    /// Others can connect to this node, so it tells of its own addresses.
    pub listens: bool,
    /// The port for addresses of this node that peers tell.
    pub port: u16,
    /// Believes peers who tell by which address they reach it (`-discover`).
    pub discovers: bool,
    /// Makes connections by itself.
    pub dials: bool,
    /// Peers that made the connection and that transactions are told to, at most (`-inboundrelaypercent`).
    pub max_inbound_relaying: usize,
    /// Transactions kept beside the mempool to put blocks together (`-blockreconstructionextratxn`).
    pub extra_transactions: usize,
    /// Peers for everything that this node chooses, at most.
    pub max_full_relay: usize,
    /// Peers for blocks alone that this node chooses, at most.
    pub max_block_relay: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            user_agent: format!("/{}:{}/", crate::CLIENT_NAME, env!("CARGO_PKG_VERSION")),
            blocks_only: false,
            v2_transport: false,
            peer_timeout: Duration::from_secs(60),
            upload_target: 0,
            tx_send_rate: relay::DEFAULT_RATE,
            reconciliation: false,
            bloom_filters: false,
            listens: false,
            port: 8333,
            discovers: false,
            dials: false,
            max_inbound_relaying: usize::MAX,
            extra_transactions: 100,
            max_full_relay: dial::MAX_FULL_RELAY,
            max_block_relay: dial::MAX_BLOCK_RELAY,
        }
    }
}

/// All peers of a node, and what is under way with them.
pub struct Peers {
    config: Config,
    chain: Arc<ChainstateManager>,
    mempool: Arc<Mempool>,
    /// Compact filters, if peers are given any (`-peerblockfilters`).
    filters: Option<Arc<dyn FilterSource>>,
    directory: Arc<Directory>,
    /// What makes hashes differ from those of other nodes.
    salts: [u64; 2],
    /// Answers to `getaddr`.
    answers: AnswerCache,
    outbound: OutboundWatch,
    recent: Option<serve::Recent>,
    rng: StdRng,
    /// The time of the event at hand, since 1970.
    now: Duration,
    peers: BTreeMap<PeerId, Peer>,
    /// When all peers were last looked after.
    last_round: Duration,
    in_flight: InFlight,
    /// Blocks that were stored and have yet to be connected, with who sent each, the last one last.
    unchecked: VecDeque<(BlockHash, PeerId, blocks::Origin)>,
    /// Peers that are asked to tell of new blocks compactly, the last useful one last.
    announcers: VecDeque<PeerId>,
    /// Transactions kept to put blocks together.
    extra: ExtraTransactions,
    stalling_timeout: Duration,
    downloads: Downloads,
    backlogs: Backlogs,
    upload: Upload,
    /// The block whose announcement last made a peer be asked for headers that was not asked before.
    last_asked_for: Option<BlockHash>,
    /// When transactions are next told to incoming peers; one time for all, so that many connections learn no more.
    next_inbound_trickle: Duration,
    /// When it was last told how far headers that are not kept have come.
    last_presync_report: Duration,
    actions: Vec<Action>,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers")
            .field("peers", &self.peers.len())
            .finish_non_exhaustive()
    }
}

impl Peers {
    /// No peers yet. `seed` makes what is random.
    pub fn new(
        config: Config,
        chain: Arc<ChainstateManager>,
        mempool: Arc<Mempool>,
        directory: Arc<Directory>,
        seed: [u8; 32],
    ) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let salts = rng.r#gen();
        let downloads = Downloads::new(rng.r#gen());
        let backlogs = Backlogs::new(config.tx_send_rate);
        let upload = Upload::new(config.upload_target);
        let extra = ExtraTransactions::new(config.extra_transactions);
        Self {
            config,
            chain,
            mempool,
            filters: None,
            directory,
            salts,
            answers: AnswerCache::default(),
            outbound: OutboundWatch::default(),
            recent: None,
            rng,
            now: Duration::ZERO,
            peers: BTreeMap::new(),
            last_round: Duration::ZERO,
            in_flight: InFlight::default(),
            unchecked: VecDeque::new(),
            announcers: VecDeque::new(),
            extra,
            stalling_timeout: blocks::STALLING_TIMEOUT,
            downloads,
            backlogs,
            upload,
            last_asked_for: None,
            next_inbound_trickle: Duration::ZERO,
            last_presync_report: Duration::ZERO,
            actions: Vec::new(),
        }
    }

    /// Gives peers compact filters from now on. To be called before the first peer.
    pub fn offer_filters(&mut self, source: Arc<dyn FilterSource>) {
        self.filters = Some(source);
    }

    /// What this node offers.
    pub fn services(&self) -> ServiceFlags {
        let mut services = ServiceFlags::WITNESS | ServiceFlags::NETWORK_LIMITED;
        if self.chain.serves_history() {
            services |= ServiceFlags::NETWORK;
        }
        if self.filters.is_some() {
            services |= ServiceFlags::COMPACT_FILTERS;
        }
        if self.config.v2_transport {
            services |= ServiceFlags::P2P_V2;
        }
        if self.config.bloom_filters {
            services |= ServiceFlags::BLOOM;
        }
        services
    }

    /// Whether a peer that has only recent blocks is of use: this node needs no older ones.
    pub fn limited_is_enough(&self) -> bool {
        /// About a day.
        const BLOCKS: u64 = 144;
        let spacing = u64::from(self.chain.params().pow_target_spacing);
        let behind = self
            .now
            .as_secs()
            .saturating_sub(self.chain.tip().time.into());
        behind / spacing < BLOCKS
    }

    /// Takes what happened at `now` (since 1970; a mocked time may stand still or jump) and gives what is to be done,
    /// in order.
    pub fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        self.now = now;
        match event {
            Event::Connected(new) => self.connected(new),
            Event::Disconnected(id) => self.disconnected(id),
            Event::Handshake(id, step) => self.transport_handshake(id, step),
            Event::Received(id, message) => {
                self.received(id, message);
                self.process_orphans();
                // As much time may have gone by as between two ticks, if it is mocked or this node was busy.
                if self.now >= self.last_round.saturating_add(ROUND) {
                    self.work_all();
                } else {
                    self.work(id);
                }
            }
            Event::Malformed(id, error) => self.malformed(id, &error),
            Event::Congested(id, congested) => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.congested = congested;
                }
                self.work(id);
            }
            Event::Tick => {
                self.process_orphans();
                self.release(false);
                self.check_block_timeouts();
                self.watch_outbound();
                self.work_all();
            }
            Event::TipChanged { hash, fork_height } => {
                self.note_tip_change();
                self.tip_changed(hash, fork_height);
                self.work_all();
            }
            Event::BlockConnected(block) => self.block_connected(&block),
            Event::BlockDisconnected => self.block_disconnected(),
            Event::BlockInvalid { hash, reason } => self.block_invalid(&hash, &reason),
            Event::Broadcast(tx) => {
                self.broadcast(&tx);
                self.work_all();
            }
            Event::Ping => {
                for peer in self.peers.values_mut() {
                    peer.ping.queued = true;
                }
                self.work_all();
            }
        }
        std::mem::take(&mut self.actions)
    }

    fn work_all(&mut self) {
        self.last_round = self.now;
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in ids {
            self.work(id);
        }
    }

    /// Whatever is due for a peer.
    fn work(&mut self, id: PeerId) {
        self.check_alive(id);
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        if !peer.handshake_done || peer.disconnecting {
            return;
        }
        self.maybe_ping(id);
        self.maybe_send_addresses(id);
        self.serve_queued(id);
        self.serve_filters(id);
        self.check_headers_timeout(id);
        self.start_headers_sync(id);
        self.announce_blocks(id);
        self.maybe_send_headers_wish(id);
        self.maybe_send_fee_filter(id);
        self.trickle(id);
        self.consider_eviction(id);
        self.request_blocks(id);
        self.request_transactions(id);
    }

    fn received(&mut self, id: PeerId, message: Message) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.disconnecting {
            return;
        }
        peer.last_received = Some(self.now);
        let Some(message) = self.shake_hands(id, message) else {
            return;
        };
        match message {
            Message::Ping(nonce) => self.send(id, Message::Pong(Some(nonce))),
            Message::Pong(nonce) => self.pong(id, nonce),
            Message::Headers(headers) => self.headers(id, &headers),
            Message::Inv(items) => self.inv(id, &items),
            Message::Block(block) => self.block(id, block),
            Message::Tx(tx) => self.tx(id, tx),
            Message::NotFound(items) => self.not_found(id, &items),
            Message::GetHeaders(locator) => self.get_headers(id, &locator),
            Message::GetBlocks(locator) => self.get_blocks(id, &locator),
            Message::GetData(items) => self.get_data(id, items),
            Message::CmpctBlock(block) => self.compact_block(id, &block),
            Message::BlockTxn(parts) => self.block_txn(id, parts),
            Message::GetBlockTxn(request) => self.get_block_txn(id, &request),
            Message::Mempool => self.send_whole_mempool(id),
            Message::SendHeaders => self.with(id, |peer| peer.prefers_headers = true),
            Message::SendCmpct { announce, .. } if announce > 1 => {
                self.misbehaving(id, "invalid sendcmpct announce field");
            }
            Message::SendCmpct { announce, version } => self.with(id, |peer| {
                if version == u64::from(compact::VERSION) {
                    peer.provides_compact = true;
                    peer.high_bandwidth_from = announce == 1;
                }
            }),
            Message::FeeFilter(rate) => self.with(id, |peer| {
                if (0..=bitcoin::Amount::MAX_MONEY.to_sat().cast_signed()).contains(&rate) {
                    peer.fee_filter = rate;
                }
            }),
            Message::GetAddr => self.get_addresses(id),
            Message::Addr(list) => self.addresses(id, "addr", list),
            Message::AddrV2(list) => self.addresses(id, "addrv2", list),
            Message::Other {
                ref command,
                ref payload,
            } => match command.as_str() {
                name @ ("getcfilters" | "getcfheaders" | "getcfcheckpt") => {
                    self.filter_request(id, name, payload);
                }
                _ => self.unknown_message(id, &message),
            },
            Message::FilterLoad {
                bits,
                functions,
                tweak,
                flags,
            } => self.filter_load(id, bits, functions, tweak, flags),
            Message::FilterAdd(data) => self.filter_add(id, &data),
            Message::FilterClear => self.filter_clear(id),
            Message::MerkleBlock(_) => self.unknown_message(id, &message),
            // The handshake takes these.
            Message::Version(_)
            | Message::Verack
            | Message::WtxidRelay
            | Message::SendAddrV2
            | Message::Feature { .. }
            | Message::SendTxRcncl { .. } => {}
        }
    }

    fn malformed(&mut self, id: PeerId, error: &DecodeError) {
        match error {
            DecodeError::TooMany {
                command: command @ ("getblocks" | "getheaders"),
                count,
            } => {
                let reason = format!("{command} locator size {count} > {MAX_LOCATOR}");
                self.disconnect(id, &reason);
            }
            // Core passes over these, too.
            DecodeError::TooMany {
                command: "notfound",
                ..
            } => {}
            DecodeError::TooMany { .. } => self.misbehaving(id, &error.to_string()),
            DecodeError::Feature => self.disconnect(id, &error.to_string()),
            // A message that cannot be read is passed over.
            DecodeError::Text(_) => {}
        }
    }

    fn connected(&mut self, new: NewPeer) {
        let id = new.id;
        tracing::debug!(target: "net", "Added connection peer={id}");
        self.peers.insert(id, Peer::new(new, self.now));
        self.greet(id);
    }

    fn disconnected(&mut self, id: PeerId) {
        // What is known of peers for blocks alone is not to be told from the times in the book.
        if let Some(peer) = self.peers.remove(&id)
            && peer.handshake_done
            && !matches!(
                peer.kind,
                ConnectionKind::Inbound | ConnectionKind::BlockRelayOnly
            )
        {
            let now = i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX);
            self.directory.book().connected(peer.address, now);
        }
        self.end_downloads_of(id);
        self.announcers.retain(|other| *other != id);
        self.downloads.forget_peer(id);
        self.work_all();
    }

    fn with(&mut self, id: PeerId, change: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.peers.get_mut(&id) {
            change(peer);
        }
    }

    fn send(&mut self, id: PeerId, message: Message) {
        if let Some(peer) = self.peers.get_mut(&id)
            && !peer.disconnecting
        {
            peer.last_sent = Some(self.now);
            self.actions.push(Action::Send(id, message));
        }
    }

    /// Ends a connection, with a word in the log.
    fn disconnect(&mut self, id: PeerId, reason: &str) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(&mut peer.disconnecting, true) {
            tracing::debug!(target: "net", "{reason}, disconnecting peer={id}");
            self.actions.push(Action::Disconnect(id));
        }
    }

    /// A peer broke a rule that no honest one breaks: it is let go, and its address is not welcome for a while. Peers
    /// that the user chose stay.
    fn misbehaving(&mut self, id: PeerId, what: &str) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let colon = if what.is_empty() { "" } else { ": " };
        tracing::debug!(target: "net", "Misbehaving: peer={id}{colon}{what}");
        if peer.permissions.no_ban {
            tracing::warn!(target: "net", "not punishing noban peer {id}!");
        } else if peer.kind == ConnectionKind::Manual {
            tracing::warn!(target: "net", "not punishing manually connected peer {id}!");
        } else if peer.address.address.is_local() {
            tracing::warn!(
                target: "net",
                "disconnecting but not discouraging {} peer {id}!",
                if peer.kind == ConnectionKind::Inbound { "inbound" } else { "outbound" },
            );
            self.disconnect(id, "misbehaving");
        } else {
            self.actions.push(Action::Discourage(peer.address.address));
            self.disconnect(id, "discouraged");
        }
    }

    /// The best block that a peer is known to have.
    fn best_known(&self, id: PeerId) -> Option<BlockSummary> {
        let hash = self.peers.get(&id)?.best_known?;
        self.chain.block_summary(&hash)
    }
}
