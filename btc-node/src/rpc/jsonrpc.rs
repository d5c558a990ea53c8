//! JSON-RPC 1.0, 1.1 and 2.0 as bitcoind speaks them: bytes of a request in, status and bytes of a reply out.
//!
//! A 2.0 request (`"jsonrpc": "2.0"`) always gets status 200 and exactly one of `result` and `error`; without an `id` it
//! is a notification and gets 204. Any other request gets both, and the status says what kind of error it was. A batch
//! gets an array with status 200.

use super::auth::Whitelist;
use super::registry::{Output, Registry};
use btc_interfaces::rpc::json::{self, Json};
use btc_interfaces::rpc::writer::JsonWriter;
use btc_interfaces::rpc::{RpcError, RpcRequest, code};
use serde_json::{Map, Value};

/// The HTTP half of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// The body, JSON with a newline; `None` for an empty one.
    pub body: Option<String>,
}

impl HttpReply {
    fn empty(status: u16) -> Self {
        Self { status, body: None }
    }

    fn json(status: u16, out: JsonWriter) -> Self {
        let mut body = out.into_text();
        body.push('\n');
        Self {
            status,
            body: Some(body),
        }
    }
}

/// Whose request it is, and how it came.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The request's path.
    pub uri: &'a str,
    /// The authenticated user.
    pub user: &'a str,
    /// The peer's address for the log, if `-logips` wants it there.
    pub peer: Option<&'a str>,
}

/// Which version a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// 1.0 or 1.1.
    V1,
    /// 2.0.
    V2,
}

/// A request as far as it could be read; enough to address the reply.
struct Envelope {
    id: Option<Value>,
    version: Version,
}

impl Envelope {
    /// What a reply is addressed to when nothing could be read.
    const UNKNOWN: Self = Self {
        id: Some(Value::Null),
        version: Version::V1,
    };

    fn is_notification(&self) -> bool {
        self.id.is_none() && self.version == Version::V2
    }
}

/// Runs the request in `body` and gives the reply.
pub fn handle(
    registry: &Registry,
    whitelist: &Whitelist,
    caller: Caller<'_>,
    body: &[u8],
) -> HttpReply {
    let Ok(Json { value, repeated }) = json::parse(body) else {
        let error = RpcError::new(code::PARSE_ERROR, "Parse error");
        return failure(error, Envelope::UNKNOWN);
    };
    if !whitelist.admits(caller.user) {
        tracing::warn!("RPC User {} not allowed to call any methods", caller.user);
        return HttpReply::empty(403);
    }
    match value {
        Value::Object(request) => {
            let repeated = below(&repeated, "/params").collect();
            handle_one(registry, whitelist, caller, request, repeated)
        }
        Value::Array(batch) => handle_batch(registry, whitelist, caller, batch, &repeated),
        _ => failure(
            RpcError::new(code::PARSE_ERROR, "Top-level object parse error"),
            Envelope::UNKNOWN,
        ),
    }
}

fn handle_one(
    registry: &Registry,
    whitelist: &Whitelist,
    caller: Caller<'_>,
    request: Map<String, Value>,
    repeated: Vec<String>,
) -> HttpReply {
    let (envelope, call) = read(request, repeated, caller);
    let call = match call {
        Ok(call) => call,
        Err(error) => return failure(error, envelope),
    };
    if !whitelist.allows(caller.user, &call.method) {
        return forbidden(caller, &call.method);
    }
    let result = registry.run(call);
    if envelope.is_notification() {
        return HttpReply::empty(204);
    }
    match (envelope.version, result) {
        (Version::V1, Err(error)) => failure(error, envelope),
        (_, result) => {
            let mut out = JsonWriter::with_capacity(reply_capacity(&result));
            write_reply(&mut out, result, envelope);
            HttpReply::json(200, out)
        }
    }
}

fn handle_batch(
    registry: &Registry,
    whitelist: &Whitelist,
    caller: Caller<'_>,
    batch: Vec<Value>,
    repeated: &[String],
) -> HttpReply {
    // A restricted user's batch runs as a whole or not at all.
    if whitelist.restricts(caller.user) {
        for request in &batch {
            let error = match request.as_object().map(|request| request.get("method")) {
                None => RpcError::new(code::INVALID_REQUEST, "Invalid Request object"),
                Some(Some(Value::String(method))) => {
                    if whitelist.allows(caller.user, method) {
                        continue;
                    }
                    return forbidden(caller, method);
                }
                Some(_) => RpcError::new(code::PARSE_ERROR, "Method must be a string"),
            };
            return failure(error, Envelope::UNKNOWN);
        }
    }
    let was_empty = batch.is_empty();
    let mut answered = false;
    let mut out = JsonWriter::default();
    let mut repeated = repeated;
    out.array(|out| {
        for (index, request) in batch.into_iter().enumerate() {
            // They are in the order of the text.
            let place = format!("/{index}/");
            let own = repeated
                .iter()
                .take_while(|pointer| pointer.starts_with(&place));
            let (own, others) = repeated.split_at(own.count());
            repeated = others;
            let (envelope, result) = match request {
                Value::Object(request) => {
                    let repeated = below(own, &format!("{place}params")).collect();
                    let (envelope, call) = read(request, repeated, caller);
                    (envelope, call.and_then(|call| registry.run(call)))
                }
                _ => {
                    let error = RpcError::new(code::INVALID_REQUEST, "Invalid Request object");
                    (Envelope::UNKNOWN, Err(error))
                }
            };
            if !envelope.is_notification() {
                answered = true;
                write_reply(out, result, envelope);
            }
        }
    });
    // An empty batch names no version, so old clients must still get their empty array.
    if !answered && !was_empty {
        return HttpReply::empty(204);
    }
    HttpReply::json(200, out)
}

