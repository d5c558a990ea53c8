//! Blocks told by the ids of their transactions (BIP 152): given here, taken in `receive`.
//!
//! | module | what it does |
//! |---|---|
//! | `choice` | who is asked to tell of blocks so |
//! | `extra` | transactions kept for it beside the mempool |
//! | `partial` | a block of which parts are missing |
//! | `receive` | blocks that peers tell so |

mod choice;
mod extra;
mod partial;
mod receive;

pub(super) use extra::ExtraTransactions;
pub(super) use partial::PartialBlock;

use super::Peers;
use super::event::PeerId;
use crate::net::Message;
use bitcoin::bip152::{BlockTransactions, BlockTransactionsRequest, HeaderAndShortIds};
use bitcoin::key::rand::Rng;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{Block, BlockHash, Transaction};

/// Blocks up to this far below the tip are told compactly; peers have no use for the ids of older ones.
const MAX_DEPTH: u32 = 5;
/// Parts are given of blocks up to this far below the tip, of older ones the whole.
const MAX_PARTS_DEPTH: u32 = 10;
/// The version with witnesses.
pub(super) const VERSION: u32 = 2;

impl Peers {
    fn depth(&self, hash: &BlockHash) -> u32 {
        self.chain.block_summary(hash).map_or(u32::MAX, |block| {
            self.chain.tip().height.saturating_sub(block.height)
        })
    }

    fn compact(&mut self, block: &Block) -> Option<Message> {
        let nonce = self.rng.r#gen();
        let compact = HeaderAndShortIds::from_block(block, nonce, VERSION, &[]).ok()?;
        Some(Message::CmpctBlock(Box::new(compact)))
    }

    /// Gives a peer a block compactly, or whole if it is old.
    pub(super) fn give_compact_block(&mut self, id: PeerId, hash: BlockHash) -> usize {
        if self.depth(&hash) > MAX_DEPTH {
            return self.give_block(id, hash, true);
        }
        let Some(block) = self.block_to_give(id, hash) else {
            return 0;
        };
        let Some(message) = self.compact(&block) else {
            return self.give_block(id, hash, true);
        };
        self.send(id, message);
        self.continue_after(id, hash);
        block.txdata.len() * 6
    }

    /// Tells a peer of a new block compactly; says whether it did.
    pub(super) fn announce_compactly(&mut self, id: PeerId, hash: BlockHash) -> bool {
        let Some(block) = self.block_to_give(id, hash) else {
            return false;
        };
        let Some(message) = self.compact(&block) else {
            return false;
        };
        tracing::debug!(target: "net", "sending header-and-ids {hash} to peer={id}");
        self.send(id, message);
        self.with(id, |peer| peer.best_sent = Some(hash));
        true
    }

    /// Gives a peer the transactions of a block that it lacks.
    pub(super) fn get_block_txn(&mut self, id: PeerId, request: &BlockTransactionsRequest) {
        let hash = request.block_hash;
        if request.indexes.is_empty() {
            self.misbehaving(id, "getblocktxn received with no transaction indexes");
            return;
        }
        let known = self.chain.block_summary(&hash);
        if !known.is_some_and(|block| block.has_data) {
            tracing::debug!(
                target: "net",
                "Peer {id} sent us a getblocktxn for a block we don't have"
            );
            return;
        }
        if self.depth(&hash) > MAX_PARTS_DEPTH {
            // It may be a block that the peer cannot be fast about anyway, and reading it costs this node much.
            tracing::debug!(
                target: "net",
                "Peer {id} sent us a getblocktxn for a block > {MAX_PARTS_DEPTH} deep"
            );
            self.get_data(id, vec![Inventory::WitnessBlock(hash)]);
            return;
        }
        let Some(block) = self.block_to_give(id, hash) else {
            return;
        };
        let transactions: Option<Vec<_>> = request
            .indexes
            .iter()
            .map(|index| block.txdata.get(usize::try_from(*index).ok()?).cloned())
            .collect();
        let Some(transactions) = transactions else {
            self.misbehaving(id, "getblocktxn with out-of-bounds tx indices");
            return;
        };
        let bytes: usize = transactions.iter().map(Transaction::total_size).sum();
        tracing::debug!(
            target: "cmpctblock",
            "peer={id} sent us a GETBLOCKTXN for block {hash}, sending a BLOCKTXN with {} txns. ({bytes} bytes)",
            transactions.len()
        );
        let block_hash = hash;
        self.send(
            id,
            Message::BlockTxn(BlockTransactions {
                block_hash,
                transactions,
            }),
        );
    }
}
