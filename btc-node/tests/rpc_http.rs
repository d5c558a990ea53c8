//! The HTTP port as clients meet it: raw bytes in, raw bytes out.

use base64::Engine as _;
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcCommand, RpcError, RpcHandler, RpcReply, RpcRequest};
use btc_node::rpc::auth::{CookieFile, CookiePerms, Credentials, Whitelist};
use btc_node::rpc::control::{self, ControlHooks};
use btc_node::rpc::registry::{Registration, Registry};
use btc_node::rpc::server::{Access, BoundServer, MAX_BODY_SIZE, Server, ServerConfig};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the methods of the tests do to their surroundings.
#[derive(Default)]
struct Hooks {
    shutdown: AtomicBool,
    time: Mutex<Vec<i64>>,
    net: AtomicBool,
}

impl ControlHooks for Hooks {
    fn client_name(&self) -> String {
        "Test Node".to_owned()
    }
    fn request_shutdown(&self) {
        self.shutdown.store(true, Ordering::SeqCst);
    }
    fn log_path(&self) -> String {
        "/x/debug.log".to_owned()
    }
    fn is_mockable_chain(&self) -> bool {
        true
    }
    fn set_mock_time(&self, time: i64) -> Result<(), RpcError> {
        self.time.lock().expect("no panic").push(time);
        Ok(())
    }
    fn mock_scheduler(&self, seconds: i64) -> Result<(), RpcError> {
        self.set_mock_time(-seconds)
    }
    fn log_categories(&self) -> Vec<(String, bool)> {
        vec![("net".to_owned(), self.net.load(Ordering::SeqCst))]
    }
    fn set_log_category(&self, category: &str, enabled: bool) -> bool {
        self.net.store(enabled, Ordering::SeqCst);
        ["all", "1", "net"].contains(&category)
    }
}

const WAIT: Method = Method {
    name: "waitfornewblock",
    category: "blockchain",
    summary: "Waits until it is let go or the server stops.",
    args: &[],
    results: &[],
    examples: &[],
};

const HASH: Method = Method {
    name: "getblockhash",
    category: "blockchain",
    summary: "A block's hash.",
    args: &[Arg::required("height", Kind::Number, "Its height")],
    results: &[],
    examples: &[],
};

struct Fixture {
    server: Server,
    registry: Registry,
    hooks: Arc<Hooks>,
    /// Says that a call of `waitfornewblock` runs.
    waiting: Receiver<()>,
    /// Lets one such call go.
    go: Sender<()>,
    _registrations: Vec<Registration>,
    dir: tempfile::TempDir,
}

fn serve() -> Fixture {
    serve_with(ServerConfig::default(), Whitelist::default())
}

fn serve_with(config: ServerConfig, whitelist: Whitelist) -> Fixture {
    let dir = tempfile::tempdir().expect("a directory");
    let cookie =
        CookieFile::create(&dir.path().join(".cookie"), CookiePerms::Owner).expect("written");
    let mut credentials = Credentials::none();
    credentials.add_password("alice", "secret");
    credentials.add_password("bob", "secret");
    let registry = Registry::new();
    let hooks = Arc::new(Hooks::default());
    let as_hooks: Arc<dyn ControlHooks> = hooks.clone();
    let mut registrations = control::register(&registry, &as_hooks, Instant::now());
    let (waits, waiting) = channel();
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    registrations.push(registry.register(
        &WAIT,
        Arc::new(move |call| {
            waits.send(()).expect("the test lives");
            let gone = gone.lock().expect("no panic");
            while gone.recv_timeout(Duration::from_millis(10)).is_err() {
                if call.interrupt.is_raised() {
                    return Ok(json!("interrupted"));
                }
            }
            Ok(json!("let go"))
        }),
    ));
    registrations.push(registry.register(
        &HASH,
        Arc::new(|call| match call.arguments.int::<u32>(0)? {
            0 => Ok(json!("00ab")),
            _ => Err(RpcError::new(-8, "Block height out of range")),
        }),
    ));
    registry.set_warmup_finished();
    let config = ServerConfig {
        bind: vec!["127.0.0.1:0".parse().expect("an address")],
        ..config
    };
    let access = Access {
        credentials,
        whitelist,
        cookie: Some(cookie),
    };
    let server = BoundServer::bind(config)
        .expect("binds")
        .start(registry.clone(), access)
        .expect("starts");
    Fixture {
        server,
        registry,
        hooks,
        waiting,
        go,
        _registrations: registrations,
        dir,
    }
}

