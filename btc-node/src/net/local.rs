//! This node's own addresses, as others may reach it.

use super::address::{Endpoint, NetAddress, Network};
use std::collections::BTreeMap;

/// How sure an address is; a higher one is rather told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An interface of this machine has it.
    Interface = 1,
    /// This node listens there.
    Bind = 2,
    /// The user says so (`-externalip`).
    User = 4,
}

#[derive(Clone, Copy, Debug)]
struct Local {
    score: u32,
    port: u16,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct LocalAddresses {
    list: BTreeMap<NetAddress, Local>,
}

impl LocalAddresses {
    /// Adds an address. One that nobody reaches is left out; says whether it was taken.
    pub fn add(&mut self, endpoint: Endpoint, origin: Origin) -> bool {
        if !endpoint.address.is_routable() {
            return false;
        }
        let score = origin as u32;
        let port = endpoint.port;
        self.list
            .entry(endpoint.address)
            .and_modify(|known| {
                if score >= known.score {
                    *known = Local {
                        score: score.saturating_add(1),
                        port,
                    };
                }
            })
            .or_insert(Local { score, port });
        true
    }

    /// Takes an address away.
    pub fn remove(&mut self, address: NetAddress) {
        self.list.remove(&address);
    }

    /// A peer reached this node by an address: it may be right.
    pub fn seen(&mut self, address: NetAddress) {
        if let Some(known) = self.list.get_mut(&address) {
            known.score = known.score.saturating_add(1);
        }
    }

    /// Whether an address is this node's.
    pub fn contains(&self, address: NetAddress) -> bool {
        self.list.contains_key(&address)
    }

    /// How sure an address is; 0 if it is not known.
    pub fn score(&self, address: NetAddress) -> u32 {
        self.list.get(&address).map_or(0, |local| local.score)
    }

    /// Address and score of each.
    pub fn list(&self) -> Vec<(Endpoint, u32)> {
        self.list
            .iter()
            .map(|(address, local)| (Endpoint::new(*address, local.port), local.score))
            .collect()
    }

    /// The address that a peer best reaches, who is connected by `network`. Addresses of overlay networks are told
    /// within them alone, so that nobody learns that two addresses are one node's.
    pub fn best_for(&self, peer: NetAddress, network: Network) -> Option<Endpoint> {
        let private = |network| matches!(network, Network::Onion | Network::I2p | Network::Cjdns);
        let mut best = None;
        for (address, local) in &self.list {
            let own = address.network();
            if own != network && (private(own) || private(network)) {
                continue;
            }
            let rank = (address.reachability_from(peer), local.score);
            if best.is_none_or(|(other, _)| rank > other) {
                best = Some((rank, Endpoint::new(*address, local.port)));
            }
        }
        best.map(|(_, endpoint)| endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_address_that_a_peer_reaches_is_told() {
        let mut local = LocalAddresses::default();
        let endpoint = |text| Endpoint::parse(text, 8333).expect("an address");
        assert!(
            !local.add(endpoint("10.0.0.1"), Origin::User),
            "nobody reaches it"
        );
        assert!(local.add(endpoint("1.2.3.4"), Origin::Interface));
        assert!(local.add(endpoint("5.6.7.8:9"), Origin::User));
        let onion = NetAddress::Onion([1; 32]);
        assert!(local.add(Endpoint::new(onion, 8333), Origin::User));
        let peer = endpoint("8.8.8.8").address;
        assert_eq!(
            local.best_for(peer, Network::Ipv4),
            Some(endpoint("5.6.7.8:9"))
        );
        let told = local.best_for(NetAddress::Onion([2; 32]), Network::Onion);
        assert_eq!(told.map(|told| told.address), Some(onion));
        for _ in 0..5 {
            local.seen(endpoint("1.2.3.4").address);
        }
        assert_eq!(
            local.best_for(peer, Network::Ipv4),
            Some(endpoint("1.2.3.4"))
        );
    }
}
