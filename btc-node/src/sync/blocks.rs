//! Which blocks are fetched from whom.

use super::Peers;
use super::event::{Action, PeerId};
use super::peer::Peer;
use super::serve::RACE_BLOCKS;
use crate::chain::Validity;
use crate::chainstate::prune::MIN_BLOCKS_TO_KEEP;
use crate::chainstate::{BlockSummary, SubmitError, SubmitOptions};
use crate::net::Message;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{Block, BlockHash};
use btc_consensus::block::check_mutation;
use btc_consensus::pow::Work;
use std::sync::Arc;
use std::time::Duration;

/// Blocks asked of one peer at a time.
pub(super) const MAX_PER_PEER: usize = 16;
/// How far ahead of the last block that both have blocks are fetched.
const WINDOW: u32 = 1024;
/// How long one peer may hold up the others.
pub(super) const STALLING_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest it may become, after it proved too short.
const MAX_STALLING_TIMEOUT: Duration = Duration::from_secs(64);
/// How long a block may take: this, and half of it again for each other peer that sends blocks.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Blocks of which it is remembered who sent them until they are connected: as many as are asked for ahead of the tip.
const MAX_UNCHECKED: usize = WINDOW as usize;

/// How a block came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In one message: whoever sent it could have checked it.
    Whole,
    /// Compactly: that may be done before it is checked.
    Compact,
}

