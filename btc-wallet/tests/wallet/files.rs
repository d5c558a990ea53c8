//! Files that are no wallets, or not ours, or in use, or cut off in the middle of a write.

use crate::support::{FakeChain, Wallets};
use bitcoin::Network;
use bitcoin::p2p::Magic;
use btc_wallet::db::{Database, Expect, OpenOptions};
use serde_json::json;
use std::path::Path;

fn started(directory: &Path) -> Wallets {
    Wallets::start(&FakeChain::new(), directory, &[])
}

fn options(network: Network, expect: Expect) -> OpenOptions {
    OpenOptions {
        expect,
        magic: Magic::from(network),
        verify: true,
        unsafe_sync: false,
    }
}

#[test]
fn garbage_is_not_a_wallet() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    for (name, content) in [
        ("empty", Vec::new()),
        ("text", b"not a database".repeat(100)),
        ("header", b"SQLite format 3\0".repeat(64)),
    ] {
        let wallet = directory.path().join(name);
        std::fs::create_dir(&wallet).unwrap();
        std::fs::write(wallet.join("wallet.dat"), &content).unwrap();
        assert_eq!(
            wallets.refuse("", "loadwallet", json!([name])),
            (
                -18,
                format!(
                    "Wallet file verification failed. Failed to load database path '{}'. Data is not in recognized format.",
                    wallet.display()
                )
            )
        );
        // Nobody's file is touched by the attempt.
        assert_eq!(std::fs::read(wallet.join("wallet.dat")).unwrap(), content);
    }
    let none = directory.path().join("none");
    assert_eq!(
        wallets.refuse("", "loadwallet", json!(["none"])),
        (
            -18,
            format!(
                "Wallet file verification failed. Failed to load database path '{}'. Path does not exist.",
                none.display()
            )
        )
    );
    assert!(!none.exists());
}

#[test]
fn damage_within_a_wallet_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call("", "createwallet", json!(["w"]));
    wallets.call("w", "unloadwallet", json!([]));
    let file = directory.path().join("w/wallet.dat");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let (code, message) = wallets.refuse("", "loadwallet", json!(["w"]));
    assert_eq!(code, -4, "{message}");
    assert!(
        message.starts_with("Wallet loading failed. ")
            || message.starts_with("Wallet file verification failed. "),
        "{message}"
    );
}

#[test]
fn a_wallet_in_use_is_locked() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call("", "createwallet", json!(["w"]));
    let others = started(directory.path());
    assert_eq!(
        others.refuse("", "loadwallet", json!(["w"])),
        (
            -4,
            "Wallet file verification failed. SQLiteDatabase: Unable to obtain an exclusive lock on the database, is it being used by another instance of multiprocess-bitcoin?"
                .to_owned()
        )
    );
    wallets.call("w", "unloadwallet", json!([]));
    others.call("", "loadwallet", json!(["w"]));
}

#[test]
fn a_wallet_of_another_network_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("main");
    drop(Database::open(&path, options(Network::Bitcoin, Expect::New)).unwrap());
    let wallets = started(directory.path());
    assert_eq!(wallets.refuse("", "loadwallet", json!(["main"])).0, -18);
    let error = Database::open(&path, options(Network::Regtest, Expect::Existing)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("Data is not in recognized format."),
        "{error}"
    );
    assert_eq!(
        wallets.call("", "listwalletdir", json!([])),
        json!({ "wallets": [] })
    );
}

#[test]
fn a_wallet_from_another_chain_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call("", "createwallet", json!(["w"]));
    wallets.stop();
    let other = FakeChain::of_hashes(&[bitcoin::BlockHash::from_raw_hash(
        bitcoin::hashes::Hash::hash(b"genesis"),
    )]);
    let wallets = Wallets::start(&other, directory.path(), &[]);
    let (code, message) = wallets.refuse("", "loadwallet", json!(["w"]));
    assert_eq!(code, -4);
    assert!(
        message.contains("Wallet files should not be reused across chains."),
        "{message}"
    );
}

#[test]
fn names_cannot_lead_astray() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    for (name, text) in [
        (
            "../out",
            "Wallet name given as a relative path cannot begin with ./ or ../, for wallets not in the walletdir, please use an absolute path.",
        ),
        ("./in", "Wallet name given as a path must be normalized"),
        ("a//b", "Wallet name given as a path must be normalized"),
        ("a/../b", "Wallet name given as a path must be normalized"),
        ("/", "Wallet name cannot be the root path"),
    ] {
        let (code, message) = wallets.refuse("", "createwallet", json!([name]));
        assert_eq!(
            (code, message),
            (-4, format!("Wallet file verification failed. {text}")),
            "{name}"
        );
    }
    assert_eq!(
        wallets.refuse("", "createwallet", json!([""])),
        (-8, "Wallet name cannot be empty".to_owned())
    );
    wallets.call("", "createwallet", json!(["deep/er"]));
    assert_eq!(
        wallets.call("", "listwalletdir", json!([])),
        json!({ "wallets": [{ "name": "deep/er", "warnings": [] }] })
    );
}

#[test]
fn a_backup_is_a_wallet() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = started(directory.path());
    wallets.call("", "createwallet", json!(["w"]));
    let (address, _) = wallets.address("w", "bech32");
    let copy = directory.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    wallets.call("w", "backupwallet", json!([copy.join("wallet.dat")]));
    assert_eq!(
        wallets.refuse("w", "backupwallet", json!([directory.path().join("w")])),
        (-4, "Error: Wallet backup failed!".to_owned())
    );
    wallets.call("w", "unloadwallet", json!([]));
    wallets.call("", "loadwallet", json!(["copy"]));
    assert_eq!(
        wallets.call("copy", "getaddressinfo", json!([address]))["ismine"],
        true
    );
}

#[test]
fn the_start_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let chain = FakeChain::new();
    let wallets = Wallets::start(&chain, directory.path(), &[]);
    wallets.call(
        "",
        "createwallet",
        json!({ "wallet_name": "w", "load_on_startup": true }),
    );
    wallets.stop();
    std::fs::remove_dir_all(directory.path().join("w")).unwrap();
    Wallets::start(&chain, directory.path(), &[]).stop();
    let told = chain.told();
    assert!(
        told.iter()
            .any(|line| line.starts_with("warning: Skipping -wallet path that doesn't exist.")),
        "{told:?}"
    );
    std::fs::create_dir(directory.path().join("w")).unwrap();
    std::fs::write(directory.path().join("w/wallet.dat"), "no wallet").unwrap();
    let args = btc_interfaces::GlobalArgs {
        chain: "regtest".into(),
        net_data_dir: directory.path().display().to_string(),
        ..Default::default()
    };
    let client = btc_wallet::local(args, chain.clone())
        .unwrap()
        .chain_client()
        .unwrap();
    assert_eq!(client.verify(), Ok(false));
    let told = chain.told();
    assert!(
        told.last()
            .unwrap()
            .ends_with("Data is not in recognized format."),
        "{told:?}"
    );
}
