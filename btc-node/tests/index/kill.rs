//! Killed at any instant, the indexes go on to what a fresh build gives.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use bitcoin::secp256k1::rand::{Rng, thread_rng};

use crate::answers::{Indexed, answers, check_against_blocks};
use crate::support::{Home, branch, mine, submit};

/// The variable that makes [`child_that_is_killed`] a child.
const CHILD_HOME: &str = "INDEX_TEST_CHILD_HOME";

/// Not a test by itself: what the others start and kill.
#[test]
fn child_that_is_killed() {
    let Ok(dir) = std::env::var(CHILD_HOME) else {
        return;
    };
    let home = Home::in_dir(dir.as_ref());
    let indexed = Indexed::open_with(
        &home,
        |options| options.check_level = 0,
        crate::answers::all(),
    )
    .expect("opens");
    indexed.indexes.start().expect("starts");
    let mut out = std::io::stdout();
    if writeln!(out, "started").and_then(|()| out.flush()).is_err() {
        return;
    }
    loop {
        for _ in 0..4 {
            indexed.mine_spending();
        }
        let tip = indexed.chain.tip();
        if thread_rng().gen_bool(0.3) {
            let back = tip.height - 2;
            let fork = indexed.chain.block_summary_at(back).expect("is there");
            let tag = thread_rng().gen_range(1..1000);
            for block in branch(&fork.header, back, 3, tag) {
                submit(&indexed.chain, &block).expect("is valid");
            }
        }
        if thread_rng().gen_bool(0.5) {
            indexed.chain.flush().expect("flushes");
        }
        // Nobody listens any more once the kill is decided.
        if writeln!(out, "round").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// Starts the child, lets it report so many lines, and kills it a moment later.
fn run_and_kill(home: &Home, lines: usize) {
    let mut child = Command::new(std::env::current_exe().expect("has a path"))
        .args(["--exact", "kill::child_that_is_killed", "--nocapture"])
        .env(CHILD_HOME, home.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let output = BufReader::new(child.stdout.take().expect("is piped")).lines();
    let reports = output
        .map_while(Result::ok)
        .filter(|line| line == "started" || line == "round")
        .take(lines)
        .count();
    assert_eq!(reports, lines, "the child ended by itself");
    // Not waiting for anything: the kill shall fall anywhere in the child's work.
    std::thread::sleep(Duration::from_micros(thread_rng().gen_range(0..30_000)));
    child.kill().expect("kills");
    child.wait().expect("ends");
}

#[test]
fn killed_at_any_instant_they_equal_a_fresh_build() {
    const KILLS: usize = 8;
    let home = Home::regtest();
    let node = home.open();
    mine(&node, 105);
    node.close().expect("flushes");
    drop(node);
    for kill in 0..KILLS {
        // The first ones fall while the indexes catch up, later ones while they follow.
        run_and_kill(&home, 1 + kill % 4);
        let indexed = Indexed::open(&home);
        let tip = indexed.chain.tip().height;
        assert!(
            indexed.heights().iter().all(|height| *height <= tip),
            "kill {kill}: {:?} over {tip}",
            indexed.heights()
        );
        if kill % 3 == 2 {
            indexed.indexes.start().expect("starts");
            indexed.wait();
            check_against_blocks(&indexed);
        }
        // Dropped without close: the next child finds what this one left.
    }
    let indexed = Indexed::synced(&home);
    let killed = answers(&indexed);
    indexed.close();
    fs::remove_dir_all(home.dir.path().join("indexes")).expect("removes");
    assert_eq!(answers(&Indexed::synced(&home)), killed);
}
