//! How much of the last blocks the mempool knew before they came.

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;

/// How many blocks are looked at.
pub const WINDOW: usize = 6;
/// The share of their weight that must have been in the mempool.
const MIN_SHARE: f64 = 0.75;
/// Below this weight of all of them together, the share says nothing: one full block, in weight units.
const MIN_WEIGHT: u64 = 4_000_000;

/// One block, without its coinbase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinedBlock {
    /// Its height.
    pub height: u64,
    /// The weight of its transactions that were in the mempool, in weight units.
    pub known_weight: u64,
    /// The weight of all its transactions, in weight units.
    pub weight: u64,
}

/// Whether the mempool shows what miners see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Healthy,
    /// Too few blocks have come to tell.
    TooFewBlocks,
    /// It lacked too much of the last blocks.
    LowCoverage,
}

/// The last blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    pub(super) blocks: Vec<MinedBlock>,
    pub(super) tip: BlockHash,
}

impl Default for Coverage {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            tip: BlockHash::all_zeros(),
        }
    }
}

impl Coverage {
    /// The blocks, the last one last; each follows on the one before.
    pub fn blocks(&self) -> &[MinedBlock] {
        &self.blocks
    }

    /// A block became the tip.
    pub(super) fn block(&mut self, block: MinedBlock, hash: BlockHash) {
        // After a reorganization the blocks of the old chain don't count.
        self.blocks.retain(|known| known.height < block.height);
        let follows = self
            .blocks
            .last()
            .is_none_or(|last| last.height + 1 == block.height);
        if !follows {
            self.blocks.clear();
        }
        if self.blocks.len() == WINDOW {
            self.blocks.remove(0);
        }
        self.blocks.push(block);
        self.tip = hash;
    }

    /// Whether there is none, or the last one is this.
    pub(super) fn ends_at(&self, height: u32, hash: BlockHash) -> bool {
        let last = self.blocks.last();
        last.is_none_or(|last| last.height == u64::from(height) && self.tip == hash)
    }

    /// Whether estimates from the mempool can be trusted.
    pub fn health(&self) -> Health {
        if self.blocks.len() < WINDOW {
            return Health::TooFewBlocks;
        }
        let weight: u64 = self.blocks.iter().map(|block| block.weight).sum();
        let known: u64 = self.blocks.iter().map(|block| block.known_weight).sum();
        if weight < MIN_WEIGHT || known as f64 / weight as f64 >= MIN_SHARE {
            Health::Healthy
        } else {
            Health::LowCoverage
        }
    }
}