/// Why a block is not asked of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Blocks are being imported.
    #[error("Loading blocks ...")]
    Importing,
    /// There is no such peer, or its handshake is not over.
    #[error("Peer does not exist")]
    NoPeer,
    /// It has blocks without witnesses only.
    #[error("Pre-SegWit peer")]
    NoWitness,
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
    fn next_blocks(&mut self, id: PeerId, room: usize) -> (Vec<BlockSummary>, Option<PeerId>) {
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
        if let Some(below) = self.chain.background()
            && self.chain.ancestor(&best.hash, below.target.height) != Some(below.target.hash)
        {
            // What lies below a snapshot cannot be undone before it is validated.
            tracing::debug!(
                target: "net",
                "Not downloading blocks from peer={id}, which doesn't have the snapshot block in its best chain."
            );
            return none;
        }
        let Some(peer) = self.peers.get(&id) else {
            return none;
        };
        let (witness, only_recent) = (peer.serves_witnesses(), !peer.serves_all_blocks());
        let Some(start) = self.last_in_common(peer, &best.hash, &tip.hash) else {
            return none;
        };
        let end = start.height.saturating_add(WINDOW);
        let mut wanted = Vec::new();
        let mut waiting_for = None;
        let mut stored_up_to = start.hash;
        let mut staller = None;
        for height in start.height + 1..=best.height.min(end + 1) {
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
                if block.chain_tx > 0 {
                    stored_up_to = block.hash;
                }
                continue;
            }
            if let Some(download) = self.in_flight.of(&block.hash).first() {
                waiting_for = waiting_for.or(Some(download.peer));
                continue;
            }
            if height > end {
                // The window is full of blocks that others were asked for: whoever has the first holds up all.
                staller = waiting_for.filter(|staller| *staller != id);
                break;
            }
            if only_recent && best.height - block.height >= MIN_BLOCKS_TO_KEEP - RACE_BLOCKS {
                // It may have pruned this one.
                continue;
            }
            wanted.push(block);
            if wanted.len() == room {
                break;
            }
        }
        self.with(id, |peer| peer.stored_up_to = Some(stored_up_to));
        (wanted, staller)
    }

    /// The last block of a peer's chain, which ends with `best`, that this node needs no more: its own chain has it, or
    /// all blocks up to there are on disk. While a long branch is loaded that has yet to overtake the active chain, the
    /// window of blocks moves on with the latter alone.
    pub(super) fn last_in_common(
        &self,
        peer: &Peer,
        best: &BlockHash,
        tip: &BlockHash,
    ) -> Option<BlockSummary> {
        [Some(*tip), peer.stored_up_to]
            .into_iter()
            .flatten()
            .filter_map(|own| self.chain.last_common_ancestor(best, &own))
            .filter_map(|hash| self.chain.block_summary(&hash))
            .max_by_key(|block| block.height)
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
            .filter(|block| !block.has_data && !self.in_flight.contains(&block.hash))
            .take(room)
            .collect()
    }

    /// Whether segregated witness is in force at a height.
    pub(super) fn needs_witness(&self, height: u32) -> bool {
        let segwit = btc_consensus::params::BuriedDeployment::Segwit;
        self.chain.params().is_active(segwit, height)
    }

    fn ask_for_blocks(&mut self, id: PeerId, blocks: &[BlockSummary]) {
        if blocks.is_empty() {
            return;
        }
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let witness = peer.serves_witnesses();
        let mut items = Vec::with_capacity(blocks.len());
        for block in blocks {
            self.begin_download(id, block.hash, block.height);
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

    /// Asks a peer for a block that it was asked for compactly before.
    pub(super) fn ask_for_whole(&mut self, id: PeerId, hash: BlockHash) {
        let item = if (self.peers.get(&id)).is_some_and(Peer::serves_witnesses) {
            Inventory::WitnessBlock(hash)
        } else {
            Inventory::Block(hash)
        };
        self.send(id, Message::GetData(vec![item]));
    }

    /// Asks a peer for a block because the user wants it; whoever else was asked for it is waited for no longer.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn fetch_block(
        &mut self,
        id: PeerId,
        block: &BlockSummary,
    ) -> Result<Vec<Action>, FetchError> {
        if self.chain.is_importing() {
            return Err(FetchError::Importing);
        }
        let peer = self.peers.get(&id).filter(|peer| !peer.disconnecting);
        let peer = peer.ok_or(FetchError::NoPeer)?;
        if !peer.serves_witnesses() {
            return Err(FetchError::NoWitness);
        }
        self.end_download(&block.hash, None);
        self.ask_for_blocks(id, std::slice::from_ref(block));
        Ok(std::mem::take(&mut self.actions))
    }

    /// Asks for the blocks up to one that was just announced, if this node is nearly there.
    pub(super) fn fetch_announced(&mut self, id: PeerId, last: &BlockHash) {
        let tip = self.chain.tip();
        let Some(block) = self.chain.block_summary(last) else {
            return;
        };
        if !self.is_nearly_synced() || block.failed || block.chainwork < tip.chainwork {
            return;
        }
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let room = MAX_PER_PEER.saturating_sub(peer.blocks_asked.len());
        let (witness, compact) = (peer.serves_witnesses(), peer.provides_compact);
        let mut missing = Vec::new();
        let mut walk = Some(block);
        while let Some(block) = walk
            && !block.active
            && missing.len() <= MAX_PER_PEER
        {
            walk = self.chain.block_summary(&block.header.prev_blockhash);
            if !block.has_data
                && !self.in_flight.contains(&block.hash)
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
        let nothing_else = self.in_flight.is_empty();
        if let [only] = &missing[..]
            && only.hash == *last
            && compact
            && nothing_else
            && !self.config.blocks_only
            && self.is_checked(&only.header.prev_blockhash)
        {
            // Most of its transactions should be here.
            self.begin_download(id, only.hash, only.height);
            tracing::debug!(target: "net", "Requesting block {} from  peer={id}", only.hash);
            self.send(
                id,
                Message::GetData(vec![Inventory::CompactBlock(only.hash)]),
            );
            return;
        }
        self.ask_for_blocks(id, &missing);
    }

    /// Whether a block was connected once, so that what follows it may become the tip at once.
    fn is_checked(&self, hash: &BlockHash) -> bool {
        let block = self.chain.block_summary(hash);
        block.is_some_and(|block| block.validity >= Validity::Scripts && !block.failed)
    }

    pub(super) fn block(&mut self, id: PeerId, block: Arc<Block>) {
        if self.chain.is_importing() {
            tracing::debug!(target: "net", "Unexpected block message received from peer {id}");
            return;
        }
        let hash = block.block_hash();
        tracing::debug!(target: "net", "received block {hash} peer={id}");
        let parent = self.chain.block_summary(&block.header.prev_blockhash);
        if let Some(parent) = parent
            && let Err(mutation) = check_mutation(&block, self.needs_witness(parent.height + 1))
        {
            // It is not the block that its header stands for: who was asked for that may still send it.
            tracing::debug!(target: "validation", "Block mutated: {mutation}");
            tracing::debug!(target: "net", "Received mutated block from peer={id}");
            self.misbehaving(id, "mutated block");
            self.end_download(&hash, Some(id));
            return;
        }
        let requested = self.in_flight.contains(&hash);
        self.note_block(id, hash);
        self.end_download(&hash, Some(id));
        if !requested && !self.is_worth_checking(&block) {
            // Tools look for the name of this step in bitcoind.
            tracing::debug!(
                target: "validation",
                "AcceptBlockHeader: not adding new block header {hash}, missing anti-dos proof-of-work validation"
            );
            return;
        }
        self.submit(id, block, requested, Origin::Whole);
    }

    /// Hands a block to the chainstate, and draws the conclusions.
    pub(super) fn submit(&mut self, id: PeerId, block: Arc<Block>, force: bool, origin: Origin) {
        let hash = block.block_hash();
        let was_behind = self.chain.is_initial_block_download();
        let result = self.chain.submit_block(block, SubmitOptions { force });
        let now = self.now;
        match result {
            Ok(accepted) => {
                // Others may be about to send better ones: then this peer was not the fastest.
                let is_latest = self.in_flight.has_no_other(&hash);
                if accepted.new {
                    self.with(id, |peer| peer.last_block = Some(now));
                    self.end_download(&hash, None);
                }
                if accepted.new && !accepted.connected {
                    // What is wrong with it may show only when it is connected.
                    if self.unchecked.len() >= MAX_UNCHECKED {
                        self.unchecked.pop_front();
                    }
                    self.unchecked.push_back((hash, id, origin));
                }
                self.note_block(id, hash);
                if accepted.new && accepted.active && is_latest && !was_behind {
                    self.choose_for_blocks(id);
                }
                // One that asked for the window's first block may go on.
                self.stalling_timeout = STALLING_TIMEOUT.max(self.stalling_timeout * 85 / 100);
            }
            Err(error) => self.block_refused(id, hash, &error, origin),
        }
        self.work_all();
    }

    /// A block that was stored before turned out invalid: whoever sent it whole is at fault.
    pub(super) fn block_invalid(&mut self, hash: &BlockHash, reason: &str) {
        let found = self.unchecked.iter().position(|(of, ..)| of == hash);
        if let Some((_, id, origin)) = found.and_then(|index| self.unchecked.remove(index))
            && origin == Origin::Whole
        {
            self.misbehaving(id, reason);
        }
    }

    fn block_refused(&mut self, id: PeerId, hash: BlockHash, error: &SubmitError, origin: Origin) {
        tracing::debug!(target: "net", "block {hash} from peer={id} is refused: {error}");
        let SubmitError::Rejected(rejection) = error else {
            return;
        };
        let (reason, more) = (rejection.reject_reason(), rejection.debug_message());
        let comma = if more.is_empty() { "" } else { ", " };
        let stored = (self.chain.block_summary(&hash)).is_some_and(|block| block.has_data);
        if stored {
            self.end_download(&hash, None);
        } else {
            tracing::error!("AcceptBlock FAILED ({reason}{comma}{more})");
        }
        self.punish_for_block(id, error, &reason, origin);
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

    /// A peer has not what it was asked for.
    pub(super) fn block_not_found(&mut self, id: PeerId, hash: &BlockHash) {
        self.end_download(hash, Some(id));
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
