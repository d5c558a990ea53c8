//! Blocks that leave the active chain.

use bitcoin::OutPoint;

use crate::answers::{Indexed, answers, check_against_blocks};
use crate::support::{Home, Template, branch, mine, next_block, reward_of, spend, submit};

#[test]
fn what_left_the_chain_is_found_by_its_hash() {
    let home = Home::regtest();
    let indexed = Indexed::synced(&home);
    for _ in 0..104 {
        indexed.mine_spending();
    }
    let fork = indexed.chain.tip();
    let stale = [indexed.mine_spending(), indexed.mine_spending()];
    indexed.settle();
    let (filters, stats) = (&indexed.indexes.filters, &indexed.indexes.coin_stats);
    let (filters, stats) = filters.as_ref().zip(stats.as_ref()).expect("are kept");
    let ask = || {
        let summaries = stale.iter().map(|block| {
            indexed
                .chain
                .block_summary(&block.block_hash())
                .expect("is known")
        });
        let answers = summaries.map(|summary| {
            let filter = filters.filter(&summary).expect("reads").expect("is there");
            let header = filters.header(&summary).expect("reads").expect("is there");
            let stats = stats.stats(&summary).expect("reads").expect("is there");
            (filter, header, stats)
        });
        answers.collect::<Vec<_>>()
    };
    let before = ask();
    for block in branch(&fork.header, fork.height, 4, 9) {
        submit(&indexed.chain, &block).expect("is valid");
    }
    indexed.settle();
    assert_eq!(ask(), before);
    check_against_blocks(&indexed);
    // The range that ends in the stale branch takes its last blocks from there.
    let stop = indexed
        .chain
        .block_summary(&stale[1].block_hash())
        .expect("is known");
    let range = filters
        .filters(fork.height, &stop)
        .expect("reads")
        .expect("is there");
    assert_eq!(range.len(), 3);
    assert_eq!(range[1].0, stale[0].block_hash());
    assert_eq!(range[1].1, before[0].0);
    let hashes = filters.hashes(0, &stop).expect("reads").expect("is there");
    assert_eq!(hashes.len() as u32, stop.height + 1);
    // A stale transaction is still found; one that spent an output only there no longer spends it.
    let (txs, spenders) = (&indexed.indexes.txs, &indexed.indexes.spenders);
    let (txs, spenders) = txs.as_ref().zip(spenders.as_ref()).expect("are kept");
    let tx = &stale[0].txdata[1];
    let found = txs
        .find(&tx.compute_txid())
        .expect("reads")
        .expect("is there");
    assert_eq!((&found.tx, found.block), (tx, stale[0].block_hash()));
    let outpoint = tx.input[0].previous_output;
    assert_eq!(spenders.find(&outpoint).expect("reads"), None);
}

#[test]
fn a_transaction_in_two_blocks_is_shown_in_the_active_one() {
    let home = Home::regtest();
    let indexed = Indexed::synced(&home);
    let first = next_block(&indexed.chain, Vec::new());
    submit(&indexed.chain, &first).expect("is valid");
    mine(&indexed.chain, 103);
    let fork = indexed.chain.tip();
    let tx = spend(&[reward_of(&first)], &[500, 600]);
    let spent = OutPoint::new(tx.compute_txid(), 0);
    let with = |tag| Template {
        tag,
        transactions: vec![tx.clone(), spend(&[spent], &[400])],
        ..Template::after(&fork.header, fork.height)
    };
    let one = with(1).mine();
    submit(&indexed.chain, &one).expect("is valid");
    let other = with(2).mine();
    submit(&indexed.chain, &other).expect("is valid");
    for block in branch(&other.header, fork.height + 1, 1, 3) {
        submit(&indexed.chain, &block).expect("is valid");
    }
    indexed.settle();
    check_against_blocks(&indexed);
    let on_other = answers(&indexed);
    // And back again.
    for block in branch(&one.header, fork.height + 1, 3, 4) {
        submit(&indexed.chain, &block).expect("is valid");
    }
    indexed.settle();
    check_against_blocks(&indexed);
    assert_ne!(answers(&indexed), on_other);
}

#[test]
fn a_reorganization_that_a_kill_undoes_leaves_the_old_branch_whole() {
    let home = Home::regtest();
    let (fork, old) = {
        let indexed = Indexed::synced(&home);
        for _ in 0..104 {
            indexed.mine_spending();
        }
        let fork = indexed.chain.tip();
        indexed.mine_spending();
        indexed.mine_spending();
        indexed.chain.flush().expect("flushes");
        indexed.settle();
        let old = indexed.chain.tip();
        for block in branch(&fork.header, fork.height, 4, 9) {
            submit(&indexed.chain, &block).expect("is valid");
        }
        indexed.settle();
        assert_eq!(indexed.heights(), [fork.height + 4; 4]);
        (fork, old)
        // Dropped without close: what a kill leaves behind.
    };
    let indexed = Indexed::open(&home);
    assert_eq!(
        indexed.chain.tip().hash,
        old.hash,
        "the new branch was not written"
    );
    assert_eq!(indexed.heights(), [fork.height + 2; 4]);
    indexed.indexes.start().expect("starts");
    indexed.wait();
    indexed.mine_spending();
    indexed.settle();
    check_against_blocks(&indexed);
}
