//! The project's own engine for LevelDB's files behind the key-value seam, with the options that Core sets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use leveldb_engine::{Db, Durability, Error, Iter, Options};

use super::descriptors;
use super::disk::Disk;
use super::error::StoreError;
use super::kv::{Batch, Change, DatabaseOptions, Entries, Entry, KvError, KvStore, Sync};

/// Largest table file, in bytes.
const MAX_FILE_SIZE: usize = 32 << 20;
/// Tables that a database keeps open, at least and at most.
const MIN_OPEN_FILES: usize = 64;
const MAX_OPEN_FILES: usize = 1000;
/// File descriptors that are enough for all databases and connections.
const DESCRIPTORS: u64 = 16_384;
/// Bits of the filter for each key.
const BLOOM_BITS: usize = 10;

/// A database of the project's own engine. The directory is locked against other processes while it is open.
#[derive(Debug)]
pub struct EngineDb {
    db: Db,
    path: PathBuf,
}

impl EngineDb {
    /// Opens or creates the database in `path`, with about `cache_bytes` of memory for caches and buffers.
    ///
    /// # Errors
    /// The directory cannot be created; another process holds the database; its files are damaged.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        Self::open_on(&Disk::default(), path, &DatabaseOptions::new(cache_bytes))
    }

    /// As [`open`](Self::open), on a disk with a gate and as the options say.
    ///
    /// # Errors
    /// As [`open`](Self::open); what is to be wiped cannot be deleted; the compaction failed.
    pub fn open_on(
        disk: &Disk,
        path: &Path,
        options: &DatabaseOptions,
    ) -> Result<Self, StoreError> {
        if options.wipe {
            Self::destroy_on(disk, path)?;
        }
        tracing::info!("Opening LevelDB in {}", path.display());
        let settings = Options {
            max_file_size: MAX_FILE_SIZE,
            bloom_bits: if options.filter { BLOOM_BITS } else { 0 },
            max_open_files: max_open_files(),
            ..Options::with_budget(options.cache)
        };
        let db = Db::open(disk.engine_fs(), path, settings).map_err(KvError::from)?;
        tracing::info!("Opened LevelDB successfully");
        if options.compact {
            tracing::info!("Starting database compaction of {}", path.display());
            db.compact(None, None).map_err(KvError::from)?;
            tracing::info!("Finished database compaction of {}", path.display());
        }
        Ok(Self {
            db,
            path: path.to_owned(),
        })
    }

    /// Deletes the database in `path`, if there is one. It must not be open.
    ///
    /// # Errors
    /// It is open, or a file cannot be deleted.
    pub fn destroy(path: &Path) -> Result<(), StoreError> {
        Self::destroy_on(&Disk::default(), path)
    }

    /// As [`destroy`](Self::destroy), on a disk with a gate.
    ///
    /// # Errors
    /// As [`destroy`](Self::destroy).
    pub fn destroy_on(disk: &Disk, path: &Path) -> Result<(), StoreError> {
        tracing::info!("Wiping LevelDB in {}", path.display());
        Db::destroy(&*disk.engine_fs(), path).map_err(KvError::from)?;
        Ok(())
    }
}

/// Tables that a database keeps open at most: each takes a file descriptor, of which sockets and the other databases
/// need some, too.
fn max_open_files() -> usize {
    let all = descriptors::reserve(DESCRIPTORS).and_then(|all| usize::try_from(all).ok());
    all.map_or(MAX_OPEN_FILES, |all| {
        (all / 8).clamp(MIN_OPEN_FILES, MAX_OPEN_FILES)
    })
}

impl From<Error> for KvError {
    fn from(error: Error) -> Self {
        Self::Engine(error.to_string())
    }
}

impl KvStore for EngineDb {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.db.get(key)?)
    }

    fn write(&self, batch: &Batch, sync: Sync) -> Result<(), KvError> {
        let mut changes = leveldb_engine::Batch::with_capacity(batch.approximate_size());
        for change in batch.changes() {
            match change {
                Change::Put(key, value) => changes.put(key, value),
                Change::Delete(key) => changes.delete(key),
            }
        }
        let durability = match sync {
            Sync::Lazy => Durability::Lazy,
            Sync::Durable => Durability::Durable,
        };
        Ok(self.db.write(&changes, durability)?)
    }

    fn iter_from(&self, start: &[u8]) -> Result<Entries<'_>, KvError> {
        let mut iter = self.db.iter()?;
        iter.seek(start)?;
        Ok(Box::new(Cursor(iter)))
    }

    /// An estimate, so a table that cannot be read counts as nothing: reading its keys will say what is wrong.
    fn approximate_size(&self, start: &[u8], end: &[u8]) -> u64 {
        self.db.approximate_size(start, end).unwrap_or(0)
    }

    /// A failure is the engine's from then on: every later write returns it.
    fn compact(&self, stop: &Arc<AtomicBool>) -> Result<(), KvError> {
        Ok(self.db.compact_until(None, None, stop).map(drop)?)
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }
}

