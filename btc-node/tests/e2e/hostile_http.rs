//! What anybody may send to a running node's RPC port.

use crate::harness::{PATIENCE, TestNode, memory_kib, wait_for};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

/// A connection to a node's RPC port, for bytes of any kind.
struct Wire {
    stream: BufReader<TcpStream>,
    authorization: String,
}

/// What came back: the status and the body.
#[derive(Debug, PartialEq, Eq)]
struct Answer(u16, String);

impl Wire {
    fn open(node: &TestNode) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", node.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream: BufReader::new(stream),
            authorization: node.authorization(),
        }
    }

    fn send(&self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.get_ref().write_all(bytes.as_ref())
    }

    fn request(&self, version: &str, headers: &str, body: &str) -> String {
        let authorization = &self.authorization;
        format!(
            "POST / HTTP/{version}\r\nHost: x\r\nAuthorization: {authorization}\r\n{headers}\r\n{body}"
        )
    }

    /// Sends a whole request with this body.
    fn post(&self, body: &str) {
        let length = format!("Content-Length: {}\r\n", body.len());
        self.send(self.request("1.1", &length, body)).unwrap();
    }

    /// The next answer; `None` once the node has closed.
    fn answer(&mut self) -> Option<Answer> {
        let mut line = String::new();
        let mut head: Vec<String> = Vec::new();
        while line != "\r\n" {
            line.clear();
            if self.stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            head.push(line.trim_end().to_ascii_lowercase());
        }
        let status = head[0].split(' ').nth(1)?.parse().ok()?;
        let length = head
            .iter()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut body).ok()?;
        Some(Answer(status, String::from_utf8(body).unwrap()))
    }

    fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([]) | Err(_))
    }
}

/// Waits until the node takes a call again.
fn wait_for_room(node: &TestNode) {
    wait_for("room for a call", || {
        node.try_call("", "getblockcount", &json!([])).ok()?.ok()
    });
}

fn parsed(answer: Option<Answer>) -> Value {
    serde_json::from_str(&answer.unwrap().1).unwrap()
}

#[test]
fn requests_are_read_however_they_are_cut_and_framed() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-disablewallet"]);
    let count = r#"{"id":1,"method":"getblockcount"}"#;
    let good = Answer(200, "{\"result\":0,\"error\":null,\"id\":1}\n".to_owned());

    // Several requests at once are answered in turn; an end of sending is the end of the connection, as in Core.
    let mut wire = Wire::open(&node);
    let length = format!("Content-Length: {}\r\n", count.len());
    let one = wire.request("1.1", &length, count);
    wire.send(one.repeat(3)).unwrap();
    for _ in 0..3 {
        assert_eq!(wire.answer().as_ref(), Some(&good));
    }
    wire.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    assert!(wire.is_closed());

    // One byte at a time.
    let mut wire = Wire::open(&node);
    wire.stream.get_ref().set_nodelay(true).unwrap();
    for byte in one.as_bytes() {
        wire.send([*byte]).unwrap();
    }
    assert_eq!(wire.answer().as_ref(), Some(&good));

    // HTTP/1.0 ends the connection unless it is asked to stay.
    let mut wire = Wire::open(&node);
    wire.send(wire.request("1.0", &length, count)).unwrap();
    assert_eq!(wire.answer().as_ref(), Some(&good));
    assert!(wire.is_closed());

    // Chunks, one of them with an extension, and a trailer.
    let mut wire = Wire::open(&node);
    let (first, second) = count.split_at(10);
    let chunks = format!(
        "a;x=y\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\nTrailer: t\r\n\r\n",
        second.len()
    );
    wire.send(wire.request("1.1", "Transfer-Encoding: chunked\r\n", &chunks))
        .unwrap();
    assert_eq!(wire.answer().as_ref(), Some(&good));

    // A body that is longer than it was said to be is the next request, which is none.
    let mut wire = Wire::open(&node);
    wire.send(wire.request("1.1", &length, &format!("{count}{count}")))
        .unwrap();
    assert_eq!(wire.answer().as_ref(), Some(&good));
    assert_eq!(wire.answer().map(|answer| answer.0), Some(400));
    assert!(wire.is_closed());

    // One that is shorter never comes to its end: what was sent is not run.
    let mut wire = Wire::open(&node);
    let stop = r#"{"id":1,"method":"stop"}"#;
    wire.send(wire.request("1.1", "Content-Length: 100\r\n", stop))
        .unwrap();
    wire.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    assert!(wire.answer().is_none_or(|answer| answer.0 == 400));
    assert!(wire.is_closed());
    node.stop_cleanly();
}

