//! Sets of transactions that are joined by spending, and the order of one.

use super::partition::Partition;
use crate::mempool::entry::Entry;
use crate::mempool::feerate::Feerate;
use crate::mempool::linearize::{self, Chunk, Item};
use bitcoin::Txid;
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

/// A set of transactions that are mined or evicted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkView {
    /// Its transactions, parents first.
    pub txids: Vec<Txid>,
    /// Modified fees in sat for sigops-adjusted weight in weight units.
    pub feerate: Feerate,
}

/// Where a chunk stands among all: the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rank {
    feerate: Feerate,
    /// Weight of the chunks of the same feerate up to this one in its cluster, so that these keep their order.
    prefix_weight: i64,
    /// The greatest id in the chunk, to tell chunks of several clusters apart.
    max_txid: Txid,
    pub(super) cluster: u64,
    pub(super) position: usize,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .feerate
            .cmp_ratio(&self.feerate)
            .then_with(|| self.prefix_weight.cmp(&other.prefix_weight))
            .then_with(|| cmp_txid(&self.max_txid, &other.max_txid))
            .then_with(|| (self.cluster, self.position).cmp(&(other.cluster, other.position)))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By the bytes as hashed, which is the reverse of how ids are read.
pub(super) fn cmp_txid(a: &Txid, b: &Txid) -> Ordering {
    AsRef::<[u8; 32]>::as_ref(a).cmp(AsRef::<[u8; 32]>::as_ref(b))
}

/// How good the order of a cluster is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quality {
    /// Valid, but nothing was tried since the cluster changed.
    Rough,
    /// As good as it got within the work allowed.
    Acceptable,
    /// No order is better.
    Optimal,
}

#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) chunks: Vec<ChunkView>,
    pub(super) ranks: Vec<Rank>,
    pub(super) quality: Quality,
}

impl Cluster {
    pub(super) fn members(&self) -> impl Iterator<Item = &Txid> {
        self.chunks.iter().flat_map(|chunk| &chunk.txids)
    }

    pub(super) fn count(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.txids.len()).sum()
    }

    /// In weight units.
    pub(super) fn weight(&self) -> i64 {
        self.chunks.iter().map(|chunk| chunk.feerate.size).sum()
    }

    /// The members that `is_left` names, in their order, and whether that order is as good for them as this is for all.
    /// That holds where whole chunks went from the beginning or the end.
    pub(super) fn rest(&self, is_left: impl Fn(&Txid) -> bool) -> (Vec<Txid>, bool) {
        let mut rest = Vec::new();
        let mut kept: Vec<bool> = Vec::with_capacity(self.chunks.len());
        let mut whole = true;
        for chunk in &self.chunks {
            let before = rest.len();
            rest.extend(chunk.txids.iter().filter(|txid| is_left(txid)).copied());
            let left = rest.len() - before;
            whole &= left == 0 || left == chunk.txids.len();
            kept.push(left > 0);
        }
        kept.dedup();
        let middle_went = kept.windows(3).any(|three| three == [true, false, true]);
        (rest, whole && !middle_went)
    }
}

/// Where the chunks of a cluster stand among all.
pub(super) fn ranks(chunks: &[ChunkView], cluster: u64) -> Vec<Rank> {
    let mut previous = Feerate::ZERO;
    let mut prefix_weight = 0;
    let mut ranks = Vec::with_capacity(chunks.len());
    for (position, chunk) in chunks.iter().enumerate() {
        if position == 0 || chunk.feerate != previous {
            prefix_weight = 0;
        }
        previous = chunk.feerate;
        prefix_weight += chunk.feerate.size;
        let Some(max_txid) = chunk.txids.iter().copied().max_by(cmp_txid) else {
            continue;
        };
        ranks.push(Rank {
            feerate: chunk.feerate,
            prefix_weight,
            max_txid,
            cluster,
            position,
        });
    }
    ranks
}

/// Parts transactions into sets that are joined by spending. In each the transactions keep their order.
pub(super) fn components<'a>(members: &[&'a Entry]) -> Vec<Vec<&'a Entry>> {
    if let [only] = members {
        return vec![vec![*only]];
    }
    let index: HashMap<Txid, usize> = (0..).zip(members).map(|(i, e)| (e.txid, i)).collect();
    let mut sets = Partition::new(members.len());
    for (i, member) in members.iter().enumerate() {
        for parent in member.parents.iter().filter_map(|txid| index.get(txid)) {
            sets.join(i, *parent);
        }
    }
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    let mut found: Vec<Vec<&Entry>> = Vec::new();
    for (i, member) in members.iter().enumerate() {
        let number = *numbers.entry(sets.find(i)).or_insert(found.len());
        match found.get_mut(number) {
            Some(component) => component.push(member),
            None => found.push(vec![*member]),
        }
    }
    found
}

/// Chunks of several clusters by falling feerates; those of one cluster keep their order.
pub(super) fn merged<'a>(clusters: impl IntoIterator<Item = &'a Cluster>) -> Vec<Txid> {
    let mut chunks: Vec<&ChunkView> = clusters.into_iter().flat_map(|c| &c.chunks).collect();
    chunks.sort_by_key(|chunk| Reverse(chunk.feerate));
    let txids = chunks.into_iter().flat_map(|chunk| &chunk.txids);
    txids.copied().collect()
}

/// A cluster's transactions and their order, as the linearizer wants them.
pub(super) struct Ordered<'a> {
    /// By id, since of equals the lower comes first.
    entries: Vec<&'a Entry>,
    items: Vec<Item>,
    order: Vec<usize>,
}

impl<'a> Ordered<'a> {
    /// In the order of `preferred`, but parents first.
    pub(super) fn new(preferred: &[&'a Entry]) -> Self {
        let mut entries = preferred.to_vec();
        entries.sort_unstable_by(|a, b| cmp_txid(&a.txid, &b.txid));
        let position = |txid: &Txid| entries.binary_search_by(|e| cmp_txid(&e.txid, txid)).ok();
        let items: Vec<Item> = entries
            .iter()
            .map(|entry| Item {
                fee: entry.modified_fee(),
                weight: entry.adjusted_weight.max(1),
                parents: entry.parents.iter().filter_map(position).collect(),
            })
            .collect();
        let preferred: Vec<usize> = preferred.iter().filter_map(|e| position(&e.txid)).collect();
        Self {
            order: linearize::parents_first(&items, &preferred),
            entries,
            items,
        }
    }

    /// Betters the order within so many steps; gives whether it is the best now, and the steps taken.
    pub(super) fn improve(&mut self, budget: u64, seed: u64) -> (bool, u64) {
        let found = linearize::improve(&self.items, &self.order, budget, seed);
        self.order = found.order;
        (found.optimal, found.steps)
    }

    pub(super) fn chunks(&self) -> Vec<ChunkView> {
        let view = |chunk: Chunk| ChunkView {
            txids: chunk
                .members
                .iter()
                .map(|i| self.entries[*i].txid)
                .collect(),
            feerate: chunk.feerate,
        };
        let chunks = linearize::chunks(&self.items, &self.order);
        chunks.into_iter().map(view).collect()
    }
}
