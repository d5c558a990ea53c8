//! Blocks that are connected while the scripts of those before them are checked.

use std::fs;
use std::sync::{Arc, Mutex};

use bitcoin::block::Header;
use bitcoin::{Block, BlockHash, OutPoint, ScriptBuf, Transaction};
use btc_node::chainstate::ChainstateManager;
use btc_node::notify::Event;
use btc_node::store::import::BlockScanner;

use crate::support::{
    Home, Template, branch, mine, muhash, next_block, record, reward_of, spend, submit,
};

/// Blocks in the run: more than wait behind the first at once.
const RUN: usize = 20;
/// Blocks that are active where the run begins, on another branch.
const RIVAL: usize = 3;
/// Inputs of each transaction: enough that other threads are asked.
const WIDTH: u32 = 5;

/// A transaction whose outputs anyone may spend, all but the last if that is to be impossible.
fn chained(from: &[OutPoint], value: u64, locked: bool) -> Transaction {
    let mut transaction = spend(from, &[value; WIDTH as usize + 1]);
    if locked {
        transaction.output[WIDTH as usize].script_pubkey = ScriptBuf::from_bytes(vec![0x00]);
    }
    transaction
}

fn outputs(transaction: &Transaction, range: std::ops::Range<u32>) -> Vec<OutPoint> {
    let txid = transaction.compute_txid();
    range.map(|vout| OutPoint { txid, vout }).collect()
}

/// Blocks that each spend what the one before created; the one at `bad`, if any, also what nobody can spend.
fn run(from: &Header, height: u32, funds: &Transaction, bad: Option<usize>) -> Vec<Arc<Block>> {
    let mut blocks: Vec<Arc<Block>> = Vec::new();
    let mut last = funds.clone();
    for number in 0..RUN {
        let prev = blocks.last().map_or(*from, |block| block.header);
        let used = if bad == Some(number) {
            WIDTH + 1
        } else {
            WIDTH
        };
        let value = last.output[0].value.to_sat() / 10 * 8;
        let first = chained(&outputs(&last, 0..used), value, false);
        // Within a block too, one spends what another creates; its last output is locked for a block to come.
        let second = chained(&outputs(&first, 0..WIDTH), value / 10 * 8, true);
        let block = Template {
            tag: 7,
            transactions: vec![first, second.clone()],
            ..Template::after(&prev, height + number as u32)
        }
        .mine();
        blocks.push(block);
        last = second;
    }
    blocks
}

/// A node on the rival branch, and the transaction that the run begins with.
fn prepare(home: &Home) -> (Header, u32, Transaction) {
    let node = home.open();
    let blocks = mine(&node, 101);
    let funds = chained(&[reward_of(&blocks[0])], 8_0000_0000, true);
    submit(&node, &next_block(&node, vec![funds.clone()])).expect("is valid");
    let (from, height) = (node.tip().header, node.tip().height);
    for block in branch(&from, height, RIVAL, 1) {
        submit(&node, &block).expect("is valid");
    }
    node.close().expect("flushes");
    (from, height, funds)
}

/// Gives the blocks to the node at once, and what it told of meanwhile.
fn import(home: &Home, node: &ChainstateManager, blocks: &[Arc<Block>]) -> Vec<(bool, BlockHash)> {
    let path = home.dir.path().join("run.dat");
    let file: Vec<u8> = blocks
        .iter()
        .flat_map(|block| record(node.params().magic, block))
        .collect();
    fs::write(&path, file).expect("writes");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let guard = node.notifier().register(Arc::new(move |event: &Event| {
        let mut log = log.lock().expect("not poisoned");
        match event {
            Event::BlockConnected(event) => log.push((true, event.hash)),
            Event::BlockDisconnected(event) => log.push((false, event.hash)),
            _ => {}
        }
    }));
    node.import_blocks(&mut BlockScanner::open(&path, node.params().magic).expect("is there"))
        .expect("imports");
    node.notifier().sync_with_queue();
    drop(guard);
    let seen = seen.lock().expect("not poisoned");
    seen.clone()
}

/// The digests of the coins that blocks leave, connected one by one by a node that checks scripts itself; of the tip
/// before them first.
fn references(home: &Home, blocks: &[Arc<Block>]) -> Vec<String> {
    let node = home.open_with(|options| options.script_threads = 0);
    let first = muhash(&node);
    let rest = blocks.iter().map(|block| {
        submit(&node, block).expect("is valid");
        muhash(&node)
    });
    std::iter::once(first).chain(rest).collect()
}

