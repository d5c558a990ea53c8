//! A node that begins with a snapshot of the coins, and validates it behind.

use btc_node::chainstate::{ChainstateManager, OpenError, Options, SubmitError};

use crate::snapshot_source::{BASE, Source, TOP};
use crate::support::{Home, branch, muhash, submit};

/// Heights, whether validated, and whether begun from a snapshot, of each chain of coins.
fn chains(node: &ChainstateManager) -> Vec<(u32, bool, bool)> {
    let all = node.chainstates().into_iter();
    all.map(|it| (it.tip.height, it.validated, it.snapshot.is_some()))
        .collect()
}

#[test]
fn a_snapshot_is_used_at_once_and_validated_behind_over_restarts() {
    let source = Source::new();
    let home = Home::regtest();
    let node = source.begun(&home, 40);
    source.load(&node, &source.file).expect("loads");
    assert_eq!(chains(&node), [(40, true, false), (BASE, false, true)]);
    assert!(!node.serves_history());
    let base = node.block_summary(&source.known.block_hash).expect("known");
    assert!(base.active && !base.has_data && base.chain_tx == source.known.chain_tx_count);
    assert_eq!(
        source.load(&node, &source.file),
        Err("Can't activate a snapshot-based chainstate more than once".into())
    );
    // Blocks above go on the snapshot, and blocks below on what was there before.
    for block in &source.blocks[BASE as usize..] {
        assert!(submit(&node, block).expect("is valid").tip);
    }
    drop(node);

    // Dropped without close: the snapshot counts all the same.
    let node = source.open(&home);
    assert_eq!(chains(&node), [(40, true, false), (BASE, false, true)]);
    for block in &source.blocks[BASE as usize..] {
        submit(&node, block).expect("is valid");
    }
    assert_eq!(muhash(&node), source.coins);
    // Out of order, and the snapshot's own block before its ancestors.
    for block in source.blocks[40..80].iter().rev() {
        submit(&node, block).expect("is valid");
    }
    submit(&node, &source.blocks[BASE as usize - 1]).expect("is valid");
    let background = node.background().expect("is not done");
    assert_eq!(
        (background.tip.height, background.target.height),
        (80, BASE)
    );
    assert!(background.progress > 0.6 && background.progress < 0.8);
    node.close().expect("flushes");
    drop(node);

    let node = source.open(&home);
    assert_eq!(
        chains(&node),
        [(80, true, false), (TOP as u32, false, true)]
    );
    for block in &source.blocks[80..BASE as usize - 1] {
        submit(&node, block).expect("is valid");
    }
    assert_eq!(chains(&node), [(TOP as u32, true, true)]);
    assert!(node.serves_history() && node.background().is_none());
    assert_eq!(muhash(&node), source.coins);
    node.close().expect("flushes");
    drop(node);
    assert!(home.dir.path().join("chainstate_snapshot").exists());

    let node = source.open(&home);
    assert_eq!(chains(&node), [(TOP as u32, true, false)]);
    assert!(!home.dir.path().join("chainstate_snapshot").exists());
    assert!(!home.dir.path().join("chainstate_todelete").exists());
    assert_eq!(muhash(&node), source.coins);
    node.verify_chain(4, 0).expect("is whole");
    assert_eq!(node.tip().chain_tx, TOP as u64 + 2);
}

#[test]
fn a_node_on_another_branch_goes_back_behind_the_snapshot() {
    let source = Source::new();
    let home = Home::regtest();
    let node = source.begun(&home, 30);
    let tip = node.tip();
    for block in branch(&tip.header, tip.height, 60, 1) {
        submit(&node, &block).expect("is valid");
    }
    assert_eq!(node.tip().height, 90);
    source.load(&node, &source.file).expect("loads");
    for block in &source.blocks[30..] {
        submit(&node, block).expect("is valid");
    }
    assert_eq!(chains(&node), [(TOP as u32, true, true)]);
    assert_eq!(muhash(&node), source.coins);
}

