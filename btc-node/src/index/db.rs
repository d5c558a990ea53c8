//! The database of an index, and the records that indexes share.

use std::path::Path;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;

use super::error::IndexError;
use crate::store::codec::{Reader, write_compact_size};
use crate::store::disk::Disk;
use crate::store::kv::{Batch, DatabaseOptions, Entries, KvError, KvStore, Sync};
use crate::store::obfuscation::ObfuscatedKv;
use crate::store::{Database, StoreError};

/// The block up to which an index goes: a locator.
pub(super) const BEST_BLOCK: &[u8] = b"B";
/// Prefix of records of blocks that left the active chain, by hash.
const BY_HASH: u8 = b's';
/// Prefix of records of blocks by height.
const BY_HEIGHT: u8 = b't';
/// Written at the start of a locator and never read: the version of the protocol when Core froze it.
const LOCATOR_VERSION: u32 = 70_016;
/// More hashes than any locator has: it grows with the logarithm of the height.
const MAX_LOCATOR: usize = 1000;

/// The database of an index.
pub(super) struct IndexDb {
    name: &'static str,
    kv: Box<dyn KvStore>,
}

impl IndexDb {
    /// Opens or creates the database in `path` on the chain's disk.
    pub(super) fn open(
        name: &'static str,
        disk: &Disk,
        path: &Path,
        options: &DatabaseOptions,
    ) -> Result<Self, StoreError> {
        if let Some(parent) = path.parent() {
            disk.create_dir_all(parent)
                .map_err(StoreError::io("create directory", parent))?;
        }
        let db = Database::open_on(disk, path, options)?;
        // Indexes are not obfuscated, but one that another program obfuscated is read.
        Self::over(name, Box::new(db))
    }

    /// The database over an engine.
    pub(super) fn over(name: &'static str, engine: Box<dyn KvStore>) -> Result<Self, StoreError> {
        let kv = Box::new(ObfuscatedKv::open(engine, false)?);
        Ok(Self { name, kv })
    }

    /// The index's name.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.kv.get(key)
    }

    /// Applies a batch.
    pub(super) fn write(&self, batch: &Batch) -> Result<(), KvError> {
        self.kv.write(batch, Sync::Lazy)
    }

    /// Applies a batch, and returns once the disk has it.
    pub(super) fn write_durably(&self, batch: &Batch) -> Result<(), KvError> {
        self.kv.write(batch, Sync::Durable)
    }

    /// Entries from the first key that is `>= start`.
    pub(super) fn iter_from(&self, start: &[u8]) -> Result<Entries<'_>, KvError> {
        self.kv.iter_from(start)
    }

    /// The first hash of the locator under `key`; `None` if there is none.
    pub(super) fn best_block(&self, key: &[u8]) -> Result<Option<BlockHash>, IndexError> {
        let Some(value) = self.get(key)? else {
            return Ok(None);
        };
        let mut reader = Reader::new(&value);
        let decode = IndexError::decode(self.name);
        reader.u32_le().map_err(&decode)?;
        let len = reader.compact_size().map_err(&decode)?;
        if len == 0 {
            return Ok(None);
        }
        let first = reader.array().map_err(&decode)?;
        Ok(Some(BlockHash::from_byte_array(first)))
    }

    /// What is kept about the block at a height: its hash, and the record.
    pub(super) fn at_height(
        &self,
        height: u32,
    ) -> Result<Option<(BlockHash, Vec<u8>)>, IndexError> {
        self.get(&height_key(height))?
            .map(|value| split_hash(self.name, &value))
            .transpose()
    }

    /// The record of a block, whether it is on the active chain or was.
    pub(super) fn of_block(
        &self,
        height: u32,
        hash: &BlockHash,
    ) -> Result<Option<Vec<u8>>, IndexError> {
        match self.at_height(height)? {
            None => Ok(None),
            Some((found, record)) if found == *hash => Ok(Some(record)),
            Some(_) => Ok(self.get(&hash_key(hash))?),
        }
    }

    /// The records at all heights from `from` to `to`, each with the hash of its block; fewer if some are missing.
    pub(super) fn heights(
        &self,
        from: u32,
        to: u32,
    ) -> Result<Vec<(BlockHash, Vec<u8>)>, IndexError> {
        let mut found = Vec::new();
        let mut entries = self.iter_from(&height_key(from))?;
        for height in from..=to {
            let Some(entry) = entries.next() else { break };
            let (key, value) = entry?;
            if key != height_key(height) {
                break;
            }
            found.push(split_hash(self.name, &value)?);
        }
        Ok(found)
    }

    /// The record of a block that is kept by its hash, because it left the active chain.
    pub(super) fn by_hash(&self, hash: &BlockHash) -> Result<Option<Vec<u8>>, KvError> {
        self.get(&hash_key(hash))
    }

    /// Copies what is kept by height to where it is kept by hash: the block leaves the active chain, and another takes
    /// its height.
    pub(super) fn keep_by_hash(&self, height: u32, batch: &mut Batch) -> Result<(), IndexError> {
        let missing = || IndexError::corrupt(self.name, format!("no record at height {height}"));
        let (hash, record) = self.at_height(height)?.ok_or_else(missing)?;
        batch.put(hash_key(&hash), record);
        Ok(())
    }
}

