//! `cargo xtask bench ipc`: what calls between processes cost, beside the bare socket and other programs.
//! `cargo xtask bench store`: the databases' engine beside the system's LevelDB.
//! `cargo xtask bench validation`, `rpc` and `mempool`: how fast blocks are validated, calls answered and transactions
//! taken, in the modules of those names.

mod contest;
mod generated;
mod mempool;
mod micro;
mod rpc;
mod validation;

use crate::build;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such benchmark.
    #[error("bench: say what to measure: ipc, store, validation, rpc or mempool")]
    What,
    /// Blocks could not be timed.
    #[error(transparent)]
    Validation(#[from] validation::Error),
    /// Nodes could not be compared.
    #[error(transparent)]
    Contest(#[from] contest::Error),
    /// An argument that the command does not know.
    #[error(
        "bench ipc: unknown argument {0:?}; it takes --seconds S, --peer NODE and --program EXE"
    )]
    Argument(String),
    /// An option without its value, or one that is no time.
    #[error("bench ipc: {0} needs {1}")]
    Value(&'static str, &'static str),
    /// The peer did not get as far as listening.
    #[error("bench ipc: {}: {reason}", program.display())]
    Peer {
        /// The program.
        program: PathBuf,
        /// What happened instead.
        reason: String,
    },
    /// A process could not be started or a folder not be made.
    #[error("bench ipc: {0}")]
    Io(#[from] std::io::Error),
    /// The benchmark itself failed, as its output says.
    #[error("bench ipc: {0}")]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// How long a node may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Runs the command with the arguments after its name.
///
/// # Errors
/// What was wrong with the arguments, the peers or the measurement.
pub(crate) fn run(arguments: &[String]) -> Result<(), Error> {
    let Some((what, rest)) = arguments.split_first() else {
        return Err(Error::What);
    };
    match what.as_str() {
        "ipc" => {}
        "store" => return store(rest),
        "validation" => return Ok(validation::run(rest)?),
        "rpc" => return Ok(rpc::run(rest)?),
        "mempool" => return Ok(mempool::run(rest)?),
        _ => return Err(Error::What),
    }
    let options = Options::parse(rest)?;
    let mut nodes = Vec::new();
    for (number, program) in (1..).zip(&options.peers) {
        println!("peer-{number}.sock is {}", program.display());
        nodes.push(Node::start(program, &format!("peer-{number}.sock"))?);
    }
    let mut bench = build::cargo();
    bench.args(["bench", "--quiet", "-p", "mp-core", "--bench", "ipc", "--"]);
    if let Some(seconds) = &options.seconds {
        bench.args(["--seconds", seconds]);
    }
    for program in &options.programs {
        bench.arg("--program").arg(program);
    }
    for node in &nodes {
        bench.arg("--socket").arg(&node.socket);
    }
    build::run(&mut bench).map_err(Error::Failed)
}

/// 3 million random keys of 36 bytes in batches of 200,000, reads and misses; then the churn of a set of coins, after which
/// every key is looked for; then the memory that each engine takes. About two minutes. Needs the system's LevelDB (Debian: libleveldb-dev) and 2 GB of space for temporary files.
fn store(arguments: &[String]) -> Result<(), Error> {
    let directory = tempfile::Builder::new().prefix("store-bench-").tempdir()?;
    let memory = |engine| ["memory", "--engine", engine];
    let works = [
        &["bench"][..],
        &["churn"],
        &memory("rust"),
        &memory("leveldb"),
    ];
    for (number, work) in works.into_iter().enumerate() {
        let mut bench = build::cargo();
        bench.args(["run", "--quiet", "--release", "-p", "leveldb-engine"]);
        bench.args(["--features", "system-leveldb"]);
        bench.args(["--example", "engines", "--"]).args(work);
        if work.len() == 1 {
            bench.args(arguments);
        }
        let place = directory.path().join(number.to_string());
        build::run(bench.arg(&place)).map_err(Error::Failed)?;
        // The next has the disk to itself.
        let _ = std::fs::remove_dir_all(place);
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq)]
struct Options {
    /// Time for each row, as typed.
    seconds: Option<String>,
    /// Programs that take the options of a node and listen where `-ipcbind` says.
    peers: Vec<PathBuf>,
    /// Programs that serve the benchmark's own interface.
    programs: Vec<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => {
                    let value = arguments.next().filter(|value| {
                        value
                            .parse()
                            .is_ok_and(|seconds: f64| (0.001..=3600.0).contains(&seconds))
                    });
                    let number = Error::Value("--seconds", "a number from 0.001 to 3600");
                    options.seconds = Some(value.ok_or(number)?.clone());
                }
                "--peer" => {
                    let value = arguments.next();
                    let path = Error::Value("--peer", "the path of a bitcoin-node");
                    options.peers.push(absolute(value.ok_or(path)?)?);
                }
                "--program" => {
                    let value = arguments.next();
                    let path = Error::Value("--program", "the path of a program");
                    options.programs.push(absolute(value.ok_or(path)?)?);
                }
                unknown => return Err(Error::Argument(unknown.to_owned())),
            }
        }
        Ok(options)
    }
}

/// The benchmark runs in another folder.
fn absolute(path: &str) -> Result<PathBuf, Error> {
    Ok(std::path::absolute(path)?)
}

/// A node of any make on a data directory of its own, which ends when this does.
struct Node {
    process: Child,
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Node {
    fn start(program: &Path, name: &str) -> Result<Self, Error> {
        let directory = tempfile::Builder::new().prefix("ipc-bench-").tempdir()?;
        let socket = directory.path().join(name);
        let process = Command::new(program)
            .arg(format!("-datadir={}", directory.path().display()))
            .arg(format!("-ipcbind=unix:{}", socket.display()))
            .args(["-regtest", "-listen=0", "-server=0", "-printtoconsole=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut node = Self {
            process,
            socket,
            _directory: directory,
        };
        let failed = |reason: String| Error::Peer {
            program: program.to_owned(),
            reason,
        };
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(&node.socket).is_err() {
            if let Some(status) = node.process.try_wait()? {
                return Err(failed(format!("ended with {status}")));
            }
            if began.elapsed() > START_LIMIT {
                return Err(failed(format!("does not listen after {START_LIMIT:?}")));
            }
            // The socket is all there is to see of another program; look again soon.
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(node)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // There is nothing in its data directory to lose.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Options, run};

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn options_are_understood_or_named() {
        let options = Options::parse(&words("--seconds 0.5 --peer /a/node --program /b"))
            .expect("they are options");
        assert_eq!(options.seconds.as_deref(), Some("0.5"));
        assert_eq!(options.peers, [std::path::Path::new("/a/node")]);
        assert_eq!(options.programs, [std::path::Path::new("/b")]);
        for (wrong, text) in [
            ("--seconds", "--seconds needs"),
            ("--seconds never", "--seconds needs"),
            ("--peer", "--peer needs"),
            ("--nosuch", "\"--nosuch\""),
        ] {
            let error = Options::parse(&words(wrong)).expect_err(wrong).to_string();
            assert!(error.contains(text), "{error}");
        }
        assert!(matches!(run(&[]), Err(Error::What)));
        assert!(matches!(run(&words("cpu")), Err(Error::What)));
    }
}
