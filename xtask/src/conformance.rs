//! `cargo xtask conformance`: Bitcoin Core's functional suite, from a checkout of Core, on our programs.
//!
//! Nothing of Core lies in this project. What is kept here are facts: which entries of the suite's list the project
//! goes by (`xtask/data/conformance.tsv`), and how each ended when it was last run (`docs/conformance.md`).

mod command_line;
mod entries;
mod mixture;
mod suite;
mod table;

use crate::{Result, build};
use command_line::Wanted;
use entries::Entry;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use table::{Record, Status, Table};

/// Runs the entries that the arguments choose and shows how each ended, beside how it ended last time.
///
/// An entry that fails is no failure of the command, unless the kept table says that it passed before.
pub fn run(arguments: &[String]) -> Result {
    let wanted = Wanted::parse(arguments)?;
    let list = match &wanted.entries {
        Some(file) => entries::parse(&read(file)?)?,
        None => entries::parse(include_str!("../data/conformance.tsv"))?,
    };
    let chosen = entries::choose(&list, &wanted)?;
    let kept_at = build::root().join("docs/conformance.md");
    let mut kept = Table::parse(&read(&kept_at)?)?;
    let programs = match &wanted.programs {
        Some(folder) => folder.canonicalize()?,
        None => built_programs()?,
    };
    let outcome = suite::run(&wanted, &programs, &chosen)?;
    let lost = show(&chosen, &outcome, &kept);
    if wanted.update {
        let today = table::today()?;
        for entry in &chosen {
            if let Some(status) = outcome.get(&entry.name) {
                kept.set(entry, *status, &today);
            }
        }
        fs::write(&kept_at, kept.render(&list))?;
        println!("{} is up to date", kept_at.display());
    }
    println!("{}", summary(&outcome));
    if lost.is_empty() {
        Ok(())
    } else {
        Err(format!("no longer passed: {}", lost.join(", ")).into())
    }
}

/// Builds this checkout's programs and gives the folder they are in.
fn built_programs() -> Result<PathBuf> {
    println!("building the programs …");
    let programs = build::programs(false)?;
    // The wrapper `bitcoin` runs it where nothing asks for several processes.
    let one_process = [
        "-p",
        "btc-node",
        "--features",
        "wallet",
        "--bin",
        "bitcoind",
    ];
    build::run(build::cargo().args(["build", "--quiet"]).args(one_process))?;
    Ok(programs)
}

/// Prints the entries, one a line, and gives those that passed before and do not now.
fn show(chosen: &[&Entry], outcome: &BTreeMap<String, Status>, kept: &Table) -> Vec<String> {
    let mut lost = Vec::new();
    println!("\n{:<52} {:<8} {:<8} kept", "entry", "before", "now");
    for entry in chosen {
        let before = kept.get(&entry.name);
        let was = before.map_or(Status::NotRun, |record| record.status);
        let now = outcome.get(&entry.name).copied().unwrap_or(Status::NotRun);
        let mark = match (was, now) {
            (Status::Passed, Status::Passed) => "",
            (Status::Passed, _) => " <- lost",
            (_, Status::Passed) => " <- new",
            _ => "",
        };
        println!(
            "{:<52} {:<8} {:<8} {}{mark}",
            entry.name,
            was.word(),
            now.word(),
            before.map_or("", Record::date),
        );
        if was == Status::Passed && now != Status::Passed {
            lost.push(entry.name.clone());
        }
    }
    lost
}

/// `12 passed, 3 failed, 1 skipped`.
fn summary(outcome: &BTreeMap<String, Status>) -> String {
    let count = |wanted: Status| outcome.values().filter(|status| **status == wanted).count();
    format!(
        "{} passed, {} failed, {} skipped",
        count(Status::Passed),
        count(Status::Failed),
        count(Status::Skipped)
    )
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}