#[test]
fn what_is_no_good_is_refused_and_leaves_nothing() {
    let source = Source::new();
    let home = Home::regtest();
    let node = source.open(&home);
    let hash = source.known.block_hash;
    let refused = |file: &[u8], reason: &str| {
        let error = source.load(&node, file).expect_err("is refused");
        assert!(error.starts_with(reason), "{error}");
        assert!(!home.dir.path().join("chainstate_snapshot").exists());
        assert_eq!(node.chainstates().len(), 1);
    };
    refused(
        &source.file,
        &format!("The base block header ({hash}) must appear in the headers chain."),
    );
    for block in &source.blocks {
        node.submit_header(&block.header).expect("is valid");
    }
    let mut other = source.file.clone();
    other[20] ^= 1;
    refused(
        &other,
        "assumeutxo block hash in snapshot metadata not recognized",
    );
    let count = u64::from_le_bytes(source.file[43..51].try_into().expect("eight bytes"));
    let with_count = |count: u64| {
        let mut file = source.file.clone();
        file[43..51].copy_from_slice(&count.to_le_bytes());
        file
    };
    refused(
        &with_count(count - 1),
        &format!(
            "Population failed: Bad snapshot - coins left over after deserializing {} coins",
            count - 1
        ),
    );
    refused(
        &with_count(count + 1),
        &format!(
            "Population failed: Bad snapshot format or truncated snapshot after deserializing {count} coins"
        ),
    );
    let mut other = source.file.clone();
    other[51] ^= 1;
    refused(
        &other,
        "Population failed: Bad snapshot content hash: expected",
    );
    let low = source.blocks[10].block_hash();
    node.invalidate_block(&low).expect("is known");
    refused(
        &source.file,
        &format!("The base block header ({hash}) is part of an invalid chain"),
    );
    node.reconsider_block(&low).expect("is known");
    let genesis = node.tip();
    for block in branch(&genesis.header, 0, TOP + 1, 1) {
        node.submit_header(&block.header).expect("is valid");
    }
    refused(&source.file, "A forked headers-chain with more work");
}

#[test]
fn coins_that_prove_wrong_are_set_aside() {
    let source = Source::new();
    let home = Home::regtest();
    {
        let node = source.begun(&home, 40);
        source.load(&node, &source.file).expect("loads");
        for block in &source.blocks[40..BASE as usize - 1] {
            submit(&node, block).expect("is valid");
        }
        node.close().expect("flushes");
    }
    // The software now knows other coins than those that the blocks give.
    let wrong = |options: &mut Options| {
        source.options(options);
        options.params.assume_utxo[0].hash_serialized = bitcoin::hashes::Hash::all_zeros();
    };
    {
        let node = home.open_with(wrong);
        assert_eq!(node.tip().height, BASE);
        submit(&node, &source.blocks[BASE as usize - 1]).expect_err("the node stops");
    }
    assert!(!home.dir.path().join("chainstate_snapshot").exists());
    assert!(home.dir.path().join("chainstate_snapshot_INVALID").exists());
    let node = home.open_with(wrong);
    assert_eq!(chains(&node), [(BASE, true, false)]);
    drop(node);

    // A block that is not known at all.
    let dir = home.dir.path().join("chainstate_snapshot");
    std::fs::create_dir(&dir).expect("creates");
    std::fs::write(dir.join("base_blockhash"), [b'z'; 32]).expect("writes");
    let error = home.try_open_with(wrong).err().expect("is refused");
    assert!(matches!(error, OpenError::UnknownSnapshot(_)));
    let node = home.open_with(|options| {
        wrong(options);
        options.reindex_chainstate = true;
    });
    assert!(!dir.exists());
    node.activate_best_chain().expect("connects");
    assert_eq!(node.tip().height, BASE);
}

#[test]
fn what_branches_off_below_a_snapshot_waits_until_that_is_validated() {
    let source = Source::new();
    let home = Home::regtest();
    let node = source.begun(&home, 40);
    source.load(&node, &source.file).expect("loads");
    let fork = node.block_summary_at(20).expect("is there");
    let better = branch(&fork.header, 20, TOP, 1);
    for block in &better {
        submit(&node, block).expect("is valid");
    }
    assert_eq!(node.tip().hash, source.known.block_hash);
    // Nor can the user go back there: blocks between are missing, and the rest has no record of what it spent.
    for block in [&source.blocks[20], &source.blocks[BASE as usize - 1]] {
        let refused = node.invalidate_block(&block.block_hash());
        let base = source.known.block_hash;
        assert!(matches!(refused, Err(SubmitError::CannotDisconnect(hash)) if hash == base));
    }
    assert_eq!(node.tip().hash, source.known.block_hash);
    for block in &source.blocks[40..BASE as usize] {
        submit(&node, block).expect("is valid");
    }
    assert!(node.background().is_none());
    assert_eq!(node.tip().hash, better[TOP - 1].block_hash());
}
