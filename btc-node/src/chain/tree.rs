//! All headers known.

use std::collections::{BTreeSet, HashMap};

use bitcoin::BlockHash;
use bitcoin::block::Header;
use bitcoin::hashes::Hash;

use super::entry::{BlockEntry, BlockId, Validity};
use super::record::IndexRecord;

/// Why the records of a block index database make no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A header's parent is not among them.
    #[error("block index is non-contiguous: the parent of {0} is missing")]
    MissingParent(BlockHash),
    /// A height is not one more than the parent's.
    #[error("block index gives {hash} height {stored} where its parent's makes it {height}")]
    Height {
        /// The block.
        hash: BlockHash,
        /// What the record says.
        stored: u32,
        /// What the tree says.
        height: u32,
    },
    /// More than one header has no parent.
    #[error("block index holds two genesis blocks, {0} and {1}")]
    TwoRoots(BlockHash, BlockHash),
}

/// The headers as a tree. Entries are added and never removed.
#[derive(Debug, Default)]
pub struct BlockTree {
    entries: Vec<BlockEntry>,
    by_hash: HashMap<BlockHash, BlockId>,
    /// Blocks whose data came before an ancestor's, by parent.
    unlinked: HashMap<BlockId, BTreeSet<BlockId>>,
    /// Entries that changed since they were last written to disk.
    dirty: BTreeSet<BlockId>,
    /// The valid header with the most work.
    best_header: Option<BlockId>,
}

