//! Compact blocks that peers send.

use super::partial::{PartialBlock, PartialError};
use crate::chainstate::BlockSummary;
use crate::net::Message;
use crate::sync::Peers;
use crate::sync::blocks::{MAX_PER_PEER, Origin};
use crate::sync::event::PeerId;
use crate::sync::in_flight::{Awaited, MAX_PARALLEL};
use bitcoin::bip152::{BlockTransactions, BlockTransactionsRequest, HeaderAndShortIds};
use bitcoin::block::Header;
use bitcoin::{Block, BlockHash};
use btc_consensus::pow::Work;
use std::sync::Arc;

/// Blocks further ahead of the tip are not put together: the mempool knows nothing of them.
const MAX_AHEAD: u32 = 2;

/// What is done with a compact block.
enum Plan {
    /// Nothing.
    Ignore,
    /// It is asked for whole.
    FetchWhole,
    /// It tells of a header and no more.
    TakeHeader,
    /// It is put together, with what is missing asked for.
    PutTogether,
    /// It is put together if nothing is missing: others are asked for it.
    TryAtOnce,
}

impl Peers {
    /// A peer sends a block compactly.
    pub(in crate::sync) fn compact_block(&mut self, id: PeerId, compact: &HeaderAndShortIds) {
        let refused = if self.chain.is_importing() {
            Some("even though we are still loading blocks!")
        } else if self.config.blocks_only {
            Some("even though we are blocksonly!")
        } else if (self.peers.get(&id)).is_some_and(|peer| !peer.provides_compact) {
            Some("despite never having sent us a SENDCMPCT!")
        } else {
            None
        };
        if let Some(reason) = refused {
            tracing::debug!(target: "cmpctblock", "peer={id} sent us a compact block {reason}");
            return;
        }
        let Some(block) = self.take_compact_header(id, &compact.header) else {
            return;
        };
        match self.plan(id, &block) {
            Plan::Ignore => {}
            Plan::FetchWhole => self.ask_for_whole(id, block.hash),
            Plan::TakeHeader => self.take_announced_header(id, &compact.header),
            Plan::PutTogether => self.put_together(id, &block, compact),
            Plan::TryAtOnce => {
                let Ok(partial) = self.begin_partial(compact) else {
                    return;
                };
                let segwit = self.needs_witness(block.height);
                if let Ok(whole) = partial.complete(Vec::new(), segwit) {
                    self.submit(id, Arc::new(whole), true, Origin::Compact);
                }
            }
        }
    }

    /// Takes in the header of a compact block, if it is worth keeping.
    fn take_compact_header(&mut self, id: PeerId, header: &Header) -> Option<BlockSummary> {
        let Some(parent) = self.chain.block_summary(&header.prev_blockhash) else {
            if !self.chain.is_initial_block_download() {
                self.ask_from_best_header(id);
            }
            return None;
        };
        let work = Work::from_compact(header.bits.to_consensus());
        if parent.chainwork.saturating_add(work) < self.work_threshold() {
            tracing::debug!(target: "net", "Ignoring low-work compact block from peer {id}");
            return None;
        }
        let hash = header.block_hash();
        let is_new = self.chain.block_summary(&hash).is_none();
        if let Err(error) = self.chain.submit_header(header) {
            self.punish_for_block(id, &error, "invalid header via cmpctblock", Origin::Compact);
            return None;
        }
        let block = self.chain.block_summary(&hash)?;
        if is_new {
            self.log_new_header(id, &block, "cmpctblock ");
        }
        self.note_block(id, hash);
        if is_new && block.chainwork > self.chain.tip().chainwork {
            let now = self.now;
            self.with(id, |peer| peer.last_announcement = Some(now));
        }
        Some(block)
    }

    fn plan(&self, id: PeerId, block: &BlockSummary) -> Plan {
        let Some(peer) = self.peers.get(&id).filter(|_| !block.has_data) else {
            return Plan::Ignore;
        };
        let asked = self.in_flight.get(&block.hash, id).is_some();
        if !asked && !peer.high_bandwidth_to {
            tracing::debug!(
                target: "cmpctblock",
                "peer={id}, not marked as high-bandwidth, sent us an unsolicited compact block!"
            );
            return Plan::Ignore;
        }
        let tip = self.chain.tip();
        // There is something better, or it was here and was pruned: the mempool will not help.
        if block.chainwork <= tip.chainwork || block.n_tx != 0 {
            return if asked {
                Plan::FetchWhole
            } else {
                Plan::Ignore
            };
        }
        let downloads = self.in_flight.of(&block.hash).len();
        if downloads == 0 && !self.is_nearly_synced() {
            return Plan::Ignore;
        }
        if block.height > tip.height + MAX_AHEAD {
            return if asked {
                Plan::FetchWhole
            } else {
                Plan::TakeHeader
            };
        }
        if asked || (downloads < MAX_PARALLEL && peer.blocks_asked.len() < MAX_PER_PEER) {
            Plan::PutTogether
        } else {
            Plan::TryAtOnce
        }
    }

