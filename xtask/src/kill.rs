//! `cargo xtask kill`: the node is killed at random points of its work and must come back with all it had reported.

mod chain;
pub mod exchange;
mod known;
mod phase;

use crate::node::Node;
use crate::{Result, build};
use chain::Chain;
use known::Known;
use phase::{Phase, Setting};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Options of every node here.
const OPTIONS: &[&str] = &[
    "-regtest",
    "-connect=0",
    "-listen=0",
    "-disablewallet",
    "-dbcache=4",
    // Many batches for each flush, so that a kill falls between two.
    "-dbbatchsize=2000",
];
/// A directory goes through so many kills before it is finished, looked at and begun anew.
const KILLS_PER_DIRECTORY: u64 = 4;

struct Arguments {
    count: u64,
    phases: Vec<(&'static str, Phase)>,
    seed: u64,
    programs: Option<PathBuf>,
    keep: bool,
}

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut parsed = Self {
            count: 30,
            phases: Vec::new(),
            seed: std::time::UNIX_EPOCH.elapsed()?.as_secs(),
            programs: None,
            keep: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--count" => parsed.count = value()?.parse()?,
                "--seed" => parsed.seed = value()?.parse()?,
                "--programs" => parsed.programs = Some(std::path::absolute(value()?)?),
                "--keep" => parsed.keep = true,
                "--phase" => {
                    let name = value()?;
                    let known = Phase::ALL.iter().find(|(known, _)| known == name);
                    parsed
                        .phases
                        .push(*known.ok_or(format!("there is no phase '{name}'"))?);
                }
                unknown => return Err(format!("kill: unknown argument '{unknown}'").into()),
            }
        }
        if parsed.phases.is_empty() {
            parsed.phases = Phase::ALL.to_vec();
        }
        Ok(parsed)
    }
}

/// Pseudo-random numbers from a seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Kills as often as the arguments say, in turn in each phase.
pub fn run(arguments: &[String]) -> Result {
    let arguments = Arguments::parse(arguments)?;
    let programs = match &arguments.programs {
        Some(programs) => programs.clone(),
        None => build::programs(false)?,
    };
    let mut dir = tempfile::Builder::new().prefix("bitcoin-kill-").tempdir()?;
    dir.disable_cleanup(arguments.keep);
    println!("seed {}, in {}", arguments.seed, dir.path().display());

    let began = Instant::now();
    let source = dir.path().join("source");
    std::fs::create_dir(&source)?;
    let chain = Chain::make(&programs, &source)?;
    let blocks = dir.path().join("trunk.blk");
    chain.write_trunk(&blocks)?;
    let load = format!("-loadblock={}", blocks.display());
    let [trunk, pruned] = ["trunk", "pruned"].map(|name| dir.path().join(name));
    for (dir, more) in [(&trunk, &[][..]), (&pruned, &["-fastprune", "-prune=1"])] {
        std::fs::create_dir(dir)?;
        let options = [OPTIONS, &[&load], more].concat();
        Node::start(&programs, dir, "regtest", &options)?.stop()?;
    }
    let known = Known::make(&programs, &dir.path().join("known"))?;
    println!(
        "a chain of {} blocks on two branches, made in {:.0} s",
        chain.blocks.len(),
        began.elapsed().as_secs_f64()
    );
    let setting = Setting {
        programs: &programs,
        chain: &chain,
        blocks: &blocks,
        trunk: &trunk,
        pruned: &pruned,
        known: &known,
    };
    let share = arguments.count.div_ceil(arguments.phases.len() as u64);
    let mut failed = Vec::new();
    for (name, phase) in arguments.phases {
        let mut random = Random::new(arguments.seed);
        let dir = dir.path().join(name);
        let report = many(&setting, phase, &dir, share, &mut random);
        match report {
            Ok(report) => println!("{name:20} {report}"),
            Err(error) => {
                println!("{name:20} FAILED: {error}");
                failed.push(name);
            }
        }
    }
    println!("in {:.0} s", began.elapsed().as_secs_f64());
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("something was lost or broken in: {}", failed.join(", ")).into()),
    }
}

fn many(
    setting: &Setting<'_>,
    phase: Phase,
    dir: &Path,
    count: u64,
    random: &mut Random,
) -> Result<String> {
    setting.prepare(phase, dir)?;
    let whole = setting.whole(phase, dir)?;
    let (mut done, mut heights) = (0, Vec::new());
    let mut fresh = true;
    for kill in 0..count {
        if fresh {
            setting.prepare(phase, dir)?;
        }
        // Some are killed as they start, some when they are done.
        let after = Duration::from_micros(random.below(whole.as_micros() as u64 * 11 / 10 + 1));
        let outcome = setting
            .kill(phase, dir, after, random)
            .map_err(|error| format!("kill {kill}, after {after:?}: {error}"))?;
        heights.push(outcome.height);
        done += u64::from(outcome.done);
        fresh = outcome.done || phase.ends_with_a_start() || (kill + 1) % KILLS_PER_DIRECTORY == 0;
        if fresh {
            setting
                .finish(phase, dir)
                .map_err(|error| format!("after kill {kill}: {error}"))?;
        }
    }
    heights.sort_unstable();
    heights.dedup();
    Ok(format!(
        "{count} kills in work of {:.1} s, {done} after its end; tips at {} heights from {} to {}: all consistent",
        whole.as_secs_f64(),
        heights.len(),
        heights.first().copied().unwrap_or_default(),
        heights.last().copied().unwrap_or_default(),
    ))
}
