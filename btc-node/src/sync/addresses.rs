//! Addresses of nodes, told and heard.
//!
//! Addresses heard of go into the book, at a rate that no peer exceeds; few and fresh ones are passed on to two peers
//! each, the same for a day, so that telling one again does not spread it further. Whoever asks for addresses gets a
//! sample that stays the same for about a day, so that asking often does not read the whole book.

use super::event::{ConnectionKind, PeerId};
use super::{Peers, peer::Peer};
use crate::net::recent::RecentSet;
use crate::net::{Endpoint, Message, NetAddress, Network, PeerAddress};
use bitcoin::hashes::siphash24;
use bitcoin::key::rand::Rng;
use bitcoin::key::rand::seq::SliceRandom;
use bitcoin::p2p::ServiceFlags;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Addresses told at one time, and those that may wait to be told.
const MAX_TO_SEND: usize = 1000;
/// The part of the book that an answer holds at most, in percent.
const MAX_PERCENT: usize = 23;
/// Addresses of a peer that are taken each second …
const RATE: f64 = 0.1;
/// … and at once, after it was silent.
const MAX_TOKENS: f64 = 1000.0;
/// Addresses of messages with more are not passed on: they answer a question.
const MAX_RELAYED: usize = 10;
/// Addresses that a peer is remembered to know.
const MAX_KNOWN: usize = 5000;
/// Mean time between messages of addresses to a peer.
const INTERVAL: Duration = Duration::from_secs(30);
/// Mean time between words of this node's own address.
const LOCAL_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;
/// How much older than said addresses are believed to be, in seconds.
const PENALTY: i64 = 2 * 60 * 60;

/// What is told to one peer, and taken from it.
#[derive(Debug)]
pub(super) struct AddressRelay {
    /// Whether addresses travel over this connection.
    pub(super) enabled: bool,
    known: RecentSet<Endpoint>,
    to_send: Vec<PeerAddress>,
    next_send: Duration,
    next_local: Option<Duration>,
    /// It was asked, and did not answer yet.
    asked: bool,
    /// It asked.
    answered: bool,
    tokens: f64,
    tokens_at: Duration,
    pub(super) processed: u64,
    pub(super) rate_limited: u64,
    /// The address by which it reaches this node, as it says.
    pub(super) seen_as: Option<Endpoint>,
}

impl AddressRelay {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            enabled: false,
            known: RecentSet::new(MAX_KNOWN),
            to_send: Vec::new(),
            next_send: Duration::ZERO,
            next_local: None,
            asked: false,
            answered: false,
            tokens: 1.0,
            tokens_at: now,
            processed: 0,
            rate_limited: 0,
            seen_as: None,
        }
    }
}

/// Answers that were given, by how the asker is connected.
#[derive(Debug, Default)]
pub(super) struct AnswerCache(HashMap<(Network, Option<SocketAddr>), (Duration, Vec<PeerAddress>)>);

impl Peer {
    /// Takes part in the relay of addresses from now on; says whether it may.
    fn set_up_address_relay(&mut self) -> bool {
        let may = !matches!(
            self.kind,
            ConnectionKind::BlockRelayOnly | ConnectionKind::Feeler
        );
        self.addresses.enabled |= may;
        may
    }

