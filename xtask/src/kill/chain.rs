//! The chain that the killed nodes work on: two branches with coins that are spent and made in every block, and what the
//! coins are after each block.

use crate::Result;
use crate::node::Node;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use super::OPTIONS;

/// Height of the first branch's tip: enough blocks above some that may be pruned.
const TRUNK: u64 = 560;
/// Height of the block after which the second branch leaves the first, and of its tip.
const FORK: u64 = 530;
const BRANCH: u64 = 565;
/// Transactions in each block once coins are mature.
const SPENDS: usize = 6;
/// Blocks until a reward may be spent.
const MATURITY: u64 = 100;
/// What begins a block in a block file of regtest.
const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

/// A block and what holds after it.
pub(super) struct Block {
    pub(super) height: u64,
    /// Serialized, in hexadecimal.
    pub(super) raw: String,
    /// The digest of the unspent outputs.
    pub(super) digest: String,
    /// The blocks before it on its branch are those of the first up to this height.
    pub(super) on_branch: bool,
}

/// Both branches.
pub(super) struct Chain {
    pub(super) blocks: HashMap<String, Block>,
    /// Hashes from height 0 on.
    pub(super) trunk: Vec<String>,
    /// Hashes from the block after the fork on. Its tip has more work than the trunk's.
    pub(super) branch: Vec<String>,
}

/// An output that anybody can spend.
struct Coin {
    txid: String,
    index: u64,
    sat: u64,
    /// From when on it may be spent.
    from: u64,
}

impl Chain {
    /// Lets a node in `dir` make the chain. The directory then holds both branches, the second active.
    pub(super) fn make(programs: &Path, dir: &Path) -> Result<Self> {
        let node = Node::start(programs, dir, "regtest", OPTIONS)?;
        let genesis = text(&node.rpc.call("getblockhash", json!([0]))?);
        let mut chain = Self {
            blocks: HashMap::new(),
            trunk: vec![genesis.clone()],
            branch: Vec::new(),
        };
        let digest = digest(&node)?;
        let raw = text(&node.rpc.call("getblock", json!([genesis, 0]))?);
        let block = Block {
            height: 0,
            raw,
            digest,
            on_branch: false,
        };
        chain.blocks.insert(genesis, block);
        let mut coins = Vec::new();
        let mut at_fork = Vec::new();
        for height in 1..=TRUNK {
            if height == FORK + 1 {
                at_fork = coins.iter().map(Coin::copy).collect();
            }
            let hash = chain.mine(&node, height, "raw(51)", &mut coins, false)?;
            chain.trunk.push(hash);
        }
        let first = &chain.trunk[FORK as usize + 1];
        node.rpc.call("invalidateblock", json!([first]))?;
        // Other coins are spent on this branch than on the other.
        coins = at_fork;
        coins.reverse();
        for height in FORK + 1..=BRANCH {
            let hash = chain.mine(&node, height, "raw(52)", &mut coins, true)?;
            chain.branch.push(hash);
        }
        node.stop()?;
        Ok(chain)
    }

    /// Makes one block that spends the oldest coins.
    fn mine(
        &mut self,
        node: &Node,
        height: u64,
        reward: &str,
        coins: &mut Vec<Coin>,
        on_branch: bool,
    ) -> Result<String> {
        let mut spends = Vec::new();
        while spends.len() < SPENDS {
            let Some(at) = coins.iter().position(|coin| coin.from <= height) else {
                break;
            };
            let coin = coins.remove(at);
            spends.push(coin.spend(1 + (height as usize + spends.len()) % 3)?);
        }
        let made = node.rpc.call("generateblock", json!([reward, spends]))?;
        let hash = text(&made["hash"]);
        let block = node.rpc.call("getblock", json!([hash, 2]))?;
        for (number, tx) in block["tx"].as_array().into_iter().flatten().enumerate() {
            for out in tx["vout"].as_array().into_iter().flatten() {
                let script = out["scriptPubKey"]["hex"].as_str();
                if matches!(script, Some("51" | "52")) {
                    coins.push(Coin {
                        txid: text(&tx["txid"]),
                        index: out["n"].as_u64().ok_or("an output has no number")?,
                        sat: satoshis(&out["value"].to_string())?,
                        from: height + if number == 0 { MATURITY } else { 1 },
                    });
                }
            }
        }
        let raw = text(&node.rpc.call("getblock", json!([hash, 0]))?);
        let digest = digest(node)?;
        let block = Block {
            height,
            raw,
            digest,
            on_branch,
        };
        self.blocks.insert(hash.clone(), block);
        Ok(hash)
    }

    /// Writes the trunk as a block file.
    pub(super) fn write_trunk(&self, path: &Path) -> Result {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        for hash in &self.trunk {
            let bytes = unhex(&self.blocks[hash].raw)?;
            file.write_all(&MAGIC)?;
            file.write_all(&(bytes.len() as u32).to_le_bytes())?;
            file.write_all(&bytes)?;
        }
        file.flush()?;
        Ok(())
    }

    /// The hash of the block at `height` of the chain that ends in `tip`.
    pub(super) fn ancestor(&self, tip: &str, height: u64) -> Option<&str> {
        let hash = match self.blocks.get(tip)?.on_branch && height > FORK {
            true => self.branch.get((height - FORK - 1) as usize),
            false => self.trunk.get(height as usize),
        };
        hash.map(String::as_str)
    }

    pub(super) fn trunk_tip(&self) -> &str {
        &self.trunk[self.trunk.len() - 1]
    }

    pub(super) fn branch_tip(&self) -> &str {
        &self.branch[self.branch.len() - 1]
    }
}

impl Coin {
    fn copy(&self) -> Self {
        Self {
            txid: self.txid.clone(),
            ..*self
        }
    }

    /// A transaction, in hexadecimal, that gives the coin to `parts` outputs.
    fn spend(&self, parts: usize) -> Result<String> {
        let mut txid = unhex(&self.txid)?;
        txid.reverse();
        let mut tx = vec![2, 0, 0, 0, 1];
        tx.extend(txid);
        tx.extend((self.index as u32).to_le_bytes());
        // No script is needed.
        tx.extend([0, 0xff, 0xff, 0xff, 0xff, parts as u8]);
        for part in 0..parts as u64 {
            let value = self.sat / parts as u64 + u64::from(part == 0) * (self.sat % parts as u64);
            tx.extend(value.to_le_bytes());
            tx.extend([1, 0x51]);
        }
        tx.extend([0; 4]);
        Ok(tx.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The digest of the unspent outputs. Asking for it makes the node write all it has.
pub(super) fn digest(node: &Node) -> Result<String> {
    let coins = node
        .rpc
        .call("gettxoutsetinfo", json!(["hash_serialized_3"]))?;
    Ok(text(&coins["hash_serialized_3"]))
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Satoshis of an amount with eight decimals.
fn satoshis(amount: &str) -> Result<u64> {
    let digits: String = amount.chars().filter(char::is_ascii_digit).collect();
    match amount.rsplit_once('.') {
        Some((_, decimals)) if decimals.len() == 8 => Ok(digits.parse()?),
        _ => Err(format!("{amount} is no amount").into()),
    }
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).ok_or("not hexadecimal");
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match *pair {
            [high, low] => Ok((digit(high)? << 4 | digit(low)?) as u8),
            _ => Err("an odd number of digits".into()),
        })
        .collect()
}
