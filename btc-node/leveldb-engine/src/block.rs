//! Blocks of a table: entries in key order, each key without what it shares with the one before.

mod builder;

use std::cmp::Ordering;
use std::sync::Arc;

pub(crate) use builder::BlockBuilder;

use crate::coding::{fixed32, take_varint32};
use crate::error::{Error, Result};
use crate::key::{self, Sought};

/// The bytes of a block, with the place of its restart points: entries whose key is whole. The bytes are the block's
/// own, or borrowed from a buffer that is about to hold another one.
#[derive(Debug)]
pub(crate) struct Block<B = Vec<u8>> {
    bytes: B,
    /// Where the entries end and the array of restart points begins.
    limit: usize,
    restarts: usize,
}

impl<B: AsRef<[u8]>> Block<B> {
    /// Reads a block.
    ///
    /// # Errors
    /// There is no room for the restart points that the block says it has.
    pub(crate) fn new(bytes: B) -> Result<Self> {
        let bad = || Error::Corruption("bad block contents".into());
        let count_at = bytes.as_ref().len().checked_sub(4).ok_or_else(bad)?;
        let restarts = fixed32(bytes.as_ref(), count_at).ok_or_else(bad)? as usize;
        let array = restarts.checked_mul(4).ok_or_else(bad)?;
        let limit = count_at.checked_sub(array).ok_or_else(bad)?;
        Ok(Self {
            bytes,
            limit,
            restarts,
        })
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// How many entries have their key whole.
    pub(crate) fn restarts(&self) -> usize {
        self.restarts
    }

    /// The key of the entry of a restart point. The point must be one of the block's.
    ///
    /// # Errors
    /// There is no such entry.
    #[inline]
    pub(crate) fn key_at_restart(&self, index: usize) -> Result<&[u8]> {
        match self.entry(self.restart(index)) {
            Some(entry) if entry.shared == 0 && entry.rest.len() >= key::TRAILER => Ok(entry.rest),
            _ => Err(bad_entry()),
        }
    }

    /// The first entry that is not before what is sought, if it is of the same user key: its trailer and value.
    ///
    /// # Errors
    /// An entry on the way makes no sense.
    pub(crate) fn find(&self, sought: &Sought<'_>) -> Result<Option<(u64, &[u8])>> {
        if self.restarts == 0 {
            return Ok(None);
        }
        let (mut low, mut high) = (0, self.restarts - 1);
        while low < high {
            let middle = (low + high).div_ceil(2);
            match sought.compare(self.key_at_restart(middle)?) {
                Ordering::Less => low = middle,
                _ => high = middle - 1,
            }
        }
        let mut at = self.restart(low);
        // No key is put together: of the one before, which comes before what is sought, it is enough to know how long
        // its user part is and how much of that it has in common with the sought key.
        let (mut last_len, mut matched) = (0, 0);
        while at < self.limit {
            let Entry {
                shared,
                rest,
                value,
                next,
            } = self.entry(at).ok_or_else(bad_entry)?;
            at = next;
            if shared > last_len {
                return self.find_slowly(low, sought);
            }
            let user_len = (shared + rest.len())
                .checked_sub(key::TRAILER)
                .ok_or_else(bad_entry)?;
            if shared > user_len {
                // Part of the trailer is shared, as between changes of one key: seldom worth being quick.
                return self.find_slowly(low, sought);
            }
            last_len = user_len;
            if shared > matched {
                // Where the key before was less than the sought one, this one has the same byte.
                continue;
            }
            let (rest, trailer) = key::split(rest);
            let wanted = &sought.user[shared..];
            let common = rest.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            matched = shared + common;
            match rest.get(common).cmp(&wanted.get(common)) {
                Ordering::Less => {}
                Ordering::Greater => return Ok(None),
                Ordering::Equal if trailer > sought.trailer => {}
                Ordering::Equal => return Ok(Some((trailer, value))),
            }
        }
        Ok(None)
    }

    /// As `find`, from a restart point on and with whole keys.
    fn find_slowly(&self, restart: usize, sought: &Sought<'_>) -> Result<Option<(u64, &[u8])>> {
        let (mut at, mut key) = (self.restart(restart), Vec::new());
        while at < self.limit {
            let entry = self.entry(at).ok_or_else(bad_entry)?;
            at = entry.next;
            entry.put_key(&mut key, key::TRAILER)?;
            if sought.compare(&key).is_ge() {
                let (user, trailer) = key::split(&key);
                return Ok((user == sought.user).then_some((trailer, entry.value)));
            }
        }
        Ok(None)
    }

    /// Where the entry of a restart point begins. The point must be one of the block's.
    fn restart(&self, index: usize) -> usize {
        fixed32(self.bytes(), self.limit + index * 4).map_or(self.limit, |at| at as usize)
    }

    /// The entry at `at`; `None` if there is no whole one.
    #[inline]
    fn entry(&self, at: usize) -> Option<Entry<'_>> {
        let entries = self.bytes().get(..self.limit)?;
        let input = entries.get(at..)?;
        let (shared, rest, value, input) = match input {
            // All three lengths fit a byte nearly always.
            &[
                shared @ ..0x80,
                rest @ ..0x80,
                value @ ..0x80,
                ref input @ ..,
            ] => (shared.into(), rest.into(), value.into(), input),
            mut input => {
                let [shared, rest, value] = take_lengths(&mut input)?;
                (shared, rest, value, input)
            }
        };
        let (rest, input) = input.split_at_checked(rest)?;
        let (value, input) = input.split_at_checked(value)?;
        Some(Entry {
            shared,
            rest,
            value,
            next: entries.len() - input.len(),
        })
    }
}

