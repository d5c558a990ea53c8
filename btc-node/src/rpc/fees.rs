//! The methods that say what a transaction should pay.

use super::context::{Entry, NodeParts};
use super::numbers::real;
use super::registry::{RequestContext, RpcResult};
use crate::mempool::fees::{BucketRange, Estimation, Horizon};
use crate::mining::fees::{self, NoEstimate, Source};
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::value::{self, Field};
use btc_interfaces::rpc::{RpcError, code};
use serde_json::{Map, Value, json};

const TARGET: Arg = Arg::required(
    "conf_target",
    Kind::Number,
    "Within how many blocks the transaction should be mined (1 - 1008)",
);

/// The category's methods.
pub fn methods() -> &'static [Entry] {
    METHODS
}

const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "estimatesmartfee",
            category: "util",
            summary: "Estimates the feerate for a transaction to be mined within so many blocks, if possible.",
            args: &[
                TARGET,
                Arg::default(
                    "estimate_mode",
                    Kind::String,
                    "\"economical\"",
                    "\"unset\", \"economical\" or \"conservative\": the last is slower to follow falling fees",
                ),
                Arg::optional("options", Kind::Object, "Options").with(&[
                    Arg::default(
                        "fee_rate_estimator",
                        Kind::String,
                        "\"none\"",
                        "\"block_policy\" goes by what was mined lately, \"mempool_policy\" by what waits now; otherwise the lower one, if both know",
                    ),
                    Arg::default(
                        "verbosity",
                        Kind::Number,
                        "1",
                        "2 also shows what the mempool knew of the last blocks",
                    ),
                ]),
            ],
            results: crate::rpc::results::fees::ESTIMATE_SMART_FEE,
            examples: &["6"],
        },
        run: estimate_smart_fee,
    },
    Entry {
        method: Method {
            name: "estimaterawfee",
            category: "hidden",
            summary: "Shows what the estimator by history knows of a target. Its form may change.",
            args: &[
                TARGET,
                Arg::default(
                    "threshold",
                    Kind::Number,
                    "0.95",
                    "The share of transactions that must have been mined within the target, from 0 to 1",
                ),
            ],
            results: crate::rpc::results::fees::ESTIMATE_RAW_FEE,
            examples: &["6 0.9"],
        },
        run: estimate_raw_fee,
    },
];

fn invalid(message: impl Into<String>) -> RpcError {
    RpcError::new(code::INVALID_PARAMETER, message)
}

fn disabled(error: NoEstimate) -> RpcError {
    RpcError::new(code::INTERNAL_ERROR, error.to_string())
}

/// The target that the caller wants.
fn target(parts: &NodeParts, context: &RequestContext<'_>) -> Result<u32, RpcError> {
    let max = fees::max_target(&parts.mempool).map_err(disabled)?;
    let target: i32 = context.arguments.int(0)?;
    u32::try_from(target)
        .ok()
        .filter(|target| (1..=max).contains(target))
        .ok_or_else(|| invalid(format!("Invalid conf_target, must be between 1 and {max}")))
}

fn estimate_smart_fee(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let target = target(parts, context)?;
    let mode = context.arguments.string(1)?.to_ascii_lowercase();
    if !["unset", "economical", "conservative"].contains(&mode.as_str()) {
        return Err(invalid(
            "Invalid estimate_mode parameter, must be one of: \"unset\", \"economical\", \"conservative\"",
        ));
    }
    let none = json!({});
    let options = context.arguments.opt(2).unwrap_or(&none);
    let fields = [
        ("fee_rate_estimator", Field::Of("string")),
        ("verbosity", Field::Of("number")),
    ];
    value::check_object(options, &fields, true, true)?;
    let source = options["fee_rate_estimator"]
        .as_str()
        .and_then(Source::from_name);
    let verbosity = match &options["verbosity"] {
        Value::Null => 1,
        given => value::int::<i32>(given)?,
    };
    let estimate = fees::estimate(
        &parts.chain,
        &parts.mempool,
        source,
        target,
        mode == "conservative",
    );
    let mut out = Map::new();
    match &estimate {
        Ok(estimate) => {
            let feerate = estimate.feerate.max(parts.mempool.info().min_feerate);
            out.insert("feerate".into(), value::from_sat(feerate.per_thousand()));
            if source.is_none() {
                out.insert("estimator".into(), json!(estimate.source.name()));
            }
            out.insert("blocks".into(), json!(estimate.target));
        }
        Err(error) => {
            out.insert("errors".into(), json!([error.to_string()]));
            out.insert("blocks".into(), json!(error.target()));
        }
    }
    if verbosity >= 2 {
        let blocks = parts
            .mempool
            .fees(|fees| fees.coverage.blocks().to_vec())
            .unwrap_or_default();
        let shown = blocks.iter().rev().map(|block| {
            json!({
                "block_height": block.height,
                "block_weight": block.weight,
                "mempool_txs_weight": block.known_weight,
            })
        });
        out.insert("mempool_health_statistics".into(), shown.collect());
    }
    Ok(Value::Object(out))
}

fn estimate_raw_fee(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let target = target(parts, context)?;
    let threshold = context.arguments.real(1)?;
    if !(0.0..=1.0).contains(&threshold) {
        return Err(invalid("Invalid threshold"));
    }
    let mut out = Map::new();
    for horizon in Horizon::ALL {
        let estimation = parts
            .mempool
            .fees(|fees| fees.block_policy.estimate_raw(target, threshold, horizon))
            .flatten();
        if let Some(estimation) = estimation {
            out.insert(horizon.name().into(), show(&estimation));
        }
    }
    Ok(Value::Object(out))
}

fn show(estimation: &Estimation) -> Value {
    let feerate = estimation.feerate.map(|feerate| feerate.round() as i64);
    let feerate = feerate.filter(|feerate| *feerate > 0);
    let mut out = Map::new();
    if let Some(feerate) = feerate {
        out.insert("feerate".into(), value::from_sat(feerate));
    }
    out.insert("decay".into(), real(estimation.decay));
    out.insert("scale".into(), json!(estimation.scale));
    if feerate.is_some() {
        out.insert("pass".into(), range(estimation.pass));
        if estimation.fail.is_some() {
            out.insert("fail".into(), range(estimation.fail));
        }
    } else {
        out.insert("fail".into(), range(estimation.fail));
        out.insert(
            "errors".into(),
            json!(["Insufficient data or no feerate found which meets threshold"]),
        );
    }
    Value::Object(out)
}

fn range(range: Option<BucketRange>) -> Value {
    // A range that is not there shows as one below zero.
    let range = range.unwrap_or(BucketRange {
        start: -1.0,
        end: -1.0,
        ..BucketRange::default()
    });
    let count = |count: f64| real((count * 100.0).round() / 100.0);
    json!({
        "startrange": real(range.start.round()),
        "endrange": real(range.end.round()),
        "withintarget": count(range.within_target),
        "totalconfirmed": count(range.confirmed),
        "inmempool": count(range.in_mempool),
        "leftmempool": count(range.left_mempool),
    })
}
