//! A bitcoin-node under control: started, waited for, asked, stopped; killed if anything goes wrong.

use crate::rpc::Client;
use crate::{Result, procfs};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running node.
pub struct Node {
    child: Child,
    /// Calls its RPC.
    pub rpc: Client,
    net_dir: PathBuf,
    stderr: PathBuf,
    began: Instant,
    /// How long it took until it answered.
    pub started_in: Duration,
}

impl Node {
    /// Starts `bitcoin-node` from the folder `programs` on the data directory `data_dir`, with the chain's folder
    /// `net_dir` ("" for mainnet) and further `options`, and waits until it answers.
    pub fn start(
        programs: &Path,
        data_dir: &Path,
        net_dir: &str,
        options: &[&str],
    ) -> Result<Self> {
        let mut node = Self::spawn(programs, data_dir, net_dir, options)?;
        node.wait_until_loaded()?;
        Ok(node)
    }

    /// As [`start`](Self::start), without waiting.
    pub fn spawn(
        programs: &Path,
        data_dir: &Path,
        net_dir: &str,
        options: &[&str],
    ) -> Result<Self> {
        let port = free_port()?;
        let net_dir = data_dir.join(net_dir);
        let stderr = data_dir.join("stderr");
        let cookie = net_dir.join(".cookie");
        // A cookie left by a killed node would be taken for the new one's.
        let _ = fs::remove_file(&cookie);
        let child = Command::new(programs.join("bitcoin-node"))
            .arg(format!("-datadir={}", data_dir.display()))
            .arg(format!("-rpcport={port}"))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&stderr)?)
            .spawn()?;
        Ok(Self {
            child,
            rpc: Client::new(port, cookie),
            net_dir,
            stderr,
            began: Instant::now(),
            started_in: Duration::ZERO,
        })
    }

    /// Waits until it answers and has loaded what it was told to load.
    pub fn wait_until_loaded(&mut self) -> Result {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!(
                    "bitcoin-node ended with {status}: {}",
                    self.stderr_text().trim()
                )
                .into());
            }
            match self.rpc.call("getmempoolinfo", json!([])) {
                Ok(info) if info["loaded"] == Value::Bool(true) => break,
                _ if self.began.elapsed() > START_LIMIT => {
                    return Err(
                        format!("bitcoin-node does not answer after {START_LIMIT:?}").into(),
                    );
                }
                // The file system and the port are all there is to watch from outside; ask again soon.
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        self.started_in = self.began.elapsed();
        Ok(())
    }

    /// Ends it as a failing machine would: without a word. An error if it had ended before.
    pub fn kill(mut self) -> Result {
        if let Some(status) = self.child.try_wait()? {
            let text = self.stderr_text();
            return Err(format!("bitcoin-node ended with {status}: {}", text.trim()).into());
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The bitcoin-wallet that it spawned, if it runs.
    pub fn wallet_pid(&self) -> Option<u32> {
        procfs::children(self.pid())
            .into_iter()
            .find(|pid| procfs::command_line(*pid).starts_with("bitcoin-wallet"))
    }

    /// The lines of debug.log.
    pub fn log(&self) -> Result<Vec<String>> {
        Ok(fs::read_to_string(self.net_dir.join("debug.log"))?
            .lines()
            .map(str::to_owned)
            .collect())
    }

    /// Stops it by RPC; anything but exit code 0, an empty stderr and an ended wallet process is an error. Gives the
    /// time it took.
    pub fn stop(mut self) -> Result<Duration> {
        let began = Instant::now();
        let wallet = self.wallet_pid();
        self.rpc.call("stop", json!([]))?;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if began.elapsed() > STOP_LIMIT => {
                    return Err(format!("bitcoin-node runs on {STOP_LIMIT:?} after 'stop'").into());
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let stderr = self.stderr_text();
        if !status.success() || !stderr.is_empty() {
            return Err(format!("bitcoin-node ended with {status} and printed: {stderr}").into());
        }
        if wallet.is_some_and(procfs::runs) {
            return Err("bitcoin-wallet outlived its node".into());
        }
        Ok(began.elapsed())
    }

    fn stderr_text(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A port of loopback that nobody uses now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
