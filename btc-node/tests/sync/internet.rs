//! Nodes that find each other: addresses told on, connections chosen and taken, over a simulated internet.
//!
//! What decides is the node's own: its book, its dialer, its rules for who may connect, the relay of addresses between
//! its peers. Only the lines between the addresses are the simulator's.

use crate::simulator::{Network, Node};
use btc_node::net::connections::{Opened, Origin};
use btc_node::net::dial::SharedRoutes;
use btc_node::net::local;
use btc_node::net::{Endpoint, Message, NetAddress, PeerAddress};
use btc_node::sync::admission::{self, Verdict};
use btc_node::sync::dial::{Dial, DialConfig, Dialer, Situation};
use btc_node::sync::links::{Attempt, Links, Notation};
use btc_node::sync::{Config, ConnectionKind, PeerId, Permissions};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const PORT: u16 = 8333;
/// Full node with witnesses.
const SERVICES: u64 = 9;

/// A node's place in the network.
struct Host {
    address: Endpoint,
    links: Links,
    dialer: Dialer,
    max_inbound: usize,
}

/// A network whose nodes choose their own connections.
struct Internet {
    net: Network,
    hosts: Vec<Host>,
    /// Who is reached at an address.
    map: BTreeMap<NetAddress, usize>,
    next_port: u16,
    /// How often nodes look whom to connect to.
    step: Duration,
}

/// The address of a node, each in a group of its own.
fn home(node: usize) -> Endpoint {
    Endpoint::from(SocketAddr::from(([20, node as u8 + 1, 7, 1], PORT)))
}

/// One of many addresses of somebody who has them in `groups` groups.
fn swarm(index: u32, groups: u32) -> Endpoint {
    let [_, _, high, low] = (index / groups + 1).to_be_bytes();
    Endpoint::from(SocketAddr::from((
        [60, (index % groups) as u8, high, low],
        PORT,
    )))
}

fn dial_config() -> DialConfig {
    DialConfig {
        max_automatic: 11,
        ..DialConfig::default()
    }
}

impl Internet {
    fn new(count: usize, seed: u64) -> Self {
        let config = Config {
            listens: true,
            dials: true,
            port: PORT,
            ..Config::default()
        };
        let nodes = (0..count).map(|index| Node::with(index, config.clone(), |_| {}));
        let mut net = Network::of(nodes.collect(), seed);
        let step = Duration::from_secs(5);
        net.tick = step;
        let hosts = (0..count).map(|node| Host {
            address: home(node),
            links: Links::new(Vec::new()),
            dialer: Dialer::new(dial_config(), [seed as u8 ^ node as u8; 32]),
            max_inbound: 114,
        });
        let hosts: Vec<Host> = hosts.collect();
        for (node, host) in net.nodes.iter().zip(&hosts) {
            let mut own = node.directory.local();
            assert!(own.add(host.address, local::Origin::Interface));
        }
        Self {
            net,
            map: (0..count).map(|node| (home(node).address, node)).collect(),
            hosts,
            next_port: 30_000,
            step,
        }
    }

    fn seconds(&self) -> i64 {
        self.net.now.as_secs() as i64
    }

    /// Has a node know addresses, as seeds tell them.
    fn tell(&self, node: usize, addresses: impl IntoIterator<Item = Endpoint>) {
        let told: Vec<PeerAddress> = addresses
            .into_iter()
            .map(|endpoint| self.fresh(endpoint))
            .collect();
        let source = NetAddress::internal("seed");
        self.net.nodes[node]
            .directory
            .book()
            .add(&told, source, 0, self.seconds());
    }

    fn fresh(&self, endpoint: Endpoint) -> PeerAddress {
        PeerAddress {
            time: self.seconds() as u32,
            services: SERVICES,
            endpoint,
        }
    }

    /// Lets time go by: nodes look whom to connect to, connections are made, messages travel.
    fn run(&mut self, time: Duration) {
        let end = self.net.now + time;
        while self.net.now < end {
            for node in 0..self.hosts.len() {
                self.forget_closed(node);
                self.dial(node);
            }
            self.net.run(self.step);
        }
    }

    fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.net.now + limit;
        while !done(self) {
            if self.net.now >= end {
                return false;
            }
            self.run(4 * self.step);
        }
        true
    }

    fn forget_closed(&mut self, node: usize) {
        let (links, net) = (&mut self.hosts[node].links, &self.net);
        let gone: Vec<u64> = (links.open.keys().copied())
            .filter(|id| !net.is_open(node, PeerId(*id)))
            .collect();
        for id in gone {
            links.remove(id, None);
        }
    }

    fn dial(&mut self, node: usize) {
        let Host { links, dialer, .. } = &mut self.hosts[node];
        let peers = &self.net.nodes[node].peers;
        let directory = &self.net.nodes[node].directory;
        let (try_extra, extra_block_relay) = peers.wants_extra();
        let notation = Notation {
            default_port: PORT,
            routes: SharedRoutes::default(),
        };
        let situation = Situation {
            now: self.net.now,
            connections: &links.connections(),
            is_added: &|endpoint| links.is_added(endpoint, &notation),
            try_extra,
            extra_block_relay,
            limited_is_enough: peers.limited_is_enough(),
        };
        for dial in dialer.next(&situation, directory) {
            let Dial::Peer {
                address,
                kind,
                count_failure,
            } = dial
            else {
                panic!("there are no seed nodes");
            };
            let now = self.net.now.as_secs() as i64;
            let open = self.hosts[node].links.connections();
            if admission::outgoing(address.endpoint, count_failure, &open, directory, now) {
                let attempt = self.hosts[node].links.begin(Attempt {
                    name: None,
                    address: Some(address),
                    kind,
                    v2: false,
                });
                let from = home(node).address;
                self.reach(node, from, address.endpoint, Some(attempt), kind);
                return;
            }
        }
    }

    /// Has a node connect to an address, from an address of its own. Nothing comes of it if nobody is there, the line is
    /// cut or the other does not take it.
    fn reach(
        &mut self,
        from: usize,
        near: NetAddress,
        to: Endpoint,
        attempt: Option<u64>,
        kind: ConnectionKind,
    ) -> Option<PeerId> {
        let attempt = attempt.and_then(|number| self.hosts[from].links.end(number));
        let host = *self.map.get(&to.address)?;
        if host == from || self.net.is_cut(from, host) || !self.is_taken(host, near) {
            return None;
        }
        self.next_port += 1;
        let near = Endpoint::new(near, self.next_port);
        let ids = self.net.link([from, host]);
        for (node, id, address, attempt) in
            [(from, ids[0], to, attempt), (host, ids[1], near, None)]
        {
            let origin = match &attempt {
                Some(_) => Origin::Attempt(0),
                None => Origin::Listener(([0, 0, 0, 0], PORT).into()),
            };
            let opened = Opened {
                id: id.0,
                address,
                origin,
            };
            self.hosts[node].links.add(&opened, attempt);
        }
        self.net.greet([from, host], ids, kind, [to, near]);
        Some(ids[0])
    }

    /// Whether a node takes a connection from an address, which may cost another its place.
    fn is_taken(&mut self, host: usize, near: NetAddress) -> bool {
        self.forget_closed(host);
        let Host {
            links, max_inbound, ..
        } = &self.hosts[host];
        let inbound = (links.count(ConnectionKind::Inbound), *max_inbound);
        let directory = &self.net.nodes[host].directory;
        match admission::incoming(
            near,
            Permissions::default(),
            inbound,
            directory,
            self.seconds(),
        ) {
            Verdict::Take => true,
            Verdict::Drop(_) => false,
            Verdict::MakeRoom => {
                let (made, actions) = self.net.nodes[host].peers.make_room();
                for action in actions {
                    self.net.act(host, action);
                }
                made
            }
        }
    }

    /// The addresses of a node's connections of a kind.
    fn peers(&self, node: usize, kind: ConnectionKind) -> Vec<Endpoint> {
        let open = self.hosts[node].links.open.iter();
        open.filter(|(id, link)| link.kind == kind && self.net.is_open(node, PeerId(**id)))
            .map(|(_, link)| link.address)
            .collect()
    }

    fn outbound(&self, node: usize) -> Vec<Endpoint> {
        let mut peers = self.peers(node, ConnectionKind::OutboundFullRelay);
        peers.extend(self.peers(node, ConnectionKind::BlockRelayOnly));
        peers
    }

    /// Whether every node is reached from any, without the lines of `without`.
    fn is_connected(&self, without: &[usize]) -> bool {
        let nodes: BTreeSet<usize> = (0..self.hosts.len())
            .filter(|node| !without.contains(node))
            .collect();
        let mut seen: BTreeSet<usize> = nodes.first().copied().into_iter().collect();
        loop {
            let more: BTreeSet<usize> = nodes
                .iter()
                .flat_map(|node| {
                    let others = self.outbound(*node).into_iter();
                    others.filter_map(|peer| Some((*node, *self.map.get(&peer.address)?)))
                })
                .filter(|(a, b)| seen.contains(a) != seen.contains(b))
                .flat_map(|(a, b)| [a, b])
                .filter(|node| nodes.contains(node))
                .collect();
            if more.is_subset(&seen) {
                return seen == nodes;
            }
            seen.extend(more);
        }
    }

    /// Ends a node's connections and has it start anew: its book and the anchors are all that it keeps.
    fn restart(&mut self, node: usize) {
        let anchors = self.peers(node, ConnectionKind::BlockRelayOnly);
        let anchors = anchors.into_iter().take(2).map(|anchor| self.fresh(anchor));
        let config = DialConfig {
            anchors: anchors.collect(),
            ..dial_config()
        };
        self.hosts[node].dialer = Dialer::new(config, [99; 32]);
        self.net.isolate(node);
        self.net.run(self.step);
        self.forget_closed(node);
    }
}

