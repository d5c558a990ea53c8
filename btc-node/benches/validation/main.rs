//! The chain that `cargo xtask bench validation` times, and the small benchmarks beside it.
//!
//! ```text
//! cargo bench -p btc-node --bench validation -- generate DIR    the chain, as block files in DIR
//! cargo bench -p btc-node --bench validation -- micro           what single steps cost
//! ```

#![allow(clippy::unwrap_used)]

mod chain;
mod micro;
mod outputs;
mod random;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Cargo adds an argument of its own.
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = given.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["generate", dir] => chain::generate(Path::new(dir)),
        ["micro"] => {
            micro::run();
            Ok(())
        }
        // Without arguments cargo runs every benchmark there is: this one takes its time only when asked.
        [] => Ok(()),
        _ => Err(std::io::Error::other("say `generate DIR` or `micro`")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