impl BlockTree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rebuilds the tree from what was stored. Of the block of a UTXO `snapshot`, the number of transactions up to it is
    /// known, though not its ancestors.
    pub fn load(
        records: Vec<(BlockHash, IndexRecord)>,
        snapshot: Option<(BlockHash, u64)>,
    ) -> Result<Self, TreeError> {
        let mut records = records;
        // Parents first; the hash makes the order, and with it ties between equal chains, the same on every start.
        records.sort_by_key(|(hash, record)| (record.height, *hash));
        let mut tree = Self::new();
        for (hash, record) in &records {
            let prev_hash = record.header.prev_blockhash;
            let is_root = prev_hash == BlockHash::all_zeros();
            if !is_root && !tree.by_hash.contains_key(&prev_hash) {
                return Err(TreeError::MissingParent(*hash));
            }
            if let (true, Some(first)) = (is_root, tree.entries.first()) {
                return Err(TreeError::TwoRoots(first.hash, *hash));
            }
            let id = tree.link(*hash, record.header);
            let entry = &mut tree.entries[id.0 as usize];
            entry.restore(record);
            if entry.height != record.height {
                return Err(TreeError::Height {
                    hash: *hash,
                    stored: record.height,
                    height: entry.height,
                });
            }
            let (prev, n_tx, on_disk) = (entry.prev, entry.n_tx, entry.data().is_some());
            if let Some((base, chain_tx)) = snapshot
                && base == *hash
            {
                tree.entry_mut(id).chain_tx = chain_tx;
                // It waits for its past all the same.
                if on_disk && prev.is_some_and(|prev| tree.entry(prev).chain_tx == 0) {
                    tree.add_unlinked(id);
                }
            } else if n_tx > 0 {
                match prev.map(|prev| tree.entry(prev).chain_tx) {
                    None => tree.entry_mut(id).chain_tx = n_tx.into(),
                    Some(0) if on_disk => tree.add_unlinked(id),
                    Some(0) => {}
                    Some(before) => tree.entry_mut(id).chain_tx = before + u64::from(n_tx),
                }
            }
            // A descendant of an invalid block is invalid, even if the stop came before that was written.
            let parent_failed = prev.is_some_and(|prev| tree.entry(prev).failed());
            if parent_failed && !tree.entry(id).failed() {
                tree.modify(id).set_failed(true);
            }
            tree.consider_best_header(id);
        }
        Ok(tree)
    }

    /// Adds a header whose parent is known (or which has none) and that passed its checks; known ones stay as they are.
    pub fn insert(&mut self, hash: BlockHash, header: Header) -> BlockId {
        if let Some(id) = self.by_hash.get(&hash) {
            return *id;
        }
        let id = self.link(hash, header);
        self.modify(id).raise_validity(Validity::Tree);
        self.consider_best_header(id);
        id
    }

    fn link(&mut self, hash: BlockHash, header: Header) -> BlockId {
        let id = BlockId(
            u32::try_from(self.entries.len()).expect("fewer than 2^32 headers fit in memory"),
        );
        let mut entry = BlockEntry::new(hash, header);
        if let Some(prev) = self.by_hash.get(&header.prev_blockhash).copied() {
            let parent = self.entry(prev);
            entry.prev = Some(prev);
            entry.height = parent.height + 1;
            entry.chainwork = parent.chainwork + entry.chainwork;
            entry.time_max = parent.time_max.max(header.time);
            entry.skip = self.ancestor(prev, skip_height(entry.height));
        }
        self.entries.push(entry);
        self.by_hash.insert(hash, id);
        id
    }

    fn consider_best_header(&mut self, id: BlockId) {
        let entry = self.entry(id);
        if !entry.is_valid(Validity::Tree) {
            return;
        }
        if self
            .best_header
            .is_none_or(|best| self.entry(best).chainwork < entry.chainwork)
        {
            self.best_header = Some(id);
        }
    }

    /// The valid header with the most work.
    pub fn best_header(&self) -> Option<BlockId> {
        self.best_header
    }

    /// Chooses the best header anew, after marks of failure changed.
    pub fn recalculate_best_header(&mut self) {
        self.best_header = None;
        for id in self.ids() {
            self.consider_best_header(id);
        }
    }

    /// The entry of a block.
    pub fn entry(&self, id: BlockId) -> &BlockEntry {
        &self.entries[id.0 as usize]
    }

    fn entry_mut(&mut self, id: BlockId) -> &mut BlockEntry {
        &mut self.entries[id.0 as usize]
    }

    /// The entry of a block, to be changed; it will be written with the next flush.
    pub fn modify(&mut self, id: BlockId) -> &mut BlockEntry {
        self.dirty.insert(id);
        self.entry_mut(id)
    }

    /// Sets the order of arrival, which is not stored.
    pub fn set_sequence(&mut self, id: BlockId, sequence: i32) {
        self.entry_mut(id).sequence = sequence;
    }

    /// Finds a block by hash.
    pub fn find(&self, hash: &BlockHash) -> Option<BlockId> {
        self.by_hash.get(hash).copied()
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no header at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All blocks, parents before children.
    pub fn ids(&self) -> impl Iterator<Item = BlockId> + use<> {
        (0..self.entries.len() as u32).map(BlockId)
    }

    /// Blocks that no other builds on.
    pub fn leaves(&self) -> Vec<BlockId> {
        let mut has_child = vec![false; self.entries.len()];
        for prev in self.entries.iter().filter_map(|entry| entry.prev) {
            has_child[prev.0 as usize] = true;
        }
        self.ids().filter(|id| !has_child[id.0 as usize]).collect()
    }

    /// The ancestor of `id` at `height`, which may be itself; `None` if `height` is above it.
    pub fn ancestor(&self, id: BlockId, height: u32) -> Option<BlockId> {
        let mut walk = id;
        let mut at = self.entry(id).height;
        if height > at {
            return None;
        }
        while at > height {
            let entry = self.entry(walk);
            let skip = skip_height(at);
            let skip_before = skip_height(at - 1);
            // Follow the skip pointer unless it overshoots, or the parent's reaches further without overshooting.
            let better_by_parent = skip_before + 2 < skip && skip_before >= height;
            match entry.skip {
                Some(far) if skip == height || (skip > height && !better_by_parent) => {
                    walk = far;
                    at = skip;
                }
                _ => {
                    walk = entry.prev?;
                    at -= 1;
                }
            }
        }
        Some(walk)
    }

    /// Whether `ancestor` is `id` or lies before it.
    pub fn is_ancestor(&self, ancestor: BlockId, id: BlockId) -> bool {
        self.ancestor(id, self.entry(ancestor).height) == Some(ancestor)
    }

    /// The last block that two chains share. All headers descend from one genesis block, so there is one.
    pub fn last_common_ancestor(&self, a: BlockId, b: BlockId) -> Option<BlockId> {
        let height = self.entry(a).height.min(self.entry(b).height);
        let (mut a, mut b) = (self.ancestor(a, height)?, self.ancestor(b, height)?);
        while a != b {
            let (left, right) = (self.entry(a), self.entry(b));
            // Equal heights have skip pointers of equal height: leap as long as both sides still differ.
            if left.skip != right.skip {
                (a, b) = (left.skip?, right.skip?);
            } else {
                (a, b) = (left.prev?, right.prev?);
            }
        }
        Some(a)
    }

    /// Median of the last eleven header times up to `id`, in seconds (BIP113's clock).
    pub fn median_time_past(&self, id: BlockId) -> u32 {
        let mut times = [0; 11];
        let mut count = 0;
        let mut walk = Some(id);
        while let (Some(at), true) = (walk, count < times.len()) {
            let entry = self.entry(at);
            times[count] = entry.time();
            count += 1;
            walk = entry.prev;
        }
        let times = &mut times[..count];
        times.sort_unstable();
        times[count / 2]
    }

    /// Notes that the block of a header is there, `n_tx` transactions of it; gives the blocks whose whole past is now
    /// known, in the order in which they may connect.
    pub fn receive_block(&mut self, id: BlockId, n_tx: u32) -> Vec<BlockId> {
        let entry = self.modify(id);
        entry.n_tx = n_tx;
        entry.raise_validity(Validity::Transactions);
        let prev = entry.prev;
        if let Some(prev) = prev
            && self.entry(prev).chain_tx == 0
        {
            self.add_unlinked(id);
            return Vec::new();
        }
        self.link_from(id)
    }

    /// Takes the number of transactions up to a block for known, as that of a UTXO snapshot's block is; gives the blocks
    /// after it whose past then counts as known.
    pub fn assume_chain_tx(&mut self, id: BlockId, chain_tx: u64) -> Vec<BlockId> {
        self.entry_mut(id).chain_tx = chain_tx;
        let children = self.unlinked.remove(&id).into_iter().flatten();
        children.flat_map(|child| self.link_from(child)).collect()
    }

    /// Counts the transactions up to a block and those that waited for it.
    fn link_from(&mut self, id: BlockId) -> Vec<BlockId> {
        let mut linked = vec![id];
        let mut next = 0;
        while let Some(&id) = linked.get(next) {
            next += 1;
            let entry = self.entry(id);
            let before = entry.prev.map_or(0, |prev| self.entry(prev).chain_tx);
            let total = before + u64::from(entry.n_tx);
            self.entry_mut(id).chain_tx = total;
            linked.extend(self.unlinked.remove(&id).into_iter().flatten());
        }
        linked
    }

    /// Whether a block waits for an ancestor's data.
    pub fn is_unlinked(&self, id: BlockId) -> bool {
        let prev = self.entry(id).prev;
        let waiting = prev.and_then(|prev| self.unlinked.get(&prev));
        waiting.is_some_and(|waiting| waiting.contains(&id))
    }

    /// Remembers a block whose ancestors are not all there yet.
    pub fn add_unlinked(&mut self, id: BlockId) {
        if let Some(prev) = self.entry(id).prev {
            self.unlinked.entry(prev).or_default().insert(id);
        }
    }

    /// Forgets the data of all blocks for whose file `deleted` says yes. Those of them that waited for an ancestor no
    /// longer do: they would have to come again anyway.
    pub fn forget_data(&mut self, deleted: impl Fn(u32) -> bool) {
        for id in self.ids() {
            let entry = self.entry(id);
            let place = entry.data().or(entry.undo());
            if !place.is_some_and(|pos| deleted(pos.file)) {
                continue;
            }
            let prev = entry.prev;
            self.modify(id).forget_data();
            if let Some(prev) = prev
                && let Some(waiting) = self.unlinked.get_mut(&prev)
            {
                waiting.remove(&id);
                if waiting.is_empty() {
                    self.unlinked.remove(&prev);
                }
            }
        }
    }

    /// Blocks that changed since the last call.
    pub fn take_dirty(&mut self) -> BTreeSet<BlockId> {
        std::mem::take(&mut self.dirty)
    }

    /// Puts back what could not be written.
    pub fn restore_dirty(&mut self, ids: BTreeSet<BlockId>) {
        self.dirty.extend(ids);
    }

    /// Hashes for a locator from `tip` back: the last ones densely, then with doubling distance, and the genesis block.
    pub fn locator(&self, tip: BlockId) -> Vec<BlockHash> {
        let mut hashes = Vec::with_capacity(32);
        let mut step = 1;
        let mut walk = Some(tip);
        while let Some(id) = walk {
            let entry = self.entry(id);
            hashes.push(entry.hash);
            if entry.height == 0 {
                break;
            }
            walk = self.ancestor(id, entry.height.saturating_sub(step));
            if hashes.len() > 10 {
                step *= 2;
            }
        }
        hashes
    }
}

