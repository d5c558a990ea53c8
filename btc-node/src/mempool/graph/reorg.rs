//! Transactions that come back from disconnected blocks, beside children that are here already.
//!
//! Without care each would join the clusters of its children as it comes, and these might grow to any size on the way.
//! So the joining waits until all are back; then what would be too large is cut before it is formed.

use super::Graph;
use super::cluster::{Quality, cmp_txid, merged};
use super::partition::Partition;
use crate::mempool::feerate::Feerate;
use bitcoin::Txid;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// A transaction that may be kept next: the best chunk's first, of several the lightest's.
type Candidate = (Feerate, Reverse<i64>, Reverse<Txid>, usize);

/// A transaction of clusters that would become one.
struct Member {
    txid: Txid,
    weight: i64,
    chunk: Feerate,
    /// Those that come after it: the next in its cluster's order, and children that don't belong to it yet.
    followers: Vec<usize>,
    /// How many of those before it are not kept yet.
    missing: usize,
    leaders: Vec<usize>,
}

impl Graph {
    /// From now on, transactions don't join the clusters of children that are here before them.
    pub(in crate::mempool) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Transactions to remove, with all that descend from them, so that no cluster will have more than `count` of them or
    /// weigh more than `weight` units once those held apart are joined.
    ///
    /// Transactions are kept one after another, the best first, each cluster's in its order, as long as what they join is
    /// within the limits. Source: the trimming of Core's `TxGraph`.
    pub(in crate::mempool) fn excess(&mut self, count: usize, weight: i64) -> BTreeSet<Txid> {
        self.settle();
        let mut excess = BTreeSet::new();
        for group in self.groups() {
            let clusters = || group.iter().filter_map(|id| self.clusters.get(id));
            let total: usize = clusters().map(|cluster| cluster.count()).sum();
            let total_weight: i64 = clusters().map(|cluster| cluster.weight()).sum();
            if total > count || total_weight > weight {
                excess.extend(self.excess_of(&group, count, weight));
            }
        }
        excess
    }

    /// Joins the clusters that were held apart.
    pub(in crate::mempool) fn release(&mut self) {
        let groups = self.groups();
        self.held = None;
        for group in groups.into_iter().filter(|group| group.len() > 1) {
            let members = merged(&self.dissolve(group));
            self.form(&members, Quality::Rough);
        }
    }

    /// The clusters that are held apart from each other, and each other cluster alone.
    fn groups(&self) -> Vec<BTreeSet<u64>> {
        let ids: Vec<u64> = {
            let sorted: BTreeSet<u64> = self.clusters.keys().copied().collect();
            sorted.into_iter().collect()
        };
        let index: HashMap<u64, usize> = (0..).zip(&ids).map(|(i, id)| (*id, i)).collect();
        let of = |txid: &Txid| {
            self.entries
                .get(txid)
                .and_then(|e| index.get(&e.cluster))
                .copied()
        };
        let mut sets = Partition::new(ids.len());
        for (parent, child) in self.held.iter().flatten() {
            if let (Some(parent), Some(child)) = (of(parent), of(child)) {
                sets.join(parent, child);
            }
        }
        let mut groups: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); ids.len()];
        for (i, id) in ids.iter().enumerate() {
            groups[sets.find(i)].insert(*id);
        }
        groups.retain(|group| !group.is_empty());
        groups
    }

    fn members(&self, group: &BTreeSet<u64>) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        let mut index: HashMap<Txid, usize> = HashMap::new();
        for cluster in group.iter().filter_map(|id| self.clusters.get(id)) {
            let mut previous: Option<usize> = None;
            for chunk in &cluster.chunks {
                for txid in &chunk.txids {
                    let own = members.len();
                    index.insert(*txid, own);
                    if let Some(previous) = previous {
                        members[previous].followers.push(own);
                    }
                    members.push(Member {
                        txid: *txid,
                        weight: self.entries[txid].adjusted_weight,
                        chunk: chunk.feerate,
                        followers: Vec::new(),
                        missing: usize::from(previous.is_some()),
                        leaders: previous.into_iter().collect(),
                    });
                    previous = Some(own);
                }
            }
        }
        for (parent, child) in self.held.iter().flatten() {
            if let (Some(parent), Some(child)) = (index.get(parent), index.get(child)) {
                members[*parent].followers.push(*child);
                members[*child].leaders.push(*parent);
                members[*child].missing += 1;
            }
        }
        members
    }

    fn excess_of(&self, group: &BTreeSet<u64>, max_count: usize, max_weight: i64) -> Vec<Txid> {
        let mut members = self.members(group);
        let mut sets = Partition::new(members.len());
        // By representative: how many transactions its set has, and what they weigh.
        let mut sizes: Vec<(usize, i64)> = members.iter().map(|m| (1, m.weight)).collect();
        let mut kept = vec![false; members.len()];
        let candidate = |i: usize, member: &Member| -> Candidate {
            let size = Reverse(member.chunk.size);
            (member.chunk, size, Reverse(member.txid), i)
        };
        let ready = members.iter().enumerate().filter(|(_, m)| m.missing == 0);
        let mut heap: BinaryHeap<Candidate> = ready.map(|(i, m)| candidate(i, m)).collect();
        while let Some((.., i)) = heap.pop() {
            let leaders: BTreeSet<usize> =
                members[i].leaders.iter().map(|l| sets.find(*l)).collect();
            let (mut count, mut weight) = sizes[i];
            for leader in &leaders {
                count += sizes[*leader].0;
                weight += sizes[*leader].1;
            }
            if count > max_count || weight > max_weight {
                continue;
            }
            for leader in leaders {
                sets.join(i, leader);
            }
            let representative = sets.find(i);
            sizes[representative] = (count, weight);
            kept[i] = true;
            for follower in std::mem::take(&mut members[i].followers) {
                members[follower].missing -= 1;
                if members[follower].missing == 0 {
                    heap.push(candidate(follower, &members[follower]));
                }
            }
        }
        let gone = members.iter().zip(kept).filter(|(_, kept)| !kept);
        let mut gone: Vec<Txid> = gone.map(|(member, _)| member.txid).collect();
        gone.sort_unstable_by(cmp_txid);
        gone
    }
}
