//! Transactions that came before those they spend from.
//!
//! Nobody can tell them from transactions that spend nothing that exists, so what is kept is bounded: by weight, and by
//! the work that a block or the end of a connection makes of it. Each peer has a share. While all is within the bounds
//! a peer may use more than its share; beyond them the one that exceeds its share most loses what it announced first.
//! So no peer can push out what another announced.

use super::event::PeerId;
use bitcoin::hashes::Hash;
use bitcoin::{Block, OutPoint, Transaction, Txid, Wtxid};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A peer's share, in weight units: what a transaction may weigh at most, and a little.
const WEIGHT_PER_PEER: u64 = 404_000;
/// All announcements of all peers, with one more for each ten inputs of a transaction.
const MAX_WORK: usize = 3000;
/// Heavier ones are not relayed anyway.
const MAX_WEIGHT: u64 = 400_000;

/// A transaction whose parents are missing.
#[derive(Debug)]
struct Orphan {
    tx: Arc<Transaction>,
    /// Who announced it, and the numbers of the announcements.
    announcers: BTreeMap<PeerId, u64>,
    /// A parent came: it is judged again on this announcer's account.
    ready: Option<PeerId>,
}

impl Orphan {
    fn weight(&self) -> u64 {
        self.tx.weight().to_wu()
    }

    /// What its inputs make of work.
    fn input_work(&self) -> usize {
        self.tx.input.len() / 10
    }
}

/// What a peer has here.
#[derive(Debug, Default)]
struct Share {
    weight: u64,
    work: usize,
    /// Its announcements, those that wait before those that are ready, each by age.
    announcements: BTreeSet<(bool, u64, Wtxid)>,
}

/// By how much a share is exceeded: a quotient.
#[derive(Clone, Copy, Debug)]
struct Excess {
    used: u64,
    of: u64,
}

impl Excess {
    /// The worse of two: the greater, and of equals that of the smaller share.
    fn key(self) -> impl Ord {
        // Exact for all values that occur: both are below 2^40.
        let scaled = (u128::from(self.used) << 64) / u128::from(self.of);
        (scaled, std::cmp::Reverse(self.of))
    }
}

/// One orphan, as [`Peers::orphans`](super::Peers::orphans) shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanInfo {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// The peers that announced it.
    pub announcers: Vec<PeerId>,
}

/// All orphans.
#[derive(Debug, Default)]
pub(super) struct Orphanage {
    orphans: BTreeMap<Wtxid, Orphan>,
    /// Which of them spend an output.
    spenders: HashMap<OutPoint, BTreeSet<Wtxid>>,
    shares: BTreeMap<PeerId, Share>,
    next_number: u64,
    announcements: usize,
    /// Of all transactions, each counted once.
    weight: u64,
    input_work: usize,
}

impl Orphanage {
    pub(super) fn contains(&self, wtxid: &Wtxid) -> bool {
        self.orphans.contains_key(wtxid)
    }

    pub(super) fn get(&self, wtxid: &Wtxid) -> Option<&Arc<Transaction>> {
        self.orphans.get(wtxid).map(|orphan| &orphan.tx)
    }

    pub(super) fn is_announced_by(&self, wtxid: &Wtxid, peer: PeerId) -> bool {
        (self.orphans.get(wtxid)).is_some_and(|orphan| orphan.announcers.contains_key(&peer))
    }

    /// All of them with their announcers.
    pub(super) fn list(&self) -> Vec<OrphanInfo> {
        self.orphans
            .values()
            .map(|orphan| OrphanInfo {
                tx: Arc::clone(&orphan.tx),
                announcers: orphan.announcers.keys().copied().collect(),
            })
            .collect()
    }

