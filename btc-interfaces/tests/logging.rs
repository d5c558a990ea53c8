//! The log through its public API: which lines there are, how they look, where they go.

use btc_interfaces::args::{Args, Program};
use btc_interfaces::logging::{CATEGORIES, Format, LogOptions, Logger};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;
use tracing_subscriber::layer::SubscriberExt as _;

fn args(arguments: &[&str]) -> Args {
    let mut args = Args::new(Program::Node);
    args.parse(arguments).expect("valid");
    args
}

fn options(arguments: &[&str]) -> LogOptions {
    LogOptions::from_args(&args(arguments)).expect("valid")
}

/// Runs `log` with these options and gives the file's text.
fn logged(arguments: &[&str], log: impl FnOnce(&Logger)) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let options = LogOptions {
        file: Some(dir.path().join("debug.log")),
        console: false,
        ..options(arguments)
    };
    let logger = Logger::new(&options);
    let subscriber = tracing_subscriber::registry().with(logger.layer());
    tracing::subscriber::with_default(subscriber, || {
        logger.open().expect("opens");
        log(&logger);
    });
    fs::read_to_string(dir.path().join("debug.log")).expect("text")
}

const BARE: &[&str] = &["-nologtimestamps"];

#[test]
fn prefixes() {
    let text = logged(
        &["-nologtimestamps", "-debug=net", "-loglevel=trace"],
        |_| {
            tracing::info!("plain");
            tracing::warn!("careful");
            tracing::error!("broken");
            tracing::debug!("dropped");
            tracing::debug!(target: "net", "seen");
            tracing::trace!(target: "net", "closely");
            tracing::info!(target: "rpc", "loud");
            tracing::debug!(target: "rpc", "dropped");
            tracing::debug!(target: "net", peer = 5, "with a field");
        },
    );
    assert_eq!(
        text,
        "\n\n\n\n\nplain\n[warning] careful\n[error] broken\n[net] seen\n[net:trace] closely\n[rpc:info] loud\n[net] with a field peer=5\n"
    );
    let text = logged(&["-nologtimestamps", "-loglevelalways", "-debug"], |_| {
        tracing::info!("plain");
        tracing::debug!(target: "net", "seen");
    });
    assert!(
        text.ends_with("[all:info] plain\n[net:debug] seen\n"),
        "{text}"
    );
}

#[test]
fn times_threads_and_places() {
    let text = logged(
        &["-logtimemicros", "-logthreadnames", "-logsourcelocations"],
        |logger| {
            logger.set_mock_time(1_296_772_602);
            tracing::info!("x");
            logger.set_mock_time(0);
            tracing::info!("y");
        },
    );
    let mut lines = text.trim_start().lines();
    let line = lines.next().expect("a line");
    assert_eq!(&line[26..61], "Z (mocktime: 2011-02-03T22:36:42Z) ");
    assert!(line.contains("[times_threads_and_places] ["), "{line}");
    assert!(line.contains("logging.rs:"), "{line}");
    assert!(!lines.next().expect("a line").contains("mocktime"));
}

#[test]
fn details_by_category() {
    let shown = |arguments: &[&str]| {
        let filter = options(arguments).filter;
        let shown = CATEGORIES
            .iter()
            .filter(|name| filter.shows(name, tracing::Level::DEBUG));
        shown.copied().collect::<Vec<_>>()
    };
    assert_eq!(shown(&[]), [""; 0]);
    for all in ["-debug", "-debug=1", "-debug=all"] {
        assert_eq!(shown(&[all]), CATEGORIES);
    }
    assert_eq!(shown(&["-debug=net", "-debug=rpc"]), ["net", "rpc"]);
    assert_eq!(shown(&["-debug=net", "-debug=none", "-debug=rpc"]), ["rpc"]);
    assert_eq!(shown(&["-debug", "-nodebug"]), [""; 0]);
    assert_eq!(
        shown(&["-debug=net", "-debug=ipc", "-debugexclude=net"]),
        ["ipc"]
    );
    assert_eq!(shown(&["-debug", "-loglevel=info"]), [""; 0]);
    assert_eq!(
        shown(&["-debug", "-loglevel=info", "-loglevel=net:debug"]),
        ["net"]
    );
    assert!(CATEGORIES.is_sorted());
}

