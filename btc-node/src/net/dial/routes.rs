//! Which networks are reached how.

use crate::net::address::{Endpoint, Network};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Where a proxy listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyAddress {
    /// On this address.
    Ip(SocketAddr),
    /// On a socket of this machine.
    Path(PathBuf),
}

impl std::fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Path(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A SOCKS5 proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Where it listens.
    pub address: ProxyAddress,
    /// Whether it is told other credentials each time, so that Tor keeps connections apart (`-proxyrandomize`).
    pub isolate: bool,
}

/// Which networks are reached how; those that are not named, directly.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// By these proxies.
    pub proxies: BTreeMap<Network, Proxy>,
    /// Names are not looked up, but given to this one.
    pub names: Option<Proxy>,
    /// CJDNS is reached (`-cjdnsreachable`): IPv6 addresses of `fc00::/8` are its.
    pub cjdns: bool,
}

impl Routes {
    /// What the bytes of an address stand for where these routes lead.
    #[must_use]
    pub fn locate(&self, endpoint: Endpoint) -> Endpoint {
        Endpoint::new(endpoint.address.as_cjdns_if(self.cjdns), endpoint.port)
    }

    /// Reads an address with or without port, as a user wrote it; `None` for names.
    pub fn parse(&self, text: &str, default_port: u16) -> Option<Endpoint> {
        Some(self.locate(Endpoint::parse(text, default_port)?))
    }
}

/// Routes that change while a node runs: Tor says late where its proxy is. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SharedRoutes(Arc<RwLock<Routes>>);

impl SharedRoutes {
    /// To begin with these.
    pub fn new(routes: Routes) -> Self {
        Self(Arc::new(RwLock::new(routes)))
    }

    fn get(&self) -> RwLockReadGuard<'_, Routes> {
        // Each change is a single insertion, so the map is whole after a panic elsewhere.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Routes::locate`].
    #[must_use]
    pub fn locate(&self, endpoint: Endpoint) -> Endpoint {
        self.get().locate(endpoint)
    }

    /// As [`Routes::parse`].
    pub fn parse(&self, text: &str, default_port: u16) -> Option<Endpoint> {
        self.get().parse(text, default_port)
    }

    /// The proxy to a network.
    pub fn proxy(&self, network: Network) -> Option<Proxy> {
        self.get().proxies.get(&network).cloned()
    }

    /// The proxy that names are given to.
    pub fn names(&self) -> Option<Proxy> {
        self.get().names.clone()
    }

    /// Reaches a network by this proxy from now on.
    pub fn set_proxy(&self, network: Network, proxy: Proxy) {
        let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        routes.proxies.insert(network, proxy);
    }
}