    fn understands(&self, address: NetAddress) -> bool {
        self.wants_addrv2 || address.is_v1_compatible()
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

impl Peers {
    /// Asks a peer for addresses once, if addresses may come from it.
    pub(super) fn ask_for_addresses(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.is_inbound() || !peer.set_up_address_relay() {
            return;
        }
        peer.addresses.asked = true;
        // The answer may be long.
        peer.addresses.tokens += MAX_TO_SEND as f64;
        self.send(id, Message::GetAddr);
    }

    /// Takes `addr` and `addrv2`.
    pub(super) fn addresses(&mut self, id: PeerId, name: &str, mut list: Vec<PeerAddress>) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if !peer.set_up_address_relay() {
            let kind = peer.kind.as_str();
            tracing::debug!(target: "net", "ignoring {name} message from {kind} peer={id}");
            return;
        }
        let relay = &mut peer.addresses;
        if relay.tokens < MAX_TOKENS {
            let passed = now.saturating_sub(relay.tokens_at).as_secs_f64();
            relay.tokens = (relay.tokens + passed * RATE).min(MAX_TOKENS);
        }
        relay.tokens_at = now;
        let limited = !peer.permissions.addr;
        let relayed = !relay.asked && list.len() <= MAX_RELAYED;
        let source = peer.address.address;
        let count = list.len();
        list.shuffle(&mut self.rng);
        let (mut processed, mut rate_limited) = (0, 0);
        let mut taken = Vec::new();
        for mut address in list {
            let Some(peer) = self.peers.get_mut(&id) else {
                return;
            };
            if peer.addresses.tokens >= 1.0 {
                peer.addresses.tokens -= 1.0;
            } else if limited {
                rate_limited += 1;
                continue;
            }
            let services = ServiceFlags::from(address.services);
            if !services.has(ServiceFlags::NETWORK) && !services.has(ServiceFlags::NETWORK_LIMITED)
            {
                continue;
            }
            let told = u64::from(address.time);
            let present = now.as_secs();
            if told <= 100_000_000 || told > present + 10 * MINUTE {
                address.time = u32::try_from(present.saturating_sub(5 * DAY)).unwrap_or(u32::MAX);
            }
            peer.addresses.known.insert(address.endpoint);
            let endpoint = address.endpoint;
            {
                let bans = self.directory.bans();
                if bans.is_discouraged(endpoint.address)
                    || bans.is_banned(endpoint.address, seconds(now))
                {
                    continue;
                }
            }
            processed += 1;
            let reachable = self.directory.reaches(endpoint.address);
            let fresh = u64::from(address.time) + 10 * MINUTE > present;
            if relayed && fresh && endpoint.address.is_routable() {
                self.relay_address(id, address, reachable);
            }
            if reachable {
                taken.push(address);
            }
        }
        tracing::debug!(
            target: "net",
            "Received addr: {count} addresses ({processed} processed, {rate_limited} rate-limited) from peer={id}"
        );
        self.directory
            .book()
            .add(&taken, source, PENALTY, seconds(now));
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.addresses.processed += processed;
        peer.addresses.rate_limited += rate_limited;
        if count < MAX_TO_SEND {
            peer.addresses.asked = false;
        }
        // One address is likely the peer's own.
        if peer.kind == ConnectionKind::AddrFetch && count > 1 {
            self.disconnect(id, "addrfetch connection completed");
        }
    }

    fn sip(&self, parts: &[u64]) -> u64 {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
        let [first, second] = self.salts;
        siphash24::Hash::hash_to_u64_with_keys(first, second, &bytes)
    }

    /// The group of an address, as a number that nobody else can tell.
    pub(super) fn keyed_group(&self, address: NetAddress) -> u64 {
        let group = self.directory.book().groups().group(address);
        let [first, second] = self.salts;
        siphash24::Hash::hash_to_u64_with_keys(first ^ 1, second, &group)
    }

    /// Passes an address on to two peers, or to one or two if this node does not reach it.
    fn relay_address(&mut self, from: PeerId, address: PeerAddress, reachable: bool) {
        let key = address.endpoint.key_bytes();
        let hash = siphash24::Hash::hash_to_u64_with_keys(0, 0, &key);
        // The peers change once a day, for each address at another time.
        let day = self.now.as_secs().wrapping_add(hash) / DAY;
        let count = if reachable || self.sip(&[hash, day]) & 1 == 1 {
            2
        } else {
            1
        };
        let mut ranked: Vec<(u64, PeerId)> = self
            .peers
            .values()
            .filter(|peer| {
                peer.addresses.enabled
                    && peer.id != from
                    && peer.understands(address.endpoint.address)
            })
            .map(|peer| (self.sip(&[hash, day, peer.id.0]), peer.id))
            .collect();
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id) in ranked.into_iter().take(count) {
            self.push_address(id, address);
        }
    }