/// An entry as it stands in the block.
#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    /// Bytes that the key has in common with the key before.
    shared: usize,
    /// The rest of the key.
    rest: &'a [u8],
    value: &'a [u8],
    /// Where the next entry begins.
    next: usize,
}

impl Entry<'_> {
    /// Turns the key before into this entry's, which must have `least` bytes.
    fn put_key(&self, key: &mut Vec<u8>, least: usize) -> Result<()> {
        if self.shared > key.len() || self.shared + self.rest.len() < least {
            return Err(bad_entry());
        }
        key.truncate(self.shared);
        key.extend_from_slice(self.rest);
        Ok(())
    }
}

#[cold]
fn take_lengths(input: &mut &[u8]) -> Option<[usize; 3]> {
    let mut take = || usize::try_from(take_varint32(input)?).ok();
    Some([take()?, take()?, take()?])
}

impl Block {
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
}

fn bad_entry() -> Error {
    Error::Corruption("bad entry in block".into())
}

/// Goes through a block whose keys are internal keys.
#[derive(Debug)]
pub(crate) struct BlockIter {
    block: Arc<Block>,
    /// Where the entry after the one it stands on begins, which is where that one's value ends.
    next: usize,
    valid: bool,
    key: Vec<u8>,
    value_len: usize,
}

impl BlockIter {
    /// An iterator that stands nowhere.
    pub(crate) fn new(block: Arc<Block>) -> Self {
        Self {
            block,
            next: 0,
            valid: false,
            key: Vec::new(),
            value_len: 0,
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
            match key::compare(self.block.key_at_restart(middle)?, target) {
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
        let entry = self.block.entry(self.next).ok_or_else(bad_entry)?;
        entry.put_key(&mut self.key, key::TRAILER)?;
        self.next = entry.next;
        self.value_len = entry.value.len();
        self.valid = true;
        Ok(())
    }

    pub(crate) fn entry(&self) -> Option<(&[u8], &[u8])> {
        if !self.valid {
            return None;
        }
        let value = self.block.bytes.get(..self.next)?;
        Some((&self.key, &value[value.len() - self.value_len..]))
    }
}

/// The value of the entry with this key in a block whose keys are names.
pub(crate) fn find_name(block: &Block, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let (mut at, mut key) = (0, Vec::new());
    while at < block.limit {
        let entry = block.entry(at).ok_or_else(bad_entry)?;
        entry.put_key(&mut key, 0)?;
        at = entry.next;
        if key == name {
            return Ok(Some(entry.value.to_vec()));
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
                let found = iter.block.find(&Sought::new(target, 1)).expect("reads");
                prop_assert_eq!(found, entries.get(target).map(|value| (1, &value[..])));
                iter.seek(&key::internal(target, 1)).expect("reads");
                let found = iter.entry().map(|(key, _)| key::user(key).to_vec());
                prop_assert_eq!(found.as_ref(), entries.range(target.clone()..).next().map(|(key, _)| key));
            }
        }

        #[test]
        fn the_newest_change_up_to_a_number_is_found(
            keys in proptest::collection::btree_map(proptest::collection::vec(0..3u8, 0..5), 1..600u64, 0..40),
            interval in 1..20usize, sequence in 0..700u64
        ) {
            // Changes of one key follow each other, newest first, and share parts of their trailers.
            let mut builder = BlockBuilder::new(interval);
            for (key, &newest) in &keys {
                for at in [newest * 3, newest * 2, newest] {
                    builder.add(&key::internal(key, at << 8 | 1), &at.to_le_bytes());
                }
            }
            let block = Block::new(builder.finish().to_vec()).expect("is whole");
            for key in keys.keys().chain([&vec![1; 4], &vec![0, 1, 2, 3]]) {
                let newest = keys.get(key).copied().unwrap_or(u64::MAX / 3);
                let visible = [newest * 3, newest * 2, newest].into_iter().find(|&at| at <= sequence);
                let found = block.find(&Sought::new(key, sequence)).expect("reads");
                prop_assert_eq!(found.map(|(trailer, _)| trailer >> 8), visible);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, target: Vec<u8>) {
            if let Ok(block) = Block::new(bytes) {
                let _ = find_name(&block, &target);
                let _ = block.find(&Sought::new(&target, 1));
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
