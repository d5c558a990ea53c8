//! The system's LevelDB, to hold the engine against. The one place of this crate with `unsafe` code.
#![allow(unsafe_code)]
#![allow(missing_docs, dead_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use leveldb_engine::{Batch, Change, Options};

type Object = *mut c_void;
/// Keys and values.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

#[link(name = "leveldb")]
unsafe extern "C" {
    fn leveldb_open(options: Object, name: *const c_char, err: *mut *mut c_char) -> Object;
    fn leveldb_close(db: Object);
    fn leveldb_write(db: Object, options: Object, batch: Object, err: *mut *mut c_char);
    fn leveldb_get(
        db: Object,
        options: Object,
        key: *const c_char,
        key_len: usize,
        value_len: *mut usize,
        err: *mut *mut c_char,
    ) -> *mut c_char;
    fn leveldb_create_iterator(db: Object, options: Object) -> Object;
    fn leveldb_compact_range(
        db: Object,
        start: *const c_char,
        start_len: usize,
        limit: *const c_char,
        limit_len: usize,
    );
    fn leveldb_iter_destroy(iter: Object);
    fn leveldb_iter_valid(iter: Object) -> c_uchar;
    fn leveldb_iter_seek_to_first(iter: Object);
    fn leveldb_iter_next(iter: Object);
    fn leveldb_iter_key(iter: Object, len: *mut usize) -> *const c_char;
    fn leveldb_iter_value(iter: Object, len: *mut usize) -> *const c_char;
    fn leveldb_iter_get_error(iter: Object, err: *mut *mut c_char);
    fn leveldb_writebatch_create() -> Object;
    fn leveldb_writebatch_destroy(batch: Object);
    fn leveldb_writebatch_put(
        batch: Object,
        key: *const c_char,
        key_len: usize,
        value: *const c_char,
        value_len: usize,
    );
    fn leveldb_writebatch_delete(batch: Object, key: *const c_char, key_len: usize);
    fn leveldb_options_create() -> Object;
    fn leveldb_options_destroy(options: Object);
    fn leveldb_options_set_filter_policy(options: Object, policy: Object);
    fn leveldb_options_set_create_if_missing(options: Object, on: c_uchar);
    fn leveldb_options_set_paranoid_checks(options: Object, on: c_uchar);
    fn leveldb_options_set_write_buffer_size(options: Object, bytes: usize);
    fn leveldb_options_set_cache(options: Object, cache: Object);
    fn leveldb_options_set_max_file_size(options: Object, bytes: usize);
    fn leveldb_options_set_compression(options: Object, kind: c_int);
    fn leveldb_filterpolicy_create_bloom(bits_per_key: c_int) -> Object;
    fn leveldb_filterpolicy_destroy(policy: Object);
    fn leveldb_cache_create_lru(capacity: usize) -> Object;
    fn leveldb_cache_destroy(cache: Object);
    fn leveldb_readoptions_create() -> Object;
    fn leveldb_readoptions_destroy(options: Object);
    fn leveldb_readoptions_set_verify_checksums(options: Object, on: c_uchar);
    fn leveldb_writeoptions_create() -> Object;
    fn leveldb_writeoptions_destroy(options: Object);
    fn leveldb_free(pointer: *mut c_void);
}

/// A database of the system's LevelDB.
pub struct LevelDb {
    db: Object,
    options: Object,
    cache: Object,
    filter: Object,
    read: Object,
    write: Object,
}

// SAFETY: LevelDB documents that a database may be used by several threads at once.
unsafe impl Send for LevelDb {}
// SAFETY: as above.
unsafe impl Sync for LevelDb {}

/// # Safety
/// `error` is null or was set by the library.
unsafe fn check(error: *mut c_char) -> Result<(), String> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the library stores a zero-terminated string that is the caller's to free.
    unsafe {
        let text = CStr::from_ptr(error).to_string_lossy().into_owned();
        leveldb_free(error.cast());
        Err(text)
    }
}

fn chars(bytes: &[u8]) -> *const c_char {
    bytes.as_ptr().cast()
}

