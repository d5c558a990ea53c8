//! Whole nodes that are each other's peers, over TCP on this machine.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, Block, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    Witness, consensus,
};
use btc_node::node::Node;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::str::FromStr;
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Peer {
    node: Node,
    port: u16,
    _dir: TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port()
}

impl Peer {
    fn start(name: &str, options: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut builder = Node::builder()
            .data_dir(dir.path())
            .option("chain", "regtest")
            .option("connect", "0")
            .option("uacomment", name)
            .option("bind", &format!("127.0.0.1:{port}"));
        for (option, value) in options {
            builder = builder.option(option, value);
        }
        Self {
            node: builder.start().unwrap(),
            port,
            _dir: dir,
        }
    }

    fn try_call(&self, method: &str, params: Value) -> Result<Value, i64> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let reply = self
            .node
            .rpc()
            .execute_rpc(request.to_string(), "/".into(), "test".into())
            .unwrap();
        match reply["error"]["code"].as_i64() {
            Some(code) => Err(code),
            None => Ok(reply["result"].clone()),
        }
    }

    fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(method, params.clone())
            .unwrap_or_else(|code| panic!("{method} {params}: {code}"))
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn generate(&self, count: u32) -> String {
        let address = Address::p2wsh(&witness_script(), Network::Regtest);
        let hashes = self.call("generatetoaddress", json!([count, address.to_string()]));
        hashes
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn tip(&self) -> String {
        self.call("getbestblockhash", json!([]))
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn has_tx(&self, txid: &Txid) -> bool {
        self.call("getrawmempool", json!([]))
            .as_array()
            .unwrap()
            .contains(&json!(txid.to_string()))
    }

    /// Spends the coinbase at a height.
    fn spend(&self, height: u32) -> Transaction {
        let hash = self.call("getblockhash", json!([height]));
        let hex = self.call("getblock", json!([hash, 0]));
        let block: Block = consensus::encode::deserialize_hex(hex.as_str().unwrap()).unwrap();
        let coinbase = &block.txdata[0];
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(coinbase.compute_txid(), 0),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[witness_script().into_bytes()]),
            }],
            output: vec![TxOut {
                value: coinbase.output[0].value - Amount::from_sat(1000),
                script_pubkey: witness_script().to_p2wsh(),
            }],
        }
    }
}

fn witness_script() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51])
}

/// Polls until it is so. The pause bounds the load, not the outcome.
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn blocks_and_transactions_pass_from_node_to_node() {
    let nodes = ["a", "b", "c"].map(|name| Peer::start(name, &[]));
    let [a, b, c] = &nodes;
    let tip = a.generate(110);
    b.call("addnode", json!([a.address(), "onetry"]));
    c.call("addnode", json!([b.address(), "add"]));
    wait_for("the first blocks", || b.tip() == tip && c.tip() == tip);
    let tip = c.generate(1);
    wait_for("a block the other way", || a.tip() == tip);

    let tx = c.spend(1);
    let txid = tx.compute_txid();
    c.call(
        "sendrawtransaction",
        json!([consensus::encode::serialize_hex(&tx)]),
    );
    wait_for("the transaction", || a.has_tx(&txid));
    assert!(Txid::from_str(&txid.to_string()).is_ok() && b.has_tx(&txid));
    let tip = a.generate(1);
    wait_for("its block", || c.tip() == tip && !c.has_tx(&txid));

    let peers = b.call("getpeerinfo", json!([]));
    let peers = peers.as_array().unwrap();
    assert_eq!(peers.len(), 2);
    let of = |inbound: bool| {
        peers
            .iter()
            .find(|peer| peer["inbound"] == inbound)
            .unwrap()
    };
    assert!(of(false)["subver"].as_str().unwrap().contains("(a)"));
    assert!(of(true)["subver"].as_str().unwrap().contains("(c)"));
    assert_eq!(of(false)["connection_type"], "manual");
    assert_eq!(of(false)["synced_blocks"], 112);
    assert!(of(true)["bytesrecv_per_msg"]["pong"].as_u64().unwrap() >= 29);
    assert_eq!(of(true)["transport_protocol_type"], "v2");
    let session = &a.call("getpeerinfo", json!([]))[0]["session_id"];
    assert_eq!(session.as_str().unwrap().len(), 64);
    assert_eq!(&of(false)["session_id"], session);
    assert_eq!(b.call("getnetworkinfo", json!([]))["connections_in"], 1);
    assert!(
        b.call("getnettotals", json!([]))["totalbytesrecv"]
            .as_u64()
            .unwrap()
            > 10_000
    );
    for node in nodes {
        node.node.stop();
    }
}

#[test]
fn connections_are_added_watched_and_ended_by_the_user() {
    let (a, b) = (Peer::start("a", &[]), Peer::start("b", &[]));
    assert_eq!(a.try_call("addnode", json!([" ", "add"])), Err(-8));
    assert_eq!(
        a.try_call("addnode", json!([b.address(), "remove"])),
        Err(-24)
    );
    a.call("addnode", json!([b.address(), "add"]));
    assert_eq!(a.try_call("addnode", json!([b.address(), "add"])), Err(-23));
    let connected = || {
        let peers = a.call("getpeerinfo", json!([]));
        peers
            .as_array()
            .unwrap()
            .iter()
            .any(|peer| peer["version"] == 70017)
    };
    wait_for("the connection", connected);
    let added = a.call("getaddednodeinfo", json!([]));
    assert_eq!(added[0]["addresses"][0]["connected"], "outbound");
    assert_eq!(a.try_call("getaddednodeinfo", json!(["1.2.3.4"])), Err(-24));

    a.call("addnode", json!([b.address(), "remove"]));
    let id = a.call("getpeerinfo", json!([]))[0]["id"].clone();
    assert_eq!(
        a.try_call("disconnectnode", json!([b.address(), id])),
        Err(-32602)
    );
    a.call("disconnectnode", json!(["", id]));
    wait_for("the end", || {
        [&a, &b]
            .iter()
            .all(|node| node.call("getconnectioncount", json!([])) == 0)
    });
    assert_eq!(a.try_call("disconnectnode", json!(["", id])), Err(-29));
}

#[test]
fn a_node_connects_to_no_one_but_those_it_was_told_to() {
    let a = Peer::start("a", &[]);
    let address = a.address();
    let b = Peer::start("b", &[("connect", &address)]);
    wait_for("the connection", || {
        a.call("getpeerinfo", json!([]))[0]["inbound"] == true
    });
    drop(a);
    wait_for("the end", || b.call("getconnectioncount", json!([])) == 0);
}

#[test]
fn a_port_in_use_is_an_error_of_the_start() {
    let a = Peer::start("a", &[]);
    let dir = tempfile::tempdir().unwrap();
    let error = Node::builder()
        .data_dir(dir.path())
        .option("chain", "regtest")
        .option("bind", &a.address())
        .start()
        .err()
        .unwrap();
    let expected = format!("Unable to bind to {} on this computer.", a.address());
    assert!(error.to_string().starts_with(&expected), "{error}");
}
