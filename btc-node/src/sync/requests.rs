//! Whom to ask for which transaction, and when.
//!
//! A transaction is asked of one peer at a time: of those whose time has come first one that this node chose, and of
//! several such the one that a secret number chooses, so that nobody can bring himself to the front. Who announced a
//! transaction and was asked in vain is not asked for it again while others may have it.

use super::event::PeerId;
use bitcoin::hashes::{Hash, siphash24};
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{Txid, Wtxid};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// A transaction as peers name it: by either id (BIP 339).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum GenTxid {
    Txid(Txid),
    Wtxid(Wtxid),
}

impl GenTxid {
    /// The id, whichever it is: without a witness both are the same.
    pub(super) fn hash(self) -> [u8; 32] {
        match self {
            Self::Txid(txid) => txid.to_byte_array(),
            Self::Wtxid(wtxid) => wtxid.to_byte_array(),
        }
    }

    /// How a peer is asked for it, which may be one without witnesses.
    pub(super) fn to_inventory(self, witness: bool) -> Inventory {
        match self {
            Self::Txid(txid) if witness => Inventory::WitnessTransaction(txid),
            Self::Txid(txid) => Inventory::Transaction(txid),
            Self::Wtxid(wtxid) => Inventory::WTx(wtxid),
        }
    }

    /// The transaction that an item names, if it names one.
    pub(super) fn from_inventory(item: &Inventory) -> Option<Self> {
        match item {
            Inventory::Transaction(txid) | Inventory::WitnessTransaction(txid) => {
                Some(Self::Txid(*txid))
            }
            Inventory::WTx(wtxid) => Some(Self::Wtxid(*wtxid)),
            _ => None,
        }
    }

    /// What logs call it.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Txid(txid) => format!("tx {txid}"),
            Self::Wtxid(wtxid) => format!("wtx {wtxid}"),
        }
    }
}

/// How far it is with a peer's announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The peer may be asked from then on.
    Waiting(Duration),
    /// It may be asked.
    Ready,
    /// It was asked, and is waited for until then.
    Asked(Duration),
    /// It gave an answer or none.
    Done,
}

#[derive(Debug)]
struct Announcement {
    peer: PeerId,
    id: GenTxid,
    /// Those that this node chose, then by secret numbers.
    rank: (bool, u64),
    sequence: u64,
    state: State,
}

#[derive(Debug, Default)]
struct Tracked {
    announcements: Vec<Announcement>,
    /// Who is asked next, and the announcement's number.
    next: Option<(PeerId, u64)>,
}

impl Tracked {
    fn position(&self, peer: PeerId) -> Option<usize> {
        self.announcements.iter().position(|a| a.peer == peer)
    }
}

#[derive(Debug, Default)]
struct OfPeer {
    /// All that it announced and that is not over.
    announced: HashSet<[u8; 32]>,
    asked: usize,
    /// What it is to be asked for next, in the order of its announcements.
    next: BTreeSet<(u64, [u8; 32])>,
}

/// Announced transactions that this node has not got.
///
/// A look costs what is due, not what is remembered: peers can fill this with announcements of nothing.
#[derive(Debug)]
pub(super) struct TxRequests {
    key: u64,
    next_sequence: u64,
    tracked: HashMap<[u8; 32], Tracked>,
    peers: HashMap<PeerId, OfPeer>,
    /// Announcements that wait for their time, and requests that run out.
    timers: BTreeSet<(Duration, [u8; 32], PeerId)>,
}

impl TxRequests {
    /// Nothing is announced. `key` is known to nobody else.
    pub(super) fn new(key: u64) -> Self {
        Self {
            key,
            next_sequence: 0,
            tracked: HashMap::new(),
            peers: HashMap::new(),
            timers: BTreeSet::new(),
        }
    }

    /// A peer says that it has a transaction. It may be asked from `ready` on.
    pub(super) fn announced(
        &mut self,
        peer: PeerId,
        id: GenTxid,
        preferred: bool,
        ready: Duration,
    ) {
        let hash = id.hash();
        let tracked = self.tracked.entry(hash).or_default();
        if tracked.position(peer).is_some() {
            return;
        }
        let mut input = [0; 40];
        input[..32].copy_from_slice(&hash);
        input[32..].copy_from_slice(&peer.0.to_le_bytes());
        let rank = siphash24::Hash::hash_to_u64_with_keys(self.key, 0, &input);
        tracked.announcements.push(Announcement {
            peer,
            id,
            rank: (preferred, rank),
            sequence: self.next_sequence,
            state: State::Waiting(ready),
        });
        self.next_sequence += 1;
        self.timers.insert((ready, hash, peer));
        self.peers.entry(peer).or_default().announced.insert(hash);
    }

    /// Announcements of a peer that are not over.
    pub(super) fn count(&self, peer: PeerId) -> usize {
        self.peers.get(&peer).map_or(0, |of| of.announced.len())
    }

    /// Transactions that a peer was asked for and is waited for.
    pub(super) fn in_flight(&self, peer: PeerId) -> usize {
        self.peers.get(&peer).map_or(0, |of| of.asked)
    }