    /// Keeps a transaction that a peer sent or announced.
    pub(super) fn add(&mut self, tx: &Arc<Transaction>, peer: PeerId) {
        let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
        let weight = tx.weight().to_wu();
        if weight > MAX_WEIGHT {
            tracing::debug!(
                target: "txpackages",
                "ignoring large orphan tx (size: {weight}, txid: {txid}, wtxid: {wtxid})"
            );
            return;
        }
        let is_new = !self.orphans.contains_key(&wtxid);
        let orphan = self.orphans.entry(wtxid).or_insert_with(|| Orphan {
            tx: Arc::clone(tx),
            announcers: BTreeMap::new(),
            ready: None,
        });
        if orphan.announcers.contains_key(&peer) {
            return;
        }
        let number = self.next_number;
        self.next_number += 1;
        orphan.announcers.insert(peer, number);
        let input_work = orphan.input_work();
        self.announcements += 1;
        let share = self.shares.entry(peer).or_default();
        share.weight += weight;
        share.work += 1 + input_work;
        share.announcements.insert((false, number, wtxid));
        if is_new {
            self.weight += weight;
            self.input_work += input_work;
            for input in &tx.input {
                let spenders = self.spenders.entry(input.previous_output).or_default();
                spenders.insert(wtxid);
            }
            tracing::debug!(
                target: "txpackages",
                "stored orphan tx {txid} (wtxid={wtxid}), weight: {weight} (mapsz {} outsz {})",
                self.announcements,
                self.spenders.len()
            );
        } else {
            tracing::debug!(
                target: "txpackages",
                "added peer={peer} as announcer of orphan tx {txid} (wtxid={wtxid})"
            );
        }
        self.limit();
    }

    /// Takes a transaction out; says whether it was there.
    pub(super) fn remove(&mut self, wtxid: &Wtxid) -> bool {
        let removed = self.remove_all(wtxid);
        self.limit();
        removed
    }

    fn remove_all(&mut self, wtxid: &Wtxid) -> bool {
        let Some(orphan) = self.orphans.get(wtxid) else {
            return false;
        };
        let txid = orphan.tx.compute_txid();
        let announcers: Vec<PeerId> = orphan.announcers.keys().copied().collect();
        for peer in &announcers {
            self.remove_announcement(wtxid, *peer);
        }
        tracing::debug!(
            target: "txpackages",
            "removed orphan tx {txid} (wtxid={wtxid}) ({} announcements)",
            announcers.len()
        );
        true
    }

    /// Forgets that a peer announced a transaction, and the transaction with its last announcer.
    fn remove_announcement(&mut self, wtxid: &Wtxid, peer: PeerId) {
        let Some(orphan) = self.orphans.get_mut(wtxid) else {
            return;
        };
        let Some(number) = orphan.announcers.remove(&peer) else {
            return;
        };
        let ready = orphan.ready == Some(peer);
        if ready {
            orphan.ready = None;
        }
        let (weight, input_work) = (orphan.weight(), orphan.input_work());
        self.announcements -= 1;
        if let Some(share) = self.shares.get_mut(&peer) {
            share.announcements.remove(&(ready, number, *wtxid));
            share.weight -= weight;
            share.work -= 1 + input_work;
            if share.announcements.is_empty() {
                self.shares.remove(&peer);
            }
        }
        if !orphan.announcers.is_empty() {
            return;
        }
        self.weight -= weight;
        self.input_work -= input_work;
        let Some(orphan) = self.orphans.remove(wtxid) else {
            return;
        };
        for input in &orphan.tx.input {
            if let Some(spenders) = self.spenders.get_mut(&input.previous_output) {
                spenders.remove(wtxid);
                if spenders.is_empty() {
                    self.spenders.remove(&input.previous_output);
                }
            }
        }
    }

