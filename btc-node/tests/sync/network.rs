//! Whole networks: whatever happens on the way, the nodes end on one chain.

use crate::simulator::{Network, Node};
use bitcoin::Amount;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_new_node_catches_up_and_hears_of_what_follows() {
    let mut net = Network::new(3, 1);
    net.nodes[0].generate(110);
    net.connect(1, 0);
    net.connect(2, 1);
    assert!(net.run_until(5 * MINUTE, Network::agree));
    assert_eq!(net.nodes[2].chain.tip().height, 110);
    // News travels both ways.
    net.nodes[2].generate(1);
    assert!(net.run_until(MINUTE, Network::agree));
    net.nodes[0].generate(2);
    assert!(net.run_until(MINUTE, Network::agree));
    assert_eq!(net.nodes[1].chain.tip().height, 113);
}

#[test]
fn a_transaction_reaches_all_and_leaves_with_its_block() {
    let mut net = Network::new(4, 2);
    net.nodes[0].generate(110);
    for (from, to) in [(1, 0), (2, 1), (3, 2)] {
        net.connect(from, to);
    }
    assert!(net.run_until(5 * MINUTE, Network::agree));
    let tx = net.nodes[3].spend_coinbase(2);
    let txid = tx.compute_txid();
    net.send_tx(3, tx);
    let everywhere = |net: &Network| net.nodes.iter().all(|node| node.mempool.contains(&txid));
    assert!(net.run_until(5 * MINUTE, everywhere));
    net.nodes[0].generate(1);
    let nowhere = |net: &Network| net.nodes.iter().all(|node| !node.mempool.contains(&txid));
    assert!(net.run_until(MINUTE, nowhere));
    assert!(net.agree());
}

#[test]
fn after_a_partition_the_chain_with_more_work_wins_everywhere() {
    let mut net = Network::new(4, 3);
    net.nodes[0].generate(5);
    let links = [(1, 0), (2, 1), (3, 2), (0, 3)];
    for (from, to) in links {
        net.connect(from, to);
    }
    assert!(net.run_until(5 * MINUTE, Network::agree));
    net.partition(&[0, 1], &[2, 3]);
    net.nodes[0].generate(3);
    net.nodes[3].generate(12);
    net.run(MINUTE);
    assert_eq!(net.nodes[1].tip(), net.nodes[0].tip());
    assert_eq!(net.nodes[2].tip(), net.nodes[3].tip());
    assert!(!net.agree());
    net.heal();
    net.connect(2, 1);
    assert!(net.run_until(5 * MINUTE, Network::agree));
    assert_eq!(net.nodes[0].chain.tip().height, 17);
}

#[test]
fn chains_converge_through_delays_and_broken_connections() {
    for seed in 10..13 {
        let mut net = Network::new(5, seed);
        net.max_delay = Duration::from_secs(3);
        net.breaks_per_million = 10_000;
        for round in 0..6 {
            let miner = (seed as usize + round * 2) % 5;
            net.nodes[miner].generate(1 + round as u64);
            // Everybody keeps two connections of its own, as far as they broke.
            if net.connections() < 6 {
                for node in 0..5 {
                    net.connect(node, (node + 1) % 5);
                }
            }
            net.run(Duration::from_secs(20));
        }
        net.breaks_per_million = 0;
        for node in 0..5 {
            net.connect(node, (node + 1) % 5);
        }
        // Equal work may leave two tips: one more block decides.
        net.run(5 * MINUTE);
        net.nodes[0].generate(1);
        assert!(net.run_until(10 * MINUTE, Network::agree), "seed {seed}");
    }
}

#[test]
fn a_run_is_the_same_each_time() {
    let run = || {
        let mut net = Network::new(3, 7);
        net.nodes[0].generate(20);
        net.connect(1, 0);
        net.connect(2, 1);
        net.run(MINUTE);
        net.log
    };
    assert_eq!(run(), run());
}

#[test]
fn headers_with_little_work_are_kept_only_once_they_show_enough() {
    // Each regtest block has work 2, so this is the work of 2100 blocks after the genesis block.
    let minimum = btc_consensus::Work::new(btc_consensus::uint256::U256::from_be_bytes({
        let mut bytes = [0; 32];
        bytes[30..].copy_from_slice(&4202u16.to_be_bytes());
        bytes
    }));
    let strict = |index| Node::new(index, |options| options.minimum_chain_work = minimum);
    let mut net = Network::of(vec![Node::new(0, |_| {}), strict(1)], 4);
    net.nodes[0].generate(2050);
    net.connect(1, 0);
    net.run(MINUTE);
    assert_eq!(
        net.nodes[1].chain.best_header().height,
        0,
        "not enough work, so nothing is kept"
    );
    net.nodes[0].generate(100);
    let mut net = Network::of(vec![net.nodes.remove(0), strict(1)], 5);
    net.connect(1, 0);
    assert!(net.run_until(30 * MINUTE, Network::agree));
    assert_eq!(net.nodes[1].chain.tip().height, 2150);
}