/// The pointers into what `place` points to, as pointers from there.
fn below<'a>(pointers: &'a [String], place: &'a str) -> impl Iterator<Item = String> + 'a {
    let inside = move |pointer: &'a String| pointer.strip_prefix(place);
    let inside = pointers.iter().filter_map(inside);
    inside
        .filter(|rest| rest.starts_with('/'))
        .map(str::to_owned)
}

/// Reads one request object. What it is addressed to is known even where the rest is wrong.
fn read(
    mut request: Map<String, Value>,
    repeated: Vec<String>,
    caller: Caller<'_>,
) -> (Envelope, Result<RpcRequest, RpcError>) {
    let mut envelope = Envelope {
        id: request.remove("id"),
        version: Version::V1,
    };
    let call = read_call(&mut request, &mut envelope, caller);
    let call = call.map(|call| RpcRequest { repeated, ..call });
    (envelope, call)
}

fn read_call(
    request: &mut Map<String, Value>,
    envelope: &mut Envelope,
    caller: Caller<'_>,
) -> Result<RpcRequest, RpcError> {
    let invalid = |text: &str| RpcError::new(code::INVALID_REQUEST, text);
    envelope.version = match request.get("jsonrpc") {
        None | Some(Value::Null) => Version::V1,
        Some(Value::String(version)) => match version.as_str() {
            // Older documentation wrongly showed this field in 1.0 requests.
            "1.0" => Version::V1,
            "2.0" => Version::V2,
            _ => return Err(invalid("JSON-RPC version not supported")),
        },
        Some(_) => return Err(invalid("jsonrpc field must be a string")),
    };
    let method = match request.remove("method") {
        None | Some(Value::Null) => return Err(invalid("Missing method")),
        Some(Value::String(method)) => method,
        Some(_) => return Err(invalid("Method must be a string")),
    };
    log_call(&method, envelope, caller);
    let params = match request.remove("params") {
        None | Some(Value::Null) => Value::Array(Vec::new()),
        Some(params @ (Value::Array(_) | Value::Object(_))) => params,
        Some(_) => return Err(invalid("Params must be an array or object")),
    };
    Ok(RpcRequest {
        method,
        params,
        uri: caller.uri.to_owned(),
        auth_user: caller.user.to_owned(),
        repeated: Vec::new(),
    })
}

fn log_call(method: &str, envelope: &Envelope, caller: Caller<'_>) {
    let id = match &envelope.id {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(id)) => sanitize(id),
        Some(id) => sanitize(&id.to_string()),
    };
    let (method, user) = (sanitize(method), caller.user);
    match caller.peer {
        Some(peer) => tracing::debug!(
            target: "rpc",
            "ThreadRPCServer method={method} user={user} peeraddr={peer} id={id}"
        ),
        None => {
            tracing::debug!(target: "rpc", "ThreadRPCServer method={method} user={user} id={id}")
        }
    }
}

/// What of a caller's text may stand in the log: letters, digits and harmless signs, and not too many.
fn sanitize(text: &str) -> String {
    let harmless = |c: &char| c.is_ascii_alphanumeric() || " .,;-_/:?@()".contains(*c);
    text.chars().filter(harmless).take(256).collect()
}

fn forbidden(caller: Caller<'_>, method: &str) -> HttpReply {
    let method = sanitize(method);
    tracing::warn!(
        "RPC User {} not allowed to call method {method}",
        caller.user
    );
    HttpReply::empty(403)
}

/// An error outside 2.0, with the status that says its kind.
fn failure(error: RpcError, envelope: Envelope) -> HttpReply {
    let status = match error.code {
        code::INVALID_REQUEST => 400,
        code::METHOD_NOT_FOUND => 404,
        _ => 500,
    };
    let mut out = JsonWriter::default();
    write_reply(&mut out, Err(error), envelope);
    HttpReply::json(status, out)
}

/// Bytes that a reply will take at least.
fn reply_capacity(result: &Result<Output, RpcError>) -> usize {
    /// What stands around the result.
    const ENVELOPE: usize = 128;
    match result {
        Ok(Output::Text(text)) => text.len() + ENVELOPE,
        _ => ENVELOPE,
    }
}

fn write_reply(out: &mut JsonWriter, result: Result<Output, RpcError>, envelope: Envelope) {
    let write_result = |out: &mut JsonWriter, result: &Output| match result {
        Output::Value(value) => out.value(value),
        Output::Text(text) => out.json(text),
    };
    let write_error = |out: &mut JsonWriter, error: &RpcError| {
        out.object(|out| {
            out.key("code").number(error.code);
            out.key("message").string(&error.message);
        });
    };
    out.object(|out| {
        match (envelope.version, &result) {
            (Version::V1, Ok(result)) => {
                write_result(out.key("result"), result);
                out.key("error").value(&Value::Null);
            }
            (Version::V1, Err(error)) => {
                out.key("result").value(&Value::Null);
                write_error(out.key("error"), error);
            }
            (Version::V2, result) => {
                out.key("jsonrpc").plain("2.0");
                match result {
                    Ok(result) => write_result(out.key("result"), result),
                    Err(error) => write_error(out.key("error"), error),
                }
            }
        }
        if let Some(id) = &envelope.id {
            out.key("id").value(id);
        }
    });
}