/// One connection.
struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
struct Answer {
    line: String,
    headers: Vec<String>,
    body: String,
}

impl Answer {
    fn status(&self) -> u16 {
        self.line[9..12].parse().expect("a status")
    }
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Fixture {
    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.server.addresses()[0]).expect("connects");
        stream
            .set_read_timeout(Some(Duration::from_secs(120)))
            .expect("a timeout");
        Client {
            stream: BufReader::new(stream),
        }
    }
    fn post(&self, body: &str) -> Answer {
        self.connect().post(body)
    }
    fn call(&self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.post(&request.to_string());
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer.json()
    }
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("sent");
    }
    fn post(&mut self, body: &str) -> Answer {
        self.post_as("alice:secret", "/", body)
    }
    fn post_as(&mut self, user: &str, path: &str, body: &str) -> Answer {
        self.send_post(user, path, body);
        self.answer().expect("an answer")
    }
    fn send_post(&mut self, user: &str, path: &str, body: &str) {
        let user = base64::engine::general_purpose::STANDARD.encode(user);
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {user}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.send(request.as_bytes());
    }
    /// The next answer; `None` if the server closed.
    fn answer(&mut self) -> Option<Answer> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match self.stream.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => lines.push(line.trim_end().to_owned()),
            }
        }
        let mut answer = Answer {
            line: lines.remove(0),
            headers: lines,
            body: String::new(),
        };
        let length = answer
            .header("content-length")
            .map_or(0, |n| n.parse().expect("a length"));
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the body");
        answer.body = String::from_utf8(body).expect("text");
        Some(answer)
    }
    fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([]) | Err(_))
    }
}

