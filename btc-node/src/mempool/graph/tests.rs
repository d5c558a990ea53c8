//! The graph against plain recomputation, through random histories.

use super::Graph;
use crate::mempool::entry::Entry;
use crate::mempool::feerate::Feerate;
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
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        5 => (prop::collection::vec(index(), 0..4), 0i64..5_000)
            .prop_map(|(spends, fee)| Step::Add { spends, fee }),
        1 => index().prop_map(Step::Remove),
        1 => index().prop_map(Step::Mine),
        1 => (index(), -2_000i64..2_000).prop_map(|(at, delta)| Step::Prioritise(at, delta)),
    ]
}

fn transaction(spends: &[OutPoint]) -> Transaction {
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
            OUTPUTS as usize
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes and goes: clusters are the connected sets, the order is valid and sorted, sums are sums. And what
    /// a preview says of an addition is what happens then.
    #[test]
    fn clusters_are_what_recomputation_says(steps in prop::collection::vec(step(), 1..24)) {
        let mut graph = Graph::default();
        let mut confirmed = 0u8;
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
                    graph.remove([index.get(&txids)]);
                }
                Step::Prioritise(index, delta) if !txids.is_empty() => {
                    graph.set_fee_delta(index.get(&txids), delta);
                }
                _ => {}
            }
            check(&graph);
        }
        let all: BTreeSet<Txid> = graph.entries().map(|entry| entry.txid).collect();
        graph.remove(&all);
        prop_assert!(graph.is_empty() && graph.chunks().next().is_none());
        prop_assert_eq!(graph.memory_usage(), 0);
    }
}
