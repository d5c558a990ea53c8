//! The chain of regtest whose coins after block 200 the program knows, and a snapshot of them.

use super::chain::{Block, Chain, digest, text};
use super::phase::copy;
use super::{OPTIONS, Random};
use crate::Result;
use crate::node::Node;
use crate::rpc::Client;
use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hashes::{Hash, sha256};
use bitcoin::opcodes::all::OP_PUSHBYTES_0;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, WScriptHash,
    Witness, transaction,
};
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Height of the block that the snapshot is of.
pub(super) const BASE: u64 = 200;
/// Blocks that a node has before it loads the snapshot.
pub(super) const BEGUN: u64 = 60;
/// Height of the tip.
pub(super) const TOP: u64 = 240;
/// How old a reward is that a block above the snapshot spends.
const AGE: u64 = 150;
/// Rewards in satoshis, each below a height: regtest halves them every 150 blocks.
const REWARDS: [(u64, u64); 2] = [(150, 50_0000_0000), (u64::MAX, 25_0000_0000)];

/// What the phases with a snapshot work on.
pub(super) struct Known {
    pub(super) chain: Chain,
    /// The snapshot.
    pub(super) file: PathBuf,
    /// A data directory with the first blocks, and the headers of the others.
    pub(super) begun: PathBuf,
    /// One in which the snapshot is loaded and validated, but has not yet taken the place of the coins below.
    pub(super) validated: PathBuf,
}

impl Known {
    /// Makes all of that in `dir`.
    pub(super) fn make(programs: &Path, dir: &Path) -> Result<Self> {
        let [source, begun, validated] = ["source", "begun", "validated"].map(|it| dir.join(it));
        for dir in [&source, &begun, &validated] {
            std::fs::create_dir_all(dir)?;
        }
        let node = Node::start(programs, &source, "regtest", OPTIONS)?;
        let genesis = text(&node.rpc.call("getblockhash", json!([0]))?);
        let raw = text(&node.rpc.call("getblock", json!([genesis, 0]))?);
        let mut last: bitcoin::Block = deserialize_hex(&raw)?;
        let mut chain = Chain {
            blocks: HashMap::new(),
            trunk: Vec::new(),
            branch: Vec::new(),
        };
        let mut rewards = Vec::new();
        let file = dir.join("snapshot.dat");
        for height in 0..=TOP {
            if height > 0 {
                last = following(&last, height, &rewards);
                let refused = node
                    .rpc
                    .call("submitblock", json!([serialize_hex(&last)]))?;
                if !refused.is_null() {
                    return Err(format!("block {height} is refused: {refused}").into());
                }
            }
            rewards.push(OutPoint::new(last.txdata[0].compute_txid(), 0));
            let hash = last.block_hash().to_string();
            let block = Block {
                height,
                raw: serialize_hex(&last),
                digest: digest(&node)?,
                on_branch: false,
            };
            chain.blocks.insert(hash.clone(), block);
            chain.trunk.push(hash);
            if height == BASE {
                node.rpc.call("dumptxoutset", json!([file, "latest"]))?;
            }
        }
        node.stop()?;
        let known = Self {
            chain,
            file,
            begun,
            validated,
        };
        let node = Node::start(programs, &known.begun, "regtest", OPTIONS)?;
        for hash in &known.chain.trunk[1..] {
            let block = &known.chain.blocks[hash];
            let (method, data) = match block.height <= BEGUN {
                true => ("submitblock", &block.raw[..]),
                false => ("submitheader", &block.raw[..160]),
            };
            node.rpc.call(method, json!([data]))?;
        }
        node.stop()?;
        copy(&known.begun, &known.validated)?;
        let node = Node::start(programs, &known.validated, "regtest", OPTIONS)?;
        known.load(&node.rpc)?;
        known.feed(&node.rpc, &mut Random::new(0), |_| Ok(()))?;
        node.stop()?;
        Ok(known)
    }

    /// Gives a node `count` more blocks below the snapshot, from `next` on, and as many above it; gives the heights that
    /// are next then.
    pub(super) fn feed_some(
        &self,
        client: &Client,
        (mut below, mut above): (u64, u64),
        count: u64,
    ) -> Result<(u64, u64)> {
        for _ in 0..count {
            for (height, end) in [(&mut below, BASE), (&mut above, TOP)] {
                if *height <= end {
                    let block = &self.chain.blocks[&self.chain.trunk[*height as usize]];
                    client.call("submitblock", json!([block.raw]))?;
                    *height += 1;
                }
            }
        }
        Ok((below, above))
    }

