//! Blocks of a table: entries in key order, each key without what it shares with the one before.

mod builder;

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

pub(crate) use builder::BlockBuilder;

use crate::coding::{fixed32, take_varint32};
use crate::error::{Error, Result};
use crate::key;

/// The bytes of a block, with the place of its restart points: entries whose key is whole.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    /// Where the entries end and the array of restart points begins.
    limit: usize,
    restarts: usize,
}

impl Block {
    /// Reads a block.
    ///
    /// # Errors
    /// There is no room for the restart points that the block says it has.
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Self> {
        let bad = || Error::Corruption("bad block contents".into());
        let count_at = bytes.len().checked_sub(4).ok_or_else(bad)?;
        let restarts = fixed32(&bytes, count_at).ok_or_else(bad)? as usize;
        let array = restarts.checked_mul(4).ok_or_else(bad)?;
        let limit = count_at.checked_sub(array).ok_or_else(bad)?;
        Ok(Self {
            bytes,
            limit,
            restarts,
        })
    }

    /// A block that holds no entries, for tests of what only asks for its size.
    #[cfg(test)]
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            limit: 0,
            restarts: 0,
        }
    }

    /// Bytes of memory that the block takes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Where the entry of a restart point begins. The point must be one of the block's.
    fn restart(&self, index: usize) -> usize {
        fixed32(&self.bytes, self.limit + index * 4).map_or(self.limit, |at| at as usize)
    }

    /// The entry at `at`: bytes shared with the key before, the rest of the key, the value.
    fn entry(&self, at: usize) -> Option<(usize, Range<usize>, Range<usize>)> {
        let mut input = self.bytes.get(at..self.limit)?;
        let (shared, rest, value) = match *input {
            // All three lengths fit a byte nearly always.
            [
                shared @ ..0x80,
                rest @ ..0x80,
                value @ ..0x80,
                ref tail @ ..,
            ] => {
                input = tail;
                (shared.into(), rest.into(), value.into())
            }
            _ => (
                take_varint32(&mut input)?,
                take_varint32(&mut input)?,
                take_varint32(&mut input)?,
            ),
        };
        let key = self.limit - input.len();
        let key_end = key.checked_add(rest as usize)?;
        let value_end = key_end.checked_add(value as usize)?;
        (value_end <= self.limit).then_some((shared as usize, key..key_end, key_end..value_end))
    }
}

fn bad_entry() -> Error {
    Error::Corruption("bad entry in block".into())
}

/// Goes through a block whose keys are internal keys.
#[derive(Debug)]
pub(crate) struct BlockIter {
    block: Arc<Block>,
    next: usize,
    valid: bool,
    key: Vec<u8>,
    value: Range<usize>,
}

impl BlockIter {
    /// An iterator that stands nowhere.
    pub(crate) fn new(block: Arc<Block>) -> Self {
        Self {
            block,
            next: 0,
            valid: false,
            key: Vec::new(),
            value: 0..0,
        }
    }

    /// Goes through another block, and keeps the memory.
    pub(crate) fn reset(&mut self, block: Arc<Block>) {
        self.block = block;
        self.valid = false;
    }

    pub(crate) fn seek_to_first(&mut self) -> Result<()> {
        self.next = 0;
        self.key.clear();
        self.next()
    }

    /// Goes to the first entry whose key is not before `target`.
    pub(crate) fn seek(&mut self, target: &[u8]) -> Result<()> {
        // The last restart point whose key is before the target: the entry is in the run that it begins.
        let (mut low, mut high) = (0, self.block.restarts.saturating_sub(1));
        while low < high {
            let middle = (low + high).div_ceil(2);
            let (shared, key, _) = self
                .block
                .entry(self.block.restart(middle))
                .ok_or_else(bad_entry)?;
            let key = &self.block.bytes[key];
            if shared != 0 || key.len() < key::TRAILER {
                return Err(bad_entry());
            }
            match key::compare(key, target) {
                Ordering::Less => low = middle,
                _ => high = middle - 1,
            }
        }
        self.next = match self.block.restarts {
            0 => self.block.limit,
            _ => self.block.restart(low),
        };
        self.key.clear();
        loop {
            self.next()?;
            if !self.valid || key::compare(&self.key, target).is_ge() {
                return Ok(());
            }
        }
    }

    pub(crate) fn next(&mut self) -> Result<()> {
        self.valid = false;
        if self.next >= self.block.limit {
            return Ok(());
        }
        let (shared, rest, value) = self.block.entry(self.next).ok_or_else(bad_entry)?;
        if shared > self.key.len() || shared + rest.len() < key::TRAILER {
            return Err(bad_entry());
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(&self.block.bytes[rest]);
        self.next = value.end;
        self.value = value;
        self.valid = true;
        Ok(())
    }

    pub(crate) fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.valid
            .then(|| (&self.key[..], &self.block.bytes[self.value.clone()]))
    }
}

/// The value of the entry with this key in a block whose keys are names.
pub(crate) fn find_name(block: &Block, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let (mut at, mut key) = (0, Vec::new());
    while at < block.limit {
        let (shared, rest, value) = block.entry(at).ok_or_else(bad_entry)?;
        if shared > key.len() {
            return Err(bad_entry());
        }
        key.truncate(shared);
        key.extend_from_slice(&block.bytes[rest]);
        at = value.end;
        if key == name {
            return Ok(Some(block.bytes[value].to_vec()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn built(entries: &BTreeMap<Vec<u8>, Vec<u8>>, interval: usize) -> Arc<Block> {
        let mut builder = BlockBuilder::new(interval);
        for (key, value) in entries {
            builder.add(&key::internal(key, 1), value);
        }
        Arc::new(Block::new(builder.finish().to_vec()).expect("is whole"))
    }

    proptest! {
        #[test]
        fn entries_come_back_in_order_and_are_found(
            entries: BTreeMap<Vec<u8>, Vec<u8>>, interval in 1..20usize, target: Vec<u8>
        ) {
            let mut iter = BlockIter::new(built(&entries, interval));
            iter.seek_to_first().expect("reads");
            for (key, value) in &entries {
                prop_assert_eq!(iter.entry(), Some((&key::internal(key, 1)[..], &value[..])));
                iter.next().expect("reads");
            }
            prop_assert_eq!(iter.entry(), None);
            for target in entries.keys().chain([&target]) {
                iter.seek(&key::internal(target, 1)).expect("reads");
                let found = iter.entry().map(|(key, _)| key::user(key).to_vec());
                prop_assert_eq!(found.as_ref(), entries.range(target.clone()..).next().map(|(key, _)| key));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, target: Vec<u8>) {
            if let Ok(block) = Block::new(bytes) {
                let _ = find_name(&block, &target);
                let mut iter = BlockIter::new(Arc::new(block));
                let _ = iter.seek(&key::internal(&target, 1));
                let mut more = iter.seek_to_first().is_ok();
                while more && iter.entry().is_some() {
                    more = iter.next().is_ok();
                }
            }
        }
    }
}
