//! Address ranges, as `-rpcallowip`, `-whitelist` and `setban` write them.

use super::address::NetAddress;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use thiserror::Error;

/// A range of addresses: those that agree with `network` in the bits of `mask`. Lists of bans are in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subnet {
    /// Of IPv4 addresses.
    V4 {
        /// The network's bits.
        network: u32,
        /// Which bits count.
        mask: u32,
    },
    /// Of IPv6 addresses.
    V6 {
        /// The network's bits.
        network: u128,
        /// Which bits count.
        mask: u128,
    },
    /// One address of another network: those have no ranges.
    One(NetAddress),
}

/// The text names no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an address, address/bits or address/netmask")]
pub struct InvalidSubnet;

impl Subnet {
    /// The addresses that may always connect: 127.0.0.0/8 and ::1.
    pub const LOOPBACK: [Self; 2] = [
        Self::V4 {
            network: Ipv4Addr::new(127, 0, 0, 0).to_bits(),
            mask: 0xff00_0000,
        },
        Self::V6 {
            network: Ipv6Addr::LOCALHOST.to_bits(),
            mask: u128::MAX,
        },
    ];

    /// The addresses of CJDNS, fc00::/8.
    pub const CJDNS: Self = Self::V6 {
        network: 0xfc << 120,
        mask: 0xff << 120,
    };

    /// Whether the first address of `other` is in the range.
    pub fn holds_start_of(&self, other: &Self) -> bool {
        match *other {
            Self::V4 { network, .. } => self.contains(IpAddr::V4(Ipv4Addr::from_bits(network))),
            Self::V6 { network, .. } => self.contains(IpAddr::V6(Ipv6Addr::from_bits(network))),
            Self::One(address) => self.contains(address),
        }
    }

    /// Whether `address` is in the range. An IPv4 address written as IPv6 counts as IPv4.
    pub fn contains(&self, address: impl Into<NetAddress>) -> bool {
        match (*self, address.into()) {
            (Self::V4 { network, mask }, NetAddress::Ipv4(address)) => {
                address.to_bits() & mask == network
            }
            (Self::V6 { network, mask }, NetAddress::Ipv6(address)) => {
                address.to_bits() & mask == network
            }
            (Self::One(one), address) => one == address,
            _ => false,
        }
    }

    /// The address alone; `None` for what is no address of a node.
    pub fn single(address: NetAddress) -> Option<Self> {
        match address {
            NetAddress::Ipv4(ip) => Some(Self::V4 {
                network: ip.to_bits(),
                mask: u32::MAX,
            }),
            NetAddress::Ipv6(ip) => Some(Self::V6 {
                network: ip.to_bits(),
                mask: u128::MAX,
            }),
            NetAddress::Onion(_) | NetAddress::I2p(_) | NetAddress::Cjdns(_) => {
                Some(Self::One(address))
            }
            NetAddress::Internal(_) => None,
        }
    }
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        if let (Ok(address @ (NetAddress::Onion(_) | NetAddress::I2p(_))), None) =
            (address.parse(), mask)
        {
            return Ok(Self::One(address));
        }
        let address = match address.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or(InvalidSubnet)?,
            None => address,
        };
        match address.parse().map_err(|_| InvalidSubnet)? {
            IpAddr::V4(address) => {
                let mask = match mask {
                    None => u32::MAX,
                    Some(mask) => match mask.parse::<Ipv4Addr>() {
                        Ok(mask) => mask.to_bits(),
                        Err(_) => u32::MAX.checked_shl(32 - bits(mask, 32)?).unwrap_or(0),
                    },
                };
                if mask.leading_ones() != mask.count_ones() {
                    return Err(InvalidSubnet);
                }
                let network = address.to_bits() & mask;
                Ok(Self::V4 { network, mask })
            }
            IpAddr::V6(address) => {
                let mask = match mask {
                    None => u128::MAX,
                    Some(mask) => u128::MAX.checked_shl(128 - bits(mask, 128)?).unwrap_or(0),
                };
                let network = address.to_bits() & mask;
                Ok(Self::V6 { network, mask })
            }
        }
    }
}

/// A prefix length of at most `most`.
fn bits(text: &str, most: u32) -> Result<u32, InvalidSubnet> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let bits = text.parse().ok().filter(|bits| digits && *bits <= most);
    bits.ok_or(InvalidSubnet)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4 { network, mask } => {
                write!(f, "{}/{}", Ipv4Addr::from_bits(*network), mask.count_ones())
            }
            Self::V6 { network, mask } => {
                write!(f, "{}/{}", Ipv6Addr::from_bits(*network), mask.count_ones())
            }
            Self::One(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let cases = [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.9/255.255.255.0", "10.0.0.77", true),
            ("10.0.0.9/255.255.255.0", "10.0.1.77", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("[::1]", "::1", true),
        ];
        for (subnet, address, inside) in cases {
            let subnet: Subnet = subnet.parse().expect("a range");
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(subnet.contains(address), inside, "{subnet} {address}");
        }
        assert!(Subnet::LOOPBACK[0].contains(NetAddress::Ipv4(Ipv4Addr::new(127, 1, 2, 3))));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "/",
            "x",
            "1.2.3",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/+8",
            "1.2.3.4/255.0.255.0",
            "[::1",
            "::/129",
            "::/ffff::",
        ] {
            assert_eq!(text.parse::<Subnet>(), Err(InvalidSubnet), "{text}");
        }
    }
}
