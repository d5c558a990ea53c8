//! The file system fails, runs full, or is gone, at each call: what was reported as written is there afterwards, and what
//! is there is what was written up to some batch.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use leveldb_engine::{Batch, Crash, Db, Durability, Error, Fault, MemoryFs, Options};

const KEYS: u32 = 40;
const BATCHES: u32 = 60;

fn options() -> Options {
    Options {
        write_buffer_size: 64 << 10,
        ..Options::default()
    }
}

fn key(n: u32) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

/// The batch with this number. Batch 0 does not exist; the state before batch 1 is empty.
fn batch(number: u32) -> Batch {
    let mut batch = Batch::new();
    batch.put(b"number", &number.to_be_bytes());
    for n in 0..KEYS {
        match (n + number) % 5 {
            0 => batch.delete(&key(n)),
            1 | 2 => batch.put(&key(n), &[number as u8; 400]),
            _ => {}
        }
    }
    batch
}

fn state_after(number: u32) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut state = BTreeMap::new();
    for number in 1..=number {
        for change in batch(number).changes() {
            match change {
                leveldb_engine::Change::Put(key, value) => {
                    state.insert(key.to_vec(), value.to_vec());
                }
                leveldb_engine::Change::Delete(key) => {
                    state.remove(key);
                }
            }
        }
    }
    state
}

/// Writes batches from `first` until one fails; returns the last one tried, and the last durable and last lazy one that
/// were reported as written.
fn work(fs: &MemoryFs, first: u32) -> (u32, u32, u32) {
    let (mut durable, mut lazy) = (first - 1, first - 1);
    let Ok(db) = Db::open(Arc::new(fs.clone()), Path::new("/db"), options()) else {
        return (first - 1, durable, lazy);
    };
    for number in first..first + BATCHES {
        let durability = match number % 4 {
            0 => Durability::Durable,
            _ => Durability::Lazy,
        };
        if db.write(&batch(number), durability).is_err() {
            return (number, durable, lazy);
        }
        lazy = number;
        if durability == Durability::Durable {
            durable = number;
        }
        if number % 16 == 0 && db.flush().is_err() {
            return (number, durable, lazy);
        }
        if number % 50 == 0 && db.compact(None, None).is_err() {
            return (number, durable, lazy);
        }
    }
    (first + BATCHES - 1, durable, lazy)
}

/// Opens what is left and says up to which batch it goes.
fn check(fs: &MemoryFs, least: u32, most: u32, what: &str) -> u32 {
    let db = Db::open(Arc::new(fs.clone()), Path::new("/db"), options())
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let number = db.get(b"number").expect("reads").map_or(0, |value| {
        u32::from_be_bytes(*value.first_chunk().expect("four bytes"))
    });
    assert!(
        (least..=most).contains(&number),
        "{what}: {number} not in {least}..={most}"
    );
    let mut iter = db.iter().expect("iterates");
    iter.seek_to_first().expect("reads");
    let found: BTreeMap<_, _> = iter.map(|entry| entry.expect("reads")).collect();
    assert_eq!(found, state_after(number), "{what}");
    number
}

#[test]
fn nothing_durable_is_lost_whatever_call_fails() {
    let calls = {
        let fs = MemoryFs::new();
        work(&fs, 1);
        fs.calls()
    };
    assert!(calls > 100, "{calls}");
    for at in 0..calls {
        for fault in [Fault::Fail, Fault::ShortWrite, Fault::NoSpace, Fault::Crash] {
            let fs = MemoryFs::new();
            fs.inject(at, fault);
            let (tried, durable, lazy) = work(&fs, 1);
            for crash in [Crash::Process, Crash::Torn, Crash::Power] {
                let what = format!("{fault:?} at call {at} of {calls}, then {crash:?}");
                let least = match crash {
                    Crash::Process => lazy,
                    Crash::Torn | Crash::Power => durable,
                };
                let left = fs.after(crash);
                let number = check(&left, least, tried, &what);
                // It must be possible to go on from there, and to lose power again.
                if at % 7 == 0 {
                    let (tried, durable, _) = work(&left, number + 1);
                    assert_eq!(tried, number + BATCHES, "{what}");
                    check(&left.after(Crash::Power), durable, tried, &what);
                }
            }
        }
    }
}

