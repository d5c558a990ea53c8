//! The index of an open table: where the block is that may hold a key.

use std::sync::Arc;

use super::Handle;
use crate::block::{Block, BlockBuilder, BlockIter};
use crate::bloom::{FilterReader, Span};
use crate::error::Result;
use crate::key::{self, Sought};

/// One key in so many is a landmark: two cache lines of words.
const STRIDE: usize = 16;

/// The index block in memory, and beside it, in arrays, what a search needs of it: it then looks at a word or a line of
/// each and seldom at an entry.
#[derive(Debug)]
pub(super) struct Index {
    block: Arc<Block>,
    /// The first bytes of the keys.
    prefixes: Box<[u64]>,
    /// The last prefix of each run of `STRIDE`: few, so that they stay near the processor.
    landmarks: Box<[u64]>,
    places: Box<[Place]>,
}

/// Where a data block is, and where the filter that covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) handle: Handle,
    pub(super) filter: Span,
}

impl Index {
    /// Takes over an index block.
    ///
    /// # Errors
    /// An entry cannot be read.
    pub(super) fn new(block: Block, filter: Option<&FilterReader>) -> Result<Self> {
        let mut block = Arc::new(block);
        let mut entries = BlockIter::new(Arc::clone(&block));
        let mut prefixes = Vec::with_capacity(block.restarts());
        let mut places = Vec::with_capacity(block.restarts());
        entries.seek_to_first()?;
        while let Some((key, mut value)) = entries.entry() {
            let handle = Handle::take(&mut value)?;
            prefixes.push(key::prefix(key::user(key)));
            places.push(Place {
                handle,
                filter: filter.map_or(Span::ANYTHING, |filter| filter.span(handle.offset)),
            });
            entries.next()?;
        }
        if prefixes.len() != block.restarts() && !prefixes.is_empty() {
            // Every key is whole in what LevelDB writes, but the format does not ask for it.
            let mut whole = BlockBuilder::new(1);
            entries.seek_to_first()?;
            while let Some((key, handle)) = entries.entry() {
                whole.add(key, handle);
                entries.next()?;
            }
            block = Arc::new(Block::new(whole.finish().to_vec())?);
        }
        let runs = prefixes.chunks(STRIDE);
        Ok(Self {
            landmarks: runs.filter_map(|run| run.last().copied()).collect(),
            block,
            prefixes: prefixes.into(),
            places: places.into(),
        })
    }

    /// Goes through the index.
    pub(super) fn iter(&self) -> BlockIter {
        BlockIter::new(Arc::clone(&self.block))
    }

    /// How many keys begin with less than `prefix`.
    #[inline]
    fn before(&self, prefix: u64) -> usize {
        let run = self.landmarks.partition_point(|&last| last < prefix) * STRIDE;
        let run_end = self.prefixes.len().min(run + STRIDE);
        match self.prefixes.get(run..run_end) {
            Some(prefixes) => run + prefixes.iter().filter(|&&p| p < prefix).count(),
            None => self.prefixes.len(),
        }
    }

    /// The block that holds what is sought if any does.
    ///
    /// # Errors
    /// An entry makes no sense.
    pub(super) fn find(&self, sought: &Sought<'_>) -> Result<Option<Place>> {
        let mut low = self.before(sought.prefix);
        if self.prefixes.get(low) == Some(&sought.prefix) {
            let after = sought.prefix.checked_add(1);
            let mut high = after.map_or(self.prefixes.len(), |after| self.before(after));
            while low < high {
                let middle = low.midpoint(high);
                match sought.compare(self.block.key_at_restart(middle)?).is_lt() {
                    true => low = middle + 1,
                    false => high = middle,
                }
            }
        }
        Ok(self.places.get(low).copied())
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
            keys in proptest::collection::btree_set(proptest::collection::vec(0..3u8, 0..12), 0..90),
            interval in 1..4usize, target in proptest::collection::vec(0..3u8, 0..12)
        ) {
            let keys: BTreeSet<Vec<u8>> = keys;
            let mut builder = BlockBuilder::new(interval);
            for (number, key) in (1..).zip(&keys) {
                let mut handle = Vec::new();
                Handle { offset: number, size: 7 }.encode(&mut handle);
                builder.add(&key::internal(key, 5 << 8 | 1), &handle);
            }
            let block = Block::new(builder.finish().to_vec()).expect("is whole");
            let index = Index::new(block, None).expect("reads");
            for (target, sequence) in keys.iter().chain([&target]).flat_map(|key| [(key, 4), (key, 5)]) {
                let found = index.find(&Sought::new(target, sequence)).expect("reads");
                // A change that is newer than the sought one comes before it.
                let before = |key: &&Vec<u8>| *key < target || *key == target && sequence < 5;
                let at = keys.iter().take_while(before).count();
                let expected = (at < keys.len()).then_some(Handle { offset: at as u64 + 1, size: 7 });
                prop_assert_eq!(found.map(|place| place.handle), expected);
            }
        }
    }
}
