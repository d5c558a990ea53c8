//! What a user or a disk can get wrong.

use crate::harness::{Ended, TestNode, node_program, run_to_end};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn assert_refused(ended: &Ended, text: &str) {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.starts_with("Error: "), "{ended:?}");
    assert!(ended.stderr.contains(text), "{text:?} is not in {ended:?}");
}

#[test]
fn unknown_and_malformed_options_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (options, text) in [
        (
            &["-nosuchoption"][..],
            "Error: Error parsing command line arguments: Invalid parameter -nosuchoption\n",
        ),
        (
            &["stray"],
            "Error: Command line contains unexpected token 'stray', see bitcoind -h for a list of options.\n",
        ),
        (
            &["-rpcport=99999999"],
            "Invalid port specified in -rpcport: '99999999'",
        ),
        (&["-chain=main"], "Invalid combination of"),
        (
            &["-prevoutfetchthreads=-1"],
            "-prevoutfetchthreads must be non-negative (got -1). Use 0 to disable parallel input fetching.\n",
        ),
    ] {
        let ended = run_to_end(dir.path(), options);
        assert_refused(&ended, text);
    }
}

#[test]
fn a_missing_data_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert_refused(
        &run_to_end(&missing, &[]),
        &format!(
            "Error: Specified data directory \"{}\" does not exist.\n",
            missing.display()
        ),
    );
}

#[test]
fn a_data_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-disablewallet"]);
    let ended = run_to_end(dir.path(), &["-disablewallet"]);
    assert_refused(
        &ended,
        &format!(
            "Error: Cannot obtain a lock on directory {}.",
            dir.path().join("regtest").display()
        ),
    );
    assert!(ended.stderr.ends_with("is probably already running.\n"));
    // The one that holds it is unharmed.
    assert_eq!(node.call("getblockcount", json!([])), 0);
    node.stop_cleanly();
}

#[test]
fn the_data_directory_of_another_network_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // What the main network wrote, put where the third test network looks.
    TestNode::start_on(dir.path(), "main", &["-disablewallet"]).stop_cleanly();
    let test_dir = dir.path().join("testnet3");
    std::fs::create_dir(&test_dir).unwrap();
    for name in ["blocks", "chainstate"] {
        std::fs::rename(dir.path().join(name), test_dir.join(name)).unwrap();
    }
    let child = Command::new(node_program())
        .arg(format!("-datadir={}", dir.path().display()))
        .args(["-testnet", "-disablewallet", "-connect=0", "-server=0"])
        .output()
        .unwrap();
    assert_eq!(child.status.code(), Some(1));
    let stderr = String::from_utf8(child.stderr).unwrap();
    assert!(
        stderr.contains("Incorrect or no genesis block found. Wrong datadir for network?\n"),
        "{stderr}"
    );
}

#[test]
fn a_settings_file_that_is_no_json_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("regtest")).unwrap();
    std::fs::write(dir.path().join("regtest/settings.json"), "{").unwrap();
    assert_refused(
        &run_to_end(dir.path(), &[]),
        "Error: Settings file could not be read:\n- Settings file ",
    );
}

#[test]
fn json_that_is_none_and_wrong_credentials_are_answered_as_bitcoind_does() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-disablewallet"]);
    let cookie = std::fs::read_to_string(node.net_dir().join(".cookie")).unwrap();

    let (status, body) = node.post("/", &cookie, b"{\"method\":").unwrap();
    assert_eq!(status, 500);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["code"], -32700);
    assert_eq!(body["error"]["message"], "Parse error");

    let (status, body) = node
        .post(
            "/",
            "__cookie__:wrong",
            br#"{"method":"stop","params":[],"id":1}"#,
        )
        .unwrap();
    assert_eq!((status, body.len()), (401, 0));
    assert_eq!(node.call("getblockcount", json!([])), 0, "it did not stop");

    let (status, body) = node
        .post("/", &cookie, br#"{"method":"nosuch","params":[],"id":1}"#)
        .unwrap();
    assert_eq!(status, 404);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body["error"],
        json!({"code": -32601, "message": "Method not found"})
    );
    node.stop_cleanly();
}