#[test]
fn garbage_is_refused_and_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-disablewallet"]);
    let long = "x".repeat(8200);
    let garbage: [Vec<u8>; 9] = [
        vec![0; 100],
        vec![0xff; 10_000],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 is how TLS begins\r\n\r\n".to_vec(),
        b"\xfa\xbf\xb5\xdaversion\0\0\0\0\0\0\0\0\0\x5d\xf6\xe0\xe2\r\n\r\n".to_vec(),
        format!("GET /{long} HTTP/1.1\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n").into_bytes(),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\nZZ\r\n"
            .to_vec(),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n".to_vec(),
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n".to_vec(),
    ];
    for bytes in garbage {
        let mut wire = Wire::open(&node);
        // It may be refused before all of it is sent.
        let _ = wire.send(&bytes);
        let answer = wire.answer();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        assert!(
            answer.as_ref().is_none_or(|answer| answer.0 == 400),
            "{shown:?}: {answer:?}"
        );
        let _ = wire.stream.get_ref().shutdown(Shutdown::Write);
        assert!(wire.is_closed(), "{shown:?}");
    }
    assert_eq!(node.call("getblockcount", json!([])), 0);
    node.stop_cleanly();
}

#[test]
fn slow_senders_are_let_go_and_keep_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["-disablewallet", "-rpcservertimeout=1", "-rpcthreads=2"];
    let node = TestNode::start(dir.path(), &options);
    let began = Instant::now();
    let mut slow: Vec<Wire> = (0..100).map(|_| Wire::open(&node)).collect();
    for (index, wire) in slow.iter().enumerate() {
        let bytes = match index % 3 {
            0 => String::new(),
            1 => "POST / HTTP/1.1\r\nX".to_owned(),
            _ => wire.request("1.1", "Content-Length: 50\r\n", "{"),
        };
        wire.send(bytes).unwrap();
    }
    // They hold no thread.
    assert_eq!(node.call("getblockcount", json!([])), 0);
    for wire in &mut slow {
        assert!(wire.answer().is_none_or(|answer| answer.0 == 408));
        assert!(wire.is_closed());
    }
    assert!(began.elapsed().as_secs() >= 1, "they had their time");
    node.stop_cleanly();
}

#[test]
fn calls_beyond_the_work_queue_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["-disablewallet", "-rpcthreads=1", "-rpcworkqueue=2"];
    let node = TestNode::start(dir.path(), &options);
    // Each of them waits for a block for as long as it takes for the others to come.
    let wait = r#"{"id":1,"method":"waitfornewblock","params":[6000]}"#;
    let mut wires: Vec<Wire> = (0..20).map(|_| Wire::open(&node)).collect();
    for wire in &wires {
        wire.post(wait);
    }
    let full = Answer(503, "Work queue depth exceeded".to_owned());
    // Those that are refused are answered before any of the others is.
    let began = Instant::now();
    let mut refused = 0;
    while refused < 17 && began.elapsed() < PATIENCE {
        // Only those that have an answer are read.
        wires.retain_mut(|wire| {
            let stream = wire.stream.get_ref();
            let patience = stream.read_timeout().unwrap();
            let look = Some(std::time::Duration::from_millis(5));
            stream.set_read_timeout(look).unwrap();
            let is_answered = stream.peek(&mut [0]).is_ok();
            stream.set_read_timeout(patience).unwrap();
            if is_answered {
                refused += usize::from(wire.answer().as_ref() == Some(&full));
            }
            !is_answered
        });
    }
    assert!((17..=18).contains(&refused), "{refused} were refused");
    drop(wires);
    assert!(node.log().contains(
        "Request rejected because http work queue depth exceeded, it can be increased with the -rpcworkqueue= setting"
    ));
    // Those that wait still fill the queue.
    wait_for_room(&node);
    node.stop_cleanly();
}

