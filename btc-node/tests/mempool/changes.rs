//! Blocks that come and go under the mempool, and restarts.

use crate::harness::{Node, anyone, output, pay, spend};
use btc_node::mining::coinbase;
use btc_node::notify::{Event, RemovalReason};
use std::sync::Arc;

#[test]
fn a_block_takes_its_transactions_and_what_conflicts_with_them() {
    let node = Node::mined(102);
    let (kept, mined) = (pay(node.coinbase(1), 1_000), pay(node.coinbase(2), 1_000));
    node.submit(&kept).unwrap();
    // A block with another spend of the second coin than the mempool's.
    let other = Node::mined(102);
    assert_eq!(
        other.chain.tip().hash,
        node.chain.tip().hash,
        "both chains are the same"
    );
    let conflicting = pay(node.coinbase(2), 5_000);
    let child = spend(&[output(&conflicting, 0)], &[4_000_000_000]);
    node.submit(&conflicting).unwrap();
    node.submit(&child).unwrap();
    other.submit(&mined).unwrap();
    other.generate(1);
    node.events();
    assert!(node.submit_block(other.block_at(103)));
    let left: Vec<_> = node
        .mempool
        .transactions()
        .iter()
        .map(|tx| tx.compute_txid())
        .collect();
    assert_eq!(left, [kept.compute_txid()]);
    let removed: Vec<_> = node
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::TxRemoved { tx, reason, .. } => Some((tx.compute_txid(), reason)),
            _ => None,
        })
        .collect();
    assert_eq!(removed.len(), 2);
    assert!(
        removed
            .iter()
            .all(|(_, reason)| *reason == RemovalReason::Conflict)
    );
}

#[test]
fn a_disconnected_block_gives_its_transactions_back() {
    let node = Node::mined(102);
    let parent = pay(node.coinbase(1), 1_000);
    let child = spend(&[output(&parent, 0)], &[4_000_000_000]);
    node.submit(&parent).unwrap();
    node.submit(&child).unwrap();
    let tip = node.generate(1)[0];
    let grandchild = spend(&[output(&child, 0)], &[3_000_000_000]);
    node.submit(&grandchild).unwrap();
    node.chain.invalidate_block(&tip).unwrap();
    assert_eq!(node.chain.tip().height, 102);
    let ids: Vec<_> = node
        .mempool
        .transactions()
        .iter()
        .map(|tx| tx.compute_txid())
        .collect();
    assert_eq!(ids.len(), 3);
    // The family is whole again.
    let (totals, cluster) = node.mempool.ancestry(&grandchild.compute_txid());
    assert_eq!((totals.count, cluster), (3, 3));
    node.chain.reconsider_block(&tip).unwrap();
    let ids: Vec<_> = node
        .mempool
        .transactions()
        .iter()
        .map(|tx| tx.compute_txid())
        .collect();
    assert_eq!(ids, [grandchild.compute_txid()]);
}

#[test]
fn what_a_reorganization_makes_immature_leaves() {
    let node = Node::mined(101);
    let tx = pay(node.coinbase(1), 1_000);
    node.submit(&tx).unwrap();
    let child = spend(&[output(&tx, 0)], &[4_000_000_000]);
    node.submit(&child).unwrap();
    node.events();
    // Without the last block, the coinbase lacks a confirmation.
    node.chain
        .invalidate_block(&node.chain.hash_at(100).unwrap())
        .unwrap();
    assert!(node.mempool.transactions().is_empty());
    let reasons: Vec<_> = node
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::TxRemoved { reason, .. } => Some(reason),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [RemovalReason::Reorg; 2]);
}

#[test]
fn listeners_hear_of_every_transaction_in_order() {
    let node = Node::mined(102);
    node.events();
    let first = pay(node.coinbase(1), 1_000);
    let second = pay(node.coinbase(1), 2_000);
    node.submit(&first).unwrap();
    node.submit(&second).unwrap();
    let heard: Vec<_> = node
        .events()
        .into_iter()
        .map(|event| match event {
            Event::TxAdded { tx, sequence, fee } => {
                (tx.compute_txid(), Some(fee.to_sat()), sequence)
            }
            Event::TxRemoved { tx, sequence, .. } => (tx.compute_txid(), None, sequence),
            other => panic!("{other:?}"),
        })
        .collect();
    let (first, second) = (first.compute_txid(), second.compute_txid());
    assert_eq!(
        heard,
        [
            (first, Some(1_000), 1),
            (first, None, 2),
            (second, Some(2_000), 3)
        ]
    );
}

