//! The best order of a cluster by other means, to hold what the search finds against.
//!
//! The best first piece is the closure (a subset that holds the ancestors of all its members) with the highest feerate, the
//! next the best of what remains, and so on. For a rate `r`, a closure whose fee exceeds `r * weight` exists just when a
//! minimum cut of a small flow network says so (Picard 1976); starting from some closure's rate and moving to the better
//! one each time (Dinkelbach 1967) ends at the optimum.

use super::super::Item;
use crate::mempool::feerate::Feerate;
use std::collections::VecDeque;

/// The feerates of the chunks of the best order, those of equal feerate as one.
pub(super) fn best_feerates(items: &[Item]) -> Vec<Feerate> {
    let mut rest: Vec<usize> = (0..items.len()).collect();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let closure = best_closure(items, &rest);
        found.push(rate(items, &closure));
        rest.retain(|i| !closure.contains(i));
    }
    found
}

pub(super) fn rate(items: &[Item], members: &[usize]) -> Feerate {
    let mut total = Feerate::ZERO;
    for i in members {
        total += Feerate {
            fee: items[*i].fee,
            size: items[*i].weight,
        };
    }
    total
}

/// The largest closure of the highest feerate among `rest`.
fn best_closure(items: &[Item], rest: &[usize]) -> Vec<usize> {
    let mut best = rest.to_vec();
    loop {
        let closure = Network::new(items, rest, rate(items, &best)).solve();
        let better = !closure.is_empty() && rate(items, &closure) > rate(items, &best);
        if !better {
            // Of closures of one rate the union is one too: those who may join without loss do.
            let target = rate(items, &best);
            let more = Feerate {
                fee: target.fee.saturating_mul(1 << 20) - 1,
                size: target.size.saturating_mul(1 << 20),
            };
            let all = Network::new(items, rest, more).solve();
            return if !all.is_empty() && rate(items, &all) == target {
                all
            } else {
                best
            };
        }
        best = closure;
    }
}

/// The flow network whose minimum cut is the closure with the greatest `fee - rate * weight`, times the rate's size.
struct Network<'a> {
    nodes: &'a [usize],
    /// Edges in pairs: `edges[e ^ 1]` is the reverse of `edges[e]`; each with its head and its room.
    edges: Vec<(usize, i128)>,
    /// Edges out of each node; the source and the sink are the last two.
    out: Vec<Vec<usize>>,
}

impl<'a> Network<'a> {
    fn new(items: &[Item], nodes: &'a [usize], target: Feerate) -> Self {
        let mut network = Self {
            nodes,
            edges: Vec::new(),
            out: vec![Vec::new(); nodes.len() + 2],
        };
        let (source, sink) = (nodes.len(), nodes.len() + 1);
        for (at, i) in nodes.iter().enumerate() {
            let item = &items[*i];
            let surplus = i128::from(item.fee) * i128::from(target.size)
                - i128::from(target.fee) * i128::from(item.weight);
            if surplus > 0 {
                network.connect(source, at, surplus);
            } else {
                network.connect(at, sink, -surplus);
            }
            for parent in &item.parents {
                if let Some(position) = nodes.iter().position(|node| node == parent) {
                    network.connect(at, position, i128::MAX / 4);
                }
            }
        }
        network
    }

    fn connect(&mut self, from: usize, to: usize, room: i128) {
        self.out[from].push(self.edges.len());
        self.edges.push((to, room));
        self.out[to].push(self.edges.len());
        self.edges.push((from, 0));
    }

    /// Fills the network along shortest paths and gives what the source still reaches.
    fn solve(mut self) -> Vec<usize> {
        let (source, sink) = (self.nodes.len(), self.nodes.len() + 1);
        loop {
            let mut by: Vec<Option<usize>> = vec![None; self.out.len()];
            let mut queue = VecDeque::from([source]);
            while let Some(node) = queue.pop_front() {
                for edge in &self.out[node] {
                    let (to, room) = self.edges[*edge];
                    if room > 0 && to != source && by[to].is_none() {
                        by[to] = Some(*edge);
                        queue.push_back(to);
                    }
                }
            }
            if by[sink].is_none() {
                let reached = (0..source).filter(|node| by[*node].is_some());
                return reached.map(|node| self.nodes[node]).collect();
            }
            let mut path = Vec::new();
            let mut node = sink;
            while let Some(edge) = by[node] {
                path.push(edge);
                node = self.edges[edge ^ 1].0;
            }
            let pushed = path.iter().map(|edge| self.edges[*edge].1).min();
            for edge in path {
                self.edges[edge].1 -= pushed.unwrap_or(0);
                self.edges[edge ^ 1].1 += pushed.unwrap_or(0);
            }
        }
    }
}
