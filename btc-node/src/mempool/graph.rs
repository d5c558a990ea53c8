//! Transactions, who spends whom, and the clusters they form.
//!
//! Every transaction is in exactly one cluster, every cluster is kept in its best order ([`linearize`](super::linearize)), and all chunks
//! of all clusters are kept sorted: mining takes from one end, eviction from the other. A change touches the clusters it
//! joins or parts, whose size the mempool limits, and nothing else. The work on one cluster is bounded; one that strangers
//! made too hard for it is kept in the order found so far, and tried once more when there is time ([`Graph::improve`]).

mod cluster;
#[cfg(test)]
mod tests;

pub use cluster::ChunkView;

use super::entry::{Entry, Totals};
use super::feerate::Feerate;
use bitcoin::{OutPoint, Transaction, Txid, Wtxid};
use cluster::{Cluster, QUICK, Rank, THOROUGH, components, order, ranks};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// What the mempool would look like after a change, as far as it changes.
#[derive(Debug)]
pub struct Preview<'a> {
    before: Vec<Feerate>,
    clusters: Vec<Vec<&'a Entry>>,
}

impl Preview<'_> {
    /// Transactions in the largest cluster that the change leaves.
    pub fn count(&self) -> usize {
        self.clusters.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Sigops-adjusted weight of the heaviest cluster that the change leaves, in weight units.
    pub fn weight(&self) -> i64 {
        let weight = |cluster: &Vec<&Entry>| cluster.iter().map(|e| e.adjusted_weight).sum();
        self.clusters.iter().map(weight).max().unwrap_or(0)
    }

    /// Chunks of the clusters that the change touches, before it.
    pub fn before(&self) -> &[Feerate] {
        &self.before
    }

    /// Chunks of the clusters that it leaves. These are put in order here, so the limits on clusters come first.
    pub fn after(&self) -> Vec<Feerate> {
        let ordered = self.clusters.iter().map(|cluster| order(cluster, QUICK).0);
        ordered.flatten().map(|chunk| chunk.feerate).collect()
    }
}

/// The transactions of the mempool and their order. It holds whatever it is given: policy is elsewhere.
#[derive(Debug, Default)]
pub struct Graph {
    entries: HashMap<Txid, Entry>,
    by_wtxid: HashMap<Wtxid, Txid>,
    spent: HashMap<OutPoint, Txid>,
    clusters: HashMap<u64, Cluster>,
    ranks: BTreeSet<Rank>,
    by_time: BTreeSet<(i64, Txid)>,
    /// Clusters that wait for a second try at their order.
    unfinished: BTreeSet<u64>,
    /// How many clusters are not known to be in their best order.
    not_optimal: usize,
    next_cluster: u64,
    total_vsize: i64,
    total_fee: i64,
    inner_usage: usize,
}

impl Graph {
    /// How many transactions there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The sizes of all transactions, in vB.
    pub fn total_vsize(&self) -> i64 {
        self.total_vsize
    }

    /// The fees of all transactions, without deltas, in sat.
    pub fn total_fee(&self) -> i64 {
        self.total_fee
    }

    /// Memory taken, in bytes, by estimate.
    pub fn memory_usage(&self) -> usize {
        const PER_ENTRY: usize = size_of::<Entry>()
            + 2 * (size_of::<Txid>() + size_of::<Wtxid>())
            + size_of::<Rank>()
            + size_of::<Cluster>()
            + size_of::<[usize; 8]>();
        const PER_INPUT: usize =
            size_of::<OutPoint>() + size_of::<Txid>() + size_of::<[usize; 2]>();
        self.entries.len() * PER_ENTRY + self.spent.len() * PER_INPUT + self.inner_usage
    }

    /// The transaction with this id.
    pub fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    /// The transaction with this id over the witness too.
    pub fn get_by_wtxid(&self, wtxid: &Wtxid) -> Option<&Entry> {
        self.by_wtxid
            .get(wtxid)
            .and_then(|txid| self.entries.get(txid))
    }

