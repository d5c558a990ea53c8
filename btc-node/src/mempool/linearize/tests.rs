mod closure;

use super::*;
use crate::mempool::feerate::improves_diagram;
use closure::{best_feerates, rate};
use proptest::prelude::*;
use proptest::sample::Index;
use std::cmp::Ordering;

fn item(fee: i64, weight: i64, parents: &[usize]) -> Item {
    Item {
        fee,
        weight,
        parents: parents.to_vec(),
    }
}

/// The best order, from the first valid one.
fn best(items: &[Item]) -> Vec<Chunk> {
    let start: Vec<usize> = (0..items.len()).collect();
    let found = improve(items, &parents_first(items, &start), u64::MAX, 1);
    assert!(found.optimal);
    chunks(items, &found.order)
}

fn members(chunks: &[Chunk]) -> Vec<Vec<usize>> {
    chunks.iter().map(|chunk| chunk.members.clone()).collect()
}

#[test]
fn a_child_pays_for_its_parents() {
    let items = [
        item(0, 400, &[]),
        item(0, 400, &[]),
        item(1000, 400, &[0, 1]),
    ];
    assert_eq!(members(&best(&items)), [vec![0, 1, 2]]);
}

#[test]
fn a_cheap_child_waits() {
    let items = [item(1000, 400, &[]), item(1, 400, &[0])];
    assert_eq!(members(&best(&items)), [vec![0], vec![1]]);
}

#[test]
fn equal_feerates_stay_apart_the_lightest_first() {
    let items = [
        item(100, 400, &[]),
        item(200, 800, &[0]),
        item(100, 400, &[0]),
    ];
    assert_eq!(members(&best(&items)), [vec![0], vec![2], vec![1]]);
}

#[test]
fn of_equals_the_lower_index_comes_first() {
    let items = [
        item(0, 400, &[]),
        item(500, 400, &[0]),
        item(500, 400, &[0]),
        item(500, 400, &[0]),
    ];
    assert_eq!(members(&best(&items)), [vec![0, 1, 2, 3]]);
    let apart = [
        item(900, 400, &[]),
        item(500, 400, &[0]),
        item(500, 400, &[0]),
    ];
    assert_eq!(members(&best(&apart)), [vec![0], vec![1], vec![2]]);
}

#[test]
fn two_children_pay_together_for_one_parent() {
    // Neither child alone lifts the parent above the other tree, both together do: the case that sorting by ancestors'
    // feerate gets wrong.
    let items = [
        item(0, 1000, &[]),
        item(600, 100, &[0]),
        item(600, 100, &[0]),
        item(900, 1000, &[]),
    ];
    assert_eq!(best(&items)[0].members, [0, 1, 2]);
}

#[test]
fn fees_beyond_all_money_are_ordered_too() {
    let items = [
        item(i64::MIN, 400, &[]),
        item(i64::MAX, 400, &[0]),
        item(i64::MAX, 400, &[0]),
        item(i64::MIN, 400, &[1, 2]),
    ];
    assert_eq!(
        best(&items)
            .iter()
            .map(|chunk| chunk.members.len())
            .sum::<usize>(),
        4
    );
}

#[test]
fn more_transactions_than_a_cluster_may_have_keep_their_order() {
    let items: Vec<Item> = (0..=MAX_COUNT).map(|i| item(i as i64, 1, &[])).collect();
    let order: Vec<usize> = (0..items.len()).collect();
    let found = improve(&items, &order, u64::MAX, 1);
    assert!(!found.optimal && found.order == order);
}

/// Sixty-four transactions, the second half of which spend from all of the first: most edges that a cluster may have, with
/// feerates that make the search change its mind.
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
    let mut order: Vec<usize> = (0..64).collect();
    for seed in 0..20 {
        let found = improve(&items, &order, 30_000, seed);
        assert!(found.steps < 33_000, "{} steps", found.steps);
        let (before, after) = (rates(&items, &order), rates(&items, &found.order));
        assert!(!improves_diagram(&after, &before), "it got worse");
        order = found.order;
    }
    let found = improve(&items, &order, u64::MAX, 1);
    assert!(found.optimal);
    let after = merged(&rates(&items, &found.order));
    assert_eq!(after, merged(&best_feerates(&items)));
}

fn rates(items: &[Item], order: &[usize]) -> Vec<Feerate> {
    chunks(items, order)
        .iter()
        .map(|chunk| chunk.feerate)
        .collect()
}

/// Fee and weight of the segments of a diagram, those of one slope as one.
fn merged(rates: &[Feerate]) -> Vec<(i64, i64)> {
    let mut sorted = rates.to_vec();
    sorted.sort_by(|a, b| b.cmp_ratio(a));
    let mut segments: Vec<Feerate> = Vec::new();
    for rate in sorted {
        match segments.last_mut() {
            Some(last) if last.cmp_ratio(&rate) == Ordering::Equal => *last += rate,
            _ => segments.push(rate),
        }
    }
    segments.iter().map(|rate| (rate.fee, rate.size)).collect()
}

fn is_valid(items: &[Item], order: &[usize]) -> bool {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    sorted.iter().copied().eq(0..items.len())
        && order.iter().enumerate().all(|(at, i)| {
            let mut parents = items[*i].parents.iter();
            parents.all(|parent| order[..at].contains(parent))
        })
}

