//! Branches, and the choice between them.

use std::sync::{Arc, Mutex};

use bitcoin::Block;
use btc_consensus::HashedBlock;
use btc_node::chainstate::{ChainTipStatus, ChainstateManager, MempoolHook, SubmitError, TipView};
use btc_node::notify::{Event, Listener};

use crate::support::{
    Home, Template, branch, mine, muhash, next_block, reward_of, spend, submit, subsidy,
};

/// Writes down what it is told.
#[derive(Default)]
struct Journal(Mutex<Vec<String>>);

impl Journal {
    fn note(&self, line: String) {
        self.0.lock().expect("unpoisoned").push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("unpoisoned"))
    }
}

impl Listener for Journal {
    fn event(&self, event: &Event) {
        match event {
            Event::BlockConnected(block) => self.note(format!("+{}", block.height)),
            Event::BlockDisconnected(block) => self.note(format!("-{}", block.height)),
            Event::TipChanged {
                height,
                fork_height,
                ..
            } => self.note(format!("tip {height} fork {fork_height}")),
            _ => {}
        }
    }
}

impl MempoolHook for Journal {
    fn block_connected(&self, block: &HashedBlock, height: u32, view: &TipView<'_>) {
        assert_eq!(
            (view.hash(), view.tip_height()),
            (block.block_hash(), height)
        );
        assert!(view.coin(&reward_of(block)).expect("reads").is_some());
        self.note(format!("+{height}"));
    }

    fn block_disconnected(&self, block: &Arc<Block>, height: u32, view: &TipView<'_>) {
        assert_eq!(
            (view.hash(), view.tip_height()),
            (block.header.prev_blockhash, height - 1)
        );
        assert!(view.coin(&reward_of(block)).expect("reads").is_none());
        self.note(format!("-{height}"));
    }

    fn reorg_finished(&self, view: &TipView<'_>, readd: bool) {
        self.note(format!("done {} {readd}", view.tip_height()));
    }
}

fn statuses(node: &ChainstateManager) -> Vec<(u32, ChainTipStatus)> {
    node.chain_tips()
        .into_iter()
        .map(|tip| (tip.height, tip.status))
        .collect()
}

#[test]
fn the_branch_with_more_work_wins_and_everyone_hears_of_it_in_order() {
    let home = Home::regtest();
    let node = home.open();
    let trunk = mine(&node, 100);
    let spent = reward_of(&trunk[0]);
    submit(&node, &next_block(&node, vec![spend(&[spent], &[7])])).expect("is valid");
    mine(&node, 2);
    let (listener, mempool) = (Arc::new(Journal::default()), Arc::new(Journal::default()));
    let _guard = node
        .notifier()
        .register(Arc::clone(&listener) as Arc<dyn Listener>);
    assert!(
        node.set_mempool(Arc::clone(&mempool) as Arc<dyn MempoolHook>)
            .is_ok()
    );
    let old = (node.tip().hash, muhash(&node));
    assert!(node.coin(&spent).expect("reads").is_none());

    let other = branch(&trunk[99].header, 100, 4, 1);
    for block in &other[..3] {
        let accepted = submit(&node, block).expect("is valid");
        assert!(accepted.new && !accepted.active, "equal work does not win");
    }
    assert_eq!(node.tip().hash, old.0);
    assert_eq!(
        statuses(&node),
        [
            (103, ChainTipStatus::Active),
            (103, ChainTipStatus::ValidHeaders)
        ]
    );
    assert!(submit(&node, &other[3]).expect("is valid").tip);
    assert_eq!(node.tip().hash, other[3].block_hash());
    assert!(
        node.coin(&spent).expect("reads").is_some(),
        "the spend is undone"
    );
    node.notifier().sync_with_queue();
    assert_eq!(
        listener.take(),
        [
            "-103",
            "-102",
            "-101",
            "+101",
            "+102",
            "+103",
            "+104",
            "tip 104 fork 100"
        ]
    );
    assert_eq!(
        mempool.take(),
        [
            "-103",
            "-102",
            "-101",
            "+101",
            "+102",
            "+103",
            "+104",
            "done 104 true"
        ]
    );
    assert_eq!(
        statuses(&node),
        [
            (104, ChainTipStatus::Active),
            (103, ChainTipStatus::ValidFork)
        ]
    );

    // And back, by the user's word.
    node.invalidate_block(&other[0].block_hash())
        .expect("switches");
    assert_eq!((node.tip().hash, muhash(&node)), old);
    node.verify_chain(4, 0).expect("is sound");
}

