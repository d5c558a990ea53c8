//! The graph against plain recomputation, through random histories.

use super::cluster::{Ordered, Quality};
use super::{ACCEPTABLE, Graph};
use crate::mempool::entry::Entry;
use crate::mempool::feerate::{Feerate, improves_diagram};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Outputs of each transaction.
const OUTPUTS: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    /// Adds a transaction that spends some of what is unspent, or a confirmed coin.
    Add {
        spends: Vec<prop::sample::Index>,
        fee: i64,
    },
    /// Removes one and all that descend from it.
    Remove(prop::sample::Index),
    /// Removes one alone, as a block does.
    Mine(prop::sample::Index),
    /// Changes what one counts for.
    Prioritise(prop::sample::Index, i64),
    /// Brings back what was mined, as far as nothing else spends the same.
    Reorganize,
    /// Works on the orders for so many steps.
    Work(u64),
}

/// The largest cluster after a reorganization.
const LIMIT: usize = 6;

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        5 => (prop::collection::vec(index(), 0..4), 0i64..5_000)
            .prop_map(|(spends, fee)| Step::Add { spends, fee }),
        1 => index().prop_map(Step::Remove),
        2 => index().prop_map(Step::Mine),
        1 => (index(), -2_000i64..2_000).prop_map(|(at, delta)| Step::Prioritise(at, delta)),
        1 => Just(Step::Reorganize),
        2 => (0u64..3_000).prop_map(Step::Work),
    ]
}

fn transaction(spends: &[OutPoint]) -> Transaction {
    transaction_with(spends, OUTPUTS as usize)
}

fn transaction_with(spends: &[OutPoint], outputs: usize) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: spends
            .iter()
            .map(|outpoint| TxIn {
                previous_output: *outpoint,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            })
            .collect(),
        output: vec![
            TxOut {
                value: Amount::ONE_SAT,
                script_pubkey: ScriptBuf::new()
            };
            outputs
        ],
    }
}

fn entry(tx: Transaction, fee: i64, time: i64) -> Entry {
    let weight = i64::try_from(tx.weight().to_wu()).expect("small");
    Entry {
        txid: tx.compute_txid(),
        wtxid: tx.compute_wtxid(),
        fee,
        fee_delta: 0,
        weight,
        sigop_cost: 0,
        adjusted_weight: weight,
        time,
        height: 1,
        sequence: 1,
        spends_coinbase: false,
        parents: BTreeSet::new(),
        children: BTreeSet::new(),
        cluster: 0,
        tx: Arc::new(tx),
    }
}

/// Transactions of the graph that are joined with `start` by spending, found without its clusters.
fn connected(graph: &Graph, start: Txid) -> BTreeSet<Txid> {
    let mut found = BTreeSet::from([start]);
    loop {
        let mut next = found.clone();
        for other in graph.entries() {
            let sources = other
                .tx
                .input
                .iter()
                .map(|input| input.previous_output.txid);
            let touches = sources.clone().any(|txid| found.contains(&txid));
            if touches {
                next.insert(other.txid);
            }
            if found.contains(&other.txid) {
                next.extend(sources.filter(|txid| graph.contains(txid)));
            }
        }
        if next == found {
            return found;
        }
        found = next;
    }
}

fn check(graph: &Graph) {
    let order: Vec<Txid> = graph
        .chunks()
        .flat_map(|chunk| chunk.txids.clone())
        .collect();
    let mut seen = BTreeSet::new();
    for txid in &order {
        let entry = graph.get(txid).expect("chunks hold what is there");
        for input in &entry.tx.input {
            let parent = input.previous_output.txid;
            assert!(
                !graph.contains(&parent) || seen.contains(&parent),
                "a parent comes late"
            );
            assert_eq!(graph.spender(&input.previous_output), Some(*txid));
        }
        assert!(seen.insert(*txid), "a transaction comes twice");
    }
    assert_eq!(seen.len(), graph.len());
    let rates: Vec<Feerate> = graph.chunks().map(|chunk| chunk.feerate).collect();
    assert!(
        rates.windows(2).all(|pair| pair[0] >= pair[1]),
        "chunks come by falling feerates"
    );
    for entry in graph.entries() {
        let parents: BTreeSet<Txid> = graph.parents_of(&entry.tx);
        assert_eq!(entry.parents, parents);
        for parent in &parents {
            assert!(
                graph
                    .get(parent)
                    .is_some_and(|p| p.children.contains(&entry.txid))
            );
        }
        for child in &entry.children {
            assert!(
                graph
                    .get(child)
                    .is_some_and(|c| c.parents.contains(&entry.txid))
            );
        }
        let cluster: BTreeSet<Txid> = graph
            .cluster_of(&entry.txid)
            .iter()
            .flat_map(|chunk| chunk.txids.iter().copied())
            .collect();
        assert_eq!(cluster, connected(graph, entry.txid));
        assert_eq!(
            graph.get_by_wtxid(&entry.wtxid).map(|e| e.txid),
            Some(entry.txid)
        );
    }
    assert_eq!(
        graph.total_fee(),
        graph.entries().map(|entry| entry.fee).sum::<i64>()
    );
    assert_eq!(
        graph.total_vsize(),
        graph.entries().map(Entry::vsize).sum::<i64>()
    );
    assert_eq!(graph.older_than(i64::MAX).count(), graph.len());
}

