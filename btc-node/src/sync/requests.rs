//! Whom to ask for which transaction, and when.

use super::event::PeerId;
use bitcoin::p2p::message_blockdata::Inventory;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Announcements of one peer that are remembered.
const MAX_ANNOUNCED: usize = 5000;
/// Transactions asked of one peer at a time, beyond which it is asked with a delay.
const MAX_IN_FLIGHT: usize = 100;
/// Peers that made the connection are asked this much later.
const INBOUND_DELAY: Duration = Duration::from_secs(2);
/// Peers that have enough to do are asked this much later.
const OVERLOADED_DELAY: Duration = Duration::from_secs(2);
/// After this time without an answer another peer is asked.
const EXPIRY: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Announcement {
    peer: PeerId,
    item: Inventory,
    ready: Duration,
}

#[derive(Debug, Default)]
struct Candidate {
    /// Who has it and was not asked yet.
    announcements: Vec<Announcement>,
    /// Who was asked, and until when the answer is waited for.
    asked: Option<(PeerId, Duration)>,
}

/// Announced transactions that this node has not got.
///
/// Each look costs what is due, not what is remembered: peers can fill this with announcements of nothing.
#[derive(Debug, Default)]
pub(super) struct TxRequests {
    candidates: HashMap<[u8; 32], Candidate>,
    /// Announcements of each peer by the time when it may be asked.
    queues: HashMap<PeerId, BTreeSet<(Duration, [u8; 32])>>,
    /// What was asked for, by the time when the answer is no longer waited for.
    expiries: BTreeSet<(Duration, [u8; 32])>,
    in_flight: HashMap<PeerId, usize>,
}

impl TxRequests {
    /// A peer says that it has a transaction.
    pub(super) fn announced(
        &mut self,
        peer: PeerId,
        id: [u8; 32],
        item: Inventory,
        preferred: bool,
        now: Duration,
    ) {
        let queue = self.queues.entry(peer).or_default();
        if queue.len() >= MAX_ANNOUNCED {
            return;
        }
        let candidate = self.candidates.entry(id).or_default();
        let known = candidate.announcements.iter().any(|a| a.peer == peer)
            || candidate.asked.is_some_and(|(asked, _)| asked == peer);
        if known {
            return;
        }
        let mut ready = now;
        if !preferred {
            ready += INBOUND_DELAY;
        }
        if self.in_flight.get(&peer).copied().unwrap_or(0) >= MAX_IN_FLIGHT {
            ready += OVERLOADED_DELAY;
        }
        queue.insert((ready, id));
        candidate
            .announcements
            .push(Announcement { peer, item, ready });
    }

    /// What a peer is to be asked for now. A transaction is asked of one peer at a time.
    pub(super) fn due(&mut self, peer: PeerId, now: Duration) -> Vec<Inventory> {
        while let Some((_, id)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            self.end_request(&id);
        }
        let mut due = Vec::new();
        let Some(queue) = self.queues.get_mut(&peer) else {
            return due;
        };
        while let Some((ready, id)) = queue.first().copied().filter(|(at, _)| *at <= now) {
            queue.remove(&(ready, id));
            let Some(candidate) = self.candidates.get_mut(&id) else {
                continue;
            };
            let Some(index) = candidate.announcements.iter().position(|a| a.peer == peer) else {
                continue;
            };
            if let Some((_, until)) = candidate.asked {
                // Another was asked; this one's turn comes if that leads to nothing.
                candidate.announcements[index].ready = until;
                queue.insert((until, id));
                continue;
            }
            let announcement = candidate.announcements.swap_remove(index);
            let until = now + EXPIRY;
            candidate.asked = Some((peer, until));
            self.expiries.insert((until, id));
            *self.in_flight.entry(peer).or_default() += 1;
            due.push(announcement.item);
        }
        due
    }

