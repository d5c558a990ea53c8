//! The HTTP port of the RPC.
//!
//! hyper parses; a small runtime of its own moves bytes; calls run on worker threads, since they block. What a peer can
//! make the server hold is bounded: connections, header bytes, body bytes, queued calls, and the time it may take for
//! each of them.

mod connection;
mod listen;
mod timed;
mod workers;

pub use listen::BindError;

use super::auth::{CookieFile, Credentials, Whitelist};
use super::registry::Registry;
use super::rest::Rest;
use crate::net::subnet::Subnet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use workers::Workers;

/// Bytes of request line and headers that a request may have.
pub const MAX_HEADERS_SIZE: usize = 8192;
/// Bytes of body that a request may have.
pub const MAX_BODY_SIZE: usize = 32 * 1024 * 1024;
/// Connections open at one time; more are closed at once.
pub const MAX_CONNECTIONS: usize = 512;
/// How long someone with a wrong password waits for the answer.
const WRONG_PASSWORD_DELAY: Duration = Duration::from_millis(250);
/// How long [`Server::stop`] waits for running calls, and again for their replies to be read.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it waits for a connection that has no call running.
const STOP_IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen. An address that cannot be bound is logged; one that can is enough.
    pub bind: Vec<SocketAddr>,
    /// Who may connect, besides loopback addresses.
    pub allow: Vec<Subnet>,
    /// Threads that run calls, at least one.
    pub threads: usize,
    /// Calls that may wait for a thread, at least one.
    pub work_queue: usize,
    /// How long a peer may take to send a request, to read a reply, or be idle.
    pub timeout: Duration,
    /// Whether the log shows peers' addresses with their calls.
    pub log_ips: bool,
}

impl Default for ServerConfig {
    /// On no address; with Core's defaults for the rest.
    fn default() -> Self {
        Self {
            bind: Vec::new(),
            allow: Vec::new(),
            threads: 16,
            work_queue: 64,
            timeout: Duration::from_secs(30),
            log_ips: false,
        }
    }
}

/// Who may call, and what.
#[derive(Debug, Default)]
pub struct Access {
    /// The ways in.
    pub credentials: Credentials,
    /// What each user may call.
    pub whitelist: Whitelist,
    /// The cookie file that the credentials were taken from; it is deleted when the server stops.
    pub cookie: Option<CookieFile>,
}

/// Why there is no server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// None of the addresses could be bound; each one's reason is in the log.
    #[error("Unable to bind any endpoint for RPC server")]
    NothingBound(Vec<BindError>),
    /// The system gives no thread or event queue.
    #[error("cannot start the RPC server's threads: {0}")]
    Threads(#[from] std::io::Error),
}

/// Sockets that listen already but are not served yet, so that a second node fails before it has done anything.
pub struct BoundServer {
    listeners: Vec<std::net::TcpListener>,
    config: ServerConfig,
    rest: Option<Arc<Rest>>,
}

/// A running server. Dropping it stops it.
pub struct Server {
    addresses: Vec<SocketAddr>,
    running: Mutex<Option<Running>>,
}

struct Running {
    runtime: Runtime,
    workers: Workers,
    stopping: watch::Sender<bool>,
    shared: Arc<Shared>,
    registry: Registry,
    cookie: Option<CookieFile>,
}

/// What every connection sees.
struct Shared {
    registry: Registry,
    rest: Option<Arc<Rest>>,
    credentials: Credentials,
    whitelist: Whitelist,
    allow: Vec<Subnet>,
    queue: workers::Queue,
    timeout: Duration,
    log_ips: bool,
    connections: Arc<Semaphore>,
    /// Wrong passwords that may wait at one time, so that many connections guess no faster than a few.
    wrong_passwords: Semaphore,
    stopping: watch::Receiver<bool>,
}

impl BoundServer {
    /// Listens on the addresses.
    pub fn bind(config: ServerConfig) -> Result<Self, ServerError> {
        let mut listeners = Vec::new();
        let mut errors = Vec::new();
        for address in &config.bind {
            tracing::info!(
                "Binding RPC on address {} port {}",
                address.ip(),
                address.port()
            );
            if address.ip().is_unspecified() {
                tracing::warn!(
                    "The RPC server is not safe to expose to untrusted networks such as the public internet"
                );
            }
            match listen::listen(*address) {
                Ok(listener) => listeners.push(listener),
                Err(error) => {
                    tracing::warn!("Binding RPC on address {address} failed: {error}");
                    errors.push(error);
                }
            }
        }
        if listeners.is_empty() {
            tracing::error!("Unable to bind any endpoint for RPC server");
            return Err(ServerError::NothingBound(errors));
        }
        Ok(Self {
            listeners,
            config,
            rest: None,
        })
    }

    /// Answers REST requests too, of anybody who may connect.
    #[must_use]
    pub fn with_rest(mut self, rest: Arc<Rest>) -> Self {
        self.rest = Some(rest);
        self
    }

    /// Serves the registry's methods to those whom `access` lets in.
    pub fn start(self, registry: Registry, access: Access) -> Result<Server, ServerError> {
        let Self {
            listeners,
            config,
            rest,
        } = self;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(1)
            .thread_name("http")
            .enable_io()
            .enable_time()
            .build()?;
        let threads = config.threads.max(1);
        tracing::info!("Starting HTTP server with {threads} worker threads");
        let (workers, queue) = Workers::start(threads, config.work_queue.max(1))?;
        let (stopping, stopping_seen) = watch::channel(false);
        let shared = Arc::new(Shared {
            registry: registry.clone(),
            rest,
            credentials: access.credentials,
            whitelist: access.whitelist,
            allow: config.allow,
            queue,
            timeout: config.timeout,
            log_ips: config.log_ips,
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            wrong_passwords: Semaphore::new(threads),
            stopping: stopping_seen,
        });
        let mut addresses = Vec::new();
        for listener in listeners {
            addresses.push(listener.local_addr()?);
            listener.set_nonblocking(true)?;
            let _inside = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            runtime.spawn(connection::accept(listener, Arc::clone(&shared)));
        }
        Ok(Server {
            addresses,
            running: Mutex::new(Some(Running {
                runtime,
                workers,
                stopping,
                shared,
                registry,
                cookie: access.cookie,
            })),
        })
    }
}

impl Server {
    /// Where it listens; a port that was 0 is the one the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops: takes no more connections and calls, tells waiting calls to give up, sends the replies of those that
    /// run, ends its threads, deletes the cookie file. Takes a minute at most; doing it again is harmless.
    pub fn stop(&self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(running) = running {
            running.stop();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Running {
    fn stop(self) {
        tracing::debug!(target: "http", "Stopping HTTP server");
        // Nobody receives only if every task has ended already.
        let _ = self.stopping.send(true);
        self.registry.interrupt().raise();
        let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
        let closed = self.runtime.block_on(async {
            let connections = self.shared.connections.acquire_many(all);
            tokio::time::timeout(STOP_TIMEOUT, connections)
                .await
                .is_ok()
        });
        if !closed {
            tracing::warn!("Force-disconnecting HTTP clients that did not disconnect gracefully");
        }
        // Ends the connections and so everything that could queue another call.
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        drop(self.shared);
        let deadline = Instant::now() + STOP_TIMEOUT;
        let left = self.workers.join(deadline);
        if left > 0 {
            tracing::warn!("{left} RPC calls did not end in time and were abandoned");
        }
        drop(self.cookie);
        tracing::debug!(target: "http", "Stopped HTTP server");
    }
}
