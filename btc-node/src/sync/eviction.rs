//! Which of the peers that made their connections goes when another wants its place.
//!
//! Anybody can make connections, so whoever fills all places must not push out honest peers. Some are kept by each of
//! several measures, and an attacker can be best by few of them at once; of the rest, the group of addresses with most
//! connections loses its youngest.

use super::Peers;
use super::event::PeerId;
use crate::net::Network;
use bitcoin::p2p::ServiceFlags;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

/// What counts for and against a peer.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) id: PeerId,
    pub(super) connected: Duration,
    pub(super) least_ping: Option<Duration>,
    pub(super) last_block: Option<Duration>,
    pub(super) last_transaction: Option<Duration>,
    pub(super) useful_services: bool,
    pub(super) relays_transactions: bool,
    pub(super) bloom_filter: bool,
    /// The group of its address, as a number that nobody else can tell.
    pub(super) group: u64,
    /// It broke rules before.
    pub(super) prefer: bool,
    pub(super) local: bool,
    pub(super) network: Network,
}

/// Keeps the `count` highest by `rank`, as far as they are of the kind to keep.
fn keep<K: Ord>(
    candidates: &mut Vec<Candidate>,
    count: usize,
    rank: impl Fn(&Candidate) -> K,
    may_keep: impl Fn(&Candidate) -> bool,
) {
    candidates.sort_by_key(rank);
    let from = candidates.len().saturating_sub(count);
    let best = candidates.split_off(from);
    candidates.extend(best.into_iter().filter(|candidate| !may_keep(candidate)));
}

/// Keeps half of what is left for being connected longest; up to half of that half goes to networks that are slow by
/// nature, and to this machine.
fn keep_by_age(candidates: &mut Vec<Candidate>) {
    #[derive(Clone, Copy)]
    enum Slow {
        Local,
        Of(Network),
    }
    let belongs = |slow: Slow, candidate: &Candidate| match slow {
        Slow::Local => candidate.local,
        Slow::Of(network) => candidate.network == network,
    };
    let total = candidates.len() / 2;
    let mut networks: Vec<(Slow, usize)> = [
        Slow::Of(Network::Cjdns),
        Slow::Of(Network::I2p),
        Slow::Local,
        Slow::Of(Network::Onion),
    ]
    .into_iter()
    .map(|slow| {
        let count = candidates.iter().filter(|c| belongs(slow, c)).count();
        (slow, count)
    })
    .collect();
    // Those with few go first, and leave what they do not need to the others.
    networks.sort_by_key(|(_, count)| *count);
    let most = total / 2;
    let mut kept = 0;
    while kept < most {
        let present = networks.iter().filter(|(_, count)| *count > 0).count();
        if present == 0 {
            break;
        }
        let each = ((most - kept) / present).max(1);
        let before_round = kept;
        for (slow, count) in &mut networks {
            if *count == 0 || kept >= most {
                continue;
            }
            let before = candidates.len();
            let slow = *slow;
            keep(
                candidates,
                each,
                |c| (belongs(slow, c), Reverse(c.connected)),
                |c| belongs(slow, c),
            );
            let gone = before - candidates.len();
            kept += gone;
            *count -= gone;
        }
        if kept == before_round {
            break;
        }
    }
    keep(
        candidates,
        total.saturating_sub(kept),
        |c| Reverse(c.connected),
        |_| true,
    );
}

/// Chooses who goes; `None` if all are worth keeping.
pub(super) fn select(mut candidates: Vec<Candidate>) -> Option<PeerId> {
    let never = Duration::MAX;
    keep(&mut candidates, 4, |c| c.group, |_| true);
    keep(
        &mut candidates,
        8,
        |c| Reverse(c.least_ping.unwrap_or(never)),
        |_| true,
    );
    keep(
        &mut candidates,
        4,
        |c| {
            let bloom = Reverse(c.bloom_filter);
            let age = Reverse(c.connected);
            (c.last_transaction, c.relays_transactions, bloom, age)
        },
        |_| true,
    );
    let by_block = |c: &Candidate| (c.last_block, c.useful_services, Reverse(c.connected));
    keep(
        &mut candidates,
        8,
        |c| (Reverse(c.relays_transactions), by_block(c)),
        |c| !c.relays_transactions && c.useful_services,
    );
    keep(&mut candidates, 4, by_block, |_| true);
    keep_by_age(&mut candidates);
    if candidates.iter().any(|candidate| candidate.prefer) {
        candidates.retain(|candidate| candidate.prefer);
    }
    let mut groups: HashMap<u64, (usize, Duration, PeerId)> = HashMap::new();
    for candidate in &candidates {
        let (count, youngest, id) =
            groups
                .entry(candidate.group)
                .or_insert((0, candidate.connected, candidate.id));
        *count += 1;
        if candidate.connected > *youngest {
            (*youngest, *id) = (candidate.connected, candidate.id);
        }
    }
    groups
        .into_values()
        .max_by_key(|(count, youngest, _)| (*count, *youngest))
        .map(|(_, _, id)| id)
}

