//! Where the chain stands.

use super::super::block_json::target_hex;
use super::super::context::{Entry, NodeParts};
use super::super::numbers::{difficulty, hex256, real};
use super::super::registry::{RequestContext, RpcResult};
use crate::chainstate::{BackgroundInfo, PruneTarget};
use btc_interfaces::rpc::table::{Method, Shape};
use serde_json::{Map, Value, json};

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getblockchaininfo",
            category: "blockchain",
            summary: "Shows the state of the chain and of its validation.",
            args: &[],
            results: crate::rpc::results::chain::GET_BLOCKCHAIN_INFO,
            examples: &[""],
        },
        run: get_blockchain_info,
    },
    Entry {
        method: Method {
            name: "getblockcount",
            category: "blockchain",
            summary: "The height of the active chain's tip; the genesis block has height 0.",
            args: &[],
            results: &[Shape::number("", "The height")],
            examples: &[""],
        },
        run: |parts, _| Ok(json!(parts.chain.tip().height)),
    },
    Entry {
        method: Method {
            name: "getbestblockhash",
            category: "blockchain",
            summary: "The hash of the active chain's tip.",
            args: &[],
            results: &[Shape::hex("", "The hash")],
            examples: &[""],
        },
        run: |parts, _| Ok(json!(parts.chain.tip().hash.to_string())),
    },
    Entry {
        method: Method {
            name: "getdifficulty",
            category: "blockchain",
            summary: "How many times harder the tip's target is to meet than the easiest.",
            args: &[],
            results: &[Shape::number("", "The difficulty")],
            examples: &[""],
        },
        run: |parts, _| {
            Ok(real(difficulty(
                parts.chain.tip().header.bits.to_consensus(),
            )))
        },
    },
];

fn get_blockchain_info(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    let chain = &parts.chain;
    let tip = chain.tip();
    let bits = tip.header.bits.to_consensus();
    let mut out = Map::new();
    out.insert("chain".into(), json!(chain.params().chain.name()));
    out.insert("blocks".into(), json!(tip.height));
    out.insert("headers".into(), json!(chain.best_header().height));
    out.insert("bestblockhash".into(), json!(tip.hash.to_string()));
    out.insert("bits".into(), json!(format!("{bits:08x}")));
    out.insert("target".into(), json!(target_hex(bits)));
    out.insert("difficulty".into(), real(difficulty(bits)));
    out.insert("time".into(), json!(tip.time));
    out.insert("mediantime".into(), json!(tip.median_time_past));
    out.insert(
        "verificationprogress".into(),
        real(chain.verification_progress()),
    );
    out.insert(
        "initialblockdownload".into(),
        json!(chain.is_initial_block_download()),
    );
    if let Some(below) = chain.background() {
        out.insert("backgroundvalidation".into(), background_validation(&below));
    }
    out.insert("chainwork".into(), json!(hex256(tip.chainwork.value())));
    out.insert("size_on_disk".into(), json!(chain.block_files_size()));
    let target = chain.prune_target();
    out.insert("pruned".into(), json!(target.is_some()));
    if let Some(target) = target {
        let first_kept = chain.prune_height().map_or(0, |last| last + 1);
        out.insert("pruneheight".into(), json!(first_kept));
        let automatic = matches!(target, PruneTarget::Bytes(_));
        out.insert("automatic_pruning".into(), json!(automatic));
        if let PruneTarget::Bytes(bytes) = target {
            out.insert("prune_target_size".into(), json!(bytes));
        }
    }
    if let Some(challenge) = &chain.params().signet_challenge {
        out.insert("signet_challenge".into(), json!(challenge.to_hex_string()));
    }
    out.insert("warnings".into(), warnings(parts));
    Ok(Value::Object(out))
}

fn background_validation(below: &BackgroundInfo) -> Value {
    json!({
        "snapshotheight": below.target.height,
        "blocks": below.tip.height,
        "bestblockhash": below.tip.hash.to_string(),
        "mediantime": below.tip.median_time_past,
        "chainwork": hex256(below.tip.chainwork.value()),
        "verificationprogress": real(below.progress),
    })
}

/// The node's warnings; the last alone, as a string, for callers that still ask for that.
pub(in crate::rpc) fn warnings(parts: &NodeParts) -> Value {
    let warnings = (parts.warnings)();
    if parts.is_deprecated_enabled("warnings") {
        return json!(warnings.last().cloned().unwrap_or_default());
    }
    json!(warnings)
}
