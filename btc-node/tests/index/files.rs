//! Indexes from one run to the next, and those of Core.

use std::fs;

use btc_node::index::IndexOptions;

use crate::answers::{Indexed, all, answers, check_against_blocks};
use crate::support::{Home, data, mine, submit, unpack};

#[test]
fn they_catch_up_and_then_follow_block_by_block() {
    let home = Home::regtest();
    let node = home.open();
    mine(&node, 110);
    node.close().expect("flushes");
    drop(node);

    let indexed = Indexed::open(&home);
    assert!(indexed.indexes.infos().iter().all(|info| !info.synced));
    assert!(
        !indexed
            .indexes
            .txs
            .as_ref()
            .expect("is kept")
            .follower()
            .wait_until_synced()
    );
    indexed.indexes.start().expect("starts");
    indexed.wait();
    assert_eq!(indexed.heights(), [110; 4]);
    for _ in 0..5 {
        indexed.mine_spending();
    }
    assert!(
        indexed
            .indexes
            .filters
            .as_ref()
            .expect("is kept")
            .follower()
            .wait_until_synced()
    );
    assert_eq!(indexed.heights(), [115; 4]);
    check_against_blocks(&indexed);
    indexed.close();

    // After an orderly end they are where the chain is, at once.
    let indexed = Indexed::open(&home);
    assert_eq!(indexed.heights(), [115; 4]);
    assert!(indexed.indexes.infos().iter().all(|info| info.synced));
    check_against_blocks(&indexed);
}

#[test]
fn one_that_is_behind_or_wiped_ends_up_the_same() {
    let home = Home::regtest();
    let indexed = Indexed::synced(&home);
    for _ in 0..110 {
        indexed.mine_spending();
    }
    indexed.close();
    // Without them for a while.
    let node = home.open();
    mine(&node, 10);
    node.close().expect("flushes");
    drop(node);
    let indexed = Indexed::open(&home);
    assert_eq!(indexed.heights(), [110; 4]);
    indexed.indexes.start().expect("starts");
    indexed.wait();
    assert_eq!(indexed.heights(), [120; 4]);
    check_against_blocks(&indexed);
    let before = answers(&indexed);
    indexed.close();

    let wipe = IndexOptions {
        wipe: true,
        ..all()
    };
    let indexed = Indexed::open_with(&home, |_| {}, wipe).expect("opens");
    assert_eq!(indexed.heights(), [0; 4]);
    indexed.indexes.start().expect("starts");
    indexed.wait();
    assert_eq!(answers(&indexed), before);
}

#[test]
fn those_of_core_are_opened_and_continued() {
    let home = Home::regtest();
    unpack(&data("core-regtest-250.tar.xz"), home.dir.path());
    let home = Home {
        now: 1_700_151_200,
        ..home
    };
    // Core kept three of them; the index of spenders is new.
    let core = IndexOptions {
        spenders: false,
        compact: true,
        ..all()
    };
    let indexed = Indexed::open_with(&home, |_| {}, core).expect("opens");
    assert_eq!(indexed.heights(), [250; 3]);
    assert!(indexed.indexes.infos().iter().all(|info| info.synced));
    indexed.close();

    let indexed = Indexed::synced(&home);
    mine(&indexed.chain, 3);
    indexed.settle();
    check_against_blocks(&indexed);
    let continued = answers(&indexed);
    indexed.close();
    fs::remove_dir_all(home.dir.path().join("indexes")).expect("removes");
    assert_eq!(answers(&Indexed::synced(&home)), continued);
}

#[test]
fn what_the_chain_has_not_written_they_do_not_claim() {
    let home = Home::regtest();
    let (flushed, blocks) = {
        let indexed = Indexed::synced(&home);
        for _ in 0..105 {
            indexed.mine_spending();
        }
        indexed.chain.flush().expect("flushes");
        indexed.settle();
        let blocks: Vec<_> = (0..7).map(|_| indexed.mine_spending()).collect();
        indexed.settle();
        assert_eq!(indexed.heights(), [112; 4]);
        (105, blocks)
        // Dropped without close: what a kill leaves behind.
    };
    let indexed = Indexed::open(&home);
    assert_eq!(indexed.chain.tip().height, flushed);
    assert_eq!(indexed.heights(), [flushed; 4]);
    indexed.indexes.start().expect("starts");
    for block in &blocks {
        submit(&indexed.chain, block).expect("is valid");
    }
    indexed.wait();
    check_against_blocks(&indexed);
}

#[test]
fn damage_is_told_by_name() {
    let home = Home::regtest();
    let indexed = Indexed::synced(&home);
    for _ in 0..3 {
        indexed.mine_spending();
    }
    indexed.close();
    let manifest = |index: &str| {
        let dir = home.dir.path().join("indexes").join(index);
        let mut entries = fs::read_dir(dir).expect("exists");
        entries.find_map(|entry| {
            let path = entry.expect("lists").path();
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("MANIFEST"))
                .then_some(path)
        })
    };
    for index in ["txindex", "txospenderindex/db"] {
        let path = manifest(index).expect("has one");
        let aside = path.with_extension("bak");
        fs::rename(&path, &aside).expect("renames");
        let error = match Indexed::open_with(&home, |_| {}, all()) {
            Ok(_) => panic!("{index} opens without its manifest"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("LevelDB error: "), "{error}");
        fs::rename(&aside, &path).expect("renames");
    }
    // A chain that does not know the index's best block.
    fs::remove_dir_all(home.dir.path().join("chainstate")).expect("removes");
    fs::remove_dir_all(home.dir.path().join("blocks")).expect("removes");
    let error = match Indexed::open_with(&home, |_| {}, all()) {
        Ok(_) => panic!("opens over another chain"),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        error,
        "best block of txindex not found. Please rebuild the index."
    );
}
