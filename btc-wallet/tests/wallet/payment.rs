//! Payments between wallets, through the RPC methods, over a chain in memory.

use crate::support::{self, FakeChain, Wallets};
use bitcoin::Txid;
use btc_interfaces::{Chain as _, SettingsAction};
use serde_json::{Value, json};

/// Two wallets, the first with one spendable coinbase.
fn alice_and_bob(directory: &std::path::Path) -> Wallets {
    let chain = FakeChain::new();
    let wallets = Wallets::start(&chain, directory, &[]);
    for name in ["alice", "bob"] {
        assert_eq!(
            wallets.call("", "createwallet", json!([name])),
            json!({ "name": name })
        );
    }
    let (_, script) = wallets.address("alice", "bech32");
    chain.mine(101, &script);
    wallets
}

fn elsewhere() -> bitcoin::ScriptBuf {
    bitcoin::ScriptBuf::new_op_return([1])
}

#[test]
fn a_payment_confirms_and_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = alice_and_bob(directory.path());
    assert_eq!(wallets.balance("alice"), "50.00000000");
    let (to, _) = wallets.address("bob", "bech32m");

    let txid = wallets.call(
        "alice",
        "sendtoaddress",
        json!({ "address": to, "amount": "12.5", "comment": "rent", "comment_to": "bob" }),
    );
    let sent = wallets.call("alice", "gettransaction", json!([txid]));
    assert_eq!(sent["comment"], "rent");
    assert_eq!(sent["to"], "bob");
    assert_eq!(sent["amount"].to_string(), "-12.50000000");
    assert_eq!(sent["confirmations"], 0);
    assert_eq!(sent["trusted"], true);
    assert_eq!(wallets.balance("bob"), "0.00000000");
    let pending = wallets.call("bob", "getbalances", json!([]));
    assert_eq!(
        pending["mine"]["untrusted_pending"].to_string(),
        "12.50000000"
    );

    wallets.chain.mine(1, &elsewhere());
    assert_eq!(wallets.balance("bob"), "12.50000000");
    let fee: f64 = sent["fee"].to_string().parse().unwrap();
    let left = wallets.balance("alice");
    // One more coinbase is old enough now.
    assert_eq!(left, format!("{:.8}", 100.0 - 12.5 + fee));

    let chain = wallets.chain.clone();
    for name in ["alice", "bob"] {
        wallets.call(name, "unloadwallet", json!([null, true]));
    }
    wallets.stop();
    assert_eq!(chain.settings()["wallet"], json!(["alice", "bob"]));
    // Blocks that come while no wallet is loaded are found at the next start.
    chain.mine(1, &support::script(&to));
    let wallets = Wallets::start(&chain, directory.path(), &[]);
    assert_eq!(
        wallets.call("", "listwallets", json!([])),
        json!(["alice", "bob"])
    );
    let mine = wallets.call("bob", "getbalances", json!([]));
    assert_eq!(mine["mine"]["trusted"].to_string(), "12.50000000");
    assert_eq!(mine["mine"]["immature"].to_string(), "50.00000000");
    assert_eq!(mine["lastprocessedblock"]["height"], 103);
    let again = wallets.call("alice", "gettransaction", json!([txid]));
    assert_eq!(again["confirmations"], 2);
    assert_eq!(again["comment"], "rent");
}

#[test]
fn every_kind_of_address_is_paid_and_spends() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = alice_and_bob(directory.path());
    for kind in ["legacy", "p2sh-segwit", "bech32", "bech32m"] {
        let (to, _) = wallets.address("bob", kind);
        wallets.call("alice", "sendtoaddress", json!([to, 1]));
        wallets.chain.mine(1, &elsewhere());
        let info = wallets.call("bob", "getaddressinfo", json!([to]));
        assert_eq!(info["ismine"], true);
        assert_eq!(info["solvable"], true, "{info}");
        let (back, _) = wallets.address("alice", kind);
        let txid = wallets.call(
            "bob",
            "sendtoaddress",
            json!({ "address": back, "amount": 0.9, "fee_rate": 5 }),
        );
        let sent = wallets.call("bob", "gettransaction", json!([txid, false, true]));
        let vsize = sent["decoded"]["vsize"].as_u64().unwrap();
        let fee: f64 = sent["fee"].to_string().parse().unwrap();
        let rate = -fee * 1e8 / vsize as f64;
        assert!((5.0..5.2).contains(&rate), "{kind}: {rate} sat/vB");
        assert_eq!(
            wallets.chain.mempool().len(),
            1,
            "{kind}: the chain checks signatures"
        );
        wallets.chain.mine(1, &elsewhere());
    }
}

