//! Headers and blocks as JSON.

use super::context::NodeParts;
use super::numbers::{difficulty, hex256, real};
use crate::chainstate::BlockSummary;
use crate::store::undo::BlockUndo;
use bitcoin::hashes::Hash;
use bitcoin::hex::DisplayHex;
use bitcoin::{Block, Transaction};
use btc_consensus::Coin;
use btc_consensus::pow::Target;
use btc_interfaces::rpc::encode::{SpentOutput, TxDetails, write_transaction};
use btc_interfaces::rpc::writer::JsonWriter;
use serde_json::{Map, Value, json};

/// How much of each transaction a block shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Its id.
    Txid,
    /// All of it, and its fee.
    Transaction,
    /// And the outputs that it spends.
    Prevouts,
}

/// The target that `bits` stand for, as 64 hexadecimal digits.
pub fn target_hex(bits: u32) -> String {
    hex256(
        Target::from_compact(bits)
            .map(Target::value)
            .unwrap_or_default(),
    )
}

/// Blocks on top of a block, itself included; -1 off the active chain.
pub fn confirmations(parts: &NodeParts, block: &BlockSummary) -> i64 {
    if !block.active {
        return -1;
    }
    i64::from(parts.chain.tip().height) - i64::from(block.height) + 1
}

/// A header and its place in the tree.
pub fn header(parts: &NodeParts, block: &BlockSummary) -> Map<String, Value> {
    let bits = block.header.bits.to_consensus();
    let version = block.header.version.to_consensus();
    let mut out = Map::new();
    out.insert("hash".into(), json!(block.hash.to_string()));
    out.insert("confirmations".into(), json!(confirmations(parts, block)));
    out.insert("height".into(), json!(block.height));
    out.insert("version".into(), json!(version));
    out.insert("versionHex".into(), json!(format!("{version:08x}")));
    out.insert(
        "merkleroot".into(),
        json!(block.header.merkle_root.to_string()),
    );
    out.insert("time".into(), json!(block.time));
    out.insert("mediantime".into(), json!(block.median_time_past));
    out.insert("nonce".into(), json!(block.header.nonce));
    out.insert("bits".into(), json!(format!("{bits:08x}")));
    out.insert("target".into(), json!(target_hex(bits)));
    out.insert("difficulty".into(), real(difficulty(bits)));
    out.insert("chainwork".into(), json!(hex256(block.chainwork.value())));
    out.insert("nTx".into(), json!(block.n_tx));
    if block.height > 0 {
        out.insert(
            "previousblockhash".into(),
            json!(block.header.prev_blockhash.to_string()),
        );
    }
    if let Some(next) = block.next {
        out.insert("nextblockhash".into(), json!(next.to_string()));
    }
    out
}

/// A block, written; `undo` gives fees and, if asked for, what is spent.
pub fn block(
    parts: &NodeParts,
    summary: &BlockSummary,
    block: &Block,
    undo: Option<&BlockUndo>,
    detail: Detail,
) -> String {
    let size = block.total_size();
    let weight = block.weight().to_wu();
    // By what blocks of one kind of transaction take.
    let room = match detail {
        Detail::Txid => 68 * block.txdata.len() + 2048,
        Detail::Transaction => 10 * size,
        Detail::Prevouts => 13 * size,
    };
    let mut out = JsonWriter::with_capacity(room);
    out.object(|out| {
        for (name, field) in &header(parts, summary) {
            out.key(name).value(field);
        }
        // Weight counts the size without witnesses three times more.
        out.key("strippedsize").number((weight - size as u64) / 3);
        out.key("size").number(size as u64);
        out.key("weight").number(weight);
        if let Some(tx) = block.txdata.first() {
            out.key("coinbase_tx").value(&coinbase(tx));
        }
        out.key("tx").array(|out| {
            for (index, tx) in block.txdata.iter().enumerate() {
                if detail == Detail::Txid {
                    out.hash(tx.compute_txid().to_byte_array());
                    continue;
                }
                let spent = undo.and_then(|undo| spent_outputs(undo, index));
                let details = TxDetails {
                    spent: spent.as_deref(),
                    show_prevouts: detail == Detail::Prevouts,
                    ..TxDetails::plain(parts.network())
                };
                write_transaction(out, tx, &details);
            }
        });
    });
    out.into_text()
}

fn coinbase(tx: &Transaction) -> Value {
    let mut out = Map::new();
    let Some(input) = tx.input.first() else {
        return Value::Object(out);
    };
    out.insert("version".into(), json!(tx.version.0.cast_unsigned()));
    out.insert("locktime".into(), json!(tx.lock_time.to_consensus_u32()));
    out.insert("sequence".into(), json!(input.sequence.0));
    out.insert("coinbase".into(), json!(input.script_sig.to_hex_string()));
    if let Some(reserved) = input.witness.nth(0) {
        out.insert("witness".into(), json!(reserved.to_lower_hex_string()));
    }
    Value::Object(out)
}

/// What the transaction at `index` of a block spends; `None` for the coinbase.
pub fn spent_outputs(undo: &BlockUndo, index: usize) -> Option<Vec<SpentOutput>> {
    Some(
        undo.0
            .get(index.checked_sub(1)?)?
            .iter()
            .map(spent_output)
            .collect(),
    )
}

/// A coin as the JSON of transactions shows it.
pub fn spent_output(coin: &Coin) -> SpentOutput {
    SpentOutput {
        output: coin.output.clone(),
        height: coin.height,
        coinbase: coin.coinbase,
    }
}
