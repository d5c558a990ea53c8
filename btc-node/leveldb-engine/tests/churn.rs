//! A set of coins whose members come and go: no key is lost and none comes back, whichever engine wrote and whichever
//! reads. An engine that answered wrongly here, as one of those that read these files does, would split the chain.
//!
//! The size is that of a quick test; `cargo xtask bench store` does the same with a million live keys. `MP_PYTHON` names
//! a Python with plyvel.

#[cfg(all(unix, feature = "system-leveldb"))]
#[path = "support/leveldb.rs"]
mod leveldb;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use leveldb_engine::{Batch, Change, Db, Durability, Options, RealFs};

const LIVE: u64 = 12_000;
const TURNOVER: u64 = 3_000;
const ROUNDS: u64 = 20;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn options() -> Options {
    Options {
        write_buffer_size: 64 << 10,
        max_file_size: 1 << 20,
        block_cache_size: 128 << 10,
        ..Options::default()
    }
}

fn mix(n: u64) -> u64 {
    let z = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Thirty-six bytes, as a coin's key has.
fn key(n: u64) -> Vec<u8> {
    let words = (0..5).map(|part| mix(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) + part));
    let mut key: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    key.truncate(36);
    key
}

fn value(n: u64) -> Vec<u8> {
    (0..52 + n % 17).map(|i| (n + i) as u8).collect()
}

/// The batches of the rounds from `first` on, `rounds` of them; round 0 makes the first coins.
fn batches(first: u64, rounds: u64) -> impl Iterator<Item = Batch> {
    (first..first + rounds).map(|round| {
        let mut batch = Batch::new();
        if round == 0 {
            (0..LIVE).for_each(|n| batch.put(&key(n), &value(n)));
            return batch;
        }
        for n in (round - 1) * TURNOVER..round * TURNOVER {
            batch.put(&key(LIVE + n), &value(LIVE + n));
            batch.delete(&key(n));
        }
        batch
    })
}

/// What is live after so many rounds beyond the first.
fn live(rounds: u64) -> Map {
    let first = rounds * TURNOVER;
    let coins = first..first + LIVE;
    coins.map(|n| (key(n), value(n))).collect()
}

fn open(path: &Path) -> Db {
    Db::open(Arc::new(RealFs), path, options()).expect("opens")
}

fn write(db: &Db, batches: impl Iterator<Item = Batch>) {
    batches.for_each(|batch| db.write(&batch, Durability::Lazy).expect("writes"));
}

/// Looks for every key that ever was, and goes through all of them.
fn check(db: &Db, rounds: u64) {
    let live = live(rounds);
    for n in 0..LIVE + rounds * TURNOVER {
        let key = key(n);
        assert_eq!(db.get(&key).expect("reads").as_ref(), live.get(&key), "{n}");
    }
    let mut iter = db.iter().expect("iterates");
    iter.seek_to_first().expect("reads");
    let found: Vec<_> = iter.map(|entry| entry.expect("reads")).collect();
    assert!(found.into_iter().eq(live));
}

#[test]
fn no_key_is_lost_and_none_comes_back() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let db = open(dir.path());
    write(&db, batches(0, 1 + ROUNDS));
    check(&db, ROUNDS);
    let tables: usize = db.tables_per_level().iter().sum();
    assert!(tables > 1, "{tables}: too little to show anything");
    drop(db);
    let db = open(dir.path());
    check(&db, ROUNDS);
    db.compact(None, None).expect("compacts");
    check(&db, ROUNDS);
}

#[cfg(all(unix, feature = "system-leveldb"))]
#[test]
fn leveldb_takes_its_turns() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut round = 0;
    while round < ROUNDS {
        write(&open(dir.path()), batches(round, 3));
        round += 3;
        let db = leveldb::LevelDb::open(dir.path(), &options()).expect("opens");
        let expected: Vec<_> = live(round - 1).into_iter().collect();
        assert!(db.entries() == expected, "after round {round}");
        for n in 0..LIVE + (round - 1) * TURNOVER {
            let found = db.get(&key(n));
            let lives = n >= (round - 1) * TURNOVER;
            assert_eq!(found, lives.then(|| value(n)), "{n}");
        }
        batches(round, 2).for_each(|batch| db.write(&batch));
        round += 2;
        drop(db);
        check(&open(dir.path()), round - 1);
    }
}

/// A Python that has plyvel, if there is one.
fn python() -> Option<String> {
    let python = std::env::var("MP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python)
        .args(["-c", "import plyvel"])
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success()).then_some(python)
}

/// Lets plyvel write the batches, compact if asked to, and say what it then finds.
fn by_plyvel(
    python: &str,
    path: &Path,
    batches: impl Iterator<Item = Batch>,
    compact: bool,
) -> Map {
    let hex = |bytes: &[u8]| {
        bytes.iter().fold("x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    let bytes = |word: &str| -> Vec<u8> {
        let digits = word.as_bytes()[1..].chunks(2);
        let pairs = digits.map(|pair| std::str::from_utf8(pair).expect("is ASCII"));
        pairs
            .map(|pair| u8::from_str_radix(pair, 16).expect("is hexadecimal"))
            .collect()
    };
    let mut input = String::new();
    for batch in batches {
        for change in batch.changes() {
            input += &match change {
                Change::Put(key, value) => format!("+ {} {}\n", hex(key), hex(value)),
                Change::Delete(key) => format!("- {}\n", hex(key)),
            };
        }
        input += ".\n";
    }
    if compact {
        input += "*\n";
    }
    let script = format!("{}/tests/foreign/leveldb.py", env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(python)
        .args(["-B", &script])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    // The script prints only after it has read everything.
    let mut stdin = child.stdin.take().expect("is piped");
    stdin.write_all(input.as_bytes()).expect("is read");
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "the script failed");
    let text = String::from_utf8(output.stdout).expect("is ASCII");
    let words = text.lines().map(|line| line.split_once(' ').expect("two"));
    words
        .map(|(key, value)| (bytes(key), bytes(value)))
        .collect()
}

#[test]
fn plyvel_takes_its_turns() {
    let Some(python) = python() else {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must have python3 with plyvel"
        );
        eprintln!("SKIPPED: no python3 with plyvel here");
        return;
    };
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut round = 0;
    while round < ROUNDS {
        write(&open(dir.path()), batches(round, 4));
        round += 4;
        let theirs = by_plyvel(&python, dir.path(), batches(round, 3), round > ROUNDS / 2);
        round += 3;
        assert!(theirs == live(round - 1), "after round {round}");
        check(&open(dir.path()), round - 1);
    }
}
