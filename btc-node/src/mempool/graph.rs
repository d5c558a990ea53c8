//! Transactions, who spends whom, and the clusters they form.
//!
//! Every transaction is in exactly one cluster, every cluster keeps an order ([`linearize`](super::linearize)), and all
//! chunks of all clusters are kept sorted: mining takes from one end, eviction from the other. A change touches the
//! clusters it joins or parts, whose size the mempool limits, and nothing else.
//!
//! A change leaves the clusters it touches in a valid order, made of their old ones, and no more. Whoever made it then
//! spends a bounded amount of work on better orders ([`Graph::work`]); who reads the order first sees to it that each
//! cluster got its share ([`Graph::settle`]). A cluster that is too hard for its share keeps what was reached and is gone
//! on with after later changes.

mod cluster;
mod partition;
mod preview;
mod reorg;
#[cfg(test)]
mod tests;

pub use cluster::ChunkView;
pub use preview::Preview;

use super::entry::{Entry, Totals};
use super::linearize::Random;
use bitcoin::{OutPoint, Transaction, Txid, Wtxid};
use cluster::{Cluster, Ordered, Quality, Rank, components, merged, ranks};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Steps after which the order of a cluster is good enough to be read: most clusters are in their best order by then. A
/// tenth of a millisecond or so.
const ACCEPTABLE: u64 = 75_000;
/// Steps that follow a change.
pub const AFTER_CHANGE: u64 = 5 * ACCEPTABLE;

/// The transactions of the mempool and their order. It holds whatever it is given: policy is elsewhere.
#[derive(Debug)]
pub struct Graph {
    entries: HashMap<Txid, Entry>,
    by_wtxid: HashMap<Wtxid, Txid>,
    spent: HashMap<OutPoint, Txid>,
    clusters: HashMap<u64, Cluster>,
    ranks: BTreeSet<Rank>,
    by_time: BTreeSet<(i64, Txid)>,
    /// Clusters whose order nothing was done for since they changed.
    rough: BTreeSet<u64>,
    /// Clusters that got their share of work and are not known to be in their best order.
    acceptable: BTreeSet<u64>,
    /// Spendings of outputs of transactions that came later, parent and child, while these don't join clusters.
    held: Option<Vec<(Txid, Txid)>>,
    next_cluster: u64,
    random: Random,
    total_vsize: i64,
    total_fee: i64,
    inner_usage: usize,
}

