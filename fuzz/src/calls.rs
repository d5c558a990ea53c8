//! What a client of the RPC sends: JSON, and the HTTP around it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use btc_interfaces::rpc::json;
use btc_interfaces::rpc::table::{Arguments, Method};
use btc_node::rpc::auth::{Credentials, Whitelist};
use btc_node::rpc::jsonrpc::{Caller, handle};
use btc_node::rpc::registry::{Registration, Registry};
use btc_node::rpc::server::{Access, BoundServer, Server, ServerConfig};
use btc_node::rpc::{blockchain, control, fees, mempool, mining, network, rawtransaction, util};
use serde_json::{Value, json};

/// Every method of a node, with its own table, but with a handler that only looks at the arguments.
static METHODS: LazyLock<(Registry, Vec<Registration>)> = LazyLock::new(|| {
    let categories = [
        blockchain::methods(),
        fees::methods(),
        mempool::methods(),
        mining::methods(),
        network::methods(),
        rawtransaction::methods(),
        util::methods(),
    ];
    let tables = categories.into_iter().flatten().map(|entry| &entry.method);
    let registry = Registry::new();
    let registrations = tables
        .chain(control::methods())
        .map(|method: &'static Method| {
            let look = move |call: &btc_node::rpc::registry::RequestContext<'_>| {
                look(method, call.arguments);
                Ok(json!(call.arguments.given()))
            };
            registry.register(method, Arc::new(look))
        });
    let registrations = registrations.collect();
    registry.set_warmup_finished();
    (registry, registrations)
});

/// Reads every argument as everything that it might be.
fn look(method: &Method, arguments: &Arguments) {
    for index in 0..method.args.len() {
        let given = arguments.get(index);
        assert_eq!(arguments.opt(index).is_none(), given.is_null());
        let _ = arguments.string(index);
        let _ = arguments.int::<u32>(index);
        let _ = arguments.int::<i64>(index);
        let _ = arguments.real(index);
        let _ = arguments.verbosity(index, 0);
        if let Ok(amount) = arguments.amount(index) {
            assert!(amount <= bitcoin::Amount::MAX_MONEY);
        }
        let _ = arguments.hash::<bitcoin::Txid>(index);
        if let Ok(bytes) = arguments.hex(index) {
            assert_eq!(2 * bytes.len(), arguments.string(index).map_or(0, str::len));
        }
        if let Ok(Some(range)) = arguments.opt_range(index) {
            assert!(range.start() <= range.end());
        }
        let _ = arguments.array(index);
        if let Some(key) = arguments.repeated_key(index) {
            assert!(
                arguments
                    .object(index)
                    .is_ok_and(|object| object.contains_key(&key))
            );
        }
        let elements = arguments.array(index).map_or(0, <[Value]>::len);
        assert!(
            arguments
                .elements_with_repeated_key(index)
                .all(|element| element < elements)
        );
    }
}

/// A body: each request in it gets one reply, unless it wants none, in the form of its version.
pub fn jsonrpc_args(data: &[u8]) {
    let caller = Caller {
        uri: "/",
        user: "fuzz",
        peer: None,
    };
    let reply = handle(&METHODS.0, &Whitelist::default(), caller, data);
    assert!([200, 204, 400, 403, 404, 500].contains(&reply.status));
    let request = json::parse(data).map(|json| json.value);
    let Some(body) = reply.body else {
        assert_eq!(reply.status, 204);
        return;
    };
    let replies = json::value(body.trim_end()).expect("replies are JSON");
    match request {
        Ok(Value::Array(requests)) => {
            let silent = |request: &&Value| request.is_object() && request.get("id").is_none();
            let least = requests.len() - requests.iter().filter(silent).count();
            let replies = replies.as_array().expect("a batch gets an array");
            assert!((least..=requests.len()).contains(&replies.len()));
        }
        Ok(Value::Object(request)) => assert_eq!(replies.get("id"), request.get("id")),
        _ => assert_eq!(replies["error"]["code"], -32700),
    }
}

/// A server that knows `fuzz` with the password `fuzz`.
static SERVER: LazyLock<(Server, SocketAddr)> = LazyLock::new(|| {
    let mut credentials = Credentials::none();
    credentials.add_password("fuzz", "fuzz");
    let config = ServerConfig {
        bind: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        threads: 2,
        timeout: Duration::from_secs(5),
        ..ServerConfig::default()
    };
    let access = Access {
        credentials,
        whitelist: Whitelist::default(),
        cookie: None,
    };
    let server = BoundServer::bind(config)
        .and_then(|bound| bound.start(METHODS.0.clone(), access))
        .expect("this machine has ports and threads");
    let address = server.addresses()[0];
    (server, address)
});

/// All that a peer sends before it ends its side: what comes back are HTTP replies, and the connection ends.
pub fn http_request(data: &[u8]) {
    let mut stream = TcpStream::connect(SERVER.1).expect("the server lives");
    let wait =
        |stream: &TcpStream, time| stream.set_read_timeout(Some(time)).expect("times are set");
    // It may end the connection before it has all.
    let _ = stream.write_all(data);
    wait(&stream, Duration::from_millis(2));
    let mut replies = vec![0; 1 << 16];
    let first = stream.read(&mut replies).unwrap_or(0);
    replies.truncate(first);
    let _ = stream.shutdown(Shutdown::Write);
    wait(&stream, Duration::from_secs(20));
    if let Err(error) = stream.read_to_end(&mut replies) {
        let stuck = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!stuck, "the connection does not end");
    }
    assert!(replies.is_empty() || replies.starts_with(b"HTTP/1."));
}
