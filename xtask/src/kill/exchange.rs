//! `cargo xtask exchange`: UTXO snapshots between Core's program and ours, and directories that each leaves to the other
//! while a snapshot in them is validated.

use super::OPTIONS;
use super::chain::{digest, text};
use super::known::{BASE, BEGUN, Known, TOP, chainstates};
use super::phase::copy;
use crate::node::Node;
use crate::{Result, build};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Blocks below and above the snapshot that a program takes before it leaves the directory to the other.
const TURN: u64 = 30;
/// How long the last comparison may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program by its folder.
#[derive(Clone, Copy)]
struct Program<'a> {
    name: &'static str,
    folder: &'a Path,
}

impl Program<'_> {
    fn start(&self, dir: &Path) -> Result<Node> {
        Node::start(self.folder, dir, "regtest", OPTIONS)
            .map_err(|error| format!("{}: {error}", self.name).into())
    }
}

/// Exchanges in both directions.
pub fn run(arguments: &[String]) -> Result {
    let (mut core, mut programs) = (None, None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments
            .next()
            .ok_or(format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--core" => core = Some(std::path::absolute(value)?),
            "--programs" => programs = Some(std::path::absolute(value)?),
            unknown => return Err(format!("exchange: unknown argument '{unknown}'").into()),
        }
    }
    let core: PathBuf =
        core.ok_or("exchange needs --core DIR, a folder with Core's bitcoin-node")?;
    let programs = match programs {
        Some(programs) => programs,
        None => build::programs(false)?,
    };
    let core = Program {
        name: "Core",
        folder: &core,
    };
    let ours = Program {
        name: "ours",
        folder: &programs,
    };
    let dir = tempfile::Builder::new()
        .prefix("bitcoin-exchange-")
        .tempdir()?;
    let known = Known::make(&programs, &dir.path().join("known"))?;
    let theirs = dump(core, &known, &dir.path().join("core"))?;
    if std::fs::read(&theirs)? != std::fs::read(&known.file)? {
        return Err("the programs write different snapshots of the same coins".into());
    }
    println!(
        "both write the same {} bytes",
        std::fs::metadata(&theirs)?.len()
    );
    for (loader, file, other) in [(core, &known.file, ours), (ours, &theirs, core)] {
        let turns = dir.path().join(format!("loaded-by-{}", loader.name));
        copy(&known.begun, &turns)?;
        let report = take_turns(&known, &turns, file, [loader, other])?;
        println!("loaded by {:5} {report}", format!("{}:", loader.name));
    }
    Ok(())
}

/// Has a program write the snapshot.
fn dump(program: Program<'_>, known: &Known, dir: &Path) -> Result<PathBuf> {
    std::fs::create_dir(dir)?;
    let file = dir.join("snapshot.dat");
    let node = program.start(dir)?;
    for hash in &known.chain.trunk[1..=BASE as usize] {
        let raw = &known.chain.blocks[hash].raw;
        node.rpc.call("submitblock", json!([raw]))?;
    }
    node.rpc.call("dumptxoutset", json!([file, "latest"]))?;
    node.stop()?;
    Ok(file)
}

/// Loads the snapshot with the first program, and lets both go on in turns until it is validated and has taken the place
/// of the coins below.
fn take_turns(
    known: &Known,
    dir: &Path,
    file: &Path,
    programs: [Program<'_>; 2],
) -> Result<String> {
    let mut next = (BEGUN + 1, BASE + 1);
    let mut turns = 0;
    for program in programs.iter().cycle() {
        let node = program.start(dir)?;
        if turns == 0 {
            node.rpc.call("loadtxoutset", json!([file]))?;
        }
        let tip = &known.chain.trunk[next.1 as usize - 1];
        let found = text(&node.rpc.call("getbestblockhash", json!([]))?);
        if found != *tip || digest(&node)? != known.chain.blocks[tip].digest {
            let name = program.name;
            return Err(format!("turn {turns}, {name}: the tip is {found}, not {tip}").into());
        }
        if chainstates(&node.rpc)? != 2 {
            return Err(format!("turn {turns}: nothing is validated below").into());
        }
        next = known.feed_some(&node.rpc, next, TURN)?;
        turns += 1;
        let done = next == (BASE + 1, TOP + 1);
        let began = Instant::now();
        while done && chainstates(&node.rpc)? > 1 {
            if began.elapsed() > PATIENCE {
                return Err("the snapshot is not validated".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        node.stop()?;
        if done {
            break;
        }
    }
    // At each next start there is one chain of coins.
    for program in programs.iter().rev() {
        let node = program.start(dir)?;
        let tip = &known.chain.trunk[TOP as usize];
        let found = text(&node.rpc.call("getbestblockhash", json!([]))?);
        let whole = found == *tip
            && digest(&node)? == known.chain.blocks[tip].digest
            && chainstates(&node.rpc)? == 1
            && node.rpc.call("verifychain", json!([4, 0]))? == true;
        node.stop()?;
        if !whole {
            return Err(format!("{} does not find the chain whole", program.name).into());
        }
    }
    Ok(format!("validated after {turns} turns, whole for both"))
}
