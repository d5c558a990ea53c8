//! How hard clusters are to put in their best order.
//!
//! Each line is one cluster, from a start without any order and with a hundred seeds: the time until the best order is
//! known, at the median; the steps, at the median and at the worst; and how often a cluster's share of work after a change
//! is enough, and how often all the work that follows a change.

use crate::random::Random;
use btc_node::mempool::linearize::{Item, improve, parents_first};
use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

/// Steps that a changed cluster gets before it is read, and those that follow a change.
const SHARES: [u64; 2] = [75_000, 375_000];
/// Steps after which a cluster is given up.
const ENDLESS: u64 = 1_000_000_000;
const SEEDS: u64 = 100;
/// Candidates of one kind, of which the hardest is taken.
const CANDIDATES: u64 = 300;

/// A cluster with a name.
type Named = (String, Vec<Item>);

/// Measures made clusters, or those of a file: in it each line is a transaction, its fee in sat, its weight and the numbers
/// of its parents counted from 0; an empty line ends a cluster.
pub fn measure(file: Option<&str>) -> Result<(), Box<dyn Error>> {
    let clusters = match file {
        Some(file) => read(&fs::read_to_string(file)?)?,
        None => made(),
    };
    println!(
        "{:<28}{:>4}{:>6}{:>11}{:>9}{:>9}{:>9}{:>8}{:>8}",
        "cluster", "txs", "edges", "median us", "steps", "worst", "ns/step", "75k", "375k"
    );
    let mut total = Duration::ZERO;
    for (name, items) in &clusters {
        let one = Measured::new(items);
        one.print(name, items);
        total += one.times[one.times.len() / 2];
    }
    let average = total.as_secs_f64() * 1e6 / clusters.len() as f64;
    println!("{} clusters: {average:.1} us on average", clusters.len());
    Ok(())
}

struct Measured {
    times: Vec<Duration>,
    steps: Vec<u64>,
}

impl Measured {
    fn new(items: &[Item]) -> Self {
        let start = first_order(items);
        let (mut times, mut steps) = (Vec::new(), Vec::new());
        for seed in 0..SEEDS {
            let begin = Instant::now();
            let found = improve(items, &start, ENDLESS, seed);
            times.push(begin.elapsed());
            assert!(found.optimal, "given up after {} steps", found.steps);
            steps.push(found.steps);
        }
        times.sort_unstable();
        steps.sort_unstable();
        Self { times, steps }
    }

    fn print(&self, name: &str, items: &[Item]) {
        // A machine with other work to do shows in the slowest, not in the middle.
        let middle = self.times.len() / 2;
        let (time, steps) = (self.times[middle].as_secs_f64(), self.steps[middle]);
        let within = |share: u64| self.steps.partition_point(|steps| *steps <= share);
        println!(
            "{name:<28}{:>4}{:>6}{:>11.1}{steps:>9}{:>9}{:>9.2}{:>7}%{:>7}%",
            items.len(),
            items.iter().map(|item| item.parents.len()).sum::<usize>(),
            time * 1e6,
            self.steps.last().copied().unwrap_or(0),
            time * 1e9 / steps as f64,
            within(SHARES[0]),
            within(SHARES[1]),
        );
    }
}

fn first_order(items: &[Item]) -> Vec<usize> {
    let any: Vec<usize> = (0..items.len()).collect();
    parents_first(items, &any)
}

fn read(text: &str) -> Result<Vec<Named>, Box<dyn Error>> {
    let mut clusters = Vec::new();
    for cluster in text.split("\n\n") {
        let mut items = Vec::new();
        for line in cluster.lines().filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let mut number = || words.next().ok_or("a fee and a weight are needed");
            items.push(Item {
                fee: number()?.parse()?,
                weight: number()?.parse()?,
                parents: words.map(str::parse).collect::<Result<_, _>>()?,
            });
        }
        let count = items.len();
        let known = |item: &Item| item.weight > 0 && item.parents.iter().all(|i| *i < count);
        if !items.iter().all(known) || first_order(&items).len() != count {
            return Err("weights are positive, parents exist and form no circle".into());
        }
        if count > 0 {
            clusters.push((format!("number {}", clusters.len() + 1), items));
        }
    }
    Ok(clusters)
}

/// Which earlier transactions one spends from.
type Shape = fn(usize, &mut Random) -> Vec<usize>;

/// Shapes that are known to be hard, and those that are common. Of the former the hardest of many.
fn made() -> Vec<Named> {
    let mut clusters: Vec<Named> = Vec::new();
    // What a wallet that spends its change, a payout and a fee bump make.
    let common: [(&str, Shape); 3] = [
        ("chain", |i, _| i.checked_sub(1).into_iter().collect()),
        ("one parent, many children", |i, _| {
            vec![0; usize::from(i > 0)]
        }),
        ("tree", |i, random| {
            (0..usize::from(i > 0)).map(|_| random.below(i)).collect()
        }),
    ];
    for (name, shape) in common {
        clusters.push((name.into(), cluster(64, shape, 1)));
    }
    let hard: [(&str, Shape); 6] = [
        // Half parents, half children, as a bipartite graph of some density or of all edges.
        ("two layers, two parents", |i, random| layer(i, 2, random)),
        ("two layers, four parents", |i, random| layer(i, 4, random)),
        ("two layers, half of all", |i, random| layer(i, 16, random)),
        ("two layers, all", |i, _| {
            if i < 32 {
                Vec::new()
            } else {
                (0..32).collect()
            }
        }),
        // Each with some parents among all before: about one dependency for a transaction is the hardest.
        ("mixed, one or two parents", |i, random| {
            let count = 1 + random.below(2);
            (0..if i > 4 { count } else { 0 })
                .map(|_| random.below(i))
                .collect()
        }),
        ("mixed, three parents", |i, random| {
            (0..if i > 8 { 3 } else { 0 })
                .map(|_| random.below(i))
                .collect()
        }),
    ];
    for (name, shape) in hard {
        let hardest = (0..CANDIDATES)
            .map(|seed| cluster(64, shape, seed))
            .max_by_key(|items| {
                let start = first_order(items);
                let steps = |seed| improve(items, &start, ENDLESS, seed).steps;
                steps(1) + steps(2) + steps(3)
            });
        clusters.extend(hardest.map(|items| (name.into(), items)));
    }
    clusters
}

fn layer(i: usize, count: usize, random: &mut Random) -> Vec<usize> {
    (0..if i < 32 { 0 } else { count })
        .map(|_| random.below(32))
        .collect()
}

/// A cluster of transactions with any fees and weights.
fn cluster(count: usize, shape: Shape, seed: u64) -> Vec<Item> {
    let mut random = Random::new(seed);
    (0..count)
        .map(|i| {
            let mut parents = shape(i, &mut random);
            parents.sort_unstable();
            parents.dedup();
            Item {
                fee: random.below(20_000) as i64,
                weight: 400 + random.below(4_000) as i64,
                parents,
            }
        })
        .collect()
}
