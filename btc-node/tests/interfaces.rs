//! The node's objects keep what every implementation of their traits promises: in this process, and over a socket.

#![allow(clippy::unwrap_used, reason = "a failed assumption must fail the test")]

use btc_interfaces::{Error, GlobalArgs, Init, noop::NoopChain, suite};
use btc_node::node::Node;
use std::sync::Arc;

fn node(dir: &tempfile::TempDir) -> Node {
    Node::builder()
        .data_dir(dir.path())
        .option("chain", "regtest")
        .option("connect", "0")
        .start()
        .unwrap()
}

fn check(init: &dyn Init) {
    let chain = init.make_chain().unwrap();
    suite::chain(&*chain).unwrap();
    suite::handlers(&*chain).unwrap();
    suite::mining(&*init.make_mining().unwrap()).unwrap();

    let echo = init.make_echo().unwrap();
    assert_eq!(echo.echo("hello".to_owned()).unwrap(), "hello");
    let old = init.make_mining_old2().unwrap_err().to_string();
    assert!(
        old.contains("Old mining interface (@2) not supported"),
        "{old}"
    );

    let request = serde_json::json!({"jsonrpc": "2.0", "id": 7, "method": "uptime"});
    let reply = init
        .make_rpc()
        .unwrap()
        .execute_rpc(request.to_string(), "/".to_owned(), "ipc".to_owned())
        .unwrap();
    assert!(reply["result"].is_number() && reply["id"] == 7, "{reply}");
    // A key that comes twice is seen, as it is over HTTP.
    let twice = r#"{"id": 8, "method": "createrawtransaction", "params": [[], {"data": "00", "data": "01"}]}"#;
    let reply = init
        .make_rpc()
        .unwrap()
        .execute_rpc(twice.to_owned(), "/".to_owned(), "ipc".to_owned())
        .unwrap();
    assert_eq!(
        reply["error"]["message"], "Invalid parameter, duplicate key: data",
        "{reply}"
    );

    let node = init.make_node().unwrap();
    let status = node.status().unwrap().expect("it has started");
    assert_eq!((status.chain.as_str(), status.tip.height), ("regtest", 0));
    assert_eq!(status.tip, status.header_tip);
    assert!(
        node.list_rpc_commands()
            .unwrap()
            .contains(&"stop".to_owned())
    );
    assert!(
        node.wallet_loader().unwrap().is_none(),
        "this node has no wallets"
    );

    let refused = init
        .make_wallet_loader(GlobalArgs::default(), Arc::new(NoopChain))
        .err();
    assert!(
        matches!(refused, Some(Error::Unsupported(_))),
        "{refused:?}"
    );
}

#[test]
fn in_this_process() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir);
    check(&*node.init());
}

#[cfg(feature = "ipc")]
#[test]
fn over_a_socket() {
    use mp_core::{Connection, Options};
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let server = Connection::serve(theirs, node.init(), Options::default()).unwrap();
    let (client, init) = Connection::connect::<dyn Init>(ours, Options::default()).unwrap();
    check(&*init);
    drop((init, client));
    assert!(server.closed().is_none(), "the client just left");
}

#[test]
fn objects_that_outlive_the_node_answer_without_harm() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir);
    let (chain, shutdown) = (node.chain(), node.shutdown().clone());
    node.stop();
    assert!(shutdown.is_requested());
    assert!(chain.shutdown_requested().unwrap());
    chain.wait_for_notifications().unwrap();
    // The directory is free again.
    self::node(&dir).stop();
}
