//! Random histories beside a map: what is read, iterated and left after reopening.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use leveldb_engine::{Batch, Db, Durability, MemoryFs, Options};
use proptest::prelude::*;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u16, Option<u16>)>, bool),
    Flush,
    Compact(Option<u16>, Option<u16>),
    Reopen,
    Snapshot,
    Release,
    Seek(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0..300u16, proptest::option::weighted(0.7, 0..5000u16));
    prop_oneof![
        8 => (proptest::collection::vec(change, 0..80), any::<bool>()).prop_map(|(c, s)| Step::Write(c, s)),
        2 => Just(Step::Flush),
        1 => (proptest::option::of(0..300u16), proptest::option::of(0..300u16)).prop_map(|(a, b)| Step::Compact(a, b)),
        1 => Just(Step::Reopen),
        2 => Just(Step::Snapshot),
        1 => Just(Step::Release),
        3 => (0..310u16).prop_map(Step::Seek),
    ]
}

fn key(n: u16) -> Vec<u8> {
    format!("key{n:05}").into_bytes()
}

fn value(n: u16) -> Vec<u8> {
    vec![n as u8; usize::from(n)]
}

fn options() -> Options {
    Options {
        write_buffer_size: 64 << 10,
        max_file_size: 1 << 20,
        block_cache_size: 32 << 10,
        block_size: 1 << 10,
        ..Options::default()
    }
}

fn open(fs: &MemoryFs) -> Db {
    Db::open(Arc::new(fs.clone()), Path::new("/db"), options()).expect("opens")
}

fn entries(iter: leveldb_engine::Result<leveldb_engine::Iter<'_>>) -> Map {
    let mut iter = iter.expect("iterates");
    iter.seek_to_first().expect("reads");
    let mut last = None;
    iter.map(|entry| entry.expect("reads"))
        .inspect(|(key, _)| {
            assert!(last.as_ref() < Some(key), "keys come in order");
            last = Some(key.clone());
        })
        .collect()
}

