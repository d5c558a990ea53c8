//! Starting and stopping without wallets.

use crate::harness::TestNode;
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
    crate::harness::wait_for("-startupnotify", || up.exists().then_some(()));
    let mined = node.call(
        "generatetoaddress",
        json!([
            1,
            "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka"
        ]),
    );
    crate::harness::wait_for("-blocknotify", || {
        (std::fs::read_to_string(&block).ok()?.trim() == mined[0].as_str()?).then_some(())
    });
    node.stop_cleanly();
    assert_eq!(std::fs::read_to_string(down).unwrap(), "down\n");
}
