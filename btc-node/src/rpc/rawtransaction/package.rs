//! Giving several transactions to the mempool, or asking what it would say.

use super::super::context::{Entry, NodeParts, decode_transaction};
use super::super::registry::{RequestContext, RpcResult};
use super::send::{MAX_BURN, MAX_FEERATE, broadcast_error, burns_more_than, max_fee, max_feerate};
use crate::mempool::package::{MAX_COUNT, is_child_with_parents_tree};
use crate::mempool::{
    Accepted, BroadcastError, Feerate, PackageError, PackageMember, PackageOutcome, Reject,
    RejectClass,
};
use bitcoin::{Amount, Transaction, Txid, Wtxid};
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "testmempoolaccept",
            category: "rawtransactions",
            summary: "Says whether the mempool would take transactions, one after another.",
            args: &[
                Arg::required(
                    "rawtxs",
                    Kind::Array,
                    "The transactions; one may spend from those before it",
                )
                .with(&[Arg::optional("rawtx", Kind::StringHex, "A transaction")]),
                MAX_FEERATE,
            ],
            results: crate::rpc::results::transactions::TEST_MEMPOOL_ACCEPT,
            examples: &["'[\"signedhex\"]'"],
        },
        run: test_mempool_accept,
    },
    Entry {
        method: Method {
            name: "submitpackage",
            category: "rawtransactions",
            summary: "Takes a transaction and its unconfirmed parents into the mempool, where it may pay for them.",
            args: &[
                Arg::required(
                    "package",
                    Kind::Array,
                    "The transactions, the child last. No parent may spend from another; those in the mempool may be left out",
                )
                .with(&[Arg::optional("rawtx", Kind::StringHex, "A transaction")]),
                MAX_FEERATE,
                MAX_BURN,
            ],
            results: crate::rpc::results::transactions::SUBMIT_PACKAGE,
            examples: &["\"[\\\"rawparent\\\",\\\"rawchild\\\"]\""],
        },
        run: submit_package,
    },
];

/// The argument with the transactions, of which there are neither too few nor too many.
fn raw_transactions<'a>(context: &'a RequestContext<'_>) -> Result<&'a [Value], RpcError> {
    let raw = context.arguments.array(0)?;
    if raw.is_empty() || raw.len() > MAX_COUNT {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            format!("Array must contain between 1 and {MAX_COUNT} transactions."),
        ));
    }
    Ok(raw)
}

fn decode(raw: &Value) -> Result<Arc<Transaction>, RpcError> {
    let text = value::string(raw)?;
    decode_transaction(text).map(Arc::new).ok_or_else(|| {
        RpcError::new(
            code::DESERIALIZATION_ERROR,
            format!("TX decode failed: {text} Make sure the tx has at least one input."),
        )
    })
}

fn test_mempool_accept(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let raw = raw_transactions(context)?;
    let max_feerate = max_feerate(context)?;
    let transactions = raw.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    let outcome = if let [tx] = transactions.as_slice() {
        test_alone(parts, tx)
    } else {
        parts.mempool.test_package(&parts.chain, &transactions)
    };
    let policy = outcome.error.as_ref().filter(|error| error.is_policy());
    let mut stopped = false;
    let mut results = Vec::with_capacity(transactions.len());
    for tx in &transactions {
        let wtxid = tx.compute_wtxid();
        let mut out = Map::new();
        out.insert("txid".into(), json!(tx.compute_txid().to_string()));
        out.insert("wtxid".into(), json!(wtxid.to_string()));
        if let Some(error) = policy {
            out.insert("package-error".into(), json!(error.to_string()));
        }
        if let Some(member) = outcome.members.get(&wtxid)
            && !stopped
        {
            stopped = !show_tested(tx, member, max_feerate, &mut out)?;
        }
        results.push(Value::Object(out));
    }
    Ok(Value::Array(results))
}

fn test_alone(parts: &NodeParts, tx: &Arc<Transaction>) -> PackageOutcome {
    let member = match parts.mempool.test(&parts.chain, Arc::clone(tx)) {
        Ok(accepted) => PackageMember::Accepted(accepted),
        Err(reject) => PackageMember::Rejected(reject),
    };
    PackageOutcome {
        error: None,
        members: BTreeMap::from([(tx.compute_wtxid(), member)]),
    }
}

