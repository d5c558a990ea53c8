//! A JSON-RPC client for a node on this machine: loopback only, the cookie as credentials.

use crate::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// Where to call, and as whom.
#[derive(Clone)]
pub struct Client {
    port: u16,
    cookie_file: PathBuf,
}

impl Client {
    /// A client of the node that listens on `port` and keeps its credentials in `cookie_file`.
    pub fn new(port: u16, cookie_file: PathBuf) -> Self {
        Self { port, cookie_file }
    }

    /// Waits until the node answers at all, though it may still be starting; `false` if it does not within `limit`.
    pub fn wait_until_it_answers(&self, limit: Duration) -> bool {
        let began = std::time::Instant::now();
        while began.elapsed() < limit {
            if self.call("uptime", json!([])).is_ok() {
                return true;
            }
            // The port is all there is to watch from outside; ask again soon.
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Calls a method of the node.
    pub fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.call_at("/", method, params)
    }

    /// Calls a method of one wallet.
    pub fn wallet(&self, wallet: &str, method: &str, params: Value) -> Result<Value> {
        self.call_at(&format!("/wallet/{wallet}"), method, params)
    }

    fn call_at(&self, path: &str, method: &str, params: Value) -> Result<Value> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let reply = self.post(path, &request.to_string())?;
        match &reply["error"] {
            Value::Null => Ok(reply["result"].clone()),
            error => Err(format!("{method}: {} (code {})", error["message"], error["code"]).into()),
        }
    }

    fn post(&self, path: &str, body: &str) -> Result<Value> {
        let cookie = std::fs::read(&self.cookie_file)?;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            STANDARD.encode(cookie),
            body.len(),
        )?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        let text = String::from_utf8(reply)?;
        let (head, body) = text
            .split_once("\r\n\r\n")
            .ok_or("the node's reply is no HTTP")?;
        if body.is_empty() {
            return Err(format!(
                "the node answered {}",
                head.lines().next().unwrap_or_default()
            )
            .into());
        }
        Ok(serde_json::from_str(body)?)
    }
}
