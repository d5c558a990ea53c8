//! The engine beside the system's LevelDB: each opens what the other wrote and goes on with it.
#![cfg(unix)]

#[path = "support/leveldb.rs"]
mod leveldb;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use leveldb::LevelDb;
use leveldb_engine::{Batch, Change, Crash, Db, Durability, Fault, Fs, MemoryFs, Options, RealFs};

fn options() -> Options {
    Options {
        write_buffer_size: 64 << 10,
        max_file_size: 1 << 20,
        ..Options::default()
    }
}

/// Pseudo-random numbers, the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

fn batch(random: &mut Random, changes: usize) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..changes {
        let n = random.next();
        let key = format!("{:06}-coin", n % 20_000);
        match n >> 32 & 3 {
            0 => batch.delete(key.as_bytes()),
            _ => batch.put(
                key.as_bytes(),
                &n.to_le_bytes().repeat((n >> 40 & 15) as usize),
            ),
        }
    }
    batch
}

fn apply(model: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: &Batch) {
    for change in batch.changes() {
        match change {
            Change::Put(key, value) => model.insert(key.to_vec(), value.to_vec()),
            Change::Delete(key) => model.remove(key),
        };
    }
}

fn ours(path: &Path) -> Db {
    Db::open(Arc::new(RealFs), path, options()).expect("opens")
}

fn entries(db: &Db) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut iter = db.iter().expect("iterates");
    iter.seek_to_first().expect("reads");
    iter.map(|entry| entry.expect("reads")).collect()
}

#[test]
fn the_engines_take_turns_with_one_database() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (mut model, mut random) = (BTreeMap::new(), Random(1));
    for turn in 0..12 {
        let sizes = [1, 10, 3000, 200, 5000];
        if turn % 2 == 0 {
            let db = LevelDb::open(dir.path(), &options()).expect("opens");
            let expected: Vec<_> = model.clone().into_iter().collect();
            assert_eq!(db.entries(), expected, "turn {turn}");
            for n in (0..20_000).step_by(7) {
                let key = format!("{n:06}-coin").into_bytes();
                assert_eq!(db.get(&key).as_ref(), model.get(&key));
            }
            for size in sizes {
                let batch = batch(&mut random, size);
                db.write(&batch);
                apply(&mut model, &batch);
            }
            if turn % 3 == 0 {
                db.compact();
            }
        } else {
            let db = ours(dir.path());
            let expected: Vec<_> = model.clone().into_iter().collect();
            assert_eq!(entries(&db), expected, "turn {turn}");
            for n in 0..20_000 {
                let key = format!("{n:06}-coin").into_bytes();
                assert_eq!(db.get(&key).expect("reads").as_ref(), model.get(&key));
            }
            for size in sizes {
                let batch = batch(&mut random, size);
                db.write(&batch, Durability::Lazy).expect("writes");
                apply(&mut model, &batch);
            }
            if turn % 3 == 0 {
                db.compact(None, None).expect("compacts");
            }
        }
    }
}

#[test]
fn leveldb_opens_what_is_left_at_any_kill_point() {
    let work = |fs: &MemoryFs| {
        let mut random = Random(2);
        let mut states = vec![BTreeMap::new()];
        let Ok(db) = Db::open(Arc::new(fs.clone()), Path::new("/db"), options()) else {
            return states;
        };
        for turn in 0..8 {
            let batch = batch(&mut random, 700);
            // The failed batch may be there or not.
            let mut next = states.last().expect("one").clone();
            apply(&mut next, &batch);
            states.push(next);
            if db.write(&batch, Durability::Lazy).is_err() || turn == 5 && db.flush().is_err() {
                break;
            }
        }
        states
    };
    let whole = MemoryFs::new();
    work(&whole);
    for at in (0..whole.calls()).step_by(2) {
        let fs = MemoryFs::new();
        fs.inject(at, Fault::Crash);
        let states = work(&fs);
        for crash in [Crash::Process, Crash::Torn, Crash::Power] {
            let left = fs.after(crash);
            let dir = tempfile::tempdir().expect("temporary directory");
            for name in left.list(Path::new("/db")).expect("lists") {
                let bytes = left
                    .contents(&Path::new("/db").join(&name))
                    .expect("is there");
                std::fs::write(dir.path().join(name), bytes).expect("writes");
            }
            let theirs = LevelDb::open(dir.path(), &options())
                .unwrap_or_else(|error| panic!("call {at}, {crash:?}: {error}"))
                .entries();
            let known = states
                .iter()
                .any(|state| state.clone().into_iter().eq(theirs.iter().cloned()));
            assert!(known, "call {at}, {crash:?}");
            assert_eq!(entries(&ours(dir.path())), theirs, "call {at}, {crash:?}");
        }
    }
}