#[test]
fn all_of_it_can_be_sent_away() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = alice_and_bob(directory.path());
    let (to, _) = wallets.address("bob", "bech32");
    assert_eq!(
        wallets.refuse("alice", "sendtoaddress", json!([to, 50])),
        (
            -6,
            "The total exceeds your balance when the 0.0000084 transaction fee is included."
                .to_owned()
        )
    );
    assert_eq!(
        wallets.refuse("alice", "sendtoaddress", json!([to, 51])),
        (-6, "Insufficient funds".to_owned())
    );
    wallets.call("alice", "sendtoaddress", json!([to, 50, "", "", true]));
    wallets.chain.mine(1, &elsewhere());
    let got: f64 = wallets.balance("bob").parse().unwrap();
    assert!(got < 50.0 && got > 49.9999, "{got}");
    // The next coinbase matured with that block.
    assert_eq!(wallets.balance("alice"), "50.00000000");
}

#[test]
fn refusals_name_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = alice_and_bob(directory.path());
    let (to, _) = wallets.address("bob", "bech32");
    let refuse = |params: Value| wallets.refuse("alice", "sendtoaddress", params);
    assert_eq!(
        refuse(json!(["nowhere", 1])),
        (-5, "Invalid Bitcoin address: nowhere".to_owned())
    );
    assert_eq!(
        refuse(json!([to, 0.00000001])),
        (-6, "Transaction amount too small".to_owned())
    );
    assert_eq!(
        refuse(json!([to, -1])),
        (-3, "Amount out of range".to_owned())
    );
    assert_eq!(refuse(json!([to, "a"])), (-3, "Invalid amount".to_owned()));
    let fee = refuse(json!({ "address": to, "amount": 1, "fee_rate": 0.5 }));
    assert_eq!(fee.0, -6);
    assert!(
        fee.1.starts_with(
            "Fee rate (0.500 sat/vB) is lower than the minimum fee rate setting (1.000 sat/vB)."
        ),
        "{}",
        fee.1
    );
    let fee = refuse(json!({ "address": to, "amount": 1, "fee_rate": 100_000 }));
    assert_eq!(
        fee,
        (
            -6,
            "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)".to_owned()
        )
    );
    // A payment that failed leaves no trace: the next one gets the first change address.
    let change = wallets.call("alice", "getrawchangeaddress", json!([]));
    let info = wallets.call("alice", "getaddressinfo", json!([change]));
    assert!(
        info["hdkeypath"].as_str().unwrap().ends_with("/1/0"),
        "{info}"
    );

    assert_eq!(wallets.refuse("", "getbalance", json!([])).0, -19);
    assert_eq!(
        wallets.refuse("carol", "getbalance", json!([])),
        (
            -18,
            "Requested wallet does not exist or is not loaded".to_owned()
        )
    );
    assert_eq!(
        wallets.refuse("", "createwallet", json!(["alice"])),
        (
            -4,
            format!(
                "Wallet file verification failed. Failed to create database path '{}'. Database already exists.",
                directory.path().join("alice").display()
            )
        )
    );
    assert_eq!(
        wallets.refuse("", "loadwallet", json!(["alice"])),
        (-35, "Wallet \"alice\" is already loaded.".to_owned())
    );
    assert_eq!(wallets.refuse("", "loadwallet", json!(["none"])).0, -18);
}

#[test]
fn without_estimates_there_must_be_a_fallback_fee() {
    let directory = tempfile::tempdir().unwrap();
    let chain = FakeChain::new();
    let wallets = Wallets::start(&chain, directory.path(), &["fallbackfee=0"]);
    wallets.call("", "createwallet", json!(["w"]));
    let (to, script) = wallets.address("w", "bech32");
    chain.mine(101, &script);
    let refused = wallets.refuse("w", "sendtoaddress", json!([to, 1]));
    assert_eq!(
        refused,
        (
            -6,
            "Fee estimation failed. Fallbackfee is disabled. Wait a few blocks or enable -fallbackfee.".to_owned()
        )
    );
    chain.set_estimate(Some(7000));
    let sent = wallets.call(
        "w",
        "sendtoaddress",
        json!({ "address": to, "amount": 1, "verbose": true }),
    );
    assert_eq!(sent["fee_reason"], "Fee Rate Estimator");
}

