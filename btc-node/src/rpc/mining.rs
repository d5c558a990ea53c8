//! The methods for miners.

mod generate;
mod submit;
mod template;

pub(super) use generate::address_script;
pub use template::GivenTemplate;
pub(super) use template::TEXTS;

use super::block_json::target_hex;
use super::blockchain::warnings;
use super::context::{Entry, NodeParts};
use super::numbers::{difficulty, real, to_f64};
use super::registry::{RequestContext, RpcResult};
use crate::mempool::policy::standard;
use btc_consensus::pow;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use std::sync::atomic::Ordering;

/// The category's methods.
pub fn methods() -> &'static [Entry] {
    static METHODS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        let mut methods = OWN.to_vec();
        methods.extend(generate::METHODS);
        methods.extend(submit::METHODS);
        methods
    });
    &METHODS
}

const OWN: &[Entry] = &[
    Entry {
        method: Method {
            name: "getmininginfo",
            category: "mining",
            summary: "Shows what a miner wants to know of the chain.",
            args: &[],
            results: crate::rpc::results::mining::GET_MINING_INFO,
            examples: &[""],
        },
        run: get_mining_info,
    },
    Entry {
        method: Method {
            name: "getnetworkhashps",
            category: "mining",
            summary: "Estimates the network's hashes a second from the times of blocks.",
            args: &[
                Arg::default(
                    "nblocks",
                    Kind::Number,
                    "120",
                    "How many blocks, or -1 for those since the difficulty changed",
                ),
                Arg::default(
                    "height",
                    Kind::Number,
                    "-1",
                    "The last of them, or -1 for the tip",
                ),
            ],
            results: &[Shape::number("", "Hashes a second")],
            examples: &[""],
        },
        run: |parts, context| {
            network_hash_rate(parts, context.arguments.int(0)?, context.arguments.int(1)?)
        },
    },
    Entry {
        method: Method {
            name: "prioritisetransaction",
            category: "mining",
            summary: "Makes a transaction's fee count for more or less when blocks are made of the mempool, and when it is cut to its size.",
            args: &[
                Arg::required("txid", Kind::StringHex, "The transaction's id"),
                Arg::optional(
                    "dummy",
                    Kind::Number,
                    "Once a priority; must be 0 or left out",
                )
                .placeholder(),
                Arg::required(
                    "fee_delta",
                    Kind::Number,
                    "Sat to add to what the fee counts for, negative to take away",
                ),
            ],
            results: &[Shape::bool("", "Always")],
            examples: &["\"txid\" 0.0 10000"],
        },
        run: prioritise_transaction,
    },
    Entry {
        method: Method {
            name: "getprioritisedtransactions",
            category: "mining",
            summary: "Lists the transactions whose fee counts for more or less.",
            args: &[],
            results: &[Shape::map(
                "",
                "",
                &[Shape::object(
                    "<transactionid>",
                    "",
                    &[
                        Shape::number("fee_delta", "What is added to its fee, in sat"),
                        Shape::bool("in_mempool", "Whether it is in the mempool"),
                        Shape::number(
                            "modified_fee",
                            "Its fee with that added, in sat; only if it is in the mempool",
                        )
                        .optional(),
                    ],
                )],
            )],
            examples: &[""],
        },
        run: get_prioritised_transactions,
    },
];

