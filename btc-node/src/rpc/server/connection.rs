//! One connection: its requests in order, each checked before its body is kept.

use super::timed::Timed;
use super::{
    MAX_BODY_SIZE, MAX_HEADERS_SIZE, STOP_IDLE_TIMEOUT, STOP_TIMEOUT, Shared, WRONG_PASSWORD_DELAY,
};
use crate::rpc::jsonrpc::{self, Caller, HttpReply};
use crate::rpc::rest::{self, Rest};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

type Reply = Response<Full<Bytes>>;

/// Accepts connections until the server stops.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut stopping = shared.stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop_asked(&mut stopping) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(target: "http", "Cannot accept new connection: {error}");
                // Without file descriptors every further try fails, too.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let allowed = super::Subnet::LOOPBACK.iter().chain(&shared.allow);
        if !allowed.clone().any(|subnet| subnet.contains(peer.ip())) {
            tracing::debug!(
                target: "http",
                "Connection from {peer} rejected: Client network is not allowed HTTP access"
            );
            continue;
        }
        let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() else {
            tracing::debug!(target: "http", "Connection from {peer} rejected: too many connections");
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            serve(stream, peer, shared).await;
            drop(permit);
        });
    }
}

/// Returns when the server stops, or when nobody can tell any more.
async fn stop_asked(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

async fn serve(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    tracing::debug!(target: "http", "HTTP Connection accepted from {peer}");
    // Replies are written whole; waiting to fill packets only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(target: "http", "connection from {peer}: unable to set TCP_NODELAY: {error}");
    }
    let mut stopping = shared.stopping.clone();
    let patience = shared.timeout;
    let calling = Arc::new(AtomicBool::new(false));
    let service = {
        let calling = Arc::clone(&calling);
        service_fn(move |request| {
            let (shared, calling) = (Arc::clone(&shared), Arc::clone(&calling));
            async move {
                calling.store(true, Ordering::Relaxed);
                let reply = answer(request, peer, &shared).await;
                calling.store(false, Ordering::Relaxed);
                Ok::<_, Infallible>(reply)
            }
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_headers(1024)
        .title_case_headers(true)
        .serve_connection(Timed::new(TokioIo::new(stream), patience), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => Some(served),
        () = stop_asked(&mut stopping) => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            // Finishes the request under way, if there is one; a peer that is still sending one gets no more time.
            connection.as_mut().graceful_shutdown();
            let patience = if calling.load(Ordering::Relaxed) {
                STOP_TIMEOUT
            } else {
                STOP_IDLE_TIMEOUT
            };
            tokio::time::timeout(patience, connection)
                .await
                .unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(target: "http", "HTTP connection from {peer}: {error}");
    }
    tracing::debug!(target: "http", "Disconnecting HTTP client {peer}");
}

async fn answer(request: Request<Incoming>, peer: SocketAddr, shared: &Arc<Shared>) -> Reply {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    tracing::debug!(
        target: "http",
        "Received a {} request for {} from {peer}",
        request.method(),
        path.chars().take(100).filter(|c| !c.is_control()).collect::<String>()
    );
    if header_bytes(&request) > MAX_HEADERS_SIZE {
        return closing(StatusCode::BAD_REQUEST);
    }
    let method = request.method().clone();
    let known = [Method::GET, Method::POST, Method::HEAD, Method::PUT];
    let uri = path.to_owned();
    if known.contains(&method)
        && uri.starts_with(rest::PREFIX)
        && let Some(rest) = &shared.rest
    {
        return match read_body(request.into_body(), true, shared.timeout).await {
            Ok(body) => call_rest(shared, rest, uri, body).await,
            Err(error) => broken_body(&error),
        };
    }
    let user = if !known.contains(&method) {
        Err(Refusal::Bare(StatusCode::METHOD_NOT_ALLOWED))
    } else if uri != "/" && !uri.starts_with("/wallet/") {
        Err(Refusal::Bare(StatusCode::NOT_FOUND))
    } else if method != Method::POST {
        Err(Refusal::NotPost)
    } else {
        match request.headers().get(header::AUTHORIZATION) {
            None => Err(Refusal::NoPassword),
            Some(header) => shared
                .credentials
                .authenticate(header.as_bytes())
                .ok_or(Refusal::WrongPassword),
        }
    };
    // A body is read in any case, so that the connection can go on, but kept only for a known user.
    let body = match read_body(request.into_body(), user.is_ok(), shared.timeout).await {
        Ok(body) => body,
        Err(error) => return broken_body(&error),
    };
    match user {
        Ok(user) => call(shared, user, uri, peer, body).await,
        Err(refusal) => refuse(refusal, peer, shared).await,
    }
}

fn broken_body(error: &BodyError) -> Reply {
    match error {
        BodyError::TooLarge => {
            let mut reply = closing(StatusCode::PAYLOAD_TOO_LARGE);
            let reason = ReasonPhrase::from_static(b"Content too large");
            reply.extensions_mut().insert(reason);
            reply
        }
        BodyError::Broken => closing(StatusCode::BAD_REQUEST),
        BodyError::TooSlow => closing(StatusCode::REQUEST_TIMEOUT),
    }
}

/// Why a request is answered without a call.
enum Refusal {
    Bare(StatusCode),
    NotPost,
    NoPassword,
    WrongPassword,
}

async fn refuse(refusal: Refusal, peer: SocketAddr, shared: &Shared) -> Reply {
    match refusal {
        Refusal::Bare(status) => no_store(status, ""),
        Refusal::NotPost => reply(
            StatusCode::METHOD_NOT_ALLOWED,
            "JSONRPC server handles only POST requests",
        ),
        Refusal::NoPassword => unauthorized(),
        Refusal::WrongPassword => {
            tracing::warn!("ThreadRPCServer incorrect password attempt from {peer}");
            // The semaphore is never closed, so there always is a turn.
            let _turn = shared.wrong_passwords.acquire().await;
            tokio::time::sleep(WRONG_PASSWORD_DELAY).await;
            unauthorized()
        }
    }
}

async fn call(
    shared: &Arc<Shared>,
    user: String,
    uri: String,
    peer: SocketAddr,
    body: Vec<u8>,
) -> Reply {
    if *shared.stopping.borrow() {
        return no_store(StatusCode::SERVICE_UNAVAILABLE, "");
    }
    let (done, result) = oneshot::channel();
    let worker = WorkerView {
        registry: shared.registry.clone(),
        whitelist: shared.whitelist.clone(),
        peer: shared.log_ips.then(|| peer.to_string()),
    };
    let queued = shared.queue.submit(move || {
        let caller = Caller {
            uri: &uri,
            user: &user,
            peer: worker.peer.as_deref(),
        };
        let reply = jsonrpc::handle(&worker.registry, &worker.whitelist, caller, &body);
        // The connection may have ended meanwhile.
        let _ = done.send(reply);
    });
    if queued.is_err() {
        return queue_full();
    }
    match result.await {
        Ok(HttpReply { status, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            match body {
                Some(body) => {
                    let mut response = reply(status, body);
                    let json = HeaderValue::from_static("application/json");
                    response.headers_mut().insert(header::CONTENT_TYPE, json);
                    response
                }
                None if status == StatusCode::NO_CONTENT => {
                    let mut response = Response::new(Full::default());
                    *response.status_mut() = status;
                    response
                }
                None => reply(status, ""),
            }
        }
        Err(_) => closing(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn call_rest(shared: &Shared, rest: &Arc<Rest>, uri: String, body: Vec<u8>) -> Reply {
    if *shared.stopping.borrow() {
        return no_store(StatusCode::SERVICE_UNAVAILABLE, "");
    }
    let (done, result) = oneshot::channel();
    let rest = Arc::clone(rest);
    let queued = shared.queue.submit(move || {
        // The connection may have ended meanwhile.
        let _ = done.send(rest.answer(&uri, &body));
    });
    if queued.is_err() {
        return queue_full();
    }
    match result.await {
        Ok(Some(answer)) => {
            let status =
                StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = reply(status, answer.body);
            let headers = response.headers_mut();
            let value = HeaderValue::from_static;
            headers.insert(header::CONTENT_TYPE, value(answer.content_type));
            headers.insert(header::CACHE_CONTROL, value(answer.cache));
            response
        }
        Ok(None) => no_store(StatusCode::NOT_FOUND, ""),
        Err(_) => closing(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn queue_full() -> Reply {
    tracing::warn!(
        "Request rejected because http work queue depth exceeded, it can be increased with the -rpcworkqueue= setting"
    );
    no_store(StatusCode::SERVICE_UNAVAILABLE, "Work queue depth exceeded")
}

/// What a call needs on its worker, without what would keep the queue open.
struct WorkerView {
    registry: crate::rpc::registry::Registry,
    whitelist: crate::rpc::auth::Whitelist,
    peer: Option<String>,
}

enum BodyError {
    TooLarge,
    TooSlow,
    Broken,
}

/// Reads the body; gives it only if `keep` is set.
async fn read_body(
    mut body: Incoming,
    keep: bool,
    patience: Duration,
) -> Result<Vec<u8>, BodyError> {
    use hyper::body::Body as _;
    if body.size_hint().lower() > MAX_BODY_SIZE as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut read = 0;
    let mut kept = Vec::new();
    loop {
        let frame = match tokio::time::timeout(patience, body.frame()).await {
            Err(_) => return Err(BodyError::TooSlow),
            Ok(None) => return Ok(kept),
            Ok(Some(Err(_))) => return Err(BodyError::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Some(data) = frame.data_ref() {
            read += data.len();
            if read > MAX_BODY_SIZE {
                return Err(BodyError::TooLarge);
            }
            if keep {
                kept.extend_from_slice(data);
            }
        }
    }
}

/// Bytes of the request line and headers, as they came but for spaces around values.
fn header_bytes(request: &Request<Incoming>) -> usize {
    let line =
        request.method().as_str().len() + request.uri().to_string().len() + "  HTTP/1.1\r\n".len();
    let headers = request.headers().iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    line + headers + "\r\n".len()
}

fn reply(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=ISO-8859-1");
    reply.headers_mut().insert(header::CONTENT_TYPE, html);
    reply
}

fn no_store(status: StatusCode, body: &'static str) -> Reply {
    let mut reply = reply(status, body);
    let no_store = HeaderValue::from_static("no-store");
    reply.headers_mut().insert(header::CACHE_CONTROL, no_store);
    reply
}

/// A reply after which the connection ends.
fn closing(status: StatusCode) -> Reply {
    let mut reply = no_store(status, "");
    let close = HeaderValue::from_static("close");
    reply.headers_mut().insert(header::CONNECTION, close);
    reply
}

fn unauthorized() -> Reply {
    let mut reply = reply(StatusCode::UNAUTHORIZED, "");
    let basic = HeaderValue::from_static("Basic realm=\"jsonrpc\"");
    reply.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    reply
}
