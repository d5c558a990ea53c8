//! Blocks from files.

use std::fs;
use std::path::Path;

use btc_consensus::Chain;
use btc_node::chainstate::UtxoHashKind;
use btc_node::store::import::BlockScanner;

use crate::support::{Home, branch, data, digest, mine, muhash, record, submit};

fn scanner(path: &Path, magic: [u8; 4]) -> BlockScanner<fs::File> {
    BlockScanner::open(path, magic).expect("is there")
}

#[test]
fn the_first_blocks_of_the_main_network() {
    let home = Home::new(Chain::Main);
    let node = home.open_with(|options| options.assume_valid = None);
    let report = node
        .import_blocks(&mut scanner(
            &data("mainnet-1-255.blk"),
            node.params().magic,
        ))
        .expect("imports");
    assert_eq!(
        (report.loaded, report.scan.blocks, report.scan.bad),
        (255, 255, 0)
    );
    let tip = node.tip();
    assert_eq!(tip.height, 255);
    assert_eq!(
        tip.hash.to_string(),
        "00000000d0a75c861fabf9ff7b92022f60e4afeed9331fe5aa073d8e4706fe3c"
    );
    let stats = node
        .utxo_stats(UtxoHashKind::None)
        .expect("computes")
        .expect("is not interrupted");
    assert_eq!(stats.tx_outs, 260);
    assert_eq!(
        muhash(&node),
        "60e29020ee287387a5b311fa9d665e232d41fb14f6243342cf1bdd967cc82117"
    );
    assert_eq!(
        digest(&node, UtxoHashKind::HashSerialized3),
        "507108bd18e2319f0a7102cfa1c7ffea10c9b1a47ff061d8098bc51a92e40241"
    );
    assert!(node.is_initial_block_download());
    node.close().expect("flushes");
    drop(node);
    let again = home.open();
    assert_eq!(again.tip().hash, tip.hash);
    let report = again
        .import_blocks(&mut scanner(
            &data("mainnet-1-255.blk"),
            again.params().magic,
        ))
        .expect("imports");
    assert_eq!((report.loaded, report.known), (0, 255));
}

#[test]
fn garbage_and_a_torn_tail_cost_only_what_is_torn() {
    let home = Home::regtest();
    let node = home.open();
    let magic = node.params().magic;
    let blocks = branch(&node.tip().header, 0, 10, 0);
    let mut file = b"\xfa\xbf\xb5\xdanot a block".to_vec();
    for block in &blocks {
        file.extend_from_slice(&record(magic, block));
        file.extend_from_slice(b"\xfa\xbf garbage \xfa\xbf\xb5\xda\xff\xff\xff\xff");
    }
    file.truncate(file.len() - 100);
    let path = home.dir.path().join("import.dat");
    fs::write(&path, file).expect("writes");
    let report = node
        .import_blocks(&mut scanner(&path, node.params().magic))
        .expect("imports");
    assert_eq!((report.loaded, report.scan.truncated), (9, true));
    assert_eq!(node.tip().hash, blocks[8].block_hash());
}

#[test]
fn blocks_that_do_not_fit_are_counted_and_skipped() {
    let home = Home::regtest();
    let node = home.open();
    let magic = node.params().magic;
    let blocks = branch(&node.tip().header, 0, 4, 0);
    let mut bad = blocks[0].as_ref().clone();
    bad.txdata[0].output[0].value += bitcoin::Amount::ONE_SAT;
    let file = [
        record(magic, &blocks[3]),
        record(magic, &bad),
        record(magic, &blocks[0]),
    ]
    .concat();
    let path = home.dir.path().join("import.dat");
    fs::write(&path, file).expect("writes");
    let report = node
        .import_blocks(&mut scanner(&path, node.params().magic))
        .expect("imports");
    assert_eq!((report.orphans, report.invalid, report.loaded), (1, 1, 1));
    assert_eq!(node.tip().height, 1);
}

#[test]
fn a_reindex_finds_blocks_in_any_order_and_ignores_a_torn_tail() {
    let home = Home::regtest();
    let (tip, coins) = {
        let node = home.open_with(|options| options.blocks_xor = false);
        mine(&node, 30);
        let result = (node.tip().hash, muhash(&node));
        node.close().expect("flushes");
        result
    };
    // The same blocks, the last first, with a torn copy of one at the end.
    let path = home.blocks().join("blk00000.dat");
    let scanner = btc_node::store::import::BlockScanner::new(
        fs::File::open(&path).expect("opens"),
        [0xfa, 0xbf, 0xb5, 0xda],
        Default::default(),
    );
    let mut records: Vec<_> = scanner
        .map(|found| record([0xfa, 0xbf, 0xb5, 0xda], &found.expect("reads").block))
        .collect();
    assert_eq!(records.len(), 31);
    records.reverse();
    let torn = records[3][..100].to_vec();
    records.push(torn);
    fs::write(&path, records.concat()).expect("writes");
    let node = home.open_with(|options| {
        options.reindex = true;
        options.blocks_xor = false;
    });
    let report = node.reindex_block_files().expect("reindexes");
    assert_eq!(
        (report.loaded, report.orphans, report.scan.truncated),
        (31, 0, true)
    );
    assert_eq!((node.tip().hash, muhash(&node)), (tip, coins));
    // New blocks go after the last whole one, and everything can be read afterwards.
    mine(&node, 3);
    node.close().expect("flushes");
    drop(node);
    let node = home.open_with(|options| options.blocks_xor = false);
    assert_eq!(node.tip().height, 33);
    node.verify_chain(4, 0).expect("is sound");
}

#[test]
fn a_block_that_comes_during_a_reindex_overwrites_none_that_is_not_indexed_yet() {
    let home = Home::regtest();
    let (first, coins) = {
        let node = home.open();
        mine(&node, 20);
        let result = (node.hash_at(1).expect("is there"), muhash(&node));
        node.close().expect("flushes");
        result
    };
    let node = home.open_with(|options| options.reindex = true);
    assert!(node.is_importing());
    let other = branch(&node.params().genesis.header, 0, 3, 7);
    for block in &other {
        submit(&node, block).expect("is taken");
    }
    assert_eq!(node.tip().height, 3);
    let report = node.reindex_block_files().expect("reindexes");
    assert_eq!((report.loaded, report.orphans), (21, 0));
    assert!(!node.is_importing());
    assert_eq!(node.hash_at(1), Some(first));
    assert_eq!((node.tip().height, muhash(&node)), (20, coins));
    mine(&node, 1);
    node.verify_chain(4, 0).expect("is sound");
    node.close().expect("flushes");
    drop(node);
    let node = home.open();
    node.verify_chain(4, 0).expect("is sound");
    for block in &other {
        let read = node.read_block(&block.block_hash()).expect("reads");
        assert_eq!(read.as_ref(), Some(block.as_ref()));
    }
}

#[test]
fn an_interrupted_reindex_goes_on_at_the_next_start() {
    let home = Home::regtest();
    let tip = {
        let node = home.open();
        mine(&node, 20);
        node.close().expect("flushes");
        node.tip().hash
    };
    drop(home.open_with(|options| options.reindex = true));
    let node = home.open();
    assert_eq!(node.tip().height, 0, "nothing was indexed yet");
    node.reindex_block_files().expect("goes on");
    assert_eq!(node.tip().hash, tip);
    assert_eq!(node.reindex_block_files().expect("is done").loaded, 0);
}
