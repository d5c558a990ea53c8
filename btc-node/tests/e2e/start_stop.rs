//! Starting and stopping without wallets.

use crate::harness::{TestNode, wait_for};
use serde_json::json;

#[test]
fn a_node_without_wallets_starts_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-disablewallet"]);
    assert_eq!(node.call("getblockcount", json!([])), 0);
    assert_eq!(node.call("getmempoolinfo", json!([]))["loaded"], true);
    assert_eq!(node.call_error("", "getbalance", json!([])).code, -32601);
    let net_dir = node.net_dir();
    assert!(net_dir.join("bitcoind.pid").exists());
    assert!(net_dir.join("settings.json").exists());
    assert!(net_dir.join("wallets").is_dir());
    let log = node.log();
    for line in [
        "init message: Loading block index…",
        "init message: Verifying blocks…",
        "init message: Done loading",
    ] {
        assert!(log.contains(line), "{line:?} is missing");
    }
    node.stop_cleanly();
    assert!(!net_dir.join("bitcoind.pid").exists());
    assert!(!net_dir.join(".cookie").exists());
}

#[test]
fn a_wallets_directory_is_made_only_with_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    TestNode::start(dir.path(), &[]).stop_cleanly();
    std::fs::remove_dir(dir.path().join("regtest/wallets")).unwrap();
    let node = TestNode::start(dir.path(), &[]);
    node.call("createwallet", json!(["beside"]));
    node.stop_cleanly();
    assert!(dir.path().join("regtest/beside/wallet.dat").exists());
}

#[test]
fn startupnotify_and_shutdownnotify_run() {
    let dir = tempfile::tempdir().unwrap();
    let (up, down, block) = (
        dir.path().join("up"),
        dir.path().join("down"),
        dir.path().join("block"),
    );
    let node = TestNode::start(
        dir.path(),
        &[
            "-disablewallet",
            &format!("-startupnotify=echo up > {}", up.display()),
            &format!("-shutdownnotify=echo down > {}", down.display()),
            &format!("-blocknotify=echo %s > {}", block.display()),
        ],
    );
    wait_for("-startupnotify", || up.exists().then_some(()));
    let mined = node.call("generatetoaddress", json!([1, PAYOUT]));
    wait_for("-blocknotify", || {
        (std::fs::read_to_string(&block).ok()?.trim() == mined[0].as_str()?).then_some(())
    });
    node.stop_cleanly();
    assert_eq!(std::fs::read_to_string(down).unwrap(), "down\n");
}

const PAYOUT: &str = "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka";

#[test]
fn databases_are_rebuilt_from_the_block_files() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-disablewallet"]);
    let mined = node.call("generatetoaddress", json!([20, PAYOUT]));
    let coins = node.call("gettxoutsetinfo", json!(["muhash"]));
    node.stop_cleanly();
    for option in ["-reindex", "-reindex-chainstate"] {
        let node = TestNode::start(dir.path(), &["-disablewallet", option]);
        wait_for("the rebuild", || {
            (node.call("getmempoolinfo", json!([]))["loaded"] == true).then_some(())
        });
        assert_eq!(node.call("getbestblockhash", json!([])), mined[19]);
        let rebuilt = node.call("gettxoutsetinfo", json!(["muhash"]));
        assert_eq!(rebuilt["muhash"], coins["muhash"], "{option}");
        node.stop_cleanly();
    }
}

#[test]
fn a_node_stops_at_the_height_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-disablewallet", "-stopatheight=5"]);
    // The node may be gone before the reply is.
    let _ = node.try_call("", "generatetoaddress", &json!([5, PAYOUT]));
    let ended = node.wait();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_set_time_is_everybodys_time() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-mocktime=1700000000"]);
    crate::payment::wallet_with_address(&node, "w");
    let mined = node.call("generatetoaddress", json!([1, PAYOUT]));
    assert_eq!(
        node.call("getblockheader", json!([mined[0]]))["time"],
        1_700_000_000
    );
    node.call("setmocktime", json!([1_700_001_000]));
    let address = crate::payment::address(&node, "w");
    crate::payment::mine(&node, 101, &address);
    let paid = node.call_wallet("w", "sendtoaddress", json!([address, 1]));
    let tx = node.call_wallet("w", "gettransaction", json!([paid]));
    assert_eq!(
        tx["time"], 1_700_001_000,
        "the wallet's process has it, too"
    );
    node.stop_cleanly();
}

#[test]
fn a_node_goes_on_in_the_background() {
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let port = crate::harness::free_port();
    let start = |options: &[&str]| {
        Command::new(crate::harness::node_program())
            .args(["-regtest", "-listen=0", "-disablewallet", "-daemonwait"])
            .arg(format!("-datadir={}", dir.path().display()))
            .arg(format!("-rpcport={port}"))
            .args(options)
            .stdin(Stdio::null())
            .output()
            .expect("the node starts")
    };
    let wrong = start(&["-blockmaxweight=5000000"]);
    assert_eq!(wrong.status.code(), Some(1));
    let told = String::from_utf8_lossy(&wrong.stderr);
    assert!(told.contains("-blockmaxweight (5000000) exceeds"), "{told}");

    let started = start(&[]);
    assert!(started.status.success(), "{started:?}");
    assert!(String::from_utf8_lossy(&started.stdout).ends_with(" starting\n"));
    assert!(started.stderr.is_empty(), "{started:?}");
    let log = dir.path().join("regtest/debug.log");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("Done loading"), "it is ready: {text}");

    // The data directory is in use, which shows only behind the terminal's back.
    let second = start(&[]);
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&second.stderr),
        "Error during initialization - check debug.log for details\n"
    );

    let pid_file = dir.path().join("regtest/bitcoind.pid");
    let stop = Command::new(env!("CARGO_BIN_EXE_bitcoin-cli"))
        .arg("-regtest")
        .arg(format!("-datadir={}", dir.path().display()))
        .args([format!("-rpcport={port}"), "stop".to_owned()])
        .output()
        .expect("the command line starts");
    assert!(stop.status.success(), "{stop:?}");
    crate::harness::wait_for("the node's end", || (!pid_file.exists()).then_some(()));
}

#[test]
fn a_chain_that_is_as_high_as_asked_for_ends_the_node_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-disablewallet"]);
    node.call("generatetodescriptor", json!([3, "raw(51)#8lvh9jxk"]));
    node.stop_cleanly();
    for height in ["2", "3"] {
        let stop = format!("-stopatheight={height}");
        let ended = crate::harness::run_to_end(dir.path(), &["-disablewallet", &stop]);
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.stderr, "");
    }
    let node = TestNode::start(dir.path(), &["-disablewallet", "-stopatheight=4"]);
    assert_eq!(node.call("getblockcount", json!([])), 3);
    node.stop_cleanly();
}
