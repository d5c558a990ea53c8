//! LevelDB, through the C interface of the system's library (Debian: libleveldb-dev).
//!
//! The only module of this crate with `unsafe` code. Options are those Core sets, so that either program opens what the
//! other wrote: bloom filter of 10 bits, no compression, paranoid checks, tables of up to 32 MiB.
#![allow(unsafe_code)]

mod ffi;

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::disk::Disk;
use super::error::StoreError;
use super::kv::{Batch, Change, DatabaseOptions, Entries, Entry, KvError, KvStore, Sync};

/// Largest table file; fewer files than LevelDB's own 2 MiB make for fewer compactions.
const MAX_FILE_SIZE: usize = 32 << 20;
/// Bits per key of the bloom filter.
const BLOOM_BITS: c_int = 10;
/// `leveldb_no_compression`: coins and headers do not compress.
const NO_COMPRESSION: c_int = 0;

/// An owned object of the library, destroyed with the function that its kind names.
struct Owned<T> {
    pointer: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes ownership of what a `create` function returned.
    ///
    /// # Safety
    /// `pointer` is fresh from the library, is owned by nobody else, and `destroy` is its destructor.
    unsafe fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Self {
        let pointer = NonNull::new(pointer).expect("leveldb's create functions allocate or abort");
        Self { pointer, destroy }
    }

