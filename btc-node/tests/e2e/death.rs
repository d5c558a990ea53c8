//! Processes that die.

use crate::harness::{TestNode, is_alive, signal, wait_for};
use crate::payment::{address, balance, mine, state, wallet_with_address};
use serde_json::json;
use std::path::Path;

/// Waits until the node has noticed that its wallet's process ended.
fn wait_until_reaped(pid: u32) {
    wait_for("the dead wallet to be reaped", || {
        (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
}

#[test]
fn the_node_outlives_its_wallet_and_starts_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &[]);
    let miner = wallet_with_address(&node, "miner");
    mine(&node, 101, &miner);
    let first = node.wallet_process_id();
    signal(first, "KILL");

    let error = node.call_error("miner", "getbalance", json!([]));
    assert_eq!(error.code, -4);
    assert!(
        error.message.contains("loadwallet starts it again"),
        "{error:?}"
    );
    assert_eq!(node.call("getblockcount", json!([])), 101);
    wait_until_reaped(first);
    // Blocks go on; the wallet hears of them when it is back.
    mine(&node, 1, &miner);

    assert_eq!(node.call("loadwallet", json!(["miner"]))["name"], "miner");
    assert_ne!(node.wallet_process_id(), first);
    assert_eq!(
        balance(&node, "miner")["trusted"].to_string(),
        "100.00000000"
    );
    node.stop_cleanly();
}

#[test]
fn createwallet_starts_a_dead_wallet_process_too() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &[]);
    let first = node.wallet_process_id();
    signal(first, "KILL");
    wait_until_reaped(first);
    wallet_with_address(&node, "late");
    node.stop_cleanly();
}

#[test]
fn the_wallet_ends_within_a_second_of_its_node_and_nothing_reported_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &[]);
    let miner = wallet_with_address(&node, "miner");
    let payee = wallet_with_address(&node, "payee");
    mine(&node, 101, &miner);
    let txid = node.call_wallet("miner", "sendtoaddress", json!([payee, 10]));
    mine(&node, 1, &miner);
    let before = state(&node);
    let wallet = node.wallet_process_id();

    node.kill();
    wait_for("the wallet's end", || (!is_alive(wallet)).then_some(()));

    let node = TestNode::start(dir.path(), &[]);
    assert_eq!(state(&node), before);
    let tx = node.call_wallet("payee", "gettransaction", json!([txid]));
    assert_eq!(tx["confirmations"], 1);
    address(&node, "payee");
    node.stop_cleanly();
}

#[test]
fn a_signal_ends_both_cleanly() {
    for name in ["TERM", "INT"] {
        let dir = tempfile::tempdir().unwrap();
        let node = TestNode::start(dir.path(), &[]);
        let wallet = node.wallet_process_id();
        signal(node.process_id(), name);
        let ended = node.wait();
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.stderr, "");
        assert!(!is_alive(wallet), "the node waits for its wallet");
    }
}
