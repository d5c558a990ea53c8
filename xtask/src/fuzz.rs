//! `cargo xtask fuzz`: runs the fuzz targets, each for its share of the time.
//!
//! With `--runs` the inputs are the same each time: the seeds, and variants that depend on them alone. That is what CI
//! does. Without, libFuzzer looks for new ones.

use crate::build;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Why fuzzing was not done, or what it found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An argument that the command does not know.
    #[error("fuzz: unknown argument {0:?}; it takes --runs N, --seconds N and names of targets")]
    Argument(String),
    /// The time is missing or no number.
    #[error("fuzz: --seconds needs a number of seconds from 1 to 1000000")]
    Seconds,
    /// The number of inputs is missing or no number.
    #[error("fuzz: --runs needs a number of inputs from 1 to 1000000000")]
    Runs,
    /// There is no target of that name.
    #[error("fuzz: there is no target {name:?}; there are {}", known.join(", "))]
    Target {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// cargo-fuzz is not installed.
    #[error("fuzz: cargo-fuzz is not installed; run `cargo install cargo-fuzz --locked`")]
    ToolMissing,
    /// A folder could not be listed or made, or a program not be started.
    #[error("{what}: {source}")]
    Io {
        /// The file or program.
        what: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Targets that found something or could not be built, as their output says.
    #[error("fuzz: failed: {}; inputs that were found lie in fuzz/artifacts", .0.join(", "))]
    Failed(Vec<String>),
}

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// Seconds for all targets together.
    seconds: u64,
    /// Inputs for each target, if they are to be the same each time.
    runs: Option<u64>,
    /// All, if none was named.
    targets: Vec<String>,
}

/// Runs the command with the arguments after its name.
///
/// # Errors
/// [`Error::Failed`] if a target finds something, else what went wrong.
pub(crate) fn run(arguments: &[String]) -> Result<(), Error> {
    let folder = build::root().join("fuzz");
    let known = targets(folder.join("fuzz_targets"))?;
    let wanted = parse(arguments, &known)?;
    let share = (wanted.seconds / wanted.targets.len() as u64).max(1);
    match wanted.runs {
        Some(runs) => repeat(&folder, &wanted.targets, runs, share),
        None => search(&folder, &wanted.targets, share),
    }
}

/// Tries the seeds and the same variants of them as ever.
fn repeat(folder: &Path, targets: &[String], runs: u64, share: u64) -> Result<(), Error> {
    let mut command = build::cargo();
    command
        .args(["test", "--release", "--test", "seeds", "--"])
        .args(["--test-threads=1", "--nocapture", "--exact"])
        .args(targets)
        .current_dir(folder)
        .env("FUZZ_RUNS", runs.to_string())
        .env("FUZZ_SECONDS", share.to_string())
        .stdin(Stdio::null());
    let status = command.status().map_err(|e| io("cargo test", e))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Failed(targets.to_vec()))
    }
}

/// Has libFuzzer look for inputs that nobody has tried.
fn search(folder: &Path, targets: &[String], share: u64) -> Result<(), Error> {
    let installed = build::cargo()
        .args(["fuzz", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !installed.is_ok_and(|status| status.success()) {
        return Err(Error::ToolMissing);
    }
    let mut failed = Vec::new();
    for target in targets {
        println!("== {target}, {share} s");
        let corpus = folder.join("corpus").join(target);
        std::fs::create_dir_all(&corpus).map_err(|e| io(corpus.display(), e))?;
        let mut command = build::cargo();
        command
            .args(["fuzz", "run", target])
            .arg(&corpus)
            .arg(folder.join("seeds").join(target))
            .args(["--", "-verbosity=0", "-print_final_stats=1", "-timeout=30"])
            .arg(format!("-max_total_time={share}"))
            .current_dir(folder)
            // The stable compiler takes the sanitizer's flags only so.
            .env("RUSTC_BOOTSTRAP", "1")
            .stdin(Stdio::null());
        let status = command.status().map_err(|e| io("cargo fuzz", e))?;
        if !status.success() {
            failed.push(target.clone());
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::Failed(failed))
    }
}

fn parse(arguments: &[String], known: &[String]) -> Result<Wanted, Error> {
    let (mut seconds, mut runs) = (None, None);
    let mut chosen = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut number = |most| {
            let value = arguments.next().and_then(|value| value.parse().ok());
            value.filter(|value| (1..=most).contains(value))
        };
        if argument == "--seconds" {
            seconds = Some(number(1_000_000).ok_or(Error::Seconds)?);
        } else if argument == "--runs" {
            runs = Some(number(1_000_000_000).ok_or(Error::Runs)?);
        } else if argument.starts_with('-') {
            return Err(Error::Argument(argument.clone()));
        } else if !known.contains(argument) {
            return Err(Error::Target {
                name: argument.clone(),
                known: known.to_vec(),
            });
        } else if !chosen.contains(argument) {
            chosen.push(argument.clone());
        }
    }
    if chosen.is_empty() {
        chosen = known.to_vec();
    }
    Ok(Wanted {
        seconds: seconds.ok_or(Error::Seconds)?,
        runs,
        targets: chosen,
    })
}

/// The names of the targets, sorted.
fn targets(folder: PathBuf) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|e| io(folder.display(), e))? {
        let path = entry.map_err(|e| io(folder.display(), e))?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            found.push(name.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

fn io(what: impl ToString, source: std::io::Error) -> Error {
    Error::Io {
        what: what.to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<(u64, Option<u64>, String), String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let known = ["a".to_owned(), "b".to_owned()];
        let wanted = parse(&arguments, &known).map_err(|e| e.to_string())?;
        Ok((wanted.seconds, wanted.runs, wanted.targets.join(" ")))
    }

    #[test]
    fn time_and_targets_are_what_was_asked_for() {
        assert_eq!(parsed(&["--seconds", "9"]), Ok((9, None, "a b".to_owned())));
        assert_eq!(
            parsed(&["b", "--runs", "7", "--seconds", "9", "b"]),
            Ok((9, Some(7), "b".to_owned()))
        );
        for (arguments, expected) in [
            (&["a"][..], "needs a number"),
            (&["--seconds"], "needs a number"),
            (&["--seconds", "0"], "needs a number"),
            (
                &["--runs", "0", "--seconds", "1"],
                "needs a number of inputs",
            ),
            (&["--runs", "1"], "needs a number of seconds"),
            (&["--second", "1"], "unknown argument \"--second\""),
            (&["--seconds", "1", "c"], "no target \"c\"; there are a, b"),
        ] {
            let error = parsed(arguments).expect_err("wrong usage");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn every_target_has_seeds_and_is_declared() {
        let folder = build::root().join("fuzz");
        let manifest =
            std::fs::read_to_string(folder.join("Cargo.toml")).expect("the manifest can be read");
        let tests = std::fs::read_to_string(folder.join("tests").join("seeds.rs"))
            .expect("the tests can be read");
        let targets = targets(folder.join("fuzz_targets")).expect("the folder can be listed");
        assert!(targets.len() >= 5);
        for target in targets {
            assert!(
                manifest.contains(&format!("name = \"{target}\"")),
                "{target}"
            );
            assert!(tests.contains(&format!("fn {target}()")), "{target}");
            let seeds = std::fs::read_dir(folder.join("seeds").join(&target));
            assert!(seeds.is_ok_and(|seeds| seeds.count() > 0), "{target}");
        }
    }
}