/// Whether each cluster that is known to be in its best order is in the one that is found for it from nothing.
fn check_best(graph: &Graph) {
    for cluster in graph.clusters.values() {
        if cluster.quality != Quality::Optimal {
            continue;
        }
        let mut members: Vec<&Entry> = cluster.members().map(|txid| &graph.entries[txid]).collect();
        members.sort_by_key(|entry| entry.txid);
        let mut ordered = Ordered::new(&members);
        assert!(ordered.improve(u64::MAX, 1).0);
        assert_eq!(ordered.chunks(), cluster.chunks);
    }
}

/// Clusters of 64 with more spendings between them than are sorted out in one go.
fn hard(graph: &mut Graph) {
    let confirmed = |i: u8| OutPoint::new(Txid::from_byte_array([i; 32]), 0);
    let mut parents = Vec::new();
    for i in 0..32u8 {
        let tx = transaction_with(&[confirmed(i)], 40);
        parents.push(tx.compute_txid());
        graph.insert(entry(tx, i64::from(i) * 7919 % 1009, 0));
    }
    for i in 0..32u8 {
        let spends: Vec<OutPoint> = parents
            .iter()
            .enumerate()
            .filter(|(j, _)| (j * 31 + usize::from(i) * 17) % 5 < 2)
            .map(|(_, txid)| OutPoint::new(*txid, u32::from(i)))
            .collect();
        graph.insert(entry(
            transaction_with(&spends, 1),
            i64::from(i) * 104_729 % 30_011,
            0,
        ));
    }
}

#[test]
fn a_hard_cluster_gets_better_from_change_to_change() {
    let mut graph = Graph::new(7);
    hard(&mut graph);
    graph.settle();
    let mut before: Vec<Feerate> = graph.chunks().map(|chunk| chunk.feerate).collect();
    let mut changes = 0;
    while !graph.is_optimal() {
        graph.work(ACCEPTABLE);
        let after: Vec<Feerate> = graph.chunks().map(|chunk| chunk.feerate).collect();
        assert!(!improves_diagram(&after, &before), "it got worse");
        before = after;
        changes += 1;
        assert!(changes < 10_000);
    }
    check(&graph);
    check_best(&graph);
}

#[test]
fn what_had_less_than_its_share_is_worked_on_again() {
    let mut graph = Graph::new(3);
    let parent = transaction(&[OutPoint::new(Txid::from_byte_array([1; 32]), 0)]);
    let child = transaction(&[OutPoint::new(parent.compute_txid(), 0)]);
    graph.insert(entry(parent, 0, 0));
    graph.insert(entry(child, 0, 0));
    graph.work(1);
    graph.settle();
    assert!(graph.is_optimal());
}