#[test]
fn a_bad_script_anywhere_in_a_run_is_as_if_blocks_came_one_by_one() {
    let prepared = Home::regtest();
    let (from, height, funds) = prepare(&prepared);
    let good = run(&from, height, &funds, None);
    let alone = Home::regtest();
    prepared.copy_to(&alone);
    // A branch that is no longer than the rival leaves that active, and its coins.
    let expected = references(&alone, &good);
    for bad in (0..RUN).map(Some).chain([None]) {
        let blocks = run(&from, height, &funds, bad);
        let end = bad.unwrap_or(RUN);
        assert_eq!(blocks[..end], good[..end]);
        let expected = &expected[end];
        // All counts of threads have their turn.
        let threads = [0, 1, 3][end % 3];
        let home = Home::regtest();
        prepared.copy_to(&home);
        let node = home.open_with(|options| options.script_threads = threads);
        let rival = node.tip();
        let told = import(&home, &node, &blocks);
        let tip = if end > RIVAL {
            blocks[end - 1].block_hash()
        } else {
            rival.hash
        };
        assert_eq!(node.tip().hash, tip, "{bad:?} with {threads} threads");
        assert_eq!(&muhash(&node), expected, "{bad:?} with {threads} threads");

        // Listeners were told of each move, and of none to a block that was not good.
        let mut chain = vec![from.block_hash()];
        let rivals = branch(&from, height, RIVAL, 1);
        chain.extend(rivals.iter().map(|block| block.block_hash()));
        for (connected, hash) in told {
            if connected {
                chain.push(hash);
                assert!(!blocks[end..].iter().any(|block| block.block_hash() == hash));
            } else {
                assert_eq!(chain.pop(), Some(hash));
            }
        }
        assert_eq!(chain.last(), Some(&tip));

        // The index has verdicts and undo records for those alone that were connected.
        for (number, block) in blocks.iter().enumerate() {
            let summary = node.block_summary(&block.block_hash());
            let Some(summary) = summary else {
                assert!(
                    number > end,
                    "only what builds on a bad block may be unknown"
                );
                continue;
            };
            let connected = number < end && end > RIVAL;
            assert_eq!(summary.active, connected);
            if number >= end {
                assert!(!summary.has_undo);
            }
            // Whether a branch that cannot win is tried depends on where its bad block is.
            if end > RIVAL {
                assert_eq!(summary.failed, number >= end, "block {number}, {bad:?}");
                assert_eq!(summary.has_undo, number < end);
            }
        }
        node.close().expect("flushes");
        drop(node);

        // What is on disk is that too: checked again at the highest level, and open for more.
        let again = home.open_with(|options| options.script_threads = threads);
        assert_eq!(again.tip().hash, tip);
        assert_eq!(&muhash(&again), expected);
        mine(&again, 1);
    }
}

#[test]
fn a_listener_that_turns_the_chain_during_a_run_is_obeyed() {
    let prepared = Home::regtest();
    let (from, height, funds) = prepare(&prepared);
    let blocks = run(&from, height, &funds, None);
    let alone = Home::regtest();
    prepared.copy_to(&alone);
    let expected = references(&alone, &blocks);
    let node = Arc::new(prepared.open_with(|options| options.script_threads = 2));
    let (stop_at, unwanted) = (blocks[7].block_hash(), blocks[9].block_hash());
    let actor = Arc::downgrade(&node);
    let guard = node.notifier().register(Arc::new(move |event: &Event| {
        if let Event::BlockConnected(event) = event
            && event.hash == stop_at
            && let Some(node) = actor.upgrade()
        {
            node.invalidate_block(&unwanted).expect("is known");
        }
    }));
    let told = import(&prepared, &node, &blocks);
    drop(guard);
    assert!(told.contains(&(true, stop_at)));
    // It may have been connected before the listener came to act, but is not active in the end.
    assert_eq!(node.tip().hash, blocks[8].block_hash());
    assert_eq!(muhash(&node), expected[9]);
    node.reconsider_block(&unwanted).expect("is known");
    assert_eq!(node.tip().hash, blocks[RUN - 1].block_hash());
}
