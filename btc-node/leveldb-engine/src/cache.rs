//! Blocks of tables kept in memory, in shards so that threads seldom wait for each other.
//!
//! A full cache takes a block only when it is asked for a second time before as many others as the cache holds: of reads
//! all over the tables nearly none would be worth the copying.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use crate::block::Block;

const SHARDS: usize = 16;
/// Memory that an entry takes beyond its block, about.
const OVERHEAD: usize = 96;
/// Bytes of a block, about, where what is meant is a number of blocks.
const USUAL_BLOCK: usize = 4 << 10;

/// A table's number and the block's offset in it.
type Key = (u64, u64);

/// A cache that evicts what was not used for long: a clock hand clears marks that use sets, and takes what has none.
#[derive(Debug)]
pub(crate) struct BlockCache {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    index: HashMap<Key, usize, BuildHasherDefault<KeyHasher>>,
    slots: Vec<Slot>,
    hand: usize,
    size: usize,
    capacity: usize,
    recent: Recent,
}

/// Which blocks were asked for lately, about: a filter of one bit for each, emptied when it holds enough.
#[derive(Debug)]
struct Recent {
    bits: Box<[u64]>,
    count: usize,
}

impl Recent {
    /// One bit in so many is set at most.
    const BITS_PER_BLOCK: usize = 8;

    fn new(capacity: usize) -> Self {
        let blocks = (capacity / USUAL_BLOCK).max(1);
        let words = (blocks * Self::BITS_PER_BLOCK).div_ceil(64);
        Self {
            bits: vec![0; words].into(),
            count: 0,
        }
    }

    /// Whether the block was asked for before; from now on it was.
    fn seen(&mut self, key: Key) -> bool {
        let bits = self.bits.len() * 64;
        let bit = mix(key) as usize % bits;
        let (word, mask) = (&mut self.bits[bit / 64], 1 << (bit % 64));
        if *word & mask != 0 {
            return true;
        }
        if self.count >= bits / Self::BITS_PER_BLOCK {
            self.bits.fill(0);
            self.count = 0;
        }
        self.bits[bit / 64] |= mask;
        self.count += 1;
        false
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self::new(0)
    }
}

#[derive(Debug)]
struct Slot {
    key: Key,
    block: Arc<Block>,
    used: bool,
}

/// What the cache says of a block.
#[derive(Debug)]
pub(crate) enum Lookup {
    Hit(Arc<Block>),
    Miss { wanted: bool },
}

impl BlockCache {
    /// A cache of about `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| {
                Mutex::new(Shard {
                    capacity: capacity / SHARDS,
                    recent: Recent::new(capacity / SHARDS),
                    ..Shard::default()
                })
            }),
        }
    }

    fn shard(&self, key: Key) -> std::sync::MutexGuard<'_, Shard> {
        let shard = &self.shards[(mix(key) >> 60) as usize % SHARDS];
        // A cache that a panic left behind is still a cache.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: Key) -> Option<Arc<Block>> {
        self.shard(key).get(key)
    }

    /// The block if it is there, else whether it should be inserted once its `len` bytes are read.
    pub(crate) fn look_up(&self, key: Key, len: u64) -> Lookup {
        let mut shard = self.shard(key);
        if let Some(block) = shard.get(key) {
            return Lookup::Hit(block);
        }
        // Where `len` is wrong for being too long, reading will say so.
        let size = usize::try_from(len).unwrap_or(usize::MAX);
        let size = size.saturating_add(shard.size + OVERHEAD);
        let wanted = size <= shard.capacity || shard.recent.seen(key);
        Lookup::Miss { wanted }
    }

    pub(crate) fn insert(&self, key: Key, block: &Arc<Block>) {
        let mut shard = self.shard(key);
        let size = block.memory() + OVERHEAD;
        if size > shard.capacity || shard.index.contains_key(&key) {
            return;
        }
        while shard.size + size > shard.capacity {
            shard.evict();
        }
        let at = shard.slots.len();
        shard.index.insert(key, at);
        shard.size += size;
        shard.slots.push(Slot {
            key,
            block: Arc::clone(block),
            used: false,
        });
    }

    /// Bytes that the cache takes.
    pub(crate) fn size(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).size)
            .sum()
    }
}

impl Shard {
    fn get(&mut self, key: Key) -> Option<Arc<Block>> {
        let at = *self.index.get(&key)?;
        let slot = &mut self.slots[at];
        slot.used = true;
        Some(Arc::clone(&slot.block))
    }

    /// Evicts one entry. There is at least one.
    fn evict(&mut self) {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let slot = &mut self.slots[self.hand];
            if std::mem::take(&mut slot.used) {
                self.hand += 1;
                continue;
            }
            let slot = self.slots.swap_remove(self.hand);
            self.size -= slot.block.memory() + OVERHEAD;
            self.index.remove(&slot.key);
            if let Some(moved) = self.slots.get(self.hand) {
                self.index.insert(moved.key, self.hand);
            }
            // What stood last is the newest: let the hand pass it once.
            self.hand += 1;
            return;
        }
    }
}

/// Table numbers and offsets are the engine's own, so a plain mixer will do.
fn mix((table, offset): Key) -> u64 {
    let word =
        (table.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ offset).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word ^ word >> 29
}

#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix((self.0, word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_its_budget_and_what_is_used() {
        let cache = BlockCache::new(SHARDS * 10 * 1200);
        let block = Arc::new(Block::of(vec![0; 1000]));
        for number in 0..1000 {
            cache.insert((7, number * 4096), &block);
            cache.get((7, 0)).expect("what is used all the time stays");
        }
        assert!(cache.size() <= SHARDS * 10 * 1200);
        assert!(cache.size() >= SHARDS * 5 * 1200);
        for shard in &cache.shards {
            let shard = shard.lock().expect("nobody panicked");
            assert_eq!(shard.index.len(), shard.slots.len());
            for (at, slot) in shard.slots.iter().enumerate() {
                assert_eq!(shard.index[&slot.key], at);
            }
        }
    }

    #[test]
    fn a_full_cache_wants_what_is_asked_for_again() {
        let cache = BlockCache::new(SHARDS * 10 * 1200);
        let block = Arc::new(Block::of(vec![0; 1000]));
        let wants = |key| match cache.look_up(key, 1000) {
            Lookup::Miss { wanted } => wanted,
            Lookup::Hit(_) => false,
        };
        assert!(wants((7, 0)), "there is room");
        for number in 0..1000 {
            cache.insert((7, number * 4096), &block);
        }
        let wanted = (0..1000).filter(|number| wants((8, number * 4096)));
        assert!(wanted.count() < 200);
        assert!(wants((8, 999 * 4096)));
        assert!(!wants((7, 999 * 4096)), "it is there");
    }

    #[test]
    fn a_cache_without_room_keeps_nothing() {
        let cache = BlockCache::new(0);
        cache.insert((1, 1), &Arc::new(Block::of(vec![0; 10])));
        assert!(cache.get((1, 1)).is_none());
    }
}