#[test]
fn after_a_failure_writes_are_refused_and_reads_go_on() {
    let fs = MemoryFs::new();
    let db = Db::open(Arc::new(fs.clone()), Path::new("/db"), options()).expect("opens");
    db.write(&batch(1), Durability::Durable).expect("writes");
    fs.inject(0, Fault::Fail);
    let error = db.write(&batch(2), Durability::Lazy).unwrap_err();
    assert!(matches!(&error, Error::Io { .. }), "{error}");
    assert_eq!(db.write(&batch(3), Durability::Lazy).unwrap_err(), error);
    assert_eq!(
        db.get(b"number").expect("reads"),
        Some(1u32.to_be_bytes().to_vec())
    );
}

#[test]
fn damage_is_reported_in_leveldbs_words() {
    let fresh = || {
        let fs = MemoryFs::new();
        let db = Db::open(Arc::new(fs.clone()), Path::new("/db"), options()).expect("opens");
        db.write(&batch(1), Durability::Durable).expect("writes");
        db.flush().expect("flushes");
        drop(db);
        fs
    };
    let fails = |fs: &MemoryFs| {
        Db::open(Arc::new(fs.clone()), Path::new("/db"), options())
            .expect_err("does not open")
            .to_string()
    };
    let names = |fs: &MemoryFs, part: &str| {
        use leveldb_engine::Fs;
        let names = fs.list(Path::new("/db")).expect("lists");
        let name = names.into_iter().find(|name| name.contains(part));
        Path::new("/db").join(name.expect("is there"))
    };

    let fs = fresh();
    fs.overwrite(Path::new("/db/CURRENT"), b"nonsense");
    assert_eq!(
        fails(&fs),
        "Corruption: CURRENT file does not end with newline"
    );

    let fs = fresh();
    fs.overwrite(Path::new("/db/CURRENT"), b"MANIFEST-000099\n");
    assert_eq!(
        fails(&fs),
        "Corruption: CURRENT points to a non-existent file: NotFound: /db/MANIFEST-000099: No such file or directory"
    );

    let fs = fresh();
    {
        use leveldb_engine::Fs;
        let table = names(&fs, ".ldb");
        fs.remove(&table).expect("removes");
        let text = format!("Corruption: 1 missing files; e.g.: {}", table.display());
        assert_eq!(fails(&fs), text);
    }

    let fs = fresh();
    let manifest = names(&fs, "MANIFEST");
    let mut bytes = fs.contents(&manifest).expect("is there");
    bytes[10] ^= 1;
    fs.overwrite(&manifest, &bytes);
    assert!(fails(&fs).starts_with("Corruption: checksum mismatch"));

    let fs = fresh();
    let table = names(&fs, ".ldb");
    let mut bytes = fs.contents(&table).expect("is there");
    bytes[30] ^= 1;
    fs.overwrite(&table, &bytes);
    let db = Db::open(Arc::new(fs), Path::new("/db"), options()).expect("opens");
    let error = db.get(&key(1)).unwrap_err().to_string();
    let text = format!("Corruption: block checksum mismatch: {}", table.display());
    assert_eq!(error, text);
}

#[test]
fn a_database_that_is_destroyed_in_part_makes_room_for_a_new_one() {
    let filled = || {
        let fs = MemoryFs::new();
        assert_eq!(work(&fs, 1).0, BATCHES);
        fs
    };
    let calls = {
        let fs = filled();
        let before = fs.calls();
        Db::destroy(&fs, Path::new("/db")).expect("destroys");
        fs.calls() - before
    };
    for at in 2..calls {
        let fs = filled();
        fs.inject(at, Fault::Crash);
        Db::destroy(&fs, Path::new("/db")).expect_err("is interrupted");
        check(&fs.after(Crash::Process), 0, 0, &format!("call {at}"));
    }
}

#[test]
fn a_database_is_open_once_and_destroyed_whole() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let fs: Arc<dyn leveldb_engine::Fs> = Arc::new(leveldb_engine::RealFs);
    let path = dir.path().join("db");
    let db = Db::open(Arc::clone(&fs), &path, options()).expect("opens");
    let error = Db::open(Arc::clone(&fs), &path, options()).expect_err("is open");
    let text = format!(
        "IO error: lock {}: already held by process",
        path.join("LOCK").display()
    );
    assert_eq!(error.to_string(), text);
    db.write(&batch(1), Durability::Durable).expect("writes");
    drop(db);
    Db::destroy(&*fs, &path).expect("destroys");
    assert!(!path.exists());
    Db::destroy(&*fs, &path).expect("has nothing to destroy");
    let options = Options {
        create_if_missing: false,
        ..options()
    };
    let error = Db::open(fs, &path, options).expect_err("is not there");
    assert!(
        error
            .to_string()
            .ends_with("does not exist (create_if_missing is false)")
    );
}
