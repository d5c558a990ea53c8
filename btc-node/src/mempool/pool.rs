//! The mempool's state: the graph, and what is remembered beside it. Not yet shared between threads.

use super::entry::Entry;
use super::feerate::Feerate;
use super::fees::{Estimators, Observed};
use super::graph::Graph;
use super::policy::Policy;
use super::tip::ChainView;
use crate::notify::RemovalReason;
use crate::store::StoreError;
use bitcoin::{OutPoint, Transaction, Txid};
use btc_consensus::{Coin, HashedBlock};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

/// The height that a coin of the mempool shows.
pub const MEMPOOL_HEIGHT: u32 = 0x7fff_ffff;

/// The time in which the floor falls to its half after a block, in seconds.
const FLOOR_HALF_LIFE: f64 = 12.0 * 60.0 * 60.0;

/// How large the mempool may grow, and how old its transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes (`-maxmempool`).
    pub max_bytes: usize,
    /// Age in seconds (`-mempoolexpiry`).
    pub expiry: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 300_000_000,
            expiry: 336 * 60 * 60,
        }
    }
}

/// Something that happened to a transaction.
#[derive(Debug, Clone)]
pub enum Change {
    /// It came in.
    Added {
        /// The transaction.
        tx: Arc<Transaction>,
        /// What it pays, in sat.
        fee: i64,
        /// Its place in the order of changes.
        sequence: u64,
    },
    /// It left, other than by a block.
    Removed {
        /// The transaction.
        tx: Arc<Transaction>,
        /// Why.
        reason: RemovalReason,
        /// Its place in the order of changes.
        sequence: u64,
    },
}

/// The feerate that rises by evictions and falls with time once blocks come again.
#[derive(Debug, Clone, Copy, Default)]
struct Floor {
    /// In sat/kvB.
    rate: f64,
    updated: i64,
    block_since_bump: bool,
}

/// The mempool as one thread sees it.
#[derive(Debug)]
pub struct Pool {
    pub(super) graph: Graph,
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    deltas: BTreeMap<Txid, i64>,
    unbroadcast: BTreeSet<Txid>,
    sequence: u64,
    updates: u64,
    floor: Floor,
    changes: Vec<Change>,
    pub(super) fees: Option<Estimators>,
}

impl Pool {
    /// An empty one.
    pub fn new(policy: Policy, limits: Limits) -> Self {
        Self {
            // Hashing is seeded by the system: what it makes of nothing is as good as any secret number.
            graph: Graph::new(RandomState::new().build_hasher().finish()),
            policy,
            limits,
            deltas: BTreeMap::new(),
            unbroadcast: BTreeSet::new(),
            sequence: 1,
            // The genesis block was a first change of the tip.
            updates: 1,
            floor: Floor {
                block_since_bump: true,
                ..Floor::default()
            },
            changes: Vec::new(),
            fees: None,
        }
    }

    /// The transactions.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The rules.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The number of the next change.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How often something changed that may change a block template: transactions, their priorities, the tip.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Counts a change of the tip.
    pub(super) fn tip_changed(&mut self) {
        self.updates += 1;
    }

    fn next_sequence(&mut self) -> u64 {
        let sequence = self.sequence;
        self.sequence += 1;
        sequence
    }

    /// What happened since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// All transactions, each after those that it spends from, the best feerates first.
    pub fn sorted(&self) -> impl Iterator<Item = &Entry> {
        let txids = self.graph.chunks().flat_map(|chunk| &chunk.txids);
        txids.filter_map(|txid| self.graph.get(txid))
    }

    /// What `prioritisetransaction` added to the fees of transactions, here or not, in sat.
    pub fn deltas(&self) -> &BTreeMap<Txid, i64> {
        &self.deltas
    }

    /// Transactions of our own that no peer has asked for.
    pub fn unbroadcast(&self) -> &BTreeSet<Txid> {
        &self.unbroadcast
    }

    /// Marks a transaction as one to announce until a peer asks for it.
    pub fn add_unbroadcast(&mut self, txid: Txid) {
        if self.graph.contains(&txid) {
            self.unbroadcast.insert(txid);
        }
    }

    /// Takes that mark away.
    pub fn remove_unbroadcast(&mut self, txid: &Txid) {
        if self.unbroadcast.remove(txid) {
            tracing::debug!(target: "mempool", "Removed {txid} from set of unbroadcast txns");
        }
    }

