//! `bitcoin-cli`: sends a command to a running node and prints the answer.

mod addrinfo;
mod batch;
mod client;
mod getinfo;
mod ipc;
mod netinfo;
mod output;
mod terminal;
pub mod wrapper;

use crate::rpc::auth::CookieFile;
use crate::rpc::options::split_host_port;
use btc_interfaces::args::{Args, ArgsError, Program};
use btc_interfaces::rpc::{code, convert, json};
use client::{Endpoint, Failure, Response};
use ipc::Route;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// How long between two tries of `-rpcwait`.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A timeout for those who want none.
const FOREVER: Duration = Duration::from_secs(5 * 365 * 24 * 60 * 60);

/// What keeps a command from an answer; shown after `error: `, and the program ends with 1.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CliError {
    /// There is no connection to the node, or it is still starting.
    #[error("{0}")]
    Connection(String),
    /// What was typed makes no call.
    #[error("{0}")]
    Usage(String),
    /// An argument is not what the method takes.
    #[error(transparent)]
    Convert(#[from] convert::ConvertError),
    /// The node refused the credentials, or did not answer with JSON-RPC.
    #[error("{0}")]
    Server(String),
    /// Standard input cannot be read.
    #[error("{0} specified but failed to read from standard input")]
    Input(&'static str),
    /// There is no network to be had from the system.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// Runs the program: arguments without its name; gives the exit code.
pub fn run(
    arguments: Vec<OsString>,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> i32 {
    // A closed pipe at the other end of an output is the reader's wish; there is nowhere to tell of it either.
    let none = arguments.is_empty();
    let args = match Args::read(Program::Cli, arguments) {
        Ok(args) => args,
        Err(error @ (ArgsError::CommandLine(_) | ArgsError::Config(_))) => {
            let _ = writeln!(err, "{error}");
            return 1;
        }
        Err(error) => {
            let _ = writeln!(err, "Error: {error}");
            return 1;
        }
    };
    if none {
        let mut help = Args::new(Program::Cli);
        help.force("help", "1");
        let _ = write!(out, "{}", help.info_text("bitcoin-cli").unwrap_or_default());
        let _ = writeln!(err, "Error: too few parameters");
        return 1;
    }
    if let Some(text) = args.info_text("bitcoin-cli") {
        let _ = write!(out, "{text}");
        return 0;
    }
    let mut cli = Cli { args, err };
    let (text, code) = match cli.call(input) {
        Ok(Answer::Result(text)) => (text, 0),
        Ok(Answer::Error(error)) => output::error(&error),
        Err(error) => (format!("error: {error}"), 1),
    };
    if !text.is_empty() {
        let _ = match code {
            0 => writeln!(out, "{text}"),
            _ => writeln!(err, "{text}"),
        };
    }
    code
}

/// What came of a command.
enum Answer {
    /// Text to print; may be empty.
    Result(String),
    /// The `error` of the reply.
    Error(Value),
}

struct Cli<'a> {
    args: Args,
    err: &'a mut dyn Write,
}

impl Cli<'_> {
    fn call(&mut self, input: &mut dyn BufRead) -> Result<Answer, CliError> {
        self.args
            .check_supported()
            .map_err(|error| CliError::Usage(error.to_string()))?;
        let words = self.words(input)?;
        match self.special()? {
            Some("addrinfo") => self.addr_info(&words),
            Some("generate") => self.generate(words),
            Some("getinfo") => self.get_info(&words),
            Some("netinfo") => self.net_info(&words),
            _ => self.command(&words),
        }
    }

    /// The option that stands in place of a command, if there is one.
    fn special(&self) -> Result<Option<&'static str>, CliError> {
        let given = ["addrinfo", "generate", "getinfo", "netinfo"];
        let given = given.into_iter().filter(|name| self.args.is_set(name));
        let given: Vec<&str> = given.collect();
        if given.len() > 1 {
            let names: Vec<String> = given.iter().map(|name| format!("-{name}")).collect();
            return Err(CliError::Usage(format!(
                "Only one of {} may be specified.",
                names.join(", ")
            )));
        }
        let chosen = given.first().copied();
        Ok(chosen.filter(|name| self.args.flag(name) == Some(true)))
    }

    /// The command's words: those of the command line and those that come over standard input.
    fn words(&mut self, input: &mut dyn BufRead) -> Result<Vec<String>, CliError> {
        if self.args.flag("stdinrpcpass") == Some(true) {
            let password = terminal::read_secret("RPC password> ", input, self.err)
                .ok_or(CliError::Input("-stdinrpcpass"))?;
            self.args.force("rpcpassword", &password);
        }
        let mut words = self.args.command().to_vec();
        if self.args.flag("stdinwalletpassphrase") == Some(true) {
            if !words
                .first()
                .is_some_and(|method| method.starts_with("walletpassphrase"))
            {
                let text = "-stdinwalletpassphrase is only applicable for walletpassphrase(change)";
                return Err(CliError::Usage(text.to_owned()));
            }
            let passphrase = terminal::read_secret("Wallet passphrase> ", input, self.err)
                .ok_or(CliError::Input("-stdinwalletpassphrase"))?;
            words.insert(1, passphrase);
        }
        if self.args.flag("stdin") == Some(true) {
            for line in input.lines() {
                words.push(line.map_err(|_| CliError::Input("-stdin"))?);
            }
        }
        Ok(words)
    }

    fn command(&mut self, words: &[String]) -> Result<Answer, CliError> {
        let Some((method, arguments)) = words.split_first() else {
            let text = "too few parameters (need at least command)";
            return Err(CliError::Usage(text.to_owned()));
        };
        let params = if self.args.flag("named") == Some(true) {
            match convert::named(method, arguments) {
                // As the server would answer, had JSON objects room for both.
                Err(error @ convert::ConvertError::TwoArgs) => {
                    let error =
                        json!({"code": code::INVALID_PARAMETER, "message": error.to_string()});
                    return Ok(Answer::Error(error));
                }
                params => params?,
            }
        } else {
            convert::positional(method, arguments)?
        };
        let id = self.args.value("rpcid").unwrap_or_else(|| "1".to_owned());
        let reply = self.request(&request(method, params, Value::from(id)), self.wallet())?;
        Ok(answer(&reply))
    }

    fn generate(&mut self, mut words: Vec<String>) -> Result<Answer, CliError> {
        let get_address = request("getnewaddress", json!([]), Value::from("1"));
        let reply = self.request(&get_address, self.wallet())?;
        if !reply["error"].is_null() {
            return Ok(Answer::Error(reply["error"].clone()));
        }
        let Some(address) = reply["result"].as_str() else {
            return Err(CliError::Server("getnewaddress gave no address".to_owned()));
        };
        if words.len() > 2 {
            let text = "too many arguments (maximum 2 for nblocks and maxtries)";
            return Err(CliError::Usage(text.to_owned()));
        }
        match words.first().map(String::as_str) {
            None => words.push("1".to_owned()),
            Some("0") => {
                let text = "the first argument (number of blocks to generate, default: 1) must be an integer value greater than zero";
                return Err(CliError::Usage(text.to_owned()));
            }
            Some(_) => {}
        }
        words.insert(1, address.to_owned());
        let params = convert::positional("generatetoaddress", &words)?;
        let generate = request("generatetoaddress", params, Value::from(1));
        let reply = self.request(&generate, self.wallet())?;
        if !reply["error"].is_null() {
            return Ok(Answer::Error(reply["error"].clone()));
        }
        let result = json!({"address": address, "blocks": reply["result"]});
        Ok(Answer::Result(output::result(&result)))
    }

    fn addr_info(&mut self, words: &[String]) -> Result<Answer, CliError> {
        let request = addrinfo::request_body(words)?;
        let reply = self.request(&request, self.wallet())?;
        Ok(match addrinfo::read(&reply)? {
            Ok(counts) => Answer::Result(output::result(&counts)),
            Err(error) => Answer::Error(error),
        })
    }

    fn net_info(&mut self, words: &[String]) -> Result<Answer, CliError> {
        if words
            .first()
            .is_some_and(|word| word == "h" || word == "help")
        {
            return Ok(Answer::Result(netinfo::HELP.to_owned()));
        }
        let detail = netinfo::Detail::parse(words)?;
        let batch = self.request(&netinfo::requests(), self.wallet())?;
        // The node's clock may be another one, but there is no asking for it.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        Ok(
            match netinfo::show(&batch, detail, self.args.chain_name(), now)? {
                Ok(table) => Answer::Result(table),
                Err(error) => Answer::Error(error),
            },
        )
    }

    fn get_info(&mut self, words: &[String]) -> Result<Answer, CliError> {
        if !words.is_empty() {
            return Err(CliError::Usage("-getinfo takes no arguments".to_owned()));
        }
        let colors = getinfo::Colors::choose(self.args.value("color").as_deref())
            .map_err(|text| CliError::Usage(text.to_owned()))?;
        let batch = self.request(&getinfo::requests(), self.wallet())?;
        let info = match getinfo::Info::read(&batch)? {
            Ok(info) => info,
            Err(error) => return Ok(Answer::Error(error)),
        };
        let mut balances = Vec::new();
        if self.wallet().is_none() {
            let list = request("listwallets", json!([]), Value::from("1"));
            let wallets = self.request(&list, None)?["result"].clone();
            let wallets = wallets.as_array().cloned().unwrap_or_default();
            if wallets.len() > 1 {
                for wallet in wallets.iter().filter_map(Value::as_str) {
                    let ask = request("getbalances", json!([]), Value::from("1"));
                    let reply = self.request(&ask, Some(wallet.to_owned()))?;
                    let balance = reply["result"]["mine"]["trusted"].clone();
                    balances.push((wallet.to_owned(), balance));
                }
            }
        }
        Ok(Answer::Result(info.show(&balances, colors)))
    }

    /// The wallet that `-rpcwallet` names.
    fn wallet(&self) -> Option<String> {
        if self.args.is_negated("rpcwallet") {
            return None;
        }
        self.args.value("rpcwallet")
    }

    /// Sends a request and gives the reply, waiting for the node to start if `-rpcwait` says so.
    fn request(&mut self, body: &Value, wallet: Option<String>) -> Result<Value, CliError> {
        let path = match wallet {
            Some(wallet) => format!("/wallet/{}", percent_encode(&wallet)),
            None => "/".to_owned(),
        };
        let wait = self.args.flag("rpcwait") == Some(true);
        let patience = self.args.int("rpcwaittimeout").unwrap_or(0);
        let patience = u64::try_from(patience).ok().filter(|seconds| *seconds > 0);
        let deadline =
            patience.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        loop {
            let error = match self.request_once(body, &path) {
                Ok(reply) if wait && reply["error"]["code"] == json!(code::IN_WARMUP) => {
                    CliError::Connection("server in warmup".to_owned())
                }
                other @ Ok(_) => return other,
                Err(error) => error,
            };
            match error {
                CliError::Connection(_) if wait => {
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        let text = format!("timeout on transient error: {error}");
                        return Err(CliError::Connection(text));
                    }
                    std::thread::sleep(RETRY_PAUSE);
                }
                error => return Err(error),
            }
        }
    }

    fn request_once(&mut self, body: &Value, path: &str) -> Result<Value, CliError> {
        let route = Route::choose(&self.args)?;
        if let Some(reply) = ipc::execute(&route, &self.args, body, path)? {
            return Ok(reply);
        }
        let endpoint = self.endpoint()?;
        let (credentials, whence) = self.credentials();
        let text = format!("{body}\n");
        let response = client::post(&endpoint, path, &credentials, text).map_err(|failure| {
            let Endpoint { host, port, .. } = &endpoint;
            match failure {
                Failure::System(error) => CliError::System(error),
                Failure::Connection(reason) => CliError::Connection(format!(
                    "Error while attempting to communicate with server {host}:{port} ({reason})\n\n\
                     Make sure the bitcoind server is running and that you are connecting to the correct RPC port.\n\
                     Use \"bitcoin-cli -help\" for more info."
                )),
            }
        })?;
        self.reply(response, whence)
    }

    fn reply(&self, response: Response, whence: &str) -> Result<Value, CliError> {
        let Response { status, body } = response;
        let refused = match status {
            401 => {
                let config = self.args.config_path().unwrap_or("".as_ref());
                format!(
                    "Authorization failed: {whence} Configuration file: ({})",
                    config.display()
                )
            }
            503 => format!("Server response: {body}"),
            400 | 404 | 500 | ..400 if body.is_empty() => "no response from server".to_owned(),
            400 | 404 | 500 | ..400 => {
                return match json::value(&body) {
                    Ok(reply @ (Value::Object(_) | Value::Array(_))) => Ok(reply),
                    _ => Err(CliError::Server(
                        "couldn't parse reply from server".to_owned(),
                    )),
                };
            }
            status => format!("server returned HTTP error {status}"),
        };
        Err(CliError::Server(refused))
    }

    fn endpoint(&mut self) -> Result<Endpoint, CliError> {
        let given = self.args.value("rpcconnect");
        let given = given.filter(|_| !self.args.is_negated("rpcconnect"));
        let given = given.unwrap_or_else(|| "127.0.0.1".to_owned());
        let invalid = |option: &str, value: &str| {
            CliError::Usage(format!("Invalid port provided in {option}: {value}"))
        };
        let (host, mut port) =
            split_host_port(&given, 0).ok_or_else(|| invalid("-rpcconnect", &given))?;
        if let Some(text) = self.args.value("rpcport") {
            let chosen = text.parse().ok().filter(|port| *port != 0);
            let chosen: u16 = chosen.ok_or_else(|| invalid("-rpcport", &text))?;
            if port != 0 {
                let _ = writeln!(
                    self.err,
                    "Warning: Port specified in both -rpcconnect and -rpcport. Using -rpcport {chosen}"
                );
            }
            port = chosen;
        } else if port == 0 {
            port = self.args.rpc_port();
        }
        let timeout = match self.args.int("rpcclienttimeout").unwrap_or(900) {
            seconds @ 1.. => Duration::from_secs(seconds.unsigned_abs()).min(FOREVER),
            _ => FOREVER,
        };
        Ok(Endpoint {
            host: host.to_owned(),
            port,
            timeout,
        })
    }

    /// User and password, and what to say if they are wrong.
    fn credentials(&self) -> (String, &'static str) {
        let password = self.args.value("rpcpassword").unwrap_or_default();
        if !password.is_empty() {
            let user = self.args.value("rpcuser").unwrap_or_default();
            let wrong = "Incorrect rpcuser or rpcpassword were specified.";
            return (format!("{user}:{password}"), wrong);
        }
        let Some(path) = self.args.net_file("rpccookiefile", ".cookie") else {
            let wrong =
                "Cookie file was disabled via -norpccookiefile and no rpcpassword was specified.";
            return (String::new(), wrong);
        };
        match CookieFile::read(&path) {
            Ok(cookie) => {
                let wrong =
                    "Cookie file credentials were invalid and no rpcpassword was specified.";
                (cookie, wrong)
            }
            Err(_) => {
                let wrong = "Failed to read cookie file and no rpcpassword was specified.";
                (String::new(), wrong)
            }
        }
    }
}

fn request(method: &str, params: Value, id: Value) -> Value {
    json!({"method": method, "params": params, "id": id, "jsonrpc": "2.0"})
}

fn answer(reply: &Value) -> Answer {
    match &reply["error"] {
        Value::Null => Answer::Result(output::result(&reply["result"])),
        error => Answer::Error(error.clone()),
    }
}

/// A text as a part of a path.
fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
