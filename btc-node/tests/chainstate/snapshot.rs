//! A node that begins with a snapshot of the coins, and validates it behind.

use std::sync::Arc;

use bitcoin::{Block, OutPoint, Txid};
use btc_consensus::Coin;
use btc_consensus::params::AssumeUtxo;
use btc_node::chainstate::{ChainstateManager, OpenError, Options, UtxoHash, UtxoHashKind};
use btc_node::store::utxo_snapshot::{SnapshotMetadata, write_coins};

use crate::support::{Home, branch, mine, muhash, next_block, reward_of, spend, submit};

const REGTEST: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
/// The snapshot's height, and that of the whole chain.
const BASE: u32 = 110;
const TOP: usize = 130;

/// A chain, and the coins of one of its blocks.
struct Source {
    blocks: Vec<Arc<Block>>,
    known: AssumeUtxo,
    file: Vec<u8>,
    /// The digest of the coins at the end.
    coins: String,
}

impl Source {
    fn new() -> Self {
        let home = Home::regtest();
        let node = home.open();
        let mut blocks = mine(&node, 105);
        let coin = reward_of(&blocks[0]);
        let spending = next_block(&node, vec![spend(&[coin], &[20_0000_0000, 29_0000_0000])]);
        submit(&node, &spending).expect("is valid");
        blocks.push(spending);
        blocks.extend(mine(&node, BASE as usize - blocks.len()));
        let stats = node
            .utxo_stats(UtxoHashKind::HashSerialized3)
            .expect("computes")
            .expect("is not interrupted");
        let UtxoHash::HashSerialized3(hash_serialized) = stats.hash else {
            panic!("another hash than asked for");
        };
        let file = dump(&node);
        let known = AssumeUtxo {
            height: BASE,
            block_hash: node.tip().hash,
            hash_serialized,
            chain_tx_count: node.tip().chain_tx,
        };
        blocks.extend(mine(&node, TOP - blocks.len()));
        Self {
            blocks,
            known,
            file,
            coins: muhash(&node),
        }
    }

    /// A node that knows of the snapshot.
    fn open(&self, home: &Home) -> ChainstateManager {
        home.open_with(|options| self.options(options))
    }

    fn options(&self, options: &mut Options) {
        options.params.assume_utxo = vec![self.known];
        options.check_level = 3;
    }

    /// A node with the first blocks and all headers.
    fn begun(&self, home: &Home, blocks: usize) -> ChainstateManager {
        let node = self.open(home);
        for block in &self.blocks[..blocks] {
            submit(&node, block).expect("is valid");
        }
        for block in &self.blocks {
            node.submit_header(&block.header).expect("is valid");
        }
        node
    }

    fn load(&self, node: &ChainstateManager, file: &[u8]) -> Result<(), String> {
        let mut input = file;
        let metadata = SnapshotMetadata::read(&mut input, node.params().chain, REGTEST)
            .map_err(|error| error.to_string())?;
        let base = node
            .load_snapshot(&metadata, &mut input)
            .map_err(|error| error.to_string())?;
        assert_eq!((base.hash, base.height), (self.known.block_hash, BASE));
        Ok(())
    }
}

/// All coins of a node as a snapshot.
fn dump(node: &ChainstateManager) -> Vec<u8> {
    let mut transactions: Vec<(Txid, Vec<(u32, Coin)>)> = Vec::new();
    let base = node
        .scan_coins(|OutPoint { txid, vout }, coin| {
            match transactions.last_mut() {
                Some((last, coins)) if last == txid => coins.push((*vout, coin.clone())),
                _ => transactions.push((*txid, vec![(*vout, coin.clone())])),
            }
            true
        })
        .expect("reads");
    let count = transactions.iter().map(|(_, coins)| coins.len() as u64);
    let metadata = SnapshotMetadata {
        base,
        coins: count.sum(),
    };
    let mut out = metadata.encode(REGTEST);
    for (txid, coins) in &transactions {
        write_coins(&mut out, txid, coins);
    }
    out
}

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