    fn as_ptr(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new` was promised sole ownership and the right destructor; drop runs once.
        unsafe { (self.destroy)(self.pointer.as_ptr()) }
    }
}

/// A LevelDB database. The directory is locked against other processes while it is open.
pub struct LevelDb {
    // Fields drop in this order: the database goes before the objects that it refers to.
    db: Owned<ffi::Db>,
    read: Owned<ffi::ReadOptions>,
    iterate: Owned<ffi::ReadOptions>,
    write: Owned<ffi::WriteOptions>,
    write_sync: Owned<ffi::WriteOptions>,
    _options: Options,
    path: PathBuf,
}

// SAFETY: LevelDB documents that a database may be used by several threads at once without a lock of the caller's; the
// option objects are never changed after `open`.
unsafe impl Send for LevelDb {}
// SAFETY: as above.
unsafe impl std::marker::Sync for LevelDb {}

/// The options of a database with the cache and filter that they point to.
struct Options {
    options: Owned<ffi::Options>,
    _cache: Owned<ffi::Cache>,
    _filter: Option<Owned<ffi::FilterPolicy>>,
}

impl Options {
    /// Core's options for a budget of `cache_bytes`: half for the block cache, a quarter for the write buffer, of which
    /// two may be held at once.
    fn new(cache_bytes: usize, filter: bool) -> Self {
        // SAFETY: each create function returns a new object which is paired with its own destructor; the setters get
        // live objects, and the cache and filter outlive the options as fields declared after them.
        unsafe {
            let cache = Owned::new(
                ffi::leveldb_cache_create_lru(cache_bytes / 2),
                ffi::leveldb_cache_destroy,
            );
            let filter = filter.then(|| {
                Owned::new(
                    ffi::leveldb_filterpolicy_create_bloom(BLOOM_BITS),
                    ffi::leveldb_filterpolicy_destroy,
                )
            });
            let options = Owned::new(ffi::leveldb_options_create(), ffi::leveldb_options_destroy);
            let raw = options.as_ptr();
            ffi::leveldb_options_set_cache(raw, cache.as_ptr());
            if let Some(filter) = &filter {
                ffi::leveldb_options_set_filter_policy(raw, filter.as_ptr());
            }
            ffi::leveldb_options_set_write_buffer_size(raw, cache_bytes / 4);
            ffi::leveldb_options_set_compression(raw, NO_COMPRESSION);
            ffi::leveldb_options_set_paranoid_checks(raw, 1);
            ffi::leveldb_options_set_max_file_size(raw, MAX_FILE_SIZE);
            ffi::leveldb_options_set_create_if_missing(raw, 1);
            Self {
                options,
                _cache: cache,
                _filter: filter,
            }
        }
    }
}

impl LevelDb {
    /// Opens or creates the database in `path`, with about `cache_bytes` of memory for caches and buffers.
    ///
    /// # Errors
    /// The directory cannot be created; another process holds the database; its files are damaged.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        Self::open_with(path, cache_bytes, true)
    }

    fn open_with(path: &Path, cache_bytes: usize, filter: bool) -> Result<Self, StoreError> {
        tracing::info!("Opening LevelDB in {}", path.display());
        fs::create_dir_all(path).map_err(StoreError::io("create directory", path))?;
        let name = c_path(path)?;
        let options = Options::new(cache_bytes, filter);
        // SAFETY: `options` and `name` live across the call; an error leaves a null pointer and sets the text, which
        // `check` takes before the pointer is used. The create functions are paired with their destructors.
        unsafe {
            let mut error = ptr::null_mut();
            let db = ffi::leveldb_open(options.options.as_ptr(), name.as_ptr(), &mut error);
            check(error)?;
            let db = Owned::new(db, ffi::leveldb_close);
            let read = Owned::new(
                ffi::leveldb_readoptions_create(),
                ffi::leveldb_readoptions_destroy,
            );
            ffi::leveldb_readoptions_set_verify_checksums(read.as_ptr(), 1);
            let iterate = Owned::new(
                ffi::leveldb_readoptions_create(),
                ffi::leveldb_readoptions_destroy,
            );
            ffi::leveldb_readoptions_set_verify_checksums(iterate.as_ptr(), 1);
            ffi::leveldb_readoptions_set_fill_cache(iterate.as_ptr(), 0);
            let write = Owned::new(
                ffi::leveldb_writeoptions_create(),
                ffi::leveldb_writeoptions_destroy,
            );
            let write_sync = Owned::new(
                ffi::leveldb_writeoptions_create(),
                ffi::leveldb_writeoptions_destroy,
            );
            ffi::leveldb_writeoptions_set_sync(write_sync.as_ptr(), 1);
            tracing::info!("Opened LevelDB successfully");
            Ok(Self {
                db,
                read,
                iterate,
                write,
                write_sync,
                _options: options,
                path: path.to_owned(),
            })
        }
    }

    /// As [`open`](Self::open), as the options say. The library has a file system of its own, on which there is no gate.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(
        disk: &Disk,
        path: &Path,
        options: &DatabaseOptions,
    ) -> Result<Self, StoreError> {
        if options.wipe {
            Self::destroy_on(disk, path)?;
        }
        let db = Self::open_with(path, options.cache, options.filter)?;
        if options.compact {
            tracing::info!("Starting database compaction of {}", path.display());
            db.compact(&Arc::default())?;
            tracing::info!("Finished database compaction of {}", path.display());
        }
        Ok(db)
    }

    /// As [`destroy`](Self::destroy); the library calls the system itself, so no gate is asked.
    ///
    /// # Errors
    /// As [`destroy`](Self::destroy).
    pub fn destroy_on(_disk: &Disk, path: &Path) -> Result<(), StoreError> {
        Self::destroy(path)
    }

    /// Deletes the database in `path`, if there is one. It must not be open.
    ///
    /// # Errors
    /// It is open, or a file cannot be deleted.
    pub fn destroy(path: &Path) -> Result<(), StoreError> {
        tracing::info!("Wiping LevelDB in {}", path.display());
        if !path.exists() {
            return Ok(());
        }
        let name = c_path(path)?;
        let options = Options::new(1 << 20, true);
        let mut error = ptr::null_mut();
        // SAFETY: both arguments live across the call; the error text is taken by `check`.
        unsafe {
            ffi::leveldb_destroy_db(options.options.as_ptr(), name.as_ptr(), &mut error);
            check(error)?;
        }
        Ok(())
    }
}

/// A path as the library wants it.
fn c_path(path: &Path) -> Result<CString, KvError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| KvError::Path)
}

/// Turns the error text that a call left behind into a result, and frees it.
///
/// # Safety
/// `error` is null or what the library stored through its `errptr` argument.
unsafe fn check(error: *mut c_char) -> Result<(), KvError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the library stores a zero-terminated string that the caller must free with `leveldb_free`.
    let text = unsafe {
        let text = CStr::from_ptr(error).to_string_lossy().into_owned();
        ffi::leveldb_free(error.cast());
        text
    };
    Err(KvError::Engine(text))
}

/// The bytes of `slice` as the library's `char` pointer.
fn chars(slice: &[u8]) -> *const c_char {
    slice.as_ptr().cast()
}

impl KvStore for LevelDb {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let mut error = ptr::null_mut();
        let mut len = 0;
        // SAFETY: the key is read during the call only; the value, if any, is an allocation of `len` bytes that is
        // copied and then freed by the library's own function.
        unsafe {
            let value = ffi::leveldb_get(
                self.db.as_ptr(),
                self.read.as_ptr(),
                chars(key),
                key.len(),
                &mut len,
                &mut error,
            );
            check(error)?;
            if value.is_null() {
                return Ok(None);
            }
            let copy = std::slice::from_raw_parts(value.cast::<u8>(), len).to_vec();
            ffi::leveldb_free(value.cast());
            Ok(Some(copy))
        }
    }

    fn write(&self, batch: &Batch, sync: Sync) -> Result<(), KvError> {
        let options = match sync {
            Sync::Lazy => &self.write,
            Sync::Durable => &self.write_sync,
        };
        let mut error = ptr::null_mut();
        // SAFETY: the batch object is ours until it drops; keys and values are copied by put and delete.
        unsafe {
            let raw = Owned::new(
                ffi::leveldb_writebatch_create(),
                ffi::leveldb_writebatch_destroy,
            );
            for change in batch.changes() {
                match change {
                    Change::Put(key, value) => ffi::leveldb_writebatch_put(
                        raw.as_ptr(),
                        chars(key),
                        key.len(),
                        chars(value),
                        value.len(),
                    ),
                    Change::Delete(key) => {
                        ffi::leveldb_writebatch_delete(raw.as_ptr(), chars(key), key.len())
                    }
                }
            }
            ffi::leveldb_write(self.db.as_ptr(), options.as_ptr(), raw.as_ptr(), &mut error);
            check(error)
        }
    }

    fn iter_from(&self, start: &[u8]) -> Result<Entries<'_>, KvError> {
        // SAFETY: the database outlives the iterator by the lifetime of `Cursor`.
        let iter = unsafe {
            let iter = ffi::leveldb_create_iterator(self.db.as_ptr(), self.iterate.as_ptr());
            let iter = Owned::new(iter, ffi::leveldb_iter_destroy);
            ffi::leveldb_iter_seek(iter.as_ptr(), chars(start), start.len());
            iter
        };
        Ok(Box::new(Cursor {
            iter,
            done: false,
            _db: PhantomData,
        }))
    }

    fn approximate_size(&self, start: &[u8], end: &[u8]) -> u64 {
        let mut size = 0;
        // SAFETY: one range, with one pointer and one length in each array.
        unsafe {
            ffi::leveldb_approximate_sizes(
                self.db.as_ptr(),
                1,
                &chars(start),
                &start.len(),
                &chars(end),
                &end.len(),
                &mut size,
            );
        }
        size
    }

    /// The library's call tells nothing of failures and cannot be stopped.
    fn compact(&self, _stop: &Arc<AtomicBool>) -> Result<(), KvError> {
        // SAFETY: null keys mean the whole range.
        unsafe { ffi::leveldb_compact_range(self.db.as_ptr(), ptr::null(), 0, ptr::null(), 0) }
        Ok(())
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }
}

/// An iterator positioned on the next entry to give.
struct Cursor<'db> {
    iter: Owned<ffi::Iter>,
    done: bool,
    _db: PhantomData<&'db LevelDb>,
}

impl Cursor<'_> {
    /// The entry under the cursor, which then advances.
    fn advance(&mut self) -> Result<Option<Entry>, KvError> {
        let iter = self.iter.as_ptr();
        // SAFETY: key and value are valid while the iterator stands on them, and are copied before it moves.
        unsafe {
            if ffi::leveldb_iter_valid(iter) == 0 {
                let mut error = ptr::null_mut();
                ffi::leveldb_iter_get_error(iter, &mut error);
                return check(error).map(|()| None);
            }
            let mut len = 0;
            let key = ffi::leveldb_iter_key(iter, &mut len);
            let key = std::slice::from_raw_parts(key.cast::<u8>(), len).to_vec();
            let value = ffi::leveldb_iter_value(iter, &mut len);
            let value = std::slice::from_raw_parts(value.cast::<u8>(), len).to_vec();
            ffi::leveldb_iter_next(iter);
            Ok(Some((key, value)))
        }
    }
}

impl Iterator for Cursor<'_> {
    type Item = Result<Entry, KvError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let entry = self.advance().transpose();
        self.done = !matches!(entry, Some(Ok(_)));
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(changes: &[(&[u8], Option<&[u8]>)]) -> Batch {
        let mut batch = Batch::new();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put(*key, *value),
                None => batch.delete(*key),
            }
        }
        batch
    }

    #[test]
    fn what_is_written_is_read_in_order_and_after_reopening() {
        let dir = tempfile::tempdir().expect("temporary directory");
        {
            let db = LevelDb::open(dir.path(), 1 << 20).expect("opens");
            assert!(db.is_empty().expect("iterates"));
            db.write(
                &batch(&[(b"b", Some(b"2")), (b"a", Some(b"1")), (b"c", Some(b""))]),
                Sync::Durable,
            )
            .expect("writes");
            db.write(&batch(&[(b"b", None)]), Sync::Lazy)
                .expect("writes");
        }
        let db = LevelDb::open(dir.path(), 1 << 20).expect("opens");
        assert_eq!(db.get(b"a").expect("reads"), Some(b"1".to_vec()));
        assert_eq!(db.get(b"b").expect("reads"), None);
        let entries: Vec<_> = db
            .iter_from(b"a")
            .expect("iterates")
            .map(|e| e.expect("reads").0)
            .collect();
        assert_eq!(entries, [b"a".to_vec(), b"c".to_vec()]);
        db.compact(&Arc::default()).expect("compacts");
        assert_eq!(db.get(b"c").expect("reads"), Some(Vec::new()));
    }

    #[test]
    fn an_iterator_does_not_see_later_writes() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let db = LevelDb::open(dir.path(), 1 << 20).expect("opens");
        db.write(&batch(&[(b"a", Some(b"1"))]), Sync::Lazy)
            .expect("writes");
        let mut entries = db.iter_from(b"").expect("iterates");
        db.write(&batch(&[(b"b", Some(b"2"))]), Sync::Lazy)
            .expect("writes");
        assert_eq!(entries.next().expect("one").expect("reads").0, b"a");
        assert!(entries.next().is_none());
    }

    #[test]
    fn a_database_in_use_is_refused_with_the_engines_reason() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let _held = LevelDb::open(dir.path(), 1 << 20).expect("opens");
        let error = LevelDb::open(dir.path(), 1 << 20)
            .err()
            .expect("second open fails");
        assert!(
            error
                .to_string()
                .starts_with("Fatal LevelDB error: IO error: lock"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_manifest_is_reported() {
        let dir = tempfile::tempdir().expect("temporary directory");
        drop(LevelDb::open(dir.path(), 1 << 20).expect("opens"));
        fs::write(dir.path().join("CURRENT"), "nonsense").expect("writes");
        let error = LevelDb::open(dir.path(), 1 << 20)
            .err()
            .expect("open fails");
        assert!(
            error
                .to_string()
                .starts_with("Fatal LevelDB error: Corruption"),
            "{error}"
        );
    }

    #[test]
    fn destroying_leaves_an_empty_database() {
        let dir = tempfile::tempdir().expect("temporary directory");
        {
            let db = LevelDb::open(dir.path(), 1 << 20).expect("opens");
            db.write(&batch(&[(b"a", Some(b"1"))]), Sync::Lazy)
                .expect("writes");
        }
        LevelDb::destroy(dir.path()).expect("destroys");
        assert!(
            LevelDb::open(dir.path(), 1 << 20)
                .expect("opens")
                .is_empty()
                .expect("iterates")
        );
    }
}
