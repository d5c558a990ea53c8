//! Indexes of a node that begins with a snapshot: they go the whole way from the first block on.

use crate::answers::{Indexed, all, answers, check_against_blocks};
use crate::snapshot_source::{BASE, Source, TOP};
use crate::support::{Home, submit};

fn open(home: &Home, source: &Source) -> Indexed {
    Indexed::open_with(home, |options| source.options(options), all()).expect("opens")
}

/// A node with the first 40 blocks, the snapshot and what is above it.
fn begun(home: &Home, source: &Source) -> Indexed {
    let node = source.begun(home, 40);
    node.close().expect("flushes");
    drop(node);
    let indexed = open(home, source);
    indexed.indexes.start().expect("starts");
    indexed.wait();
    source.load(&indexed.chain, &source.file).expect("loads");
    for block in &source.blocks[BASE as usize..] {
        submit(&indexed.chain, block).expect("is valid");
    }
    indexed.settle();
    // They stand where the blocks are known from the first on.
    assert_eq!(indexed.heights(), [40; 4]);
    indexed
}

#[test]
fn indexes_follow_the_chain_below_a_snapshot_and_then_the_one_above() {
    let source = Source::new();
    let home = Home::regtest();
    let indexed = begun(&home, &source);
    for block in &source.blocks[40..100] {
        submit(&indexed.chain, block).expect("is valid");
    }
    indexed.settle();
    assert_eq!(indexed.heights(), [100; 4]);
    for block in &source.blocks[100..BASE as usize] {
        submit(&indexed.chain, block).expect("is valid");
    }
    // The event that lets them go on comes before they are waited for.
    indexed.settle();
    indexed.wait();
    assert_eq!(indexed.heights(), [TOP as u32; 4]);
    check_against_blocks(&indexed);
    let seen = answers(&indexed);
    indexed.close();

    // The snapshot has taken the place of the coins below, and nothing is to be indexed again.
    let indexed = open(&home, &source);
    assert_eq!(indexed.heights(), [TOP as u32; 4]);
    assert_eq!(answers(&indexed), seen);
    indexed.close();

    let plain = Home::regtest();
    let other = Indexed::synced(&plain);
    for block in &source.blocks {
        submit(&other.chain, block).expect("is valid");
    }
    other.settle();
    assert_eq!(answers(&other), seen);
    other.close();
}

#[test]
fn indexes_go_on_below_a_snapshot_after_a_restart() {
    let source = Source::new();
    let home = Home::regtest();
    let indexed = begun(&home, &source);
    for block in &source.blocks[40..80] {
        submit(&indexed.chain, block).expect("is valid");
    }
    indexed.close();
    let indexed = open(&home, &source);
    // What was committed is where the chain below was flushed.
    assert_eq!(indexed.heights(), [80; 4]);
    indexed.indexes.start().expect("starts");
    for block in &source.blocks[80..BASE as usize] {
        submit(&indexed.chain, block).expect("is valid");
    }
    indexed.settle();
    indexed.wait();
    assert_eq!(indexed.heights(), [TOP as u32; 4]);
    check_against_blocks(&indexed);
    indexed.close();
}