    fn push_address(&mut self, id: PeerId, address: PeerAddress) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let endpoint = address.endpoint;
        if !endpoint.address.is_valid()
            || !peer.understands(endpoint.address)
            || peer.addresses.known.contains(&endpoint)
        {
            return;
        }
        let waiting = &mut peer.addresses.to_send;
        if waiting.len() < MAX_TO_SEND {
            waiting.push(address);
        } else {
            let place = self.rng.gen_range(0..waiting.len());
            waiting[place] = address;
        }
    }

    /// Answers `getaddr`: once, and only to those who made the connection.
    pub(super) fn get_addresses(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if !peer.is_inbound() {
            let kind = peer.kind.as_str();
            tracing::debug!(target: "net", "Ignoring \"getaddr\" from {kind} connection. peer={id}");
            return;
        }
        peer.set_up_address_relay();
        if std::mem::replace(&mut peer.addresses.answered, true) {
            tracing::debug!(target: "net", "Ignoring repeated \"getaddr\". peer={id}");
            return;
        }
        peer.addresses.to_send.clear();
        let now = seconds(self.now);
        let sample = || {
            self.directory
                .addresses(MAX_TO_SEND, MAX_PERCENT, None, now)
        };
        let list = if peer.permissions.addr {
            sample()
        } else {
            let key = (peer.network(), peer.listener);
            let cached = self.answers.0.get(&key);
            match cached.filter(|(until, _)| self.now < *until) {
                Some((_, list)) => list.clone(),
                None => {
                    let list = sample();
                    let lasts = 21 * 60 * MINUTE + self.rng.gen_range(0..6 * 60 * MINUTE);
                    let until = self.now + Duration::from_secs(lasts);
                    self.answers.0.insert(key, (until, list.clone()));
                    list
                }
            }
        };
        for address in list {
            self.push_address(id, address);
        }
    }

    /// Tells a peer of addresses, at times that do not give away when they came.
    pub(super) fn maybe_send_addresses(&mut self, id: PeerId) {
        let now = self.now;
        if !self
            .peers
            .get(&id)
            .is_some_and(|peer| peer.addresses.enabled)
        {
            return;
        }
        self.maybe_send_own_address(id);
        let interval = self.delay(INTERVAL);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if now <= peer.addresses.next_send {
            return;
        }
        peer.addresses.next_send = now + interval;
        let mut waiting = std::mem::take(&mut peer.addresses.to_send);
        waiting.retain(|address| {
            let known = peer.addresses.known.contains(&address.endpoint);
            peer.addresses.known.insert(address.endpoint);
            !known
        });
        self.send_addresses(id, waiting);
    }

    fn send_addresses(&mut self, id: PeerId, list: Vec<PeerAddress>) {
        if list.is_empty() {
            return;
        }
        let v2 = self.peers.get(&id).is_some_and(|peer| peer.wants_addrv2);
        self.send(
            id,
            if v2 {
                Message::AddrV2(list)
            } else {
                Message::Addr(list)
            },
        );
    }

    fn maybe_send_own_address(&mut self, id: PeerId) {
        let now = self.now;
        let due = self.peers.get(&id).is_some_and(|peer| {
            let next = peer.addresses.next_local;
            next.is_none_or(|next| next < now)
        });
        if !due || !self.config.listens || self.chain.is_initial_block_download() {
            return;
        }
        let interval = self.delay(LOCAL_INTERVAL);
        let own = self.own_address_for(id);
        let services = self.services().to_u64();
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let first = peer.addresses.next_local.replace(now + interval).is_none();
        if !first {
            // It may have been forgotten meanwhile.
            peer.addresses.known.clear();
        }
        let Some(endpoint) = own else {
            return;
        };
        tracing::debug!(target: "net", "Advertising address {endpoint} to peer={id}");
        let own = PeerAddress {
            time: u32::try_from(now.as_secs()).unwrap_or(u32::MAX),
            services,
            endpoint,
        };
        if !first {
            self.push_address(id, own);
        } else if peer.understands(endpoint.address) {
            // Alone, so that a limit on the first message's addresses does not hit it.
            self.send_addresses(id, vec![own]);
        }
    }

    /// The address of this node that a peer is told.
    fn own_address_for(&mut self, id: PeerId) -> Option<Endpoint> {
        let peer = self.peers.get(&id)?;
        let unknown = Endpoint::new(NetAddress::UNSPECIFIED, self.config.port);
        let (best, score) = {
            let local = self.directory.local();
            let best = local.best_for(peer.address.address, peer.network());
            let best = best.unwrap_or(unknown);
            (best, local.score(best.address))
        };
        let seen = peer.addresses.seen_as.filter(|seen| {
            self.config.discovers
                && peer.address.address.is_routable()
                && seen.address.is_routable()
                && self.directory.reaches(seen.address)
        });
        let mut own = best;
        if let Some(seen) = seen {
            // What the user says is doubted less often.
            let odds = if score > crate::net::local::Origin::User as u32 {
                8
            } else {
                2
            };
            if !best.address.is_routable() || self.rng.gen_range(0..odds) == 0 {
                own = if peer.is_inbound() {
                    seen
                } else {
                    // It cannot know the port.
                    Endpoint::new(seen.address, best.port)
                };
            }
        }
        own.address.is_routable().then_some(own)
    }
}