#[test]
fn a_reorganization_takes_money_back() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = alice_and_bob(directory.path());
    let (to, _) = wallets.address("bob", "bech32");
    let txid = wallets.call("alice", "sendtoaddress", json!([to, 3]));
    wallets.chain.mine(1, &elsewhere());
    assert_eq!(wallets.balance("bob"), "3.00000000");
    wallets.chain.disconnect_tip();
    assert_eq!(wallets.balance("bob"), "0.00000000");
    let gone = wallets.call("bob", "gettransaction", json!([txid]));
    assert_eq!(gone["confirmations"], 0);
    // Another block confirms it again.
    wallets.chain.mine(1, &elsewhere());
    assert_eq!(wallets.balance("bob"), "3.00000000");
}

#[test]
fn a_conflict_in_a_block_undoes_a_payment() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = alice_and_bob(directory.path());
    let (to, _) = wallets.address("bob", "bech32");
    let (own, _) = wallets.address("alice", "bech32");
    let first = wallets.call("alice", "sendtoaddress", json!([to, 3]));
    let first_txid: Txid = first.as_str().unwrap().parse().unwrap();
    wallets.chain.evict(first_txid);
    // Evicted, its coins still count as spent until it is given up.
    assert_eq!(
        wallets.refuse("alice", "sendtoaddress", json!([own, 3])).0,
        -6
    );
    let balances = wallets.call("alice", "getbalances", json!([]));
    assert_eq!(balances["mine"]["nonmempool"].to_string(), "-50.00000000");
    wallets.call("alice", "abandontransaction", json!([first]));
    assert_eq!(
        wallets.refuse("alice", "abandontransaction", json!([first])),
        (-5, "Transaction not eligible for abandonment".to_owned())
    );
    let second = wallets.call("alice", "sendtoaddress", json!([own, 4]));
    wallets.chain.mine(2, &elsewhere());
    let undone = wallets.call("alice", "gettransaction", json!([first]));
    assert_eq!(undone["walletconflicts"], json!([second]));
    assert!(undone["confirmations"].as_i64().unwrap() <= 0, "{undone}");
    assert_eq!(
        wallets.call("alice", "gettransaction", json!([second]))["confirmations"],
        2
    );
}

#[test]
fn two_payments_at_once_do_not_share_coins() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = alice_and_bob(directory.path());
    let (_, script) = wallets.address("alice", "bech32");
    wallets.chain.mine(110, &script);
    let before = wallets.chain.mempool().len();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let (to, _) = wallets.address("bob", "bech32");
                    wallets.call("alice", "sendtoaddress", json!([to, 20]));
                }
            });
        }
    });
    assert_eq!(wallets.chain.mempool().len(), before + 12);
    wallets.chain.mine(1, &elsewhere());
    assert_eq!(wallets.balance("bob"), "240.00000000");
}

#[test]
fn many_are_paid_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = alice_and_bob(directory.path());
    let (one, _) = wallets.address("bob", "bech32");
    let (two, _) = wallets.address("bob", "legacy");
    let txid = wallets.call(
        "alice",
        "sendmany",
        json!(["", { (one.as_str()): 1, (two.as_str()): "2.5" }]),
    );
    wallets.chain.mine(1, &elsewhere());
    assert_eq!(wallets.balance("bob"), "3.50000000");
    let details = wallets.call("alice", "gettransaction", json!([txid]));
    assert_eq!(details["details"].as_array().unwrap().len(), 2);
    let listed = wallets.call("bob", "listtransactions", json!([]));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let unspent = wallets.call("bob", "listunspent", json!([]));
    assert_eq!(unspent.as_array().unwrap().len(), 2);
    let raw = json!([details["hex"]]);
    let signed = wallets.call("alice", "signrawtransactionwithwallet", raw);
    assert_eq!(signed["complete"], false);
    assert_eq!(
        signed["errors"][0]["error"],
        "Input not found or already spent"
    );
}