    fn begin_partial(&self, compact: &HeaderAndShortIds) -> Result<PartialBlock, PartialError> {
        self.mempool.read(|pool| {
            let mempool = pool.graph().entries();
            let mempool = mempool.map(|entry| (&entry.wtxid, &entry.tx));
            PartialBlock::new(compact, mempool, self.extra.iter())
        })
    }

    /// Puts a block together as far as its transactions are here, and asks for the rest.
    fn put_together(&mut self, id: PeerId, block: &BlockSummary, compact: &HeaderAndShortIds) {
        let hash = block.hash;
        if let Some(download) = self.in_flight.get(&hash, id)
            && !matches!(download.awaited, Awaited::Block)
        {
            tracing::debug!(target: "net", "Peer sent us compact block we were already syncing!");
            return;
        }
        let is_first = self.in_flight.is_first(&hash, id);
        let others = self.in_flight.of(&hash).len();
        self.begin_download(id, hash, block.height);
        let partial = match self.begin_partial(compact) {
            Ok(partial) => partial,
            Err(PartialError::Invalid) => {
                self.end_download(&hash, Some(id));
                self.misbehaving(id, "invalid compact block");
                return;
            }
            Err(PartialError::Collision) if is_first => {
                self.note_failed_parts(&hash, id);
                self.ask_for_whole(id, hash);
                return;
            }
            Err(PartialError::Collision) => {
                self.end_download(&hash, Some(id));
                return;
            }
        };
        let missing = partial.missing();
        let may_ask = is_first || self.may_ask_beside_others(id, &hash, others);
        if !missing.is_empty() && !may_ask {
            // Those who were asked before will do.
            self.end_download(&hash, Some(id));
            return;
        }
        if let Some(download) = self.in_flight.get_mut(&hash, id) {
            download.awaited = Awaited::Parts(Box::new(partial));
        }
        if missing.is_empty() {
            self.block_transactions(id, hash, Vec::new());
        } else {
            let request = BlockTransactionsRequest {
                block_hash: hash,
                indexes: missing,
            };
            self.send(id, Message::GetBlockTxn(request));
        }
    }

    /// Whether a peer is asked for parts of a block of which `others` are asked as well. The last place is kept for one
    /// that this node chose: those who connected may all be one.
    fn may_ask_beside_others(&self, id: PeerId, hash: &BlockHash, others: usize) -> bool {
        let is_chosen = |id: &PeerId| (self.peers.get(id)).is_some_and(|peer| !peer.is_inbound());
        let downloads = self.in_flight.of(hash).iter();
        let announces = (self.peers.get(&id)).is_some_and(|peer| peer.high_bandwidth_to);
        announces
            && (is_chosen(&id)
                || downloads
                    .filter(|download| download.peer != id)
                    .any(|download| is_chosen(&download.peer))
                || others < MAX_PARALLEL - 1)
    }

    /// A peer sends parts of a block.
    pub(in crate::sync) fn block_txn(&mut self, id: PeerId, parts: BlockTransactions) {
        if self.chain.is_importing() {
            tracing::debug!(target: "net", "Unexpected blocktxn message received from peer {id}");
            return;
        }
        self.block_transactions(id, parts.block_hash, parts.transactions);
    }

    fn block_transactions(
        &mut self,
        id: PeerId,
        hash: BlockHash,
        transactions: Vec<bitcoin::Transaction>,
    ) {
        let is_first = self.in_flight.is_first(&hash, id);
        let Some(download) = self
            .in_flight
            .get_mut(&hash, id)
            .filter(|download| !matches!(download.awaited, Awaited::Block))
        else {
            tracing::debug!(
                target: "net",
                "Peer {id} sent us block transactions for block we weren't expecting"
            );
            return;
        };
        let height = download.height;
        // One try: what follows a failure is the whole block.
        let Awaited::Parts(partial) =
            std::mem::replace(&mut download.awaited, Awaited::BlockInstead)
        else {
            self.end_download(&hash, Some(id));
            self.misbehaving(id, "previous compact block reconstruction attempt failed");
            tracing::debug!(
                target: "net",
                "Peer {id} sent compact block transactions multiple times"
            );
            return;
        };
        match partial.complete(transactions, self.needs_witness(height)) {
            Ok(block) => self.completed(id, block),
            Err(PartialError::Invalid) => {
                self.end_download(&hash, Some(id));
                self.misbehaving(id, "invalid compact block/non-matching block transactions");
            }
            Err(PartialError::Collision) if is_first => self.ask_for_whole(id, hash),
            Err(PartialError::Collision) => {
                self.end_download(&hash, Some(id));
                tracing::debug!(
                    target: "net",
                    "Peer {id} sent us a compact block but it failed to reconstruct, waiting on first download to complete"
                );
            }
        }
    }

    fn completed(&mut self, id: PeerId, block: Block) {
        self.end_download(&block.block_hash(), Some(id));
        // It was asked for, and its header has the work: it is stored even if it does not become the tip.
        self.submit(id, Arc::new(block), true, Origin::Compact);
    }

    fn note_failed_parts(&mut self, hash: &BlockHash, id: PeerId) {
        if let Some(download) = self.in_flight.get_mut(hash, id) {
            download.awaited = Awaited::BlockInstead;
        }
    }
}