#[test]
fn a_wallet_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &[]);
    let wallet = node.net_dir().join("wallets/broken");
    std::fs::create_dir_all(&wallet).unwrap();
    let garbage = vec![0xa5; 8192];
    std::fs::write(wallet.join("wallet.dat"), &garbage).unwrap();
    let error = node.call_error("", "loadwallet", json!(["broken"]));
    assert!(matches!(error.code, -4 | -18), "{error:?}");
    assert!(
        error.message.contains("Wallet file verification failed"),
        "{error:?}"
    );
    assert_eq!(std::fs::read(wallet.join("wallet.dat")).unwrap(), garbage);
    node.stop_cleanly();
}

const MAINNET_255: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/mainnet-1-255.blk");
const TIP_255: &str = "00000000d0a75c861fabf9ff7b92022f60e4afeed9331fe5aa073d8e4706fe3c";

/// Starts a mainnet node on `file`, gives its height and tip.
fn import(file: &Path) -> (u64, String) {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start_on(
        dir.path(),
        "main",
        &["-disablewallet", &format!("-loadblock={}", file.display())],
    );
    crate::harness::wait_for("the import", || {
        (node.call("getmempoolinfo", json!([]))["loaded"] == true).then_some(())
    });
    let height = node.call("getblockcount", json!([])).as_u64().unwrap();
    let tip = node
        .call("getbestblockhash", json!([]))
        .as_str()
        .unwrap()
        .to_owned();
    node.stop_cleanly();
    (height, tip)
}

#[test]
fn real_blocks_are_imported_to_the_known_coins() {
    let dir = tempfile::tempdir().unwrap();
    let load = format!("-loadblock={MAINNET_255}");
    let node = TestNode::start_on(dir.path(), "main", &["-disablewallet", &load]);
    crate::harness::wait_for("the import", || {
        (node.call("getmempoolinfo", json!([]))["loaded"] == true).then_some(())
    });
    assert_eq!(node.call("getbestblockhash", json!([])), TIP_255);
    let muhash = node.call("gettxoutsetinfo", json!(["muhash"]));
    assert_eq!(muhash["height"], 255);
    assert_eq!(muhash["txouts"], 260);
    assert_eq!(
        muhash["muhash"],
        "60e29020ee287387a5b311fa9d665e232d41fb14f6243342cf1bdd967cc82117"
    );
    let serialized = node.call("gettxoutsetinfo", json!(["hash_serialized_3"]));
    assert_eq!(
        serialized["hash_serialized_3"],
        "507108bd18e2319f0a7102cfa1c7ffea10c9b1a47ff061d8098bc51a92e40241"
    );
    node.stop_cleanly();
}

#[test]
fn a_block_file_with_garbage_between_blocks_is_imported_whole() {
    let blocks = std::fs::read(MAINNET_255).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("garbage.blk");
    let mut out = b"garbage before".to_vec();
    let mut rest = &blocks[..];
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap());
        let (block, tail) = rest.split_at(8 + usize::try_from(length).unwrap());
        out.extend_from_slice(block);
        // Bytes like those a crash leaves, with half a magic among them.
        out.extend_from_slice(&[0, 0, 0xf9, 0xbe, 0xff, 0xf9]);
        rest = tail;
    }
    std::fs::write(&file, out).unwrap();
    assert_eq!(import(&file), (255, TIP_255.to_owned()));
}

#[test]
fn a_block_file_cut_short_is_imported_up_to_the_cut() {
    let blocks = std::fs::read(MAINNET_255).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("short.blk");
    std::fs::write(&file, &blocks[..blocks.len() - 10]).unwrap();
    assert_eq!(import(&file).0, 254);
}

#[test]
fn a_missing_block_file_is_said_to_be_mended_by_a_reindex() {
    let dir = tempfile::tempdir().unwrap();
    TestNode::start(dir.path(), &["-disablewallet"]).stop_cleanly();
    std::fs::remove_file(dir.path().join("regtest/blocks/blk00000.dat")).unwrap();
    let ended = run_to_end(dir.path(), &["-disablewallet"]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(
        ended.stderr,
        "Error loading block database.\nPlease restart with -reindex or -reindex-chainstate to recover.\n"
    );
}
