//! A node process to test with, and a JSON-RPC client for it.

use base64::Engine as _;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

/// How long anything may take before the test fails. Generous: other builds may run beside.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) fn node_program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_bitcoin-node"))
}

/// The wallet's program, which lies beside the node's; built if it is not there yet.
pub(crate) fn wallet_program() -> PathBuf {
    static BUILD: Once = Once::new();
    let path = node_program().with_file_name("bitcoin-wallet");
    BUILD.call_once(|| {
        if !path.exists() {
            let status = Command::new(env!("CARGO"))
                .args(["build", "--package", "btc-wallet", "--bins"])
                .status()
                .expect("cargo runs");
            assert!(status.success(), "bitcoin-wallet does not build");
        }
    });
    assert!(path.exists(), "{} is missing", path.display());
    path
}

/// Polls `condition` until it gives something. The pause bounds the load, not the outcome.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

/// An RPC call that gave an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CallError {
    pub(crate) code: i64,
    pub(crate) message: String,
}

/// A finished node process.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

/// A running node. Dropping it kills it.
pub(crate) struct TestNode {
    child: Option<Child>,
    data_dir: PathBuf,
    chain: &'static str,
    port: u16,
}

/// The command line of a node in `data_dir`.
fn command(program: &Path, data_dir: &Path, chain: &str, port: u16, options: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .arg(format!("-datadir={}", data_dir.display()))
        .arg(if chain == "main" {
            "-chain=main"
        } else {
            "-regtest"
        })
        .args(["-connect=0", "-listen=0", "-debug=ipc"])
        .args(["-fallbackfee=0.0002", "-keypool=10"])
        .arg(format!("-rpcport={port}"))
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Starts a node that is expected to refuse, and waits for its end.
pub(crate) fn run_to_end(data_dir: &Path, options: &[&str]) -> Ended {
    let child = command(&node_program(), data_dir, "regtest", free_port(), options)
        .spawn()
        .expect("the node starts");
    end_of(child)
}

fn end_of(mut child: Child) -> Ended {
    let status = wait_for("the node's exit", || {
        child.try_wait().expect("can be waited for")
    });
    let mut stderr = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut stderr).expect("stderr is text");
    }
    Ended { status, stderr }
}

impl TestNode {
    /// Starts a regtest node and waits until it takes calls.
    pub(crate) fn start(data_dir: &Path, options: &[&str]) -> Self {
        Self::start_on(data_dir, "regtest", options)
    }

    /// Starts a node on a chain, `main` or `regtest`, and waits until it takes calls.
    pub(crate) fn start_on(data_dir: &Path, chain: &'static str, options: &[&str]) -> Self {
        if !options.contains(&"-disablewallet") {
            wallet_program();
        }
        Self::start_program(&node_program(), data_dir, chain, options)
    }

    /// Starts another program that is a node.
    pub(crate) fn start_program(
        program: &Path,
        data_dir: &Path,
        chain: &'static str,
        options: &[&str],
    ) -> Self {
        let port = free_port();
        let child = command(program, data_dir, chain, port, options)
            .spawn()
            .expect("the node starts");
        let mut node = Self {
            child: Some(child),
            data_dir: data_dir.to_owned(),
            chain,
            port,
        };
        wait_for("the node to take calls", || {
            let child = node.child.as_mut().expect("was just started");
            if child.try_wait().expect("can be waited for").is_some() {
                let ended = end_of(node.child.take().expect("was just started"));
                panic!("the node ended: {ended:?}\n{}", node.log());
            }
            node.try_call("", "getblockcount", &json!([])).ok()?.ok()
        });
        node
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.as_ref().expect("is running").id()
    }

    /// The port that takes calls.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What a call's `Authorization` header says.
    pub(crate) fn authorization(&self) -> String {
        let cookie = self.cookie().expect("a running node has a cookie");
        let encoded = base64::engine::general_purpose::STANDARD.encode(cookie);
        format!("Basic {encoded}")
    }

    pub(crate) fn net_dir(&self) -> PathBuf {
        match self.chain {
            "main" => self.data_dir.clone(),
            chain => self.data_dir.join(chain),
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.net_dir().join("debug.log")).unwrap_or_default()
    }

    fn cookie(&self) -> std::io::Result<String> {
        std::fs::read_to_string(self.net_dir().join(".cookie"))
    }

