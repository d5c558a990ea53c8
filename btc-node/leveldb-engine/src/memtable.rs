//! Changes in memory, in key order: a skip list that one thread extends while any number read it without a lock.
//!
//! Nodes lie in chunks of atomic words and are never moved or freed before the whole table is. A node's words are
//! written before its address is stored in its neighbours with release order; readers load addresses with acquire order,
//! so they see either no node or a whole one.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::batch::{Batch, Change};
use crate::key::{self, Kind};

const MAX_HEIGHT: usize = 12;
/// Words of a node before its links: lengths and height, then the trailer.
const NODE_HEAD: usize = 2;
/// Chunks double in size after this many.
const CHUNKS_PER_SIZE: usize = 64;
const MAX_CHUNKS: usize = CHUNKS_PER_SIZE * 20;
/// Smallest and largest size of the first chunks, in words.
const CHUNK_WORDS: (usize, usize) = (512, 128 << 10);

/// Where a node begins: its chunk in the upper half, its word in the lower. No node begins at 0.
type Address = u64;
const NONE: Address = 0;

/// A sorted table of changes in memory.
#[derive(Debug)]
pub(crate) struct MemTable {
    head: [AtomicU64; MAX_HEIGHT],
    height: AtomicUsize,
    chunks: Box<[OnceLock<Box<[AtomicU64]>>]>,
    first_chunk: usize,
    allocated: AtomicUsize,
    writer: Mutex<Writer>,
}

/// What only the writing thread needs.
#[derive(Debug)]
struct Writer {
    chunk: usize,
    used: usize,
    random: u64,
    // The nodes before the last inserted one: sorted input is inserted from there.
    finger: [Address; MAX_HEIGHT],
}

/// A view of a node's words.
#[derive(Clone, Copy)]
struct Node<'a>(&'a [AtomicU64]);

impl<'a> Node<'a> {
    fn word(self, at: usize) -> u64 {
        self.0[at].load(Relaxed)
    }

    fn key_len(self) -> usize {
        (self.word(0) >> 4 & 0x0fff_ffff) as usize
    }

    fn value_len(self) -> usize {
        (self.word(0) >> 32) as usize
    }

    fn height(self) -> usize {
        (self.word(0) & 0xf) as usize
    }

    fn trailer(self) -> u64 {
        self.word(1)
    }

    fn links(self) -> &'a [AtomicU64] {
        &self.0[NODE_HEAD..]
    }

    fn key_words(self) -> &'a [AtomicU64] {
        let start = NODE_HEAD + self.height();
        &self.0[start..start + self.key_len().div_ceil(8)]
    }

    fn value_words(self) -> &'a [AtomicU64] {
        let start = NODE_HEAD + self.height() + self.key_len().div_ceil(8);
        &self.0[start..start + self.value_len().div_ceil(8)]
    }

    /// Order of this node against a key and trailer.
    fn compare(self, target: &[u8], trailer: u64) -> Ordering {
        let words = self.key_words();
        for (word, bytes) in words.iter().zip(target.chunks(8)) {
            match word.load(Relaxed).cmp(&key::prefix(bytes)) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        // Padding is of zeros, so among equal words the longer key is the greater.
        self.key_len()
            .cmp(&target.len())
            .then_with(|| trailer.cmp(&self.trailer()))
    }
}

fn store(words: &[AtomicU64], bytes: &[u8]) {
    for (word, bytes) in words.iter().zip(bytes.chunks(8)) {
        word.store(key::prefix(bytes), Relaxed);
    }
}

/// Appends the first `len` bytes of `words`.
fn load(words: &[AtomicU64], len: usize, out: &mut Vec<u8>) {
    let end = out.len() + len;
    out.reserve(words.len() * 8);
    for word in words {
        out.extend_from_slice(&word.load(Relaxed).to_be_bytes());
    }
    out.truncate(end);
}

impl MemTable {
    /// An empty table that is meant to grow to about `budget` bytes.
    pub(crate) fn new(budget: usize) -> Self {
        Self {
            head: Default::default(),
            height: AtomicUsize::new(1),
            chunks: (0..MAX_CHUNKS).map(|_| OnceLock::new()).collect(),
            first_chunk: (budget / 8 / CHUNKS_PER_SIZE).clamp(CHUNK_WORDS.0, CHUNK_WORDS.1),
            allocated: AtomicUsize::new(0),
            writer: Mutex::new(Writer {
                chunk: 0,
                // Word 0 of chunk 0 is no node.
                used: 1,
                random: 0x9e37_79b9_7f4a_7c15,
                finger: [NONE; MAX_HEIGHT],
            }),
        }
    }

    /// Bytes of memory that the table takes.
    pub(crate) fn memory(&self) -> usize {
        self.allocated.load(Relaxed)
    }

    /// Whether nothing was inserted.
    pub(crate) fn is_empty(&self) -> bool {
        self.head[0].load(Acquire) == NONE
    }

