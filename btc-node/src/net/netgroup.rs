//! Who is likely to be one person: addresses by group.

use super::address::{NetAddress, Network};
use super::asmap::Asmap;

/// Groups addresses: by the autonomous system that announces them if a map of those is given (`-asmap`), else by
/// prefix.
#[derive(Clone, Debug, Default)]
pub struct NetGroups {
    asmap: Option<Asmap>,
}

impl NetGroups {
    /// By this map where it knows an address.
    pub fn new(asmap: Option<Asmap>) -> Self {
        Self { asmap }
    }

    /// Whether there is a map.
    pub fn uses_asmap(&self) -> bool {
        self.asmap.is_some()
    }

    /// What tells one map from another; zeros without.
    pub fn asmap_version(&self) -> [u8; 32] {
        self.asmap.as_ref().map_or([0; 32], Asmap::version)
    }

    /// The autonomous system of an address; 0 if that is not known.
    pub fn mapped_as(&self, address: NetAddress) -> u32 {
        let Some(asmap) = &self.asmap else {
            return 0;
        };
        match address.class() {
            Network::Ipv4 | Network::Ipv6 => {
                let bytes = match address.linked_ipv4() {
                    Some(ip) => ip.to_ipv6_mapped().octets(),
                    None => address.to_ipv6_bytes(),
                };
                asmap.lookup(&bytes)
            }
            _ => 0,
        }
    }

    /// The group of an address.
    pub fn group(&self, address: NetAddress) -> Vec<u8> {
        match self.mapped_as(address) {
            0 => address.group(),
            system => {
                // One system's IPv4 and IPv6 are one group.
                let mut group = vec![Network::Ipv6 as u8];
                group.extend(system.to_le_bytes());
                group
            }
        }
    }
}
