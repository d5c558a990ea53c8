//! Compares verdicts with libbitcoinkernel until the time is over or the two disagree.
//!
//! ```text
//! oracle --seconds N [--first CASE]
//! ```

use std::process::ExitCode;
use std::time::Duration;

use fuzz::oracle::{Tally, run};

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = given.iter().map(String::as_str).collect();
    let (seconds, first) = match words[..] {
        ["--seconds", seconds] => (seconds, "0"),
        ["--seconds", seconds, "--first", first] => (seconds, first),
        _ => ("", ""),
    };
    let (Ok(seconds), Ok(first)) = (seconds.parse(), first.parse()) else {
        eprintln!("error: say --seconds N, and --first CASE to begin elsewhere than with case 0");
        return ExitCode::FAILURE;
    };
    match run(first, Duration::from_secs(seconds), |case, tally| {
        println!("up to case {case}: {}", text(tally));
    }) {
        Ok(tally) => {
            print!("{}", tally.rules);
            println!("no divergence: {}", text(&tally));
            ExitCode::SUCCESS
        }
        Err(divergence) => {
            eprintln!("error: {divergence}");
            ExitCode::FAILURE
        }
    }
}

/// Seconds that the processor worked for this process, where the system says it.
fn processor_seconds() -> Option<u64> {
    // Hundredths of seconds, in the fields after the program's name, which ends with the last parenthesis.
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100)
}

fn text(tally: &Tally) -> String {
    let count = |count: fuzz::oracle::Count| format!("{} ({} valid)", count.all, count.valid);
    let worked = processor_seconds().map_or(String::new(), |seconds| {
        format!("; {seconds} s of processor time")
    });
    format!(
        "{} spends, {} transactions, {} blocks ({} of signets), {} headers and {} blocks handed to {} chains with {} spends \
         of every kind and {} reorganizations{worked}; {} kinds of faults, {} never met",
        count(tally.scripts),
        count(tally.transactions),
        count(tally.blocks),
        tally.signed,
        count(tally.headers),
        count(tally.submissions),
        tally.chains,
        tally.spends,
        tally.reorganizations,
        tally.rules.kinds(),
        tally.rules.missing().len()
    )
}
