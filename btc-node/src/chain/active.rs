//! The active chain: one path through the tree, by height.

use bitcoin::BlockHash;

use super::entry::BlockId;
use super::tree::BlockTree;

/// The path from the genesis block to the tip.
#[derive(Clone, Debug, Default)]
pub struct ActiveChain {
    path: Vec<BlockId>,
}

impl ActiveChain {
    /// A chain without even a genesis block.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last block.
    pub fn tip(&self) -> Option<BlockId> {
        self.path.last().copied()
    }

    /// The height of the tip.
    pub fn height(&self) -> Option<u32> {
        self.path.len().checked_sub(1).map(|height| height as u32)
    }

    /// The block at a height.
    pub fn at(&self, height: u32) -> Option<BlockId> {
        self.path.get(height as usize).copied()
    }

    /// Whether the block is on it.
    pub fn contains(&self, tree: &BlockTree, id: BlockId) -> bool {
        self.at(tree.entry(id).height) == Some(id)
    }

    /// The block after `id`, if `id` is on the chain and not its tip.
    pub fn next(&self, tree: &BlockTree, id: BlockId) -> Option<BlockId> {
        if self.contains(tree, id) {
            self.at(tree.entry(id).height + 1)
        } else {
            None
        }
    }

    /// Makes `tip` the last block; `None` empties the chain.
    pub fn set_tip(&mut self, tree: &BlockTree, tip: Option<BlockId>) {
        let Some(tip) = tip else {
            self.path.clear();
            return;
        };
        let len = tree.entry(tip).height as usize + 1;
        self.path.truncate(len);
        // Walk back to where the path is right already.
        let mut tail = Vec::new();
        let mut walk = Some(tip);
        while let Some(id) = walk {
            if self.contains(tree, id) {
                break;
            }
            tail.push(id);
            walk = tree.entry(id).prev;
        }
        self.path.truncate(len - tail.len());
        self.path.extend(tail.into_iter().rev());
    }

    /// The last block of the chain that is `id` or an ancestor of it.
    pub fn fork_point(&self, tree: &BlockTree, id: BlockId) -> Option<BlockId> {
        let height = self.height()?.min(tree.entry(id).height);
        let mut walk = tree.ancestor(id, height);
        while let Some(id) = walk {
            if self.contains(tree, id) {
                return Some(id);
            }
            walk = tree.entry(id).prev;
        }
        None
    }

    /// The first block of a locator that is on the chain or whose branch left it, as Core answers a peer: the fork
    /// point for a known branch that leads to the tip, else the first hash on the chain; without any, the genesis block.
    pub fn find_fork(&self, tree: &BlockTree, locator: &[BlockHash]) -> Option<BlockId> {
        for id in locator.iter().filter_map(|hash| tree.find(hash)) {
            if self.contains(tree, id) {
                return Some(id);
            }
            if let Some(tip) = self.tip()
                && tree.is_ancestor(tip, id)
            {
                return Some(tip);
            }
        }
        self.at(0)
    }

    /// The first block at or after `height` with `time_max >= time` (seconds): every block before it is older.
    pub fn earliest_at_least(&self, tree: &BlockTree, time: u32, height: u32) -> Option<BlockId> {
        let index = self.path.partition_point(|id| {
            let entry = tree.entry(*id);
            entry.time_max < time || entry.height < height
        });
        self.path.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::block::Header;
    use bitcoin::constants::genesis_block;

    use super::*;

    /// Two branches of the given lengths after the genesis block.
    fn branches(left: u32, right: u32) -> (BlockTree, Vec<BlockId>, Vec<BlockId>) {
        let mut tree = BlockTree::new();
        let genesis = genesis_block(Network::Regtest).header;
        let root = tree.insert(genesis.block_hash(), genesis);
        let mut grow = |len: u32, nonce: u32| {
            let mut branch = vec![root];
            for _ in 0..len {
                let prev = tree.entry(*branch.last().expect("starts at the root"));
                let header = Header {
                    prev_blockhash: prev.hash,
                    nonce,
                    time: prev.time() + 600,
                    ..genesis
                };
                branch.push(tree.insert(header.block_hash(), header));
            }
            branch
        };
        let (left, right) = (grow(left, 1), grow(right, 2));
        (tree, left, right)
    }

    #[test]
    fn switching_branches_keeps_heights_right() {
        let (tree, left, right) = branches(5, 8);
        let mut chain = ActiveChain::new();
        for (tip, branch) in [(5, &left), (8, &right), (3, &left), (2, &left), (8, &right)] {
            chain.set_tip(&tree, Some(branch[tip]));
            assert_eq!(chain.height(), Some(tip as u32));
            for (height, id) in branch[..=tip].iter().enumerate() {
                assert_eq!(chain.at(height as u32), Some(*id));
                assert!(chain.contains(&tree, *id));
            }
        }
        chain.set_tip(&tree, Some(left[4]));
        assert_eq!(chain.fork_point(&tree, right[8]), Some(right[0]));
        assert_eq!(chain.fork_point(&tree, left[5]), Some(left[4]));
        assert_eq!(chain.next(&tree, left[3]), Some(left[4]));
        assert_eq!(chain.next(&tree, right[1]), None);
    }

    #[test]
    fn a_locator_of_another_branch_leads_to_the_fork() {
        let (tree, left, right) = branches(20, 30);
        let mut chain = ActiveChain::new();
        chain.set_tip(&tree, Some(left[20]));
        assert_eq!(
            chain.find_fork(&tree, &tree.locator(right[30])),
            Some(left[0])
        );
        assert_eq!(
            chain.find_fork(&tree, &tree.locator(left[15])),
            Some(left[15])
        );
        chain.set_tip(&tree, Some(left[10]));
        assert_eq!(
            chain.find_fork(&tree, &tree.locator(left[20])),
            Some(left[10])
        );
        assert_eq!(chain.find_fork(&tree, &[]), Some(left[0]));
    }

    #[test]
    fn blocks_are_found_by_time() {
        let (tree, left, _) = branches(10, 0);
        let mut chain = ActiveChain::new();
        chain.set_tip(&tree, Some(left[10]));
        let start = tree.entry(left[0]).time();
        assert_eq!(chain.earliest_at_least(&tree, start + 1, 0), Some(left[1]));
        assert_eq!(chain.earliest_at_least(&tree, start, 7), Some(left[7]));
        assert_eq!(chain.earliest_at_least(&tree, start + 100_000, 0), None);
    }
}