    /// Has a node load the snapshot, if it is not beyond it.
    pub(super) fn load(&self, client: &Client) -> Result {
        let height = client.call("getblockcount", json!([]))?;
        if height.as_u64().is_some_and(|height| height < BASE) {
            client.call("loadtxoutset", json!([self.file]))?;
        }
        Ok(())
    }

    /// Gives a node the blocks below the snapshot and above it in turns, and waits until the snapshot is validated.
    /// `noted` is called after each block.
    pub(super) fn feed(
        &self,
        client: &Client,
        random: &mut Random,
        mut noted: impl FnMut(&mut Random) -> Result,
    ) -> Result {
        let (mut below, mut above) = (BEGUN + 1..=BASE, BASE + 1..=TOP);
        loop {
            // There are four times as many below.
            let height = match random.below(5) {
                0 => above.next().or_else(|| below.next()),
                _ => below.next().or_else(|| above.next()),
            };
            let Some(height) = height else { break };
            let block = &self.chain.blocks[&self.chain.trunk[height as usize]];
            client.call("submitblock", json!([block.raw]))?;
            noted(random)?;
        }
        while chainstates(client)? > 1 {
            // The last block was reported before the coins were compared.
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// How many chains of coins a node has.
pub(super) fn chainstates(client: &Client) -> Result<usize> {
    let all = client.call("getchainstates", json!([]))?;
    let all = all["chainstates"].as_array();
    Ok(all.ok_or("getchainstates shows none")?.len())
}

/// The block after `previous`: the one that the program knows of up to the snapshot, then one that spends an old reward.
fn following(previous: &bitcoin::Block, height: u64, rewards: &[OutPoint]) -> bitcoin::Block {
    let reward = |height| {
        let found = REWARDS.iter().find(|(end, _)| height < *end);
        found.map_or(0, |(_, reward)| *reward)
    };
    let mut txdata = vec![Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::from_consensus(height as u32 - 1),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: Builder::new()
                .push_int(height as i64)
                .push_opcode(OP_PUSHBYTES_0)
                .into_script(),
            sequence: Sequence::ENABLE_LOCKTIME_NO_RBF,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(reward(height)),
            script_pubkey: anyone(),
        }],
    }];
    if height > BASE {
        let spent = height - AGE;
        txdata.push(Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: rewards[spent as usize],
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[ANYONE]),
            }],
            output: vec![
                TxOut {
                    value: Amount::from_sat(reward(spent) / 2),
                    script_pubkey: anyone(),
                };
                2
            ],
        });
        commit_to_witnesses(&mut txdata);
    }
    let mut block = bitcoin::Block {
        header: Header {
            version: Version::from_consensus(4),
            prev_blockhash: previous.block_hash(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: previous.header.time + 1,
            bits: previous.header.bits,
            nonce: 0,
        },
        txdata,
    };
    if let Some(root) = block.compute_merkle_root() {
        block.header.merkle_root = root;
    }
    let target = block.header.target();
    while block.header.validate_pow(target).is_err() {
        block.header.nonce += 1;
    }
    block
}

/// A script that anyone satisfies.
const ANYONE: &[u8] = &[0x51];

/// Pays to it.
fn anyone() -> ScriptBuf {
    let hash = sha256::Hash::hash(ANYONE);
    ScriptBuf::new_p2wsh(&WScriptHash::from_raw_hash(hash))
}

/// Has the first transaction commit to the witnesses of the others (BIP 141).
fn commit_to_witnesses(txdata: &mut [Transaction]) {
    const RESERVED: [u8; 32] = [0; 32];
    let leaves = txdata.iter().enumerate().map(|(number, tx)| match number {
        0 => bitcoin::Wtxid::all_zeros().to_raw_hash(),
        _ => tx.compute_wtxid().to_raw_hash(),
    });
    let Some(root) = bitcoin::merkle_tree::calculate_root(leaves) else {
        return;
    };
    let root = bitcoin::WitnessMerkleNode::from_raw_hash(root);
    let commitment = bitcoin::Block::compute_witness_commitment(&root, &RESERVED);
    let mut script = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    script.extend_from_slice(commitment.as_byte_array());
    txdata[0].output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::from_bytes(script),
    });
    txdata[0].input[0].witness = Witness::from_slice(&[RESERVED]);
}