fn get_mining_info(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    let tip = parts.chain.tip();
    let bits = tip.header.bits.to_consensus();
    let next_bits = parts.chain.with_tip(|view| {
        // The time that an empty block on the tip would have if it came on schedule.
        let spacing = view.params().pow_target_spacing;
        pow::next_bits(view, view.time().saturating_add(spacing), view.params())
    });
    let last = &parts.template.last;
    let mut out = Map::new();
    out.insert("blocks".into(), json!(tip.height));
    let weight = last.weight.load(Ordering::Acquire);
    if weight > 0 {
        out.insert("currentblockweight".into(), json!(weight));
        out.insert(
            "currentblocktx".into(),
            json!(last.transactions.load(Ordering::Acquire)),
        );
    }
    out.insert("bits".into(), json!(format!("{bits:08x}")));
    out.insert("difficulty".into(), real(difficulty(bits)));
    out.insert("target".into(), json!(target_hex(bits)));
    out.insert("networkhashps".into(), network_hash_rate(parts, 120, -1)?);
    out.insert(
        "pooledtx".into(),
        json!(parts.mempool.read(|pool| pool.graph().len())),
    );
    let min_feerate = parts.template.min_feerate.per_thousand();
    out.insert("blockmintxfee".into(), value::from_sat(min_feerate));
    out.insert("chain".into(), json!(parts.chain.params().chain.name()));
    out.insert(
        "next".into(),
        json!({
            "height": tip.height + 1,
            "bits": format!("{next_bits:08x}"),
            "difficulty": real(difficulty(next_bits)),
            "target": target_hex(next_bits),
        }),
    );
    if let Some(challenge) = &parts.chain.params().signet_challenge {
        out.insert("signet_challenge".into(), json!(challenge.to_hex_string()));
    }
    out.insert("warnings".into(), warnings(parts));
    Ok(Value::Object(out))
}

fn network_hash_rate(parts: &NodeParts, blocks: i32, height: i32) -> RpcResult {
    let invalid = |message: &str| RpcError::new(code::INVALID_PARAMETER, message);
    if blocks < -1 || blocks == 0 {
        return Err(invalid("Invalid nblocks. Must be a positive number or -1."));
    }
    let last = match height {
        -1 => Some(parts.chain.tip()),
        height => u32::try_from(height)
            .ok()
            .and_then(|h| parts.chain.block_summary_at(h)),
    }
    .ok_or_else(|| invalid("Block does not exist at specified height"))?;
    if last.height == 0 {
        return Ok(json!(0));
    }
    let interval = parts.chain.params().difficulty_interval();
    let count = u32::try_from(blocks)
        .unwrap_or(last.height % interval + 1)
        .min(last.height);
    let (mut min_time, mut max_time) = (last.time, last.time);
    let mut first = last.clone();
    for height in (last.height - count..last.height).rev() {
        let Some(block) = parts.chain.block_summary_at(height) else {
            break;
        };
        min_time = min_time.min(block.time);
        max_time = max_time.max(block.time);
        first = block;
    }
    if min_time == max_time {
        return Ok(json!(0));
    }
    let work = last
        .chainwork
        .value()
        .checked_sub(first.chainwork.value())
        .unwrap_or_default();
    Ok(real(to_f64(work) / f64::from(max_time - min_time)))
}

fn prioritise_transaction(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let txid = context.arguments.hash(0)?;
    let invalid = |message: &str| Err(RpcError::new(code::INVALID_PARAMETER, message));
    let dummy = context.arguments.opt(1).map(value::real).transpose()?;
    let delta = context.arguments.int(2)?;
    if dummy.is_some_and(|dummy| dummy != 0.0) {
        return invalid(
            "Priority is no longer supported, dummy argument to prioritisetransaction must be 0.",
        );
    }
    let has_dust = parts.mempool.read(|pool| {
        let policy = pool.policy();
        pool.graph().get(&txid).is_some_and(|entry| {
            policy.require_standard
                && standard::dust(&entry.tx, policy.dust_feerate)
                    .next()
                    .is_some()
        })
    });
    if has_dust {
        return invalid("Priority is not supported for transactions with dust outputs.");
    }
    parts.mempool.prioritise(txid, delta);
    Ok(json!(true))
}

fn get_prioritised_transactions(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    Ok(parts.mempool.read(|pool| {
        let transactions = pool.deltas().iter().map(|(txid, delta)| {
            let mut out = Map::new();
            let entry = pool.graph().get(txid);
            out.insert("fee_delta".into(), json!(delta));
            out.insert("in_mempool".into(), json!(entry.is_some()));
            if let Some(entry) = entry {
                out.insert("modified_fee".into(), json!(entry.modified_fee()));
            }
            (txid.to_string(), Value::Object(out))
        });
        Value::Object(transactions.collect())
    }))
}
