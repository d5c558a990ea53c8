//! The main job: a payment between two wallets, across processes.

use crate::harness::{TestNode, files_of, node_program, wallet_program};
use serde_json::{Value, json};
use std::path::Path;

/// Makes a wallet and gives an address of it.
pub(crate) fn wallet_with_address(node: &TestNode, name: &str) -> String {
    let made = node.call(
        "createwallet",
        json!({"wallet_name": name, "load_on_startup": true}),
    );
    assert_eq!(made["name"], name);
    address(node, name)
}

pub(crate) fn address(node: &TestNode, wallet: &str) -> String {
    node.call_wallet(wallet, "getnewaddress", json!([]))
        .as_str()
        .expect("an address is a string")
        .to_owned()
}

pub(crate) fn mine(node: &TestNode, blocks: u32, address: &str) {
    let hashes = node.call("generatetoaddress", json!([blocks, address]));
    assert_eq!(
        hashes.as_array().map(Vec::len),
        usize::try_from(blocks).ok()
    );
}

pub(crate) fn balance(node: &TestNode, wallet: &str) -> Value {
    node.call_wallet(wallet, "getbalances", json!([]))["mine"].clone()
}

/// What must be the same after a restart.
pub(crate) fn state(node: &TestNode) -> Value {
    let mut wallets = node.call("listwallets", json!([]));
    wallets
        .as_array_mut()
        .expect("a list")
        .sort_by_key(Value::to_string);
    let balances: Vec<Value> = wallets
        .as_array()
        .expect("a list")
        .iter()
        .map(|name| balance(node, name.as_str().expect("a name")))
        .collect();
    json!({
        "tip": node.call("getbestblockhash", json!([])),
        "wallets": wallets,
        "balances": balances,
        "mempool": node.call("getrawmempool", json!([])),
    })
}

#[test]
fn a_payment_confirms_and_outlives_a_restart() {
    wallet_program();
    pay_and_restart(&node_program());
}

#[cfg(feature = "wallet")]
#[test]
fn a_payment_in_one_process_is_the_same() {
    pay_and_restart(env!("CARGO_BIN_EXE_bitcoind").as_ref());
}

fn pay_and_restart(program: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start_program(program, dir.path(), "regtest", &[]);
    let miner = wallet_with_address(&node, "miner");
    let payee = wallet_with_address(&node, "payee");
    mine(&node, 101, &miner);
    assert_eq!(
        balance(&node, "miner")["trusted"].to_string(),
        "50.00000000"
    );

    let txid = node.call_wallet("miner", "sendtoaddress", json!([payee, 10]));
    assert_eq!(node.call("getrawmempool", json!([])), json!([txid]));
    // Wallets hear of the mempool's transactions when the queue of events comes to them.
    node.call("syncwithvalidationinterfacequeue", json!([]));
    assert_eq!(
        balance(&node, "payee")["untrusted_pending"].to_string(),
        "10.00000000"
    );
    mine(&node, 1, &miner);
    assert_eq!(
        balance(&node, "payee")["trusted"].to_string(),
        "10.00000000"
    );
    assert_eq!(node.call("getrawmempool", json!([])), json!([]));

    // One more that stays unconfirmed, so that the mempool has something to keep.
    let back = address(&node, "miner");
    node.call_wallet("payee", "sendtoaddress", json!([back, 1]));
    node.call("syncwithvalidationinterfacequeue", json!([]));
    let before = state(&node);
    node.stop_cleanly();

    let node = TestNode::start_program(program, dir.path(), "regtest", &[]);
    assert_eq!(state(&node), before);
    node.stop_cleanly();
}

#[test]
fn the_wallet_files_are_in_the_wallet_process_alone() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &[]);
    wallet_with_address(&node, "alice");
    let of_wallet = |file: &String| file.contains("/wallets/");
    let wallet_files: Vec<String> = files_of(node.wallet_process_id())
        .into_iter()
        .filter(of_wallet)
        .collect();
    assert!(
        wallet_files
            .iter()
            .any(|file| file.ends_with("/alice/wallet.dat")),
        "{wallet_files:?}"
    );
    let node_files: Vec<String> = files_of(node.process_id())
        .into_iter()
        .filter(of_wallet)
        .collect();
    assert_eq!(node_files, [""; 0]);
    node.stop_cleanly();
}

#[test]
fn requests_and_replies_between_the_processes_stand_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    wallet_program();
    let node = TestNode::start(dir.path(), &[]);
    assert_eq!(node.call("echoipc", json!(["hello"])), "hello");
    let log = node.log();
    for line in [
        "[ipc] ",
        "IPC client send Init.makeWalletLoader$Params",
        "IPC client recv Init.makeWalletLoader$Results",
        "IPC server recv request  #",
        "Chain.handleRpc$Params",
        "IPC client send Echo.echo$Params",
    ] {
        assert!(log.contains(line), "{line:?} is missing");
    }
    node.stop_cleanly();
}
