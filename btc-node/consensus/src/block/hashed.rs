//! A block with the hashes that nearly every rule asks for.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bitcoin::{Block, BlockHash, Txid, Wtxid};

/// A shared block with its hash and its transactions' ids, computed once; those over the witnesses too, when they are
/// asked for first.
///
/// ```
/// use std::sync::Arc;
///
/// use btc_consensus::HashedBlock;
/// use btc_consensus::{Chain, ChainParams};
///
/// let genesis = ChainParams::new(Chain::Main).genesis;
/// let block = HashedBlock::new(Arc::new(genesis));
/// assert_eq!(block.txids().len(), block.txdata.len());
/// assert_eq!(block.txids()[0], block.txdata[0].compute_txid());
/// let same = HashedBlock::with_ids(Arc::clone(block.block()), &[], &[]);
/// assert_eq!((same.txids(), same.wtxids()), (block.txids(), block.wtxids()));
/// ```
#[derive(Clone, Debug)]
pub struct HashedBlock {
    block: Arc<Block>,
    hash: BlockHash,
    txids: Vec<Txid>,
    wtxids: OnceLock<Vec<Wtxid>>,
}

impl HashedBlock {
    /// Hashes the block's header and every transaction.
    pub fn new(block: Arc<Block>) -> Self {
        Self {
            hash: block.block_hash(),
            txids: block.txdata.iter().map(|tx| tx.compute_txid()).collect(),
            wtxids: OnceLock::new(),
            block,
        }
    }

    /// Hashes the block's header and its coinbase alone: the ids of all other transactions are known to be these.
    ///
    /// The rules of blocks go by what is given here. It must come from where the ids were computed, never from where the
    /// block came from.
    ///
    /// # Panics
    /// If there are not as many ids as transactions beside the coinbase.
    pub fn with_ids(block: Arc<Block>, txids: &[Txid], wtxids: &[Wtxid]) -> Self {
        let coinbase = block.txdata.first();
        let first = coinbase.map(|tx| tx.compute_txid());
        let first_wtxid = coinbase.map(|tx| tx.compute_wtxid());
        let count = block.txdata.len();
        assert!(
            count == 1 + txids.len() && count == 1 + wtxids.len(),
            "each transaction has its ids"
        );
        Self {
            hash: block.block_hash(),
            txids: first.into_iter().chain(txids.iter().copied()).collect(),
            wtxids: OnceLock::from(
                first_wtxid
                    .into_iter()
                    .chain(wtxids.iter().copied())
                    .collect::<Vec<Wtxid>>(),
            ),
            block,
        }
    }

    /// The block.
    pub fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// Its hash.
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    /// The ids of its transactions, in their order.
    pub fn txids(&self) -> &[Txid] {
        &self.txids
    }

    /// The ids of its transactions with their witnesses, in their order.
    pub fn wtxids(&self) -> &[Wtxid] {
        let compute = || {
            self.block
                .txdata
                .iter()
                .map(|tx| tx.compute_wtxid())
                .collect()
        };
        self.wtxids.get_or_init(compute)
    }
}

impl Deref for HashedBlock {
    type Target = Block;

    fn deref(&self) -> &Block {
        &self.block
    }
}
