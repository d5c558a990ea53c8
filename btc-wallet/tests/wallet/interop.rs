//! One wallet file, opened by this wallet and by Bitcoin Core in turn. Needs Core's programs: run with
//! `BITCOIND=… BITCOIN_CLI=… cargo test -p btc-wallet -- --ignored`.

use crate::support::{FakeChain, Wallets};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command};

struct Core {
    process: Child,
    cli: String,
    directory: String,
}

impl Core {
    fn start(directory: &Path) -> Self {
        let directory = directory.display().to_string();
        let process = Command::new(std::env::var("BITCOIND").unwrap())
            .args([
                "-regtest",
                "-listen=0",
                "-connect=0",
                "-fallbackfee=0.0002",
                "-keypool=10",
                "-printtoconsole=0",
            ])
            .arg(format!("-datadir={directory}"))
            .spawn()
            .unwrap();
        let core = Self {
            process,
            cli: std::env::var("BITCOIN_CLI").unwrap(),
            directory,
        };
        core.call(&["-rpcwait", "getblockcount"]);
        core
    }

    fn call(&self, arguments: &[&str]) -> Value {
        let output = Command::new(&self.cli)
            .args(["-regtest", &format!("-datadir={}", self.directory)])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| text.trim().into())
    }

    fn stop(mut self) {
        self.call(&["stop"]);
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
#[ignore = "needs Bitcoin Core's programs"]
fn core_opens_our_wallet_and_we_open_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let net = directory.path().join("regtest");
    std::fs::create_dir_all(net.join("wallets")).unwrap();
    for passphrase in ["", "secret"] {
        let name = if passphrase.is_empty() {
            "plain"
        } else {
            "crypted"
        };
        let wallets = Wallets::start(&FakeChain::new(), &net, &[]);
        wallets.call(
            "",
            "createwallet",
            json!({ "wallet_name": name, "passphrase": passphrase }),
        );
        let (first, _) = wallets.address(name, "bech32");
        let ours = wallets.call(name, "listdescriptors", json!([]));
        wallets.stop();

        let core = Core::start(directory.path());
        core.call(&["loadwallet", name]);
        let wallet = format!("-rpcwallet={name}");
        let theirs = core.call(&[&wallet, "listdescriptors"]);
        let texts = |listed: &Value| -> Vec<String> {
            let entries = listed["descriptors"].as_array().unwrap().iter();
            entries
                .map(|entry| entry["desc"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(texts(&theirs), texts(&ours));
        assert_eq!(
            core.call(&[&wallet, "getaddressinfo", &first])["ismine"],
            true
        );
        if !passphrase.is_empty() {
            core.call(&[&wallet, "walletpassphrase", passphrase, "600"]);
        }
        core.call(&["generatetoaddress", "101", &first]);
        for kind in ["legacy", "p2sh-segwit", "bech32", "bech32m"] {
            let to = core.call(&[&wallet, "getnewaddress", "", kind]);
            core.call(&[&wallet, "sendtoaddress", to.as_str().unwrap(), "1"]);
            core.call(&[
                "generatetoaddress",
                "1",
                "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
            ]);
        }
        let balances = core.call(&[&wallet, "getbalances"]);
        let count = core.call(&["getblockcount"]).as_i64().unwrap();
        let hashes: Vec<_> = (0..=count)
            .map(|height| {
                let hash = core.call(&["getblockhash", &height.to_string()]);
                hash.as_str().unwrap().parse().unwrap()
            })
            .collect();
        let next = core.call(&[&wallet, "getnewaddress"]);
        core.call(&["unloadwallet", name]);

        // What Core added, we read; what we sign, Core takes.
        let wallets = Wallets::start(&FakeChain::of_hashes(&hashes), &net, &[]);
        wallets.call("", "loadwallet", json!([name]));
        let mine = wallets.call(name, "getbalances", json!([]));
        for kind in ["trusted", "immature", "untrusted_pending"] {
            let number = |value: &Value| value["mine"][kind].to_string().parse::<f64>().unwrap();
            assert_eq!(number(&mine), number(&balances), "{kind}");
        }
        assert_eq!(
            wallets.call(name, "getaddressinfo", json!([next]))["ismine"],
            true
        );
        if !passphrase.is_empty() {
            wallets.call(name, "walletpassphrase", json!([passphrase, 600]));
        }
        // More than any coin: every kind of input is signed.
        wallets.call(
            name,
            "sendtoaddress",
            json!({ "address": next, "amount": mine["mine"]["trusted"], "subtractfeefromamount": true, "fee_rate": 10 }),
        );
        let sent = wallets.chain.mempool();
        assert_eq!(sent.len(), 1);
        let hex = bitcoin::consensus::encode::serialize_hex(&sent[0]);
        let verdict = core.call(&["testmempoolaccept", &format!("[\"{hex}\"]")]);
        assert_eq!(verdict[0]["allowed"], true, "{verdict}");
        wallets.stop();
        core.stop();
        std::fs::remove_dir_all(net.join("chainstate")).unwrap();
        std::fs::remove_dir_all(net.join("blocks")).unwrap();
    }
}
