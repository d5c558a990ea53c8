//! Every seed through its target, as a plain test; with `FUZZ_RUNS`, that many variants of the seeds too.

use std::panic::{catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// Longer than any input should take.
const STUCK: Duration = Duration::from_secs(60);

/// One target at a time: some count the threads of the process.
static ALONE: Mutex<()> = Mutex::new(());

/// Panics so far, those of threads that nobody joins too.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Runs `target` over the files of `seeds/<name>` and, where a fuzzer has found some, `artifacts/<name>`; then over
/// `FUZZ_RUNS` variants of the seeds, for `FUZZ_SECONDS` at most.
fn run(name: &str, target: fn(&[u8])) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    count_panics();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here.join("artifacts").join(name);
    let seeds = files(&here.join("seeds").join(name));
    let old = files(&found);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let read = |path| std::fs::read(path).expect("the seed can be read");
    let trial = Trial {
        target,
        input: Mutex::default(),
        begun: AtomicUsize::new(0),
        finding: found.join("variant"),
    };
    std::thread::scope(|scope| {
        let (ended, end) = channel::<()>();
        scope.spawn(|| trial.watch(end));
        for path in seeds.iter().chain(&old) {
            println!("{}", path.display());
            trial.attempt(read(path));
        }
        if let Some(runs) = setting("FUZZ_RUNS") {
            let limit = Duration::from_secs(setting("FUZZ_SECONDS").unwrap_or(u64::MAX));
            let seeds: Vec<Vec<u8>> = seeds.iter().map(read).collect();
            let start = Instant::now();
            let done = trial.vary(&seeds, runs, limit);
            let (count, took) = (seeds.len(), start.elapsed().as_secs_f64());
            println!("{name}: {count} seeds, {done} variants in {took:.1} s");
        }
        drop(ended);
    });
}

/// A target and what is being tried on it.
struct Trial {
    target: fn(&[u8]),
    input: Mutex<Vec<u8>>,
    /// How many inputs there were.
    begun: AtomicUsize,
    /// Where an input goes that is a finding.
    finding: PathBuf,
}

impl Trial {
    fn attempt(&self, input: Vec<u8>) {
        let before = PANICS.load(Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.input().clone_from(&input);
        if let Err(panic) = catch_unwind(|| (self.target)(&input)) {
            self.keep();
            resume_unwind(panic);
        }
        if PANICS.load(Ordering::SeqCst) > before {
            self.keep();
            panic!("a thread panicked");
        }
    }

    /// Tries variants of the seeds in turn, so that running out of time costs every seed the same; gives their number.
    fn vary(&self, seeds: &[Vec<u8>], runs: u64, limit: Duration) -> u64 {
        let start = Instant::now();
        let mut variants: Vec<_> = seeds.iter().map(|seed| fuzz::Variants::new(seed)).collect();
        let count = variants.len() as u64;
        for done in 0..runs {
            if start.elapsed() >= limit {
                return done;
            }
            let next = variants[(done % count) as usize].next();
            self.attempt(next.expect("there are always more"));
        }
        runs
    }

    /// Ends the process if an input takes too long: the test would not.
    fn watch(&self, end: Receiver<()>) {
        let mut seen = 0;
        while end.recv_timeout(STUCK) == Err(RecvTimeoutError::Timeout) {
            let begun = self.begun.load(Ordering::SeqCst);
            if begun == seen {
                self.keep();
                eprintln!("an input takes more than {} s", STUCK.as_secs());
                std::process::abort();
            }
            seen = begun;
        }
    }

    fn input(&self) -> MutexGuard<'_, Vec<u8>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self) {
        let folder = self.finding.parent().expect("it is in a folder");
        std::fs::create_dir_all(folder).expect("a folder can be made");
        std::fs::write(&self.finding, &*self.input()).expect("the finding can be written");
        eprintln!("found {}", self.finding.display());
    }
}

/// The files of a folder, sorted; none if there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect();
    files.sort();
    files
}

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {value}")),
    )
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            usual(panic);
        }));
    });
}

#[test]
fn codegen_request() {
    run("codegen_request", fuzz::codegen_request);
}

#[test]
fn config_file() {
    run("config_file", fuzz::config_file);
}

#[test]
fn consensus_script() {
    run("consensus_script", fuzz::consensus_script);
}

#[test]
fn consensus_tx() {
    run("consensus_tx", fuzz::consensus_tx);
}

#[test]
fn descriptor() {
    run("descriptor", fuzz::descriptor);
}

#[test]
fn http_request() {
    run("http_request", fuzz::http_request);
}

#[test]
fn jsonrpc_args() {
    run("jsonrpc_args", fuzz::jsonrpc_args);
}

#[test]
fn leveldb_files() {
    run("leveldb_files", fuzz::leveldb_files);
}

#[test]
fn p2p_message() {
    run("p2p_message", fuzz::p2p_message);
}

#[test]
fn rpc_connection() {
    run("rpc_connection", fuzz::rpc_connection);
}

#[test]
fn rpc_sequence() {
    run("rpc_sequence", fuzz::rpc_sequence);
}

#[test]
fn storage_record() {
    run("storage_record", fuzz::storage_record);
}

#[test]
fn wire_message() {
    run("wire_message", fuzz::wire_message);
}
