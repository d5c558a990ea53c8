//! One request over HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest answer that is read, in bytes. No method gives as much, but a server may be any.
const MAX_RESPONSE: usize = 1 << 30;

/// Where to call, and how long to wait for an answer.
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) timeout: Duration,
}

/// An answer of any status.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Why there is none.
pub(super) enum Failure {
    /// The server cannot be reached or did not answer.
    Connection(String),
    /// The system gives no event queue.
    System(std::io::Error),
}

/// Sends `body` and gives the answer. `credentials` are `user:password`.
pub(super) fn post(
    endpoint: &Endpoint,
    path: &str,
    credentials: &str,
    body: String,
) -> Result<Response, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(Failure::System)?;
    runtime.block_on(async {
        let request = Request::post(path)
            .header(header::HOST, endpoint.host.as_str())
            .header(header::CONNECTION, "close")
            .header(header::CONTENT_TYPE, "application/json")
            .header(
                header::AUTHORIZATION,
                format!("Basic {}", STANDARD.encode(credentials)),
            )
            .body(Full::new(Bytes::from(body)))
            .map_err(failed)?;
        timeout(endpoint.timeout, send(endpoint, request))
            .await
            .map_err(|_| Failure::Connection("timeout reached".to_owned()))?
    })
}

async fn send(endpoint: &Endpoint, request: Request<Full<Bytes>>) -> Result<Response, Failure> {
    let address = (endpoint.host.as_str(), endpoint.port);
    let stream = TcpStream::connect(address)
        .await
        .map_err(|_| Failure::Connection("Could not connect to the server".to_owned()))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_RESPONSE);
        let body = body.collect().await.map_err(failed)?.to_bytes();
        let body = String::from_utf8_lossy(&body).trim_end().to_owned();
        Ok(Response { status, body })
    };
    // The exchange cannot go on without the connection, which ends after it or says what is wrong by it.
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Connection(error.to_string())
}