    /// Adds `delta` sat to what a miner sees of a transaction's fee, here or not.
    pub fn prioritise(&mut self, txid: Txid, delta: i64) {
        let total = self
            .deltas
            .get(&txid)
            .copied()
            .unwrap_or(0)
            .saturating_add(delta);
        if total == 0 {
            self.deltas.remove(&txid);
        } else {
            self.deltas.insert(txid, total);
        }
        if self.graph.contains(&txid) {
            self.updates += 1;
        }
        self.graph.set_fee_delta(&txid, total);
    }

    /// An unspent output of the chain or of a transaction here.
    ///
    /// # Errors
    /// The coins database failed.
    pub fn coin(
        &self,
        view: &dyn ChainView,
        outpoint: &OutPoint,
    ) -> Result<Option<Coin>, StoreError> {
        let Some(entry) = self.graph.get(&outpoint.txid) else {
            return view.coin(outpoint);
        };
        let output = usize::try_from(outpoint.vout)
            .ok()
            .and_then(|vout| entry.tx.output.get(vout));
        Ok(output.map(|output| Coin {
            output: output.clone(),
            height: MEMPOOL_HEIGHT,
            coinbase: false,
        }))
    }

    /// The feerate below which nothing comes in because the mempool was full a while ago.
    pub fn floor(&mut self, now: i64) -> Feerate {
        if !self.floor.block_since_bump || self.floor.rate == 0.0 {
            return Feerate::from_sat_per_kvb(self.floor.rate.round() as i64);
        }
        if now > self.floor.updated + 10 {
            let usage = self.graph.memory_usage();
            let half_life = match usage {
                _ if usage < self.limits.max_bytes / 4 => FLOOR_HALF_LIFE / 4.0,
                _ if usage < self.limits.max_bytes / 2 => FLOOR_HALF_LIFE / 2.0,
                _ => FLOOR_HALF_LIFE,
            };
            self.floor.rate /= 2f64.powf((now - self.floor.updated) as f64 / half_life);
            self.floor.updated = now;
            if self.floor.rate < self.policy.incremental_feerate.per_thousand() as f64 / 2.0 {
                self.floor.rate = 0.0;
                return Feerate::from_sat_per_kvb(0);
            }
        }
        Feerate::from_sat_per_kvb(self.floor.rate.round() as i64)
            .max(self.policy.incremental_feerate)
    }

    /// The feerate below which nothing comes in now.
    pub fn min_feerate(&mut self, now: i64) -> Feerate {
        self.floor(now).max(self.policy.min_relay_feerate)
    }

    /// Adds a transaction that was judged fit. With `observe`, what becomes of it tells of fees, unless it has parents
    /// here: then its own feerate is not what a miner goes by.
    pub(super) fn add(&mut self, entry: Entry, observe: bool) {
        let (tx, fee) = (Arc::clone(&entry.tx), entry.fee);
        if let Some(fees) = &mut self.fees
            && observe
            && self.graph.parents_of(&tx).is_empty()
        {
            fees.block_policy.added(&observed(&entry));
        }
        self.graph.insert(entry);
        self.updates += 1;
        let sequence = self.next_sequence();
        self.changes.push(Change::Added { tx, fee, sequence });
    }

    /// The delta that a transaction has waiting for it, in sat.
    pub(super) fn delta_of(&self, txid: &Txid) -> i64 {
        self.deltas.get(txid).copied().unwrap_or(0)
    }

    /// Removes exactly these transactions.
    pub(super) fn remove(&mut self, txids: &BTreeSet<Txid>, reason: RemovalReason) {
        for entry in self.graph.remove(txids) {
            if self.unbroadcast.remove(&entry.txid) {
                tracing::debug!(
                    target: "mempool",
                    "Removed {} from set of unbroadcast txns before confirmation that txn was sent out",
                    entry.txid
                );
            }
            self.updates += 1;
            if reason != RemovalReason::Block {
                if let Some(fees) = &mut self.fees {
                    fees.block_policy.removed(&entry.txid);
                }
                let sequence = self.next_sequence();
                self.changes.push(Change::Removed {
                    tx: entry.tx,
                    reason,
                    sequence,
                });
            }
        }
    }

    /// Removes transactions and all that descend from them; gives how many went.
    pub(super) fn remove_with_descendants(
        &mut self,
        txids: impl IntoIterator<Item = Txid>,
        reason: RemovalReason,
    ) -> usize {
        let gone = self.graph.descendants(txids);
        self.remove(&gone, reason);
        gone.len()
    }

