//! Which blocks are fetched from whom.

use super::Peers;
use super::event::PeerId;
use crate::chainstate::{BlockSummary, SubmitError, SubmitOptions};
use crate::net::Message;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{Block, BlockHash};
use btc_consensus::pow::Work;
use std::sync::Arc;
use std::time::Duration;

/// Blocks asked of one peer at a time.
const MAX_PER_PEER: usize = 16;
/// How far ahead of the last block that both have blocks are fetched.
const WINDOW: u32 = 1024;
/// How long one peer may hold up the others.
pub(super) const STALLING_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest it may become, after it proved too short.
const MAX_STALLING_TIMEOUT: Duration = Duration::from_secs(64);
/// How long a block may take: this, and half of it again for each other peer that sends blocks.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A block that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    pub(super) peer: PeerId,
    pub(super) height: u32,
}

impl Peers {
    /// Asks a peer for blocks that it has and this node needs.
    pub(super) fn request_blocks(&mut self, id: PeerId) {
        self.resolve_unknown(id);
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let room = MAX_PER_PEER.saturating_sub(peer.blocks_asked.len());
        if room == 0 || !peer.serves_blocks() || self.chain.is_importing() {
            return;
        }
        // Those that this node chose go first, as long as there is one that sends blocks.
        let behind = self.chain.is_initial_block_download();
        if behind
            && !peer.is_preferred()
            && !self.in_flight.is_empty()
            && self
                .peers
                .values()
                .any(|other| other.is_preferred() && other.handshake_done)
        {
            return;
        }
        let only_recent = !peer.serves_all_blocks();
        if behind && only_recent {
            return;
        }
        let (mut wanted, staller) = self.next_blocks(id, room);
        if !only_recent {
            wanted.extend(self.historical_blocks(id, room - wanted.len()));
        }
        self.ask_for_blocks(id, &wanted);
        let now = self.now;
        if wanted.is_empty()
            && self
                .peers
                .get(&id)
                .is_some_and(|peer| peer.blocks_asked.is_empty())
            && let Some(staller) = staller
        {
            self.with(staller, |peer| {
                if peer.stalling_since.is_none() {
                    tracing::debug!(target: "net", "Stall started peer={staller}");
                    peer.stalling_since = Some(now);
                }
            });
        }
    }

    /// The next blocks to ask a peer for; if there are none only because another peer is slow, that one.
    fn next_blocks(&self, id: PeerId, room: usize) -> (Vec<BlockSummary>, Option<PeerId>) {
        let none = (Vec::new(), None);
        let tip = self.chain.tip();
        let Some(best) = self.best_known(id) else {
            return none;
        };
        if best.chainwork < tip.chainwork
            || best.chainwork < self.chain.options().minimum_chain_work
            || best.failed
        {
            return none;
        }
        let witness = self
            .peers
            .get(&id)
            .is_some_and(super::peer::Peer::serves_witnesses);
        let Some(common) = self
            .chain
            .last_common_ancestor(&best.hash, &tip.hash)
            .and_then(|hash| self.chain.block_summary(&hash))
        else {
            return none;
        };
        let end = common.height.saturating_add(WINDOW);
        let mut wanted = Vec::new();
        let mut waiting_for = None;
        for height in common.height + 1..=best.height.min(end + 1) {
            let Some(block) = self
                .chain
                .ancestor(&best.hash, height)
                .and_then(|hash| self.chain.block_summary(&hash))
            else {
                break;
            };
            if block.failed || (!witness && self.needs_witness(height)) {
                break;
            }
            if block.has_data {
                continue;
            }
            if let Some(flight) = self.in_flight.get(&block.hash) {
                waiting_for = waiting_for.or(Some(flight.peer));
                continue;
            }
            if height > end {
                // The window is full of blocks that others were asked for: whoever has the first holds up all.
                let staller = waiting_for.filter(|staller| *staller != id);
                return (wanted, staller);
            }
            wanted.push(block);
            if wanted.len() == room {
                break;
            }
        }
        (wanted, None)
    }

    /// Blocks below a UTXO snapshot, to validate it with, that this peer has.
    fn historical_blocks(&self, id: PeerId, room: usize) -> Vec<BlockSummary> {
        let (Some(below), Some(best)) = (self.chain.background(), self.best_known(id)) else {
            return Vec::new();
        };
        let target = below.target.hash;
        if room == 0 || self.chain.ancestor(&best.hash, below.target.height) != Some(target) {
            return Vec::new();
        }
        let start = self
            .chain
            .last_common_ancestor(&below.tip.hash, &target)
            .and_then(|hash| self.chain.block_summary(&hash))
            .map_or(0, |block| block.height);
        let end = start.saturating_add(WINDOW).min(below.target.height);
        (start + 1..=end)
            .filter_map(|height| {
                let hash = self.chain.ancestor(&target, height)?;
                self.chain.block_summary(&hash)
            })
            .filter(|block| !block.has_data && !self.in_flight.contains_key(&block.hash))
            .take(room)
            .collect()
    }

    fn needs_witness(&self, height: u32) -> bool {
        let segwit = btc_consensus::params::BuriedDeployment::Segwit;
        self.chain.params().is_active(segwit, height)
    }

