//! A change that is not made.

use super::cluster::{Cluster, Ordered, components, merged};
use super::{ACCEPTABLE, Graph};
use crate::mempool::entry::Entry;
use crate::mempool::feerate::Feerate;
use bitcoin::Txid;
use std::collections::BTreeSet;

/// What the mempool would look like after a change, as far as it changes.
#[derive(Debug)]
pub struct Preview<'a> {
    before: Vec<Feerate>,
    clusters: Vec<Vec<&'a Entry>>,
    seed: u64,
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

    /// Chunks of the clusters that it leaves. These get their share of work here, so the limits on clusters come first.
    pub fn after(&self) -> Vec<Feerate> {
        let mut rates = Vec::new();
        for cluster in &self.clusters {
            let mut ordered = Ordered::new(cluster);
            ordered.improve(ACCEPTABLE, self.seed);
            rates.extend(ordered.chunks().iter().map(|chunk| chunk.feerate));
        }
        rates
    }
}

impl Graph {
    /// What adding `added` (with their parents set, which may be among them) and removing `removed` would do. The clusters
    /// that it touches should have got their share of work ([`Graph::settle`]), since those it leaves get it.
    pub fn preview<'a>(&'a self, added: &[&'a Entry], removed: &BTreeSet<Txid>) -> Preview<'a> {
        let touched: BTreeSet<u64> = added
            .iter()
            .flat_map(|entry| &entry.parents)
            .chain(removed)
            .filter_map(|txid| self.entries.get(txid))
            .map(|entry| entry.cluster)
            .collect();
        let clusters: Vec<&Cluster> = touched
            .iter()
            .filter_map(|id| self.clusters.get(id))
            .collect();
        let chunks = clusters.iter().flat_map(|cluster| &cluster.chunks);
        let before = chunks.map(|chunk| chunk.feerate).collect();
        let mut members: Vec<&Entry> = merged(clusters)
            .iter()
            .filter(|txid| !removed.contains(*txid))
            .map(|txid| &self.entries[txid])
            .collect();
        members.extend(added);
        Preview {
            before,
            clusters: components(&members),
            seed: self.random.clone().next(),
        }
    }
}