fn split_hash(name: &'static str, value: &[u8]) -> Result<(BlockHash, Vec<u8>), IndexError> {
    let mut reader = Reader::new(value);
    let hash = reader.array().map_err(IndexError::decode(name))?;
    Ok((BlockHash::from_byte_array(hash), reader.rest().to_vec()))
}

/// Adds the record of a block to a batch, under its height.
pub(super) fn put_at_height(batch: &mut Batch, height: u32, hash: &BlockHash, record: &[u8]) {
    let value = [hash.as_byte_array(), record].concat();
    batch.put(height_key(height), value);
}

/// Big-endian, so that keys are in the order of heights.
fn height_key(height: u32) -> Vec<u8> {
    let mut key = vec![BY_HEIGHT];
    key.extend_from_slice(&height.to_be_bytes());
    key
}

fn hash_key(hash: &BlockHash) -> Vec<u8> {
    let mut key = vec![BY_HASH];
    key.extend_from_slice(hash.as_byte_array());
    key
}

/// A locator as it is stored.
pub(super) fn encode_locator(locator: &[BlockHash]) -> Vec<u8> {
    let locator = &locator[..locator.len().min(MAX_LOCATOR)];
    let mut value = LOCATOR_VERSION.to_le_bytes().to_vec();
    write_compact_size(&mut value, locator.len() as u64);
    for hash in locator {
        value.extend_from_slice(hash.as_byte_array());
    }
    value
}

/// A key that Core writes as text: its length, then its characters.
pub(super) fn text_key(text: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(text.len() + 1);
    write_compact_size(&mut key, text.len() as u64);
    key.extend_from_slice(text.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::kv::MemoryKv;

    fn hash(byte: u8) -> BlockHash {
        BlockHash::from_byte_array([byte; 32])
    }

    #[test]
    fn a_block_is_found_by_height_and_after_it_was_replaced_by_hash() {
        let db = IndexDb::over("test", Box::new(MemoryKv::new())).expect("opens");
        let mut batch = Batch::new();
        put_at_height(&mut batch, 7, &hash(1), b"one");
        db.write(&batch).expect("writes");
        assert_eq!(
            db.of_block(7, &hash(1)).expect("reads"),
            Some(b"one".to_vec())
        );
        let mut batch = Batch::new();
        db.keep_by_hash(7, &mut batch).expect("is there");
        put_at_height(&mut batch, 7, &hash(2), b"two");
        db.write(&batch).expect("writes");
        for (byte, record) in [
            (1, Some(b"one".to_vec())),
            (2, Some(b"two".to_vec())),
            (3, None),
        ] {
            assert_eq!(db.of_block(7, &hash(byte)).expect("reads"), record);
        }
        assert!(db.keep_by_hash(8, &mut Batch::new()).is_err());
    }

    #[test]
    fn a_range_ends_where_a_height_is_missing() {
        let db = IndexDb::over("test", Box::new(MemoryKv::new())).expect("opens");
        let mut batch = Batch::new();
        for height in [254, 255, 256, 258] {
            put_at_height(&mut batch, height, &hash(height as u8), b"");
        }
        db.write(&batch).expect("writes");
        let hashes = |from, to| -> Vec<_> {
            let found = db.heights(from, to).expect("reads");
            found.into_iter().map(|(hash, _)| hash).collect()
        };
        assert_eq!(hashes(254, 256), [hash(254), hash(255), hash(0)]);
        assert_eq!(hashes(255, 259), [hash(255), hash(0)]);
        assert!(hashes(257, 257).is_empty());
    }

    #[test]
    fn a_locator_gives_its_first_block_back() {
        let db = IndexDb::over("test", Box::new(MemoryKv::new())).expect("opens");
        assert_eq!(db.best_block(BEST_BLOCK).expect("reads"), None);
        let mut batch = Batch::new();
        batch.put(BEST_BLOCK, encode_locator(&[hash(4), hash(5)]));
        db.write(&batch).expect("writes");
        assert_eq!(db.best_block(BEST_BLOCK).expect("reads"), Some(hash(4)));
        let mut batch = Batch::new();
        batch.put(BEST_BLOCK, vec![0; 3]);
        db.write(&batch).expect("writes");
        assert!(db.best_block(BEST_BLOCK).is_err());
    }
}