#[test]
fn versions_have_their_shapes_and_statuses() {
    let fixture = serve();
    let mut client = fixture.connect();
    let cases = [
        (
            r#"{"id":0,"method":"getblockhash","params":[0]}"#,
            200,
            r#"{"result":"00ab","error":null,"id":0}"#,
        ),
        (
            r#"{"method":"getblockhash","params":[0]}"#,
            200,
            r#"{"result":"00ab","error":null}"#,
        ),
        (
            r#"{"jsonrpc":"1.0","id":"a","method":"getblockhash","params":[0]}"#,
            200,
            r#"{"result":"00ab","error":null,"id":"a"}"#,
        ),
        (
            r#"{"id":0,"method":"nope"}"#,
            404,
            r#"{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":0}"#,
        ),
        (
            r#"{"id":0,"method":"getblockhash","params":[42]}"#,
            500,
            r#"{"result":null,"error":{"code":-8,"message":"Block height out of range"},"id":0}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":0,"method":"getblockhash","params":[0]}"#,
            200,
            r#"{"jsonrpc":"2.0","result":"00ab","id":0}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"getblockhash","params":[0]}"#,
            200,
            r#"{"jsonrpc":"2.0","result":"00ab","id":null}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":0,"method":"nope"}"#,
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":0}"#,
        ),
        (
            r#"{"jsonrpc":2,"method":"x"}"#,
            400,
            r#"{"result":null,"error":{"code":-32600,"message":"jsonrpc field must be a string"}}"#,
        ),
        (
            r#"{"jsonrpc":"3.0","method":"x"}"#,
            400,
            r#"{"result":null,"error":{"code":-32600,"message":"JSON-RPC version not supported"}}"#,
        ),
        (
            r#"{"id":1}"#,
            400,
            r#"{"result":null,"error":{"code":-32600,"message":"Missing method"},"id":1}"#,
        ),
        (
            r#"{"id":1,"method":5}"#,
            400,
            r#"{"result":null,"error":{"code":-32600,"message":"Method must be a string"},"id":1}"#,
        ),
        (
            r#"{"id":1,"method":"x","params":5}"#,
            400,
            r#"{"result":null,"error":{"code":-32600,"message":"Params must be an array or object"},"id":1}"#,
        ),
        (
            "",
            500,
            r#"{"result":null,"error":{"code":-32700,"message":"Parse error"},"id":null}"#,
        ),
        (
            "this is bad",
            500,
            r#"{"result":null,"error":{"code":-32700,"message":"Parse error"},"id":null}"#,
        ),
        (
            "5",
            500,
            r#"{"result":null,"error":{"code":-32700,"message":"Top-level object parse error"},"id":null}"#,
        ),
    ];
    for (request, status, reply) in cases {
        let answer = client.post(request);
        assert_eq!(answer.status(), status, "{request}");
        assert_eq!(answer.body, format!("{reply}\n"), "{request}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    for request in [
        r#"{"jsonrpc":"2.0","method":"getblockhash","params":[0]}"#,
        r#"{"jsonrpc":"2.0","method":"nope"}"#,
    ] {
        let answer = client.post(request);
        assert_eq!((answer.status(), answer.body.as_str()), (204, ""));
    }
}

#[test]
fn batches_answer_each_request() {
    let fixture = serve();
    let answer = fixture.post(
        r#"[{"id":1,"method":"getblockhash","params":[0]},{"jsonrpc":"2.0","id":2,"method":"nope"},
            {"jsonrpc":"2.0","method":"getblockhash","params":[0]},{"id":4,"pizza":1},7]"#,
    );
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.json(),
        json!([
            {"result": "00ab", "error": null, "id": 1},
            {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": 2},
            {"result": null, "error": {"code": -32600, "message": "Missing method"}, "id": 4},
            {"result": null, "error": {"code": -32600, "message": "Invalid Request object"}, "id": null},
        ])
    );
    assert_eq!(fixture.post("[]").body, "[]\n");
    assert_eq!(
        fixture
            .post(r#"[{"jsonrpc":"2.0","method":"uptime"}]"#)
            .status(),
        204
    );
}

#[test]
fn arguments_are_checked_before_the_method_runs() {
    let fixture = serve();
    let error = |method: &str, params: Value| fixture.call(method, params)["error"].clone();
    assert_eq!(
        error("getblockhash", json!({"nope": 1})),
        json!({"code": -8, "message": "Unknown named parameter nope"})
    );
    let repeated =
        r#"{"jsonrpc":"2.0","id":1,"method":"getblockhash","params":{"height":0,"height":0}}"#;
    let text = "Parameter height specified multiple times";
    assert_eq!(
        fixture.post(repeated).json()["error"]["message"],
        json!(text)
    );
    let batch = format!("[{repeated}]");
    assert_eq!(
        fixture.post(&batch).json()[0]["error"]["message"],
        json!(text)
    );
    assert_eq!(error("getblockhash", json!(["x"]))["code"], json!(-3));
    assert_eq!(error("getblockhash", json!([]))["code"], json!(-1));
    // Deep nesting is refused, not followed.
    let deep = format!(
        r#"{{"method":"echo","params":[{}{}]}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(fixture.post(&deep).json()["error"]["code"], json!(-32700));
    // The request and its parameters are two levels.
    for (inner, taken) in [(510, true), (511, false)] {
        let value = "[".repeat(inner) + &"]".repeat(inner);
        let answer = fixture.post(&format!(r#"{{"method":"echo","params":[{value}]}}"#));
        if taken {
            let expected = format!(r#"{{"result":[{value}],"error":null}}"#);
            assert_eq!(answer.body.trim_end(), expected);
        } else {
            assert_eq!(answer.json()["error"]["code"], json!(-32700));
        }
    }
    // Of equal fields the first counts.
    let answer =
        fixture.post(r#"{"id":1,"method":"echo","id":2,"params":[{"a":1,"a":2}],"method":"stop"}"#);
    assert_eq!(
        answer.body,
        "{\"result\":[{\"a\":1}],\"error\":null,\"id\":1}\n"
    );
}

#[test]
fn only_the_right_password_opens() {
    let fixture = serve();
    let mut client = fixture.connect();
    for wrong in ["alice:wrong", "eve:secret", "alice", ""] {
        let since = Instant::now();
        let answer = client.post_as(wrong, "/", r#"{"method":"uptime"}"#);
        assert_eq!(answer.status(), 401, "{wrong}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Basic realm=\"jsonrpc\"")
        );
        assert_eq!(answer.body, "");
        assert!(since.elapsed() >= Duration::from_millis(250));
    }
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(client.answer().expect("an answer").status(), 401);
    // The connection stays usable.
    assert_eq!(client.post(r#"{"method":"uptime"}"#).status(), 200);
}

#[test]
fn whitelists_hold_for_calls_and_batches() {
    let whitelist = Whitelist::new(["alice:uptime,echo"], None);
    let fixture = serve_with(ServerConfig::default(), whitelist);
    assert_eq!(fixture.post(r#"{"method":"uptime"}"#).status(), 200);
    assert_eq!(fixture.post(r#"{"method":"stop"}"#).status(), 403);
    assert_eq!(
        fixture
            .post(r#"[{"method":"uptime"},{"method":"stop"}]"#)
            .status(),
        403
    );
    let answer = fixture
        .connect()
        .post_as("bob:secret", "/", r#"{"method":"uptime"}"#);
    assert_eq!(answer.status(), 403);
    assert!(!fixture.hooks.shutdown.load(Ordering::SeqCst));
}

#[test]
fn paths_and_methods() {
    let fixture = serve();
    let mut client = fixture.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.answer().expect("an answer");
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.body, "JSONRPC server handles only POST requests");
    client.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.answer().expect("an answer").status(), 404);
    client.send(b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.answer().expect("an answer").status(), 405);
    let answer = client.post_as("alice:secret", "/wallet/a%20b", r#"{"method":"uptime"}"#);
    assert_eq!(answer.status(), 200);
    assert_eq!(client.post_as("alice:secret", "/other", "{}").status(), 404);
}

#[test]
fn garbage_is_answered_and_ends_the_connection() {
    let fixture = serve();
    for garbage in [
        "POST / HTTP/9.9\r\nHost: x\r\n\r\n",
        "POST /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost : x\r\n\r\n",
        "\u{16}\u{3}\u{1} hello\r\n\r\n",
    ] {
        let mut client = fixture.connect();
        client.send(garbage.as_bytes());
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status(), 400, "{garbage:?}");
        assert!(client.is_closed(), "{garbage:?}");
    }
    let mut client = fixture.connect();
    client.send(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(9000)).as_bytes());
    assert_eq!(client.answer().expect("an answer").status(), 400);
    let mut client = fixture.connect();
    client.send(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(7000)).as_bytes());
    assert_eq!(client.answer().expect("an answer").status(), 404);
}

#[test]
fn bodies_are_bounded_declared_or_chunked() {
    let fixture = serve();
    let mut client = fixture.connect();
    let length = MAX_BODY_SIZE + 1;
    client
        .send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").as_bytes());
    let answer = client.answer().expect("an answer");
    assert_eq!(answer.line, "HTTP/1.1 413 Content too large");

    let mut client = fixture.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = vec![b'x'; 1024 * 1024];
    let mut sender = client.stream.get_ref().try_clone().expect("a clone");
    let sending = std::thread::spawn(move || {
        for _ in 0..40 {
            let sent = write!(sender, "{:x}\r\n", chunk.len())
                .and_then(|()| sender.write_all(&chunk))
                .and_then(|()| sender.write_all(b"\r\n"));
            if sent.is_err() {
                return;
            }
        }
    });
    let answer = client.answer().expect("an answer");
    assert_eq!(answer.line, "HTTP/1.1 413 Content too large");
    let _ = client.stream.get_ref().shutdown(Shutdown::Both);
    sending.join().expect("the sender ends");

    let mut client = fixture.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\nTransfer-Encoding: chunked\r\n\r\n");
    client
        .send(b"9\r\n{\"method\"\r\n9\r\n:\"echo\",\"\r\na\r\nparams\":[]\r\n1\r\n}\r\n0\r\n\r\n");
    assert_eq!(
        client.answer().expect("an answer").json()["result"],
        json!([])
    );
}

#[test]
fn slow_and_idle_peers_are_let_go() {
    let config = ServerConfig {
        timeout: Duration::from_secs(3),
        ..ServerConfig::default()
    };
    let fixture = serve_with(config, Whitelist::default());
    let mut half_head = fixture.connect();
    half_head.send(b"GET / HTTP/1.1\r\nHost: x\r\n");
    let mut half_body = fixture.connect();
    half_body.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{");
    let mut idle = fixture.connect();
    assert_eq!(idle.post(r#"{"method":"uptime"}"#).status(), 200);
    assert!(
        half_head
            .answer()
            .is_none_or(|answer| answer.status() == 408)
    );
    assert!(
        half_body
            .answer()
            .is_none_or(|answer| answer.status() == 408)
    );
    assert!(idle.is_closed());
}

#[test]
fn a_long_call_is_not_idle() {
    let config = ServerConfig {
        timeout: Duration::from_secs(3),
        ..ServerConfig::default()
    };
    let fixture = serve_with(config, Whitelist::default());
    let mut client = fixture.connect();
    client.send_post("alice:secret", "/", r#"{"method":"waitfornewblock"}"#);
    fixture.waiting.recv().expect("it runs");
    // Longer than the timeout, measured by another connection's death of it.
    assert!(fixture.connect().is_closed());
    fixture.go.send(()).expect("it waits");
    assert_eq!(
        client.answer().expect("an answer").json()["result"],
        json!("let go")
    );
}

#[test]
fn the_work_queue_is_bounded() {
    let config = ServerConfig {
        threads: 1,
        work_queue: 1,
        ..ServerConfig::default()
    };
    let fixture = serve_with(config, Whitelist::default());
    let wait = r#"{"method":"waitfornewblock"}"#;
    let mut first = fixture.connect();
    first.send_post("alice:secret", "/", wait);
    fixture.waiting.recv().expect("the first runs");
    let mut others: Vec<Client> = (0..2).map(|_| fixture.connect()).collect();
    for client in &mut others {
        client.send_post("alice:secret", "/", wait);
    }
    // One of the two waits for the thread; the other is refused at once.
    let (refused, answers) = channel();
    for mut client in others {
        let refused = refused.clone();
        std::thread::spawn(move || refused.send(client.answer()));
    }
    let answer = answers.recv().expect("one answer").expect("an answer");
    assert_eq!(
        (answer.status(), answer.body.as_str()),
        (503, "Work queue depth exceeded")
    );
    fixture.go.send(()).expect("it waits");
    assert_eq!(first.answer().expect("an answer").status(), 200);
    fixture.go.send(()).expect("it waits");
    assert_eq!(
        answers
            .recv()
            .expect("another")
            .expect("an answer")
            .status(),
        200
    );
}

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let fixture = serve();
    let mut client = fixture.connect();
    client.send_post(
        "alice:secret",
        "/",
        r#"{"id":1,"method":"waitfornewblock"}"#,
    );
    client.send_post("alice:secret", "/", r#"{"id":2,"method":"uptime"}"#);
    fixture.waiting.recv().expect("the first runs");
    fixture.go.send(()).expect("it waits");
    assert_eq!(client.answer().expect("an answer").json()["id"], json!(1));
    assert_eq!(client.answer().expect("an answer").json()["id"], json!(2));
}

#[test]
fn connections_are_bounded_and_the_server_survives() {
    let fixture = serve();
    let mut clients: Vec<Client> = (0..700).map(|_| fixture.connect()).collect();
    // The last ones are beyond the bound and are closed without an answer.
    assert!(clients.pop().expect("one").is_closed());
    assert_eq!(clients[0].post(r#"{"method":"uptime"}"#).status(), 200);
    drop(clients);
    // Room comes back as the server notices that they are gone.
    let answered = (0..1000).any(|_| {
        let mut client = fixture.connect();
        client.send_post("alice:secret", "/", r#"{"method":"uptime"}"#);
        client.answer().is_some()
    });
    assert!(answered);
}

#[test]
fn warm_up_answers_with_what_the_node_is_at() {
    let registry = Registry::new();
    let call = |registry: &Registry| {
        registry.execute(RpcRequest {
            method: "nope".to_owned(),
            params: json!([]),
            uri: "/".to_owned(),
            auth_user: String::new(),
            repeated: Vec::new(),
        })
    };
    let code_and_text = |reply: RpcReply| {
        let error = reply.error.expect("an error");
        (error.code, error.message)
    };
    registry.set_warmup_status("Verifying blocks…");
    assert_eq!(
        code_and_text(call(&registry)),
        (-28, "Verifying blocks…".to_owned())
    );
    registry.set_warmup_finished();
    assert_eq!(
        code_and_text(call(&registry)),
        (-32601, "Method not found".to_owned())
    );
}

/// A method of another process.
struct Remote(btc_interfaces::Result<RpcReply>);

impl RpcHandler for Remote {
    fn call(&self, _: RpcRequest) -> btc_interfaces::Result<RpcReply> {
        self.0.clone()
    }
}

#[test]
fn the_last_registration_answers_until_it_goes() {
    let fixture = serve();
    let command = RpcCommand::from(&HASH);
    let other = Arc::new(Remote(Ok(RpcReply::from(Ok(json!("other"))))));
    let registration = fixture.registry.register_remote(command.clone(), other);
    assert_eq!(
        fixture.call("getblockhash", json!([9]))["result"],
        json!("other")
    );
    let gone = Arc::new(Remote(Err(btc_interfaces::Error::Disconnected {
        during: false,
    })));
    let gone = fixture.registry.register_remote(command, gone);
    assert_eq!(
        fixture.call("getblockhash", json!([9]))["error"],
        json!({"code": -4, "message": "The wallet process is not running; loadwallet starts it again"})
    );
    drop(registration);
    drop(gone);
    assert_eq!(
        fixture.call("getblockhash", json!([0]))["result"],
        json!("00ab")
    );
}

#[test]
fn methods_are_described() {
    let fixture = serve();
    let result = |method: &str, params: Value| fixture.call(method, params)["result"].clone();
    let document = result("getopenrpcinfo", json!([]));
    assert_eq!(document, result("rpc.discover", json!([])));
    assert_eq!(document["openrpc"], "1.4.1");
    let find = |document: &Value, name: &str| {
        let methods = document["methods"].as_array().expect("methods").clone();
        methods.into_iter().find(|method| method["name"] == name)
    };
    assert!(find(&document, "getblockhash").is_some());
    assert_eq!(find(&document, "echo"), None);
    let stop = |document: &Value| find(document, "stop").expect("stop")["params"].clone();
    assert_eq!(stop(&document), json!([]));
    let all = result("getopenrpcinfo", json!([true]));
    assert!(find(&all, "echo").is_some());
    assert_eq!(stop(&all)[0]["name"], "wait");

    // What another process tells of its method is shown as it came.
    let command = RpcCommand {
        name: "away".to_owned(),
        openrpc: json!({"name": "away", "params": []}),
        conversions: json!([["away", 0, "x", true]]),
        ..RpcCommand::from(&HASH)
    };
    let answer = Arc::new(Remote(Ok(RpcReply::from(Ok(Value::Null)))));
    let _away = fixture.registry.register_remote(command, answer);
    let told = result("rpc.discover", json!([]));
    assert_eq!(
        find(&told, "away"),
        Some(json!({"name": "away", "params": []}))
    );
    let conversions = result("help", json!(["dump_all_command_conversions"]));
    let rows = conversions.as_array().expect("rows");
    assert!(rows.contains(&json!(["away", 0, "x", true])));
    assert!(rows.contains(&json!(["logging", 0, "include", false])));
}

#[test]
fn results_are_held_against_the_tables_if_asked() {
    let fixture = serve();
    // The table of this one tells of no result.
    assert_eq!(
        fixture.call("getblockhash", json!([0]))["result"],
        json!("00ab")
    );
    fixture.registry.set_check_results(true);
    let error = fixture.call("getblockhash", json!([0]))["error"].clone();
    assert_eq!(error["code"], -1);
    let text = error["message"].as_str().expect("text");
    let expected = "Internal bug detected: RPC call \"getblockhash\" returned incorrect type:\n\
                    no possible results defined\n";
    assert!(text.starts_with(expected), "{text}");
    for (method, params) in [
        ("uptime", json!([])),
        ("getrpcinfo", json!([])),
        ("help", json!([])),
        ("help", json!(["dump_all_command_conversions"])),
        ("getopenrpcinfo", json!([true])),
        ("logging", json!([])),
        ("getmemoryinfo", json!([])),
        ("echo", json!([1, null])),
    ] {
        assert_eq!(
            fixture.call(method, params)["error"],
            Value::Null,
            "{method}"
        );
    }
}

#[test]
fn control_methods() {
    let fixture = serve();
    let result = |method: &str, params: Value| fixture.call(method, params)["result"].clone();
    let help = result("help", json!([]));
    let help = help.as_str().expect("text");
    assert!(
        help.starts_with(
            "== Blockchain ==\ngetblockhash height\nwaitfornewblock\n\n== Control ==\n"
        ),
        "{help}"
    );
    assert!(
        help.contains("\nlogging ( [\"include_category\",...] [\"exclude_category\",...] )\n"),
        "{help}"
    );
    assert!(!help.contains("echo"), "{help}");
    assert_eq!(
        result("help", json!(["nope"])),
        json!("help: unknown command: nope")
    );
    assert!(
        result("help", json!({"command": "stop"}))
            .as_str()
            .expect("text")
            .starts_with("stop\n")
    );
    assert!(result("uptime", json!([])).is_u64());
    let info = result("getrpcinfo", json!([]));
    assert_eq!(info["active_commands"][0]["method"], json!("getrpcinfo"));
    assert_eq!(info["logpath"], json!("/x/debug.log"));
    assert_eq!(result("logging", json!([["net"]])), json!({"net": true}));
    assert_eq!(
        result("logging", json!([["net"], ["net"]])),
        json!({"net": false})
    );
    assert_eq!(
        fixture.call("logging", json!([["nope"]]))["error"],
        json!({"code": -8, "message": "unknown logging category nope"})
    );
    assert_eq!(result("echo", json!([1, null, "x"])), json!([1, null, "x"]));
    assert_eq!(result("setmocktime", json!([7])), json!(null));
    assert_eq!(
        fixture.call("setmocktime", json!([-1]))["error"]["message"],
        json!("Mocktime must be in the range [0, 4294967295], not -1.")
    );
    assert_eq!(result("mockscheduler", json!([5])), json!(null));
    assert_eq!(*fixture.hooks.time.lock().expect("no panic"), [7, -5]);
    assert_eq!(
        fixture.call("mockscheduler", json!([0]))["error"],
        json!({"code": -1, "message": "delta_time must be between 1 and 3600 seconds (1 hr)"})
    );
    assert_eq!(
        result("stop", json!({"wait": 0})),
        json!("Test Node stopping")
    );
    assert!(fixture.hooks.shutdown.load(Ordering::SeqCst));
}

#[test]
fn stopping_answers_what_runs_and_deletes_the_cookie() {
    let fixture = serve();
    let cookie = fixture.dir.path().join(".cookie");
    assert!(cookie.exists());
    let mut idle = fixture.connect();
    assert_eq!(idle.post(r#"{"method":"uptime"}"#).status(), 200);
    let mut half = fixture.connect();
    half.send(b"POST / HTTP/1.1\r\n");
    let mut client = fixture.connect();
    client.send_post("alice:secret", "/", r#"{"method":"waitfornewblock"}"#);
    fixture.waiting.recv().expect("it runs");
    let since = Instant::now();
    fixture.server.stop();
    // Without waiting for what idle connections are given.
    assert!(since.elapsed() < Duration::from_secs(25));
    assert_eq!(
        client.answer().expect("an answer").json()["result"],
        json!("interrupted")
    );
    assert!(idle.is_closed());
    assert!(!cookie.exists());
    assert!(TcpStream::connect(fixture.server.addresses()[0]).is_err());
    fixture.server.stop();
}

#[test]
fn a_taken_port_is_an_error_unless_another_can_be_bound() {
    let fixture = serve();
    let taken = fixture.server.addresses()[0];
    let config = |bind| ServerConfig {
        bind,
        ..ServerConfig::default()
    };
    let error = BoundServer::bind(config(vec![taken])).err().expect("taken");
    assert_eq!(
        error.to_string(),
        "Unable to bind any endpoint for RPC server"
    );
    let free = "127.0.0.1:0".parse().expect("an address");
    assert!(BoundServer::bind(config(vec![taken, free])).is_ok());
}