/// Clusters whose transactions spend from some of those before, by chance `density` in 256, renamed so that indexes tell
/// nothing of who comes first.
fn clusters(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Item>> {
    count.prop_flat_map(|count| {
        (
            prop::collection::vec((-20i64..200, 1i64..50), count),
            prop::collection::vec(any::<u8>(), count * count),
            any::<u8>(),
            Just((0..count).collect::<Vec<usize>>()).prop_shuffle(),
        )
            .prop_map(move |(values, dice, density, names)| {
                let mut items = vec![item(0, 1, &[]); count];
                for i in 0..count {
                    let parents = (0..i).filter(|j| dice[i * count + j] < density);
                    items[names[i]] = Item {
                        fee: values[i].0,
                        weight: values[i].1,
                        parents: parents.map(|j| names[j]).collect(),
                    };
                }
                items
            })
    })
}

fn any_order(items: &[Item], shuffled: &[Index]) -> Vec<usize> {
    let mut preferred: Vec<usize> = (0..items.len()).collect();
    for (i, index) in (1..items.len()).zip(shuffled) {
        preferred.swap(i, index.index(i + 1));
    }
    parents_first(items, &preferred)
}

proptest! {
    /// Against trying every subset: the first chunk has the best feerate of all closures, and no smaller closure has it
    /// too.
    #[test]
    fn the_first_chunk_is_the_best_closure(items in clusters(1..9)) {
        let chunks = best(&items);
        let mut best: Option<(Feerate, u32)> = None;
        for set in 1u32..(1 << items.len()) {
            let inside: Vec<usize> = (0..items.len()).filter(|i| set >> i & 1 == 1).collect();
            let closed = inside.iter().all(|i| items[*i].parents.iter().all(|p| set >> p & 1 == 1));
            if !closed { continue; }
            let total = rate(&items, &inside);
            let better = best.is_none_or(|(rate, size)| {
                total > rate || (total == rate && set.count_ones() < size)
            });
            if better { best = Some((total, set.count_ones())); }
        }
        let (rate, size) = best.expect("one transaction without parents is a closure");
        prop_assert_eq!(chunks[0].feerate, rate);
        prop_assert!(chunks[0].members.len() >= size as usize);
        // No chunk can be parted into pieces of its own feerate.
        for chunk in &chunks {
            for set in 1u32..(1 << chunk.members.len()) - 1 {
                let inside: Vec<usize> = (0..chunk.members.len())
                    .filter(|i| set >> i & 1 == 1).map(|i| chunk.members[i]).collect();
                let closed = inside.iter().all(|i| items[*i].parents.iter()
                    .all(|p| !chunk.members.contains(p) || inside.contains(p)));
                prop_assert!(!closed || closure::rate(&items, &inside) != chunk.feerate);
            }
        }
    }

    /// However little work is allowed, and wherever it starts: the order is valid and not worse than the one it started
    /// from; if it says that none is better, none is.
    #[test]
    fn an_order_never_gets_worse(
        items in clusters(1..20),
        shuffled in prop::collection::vec(any::<Index>(), 20),
        budget in 0u64..20_000,
        seed: u64,
    ) {
        let start = any_order(&items, &shuffled);
        prop_assert!(is_valid(&items, &start));
        let found = improve(&items, &start, budget, seed);
        prop_assert!(is_valid(&items, &found.order));
        let (before, after) = (rates(&items, &start), rates(&items, &found.order));
        prop_assert!(after.is_sorted_by(|a, b| a >= b));
        prop_assert!(improves_diagram(&before, &after) || merged(&before) == merged(&after));
        if found.optimal {
            prop_assert_eq!(merged(&after), merged(&best_feerates(&items)));
        }
        prop_assert_eq!(improve(&items, &start, budget, seed), found, "the same by the same seed");
    }

    /// An order that is known to be the best is the same by any seed and from any start.
    #[test]
    fn the_best_order_is_one(
        items in clusters(1..20),
        shuffled in prop::collection::vec(any::<Index>(), 20),
        seeds: (u64, u64),
    ) {
        let one = improve(&items, &any_order(&items, &[]), u64::MAX, seeds.0);
        let other = improve(&items, &any_order(&items, &shuffled), u64::MAX, seeds.1);
        prop_assert!(one.optimal && other.optimal);
        prop_assert_eq!(&one.order, &other.order);
        // Nothing is left to do.
        let again = improve(&items, &one.order, u64::MAX, 0);
        prop_assert_eq!(again.order, one.order);
    }

    /// The state of the search holds together after every bit of work.
    #[test]
    fn the_forest_stays_a_forest(items in clusters(1..14), seed: u64) {
        let order = any_order(&items, &[]);
        let cluster = Dependencies::new(&items, &order);
        let mut forest = Forest::new(&cluster, seed);
        forest.load(&order);
        forest.check();
        while !forest.optimize(forest.steps() + 1) {
            forest.check();
        }
        forest.check();
        forest.divide(u64::MAX);
        forest.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Clusters as large as they may be, against the best by other means.
    #[test]
    fn large_clusters_reach_the_best(items in clusters(40..65), seed: u64) {
        let found = improve(&items, &any_order(&items, &[]), 100_000_000, seed);
        prop_assert!(found.optimal && is_valid(&items, &found.order));
        prop_assert_eq!(merged(&rates(&items, &found.order)), merged(&best_feerates(&items)));
    }
}
