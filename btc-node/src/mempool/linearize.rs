//! The order in which a miner takes the transactions of one cluster.
//!
//! A cluster is a set of transactions joined by spending. A miner takes them in some order with parents first. Cut where
//! what follows is not better than what came before, an order falls into chunks of feerates that don't rise: these are what
//! the mempool sorts, mines and evicts by. One order is better than another if the curve of its chunks' fees over their
//! weights is nowhere below.
//!
//! A cluster keeps its order from one change to the next. [`improve`] starts from it, so what it gives is never worse, and
//! stops when nothing can be better or when its work is used up: strangers choose the clusters, and some are hard. What was
//! reached is kept, and the next call goes on from there. The choices on the way are random by a seed, so that nobody can
//! foresee which clusters are hard here; an order that is known to be the best does not depend on them, and is the same as
//! that of the network's other nodes.

mod forest;
mod random;
mod set;
#[cfg(test)]
mod tests;

use super::feerate::Feerate;
use forest::{Forest, Part};
pub(in crate::mempool) use random::Random;
use set::Set;
use std::collections::BTreeSet;

/// The most transactions of a cluster whose order can be improved.
pub const MAX_COUNT: usize = Set::CAPACITY;

/// One transaction of a cluster.
#[derive(Debug, Clone)]
pub struct Item {
    /// Modified fee in sat.
    pub fee: i64,
    /// Sigops-adjusted weight in weight units; positive.
    pub weight: i64,
    /// Indexes of the transactions in the same cluster that it spends from.
    pub parents: Vec<usize>,
}

/// A piece of a linearization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Indexes of its transactions, parents first.
    pub members: Vec<usize>,
    /// Its fee in sat for its weight in weight units.
    pub feerate: Feerate,
}

/// An order of a cluster, and what finding it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linearization {
    /// Indexes of all transactions, parents first.
    pub order: Vec<usize>,
    /// Whether no order is known to be better, and none of its chunks could be parted.
    pub optimal: bool,
    /// The work done, in steps.
    pub steps: u64,
}

/// An order of `items` that is at least as good as `order`, found within about so many steps: a step is a nanosecond or
/// so. A limit may be passed by the work of the last attempt, which is about a thousand steps at the most.
///
/// `order` holds the index of each item once, parents first. Of equally good transactions and chunks those with lower
/// indexes come first. A cluster of more than [`MAX_COUNT`] keeps its order.
pub fn improve(items: &[Item], order: &[usize], budget: u64, seed: u64) -> Linearization {
    if items.len() > MAX_COUNT {
        return Linearization {
            order: order.to_vec(),
            optimal: false,
            steps: 0,
        };
    }
    let cluster = Dependencies::new(items, order);
    let mut forest = Forest::new(&cluster, seed);
    forest.load(order);
    let optimal = forest.optimize(budget) && forest.divide(budget);
    Linearization {
        order: forest.order(),
        optimal,
        steps: forest.steps(),
    }
}

/// The chunks of an order: each as small as it can be for their feerates not to rise.
pub fn chunks(items: &[Item], order: &[usize]) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for i in order {
        let mut chunk = Chunk {
            members: vec![*i],
            feerate: Feerate {
                fee: items[*i].fee,
                size: items[*i].weight,
            },
        };
        while let Some(mut before) = chunks.pop_if(|before| chunk.feerate > before.feerate) {
            before.feerate += chunk.feerate;
            before.members.append(&mut chunk.members);
            chunk = before;
        }
        chunks.push(chunk);
    }
    chunks
}

/// The items in the order of `preferred`, but for those whose parents come later there: these wait for them. `items` must
/// be free of cycles; transactions are, since each spends by the hash of another.
pub fn parents_first(items: &[Item], preferred: &[usize]) -> Vec<usize> {
    let mut position = vec![0; items.len()];
    for (at, i) in preferred.iter().enumerate() {
        position[*i] = at;
    }
    let mut missing: Vec<usize> = items.iter().map(|item| item.parents.len()).collect();
    let mut children = vec![Vec::new(); items.len()];
    let mut late = false;
    for (i, item) in items.iter().enumerate() {
        for parent in &item.parents {
            children[*parent].push(i);
            late |= position[*parent] > position[i];
        }
    }
    if !late {
        return preferred.to_vec();
    }
    let ready = (0..items.len()).filter(|i| missing[*i] == 0);
    let mut ready: BTreeSet<usize> = ready.map(|i| position[i]).collect();
    let mut order = Vec::with_capacity(items.len());
    while let Some(at) = ready.pop_first() {
        let i = preferred[at];
        order.push(i);
        for child in &children[i] {
            missing[*child] -= 1;
            if missing[*child] == 0 {
                ready.insert(position[*child]);
            }
        }
    }
    order
}

/// Greater than any fee there can be; a `prioritisetransaction` beyond it counts as it, and sums of a cluster's fees fit.
const MAX_FEE: i64 = 1 << 56;

/// A cluster as the search sees it: without the dependencies that follow from others.
struct Dependencies {
    parts: Vec<Part>,
    parents: Vec<Set>,
    children: Vec<Set>,
}

impl Dependencies {
    fn new(items: &[Item], order: &[usize]) -> Self {
        let part = |(i, item): (usize, &Item)| Part {
            members: Set::single(i),
            fee: item.fee.clamp(-MAX_FEE, MAX_FEE),
            weight: item.weight,
        };
        let mut this = Self {
            parts: items.iter().enumerate().map(part).collect(),
            parents: vec![Set::EMPTY; items.len()],
            children: vec![Set::EMPTY; items.len()],
        };
        let mut ancestors = vec![Set::EMPTY; items.len()];
        for i in order {
            let all: Set = items[*i].parents.iter().copied().collect();
            let mut beyond = Set::EMPTY;
            for parent in all.iter() {
                beyond |= ancestors[parent];
            }
            ancestors[*i] = all | beyond;
            this.parents[*i] = all - beyond;
            for parent in this.parents[*i].iter() {
                this.children[parent].insert(*i);
            }
        }
        this
    }

    fn len(&self) -> usize {
        self.parts.len()
    }

    fn part(&self, i: usize) -> Part {
        self.parts[i]
    }

    fn parents(&self, i: usize) -> Set {
        self.parents[i]
    }

    fn children(&self, i: usize) -> Set {
        self.children[i]
    }
}