    /// Calls a method of the node, and panics on an error.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        self.call_wallet("", method, params)
    }

    /// Calls a method on a wallet, and panics on an error.
    pub(crate) fn call_wallet(&self, wallet: &str, method: &str, params: Value) -> Value {
        self.try_call(wallet, method, &params)
            .expect("the node answers")
            .unwrap_or_else(|error| panic!("{method}{params}: {error:?}"))
    }

    /// Calls a method that is expected to fail.
    pub(crate) fn call_error(&self, wallet: &str, method: &str, params: Value) -> CallError {
        match self
            .try_call(wallet, method, &params)
            .expect("the node answers")
        {
            Ok(value) => panic!("{method}{params} gave {value}"),
            Err(error) => error,
        }
    }

    /// Calls a method; an outer error means that there was no JSON-RPC reply.
    pub(crate) fn try_call(
        &self,
        wallet: &str,
        method: &str,
        params: &Value,
    ) -> std::io::Result<Result<Value, CallError>> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let path = match wallet {
            "" => "/".to_owned(),
            name => format!("/wallet/{name}"),
        };
        let (status, reply) = self.post(&path, &self.cookie()?, body.to_string().as_bytes())?;
        let reply: Value = serde_json::from_slice(&reply)
            .map_err(|error| std::io::Error::other(format!("HTTP {status}, not JSON: {error}")))?;
        Ok(match reply.get("error") {
            None | Some(Value::Null) => Ok(reply["result"].clone()),
            Some(error) => Err(CallError {
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            }),
        })
    }

    /// Posts a body and gives HTTP status and reply body.
    pub(crate) fn post(
        &self,
        path: &str,
        credentials: &str,
        body: &[u8],
    ) -> std::io::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let auth = base64::engine::general_purpose::STANDARD.encode(credentials);
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Basic {auth}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body)?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| std::io::Error::other(format!("no HTTP status in {line:?}")))?;
        let mut length = None;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let header = line.trim_end();
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse::<u64>().ok();
            }
        }
        let mut reply = Vec::new();
        match length {
            Some(length) => reader.take(length).read_to_end(&mut reply)?,
            None => reader.read_to_end(&mut reply)?,
        };
        Ok((status, reply))
    }

    /// Stops the node by RPC and gives how it ended.
    pub(crate) fn stop(mut self) -> Ended {
        assert!(
            self.call("stop", json!([]))
                .as_str()
                .is_some_and(|text| text.ends_with(" stopping"))
        );
        end_of(self.child.take().expect("is running"))
    }

    /// Stops the node, and checks that it ended as it should.
    pub(crate) fn stop_cleanly(self) {
        let ended = self.stop();
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.stderr, "");
    }

    /// Kills the node outright.
    pub(crate) fn kill(mut self) -> Ended {
        let mut child = self.child.take().expect("is running");
        child.kill().expect("can be killed");
        end_of(child)
    }

    /// Waits for the end of a node that ends by itself.
    pub(crate) fn wait(mut self) -> Ended {
        end_of(self.child.take().expect("is running"))
    }

    /// The process id of the node's wallet.
    pub(crate) fn wallet_process_id(&self) -> u32 {
        let node = self.process_id();
        wait_for("the wallet's process", || {
            children_of(node)
                .into_iter()
                .find(|pid| program_name(*pid).as_deref() == Some("bitcoin-wallet"))
        })
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether a process runs (and is not merely waiting to be reaped).
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("Z").starts_with('Z'))
}

fn program_name(pid: u32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

fn children_of(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

/// The files that a process has open or mapped.
pub(crate) fn files_of(pid: u32) -> Vec<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the process runs")
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|path| path.display().to_string());
    let mapped: Vec<String> = std::fs::read_to_string(format!("/proc/{pid}/maps"))
        .expect("the process runs")
        .lines()
        .filter_map(|line| line.splitn(6, ' ').nth(5))
        .map(|path| path.trim().to_owned())
        .collect();
    open.chain(mapped).collect()
}

/// Sends a signal by name, `KILL` or `TERM`.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()
        .expect("kill runs");
    assert!(status.success());
}

/// What the node's process holds in memory.
pub(crate) fn memory_kib(node: &TestNode) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.process_id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}