#[test]
fn what_a_reorganization_would_join_is_cut_to_the_limit() {
    // Two hundred chains of thirty come back under eleven transactions that spend from many of them.
    let mut graph = Graph::new(7);
    let mut chains: Vec<Vec<Transaction>> = Vec::new();
    for chain in 0..200u8 {
        let mut last = OutPoint::new(Txid::from_byte_array([chain; 32]), 1);
        chains.push(Vec::new());
        for _ in 0..30 {
            let tx = transaction_with(&[last], 2);
            last = OutPoint::new(tx.compute_txid(), 1);
            chains[usize::from(chain)].push(tx);
        }
    }
    for (number, ends) in chains.chunks(20).enumerate() {
        let spends: Vec<OutPoint> = ends
            .iter()
            .map(|chain| OutPoint::new(chain[29].compute_txid(), 1))
            .collect();
        let tx = transaction_with(&spends, 1);
        graph.insert(entry(tx, 50_000 + number as i64, 0));
    }
    graph.hold();
    for (number, tx) in chains.concat().into_iter().enumerate() {
        graph.insert(entry(tx, 1_000 + (number as i64 * 7919) % 997, 0));
    }
    let excess = graph.excess(64, i64::MAX);
    graph.remove(&excess);
    graph.release();
    graph.settle();
    assert_eq!(graph.len(), 6_000, "only what would join the chains goes");
    assert!(graph.clusters.values().all(|cluster| cluster.count() == 30));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes and goes: clusters are the connected sets, the order is valid and sorted, sums are sums. And what
    /// a preview says of an addition is what happens then.
    #[test]
    fn clusters_are_what_recomputation_says(steps in prop::collection::vec(step(), 1..24)) {
        let mut graph = Graph::new(3);
        let mut confirmed = 0u8;
        let mut mined: Vec<Entry> = Vec::new();
        for (time, step) in steps.into_iter().enumerate() {
            let txids: Vec<Txid> = {
                let sorted: BTreeSet<Txid> = graph.entries().map(|entry| entry.txid).collect();
                sorted.into_iter().collect()
            };
            match step {
                Step::Add { spends, fee } => {
                    let unspent: Vec<OutPoint> = txids
                        .iter()
                        .flat_map(|txid| (0..OUTPUTS).map(|vout| OutPoint::new(*txid, vout)))
                        .filter(|outpoint| graph.spender(outpoint).is_none())
                        .collect();
                    let mut chosen: BTreeSet<OutPoint> = spends
                        .iter()
                        .filter(|_| !unspent.is_empty())
                        .map(|index| *index.get(&unspent))
                        .collect();
                    confirmed += 1;
                    chosen.insert(OutPoint::new(Txid::from_byte_array([confirmed; 32]), 0));
                    let spends: Vec<OutPoint> = chosen.into_iter().collect();
                    let mut entry = entry(transaction(&spends), fee, time as i64);
                    entry.parents = graph.parents_of(&entry.tx);
                    let nothing = BTreeSet::new();
                    let preview = graph.preview(&[&entry], &nothing);
                    let expected = graph.cluster_with(&entry.parents, entry.adjusted_weight);
                    prop_assert_eq!((preview.count(), preview.weight()), expected);
                    let previewed = preview.after();
                    let txid = entry.txid;
                    graph.insert(entry);
                    check(&graph);
                    graph.settle();
                    let rates = |chunks: &[Feerate]| {
                        let mut parts: BTreeMap<(i64, i64), usize> = BTreeMap::new();
                        for rate in chunks {
                            *parts.entry((rate.fee, rate.size)).or_default() += 1;
                        }
                        parts
                    };
                    let after: Vec<Feerate> =
                        graph.cluster_of(&txid).iter().map(|chunk| chunk.feerate).collect();
                    prop_assert_eq!(rates(&previewed), rates(&after));
                }
                Step::Remove(index) if !txids.is_empty() => {
                    let gone = graph.descendants([*index.get(&txids)]);
                    prop_assert_eq!(graph.remove(&gone).len(), gone.len());
                }
                Step::Mine(index) if !txids.is_empty() => {
                    mined.extend(graph.remove([index.get(&txids)]));
                }
                Step::Reorganize => {
                    graph.hold();
                    for mut entry in std::mem::take(&mut mined) {
                        entry.children.clear();
                        let mut inputs = entry.tx.input.iter();
                        if inputs.all(|input| graph.spender(&input.previous_output).is_none()) {
                            graph.insert(entry);
                        }
                    }
                    let excess = graph.excess(LIMIT, i64::MAX);
                    prop_assert_eq!(graph.descendants(excess.iter().copied()), excess.clone());
                    graph.remove(&excess);
                    graph.release();
                    prop_assert!(graph.clusters.values().all(|cluster| cluster.count() <= LIMIT));
                }
                Step::Work(steps) => graph.work(steps),
                Step::Prioritise(index, delta) if !txids.is_empty() => {
                    graph.set_fee_delta(index.get(&txids), delta);
                }
                _ => {}
            }
            check(&graph);
            check_best(&graph);
        }
        graph.settle();
        prop_assert!(graph.is_optimal(), "these clusters are small");
        check(&graph);
        check_best(&graph);
        let all: BTreeSet<Txid> = graph.entries().map(|entry| entry.txid).collect();
        graph.remove(&all);
        prop_assert!(graph.is_empty() && graph.chunks().next().is_none());
        prop_assert_eq!(graph.memory_usage(), 0);
    }
}
