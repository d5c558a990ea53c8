//! A block with the hashes that nearly every rule asks for.

use std::ops::Deref;
use std::sync::Arc;

use bitcoin::{Block, BlockHash, Txid};

/// A shared block with its hash and its transactions' ids, computed once.
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
/// ```
#[derive(Clone, Debug)]
pub struct HashedBlock {
    block: Arc<Block>,
    hash: BlockHash,
    txids: Vec<Txid>,
}

impl HashedBlock {
    /// Hashes the block's header and every transaction.
    pub fn new(block: Arc<Block>) -> Self {
        Self {
            hash: block.block_hash(),
            txids: block.txdata.iter().map(|tx| tx.compute_txid()).collect(),
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
}

impl Deref for HashedBlock {
    type Target = Block;

    fn deref(&self) -> &Block {
        &self.block
    }
}
