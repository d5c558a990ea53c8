//! Whether the peers that this node chose are worth their places.
//!
//! A node that is cut off hears only what one party wants it to. So each chosen peer has to show a chain as good as
//! this node's within a time, and now and then another is tried beside those that are there: the one that is least use
//! goes.

use super::Peers;
use super::event::{ConnectionKind, PeerId};
use bitcoin::BlockHash;
use std::time::Duration;

/// How long a chosen peer may be behind …
const CHAIN_SYNC_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// … and how long its answer may take when it is asked what it has.
const RESPONSE_TIME: Duration = Duration::from_secs(2 * 60);
/// Chosen peers that stay whatever happens, once they showed a good chain.
const MAX_PROTECTED: usize = 4;
/// How often it is looked whether there are too many.
const CHECK_INTERVAL: Duration = Duration::from_secs(45);
/// How often it is looked whether the tip is stale.
const STALE_CHECK_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// A peer is not judged before.
const MIN_CONNECT_TIME: Duration = Duration::from_secs(30);
/// Block intervals without a block after which something may be wrong.
const STALE_SPACINGS: u32 = 3;

/// What a chosen peer owes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChainSync {
    /// Until when it is to show the work of this block.
    deadline: Option<(Duration, BlockHash)>,
    asked: bool,
    /// It stays.
    pub(super) protected: bool,
}

/// When what is done next.
#[derive(Debug, Default)]
pub(super) struct OutboundWatch {
    next_check: Option<Duration>,
    next_stale_check: Option<Duration>,
    last_tip: Option<Duration>,
    /// More peers are tried than usual, since no block came for long.
    pub(super) try_extra: bool,
    /// The chain is up to date once, so that peers for blocks alone may be tried in turn.
    pub(super) synced_once: bool,
}

impl Peers {
    /// Keeps up to four peers of those that showed as much work as this node's chain has.
    pub(super) fn maybe_protect(&mut self, id: PeerId) {
        let protected = self
            .peers
            .values()
            .filter(|peer| peer.chain_sync.protected)
            .count();
        let tip = self.chain.tip();
        let good = self
            .best_known(id)
            .is_some_and(|best| best.chainwork >= tip.chainwork);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.kind == ConnectionKind::OutboundFullRelay
            && !peer.disconnecting
            && good
            && protected < MAX_PROTECTED
            && !peer.chain_sync.protected
        {
            tracing::debug!(target: "net", "Protecting outbound peer={id} from eviction");
            peer.chain_sync.protected = true;
        }
    }

    /// Lets go of a chosen peer that stays behind.
    pub(super) fn consider_eviction(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        if !peer.is_chosen() || peer.chain_sync.protected || !peer.sync_started {
            return;
        }
        let (now, tip, sync) = (self.now, self.chain.tip(), peer.chain_sync);
        let best = self.best_known(id);
        let work = best.as_ref().map(|best| best.chainwork);
        if work.is_some_and(|work| work >= tip.chainwork) {
            self.with(id, |peer| peer.chain_sync = ChainSync::default());
            return;
        }
        let renew = match sync.deadline {
            None => true,
            Some((_, mark)) => {
                let mark = self.chain.block_summary(&mark).map(|mark| mark.chainwork);
                work.is_some() && work >= mark
            }
        };
        if renew {
            let deadline = Some((now + CHAIN_SYNC_TIMEOUT, tip.hash));
            self.with(id, |peer| {
                peer.chain_sync.deadline = deadline;
                peer.chain_sync.asked = false;
            });
            return;
        }
        let Some((deadline, mark)) = sync.deadline.filter(|(deadline, _)| now > *deadline) else {
            return;
        };
        let known = best.map_or_else(|| "<none>".to_owned(), |best| best.hash.to_string());
        if sync.asked {
            let reason = format!("Outbound peer has old chain, best known block = {known}");
            tracing::info!("{reason}, disconnecting peer={id}");
            self.disconnect(id, &reason);
            return;
        }
        debug_assert!(deadline < now);
        let before = self
            .chain
            .block_summary(&mark)
            .map_or(mark, |block| block.header.prev_blockhash);
        let hashes = self.chain.locator_of(&before).unwrap_or_default();
        self.ask_for_headers(id, hashes);
        tracing::debug!(
            target: "net",
            "sending getheaders to outbound peer={id} to verify chain work (current best known block:{known}, benchmark blockhash: {mark})"
        );
        self.with(id, |peer| {
            peer.chain_sync.asked = true;
            peer.chain_sync.deadline = Some((now + RESPONSE_TIME, mark));
        });
    }

    /// A block became the tip.
    pub(super) fn note_tip_change(&mut self) {
        self.outbound.last_tip = Some(self.now);
    }

