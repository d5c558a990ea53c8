//! The order in which a miner takes the transactions of one cluster.
//!
//! A cluster is a set of transactions joined by spending. A miner may take any subset that holds the ancestors of all its
//! members (a closure). The best first piece is the closure with the highest feerate, the next the best of what remains,
//! and so on: these pieces are the chunks, and they are what the mempool sorts, mines and evicts by.
//!
//! The best closure is found exactly: for a rate `r`, a closure whose fee exceeds `r * weight` exists just when a minimum
//! cut of a small flow network says so (Picard 1976); starting from some closure's rate and moving to the better one each
//! time (Dinkelbach 1967) ends at the optimum. Among closures of that rate the smallest is taken, so that a chunk is never
//! larger than it must be.
//!
//! Strangers choose the clusters, so the work is counted. Where it is used up before all chunks are found, the rest is put
//! in an order that is quick to find: by the feerate of each transaction with its ancestors, joined where a later piece is
//! better than the one before. Such an order is valid, but may not be the best.

use super::feerate::Feerate;
use std::collections::VecDeque;

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

/// An order of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linearization {
    /// The chunks, in the order of feerates that don't rise.
    pub chunks: Vec<Chunk>,
    /// Whether no order is better.
    pub optimal: bool,
}

/// Work that may still be done, in steps along edges of a network.
struct Budget(u64);

/// The budget is used up.
struct Exhausted;

impl Budget {
    fn spend(&mut self, steps: usize) -> Result<(), Exhausted> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        self.0 = self.0.checked_sub(steps).ok_or(Exhausted)?;
        Ok(())
    }
}

/// The best order of `items`, however long it takes.
///
/// `items` must be free of cycles; transactions are, since each spends by the hash of another.
pub fn linearize(items: &[Item]) -> Vec<Chunk> {
    linearize_within(items, u64::MAX).chunks
}

/// The best order of `items` that is found within so many steps, and at the worst a valid one. A step is a look at an edge
/// between two transactions, some nanoseconds.
///
/// `items` must be free of cycles; transactions are, since each spends by the hash of another.
pub fn linearize_within(items: &[Item], steps: u64) -> Linearization {
    let mut budget = Budget(steps);
    let mut rest: Vec<bool> = vec![true; items.len()];
    let mut left = items.len();
    let order = topological(items);
    let mut chunks = Vec::new();
    while left > 0 {
        let best = if left == 1 {
            rest.clone()
        } else if let Ok(best) = best_closure(items, &rest, &mut budget) {
            best
        } else {
            chunks.extend(quick(items, rest, &order, Budget(steps)));
            return Linearization {
                chunks,
                optimal: false,
            };
        };
        let members: Vec<usize> = order.iter().copied().filter(|i| best[*i]).collect();
        if members.is_empty() {
            // Not reached for acyclic input; end rather than loop on a broken one.
            break;
        }
        for i in &members {
            rest[*i] = false;
        }
        left -= members.len();
        chunks.push(Chunk {
            feerate: rate(items, members.iter().copied()),
            members,
        });
    }
    Linearization {
        chunks,
        optimal: true,
    }
}

/// The transactions still in `rest`, in an order that is quick to find.
fn quick(
    items: &[Item],
    mut rest: Vec<bool>,
    topological: &[usize],
    mut budget: Budget,
) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let left = |rest: &[bool]| -> Vec<usize> {
        let order = topological.iter().copied();
        order.filter(|i| rest[*i]).collect()
    };
    loop {
        let nodes = left(&rest);
        if nodes.is_empty() {
            return chunks;
        }
        match best_ancestor_set(items, &rest, &nodes, &mut budget) {
            Ok(best) => {
                let members = nodes.into_iter().filter(|i| best[*i]).collect();
                take(items, members, &mut rest, &mut chunks);
            }
            Err(Exhausted) => {
                for i in nodes {
                    take(items, vec![i], &mut rest, &mut chunks);
                }
            }
        }
    }
}

/// Adds a piece, and joins it with those before that are worse.
fn take(items: &[Item], members: Vec<usize>, rest: &mut [bool], chunks: &mut Vec<Chunk>) {
    for i in &members {
        rest[*i] = false;
    }
    let mut chunk = Chunk {
        feerate: rate(items, members.iter().copied()),
        members,
    };
    while let Some(mut before) = chunks.pop_if(|before| chunk.feerate > before.feerate) {
        before.feerate += chunk.feerate;
        before.members.append(&mut chunk.members);
        chunk = before;
    }
    chunks.push(chunk);
}

fn rate(items: &[Item], members: impl Iterator<Item = usize>) -> Feerate {
    let mut total = Feerate::ZERO;
    for i in members {
        total += Feerate {
            fee: items[i].fee,
            size: items[i].weight,
        };
    }
    total
}

