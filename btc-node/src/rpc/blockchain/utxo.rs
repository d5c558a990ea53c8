//! Unspent outputs.

use super::super::context::{Entry, NodeParts, index_error, store_error, submit_error};
use super::super::registry::{RequestContext, RpcResult};
use super::stats::find_block;
use crate::chainstate::{BlockSummary, UtxoHash, UtxoHashKind};
use crate::index::{BlockCoinStats, CoinStatsIndex};
use crate::mempool::pool::MEMPOOL_HEIGHT;
use bitcoin::OutPoint;
use bitcoin::hashes::{Hash, sha256d};
use btc_interfaces::rpc::encode::script_pubkey;
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "gettxout",
            category: "blockchain",
            summary: "Shows an unspent output, or null if there is none.",
            args: &[
                Arg::required("txid", Kind::String, "The transaction's id"),
                Arg::required("n", Kind::Number, "The output's number"),
                Arg::default(
                    "include_mempool",
                    Kind::Bool,
                    "true",
                    "Whether the mempool counts: outputs that it spends are not shown, those that it makes are",
                ),
            ],
            results: crate::rpc::results::chain::GET_TX_OUT,
            examples: &["\"txid\" 1"],
        },
        run: get_tx_out,
    },
    Entry {
        method: Method {
            name: "gettxoutsetinfo",
            category: "blockchain",
            summary: "Counts the unspent outputs, and makes a digest of them. It takes a while.",
            args: &[
                Arg::default(
                    "hash_type",
                    Kind::String,
                    "\"hash_serialized_3\"",
                    "The digest: hash_serialized_3, muhash or none",
                ),
                Arg::hint(
                    "hash_or_height",
                    Kind::Number,
                    "the tip",
                    "Another block than the tip; needs an index",
                )
                .unchecked()
                .labelled("", "string or numeric"),
                Arg::default(
                    "use_index",
                    Kind::Bool,
                    "true",
                    "Take the figures from an index if there is one",
                ),
            ],
            results: crate::rpc::results::chain::GET_TX_OUT_SET_INFO,
            examples: &["", "\"none\""],
        },
        run: get_tx_out_set_info,
    },
];

fn get_tx_out(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let outpoint = OutPoint::new(context.arguments.hash(0)?, context.arguments.int(1)?);
    let coin = if context.arguments.bool(2)? {
        parts.mempool.unspent(&parts.chain, &outpoint)
    } else {
        parts.chain.coin(&outpoint)
    };
    let Some(coin) = coin.map_err(store_error)? else {
        return Ok(Value::Null);
    };
    let tip = parts.chain.tip();
    let confirmations = match coin.height {
        MEMPOOL_HEIGHT => 0,
        height => tip.height.saturating_sub(height) + 1,
    };
    Ok(json!({
        "bestblock": tip.hash.to_string(),
        "confirmations": confirmations,
        "value": value::from_amount(coin.output.value),
        "scriptPubKey": script_pubkey(&coin.output.script_pubkey, parts.network()),
        "coinbase": coin.coinbase,
    }))
}

fn get_tx_out_set_info(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let kind = match context.arguments.string(0)? {
        "hash_serialized_3" => UtxoHashKind::HashSerialized3,
        "muhash" => UtxoHashKind::MuHash,
        "none" => UtxoHashKind::None,
        other => {
            return Err(RpcError::new(
                code::INVALID_PARAMETER,
                format!("'{other}' is not a valid hash_type"),
            ));
        }
    };
    let use_index = context.arguments.bool(2)?;
    let index = parts.indexes.coin_stats.as_ref();
    let invalid = |text: &str| RpcError::new(code::INVALID_PARAMETER, text);
    let named = match (context.arguments.opt(1), index) {
        (None, _) => None,
        (Some(_), None) => {
            return Err(invalid(
                "Querying specific block heights requires coinstatsindex",
            ));
        }
        (Some(_), Some(_)) if kind == UtxoHashKind::HashSerialized3 => {
            return Err(invalid(
                "hash_serialized_3 hash type cannot be queried for a specific block",
            ));
        }
        (Some(_), Some(_)) if !use_index => {
            return Err(invalid(
                "Cannot set use_index to false when querying for a specific block",
            ));
        }
        (Some(given), Some(_)) => Some(find_block(parts, given)?),
    };
    if let Some(index) = index.filter(|_| use_index) {
        wait_for_index(index, named.as_ref())?;
        if kind != UtxoHashKind::HashSerialized3 {
            let block = named.unwrap_or_else(|| parts.chain.tip());
            return indexed_set_info(parts, index, kind, &block);
        }
    }
    let unreadable = || RpcError::new(code::INTERNAL_ERROR, "Unable to read UTXO set");
    let stats = parts
        .chain
        .utxo_stats(kind)
        .map_err(submit_error)?
        .ok_or_else(unreadable)?;
    let mut out = Map::new();
    out.insert("height".into(), json!(stats.height));
    out.insert("bestblock".into(), json!(stats.best_block.to_string()));
    out.insert("txouts".into(), json!(stats.tx_outs));
    out.insert("bogosize".into(), json!(stats.bogo_size));
    match stats.hash {
        UtxoHash::None => {}
        UtxoHash::HashSerialized3(hash) => {
            out.insert("hash_serialized_3".into(), json!(hash.to_string()));
        }
        UtxoHash::MuHash(hash) => {
            out.insert("muhash".into(), json!(hash.to_string()));
        }
    }
    let total = stats.total_amount.ok_or_else(unreadable)?;
    out.insert("total_amount".into(), value::from_amount(total));
    out.insert("transactions".into(), json!(stats.transactions));
    out.insert("disk_size".into(), json!(stats.disk_size));
    Ok(Value::Object(out))
}

