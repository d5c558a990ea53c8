//! The seam behind which a key-value engine lives, and an engine in memory for tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

/// A failure of the engine. The texts are those that Core prints for LevelDB.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The engine reported a failure: corruption, I/O, a lock that another process holds.
    #[error("Fatal LevelDB error: {0}")]
    Engine(String),
    /// The path cannot be handed to the engine.
    #[error("database path contains a zero byte")]
    Path,
}

/// How a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseOptions {
    /// Bytes of memory for caches and buffers, about.
    pub cache: usize,
    /// Whether what is there is deleted first.
    pub wipe: bool,
    /// Whether tables get a filter that answers most reads of keys that are not there. Databases in which nobody looks
    /// for such keys need none.
    pub filter: bool,
    /// Whether it is rewritten without what was overwritten or deleted before it is used (`-forcecompactdb`).
    pub compact: bool,
}

impl DatabaseOptions {
    /// A database as it is, with filters and `cache` bytes of memory.
    pub fn new(cache: usize) -> Self {
        Self {
            cache,
            wipe: false,
            filter: true,
            compact: false,
        }
    }
}

/// One change in a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Set the key to the value.
    Put(Vec<u8>, Vec<u8>),
    /// Remove the key if it is there.
    Delete(Vec<u8>),
}

/// Changes that take effect together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len() + 8;
        self.changes.push(Change::Put(key, value));
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        let key = key.into();
        self.bytes += key.len() + 4;
        self.changes.push(Change::Delete(key));
    }

    /// The changes in the order they were made; later ones win.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The changes, to be altered in place.
    pub(crate) fn changes_mut(&mut self) -> &mut [Change] {
        &mut self.changes
    }

    /// About how many bytes the engine's log takes for it.
    pub fn approximate_size(&self) -> usize {
        self.bytes
    }

    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.bytes = 0;
    }
}

/// When a write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Once the system has it: survives the process, not the power.
    Lazy,
    /// Once the disk has it.
    Durable,
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Entries in key order; sees the store as it was when the iterator was made.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<Entry, KvError>> + 'a>;

/// An ordered map from bytes to bytes on disk. Keys compare as byte strings.
pub trait KvStore: Send + std::marker::Sync {
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;

    /// Applies the batch atomically.
    fn write(&self, batch: &Batch, sync: Sync) -> Result<(), KvError>;

    /// Entries from the first key that is `>= start`.
    fn iter_from(&self, start: &[u8]) -> Result<Entries<'_>, KvError>;

    /// About how many bytes on disk the keys in `start..end` take.
    fn approximate_size(&self, start: &[u8], end: &[u8]) -> u64;

    /// Rewrites everything without what was overwritten or deleted. An engine that can gives up soon after `stop` is set.
    fn compact(&self, stop: &Arc<AtomicBool>) -> Result<(), KvError>;

    /// Where the store lies on disk.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// Whether `key` has a value.
    fn contains(&self, key: &[u8]) -> Result<bool, KvError> {
        self.get(key).map(|value| value.is_some())
    }

    /// Whether there is no entry at all.
    fn is_empty(&self) -> Result<bool, KvError> {
        Ok(self.iter_from(&[])?.next().transpose()?.is_none())
    }
}

/// An engine without a disk. Iterators keep the map as it was, by copy on write.
#[derive(Debug, Default)]
pub struct MemoryKv {
    map: RwLock<Arc<BTreeMap<Vec<u8>, Vec<u8>>>>,
}

impl MemoryKv {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn snapshot(&self) -> Arc<BTreeMap<Vec<u8>, Vec<u8>>> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl KvStore for MemoryKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.snapshot().get(key).cloned())
    }

    fn write(&self, batch: &Batch, _sync: Sync) -> Result<(), KvError> {
        let mut guard = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let map = Arc::make_mut(&mut guard);
        for change in batch.changes() {
            match change {
                Change::Put(key, value) => {
                    map.insert(key.clone(), value.clone());
                }
                Change::Delete(key) => {
                    map.remove(key);
                }
            }
        }
        Ok(())
    }

    fn iter_from(&self, start: &[u8]) -> Result<Entries<'_>, KvError> {
        let map = self.snapshot();
        let mut next = Some(start.to_vec());
        Ok(Box::new(std::iter::from_fn(move || {
            let from = next.take()?;
            let (key, value) = map.range(from..).next()?;
            // The smallest key after this one is this one with a zero byte appended.
            let mut after = key.clone();
            after.push(0);
            next = Some(after);
            Some(Ok((key.clone(), value.clone())))
        })))
    }

    fn approximate_size(&self, start: &[u8], end: &[u8]) -> u64 {
        self.snapshot()
            .range(start.to_vec()..end.to_vec())
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum()
    }

    fn compact(&self, _stop: &Arc<AtomicBool>) -> Result<(), KvError> {
        Ok(())
    }
}
