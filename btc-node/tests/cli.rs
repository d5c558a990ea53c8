//! `bitcoin-cli` against a server in this process.

use btc_interfaces::rpc::RpcError;
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_node::cli;
use btc_node::rpc::auth::{CookieFile, CookiePerms, Credentials};
use btc_node::rpc::registry::{Registration, Registry, RequestContext};
use btc_node::rpc::server::{Access, BoundServer, Server, ServerConfig};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::sync::Arc;
use tempfile::TempDir;

const fn method(name: &'static str, args: &'static [Arg]) -> Method {
    Method {
        name,
        category: "test",
        summary: "For tests.",
        args,
        results: &[],
        examples: &[],
    }
}

const ECHO_ARGS: &[Arg] = &[
    Arg::optional("arg0", Kind::String, "").unchecked(),
    Arg::optional("arg1", Kind::String, "").unchecked(),
    Arg::optional("arg2", Kind::String, "").unchecked(),
];
static ECHO: Method = method("echo", ECHO_ARGS);
static ECHO_JSON: Method = method("echojson", ECHO_ARGS);
static FAIL: Method = method(
    "fail",
    &[Arg::optional("code", Kind::String, "").unchecked()],
);
static URI: Method = method("uri", &[]);
static NEW_ADDRESS: Method = method("getnewaddress", &[]);
static GENERATE: Method = method(
    "generatetoaddress",
    &[
        Arg::required("nblocks", Kind::Number, ""),
        Arg::required("address", Kind::String, ""),
        Arg::default("maxtries", Kind::Number, "1000000", ""),
    ],
);
static PASSPHRASE: Method = method(
    "walletpassphrase",
    &[
        Arg::required("passphrase", Kind::String, ""),
        Arg::required("timeout", Kind::Number, ""),
    ],
);
static NETWORK: Method = method("getnetworkinfo", &[]);
static CHAIN: Method = method("getblockchaininfo", &[]);

struct Fixture {
    registry: Registry,
    port: u16,
    dir: TempDir,
    _server: Server,
    _registrations: Vec<Registration>,
}

/// What a run left behind.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

fn run(arguments: &[&str], input: &str) -> Run {
    let arguments = arguments.iter().map(OsString::from).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::run(arguments, &mut input.as_bytes(), &mut out, &mut err);
    Run {
        code,
        out: String::from_utf8(out).expect("text"),
        err: String::from_utf8(err).expect("text"),
    }
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self::warming_up();
        fixture.registry.set_warmup_finished();
        fixture
    }

    fn warming_up() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("regtest")).expect("made");
        let path = dir.path().join("regtest/.cookie");
        let cookie = CookieFile::create(&path, CookiePerms::Owner).expect("written");
        let mut credentials = Credentials::none();
        let (user, password) = cookie.credentials();
        credentials.add_password(user, password);
        credentials.add_password("alice", "secret");
        let registry = Registry::new();
        let echo = |call: &RequestContext<'_>| Ok(Value::from(call.arguments.given()));
        let registrations = vec![
            registry.register(&ECHO, Arc::new(echo)),
            registry.register(&ECHO_JSON, Arc::new(echo)),
            registry.register(&PASSPHRASE, Arc::new(echo)),
            registry.register(
                &FAIL,
                Arc::new(|call| {
                    let code = call.arguments.string(0)?.parse().unwrap_or(0);
                    Err(RpcError::new(code, "it failed"))
                }),
            ),
            registry.register(&URI, Arc::new(|call| Ok(json!(call.request.uri)))),
            registry.register(&NEW_ADDRESS, Arc::new(|_| Ok(json!("addr")))),
            registry.register(
                &GENERATE,
                Arc::new(|call| {
                    let blocks = call.arguments.int::<usize>(0)?;
                    Ok(vec![call.arguments.string(1)?; blocks].into())
                }),
            ),
            registry.register(
                &NETWORK,
                Arc::new(|_| {
                    Ok(json!({
                        "version": 310000, "timeoffset": 0, "connections": 3, "connections_in": 1, "connections_out": 2,
                        "networks": [{"name": "ipv4", "proxy": "p:1"}, {"name": "onion", "proxy": "p:1"}, {"name": "i2p", "proxy": ""}],
                        "relayfee": 0.000001, "warnings": ["w1", "w2"],
                    }))
                }),
            ),
            registry.register(
                &CHAIN,
                Arc::new(|_| {
                    Ok(json!({
                        "chain": "regtest", "blocks": 5, "headers": 6, "verificationprogress": 0.5, "difficulty": 1,
                    }))
                }),
            ),
        ];
        registry.set_warmup_status("Loading\u{2026}");
        let config = ServerConfig {
            bind: vec!["127.0.0.1:0".parse().expect("an address")],
            ..ServerConfig::default()
        };
        let access = Access {
            credentials,
            cookie: Some(cookie),
            ..Access::default()
        };
        let server = BoundServer::bind(config)
            .expect("binds")
            .start(registry.clone(), access)
            .expect("starts");
        Self {
            registry,
            port: server.addresses()[0].port(),
            dir,
            _server: server,
            _registrations: registrations,
        }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Run {
        let datadir = format!("-datadir={}", self.dir.path().display());
        let port = format!("-rpcport={}", self.port);
        let own = ["-regtest", &datadir, &port];
        let arguments: Vec<&str> = own.iter().chain(arguments).copied().collect();
        run(&arguments, input)
    }

    fn out(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{arguments:?}");
        run.out
    }
}

