//! The addresses of this machine's interfaces.

use super::address::NetAddress;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Addresses that this machine sends from, towards the internet of either family. Nothing is sent to find out.
pub fn addresses() -> Vec<NetAddress> {
    // Addresses for documentation: a route there is a route to anywhere.
    ["192.0.2.1:9", "[2001:db8::1]:9"]
        .iter()
        .filter_map(|target| target.parse::<SocketAddr>().ok())
        .filter_map(|target| {
            let any: IpAddr = if target.is_ipv4() {
                std::net::Ipv4Addr::UNSPECIFIED.into()
            } else {
                std::net::Ipv6Addr::UNSPECIFIED.into()
            };
            let socket = UdpSocket::bind((any, 0)).ok()?;
            socket.connect(target).ok()?;
            Some(socket.local_addr().ok()?.ip().into())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_address_is_unspecified() {
        let none = super::NetAddress::UNSPECIFIED;
        assert!(super::addresses().iter().all(|address| *address != none));
    }
}
