//! `cargo xtask demo`: the main job on the built binaries, shown to a person.

mod payment;
mod real;

use crate::{Result, build, only};
use std::path::Path;
use std::time::Instant;

/// Runs the payment, or with `--real` the import of real blocks. `--keep` leaves the data directory for a look.
pub fn run(arguments: &[String]) -> Result {
    only(arguments, &["--real", "--release", "--keep"])?;
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    println!("building bitcoin-node and bitcoin-wallet …");
    let programs = build::programs(has("--release"))?;
    let mut dir = tempfile::Builder::new().prefix("bitcoin-demo-").tempdir()?;
    dir.disable_cleanup(has("--keep"));
    let began = Instant::now();
    if has("--real") {
        real::run(&programs, dir.path())
    } else {
        payment::run(&programs, dir.path())
    }?;
    println!(
        "\nall as expected, in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    if has("--keep") {
        println!("the data directory stays at {}", dir.path().display());
    }
    Ok(())
}

/// One line of the story.
fn line(what: &str, text: impl std::fmt::Display) {
    println!("  {what:<10} {text}");
}

/// A headline.
fn step(number: u32, text: &str) {
    println!("\n{number}. {text}");
}

/// Fails with both values unless they are the same.
fn same<T: PartialEq + std::fmt::Display>(what: &str, got: T, expected: T) -> Result {
    if got == expected {
        Ok(())
    } else {
        Err(format!("{what}: {got}, but {expected} was expected").into())
    }
}

/// A path as a person wants to read it: from the data directory on.
fn below<'a>(path: &'a Path, dir: &Path) -> &'a Path {
    path.strip_prefix(dir).unwrap_or(path)
}