    /// Inserts the changes of a batch, the first with this sequence number, the others with those that follow.
    pub(crate) fn apply(&self, batch: &Batch, sequence: u64) {
        // Only this function takes the lock, and it leaves a table that can be read wherever it stops.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries: Vec<(&[u8], u64, &[u8])> = Vec::with_capacity(batch.len());
        for (change, sequence) in batch.changes().zip(sequence..) {
            entries.push(match change {
                Change::Put(key, value) => (key, key::trailer(sequence, Kind::Value), value),
                Change::Delete(key) => (key, key::trailer(sequence, Kind::Deletion), &[]),
            });
        }
        // Neighbours in the list are then inserted one after the other, which is several times faster than at random.
        entries.sort_unstable_by(|a, b| a.0.cmp(b.0).then(b.1.cmp(&a.1)));
        writer.finger = [NONE; MAX_HEIGHT];
        for (key, trailer, value) in entries {
            self.insert(&mut writer, key, trailer, value);
        }
    }

    fn node(&self, address: Address) -> Node<'_> {
        let chunk = self.chunks[(address >> 32) as usize]
            .get()
            .expect("an address is stored after its chunk");
        Node(&chunk[(address & 0xffff_ffff) as usize..])
    }

    /// The links out of a node, or out of the head for `NONE`.
    fn links(&self, address: Address) -> &[AtomicU64] {
        match address {
            NONE => &self.head,
            address => self.node(address).links(),
        }
    }

    fn insert(&self, writer: &mut Writer, key: &[u8], trailer: u64, value: &[u8]) {
        let list_height = self.height.load(Relaxed);
        // Climb from the finger to the lowest level whose next node is not before the key, then go down from there.
        let precedes =
            |address: Address| address != NONE && self.node(address).compare(key, trailer).is_lt();
        let mut level = 0;
        while level + 1 < list_height
            && precedes(self.links(writer.finger[level])[level].load(Relaxed))
        {
            level += 1;
        }
        let mut before = writer.finger[level];
        loop {
            let next = self.links(before)[level].load(Relaxed);
            if precedes(next) {
                before = next;
                continue;
            }
            writer.finger[level] = before;
            if level == 0 {
                break;
            }
            level -= 1;
        }

        let height = writer.random_height();
        let words = NODE_HEAD + height + key.len().div_ceil(8) + value.len().div_ceil(8);
        let address = self.allocate(writer, words);
        let node = self.node(address);
        let lengths = height as u64 | (key.len() as u64) << 4 | (value.len() as u64) << 32;
        node.0[0].store(lengths, Relaxed);
        node.0[1].store(trailer, Relaxed);
        store(node.key_words(), key);
        store(node.value_words(), value);
        if height > list_height {
            // Readers that still see the old height miss only a short cut.
            writer.finger[list_height..height].fill(NONE);
            self.height.store(height, Relaxed);
        }
        for level in 0..height {
            let before = &self.links(writer.finger[level])[level];
            node.links()[level].store(before.load(Relaxed), Relaxed);
            before.store(address, Release);
            writer.finger[level] = address;
        }
    }

    fn allocate(&self, writer: &mut Writer, words: usize) -> Address {
        loop {
            let size = self.first_chunk << (writer.chunk / CHUNKS_PER_SIZE);
            let chunk = self.chunks[writer.chunk].get_or_init(|| {
                let size = size.max(words + writer.used);
                self.allocated.fetch_add(size * 8, Relaxed);
                (0..size).map(|_| AtomicU64::new(0)).collect()
            });
            if writer.used + words <= chunk.len() {
                let address = (writer.chunk as u64) << 32 | writer.used as u64;
                writer.used += words;
                return address;
            }
            writer.chunk += 1;
            writer.used = 0;
        }
    }

    /// The first node that is not before the key and trailer.
    fn seek(&self, key: &[u8], trailer: u64) -> Address {
        let mut level = self.height.load(Relaxed) - 1;
        let mut links: &[AtomicU64] = &self.head;
        let mut known_after = NONE;
        loop {
            let next = links[level].load(Acquire);
            if next != NONE && next != known_after {
                let node = self.node(next);
                if node.compare(key, trailer).is_lt() {
                    links = node.links();
                    continue;
                }
                known_after = next;
            }
            if level == 0 {
                return next;
            }
            level -= 1;
        }
    }

    /// The newest change of `key` at or before `sequence`: `Some(None)` for a deletion, `None` if there is no change.
    pub(crate) fn get(&self, key: &[u8], sequence: u64) -> Option<Option<Vec<u8>>> {
        let address = self.seek(key, key::seek_trailer(sequence));
        if address == NONE {
            return None;
        }
        let node = self.node(address);
        if node.compare(key, node.trailer()).is_ne() {
            return None;
        }
        Some((node.trailer() & 0xff == Kind::Value as u64).then(|| {
            let mut value = Vec::new();
            load(node.value_words(), node.value_len(), &mut value);
            value
        }))
    }
}

