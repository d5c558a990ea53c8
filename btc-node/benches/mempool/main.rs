//! What `cargo xtask bench rpc` and `cargo xtask bench mempool` feed to nodes, and how long it takes to order clusters.
//!
//! ```text
//! cargo bench -p btc-node --bench mempool -- generate DIR      blocks, mempool.dat and transactions in DIR
//! cargo bench -p btc-node --bench mempool -- linearize [FILE]  hard clusters, made or of a file
//! ```

#![allow(clippy::unwrap_used)]

mod linearize;
#[path = "../validation/random.rs"]
mod random;
mod workload;

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
        ["generate", dir] => workload::generate(Path::new(dir)),
        ["linearize"] => linearize::measure(None),
        ["linearize", file] => linearize::measure(Some(file)),
        // Without arguments cargo runs every benchmark there is: this one takes its time only when asked.
        [] => Ok(()),
        _ => Err("say `generate DIR` or `linearize [FILE]`".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