/// Where the skip pointer of a block at `height` leads: lower bits are cleared so that walks take logarithmic time.
fn skip_height(height: u32) -> u32 {
    let clear_lowest = |n: u32| n & n.wrapping_sub(1);
    match height {
        0 | 1 => 0,
        odd if odd & 1 == 1 => clear_lowest(clear_lowest(odd - 1)) + 1,
        even => clear_lowest(even),
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::constants::genesis_block;
    use proptest::prelude::*;

    use super::*;

    /// A tree with the given parent for each further block.
    fn tree(parents: &[usize]) -> (BlockTree, Vec<BlockId>) {
        let mut tree = BlockTree::new();
        let genesis = genesis_block(Network::Regtest).header;
        let mut ids = vec![tree.insert(genesis.block_hash(), genesis)];
        for (n, parent) in parents.iter().enumerate() {
            let parent = tree.entry(ids[*parent]);
            let header = Header {
                prev_blockhash: parent.hash,
                nonce: n as u32,
                time: parent.time() + 600,
                ..genesis
            };
            ids.push(tree.insert(header.block_hash(), header));
        }
        (tree, ids)
    }

    fn slow_ancestor(tree: &BlockTree, id: BlockId, height: u32) -> Option<BlockId> {
        let mut walk = id;
        while tree.entry(walk).height > height {
            walk = tree.entry(walk).prev?;
        }
        (tree.entry(walk).height == height).then_some(walk)
    }

    proptest! {
        #[test]
        fn ancestors_and_forks_agree_with_walking(
            shape in proptest::collection::vec(0.0..1.0_f64, 1..120), a: prop::sample::Index, b: prop::sample::Index,
            height in 0_u32..130,
        ) {
            // Mostly a chain, with forks: a parent among the last four.
            let parents: Vec<_> = shape
                .iter()
                .enumerate()
                .map(|(n, pick)| n.saturating_sub((pick * pick * 4.0) as usize))
                .collect();
            let (tree, ids) = tree(&parents);
            let (a, b) = (ids[a.index(ids.len())], ids[b.index(ids.len())]);
            prop_assert_eq!(tree.ancestor(a, height), slow_ancestor(&tree, a, height));
            let fork = tree.last_common_ancestor(a, b).expect("one genesis");
            prop_assert!(tree.is_ancestor(fork, a) && tree.is_ancestor(fork, b));
            let next = tree.entry(fork).height + 1;
            let (after_a, after_b) = (tree.ancestor(a, next), tree.ancestor(b, next));
            prop_assert!(after_a.is_none() || after_a != after_b);
        }
    }

    #[test]
    fn a_locator_is_dense_then_sparse_and_ends_in_the_genesis_block() {
        let (tree, ids) = tree(&(0..100).collect::<Vec<_>>());
        let heights: Vec<_> = tree
            .locator(ids[100])
            .iter()
            .map(|hash| tree.entry(tree.find(hash).expect("known")).height)
            .collect();
        assert_eq!(
            heights,
            [
                100, 99, 98, 97, 96, 95, 94, 93, 92, 91, 90, 89, 87, 83, 75, 59, 27, 0
            ]
        );
    }

    #[test]
    fn median_time_past_is_the_middle_of_eleven() {
        let (tree, ids) = tree(&(0..20).collect::<Vec<_>>());
        let genesis = tree.entry(ids[0]).time();
        assert_eq!(tree.median_time_past(ids[0]), genesis);
        assert_eq!(tree.median_time_past(ids[1]), genesis + 600);
        assert_eq!(tree.median_time_past(ids[20]), genesis + 15 * 600);
    }

    #[test]
    fn blocks_link_once_their_past_is_there() {
        let (mut tree, ids) = tree(&[0, 1, 2, 1]);
        assert_eq!(tree.receive_block(ids[0], 1), [ids[0]]);
        assert_eq!(tree.receive_block(ids[3], 5), []);
        assert_eq!(tree.receive_block(ids[2], 2), []);
        assert_eq!(tree.receive_block(ids[1], 1), [ids[1], ids[2], ids[3]]);
        assert_eq!(tree.entry(ids[3]).chain_tx, 9);
        assert_eq!(tree.leaves(), [ids[3], ids[4]]);
    }

    #[test]
    fn a_stored_tree_is_the_same_again() {
        let (mut tree, ids) = tree(&[0, 1, 2, 1]);
        tree.modify(ids[4]).set_failed(true);
        let records = tree
            .ids()
            .map(|id| (tree.entry(id).hash, tree.entry(id).record()))
            .collect::<Vec<_>>();
        let again = BlockTree::load(records.clone(), None).expect("loads");
        assert_eq!(again.len(), tree.len());
        let id = again.find(&tree.entry(ids[4]).hash).expect("known");
        assert!(again.entry(id).failed());
        let best = again.best_header().expect("has one");
        assert_eq!(again.entry(best).hash, tree.entry(ids[3]).hash);
        let mut gap = records;
        gap.retain(|(_, record)| record.height != 1);
        assert!(matches!(
            BlockTree::load(gap, None),
            Err(TreeError::MissingParent(_))
        ));
    }
}