fn failed(err: &str) -> Run {
    Run {
        code: 1,
        out: String::new(),
        err: format!("{err}\n"),
    }
}

#[test]
fn results_are_shown_as_core_shows_them() {
    let fixture = Fixture::new();
    assert_eq!(fixture.out(&["uri"]), "/\n");
    assert_eq!(
        fixture.out(&["echo", "1", "null"]),
        "[\n  \"1\",\n  \"null\"\n]\n"
    );
    assert_eq!(
        fixture.out(&["echojson", "{\"a\":[]}"]),
        "[\n  {\n    \"a\": [\n    ]\n  }\n]\n"
    );
    assert_eq!(fixture.out(&["echojson"]), "[\n]\n");
    assert_eq!(
        fixture.out(&["-named", "echojson", "arg1=2", "1"]),
        "[\n  1,\n  2\n]\n"
    );
    assert_eq!(
        fixture.out(&["-rpcwallet=a b/ü", "uri"]),
        "/wallet/a%20b%2F%C3%BC\n"
    );
    assert_eq!(fixture.out(&["-norpcwallet", "uri"]), "/\n");
    assert_eq!(
        fixture.out(&["-rpcuser=alice", "-rpcpassword=secret", "uri"]),
        "/\n"
    );
}

#[test]
fn errors_have_their_texts_and_codes() {
    let fixture = Fixture::new();
    let run = fixture.run(&["fail", "-8"]);
    assert_eq!(
        (run.code, run.err.as_str()),
        (8, "error code: -8\nerror message:\nit failed\n")
    );
    assert_eq!(run.out, "");
    let run = fixture.run(&["nosuchmethod"]);
    assert_eq!(
        (run.code, run.err.as_str()),
        (
            32601,
            "error code: -32601\nerror message:\nMethod not found\n"
        )
    );
    assert!(
        fixture
            .run(&["fail", "-19"])
            .err
            .contains("it failed Or for the CLI, specify the \"-rpcwallet=<walletname>\"")
    );
    assert_eq!(
        fixture.run(&["echojson", "x"]),
        failed("error: Error parsing JSON: x")
    );
    assert_eq!(
        fixture.run(&[]),
        failed("error: too few parameters (need at least command)")
    );
    let run = fixture.run(&["-named", "echo", "args=[0]", "4"]);
    let text = "error code: -8\nerror message:\nParameter args specified multiple times\n";
    assert_eq!((run.code, run.err.as_str()), (8, text));
    assert_eq!(
        fixture.run(&["-getinfo", "-netinfo"]),
        failed("error: Only one of -getinfo, -netinfo may be specified.")
    );
    let config = fixture.dir.path().join("bitcoin.conf");
    let wrong = |why: &str| {
        failed(&format!(
            "error: Authorization failed: {why} Configuration file: ({})",
            config.display()
        ))
    };
    assert_eq!(
        fixture.run(&["-rpcuser=alice", "-rpcpassword=wrong", "uri"]),
        wrong("Incorrect rpcuser or rpcpassword were specified.")
    );
    assert_eq!(
        fixture.run(&["-rpccookiefile=nowhere", "uri"]),
        wrong("Failed to read cookie file and no rpcpassword was specified.")
    );
    assert_eq!(
        fixture.run(&["-norpccookiefile", "uri"]),
        wrong("Cookie file was disabled via -norpccookiefile and no rpcpassword was specified.")
    );
}

#[test]
fn options_are_checked() {
    assert_eq!(
        run(&["-nonsense"], ""),
        failed("Error parsing command line arguments: Invalid parameter -nonsense")
    );
    assert_eq!(
        run(&["-datadir=/nowhere/at/all", "uri"], ""),
        failed("Error: Specified data directory \"/nowhere/at/all\" does not exist.")
    );
    let fixture = Fixture::new();
    for (argument, text) in [
        (
            "-rpcconnect=127.0.0.1:x",
            "Invalid port provided in -rpcconnect: 127.0.0.1:x",
        ),
        ("-rpcport=0", "Invalid port provided in -rpcport: 0"),
        ("-rpcport=65536", "Invalid port provided in -rpcport: 65536"),
        (
            "-ipcconnect=unix",
            "No such file or directory\n\nProbably bitcoin-node is not running or not listening on a unix socket. Can be started with:\n\n    bitcoin-node -chain=regtest -ipcbind=unix",
        ),
        (
            "-ipcconnect=tcp",
            "Unrecognized address 'tcp'\n\nProbably bitcoin-node is not running or not listening on a unix socket. Can be started with:\n\n    bitcoin-node -chain=regtest -ipcbind=unix",
        ),
    ] {
        assert_eq!(
            fixture.run(&[argument, "uri"]),
            failed(&format!("error: {text}")),
            "{argument}"
        );
    }
    let run = fixture.run(&["-rpcconnect=127.0.0.1:1", "uri"]);
    assert_eq!((run.code, run.out.as_str()), (0, "/\n"));
    assert_eq!(
        run.err,
        format!(
            "Warning: Port specified in both -rpcconnect and -rpcport. Using -rpcport {}\n",
            fixture.port
        )
    );
    let help = crate::run(&["-help"], "");
    assert!(help.code == 0 && help.err.is_empty() && help.out.contains("-rpcwait\n"));
    let none = crate::run(&[], "");
    assert_eq!(
        (none.code, none.err.as_str()),
        (1, "Error: too few parameters\n")
    );
}

