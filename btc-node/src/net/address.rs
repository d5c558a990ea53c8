//! Addresses of nodes, on the internet and on the networks laid over it.
//!
//! The order of addresses and the bytes that stand for them are part of formats: bans are listed in this order, and
//! buckets of the [address book](super::addrman) are chosen by the bytes.

mod ranges;
mod text;
mod wire;

pub use text::{ParseAddressError, split_host_port};
pub use wire::PeerAddress;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Kinds of addresses, in the order that formats have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// What no route leads to.
    Unroutable = 0,
    /// IPv4.
    Ipv4 = 1,
    /// IPv6.
    Ipv6 = 2,
    /// Tor's onion services, version 3.
    Onion = 3,
    /// I2P.
    I2p = 4,
    /// CJDNS.
    Cjdns = 5,
    /// Names inside this program.
    Internal = 6,
}

impl Network {
    /// The networks that peers are reached over.
    pub const ALL: [Self; 5] = [Self::Ipv4, Self::Ipv6, Self::Onion, Self::I2p, Self::Cjdns];

    /// The name that options and RPC have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unroutable => "not_publicly_routable",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Onion => "onion",
            Self::I2p => "i2p",
            Self::Cjdns => "cjdns",
            Self::Internal => "internal",
        }
    }

    /// The network of such a name; case does not count.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|network| network.name().eq_ignore_ascii_case(name))
    }
}

/// The address of a node, without port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NetAddress {
    /// IPv4.
    Ipv4(Ipv4Addr),
    /// IPv6, none that stands for an address of another kind.
    Ipv6(Ipv6Addr),
    /// The public key of an onion service of version 3.
    Onion([u8; 32]),
    /// The hash of an I2P destination.
    I2p([u8; 32]),
    /// CJDNS.
    Cjdns(Ipv6Addr),
    /// Stands for a name that addresses were learned from; never on the wire.
    Internal([u8; 10]),
}

/// What an [internal](NetAddress::Internal) address begins with where it is written as IPv6: fd + sha256("bitcoin")[0:5].
const INTERNAL_PREFIX: [u8; 6] = [0xfd, 0x6b, 0x88, 0xc0, 0x87, 0x24];
/// Onion services of version 2, which are no more, were written as IPv6 with this prefix.
const ONION_V2_PREFIX: [u8; 6] = [0xfd, 0x87, 0xd8, 0x7e, 0xeb, 0x43];

impl NetAddress {
    /// The address that is none.
    pub const UNSPECIFIED: Self = Self::Ipv6(Ipv6Addr::UNSPECIFIED);

    /// The address that stands for a name.
    pub fn internal(name: &str) -> Self {
        use bitcoin::hashes::{Hash, sha256};
        let hash = sha256::Hash::hash(name.as_bytes()).to_byte_array();
        Self::Internal(*hash.first_chunk().expect("a hash is longer"))
    }

    /// Reads the sixteen bytes that older messages have for any address.
    pub fn from_ipv6_bytes(bytes: [u8; 16]) -> Self {
        let ip = Ipv6Addr::from(bytes);
        if let Some(ip) = ip.to_ipv4_mapped() {
            Self::Ipv4(ip)
        } else if bytes.starts_with(&INTERNAL_PREFIX) {
            Self::Internal(bytes[6..].try_into().expect("ten bytes are left"))
        } else if bytes.starts_with(&ONION_V2_PREFIX) {
            Self::UNSPECIFIED
        } else {
            Self::Ipv6(ip)
        }
    }

    /// As sixteen bytes; zeros if that cannot be.
    pub fn to_ipv6_bytes(self) -> [u8; 16] {
        match self {
            Self::Ipv4(ip) => ip.to_ipv6_mapped().octets(),
            Self::Ipv6(ip) => ip.octets(),
            Self::Internal(rest) => {
                let mut bytes = [0; 16];
                bytes[..6].copy_from_slice(&INTERNAL_PREFIX);
                bytes[6..].copy_from_slice(&rest);
                bytes
            }
            Self::Onion(_) | Self::I2p(_) | Self::Cjdns(_) => [0; 16],
        }
    }

    /// The bytes that stand for it where addresses are hashed: those that have sixteen bytes in older messages as
    /// there, others as they are.
    pub fn key_bytes(self) -> Vec<u8> {
        match self {
            Self::Ipv4(_) | Self::Ipv6(_) | Self::Internal(_) => self.to_ipv6_bytes().to_vec(),
            Self::Onion(key) | Self::I2p(key) => key.to_vec(),
            Self::Cjdns(ip) => ip.octets().to_vec(),
        }
    }

    /// The kind of its bytes.
    pub fn network(self) -> Network {
        match self {
            Self::Internal(_) => Network::Internal,
            _ if !self.is_routable() => Network::Unroutable,
            _ => self.kind(),
        }
    }