/// Waits for the index to reach the tip; if it is further behind, it may still know a block that the caller named.
fn wait_for_index(index: &CoinStatsIndex, named: Option<&BlockSummary>) -> Result<(), RpcError> {
    if index.follower().wait_until_synced() {
        return Ok(());
    }
    let height = index.info().height;
    match named {
        Some(block) if block.height > height => Err(RpcError::new(
            code::INTERNAL_ERROR,
            format!(
                "Unable to get data because coinstatsindex is still syncing. Current height: {height}"
            ),
        )),
        _ => Ok(()),
    }
}

fn indexed_set_info(
    parts: &NodeParts,
    index: &CoinStatsIndex,
    kind: UtxoHashKind,
    block: &BlockSummary,
) -> RpcResult {
    let stats_of = |block: &BlockSummary| {
        let stats = index.stats(block).map_err(index_error)?;
        stats.ok_or_else(|| RpcError::new(code::INTERNAL_ERROR, "Unable to read UTXO set"))
    };
    let stats = stats_of(block)?;
    let before = match block.height {
        0 => BlockCoinStats::default(),
        _ => stats_of(&parts.block(&block.header.prev_blockhash)?)?,
    };
    let sat = |amount: u64| value::from_sat(i64::try_from(amount).unwrap_or(i64::MAX));
    // What one block moves fits; what all have moved may not.
    let sum = |now: u128, before: u128| {
        sat(u64::try_from(now.saturating_sub(before)).unwrap_or(u64::MAX))
    };
    let less = |now: u64, before: u64| sat(now.saturating_sub(before));
    let mut out = Map::new();
    out.insert("height".into(), json!(block.height));
    out.insert("bestblock".into(), json!(block.hash.to_string()));
    out.insert("txouts".into(), json!(stats.tx_outs));
    out.insert("bogosize".into(), json!(stats.bogo_size));
    if kind == UtxoHashKind::MuHash {
        let digest = sha256d::Hash::from_byte_array(stats.muhash);
        out.insert("muhash".into(), json!(digest.to_string()));
    }
    out.insert("total_amount".into(), sat(stats.total_amount));
    out.insert("total_unspendable_amount".into(), sat(stats.unspendable()));
    let info = json!({
        "prevout_spent": sum(stats.prevout_spent, before.prevout_spent),
        "coinbase": sum(stats.coinbase, before.coinbase),
        "new_outputs_ex_coinbase": sum(
            stats.new_outputs_ex_coinbase,
            before.new_outputs_ex_coinbase,
        ),
        "unspendable": less(stats.unspendable(), before.unspendable()),
        "unspendables": {
            "genesis_block": less(stats.unspendable_genesis, before.unspendable_genesis),
            "bip30": less(stats.unspendable_bip30, before.unspendable_bip30),
            "scripts": less(stats.unspendable_scripts, before.unspendable_scripts),
            "unclaimed_rewards": less(stats.unclaimed_rewards, before.unclaimed_rewards),
        },
    });
    out.insert("block_info".into(), info);
    Ok(Value::Object(out))
}
