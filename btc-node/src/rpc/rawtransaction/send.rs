//! Giving a transaction to the mempool.

use super::super::context::{Entry, NodeParts, decode_transaction};
use super::super::registry::{RequestContext, RpcResult};
use super::decode::has_valid_operations;
use crate::mempool::{BroadcastError, Feerate, RejectClass};
use bitcoin::{Amount, Transaction};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::json;
use std::sync::Arc;

/// The argument for the highest feerate.
pub(super) const MAX_FEERATE: Arg = Arg::default(
    "maxfeerate",
    Kind::Amount,
    "\"0.10\"",
    "Refuse transactions that pay a higher feerate, in BTC/kvB; 0 takes any",
);

/// The argument for what outputs that can never be spent may hold.
pub(super) const MAX_BURN: Arg = Arg::default(
    "maxburnamount",
    Kind::Amount,
    "\"0.00\"",
    "Refuse transactions with an output that can never be spent and has a higher value, in BTC",
);

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[Entry {
    method: Method {
        name: "sendrawtransaction",
        category: "rawtransactions",
        summary: "Takes a transaction into the mempool and announces it to peers.",
        args: &[
            Arg::required("hexstring", Kind::StringHex, "The transaction"),
            MAX_FEERATE,
            MAX_BURN,
        ],
        results: &[Shape::hex("", "The transaction's id")],
        examples: &["\"signedhex\""],
    },
    run: send_raw_transaction,
}];

fn send_raw_transaction(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let max_burn = context.arguments.opt_amount(2)?.unwrap_or(Amount::ZERO);
    let tx = decode_transaction(context.arguments.string(0)?).ok_or_else(|| {
        RpcError::new(
            code::DESERIALIZATION_ERROR,
            "TX decode failed. Make sure the tx has at least one input.",
        )
    })?;
    if burns_more_than(&tx, max_burn) {
        return Err(broadcast_error(&BroadcastError::MaxBurnExceeded));
    }
    let vsize = i64::try_from(tx.vsize()).unwrap_or(i64::MAX);
    let max_fee = max_fee(max_feerate(context)?, vsize);
    let tx = Arc::new(tx);
    let present = parts
        .mempool
        .broadcast(&parts.chain, &tx, max_fee, true)
        .map_err(|error| broadcast_error(&error))?;
    // Whoever sends it again wants the network to hear of it again. What is announced is the mempool's own.
    if let Some(peers) = (parts.peers)() {
        peers.announce(&present);
    }
    // A wallet that is asked next must know of it.
    parts.chain.notifier().sync_with_queue();
    Ok(json!(tx.compute_txid().to_string()))
}

/// The highest feerate that the caller allows.
pub(super) fn max_feerate(context: &RequestContext<'_>) -> Result<Feerate, RpcError> {
    let rate = value::fee_rate(context.arguments.value(1))?;
    Ok(Feerate::from_sat_per_kvb(
        i64::try_from(rate).unwrap_or(i64::MAX),
    ))
}

/// The highest fee that a feerate allows for a size in vB, in sat; `None` for any.
pub(super) fn max_fee(rate: Feerate, vsize: i64) -> Option<i64> {
    Some(rate.fee_for(vsize)).filter(|fee| *fee > 0)
}

/// Whether an output that can never be spent holds more than `limit`.
pub(super) fn burns_more_than(tx: &Transaction, limit: Amount) -> bool {
    tx.output
        .iter()
        .filter(|output| output.value > limit)
        .any(|output| {
            let script = &output.script_pubkey;
            script.is_op_return() || script.len() > 10_000 || !has_valid_operations(script)
        })
}

/// A transaction of our own was refused.
pub(super) fn broadcast_error(error: &BroadcastError) -> RpcError {
    let code = match error {
        BroadcastError::AlreadyInChain => code::VERIFY_ALREADY_IN_UTXO_SET,
        BroadcastError::MaxFeeExceeded | BroadcastError::MaxBurnExceeded => code::VERIFY_ERROR,
        BroadcastError::Store(_) => code::INTERNAL_ERROR,
        BroadcastError::Rejected(reject) => match reject.class() {
            RejectClass::MissingInputs => code::VERIFY_ERROR,
            RejectClass::Internal => code::INTERNAL_ERROR,
            _ => code::VERIFY_REJECTED,
        },
    };
    RpcError::new(code, error.to_string())
}
