//! What bitcoind refuses is refused with the same code and the same text.

use btc_node::node::Node;
use serde_json::{Value, json};

#[test]
fn calls_are_refused_as_by_core() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = Node::builder()
        .data_dir(dir.path())
        .option("chain", "regtest")
        .option("connect", "0")
        .option("disablewallet", "1")
        .start()
        .expect("it starts");
    let cases: Vec<(String, Value, i64, Option<String>)> =
        serde_json::from_str(include_str!("data/rpc_errors.json")).expect("the data are JSON");
    let rpc = node.rpc();
    let mut wrong = Vec::new();
    for (method, params, code, text) in &cases {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let reply = rpc
            .execute_rpc(request.to_string(), "/".to_owned(), String::new())
            .expect("an answer");
        let error = &reply["error"];
        let same_text = text
            .as_ref()
            .is_none_or(|text| error["message"] == text.as_str());
        if error["code"] != *code || !same_text {
            wrong.push(format!("{method} {params}: {reply}, not {code} {text:?}"));
        }
    }
    drop(rpc);
    node.stop();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
