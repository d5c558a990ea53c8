//! A chain with a snapshot of its coins, for nodes that begin with that.

use std::sync::Arc;

use bitcoin::{Block, OutPoint, Txid};
use btc_consensus::Coin;
use btc_consensus::params::AssumeUtxo;
use btc_node::chainstate::{ChainstateManager, Options, UtxoHash, UtxoHashKind};
use btc_node::store::utxo_snapshot::{SnapshotMetadata, write_coins};

use crate::support::{Home, mine, muhash, next_block, reward_of, spend, submit};

const REGTEST: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
/// The snapshot's height.
pub(crate) const BASE: u32 = 110;
/// The height of the whole chain.
pub(crate) const TOP: usize = 130;

/// A chain, and the coins of one of its blocks.
pub(crate) struct Source {
    pub(crate) blocks: Vec<Arc<Block>>,
    pub(crate) known: AssumeUtxo,
    pub(crate) file: Vec<u8>,
    /// The digest of the coins at the end.
    pub(crate) coins: String,
}

impl Source {
    pub(crate) fn new() -> Self {
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
    pub(crate) fn open(&self, home: &Home) -> ChainstateManager {
        home.open_with(|options| self.options(options))
    }

    pub(crate) fn options(&self, options: &mut Options) {
        options.params.assume_utxo = vec![self.known];
        options.check_level = 3;
    }

    /// A node with the first blocks and all headers.
    pub(crate) fn begun(&self, home: &Home, blocks: usize) -> ChainstateManager {
        let node = self.open(home);
        for block in &self.blocks[..blocks] {
            submit(&node, block).expect("is valid");
        }
        for block in &self.blocks {
            node.submit_header(&block.header).expect("is valid");
        }
        node
    }

    pub(crate) fn load(&self, node: &ChainstateManager, file: &[u8]) -> Result<(), String> {
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