impl Writer {
    /// 1 with probability 3/4, 2 with 3/16, and so on.
    fn random_height(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let zeros = (self.random.trailing_zeros() / 2) as usize;
        (1 + zeros).min(MAX_HEIGHT)
    }
}

/// Goes through a table in the order of internal keys.
#[derive(Debug)]
pub(crate) struct MemIter {
    table: Arc<MemTable>,
    at: Address,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl MemIter {
    /// An iterator that stands nowhere.
    pub(crate) fn new(table: Arc<MemTable>) -> Self {
        Self {
            table,
            at: NONE,
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    pub(crate) fn seek_to_first(&mut self) {
        self.stand(self.table.head[0].load(Acquire));
    }

    /// Goes to the first entry whose internal key is not before `target`.
    pub(crate) fn seek(&mut self, target: &[u8]) {
        let (user, trailer) = key::split(target);
        self.stand(self.table.seek(user, trailer));
    }

    pub(crate) fn next(&mut self) {
        if self.at != NONE {
            self.stand(self.table.node(self.at).links()[0].load(Acquire));
        }
    }

    fn stand(&mut self, address: Address) {
        self.at = address;
        self.key.clear();
        self.value.clear();
        if address != NONE {
            let node = self.table.node(address);
            load(node.key_words(), node.key_len(), &mut self.key);
            self.key.extend_from_slice(&node.trailer().to_le_bytes());
            load(node.value_words(), node.value_len(), &mut self.value);
        }
    }

    pub(crate) fn entry(&self) -> Option<(&[u8], &[u8])> {
        (self.at != NONE).then_some((&self.key, &self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

    fn changes() -> impl Strategy<Value = Changes> {
        let key = proptest::collection::vec(0..3u8, 0..18);
        let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40));
        proptest::collection::vec((key, value), 0..60)
    }

    fn batch(changes: &Changes) -> Batch {
        let mut batch = Batch::new();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        batch
    }

    proptest! {
        #[test]
        fn it_is_a_map_of_versions(batches in proptest::collection::vec(changes(), 1..6)) {
            let table = Arc::new(MemTable::new(1));
            let mut model = BTreeMap::new();
            let mut sequence = 1;
            for changes in &batches {
                table.apply(&batch(changes), sequence);
                for (key, value) in changes {
                    model.insert((key.clone(), std::cmp::Reverse(sequence)), value.clone());
                    sequence += 1;
                }
            }
            let mut iter = MemIter::new(Arc::clone(&table));
            iter.seek_to_first();
            for ((key, std::cmp::Reverse(at)), value) in &model {
                let kind = if value.is_some() { Kind::Value } else { Kind::Deletion };
                let expected = key::internal(key, key::trailer(*at, kind));
                prop_assert_eq!(iter.entry(), Some((&expected[..], value.as_deref().unwrap_or(&[]))));
                iter.next();
                prop_assert_eq!(table.get(key, *at), Some(value.clone()));
                let seen = model.range((key.clone(), std::cmp::Reverse(sequence))..).next();
                prop_assert_eq!(table.get(key, sequence), seen.map(|(_, value)| value.clone()));
            }
            prop_assert_eq!(iter.entry(), None);
            prop_assert_eq!(table.get(b"\x03", sequence), None);
        }
    }

    #[test]
    fn large_values_and_empty_ones_have_room() {
        let table = MemTable::new(64 << 10);
        let mut batch = Batch::new();
        let large = vec![7; 3 << 20];
        batch.put(b"", b"");
        batch.put(b"large", &large);
        table.apply(&batch, 1);
        assert_eq!(table.get(b"", 9), Some(Some(Vec::new())));
        assert_eq!(table.get(b"large", 9), Some(Some(large)));
        assert!(table.memory() < 4 << 20);
    }

    #[test]
    fn readers_see_whole_batches_while_one_writes() {
        let table = Arc::new(MemTable::new(1 << 20));
        let last = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let seen = last.load(Acquire);
                        for sequence in [seen.min(1), seen / 2, seen] {
                            if sequence > 0 {
                                let key = sequence.wrapping_mul(0x9e37_79b9).to_be_bytes();
                                assert_eq!(
                                    table.get(&key, seen),
                                    Some(Some(key.to_vec())),
                                    "{sequence} at {seen}"
                                );
                            }
                        }
                        if seen == 20_000 {
                            break;
                        }
                    }
                });
            }
            for sequence in 1..=20_000u64 {
                let key = sequence.wrapping_mul(0x9e37_79b9).to_be_bytes();
                let mut batch = Batch::new();
                batch.put(&key, &key);
                table.apply(&batch, sequence);
                last.store(sequence, Release);
            }
        });
    }
}
