//! Single steps of validation beside the same steps of Bitcoin Core's bench_bitcoin.
//!
//! Each program measures itself; what is compared is the fastest measurement of each, the one least disturbed.

use super::generated::{self, io};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why steps were not compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Our benchmark program or a file are not to be had.
    #[error(transparent)]
    Data(#[from] generated::Error),
    /// Core's program failed.
    #[error("bench: {} ended with {status}", program.display())]
    Ended {
        /// Which.
        program: PathBuf,
        /// How.
        status: std::process::ExitStatus,
    },
    /// What a program says of a step is not to be found.
    #[error("bench: {program} says nothing of {step}")]
    Missing {
        /// Whose program.
        program: &'static str,
        /// The step.
        step: &'static str,
    },
}

/// Steps that are the same: our name, Core's, and what differs all the same.
const STEPS: [(&str, &str, &str); 6] = [
    (
        "block 413567, deserialize and hash",
        "DeserializeBlockTest",
        "",
    ),
    ("block 413567, check", "CheckBlockTest", ""),
    ("merkle root", "MerkleRootWithMutation", ""),
    ("script verify, WitnessPubKeyHash", "VerifyScriptP2WPKH", ""),
    ("script verify, TaprootKey", "VerifyScriptP2TR_KeyPath", ""),
    (
        "script verify, TaprootScript",
        "VerifyScriptP2TR_ScriptPath",
        "our leaf lies one level deeper",
    ),
];
/// Core's benchmarks, as it selects them.
const FILTER: &str = "DeserializeBlockTest|CheckBlockTest|MerkleRoot|VerifyScriptP2.*";
/// How long each of Core's is measured at least, in milliseconds: as long as ours.
const MIN_TIME: u32 = 1000;

/// Runs our benchmark program's single steps and, with a folder of Core's programs, Core's beside them.
pub(super) fn run(bench: &str, core: Option<&Path>) -> Result<(), Error> {
    let Some(core) = core else {
        return Ok(generated::run(bench, &["micro"])?);
    };
    let ours = generated::output(bench, &["micro"])?;
    print!("{ours}");
    let theirs = core_results(core)?;
    println!(
        "\n{:<38} {:>12} {:>12} {:>7}",
        "step", "ours ns", "Core ns", "ratio"
    );
    for (step, name, note) in STEPS {
        let ours = our_nanos(&ours, step).ok_or(Error::Missing {
            program: "our benchmark program",
            step,
        })?;
        let core = core_nanos(&theirs, name).ok_or(Error::Missing {
            program: "bench_bitcoin",
            step: name,
        })?;
        println!(
            "{step:<38} {ours:>12.1} {core:>12.1} {:>7.2} {note}",
            ours / core
        );
    }
    Ok(())
}

fn core_results(core: &Path) -> Result<Value, Error> {
    let program = core.join("bench_bitcoin");
    let folder = tempfile::tempdir().map_err(io(Path::new("a temporary folder")))?;
    let file = folder.path().join("results.json");
    let status = Command::new(&program)
        .arg(format!("-filter={FILTER}"))
        .arg(format!("-min-time={MIN_TIME}"))
        .arg(format!("-output-json={}", file.display()))
        .status()
        .map_err(io(&program))?;
    if !status.success() {
        return Err(Error::Ended { program, status });
    }
    let text = std::fs::read(&file).map_err(io(&file))?;
    // What is no JSON says nothing of any step.
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

/// The nanoseconds of a step in our program's lines: a name, a figure, and its unit.
fn our_nanos(lines: &str, step: &str) -> Option<f64> {
    lines.lines().find_map(|line| {
        let rest = line.strip_prefix(step)?.strip_prefix("  ")?;
        let (figure, unit) = rest.trim().split_once(' ')?;
        let scale = match unit.split_once('/')?.0 {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            _ => return None,
        };
        Some(figure.parse::<f64>().ok()? * scale)
    })
}

/// The least nanoseconds that one of Core's benchmarks took for each unit.
fn core_nanos(results: &Value, name: &str) -> Option<f64> {
    let all = results.get("results")?.as_array()?;
    let result = all.iter().find(|result| result["name"] == name)?;
    let batch = result["batch"].as_f64()?;
    let measured = result["measurements"].as_array()?;
    let seconds = measured.iter().filter_map(|one| one["elapsed"].as_f64());
    let least = seconds.min_by(f64::total_cmp)?;
    Some(least / batch * 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_each_program_writes() {
        let lines = "\
block 413567, check                                1500.0 us/block
block 413567, check otherwise                         9.0 us/block
merkle root                                          80.5 ns/leaf
";
        assert_eq!(our_nanos(lines, "block 413567, check"), Some(1.5e6));
        assert_eq!(our_nanos(lines, "merkle root"), Some(80.5));
        assert_eq!(our_nanos(lines, "merkle"), None);
        let results = serde_json::json!({ "results": [
            { "name": "A", "batch": 1, "measurements": [{ "elapsed": 2e-6 }, { "elapsed": 1e-6 }] },
            { "name": "B", "batch": 10, "measurements": [{ "elapsed": 1e-6 }] },
            { "name": "C", "batch": 10, "measurements": [] },
        ]});
        let nanos = |name| core_nanos(&results, name).map(f64::round);
        assert_eq!(nanos("A"), Some(1000.0));
        assert_eq!(nanos("B"), Some(100.0));
        assert_eq!(nanos("C"), None);
        assert_eq!(nanos("D"), None);
    }
}
