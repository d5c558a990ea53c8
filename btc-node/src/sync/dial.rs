//! Whom to connect to next.
//!
//! Looked at twice in a second, it says at most one: peers of the last run for blocks first, then such for everything,
//! then for blocks alone, then those that only test whether an address works. Addresses come from the book; if it is
//! empty, from seeds.

use super::event::ConnectionKind;
use crate::net::{Directory, Endpoint, Network, PeerAddress};
use bitcoin::key::rand::rngs::StdRng;
use bitcoin::key::rand::{Rng, SeedableRng};
use bitcoin::p2p::ServiceFlags;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Peers for blocks and transactions.
pub const MAX_FULL_RELAY: usize = 8;
/// Peers for blocks alone.
pub const MAX_BLOCK_RELAY: usize = 2;
/// Connections at a time that only test an address.
pub const MAX_FEELERS: usize = 1;
/// With so many peers, seeds are not asked.
pub const ENOUGH_PEERS: usize = 2;
const FEELER_INTERVAL: Duration = Duration::from_secs(2 * 60);
const EXTRA_BLOCK_RELAY_INTERVAL: Duration = Duration::from_secs(5 * 60);
const EXTRA_NETWORK_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Between two seed nodes.
const SEED_NODE_INTERVAL: Duration = Duration::from_secs(10);
/// Addresses looked at before the next look.
const MAX_TRIES: u32 = 100;
/// An address that was just tried is tried again only after so many others.
const TRIES_WITHOUT_RECENT: u32 = 30;
const RECENT: i64 = 10 * 60;
/// Ports of other services are connected to only after so many others.
const TRIES_WITHOUT_BAD_PORTS: u32 = 50;

/// Ports of well-known services that do not expect this protocol: nobody shall make nodes knock there.
const BAD_PORTS: &[u16] = &[
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3306, 3389, 3659, 4045, 5060, 5061, 5432, 5900, 6000, 6566, 6665,
    6666, 6667, 6668, 6669, 6697, 10080, 27017,
];

/// How connections are chosen.
#[derive(Clone, Debug, Default)]
pub struct DialConfig {
    /// Connections that may be made at a time, of all kinds.
    pub max_automatic: usize,
    /// `-seednode`, asked in turn from the last one on.
    pub seed_nodes: Vec<String>,
    /// Addresses of the last run's peers for blocks.
    pub anchors: Vec<PeerAddress>,
}

/// A connection to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dial {
    /// To an address of the book.
    Peer {
        /// The address.
        address: PeerAddress,
        /// What for.
        kind: ConnectionKind,
        /// Whether a failure speaks against the address: other connections work.
        count_failure: bool,
    },
    /// To a node that is asked for addresses, by name.
    Fetch(String),
}

/// What the choice depends on, beside the book.
pub struct Situation<'a> {
    /// The time since 1970.
    pub now: Duration,
    /// Every connection that is there or being made.
    pub connections: &'a [(ConnectionKind, Endpoint)],
    /// Whether the user keeps a connection to an address.
    pub is_added: &'a dyn Fn(Endpoint) -> bool,
    /// No block came for long.
    pub try_extra: bool,
    /// Peers for blocks alone may be tried in turn.
    pub extra_block_relay: bool,
    /// Whether a peer with limited blocks is of use.
    pub limited_is_enough: bool,
}

/// Chooses.
#[derive(Debug)]
pub struct Dialer {
    config: DialConfig,
    rng: StdRng,
    started: bool,
    next_feeler: Duration,
    next_extra_block_relay: Duration,
    next_extra_network: Duration,
    seed_timer: Duration,
    ask_seed: bool,
    fetches: VecDeque<String>,
}

/// What an address must offer for a connection that lasts.
pub fn desirable_services(offered: ServiceFlags, limited_is_enough: bool) -> ServiceFlags {
    if offered.has(ServiceFlags::NETWORK_LIMITED) && limited_is_enough {
        ServiceFlags::NETWORK_LIMITED | ServiceFlags::WITNESS
    } else {
        ServiceFlags::NETWORK | ServiceFlags::WITNESS
    }
}

impl Dialer {
    /// Chooses nobody yet. `seed` makes what is random.
    pub fn new(config: DialConfig, seed: [u8; 32]) -> Self {
        Self {
            config,
            rng: StdRng::from_seed(seed),
            started: false,
            next_feeler: Duration::ZERO,
            next_extra_block_relay: Duration::ZERO,
            next_extra_network: Duration::ZERO,
            seed_timer: Duration::ZERO,
            ask_seed: false,
            fetches: VecDeque::new(),
        }
    }