#[test]
fn standard_input() {
    let fixture = Fixture::new();
    let run = fixture.run_with(&["-stdin", "echo", "1"], "two\nthree\n");
    assert_eq!(run.out, "[\n  \"1\",\n  \"two\",\n  \"three\"\n]\n");
    let run = fixture.run_with(
        &["-stdinrpcpass", "-stdin", "-rpcuser=alice", "echo"],
        "secret\nx\n",
    );
    assert_eq!(run.out, "[\n  \"x\"\n]\n");
    let run = fixture.run_with(&["-stdinrpcpass", "uri"], "");
    assert_eq!(
        run,
        failed("error: -stdinrpcpass specified but failed to read from standard input")
    );
    let run = fixture.run_with(
        &["-stdinwalletpassphrase", "walletpassphrase", "60"],
        "word\n",
    );
    assert_eq!(run.out, "[\n  \"word\",\n  60\n]\n");
    let run = fixture.run_with(&["-stdinwalletpassphrase", "uri"], "word\n");
    assert_eq!(
        run,
        failed("error: -stdinwalletpassphrase is only applicable for walletpassphrase(change)")
    );
}

#[test]
fn mining_to_a_new_address() {
    let fixture = Fixture::new();
    let result: Value = serde_json::from_str(&fixture.out(&["-generate", "2"])).expect("JSON");
    assert_eq!(
        result,
        json!({"address": "addr", "blocks": ["addr", "addr"]})
    );
    let text = "error: the first argument (number of blocks to generate, default: 1) must be an integer value greater than zero";
    assert_eq!(fixture.run(&["-generate", "0"]), failed(text));
    assert_eq!(
        fixture.run(&["-generate", "1", "2", "3"]),
        failed("error: too many arguments (maximum 2 for nblocks and maxtries)")
    );
    assert_eq!(
        fixture.run(&["-generate", "foo"]),
        failed("error: Error parsing JSON: foo")
    );
}

#[test]
fn the_overview() {
    let fixture = Fixture::new();
    assert_eq!(
        fixture.out(&["-getinfo", "-color=never"]),
        "Chain: regtest\nBlocks: 5\nHeaders: 6\n\
         Verification progress: ▒▒▒▒▒▒▒▒▒▒░░░░░░░░░░ 50.0000%\nDifficulty: 1\n\n\
         Network: in 1, out 2, total 3\nVersion: 310000\nTime offset (s): 0\nProxies: p:1 (ipv4, onion)\n\
         Min tx relay fee rate (BTC/kvB): 1e-6\n\nWarnings: w1\nw2\n"
    );
    assert!(
        fixture
            .out(&["-getinfo", "-color=always"])
            .starts_with("\x1b[34mChain: regtest\x1b[0m\n")
    );
    assert_eq!(
        fixture.run(&["-getinfo", "x"]),
        failed("error: -getinfo takes no arguments")
    );
    assert_eq!(
        fixture.run(&["-getinfo", "-color=pink"]),
        failed("error: Invalid value for -color option. Valid values: always, auto, never.")
    );
}

#[test]
fn waiting_for_a_node() {
    let fixture = Fixture::new();
    // Nobody listens at a port that was just given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let port = format!("-rpcport={port}");
    let run = fixture.run(&[&port, "uri"]);
    assert_eq!(run.code, 1);
    assert!(
        run.err
            .starts_with("error: Error while attempting to communicate with server 127.0.0.1:"),
        "{}",
        run.err
    );
    assert!(
        run.err
            .ends_with("Use \"bitcoin-cli -help\" for more info.\n")
    );
    let run = fixture.run(&[&port, "-rpcwait", "-rpcwaittimeout=1", "uri"]);
    assert!(
        run.err
            .starts_with("error: timeout on transient error: Error while"),
        "{}",
        run.err
    );
    assert_eq!(fixture.out(&["-rpcwait", "uri"]), "/\n");
}

#[test]
fn a_node_that_starts_is_waited_for() {
    let fixture = Fixture::warming_up();
    let run = fixture.run(&["uri"]);
    assert_eq!(
        (run.code, run.err.as_str()),
        (28, "error code: -28\nerror message:\nLoading\u{2026}\n")
    );
    let registry = fixture.registry.clone();
    let (asked, answers) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| asked.send(fixture.run(&["-rpcwait", "uri"])));
        registry.set_warmup_finished();
        assert_eq!(answers.recv().expect("an answer").out, "/\n");
    });
}
