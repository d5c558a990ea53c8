//! Programs that talk to the node over a socket: one that listens at its door, one that started it.

use crate::harness::{TestNode, node_program, wait_for};
use btc_interfaces::Init;
use mp_core::{Connection, Options};
use serde_json::json;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

#[test]
fn a_program_connects_to_the_socket_of_ipcbind() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(
        dir.path(),
        &[
            "-disablewallet",
            "-ipcbind=unix",
            "-ipcbind=unix:sub/second.sock",
        ],
    );
    for name in ["node.sock", "sub/second.sock"] {
        let stream = UnixStream::connect(node.net_dir().join(name)).unwrap();
        let (connection, init) =
            Connection::connect::<dyn Init>(stream, Options::default()).unwrap();
        let mining = init.make_mining().unwrap();
        assert_eq!(mining.get_tip().unwrap().unwrap().height, 0);
        let reply = init
            .make_rpc()
            .unwrap()
            .execute_rpc(
                json!({"id": 1, "method": "getblockcount"}).to_string(),
                "/".to_owned(),
                "me".to_owned(),
            )
            .unwrap();
        assert_eq!(reply["result"], 0);
        drop((mining, init, connection));
    }

    // A client that stays does not keep the node from stopping.
    let stream = UnixStream::connect(node.net_dir().join("node.sock")).unwrap();
    let (connection, init) = Connection::connect::<dyn Init>(stream, Options::default()).unwrap();
    let chain = init.make_chain().unwrap();
    // The socket is for miners and for RPC.
    let refused = chain.height().unwrap_err().to_string();
    assert!(
        refused.contains("is not allowed on this connection"),
        "{refused}"
    );
    node.stop_cleanly();
    assert!(chain.height().unwrap_err().is_disconnected());
    assert!(connection.is_closed());
}

#[test]
fn an_address_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ended = crate::harness::run_to_end(dir.path(), &["-disablewallet", "-ipcbind=tcp:1"]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(
        ended.stderr,
        "Error: Unable to bind to IPC address 'tcp:1'. Unrecognized address 'tcp:1'\n"
    );
}

#[test]
fn a_program_that_started_the_node_has_its_objects_and_takes_it_along_when_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, stream) = mp_core::process::spawn(
        node_program(),
        [
            format!("-datadir={}", dir.path().display()),
            "-regtest".to_owned(),
            "-disablewallet".to_owned(),
            "-server=0".to_owned(),
            // Another node of this machine may hold the chain's own port.
            "-listen=0".to_owned(),
            "-printtoconsole=0".to_owned(),
        ],
    )
    .unwrap();
    let (connection, init) = Connection::connect::<dyn Init>(stream, Options::default()).unwrap();
    let node: Arc<dyn btc_interfaces::Node> = init.make_node().unwrap();
    let status = wait_for("the chain", || node.status().ok().flatten());
    assert_eq!((status.chain.as_str(), status.tip.height), ("regtest", 0));
    assert!(
        !dir.path().join("regtest/.cookie").exists(),
        "there is no port"
    );
    drop((node, init, connection));
    let status = child.wait_within(crate::harness::PATIENCE).unwrap();
    assert!(status.success(), "{status}");
}
