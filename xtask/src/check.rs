//! `cargo xtask check`: what must be green besides the tests.

use crate::{Result, build, only};
use std::process::{Command, Stdio};

/// Runs every check, also after a failure. A tool that is not installed is named and, in CI, a failure.
pub fn run(arguments: &[String]) -> Result {
    only(arguments, &[])?;
    let in_ci = std::env::var_os("CI").is_some();
    let mut failed = Vec::new();
    let mut check = |name: &str, command: &mut Command| {
        println!("== {name}");
        if let Err(error) = build::run(command) {
            println!("{error}");
            failed.push(name.to_owned());
        }
    };

    check("format", build::cargo().args(["fmt", "--all", "--check"]));
    let clippy = [
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ];
    check("lints", build::cargo().args(clippy));
    let docs = [
        "doc",
        "--quiet",
        "--workspace",
        "--all-features",
        "--no-deps",
    ];
    check(
        "docs",
        build::cargo().args(docs).env("RUSTDOCFLAGS", "-D warnings"),
    );
    check(
        "packages",
        build::cargo().args([
            "package",
            "--quiet",
            "--workspace",
            "--no-verify",
            "--allow-dirty",
        ]),
    );

    let tools: [(&str, &str, &[&str]); 3] = [
        ("unused dependencies", "cargo-machete", &[]),
        (
            "licences and bans",
            "cargo-deny",
            &["check", "--hide-inclusion-graph", "licenses", "bans"],
        ),
        ("spelling", "typos", &[]),
    ];
    let mut missing = false;
    for (name, tool, arguments) in tools {
        if installed(tool) {
            check(
                name,
                Command::new(tool)
                    .args(arguments)
                    .current_dir(build::root()),
            );
        } else {
            println!("== {name}: {tool} is not installed");
            missing |= in_ci;
        }
    }
    if missing {
        failed.push("tools that CI must have".to_owned());
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")).into())
    }
}

fn installed(tool: &str) -> bool {
    let probe = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}
