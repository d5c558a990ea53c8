//! The kinds of work in which a node is killed.

use crate::Result;
use crate::node::Node;
use crate::rpc::Client;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use super::chain::{Chain, digest, text};
use super::known::{BASE, Known, chainstates};
use super::{OPTIONS, Random};

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Blocks are read from a file into an empty directory.
    Ibd,
    /// Blocks of a branch with more work come in one by one.
    Reorg,
    /// Blocks come in and are written to the databases after each.
    Flush,
    /// Block files are deleted while blocks come in.
    Prune,
    /// All databases are rebuilt.
    Reindex,
    /// The coins are rebuilt.
    ReindexChainstate,
    /// All indexes are built from the first block on.
    Indexes,
    /// The mempool's file is written again and again.
    MempoolFile,
    /// A snapshot is loaded, and blocks come in above and below it.
    Snapshot,
    /// A snapshot that was validated takes the place of the coins below it, as the node starts.
    SnapshotAdoption,
}

impl Phase {
    pub(super) const ALL: [(&str, Self); 10] = [
        ("ibd", Self::Ibd),
        ("reorg", Self::Reorg),
        ("flush", Self::Flush),
        ("prune", Self::Prune),
        ("reindex", Self::Reindex),
        ("reindex-chainstate", Self::ReindexChainstate),
        ("indexes", Self::Indexes),
        ("mempool-file", Self::MempoolFile),
        ("snapshot", Self::Snapshot),
        ("snapshot-adoption", Self::SnapshotAdoption),
    ];

    /// Options of every start in this phase.
    fn lasting(self) -> &'static [&'static str] {
        match self {
            // Block files of 64 KiB, deleted on request.
            Self::Prune => &["-fastprune", "-prune=1"],
            Self::Indexes => &INDEXES,
            _ => &[],
        }
    }

    /// The option of the start that is to be killed.
    fn work(self, blocks: &Path) -> Option<String> {
        match self {
            Self::Ibd => Some(format!("-loadblock={}", blocks.display())),
            Self::Reindex => Some("-reindex".into()),
            Self::ReindexChainstate => Some("-reindex-chainstate".into()),
            _ => None,
        }
    }

    /// Whether the next start does the work to its end, so that there is nothing more to kill.
    pub(super) fn ends_with_a_start(self) -> bool {
        self == Self::SnapshotAdoption
    }

    /// The block at which the chain ends once the work is done.
    fn goal(self, chain: &Chain) -> &str {
        match self {
            Self::Reorg | Self::Flush | Self::Prune => chain.branch_tip(),
            _ => chain.trunk_tip(),
        }
    }
}

const INDEXES: [&str; 4] = [
    "-txindex",
    "-txospenderindex",
    "-coinstatsindex",
    "-blockfilterindex",
];
/// Saves of the mempool's file in a round.
const SAVES: u32 = 60;

/// What does not change from kill to kill.
pub(super) struct Setting<'a> {
    pub(super) programs: &'a Path,
    pub(super) chain: &'a Chain,
    /// A block file with the trunk.
    pub(super) blocks: &'a Path,
    /// A data directory that has the trunk, for the phases that begin with it.
    pub(super) trunk: &'a Path,
    /// As `trunk`, with small block files.
    pub(super) pruned: &'a Path,
    /// A chain with a snapshot.
    pub(super) known: &'a Known,
}

/// What a client was told before the node died.
#[derive(Default)]
struct Reported {
    /// The tip when the coins were last said to be written.
    flushed: Option<String>,
    /// How many transactions had a priority when the mempool's file was last said to be written.
    saved: usize,
    /// The height up to which blocks were said to be pruned.
    pruned: Option<u64>,
    /// Whether the snapshot was said to be loaded.
    loaded: bool,
}

/// How one kill went.
pub(super) struct Outcome {
    /// The height of the tip after the next start.
    pub(super) height: u64,
    /// Whether the work was done before the node was killed.
    pub(super) done: bool,
}