    /// Looks now and then whether there are too many chosen peers, and whether blocks still come.
    pub(super) fn watch_outbound(&mut self) {
        let now = self.now;
        if self.outbound.next_check.is_none_or(|next| now >= next) {
            self.outbound.next_check = Some(now + CHECK_INTERVAL);
            self.evict_extra_outbound();
            if self.outbound.next_stale_check.is_none_or(|next| now > next) {
                self.outbound.next_stale_check = Some(now + STALE_CHECK_INTERVAL);
                self.check_stale_tip();
            }
        }
        if !self.outbound.synced_once && self.is_nearly_synced() {
            self.outbound.synced_once = true;
        }
    }

    /// Whether the tip is young enough for blocks to be fetched as they are announced.
    pub(super) fn is_nearly_synced(&self) -> bool {
        const SPACINGS: u64 = 20;
        let spacing = u64::from(self.chain.params().pow_target_spacing);
        u64::from(self.chain.tip().time) + SPACINGS * spacing > self.now.as_secs()
    }

    fn check_stale_tip(&mut self) {
        let now = self.now;
        let since = *self.outbound.last_tip.get_or_insert(now);
        let spacing = Duration::from_secs(self.chain.params().pow_target_spacing.into());
        let stale =
            now.saturating_sub(since) > spacing * STALE_SPACINGS && self.in_flight.is_empty();
        if stale && !self.chain.is_importing() && self.config.dials {
            tracing::info!(
                "Potential stale tip detected, will try using extra outbound peer (last tip update: {} seconds ago)",
                now.saturating_sub(since).as_secs()
            );
            self.outbound.try_extra = true;
        } else {
            self.outbound.try_extra = false;
        }
    }

    fn evict_extra_outbound(&mut self) {
        let count = |kind| {
            self.peers
                .values()
                .filter(|peer| peer.kind == kind && !peer.disconnecting)
                .count()
        };
        let blocks_only = count(ConnectionKind::BlockRelayOnly) > self.config.max_block_relay;
        let full = count(ConnectionKind::OutboundFullRelay) > self.config.max_full_relay;
        if blocks_only {
            self.evict_block_relay();
        }
        if full {
            self.evict_full_relay();
        }
    }

    /// The youngest goes, unless it gave a block later than the one before it did.
    fn evict_block_relay(&mut self) {
        let mut youngest = self
            .peers
            .values()
            .filter(|peer| peer.kind == ConnectionKind::BlockRelayOnly && !peer.disconnecting)
            .rev();
        let (Some(first), second) = (youngest.next(), youngest.next()) else {
            return;
        };
        let chosen = match second {
            Some(second) if first.last_block > second.last_block => second,
            _ => first,
        };
        let (id, last_block) = (chosen.id, chosen.last_block.unwrap_or_default());
        let age = self.now.saturating_sub(chosen.connected);
        if age >= MIN_CONNECT_TIME && chosen.blocks_asked.is_empty() {
            self.disconnect(
                id,
                &format!(
                    "disconnecting extra block-relay-only peer={id} (last block received at time {})",
                    last_block.as_secs()
                ),
            );
        } else {
            tracing::debug!(
                target: "net",
                "keeping block-relay-only peer={id} chosen for eviction (connect time: {}, blocks_in_flight: {})",
                chosen.connected.as_secs(),
                chosen.blocks_asked.len()
            );
        }
    }

    /// Who told of a new block longest ago goes, the younger of two; never the only one on its network.
    fn evict_full_relay(&mut self) {
        let on_network = |network| {
            self.peers
                .values()
                .filter(|peer| {
                    matches!(
                        peer.kind,
                        ConnectionKind::OutboundFullRelay | ConnectionKind::Manual
                    ) && peer.address.address.network() == network
                })
                .count()
        };
        let worst = self
            .peers
            .values()
            .filter(|peer| {
                peer.kind == ConnectionKind::OutboundFullRelay
                    && !peer.disconnecting
                    && !peer.chain_sync.protected
                    && on_network(peer.address.address.network()) > 1
            })
            .min_by_key(|peer| (peer.last_announcement, std::cmp::Reverse(peer.id)));
        let Some(worst) = worst else {
            return;
        };
        let id = worst.id;
        let age = self.now.saturating_sub(worst.connected);
        if age > MIN_CONNECT_TIME && worst.blocks_asked.is_empty() {
            let announced = worst.last_announcement.unwrap_or_default().as_secs();
            self.disconnect(
                id,
                &format!(
                    "disconnecting extra outbound peer={id} (last block announcement received at time {announced})"
                ),
            );
            // It worked: no more until the tip is stale again.
            self.outbound.try_extra = false;
        } else {
            tracing::debug!(
                target: "net",
                "keeping outbound peer={id} chosen for eviction (connect time: {}, blocks_in_flight: {})",
                worst.connected.as_secs(),
                worst.blocks_asked.len()
            );
        }
    }

    /// Whether more peers than usual are to be tried, and whether such for blocks alone may be.
    pub fn wants_extra(&self) -> (bool, bool) {
        (self.outbound.try_extra, self.outbound.synced_once)
    }
}