/// Parents before children; among those ready, the lowest index first.
fn topological(items: &[Item]) -> Vec<usize> {
    let mut missing: Vec<usize> = items.iter().map(|item| item.parents.len()).collect();
    let mut children = vec![Vec::new(); items.len()];
    for (i, item) in items.iter().enumerate() {
        for parent in &item.parents {
            children[*parent].push(i);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> =
        (0..items.len()).filter(|i| missing[*i] == 0).collect();
    let mut order = Vec::with_capacity(items.len());
    while let Some(i) = ready.pop_first() {
        order.push(i);
        for child in &children[i] {
            missing[*child] -= 1;
            if missing[*child] == 0 {
                ready.insert(*child);
            }
        }
    }
    order
}

/// The smallest closure of the highest feerate among the transactions still in `rest`.
fn best_closure(
    items: &[Item],
    rest: &[bool],
    budget: &mut Budget,
) -> Result<Vec<bool>, Exhausted> {
    let nodes: Vec<usize> = (0..items.len()).filter(|i| rest[*i]).collect();
    let mut best = best_ancestor_set(items, rest, &nodes, budget)?;
    loop {
        let target = rate(items, nodes.iter().copied().filter(|i| best[*i]));
        let mut network = Network::new(items, rest, &nodes, target);
        let closure = network.solve(budget)?;
        if closure.iter().any(|inside| *inside) {
            best = vec![false; items.len()];
            for (position, i) in nodes.iter().enumerate() {
                best[*i] = closure[position];
            }
            continue;
        }
        // Nothing is better than `target`. Of the closures that reach it, take the smallest.
        if let Some(smallest) = network.smallest_tight(budget)? {
            best = vec![false; items.len()];
            for position in smallest {
                best[nodes[position]] = true;
            }
        }
        return Ok(best);
    }
}

/// A good start: the transaction whose ancestors, itself included, have the highest feerate.
fn best_ancestor_set(
    items: &[Item],
    rest: &[bool],
    nodes: &[usize],
    budget: &mut Budget,
) -> Result<Vec<bool>, Exhausted> {
    let mut best: Option<(Feerate, Vec<bool>)> = None;
    for start in nodes {
        let mut inside = vec![false; items.len()];
        let mut stack = vec![*start];
        inside[*start] = true;
        let mut total = Feerate::ZERO;
        while let Some(i) = stack.pop() {
            total += Feerate {
                fee: items[i].fee,
                size: items[i].weight,
            };
            budget.spend(1 + items[i].parents.len())?;
            for parent in &items[i].parents {
                if rest[*parent] && !inside[*parent] {
                    inside[*parent] = true;
                    stack.push(*parent);
                }
            }
        }
        if best.as_ref().is_none_or(|(rate, _)| total > *rate) {
            best = Some((total, inside));
        }
    }
    Ok(best.map_or_else(|| vec![false; items.len()], |(_, inside)| inside))
}

/// The flow network whose minimum cut is the closure with the greatest `fee - rate * weight`, times the rate's size.
struct Network {
    /// Edges in pairs: `edges[e ^ 1]` is the reverse of `edges[e]`.
    edges: Vec<Edge>,
    /// Edges out of each node; the source and the sink are the last two.
    out: Vec<Vec<usize>>,
    source: usize,
    sink: usize,
}

struct Edge {
    to: usize,
    room: i128,
}

impl Network {
    fn new(items: &[Item], rest: &[bool], nodes: &[usize], target: Feerate) -> Self {
        let (source, sink) = (nodes.len(), nodes.len() + 1);
        let mut network = Self {
            edges: Vec::new(),
            out: vec![Vec::new(); nodes.len() + 2],
            source,
            sink,
        };
        let mut position = vec![usize::MAX; items.len()];
        for (at, i) in nodes.iter().enumerate() {
            position[*i] = at;
        }
        for (at, i) in nodes.iter().enumerate() {
            let item = &items[*i];
            let surplus = i128::from(item.fee) * i128::from(target.size)
                - i128::from(target.fee) * i128::from(item.weight);
            if surplus > 0 {
                network.connect(source, at, surplus);
            } else {
                network.connect(at, sink, -surplus);
            }
            for parent in item.parents.iter().filter(|parent| rest[**parent]) {
                network.connect(at, position[*parent], i128::MAX / 4);
            }
        }
        network
    }

    fn connect(&mut self, from: usize, to: usize, room: i128) {
        self.out[from].push(self.edges.len());
        self.edges.push(Edge { to, room });
        self.out[to].push(self.edges.len());
        self.edges.push(Edge { to: from, room: 0 });
    }

    /// Fills the network and gives the nodes on the source's side: the smallest closure of the greatest surplus.
    fn solve(&mut self, budget: &mut Budget) -> Result<Vec<bool>, Exhausted> {
        loop {
            budget.spend(self.edges.len())?;
            let levels = self.levels();
            if levels[self.sink] == usize::MAX {
                return Ok((0..self.source)
                    .map(|node| levels[node] != usize::MAX)
                    .collect());
            }
            let mut next = vec![0; self.out.len()];
            while self.push(self.source, i128::MAX / 2, &levels, &mut next, budget)? > 0 {}
        }
    }

    fn levels(&self) -> Vec<usize> {
        let mut levels = vec![usize::MAX; self.out.len()];
        levels[self.source] = 0;
        let mut queue = VecDeque::from([self.source]);
        while let Some(node) = queue.pop_front() {
            for edge in &self.out[node] {
                let Edge { to, room } = self.edges[*edge];
                if room > 0 && levels[to] == usize::MAX {
                    levels[to] = levels[node] + 1;
                    queue.push_back(to);
                }
            }
        }
        levels
    }

    /// Pushes flow along one path of rising levels. The recursion is as deep as a path is long: the cluster's size.
    fn push(
        &mut self,
        node: usize,
        limit: i128,
        levels: &[usize],
        next: &mut [usize],
        budget: &mut Budget,
    ) -> Result<i128, Exhausted> {
        if node == self.sink {
            return Ok(limit);
        }
        while next[node] < self.out[node].len() {
            budget.spend(1)?;
            let edge = self.out[node][next[node]];
            let Edge { to, room } = self.edges[edge];
            if room > 0 && levels[to] == levels[node] + 1 {
                let pushed = self.push(to, limit.min(room), levels, next, budget)?;
                if pushed > 0 {
                    self.edges[edge].room -= pushed;
                    self.edges[edge ^ 1].room += pushed;
                    return Ok(pushed);
                }
            }
            next[node] += 1;
        }
        Ok(0)
    }

    /// In a filled network without surplus: the smallest closure whose surplus is exactly zero. It is what some node
    /// reaches along edges with room, if that does not include the sink (Picard and Queyranne 1980).
    fn smallest_tight(&self, budget: &mut Budget) -> Result<Option<Vec<usize>>, Exhausted> {
        let mut smallest: Option<Vec<usize>> = None;
        for start in 0..self.source {
            let found = self.reach(start, budget)?;
            let better = |found: &Vec<usize>| {
                let shortest = smallest.as_ref().map(Vec::len);
                shortest.is_none_or(|shortest| found.len() < shortest)
            };
            smallest = found.filter(better).or(smallest);
        }
        Ok(smallest)
    }

    fn reach(&self, start: usize, budget: &mut Budget) -> Result<Option<Vec<usize>>, Exhausted> {
        let mut seen = vec![false; self.out.len()];
        seen[start] = true;
        let mut stack = vec![start];
        let mut found = Vec::new();
        while let Some(node) = stack.pop() {
            budget.spend(1 + self.out[node].len())?;
            if node == self.sink {
                return Ok(None);
            }
            if node != self.source {
                found.push(node);
            }
            for edge in &self.out[node] {
                let Edge { to, room } = self.edges[*edge];
                if room > 0 && !seen[to] {
                    seen[to] = true;
                    stack.push(to);
                }
            }
        }
        Ok(Some(found))
    }
}

impl Clone for Edge {
    fn clone(&self) -> Self {
        *self
    }
}

impl Copy for Edge {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mempool::feerate::improves_diagram;
    use proptest::prelude::*;

    fn item(fee: i64, weight: i64, parents: &[usize]) -> Item {
        Item {
            fee,
            weight,
            parents: parents.to_vec(),
        }
    }

    #[test]
    fn a_child_pays_for_its_parents() {
        let chunks = linearize(&[
            item(0, 400, &[]),
            item(0, 400, &[]),
            item(1000, 400, &[0, 1]),
        ]);
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].members, [0, 1, 2]);
    }

    #[test]
    fn a_cheap_child_waits() {
        let chunks = linearize(&[item(1000, 400, &[]), item(1, 400, &[0])]);
        assert_eq!(
            chunks.iter().map(|c| c.members.clone()).collect::<Vec<_>>(),
            [vec![0], vec![1]]
        );
    }

    #[test]
    fn equal_feerates_stay_apart() {
        let chunks = linearize(&[
            item(100, 400, &[]),
            item(100, 400, &[0]),
            item(200, 800, &[0]),
        ]);
        assert_eq!(chunks.len(), 3);
    }

    #[test]
    fn two_children_pay_together_for_one_parent() {
        // Neither child alone lifts the parent above the other tree, both together do: the case that sorting by
        // ancestors' feerate gets wrong.
        let items = [
            item(0, 1000, &[]),
            item(600, 100, &[0]),
            item(600, 100, &[0]),
            item(900, 1000, &[]),
        ];
        let chunks = linearize(&items);
        assert_eq!(chunks[0].members, [0, 1, 2]);
    }

    /// Sixty-four transactions, the second half of which spend from all of the first: most edges that a cluster may have,
    /// with feerates that make the search change its mind.
    fn tangle() -> Vec<Item> {
        (0..64)
            .map(|i| Item {
                fee: (i * i * 7919) % 10_007 + if i < 32 { 0 } else { 20_000 },
                weight: 400 + (i * 104_729) % 9_973,
                parents: if i < 32 {
                    Vec::new()
                } else {
                    (0..32).collect()
                },
            })
            .collect()
    }

    #[test]
    fn a_tangle_costs_no_more_than_allowed() {
        let items = tangle();
        let bounded = linearize_within(&items, 1_000);
        assert!(!bounded.optimal);
        let members: usize = bounded.chunks.iter().map(|chunk| chunk.members.len()).sum();
        assert_eq!(members, 64);
        assert!(linearize_within(&items, u64::MAX).optimal);
    }

    fn clusters() -> impl Strategy<Value = Vec<Item>> {
        (1usize..9).prop_flat_map(|count| {
            (
                prop::collection::vec((-20i64..200, 1i64..50), count),
                prop::collection::vec(any::<bool>(), count * count),
            )
                .prop_map(move |(values, edges)| {
                    (0..count)
                        .map(|i| Item {
                            fee: values[i].0,
                            weight: values[i].1,
                            parents: (0..i).filter(|j| edges[i * count + j]).collect(),
                        })
                        .collect()
                })
        })
    }

    proptest! {
        /// Against trying every subset: the first chunk has the best feerate of all closures, and no smaller closure
        /// has it too.
        #[test]
        fn the_first_chunk_is_the_best_closure(items in clusters()) {
            let chunks = linearize(&items);
            let mut best: Option<(Feerate, u32)> = None;
            for set in 1u32..(1 << items.len()) {
                let closed = (0..items.len()).filter(|i| set >> i & 1 == 1)
                    .all(|i| items[i].parents.iter().all(|p| set >> p & 1 == 1));
                if !closed { continue; }
                let total = rate(&items, (0..items.len()).filter(|i| set >> i & 1 == 1));
                let better = best.is_none_or(|(rate, size)| {
                    total > rate || (total == rate && set.count_ones() < size)
                });
                if better { best = Some((total, set.count_ones())); }
            }
            let (rate, size) = best.expect("one transaction without parents is a closure");
            prop_assert_eq!(chunks[0].feerate, rate);
            prop_assert_eq!(chunks[0].members.len(), size as usize);
        }

        /// However little work is allowed, the order is valid and none better than the best; if it says that it is the
        /// best, it is.
        #[test]
        fn work_is_bounded(items in clusters(), steps in 0u64..2_000) {
            let exact: Vec<Feerate> = linearize(&items).iter().map(|chunk| chunk.feerate).collect();
            let bounded = linearize_within(&items, steps);
            let rates: Vec<Feerate> = bounded.chunks.iter().map(|chunk| chunk.feerate).collect();
            prop_assert!(rates.is_sorted_by(|a, b| a >= b));
            let order: Vec<usize> = bounded.chunks.iter().flat_map(|c| c.members.clone()).collect();
            prop_assert_eq!(order.len(), items.len());
            for (at, i) in order.iter().enumerate() {
                prop_assert!(items[*i].parents.iter().all(|parent| order[..at].contains(parent)));
            }
            for chunk in &bounded.chunks {
                prop_assert_eq!(chunk.feerate, rate(&items, chunk.members.iter().copied()));
            }
            prop_assert!(!improves_diagram(&exact, &rates));
            if bounded.optimal {
                prop_assert!(!improves_diagram(&rates, &exact));
            }
        }

        /// All transactions come once, parents first, in chunks of feerates that don't rise.
        #[test]
        fn linearizations_are_valid(items in clusters()) {
            let chunks = linearize(&items);
            let order: Vec<usize> = chunks.iter().flat_map(|c| c.members.clone()).collect();
            prop_assert_eq!(order.len(), items.len());
            for (at, i) in order.iter().enumerate() {
                for parent in &items[*i].parents {
                    prop_assert!(order[..at].contains(parent));
                }
            }
            for pair in chunks.windows(2) {
                prop_assert!(pair[0].feerate >= pair[1].feerate);
            }
        }
    }
}