/// A network that grew from one address, which every node was told when it started.
fn grown(count: usize, seed: u64) -> Internet {
    let internet = Internet::new(count, seed);
    internet.net.nodes[0].generate(5);
    for node in 1..count {
        internet.tell(node, [home(0)]);
    }
    internet
}

#[test]
fn nodes_find_each_other_from_one_address() {
    const COUNT: usize = 8;
    let mut internet = grown(COUNT, 1);
    // Two nodes need but one connection, whoever made it.
    let settled = |internet: &Internet| {
        let enough = |node| {
            let inbound = internet.peers(node, ConnectionKind::Inbound);
            internet.outbound(node).len() + inbound.len() >= 4
        };
        (1..COUNT).all(enough) && internet.is_connected(&[0])
    };
    assert!(internet.run_until(4 * HOUR, settled));
    assert!(internet.net.agree());
    // The first one is needed no more.
    let others: Vec<usize> = (1..COUNT).collect();
    internet.net.partition(&[0], &others);
    internet.net.nodes[COUNT - 1].generate(1);
    let tip = internet.net.nodes[COUNT - 1].tip();
    let have_it = move |internet: &Internet| {
        let mut nodes = internet.net.nodes.iter().skip(1);
        nodes.all(|node| node.tip() == tip)
    };
    assert!(internet.run_until(5 * MINUTE, have_it));
}

#[test]
fn a_network_that_fell_apart_grows_together_by_itself() {
    const COUNT: usize = 8;
    let mut internet = grown(COUNT, 2);
    for node in 0..COUNT {
        internet.tell(node, (0..COUNT).filter(|other| *other != node).map(home));
    }
    let all: Vec<usize> = (0..COUNT).collect();
    let (left, right) = all.split_at(COUNT / 2);
    let agree = |internet: &Internet| internet.net.agree() && internet.is_connected(&[]);
    assert!(internet.run_until(30 * MINUTE, agree));
    internet.net.partition(left, right);
    internet.run(5 * MINUTE);
    internet.net.nodes[0].generate(2);
    // At another time, so that the blocks are others.
    internet.run(MINUTE);
    internet.net.nodes[COUNT - 1].generate(4);
    internet.run(5 * MINUTE);
    assert_eq!(internet.net.nodes[1].chain.tip().height, 7);
    assert_eq!(internet.net.nodes[COUNT - 2].chain.tip().height, 9);
    internet.net.heal();
    assert!(internet.run_until(2 * HOUR, agree));
    assert_eq!(internet.net.nodes[0].chain.tip().height, 9);
}

#[test]
fn what_was_only_heard_of_is_tried_before_it_is_needed() {
    let mut internet = Internet::new(12, 3);
    internet.net.nodes[0].generate(5);
    // Eleven others, of which ten are connected to for good, and addresses where nobody is.
    internet.tell(0, (1..12).map(home));
    internet.tell(0, (0..10).map(|index| swarm(index, 10)));
    internet.run(75 * MINUTE);
    let connected = internet.outbound(0);
    assert_eq!(connected.len(), 10);
    let tried = internet.net.nodes[0].directory.book().places(true);
    let tried: BTreeSet<Endpoint> = (tried.iter())
        .map(|(_, entry)| entry.address.endpoint)
        .collect();
    // A feeler tries the addresses in turn: those that work are known to, beyond those that are in use.
    assert!(tried.len() > 10, "{tried:?}");
    assert!(
        tried
            .iter()
            .all(|endpoint| internet.map.contains_key(&endpoint.address))
    );
}

