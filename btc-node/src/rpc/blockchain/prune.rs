//! Old blocks, deleted on demand.

use super::super::context::{Entry, NodeParts, submit_error};
use super::super::registry::{RequestContext, RpcResult};
use crate::chainstate::prune::MIN_BLOCKS_TO_KEEP;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code};
use serde_json::json;

/// Numbers above this are times: no chain will be as high, and no block is as old (it is in September 2001).
const FIRST_TIME: i64 = 1_000_000_000;
/// How much earlier than its predecessors' times a block's time may be, in seconds, as scans for keys by their birth
/// allow for, too.
const TIMESTAMP_WINDOW: i64 = 2 * 60 * 60;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[Entry {
    method: Method {
        name: "pruneblockchain",
        category: "blockchain",
        summary: "Deletes the data of old blocks, as far as the blocks that are always kept, and indexes that need \
                  them, allow. Needs -prune. What is deleted can only come back from peers.",
        args: &[Arg::required(
            "height",
            Kind::Number,
            "The height up to which blocks may go, or a time, in seconds since 1970: then blocks go that are at least \
             two hours older",
        )],
        results: &[Shape::number(
            "",
            "Height of the last block that is deleted, -1 if none is",
        )],
        examples: &["1000"],
    },
    run: prune_block_chain,
}];

fn prune_block_chain(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let chain = &parts.chain;
    let invalid = |reason: &str| RpcError::new(code::INVALID_PARAMETER, reason);
    if chain.prune_target().is_none() {
        return Err(RpcError::new(
            code::MISC_ERROR,
            "Cannot prune blocks because node is not in prune mode.",
        ));
    }
    let mut height = i64::from(context.arguments.int::<i32>(0)?);
    if height < 0 {
        return Err(invalid("Negative block height."));
    }
    if height > FIRST_TIME {
        let since = u32::try_from(height - TIMESTAMP_WINDOW).unwrap_or(0);
        let block = chain.first_block_since(since, 0).ok_or_else(|| {
            invalid("Could not find block with at least the specified timestamp.")
        })?;
        height = i64::from(block.height);
    }
    let tip = chain.tip().height;
    if tip < chain.params().prune_after_height {
        return Err(RpcError::new(
            code::MISC_ERROR,
            "Blockchain is too short for pruning.",
        ));
    }
    if height > i64::from(tip) {
        return Err(invalid(
            "Blockchain is shorter than the attempted prune height.",
        ));
    }
    let height = u32::try_from(height).unwrap_or(u32::MAX);
    if height > tip.saturating_sub(MIN_BLOCKS_TO_KEEP) {
        tracing::debug!(
            target: "rpc",
            "Attempt to prune blocks close to the tip.  Retaining the minimum number of blocks."
        );
    }
    chain.prune_up_to(height).map_err(submit_error)?;
    Ok(chain
        .prune_height()
        .map_or(json!(-1), |height| json!(height)))
}