/// Shows what would become of one; false if it pays too much, so that nothing is to be said of those after it.
fn show_tested(
    tx: &Transaction,
    member: &PackageMember,
    max_feerate: Feerate,
    out: &mut Map<String, Value>,
) -> Result<bool, RpcError> {
    match member {
        PackageMember::Accepted(accepted)
            if max_fee(max_feerate, accepted.vsize).is_some_and(|max| accepted.fee > max) =>
        {
            out.insert("allowed".into(), json!(false));
            out.insert("reject-reason".into(), json!("max-fee-exceeded"));
            return Ok(false);
        }
        PackageMember::Accepted(accepted) => {
            out.insert("allowed".into(), json!(true));
            show_sizes(tx, accepted.vsize, out);
            out.insert("fees".into(), fees(accepted));
        }
        PackageMember::Rejected(Reject::CoinsUnavailable(reason)) => {
            return Err(RpcError::new(code::INTERNAL_ERROR, reason.clone()));
        }
        PackageMember::Rejected(reject) => {
            out.insert("allowed".into(), json!(false));
            if reject.class() == RejectClass::MissingInputs {
                out.insert("reject-reason".into(), json!("missing-inputs"));
            } else {
                out.insert("reject-reason".into(), json!(reject.reason()));
                out.insert("reject-details".into(), json!(reject.text()));
            }
        }
        // A test refuses what is there already.
        PackageMember::Present { .. } | PackageMember::OtherWitness(_) => {}
    }
    Ok(true)
}

fn show_sizes(tx: &Transaction, vsize: i64, out: &mut Map<String, Value>) {
    out.insert("vsize_adjusted".into(), json!(vsize));
    out.insert("vsize".into(), json!(vsize));
    out.insert("vsize_bip141".into(), json!(tx.vsize()));
}

fn fees(accepted: &Accepted) -> Value {
    let includes: Vec<String> = accepted
        .effective_includes
        .iter()
        .map(Wtxid::to_string)
        .collect();
    json!({
        "base": value::from_sat(accepted.fee),
        "effective-feerate": value::from_sat(accepted.effective_feerate.per_thousand()),
        "effective-includes": includes,
    })
}

fn submit_package(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let raw = raw_transactions(context)?;
    let max_feerate = Some(max_feerate(context)?).filter(|rate| rate.fee != 0);
    let max_burn = context.arguments.opt_amount(2)?.unwrap_or(Amount::ZERO);
    let mut package = Vec::with_capacity(raw.len());
    for text in raw {
        let tx = decode(text)?;
        if burns_more_than(&tx, max_burn) {
            return Err(broadcast_error(&BroadcastError::MaxBurnExceeded));
        }
        package.push(tx);
    }
    if package.len() > 1 && !is_child_with_parents_tree(&package) {
        return Err(RpcError::new(
            code::VERIFY_ERROR,
            "package topology disallowed. not child-with-parents or parents depend on each other.",
        ));
    }
    let outcome = parts
        .mempool
        .submit_package(&parts.chain, &package, max_feerate);
    announce(parts, &package)?;
    let message = outcome.error.as_ref().map(PackageError::to_string);
    let mut results = Map::new();
    let mut replaced: BTreeSet<Txid> = BTreeSet::new();
    for tx in &package {
        let wtxid = tx.compute_wtxid();
        let mut out = Map::new();
        out.insert("txid".into(), json!(tx.compute_txid().to_string()));
        match outcome.members.get(&wtxid) {
            None => {
                out.insert("error".into(), json!("package-not-validated"));
            }
            Some(PackageMember::OtherWitness(other)) => {
                out.insert("other-wtxid".into(), json!(other.to_string()));
            }
            Some(PackageMember::Rejected(reject)) => {
                out.insert("error".into(), json!(reject.text()));
            }
            Some(PackageMember::Present { vsize, fee }) => {
                show_sizes(tx, *vsize, &mut out);
                out.insert("fees".into(), json!({ "base": value::from_sat(*fee) }));
            }
            Some(PackageMember::Accepted(accepted)) => {
                show_sizes(tx, accepted.vsize, &mut out);
                out.insert("fees".into(), fees(accepted));
                replaced.extend(accepted.replaced.iter().map(|tx| tx.compute_txid()));
            }
        }
        results.insert(wtxid.to_string(), Value::Object(out));
    }
    let replaced: Vec<String> = replaced.iter().map(Txid::to_string).collect();
    Ok(json!({
        "package_msg": message.as_deref().unwrap_or("success"),
        "tx-results": results,
        "replaced-transactions": replaced,
    }))
}

/// Lets the network hear of those that are in the mempool now.
fn announce(parts: &NodeParts, package: &[Arc<Transaction>]) -> Result<(), RpcError> {
    let mut announced = 0;
    for tx in package {
        if !parts.mempool.contains(&tx.compute_txid()) {
            continue;
        }
        let present = parts
            .mempool
            .broadcast(&parts.chain, tx, None, true)
            .map_err(|error| {
                let mut failure = broadcast_error(&error);
                failure.message = format!(
                    "transaction broadcast failed: {error} ({announced} transactions were broadcast successfully)"
                );
                failure
            })?;
        if let Some(peers) = (parts.peers)() {
            peers.announce(&present);
        }
        announced += 1;
    }
    parts.chain.notifier().sync_with_queue();
    Ok(())
}