/// Entries with the seam's error.
struct Cursor<'db>(Iter<'db>);

impl Iterator for Cursor<'_> {
    type Item = Result<Entry, KvError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map_err(KvError::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(db: &dyn KvStore) -> Vec<Entry> {
        let entries = db.iter_from(b"").expect("iterates");
        entries.map(|entry| entry.expect("reads")).collect()
    }

    fn filled(path: &Path) -> EngineDb {
        let mut batch = Batch::new();
        for n in 0..5000u32 {
            batch.put(n.to_be_bytes(), vec![n as u8; 70]);
        }
        let db = EngineDb::open(path, 1 << 20).expect("opens");
        db.write(&batch, Sync::Durable).expect("writes");
        db
    }

    #[test]
    fn what_is_written_is_read_in_order_and_after_reopening() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let db = filled(dir.path());
        let mut batch = Batch::new();
        batch.delete(7u32.to_be_bytes());
        let before = db.iter_from(&3u32.to_be_bytes()).expect("iterates");
        db.write(&batch, Sync::Lazy).expect("writes");
        assert_eq!(before.count(), 4997, "an iterator sees no later writes");
        drop(db);
        let db = EngineDb::open(dir.path(), 1 << 20).expect("opens");
        assert_eq!(db.get(&7u32.to_be_bytes()), Ok(None));
        assert_eq!(db.get(&8u32.to_be_bytes()), Ok(Some(vec![8; 70])));
        db.compact(&Arc::default()).expect("compacts");
        let entries = contents(&db);
        assert_eq!(entries.len(), 4999);
        assert!(entries.is_sorted());
        assert!(db.approximate_size(&[0; 4], &[0xff; 4]) > 70 * 4000);
        // Core leaves no log of LevelDB's own beside the data.
        assert!(!dir.path().join("LOG").exists());
    }

    #[test]
    fn it_is_wiped_or_compacted_on_opening_if_asked() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let options = DatabaseOptions {
            compact: true,
            ..DatabaseOptions::new(1 << 20)
        };
        let mut batch = Batch::new();
        (0..5000u32).for_each(|n| batch.delete(n.to_be_bytes()));
        let db = filled(dir.path());
        db.write(&batch, Sync::Lazy).expect("writes");
        drop(db);
        let open = |options| EngineDb::open_on(&Disk::default(), dir.path(), options);
        let db = open(&options).expect("opens");
        assert_eq!(
            db.db.tables_per_level(),
            [0; 7],
            "nothing is left of what was deleted"
        );
        drop(db);

        drop(filled(dir.path()));
        let options = DatabaseOptions {
            wipe: true,
            ..options
        };
        assert!(open(&options).expect("opens").is_empty().expect("reads"));
    }

    #[cfg(feature = "system-leveldb")]
    #[test]
    fn the_engines_read_what_the_other_wrote() {
        use super::super::leveldb::LevelDb;

        let dir = tempfile::tempdir().expect("temporary directory");
        let ours = filled(dir.path());
        ours.compact(&Arc::default()).expect("compacts");
        let first = contents(&ours);
        drop(ours);

        let theirs = LevelDb::open(dir.path(), 1 << 20).expect("opens");
        assert_eq!(contents(&theirs), first);
        let mut batch = Batch::new();
        batch.delete(7u32.to_be_bytes());
        theirs.write(&batch, Sync::Lazy).expect("writes");
        drop(theirs);

        let ours = EngineDb::open(dir.path(), 1 << 20).expect("opens");
        assert_eq!(ours.get(&7u32.to_be_bytes()), Ok(None));
        assert_eq!(contents(&ours).len(), 4999);
    }

    #[test]
    fn a_database_in_use_is_refused_with_the_engines_reason() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let _held = EngineDb::open(dir.path(), 1 << 20).expect("opens");
        let error = EngineDb::open(dir.path(), 1 << 20).expect_err("is held");
        let expected = "Fatal LevelDB error: IO error: lock";
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    #[test]
    fn a_damaged_manifest_is_reported() {
        let dir = tempfile::tempdir().expect("temporary directory");
        drop(filled(dir.path()));
        std::fs::write(dir.path().join("CURRENT"), "nonsense").expect("writes");
        let error = EngineDb::open(dir.path(), 1 << 20).expect_err("is damaged");
        let expected = "Fatal LevelDB error: Corruption";
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
