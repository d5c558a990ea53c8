//! The methods' answers beside those that Core gave to the same calls on the same chain.

use crate::harness::Node;
use bitcoin::{NetworkKind, PrivateKey, ScriptBuf};
use btc_interfaces::rpc::RpcRequest;
use btc_node::mempool::{Limits, Policy};
use btc_node::mining::TemplateOptions;
use btc_node::rpc::context::{NodeParts, register_all};
use btc_node::rpc::registry::{Registration, Registry};
use serde_json::{Map, Value, json};
use std::sync::Arc;

struct Rpc {
    registry: Registry,
    node: Node,
    _methods: Vec<Registration>,
}

impl Rpc {
    fn new() -> Self {
        // The time of the calls that Core answered.
        let node = Node::at(1_296_688_602, Policy::default(), Limits::default());
        node.mempool.set_loaded();
        let parts = NodeParts {
            chain: Arc::clone(&node.chain),
            mempool: Arc::clone(&node.mempool),
            indexes: Arc::default(),
            template: TemplateOptions::default(),
            given_template: Arc::default(),
            subversion: "/Test:0.1.0/".into(),
            client_version: 100,
            warnings: Arc::new(|| vec!["untested".into()]),
            deprecated: Vec::new(),
            peers: Arc::new(|| None),
            relays_transactions: true,
            mempool_path: node.path("mempool.dat"),
            scan: Arc::default(),
            filter_scan: Arc::default(),
        };
        let registry = Registry::new();
        let methods = register_all(&registry, &Arc::new(parts));
        registry.set_warmup_finished();
        Self {
            registry,
            node,
            _methods: methods,
        }
    }

    fn call(&self, method: &str, params: Value) -> Value {
        let request = RpcRequest {
            method: method.into(),
            params,
            uri: "/".into(),
            auth_user: "test".into(),
            repeated: Vec::new(),
        };
        match self.registry.execute(request).into_result() {
            Ok(result) => json!({ "result": result }),
            Err(error) => json!({ "error": { "code": error.code, "message": error.message } }),
        }
    }
}

/// Figures that differ from node to node and say nothing of the chain.
const OWN_FIGURES: &[&str] = &[
    "warnings",
    "verificationprogress",
    "size_on_disk",
    "usage",
    "disk_size",
];

fn without_own_figures(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| {
                    let value = if OWN_FIGURES.contains(&key.as_str()) {
                        Value::Null
                    } else {
                        without_own_figures(value)
                    };
                    (key.clone(), value)
                })
                .collect::<Map<_, _>>(),
        ),
        Value::Array(values) => values.iter().map(without_own_figures).collect(),
        other => other.clone(),
    }
}

#[test]
fn answers_are_cores_to_the_digit_and_the_order_of_keys() {
    let rpc = Rpc::new();
    let calls: Vec<Value> = serde_json::from_str(include_str!("data/core-answers.json")).unwrap();
    assert_eq!(calls.len(), 234);
    let mut differences = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        let method = call["method"].as_str().unwrap();
        let params = call["params"].clone();
        let mut expected = call.as_object().unwrap().clone();
        expected.remove("method");
        expected.remove("params");
        let expected = without_own_figures(&Value::Object(expected)).to_string();
        let given = without_own_figures(&rpc.call(method, params.clone())).to_string();
        if given != expected {
            differences.push(format!(
                "{number}: {method} {params}\n  ours {given}\n  Core {expected}"
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn blocks_of_chosen_transactions_can_be_made_by_several_callers_at_once() {
    let rpc = Rpc::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let answer = rpc.call("generateblock", json!(["raw(51)", []]));
                    assert!(answer["result"]["hash"].is_string(), "{answer}");
                }
            });
        }
    });
}

#[test]
fn a_header_may_come_with_its_block() {
    let rpc = Rpc::new();
    let block = rpc.call("generateblock", json!(["raw(55)", [], false]));
    let hex = block["result"]["hex"].clone();
    assert_eq!(
        rpc.call("submitheader", json!([hex])),
        json!({"result": null})
    );
    let stats = rpc.call("getblockstats", json!([block["result"]["hash"]]));
    assert_eq!(
        stats["error"]["message"],
        "Block not available (not fully downloaded)"
    );
}

