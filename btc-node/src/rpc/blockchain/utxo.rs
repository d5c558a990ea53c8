//! Unspent outputs.

use super::super::context::{Entry, NodeParts, store_error, submit_error};
use super::super::registry::{RequestContext, RpcResult};
use crate::chainstate::{UtxoHash, UtxoHashKind};
use crate::mempool::pool::MEMPOOL_HEIGHT;
use bitcoin::OutPoint;
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
                Arg::required("txid", Kind::StringHex, "The transaction's id"),
                Arg::required("n", Kind::Number, "The output's number"),
                Arg::default(
                    "include_mempool",
                    Kind::Bool,
                    "true",
                    "Whether the mempool counts: outputs that it spends are not shown, those that it makes are",
                ),
            ],
            result: r#"{                         (json object)
  "bestblock" : "hex",    (string) Hash of the tip
  "confirmations" : n,    (numeric) Blocks since, with its own; 0 in the mempool
  "value" : n,            (numeric) Value in BTC
  "scriptPubKey" : {...}, (json object) The script
  "coinbase" : b          (boolean) Whether a coinbase made it
}"#,
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
                    Kind::Any("string or numeric"),
                    "the tip",
                    "Another block than the tip; needs an index",
                ),
                Arg::default(
                    "use_index",
                    Kind::Bool,
                    "true",
                    "Take the figures from an index if there is one",
                ),
            ],
            result: r#"{                               (json object)
  "height" : n,                 (numeric) Height of the block after which the figures hold
  "bestblock" : "hex",          (string) Its hash
  "txouts" : n,                 (numeric) Unspent outputs
  "bogosize" : n,               (numeric) A size that depends on no database
  "hash_serialized_3" : "hex",  (string, optional) The digest
  "muhash" : "hex",             (string, optional) The digest
  "total_amount" : n,           (numeric) Sum of the values in BTC
  "transactions" : n,           (numeric) Transactions with unspent outputs
  "disk_size" : n               (numeric) About how many bytes they take on disk
}"#,
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
    if context.arguments.opt(1).is_some() {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            "Querying specific block heights requires coinstatsindex",
        ));
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