#[test]
fn thousands_of_connections_cost_little_and_pass() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-disablewallet"]);
    let before = memory_kib(&node);
    for _ in 0..4 {
        let wires: Vec<Wire> = (0..700).map(|_| Wire::open(&node)).collect();
        for wire in &wires {
            // Those beyond the bound are closed already.
            let _ = wire.send("POST / HTTP/1.1\r\nX: y\r\n");
        }
    }
    wait_for_room(&node);
    let grown = memory_kib(&node).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB more");
    node.stop_cleanly();
}

#[test]
fn huge_batches_and_deep_values_are_answered_whole() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-disablewallet"]);
    let mut wire = Wire::open(&node);
    let count = 100_000;
    let entries = vec![r#"{"id":7,"method":"echo"}"#; count].join(",");
    wire.post(&format!("[{entries}]"));
    let replies = parsed(wire.answer());
    let replies = replies.as_array().unwrap();
    assert_eq!(replies.len(), count);
    let expected = json!({"result": [], "error": null, "id": 7});
    assert!(replies.iter().all(|reply| *reply == expected));

    // As deep as Core takes it, request and parameters being two levels; then one more.
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    wire.post(&format!(
        r#"{{"method":"echo","params":[{}]}}"#,
        nested(510)
    ));
    let expected = format!("{{\"result\":[{}],\"error\":null}}\n", nested(510));
    assert_eq!(wire.answer(), Some(Answer(200, expected)));
    for depth in [511, 1_000_000] {
        wire.post(&format!(
            r#"{{"method":"echo","params":[{}]}}"#,
            nested(depth)
        ));
        assert_eq!(parsed(wire.answer())["error"]["message"], "Parse error");
    }
    node.stop_cleanly();
}

#[test]
fn an_output_that_is_named_twice_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let node = TestNode::start(dir.path(), &["-disablewallet"]);
    let mut wire = Wire::open(&node);
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let twice = format!(r#"{{"{address}":1,"{address}":2}}"#);
    let duplicated = format!("Invalid parameter, duplicated address: {address}");
    let one_key = "Invalid parameter, key-value pair must contain exactly one key";
    for (params, text) in [
        (format!("[[],{twice}]"), duplicated.as_str()),
        (format!(r#"{{"inputs":[],"outputs":{twice}}}"#), &duplicated),
        (format!("[[],[{twice}]]"), one_key),
        (
            r#"[[],{"data":"aa","data":"bb"}]"#.to_owned(),
            "Invalid parameter, duplicate key: data",
        ),
        (
            r#"{"inputs":[],"inputs":[],"outputs":{}}"#.to_owned(),
            "Parameter inputs specified multiple times",
        ),
    ] {
        let request = format!(r#"{{"method":"createrawtransaction","params":{params}}}"#);
        wire.post(&request);
        let error = json!({"code": -8, "message": text});
        assert_eq!(parsed(wire.answer())["error"], error, "{params}");
        // In a batch too, each by itself.
        wire.post(&format!(r#"[{{"method":"uptime","x":1,"x":2}},{request}]"#));
        let replies = parsed(wire.answer());
        assert_eq!(replies[0]["error"], Value::Null);
        assert_eq!(replies[1]["error"], error, "{params}");
    }
    node.stop_cleanly();
}