fn run(steps: Vec<Step>) {
    let fs = MemoryFs::new();
    let mut model = Map::new();
    let mut steps = steps.into_iter().peekable();
    while steps.peek().is_some() {
        let db = open(&fs);
        assert_eq!(entries(db.iter()), model);
        let mut snapshots = Vec::new();
        for step in steps.by_ref() {
            match step {
                Step::Write(changes, durable) => {
                    let mut batch = Batch::new();
                    for (n, change) in changes {
                        match change {
                            Some(v) => {
                                batch.put(&key(n), &value(v));
                                model.insert(key(n), value(v));
                            }
                            None => {
                                batch.delete(&key(n));
                                model.remove(&key(n));
                            }
                        }
                    }
                    let durability = match durable {
                        true => Durability::Durable,
                        false => Durability::Lazy,
                    };
                    db.write(&batch, durability).expect("writes");
                }
                Step::Flush => db.flush().expect("flushes"),
                Step::Compact(begin, end) => {
                    let (begin, end) = (begin.map(key), end.map(key));
                    db.compact(begin.as_deref(), end.as_deref())
                        .expect("compacts");
                }
                Step::Reopen => break,
                Step::Snapshot => snapshots.push((db.snapshot(), model.clone())),
                Step::Release => drop(snapshots.pop()),
                Step::Seek(n) => {
                    let mut iter = db.iter().expect("iterates");
                    iter.seek(&key(n)).expect("seeks");
                    let found = iter.entry().map(|(k, v)| (k.to_vec(), v.to_vec()));
                    let expected = model.range(key(n)..).next();
                    assert_eq!(found, expected.map(|(k, v)| (k.clone(), v.clone())));
                }
            }
            for n in (0..300).step_by(17) {
                assert_eq!(db.get(&key(n)).expect("reads").as_ref(), model.get(&key(n)));
            }
        }
        for (snapshot, then) in &snapshots {
            assert_eq!(&entries(snapshot.iter()), then);
            for n in 0..300 {
                assert_eq!(
                    snapshot.get(&key(n)).expect("reads").as_ref(),
                    then.get(&key(n))
                );
            }
        }
        for n in 0..300 {
            assert_eq!(db.get(&key(n)).expect("reads").as_ref(), model.get(&key(n)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn it_is_a_map(steps in proptest::collection::vec(step(), 1..60)) {
        run(steps);
    }
}

/// More of the same, a new history each time, for `LEVELDB_ENGINE_SECONDS` seconds.
#[test]
fn it_is_a_map_for_as_long_as_asked() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let seconds = std::env::var("LEVELDB_ENGINE_SECONDS").unwrap_or_default();
    let time = std::time::Duration::from_secs(seconds.parse().unwrap_or(1));
    let (begun, mut runner) = (std::time::Instant::now(), TestRunner::default());
    let (mut histories, mut count) = (0, 0);
    while begun.elapsed() < time {
        let steps = proptest::collection::vec(step(), 1..200);
        let steps = steps.new_tree(&mut runner).expect("generates").current();
        (histories, count) = (histories + 1, count + steps.len());
        let shown = format!("{steps:?}");
        if let Err(panic) = std::panic::catch_unwind(|| run(steps)) {
            eprintln!("{shown}");
            std::panic::resume_unwind(panic);
        }
    }
    println!("{histories} histories of {count} steps");
}

#[test]
fn iterators_and_snapshots_hold_while_tables_come_and_go() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let fs = MemoryFs::new();
    let db = open(&fs);
    // Every batch writes one round to the even keys or to the odd ones, and deletes a third of the others.
    let write = |round: u16| {
        let mut batch = Batch::new();
        for n in 0..200 {
            match (n + round) % 6 {
                0 | 2 | 4 => batch.put(&key(n), &[&round.to_be_bytes()[..], &[7; 400]].concat()),
                3 => batch.delete(&key(n)),
                _ => {}
            }
        }
        batch.put(b"round", &round.to_be_bytes());
        db.write(&batch, Durability::Lazy).expect("writes");
    };
    write(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                db.compact(None, None).expect("compacts");
            }
        });
        for thread in 0..2u16 {
            let (db, done) = (&db, &done);
            scope.spawn(move || {
                let mut turn = thread;
                while !done.load(Ordering::Relaxed) {
                    turn = turn.wrapping_add(1);
                    let snapshot = db.snapshot();
                    let mut iter = snapshot.iter().expect("iterates");
                    let first = entries(snapshot.iter());
                    // What is written and merged meanwhile changes nothing of what either sees.
                    iter.seek(&key(turn % 200)).expect("seeks");
                    let rest = first.range(key(turn % 200)..);
                    let seen: Map = iter.map(|entry| entry.expect("reads")).collect();
                    assert!(seen.iter().eq(rest), "an iterator");
                    for (key, value) in first.iter().step_by(9) {
                        assert_eq!(snapshot.get(key).expect("reads").as_ref(), Some(value));
                    }
                    assert_eq!(entries(snapshot.iter()), first, "a snapshot");
                }
            });
        }
        (1..150).for_each(write);
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_iterator_keeps_what_compaction_takes_away() {
    let fs = MemoryFs::new();
    let db = open(&fs);
    let mut batch = Batch::new();
    for n in 0..2000 {
        batch.put(&key(n), &value(n));
    }
    db.write(&batch, Durability::Lazy).expect("writes");
    let mut iter = db.iter().expect("iterates");
    iter.seek_to_first().expect("reads");
    batch.clear();
    for n in 0..2000 {
        batch.delete(&key(n));
    }
    db.write(&batch, Durability::Lazy).expect("writes");
    db.compact(None, None).expect("compacts");
    assert!(entries(db.iter()).is_empty());
    assert_eq!(iter.count(), 2000);
}

#[test]
fn a_compaction_is_given_up_when_asked_to() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let fs = MemoryFs::new();
    let db = open(&fs);
    let mut model = Map::new();
    for round in 0..40 {
        let mut batch = Batch::new();
        for n in 0..300 {
            let v = (n * 7 + round * 31) % 4000;
            batch.put(&key(n), &value(v));
            model.insert(key(n), value(v));
        }
        db.write(&batch, Durability::Lazy).expect("writes");
    }
    let stop = Arc::new(AtomicBool::new(true));
    let done = db.compact_until(None, None, &stop).expect("works");
    assert!(!done, "it was to be given up from the start");
    for delay in 0..20 {
        let stop = Arc::new(AtomicBool::new(false));
        std::thread::scope(|scope| {
            let compaction = scope.spawn(|| db.compact_until(None, None, &stop).expect("works"));
            // Another's goes on whatever becomes of that one.
            let other = scope.spawn(|| db.compact(Some(&key(10)), Some(&key(20))).expect("works"));
            (0..delay * 1000).for_each(|_| std::hint::spin_loop());
            stop.store(true, Ordering::Relaxed);
            compaction.join().expect("ends");
            other.join().expect("ends");
        });
        assert_eq!(entries(db.iter()), model);
    }
    assert!(
        db.compact_until(None, None, &Arc::default())
            .expect("works")
    );
    assert_eq!(entries(db.iter()), model);
    let files = leveldb_engine::Fs::list(&fs, Path::new("/db")).expect("lists");
    let tables = files.iter().filter(|name| name.ends_with(".ldb")).count();
    assert_eq!(
        tables,
        db.tables_per_level().iter().sum::<usize>(),
        "no output is left behind"
    );
}

