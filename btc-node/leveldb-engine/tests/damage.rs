//! Files that are cut or altered, and a system that runs out of what opening files takes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leveldb_engine::{
    AppendFile, Batch, Db, Durability, Error, Fs, LockGuard, MemoryFs, Options, ReadFile,
};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

const DIR: &str = "/db";

fn options() -> Options {
    Options {
        write_buffer_size: 64 << 10,
        block_cache_size: 0,
        block_size: 1 << 10,
        ..Options::default()
    }
}

fn open(fs: &MemoryFs) -> leveldb_engine::Result<Db> {
    Db::open(Arc::new(fs.clone()), Path::new(DIR), options())
}

fn contents(db: &Db) -> leveldb_engine::Result<Map> {
    let mut iter = db.iter()?;
    iter.seek_to_first()?;
    iter.collect()
}

fn batch(number: u32) -> Batch {
    let mut batch = Batch::new();
    batch.put(b"number", &number.to_be_bytes());
    batch.put(&(number % 20).to_be_bytes(), &[number as u8; 30]);
    batch.delete(&((number + 7) % 20).to_be_bytes());
    batch
}

/// What is there after so many batches.
fn model(batches: u32) -> Map {
    let mut map = Map::new();
    for number in 1..=batches {
        map.insert(b"number".to_vec(), number.to_be_bytes().to_vec());
        map.insert((number % 20).to_be_bytes().to_vec(), vec![number as u8; 30]);
        map.remove(&((number + 7) % 20).to_be_bytes()[..]);
    }
    map
}

/// A database of `tables` tables with ten batches each, and ten more in the log.
fn filled(tables: u32) -> MemoryFs {
    let fs = MemoryFs::new();
    let db = open(&fs).expect("opens");
    for number in 1..=(tables + 1) * 10 {
        db.write(&batch(number), Durability::Durable)
            .expect("writes");
        if number % 10 == 0 && number <= tables * 10 {
            db.flush().expect("flushes");
        }
    }
    drop(db);
    fs
}

fn files(fs: &MemoryFs, part: &str) -> Vec<PathBuf> {
    let names = fs.list(Path::new(DIR)).expect("lists");
    let names = names.into_iter().filter(|name| name.contains(part));
    names.map(|name| Path::new(DIR).join(name)).collect()
}

/// A file system of its own with the same files, one of them altered.
fn altered(fs: &MemoryFs, path: &Path, alter: impl FnOnce(&mut Vec<u8>)) -> MemoryFs {
    let copy = fs.after(leveldb_engine::Crash::Process);
    let mut bytes = copy.contents(path).expect("is there");
    alter(&mut bytes);
    copy.overwrite(path, &bytes);
    copy
}

#[test]
fn a_log_cut_anywhere_loses_its_last_batches_and_nothing_else() {
    let fs = filled(1);
    let log = &files(&fs, ".log")[0];
    let len = fs.contents(log).expect("is there").len();
    let mut last = 10;
    for cut in 0..=len {
        let fs = altered(&fs, log, |bytes| bytes.truncate(cut));
        let found = contents(&open(&fs).expect("opens")).expect("reads");
        let number = found[&b"number"[..]].first_chunk().expect("four bytes");
        let number = u32::from_be_bytes(*number);
        assert!((last..=last + 1).contains(&number), "cut at {cut}");
        assert_eq!(found, model(number), "cut at {cut}");
        last = number;
    }
    assert_eq!(last, 20);
}

#[test]
fn a_manifest_or_current_cut_anywhere_is_refused_or_says_what_was() {
    let fs = filled(3);
    for (part, cut_is_refused) in [("CURRENT", true), ("MANIFEST", false)] {
        let path = &files(&fs, part)[0];
        let len = fs.contents(path).expect("is there").len();
        for cut in 0..len {
            let fs = altered(&fs, path, |bytes| bytes.truncate(cut));
            match open(&fs).and_then(|db| contents(&db)) {
                Err(error) => assert!(
                    matches!(error, Error::Corruption(_)),
                    "{part} {cut}: {error}"
                ),
                Ok(_) if cut_is_refused => panic!("{part} cut at {cut} is taken"),
                Ok(found) => {
                    // The tables that are still named, and the logs from that time on, if they are there.
                    let number = found.get(&b"number"[..]).map_or(0, |value| {
                        u32::from_be_bytes(*value.first_chunk().expect("four bytes"))
                    });
                    assert!(number % 10 == 0, "{part} {cut}: {number}");
                }
            }
        }
    }
}