impl Graph {
    /// An empty one. The seed is for choices in the search for good orders, which strangers should not foresee.
    pub fn new(seed: u64) -> Self {
        Self {
            entries: HashMap::new(),
            by_wtxid: HashMap::new(),
            spent: HashMap::new(),
            clusters: HashMap::new(),
            ranks: BTreeSet::new(),
            by_time: BTreeSet::new(),
            rough: BTreeSet::new(),
            acceptable: BTreeSet::new(),
            held: None,
            next_cluster: 0,
            random: Random::new(seed),
            total_vsize: 0,
            total_fee: 0,
            inner_usage: 0,
        }
    }

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
        ids.iter()
            .filter_map(|id| self.clusters.get(id))
            .fold((1, weight), |(count, sum), cluster| {
                (count + cluster.count(), sum + cluster.weight())
            })
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
        let mut neighbours: BTreeSet<u64> = entry
            .parents
            .iter()
            .map(|txid| self.entries[txid].cluster)
            .collect();
        match &mut self.held {
            Some(held) => held.extend(entry.children.iter().map(|child| (txid, *child))),
            None => neighbours.extend(entry.children.iter().map(|c| self.entries[c].cluster)),
        }
        self.entries.insert(txid, entry);
        let neighbours = self.dissolve(neighbours);
        let mut members = merged(&neighbours);
        members.push(txid);
        self.form(&members, Quality::Rough);
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
        for cluster in self.dissolve(touched) {
            let (rest, as_good) = cluster.rest(|txid| self.contains(txid));
            let quality = match cluster.quality {
                quality if as_good => quality,
                _ => Quality::Rough,
            };
            self.form(&rest, quality);
        }
        gone
    }

    /// Sets what `prioritisetransaction` adds to a transaction's fee, in sat.
    pub fn set_fee_delta(&mut self, txid: &Txid, delta: i64) {
        let Some(entry) = self.entries.get_mut(txid) else {
            return;
        };
        entry.fee_delta = delta;
        let cluster = BTreeSet::from([entry.cluster]);
        let members = merged(&self.dissolve(cluster));
        self.form(&members, Quality::Rough);
    }

    /// Whether every cluster is known to be in its best order.
    pub fn is_optimal(&self) -> bool {
        self.rough.is_empty() && self.acceptable.is_empty()
    }

    /// Gives each cluster that has changed its share of work for a better order.
    pub fn settle(&mut self) {
        while let Some(id) = self.rough.first().copied() {
            self.improve(id, ACCEPTABLE);
        }
    }

    /// Works on the orders of clusters for about so many steps: first on those that have changed, then on those that may
    /// still get better, one after another.
    pub fn work(&mut self, budget: u64) {
        let mut left = budget;
        while left > 0 {
            let Some(id) = self.rough.first().copied() else {
                break;
            };
            let steps = self.improve(id, ACCEPTABLE.min(left));
            left = left.saturating_sub(steps);
        }
        // Not always the same first: it may be one that takes all there is.
        let start = self.random.next() % self.next_cluster.max(1);
        let turn: Vec<u64> = self
            .acceptable
            .range(start..)
            .chain(self.acceptable.range(..start))
            .copied()
            .collect();
        for id in turn {
            if left < ACCEPTABLE {
                break;
            }
            let steps = self.improve(id, left);
            left = left.saturating_sub(steps);
        }
    }

    /// Looks for a better order of a cluster; gives the steps that it took.
    fn improve(&mut self, id: u64, budget: u64) -> u64 {
        self.rough.remove(&id);
        self.acceptable.remove(&id);
        let Some(cluster) = self.clusters.get(&id) else {
            return 0;
        };
        let members: Vec<&Entry> = cluster.members().map(|txid| &self.entries[txid]).collect();
        let mut ordered = Ordered::new(&members);
        let (optimal, steps) = ordered.improve(budget, self.random.next());
        let chunks = ordered.chunks();
        if chunks != cluster.chunks {
            let new = ranks(&chunks, id);
            for rank in &cluster.ranks {
                self.ranks.remove(rank);
            }
            self.ranks.extend(new.iter().cloned());
            if let Some(cluster) = self.clusters.get_mut(&id) {
                (cluster.chunks, cluster.ranks) = (chunks, new);
            }
        }
        let quality = if optimal {
            Quality::Optimal
        } else if budget < ACCEPTABLE && steps >= budget {
            // It did not have its share yet.
            Quality::Rough
        } else {
            Quality::Acceptable
        };
        self.set_quality(id, quality);
        steps
    }

    fn set_quality(&mut self, id: u64, quality: Quality) {
        if let Some(cluster) = self.clusters.get_mut(&id) {
            cluster.quality = quality;
            match quality {
                Quality::Rough => self.rough.insert(id),
                Quality::Acceptable => self.acceptable.insert(id),
                Quality::Optimal => true,
            };
        }
    }

    /// Takes clusters apart.
    fn dissolve(&mut self, ids: BTreeSet<u64>) -> Vec<Cluster> {
        let mut dissolved = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(cluster) = self.clusters.remove(&id) else {
                continue;
            };
            self.rough.remove(&id);
            self.acceptable.remove(&id);
            for rank in &cluster.ranks {
                self.ranks.remove(rank);
            }
            dissolved.push(cluster);
        }
        dissolved
    }

    /// Makes clusters of transactions that are in none, each in the order given but parents first. `quality` is that of
    /// this order.
    fn form(&mut self, members: &[Txid], quality: Quality) {
        let entries: Vec<&Entry> = members.iter().map(|txid| &self.entries[txid]).collect();
        let ordered: Vec<Vec<ChunkView>> = components(&entries)
            .iter()
            .map(|component| match component[..] {
                [only] => vec![ChunkView {
                    txids: vec![only.txid],
                    feerate: only.feerate(),
                }],
                _ => Ordered::new(component).chunks(),
            })
            .collect();
        for chunks in ordered {
            let id = self.next_cluster;
            self.next_cluster += 1;
            let mut count = 0;
            for txid in chunks.iter().flat_map(|chunk| &chunk.txids) {
                count += 1;
                if let Some(entry) = self.entries.get_mut(txid) {
                    entry.cluster = id;
                }
            }
            let ranks = ranks(&chunks, id);
            self.ranks.extend(ranks.iter().cloned());
            let cluster = Cluster {
                chunks,
                ranks,
                quality,
            };
            self.clusters.insert(id, cluster);
            let alone = count == 1;
            self.set_quality(id, if alone { Quality::Optimal } else { quality });
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
