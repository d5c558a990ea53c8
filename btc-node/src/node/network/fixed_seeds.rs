//! Peers of the program's own list, for a node that hears of none otherwise.
//!
//! The lists are those that Bitcoin Core's contributors keep (see `fixed_seeds/README.md`). They age, so they come last:
//! after a minute without addresses in a network, or at once if there is nobody else to ask.

use super::Network;
use crate::net::{self, Endpoint, NetAddress, PeerAddress};
use bitcoin::key::rand::{Rng, rngs::OsRng};
use bitcoin::p2p::ServiceFlags;
use btc_consensus::params::Chain;
use std::time::Duration;

/// How long others have time to tell of addresses.
const PATIENCE: Duration = Duration::from_secs(60);
const WEEK: i64 = 7 * 24 * 60 * 60;

/// The list of a chain, an address in each line.
fn list(chain: Chain) -> &'static str {
    match chain {
        Chain::Main => include_str!("fixed_seeds/main.txt"),
        Chain::Testnet3 => include_str!("fixed_seeds/testnet3.txt"),
        Chain::Testnet4 => include_str!("fixed_seeds/testnet4.txt"),
        Chain::Signet => include_str!("fixed_seeds/signet.txt"),
        Chain::Regtest => "",
    }
}

/// Whether the list is still to be used, and when.
#[derive(Debug)]
pub(super) struct FixedSeeds {
    chain: Chain,
    enabled: bool,
    /// DNS or seed nodes may tell of addresses.
    others: bool,
    since: Option<Duration>,
}

impl FixedSeeds {
    pub(super) fn new(chain: Chain, enabled: bool, others: bool) -> Self {
        if !enabled {
            tracing::info!("Fixed seeds are disabled");
        }
        Self {
            chain,
            enabled,
            others,
            since: None,
        }
    }

    /// Puts the list into the book once it is its turn.
    pub(super) fn help(&mut self, network: &Network, has_added: bool) {
        let now = network.now();
        let since = *self.since.get_or_insert(now);
        if !self.enabled {
            return;
        }
        let directory = &network.directory;
        let reachable = directory.reachable();
        let lacking: Vec<net::Network> = {
            let book = directory.book();
            let is_empty = |network: &net::Network| {
                let counts = book.counts(Some(*network));
                counts.new + counts.tried == 0
            };
            reachable.into_iter().filter(is_empty).collect()
        };
        if lacking.is_empty() {
            return;
        }
        if now > since + PATIENCE {
            tracing::info!(
                "Adding fixed seeds as 60 seconds have passed and addrman is empty for at least one reachable network"
            );
        } else if !self.others && !has_added {
            tracing::info!(
                "Adding fixed seeds as -dnsseed=0 (or IPv4/IPv6 connections are disabled via -onlynet) and neither -addnode nor -seednode are provided"
            );
        } else {
            return;
        }
        self.enabled = false;
        let seconds = network.seconds();
        let seeds: Vec<PeerAddress> = endpoints(self.chain)
            .filter(|endpoint| lacking.contains(&endpoint.address.network()))
            .map(|endpoint| PeerAddress {
                // Old, so that whatever peers tell is tried rather.
                time: u32::try_from(seconds - OsRng.gen_range(WEEK..2 * WEEK)).unwrap_or(0),
                services: (ServiceFlags::NETWORK | ServiceFlags::WITNESS).to_u64(),
                endpoint,
            })
            .collect();
        let source = NetAddress::internal("fixedseeds");
        directory.book().add(&seeds, source, 0, seconds);
        tracing::info!("Added {} fixed seeds from reachable networks.", seeds.len());
    }
}

/// The addresses of a chain's list; those of `fc00::/8` are CJDNS's.
fn endpoints(chain: Chain) -> impl Iterator<Item = Endpoint> {
    list(chain)
        .lines()
        .filter_map(|line| Endpoint::parse(line.strip_suffix(":0").unwrap_or(line), 0))
        .map(|endpoint| Endpoint::new(endpoint.address.as_cjdns_if(true), endpoint.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_address_that_can_be_connected_to() {
        let chains = [Chain::Main, Chain::Testnet3, Chain::Testnet4, Chain::Signet];
        for chain in chains {
            let all: Vec<Endpoint> = endpoints(chain).collect();
            assert_eq!(all.len(), list(chain).lines().count());
            assert!(all.len() > 100, "{chain:?}");
            assert!(all.iter().all(|endpoint| endpoint.address.is_routable()));
            let ported = |endpoint: &Endpoint| {
                (endpoint.port == 0) == (endpoint.address.network() == net::Network::I2p)
            };
            assert!(all.iter().all(ported));
        }
        assert_eq!(endpoints(Chain::Regtest).count(), 0);
        let networks = [
            net::Network::Ipv4,
            net::Network::Ipv6,
            net::Network::Onion,
            net::Network::I2p,
            net::Network::Cjdns,
        ];
        for network in networks {
            assert!(endpoints(Chain::Main).any(|endpoint| endpoint.address.network() == network));
        }
    }
}