    fn ask_for_blocks(&mut self, id: PeerId, blocks: &[BlockSummary]) {
        if blocks.is_empty() {
            return;
        }
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let witness = peer.serves_witnesses();
        let mut items = Vec::with_capacity(blocks.len());
        for block in blocks {
            if peer.blocks_asked.is_empty() {
                peer.downloading_since = now;
            }
            peer.blocks_asked.push_back(block.hash);
            let flight = InFlight {
                peer: id,
                height: block.height,
            };
            self.in_flight.insert(block.hash, flight);
            items.push(if witness {
                Inventory::WitnessBlock(block.hash)
            } else {
                Inventory::Block(block.hash)
            });
            tracing::debug!(
                target: "net",
                "Requesting block {} ({}) peer={id}",
                block.hash,
                block.height
            );
        }
        self.send(id, Message::GetData(items));
    }

    /// Asks for the blocks up to one that was just announced, if this node is nearly there.
    pub(super) fn fetch_announced(&mut self, id: PeerId, last: &BlockHash) {
        let tip = self.chain.tip();
        let spacing = self.chain.params().pow_target_spacing;
        let nearly_there = u64::from(tip.time) + 20 * u64::from(spacing) > self.now.as_secs();
        let Some(block) = self.chain.block_summary(last) else {
            return;
        };
        if !nearly_there || block.failed || block.chainwork < tip.chainwork {
            return;
        }
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let room = MAX_PER_PEER.saturating_sub(peer.blocks_asked.len());
        let witness = peer.serves_witnesses();
        let mut missing = Vec::new();
        let mut walk = Some(block);
        while let Some(block) = walk
            && !block.active
            && missing.len() <= MAX_PER_PEER
        {
            walk = self.chain.block_summary(&block.header.prev_blockhash);
            if !block.has_data
                && !self.in_flight.contains_key(&block.hash)
                && (witness || !self.needs_witness(block.height))
            {
                missing.push(block);
            }
        }
        if missing.len() > MAX_PER_PEER {
            // Far off: the window takes care of it.
            return;
        }
        missing.reverse();
        missing.truncate(room);
        self.ask_for_blocks(id, &missing);
    }

    pub(super) fn block(&mut self, id: PeerId, block: Arc<Block>) {
        if self.chain.is_importing() {
            tracing::debug!(target: "net", "ignoring a block from peer={id} while blocks are imported");
            return;
        }
        let hash = block.block_hash();
        tracing::debug!(target: "net", "received block {hash} peer={id}");
        let requested = self
            .in_flight
            .get(&hash)
            .is_some_and(|flight| flight.peer == id);
        self.note_block(id, hash);
        self.block_arrived(id, &hash);
        if !requested && !self.is_worth_checking(&block) {
            tracing::debug!(target: "net", "ignoring low-work block {hash} from peer={id}");
            return;
        }
        let result = self
            .chain
            .submit_block(block, SubmitOptions { force: requested });
        let now = self.now;
        match result {
            Ok(accepted) => {
                if accepted.new {
                    self.with(id, |peer| peer.last_block = Some(now));
                }
                self.note_block(id, hash);
                // One that asked for the window's first block may go on.
                self.stalling_timeout = STALLING_TIMEOUT.max(self.stalling_timeout * 85 / 100);
            }
            Err(error) => {
                tracing::debug!(target: "net", "block {hash} from peer={id} is refused: {error}");
                if let SubmitError::Rejected(rejection) = &error {
                    let what = rejection.reject_reason();
                    self.punish_for_block(id, &error, &what);
                }
            }
        }
        self.work_all();
    }

    /// Whether a block that nobody asked for has enough work to be looked at.
    fn is_worth_checking(&self, block: &Block) -> bool {
        let Some(parent) = self.chain.block_summary(&block.header.prev_blockhash) else {
            // Refused for its unknown parent, before anything is kept.
            return true;
        };
        let own = Work::from_compact(block.header.bits.to_consensus());
        parent.chainwork.saturating_add(own) >= self.work_threshold()
    }

    /// Takes a block off what is waited for.
    fn block_arrived(&mut self, id: PeerId, hash: &BlockHash) {
        if self
            .in_flight
            .get(hash)
            .is_none_or(|flight| flight.peer != id)
        {
            return;
        }
        self.in_flight.remove(hash);
        let now = self.now;
        self.with(id, |peer| {
            if peer.blocks_asked.front() == Some(hash) {
                peer.downloading_since = now;
            }
            peer.blocks_asked.retain(|asked| asked != hash);
            peer.stalling_since = None;
        });
    }

    /// A peer has not what it was asked for.
    pub(super) fn block_not_found(&mut self, id: PeerId, hash: &BlockHash) {
        self.block_arrived(id, hash);
    }

    /// Lets go of peers that hold up the others, or never send what they were asked for.
    pub(super) fn check_block_timeouts(&mut self) {
        let now = self.now;
        let loading = self
            .peers
            .values()
            .filter(|peer| !peer.blocks_asked.is_empty())
            .count();
        let others = u32::try_from(loading.saturating_sub(1)).unwrap_or(u32::MAX);
        let patience = BLOCK_TIMEOUT.saturating_add((BLOCK_TIMEOUT / 2).saturating_mul(others));
        let mut late = Vec::new();
        for peer in self.peers.values().filter(|peer| !peer.disconnecting) {
            if peer
                .stalling_since
                .is_some_and(|since| now > since.saturating_add(self.stalling_timeout))
            {
                late.push((peer.id, "Peer is stalling block download".to_owned()));
                self.stalling_timeout = (self.stalling_timeout * 2).min(MAX_STALLING_TIMEOUT);
            } else if let Some(block) = peer.blocks_asked.front()
                && now > peer.downloading_since.saturating_add(patience)
            {
                late.push((peer.id, format!("Timeout downloading block {block}")));
            }
        }
        for (id, reason) in late {
            self.disconnect(id, &reason);
        }
    }
}