    /// Peers for everything and peers for blocks, at most.
    pub fn limits(max_automatic: usize) -> (usize, usize) {
        let full = MAX_FULL_RELAY.min(max_automatic);
        (full, MAX_BLOCK_RELAY.min(max_automatic - full))
    }

    /// Asks a node for addresses as soon as there is room.
    pub fn fetch_from(&mut self, name: String) {
        self.fetches.push_back(name);
    }

    fn delay(&mut self, mean: Duration) -> Duration {
        let uniform: f64 = self.rng.gen_range(f64::EPSILON..1.0);
        mean.mul_f64(-uniform.ln())
    }

    fn start(&mut self, now: Duration, directory: &Directory) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.next_feeler = now + self.delay(FEELER_INTERVAL);
        self.next_extra_block_relay = now + self.delay(EXTRA_BLOCK_RELAY_INTERVAL);
        self.next_extra_network = now + self.delay(EXTRA_NETWORK_INTERVAL);
        self.seed_timer = now;
        self.ask_seed = directory.book().is_empty() && !self.config.seed_nodes.is_empty();
    }

    /// The connections to make now.
    pub fn next(&mut self, situation: &Situation<'_>, directory: &Directory) -> Vec<Dial> {
        self.start(situation.now, directory);
        let mut dials = Vec::new();
        if std::mem::take(&mut self.ask_seed)
            && let Some(seed) = self.config.seed_nodes.pop()
        {
            if directory.book().is_empty() {
                tracing::info!("Empty addrman, adding seednode ({seed}) to addrfetch");
            } else {
                tracing::info!(
                    "Couldn't connect to peers from addrman after {} seconds. Adding seednode ({seed}) to addrfetch",
                    SEED_NODE_INTERVAL.as_secs()
                );
            }
            self.fetches.push_back(seed);
        }
        let outgoing = situation
            .connections
            .iter()
            .filter(|(kind, _)| kind.is_automatic())
            .count();
        if outgoing >= self.config.max_automatic {
            return dials;
        }
        if let Some(name) = self.fetches.pop_front() {
            dials.push(Dial::Fetch(name));
        }
        let full = count(situation, ConnectionKind::OutboundFullRelay);
        if !self.config.seed_nodes.is_empty()
            && full < ENOUGH_PEERS
            && situation.now > self.seed_timer + SEED_NODE_INTERVAL
        {
            self.seed_timer = situation.now;
            self.ask_seed = true;
        }
        dials.extend(self.choose(situation, directory));
        dials
    }

    fn choose(&mut self, situation: &Situation<'_>, directory: &Directory) -> Option<Dial> {
        let now = situation.now;
        let (max_full, max_blocks) = Self::limits(self.config.max_automatic);
        let full = count(situation, ConnectionKind::OutboundFullRelay);
        let blocks = count(situation, ConnectionKind::BlockRelayOnly);
        let mut network = None;
        let kind = if !self.config.anchors.is_empty() && blocks < max_blocks {
            if let Some(address) = self.anchor(situation, directory) {
                return Some(Dial::Peer {
                    address,
                    kind: ConnectionKind::BlockRelayOnly,
                    count_failure: false,
                });
            }
            return None;
        } else if full < max_full {
            ConnectionKind::OutboundFullRelay
        } else if blocks < max_blocks {
            ConnectionKind::BlockRelayOnly
        } else if situation.try_extra {
            ConnectionKind::OutboundFullRelay
        } else if now > self.next_extra_block_relay && situation.extra_block_relay {
            self.next_extra_block_relay = now + self.delay(EXTRA_BLOCK_RELAY_INTERVAL);
            ConnectionKind::BlockRelayOnly
        } else if now > self.next_feeler {
            self.next_feeler = now + self.delay(FEELER_INTERVAL);
            ConnectionKind::Feeler
        } else if full == MAX_FULL_RELAY
            && now > self.next_extra_network
            && let Some(missing) = self.missing_network(situation, directory)
        {
            self.next_extra_network = now + self.delay(EXTRA_NETWORK_INTERVAL);
            network = Some(missing);
            ConnectionKind::OutboundFullRelay
        } else {
            return None;
        };
        self.choose_from_book(kind, network, situation, directory)
    }

    /// A reachable network that has addresses and no peer.
    fn missing_network(
        &mut self,
        situation: &Situation<'_>,
        directory: &Directory,
    ) -> Option<Network> {
        let present = |network| {
            situation.connections.iter().any(|(kind, endpoint)| {
                matches!(
                    kind,
                    ConnectionKind::OutboundFullRelay | ConnectionKind::Manual
                ) && endpoint.address.network() == network
            })
        };
        let reachable = directory.reachable();
        let book = directory.book();
        let missing: Vec<Network> = reachable
            .into_iter()
            .filter(|network| {
                let counts = book.counts(Some(*network));
                counts.new + counts.tried > 0 && !present(*network)
            })
            .collect();
        let index = self.rng.gen_range(0..missing.len().max(1));
        missing.get(index).copied()
    }

    fn anchor(&mut self, situation: &Situation<'_>, directory: &Directory) -> Option<PeerAddress> {
        let groups = connected_groups(situation, directory);
        while let Some(anchor) = self.config.anchors.pop() {
            let address = anchor.endpoint.address;
            let services = ServiceFlags::from(anchor.services);
            let useful = services.has(desirable_services(services, situation.limited_is_enough));
            let group = directory.book().groups().group(address);
            if address.is_valid()
                && directory.reaches(address)
                && useful
                && !directory.local().contains(address)
                && !groups.contains(&group)
            {
                tracing::debug!(
                    target: "net",
                    "Trying to make an anchor connection to {}",
                    anchor.endpoint
                );
                return Some(anchor);
            }
        }
        None
    }

    fn choose_from_book(
        &mut self,
        kind: ConnectionKind,
        network: Option<Network>,
        situation: &Situation<'_>,
        directory: &Directory,
    ) -> Option<Dial> {
        let now = i64::try_from(situation.now.as_secs()).unwrap_or(i64::MAX);
        let groups = connected_groups(situation, directory);
        directory.book().resolve_collisions(now);
        for tries in 1..=MAX_TRIES {
            let (address, last_try) = select(kind, network, situation, directory, now)?;
            let endpoint = address.endpoint;
            let feeler = kind == ConnectionKind::Feeler;
            let group = directory.book().groups().group(endpoint.address);
            if !feeler && groups.contains(&group) {
                continue;
            }
            if !endpoint.address.is_valid() || directory.local().contains(endpoint.address) {
                return None;
            }
            if now - last_try < RECENT && tries < TRIES_WITHOUT_RECENT {
                continue;
            }
            let services = ServiceFlags::from(address.services);
            let useful = if feeler {
                services.has(ServiceFlags::NETWORK) || services.has(ServiceFlags::NETWORK_LIMITED)
            } else {
                services.has(desirable_services(services, situation.limited_is_enough))
            };
            let internet = endpoint.address.ip().is_some();
            let bad_port = internet && BAD_PORTS.contains(&endpoint.port);
            if !useful || (bad_port && tries < TRIES_WITHOUT_BAD_PORTS) {
                continue;
            }
            if (situation.is_added)(endpoint) {
                tracing::debug!(
                    target: "net",
                    "Not making automatic {} connection to {} peer selected for manual (addnode) connection",
                    kind.as_str(),
                    endpoint.address.network().name()
                );
                continue;
            }
            if feeler {
                tracing::debug!(target: "net", "Making feeler connection to {endpoint}");
            }
            // Failures count if others work, which connections to several groups show.
            let enough = (self.config.max_automatic.saturating_sub(1)).min(2);
            return Some(Dial::Peer {
                address,
                kind,
                count_failure: groups.len() >= enough,
            });
        }
        None
    }
}

