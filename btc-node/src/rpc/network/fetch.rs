//! Blocks asked of peers because the user wants them.

use super::super::context::{Entry, NodeParts};
use super::super::registry::{RequestContext, RpcResult};
use super::network;
use crate::sync::FetchError;
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::json;

pub(super) const METHODS: &[Entry] = &[Entry {
    method: Method {
        name: "getblockfrompeer",
        category: "blockchain",
        summary: "Asks a peer for a block whose header is known and which is not here, such as one that was pruned. The peer is let go if it does not give it.",
        args: &[
            Arg::required("blockhash", Kind::StringHex, "The block's hash"),
            Arg::required(
                "peer_id",
                Kind::Number,
                "The peer's number, as getpeerinfo shows it",
            ),
        ],
        result: "{}    (json object) Always empty: the block was asked for",
        examples: &["\"00000000c937983704a73af28acdec37b049d214adbda81d7e2a3dd146f6ed09\" 0"],
    },
    run: get_block_from_peer,
}];

fn get_block_from_peer(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let misc = |text: &str| RpcError::new(code::MISC_ERROR, text);
    let hash = value::hash(context.arguments.value(0), "blockhash")?;
    let id = context.arguments.int::<i64>(1)?;
    let network = network(parts)?;
    let block = parts
        .chain
        .block_summary(&hash)
        .ok_or_else(|| misc("Block header missing"))?;
    // A block far ahead of the tip would keep its whole file from being pruned.
    if parts.chain.options().prune.is_some() && block.height > parts.chain.tip().height {
        return Err(misc(
            "In prune mode, only blocks that the node has already synced previously can be fetched from a peer",
        ));
    }
    if block.has_data {
        return Err(misc("Block already downloaded"));
    }
    u64::try_from(id)
        .map_err(|_| FetchError::NoPeer)
        .and_then(|id| network.fetch_block(id, &block))
        .map_err(|error| misc(&error.to_string()))?;
    Ok(json!({}))
}
