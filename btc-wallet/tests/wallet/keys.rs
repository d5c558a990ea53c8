//! Keys and descriptors: encryption, imports, addresses ahead, labels.

use crate::support::{FakeChain, Wallets, script};
use serde_json::{Value, json};

fn started(directory: &std::path::Path) -> Wallets {
    Wallets::start(&FakeChain::new(), directory, &[])
}

fn descriptors(wallets: &Wallets, wallet: &str, private: bool) -> Vec<Value> {
    let listed = wallets.call(wallet, "listdescriptors", json!([private]));
    listed["descriptors"].as_array().unwrap().clone()
}

#[test]
fn a_new_wallet_has_eight_descriptors_of_one_seed() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call("", "createwallet", json!(["w"]));
    let listed = descriptors(&wallets, "w", false);
    assert_eq!(listed.len(), 8);
    let starts: Vec<&str> = listed
        .iter()
        .map(|entry| entry["desc"].as_str().unwrap().split('[').next().unwrap())
        .collect();
    assert_eq!(
        starts,
        [
            "pkh(", "pkh(", "sh(wpkh(", "sh(wpkh(", "tr(", "tr(", "wpkh(", "wpkh("
        ]
    );
    let fingerprints: std::collections::BTreeSet<String> = listed
        .iter()
        .map(|entry| entry["desc"].as_str().unwrap().split('[').nth(1).unwrap()[..8].to_owned())
        .collect();
    assert_eq!(fingerprints.len(), 1);
    assert!(
        listed
            .iter()
            .all(|entry| entry["range"] == json!([0, 9]) && entry["active"] == true)
    );
    let (address, _) = wallets.address("w", "bech32m");
    let info = wallets.call("w", "getaddressinfo", json!([address]));
    assert_eq!(info["hdkeypath"], "m/86h/1h/0h/0/0");
    assert_eq!(info["labels"], json!([""]));
    assert_eq!(info["ischange"], false);
    assert!(info["desc"].as_str().unwrap().starts_with("tr(["), "{info}");
}

#[test]
fn encryption_makes_new_keys_and_hides_all() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call("", "createwallet", json!(["w"]));
    let (before, script) = wallets.address("w", "bech32");
    let secret = descriptors(&wallets, "w", true)[0]["desc"]
        .as_str()
        .unwrap()
        .to_owned();
    wallets.call("w", "encryptwallet", json!(["a passphrase"]));
    assert_eq!(
        wallets.refuse("w", "encryptwallet", json!(["again"])),
        (
            -15,
            "Error: running with an encrypted wallet, but encryptwallet was called.".to_owned()
        )
    );
    assert_eq!(descriptors(&wallets, "w", false).len(), 16);
    // Not even in freed pages is a key left: its stored form holds the secret's bytes as they are.
    let xprv: bitcoin::bip32::Xpriv = secret[4..].split('/').next().unwrap().parse().unwrap();
    let file = std::fs::read(directory.path().join("w/wallet.dat")).unwrap();
    let bytes = xprv.private_key.secret_bytes();
    assert!(
        !file.windows(32).any(|window| window == bytes),
        "the plain key is still in the file"
    );

    wallets.chain.mine(101, &script);
    assert_eq!(
        wallets.refuse("w", "sendtoaddress", json!([before, 1])).0,
        -13
    );
    // Watching and new addresses need no passphrase.
    let (after, _) = wallets.address("w", "bech32");
    assert_ne!(before, after);
    wallets.call("w", "unloadwallet", json!([]));
    wallets.call("", "loadwallet", json!(["w"]));
    wallets.call("w", "walletpassphrase", json!(["a passphrase", 600]));
    wallets.call("w", "sendtoaddress", json!([after, 1]));
    assert_eq!(wallets.chain.mempool().len(), 1);
    wallets.call("w", "walletlock", json!([]));
    assert_eq!(
        wallets.refuse("w", "sendtoaddress", json!([before, 1])).0,
        -13
    );
}

#[test]
fn an_unlocked_wallet_locks_itself() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call(
        "",
        "createwallet",
        json!({ "wallet_name": "w", "passphrase": "p" }),
    );
    wallets.call("w", "walletpassphrase", json!(["p", 1000]));
    descriptors(&wallets, "w", true);
    let client = wallets.loader.chain_client().unwrap();
    client.scheduler_mock_forward(1001).unwrap();
    let locked = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        wallets
            .chain
            .call("w", "listdescriptors", json!([true]))
            .is_err()
    });
    assert!(locked);
}

#[test]
fn a_wallet_born_encrypted_has_keys() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call(
        "",
        "createwallet",
        json!({ "wallet_name": "w", "passphrase": "p" }),
    );
    assert_eq!(descriptors(&wallets, "w", false).len(), 8);
    let info = wallets.call("w", "getwalletinfo", json!([]));
    assert_eq!(info["unlocked_until"], 0);
    assert_eq!(
        wallets
            .refuse(
                "",
                "createwallet",
                json!({ "wallet_name": "v", "passphrase": "p", "disable_private_keys": true })
            )
            .0,
        -4
    );
    let warned = wallets.call(
        "",
        "createwallet",
        json!({ "wallet_name": "u", "passphrase": "" }),
    );
    assert_eq!(
        warned["warnings"],
        json!(["Empty string given as passphrase, wallet will not be encrypted."])
    );
}