#[test]
fn the_file_brings_back_times_deltas_and_order() {
    let node = Node::mined(103);
    let parent = pay(node.coinbase(1), 1_000);
    let child = spend(&[output(&parent, 0)], &[4_000_000_000]);
    let other = pay(node.coinbase(2), 1_000);
    for tx in [&parent, &child, &other] {
        node.submit(tx).unwrap();
    }
    node.mempool.prioritise(other.compute_txid(), 7_000);
    let elsewhere = spend(&[output(&child, 0)], &[1_000]).compute_txid();
    node.mempool.prioritise(elsewhere, -5);
    node.mempool.add_unbroadcast(child.compute_txid());
    let path = node.path("mempool.dat");
    assert_eq!(node.mempool.dump(&path, false).unwrap(), 3);

    let again = Node::mined(103);
    again.clock.set_mock(Some(1_700_000_500));
    assert!(!again.mempool.info().loaded);
    let loaded = again.mempool.load(&again.chain, &path, || false).unwrap();
    assert_eq!(
        (loaded.accepted, loaded.failed, loaded.unbroadcast),
        (3, 0, 1)
    );
    assert!(again.mempool.info().loaded);
    again.mempool.read(|pool| {
        let entry = pool.graph().get(&other.compute_txid()).unwrap();
        assert_eq!((entry.fee_delta, entry.time), (7_000, 1_700_000_000));
        assert_eq!(pool.deltas().get(&elsewhere), Some(&-5));
    });
    // Of one that was cut short, what came before the cut is taken in.
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 60]).unwrap();
    let cut = Node::mined(103);
    cut.clock.set_mock(Some(1_700_000_500));
    let error = cut.mempool.load(&cut.chain, &path, || false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "AutoFile::read: end of file: iostream error"
    );
    assert!(cut.mempool.contains(&parent.compute_txid()));
    // A file that is none, or missing, is an error, and the mempool counts as loaded all the same.
    std::fs::write(&path, b"no mempool").unwrap();
    let third = Node::mined(1);
    assert!(third.mempool.load(&third.chain, &path, || false).is_err());
    assert!(third.mempool.info().loaded);
    std::fs::remove_file(&path).unwrap();
    assert!(third.mempool.load(&third.chain, &path, || false).is_err());
}

#[test]
fn broadcasting_keeps_to_what_the_owner_allows() {
    let node = Node::mined(102);
    let tx = Arc::new(pay(node.coinbase(1), 10_000));
    let refused = node
        .mempool
        .broadcast(&node.chain, &tx, Some(9_999), true)
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"
    );
    assert!(node.mempool.transactions().is_empty());
    node.mempool
        .broadcast(&node.chain, &tx, Some(10_000), true)
        .unwrap();
    node.mempool
        .broadcast(&node.chain, &tx, None, true)
        .unwrap();
    assert_eq!(node.mempool.info().unbroadcast, 1);
    node.generate_to(&anyone(), 1);
    assert_eq!(node.mempool.info().unbroadcast, 0);
    let refused = node
        .mempool
        .broadcast(&node.chain, &tx, None, true)
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Transaction outputs already in utxo set"
    );
}

#[test]
fn a_block_off_the_tip_leaves_the_mempool_alone() {
    let node = Node::mined(102);
    let tx = pay(node.coinbase(1), 1_000);
    node.submit(&tx).unwrap();
    let fork = Node::mined(101);
    fork.clock.set_mock(Some(1_700_001_000));
    fork.generate(1);
    let mut block = fork.block_at(102);
    assert!(!node.submit_block(block.clone()), "it comes second");
    assert!(node.mempool.contains(&tx.compute_txid()));
    // Two more blocks there make it the longer branch; the spend of the first coinbase stays valid.
    fork.generate(1);
    block = fork.block_at(103);
    assert!(coinbase::commitment_index(&block.txdata[0]).is_some());
    assert!(node.submit_block(block));
    assert!(node.mempool.contains(&tx.compute_txid()));
}
