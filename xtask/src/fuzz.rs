//! `cargo xtask fuzz`: runs the fuzz targets, each for its share of the time.

use crate::build;
use std::path::PathBuf;
use std::process::Stdio;

/// Why fuzzing was not done, or what it found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An argument that the command does not know.
    #[error("fuzz: unknown argument {0:?}; it takes --seconds N and names of targets")]
    Argument(String),
    /// The time is missing or no number.
    #[error("fuzz: --seconds needs a number of seconds from 1 to 1000000")]
    Seconds,
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

/// Runs the command with the arguments after its name.
///
/// # Errors
/// [`Error::Failed`] if a target finds something, else what went wrong.
pub(crate) fn run(arguments: &[String]) -> Result<(), Error> {
    let folder = build::root().join("fuzz");
    let known = targets(folder.join("fuzz_targets"))?;
    let (seconds, chosen) = parse(arguments, &known)?;
    let installed = build::cargo()
        .args(["fuzz", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !installed.is_ok_and(|status| status.success()) {
        return Err(Error::ToolMissing);
    }
    let share = (seconds / chosen.len() as u64).max(1);
    let mut failed = Vec::new();
    for target in &chosen {
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
            .current_dir(&folder)
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

/// The time and the targets asked for; all if none is named.
fn parse(arguments: &[String], known: &[String]) -> Result<(u64, Vec<String>), Error> {
    let mut seconds = None;
    let mut chosen = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--seconds" {
            let value = arguments.next().and_then(|value| value.parse().ok());
            seconds = Some(
                value
                    .filter(|seconds| (1..=1_000_000).contains(seconds))
                    .ok_or(Error::Seconds)?,
            );
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
    Ok((seconds.ok_or(Error::Seconds)?, chosen))
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

    fn parsed(arguments: &[&str]) -> Result<(u64, Vec<String>), String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let known = ["a".to_owned(), "b".to_owned()];
        parse(&arguments, &known).map_err(|e| e.to_string())
    }

    #[test]
    fn time_and_targets_are_what_was_asked_for() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(parsed(&["--seconds", "9"]), Ok((9, names(&["a", "b"]))));
        assert_eq!(
            parsed(&["b", "--seconds", "9", "b"]),
            Ok((9, names(&["b"])))
        );
        for (arguments, expected) in [
            (&["a"][..], "needs a number"),
            (&["--seconds"], "needs a number"),
            (&["--seconds", "0"], "needs a number"),
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
        let targets = targets(folder.join("fuzz_targets")).expect("the folder can be listed");
        assert!(targets.len() >= 5);
        for target in targets {
            assert!(
                manifest.contains(&format!("name = \"{target}\"")),
                "{target}"
            );
            let seeds = std::fs::read_dir(folder.join("seeds").join(&target));
            assert!(seeds.is_ok_and(|seeds| seeds.count() > 0), "{target}");
        }
    }
}
