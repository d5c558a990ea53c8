//! Ranges of addresses that are set aside.

use super::NetAddress;
use std::net::Ipv4Addr;

impl NetAddress {
    /// Whether it is an address at all, and no placeholder or example of IPv6.
    pub fn is_valid(self) -> bool {
        match self {
            Self::Ipv4(ip) => !ip.is_unspecified() && !ip.is_broadcast(),
            Self::Ipv6(ip) => !ip.is_unspecified() && !self.begins(&[0x20, 0x01, 0x0d, 0xb8]),
            Self::Cjdns(ip) => ip.octets()[0] == 0xfc,
            Self::Internal(_) => false,
            Self::Onion(_) | Self::I2p(_) => true,
        }
    }

    /// Whether it is this machine's own.
    pub fn is_local(self) -> bool {
        match self {
            Self::Ipv4(ip) => matches!(ip.octets()[0], 0 | 127),
            Self::Ipv6(ip) => ip.is_loopback(),
            _ => false,
        }
    }

    /// Whether everybody may reach it: no range for private use, tests or documentation.
    pub fn is_routable(self) -> bool {
        if !self.is_valid() || self.is_local() {
            return false;
        }
        match self {
            Self::Ipv4(ip) => {
                let [a, b, ..] = ip.octets();
                !(ip.is_private()
                    || ip.is_link_local()
                    || ip.is_documentation()
                    || (a == 198 && matches!(b, 18 | 19))
                    || (a == 100 && (64..128).contains(&b)))
            }
            Self::Ipv6(ip) => {
                let bytes = ip.octets();
                let link_local = self.begins(&[0xfe, 0x80, 0, 0, 0, 0, 0, 0]);
                let private = bytes[0] & 0xfe == 0xfc;
                let orchid =
                    self.begins(&[0x20, 0x01, 0]) && matches!(bytes[3] & 0xf0, 0x10 | 0x20);
                !(link_local || private || orchid)
            }
            _ => true,
        }
    }

    /// The IPv4 address that it is, or that an IPv6 tunnel or translation leads to.
    pub fn linked_ipv4(self) -> Option<Ipv4Addr> {
        if !self.is_routable() {
            return None;
        }
        let Self::Ipv6(ip) = self else {
            return match self {
                Self::Ipv4(ip) => Some(ip),
                _ => None,
            };
        };
        let bytes = ip.octets();
        let four = |at: usize| -> [u8; 4] { bytes[at..at + 4].try_into().expect("four bytes") };
        if self.is_translated() {
            Some(four(12).into())
        } else if self.is_6to4() {
            Some(four(2).into())
        } else if self.is_teredo() {
            Some(four(12).map(|byte| !byte).into())
        } else {
            None
        }
    }

    /// Reached by Teredo (RFC 4380).
    pub(super) fn is_teredo(self) -> bool {
        self.begins(&[0x20, 0x01, 0, 0])
    }

    fn is_6to4(self) -> bool {
        self.begins(&[0x20, 0x02])
    }

    /// IPv4 translated to IPv6 (RFC 6052, RFC 6145).
    fn is_translated(self) -> bool {
        self.begins(&[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0])
            || self.begins(&[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0])
    }

    fn begins(self, prefix: &[u8]) -> bool {
        match self {
            Self::Ipv6(ip) => ip.octets().starts_with(prefix),
            _ => false,
        }
    }

    /// How well this address of ours can be reached from `partner`; the highest is told to it.
    pub fn reachability_from(self, partner: Self) -> Reachability {
        use super::Network::{Cjdns, I2p, Ipv4, Ipv6, Onion};
        if !self.is_routable() {
            return Reachability::Unreachable;
        }
        let (ours, theirs) = (self.kind(), partner.network());
        let (ours_teredo, theirs_teredo) = (self.is_teredo(), partner.is_teredo());
        let tunnel = self.is_6to4() || self.is_translated();
        match (theirs, ours) {
            (Ipv6, _) if theirs_teredo && ours_teredo => Reachability::Teredo,
            (Ipv6, Ipv6) if theirs_teredo => Reachability::Ipv6Weak,
            (Ipv6, _) if ours_teredo => Reachability::Teredo,
            (Ipv6, Ipv6) if !tunnel => Reachability::Ipv6Strong,
            (Ipv6, Ipv6) => Reachability::Ipv6Weak,
            (Ipv4 | Ipv6 | Onion, Ipv4) => Reachability::Ipv4,
            (Onion, Onion) | (I2p, I2p) | (Cjdns, Cjdns) => Reachability::Private,
            (Ipv4 | Onion | I2p | Cjdns, _) | (Ipv6, Onion | I2p | Cjdns) => Reachability::Default,
            // From nowhere in particular.
            (_, Ipv6) if ours_teredo => Reachability::Teredo,
            (_, Ipv6) => Reachability::Ipv6Weak,
            (_, Ipv4) => Reachability::Ipv4,
            (_, Onion) => Reachability::Private,
            _ => Reachability::Default,
        }
    }
}

/// How well one address is reached from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reachability {
    /// Not at all.
    Unreachable,
    /// Somehow.
    Default,
    /// By a tunnel that few have.
    Teredo,
    /// By IPv6 over IPv4.
    Ipv6Weak,
    /// By IPv4.
    Ipv4,
    /// By IPv6 itself.
    Ipv6Strong,
    /// Within the same overlay network.
    Private,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_for_special_use_are_not_routable() {
        for text in [
            "0.0.0.0",
            "255.255.255.255",
            "127.0.0.1",
            "10.1.1.1",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.0.1",
            "198.18.0.1",
            "100.64.0.1",
            "192.0.2.1",
            "203.0.113.9",
            "::",
            "::1",
            "2001:db8::1",
            "fe80::1",
            "fd00::1",
            "2001:10::1",
            "2001:20::1",
        ] {
            let address: NetAddress = text.parse().expect("an address");
            assert!(!address.is_routable(), "{text}");
        }
        for text in ["8.8.8.8", "100.63.0.1", "2001:4860:4860::8888"] {
            let address: NetAddress = text.parse().expect("an address");
            assert!(address.is_routable(), "{text}");
        }
    }

    #[test]
    fn the_address_told_is_the_one_best_reached() {
        let address = |text: &str| text.parse::<NetAddress>().expect("an address");
        let (v4, v6) = (address("8.8.8.8"), address("2001:4860::1"));
        assert!(v4.reachability_from(v4) > v6.reachability_from(v4));
        assert!(v6.reachability_from(v6) > v4.reachability_from(v6));
        let onion = NetAddress::Onion([7; 32]);
        assert!(onion.reachability_from(onion) > v4.reachability_from(onion));
        assert!(v4.reachability_from(v6) > onion.reachability_from(v6));
    }
}
