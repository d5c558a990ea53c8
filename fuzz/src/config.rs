//! What a user writes: the command line, `bitcoin.conf` and `settings.json`.

use std::sync::LazyLock;

use btc_interfaces::args::{Args, Program};
use btc_node::node::settings;
use tempfile::TempDir;

/// The data directory of all of them.
static DIR: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("there is room"));

/// Names of other files and directories, which an input shall not reach.
const ELSEWHERE: [&str; 4] = ["includeconf", "datadir", "blocksdir", "walletdir"];

/// The first byte chooses: 0 a command line, each word on a line of its own; 1 a `settings.json`; else a `bitcoin.conf`.
///
/// Options that are read cross to another process and are the same there; settings are written as they were read.
pub fn config_file(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    match choice {
        0 => {
            let text = String::from_utf8_lossy(rest);
            for program in [Program::Node, Program::Cli] {
                let mut args = Args::new(program);
                if args.parse(text.lines()).is_ok() {
                    look(&mut args, program);
                }
            }
        }
        1 => {
            let path = DIR.path().join("settings.json");
            std::fs::write(&path, rest).expect("there is room");
            let Ok(values) = settings::read(&path) else {
                return;
            };
            settings::write(&path, &values, "Fuzz").expect("there is room");
            assert_eq!(settings::read(&path).expect("it was just written"), values);
        }
        _ => {
            let text = String::from_utf8_lossy(rest);
            if ELSEWHERE.iter().any(|name| text.contains(name)) {
                return;
            }
            std::fs::write(DIR.path().join("bitcoin.conf"), rest).expect("there is room");
            let datadir = format!("-datadir={}", DIR.path().display());
            if let Ok(mut args) = Args::read(Program::Node, [datadir]) {
                look(&mut args, Program::Node);
            }
        }
    }
}

fn look(args: &mut Args, program: Program) {
    let _ = args.network();
    let _ = (args.unsuitable_section_only(), args.unrecognized_sections());
    let _ = (args.not_yet_effective(), args.check_supported().is_ok());
    let _ = (args.take_warnings(), args.take_notices());
    let copy = Args::from_global(program, &args.to_global());
    for name in [
        "prune",
        "rpcport",
        "debug",
        "connect",
        "wallet",
        "uacomment",
        "dbcache",
    ] {
        // The one in force comes first there; a negation, as Core's `0`.
        assert_eq!(args.value(name), copy.value(name), "{name}");
        assert_eq!(args.flag(name), copy.flag(name), "{name}");
        if !args.is_negated(name) {
            let sorted = |mut values: Vec<String>| {
                values.sort();
                values
            };
            assert_eq!(
                sorted(args.values(name)),
                sorted(copy.values(name)),
                "{name}"
            );
        }
        let _ = (
            args.int(name),
            args.flag(name),
            args.value(name),
            args.values(name),
        );
    }
    assert!(args.log_lines().iter().all(|line| !line.contains('\n')));
}
