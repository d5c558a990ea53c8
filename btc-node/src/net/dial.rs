//! Ways to a peer: directly, by a proxy, or over I2P.
//!
//! Which way is taken depends on the network of the peer's address alone ([`Routes`]); a way that is set is never left for
//! another, for the user may have set it so as not to be seen.

pub mod i2p;
mod routes;
pub mod socks5;
mod stream;

pub use routes::{Proxy, ProxyAddress, Routes, SharedRoutes};
pub use stream::Stream;

use super::address::{Endpoint, NetAddress, Network, split_host_port};
use bitcoin::key::rand::{RngCore, rngs::OsRng};
use socks5::Credentials;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long a proxy may take to reach a peer.
const PROXY_TIMEOUT: Duration = Duration::from_secs(40);
/// How long an I2P router may take.
const I2P_TIMEOUT: Duration = Duration::from_secs(3 * 60);

/// Why a peer was not reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to its network.
    #[error("there is no way to the network of {0}")]
    NoRoute(NetAddress),
    /// It is no address and may not be looked up.
    #[error("it is no address, and -dns=0 looks up no names")]
    NoLookup,
    /// Its port is none.
    #[error("bad port")]
    Port,
    /// The name stands for nothing.
    #[error("the name has no address")]
    NoAddress,
    /// It took too long.
    #[error("timed out")]
    Timeout,
    /// The proxy is not there.
    #[error("cannot connect to the proxy {proxy}: {source}")]
    Proxy {
        /// Where it should be.
        proxy: ProxyAddress,
        /// Why not.
        source: io::Error,
    },
    /// The proxy did not reach the peer.
    #[error(transparent)]
    Socks5(#[from] socks5::Error),
    /// The I2P router did not.
    #[error(transparent)]
    I2p(#[from] i2p::Error),
    /// The peer could not be reached.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// Whether the way is at fault, so that nothing can be said of the peer.
    pub fn is_of_way(&self) -> bool {
        match self {
            Self::Proxy { .. } => true,
            Self::Socks5(error) => error.is_of_proxy(),
            Self::I2p(error) => error.is_of_router(),
            _ => false,
        }
    }
}

/// The way into I2P.
pub struct I2p {
    /// This node's place there.
    pub session: i2p::Session,
    /// Whether others may connect to it.
    pub accepts: bool,
}

/// Makes connections.
pub struct Dialer {
    routes: SharedRoutes,
    i2p: Option<I2p>,
    timeout: Duration,
    default_port: u16,
    look_up_names: bool,
    /// What credentials begin with, other each time the program runs, and how many there were.
    isolation: (u64, AtomicU64),
}

impl Dialer {
    /// By these ways. A direct connection, or one to a proxy, may take as long as `timeout`.
    pub fn new(
        routes: SharedRoutes,
        i2p: Option<I2p>,
        timeout: Duration,
        default_port: u16,
        look_up_names: bool,
    ) -> Self {
        Self {
            routes,
            i2p,
            timeout,
            default_port,
            look_up_names,
            isolation: (OsRng.next_u64(), AtomicU64::new(0)),
        }
    }

    /// Connects to an address or name, with or without port; gives the peer's address too, unless a proxy alone knows it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dial(&self, target: &str) -> Result<(Stream, Option<Endpoint>), Error> {
        // On I2P there are no ports; a port of 0 is the only one that can be written.
        let on_i2p = target.strip_suffix(":0").unwrap_or(target);
        let (target, default_port) = if on_i2p.ends_with(".b32.i2p") {
            (on_i2p, i2p::PORT)
        } else {
            (target, self.default_port)
        };
        if let Some(endpoint) = self.routes.parse(target, default_port) {
            return Ok((self.reach(endpoint).await?, Some(endpoint)));
        }
        let (name, port) = split_host_port(target).ok_or(Error::Port)?;
        let port = port.unwrap_or(default_port);
        if let Some(proxy) = self.routes.names() {
            return Ok((self.reach_by(&proxy, name, port).await?, None));
        }
        if !self.look_up_names {
            return Err(Error::NoLookup);
        }
        let mut last = Error::NoAddress;
        for address in tokio::net::lookup_host((name, port)).await? {
            let endpoint = self.locate(address.into());
            match self.reach(endpoint).await {
                Ok(stream) => return Ok((stream, Some(endpoint))),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// What the bytes of an address stand for where the routes lead.
    pub fn locate(&self, endpoint: Endpoint) -> Endpoint {
        self.routes.locate(endpoint)
    }

    /// Whether peers may come over I2P.
    pub fn accepts_i2p(&self) -> bool {
        self.i2p.as_ref().is_some_and(|i2p| i2p.accepts)
    }

    /// Waits for the next peer that comes over I2P.
    ///
    /// # Errors
    /// The router does not have it; or there is none.
    pub async fn accept_i2p(&self) -> Result<(Stream, Endpoint), i2p::Error> {
        let Some(I2p { session, .. }) = &self.i2p else {
            return Err(io::Error::from(io::ErrorKind::Unsupported).into());
        };
        let (stream, address) = session.accept().await?;
        Ok((stream.into(), address))
    }

    async fn reach(&self, to: Endpoint) -> Result<Stream, Error> {
        let network = to.address.network();
        if network == Network::I2p {
            let i2p = self.i2p.as_ref().ok_or(Error::NoRoute(to.address))?;
            let connected = timeout(I2P_TIMEOUT, i2p.session.connect(to)).await;
            return match connected.map_err(|_| Error::Timeout)? {
                Ok((stream, _)) => Ok(stream.into()),
                Err(error) => {
                    let stop = if matches!(error, i2p::Error::Port(_)) {
                        ","
                    } else {
                        ":"
                    };
                    tracing::debug!(target: "i2p", "Error connecting to {to}{stop} {error}");
                    Err(error.into())
                }
            };
        }
        if let Some(proxy) = self.routes.proxy(network) {
            tracing::debug!(target: "proxy", "Using proxy: {} to connect to {to}", proxy.address);
            return self
                .reach_by(&proxy, &to.address.to_string(), to.port)
                .await;
        }
        let address = to.socket_address().ok_or(Error::NoRoute(to.address))?;
        let connected = timeout(self.timeout, TcpStream::connect(address)).await;
        Ok(connected.map_err(|_| Error::Timeout)??.into())
    }

    async fn reach_by(&self, proxy: &Proxy, host: &str, port: u16) -> Result<Stream, Error> {
        let connecting = async {
            Ok(match &proxy.address {
                ProxyAddress::Ip(address) => TcpStream::connect(address).await?.into(),
                ProxyAddress::Path(path) => UnixStream::connect(path).await?.into(),
            })
        };
        let connected = timeout(self.timeout, connecting).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let mut stream: Stream = connected.map_err(|source| Error::Proxy {
            proxy: proxy.address.clone(),
            source,
        })?;
        let credentials = proxy.isolate.then(|| self.credentials());
        tracing::debug!(target: "net", "SOCKS5 connecting {host}");
        let shaking = socks5::connect(&mut stream, host, port, credentials.as_ref());
        timeout(PROXY_TIMEOUT, shaking)
            .await
            .map_err(|_| Error::Timeout)??;
        tracing::debug!(target: "net", "SOCKS5 connected {host}");
        Ok(stream)
    }

    /// Credentials that nobody else has.
    fn credentials(&self) -> Credentials {
        let (run, count) = &self.isolation;
        let text = format!("{run:016x}-{}", count.fetch_add(1, Ordering::Relaxed));
        Credentials {
            user: text.clone(),
            password: text,
        }
    }
}
