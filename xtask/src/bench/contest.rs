//! Nodes that answer the same calls in turn, over HTTP connections that stay open, and what that costs each of them.
//!
//! What the machine does besides can only add to a time, so programs take turns batch by batch, and the table shows the
//! best of all batches beside the median. The processor's time is that of all threads of a node and is summed over all
//! batches: the system counts it in hundredths of a second.

use super::generated::{self, Generated, io};
use crate::procfs;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Why nodes were not compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An argument that the command does not know.
    #[error("bench {bench}: unknown argument {argument:?}; it takes --core DIR and --rounds N")]
    Argument {
        /// Which benchmark.
        bench: &'static str,
        /// What was given.
        argument: String,
    },
    /// An option without its value, or with a wrong one.
    #[error("bench: {0} needs {1}")]
    Value(&'static str, &'static str),
    /// The data or a file are not to be had.
    #[error(transparent)]
    Data(#[from] generated::Error),
    /// A node does something else than what is measured.
    #[error("bench: {node}: {reason}")]
    Node {
        /// Whose.
        node: &'static str,
        /// What it did.
        reason: String,
    },
}

/// A result of this module.
pub(super) type Result<T = ()> = std::result::Result<T, Error>;

/// How long a node may take to start, to stop and to answer.
const PATIENCE: Duration = Duration::from_secs(180);
/// The benchmark program that makes the data.
const BENCH: &str = "mempool";
/// What the folder of the data is named by: other data need another number.
const WORKLOAD: &str = "workload-1";

/// What the command was told.
#[derive(Debug, PartialEq)]
pub(super) struct Options {
    /// The folder of Core's bitcoind.
    core: Option<PathBuf>,
    /// How often everything is done.
    pub(super) rounds: u32,
}

impl Options {
    pub(super) fn parse(bench: &'static str, arguments: &[String], rounds: u32) -> Result<Self> {
        let mut options = Self { core: None, rounds };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--core" => {
                    let missing = Error::Value("--core", "the folder of a bitcoind");
                    let folder = PathBuf::from(arguments.next().ok_or(missing)?);
                    options.core = Some(std::path::absolute(&folder).map_err(io(&folder))?);
                }
                "--rounds" => {
                    let value = arguments.next().and_then(|value| value.parse().ok());
                    options.rounds = value
                        .filter(|rounds| (1..=1000).contains(rounds))
                        .ok_or(Error::Value("--rounds", "a number from 1 to 1000"))?;
                }
                argument => {
                    return Err(Error::Argument {
                        bench,
                        argument: argument.to_owned(),
                    });
                }
            }
        }
        Ok(options)
    }

    /// Builds our program and gives all that take part.
    pub(super) fn programs(&self) -> Result<Vec<Program>> {
        let mut programs = vec![Program {
            name: "ours",
            path: generated::node()?,
        }];
        programs.extend(self.core.as_ref().map(|core| Program {
            name: "Core",
            path: core.join("bitcoind"),
        }));
        Ok(programs)
    }
}

/// A program that takes part.
pub(super) struct Program {
    pub(super) name: &'static str,
    path: PathBuf,
}

/// The generated data: a chain whose last block is full, a full mempool, and more transactions.
pub(super) struct Workload {
    folder: PathBuf,
    pub(super) blocks: u64,
    /// The hash of the full block.
    pub(super) full: String,
    /// Its transactions.
    pub(super) transactions: u64,
    /// Transactions in `mempool.dat`.
    pub(super) waiting: u64,
    /// Seconds since 1970 of the last block.
    pub(super) time: u64,
    /// Where mined coins go.
    pub(super) address: String,
}

impl Workload {
    /// The data as an earlier call left them, or made now.
    pub(super) fn obtain() -> Result<Self> {
        let data = Generated::obtain(BENCH, WORKLOAD)?;
        Ok(Self {
            blocks: data.number("blocks")?,
            full: data.field("full")?.to_owned(),
            transactions: data.number("transactions")?,
            waiting: data.number("waiting")?,
            time: data.number("time")?,
            address: data.field("address")?.to_owned(),
            folder: data.folder().to_owned(),
        })
    }

    /// The file that fills the mempool.
    pub(super) fn mempool_file(&self) -> PathBuf {
        self.folder.join("mempool.dat")
    }