impl Peers {
    /// Makes room for a peer that wants to connect; says whether one could be let go.
    pub fn make_room(&mut self) -> (bool, Vec<super::Action>) {
        let done = self.evict(false, None);
        (done, std::mem::take(&mut self.actions))
    }

    /// Lets go of one of those that made their connections; of those alone that transactions are told to, if asked.
    fn evict(&mut self, relaying: bool, except: Option<PeerId>) -> bool {
        let candidates: Vec<Candidate> = self
            .peers
            .values()
            .filter(|peer| {
                peer.is_inbound()
                    && !peer.permissions.no_ban
                    && !peer.disconnecting
                    && except != Some(peer.id)
                    && (!relaying || peer.relays_transactions())
            })
            .map(|peer| Candidate {
                id: peer.id,
                connected: peer.connected,
                least_ping: peer.ping.least,
                last_block: peer.last_block,
                last_transaction: peer.last_transaction,
                useful_services: peer
                    .services
                    .has(ServiceFlags::NETWORK | ServiceFlags::WITNESS),
                relays_transactions: peer.relays_transactions(),
                bloom_filter: peer.bloom.is_some(),
                group: self.keyed_group(peer.address.address),
                prefer: peer.prefer_evict,
                local: peer.address.address.is_local(),
                network: peer.network(),
            })
            .collect();
        let Some(id) = select(candidates) else {
            return false;
        };
        self.disconnect(id, "selected inbound connection for eviction");
        true
    }

    /// Holds the number of peers that transactions are told to; says whether this one had to go.
    pub(super) fn over_relay_capacity(&mut self, id: PeerId, after: &str) -> bool {
        let counts = self.peers.get(&id).is_some_and(|peer| {
            peer.is_inbound() && peer.relays_transactions() && !peer.disconnecting
        });
        if !counts {
            return false;
        }
        let relaying = self
            .peers
            .values()
            .filter(|peer| peer.is_inbound() && !peer.disconnecting && peer.relays_transactions())
            .count();
        if relaying <= self.config.max_inbound_relaying || self.evict(true, Some(id)) {
            return false;
        }
        let reason = format!(
            "failed to find a tx-relaying eviction candidate - connection dropped after {after} message"
        );
        self.disconnect(id, &reason);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(count: u64) -> Vec<Candidate> {
        (0..count)
            .map(|id| Candidate {
                id: PeerId(id),
                connected: Duration::from_secs(id),
                least_ping: None,
                last_block: None,
                last_transaction: None,
                useful_services: false,
                relays_transactions: true,
                bloom_filter: false,
                group: id,
                prefer: false,
                local: false,
                network: Network::Ipv4,
            })
            .collect()
    }

    #[test]
    fn few_peers_are_all_kept_and_of_many_one_goes() {
        assert_eq!(select(candidates(20)), None);
        assert!(select(candidates(29)).is_some());
    }

    #[test]
    fn those_with_merits_stay() {
        for _ in 0..20 {
            let mut list = candidates(60);
            for candidate in &mut list {
                match candidate.id.0 {
                    0..8 => candidate.least_ping = Some(Duration::from_millis(1)),
                    8..12 => candidate.last_transaction = Some(Duration::from_secs(9)),
                    12..16 => candidate.last_block = Some(Duration::from_secs(9)),
                    16..24 => {
                        candidate.relays_transactions = false;
                        candidate.useful_services = true;
                    }
                    _ => {}
                }
                // The youngest of all would otherwise go first.
                candidate.connected = Duration::from_secs(100 - candidate.id.0);
            }
            let gone = select(list).expect("there are many").0;
            assert!(gone >= 24, "{gone}");
        }
    }

    #[test]
    fn the_group_with_most_connections_loses_its_youngest() {
        let mut list = candidates(60);
        for candidate in list.iter_mut().filter(|c| c.id.0 % 2 == 1) {
            candidate.group = 1_000_000;
        }
        for candidate in list.iter_mut().filter(|c| c.id.0 == 58) {
            candidate.group = 0;
        }
        let gone = select(list).expect("there are many").0;
        assert_eq!(gone % 2, 1, "{gone} is alone in its group");
    }

    #[test]
    fn slow_networks_keep_a_part_of_the_places() {
        let mut list = candidates(60);
        for candidate in list.iter_mut().filter(|c| c.id.0 >= 56) {
            candidate.network = Network::Onion;
            candidate.connected = Duration::from_secs(1000 + candidate.id.0);
        }
        let gone = select(list).expect("there are many").0;
        assert!(gone < 56, "{gone} is the youngest, and slow by nature");
    }
}