#[test]
fn a_branch_longer_than_the_window_of_blocks_is_loaded_before_it_wins() {
    let mut net = Network::new(2, 11);
    net.nodes[0].generate(1100);
    // At another time, so that the blocks are others.
    net.run(MINUTE);
    net.nodes[1].generate(1110);
    net.connect(0, 1);
    assert!(net.run_until(10 * MINUTE, Network::agree));
    assert_eq!(net.nodes[0].chain.tip().height, 1110);
}

#[test]
fn blocks_travel_compactly_once_peers_proved_themselves() {
    let mut net = Network::new(3, 8);
    net.nodes[0].generate(110);
    net.connect(1, 0);
    net.connect(2, 1);
    assert!(net.run_until(5 * MINUTE, Network::agree));
    // The first peer to give a tip is asked to tell of the next ones at once.
    net.nodes[0].generate(1);
    assert!(net.run_until(MINUTE, Network::agree));
    let chosen = |net: &Network, node: usize| {
        let peers = net.nodes[node].peers.info();
        peers.iter().filter(|peer| peer.high_bandwidth_to).count()
    };
    assert_eq!((chosen(&net, 1), chosen(&net, 2)), (1, 1));
    let known = net.nodes[0].spend_coinbase(2);
    let txid = known.compute_txid();
    net.send_tx(0, known);
    let everywhere = |net: &Network| net.nodes.iter().all(|node| node.mempool.contains(&txid));
    assert!(net.run_until(5 * MINUTE, everywhere));
    // One transaction that all have, and one that the miner alone has.
    let secret = net.nodes[0].spend_coinbase(3);
    let miner = &net.nodes[0];
    miner
        .mempool
        .submit(&miner.chain, Arc::new(secret))
        .unwrap();
    net.log.clear();
    net.nodes[0].generate(1);
    assert!(net.run_until(MINUTE, Network::agree));
    let sent = |name: &str| net.log.iter().filter(|(_, sent)| sent == name).count();
    assert_eq!(
        (sent("cmpctblock"), sent("getblocktxn"), sent("blocktxn")),
        (2, 2, 2)
    );
    assert_eq!((sent("block"), sent("getdata")), (0, 0));
    // What all have is not asked for.
    net.log.clear();
    net.nodes[0].generate(1);
    assert!(net.run_until(MINUTE, Network::agree));
    let sent = |name: &str| net.log.iter().filter(|(_, sent)| sent == name).count();
    assert_eq!(
        (sent("cmpctblock"), sent("getblocktxn"), sent("block")),
        (2, 0, 0)
    );
}

#[test]
fn a_child_that_came_first_waits_for_its_parent_and_then_travels_on() {
    let mut net = Network::new(3, 9);
    net.nodes[0].generate(110);
    net.connect(1, 0);
    net.connect(2, 1);
    assert!(net.run_until(5 * MINUTE, Network::agree));
    let parent = net.nodes[0].spend_coinbase(2);
    let child = net.nodes[0].spend_output(&parent, Amount::from_sat(2000));
    let txid = child.compute_txid();
    // The first node has both; it tells the child alone.
    let sender = &net.nodes[0];
    sender
        .mempool
        .submit(&sender.chain, Arc::new(parent))
        .unwrap();
    net.send_tx(0, child);
    let waits = |net: &Network| !net.nodes[1].peers.orphans().is_empty();
    assert!(net.run_until(MINUTE, waits));
    let everywhere = |net: &Network| net.nodes.iter().all(|node| node.mempool.contains(&txid));
    assert!(net.run_until(5 * MINUTE, everywhere));
    assert!(net.nodes.iter().all(|node| node.peers.orphans().is_empty()));
}

#[test]
fn a_parent_without_a_fee_travels_with_the_child_that_pays_for_it() {
    let mut net = Network::new(3, 10);
    net.nodes[0].generate(110);
    net.connect(1, 0);
    net.connect(2, 1);
    assert!(net.run_until(5 * MINUTE, Network::agree));
    let mut parent = net.nodes[0].spend_coinbase(2);
    parent.output[0].value += Amount::from_sat(1000);
    let child = net.nodes[0].spend_output(&parent, Amount::from_sat(5000));
    let ids = [parent.compute_txid(), child.compute_txid()];
    let package = [Arc::new(parent), Arc::new(child)];
    let sender = &net.nodes[0];
    let outcome = sender.mempool.submit_package(&sender.chain, &package, None);
    assert_eq!(outcome.error, None);
    for tx in package {
        net.broadcast(0, tx);
    }
    let everywhere = |net: &Network| {
        let has = |node: &Node| ids.iter().all(|txid| node.mempool.contains(txid));
        net.nodes.iter().all(has)
    };
    assert!(net.run_until(10 * MINUTE, everywhere));
}