fn count(situation: &Situation<'_>, kind: ConnectionKind) -> usize {
    situation
        .connections
        .iter()
        .filter(|(other, _)| *other == kind)
        .count()
}

/// The groups of the peers that this node is lastingly connected to.
fn connected_groups(situation: &Situation<'_>, directory: &Directory) -> BTreeSet<Vec<u8>> {
    let book = directory.book();
    situation
        .connections
        .iter()
        .filter(|(kind, _)| {
            matches!(
                kind,
                ConnectionKind::Manual
                    | ConnectionKind::OutboundFullRelay
                    | ConnectionKind::BlockRelayOnly
            )
        })
        .map(|(_, endpoint)| book.groups().group(endpoint.address))
        .collect()
}

fn select(
    kind: ConnectionKind,
    network: Option<Network>,
    situation: &Situation<'_>,
    directory: &Directory,
    now: i64,
) -> Option<(PeerAddress, i64)> {
    let reachable = directory.reachable();
    let mut book = directory.book();
    if kind != ConnectionKind::Feeler {
        return match network {
            Some(network) => book.select(false, &[network], now),
            None => book.select(false, &reachable, now),
        };
    }
    if let Some((address, last_try)) = book.select_collision() {
        let endpoint = address.endpoint;
        let connected = situation
            .connections
            .iter()
            .any(|(_, other)| *other == endpoint);
        if !connected {
            return Some((address, last_try));
        }
        // It works, as anybody can see.
        book.good(endpoint, now);
    }
    book.select(true, &reachable, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::NetAddress;

    const NOW: u64 = 1_700_000_000;

    fn address(ip: [u8; 4], port: u16) -> PeerAddress {
        PeerAddress {
            time: NOW as u32,
            services: 9,
            endpoint: Endpoint::new(NetAddress::Ipv4(ip.into()), port),
        }
    }

    fn look(
        dialer: &mut Dialer,
        directory: &Directory,
        connections: &[(ConnectionKind, Endpoint)],
        seconds: u64,
    ) -> Vec<Dial> {
        let situation = Situation {
            now: Duration::from_secs(NOW + seconds),
            connections,
            is_added: &|_| false,
            try_extra: false,
            extra_block_relay: false,
            limited_is_enough: false,
        };
        dialer.next(&situation, directory)
    }

    #[test]
    fn peers_are_chosen_from_different_groups_until_there_are_enough() {
        let directory = Directory::empty([1; 32]);
        for a in 1..60 {
            for b in 0..3 {
                let told = address([a, 7, b, 1], 8333);
                directory
                    .book()
                    .add(&[told], told.endpoint.address, 0, NOW as i64);
            }
        }
        let config = DialConfig {
            max_automatic: 11,
            ..DialConfig::default()
        };
        let mut dialer = Dialer::new(config, [2; 32]);
        let mut connections: Vec<(ConnectionKind, Endpoint)> = Vec::new();
        for _ in 0..200 {
            for dial in look(&mut dialer, &directory, &connections, 0) {
                let Dial::Peer { address, kind, .. } = dial else {
                    panic!("there are no seeds");
                };
                connections.push((kind, address.endpoint));
            }
        }
        let of = |kind| {
            connections
                .iter()
                .filter(|(other, _)| *other == kind)
                .count()
        };
        assert_eq!(of(ConnectionKind::OutboundFullRelay), MAX_FULL_RELAY);
        assert_eq!(of(ConnectionKind::BlockRelayOnly), MAX_BLOCK_RELAY);
        let groups: BTreeSet<Vec<u8>> = connections
            .iter()
            .map(|(_, endpoint)| endpoint.address.group())
            .collect();
        assert_eq!(groups.len(), connections.len());
        let later = look(&mut dialer, &directory, &connections, 3600);
        assert!(
            matches!(
                &later[..],
                [Dial::Peer {
                    kind: ConnectionKind::Feeler,
                    ..
                }]
            ),
            "{later:?}"
        );
    }

    #[test]
    fn seeds_are_asked_at_once_by_a_node_that_knows_nobody_and_later_by_others() {
        let config = DialConfig {
            max_automatic: 11,
            seed_nodes: vec!["a".into(), "b".into()],
            ..DialConfig::default()
        };
        let empty = Directory::empty([1; 32]);
        let mut dialer = Dialer::new(config.clone(), [2; 32]);
        assert_eq!(look(&mut dialer, &empty, &[], 0), [Dial::Fetch("b".into())]);
        assert_eq!(look(&mut dialer, &empty, &[], 5), []);
        look(&mut dialer, &empty, &[], 11);
        assert_eq!(
            look(&mut dialer, &empty, &[], 11),
            [Dial::Fetch("a".into())]
        );
        let filled = Directory::empty([1; 32]);
        let told = address([1, 2, 3, 4], 22);
        filled
            .book()
            .add(&[told], told.endpoint.address, 0, NOW as i64);
        let mut dialer = Dialer::new(config, [2; 32]);
        let first = look(&mut dialer, &filled, &[], 0);
        assert!(!first.contains(&Dial::Fetch("b".into())));
    }

    #[test]
    fn the_last_runs_peers_come_first() {
        let directory = Directory::empty([1; 32]);
        let anchor = address([9, 9, 9, 9], 8333);
        let config = DialConfig {
            max_automatic: 11,
            anchors: vec![anchor],
            ..DialConfig::default()
        };
        let mut dialer = Dialer::new(config, [2; 32]);
        let expected = Dial::Peer {
            address: anchor,
            kind: ConnectionKind::BlockRelayOnly,
            count_failure: false,
        };
        assert_eq!(look(&mut dialer, &directory, &[], 0), [expected]);
        assert_eq!(look(&mut dialer, &directory, &[], 0), []);
    }
}