impl LevelDb {
    pub fn open(path: &Path, settings: &Options) -> Result<Self, String> {
        let name = CString::new(path.as_os_str().as_bytes()).expect("no zero byte in a path");
        // SAFETY: each object is fresh, lives until `drop`, and is passed to the functions of its kind.
        unsafe {
            let cache = leveldb_cache_create_lru(settings.block_cache_size);
            let filter = leveldb_filterpolicy_create_bloom(10);
            let options = leveldb_options_create();
            leveldb_options_set_cache(options, cache);
            leveldb_options_set_filter_policy(options, filter);
            leveldb_options_set_write_buffer_size(options, settings.write_buffer_size);
            leveldb_options_set_max_file_size(options, settings.max_file_size);
            leveldb_options_set_compression(options, 0);
            leveldb_options_set_paranoid_checks(options, 1);
            leveldb_options_set_create_if_missing(options, 1);
            let read = leveldb_readoptions_create();
            leveldb_readoptions_set_verify_checksums(read, 1);
            let mut error = ptr::null_mut();
            let db = leveldb_open(options, name.as_ptr(), &mut error);
            let opened = Self {
                db,
                options,
                cache,
                filter,
                read,
                write: leveldb_writeoptions_create(),
            };
            check(error).map(|()| opened)
        }
    }

    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (mut error, mut len) = (ptr::null_mut(), 0);
        // SAFETY: the value is an allocation of `len` bytes, copied and then freed.
        unsafe {
            let value = leveldb_get(
                self.db,
                self.read,
                chars(key),
                key.len(),
                &mut len,
                &mut error,
            );
            check(error).expect("reads");
            if value.is_null() {
                return None;
            }
            let copy = std::slice::from_raw_parts(value.cast::<u8>(), len).to_vec();
            leveldb_free(value.cast());
            Some(copy)
        }
    }

    pub fn write(&self, batch: &Batch) {
        let mut error = ptr::null_mut();
        // SAFETY: the batch is ours and is destroyed once; keys and values are copied.
        unsafe {
            let raw = leveldb_writebatch_create();
            for change in batch.changes() {
                match change {
                    Change::Put(key, value) => leveldb_writebatch_put(
                        raw,
                        chars(key),
                        key.len(),
                        chars(value),
                        value.len(),
                    ),
                    Change::Delete(key) => leveldb_writebatch_delete(raw, chars(key), key.len()),
                }
            }
            leveldb_write(self.db, self.write, raw, &mut error);
            leveldb_writebatch_destroy(raw);
            check(error).expect("writes");
        }
    }

    pub fn entries(&self) -> Entries {
        self.try_entries().expect("iterates")
    }

    pub fn try_entries(&self) -> Result<Entries, String> {
        let mut entries = Vec::new();
        // SAFETY: key and value are valid while the iterator stands on them.
        unsafe {
            let iter = leveldb_create_iterator(self.db, self.read);
            leveldb_iter_seek_to_first(iter);
            while leveldb_iter_valid(iter) != 0 {
                let mut len = 0;
                let key = leveldb_iter_key(iter, &mut len);
                let key = std::slice::from_raw_parts(key.cast::<u8>(), len).to_vec();
                let value = leveldb_iter_value(iter, &mut len);
                let value = std::slice::from_raw_parts(value.cast::<u8>(), len).to_vec();
                entries.push((key, value));
                leveldb_iter_next(iter);
            }
            let mut error = ptr::null_mut();
            leveldb_iter_get_error(iter, &mut error);
            leveldb_iter_destroy(iter);
            check(error)?;
        }
        Ok(entries)
    }

    pub fn compact(&self) {
        // SAFETY: null keys mean the whole range.
        unsafe { leveldb_compact_range(self.db, ptr::null(), 0, ptr::null(), 0) }
    }
}

impl Drop for LevelDb {
    fn drop(&mut self) {
        // SAFETY: the database goes first; nothing is used afterwards.
        unsafe {
            if !self.db.is_null() {
                leveldb_close(self.db);
            }
            leveldb_readoptions_destroy(self.read);
            leveldb_writeoptions_destroy(self.write);
            leveldb_options_destroy(self.options);
            leveldb_filterpolicy_destroy(self.filter);
            leveldb_cache_destroy(self.cache);
        }
    }
}
