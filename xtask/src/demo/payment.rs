//! A payment between two wallets, across the processes of a node and its wallets, and a restart.

use super::{below, line, same, step};
use crate::node::Node;
use crate::{Result, procfs};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const OPTIONS: [&str; 4] = ["-regtest", "-debug=ipc", "-listen=0", "-fallbackfee=0.0002"];

/// What must survive a restart.
#[derive(PartialEq)]
struct Standing {
    tip: String,
    height: Value,
    alice: Value,
    bob: Value,
}

impl Standing {
    fn of(node: &Node) -> Result<Self> {
        let balance = |wallet: &str| {
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
                node.rpc.wallet(wallet, "getbalances", json!([]))?["mine"].clone(),
            )
        };
        Ok(Self {
            tip: text(&node.rpc.call("getbestblockhash", json!([]))?)?,
            height: node.rpc.call("getblockcount", json!([]))?,
            alice: balance("alice")?,
            bob: balance("bob")?,
        })
    }

    fn show(&self) {
        line(
            "tip",
            format_args!("{} at height {}", self.tip, self.height),
        );
        for (name, balance) in [("alice", &self.alice), ("bob", &self.bob)] {
            line(
                name,
                format_args!(
                    "{:>14} BTC, and {} BTC immature",
                    balance["trusted"].to_string(),
                    balance["immature"]
                ),
            );
        }
    }
}

pub fn run(programs: &Path, dir: &Path) -> Result {
    step(
        1,
        "bitcoin-node starts and spawns bitcoin-wallet over a socket pair",
    );
    let node = Node::start(programs, dir, "regtest", &OPTIONS)?;
    let wallet_pid = node
        .wallet_pid()
        .ok_or("bitcoin-node has spawned no bitcoin-wallet")?;
    line(
        "node",
        format_args!(
            "pid {}, up after {:.2} s",
            node.pid(),
            node.started_in.as_secs_f64()
        ),
    );
    line(
        "wallet",
        format_args!("pid {wallet_pid}: {}", procfs::command_line(wallet_pid)),
    );

    step(
        2,
        "two wallets, 101 blocks, a payment, all by JSON-RPC to the node",
    );
    for wallet in ["alice", "bob"] {
        let made = node.rpc.call(
            "createwallet",
            json!({"wallet_name": wallet, "load_on_startup": true}),
        )?;
        same(
            "the created wallet",
            text(&made["name"])?,
            wallet.to_owned(),
        )?;
    }
    let alice = text(&node.rpc.wallet("alice", "getnewaddress", json!([]))?)?;
    let mined = node.rpc.call("generatetoaddress", json!([101, alice]))?;
    line(
        "mined",
        format_args!(
            "{} blocks to alice, {alice}",
            mined.as_array().map_or(0, Vec::len)
        ),
    );
    let bob = text(
        &node
            .rpc
            .wallet("bob", "getnewaddress", json!(["", "bech32m"]))?,
    )?;
    let txid = text(
        &node
            .rpc
            .wallet("alice", "sendtoaddress", json!([bob, "12.5"]))?,
    )?;
    let fee = node.rpc.wallet("alice", "gettransaction", json!([&txid]))?["fee"].clone();
    line("paid", format_args!("12.5 BTC from alice to bob, {bob}"));
    line("", format_args!("transaction {txid}, fee {fee} BTC"));
    let waiting = node.rpc.call("getrawmempool", json!([]))?;
    same(
        "the mempool",
        waiting.to_string(),
        json!([&txid]).to_string(),
    )?;
    // The mempool's news reach the wallets a moment after the call that made them.
    node.rpc
        .call("syncwithvalidationinterfacequeue", json!([]))?;
    let pending =
        node.rpc.wallet("bob", "getbalances", json!([]))?["mine"]["untrusted_pending"].to_string();
    same("what bob sees coming", pending, "12.50000000".to_owned())?;
    node.rpc.call("generatetoaddress", json!([1, alice]))?;
    let waiting = node.rpc.call("getrawmempool", json!([]))?;
    same(
        "the mempool after a block",
        waiting.to_string(),
        "[]".to_owned(),
    )?;
    let before = Standing::of(&node)?;
    same(
        "bob's balance",
        before.bob["trusted"].to_string(),
        "12.50000000".to_owned(),
    )?;
    before.show();

    step(3, "all stops, and starts again on the same directory");
    let processes = tree(&node, wallet_pid, dir);
    let ipc = ipc_lines(&node)?;
    let took = node.stop()?;
    line(
        "stopped",
        format_args!(
            "both processes, exit code 0, nothing on stderr, in {:.2} s",
            took.as_secs_f64()
        ),
    );
    let node = Node::start(programs, dir, "regtest", &OPTIONS)?;
    line(
        "started",
        format_args!("up after {:.2} s", node.started_in.as_secs_f64()),
    );
    let after = Standing::of(&node)?;
    after.show();
    if after != before {
        return Err("tip or balances are not what they were before the restart".into());
    }
    line("compared", "tip and balances are the same");
    node.stop()?;

    step(4, "who was who, and what they said");
    let wallet_files = |process: &Process| process.files.iter().any(|file| is_wallet_file(file));
    for process in &processes {
        process.show();
    }
    let [node, wallet] = &processes;
    if wallet_files(node) || !wallet_files(wallet) {
        return Err("wallet files must be open in bitcoin-wallet and nowhere else".into());
    }
    println!("  wallet files are open in bitcoin-wallet alone\n");
    for said in ipc {
        println!("  {said}");
    }
    Ok(())
}

struct Process {
    indent: &'static str,
    pid: u32,
    command: String,
    sockets: usize,
    files: Vec<PathBuf>,
}

impl Process {
    fn show(&self) {
        println!("  {}{} {}", self.indent, self.pid, self.command);
        let indent = " ".repeat(self.indent.chars().count() + 5);
        println!("  {indent}sockets: {}", self.sockets);
        for file in &self.files {
            println!("  {indent}{}", file.display());
        }
    }
}

/// Node and wallet, with the files of the data directory that each holds.
fn tree(node: &Node, wallet: u32, dir: &Path) -> [Process; 2] {
    let process = |indent, pid| {
        let (files, sockets) = procfs::holdings(pid);
        let held = files
            .iter()
            // What this program gave them as stderr is no file of theirs.
            .filter(|file| file.starts_with(dir) && !file.ends_with("stderr"))
            .map(|file| below(file, dir).to_owned());
        let command = procfs::command_line(pid).replace(&dir.display().to_string(), "DIR");
        Process {
            indent,
            pid,
            command,
            sockets,
            files: held.collect(),
        }
    };
    [process("", node.pid()), process("└─ ", wallet)]
}

fn is_wallet_file(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("wallet.dat"))
}

/// A few requests and responses between the two, out of debug.log.
fn ipc_lines(node: &Node) -> Result<Vec<String>> {
    let log = node.log()?;
    let wanted = [
        "makeWalletLoader",
        "handleRpc",
        "RpcHandler.call",
        "blockConnected",
        "broadcastTransaction",
    ];
    let mut lines = Vec::new();
    for method in wanted {
        let about: Vec<_> = log
            .iter()
            .filter(|line| line.contains("[ipc") && line.contains(method))
            .take(2)
            .collect();
        lines.extend(about.into_iter().map(|line| shorten(line)));
    }
    if lines.is_empty() {
        return Err("debug.log shows no request between the processes".into());
    }
    Ok(lines)
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(150) {
        Some((at, _)) => format!("{} …", &line[..at]),
        None => line.to_owned(),
    }
}

fn text(value: &Value) -> Result<String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("a text was expected, not {value}").into())
}