#[test]
fn an_invalid_block_in_a_longer_branch_sends_the_node_back() {
    let home = Home::regtest();
    let node = home.open();
    let trunk = mine(&node, 10);
    mine(&node, 1);
    let old = (node.tip().hash, muhash(&node));
    let mut other = branch(&trunk[9].header, 10, 1, 1);
    let bad = Template {
        reward: subsidy(1) * 2,
        ..Template::after(&other[0].header, 11)
    }
    .mine();
    other.extend(branch(&bad.header, 12, 2, 1));
    submit(&node, &other[0]).expect("is valid in itself");
    node.submit_header(&bad.header).expect("has work");
    submit(&node, &other[1]).expect("only its parent is missing");
    submit(&node, &other[2]).expect("only its ancestor is missing");
    let error = submit(&node, &bad).expect_err("is refused");
    let SubmitError::Rejected(rejection) = error else {
        panic!("not the block's fault: {error}")
    };
    assert_eq!(rejection.reject_reason(), "bad-cb-amount");
    assert_eq!((node.tip().hash, muhash(&node)), old);
    assert_eq!(
        statuses(&node),
        [(14, ChainTipStatus::Invalid), (11, ChainTipStatus::Active)]
    );
    assert_eq!(node.best_header().height, 11);
    // Marks are kept over a restart.
    node.close().expect("flushes");
    drop(node);
    let node = home.open();
    assert_eq!(node.tip().hash, old.0);
    assert_eq!(
        statuses(&node),
        [(14, ChainTipStatus::Invalid), (11, ChainTipStatus::Active)]
    );
    assert_eq!(mine(&node, 3).len(), 3);
}

#[test]
fn blocks_can_be_declared_invalid_and_valid_again() {
    let home = Home::regtest();
    let node = home.open();
    let blocks = mine(&node, 20);
    let full = muhash(&node);
    node.invalidate_block(&blocks[10].block_hash())
        .expect("goes back");
    assert_eq!((node.tip().height, node.best_header().height), (10, 10));
    assert_eq!(
        statuses(&node),
        [(20, ChainTipStatus::Invalid), (10, ChainTipStatus::Active)]
    );
    node.verify_chain(4, 0).expect("is sound");
    let other = branch(&blocks[9].header, 10, 2, 5);
    for block in &other {
        assert!(submit(&node, block).expect("is valid").tip);
    }
    node.close().expect("flushes");
    drop(node);

    let node = home.open();
    assert_eq!(node.tip().height, 12);
    node.reconsider_block(&blocks[15].block_hash())
        .expect("goes forward");
    assert_eq!(
        (node.tip().hash, muhash(&node)),
        (blocks[19].block_hash(), full)
    );
    assert_eq!(node.best_header().height, 20);
    let genesis = node.hash_at(0).expect("is there");
    assert!(matches!(
        node.invalidate_block(&genesis),
        Err(SubmitError::Genesis)
    ));
    let unknown = branch(&blocks[19].header, 20, 1, 8).remove(0).block_hash();
    assert!(matches!(
        node.invalidate_block(&unknown),
        Err(SubmitError::UnknownBlock(_))
    ));
}

#[test]
fn a_block_off_the_active_chain_can_be_declared_invalid_before_it_matters() {
    let home = Home::regtest();
    let node = home.open();
    let blocks = mine(&node, 5);
    let other = branch(&blocks[2].header, 3, 4, 5);
    for block in &other[..2] {
        submit(&node, block).expect("is valid");
    }
    node.invalidate_block(&other[0].block_hash())
        .expect("is marked");
    let error = submit(&node, &other[2]).expect_err("builds on it");
    assert!(matches!(error, SubmitError::Rejected(_)), "{error}");
    assert_eq!(node.tip().hash, blocks[4].block_hash());
    node.reconsider_block(&other[0].block_hash())
        .expect("is unmarked");
    submit(&node, &other[2]).expect("is valid");
    assert_eq!(node.tip().hash, other[2].block_hash());
}

#[test]
fn a_precious_block_wins_ties() {
    let home = Home::regtest();
    let node = home.open();
    let blocks = mine(&node, 3);
    let other = branch(&blocks[1].header, 2, 1, 7).remove(0);
    assert!(!submit(&node, &other).expect("is valid").active);
    node.precious_block(&other.block_hash()).expect("switches");
    assert_eq!(node.tip().hash, other.block_hash());
    node.precious_block(&blocks[2].block_hash())
        .expect("switches back");
    assert_eq!(node.tip().hash, blocks[2].block_hash());
    node.precious_block(&blocks[0].block_hash())
        .expect("has too little work to matter");
    assert_eq!(node.tip().hash, blocks[2].block_hash());
}

#[test]
fn a_listener_may_call_the_node() {
    let home = Home::regtest();
    let node = Arc::new(home.open());
    let weak = Arc::downgrade(&node);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heights = Arc::clone(&seen);
    let guard = node.notifier().register(Arc::new(move |event: &Event| {
        if let (Event::BlockConnected(block), Some(node)) = (event, weak.upgrade()) {
            let stored = node
                .read_block(&block.hash)
                .expect("reads")
                .expect("is there");
            assert_eq!(stored, *block.block);
            heights.lock().expect("unpoisoned").push(block.height);
        }
    }));
    mine(&node, 30);
    node.notifier().sync_with_queue();
    drop(guard);
    assert_eq!(
        *seen.lock().expect("unpoisoned"),
        (1..=30).collect::<Vec<_>>()
    );
}