#[test]
fn what_was_received_is_told_by_address_and_label() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = alice_and_bob(directory.path());
    let address = wallets.call("bob", "getnewaddress", json!(["rent"]));
    let txid = wallets.call("alice", "sendtoaddress", json!([address, 2]));
    let by_label = |least: i32| {
        wallets
            .call("bob", "getreceivedbylabel", json!(["rent", least]))
            .to_string()
    };
    assert_eq!(
        (by_label(0).as_str(), by_label(1).as_str()),
        ("2.00000000", "0.00000000")
    );
    wallets.chain.mine(1, &elsewhere());
    // It stays received when it is spent.
    wallets.call(
        "bob",
        "sendtoaddress",
        json!([wallets.address("alice", "bech32").0, 1]),
    );
    assert_eq!(by_label(1), "2.00000000");
    assert_eq!(
        wallets
            .call("bob", "getreceivedbyaddress", json!([address]))
            .to_string(),
        "2.00000000"
    );
    assert_eq!(
        wallets
            .call(
                "bob",
                "listreceivedbyaddress",
                json!({"address_filter": address})
            )
            .to_string(),
        json!([{
            "address": address,
            "amount": serde_json::from_str::<Value>("2.00000000").unwrap(),
            "confirmations": 1,
            "label": "rent",
            "txids": [txid],
        }])
        .to_string()
    );
    let labels = |empty: bool| wallets.call("bob", "listreceivedbylabel", json!([1, empty]));
    assert_eq!(labels(false).as_array().map(Vec::len), Some(1));
    // Alice's coinbase is mature; those after it are not.
    let (_, script) = wallets.address("alice", "bech32");
    wallets.chain.mine(1, &script);
    let all = wallets.call(
        "alice",
        "listreceivedbylabel",
        json!([1, false, false, true]),
    );
    let mature = wallets.call("alice", "listreceivedbylabel", json!([]));
    assert_ne!(all[0]["amount"], mature[0]["amount"]);
    for (method, argument, code, message) in [
        (
            "getreceivedbylabel",
            "none",
            -4,
            "Label not found in wallet",
        ),
        (
            "getreceivedbyaddress",
            "none",
            -5,
            "Invalid Bitcoin address",
        ),
        (
            "getreceivedbyaddress",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
            -4,
            "Address not found in wallet",
        ),
    ] {
        assert_eq!(
            wallets.refuse("bob", method, json!([argument])),
            (code, message.to_owned())
        );
    }
    assert_eq!(
        wallets.refuse(
            "bob",
            "listreceivedbyaddress",
            json!({"address_filter": "none"})
        ),
        (-4, "address_filter parameter was invalid".to_owned())
    );
}

#[test]
fn a_message_is_signed_by_an_addresses_key() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = alice_and_bob(directory.path());
    let (address, script) = wallets.address("alice", "legacy");
    let signature = wallets.call("alice", "signmessage", json!([address, "hello"]));
    let signer = bitcoin::Address::from_script(&script, bitcoin::Network::Regtest)
        .unwrap()
        .pubkey_hash()
        .unwrap();
    let signature = signature.as_str().unwrap();
    assert_eq!(
        btc_interfaces::message::verify(signer, signature, "hello"),
        Ok(true)
    );
    let (witness, _) = wallets.address("alice", "bech32");
    let refused = |wallet: &str, address: &str| {
        wallets.refuse(wallet, "signmessage", json!([address, "hello"]))
    };
    assert_eq!(refused("alice", "none").0, -5);
    assert_eq!(
        refused("alice", &witness),
        (-3, "Address does not refer to key".to_owned())
    );
    assert_eq!(
        refused("bob", &address),
        (-5, "Private key not available".to_owned())
    );
}

#[test]
fn a_transaction_is_deleted_for_good_if_deprecated_methods_are_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let wallets = alice_and_bob(directory.path());
    let (to, _) = wallets.address("bob", "bech32");
    let txid = wallets.call("alice", "sendtoaddress", json!([to, 2]));
    // In the mempool it would be found again.
    wallets.chain.mine(1, &elsewhere());
    assert_eq!(wallets.balance("bob"), "2.00000000");
    let remove = |wallets: &Wallets| wallets.refuse("bob", "removeprunedfunds", json!([txid]));
    assert_eq!(remove(&wallets).0, -32);
    wallets
        .chain
        .overwrite_rw_setting(
            "deprecatedrpc".to_owned(),
            json!(["removeprunedfunds"]),
            SettingsAction::SkipWrite,
        )
        .unwrap();
    wallets.call("bob", "removeprunedfunds", json!([txid]));
    let missing = (
        -4,
        format!(
            "Transaction {} does not belong to this wallet",
            txid.as_str().unwrap()
        ),
    );
    assert_eq!(remove(&wallets), missing);
    assert_eq!(wallets.balance("bob"), "0.00000000");
    wallets.call("bob", "unloadwallet", json!([]));
    wallets.call("", "loadwallet", json!(["bob"]));
    assert_eq!(remove(&wallets), missing);
}
