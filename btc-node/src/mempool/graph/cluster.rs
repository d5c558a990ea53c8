//! Sets of transactions that are joined by spending, and the order of one.

use crate::mempool::entry::Entry;
use crate::mempool::feerate::Feerate;
use crate::mempool::linearize::{Item, linearize_within};
use bitcoin::Txid;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

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
fn cmp_txid(a: &Txid, b: &Txid) -> Ordering {
    AsRef::<[u8; 32]>::as_ref(a).cmp(AsRef::<[u8; 32]>::as_ref(b))
}

#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) chunks: Vec<ChunkView>,
    pub(super) ranks: Vec<Rank>,
    /// Whether no order of its transactions is better.
    pub(super) optimal: bool,
}

impl Cluster {
    pub(super) fn members(&self) -> impl Iterator<Item = &Txid> {
        self.chunks.iter().flat_map(|chunk| &chunk.txids)
    }

    pub(super) fn count(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.txids.len()).sum()
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

/// Parts transactions into sets that are joined by spending.
pub(super) fn components<'a>(members: &[&'a Entry]) -> Vec<Vec<&'a Entry>> {
    let by_id: HashMap<Txid, &'a Entry> = members.iter().map(|e| (e.txid, *e)).collect();
    // An added transaction knows its parents, but they don't know it yet.
    let mut children: BTreeMap<Txid, Vec<Txid>> = BTreeMap::new();
    for member in members {
        for parent in &member.parents {
            children.entry(*parent).or_default().push(member.txid);
        }
    }
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for member in members {
        if !seen.insert(member.txid) {
            continue;
        }
        let mut component = vec![*member];
        let mut next = 0;
        while let Some(entry) = component.get(next).copied() {
            next += 1;
            let below = children.get(&entry.txid).into_iter().flatten();
            for neighbour in entry.parents.iter().chain(&entry.children).chain(below) {
                if let Some(entry) = by_id.get(neighbour)
                    && seen.insert(entry.txid)
                {
                    component.push(entry);
                }
            }
        }
        found.push(component);
    }
    found
}

/// Steps that putting a cluster in order may take while somebody waits: far more than clusters of honest making need,
/// and below a millisecond.
pub(super) const QUICK: u64 = 50_000;
/// Steps for a second try.
pub(super) const THOROUGH: u64 = 1_000_000;

/// The best order of one cluster that is found in `steps`, and whether it is the best there is.
pub(super) fn order(component: &[&Entry], steps: u64) -> (Vec<ChunkView>, bool) {
    if let [only] = component {
        let chunk = ChunkView {
            txids: vec![only.txid],
            feerate: only.feerate(),
        };
        return (vec![chunk], true);
    }
    // Sorted, so that the order does not depend on how the cluster came to be.
    let mut sorted = component.to_vec();
    sorted.sort_by(|a, b| cmp_txid(&a.txid, &b.txid));
    let index: HashMap<Txid, usize> = sorted
        .iter()
        .enumerate()
        .map(|(i, e)| (e.txid, i))
        .collect();
    let items: Vec<Item> = sorted
        .iter()
        .map(|entry| Item {
            fee: entry.modified_fee(),
            weight: entry.adjusted_weight.max(1),
            parents: entry
                .parents
                .iter()
                .filter_map(|parent| index.get(parent).copied())
                .collect(),
        })
        .collect();
    let found = linearize_within(&items, steps);
    let chunks = found
        .chunks
        .into_iter()
        .map(|chunk| ChunkView {
            txids: chunk.members.iter().map(|i| sorted[*i].txid).collect(),
            feerate: chunk.feerate,
        })
        .collect();
    (chunks, found.optimal)
}
