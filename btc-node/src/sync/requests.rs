//! Whom to ask for which transaction, and when.

use super::event::PeerId;
use bitcoin::p2p::message_blockdata::Inventory;
use std::collections::HashMap;
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
#[derive(Debug, Default)]
pub(super) struct TxRequests {
    candidates: HashMap<[u8; 32], Candidate>,
    announced: HashMap<PeerId, usize>,
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
        let count = self.announced.entry(peer).or_default();
        if *count >= MAX_ANNOUNCED {
            return;
        }
        let candidate = self.candidates.entry(id).or_default();
        let known = candidate.announcements.iter().any(|a| a.peer == peer)
            || candidate.asked.is_some_and(|(asked, _)| asked == peer);
        if known {
            return;
        }
        *count += 1;
        let mut ready = now;
        if !preferred {
            ready += INBOUND_DELAY;
        }
        if self.in_flight.get(&peer).copied().unwrap_or(0) >= MAX_IN_FLIGHT {
            ready += OVERLOADED_DELAY;
        }
        candidate
            .announcements
            .push(Announcement { peer, item, ready });
    }

    /// What a peer is to be asked for now. A transaction is asked of one peer at a time.
    pub(super) fn due(&mut self, peer: PeerId, now: Duration) -> Vec<Inventory> {
        if self.announced.get(&peer).copied().unwrap_or(0) == 0 {
            return Vec::new();
        }
        let mut due = Vec::new();
        for candidate in self.candidates.values_mut() {
            if let Some((asked, until)) = candidate.asked
                && now >= until
            {
                candidate.asked = None;
                subtract(&mut self.in_flight, asked);
            }
            if candidate.asked.is_some() {
                continue;
            }
            let found = candidate
                .announcements
                .iter()
                .position(|a| a.peer == peer && a.ready <= now);
            let Some(index) = found else { continue };
            let announcement = candidate.announcements.swap_remove(index);
            subtract(&mut self.announced, peer);
            candidate.asked = Some((peer, now + EXPIRY));
            *self.in_flight.entry(peer).or_default() += 1;
            due.push(announcement.item);
        }
        due.sort();
        self.candidates.retain(|_, candidate| {
            candidate.asked.is_some() || !candidate.announcements.is_empty()
        });
        due
    }

    /// A peer answered: with the transaction, or that it has it not.
    pub(super) fn answered(&mut self, peer: PeerId, id: &[u8; 32]) {
        if let Some(candidate) = self.candidates.get_mut(id)
            && candidate.asked.is_some_and(|(asked, _)| asked == peer)
        {
            candidate.asked = None;
            subtract(&mut self.in_flight, peer);
        }
    }

    /// Nobody needs to be asked for a transaction any more.
    pub(super) fn forget(&mut self, id: &[u8; 32]) {
        let Some(candidate) = self.candidates.remove(id) else {
            return;
        };
        for announcement in candidate.announcements {
            subtract(&mut self.announced, announcement.peer);
        }
        if let Some((peer, _)) = candidate.asked {
            subtract(&mut self.in_flight, peer);
        }
    }

    /// A peer is gone.
    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        self.announced.remove(&peer);
        self.in_flight.remove(&peer);
        self.candidates.retain(|_, candidate| {
            candidate.announcements.retain(|a| a.peer != peer);
            candidate.asked = candidate.asked.filter(|(asked, _)| *asked != peer);
            candidate.asked.is_some() || !candidate.announcements.is_empty()
        });
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
        assert!(requests.candidates.is_empty());
    }
}
