//! Finding transactions by their ids.

use super::super::block_json::spent_outputs;
use super::super::blockchain::{read_block, undo_unreadable};
use super::super::context::{Entry, NodeParts, index_error};
use super::super::registry::{RequestContext, RpcResult};
use crate::chainstate::BlockSummary;
use crate::index::TxIndex;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Txid};
use btc_interfaces::rpc::encode::{SpentOutput, TxDetails, transaction};
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[Entry {
    method: Method {
        name: "getrawtransaction",
        category: "rawtransactions",
        summary: "Shows a transaction of the mempool or, with -txindex or if its block is named, of the chain.",
        args: &[
            Arg::required("txid", Kind::StringHex, "The transaction's id"),
            Arg::default(
                "verbosity|verbose",
                Kind::Number,
                "0",
                "0 for hex, 1 for an object, 2 for an object with the fee and the outputs spent",
            )
            .unchecked(),
            Arg::optional("blockhash", Kind::StringHex, "The block it is in"),
        ],
        results: crate::rpc::results::transactions::GET_RAW_TRANSACTION,
        examples: &["\"mytxid\"", "\"mytxid\" 1 \"myblockhash\""],
    },
    run: get_raw_transaction,
}];

/// A transaction, and the block that it is in if it is in one that is known.
struct Found {
    tx: Arc<Transaction>,
    block: Option<BlockSummary>,
}

fn get_raw_transaction(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let txid: Txid = value::hash(context.arguments.value(0), "parameter 1")?;
    let genesis = &parts.chain.params().genesis;
    if txid.to_byte_array() == genesis.header.merkle_root.to_byte_array() {
        return Err(RpcError::new(
            code::INVALID_ADDRESS_OR_KEY,
            "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved",
        ));
    }
    let verbosity = context.arguments.verbosity(1, 0)?;
    let named = match context.arguments.opt(2) {
        None => None,
        Some(hash) => {
            let hash = value::hash(hash, "parameter 3")?;
            Some(parts.chain.block_summary(&hash).ok_or_else(|| {
                RpcError::new(code::INVALID_ADDRESS_OR_KEY, "Block hash not found")
            })?)
        }
    };
    let in_active_chain = named.as_ref().map(|block| block.active);
    let Found { tx, block } = match named {
        Some(block) => find_in_block(parts, &txid, block)?,
        None => find(parts, &txid)?,
    };
    if verbosity <= 0 {
        return Ok(json!(serialize_hex(&*tx)));
    }
    let mut out = Map::new();
    if let Some(active) = in_active_chain {
        out.insert("in_active_chain".into(), json!(active));
    }
    if block.is_none() {
        let vsize = parts
            .mempool
            .read(|pool| pool.graph().get(&txid).map(|entry| entry.vsize()));
        if let Some(vsize) = vsize {
            out.insert("vsize_adjusted".into(), json!(vsize));
        }
    }
    let spent = match &block {
        Some(block) if verbosity >= 2 => spent(parts, &txid, block)?,
        _ => None,
    };
    let details = TxDetails {
        spent: spent.as_deref(),
        show_prevouts: true,
        ..TxDetails::plain(parts.network())
    };
    out.extend(transaction(&tx, &details));
    if let Some(block) = block {
        out.insert("blockhash".into(), json!(block.hash.to_string()));
        add_confirmations(parts, &block, &mut out);
    }
    Ok(Value::Object(out))
}

fn not_found(text: &str) -> RpcError {
    RpcError::new(
        code::INVALID_ADDRESS_OR_KEY,
        format!("{text}. Use gettransaction for wallet transactions."),
    )
}

/// A transaction of the mempool, or of the chain if it is indexed.
fn find(parts: &NodeParts, txid: &Txid) -> Result<Found, RpcError> {
    let index = parts.indexes.txs.as_ref();
    let synced = index.map(|index| index.follower().wait_until_synced());
    if let Some(tx) = parts.mempool.get(txid) {
        return Ok(Found { tx, block: None });
    }
    if let Some(found) = find_in_index(index, txid)? {
        return Ok(Found {
            tx: Arc::new(found.tx),
            block: parts.chain.block_summary(&found.block),
        });
    }
    Err(not_found(match synced {
        None => {
            "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries"
        }
        Some(false) => {
            "No such mempool transaction. Blockchain transactions are still in the process of being indexed"
        }
        Some(true) => "No such mempool or blockchain transaction",
    }))
}

pub(super) fn find_in_index(
    index: Option<&TxIndex>,
    txid: &Txid,
) -> Result<Option<crate::index::FoundTx>, RpcError> {
    index
        .map_or(Ok(None), |index| index.find(txid))
        .map_err(index_error)
}

fn find_in_block(parts: &NodeParts, txid: &Txid, summary: BlockSummary) -> Result<Found, RpcError> {
    if !summary.has_data {
        return Err(RpcError::new(code::MISC_ERROR, "Block not available"));
    }
    let block = read_block(parts, &summary)?;
    let mut transactions = block.txdata.into_iter();
    let tx = transactions
        .find(|tx| tx.compute_txid() == *txid)
        .ok_or_else(|| not_found("No such transaction found in the provided block"))?;
    Ok(Found {
        tx: Arc::new(tx),
        block: Some(summary),
    })
}

/// What a transaction of a block spends; `None` for a coinbase, and if there is no record of it.
fn spent(
    parts: &NodeParts,
    txid: &Txid,
    summary: &BlockSummary,
) -> Result<Option<Vec<SpentOutput>>, RpcError> {
    if !summary.has_data && !summary.has_undo {
        return Ok(None);
    }
    let block = read_block(parts, summary)?;
    let index = block
        .txdata
        .iter()
        .position(|tx| tx.compute_txid() == *txid)
        .filter(|index| *index > 0);
    let Some(index) = index else { return Ok(None) };
    let undo = parts
        .chain
        .read_undo(&summary.hash)
        .ok()
        .flatten()
        .ok_or_else(undo_unreadable)?;
    Ok(spent_outputs(&undo, index))
}

fn add_confirmations(parts: &NodeParts, block: &BlockSummary, out: &mut Map<String, Value>) {
    if !block.active {
        out.insert("confirmations".into(), json!(0));
        return;
    }
    let confirmations = parts.chain.tip().height.saturating_sub(block.height) + 1;
    out.insert("confirmations".into(), json!(confirmations));
    out.insert("time".into(), json!(block.time));
    out.insert("blocktime".into(), json!(block.time));
}
