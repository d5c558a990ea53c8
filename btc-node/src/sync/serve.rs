//! Answers to what peers ask.

use super::Peers;
use super::event::PeerId;
use super::peer::Peer;
use super::upload::HISTORICAL_AGE;
use crate::chain::Validity;
use crate::chainstate::BlockSummary;
use crate::chainstate::prune::MIN_BLOCKS_TO_KEEP;
use crate::net::Message;
use crate::net::message::{Locator, MAX_HEADERS};
use bitcoin::hashes::Hash;
use bitcoin::p2p::ServiceFlags;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{Block, BlockHash, MerkleBlock, Transaction, Txid, Witness, Wtxid};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Blocks in an answer to `getblocks`.
const MAX_BLOCKS: u32 = 500;
/// Blocks below those that every node keeps that are given all the same: the tip may have moved meanwhile.
pub(super) const RACE_BLOCKS: u32 = 2;
/// Bytes given to a peer before its connection must have carried some away.
const SERVE_AT_ONCE: usize = 1_000_000;
/// Requests of one peer that wait to be answered.
const MAX_WANTED: usize = 50_000;
/// The number of `getdata`'s items that are blocks through a filter (BIP 37).
const FILTERED_BLOCK: u32 = 3;
/// Blocks off the active chain are given away up to this age: older ones would tell one node from others.
const STALE_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The last block, which many ask for at once.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) hash: BlockHash,
    pub(super) block: Arc<Block>,
    /// Its transactions, by txid and by wtxid.
    transactions: HashMap<[u8; 32], Arc<Transaction>>,
}

impl Peers {
    /// Keeps the new tip at hand.
    pub(super) fn remember_tip(&mut self, hash: BlockHash) {
        let Ok(Some(block)) = self.chain.block(&hash) else {
            // It is read when it is asked for.
            self.recent = None;
            return;
        };
        let mut transactions = HashMap::new();
        for tx in &block.txdata {
            let tx = Arc::new(tx.clone());
            transactions.insert(tx.compute_txid().to_byte_array(), Arc::clone(&tx));
            transactions.insert(tx.compute_wtxid().to_byte_array(), tx);
        }
        self.recent = Some(Recent {
            hash,
            block,
            transactions,
        });
    }

    pub(super) fn get_headers(&mut self, id: PeerId, locator: &Locator) {
        if self.chain.is_importing() {
            tracing::debug!(target: "net", "Ignoring getheaders from peer={id} while importing/reindexing");
            return;
        }
        let tip = self.chain.tip();
        if tip.chainwork < self.chain.options().minimum_chain_work {
            tracing::debug!(
                target: "net",
                "Ignoring getheaders from peer={id} because active chain has too little work; sending empty response"
            );
            self.send(id, Message::Headers(Vec::new()));
            return;
        }
        let mut headers = Vec::new();
        let mut next = if locator.hashes.is_empty() {
            let Some(block) = self.chain.block_summary(&locator.stop) else {
                return;
            };
            if !self.may_be_given(&block) {
                tracing::debug!(
                    target: "net",
                    "ignoring request from peer={id} for old block header that isn't in the main chain"
                );
                return;
            }
            Some(block)
        } else {
            let fork = self.chain.find_fork(&locator.hashes);
            self.chain.block_summary_at(fork.height + 1)
        };
        while let Some(block) = next {
            headers.push(block.header);
            if headers.len() == MAX_HEADERS || block.hash == locator.stop || !block.active {
                break;
            }
            next = self.chain.block_summary_at(block.height + 1);
        }
        // An empty answer tells that there is nothing after what the peer has: the tip is where it stands.
        let last = headers
            .last()
            .map_or(tip.hash, bitcoin::block::Header::block_hash);
        self.with(id, |peer| peer.best_sent = Some(last));
        self.send(id, Message::Headers(headers));
    }

    pub(super) fn get_blocks(&mut self, id: PeerId, locator: &Locator) {
        let fork = self.chain.find_fork(&locator.hashes);
        let mut items = Vec::new();
        let mut continue_after = None;
        for height in fork.height + 1..=fork.height.saturating_add(MAX_BLOCKS) {
            let Some(hash) = self.chain.hash_at(height) else {
                break;
            };
            if hash == locator.stop {
                break;
            }
            items.push(Inventory::Block(hash));
            if height == fork.height.saturating_add(MAX_BLOCKS) {
                continue_after = Some(hash);
            }
        }
        self.with(id, |peer| peer.continue_after = continue_after);
        if !items.is_empty() {
            self.send(id, Message::Inv(items));
        }
    }

    pub(super) fn get_data(&mut self, id: PeerId, items: Vec<Inventory>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.wanted.len() + items.len() > MAX_WANTED {
            self.disconnect(id, "more requests than any peer makes");
            return;
        }
        tracing::debug!(target: "net", "received getdata ({} invsz) peer={id}", items.len());
        if let Some(first) = items.first() {
            tracing::debug!(target: "net", "received getdata for: {} peer={id}", describe(first));
        }
        peer.wanted.extend(items);
        self.serve_queued(id);
    }

