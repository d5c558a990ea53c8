//! Giving transactions to the mempool, or asking what it would say.

use super::super::context::{Entry, NodeParts, decode_transaction};
use super::super::registry::{RequestContext, RpcResult};
use super::decode::has_valid_operations;
use crate::mempool::{BroadcastError, Feerate, Reject, RejectClass};
use bitcoin::{Amount, Transaction};
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const MAX_FEERATE: Arg = Arg::default(
    "maxfeerate",
    Kind::Amount,
    "0.10",
    "Refuse transactions that pay a higher feerate, in BTC/kvB; 0 takes any",
);

/// The greatest number of transactions in a package.
const MAX_PACKAGE: usize = 25;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "sendrawtransaction",
            category: "rawtransactions",
            summary: "Takes a transaction into the mempool and announces it to peers.",
            args: &[
                Arg::required("hexstring", Kind::StringHex, "The transaction"),
                MAX_FEERATE,
                Arg::default(
                    "maxburnamount",
                    Kind::Amount,
                    "0",
                    "Refuse transactions with an output that can never be spent and has a higher value, in BTC",
                ),
            ],
            result: "\"hex\"    (string) The transaction's id",
            examples: &["\"signedhex\""],
        },
        run: send_raw_transaction,
    },
    Entry {
        method: Method {
            name: "testmempoolaccept",
            category: "rawtransactions",
            summary: "Says whether the mempool would take a transaction.",
            args: &[
                Arg::required(
                    "rawtxs",
                    Kind::Array,
                    "The transaction's hex, in an array of one",
                )
                .with(&[Arg::optional("rawtx", Kind::StringHex, "A transaction")]),
                MAX_FEERATE,
            ],
            result: r#"[                            (json array)
  {                          (json object)
    "txid" : "hex",          (string) Its id
    "wtxid" : "hex",         (string) Its id over the witness too
    "allowed" : b,           (boolean) Whether it would be taken
    "vsize_adjusted" : n,    (numeric, optional) Size in vB, counting signature operations
    "vsize" : n,             (numeric, optional) The same
    "vsize_bip141" : n,      (numeric, optional) Size in vB
    "fees" : {...},          (json object, optional) What it pays
    "reject-reason" : "str", (string, optional) The rule against it
    "reject-details" : "str" (string, optional) More on the same
  }
]"#,
            examples: &["'[\"signedhex\"]'"],
        },
        run: test_mempool_accept,
    },
];

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
    parts
        .mempool
        .broadcast(&parts.chain, &tx, max_fee, true)
        .map_err(|error| broadcast_error(&error))?;
    // A wallet that is asked next must know of it.
    parts.chain.notifier().sync_with_queue();
    Ok(json!(tx.compute_txid().to_string()))
}

/// The highest feerate that the caller allows.
fn max_feerate(context: &RequestContext<'_>) -> Result<Feerate, RpcError> {
    let rate = value::fee_rate(context.arguments.value(1))?;
    Ok(Feerate::from_sat_per_kvb(
        i64::try_from(rate).unwrap_or(i64::MAX),
    ))
}

/// The highest fee that a feerate allows for a size in vB, in sat; `None` for any.
fn max_fee(rate: Feerate, vsize: i64) -> Option<i64> {
    Some(rate.fee_for(vsize)).filter(|fee| *fee > 0)
}

/// Whether an output that can never be spent holds more than `limit`.
fn burns_more_than(tx: &Transaction, limit: Amount) -> bool {
    tx.output
        .iter()
        .filter(|output| output.value > limit)
        .any(|output| {
            let script = &output.script_pubkey;
            script.is_op_return() || script.len() > 10_000 || !has_valid_operations(script)
        })
}

/// A transaction of our own was refused.
fn broadcast_error(error: &BroadcastError) -> RpcError {
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

fn test_mempool_accept(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let raw = context.arguments.array(0)?;
    if raw.is_empty() || raw.len() > MAX_PACKAGE {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            format!("Array must contain between 1 and {MAX_PACKAGE} transactions."),
        ));
    }
    let max_feerate = max_feerate(context)?;
    let mut transactions = Vec::with_capacity(raw.len());
    for text in raw {
        let text = value::string(text)?;
        transactions.push(decode_transaction(text).ok_or_else(|| {
            RpcError::new(
                code::DESERIALIZATION_ERROR,
                format!("TX decode failed: {text} Make sure the tx has at least one input."),
            )
        })?);
    }
    let [tx] = <[Transaction; 1]>::try_from(transactions).map_err(|_| {
        RpcError::new(
            code::INVALID_PARAMETER,
            "testmempoolaccept with more than one transaction is not supported yet",
        )
    })?;
    let tx = Arc::new(tx);
    let mut out = Map::new();
    out.insert("txid".into(), json!(tx.compute_txid().to_string()));
    out.insert("wtxid".into(), json!(tx.compute_wtxid().to_string()));
    match parts.mempool.test(&parts.chain, Arc::clone(&tx)) {
        Ok(accepted)
            if max_fee(max_feerate, accepted.vsize).is_some_and(|max| accepted.fee > max) =>
        {
            out.insert("allowed".into(), json!(false));
            out.insert("reject-reason".into(), json!("max-fee-exceeded"));
        }
        Ok(accepted) => {
            out.insert("allowed".into(), json!(true));
            out.insert("vsize_adjusted".into(), json!(accepted.vsize));
            out.insert("vsize".into(), json!(accepted.vsize));
            out.insert("vsize_bip141".into(), json!(tx.vsize()));
            let rate = value::from_sat(accepted.effective_feerate.per_thousand());
            out.insert(
                "fees".into(),
                json!({
                    "base": value::from_sat(accepted.fee),
                    "effective-feerate": rate,
                    "effective-includes": [accepted.wtxid.to_string()],
                }),
            );
        }
        Err(Reject::CoinsUnavailable(reason)) => {
            return Err(RpcError::new(code::INTERNAL_ERROR, reason));
        }
        Err(reject) => {
            out.insert("allowed".into(), json!(false));
            if reject.class() == RejectClass::MissingInputs {
                out.insert("reject-reason".into(), json!("missing-inputs"));
            } else {
                out.insert("reject-reason".into(), json!(reject.reason()));
                out.insert("reject-details".into(), json!(reject.text()));
            }
        }
    }
    Ok(json!([Value::Object(out)]))
}