#[test]
fn threads_read_whole_batches_while_one_writes() {
    let fs = MemoryFs::new();
    let db = open(&fs);
    let write = |round: u32| {
        let mut batch = Batch::new();
        for n in 0..200u16 {
            batch.put(&key(n), &[&round.to_be_bytes()[..], &[0; 300]].concat());
        }
        db.write(&batch, Durability::Lazy).expect("writes");
    };
    write(0);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let snapshot = db.snapshot();
                    let rounds: std::collections::BTreeSet<_> = entries(snapshot.iter())
                        .into_values()
                        .map(|v| u32::from_be_bytes(*v.first_chunk().expect("long")))
                        .collect();
                    assert_eq!(rounds.len(), 1, "all of a batch is seen, or nothing");
                    let round = rounds.into_iter().next().expect("one");
                    assert!(round >= last, "time does not run backwards");
                    last = round;
                    let value = snapshot.get(&key(100)).expect("reads").expect("is there");
                    assert_eq!(value[..4], round.to_be_bytes());
                    let live = db.get(&key(7)).expect("reads").expect("is there");
                    assert!(live[..4] >= round.to_be_bytes()[..]);
                }
            });
        }
        for round in 1..300 {
            write(round);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_table_that_is_often_read_in_vain_is_merged() {
    let fs = MemoryFs::new();
    let options = Options {
        // Without filters every table in the way is read.
        bloom_bits: 0,
        ..options()
    };
    let db = Db::open(Arc::new(fs), Path::new("/db"), options).expect("opens");
    let write = |numbers: &[u16]| {
        let mut batch = Batch::new();
        numbers.iter().for_each(|&n| batch.put(&key(n), &value(n)));
        db.write(&batch, Durability::Lazy).expect("writes");
        db.flush().expect("flushes");
    };
    write(&(0..300).collect::<Vec<_>>());
    write(&[0, 299]);
    let before = db.tables_per_level();
    assert_eq!(before.iter().sum::<usize>(), 2, "{before:?}");
    // Each read looks into the small table first. Merging goes on behind.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while db.tables_per_level().iter().sum::<usize>() > 1 {
        assert!(std::time::Instant::now() < deadline, "is never merged");
        for n in 1..299 {
            assert_eq!(db.get(&key(n)).expect("reads"), Some(value(n)));
        }
    }
}
