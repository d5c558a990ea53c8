//! Listening sockets.

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, ipproto, listen as start, socket_with, sockopt,
};
use std::net::{SocketAddr, TcpListener};
use thiserror::Error;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody listens there.
    #[error("Unable to bind to {0} on this computer. {name} is probably already running.", name = crate::CLIENT_NAME)]
    InUse(SocketAddr),
    /// The system refuses.
    #[error("Unable to bind to {0} on this computer (bind returned error {1})")]
    Refused(SocketAddr, rustix::io::Errno),
    /// There is no socket to be had.
    #[error("Cannot create {0} listen socket: {1}")]
    Socket(SocketAddr, rustix::io::Errno),
}

/// Listens on `address`. IPv6 sockets take IPv6 only, so that `::` and `0.0.0.0` may both be bound.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let refused = |errno| BindError::Socket(address, errno);
    let socket = socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        Some(ipproto::TCP),
    )
    .map_err(refused)?;
    // A port of a node that has just stopped may still have connections that linger.
    sockopt::set_socket_reuseaddr(&socket, true).map_err(refused)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true).map_err(refused)?;
    }
    bind(&socket, &address).map_err(|errno| match errno {
        rustix::io::Errno::ADDRINUSE => BindError::InUse(address),
        other => BindError::Refused(address, other),
    })?;
    start(&socket, BACKLOG).map_err(refused)?;
    Ok(TcpListener::from(socket))
}
