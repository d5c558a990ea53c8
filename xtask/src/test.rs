//! `cargo xtask test`: every test, on freshly built programs, with counts by kind.

use crate::{Result, build, only};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// The feature that replaces the engine of the node's databases.
const OTHER_ENGINE: &str = "system-leveldb";
/// What the tests that have to do with the databases have in their names.
const ON_BOTH_ENGINES: [&str; 8] = [
    "store::",
    "datadir::",
    "durability::",
    "import::",
    "reorg::",
    "rebuilt",
    "restart",
    "reported_is_lost",
];

/// Passed, failed and ignored tests.
#[derive(Default, Clone, Copy)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs them all, also after a failure, and ends with the counts.
pub fn run(arguments: &[String]) -> Result {
    only(arguments, &[])?;
    // End-to-end tests run the programs, so these must be those of the code under test.
    build::programs(false)?;
    let mut kinds = BTreeMap::new();
    let features = features()?;
    let mut clean = suite(
        &[
            "test",
            "--workspace",
            "--no-fail-fast",
            "--features",
            &features,
        ],
        &mut kinds,
    )?;
    // The node's databases on the system's LevelDB: what has to do with them.
    let others = format!("wallet,{OTHER_ENGINE}");
    clean &= suite(
        &[
            &[
                "test",
                "--no-fail-fast",
                "-p",
                "btc-node",
                "--features",
                &others,
            ][..],
            &["--lib", "--test", "chainstate", "--test", "e2e", "--"],
            &ON_BOTH_ENGINES,
        ]
        .concat(),
        &mut kinds,
    )?;
    // The crates that a third party takes without the processes.
    clean &= suite(
        &["test", "--no-fail-fast", "-p", "btc-interfaces"],
        &mut kinds,
    )?;

    println!();
    let mut total = Counts::default();
    for (kind, counts) in &kinds {
        println!(
            "{kind:<12} {:>5} passed {:>3} failed {:>3} ignored",
            counts.passed, counts.failed, counts.ignored
        );
        total.passed += counts.passed;
        total.failed += counts.failed;
        total.ignored += counts.ignored;
    }
    println!(
        "{} passed, {} failed, {} skipped",
        total.passed, total.failed, total.ignored
    );
    if !clean || total.failed > 0 {
        return Err("some test failed".into());
    }
    Ok(())
}

/// Every feature of every package, but for the one that replaces the engine of the node's databases.
fn features() -> Result<String> {
    let metadata = build::cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout)?;
    let mut all = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().ok_or("a package has no name")?;
        for feature in package["features"].as_object().into_iter().flatten() {
            if (name, feature.0.as_str()) != ("btc-node", OTHER_ENGINE) {
                all.push(format!("{name}/{}", feature.0));
            }
        }
    }
    Ok(all.join(","))
}

/// Runs cargo, shows what it prints, adds up its closing lines by kind; whether it ended well.
fn suite(arguments: &[&str], kinds: &mut BTreeMap<&'static str, Counts>) -> Result<bool> {
    println!("$ cargo {}", arguments.join(" "));
    let mut command = build::cargo();
    command.args(arguments).stdout(Stdio::piped());
    // cargo says on stderr which binary runs next; both streams in one keep the order.
    let (reader, writer) = std::io::pipe()?;
    command.stderr(writer.try_clone()?).stdout(writer);
    let mut child = command.spawn()?;
    drop(command);
    let mut kind = "unit";
    for line in BufReader::new(reader).lines() {
        let line = line?;
        println!("{line}");
        let text = line.trim_start();
        if text.starts_with("Running unittests") {
            kind = "unit";
        } else if text.starts_with("Running ") {
            kind = "integration";
        } else if text.starts_with("Doc-tests ") {
            kind = "documentation";
        } else if let Some(counts) = closing_line(text) {
            let sum = kinds.entry(kind).or_default();
            sum.passed += counts.passed;
            sum.failed += counts.failed;
            sum.ignored += counts.ignored;
        }
    }
    Ok(child.wait()?.success())
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; …`
fn closing_line(line: &str) -> Option<Counts> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut numbers = counts.split("; ").map(|part| {
        part.split(' ')
            .next()
            .and_then(|number| number.parse().ok())
    });
    Some(Counts {
        passed: numbers.next()??,
        failed: numbers.next()??,
        ignored: numbers.next()??,
    })
}

#[cfg(test)]
mod tests {
    use super::closing_line;

    #[test]
    fn closing_lines_are_understood() {
        let counts = closing_line(
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out",
        )
        .expect("it is one");
        assert_eq!((counts.passed, counts.failed, counts.ignored), (12, 3, 1));
        assert!(closing_line("test foo ... ok").is_none());
    }
}