#[test]
fn a_node_keeps_honest_peers_when_an_attacker_fills_its_book() {
    const HONEST: usize = 14;
    const GROUPS: u32 = 4;
    const ATTACKER: usize = HONEST + 1;
    let mut internet = Internet::new(HONEST + 2, 4);
    internet.net.nodes[0].generate(5);
    internet.hosts[ATTACKER].max_inbound = usize::MAX;
    internet.tell(0, (1..=HONEST).map(home));
    internet.run(20 * MINUTE);
    assert_eq!(internet.outbound(0).len(), 10);
    // The attacker answers at thousands of addresses, connects from many of them and tells of all others, as fast as
    // it is listened to.
    let addresses: Vec<Endpoint> = (0..1000).map(|index| swarm(index, GROUPS)).collect();
    for endpoint in &addresses {
        internet.map.insert(endpoint.address, ATTACKER);
    }
    let mut lines = Vec::new();
    for near in addresses.iter().take(30) {
        let kind = ConnectionKind::OutboundFullRelay;
        lines.extend(internet.reach(ATTACKER, near.address, home(0), None, kind));
    }
    for round in 0..3 {
        for (line, id) in lines.iter().enumerate() {
            let start = (round * 300 + line * 29) % addresses.len();
            let told = addresses.iter().cycle().skip(start).take(200);
            let list = told.map(|endpoint| internet.fresh(*endpoint)).collect();
            let message = Message::AddrV2(list);
            internet
                .net
                .act(ATTACKER, btc_node::sync::Action::Send(*id, message));
        }
        internet.run(10 * MINUTE);
    }
    let honest: BTreeSet<NetAddress> = (1..=HONEST).map(|node| home(node).address).collect();
    let known = internet.net.nodes[0].directory.book().len();
    assert!(
        known > 300,
        "the book holds many of the attacker's: {known}"
    );
    let count = |internet: &Internet| {
        let peers = internet.outbound(0);
        let good = peers.iter().filter(|peer| honest.contains(&peer.address));
        (good.count(), peers.len())
    };
    // Who is there stays: the attacker has no way to take the place of a chosen peer, but one more is tried at times.
    let (good, all) = count(&internet);
    assert!(good >= 9 && all <= 11, "{good} of {all} are honest");
    // It waits for the node to start anew. Then the two peers for blocks are the same as before, and no more than one of
    // the others is of the same group of addresses.
    let anchors: BTreeSet<Endpoint> = (internet.peers(0, ConnectionKind::BlockRelayOnly))
        .into_iter()
        .take(2)
        .collect();
    internet.restart(0);
    internet.run(5 * MINUTE);
    let (good, all) = count(&internet);
    assert!(all >= 8, "{all} peers");
    let now: BTreeSet<Endpoint> = (internet.peers(0, ConnectionKind::BlockRelayOnly))
        .into_iter()
        .collect();
    assert!(anchors.is_subset(&now), "{anchors:?} {now:?}");
    assert!(
        all - good <= GROUPS as usize && good >= 4,
        "{good} of {all} are honest"
    );
    internet.net.nodes[1].generate(1);
    let tip = internet.net.nodes[1].tip();
    let hears = move |internet: &Internet| internet.net.nodes[0].tip() == tip;
    assert!(internet.run_until(10 * MINUTE, hears));
}

#[test]
fn a_flood_of_connections_does_not_drive_out_those_that_were_there() {
    const HONEST: usize = 6;
    const ATTACKER: usize = HONEST + 1;
    let mut internet = Internet::new(HONEST + 2, 5);
    internet.net.nodes[0].generate(5);
    internet.hosts[0].max_inbound = 40;
    for node in 1..=HONEST {
        internet.tell(node, [home(0)]);
    }
    internet.run(10 * MINUTE);
    let inbound = |internet: &Internet| {
        let peers = internet.peers(0, ConnectionKind::Inbound);
        let homes: Vec<NetAddress> = (1..=HONEST).map(|node| home(node).address).collect();
        let honest = peers.iter().filter(|peer| homes.contains(&peer.address));
        (honest.count(), peers.len())
    };
    let (before, _) = inbound(&internet);
    assert!(before >= 4, "{before} connected");
    for index in 0..400 {
        let near = swarm(index, 8).address;
        let kind = ConnectionKind::OutboundFullRelay;
        internet.reach(ATTACKER, near, home(0), None, kind);
        if index % 10 == 0 {
            internet.run(internet.step);
        }
    }
    internet.run(MINUTE);
    let (honest, all) = inbound(&internet);
    assert!(all <= 40 && all > 30, "{all} connected");
    assert_eq!(honest, before);
}

#[test]
fn a_run_of_the_internet_is_the_same_each_time() {
    let run = || {
        let mut internet = grown(4, 6);
        internet.run(10 * MINUTE);
        internet.net.log
    };
    let log = run();
    assert!(!log.is_empty());
    assert_eq!(log, run());
}