    /// The answer to a request came, or is no longer waited for: the next peer may be asked at once.
    fn end_request(&mut self, id: &[u8; 32]) {
        let Some(candidate) = self.candidates.get_mut(id) else {
            return;
        };
        let Some((peer, until)) = candidate.asked.take() else {
            return;
        };
        self.expiries.remove(&(until, *id));
        subtract(&mut self.in_flight, peer);
        for announcement in &mut candidate.announcements {
            if let Some(queue) = self.queues.get_mut(&announcement.peer)
                && announcement.ready == until
                && queue.remove(&(until, *id))
            {
                announcement.ready = Duration::ZERO;
                queue.insert((Duration::ZERO, *id));
            }
        }
        if candidate.announcements.is_empty() {
            self.candidates.remove(id);
        }
    }

    /// A peer answered: with the transaction, or that it has it not.
    pub(super) fn answered(&mut self, peer: PeerId, id: &[u8; 32]) {
        let asked = self.candidates.get(id).and_then(|found| found.asked);
        if asked.is_some_and(|(asked, _)| asked == peer) {
            self.end_request(id);
        }
    }

    /// Nobody needs to be asked for a transaction any more.
    pub(super) fn forget(&mut self, id: &[u8; 32]) {
        self.end_request(id);
        let Some(candidate) = self.candidates.remove(id) else {
            return;
        };
        for announcement in candidate.announcements {
            if let Some(queue) = self.queues.get_mut(&announcement.peer) {
                queue.remove(&(announcement.ready, *id));
            }
        }
    }

    /// A peer is gone.
    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        for (_, id) in self.queues.remove(&peer).unwrap_or_default() {
            if let Some(candidate) = self.candidates.get_mut(&id) {
                candidate.announcements.retain(|a| a.peer != peer);
                if candidate.announcements.is_empty() && candidate.asked.is_none() {
                    self.candidates.remove(&id);
                }
            }
        }
        let asked: Vec<[u8; 32]> = self
            .expiries
            .iter()
            .map(|(_, id)| *id)
            .filter(|id| {
                let asked = self.candidates.get(id).and_then(|found| found.asked);
                asked.is_some_and(|(asked, _)| asked == peer)
            })
            .collect();
        for id in asked {
            self.end_request(&id);
        }
        self.in_flight.remove(&peer);
    }
}

fn subtract(counts: &mut HashMap<PeerId, usize>, peer: PeerId) {
    if let Some(count) = counts.get_mut(&peer) {
        *count = count.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::Wtxid;
    use bitcoin::hashes::Hash;

    const TX: [u8; 32] = [7; 32];

    fn item() -> Inventory {
        Inventory::WTx(Wtxid::from_byte_array(TX))
    }

    #[test]
    fn one_peer_at_a_time_is_asked_and_those_we_chose_first() {
        let mut requests = TxRequests::default();
        let (inbound, chosen) = (PeerId(1), PeerId(2));
        let start = Duration::from_secs(1000);
        requests.announced(inbound, TX, item(), false, start);
        assert!(requests.due(inbound, start).is_empty());
        requests.announced(chosen, TX, item(), true, start);
        assert_eq!(requests.due(chosen, start), [item()]);
        let later = start + INBOUND_DELAY;
        assert!(requests.due(inbound, later).is_empty(), "another was asked");
        assert_eq!(requests.due(inbound, start + EXPIRY), [item()]);
    }

    #[test]
    fn an_answer_or_an_end_lets_the_next_be_asked() {
        let mut requests = TxRequests::default();
        let start = Duration::from_secs(1000);
        for peer in 1..=3 {
            requests.announced(PeerId(peer), TX, item(), true, start);
        }
        assert_eq!(requests.due(PeerId(1), start), [item()]);
        requests.answered(PeerId(1), &TX);
        assert_eq!(requests.due(PeerId(2), start), [item()]);
        requests.forget_peer(PeerId(2));
        assert_eq!(requests.due(PeerId(3), start), [item()]);
        requests.forget(&TX);
        assert!(requests.candidates.is_empty() && requests.expiries.is_empty());
        assert!(requests.queues.values().all(BTreeSet::is_empty));
    }
}
