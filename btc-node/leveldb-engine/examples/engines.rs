//! Times the engine beside the system's LevelDB, and counts lost and risen keys after churn.
//!
//! `engines [ours|leveldb] [bench|churn] DIRECTORY`

#[path = "../tests/support/leveldb.rs"]
mod leveldb;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use leveldb::LevelDb;
use leveldb_engine::{Batch, Db, Durability, Options, RealFs};

const KEYS: u64 = 3_000_000;
const BATCH: u64 = 200_000;
const READS: u64 = 500_000;

enum Engine {
    Ours(Db),
    LevelDb(LevelDb),
}

impl Engine {
    fn open(name: &str, path: &Path) -> Self {
        let options = Options {
            max_file_size: 32 << 20,
            ..Options::with_budget(64 << 20)
        };
        match name {
            "ours" => Self::Ours(Db::open(Arc::new(RealFs), path, options).expect("opens")),
            _ => Self::LevelDb(LevelDb::open(path, &options).expect("opens")),
        }
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ours(db) => db.get(key).expect("reads"),
            Self::LevelDb(db) => db.get(key),
        }
    }

    fn write(&self, batch: &Batch) {
        match self {
            Self::Ours(db) => db.write(batch, Durability::Lazy).expect("writes"),
            Self::LevelDb(db) => db.write(batch),
        }
    }
}

/// Seconds that all threads of this process have run, in user code and the system.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn mix(n: u64) -> u64 {
    let z = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn key(n: u64) -> [u8; 36] {
    let mut key = [0; 36];
    for (part, chunk) in key.chunks_mut(8).enumerate() {
        let word = mix(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) + part as u64).to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    key
}

fn value(n: u64) -> Vec<u8> {
    let len = 52 + n % 17;
    (0..len).map(|i| (n + i) as u8).collect()
}

fn read(db: &Engine, seed: u64, reads: u64) {
    for i in 0..reads {
        let n = mix(seed + i) % KEYS;
        assert_eq!(db.get(&key(n)), Some(value(n)));
    }
}

fn bench(name: &str, path: &Path) {
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        work();
        let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        println!("{name:8} {what:24} {wall:7.2} s, {cpu:7.2} s of CPU");
    };
    let mut slowest = 0f64;
    let db = Engine::open(name, path);
    timed("write 3M", &mut || {
        for first in (0..KEYS).step_by(BATCH as usize) {
            let mut batch = Batch::new();
            for n in first..first + BATCH {
                batch.put(&key(n), &value(n));
            }
            let start = Instant::now();
            db.write(&batch);
            slowest = slowest.max(start.elapsed().as_secs_f64());
        }
    });
    println!("{name:8} {:24} {slowest:7.2} s", "slowest batch");
    drop(db);
    let mut db = None;
    timed("open", &mut || db = Some(Engine::open(name, path)));
    let db = db.expect("was opened");
    timed("read 500k", &mut || read(&db, 1, READS));
    timed("read 500k again", &mut || read(&db, 1, READS));
    timed("read 500k, 2 threads", &mut || {
        std::thread::scope(|scope| {
            scope.spawn(|| read(&db, 2 << 40, READS / 2));
            read(&db, 3 << 40, READS / 2);
        });
    });
    timed("miss 500k", &mut || {
        for n in KEYS..KEYS + READS {
            assert_eq!(db.get(&key(n)), None);
        }
    });
}

fn churn(name: &str, path: &Path) {
    const LIVE: u64 = 1_000_000;
    const ROUNDS: u64 = 20;
    let start = Instant::now();
    let db = Engine::open(name, path);
    let mut slowest = 0f64;
    let mut write = |batch: &Batch| {
        let start = Instant::now();
        db.write(batch);
        slowest = slowest.max(start.elapsed().as_secs_f64());
    };
    for first in (0..LIVE).step_by(BATCH as usize) {
        let mut batch = Batch::new();
        (first..first + BATCH).for_each(|n| batch.put(&key(n), &value(n)));
        write(&batch);
    }
    for round in 0..ROUNDS {
        let mut batch = Batch::new();
        for i in 0..BATCH {
            batch.put(
                &key(LIVE + round * BATCH + i),
                &value(LIVE + round * BATCH + i),
            );
            batch.delete(&key(round * BATCH + i));
        }
        write(&batch);
    }
    let wall = start.elapsed().as_secs_f64();
    let deleted = ROUNDS * BATCH;
    let zombies = (0..deleted).filter(|&n| db.get(&key(n)).is_some()).count();
    let lost = (deleted..deleted + LIVE)
        .filter(|&n| db.get(&key(n)) != Some(value(n)))
        .count();
    println!(
        "{name:8} churn: {wall:.2} s written, {:.2} s with reads, slowest batch {slowest:.2} s, lost {lost} of {LIVE}, risen {zombies} of {deleted}",
        start.elapsed().as_secs_f64()
    );
    assert_eq!((lost, zombies), (0, 0));
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, what, path] = &args[..] else {
        eprintln!("usage: engines [ours|leveldb] [bench|churn] DIRECTORY");
        std::process::exit(2);
    };
    match what.as_str() {
        "bench" => bench(name, Path::new(path)),
        _ => churn(name, Path::new(path)),
    }
}
