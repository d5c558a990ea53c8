//! The index of an open table: where the block is that may hold a key.

use std::sync::Arc;

use super::Handle;
use crate::block::{Block, BlockBuilder, BlockIter};
use crate::error::Result;
use crate::key::{self, Sought};

/// The index block in memory, with the first bytes of its keys in one array: nearly every step of a search then looks at
/// one word and not at an entry.
#[derive(Debug)]
pub(super) struct Index {
    block: Arc<Block>,
    prefixes: Box<[u64]>,
}

impl Index {
    /// Takes over an index block.
    ///
    /// # Errors
    /// An entry cannot be read.
    pub(super) fn new(block: Block) -> Result<Self> {
        let mut block = Arc::new(block);
        let mut entries = BlockIter::new(Arc::clone(&block));
        let mut prefixes = Vec::with_capacity(block.restarts());
        // Every key is whole in what LevelDB writes, but the format does not ask for it.
        let mut whole = BlockBuilder::new(1);
        let mut size = 0;
        entries.seek_to_first()?;
        while let Some((key, mut handle)) = entries.entry() {
            Handle::take(&mut handle)?;
            prefixes.push(key::prefix(key::user(key)));
            size += key.len();
            entries.next()?;
        }
        if prefixes.len() != block.restarts() && size > 0 {
            entries.seek_to_first()?;
            while let Some((key, handle)) = entries.entry() {
                whole.add(key, handle);
                entries.next()?;
            }
            block = Arc::new(Block::new(whole.finish().to_vec())?);
        }
        Ok(Self {
            block,
            prefixes: prefixes.into(),
        })
    }

    /// Goes through the index.
    pub(super) fn iter(&self) -> BlockIter {
        BlockIter::new(Arc::clone(&self.block))
    }

    /// The block that holds what is sought if any does.
    ///
    /// # Errors
    /// An entry makes no sense.
    pub(super) fn find(&self, sought: &Sought<'_>) -> Result<Option<Handle>> {
        let mut low = self.prefixes.partition_point(|&p| p < sought.prefix);
        let same = self.prefixes[low..].iter();
        let mut high = low + same.take_while(|&&p| p == sought.prefix).count();
        while low < high {
            let middle = low.midpoint(high);
            match sought.compare(self.block.at_restart(middle)?.0).is_lt() {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        if low == self.prefixes.len() {
            return Ok(None);
        }
        let (_, mut handle) = self.block.at_restart(low)?;
        Handle::take(&mut handle).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_finds_the_first_key_that_is_not_before(
            keys in proptest::collection::btree_set(proptest::collection::vec(0..3u8, 0..12), 0..60),
            interval in 1..4usize, target in proptest::collection::vec(0..3u8, 0..12)
        ) {
            let keys: BTreeSet<Vec<u8>> = keys;
            let mut builder = BlockBuilder::new(interval);
            for (number, key) in (1..).zip(&keys) {
                let mut handle = Vec::new();
                Handle { offset: number, size: 7 }.encode(&mut handle);
                builder.add(&key::internal(key, 5 << 8 | 1), &handle);
            }
            let index = Index::new(Block::new(builder.finish().to_vec()).expect("is whole")).expect("reads");
            for (target, sequence) in keys.iter().chain([&target]).flat_map(|key| [(key, 4), (key, 5)]) {
                let found = index.find(&Sought::new(target, sequence)).expect("reads");
                // A change that is newer than the sought one comes before it.
                let before = |key: &&Vec<u8>| *key < target || *key == target && sequence < 5;
                let at = keys.iter().take_while(before).count();
                let expected = (at < keys.len()).then_some(Handle { offset: at as u64 + 1, size: 7 });
                prop_assert_eq!(found, expected);
            }
        }
    }
}
