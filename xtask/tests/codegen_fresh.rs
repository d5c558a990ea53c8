//! The committed tables are those that the schemas give.

use std::process::Command;

fn codegen(arg: &str, path: Option<&str>) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["codegen", arg]);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let output = command.output().expect("xtask runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8(text).expect("messages are UTF-8"),
    )
}

#[test]
fn regenerating_changes_nothing() {
    let (fresh, messages) = codegen("--check", None);
    assert!(fresh, "{messages}");
}

#[test]
fn without_the_compiler_digests_say_the_same() {
    let (fresh, messages) = codegen("--check", Some("/nonexistent"));
    assert!(fresh, "{messages}");
    assert!(messages.contains("comparing digests"), "{messages}");
}

#[test]
fn an_unknown_argument_is_refused() {
    let (done, messages) = codegen("--nosuch", None);
    assert!(!done);
    assert!(
        messages.contains("unknown argument \"--nosuch\""),
        "{messages}"
    );
}