    /// The kind of its bytes, whether or not a route leads there.
    fn kind(self) -> Network {
        match self {
            Self::Ipv4(_) => Network::Ipv4,
            Self::Ipv6(_) => Network::Ipv6,
            Self::Onion(_) => Network::Onion,
            Self::I2p(_) => Network::I2p,
            Self::Cjdns(_) => Network::Cjdns,
            Self::Internal(_) => Network::Internal,
        }
    }

    /// The network by which it is reached in the end: IPv4 for tunnels to it.
    pub fn class(self) -> Network {
        match self.network() {
            Network::Ipv6 if self.linked_ipv4().is_some() => Network::Ipv4,
            network => network,
        }
    }

    /// Read as CJDNS if it is of `fc00::/8` and CJDNS is reachable: the bytes do not tell it from a private IPv6 net.
    #[must_use]
    pub fn as_cjdns_if(self, reachable: bool) -> Self {
        match self {
            Self::Ipv6(ip) if reachable && ip.octets()[0] == 0xfc => Self::Cjdns(ip),
            other => other,
        }
    }

    /// The group of addresses that one person may well have many of: for connections to be spread over, and for the
    /// buckets of the address book.
    pub fn group(self) -> Vec<u8> {
        let class = self.class();
        let mut group = vec![class as u8];
        let bits = if self.is_local() {
            0
        } else if let Self::Internal(bytes) = self {
            group.extend(bytes);
            return group;
        } else if !self.is_routable() {
            0
        } else if let Some(ip) = self.linked_ipv4() {
            group.extend(&ip.octets()[..2]);
            return group;
        } else {
            match self {
                Self::Onion(_) | Self::I2p(_) => 4,
                // The first byte is the same for all.
                Self::Cjdns(_) => 12,
                // Hurricane Electric gives tunnels to anybody.
                Self::Ipv6(ip) if ip.octets().starts_with(&[0x20, 0x01, 0x04, 0x70]) => 36,
                _ => 32,
            }
        };
        let bytes = self.key_bytes();
        let (whole, rest) = (bits / 8, bits % 8);
        group.extend(&bytes[..whole]);
        if rest > 0 {
            group.push(bytes[whole] | ((1u8 << (8 - rest)) - 1));
        }
        group
    }

    /// As an address of the internet.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ipv4(ip) => Some(ip.into()),
            Self::Ipv6(ip) | Self::Cjdns(ip) => Some(ip.into()),
            _ => None,
        }
    }
}

impl From<IpAddr> for NetAddress {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::Ipv4(ip),
            IpAddr::V6(ip) => Self::from_ipv6_bytes(ip.octets()),
        }
    }
}

/// Where a node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address.
    pub address: NetAddress,
    /// Its port; 0 on I2P, which has none.
    pub port: u16,
}

impl Endpoint {
    /// An address and a port.
    pub fn new(address: impl Into<NetAddress>, port: u16) -> Self {
        Self {
            address: address.into(),
            port,
        }
    }

    /// The bytes that stand for it where endpoints are hashed.
    pub fn key_bytes(self) -> Vec<u8> {
        let mut bytes = self.address.key_bytes();
        bytes.extend(self.port.to_be_bytes());
        bytes
    }

    /// Where a socket of the internet connects to; `None` on other networks.
    pub fn socket_address(self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address.ip()?, self.port))
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip(), address.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> NetAddress {
        text.parse().expect("an address")
    }

    #[test]
    fn groups_gather_what_one_person_may_have() {
        for (text, group) in [
            ("127.0.0.1", "00"),
            ("10.0.0.1", "00"),
            ("169.254.1.1", "00"),
            ("1.2.3.4", "010102".get(2..).expect("hex")),
            ("::FFFF:0:102:304", "0102"),
            ("64:FF9B::102:304", "0102"),
            ("2002:102:304:9999:9999:9999:9999:9999", "0102"),
            ("2001:0:9999:9999:9999:9999:FEFD:FCFB", "0102"),
            ("2001:470:abcd:9999:9999:9999:9999:9999", "0220010470af"),
            ("2001:2001:9999:9999:9999:9999:9999:9999", "0220012001"),
        ] {
            let found: String = address(text)
                .group()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let expected = if group == "0102" { "010102" } else { group };
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn sixteen_bytes_stand_for_several_kinds() {
        let v4 = address("1.2.3.4");
        assert_eq!(NetAddress::from_ipv6_bytes(v4.to_ipv6_bytes()), v4);
        let name = NetAddress::internal("fixedseeds");
        assert_eq!(NetAddress::from_ipv6_bytes(name.to_ipv6_bytes()), name);
        assert!(!name.is_routable() && name.network() == Network::Internal);
        let mut onion = [1; 16];
        onion[..6].copy_from_slice(&ONION_V2_PREFIX);
        assert_eq!(NetAddress::from_ipv6_bytes(onion), NetAddress::UNSPECIFIED);
    }

    #[test]
    fn what_looks_like_cjdns_is_so_only_where_it_is_reached() {
        let private = address("fc00::1");
        assert!(!private.is_routable());
        assert_eq!(private.as_cjdns_if(false), private);
        assert_eq!(private.as_cjdns_if(true).network(), Network::Cjdns);
    }
}
