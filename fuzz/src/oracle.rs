//! Verdicts beside those of Bitcoin Core's libbitcoinkernel, for cases that a seed makes.
//!
//! Every case has a number, and is the same whenever it is run: a finding names the number, which is all that it takes
//! to see it again.

mod blocks;
mod chains;
mod pair;
mod random;
mod rules;
mod scripts;
mod signets;
mod spends;
mod transactions;

use std::time::{Duration, Instant};

use random::Random;
pub use rules::{Part, Rules};

/// How many verdicts were compared, and how many of them were "valid".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub all: u64,
    /// Those of something valid.
    pub valid: u64,
}

impl Count {
    fn add(&mut self, valid: bool) {
        self.all += 1;
        self.valid += u64::from(valid);
    }
}

/// What was compared so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Spends of one input by one set of flags.
    pub scripts: Count,
    /// Transactions by themselves.
    pub transactions: Count,
    /// Blocks by themselves.
    pub blocks: Count,
    /// Headers handed to a chain.
    pub headers: Count,
    /// Blocks handed to a chain, with the reasons and the tips compared after each.
    pub submissions: Count,
    /// Spends in blocks of a chain.
    pub spends: u64,
    /// Blocks of signets with challenges of their own.
    pub signed: u64,
    /// Whole chains.
    pub chains: u64,
    /// Times that a tip left its branch.
    pub reorganizations: u64,
    /// The rules that both found broken.
    pub rules: Rules,
}

/// A case on which the two disagree.
#[derive(Debug, thiserror::Error)]
#[error("case {case}: {what}")]
pub struct Divergence {
    /// The number of the case.
    pub case: u64,
    /// What each said, and of what.
    pub what: String,
}

/// Compares cases from number `first` on until `time` is over, and tells `progress` of the sum now and then.
///
/// # Errors
/// The first disagreement.
pub fn run(
    first: u64,
    time: Duration,
    mut progress: impl FnMut(u64, &Tally),
) -> Result<Tally, Divergence> {
    pair::listen();
    let began = Instant::now();
    let mut tally = Tally::default();
    let mut told = began;
    let mut case = first;
    while began.elapsed() < time {
        run_case(case, &mut tally).map_err(|what| Divergence { case, what })?;
        case += 1;
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            progress(case, &tally);
        }
    }
    Ok(tally)
}

/// One case: some of everything, in shares that take about the same time.
fn run_case(case: u64, tally: &mut Tally) -> Result<(), String> {
    let mut random = Random::new(case);
    for _ in 0..400 {
        scripts::compare(&mut random, &mut tally.scripts, &mut tally.rules)?;
    }
    for _ in 0..100 {
        transactions::compare(&mut random, &mut tally.transactions, &mut tally.rules)?;
    }
    if case.is_multiple_of(50) {
        signets::compare(&mut random, tally)?;
    }
    if case.is_multiple_of(2) {
        spends::compare(&mut random, tally)
    } else {
        chains::compare(&mut random, tally)
    }
}

/// A spend that `choices` make, for libFuzzer: panics on a disagreement.
pub fn script(choices: &[u8]) {
    agree(scripts::compare(
        &mut choosing(choices),
        &mut Count::default(),
        &mut Rules::default(),
    ));
}

/// A transaction that `choices` make, for libFuzzer: panics on a disagreement.
pub fn transaction(choices: &[u8]) {
    agree(transactions::compare(
        &mut choosing(choices),
        &mut Count::default(),
        &mut Rules::default(),
    ));
}

/// A tree of blocks that `choices` make, for libFuzzer: panics on a disagreement.
pub fn chain(choices: &[u8]) {
    agree(chains::compare(
        &mut choosing(choices),
        &mut Tally::default(),
    ));
}

/// Spends in the blocks of a chain that `choices` make, for libFuzzer: panics on a disagreement.
pub fn spends(choices: &[u8]) {
    agree(spends::compare(
        &mut choosing(choices),
        &mut Tally::default(),
    ));
}

fn choosing(choices: &[u8]) -> Random {
    pair::listen();
    Random::from_choices(choices)
}

fn agree(verdict: Result<(), String>) {
    if let Err(what) = verdict {
        panic!("{what}");
    }
}

/// Bytes as text, for a finding.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
