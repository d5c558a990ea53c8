//! Times the engine beside the system's LevelDB on the same work, turn by turn, counts lost and risen keys after churn, and
//! says how much memory each takes.
//!
//! `engines bench [--rounds N] [--engine NAME] DIRECTORY`, `engines churn [--engine NAME] DIRECTORY` or
//! `engines memory --engine NAME DIRECTORY`; engines are `rust` and `leveldb`, both without the option. Of several rounds
//! the quickest counts. The directory must be empty. The last column is how many times as long LevelDB takes, by the
//! clock and in CPU time.

#[path = "../tests/support/leveldb.rs"]
mod leveldb;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
        std::fs::create_dir_all(path).expect("creates");
        match name {
            "rust" => Self::Ours(Db::open(Arc::new(RealFs), path, options).expect("opens")),
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

/// One row of the table: wall clock and CPU seconds.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

fn timed(work: impl FnOnce()) -> Cost {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    work();
    Cost {
        wall: start.elapsed().as_secs_f64(),
        cpu: cpu_seconds() - cpu,
    }
}

fn read(db: &Engine, seed: u64, reads: u64) {
    for i in 0..reads {
        let n = mix(seed + i) % KEYS;
        assert_eq!(db.get(&key(n)), Some(value(n)));
    }
}

/// Work with its name.
type Work = (&'static str, fn(&Engine));

/// Work on an open database that can be done again.
const REPEATED: [Work; 3] = [
    ("read 500k", |db| read(db, 1, READS)),
    ("read 500k, 2 threads", |db| {
        std::thread::scope(|scope| {
            scope.spawn(|| read(db, 2 << 40, READS / 2));
            read(db, 3 << 40, READS / 2);
        });
    }),
    ("miss 500k", |db| {
        for n in KEYS..KEYS + READS {
            assert_eq!(db.get(&key(n)), None);
        }
    }),
];

/// Writes and opens; what goes on in the background is waited for, so that it does not fall into the reads.
fn fill(name: &str, path: &Path, rows: &mut Vec<(String, Cost)>) -> Engine {
    let mut slowest = 0f64;
    let write = timed(|| {
        let db = Engine::open(name, path);
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
    rows.push(("write 3M, close".into(), write));
    let cost = Cost {
        wall: slowest,
        cpu: 0.0,
    };
    rows.push(("slowest batch of 200k".into(), cost));
    let mut db = None;
    let open = timed(|| db = Some(Engine::open(name, path)));
    rows.push(("open".into(), open));
    let db = db.expect("was opened");
    rows.push((
        "first 500k reads".into(),
        timed(|| read(&db, 4 << 40, READS)),
    ));
    loop {
        let before = cpu_seconds();
        std::thread::sleep(Duration::from_millis(500));
        if cpu_seconds() - before < 0.05 {
            return db;
        }
    }
}

fn bench(names: &[&str], path: &Path, rounds: usize) {
    let mut columns = Vec::new();
    let mut engines = Vec::new();
    for name in names {
        let mut rows = Vec::new();
        engines.push(fill(name, &path.join(name), &mut rows));
        columns.push(rows);
    }
    for (what, work) in REPEATED {
        let mut best = vec![
            Cost {
                wall: f64::MAX,
                cpu: f64::MAX
            };
            names.len()
        ];
        for _ in 0..rounds {
            for (db, best) in engines.iter().zip(&mut best) {
                let cost = timed(|| work(db));
                best.wall = best.wall.min(cost.wall);
                best.cpu = best.cpu.min(cost.cpu);
            }
        }
        for (column, best) in columns.iter_mut().zip(best) {
            column.push((what.into(), best));
        }
    }
    print(names, &columns);
}

fn print(names: &[&str], columns: &[Vec<(String, Cost)>]) {
    print!("{:24}", "seconds: wall (CPU)");
    names.iter().for_each(|name| print!("{name:>18}"));
    println!();
    for row in 0..columns[0].len() {
        print!("{:24}", columns[0][row].0);
        for column in columns {
            let Cost { wall, cpu } = column[row].1;
            print!("{:>18}", format!("{wall:.2} ({cpu:.2})"));
        }
        match columns {
            [ours, theirs] => {
                let (ours, theirs) = (ours[row].1, theirs[row].1);
                let wall = format!("{:.2}x", theirs.wall / ours.wall);
                // What is only waited for has no CPU time.
                let cpu = match ours.cpu > 0.0 {
                    true => format!("({:.2}x)", theirs.cpu / ours.cpu),
                    false => String::new(),
                };
                println!("{wall:>9} {cpu}");
            }
            _ => println!(),
        }
    }
}

/// Says how much memory this process took for writing and reading.
fn memory(name: &str, path: &Path) {
    let db = fill(name, path, &mut Vec::new());
    REPEATED.iter().for_each(|(_, work)| work(&db));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mib = |field: &str| {
        let line = status.lines().find(|line| line.starts_with(field))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1024)
    };
    match (mib("VmHWM:"), mib("RssAnon:"), mib("RssFile:")) {
        (Some(peak), Some(own), Some(mapped)) => println!(
            "{name}: {peak} MiB resident at most; at the end {own} MiB of its own and {mapped} MiB of mapped files"
        ),
        _ => println!("{name}: this system does not tell"),
    }
}

fn churn(name: &str, path: &Path) -> Vec<(String, Cost)> {
    const LIVE: u64 = 1_000_000;
    const ROUNDS: u64 = 20;
    let deleted = ROUNDS * BATCH;
    let mut slowest = 0f64;
    let db = Engine::open(name, path);
    let written = timed(|| {
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
                let n = LIVE + round * BATCH + i;
                batch.put(&key(n), &value(n));
                batch.delete(&key(round * BATCH + i));
            }
            write(&batch);
        }
    });
    let read = timed(|| {
        let risen = (0..deleted).filter(|&n| db.get(&key(n)).is_some()).count();
        let lost = (deleted..deleted + LIVE)
            .filter(|&n| db.get(&key(n)) != Some(value(n)))
            .count();
        println!("{name}: lost {lost} of {LIVE}, risen {risen} of {deleted}");
        assert_eq!((lost, risen), (0, 0));
    });
    let slowest = Cost {
        wall: slowest,
        cpu: 0.0,
    };
    vec![
        ("churn".into(), written),
        ("slowest batch".into(), slowest),
        ("5M reads after it".into(), read),
    ]
}

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let mut option = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.remove(at);
        (at < args.len()).then(|| args.remove(at))
    };
    let rounds = option("--rounds").map_or(Some(3), |n| n.parse().ok());
    let engine = option("--engine");
    let names = match engine.as_deref() {
        Some("rust") => Some(&["rust"][..]),
        Some("leveldb") => Some(&["leveldb"][..]),
        Some(_) => None,
        None => Some(&["rust", "leveldb"][..]),
    };
    match (&args[..], rounds, names) {
        ([what, path], Some(rounds), Some(names)) if what == "bench" => {
            bench(names, Path::new(path), rounds);
        }
        ([what, path], _, Some(&[name])) if what == "memory" => memory(name, Path::new(path)),
        ([what, path], _, Some(names)) if what == "churn" => {
            let mut columns = Vec::new();
            for name in names {
                columns.push(churn(name, &Path::new(path).join(name)));
            }
            print(names, &columns);
        }
        _ => {
            eprintln!(
                "usage: engines [bench|churn|memory] [--rounds N] [--engine rust|leveldb] DIRECTORY"
            );
            std::process::exit(2);
        }
    }
}