    /// Gives a peer what it asked for, as fast as its connection takes it.
    pub(super) fn serve_queued(&mut self, id: PeerId) {
        let mut given = 0;
        let mut missing = Vec::new();
        while given < SERVE_AT_ONCE
            && let Some(peer) = self.peers.get_mut(&id)
            && !peer.congested
            && !peer.disconnecting
            && let Some(item) = peer.wanted.pop_front()
        {
            given += match item {
                Inventory::Transaction(txid) => {
                    self.give_tx(id, item, Some(txid), None, &mut missing)
                }
                Inventory::WitnessTransaction(txid) => {
                    self.give_tx(id, item, Some(txid), None, &mut missing)
                }
                Inventory::WTx(wtxid) => self.give_tx(id, item, None, Some(wtxid), &mut missing),
                Inventory::Block(hash) => self.give_block(id, hash, false),
                Inventory::WitnessBlock(hash) => self.give_block(id, hash, true),
                Inventory::CompactBlock(hash) => self.give_compact_block(id, hash),
                Inventory::Unknown {
                    inv_type: FILTERED_BLOCK,
                    hash,
                } => self.give_filtered_block(id, BlockHash::from_byte_array(hash)),
                Inventory::Error | Inventory::Unknown { .. } => {
                    tracing::debug!(target: "net", "peer={id} asks for something unknown");
                    0
                }
            };
        }
        if !missing.is_empty() {
            self.send(id, Message::NotFound(missing));
        }
    }

    fn give_tx(
        &mut self,
        id: PeerId,
        item: Inventory,
        txid: Option<Txid>,
        wtxid: Option<Wtxid>,
        missing: &mut Vec<Inventory>,
    ) -> usize {
        let Some(peer) = self.peers.get(&id) else {
            return 0;
        };
        if !peer.may_relay {
            // Nothing of the kind was agreed on, so nothing is owed.
            return 0;
        }
        let told = peer.told_sequence;
        // Only what it was told of: else it could find out when this node learned of a transaction.
        let tx = if peer.relays_transactions() {
            self.mempool.read(|pool| {
                let graph = pool.graph();
                let entry = txid
                    .and_then(|txid| graph.get(&txid))
                    .or_else(|| wtxid.and_then(|wtxid| graph.get_by_wtxid(&wtxid)))?;
                (entry.sequence < told).then(|| (entry.txid, Arc::clone(&entry.tx)))
            })
        } else {
            None
        };
        let relays = self.peers.get(&id).is_some_and(Peer::relays_transactions);
        // Who has heard of the last block knows its transactions anyway.
        let recent = || {
            let wanted = item.network_hash()?;
            let tx = self.recent.as_ref()?.transactions.get(&wanted)?;
            relays.then(|| (tx.compute_txid(), Arc::clone(tx)))
        };
        let Some((txid, tx)) = tx.or_else(recent) else {
            missing.push(item);
            return 0;
        };
        // Somebody has it now: it need not be told again for its own sake.
        self.mempool.remove_unbroadcast(&txid);
        let size = tx.total_size();
        self.send(id, Message::Tx(tx));
        size
    }

    /// Gives a peer the part of a block that its filter matches (BIP 37).
    fn give_filtered_block(&mut self, id: PeerId, hash: BlockHash) -> usize {
        if !self.config.bloom_filters {
            let reason = "filtered block request received when NODE_BLOOM service disabled";
            self.disconnect(id, reason);
            return 0;
        }
        let Some(mut bloom) = self.peers.get(&id).and_then(|peer| peer.bloom.clone()) else {
            return 0;
        };
        if self.is_over_upload_target(id) {
            self.disconnect(id, "historical block serving limit reached");
            return 0;
        }
        let Some(block) = self.block_to_give(id, hash) else {
            return 0;
        };
        let matches: Vec<&Transaction> =
            block.txdata.iter().filter(|tx| bloom.matches(tx)).collect();
        let ids: HashSet<Txid> = matches.iter().map(|tx| tx.compute_txid()).collect();
        let merkle = MerkleBlock::from_block_with_predicate(&block, |txid| ids.contains(txid));
        self.with(id, |peer| peer.bloom = Some(bloom));
        self.send(id, Message::MerkleBlock(Box::new(merkle)));
        let mut size = 0;
        for tx in matches {
            size += tx.total_size();
            self.send(id, Message::Tx(Arc::new(tx.clone())));
        }
        self.continue_after(id, hash);
        size
    }

    pub(super) fn give_block(&mut self, id: PeerId, hash: BlockHash, witness: bool) -> usize {
        let Some(block) = self.block_to_give(id, hash) else {
            return 0;
        };
        let block = if witness {
            block
        } else {
            Arc::new(without_witnesses(Block::clone(&block)))
        };
        let size = block.total_size();
        self.send(id, Message::Block(block));
        self.continue_after(id, hash);
        size
    }