/// Random work, a fault at a random call and a crash, for `LEVELDB_ENGINE_SECONDS` seconds: both read the same then, and
/// it is what was written up to some batch.
#[test]
fn both_read_what_is_left_for_as_long_as_asked() {
    let seconds = std::env::var("LEVELDB_ENGINE_SECONDS").unwrap_or_default();
    let time = std::time::Duration::from_secs(seconds.parse().unwrap_or(1));
    let begun = std::time::Instant::now();
    let mut random = Random(std::process::id().into());
    let mut crashes = 0;
    while begun.elapsed() < time {
        let fs = MemoryFs::new();
        let faults = [Fault::Fail, Fault::ShortWrite, Fault::NoSpace, Fault::Crash];
        let (at, fault) = (random.next() % 120, faults[(random.next() % 4) as usize]);
        fs.inject(at, fault);
        let mut states = vec![BTreeMap::new()];
        if let Ok(db) = Db::open(Arc::new(fs.clone()), Path::new("/db"), options()) {
            for _ in 0..random.next() % 30 {
                let changes = 1 + (random.next() % 900) as usize;
                let batch = batch(&mut random, changes);
                let mut next = states.last().expect("one").clone();
                apply(&mut next, &batch);
                states.push(next);
                let durability = match random.next() % 3 {
                    0 => Durability::Durable,
                    _ => Durability::Lazy,
                };
                let done = db
                    .write(&batch, durability)
                    .and_then(|()| match random.next() % 12 {
                        0 => db.flush(),
                        1 => db.compact(None, Some(b"010000-coin")),
                        _ => Ok(()),
                    });
                if done.is_err() {
                    break;
                }
            }
        }
        for crash in [Crash::Process, Crash::Torn, Crash::Power] {
            let dir = on_disk(&fs.after(crash));
            let what = format!("{fault:?} at call {at}, {crash:?}");
            let theirs = LevelDb::open(dir.path(), &options())
                .unwrap_or_else(|error| panic!("{what}: {error}"))
                .entries();
            let known = states
                .iter()
                .any(|state| state.clone().into_iter().eq(theirs.iter().cloned()));
            assert!(known, "{what}");
            assert_eq!(entries(&ours(dir.path())), theirs, "{what}");
            crashes += 1;
        }
    }
    println!("{crashes} crashes");
}

/// A directory with the files of a file system in memory.
fn on_disk(fs: &MemoryFs) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    for name in fs.list(Path::new("/db")).expect("lists") {
        let bytes = fs.contents(&Path::new("/db").join(&name));
        std::fs::write(dir.path().join(name), bytes.expect("is there")).expect("writes");
    }
    dir
}

#[test]
fn both_make_the_same_of_damage() {
    let fs = MemoryFs::new();
    let small = Options {
        block_size: 1 << 10,
        ..options()
    };
    let db = Db::open(Arc::new(fs.clone()), Path::new("/db"), small).expect("opens");
    let mut random = Random(3);
    for turn in 0..4 {
        db.write(&batch(&mut random, 60), Durability::Durable)
            .expect("writes");
        if turn < 3 {
            db.flush().expect("flushes");
        }
    }
    drop(db);
    let mut alike = [0; 2];
    for part in ["CURRENT", "MANIFEST", ".log", ".ldb"] {
        let names = fs.list(Path::new("/db")).expect("lists");
        let name = names
            .into_iter()
            .find(|name| name.contains(part))
            .expect("is there");
        let path = Path::new("/db").join(&name);
        let whole = fs.contents(&path).expect("is there");
        let step = (whole.len() / 40).max(1);
        // Cut, and with one bit turned.
        for (at, cut) in (0..whole.len())
            .step_by(step)
            .flat_map(|at| [(at, true), (at, false)])
        {
            let copy = fs.after(Crash::Process);
            let mut bytes = whole.clone();
            match cut {
                true => bytes.truncate(at),
                false => bytes[at] ^= 1 << (at % 8),
            }
            copy.overwrite(&path, &bytes);
            let (first, second) = (on_disk(&copy), on_disk(&copy));
            let ours = Db::open(Arc::new(RealFs), first.path(), options()).and_then(|db| {
                let mut iter = db.iter()?;
                iter.seek_to_first()?;
                iter.collect::<leveldb_engine::Result<Vec<_>>>()
            });
            // Core's LevelDB says which file it is, and so does the engine; the system's does not.
            let ours = ours.map_err(|error| {
                let text = shorn(&error.to_string(), first.path());
                text.strip_suffix(&format!(": {name}"))
                    .map_or(text.clone(), str::to_owned)
            });
            let theirs = LevelDb::open(second.path(), &options()).and_then(|db| db.try_entries());
            let theirs = theirs.map_err(|error| shorn(&error, second.path()));
            assert_eq!(
                ours,
                theirs,
                "{name} of {} bytes at {at}, cut: {cut}",
                whole.len()
            );
            alike[usize::from(ours.is_ok())] += 1;
        }
    }
    assert!(alike[0] > 50 && alike[1] > 50, "{alike:?}");
}

/// An error's text without the directory.
fn shorn(text: &str, dir: &Path) -> String {
    text.replace(&format!("{}/", dir.display()), "")
}

#[test]
fn each_keeps_the_other_out() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("db");
    // Record locks do not hold within one process, so the other engine runs in another.
    if let Ok(path) = std::env::var("LEVELDB_ENGINE_TEST_PATH") {
        let error = LevelDb::open(Path::new(&path), &options())
            .err()
            .expect("is locked");
        assert!(error.starts_with("IO error: lock"), "{error}");
        return;
    }
    let _db = ours(&path);
    let status = std::process::Command::new(std::env::current_exe().expect("known"))
        .args(["each_keeps_the_other_out", "--exact"])
        .env("LEVELDB_ENGINE_TEST_PATH", &path)
        .stdout(std::process::Stdio::null())
        .status()
        .expect("runs");
    assert!(status.success());
}