    /// The lines of a file of transactions in hexadecimal.
    pub(super) fn lines(&self, name: &str) -> Result<Vec<String>> {
        let path = self.folder.join(name);
        let text = fs::read_to_string(&path).map_err(io(&path))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// A node on a data directory of its own that has all blocks and no transactions.
    pub(super) fn node(&self, program: &Program) -> Result<Node> {
        let parent = generated::place(BENCH);
        let data_dir = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&parent)
            .map_err(io(&parent))?;
        let blocks = data_dir.path().join("regtest").join("blocks");
        fs::create_dir_all(&blocks).map_err(io(&blocks))?;
        let from = self.folder.join("blk00000.dat");
        fs::copy(&from, blocks.join("blk00000.dat")).map_err(io(&from))?;
        let mut node = Node::start(program, data_dir, self.time + 60)?;
        let began = Instant::now();
        while node.call("getblockcount", "[]")? != self.blocks {
            if began.elapsed() > PATIENCE {
                return Err(node.error("does not get to the chain's end"));
            }
            // The chain grows while its files are read; ask again soon.
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(node)
    }
}

/// A running node and a connection to it. It ends when this does.
pub(super) struct Node {
    name: &'static str,
    process: Child,
    reader: BufReader<TcpStream>,
    head: String,
    /// The reply's body.
    body: Vec<u8>,
    data_dir: tempfile::TempDir,
}

impl Node {
    fn start(program: &Program, data_dir: tempfile::TempDir, time: u64) -> Result<Self> {
        let folder = data_dir.path();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(io(folder))?
            .port();
        let errors = folder.join("stderr");
        let mut process = Command::new(&program.path)
            .arg(format!("-datadir={}", folder.display()))
            .arg(format!("-rpcport={port}"))
            .arg(format!("-mocktime={time}"))
            // On regtest Core would hold its structures against each other at every step.
            .args(["-checkmempool=0", "-checkblockindex=0"])
            .args(["-regtest", "-reindex", "-server=1", "-disablewallet"])
            .args(["-listen=0", "-connect=0", "-printtoconsole=0"])
            .args(["-persistmempool=0", "-rpcdoccheck=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&errors).map_err(io(&errors))?)
            .spawn()
            .map_err(io(&program.path))?;
        let cookie = folder.join("regtest").join(".cookie");
        let began = Instant::now();
        let (stream, cookie) = loop {
            if let Ok(cookie) = fs::read(&cookie)
                && let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            {
                break (stream, cookie);
            }
            let ended = process.try_wait().map_err(io(&program.path))?;
            if ended.is_some() || began.elapsed() > PATIENCE {
                let _ = process.kill();
                let _ = process.wait();
                let text = fs::read_to_string(&errors).unwrap_or_default();
                return Err(Error::Node {
                    node: program.name,
                    reason: format!("does not start: {}", text.trim()),
                });
            }
            // The port is all there is to watch from outside; look again soon.
            std::thread::sleep(Duration::from_millis(20));
        };
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_nodelay(true))
            .map_err(io(folder))?;
        let mut node = Self {
            name: program.name,
            process,
            reader: BufReader::with_capacity(1 << 18, stream),
            head: format!(
                "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {}\r\n\
                 Content-Type: application/json\r\nContent-Length: ",
                STANDARD.encode(cookie)
            ),
            body: Vec::new(),
            data_dir,
        };
        while !node.post("getblockcount", "[]")? {
            if began.elapsed() > PATIENCE {
                return Err(node.error("does not get beyond its start"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(node)
    }

    /// An error that names the node.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        // The folder goes with the node; what it wrote last helps to see why.
        let log = self.data_dir.path().join("regtest").join("debug.log");
        let text = fs::read_to_string(log).unwrap_or_default();
        let last = text.lines().next_back().unwrap_or_default();
        Error::Node {
            node: self.name,
            reason: format!("{} (its log ends with: {last})", reason.into()),
        }
    }

    /// Makes a call whose parameters are JSON and keeps the reply's body; gives whether it succeeded. Nothing of the body
    /// is parsed: that would cost more than what is measured.
    pub(super) fn post(&mut self, method: &str, params: &str) -> Result<bool> {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let request = format!("{}{}\r\n\r\n{body}", self.head, body.len());
        self.exchange(&request)
            .map_err(|source| self.error(format!("{method}: {source}")))?;
        Ok(self.body.starts_with(br#"{"jsonrpc":"2.0","result":"#))
    }

    fn exchange(&mut self, request: &str) -> std::io::Result<()> {
        use std::io::{Error, ErrorKind};
        self.reader.get_mut().write_all(request.as_bytes())?;
        let mut length = None;
        let mut line = String::new();
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(Error::from(ErrorKind::UnexpectedEof));
            }
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let length = length.ok_or_else(|| Error::other("the reply has no length"))?;
        self.body.resize(length, 0);
        self.reader.read_exact(&mut self.body)
    }

    /// Makes a call and gives its result.
    pub(super) fn call(&mut self, method: &str, params: &str) -> Result<Value> {
        let succeeded = self.post(method, params)?;
        let mut reply: Value = serde_json::from_slice(&self.body)
            .map_err(|error| self.error(format!("{method}: {error}")))?;
        if succeeded {
            return Ok(reply["result"].take());
        }
        Err(self.error(format!("{method}: {}", reply["error"])))
    }

    /// Makes a call that must succeed, and keeps its body alone.
    fn must(&mut self, method: &str, params: &str) -> Result {
        if self.post(method, params)? {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&self.body);
        Err(self.error(format!("{method}: {}", text.trim())))
    }

    /// Times calls that are made one after another; each must succeed.
    pub(super) fn time<'a>(
        &mut self,
        calls: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Cost> {
        let before = self.cpu()?;
        let began = Instant::now();
        for (method, params) in calls {
            self.must(method, params)?;
        }
        let wall = began.elapsed().as_secs_f64();
        Ok(Cost {
            wall,
            cpu: self.cpu()? - before,
        })
    }

    fn cpu(&self) -> Result<f64> {
        procfs::cpu_time(self.process.id())
            .map(|time| time.as_secs_f64())
            .ok_or_else(|| self.error("has ended"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // There is nothing in its data directory to lose.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What calls took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    wall: f64,
    cpu: f64,
}

/// What each program took for each thing, batch by batch.
#[derive(Default)]
pub(super) struct Table(Vec<Row>);

struct Row {
    name: String,
    /// How many times a batch does it.
    times: u32,
    /// By program.
    costs: Vec<Vec<Cost>>,
}

impl Table {
    /// Adds what the program with this number took for a batch.
    pub(super) fn add(&mut self, name: &str, times: u32, program: usize, cost: Cost) {
        let index = self.0.iter().position(|row| row.name == name);
        let index = index.unwrap_or_else(|| {
            self.0.push(Row {
                name: name.to_owned(),
                times,
                costs: Vec::new(),
            });
            self.0.len() - 1
        });
        let costs = &mut self.0[index].costs;
        costs.resize_with(costs.len().max(program + 1), Vec::new);
        costs[program].push(cost);
    }

    /// Prints it: milliseconds for each time, and how often ours fits into the other's.
    pub(super) fn print(&self, programs: &[Program]) {
        print!("{:<34}", "ms");
        for Program { name, .. } in programs {
            let (best, median, cpu) = (
                format!("{name} best"),
                format!("{name} med."),
                format!("{name} CPU"),
            );
            print!(" {best:>10} {median:>10} {cpu:>10}");
        }
        if programs.len() == 2 {
            print!(" {:>7} {:>7} {:>7}", "best", "med.", "CPU");
        }
        println!();
        for row in &self.0 {
            print!("{:<34}", row.name);
            let figures: Vec<[f64; 3]> = row
                .costs
                .iter()
                .map(|costs| figures(costs, row.times))
                .collect();
            for [best, median, cpu] in &figures {
                print!(" {best:>10.3} {median:>10.3} {cpu:>10.3}");
            }
            if let [ours, other] = figures[..] {
                for (ours, other) in ours.into_iter().zip(other) {
                    print!(" {:>6.2}x", other / ours);
                }
            }
            println!();
        }
    }
}

/// Milliseconds for each time: the best batch's, the median batch's, and the processor's over all batches.
fn figures(costs: &[Cost], times: u32) -> [f64; 3] {
    let scale = 1e3 / f64::from(times);
    let mut walls: Vec<f64> = costs.iter().map(|cost| cost.wall).collect();
    walls.sort_by(f64::total_cmp);
    let cpu: f64 = costs.iter().map(|cost| cost.cpu).sum();
    let (best, median) = (walls[0], walls[walls.len() / 2]);
    [best, median, cpu / costs.len() as f64].map(|seconds| seconds * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> std::result::Result<Options, String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Options::parse("rpc", &words, 3).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_understood_or_named() {
        let options = parsed("--core /a/bin --rounds 2");
        let expected = Options {
            core: Some("/a/bin".into()),
            rounds: 2,
        };
        assert_eq!(options, Ok(expected));
        assert_eq!(parsed("").map(|options| options.rounds), Ok(3));
        for (wrong, text) in [
            ("--core", "--core needs the folder"),
            ("--rounds 0", "--rounds needs"),
            ("--nosuch", "bench rpc: unknown argument \"--nosuch\""),
        ] {
            let error = parsed(wrong).expect_err(wrong);
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn the_best_the_median_and_the_mean_are_told_apart() {
        let costs = [3.0, 1.0, 2.0].map(|wall| Cost { wall, cpu: wall });
        assert_eq!(figures(&costs, 10), [100.0, 200.0, 200.0]);
    }
}