    /// One that asks for more blocks than an answer holds is told of the tip after the last.
    pub(super) fn continue_after(&mut self, id: PeerId, hash: BlockHash) {
        if self
            .peers
            .get(&id)
            .is_some_and(|peer| peer.continue_after == Some(hash))
        {
            let tip = self.chain.tip().hash;
            self.send(id, Message::Inv(vec![Inventory::Block(tip)]));
            self.with(id, |peer| peer.continue_after = None);
        }
    }

    /// A block that a peer asks for, if it may have it.
    pub(super) fn block_to_give(&mut self, id: PeerId, hash: BlockHash) -> Option<Arc<Block>> {
        let block = self.chain.block_summary(&hash)?;
        if !self.may_be_given(&block) {
            tracing::debug!(
                target: "net",
                "ignoring request from peer={id} for old block that isn't in the main chain"
            );
            return None;
        }
        let newest = self.chain.best_header().time;
        let age = Duration::from_secs(newest.saturating_sub(block.time).into());
        if age > HISTORICAL_AGE && self.is_over_upload_target(id) {
            self.disconnect(id, "historical block serving limit reached");
            return None;
        }
        let limited = !self.services().has(ServiceFlags::NETWORK);
        let trusted = (self.peers.get(&id)).is_some_and(|peer| peer.permissions.no_ban);
        let depth = self.chain.tip().height.saturating_sub(block.height);
        if limited && !trusted && depth > MIN_BLOCKS_TO_KEEP + RACE_BLOCKS {
            // Whether it is there tells how far this node has pruned. The peer must not wait for it in vain, either.
            self.disconnect(
                id,
                "Ignore block request below NODE_NETWORK_LIMITED threshold",
            );
            return None;
        }
        if !block.has_data {
            return None;
        }
        if let Some(recent) = self.recent.as_ref().filter(|recent| recent.hash == hash) {
            return Some(Arc::clone(&recent.block));
        }
        match self.chain.read_block(&hash) {
            Ok(block) => block.map(Arc::new),
            Err(error) => {
                tracing::error!(target: "net", "Cannot load block from disk: {error}");
                self.disconnect(id, "cannot load block from disk");
                None
            }
        }
    }

    /// Whether a peer is given nothing that it could have from others.
    fn is_over_upload_target(&self, id: PeerId) -> bool {
        let may_exceed = (self.peers.get(&id)).is_some_and(|peer| peer.permissions.download);
        !may_exceed && self.upload.is_history_over(self.now)
    }

    /// Whether a block may be shown: those of the active chain, and young ones that once were.
    pub(super) fn may_be_given(&self, block: &BlockSummary) -> bool {
        if block.active {
            return true;
        }
        let best = self.chain.best_header();
        block.validity >= Validity::Scripts
            && u64::from(best.time.saturating_sub(block.time)) < STALE_AGE.as_secs()
            && btc_consensus::pow::equivalent_time(
                best.chainwork,
                block.chainwork,
                best.header.bits.to_consensus(),
                self.chain.params(),
            ) < i64::try_from(STALE_AGE.as_secs()).unwrap_or(i64::MAX)
    }

    pub(super) fn send_whole_mempool(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        if !peer.permissions.mempool && !self.config.bloom_filters {
            if !peer.permissions.no_ban {
                self.disconnect(id, "mempool request with bloom filters disabled");
            }
            return;
        }
        if self.upload.is_reached() && !peer.permissions.mempool {
            if !peer.permissions.no_ban {
                self.disconnect(id, "mempool request with bandwidth limit reached");
            }
            return;
        }
        let all: Vec<Wtxid> = self
            .mempool
            .read(|pool| pool.graph().entries().map(|entry| entry.wtxid).collect());
        self.with(id, |peer| {
            peer.transactions_to_tell.extend(all);
            peer.next_trickle = Duration::ZERO;
        });
    }

    /// Messages that this node does not know.
    pub(super) fn unknown_message(&mut self, id: PeerId, message: &Message) {
        tracing::debug!(
            target: "net",
            "Unknown message type \"{}\" from peer={id}",
            message.describe()
        );
    }
}

/// An item as logs have it.
pub(super) fn describe(item: &Inventory) -> String {
    match item {
        Inventory::Transaction(txid) => format!("tx {txid}"),
        Inventory::WitnessTransaction(txid) => format!("witness-tx {txid}"),
        Inventory::WTx(wtxid) => format!("wtx {wtxid}"),
        Inventory::Block(hash) => format!("block {hash}"),
        Inventory::WitnessBlock(hash) => format!("witness-block {hash}"),
        Inventory::CompactBlock(hash) => format!("cmpctblock {hash}"),
        Inventory::Unknown {
            inv_type: FILTERED_BLOCK,
            hash,
        } => format!("merkleblock {}", BlockHash::from_byte_array(*hash)),
        Inventory::Unknown { inv_type, hash } => {
            format!("0x{inv_type:08x} {}", BlockHash::from_byte_array(*hash))
        }
        Inventory::Error => "error".to_owned(),
    }
}

/// A block as nodes without segregated witness know it.
fn without_witnesses(mut block: Block) -> Block {
    for input in block.txdata.iter_mut().flat_map(|tx| &mut tx.input) {
        input.witness = Witness::new();
    }
    block
}
