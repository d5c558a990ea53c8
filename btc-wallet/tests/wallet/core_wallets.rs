//! Wallets that Bitcoin Core wrote: what it said of them must be read from them.

use crate::support::{FakeChain, Wallets};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const ARCHIVE: &[u8] = include_bytes!("data/core-wallets.tar.xz");
const EXPECTED: &str = include_str!("data/core-wallets.json");
const PASSPHRASE: &str = "correct horse battery";
const KEYPOOL: i64 = 5;
const BLOCK: usize = 512;

/// Unpacks the archive's files below `directory`.
fn unpack(directory: &Path) {
    let mut tar = Vec::new();
    lzma_rs::xz_decompress(&mut std::io::BufReader::new(ARCHIVE), &mut tar).unwrap();
    let mut at = 0;
    let field = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec())
            .unwrap()
            .trim_matches('\0')
            .trim()
            .to_owned()
    };
    while at + BLOCK <= tar.len() && tar[at] != 0 {
        let header = &tar[at..at + BLOCK];
        let path = directory.join(field(&header[..100]));
        let size = usize::from_str_radix(&field(&header[124..136]), 8).unwrap();
        at += BLOCK;
        if header[156] == b'0' {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &tar[at..at + size]).unwrap();
        }
        at += size.div_ceil(BLOCK) * BLOCK;
    }
}

struct Fixture {
    wallets: Wallets,
    expected: Value,
    directory: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let directory = tempfile::tempdir().unwrap();
    unpack(&directory.path().join("wallets"));
    let hashes: Vec<_> = expected["blockhashes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hash| hash.as_str().unwrap().parse().unwrap())
        .collect();
    let chain = FakeChain::of_hashes(&hashes);
    let wallets = Wallets::start(&chain, directory.path(), &["keypool=5"]);
    // The order matters for transactions between them, which the mempool tells all of them about.
    for name in ["alice", "bob", "vault", "watch"] {
        wallets.call("", "loadwallet", json!([name]));
    }
    Fixture {
        wallets,
        expected,
        directory,
    }
}

fn amount(value: &Value) -> i64 {
    (value.to_string().parse::<f64>().unwrap() * 1e8).round() as i64
}

#[test]
fn balances_coins_and_transactions_are_the_same() {
    let fixture = fixture();
    for (name, expected) in fixture.expected["wallets"].as_object().unwrap() {
        let wallets = &fixture.wallets;
        let balances = wallets.call(name, "getbalances", json!([]));
        for (kind, value) in expected["balances"]["mine"].as_object().unwrap() {
            assert_eq!(
                amount(&balances["mine"][kind]),
                amount(value),
                "{name}: {kind}"
            );
        }
        assert_eq!(
            balances["lastprocessedblock"],
            expected["balances"]["lastprocessedblock"]
        );
        let unspent = wallets.call(name, "listunspent", json!({ "minconf": 0 }));
        assert_eq!(
            unspent.as_array().unwrap().len() as u64,
            expected["unspent_count"].as_u64().unwrap(),
            "{name}"
        );
        let listed = wallets.call(name, "listtransactions", json!(["*", 10_000]));
        let listed: BTreeSet<String> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|tx| {
                format!(
                    "{}:{}",
                    tx["txid"].as_str().unwrap(),
                    tx["category"].as_str().unwrap()
                )
            })
            .collect();
        let known: BTreeSet<String> = expected["transactions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tx| tx.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(listed, known, "{name}");
    }
}

#[test]
fn descriptors_and_state_are_the_same() {
    let fixture = fixture();
    for (name, expected) in fixture.expected["wallets"].as_object().unwrap() {
        let wallets = &fixture.wallets;
        let listed = wallets.call(name, "listdescriptors", json!([]));
        let mut descriptors = expected["descriptors"].clone();
        for entry in descriptors.as_array_mut().unwrap() {
            // Loading derives ahead again, which handing out the last address had not yet done.
            if let Some(next) = entry["next"].as_i64() {
                let end = entry["range"][1].as_i64().unwrap();
                entry["range"][1] = end.max(next + KEYPOOL - 1).into();
            }
        }
        assert_eq!(listed["descriptors"], descriptors, "{name}");
        let info = wallets.call(name, "getwalletinfo", json!([]));
        for (key, value) in expected["info"].as_object().unwrap() {
            if key == "keypoolsize" {
                continue;
            }
            assert_eq!(info[key], *value, "{name}: {key}");
        }
    }
}

#[test]
fn an_encrypted_wallet_opens_with_its_passphrase_alone() {
    let fixture = fixture();
    let wallets = &fixture.wallets;
    assert_eq!(
        wallets.refuse("vault", "walletpassphrase", json!(["wrong", 60])),
        (
            -14,
            "Error: The wallet passphrase entered was incorrect.".to_owned()
        )
    );
    let locked = wallets.refuse("vault", "listdescriptors", json!([true]));
    assert_eq!(
        locked,
        (
            -13,
            "Error: Please enter the wallet passphrase with walletpassphrase first.".to_owned()
        )
    );
    wallets.call("vault", "walletpassphrase", json!([PASSPHRASE, 60]));
    let private = wallets.call("vault", "listdescriptors", json!([true]));
    for descriptor in private["descriptors"].as_array().unwrap() {
        assert!(descriptor["desc"].as_str().unwrap().contains("tprv"));
    }
    wallets.call("vault", "walletlock", json!([]));
    assert_eq!(
        wallets.refuse("vault", "listdescriptors", json!([true])).0,
        -13
    );
    // Another passphrase, kept over a restart.
    wallets.call(
        "vault",
        "walletpassphrasechange",
        json!([PASSPHRASE, "new"]),
    );
    wallets.call("vault", "unloadwallet", json!([]));
    wallets.call("", "loadwallet", json!(["vault"]));
    assert_eq!(
        wallets
            .refuse("vault", "walletpassphrase", json!([PASSPHRASE, 60]))
            .0,
        -14
    );
    wallets.call("vault", "walletpassphrase", json!(["new", 60]));
}

#[test]
fn what_core_wrote_is_signed_for() {
    let fixture = fixture();
    let wallets = &fixture.wallets;
    let (to, _) = wallets.address("bob", "bech32");
    for name in ["alice", "bob"] {
        let txid = wallets.call(name, "sendtoaddress", json!([to, 1]));
        let sent = wallets.call(name, "gettransaction", json!([txid]));
        assert_eq!(
            amount(&sent["amount"]),
            if name == "bob" { 0 } else { -100_000_000 }
        );
    }
    assert_eq!(
        wallets.refuse("watch", "sendtoaddress", json!([to, 0.1])),
        (
            -4,
            "Error: Private keys are disabled for this wallet".to_owned()
        )
    );
    drop(fixture.directory);
}
