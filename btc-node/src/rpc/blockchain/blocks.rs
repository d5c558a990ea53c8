//! Blocks and headers by hash and height.

use super::super::block_json::{self, Detail};
use super::super::context::{Entry, NodeParts, TextEntry, block_not_found, store_error};
use super::super::registry::{RequestContext, RpcResult, TextResult};
use crate::chain::record::FilePos;
use crate::chainstate::BlockSummary;
use crate::store::StoreError;
use bitcoin::Block;
use bitcoin::consensus::encode::serialize_hex;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::writer::JsonWriter;
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Value, json};

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getblockhash",
            category: "blockchain",
            summary: "The hash of the active chain's block at a height.",
            args: &[Arg::required("height", Kind::Number, "The height")],
            results: &[Shape::hex("", "The hash")],
            examples: &["1000"],
        },
        run: get_block_hash,
    },
    Entry {
        method: Method {
            name: "getblockheader",
            category: "blockchain",
            summary: "Shows a block's header.",
            args: &[
                Arg::required("blockhash", Kind::StringHex, "The block's hash"),
                Arg::default(
                    "verbose",
                    Kind::Bool,
                    "true",
                    "An object, or else the header's hex",
                ),
            ],
            results: crate::rpc::results::blocks::GET_BLOCK_HEADER,
            examples: &["\"00000000c937983704a73af28acdec37b049d214adbda81d7e2a3dd146f6ed09\""],
        },
        run: get_block_header,
    },
];

/// The methods of this module with large results.
pub(in crate::rpc) const TEXTS: &[TextEntry] = &[TextEntry {
    method: Method {
        name: "getblock",
        category: "blockchain",
        summary: "Shows a block.",
        args: &[
            Arg::required("blockhash", Kind::StringHex, "The block's hash"),
            Arg::default(
                "verbosity|verbose",
                Kind::Number,
                "1",
                "0 for hex, 1 for an object, 2 for an object with transactions, 3 also with the outputs they spend",
            ).unchecked(),
        ],
        results: crate::rpc::results::blocks::GET_BLOCK,
        examples: &["\"00000000c937983704a73af28acdec37b049d214adbda81d7e2a3dd146f6ed09\""],
    },
    run: get_block,
}];

fn get_block_hash(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let height: i32 = context.arguments.int(0)?;
    u32::try_from(height)
        .ok()
        .and_then(|height| parts.chain.hash_at(height))
        .map(|hash| json!(hash.to_string()))
        .ok_or_else(|| RpcError::new(code::INVALID_PARAMETER, "Block height out of range"))
}

fn get_block_header(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let hash = value::hash(context.arguments.value(0), "hash")?;
    let block = parts
        .chain
        .block_summary(&hash)
        .ok_or_else(block_not_found)?;
    if context.arguments.bool(1)? {
        Ok(Value::Object(block_json::header(parts, &block)))
    } else {
        Ok(json!(serialize_hex(&block.header)))
    }
}

fn get_block(parts: &NodeParts, context: &RequestContext<'_>) -> TextResult {
    let hash = context.arguments.hash(0)?;
    let verbosity = context.arguments.verbosity(1, 1)?;
    let summary = parts.block(&hash)?;
    if verbosity <= 0 {
        let bytes = read_raw_block(parts, &summary)?;
        let mut out = JsonWriter::with_capacity(2 * bytes.len() + 2);
        out.hex(&bytes);
        return Ok(out.into_text());
    }
    let block = read_block(parts, &summary)?;
    let detail = match verbosity {
        1 => Detail::Txid,
        2 => Detail::Transaction,
        _ => Detail::Prevouts,
    };
    let undo = if detail == Detail::Txid || !summary.has_undo {
        None
    } else {
        parts
            .chain
            .read_undo(&hash)
            .map_err(|_| undo_unreadable())?
    };
    Ok(block_json::block(
        parts,
        &summary,
        &block,
        undo.as_ref(),
        detail,
    ))
}

/// A block from disk, or Core's error for one that is not there.
pub(in crate::rpc) fn read_block(
    parts: &NodeParts,
    summary: &BlockSummary,
) -> Result<Block, RpcError> {
    check_stored(summary)?;
    parts
        .chain
        .read_block(&summary.hash)
        .map_err(unreadable)?
        .ok_or_else(not_on_disk)
}

/// As [`read_block`], for those who need its bytes alone.
fn read_raw_block(parts: &NodeParts, summary: &BlockSummary) -> Result<Vec<u8>, RpcError> {
    check_stored(summary)?;
    let (file, offset) = summary.data_pos.ok_or_else(not_on_disk)?;
    parts
        .chain
        .block_reader()
        .read_raw_block(FilePos { file, offset })
        .map_err(unreadable)
}

fn check_stored(summary: &BlockSummary) -> Result<(), RpcError> {
    if summary.has_data {
        return Ok(());
    }
    let reason = if summary.pruned {
        "Block not available (pruned data)"
    } else {
        "Block not available (not fully downloaded)"
    };
    Err(RpcError::new(code::MISC_ERROR, reason))
}

fn unreadable(error: StoreError) -> RpcError {
    tracing::error!("{}", store_error(error).message);
    not_on_disk()
}

fn not_on_disk() -> RpcError {
    RpcError::new(code::MISC_ERROR, "Block not found on disk")
}

/// What the block spent should be on disk and is not.
pub(in crate::rpc) fn undo_unreadable() -> RpcError {
    RpcError::new(
        code::INTERNAL_ERROR,
        "Undo data expected but can't be read. This could be due to disk corruption or a conflict with a pruning event.",
    )
}
