//! The wallets' process, seen from the node: found, missed, found again.
//!
//! The process here is a thread that serves a socket, so that a test can end it at will.

#![cfg(feature = "ipc")]
#![allow(clippy::unwrap_used, reason = "a failed assumption must fail the test")]

use btc_interfaces::noop::{NoopEcho, NoopInit, NoopWalletLoader};
use btc_interfaces::rpc::{RpcCommand, RpcHandler, RpcReply, RpcRequest};
use btc_interfaces::{
    Chain, ChainClient, CreateWallet, Echo, GlobalArgs, Handler, Init, Mining, Result, Rpc, Wallet,
    WalletListener, WalletLoader, WalletOutcome,
};
use btc_node::node::{Message, Node, Placement, StartError};
use mp_core::{Connection, Options};
use serde_json::{Value, json};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// One life of the wallets: their methods answer with their name and the number of the life.
struct Life {
    number: usize,
    sound: bool,
    chain: Arc<dyn Chain>,
    connection: Arc<OnceLock<Connection>>,
    handlers: Mutex<Vec<Arc<dyn Handler>>>,
}

impl ChainClient for Life {
    fn register_rpcs(&self) -> Result<()> {
        for name in ["getbalance", "loadwallet", "diemeanwhile"] {
            let command = RpcCommand {
                category: "wallet".to_owned(),
                name: name.to_owned(),
                arguments: Vec::new(),
                help: name.to_owned(),
                openrpc: json!({}),
                conversions: json!([]),
            };
            let answer = Arc::new(Answer {
                number: self.number,
                connection: self.connection.clone(),
            });
            let handler = self.chain.handle_rpc(command, answer)?;
            self.handlers.lock().unwrap().push(handler);
        }
        Ok(())
    }
    fn verify(&self) -> Result<bool> {
        if !self.sound {
            self.chain
                .init_error("the wallet's file is broken".to_owned())?;
        }
        Ok(self.sound)
    }
    fn load(&self) -> Result<bool> {
        Ok(true)
    }
    fn start(&self) -> Result<()> {
        Ok(())
    }
    fn stop(&self) -> Result<()> {
        self.handlers.lock().unwrap().clear();
        Ok(())
    }
    fn set_mock_time(&self, _time: i64) -> Result<()> {
        Ok(())
    }
    fn scheduler_mock_forward(&self, _seconds: i64) -> Result<()> {
        Ok(())
    }
}

struct Answer {
    number: usize,
    connection: Arc<OnceLock<Connection>>,
}

impl RpcHandler for Answer {
    fn call(&self, request: RpcRequest) -> Result<RpcReply> {
        if request.method == "diemeanwhile" {
            self.connection.wait().close();
        }
        Ok(Ok(json!([request.method, self.number])).into())
    }
}

struct FakeInit {
    number: usize,
    sound: bool,
    connection: Arc<OnceLock<Connection>>,
}

impl Init for FakeInit {
    fn make_echo(&self) -> Result<Arc<dyn Echo>> {
        Ok(Arc::new(NoopEcho))
    }
    fn make_mining_old2(&self) -> Result<()> {
        NoopInit.make_mining_old2()
    }
    fn make_mining(&self) -> Result<Arc<dyn Mining>> {
        NoopInit.make_mining()
    }
    fn make_rpc(&self) -> Result<Arc<dyn Rpc>> {
        NoopInit.make_rpc()
    }
    fn make_chain(&self) -> Result<Arc<dyn Chain>> {
        NoopInit.make_chain()
    }
    fn make_node(&self) -> Result<Arc<dyn btc_interfaces::Node>> {
        NoopInit.make_node()
    }
    fn make_wallet_loader(
        &self,
        global_args: GlobalArgs,
        chain: Arc<dyn Chain>,
    ) -> Result<Arc<dyn WalletLoader>> {
        assert_eq!(global_args.chain, "regtest");
        assert!(Path::new(&global_args.net_data_dir).is_absolute());
        Ok(Arc::new(FakeLoader(Arc::new(Life {
            number: self.number,
            sound: self.sound,
            chain,
            connection: self.connection.clone(),
            handlers: Mutex::default(),
        }))))
    }
}

struct FakeLoader(Arc<Life>);