impl Setting<'_> {
    /// The chain of a phase.
    fn chain(&self, phase: Phase) -> &Chain {
        match phase {
            Phase::Snapshot | Phase::SnapshotAdoption => &self.known.chain,
            _ => self.chain,
        }
    }

    /// Prepares the directory for a phase.
    pub(super) fn prepare(&self, phase: Phase, dir: &Path) -> Result {
        let from = match phase {
            Phase::Ibd => None,
            Phase::Prune => Some(self.pruned),
            Phase::Snapshot => Some(&*self.known.begun),
            Phase::SnapshotAdoption => Some(&*self.known.validated),
            _ => Some(self.trunk),
        };
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(dir)?;
        from.map_or(Ok(()), |from| copy(from, dir))
    }

    fn options(phase: Phase, work: Option<&String>) -> Vec<&str> {
        let lasting = OPTIONS.iter().chain(phase.lasting()).copied();
        lasting.chain(work.map(String::as_str)).collect()
    }

    /// Works to the end without a kill; says how long that took.
    pub(super) fn whole(&self, phase: Phase, dir: &Path) -> Result<Duration> {
        let work = phase.work(self.blocks);
        let mut node = Node::spawn(
            self.programs,
            dir,
            "regtest",
            &Self::options(phase, work.as_ref()),
        )?;
        let began = std::time::Instant::now();
        node.wait_until_loaded()?;
        self.drive(phase, &node.rpc, &Mutex::default(), &mut Random::new(1))?;
        let took = began.elapsed();
        self.check(phase, &node, None)?;
        node.stop()?;
        Ok(took)
    }

    /// Starts the work, kills the node `after` so long, starts it again and looks at what it has.
    pub(super) fn kill(
        &self,
        phase: Phase,
        dir: &Path,
        after: Duration,
        random: &mut Random,
    ) -> Result<Outcome> {
        let work = phase.work(self.blocks);
        let options = Self::options(phase, work.as_ref());
        let node = Node::spawn(self.programs, dir, "regtest", &options)?;
        let client = node.rpc.clone();
        let reported = Mutex::new(Reported::default());
        let done = std::thread::scope(|scope| {
            let driver = scope.spawn(|| {
                // Calls fail from the kill on, and until the node listens.
                let driven = client.wait_until_it_answers(after * 2)
                    && self.drive(phase, &client, &reported, random).is_ok();
                driven && work.is_none()
            });
            std::thread::sleep(after);
            node.kill()?;
            driver.join().map_err(|_| "the driver panicked".into())
        });
        let done: Result<bool> = done;
        let done = done?;
        let reported = reported.into_inner().map_err(|_| "the driver panicked")?;
        let node = Node::start(self.programs, dir, "regtest", &Self::options(phase, None))?;
        let height = self.check(phase, &node, Some(&reported))?;
        node.stop()?;
        Ok(Outcome { height, done })
    }

    /// Lets the work go to its end after kills, and looks at everything.
    pub(super) fn finish(&self, phase: Phase, dir: &Path) -> Result {
        let work = match phase {
            Phase::Ibd => phase.work(self.blocks),
            _ => None,
        };
        let node = Node::start(
            self.programs,
            dir,
            "regtest",
            &Self::options(phase, work.as_ref()),
        )?;
        self.drive(phase, &node.rpc, &Mutex::default(), &mut Random::new(2))?;
        let goal = phase.goal(self.chain(phase));
        let tip = text(&node.rpc.call("getbestblockhash", json!([]))?);
        if tip != goal {
            return Err(format!("the chain ends in {tip} and not in {goal}").into());
        }
        self.check(phase, &node, None)?;
        let pruned = node.rpc.call("getblockchaininfo", json!([]))?["pruneheight"].as_u64();
        for height in pruned.unwrap_or(0)..=self.chain(phase).blocks[goal].height {
            let hash = self
                .chain(phase)
                .ancestor(goal, height)
                .ok_or("no such height")?;
            let raw = text(&node.rpc.call("getblock", json!([hash, 0]))?);
            if raw != self.chain(phase).blocks[hash].raw {
                return Err(format!("block {height} is not what it was").into());
            }
        }
        node.stop()?;
        if phase == Phase::Snapshot {
            // Once more: the snapshot takes the place of the coins below it.
            let node = Node::start(self.programs, dir, "regtest", OPTIONS)?;
            self.check(Phase::SnapshotAdoption, &node, None)?;
            node.stop()?;
        }
        Ok(())
    }

    /// Does what a client does in this phase, until the goal is reached or a call fails.
    fn drive(
        &self,
        phase: Phase,
        client: &Client,
        reported: &Mutex<Reported>,
        random: &mut Random,
    ) -> Result {
        let note = |client: &Client| -> Result {
            let written = client.call("gettxoutsetinfo", json!(["none"]))?;
            lock(reported).flushed = Some(text(&written["bestblock"]));
            Ok(())
        };
        match phase {
            Phase::Ibd | Phase::Reindex | Phase::ReindexChainstate => {
                // The blocks come from files; now and then the node is told to write what it has.
                loop {
                    note(client)?;
                    if client.call("getmempoolinfo", json!([]))?["loaded"] == true {
                        return Ok(());
                    }
                    std::thread::sleep(Duration::from_millis(random.below(200)));
                }
            }
            // It is done when the node answers.
            Phase::SnapshotAdoption => Ok(()),
            Phase::Indexes => loop {
                let info = client.call("getindexinfo", json!([]))?;
                let mut all = info.as_object().into_iter().flatten();
                if all.all(|(_, index)| index["synced"] == true) {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(random.below(50)));
            },
            Phase::MempoolFile => {
                for _ in 0..SAVES {
                    let txid = format!("{:064x}", u128::from(random.next()) + 1);
                    client.call("prioritisetransaction", json!([txid, null, 1000]))?;
                    let count = prioritised(client)?;
                    client.call("savemempool", json!([]))?;
                    lock(reported).saved = count;
                }
                Ok(())
            }
            Phase::Snapshot => {
                self.known.load(client)?;
                lock(reported).loaded = true;
                self.known
                    .feed(client, random, |random| match random.below(6) {
                        0 => note(client),
                        _ => Ok(()),
                    })
            }
            Phase::Reorg | Phase::Flush | Phase::Prune => {
                for hash in &self.chain.branch {
                    let block = &self.chain(phase).blocks[hash];
                    client.call("submitblock", json!([block.raw]))?;
                    match phase {
                        Phase::Flush => note(client)?,
                        Phase::Prune if random.below(3) == 0 => {
                            let height = 1 + random.below(block.height);
                            let pruned = client.call("pruneblockchain", json!([height]));
                            if let Ok(height) = pruned {
                                lock(reported).pruned = height.as_u64();
                            }
                        }
                        _ if random.below(6) == 0 => note(client)?,
                        _ => {}
                    }
                }
                Ok(())
            }
        }
    }

    /// Lets the indexes catch up, and holds what they say of some blocks against the chain.
    fn check_indexes(&self, client: &Client) -> Result {
        self.drive(
            Phase::Indexes,
            client,
            &Mutex::default(),
            &mut Random::new(3),
        )?;
        let mut previous = None;
        for hash in &self.chain.trunk {
            let block = &self.chain.blocks[hash];
            let filter = client.call("getblockfilter", json!([hash]))?;
            // Each header commits to the filter and to the header before.
            let filter = filter["filter"].as_str().map(str::to_owned);
            if filter.is_none() || filter == previous {
                return Err(format!("no filter of its own for block {}", block.height).into());
            }
            previous = filter;
            if !block.height.is_multiple_of(40) || block.height == 0 {
                continue;
            }
            let coins = client.call("gettxoutsetinfo", json!(["none", hash]))?;
            if coins["height"] != block.height {
                return Err(format!("no figures of the coins at {}", block.height).into());
            }
            let full = client.call("getblock", json!([hash, 2]))?;
            for tx in full["tx"].as_array().into_iter().flatten() {
                let found = client.call("getrawtransaction", json!([tx["txid"], true]))?;
                if found["blockhash"] != hash.as_str() {
                    return Err(format!("{} is not found in its block", tx["txid"]).into());
                }
            }
        }
        Ok(())
    }

    /// Holds what a node has against the chain; the height of its tip.
    fn check(&self, phase: Phase, node: &Node, reported: Option<&Reported>) -> Result<u64> {
        let tip = text(&node.rpc.call("getbestblockhash", json!([]))?);
        let block = self
            .chain(phase)
            .blocks
            .get(&tip)
            .ok_or("the tip is no block of the chain")?;
        let coins = digest(node)?;
        if coins != block.digest {
            return Err(format!(
                "at {}, {tip}, the coins are not those of the chain",
                block.height
            )
            .into());
        }
        // A rebuild begins again, but to its end.
        let floor = match phase {
            Phase::Reindex | Phase::ReindexChainstate => Some(self.chain(phase).trunk_tip()),
            _ => reported.and_then(|reported| reported.flushed.as_deref()),
        };
        if let Some(floor) = floor {
            let least = self
                .chain(phase)
                .blocks
                .get(floor)
                .ok_or("a strange block was reported")?;
            let kept = match phase {
                // The branch takes over when it has more work; what was reported may lie on the other.
                Phase::Reorg | Phase::Flush | Phase::Prune => block.height >= least.height,
                _ => self.chain(phase).ancestor(&tip, least.height) == Some(floor),
            };
            if !kept {
                return Err(format!(
                    "the tip is {tip} at {}, but {floor} at {} was reported as written",
                    block.height, least.height
                )
                .into());
            }
        }
        if reported.is_some_and(|reported| reported.loaded) && block.height < BASE {
            return Err(format!(
                "the tip is at {}, but the snapshot was loaded",
                block.height
            )
            .into());
        }
        if let Some(reported) = reported
            && phase == Phase::MempoolFile
        {
            let found = prioritised(&node.rpc)?;
            if found < reported.saved {
                let saved = reported.saved;
                return Err(format!("{found} priorities of {saved} that were saved").into());
            }
        }
        if phase == Phase::Indexes {
            self.check_indexes(&node.rpc)?;
        }
        let below = chainstates(&node.rpc)? > 1;
        if below && phase == Phase::SnapshotAdoption {
            return Err("the snapshot was validated, but there are two chains of coins".into());
        }
        // Below a snapshot not all blocks are there to be looked at.
        if node.rpc.call("verifychain", json!([4, 12]))? != true && !below {
            return Err("verifychain finds something".into());
        }
        if let Some(pruned) = reported.and_then(|reported| reported.pruned) {
            let info = node.rpc.call("getblockchaininfo", json!([]))?;
            let height = info["pruneheight"].as_u64().unwrap_or(0);
            // Blocks that were said to be gone may be there still, but none beyond them is gone.
            let first = self.chain(phase).ancestor(&tip, height.max(pruned + 1));
            if let Some(first) = first {
                node.rpc.call("getblock", json!([first, 0]))?;
            }
        }
        Ok(block.height)
    }
}

/// How many transactions have a priority.
fn prioritised(client: &Client) -> Result<usize> {
    let all = client.call("getprioritisedtransactions", json!([]))?;
    Ok(all.as_object().map_or(0, serde_json::Map::len))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Copies a directory and what is below it.
pub(super) fn copy(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}