    /// Whether the transaction is there.
    pub fn contains(&self, txid: &Txid) -> bool {
        self.entries.contains_key(txid)
    }

    /// The transaction that spends this output.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spent.get(outpoint).copied()
    }

    /// All transactions, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The transactions that came in before `time`, in seconds since 1970.
    pub fn older_than(&self, time: i64) -> impl Iterator<Item = Txid> {
        self.by_time
            .iter()
            .take_while(move |(entered, _)| *entered < time)
            .map(|(_, txid)| *txid)
    }

    /// All chunks, the best first.
    pub fn chunks(&self) -> impl DoubleEndedIterator<Item = &ChunkView> {
        self.ranks
            .iter()
            .map(|rank| &self.clusters[&rank.cluster].chunks[rank.position])
    }

    /// The chunk that the transaction is in.
    pub fn chunk_of(&self, txid: &Txid) -> Option<&ChunkView> {
        let cluster = self.clusters.get(&self.entries.get(txid)?.cluster)?;
        cluster
            .chunks
            .iter()
            .find(|chunk| chunk.txids.contains(txid))
    }

    /// The chunks of the transaction's cluster in order; empty if it is not there.
    pub fn cluster_of(&self, txid: &Txid) -> &[ChunkView] {
        self.entries
            .get(txid)
            .and_then(|entry| self.clusters.get(&entry.cluster))
            .map_or(&[], |cluster| cluster.chunks.as_slice())
    }

    /// A transaction of some cluster with more than `count` transactions or more than `weight` weight units.
    pub fn oversized_cluster(&self, count: usize, weight: i64) -> Option<Txid> {
        let oversized = self.clusters.values().find(|cluster| {
            let total: i64 = cluster.chunks.iter().map(|chunk| chunk.feerate.size).sum();
            cluster.count() > count || total > weight
        })?;
        oversized.members().next().copied()
    }

    /// How many different clusters these transactions are in.
    pub fn count_clusters<'a>(&self, txids: impl IntoIterator<Item = &'a Txid>) -> usize {
        let ids: HashSet<u64> = txids
            .into_iter()
            .filter_map(|txid| self.entries.get(txid))
            .map(|e| e.cluster)
            .collect();
        ids.len()
    }

    /// The transactions of the mempool that `tx` spends from.
    pub fn parents_of(&self, tx: &Transaction) -> BTreeSet<Txid> {
        let sources = tx.input.iter().map(|input| input.previous_output.txid);
        sources.filter(|txid| self.contains(txid)).collect()
    }

    /// These transactions and everything they descend from.
    pub fn ancestors(&self, start: impl IntoIterator<Item = Txid>) -> BTreeSet<Txid> {
        self.closure(start, |entry| &entry.parents)
    }

    /// These transactions and everything that descends from them.
    pub fn descendants(&self, start: impl IntoIterator<Item = Txid>) -> BTreeSet<Txid> {
        self.closure(start, |entry| &entry.children)
    }

    fn closure(
        &self,
        start: impl IntoIterator<Item = Txid>,
        next: impl Fn(&Entry) -> &BTreeSet<Txid>,
    ) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        let mut stack: Vec<Txid> = start.into_iter().collect();
        while let Some(txid) = stack.pop() {
            if let Some(entry) = self.entries.get(&txid)
                && found.insert(txid)
            {
                stack.extend(next(entry).iter().copied());
            }
        }
        found
    }

    /// Sums over these transactions.
    pub fn totals<'a>(&self, txids: impl IntoIterator<Item = &'a Txid>) -> Totals {
        let mut totals = Totals::default();
        for entry in txids.into_iter().filter_map(|txid| self.entries.get(txid)) {
            totals.count += 1;
            totals.vsize += entry.vsize();
            totals.fees = totals.fees.saturating_add(entry.modified_fee());
        }
        totals
    }

    /// What adding `added` (with their parents set, which may be among them) and removing `removed` would do.
    pub fn preview<'a>(&'a self, added: &[&'a Entry], removed: &BTreeSet<Txid>) -> Preview<'a> {
        let touched: BTreeSet<u64> = added
            .iter()
            .flat_map(|entry| &entry.parents)
            .chain(removed)
            .filter_map(|txid| self.entries.get(txid))
            .map(|entry| entry.cluster)
            .collect();
        let clusters = || touched.iter().filter_map(|id| self.clusters.get(id));
        let before = clusters()
            .flat_map(|c| c.chunks.iter().map(|chunk| chunk.feerate))
            .collect();
        let mut members: Vec<&Entry> = clusters()
            .flat_map(Cluster::members)
            .filter(|txid| !removed.contains(*txid))
            .map(|txid| &self.entries[txid])
            .collect();
        members.extend(added);
        Preview {
            before,
            clusters: components(&members),
        }
    }

    /// Those of these transactions that are here, in the order of their ids.
    pub fn transactions(&self, txids: &BTreeSet<Txid>) -> Vec<Arc<Transaction>> {
        let entries = txids.iter().filter_map(|txid| self.get(txid));
        entries.map(|entry| Arc::clone(&entry.tx)).collect()
    }

    /// The number and the sigops-adjusted weight (in weight units) of the transactions in the cluster that a
    /// transaction of `weight` with these parents would form.
    pub fn cluster_with(&self, parents: &BTreeSet<Txid>, weight: i64) -> (usize, i64) {
        let ids: BTreeSet<u64> = parents
            .iter()
            .filter_map(|txid| self.entries.get(txid))
            .map(|e| e.cluster)
            .collect();
        ids.iter().filter_map(|id| self.clusters.get(id)).fold(
            (1, weight),
            |(count, sum), cluster| {
                let weight: i64 = cluster.chunks.iter().map(|chunk| chunk.feerate.size).sum();
                (count + cluster.count(), sum + weight)
            },
        )
    }

    /// Adds a transaction; its parents and children are found here.
    pub fn insert(&mut self, mut entry: Entry) {
        let txid = entry.txid;
        entry.parents = self.parents_of(&entry.tx);
        entry.children = (0..entry.tx.output.len())
            .filter_map(|vout| self.spender(&OutPoint::new(txid, u32::try_from(vout).ok()?)))
            .collect();
        for parent in &entry.parents {
            if let Some(parent) = self.entries.get_mut(parent) {
                parent.children.insert(txid);
            }
        }
        for child in &entry.children {
            if let Some(child) = self.entries.get_mut(child) {
                child.parents.insert(txid);
            }
        }
        for input in &entry.tx.input {
            self.spent.insert(input.previous_output, txid);
        }
        self.by_wtxid.insert(entry.wtxid, txid);
        self.by_time.insert((entry.time, txid));
        self.total_vsize += entry.vsize();
        self.total_fee += entry.fee;
        self.inner_usage += usage(&entry.tx);
        let neighbours: BTreeSet<u64> = entry
            .parents
            .iter()
            .chain(&entry.children)
            .map(|txid| self.entries[txid].cluster)
            .collect();
        self.entries.insert(txid, entry);
        let mut members = self.dissolve(neighbours);
        members.push(txid);
        self.form(&members);
    }

    /// Removes transactions, and only these: the caller names descendants too where they must go. Gives those that were
    /// there, in no order.
    pub fn remove<'a>(&mut self, txids: impl IntoIterator<Item = &'a Txid>) -> Vec<Entry> {
        let mut touched = BTreeSet::new();
        let mut gone = Vec::new();
        for txid in txids {
            let Some(entry) = self.entries.remove(txid) else {
                continue;
            };
            touched.insert(entry.cluster);
            self.by_wtxid.remove(&entry.wtxid);
            self.by_time.remove(&(entry.time, entry.txid));
            for input in &entry.tx.input {
                self.spent.remove(&input.previous_output);
            }
            for parent in &entry.parents {
                if let Some(parent) = self.entries.get_mut(parent) {
                    parent.children.remove(txid);
                }
            }
            for child in &entry.children {
                if let Some(child) = self.entries.get_mut(child) {
                    child.parents.remove(txid);
                }
            }
            self.total_vsize -= entry.vsize();
            self.total_fee -= entry.fee;
            self.inner_usage -= usage(&entry.tx);
            gone.push(entry);
        }
        let members = self.dissolve(touched);
        self.form(&members);
        gone
    }

    /// Sets what `prioritisetransaction` adds to a transaction's fee, in sat.
    pub fn set_fee_delta(&mut self, txid: &Txid, delta: i64) {
        let Some(entry) = self.entries.get_mut(txid) else {
            return;
        };
        entry.fee_delta = delta;
        let cluster = entry.cluster;
        let members = self.dissolve(BTreeSet::from([cluster]));
        self.form(&members);
    }

    /// Whether every cluster is known to be in its best order.
    pub fn is_optimal(&self) -> bool {
        self.not_optimal == 0
    }

    /// Tries once more to put a cluster in its best order, if one waits for that.
    pub fn improve(&mut self) {
        let Some(id) = self.unfinished.first().copied() else {
            return;
        };
        let members = self.dissolve(BTreeSet::from([id]));
        self.form_within(&members, THOROUGH);
        // A third try would end as the second did.
        self.unfinished.remove(&(self.next_cluster - 1));
    }

    /// Takes clusters apart; gives the members that are still there.
    fn dissolve(&mut self, ids: BTreeSet<u64>) -> Vec<Txid> {
        let mut members = Vec::new();
        for id in ids {
            let Some(cluster) = self.clusters.remove(&id) else {
                continue;
            };
            self.unfinished.remove(&id);
            self.not_optimal -= usize::from(!cluster.optimal);
            for rank in &cluster.ranks {
                self.ranks.remove(rank);
            }
            members.extend(
                cluster
                    .members()
                    .filter(|txid| self.contains(txid))
                    .copied(),
            );
        }
        members
    }

    /// Makes clusters of transactions that are in none.
    fn form(&mut self, members: &[Txid]) {
        self.form_within(members, QUICK);
    }

    fn form_within(&mut self, members: &[Txid], steps: u64) {
        let entries: Vec<&Entry> = members.iter().map(|txid| &self.entries[txid]).collect();
        let ordered: Vec<(Vec<ChunkView>, bool)> = components(&entries)
            .iter()
            .map(|component| order(component, steps))
            .collect();
        for (chunks, optimal) in ordered {
            let id = self.next_cluster;
            self.next_cluster += 1;
            for txid in chunks.iter().flat_map(|chunk| &chunk.txids) {
                if let Some(entry) = self.entries.get_mut(txid) {
                    entry.cluster = id;
                }
            }
            let ranks = ranks(&chunks, id);
            self.ranks.extend(ranks.iter().cloned());
            if !optimal {
                self.unfinished.insert(id);
                self.not_optimal += 1;
            }
            let cluster = Cluster {
                chunks,
                ranks,
                optimal,
            };
            self.clusters.insert(id, cluster);
        }
    }
}

/// Memory behind a transaction, in bytes, by estimate: its parts and what they point to.
fn usage(tx: &Arc<Transaction>) -> usize {
    let inputs: usize = tx
        .input
        .iter()
        .map(|input| size_of_val(input) + input.script_sig.len() + input.witness.size())
        .sum();
    let outputs: usize = tx
        .output
        .iter()
        .map(|output| size_of_val(output) + output.script_pubkey.len())
        .sum();
    size_of::<Transaction>() + inputs + outputs + size_of::<[usize; 2]>()
}
