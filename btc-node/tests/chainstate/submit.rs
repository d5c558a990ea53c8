//! Blocks one by one.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, ScriptBuf, Txid};
use btc_consensus::ancestors::Ancestors;
use btc_node::chainstate::{SubmitError, SubmitOptions};

use crate::support::{
    Home, NOW, Template, branch, mine, next_block, reward_of, seal, spend, submit, subsidy,
};

/// Core's reject string of a refused block.
fn reason<T: std::fmt::Debug>(result: Result<T, SubmitError>) -> String {
    match result.expect_err("is refused") {
        SubmitError::Rejected(rejection) => rejection.reject_reason(),
        other => panic!("not the block's fault: {other}"),
    }
}

#[test]
fn coins_come_with_blocks_and_go_with_spends() {
    let home = Home::regtest();
    let node = home.open();
    let blocks = mine(&node, 101);
    let reward = reward_of(&blocks[0]);
    let coin = node.coin(&reward).expect("reads").expect("is unspent");
    assert_eq!(
        (coin.height, coin.coinbase, coin.output.value),
        (1, true, Amount::from_sat(subsidy(1)))
    );
    let payment = spend(&[reward], &[1000, 2000]);
    let txid = payment.compute_txid();
    // A second transaction spends an output of the first, in the same block.
    let change = spend(&[OutPoint { txid, vout: 1 }], &[1500]);
    let block = next_block(&node, vec![payment, change.clone()]);
    let accepted = submit(&node, &block).expect("is valid");
    assert!(accepted.new && accepted.active && accepted.tip);
    assert_eq!(node.coin(&reward).expect("reads"), None);
    assert!(
        node.coin(&OutPoint { txid, vout: 0 })
            .expect("reads")
            .is_some()
    );
    assert_eq!(node.coin(&OutPoint { txid, vout: 1 }).expect("reads"), None);
    let undo = node
        .read_undo(&block.block_hash())
        .expect("reads")
        .expect("is there");
    assert_eq!(undo.0.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(undo.0[0][0], coin);
    assert_eq!(
        node.read_block(&block.block_hash())
            .expect("reads")
            .as_ref(),
        Some(block.as_ref())
    );
    // Levels 0 to 4 over all blocks.
    for level in 0..=4 {
        node.verify_chain(level, 0).expect("is sound");
    }
}

#[test]
fn rules_are_kept_with_their_names() {
    let home = Home::regtest();
    let node = home.open();
    let blocks = mine(&node, 101);
    let tip = node.tip();
    let template = || Template::after(&tip.header, tip.height);

    let orphan = Template {
        prev: bitcoin::BlockHash::all_zeros(),
        ..template()
    }
    .mine();
    assert_eq!(reason(submit(&node, &orphan)), "prev-blk-not-found");
    let greedy = Template {
        reward: subsidy(102) + 1,
        ..template()
    }
    .mine();
    assert_eq!(reason(submit(&node, &greedy)), "bad-cb-amount");
    // Once found invalid it stays so, and so does what builds on it.
    assert_eq!(reason(submit(&node, &greedy)), "duplicate-invalid");
    let child = Template::after(&greedy.header, 102).mine();
    assert_eq!(reason(submit(&node, &child)), "bad-prevblk");
    let late = Template {
        time: NOW as u32 + 7201,
        ..template()
    }
    .mine();
    assert_eq!(reason(submit(&node, &late)), "time-too-new");
    let early = Template {
        time: tip.median_time_past,
        ..template()
    }
    .mine();
    assert_eq!(reason(submit(&node, &early)), "time-too-old");
    let immature = spend(&[reward_of(&blocks[50])], &[1]);
    let block = Template {
        transactions: vec![immature],
        ..template()
    }
    .mine();
    assert_eq!(
        reason(submit(&node, &block)),
        "bad-txns-premature-spend-of-coinbase"
    );
    let missing = spend(
        &[OutPoint {
            txid: Txid::all_zeros(),
            vout: 1,
        }],
        &[1],
    );
    let block = Template {
        transactions: vec![missing],
        ..template()
    }
    .mine();
    assert_eq!(
        reason(submit(&node, &block)),
        "bad-txns-inputs-missingorspent"
    );
    let rich = spend(&[reward_of(&blocks[0])], &[subsidy(1) + 1]);
    let block = Template {
        transactions: vec![rich],
        ..template()
    }
    .mine();
    assert_eq!(reason(submit(&node, &block)), "bad-txns-in-belowout");

    let mut mutated = next_block(&node, Vec::new()).as_ref().clone();
    mutated.txdata[0].output[0].value = Amount::from_sat(1);
    assert_eq!(reason(submit(&node, &Arc::new(mutated))), "bad-txnmrklroot");
    // The true block was not tainted by its copy.
    assert!(
        submit(&node, &next_block(&node, Vec::new()))
            .expect("is valid")
            .tip
    );
    assert_eq!(node.tip().height, 102);
}

#[test]
fn a_script_that_fails_says_which() {
    let home = Home::regtest();
    let node = home.open_with(|options| options.script_threads = 2);
    let blocks = mine(&node, 110);
    // Six outputs that nobody can spend with an empty scriptSig, spent in one transaction.
    let mut lock = spend(&[reward_of(&blocks[0])], &[1000; 6]);
    for output in &mut lock.output {
        output.script_pubkey = ScriptBuf::from_bytes(vec![0x00]);
    }
    let txid = lock.compute_txid();
    submit(&node, &next_block(&node, vec![lock])).expect("is valid");
    let outpoints: Vec<_> = (0..6).map(|vout| OutPoint { txid, vout }).collect();
    let thief = spend(&outpoints, &[1]);
    let block = next_block(&node, vec![thief]);
    let error = submit(&node, &block).expect_err("is refused");
    let SubmitError::Rejected(rejection) = error else {
        panic!("not the block's fault: {error}")
    };
    assert!(
        rejection
            .reject_reason()
            .starts_with("block-script-verify-flag-failed (Script evaluated without error"),
        "{}",
        rejection.reject_reason()
    );
    assert!(
        rejection.debug_message().starts_with("input 0 of "),
        "{}",
        rejection.debug_message()
    );
    assert_eq!(node.tip().height, 111);
}

#[test]
fn proposals_are_checked_and_forgotten() {
    let home = Home::regtest();
    let node = home.open();
    let blocks = mine(&node, 101);
    let block = next_block(&node, vec![spend(&[reward_of(&blocks[0])], &[5])]);
    node.test_block_validity(&block, true, true)
        .expect("is valid");
    assert!(node.block_summary(&block.block_hash()).is_none());
    assert!(node.coin(&reward_of(&blocks[0])).expect("reads").is_some());
    let mut unmined = block.as_ref().clone();
    unmined.header.merkle_root = bitcoin::TxMerkleNode::all_zeros();
    node.test_block_validity(&unmined, false, false)
        .expect("is valid but for what was not asked");
    let greedy = Template {
        reward: u64::from(u32::MAX) * 4,
        ..Template::after(&node.tip().header, 101)
    }
    .mine();
    assert_eq!(
        reason(node.test_block_validity(&greedy, true, true)),
        "bad-cb-amount"
    );
    let off_tip = Template::after(&blocks[3].header, 4).mine();
    assert_eq!(
        reason(node.test_block_validity(&off_tip, true, true)),
        "inconclusive-not-best-prevblk"
    );
}

#[test]
fn a_block_that_nobody_asked_for_must_be_worth_it() {
    let home = Home::regtest();
    let node = home.open();
    let genesis = node.tip().header;
    let blocks = mine(&node, 5);
    let stale = branch(&genesis, 0, 1, 9).remove(0);
    let accepted = node
        .submit_block(Arc::clone(&stale), SubmitOptions { force: false })
        .expect("breaks no rule");
    assert!(!accepted.new && !accepted.active);
    assert!(
        !node
            .block_summary(&stale.block_hash())
            .expect("the header is known")
            .has_data
    );
    let accepted = submit(&node, &stale).expect("breaks no rule");
    assert!(accepted.new && !accepted.active);
    let again = submit(&node, &blocks[2]).expect("is known");
    assert!(!again.new && again.active && !again.tip);
}

#[test]
fn headers_come_first_and_blocks_in_any_order() {
    let home = Home::regtest();
    let node = home.open();
    let blocks = branch(&node.tip().header, 0, 6, 0);
    for (n, block) in blocks.iter().enumerate() {
        assert_eq!(
            node.submit_header(&block.header).expect("is valid"),
            n as u32 + 1
        );
    }
    assert_eq!((node.best_header().height, node.tip().height), (6, 0));
    for block in blocks.iter().rev() {
        assert_eq!(node.tip().height, 0);
        submit(&node, block).expect("is valid");
    }
    assert_eq!(node.tip().height, 6);
    assert_eq!(node.hash_at(3), Some(blocks[2].block_hash()));
    let locator = node.locator();
    assert_eq!(locator.first(), Some(&blocks[5].block_hash()));
    assert_eq!(node.find_fork(&locator[2..]).height, 4);
}

#[test]
fn waiting_for_a_tip_ends_with_it_or_with_the_time() {
    let home = Home::regtest();
    let node = Arc::new(home.open());
    let start = node.tip().hash;
    assert_eq!(
        node.wait_tip_changed(&start, Duration::from_millis(1)),
        None
    );
    let waiter = {
        let node = Arc::clone(&node);
        std::thread::spawn(move || node.wait_tip_changed(&start, Duration::from_secs(60)))
    };
    let block = mine(&node, 1).remove(0);
    let seen = waiter
        .join()
        .expect("does not panic")
        .expect("the tip changed");
    assert_eq!(seen.hash, block.block_hash());
    let waiter = {
        let node = Arc::clone(&node);
        std::thread::spawn(move || node.wait_tip_changed(&block.block_hash(), Duration::MAX))
    };
    node.interrupt();
    assert_eq!(waiter.join().expect("does not panic"), None);
}

#[test]
fn the_view_of_the_tip_is_whole() {
    let home = Home::regtest();
    let node = home.open();
    let blocks = mine(&node, 20);
    node.with_tip(|view| {
        assert_eq!(view.hash(), blocks[19].block_hash());
        assert_eq!((view.tip_height(), view.height()), (20, 20));
        assert_eq!(
            view.ancestor(7).expect("is there").hash,
            blocks[6].block_hash()
        );
        assert_eq!(view.median_time_past(20), view.tip_median_time_past());
        assert_eq!(view.height_of(&blocks[4].block_hash()), Some(5));
        assert!(view.coin(&reward_of(&blocks[4])).expect("reads").is_some());
    });
}

#[test]
fn a_header_without_its_work_is_refused() {
    let home = Home::regtest();
    let node = home.open();
    let mut block = next_block(&node, Vec::new()).as_ref().clone();
    while block.header.validate_pow(block.header.target()).is_ok() {
        block.header.nonce += 1;
    }
    assert_eq!(reason(node.submit_header(&block.header)), "high-hash");
    assert_eq!(reason(submit(&node, &Arc::new(block.clone()))), "high-hash");
    block.header.bits = bitcoin::CompactTarget::from_consensus(0x2000_ffff);
    block.header.nonce = 0;
    seal(&mut block);
    assert_eq!(reason(node.submit_header(&block.header)), "bad-diffbits");
}