#[test]
fn several_descriptors_are_not_taken_for_one() {
    let rpc = Rpc::new();
    let key = "tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B";
    let multipath = format!("wpkh({key}/<0;1>)");
    assert_eq!(
        rpc.call("generatetodescriptor", json!([1, multipath])),
        json!({"error": {"code": -8, "message": "Multipath descriptor not accepted"}})
    );
    let info = rpc.call("getdescriptorinfo", json!([multipath]));
    let expansion = info["result"]["multipath_expansion"].as_array().unwrap();
    assert_eq!(expansion.len(), 2);
    assert_eq!(expansion[0], info["result"]["descriptor"]);
    let of =
        |descriptor: &Value| rpc.call("deriveaddresses", json!([descriptor]))["result"].clone();
    let checksum = info["result"]["checksum"].as_str().unwrap();
    assert_eq!(
        of(&json!(format!("{multipath}#{checksum}"))),
        json!([of(&expansion[0]), of(&expansion[1])])
    );
}

#[test]
fn the_signatures_of_several_are_joined() {
    let rpc = Rpc::new();
    let call = |method: &str, params: Value| {
        let answer = rpc.call(method, params);
        let result = answer.get("result").cloned();
        result.unwrap_or_else(|| panic!("{method}: {answer}"))
    };
    let secp = bitcoin::secp256k1::Secp256k1::new();
    let keys: Vec<PrivateKey> = (1..=3)
        .map(|byte| PrivateKey::from_slice(&[byte; 32], NetworkKind::Test).unwrap())
        .collect();
    let public: Vec<String> = keys
        .iter()
        .map(|key| key.public_key(&secp).to_string())
        .collect();
    for kind in ["legacy", "p2sh-segwit", "bech32"] {
        let address = call("createmultisig", json!([2, public, kind]));
        let shown = call("validateaddress", json!([address["address"]]));
        let script = ScriptBuf::from_hex(shown["scriptPubKey"].as_str().unwrap()).unwrap();
        let derived = call("deriveaddresses", json!([address["descriptor"]]));
        assert_eq!(derived, json!([address["address"]]));
        rpc.node.generate_to(&script, 101);
        let (coin, value) = rpc.node.coinbase(rpc.node.chain.tip().height - 100);
        let spent = json!([{
            "txid": coin.txid.to_string(),
            "vout": coin.vout,
            "scriptPubKey": script.to_hex_string(),
            "redeemScript": address["redeemScript"],
            "amount": value.to_btc(),
        }]);
        let raw = call(
            "createrawtransaction",
            json!([spent, [{ address["address"].as_str().unwrap(): 1.0 }]]),
        );
        let sign = |raw: &Value, key: &PrivateKey| {
            call(
                "signrawtransactionwithkey",
                json!([raw, [key.to_wif()], spent]),
            )
        };
        // In either order and from either copy.
        let (first, third) = (sign(&raw, &keys[0]), sign(&raw, &keys[2]));
        assert_eq!(first["complete"], json!(false));
        assert!(first["errors"][0]["error"].is_string(), "{first}");
        let both = sign(&first["hex"], &keys[2]);
        assert_eq!(both["complete"], json!(true), "{both}");
        let combined = call(
            "combinerawtransaction",
            json!([[third["hex"], first["hex"]]]),
        );
        assert_eq!(combined, both["hex"]);
        call("sendrawtransaction", json!([combined, 0]));
    }
}

#[test]
fn a_given_output_must_fit_its_scripts() {
    let rpc = Rpc::new();
    let script = ScriptBuf::from_bytes(vec![0x51]);
    let raw = "0200000001000000000000000000000000000000000000000000000000000000000000000100000000\
               00fdffffff0100e1f505000000000151000000000";
    let raw = &raw[..raw.len() - 1];
    let with = |spent: Value| {
        let answer = rpc.call("signrawtransactionwithkey", json!([raw, [], [spent]]));
        answer["error"]["message"].clone()
    };
    let id = "1".repeat(64);
    let base = json!({ "txid": id, "vout": 0, "scriptPubKey": script.to_p2sh().to_hex_string() });
    assert_eq!(with(base.clone()), "Missing redeemScript/witnessScript");
    let mut wrong = base.clone();
    wrong["redeemScript"] = json!("52");
    assert_eq!(
        with(wrong),
        "redeemScript/witnessScript does not match scriptPubKey"
    );
    let mut apart = base.clone();
    apart["redeemScript"] = json!("51");
    apart["witnessScript"] = json!("52");
    assert_eq!(
        with(apart),
        "redeemScript does not correspond to witnessScript"
    );
    let mut negative = base;
    negative["vout"] = json!(-1);
    assert_eq!(with(negative), "vout cannot be negative");
}
