//! What is asked of peers: blocks that the user wants, transactions that wait for their parents.

use super::super::context::{Entry, NodeParts};
use super::super::registry::{RequestContext, RpcResult};
use super::network;
use crate::sync::{FetchError, OrphanInfo};
use bitcoin::consensus::encode::serialize_hex;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Value, json};

pub(super) const METHODS: &[Entry] = &[GET_BLOCK_FROM_PEER, GET_ORPHANS];

const GET_BLOCK_FROM_PEER: Entry = Entry {
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
        results: &[Shape::object("", "Always empty: the block was asked for", &[]).unchecked()],
        examples: &["\"00000000c937983704a73af28acdec37b049d214adbda81d7e2a3dd146f6ed09\" 0"],
    },
    run: get_block_from_peer,
};

const GET_ORPHANS: Entry = Entry {
    method: Method {
        name: "getorphantxs",
        category: "hidden",
        summary: "Lists transactions that wait for transactions they spend from. This may change.",
        args: &[Arg::default(
            "verbosity",
            Kind::Number,
            "0",
            "0 for ids, which may repeat, 1 for objects, 2 for objects with the transactions as hex",
        )
        .unchecked()],
        results: crate::rpc::results::network::GET_ORPHAN_TXS,
        examples: &["", "2"],
    },
    run: get_orphans,
};

fn get_orphans(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let orphans = network(parts)?.orphans();
    let verbosity = match context.arguments.value(0) {
        Value::Bool(_) => {
            return Err(RpcError::new(
                code::TYPE_ERROR,
                "Verbosity was boolean but only integer allowed",
            ));
        }
        _ => context.arguments.verbosity(0, 0)?,
    };
    if !(0..=2).contains(&verbosity) {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            format!("Invalid verbosity value {verbosity}"),
        ));
    }
    let show = |orphan: &OrphanInfo| {
        let tx = &orphan.tx;
        if verbosity == 0 {
            return json!(tx.compute_txid().to_string());
        }
        let from: Vec<u64> = orphan.announcers.iter().map(|peer| peer.0).collect();
        let mut out = json!({
            "txid": tx.compute_txid().to_string(),
            "wtxid": tx.compute_wtxid().to_string(),
            "bytes": tx.total_size(),
            "vsize": tx.vsize(),
            "vsize_bip141": tx.vsize(),
            "weight": tx.weight().to_wu(),
            "from": from,
        });
        if verbosity == 2 {
            out["hex"] = json!(serialize_hex(tx.as_ref()));
        }
        out
    };
    Ok(orphans.iter().map(show).collect())
}

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