impl WalletLoader for FakeLoader {
    fn chain_client(&self) -> Result<Arc<dyn ChainClient>> {
        Ok(self.0.clone())
    }
    fn create_wallet(&self, options: CreateWallet) -> Result<WalletOutcome> {
        NoopWalletLoader.create_wallet(options)
    }
    fn load_wallet(&self, name: String, load_on_startup: Option<bool>) -> Result<WalletOutcome> {
        NoopWalletLoader.load_wallet(name, load_on_startup)
    }
    fn wallet_dir(&self) -> Result<String> {
        NoopWalletLoader.wallet_dir()
    }
    fn list_wallet_dir(&self) -> Result<Vec<String>> {
        NoopWalletLoader.list_wallet_dir()
    }
    fn wallets(&self) -> Result<Vec<Arc<dyn Wallet>>> {
        NoopWalletLoader.wallets()
    }
    fn handle_load_wallet(&self, listener: Arc<dyn WalletListener>) -> Result<Arc<dyn Handler>> {
        NoopWalletLoader.handle_load_wallet(listener)
    }
}

/// Serves wallets on a socket, one life for each connection, and hands the connections out.
fn serve_wallets(dir: &Path, sound: bool) -> (PathBuf, Receiver<Connection>) {
    let path = dir.join("wallet.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (send, connections) = channel();
    std::thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let connection = Arc::new(OnceLock::new());
            let init: Arc<dyn Init> = Arc::new(FakeInit {
                number: index + 1,
                sound,
                connection: connection.clone(),
            });
            let served = Connection::serve(stream.unwrap(), init, Options::default()).unwrap();
            connection.set(served.clone()).unwrap();
            if send.send(served).is_err() {
                return;
            }
        }
    });
    (path, connections)
}

fn start(dir: &Path, socket: PathBuf) -> Result<Node, StartError> {
    Node::builder()
        .data_dir(dir)
        .option("chain", "regtest")
        .option("connect", "0")
        .wallet(Placement::Connect(socket))
        .start()
}

fn call(node: &Node, method: &str) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method});
    node.rpc()
        .execute_rpc(request.to_string(), "/".to_owned(), String::new())
        .unwrap()
}

#[test]
fn a_lost_process_is_said_to_be_lost_and_found_again_on_demand() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, connections) = serve_wallets(dir.path(), true);
    let node = start(dir.path(), socket).unwrap();
    let first = connections.recv().unwrap();
    assert_eq!(
        call(&node, "getbalance")["result"],
        json!(["getbalance", 1])
    );
    assert!(node.wallet_loader().is_some());

    first.close();
    // A call that is sent before the node hears of the end is answered by the other text.
    let deadline = Instant::now() + Duration::from_secs(60);
    while node.wallet_loader().is_some() {
        assert!(Instant::now() < deadline, "the node does not notice");
        std::thread::yield_now();
    }
    let error = call(&node, "getbalance")["error"].clone();
    assert_eq!(error["code"], -4);
    assert_eq!(
        error["message"],
        "The wallet process has stopped; loadwallet starts it again"
    );
    assert!(
        call(&node, "uptime")["result"].is_number(),
        "the node goes on"
    );

    assert_eq!(
        call(&node, "loadwallet")["result"],
        json!(["loadwallet", 2])
    );
    assert_eq!(
        call(&node, "getbalance")["result"],
        json!(["getbalance", 2])
    );
    node.stop();
}

#[test]
fn a_call_during_which_the_process_dies_says_that_it_may_have_taken_effect() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, _connections) = serve_wallets(dir.path(), true);
    let node = start(dir.path(), socket).unwrap();
    let error = call(&node, "diemeanwhile")["error"].clone();
    assert_eq!(error["code"], -4);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("may have taken effect"),
        "{error}"
    );
    node.stop();
}

#[test]
fn what_the_wallets_refuse_is_why_the_node_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, connections) = serve_wallets(dir.path(), false);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let error = Node::builder()
        .data_dir(dir.path())
        .option("chain", "regtest")
        .wallet(Placement::Connect(socket))
        .on_message({
            let heard = heard.clone();
            move |message| {
                if let Message::Error(text) = message {
                    heard.lock().unwrap().push(text.clone());
                }
            }
        })
        .start()
        .err()
        .expect("the wallets refuse");
    assert!(error.is_told());
    assert_eq!(error.to_string(), "the wallet's file is broken");
    assert_eq!(*heard.lock().unwrap(), ["the wallet's file is broken"]);
    let ended = connections.recv().unwrap().closed();
    assert!(ended.is_none(), "the node let go of them");
}

#[test]
fn wallets_that_are_not_there_are_why_the_node_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let error = start(dir.path(), dir.path().join("nobody.sock"))
        .err()
        .expect("nobody listens");
    assert!(error.to_string().contains("cannot connect to"), "{error}");
}