    /// Who may still give a transaction.
    pub(super) fn candidates(&self, hash: &[u8; 32]) -> Vec<PeerId> {
        let announcements = self.tracked.get(hash).map(|tracked| &tracked.announcements);
        announcements
            .into_iter()
            .flatten()
            .filter(|a| a.state != State::Done)
            .map(|a| a.peer)
            .collect()
    }

    /// Lets time pass; gives the requests that ran out.
    pub(super) fn advance(&mut self, now: Duration) -> Vec<(PeerId, GenTxid)> {
        let mut expired = Vec::new();
        while let Some((_, hash, peer)) = self.timers.first().copied().filter(|(at, ..)| *at <= now)
        {
            let announcement = self.tracked.get(&hash).and_then(|tracked| {
                let place = tracked.position(peer)?;
                tracked.announcements.get(place)
            });
            match announcement.map(|a| (a.state, a.id)) {
                Some((State::Asked(_), id)) => {
                    expired.push((peer, id));
                    self.change(&hash, peer, State::Done);
                }
                Some((State::Waiting(_), _)) => self.change(&hash, peer, State::Ready),
                _ => {
                    // Timers end with the state that they belong to.
                    self.timers.pop_first();
                }
            }
        }
        expired
    }

    /// What a peer is to be asked for, as of the last [`Self::advance`].
    pub(super) fn due(&self, peer: PeerId) -> Vec<GenTxid> {
        let Some(of) = self.peers.get(&peer) else {
            return Vec::new();
        };
        of.next
            .iter()
            .filter_map(|(_, hash)| {
                let tracked = self.tracked.get(hash)?;
                Some(tracked.announcements[tracked.position(peer)?].id)
            })
            .collect()
    }

    /// A peer is asked now, and waited for until `until`.
    pub(super) fn asked(&mut self, peer: PeerId, hash: &[u8; 32], until: Duration) {
        self.change(hash, peer, State::Asked(until));
    }

    /// A peer answered: with the transaction, or that it has it not.
    pub(super) fn answered(&mut self, peer: PeerId, hash: &[u8; 32]) {
        self.change(hash, peer, State::Done);
    }

    /// Nobody needs to be asked for a transaction any more.
    pub(super) fn forget(&mut self, hash: &[u8; 32]) {
        let Some(tracked) = self.tracked.remove(hash) else {
            return;
        };
        for announcement in &tracked.announcements {
            self.leave(hash, announcement.peer, announcement.state);
            let of = self.peers.entry(announcement.peer).or_default();
            of.next.remove(&(announcement.sequence, *hash));
            of.announced.remove(hash);
            if of.announced.is_empty() {
                self.peers.remove(&announcement.peer);
            }
        }
    }

    /// A peer is gone.
    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        let announced = self.peers.get(&peer).map(|of| of.announced.clone());
        for hash in announced.into_iter().flatten() {
            self.change(&hash, peer, State::Done);
            // It may be over for all by now.
            if let Some(tracked) = self.tracked.get_mut(&hash) {
                tracked.announcements.retain(|a| a.peer != peer);
            }
        }
        self.peers.remove(&peer);
    }

    /// Ends what belongs to a state.
    fn leave(&mut self, hash: &[u8; 32], peer: PeerId, state: State) {
        match state {
            State::Waiting(at) => {
                self.timers.remove(&(at, *hash, peer));
            }
            State::Asked(until) => {
                self.timers.remove(&(until, *hash, peer));
                if let Some(of) = self.peers.get_mut(&peer) {
                    of.asked -= 1;
                }
            }
            State::Ready | State::Done => {}
        }
    }

    fn change(&mut self, hash: &[u8; 32], peer: PeerId, state: State) {
        let Some(announcement) = self.tracked.get_mut(hash).and_then(|tracked| {
            let place = tracked.position(peer)?;
            tracked.announcements.get_mut(place)
        }) else {
            return;
        };
        let before = std::mem::replace(&mut announcement.state, state);
        self.leave(hash, peer, before);
        if let State::Asked(until) = state {
            self.timers.insert((until, *hash, peer));
            if let Some(of) = self.peers.get_mut(&peer) {
                of.asked += 1;
            }
        }
        let over = |tracked: &Tracked| tracked.announcements.iter().all(|a| a.state == State::Done);
        if self.tracked.get(hash).is_some_and(over) {
            self.forget(hash);
        } else {
            self.choose(hash);
        }
    }

    /// Finds who is asked next.
    fn choose(&mut self, hash: &[u8; 32]) {
        let Some(tracked) = self.tracked.get_mut(hash) else {
            return;
        };
        let announcements = || tracked.announcements.iter();
        let busy = announcements().any(|a| matches!(a.state, State::Asked(_)));
        let next = announcements()
            .filter(|a| a.state == State::Ready && !busy)
            .max_by_key(|a| a.rank)
            .map(|a| (a.peer, a.sequence));
        let before = std::mem::replace(&mut tracked.next, next);
        if before == next {
            return;
        }
        if let Some((peer, sequence)) = before
            && let Some(of) = self.peers.get_mut(&peer)
        {
            of.next.remove(&(sequence, *hash));
        }
        if let Some((peer, sequence)) = next
            && let Some(of) = self.peers.get_mut(&peer)
        {
            of.next.insert((sequence, *hash));
        }
    }
}

#[cfg(test)]
mod tests;
