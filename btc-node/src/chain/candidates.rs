//! The blocks that may become the tip, ordered by what makes one better.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use btc_consensus::pow::Work;

use super::entry::{BlockEntry, BlockId};
use super::tree::BlockTree;

/// What makes a tip better: more work, then earlier arrival, then (only for ties from disk) the order of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    work: Work,
    sequence: Reverse<i32>,
    id: Reverse<BlockId>,
}

impl Rank {
    /// The rank of a block.
    pub fn of(tree: &BlockTree, id: BlockId) -> Self {
        let BlockEntry {
            chainwork,
            sequence,
            ..
        } = *tree.entry(id);
        Self {
            work: chainwork,
            sequence: Reverse(sequence),
            id: Reverse(id),
        }
    }
}

/// Blocks with all their past on disk and at least the tip's rank. The tip itself stays among them, so that there is
/// always something to return to.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    ranked: BTreeSet<Rank>,
}

impl Candidates {
    /// No candidates.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a block. Its work and sequence must not change while it is in.
    pub fn insert(&mut self, tree: &BlockTree, id: BlockId) {
        self.ranked.insert(Rank::of(tree, id));
    }

    /// Removes a block, if it is in.
    pub fn remove(&mut self, tree: &BlockTree, id: BlockId) {
        self.ranked.remove(&Rank::of(tree, id));
    }

    /// Whether a block is among them.
    pub fn contains(&self, tree: &BlockTree, id: BlockId) -> bool {
        self.ranked.contains(&Rank::of(tree, id))
    }

    /// The best of them.
    pub fn best(&self) -> Option<BlockId> {
        self.ranked.last().map(|rank| rank.id.0)
    }

    /// Drops all that are worse than the tip.
    pub fn prune(&mut self, tree: &BlockTree, tip: BlockId) {
        self.ranked = self.ranked.split_off(&Rank::of(tree, tip));
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.ranked.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ranked.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranked.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::block::Header;
    use bitcoin::constants::genesis_block;

    use super::*;

    #[test]
    fn more_work_wins_and_the_first_seen_among_equals() {
        let mut tree = BlockTree::new();
        let genesis = genesis_block(Network::Regtest).header;
        let root = tree.insert(genesis.block_hash(), genesis);
        let mut child = |parent: BlockId, nonce: u32, sequence: i32| {
            let header = Header {
                prev_blockhash: tree.entry(parent).hash,
                nonce,
                ..genesis
            };
            let id = tree.insert(header.block_hash(), header);
            tree.set_sequence(id, sequence);
            id
        };
        let second = child(root, 1, 5);
        let first = child(root, 2, 4);
        let longer = child(second, 3, 9);
        let mut candidates = Candidates::new();
        for id in [root, second, first] {
            candidates.insert(&tree, id);
        }
        assert_eq!(candidates.best(), Some(first));
        candidates.insert(&tree, longer);
        assert_eq!(candidates.best(), Some(longer));
        candidates.remove(&tree, longer);
        candidates.prune(&tree, first);
        assert_eq!((candidates.len(), candidates.best()), (1, Some(first)));
    }
}
