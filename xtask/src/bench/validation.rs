//! How fast the node validates a chain that it has on disk, beside Bitcoin Core's bitcoind.
//!
//! The chain is generated once, always the same, and kept under the target folder. For each program and number of
//! script threads a fresh data directory gets its block files; the program rebuilds everything from them (`-reindex`),
//! then the coins alone (`-reindex-chainstate`). What is timed is the whole process, from its start to its exit with
//! everything on disk. Programs take turns, and each figure is the best of all rounds: what else the machine does can
//! only add to it.

use super::generated::{self, Generated, io};
use super::micro;
use crate::procfs;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why blocks were not timed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An argument that the command does not know.
    #[error(
        "bench validation: unknown argument {0:?}; it takes --core DIR, --rounds N, --par N, --dbcache MIB and --micro"
    )]
    Argument(String),
    /// An option without its value, or with a wrong one.
    #[error("bench validation: {0} needs {1}")]
    Value(&'static str, &'static str),
    /// The chain or a file are not to be had.
    #[error(transparent)]
    Data(#[from] generated::Error),
    /// Single steps were not compared.
    #[error(transparent)]
    Micro(#[from] micro::Error),
    /// A program ended otherwise than after validating the whole chain.
    #[error("bench validation: {program} with {job} {what}; see {}", log.display())]
    Run {
        /// Whose program.
        program: &'static str,
        /// What it was to do.
        job: &'static str,
        /// How it ended.
        what: String,
        /// What it wrote.
        log: PathBuf,
    },
}

/// How long one run may take.
const RUN_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(5);
/// The benchmark program that makes the chain.
const BENCH: &str = "validation";
/// What the folder of the chain is named by: another chain needs another number.
const CHAIN: &str = "chain-1";

const JOBS: [&str; 2] = ["-reindex", "-reindex-chainstate"];

/// Runs the command with the arguments after its name.
pub(super) fn run(arguments: &[String]) -> Result<(), Error> {
    let options = Options::parse(arguments)?;
    if options.rounds > 0 {
        whole_chain(&options)?;
    }
    if options.micro {
        micro::run(BENCH, options.core.as_deref())?;
    }
    Ok(())
}

fn whole_chain(options: &Options) -> Result<(), Error> {
    let folder = generated::place(BENCH);
    let chain = Chain::obtain()?;
    println!(
        "{} blocks, {} transactions, {} inputs with {} signatures, {} outputs, {:.1} MB; -dbcache={}",
        chain.blocks,
        chain.transactions,
        chain.inputs,
        chain.signatures,
        chain.outputs,
        chain.bytes as f64 / 1e6,
        options.dbcache,
    );
    let mut contestants = vec![("ours", generated::node()?)];
    if let Some(core) = &options.core {
        contestants.push(("Core", core.join("bitcoind")));
    }
    println!(
        "{:<8} {:<20} {:>4} {:>9} {:>9} {:>10} {:>10} {:>10}",
        "", "", "-par", "wall s", "CPU s", "blocks/s", "inputs/s", "peak MiB"
    );
    for par in &options.par {
        let mut best = vec![[None::<Cost>; JOBS.len()]; contestants.len()];
        for _ in 0..options.rounds {
            for ((name, program), best) in contestants.iter().zip(&mut best) {
                let costs = round(name, program, &folder, &chain, *par, options.dbcache)?;
                for (best, cost) in best.iter_mut().zip(costs) {
                    *best = Some(best.map_or(cost, |best| best.least(cost)));
                }
            }
        }
        for (number, job) in JOBS.into_iter().enumerate() {
            let costs: Vec<Cost> = best.iter().filter_map(|costs| costs[number]).collect();
            for ((name, _), cost) in contestants.iter().zip(&costs) {
                println!("{}", cost.line(name, job, *par, &chain));
            }
            if let [ours, core] = costs[..] {
                println!("{}", ours.ratios(core, job, *par));
            }
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Options {
    /// The folder of Core's bitcoind.
    core: Option<PathBuf>,
    /// 0 if only single steps are to be measured.
    rounds: u32,
    /// Script threads, as `-par` has them.
    par: Vec<u32>,
    /// In MiB.
    dbcache: u32,
    micro: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Error> {
        let mut options = Self {
            core: None,
            rounds: 3,
            par: Vec::new(),
            dbcache: 450,
            micro: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = |name, least: u32, most: u32, what| {
                arguments
                    .next()
                    .and_then(|value| value.parse().ok())
                    .filter(|number| (least..=most).contains(number))
                    .ok_or(Error::Value(name, what))
            };
            match argument.as_str() {
                "--core" => {
                    let missing = Error::Value("--core", "the folder of a bitcoind");
                    let folder = PathBuf::from(arguments.next().ok_or(missing)?);
                    options.core = Some(std::path::absolute(&folder).map_err(io(&folder))?);
                }
                "--rounds" => {
                    options.rounds = number("--rounds", 0, 1000, "a number from 0 to 1000")?;
                }
                "--par" => {
                    let par = number("--par", 1, 16, "a number from 1 to 16")?;
                    options.par.push(par);
                }
                "--dbcache" => {
                    options.dbcache = number("--dbcache", 4, 65_536, "MiB from 4 to 65536")?;
                }
                "--micro" => options.micro = true,
                unknown => return Err(Error::Argument(unknown.to_owned())),
            }
        }
        if options.rounds == 0 && !options.micro {
            return Err(Error::Value("--rounds", "a number from 1, or --micro"));
        }
        if options.par.is_empty() {
            options.par = vec![1, 2];
        }
        Ok(options)
    }
}

/// The generated chain.
struct Chain {
    folder: PathBuf,
    blocks: u64,
    transactions: u64,
    inputs: u64,
    outputs: u64,
    signatures: u64,
    bytes: u64,
    tip: String,
}

impl Chain {
    /// The chain as an earlier call left it, or made now.
    fn obtain() -> Result<Self, Error> {
        let data = Generated::obtain(BENCH, CHAIN)?;
        Ok(Self {
            blocks: data.number("blocks")?,
            transactions: data.number("transactions")?,
            inputs: data.number("inputs")?,
            outputs: data.number("outputs")?,
            signatures: data.number("signatures")?,
            bytes: data.number("bytes")?,
            tip: data.field("tip")?.to_owned(),
            folder: data.folder().to_owned(),
        })
    }

    /// Puts the block files where a node on regtest looks for them.
    fn copy_to(&self, data_dir: &Path) -> Result<(), Error> {
        let blocks = data_dir.join("regtest").join("blocks");
        fs::create_dir_all(&blocks).map_err(io(&blocks))?;
        for entry in fs::read_dir(&self.folder).map_err(io(&self.folder))? {
            let path = entry.map_err(io(&self.folder))?.path();
            if path.extension().is_some_and(|extension| extension == "dat")
                && let Some(name) = path.file_name()
            {
                fs::copy(&path, blocks.join(name)).map_err(io(&path))?;
            }
        }
        Ok(())
    }
}

/// What one run took.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    wall: f64,
    cpu: f64,
    /// Bytes.
    peak: u64,
}

impl Cost {
    fn least(self, other: Self) -> Self {
        Self {
            wall: self.wall.min(other.wall),
            cpu: self.cpu.min(other.cpu),
            peak: self.peak.min(other.peak),
        }
    }

    fn line(&self, name: &str, job: &str, par: u32, chain: &Chain) -> String {
        let mut line = format!(
            "{name:<8} {job:<20} {par:>4} {:>9.2} {:>9.2}",
            self.wall, self.cpu
        );
        let _ = write!(
            line,
            " {:>10.0} {:>10.0} {:>10.1}",
            chain.blocks as f64 / self.wall,
            chain.inputs as f64 / self.wall,
            self.peak as f64 / f64::from(1 << 20),
        );
        line
    }

    /// Our cost in units of Core's.
    fn ratios(&self, core: Self, job: &str, par: u32) -> String {
        format!(
            "{:<8} {job:<20} {par:>4} {:>8.2}x {:>8.2}x {:>32.2}x",
            "ratio",
            self.wall / core.wall,
            self.cpu / core.cpu,
            self.peak as f64 / core.peak as f64,
        )
    }
}

/// Both jobs on a fresh data directory.
fn round(
    name: &'static str,
    program: &Path,
    folder: &Path,
    chain: &Chain,
    par: u32,
    dbcache: u32,
) -> Result<[Cost; JOBS.len()], Error> {
    let data_dir = tempfile::Builder::new()
        .prefix("run-")
        .tempdir_in(folder)
        .map_err(io(folder))?;
    chain.copy_to(data_dir.path())?;
    let mut costs = [Cost {
        wall: 0.0,
        cpu: 0.0,
        peak: 0,
    }; JOBS.len()];
    let log = data_dir.path().join("regtest").join("debug.log");
    for (job, cost) in JOBS.into_iter().zip(&mut costs) {
        let _ = fs::remove_file(&log);
        let failed = |what: String| {
            // The folder goes with this call; what the program wrote stays.
            let kept = folder.join("failed.log");
            let _ = fs::copy(&log, &kept);
            Error::Run {
                program: name,
                job,
                what,
                log: kept,
            }
        };
        let mut command = Command::new(program);
        command
            .arg(format!("-datadir={}", data_dir.path().display()))
            .arg(format!("-par={par}"))
            .arg(format!("-dbcache={dbcache}"))
            .arg(job)
            .args(["-regtest", "-assumevalid=0", "-stopafterblockimport"])
            .args(["-listen=0", "-connect=0", "-server=0", "-disablewallet"])
            .arg("-printtoconsole=0");
        *cost = time(&mut command).map_err(io(program))?.map_err(&failed)?;
        let text = fs::read_to_string(&log).map_err(io(&log))?;
        if !text.contains(&format!("new best={} height={}", chain.tip, chain.blocks)) {
            return Err(failed("did not get to the chain's tip".to_owned()));
        }
    }
    Ok(costs)
}

/// Runs a program to its end and says what it cost, or how else it ended.
fn time(command: &mut Command) -> std::io::Result<Result<Cost, String>> {
    let began = Instant::now();
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let pid = process.id();
    let mut peak = 0;
    // A process that has ended keeps its times, though not its memory, until it is waited for.
    while procfs::runs(pid) {
        peak = peak.max(procfs::peak_memory(pid).unwrap_or(0));
        if began.elapsed() > RUN_LIMIT {
            process.kill()?;
            process.wait()?;
            return Ok(Err(format!("takes longer than {RUN_LIMIT:?}")));
        }
        std::thread::sleep(SAMPLE);
    }
    let wall = began.elapsed().as_secs_f64();
    let cpu = procfs::cpu_time(pid).unwrap_or_default().as_secs_f64();
    let status = process.wait()?;
    Ok(if status.success() {
        Ok(Cost { wall, cpu, peak })
    } else {
        Err(format!("ended with {status}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Options, String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_understood_or_named() {
        let options = parsed("--core /a/bin --rounds 2 --par 1 --par 4 --dbcache 8 --micro");
        let expected = Options {
            core: Some("/a/bin".into()),
            rounds: 2,
            par: vec![1, 4],
            dbcache: 8,
            micro: true,
        };
        assert_eq!(options, Ok(expected));
        assert_eq!(parsed("").map(|options| options.par), Ok(vec![1, 2]));
        for (wrong, text) in [
            ("--core", "--core needs the folder"),
            ("--rounds 0", "--rounds needs"),
            ("--par many", "--par needs"),
            ("--dbcache 3", "--dbcache needs"),
            ("--nosuch", "\"--nosuch\""),
        ] {
            let error = parsed(wrong).expect_err(wrong);
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn what_a_process_took_is_seen_after_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]);
        let cost = time(&mut command)
            .expect("the shell starts")
            .expect("it ends well");
        assert!(cost.wall > 0.0 && cost.peak > 0, "{cost:?}");
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        let outcome = time(&mut command).expect("the shell starts");
        assert!(outcome.expect_err("code 3").contains('3'));
    }
}