#[test]
fn wrong_categories_and_levels() {
    let error = |argument: &str| {
        LogOptions::from_args(&args(&[argument]))
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(
        error("-debug=abc"),
        "Unsupported logging category -debug=abc."
    );
    assert_eq!(
        error("-debugexclude=abc"),
        "Unsupported logging category -debugexclude=abc."
    );
    assert_eq!(
        error("-loglevel=abc"),
        "Unsupported global logging level -loglevel=abc. Valid values: info, debug, trace."
    );
    let error = error("-loglevel=net:abc");
    assert!(error.starts_with("Unsupported category-specific logging level -loglevel=net:abc. Expected -loglevel=<category>:<loglevel>. Valid categories: addrman, bench,"), "{error}");
    assert!(error.ends_with("zmq. Valid loglevels: info, debug, trace."));
}

#[test]
fn categories_change_while_the_program_runs() {
    let text = logged(BARE, |logger| {
        for round in 0..3 {
            // One place in the program, three times.
            tracing::debug!(target: "net", "round {round}");
            assert!(logger.set_category("net", round == 0));
        }
        assert!(logger.set_category("all", true));
        assert!(logger.categories().iter().all(|(_, on)| *on));
        assert!(!logger.set_category("nonsense", true));
    });
    assert_eq!(text.trim_start(), "[net] round 1\n");
}

#[test]
fn lines_from_before_the_file_are_kept_and_texts_are_harmless() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("debug.log");
    let options = LogOptions {
        file: Some(path.clone()),
        console: false,
        ..options(BARE)
    };
    let logger = Logger::new(&options);
    let subscriber = tracing_subscriber::registry().with(logger.layer());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("early \x1b[2J");
        logger.open().expect("opens");
        tracing::info!("late …\n");
        // It is there as soon as it is logged.
        let text = fs::read_to_string(&path).expect("text");
        assert_eq!(text, "\n\n\n\n\nearly \\x1b[2J\nlate …\n");
        fs::rename(&path, dir.path().join("old.log")).expect("moved");
        logger.reopen().expect("opens");
        tracing::info!("anew");
    });
    assert_eq!(fs::read_to_string(&path).expect("text"), "anew\n");
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_long_file_is_cut_to_its_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("debug.log");
    fs::write(&path, "0123456789abcde\n".repeat(700_000)).expect("written");
    let options = LogOptions {
        file: Some(path.clone()),
        console: false,
        ..options(BARE)
    };
    assert!(options.shrink);
    Logger::new(&options).open().expect("opens");
    let text = fs::read_to_string(&path).expect("text");
    assert!(
        text.starts_with("0123456789abcde\n") && text.len() < 10_000_100 && text.len() > 9_999_900
    );
}

#[test]
fn two_processes_share_a_file() {
    let dir = TempDir::new().expect("a directory");
    let args = args(&[
        "-regtest",
        &format!("-datadir={}", dir.path().display()),
        "-debug=ipc",
        "-logtimemicros",
    ]);
    fs::create_dir(dir.path().join("regtest")).expect("made");
    let parent = LogOptions::from_args(&args).expect("valid");
    let child = LogOptions::of_child(&args.to_global()).expect("valid");
    assert_eq!(child.file, parent.file);
    assert_eq!(child.file, Some(dir.path().join("regtest/debug.log")));
    assert!(!child.console && !child.shrink && !child.new_run);
    assert_eq!(
        child.format,
        Format {
            timestamps: true,
            micros: true,
            ..Format::default()
        }
    );
    assert!(child.filter.shows("ipc", tracing::Level::DEBUG));
    let none = Args::new(Program::Node);
    let mut none = none;
    none.parse(["-nodebuglogfile"]).expect("valid");
    assert_eq!(LogOptions::from_args(&none).expect("valid").file, None);
    assert_eq!(
        LogOptions::of_child(&none.to_global()).expect("valid").file,
        None
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    let options = LogOptions {
        file: Some("/nowhere/at/all/debug.log".into()),
        ..options(BARE)
    };
    let error = Logger::new(&options).open().expect_err("refused");
    assert_eq!(
        error.to_string(),
        "Could not open debug log file /nowhere/at/all/debug.log"
    );
}

#[test]
fn one_place_does_not_fill_the_disk() {
    let long = "x".repeat(100_000);
    let log_much = |_: &Logger| {
        for _ in 0..15 {
            tracing::info!("{long}");
            tracing::info!(unlimited = true, "counted elsewhere {long}");
        }
        tracing::debug!(target: "net", "details");
        tracing::info!("another place");
    };
    let arguments = ["-nologtimestamps", "-debug=net"];
    let text = logged(&arguments, log_much);
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let of_place = |start: &str| {
        let lines = lines.iter().map(|line| line.trim_start_matches("[*] "));
        lines.filter(|line| line.starts_with(start)).count()
    };
    // Ten fit into a MiB, and one more is the last.
    assert_eq!(of_place("xxx"), 11);
    assert_eq!(of_place("counted elsewhere"), 15);
    let told = lines
        .iter()
        .find(|line| line.starts_with("[*] [warning] Excessive logging detected from "))
        .expect("it is told");
    assert!(told.contains(": >1048576 bytes logged during the last time window of 3600s."));
    assert_eq!(
        &lines[lines.len() - 2..],
        ["[*] [net] details", "[*] another place"]
    );
    assert!(!lines[0].starts_with("[*]"));

    let all = logged(&["-nologtimestamps", "-nologratelimit"], log_much);
    let lines = all.lines().filter(|line| line.starts_with("xxx"));
    assert_eq!(lines.count(), 15);
}