#[test]
fn imported_descriptors_find_their_past() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call("", "createwallet", json!(["source"]));
    let (_, paid) = wallets.address("source", "bech32");
    wallets.chain.mine(105, &paid);
    let public = descriptors(&wallets, "source", false);
    let private = descriptors(&wallets, "source", true);
    let external = |list: &[Value]| {
        let found = list.iter().find(|entry| {
            entry["desc"].as_str().unwrap().starts_with("wpkh(") && entry["internal"] == false
        });
        found.unwrap()["desc"].clone()
    };

    wallets.call(
        "",
        "createwallet",
        json!({ "wallet_name": "watch", "disable_private_keys": true }),
    );
    let imported = wallets.call(
        "watch",
        "importdescriptors",
        json!([[{ "desc": external(&public), "timestamp": 0, "range": [0, 20], "active": true }]]),
    );
    assert_eq!(imported, json!([{ "success": true }]));
    assert_eq!(wallets.balance("watch"), "250.00000000");
    // The next address is one that the source has not given yet either.
    let (next, _) = wallets.address("watch", "bech32");
    assert_eq!(
        wallets.call("source", "getaddressinfo", json!([next]))["ismine"],
        true
    );

    wallets.call(
        "",
        "createwallet",
        json!({ "wallet_name": "copy", "blank": true }),
    );
    let imported = wallets.call(
        "copy",
        "importdescriptors",
        json!([[
            { "desc": external(&private), "timestamp": 0 },
            { "desc": external(&public), "timestamp": 0 },
            { "desc": "wpkh(nonsense)#00000000", "timestamp": 0 },
        ]]),
    );
    assert_eq!(
        imported[0],
        json!({ "success": true, "warnings": ["Range not given, using default keypool range"] })
    );
    assert_eq!(imported[1]["error"]["code"], -4);
    assert_eq!(imported[2]["error"]["code"], -5);
    assert_eq!(wallets.balance("copy"), "250.00000000");
    let to = wallets.address("source", "bech32").0;
    let sent = wallets.refuse("copy", "sendtoaddress", json!([to, 1]));
    assert!(
        sent.1.starts_with("Transaction needs a change address"),
        "{sent:?}"
    );
}

#[test]
fn payments_ahead_of_the_last_address_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call("", "createwallet", json!(["w"]));
    let addresses: Vec<String> = (0..9).map(|_| wallets.address("w", "bech32").0).collect();
    let copy = directory.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    // A copy from before any address was given out.
    wallets.call("", "createwallet", json!(["late"]));
    wallets.call("late", "backupwallet", json!([copy.join("wallet.dat")]));
    let late: Vec<String> = (0..9)
        .map(|_| wallets.address("late", "bech32").0)
        .collect();
    wallets.chain.mine(1, &script(&late[8]));
    wallets.chain.mine(1, &script(&addresses[8]));
    wallets.call("late", "unloadwallet", json!([]));
    wallets.call("", "loadwallet", json!(["copy"]));
    let mine = wallets.call("copy", "getbalances", json!([]));
    assert_eq!(mine["mine"]["immature"].to_string(), "50.00000000");
    // The addresses up to the paid one count as given out.
    let (next, _) = wallets.address("copy", "bech32");
    let info = wallets.call("copy", "getaddressinfo", json!([next]));
    assert_eq!(info["hdkeypath"], "m/84h/1h/0h/0/9");
}

#[test]
fn labels_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call("", "createwallet", json!(["w"]));
    let address = wallets.call("w", "getnewaddress", json!(["shop"]));
    let stranger = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    wallets.call("w", "setlabel", json!([stranger, "friend"]));
    wallets.call("w", "unloadwallet", json!([]));
    wallets.call("", "loadwallet", json!(["w"]));
    assert_eq!(
        wallets.call("w", "listlabels", json!([])),
        json!(["friend", "shop"])
    );
    assert_eq!(
        wallets.call("w", "listlabels", json!(["send"])),
        json!(["friend"])
    );
    assert_eq!(
        wallets.call("w", "getaddressesbylabel", json!(["shop"])),
        json!({ (address.as_str().unwrap()): { "purpose": "receive" } })
    );
    assert_eq!(
        wallets.refuse("w", "getaddressesbylabel", json!(["none"])),
        (-11, "No addresses with label none".to_owned())
    );
    assert_eq!(
        wallets.refuse("w", "getnewaddress", json!(["*"])),
        (-11, "Invalid label name".to_owned())
    );
    assert_eq!(
        wallets.refuse("w", "getnewaddress", json!(["", "bech64"])),
        (-5, "Unknown address type 'bech64'".to_owned())
    );
    assert_eq!(
        wallets
            .refuse(
                "w",
                "getaddressinfo",
                json!(["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"])
            )
            .0,
        -5
    );
}

#[test]
fn locked_coins_stay() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call("", "createwallet", json!(["w"]));
    let (to, script) = wallets.address("w", "bech32");
    wallets.chain.mine(101, &script);
    let coin = wallets.call("w", "listunspent", json!([]))[0].clone();
    let outpoint = json!([{ "txid": coin["txid"], "vout": coin["vout"] }]);
    wallets.call("w", "lockunspent", json!([false, outpoint, true]));
    assert_eq!(
        wallets.refuse("w", "sendtoaddress", json!([to, 1])).1,
        "Insufficient funds"
    );
    wallets.call("w", "unloadwallet", json!([]));
    wallets.call("", "loadwallet", json!(["w"]));
    assert_eq!(wallets.call("w", "listlockunspent", json!([])), outpoint);
    assert_eq!(
        wallets.refuse("w", "lockunspent", json!([false, outpoint])),
        (-8, "Invalid parameter, output already locked".to_owned())
    );
    wallets.call("w", "lockunspent", json!([true]));
    wallets.call("w", "sendtoaddress", json!([to, 1]));
}
