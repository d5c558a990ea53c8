//! Old block files deleted, and a node that goes on without them.

use std::sync::Arc;

use bitcoin::{Amount, Block, ScriptBuf, TxOut};
use btc_node::chainstate::{
    ChainstateManager, OpenError, Options, PruneTarget, SubmitError, VerifyError,
};

use crate::support::{Home, branch, mine, muhash, next_block, seal, submit};

/// Small files, so that a few hundred blocks fill some.
fn by_hand(options: &mut Options) {
    options.fast_prune = true;
    options.prune = Some(PruneTarget::Manual);
    options.check_level = 3;
    options.check_blocks = 6;
}

/// Mines blocks of which about a hundred fill a small file.
pub(crate) fn mine_large(node: &ChainstateManager, count: usize) -> Vec<Arc<Block>> {
    (0..count)
        .map(|_| {
            let mut block = Block::clone(&next_block(node, Vec::new()));
            block.txdata[0].output.push(TxOut {
                value: Amount::ZERO,
                script_pubkey: ScriptBuf::from_bytes(vec![0x6a; 450]),
            });
            seal(&mut block);
            let block = Arc::new(block);
            submit(node, &block).expect("is valid");
            block
        })
        .collect()
}

/// The numbers of the block files that are there, then those of the undo files.
fn files(home: &Home) -> [Vec<u32>; 2] {
    ["blk", "rev"].map(|prefix| {
        let mut numbers: Vec<u32> = std::fs::read_dir(home.blocks())
            .expect("lists")
            .filter_map(|entry| {
                let name = entry.expect("lists").file_name().into_string().ok()?;
                let digits = name.strip_prefix(prefix)?.strip_suffix(".dat")?.to_owned();
                digits.parse().ok()
            })
            .collect();
        numbers.sort_unstable();
        numbers
    })
}

fn first_height_of(node: &ChainstateManager, file: u32) -> u32 {
    (0..=node.tip().height)
        .find(|height| {
            let block = node.block_summary_at(*height).expect("is active");
            block.data_pos.is_some_and(|(number, _)| number == file)
        })
        .expect("holds a block")
}

#[test]
fn files_go_up_to_a_height_and_never_the_last_288_blocks() {
    let home = Home::regtest();
    let (tip, coins) = {
        let node = home.open_with(by_hand);
        mine_large(&node, 580);
        assert_eq!(files(&home)[0], [0, 1, 2, 3, 4, 5]);
        let (second, third) = (first_height_of(&node, 1), first_height_of(&node, 2));
        node.prune_up_to(second - 2).expect("prunes");
        assert_eq!(node.prune_height(), None, "the file holds one block more");
        assert!(!node.have_pruned());
        node.prune_up_to(second - 1).expect("prunes");
        assert_eq!(node.prune_height(), Some(second - 1));
        assert_eq!(files(&home), [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]);
        let gone = node.block_summary_at(second - 1).expect("is known");
        assert!(gone.pruned && !gone.has_data && !gone.has_undo && gone.n_tx == 1);
        assert_eq!(node.read_block(&gone.hash).expect("reads"), None);
        // As far as it goes: the third file holds blocks that are always kept.
        node.prune_up_to(580).expect("prunes");
        assert_eq!(node.prune_height(), Some(third - 1));
        assert!(third <= 580 - 288 && first_height_of(&node, 3) > 580 - 288);
        let kept = node.first_stored(&node.tip().hash, true).expect("is there");
        assert_eq!(kept.height, third);
        assert!(matches!(
            node.verify_chain(4, 0),
            Err(VerifyError::MissingBlocks)
        ));
        (node.tip().hash, muhash(&node))
        // Dropped without close: what was pruned is on disk as such.
    };
    let error = home
        .try_open_with(|options| options.fast_prune = true)
        .err()
        .expect("is refused");
    assert!(matches!(error, OpenError::Pruned));
    // A file that a kill left over goes at the next start.
    std::fs::write(home.blocks().join("blk00000.dat"), b"left over").expect("writes");
    let node = home.open_with(by_hand);
    assert_eq!(files(&home), [[2, 3, 4, 5], [2, 3, 4, 5]]);
    assert_eq!((node.tip().hash, muhash(&node)), (tip, coins));
    mine(&node, 5);
}

#[test]
fn locks_keep_blocks_and_go_back_with_the_tip() {
    let home = Home::regtest();
    let node = home.open_with(by_hand);
    mine_large(&node, 580);
    let second = first_height_of(&node, 1);
    // The file's last block is the tenth before the lock's first.
    node.set_prune_lock("an index", second + 9);
    node.prune_up_to(580).expect("prunes");
    assert_eq!(node.prune_height(), None);
    node.set_prune_lock("an index", second + 10);
    node.set_prune_lock("another", 580);
    node.prune_up_to(580).expect("prunes");
    assert_eq!(node.prune_height(), Some(second - 1));
    // A branch takes the tip 300 blocks down, and with it the locks; the second file would go otherwise.
    assert!(node.remove_prune_lock("an index") && !node.remove_prune_lock("an index"));
    let third = first_height_of(&node, 2);
    let fork = node.block_summary_at(third + 5).expect("is active");
    for block in branch(&fork.header, fork.height, 580 - third as usize, 1) {
        submit(&node, &block).expect("is valid");
    }
    assert_eq!(node.tip().height, 585);
    node.prune_up_to(585).expect("prunes");
    assert_eq!(node.prune_height(), Some(second - 1));
    node.remove_prune_lock("another");
    node.prune_up_to(585).expect("prunes");
    assert_eq!(node.prune_height(), Some(third - 1));
}

#[test]
fn a_deleted_block_may_come_again() {
    let home = Home::regtest();
    let node = home.open_with(by_hand);
    let blocks = mine_large(&node, 400);
    node.prune_up_to(400).expect("prunes");
    let last = node.prune_height().expect("has pruned");
    let again = &blocks[last as usize - 1];
    let accepted = submit(&node, again).expect("is valid");
    assert!(accepted.new && accepted.active && !accepted.tip);
    assert_eq!(
        node.read_block(&again.block_hash())
            .expect("reads")
            .as_ref(),
        Some(again.as_ref())
    );
    // It has no undo record, so nothing changes about what is whole.
    assert_eq!(node.prune_height(), Some(last));
    node.close().expect("flushes");
    drop(node);
    let node = home.open_with(by_hand);
    assert_eq!(node.tip().height, 400);
    // Going back before what is there is refused, and changes nothing.
    let low = node.hash_at(last - 10).expect("is active");
    let error = node.invalidate_block(&low).expect_err("cannot");
    assert!(matches!(error, SubmitError::CannotDisconnect(_)), "{error}");
    mine(&node, 1);
    assert_eq!(node.tip().height, 401);
}

#[test]
fn a_reindex_of_a_pruned_directory_begins_anew() {
    let home = Home::regtest();
    {
        let node = home.open_with(by_hand);
        mine_large(&node, 400);
        node.prune_up_to(400).expect("prunes");
        node.close().expect("flushes");
    }
    assert_eq!(files(&home), [[1, 2, 3], [1, 2, 3]]);
    let node = home.open_with(|options| {
        by_hand(options);
        options.reindex = true;
    });
    // Without the first file, the others are of no use.
    assert_eq!(files(&home), [[], [0; 0]]);
    node.reindex_block_files().expect("reindexes");
    assert_eq!(node.tip().height, 0);
    assert!(!node.have_pruned());
    mine(&node, 3);
    node.close().expect("flushes");
    drop(node);
    assert_eq!(home.open().tip().height, 3);
}