#[test]
fn no_altered_byte_gives_a_wrong_entry() {
    let fs = filled(3);
    let whole = model(40);
    let mut noticed = 0;
    for path in [".log", ".ldb"].iter().flat_map(|part| files(&fs, part)) {
        let len = fs.contents(&path).expect("is there").len();
        for at in (0..len).step_by(3) {
            let what = format!("{} {at}", path.display());
            let fs = altered(&fs, &path, |bytes| bytes[at] ^= 1 << (at % 8));
            let read = open(&fs).and_then(|db| {
                let found = contents(&db)?;
                for key in whole.keys() {
                    assert_eq!(db.get(key)?.as_ref(), found.get(key), "{what}");
                }
                Ok(found)
            });
            match read {
                Ok(found) => {
                    // A length that grew looks like a log that was cut.
                    let number = found[&b"number"[..]].first_chunk().expect("four bytes");
                    let number = u32::from_be_bytes(*number);
                    assert!(number >= 30, "{what}");
                    assert_eq!(found, model(number), "{what}");
                }
                Err(Error::Corruption(_) | Error::NotSupported(_)) => noticed += 1,
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }
    assert!(noticed > 100, "{noticed}");
}

#[test]
fn an_altered_manifest_is_refused_or_taken_for_a_cut_one() {
    let fs = filled(3);
    let path = &files(&fs, "MANIFEST")[0];
    let (mut taken, len) = (0, fs.contents(path).expect("is there").len());
    for at in 0..len {
        let fs = altered(&fs, path, |bytes| bytes[at] ^= 1 << (at % 8));
        match open(&fs).and_then(|db| contents(&db)) {
            Ok(_) => taken += 1,
            Err(error) => assert!(matches!(error, Error::Corruption(_)), "{at}: {error}"),
        }
    }
    // Only the length of a record can make it look so, and the format has no second copy of that.
    assert!(taken < 12, "{taken} of {len}");
}

/// A file system on which only so many files can be open for reading.
#[derive(Debug)]
struct FewDescriptors {
    inner: MemoryFs,
    left: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Counted {
    inner: Arc<dyn ReadFile>,
    left: Arc<AtomicUsize>,
}

impl ReadFile for Counted {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.left.fetch_add(1, Ordering::SeqCst);
    }
}

/// EMFILE: too many open files.
#[cfg(unix)]
const OUT_OF_DESCRIPTORS: i32 = 24;

#[cfg(unix)]
impl FewDescriptors {
    fn enter<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.left.load(Ordering::SeqCst) {
            0 => Err(io::Error::from_raw_os_error(OUT_OF_DESCRIPTORS)),
            _ => work(),
        }
    }
}

#[cfg(unix)]
impl Fs for FewDescriptors {
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.enter(|| self.inner.create(path))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        self.enter(|| {
            let inner = self.inner.open(path)?;
            self.left.fetch_sub(1, Ordering::SeqCst);
            let left = Arc::clone(&self.left);
            Ok(Arc::new(Counted { inner, left }) as Arc<dyn ReadFile>)
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.enter(|| self.inner.sync_dir(dir))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.inner.lock(path)
    }
}

#[cfg(unix)]
#[test]
fn where_descriptors_run_out_tables_are_closed() {
    let left = Arc::new(AtomicUsize::new(12));
    let fs = FewDescriptors {
        inner: MemoryFs::new(),
        left: Arc::clone(&left),
    };
    let options = Options {
        max_file_size: 1 << 20,
        ..options()
    };
    let db = Db::open(Arc::new(fs), Path::new(DIR), options).expect("opens");
    let value = |n: u32| n.to_le_bytes().repeat(400);
    for round in 0..20u32 {
        let mut batch = Batch::new();
        (0..1000u32).for_each(|n| batch.put(&(n * 20 + round).to_be_bytes(), &value(n + round)));
        db.write(&batch, Durability::Durable).expect("writes");
    }
    db.compact(None, None).expect("compacts");
    let tables: usize = db.tables_per_level().iter().sum();
    assert!(tables > 24, "{tables} are too few to show anything");
    for n in (0..1000u32).step_by(3) {
        for round in 0..20 {
            let found = db.get(&(n * 20 + round).to_be_bytes()).expect("reads");
            assert_eq!(found, Some(value(n + round)));
        }
    }
    // Others take what is left: one at a time is enough.
    left.store(1, Ordering::SeqCst);
    assert_eq!(contents(&db).expect("reads").len(), 20_000);
}