    /// A peer is gone.
    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        let Some(share) = self.shares.get(&peer) else {
            return;
        };
        let announced: Vec<Wtxid> = share.announcements.iter().map(|(.., id)| *id).collect();
        for wtxid in &announced {
            self.remove_announcement(wtxid, peer);
        }
        tracing::debug!(
            target: "txpackages",
            "Erased {} orphan transaction(s) from peer={peer}",
            announced.len()
        );
        self.limit();
    }

    /// Forgets what a block contains, or makes impossible.
    pub(super) fn block_connected(&mut self, block: &Block) {
        let spent = block.txdata.iter().flat_map(|tx| &tx.input);
        let gone: BTreeSet<Wtxid> = spent
            .filter_map(|input| self.spenders.get(&input.previous_output))
            .flatten()
            .copied()
            .collect();
        for wtxid in &gone {
            self.remove_all(wtxid);
        }
        if !gone.is_empty() {
            tracing::debug!(
                target: "txpackages",
                "Erased {} orphan transaction(s) included or conflicted by block",
                gone.len()
            );
        }
        self.limit();
    }

    /// A transaction is there now: those that spend from it are judged again, each on the account of one of its
    /// announcers. `choose` gives a number below the one it is given.
    pub(super) fn parent_came(&mut self, tx: &Transaction, mut choose: impl FnMut(usize) -> usize) {
        if self.orphans.is_empty() {
            return;
        }
        let txid = tx.compute_txid();
        for (vout, _) in (0..).zip(&tx.output) {
            let spenders = self.spenders.get(&OutPoint::new(txid, vout));
            for wtxid in spenders.into_iter().flatten() {
                let Some(orphan) = self.orphans.get_mut(wtxid).filter(|o| o.ready.is_none()) else {
                    continue;
                };
                let place = choose(orphan.announcers.len());
                let Some((peer, number)) = orphan.announcers.iter().nth(place) else {
                    continue;
                };
                orphan.ready = Some(*peer);
                if let Some(share) = self.shares.get_mut(peer) {
                    share.announcements.remove(&(false, *number, *wtxid));
                    share.announcements.insert((true, *number, *wtxid));
                }
                tracing::debug!(
                    target: "txpackages",
                    "added {} (wtxid={wtxid}) to peer {peer} workset",
                    orphan.tx.compute_txid()
                );
            }
        }
    }

    /// The peers on whose account transactions are to be judged again.
    pub(super) fn peers_with_work(&self) -> Vec<PeerId> {
        let has_work = |share: &Share| share.announcements.last().is_some_and(|(ready, ..)| *ready);
        let shares = self.shares.iter();
        shares
            .filter_map(|(peer, share)| has_work(share).then_some(*peer))
            .collect()
    }

    /// The next transaction to judge again on a peer's account. It stays here, and is not judged once more before
    /// another of its parents comes.
    pub(super) fn next_ready(&mut self, peer: PeerId) -> Option<Arc<Transaction>> {
        let share = self.shares.get_mut(&peer)?;
        let first = (true, 0, Wtxid::from_byte_array([0; 32]));
        let entry = share.announcements.range(first..).next().copied()?;
        let (_, number, wtxid) = entry;
        share.announcements.remove(&entry);
        share.announcements.insert((false, number, wtxid));
        let orphan = self.orphans.get_mut(&wtxid)?;
        orphan.ready = None;
        Some(Arc::clone(&orphan.tx))
    }

    /// Those that spend from a transaction and that a peer announced: what is ready first, then the youngest. Of
    /// children that replace each other the last pays most.
    pub(super) fn children_of(&self, parent: &Txid, peer: PeerId) -> Vec<Arc<Transaction>> {
        let Some(share) = self.shares.get(&peer) else {
            return Vec::new();
        };
        share
            .announcements
            .iter()
            .rev()
            .filter_map(|(.., wtxid)| self.get(wtxid))
            .filter(|tx| tx.input.iter().any(|i| i.previous_output.txid == *parent))
            .cloned()
            .collect()
    }

    fn exceeds(&self) -> bool {
        let peers = u64::try_from(self.shares.len().max(1)).unwrap_or(u64::MAX);
        self.announcements + self.input_work > MAX_WORK
            || self.weight > WEIGHT_PER_PEER.saturating_mul(peers)
    }

    /// Keeps the bounds.
    fn limit(&mut self) {
        if !self.exceeds() {
            return;
        }
        let work_per_peer = (MAX_WORK / self.shares.len().max(1)) as u64;
        let before = (self.orphans.len(), self.announcements);
        let mut losses: BTreeMap<PeerId, usize> = BTreeMap::new();
        while self.exceeds() {
            let worst = self.shares.iter().max_by_key(|(peer, share)| {
                let work = Excess {
                    used: share.work as u64,
                    of: work_per_peer,
                };
                let weight = Excess {
                    used: share.weight,
                    of: WEIGHT_PER_PEER,
                };
                (work.key().max(weight.key()), **peer)
            });
            let Some((peer, share)) = worst else {
                return;
            };
            let Some((.., wtxid)) = share.announcements.first().copied() else {
                return;
            };
            let peer = *peer;
            *losses.entry(peer).or_default() += 1;
            self.remove_announcement(&wtxid, peer);
        }
        for (peer, lost) in losses {
            let left = (self.shares.get(&peer)).map_or(0, |share| share.announcements.len());
            tracing::debug!(
                target: "txpackages",
                "peer={peer} orphanage overflow, removed {lost} of {} announcements",
                left + lost
            );
        }
        tracing::debug!(
            target: "txpackages",
            "orphanage overflow, removed {} tx ({} announcements)",
            before.0 - self.orphans.len(),
            before.1 - self.announcements
        );
    }
}

#[cfg(test)]
mod tests;