    /// Drops what waited too long, then the worth least until the rest fits the memory allowed.
    pub(super) fn enforce_limits(&mut self, now: i64) {
        let oldest = now.saturating_sub(self.limits.expiry);
        let old: Vec<Txid> = self.graph.older_than(oldest).collect();
        let expired = self.remove_with_descendants(old, RemovalReason::Expiry);
        if expired > 0 {
            tracing::debug!(target: "mempool", "Expired {expired} transactions from the memory pool");
        }
        let (before, mut highest) = (self.graph.len(), Feerate::ZERO);
        while self.graph.memory_usage() > self.limits.max_bytes {
            self.graph.settle();
            let Some(chunk) = self.graph.chunks().next_back().cloned() else {
                break;
            };
            // Above what was evicted by a step, so that the same cannot come back at once and for free.
            let rate = chunk.feerate.weight_to_vsize().per_thousand();
            let rate = rate.saturating_add(self.policy.incremental_feerate.per_thousand());
            self.raise_floor(rate);
            highest = highest.max(Feerate::from_sat_per_kvb(rate));
            // The worst chunk is the end of its cluster: nothing outside of it descends from it.
            self.remove_with_descendants(chunk.txids, RemovalReason::SizeLimit);
        }
        let gone = before - self.graph.len();
        if gone > 0 {
            tracing::debug!(
                target: "mempool",
                "Removed {gone} txn, rolling minimum fee bumped to {highest}"
            );
        }
    }

    fn raise_floor(&mut self, rate: i64) {
        if rate as f64 > self.floor.rate {
            self.floor.rate = rate as f64;
            self.floor.block_since_bump = false;
        }
    }

    /// A block came: its transactions go, and so does what spends the same outputs otherwise.
    pub(super) fn block_connected(&mut self, block: &HashedBlock, height: u32, now: i64) {
        let (transactions, ids) = (&block.txdata, block.txids());
        let mined: BTreeSet<Txid> = ids
            .iter()
            .filter(|txid| self.graph.contains(txid))
            .copied()
            .collect();
        let known: Vec<Observed> = match &self.fees {
            Some(_) => {
                let entries = ids.iter().filter_map(|txid| self.graph.get(txid));
                entries.map(observed).collect()
            }
            None => Vec::new(),
        };
        self.remove(&mined, RemovalReason::Block);
        for (tx, txid) in transactions.iter().zip(ids) {
            let conflicts: BTreeSet<Txid> = tx
                .input
                .iter()
                .filter_map(|input| self.graph.spender(&input.previous_output))
                .collect();
            for conflict in &conflicts {
                self.deltas.remove(conflict);
            }
            self.remove_with_descendants(conflicts, RemovalReason::Conflict);
            self.deltas.remove(txid);
        }
        if let Some(fees) = &mut self.fees {
            fees.block_connected(block, height, &known);
        }
        self.floor.updated = now;
        self.floor.block_since_bump = true;
    }

    /// Removes what descends from a transaction, and the transaction itself if it is here.
    pub(super) fn remove_spenders(&mut self, tx: &Transaction, reason: RemovalReason) {
        let txid = tx.compute_txid();
        let spenders: Vec<Txid> = (0u32..)
            .zip(&tx.output)
            .filter_map(|(vout, _)| self.graph.spender(&OutPoint::new(txid, vout)))
            .chain([txid])
            .collect();
        self.remove_with_descendants(spenders, reason);
    }

    /// Lets transactions come back from disconnected blocks without joining the clusters of their children, until
    /// [`Pool::join_clusters`].
    pub(super) fn hold_clusters(&mut self) {
        self.graph.hold();
    }

    /// Joins the clusters that were held apart. What would make them larger than the limits goes.
    pub(super) fn join_clusters(&mut self) {
        let max_weight = self.policy.cluster_vsize.saturating_mul(4);
        let excess = self.graph.excess(self.policy.cluster_count, max_weight);
        self.remove(&excess, RemovalReason::SizeLimit);
        self.graph.release();
    }
}

fn observed(entry: &Entry) -> Observed {
    Observed {
        txid: entry.txid,
        feerate: Feerate::new(entry.fee, entry.vsize()).per_thousand(),
        height: entry.height,
        weight: entry.weight.unsigned_abs(),
    }
}
