//! All coins in a file.

use std::fs;

use bitcoin::OutPoint;
use btc_node::chainstate::dump::{DumpError, DumpSource};
use btc_node::chainstate::{ChainstateManager, UtxoHashKind};

use crate::support::{
    Home, branch, data, digest, mine, next_block, reward_of, spend, submit, unpack,
};

/// Bytes before the coins: magic, version, network, block, count.
const HEAD: usize = 5 + 2 + 4 + 32 + 8;

fn go_on() -> bool {
    false
}

/// Mines blocks that spend rewards and outputs of the same block.
fn mine_spending(node: &ChainstateManager, rewards: &[OutPoint]) {
    for reward in rewards {
        let first = spend(&[*reward], &[1000, 2000, 3000]);
        let second = spend(&[OutPoint::new(first.compute_txid(), 1)], &[1500]);
        let block = next_block(node, vec![first, second]);
        submit(node, &block).expect("is valid");
    }
}

#[test]
fn an_earlier_block_gives_what_was_there_then() {
    let home = Home::regtest();
    let node = home.open();
    let path = |name: &str| home.dir.path().join(name);
    let trunk = mine(&node, 110);
    let rewards: Vec<OutPoint> = trunk.iter().map(|block| reward_of(block)).collect();
    mine_spending(&node, &rewards[..4]);
    let then = node
        .dump_coins(&path("then"), DumpSource::Tip, &go_on)
        .expect("writes");
    assert_eq!((then.base.height, then.coins), (114, 110 + 3 * 4));
    assert_eq!(
        then.hash.to_string(),
        digest(&node, UtxoHashKind::HashSerialized3)
    );
    mine_spending(&node, &rewards[4..9]);
    for block in branch(&node.tip().header, node.tip().height, 2, 7) {
        submit(&node, &block).expect("is valid");
    }
    let tip = node.tip().hash;
    let hash = then.base.hash;
    for (name, in_memory) in [("disk", false), ("memory", true)] {
        let source = DumpSource::Block { hash, in_memory };
        let report = node
            .dump_coins(&path(name), source, &go_on)
            .expect("writes");
        assert_eq!(
            (report.base.hash, report.coins, report.hash),
            (hash, then.coins, then.hash)
        );
        let same = fs::read(path(name)).expect("reads") == fs::read(path("then")).expect("reads");
        assert!(same, "{name}");
    }
    assert_eq!(node.tip().hash, tip, "the chain is left alone");
    let left: Vec<_> = fs::read_dir(home.dir.path())
        .expect("lists")
        .map(|entry| {
            entry
                .expect("lists")
                .file_name()
                .into_string()
                .expect("is text")
        })
        .filter(|name| name.starts_with("temp_utxo") || name.ends_with(".incomplete"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_directory_of_core_gives_cores_digest() {
    let home = Home::regtest();
    unpack(&data("core-regtest-250.tar.xz"), home.dir.path());
    let node = Home {
        now: 1_700_151_200,
        ..home
    };
    let path = node.dir.path().join("utxo.dat");
    let chain = node.open();
    let report = chain
        .dump_coins(&path, DumpSource::Tip, &go_on)
        .expect("writes");
    assert_eq!((report.base.height, report.coins), (250, 387));
    assert_eq!(
        report.hash.to_string(),
        "84c437e952b03599f8d59d2e8066fe91ee4df83fe4431ef667289394dd66f7d1"
    );
    let file = fs::read(&path).expect("reads");
    assert_eq!(file[..11], *b"utxo\xff\x02\x00\xfa\xbf\xb5\xda");
    assert_eq!(file[HEAD - 8..HEAD], 387_u64.to_le_bytes());
}

#[test]
fn what_cannot_be_written_is_told_before_anything_is_done() {
    let home = Home::regtest();
    let node = home.open();
    let blocks = mine(&node, 3);
    let path = home.dir.path().join("utxo.dat");
    node.dump_coins(&path, DumpSource::Tip, &go_on)
        .expect("writes");
    let error = node
        .dump_coins(&path, DumpSource::Tip, &go_on)
        .expect_err("is taken");
    assert!(error.to_string().ends_with(
        "utxo.dat already exists. If you are sure this is what you want, move it out of the way first"
    ));
    let nowhere = home.dir.path().join("no/such/dir");
    let error = node
        .dump_coins(&nowhere, DumpSource::Tip, &go_on)
        .expect_err("has no directory");
    assert_eq!(
        error.to_string(),
        format!(
            "Couldn't open file {}.incomplete for writing.",
            nowhere.display()
        )
    );
    let stale = branch(&blocks[0].header, 1, 1, 5);
    submit(&node, &stale[0]).expect("is valid");
    let source = DumpSource::Block {
        hash: stale[0].block_hash(),
        in_memory: true,
    };
    let other = home.dir.path().join("other.dat");
    let error = node.dump_coins(&other, source, &go_on);
    assert!(matches!(error, Err(DumpError::NotActive(_))));
    let error = node.dump_coins(&other, DumpSource::Tip, &|| true);
    assert!(matches!(error, Err(DumpError::Interrupted)));
    assert!(!other.exists(), "only a whole file has the name");
}
