//! The example that docs/ipc.md goes through is what it says: a project of its own that builds and runs.

use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("xtask lies in the workspace's root")
        .join("docs/examples/calculator")
}

/// Builds the three programs and gives the folder they are in.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--target-dir"])
        .arg(&target)
        .current_dir(folder())
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the example does not build");
    target.join("debug")
}

#[test]
fn three_programs_work_together() {
    let programs = build();
    let run = |arguments: &[&str]| {
        let output = Command::new(programs.join("office"))
            .args(arguments)
            .output()
            .expect("office runs");
        let text = String::from_utf8(output.stdout).expect("it prints text");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}{errors}");
        assert_eq!(errors, "");
        text
    };
    // As the page shows it.
    let page = std::fs::read_to_string(folder().join("../../ipc.md")).expect("the page is there");
    let text = run(&[]);
    assert!(
        page.contains(&text),
        "docs/ipc.md shows something else than\n{text}"
    );
    let text = run(&["8 / (3 - 8 / 3)", "(1"]);
    assert!(
        text.contains("office     (1: a parenthesis is not closed\n"),
        "{text}"
    );
    assert!(text.contains("printer    8 / 3 = 2.6666"), "{text}");
    // On its own a program of the three says what to do instead.
    let alone = Command::new(programs.join("printer"))
        .output()
        .expect("printer runs");
    assert!(!alone.status.success());
    assert!(String::from_utf8_lossy(&alone.stderr).contains("start `office` instead"));
}

#[test]
fn the_page_quotes_the_code() {
    let page = std::fs::read_to_string(folder().join("../../ipc.md")).expect("the page is there");
    let mut quoted = 0;
    for block in page.split("```rust\n").skip(1) {
        let code = block.split("```").next().unwrap_or_default();
        let (first, rest) = code.split_once('\n').expect("a block has lines");
        let file = first
            .strip_prefix("// ")
            .expect("a block begins with its file");
        let text = std::fs::read_to_string(folder().join(file)).expect("the file is there");
        assert!(text.contains(rest), "{file} does not contain\n{rest}");
        quoted += 1;
    }
    assert!(quoted > 3, "the page quotes {quoted} blocks");
}
