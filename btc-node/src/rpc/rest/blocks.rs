//! Blocks, parts of them, headers, hashes, what blocks spent.

use super::format::{
    Cache, Failure, Format, bad_request, hash, integral, internal, no_format, not_found, reply,
    sanitized,
};
use super::{Answer, Request, format};
use crate::chain::record::FilePos;
use crate::chainstate::BlockSummary;
use crate::rpc::block_json::{self, Detail};
use crate::store::StoreError;
use crate::store::undo::BlockUndo;
use bitcoin::consensus::encode::{VarInt, serialize};
use bitcoin::consensus::{Encodable, deserialize};
use bitcoin::{Block, BlockHash};
use btc_interfaces::rpc::encode::script_pubkey;
use btc_interfaces::rpc::value::from_amount;
use serde_json::{Value, json};

pub(super) fn block(request: &Request<'_>) -> Answer {
    whole_block(request, Detail::Prevouts)
}

pub(super) fn block_without_details(request: &Request<'_>) -> Answer {
    whole_block(request, Detail::Txid)
}

/// A block that is on disk, and where.
fn stored(request: &Request<'_>) -> Result<(BlockSummary, FilePos), Failure> {
    let text = request.param;
    let hash: BlockHash = hash(text)?;
    let block = request
        .parts
        .chain
        .block_summary(&hash)
        .ok_or_else(|| not_found(format!("{text} not found")))?;
    let Some((file, offset)) = block.data_pos else {
        let why = if block.pruned {
            "pruned data"
        } else {
            "not fully downloaded"
        };
        return Err(not_found(format!("{text} not available ({why})")));
    };
    Ok((block, FilePos { file, offset }))
}

fn unreadable<'a>(text: &'a str) -> impl FnOnce(StoreError) -> Failure + 'a {
    move |error| {
        tracing::error!("{error}");
        internal(format!("I/O error reading {text}"))
    }
}

fn whole_block(request: &Request<'_>, detail: Detail) -> Answer {
    let (summary, pos) = stored(request)?;
    let chain = &request.parts.chain;
    let bytes = chain
        .block_reader()
        .read_raw_block(pos)
        .map_err(unreadable(request.param))?;
    if request.format != Some(Format::Json) {
        return reply(request.format, Cache::Immutable, || bytes, || Value::Null);
    }
    let block: Block = deserialize(&bytes).map_err(|error| internal(error.to_string()))?;
    let undo = if detail == Detail::Txid {
        None
    } else {
        chain
            .read_undo(&summary.hash)
            .map_err(unreadable(request.param))?
    };
    let shown = block_json::block(request.parts, &summary, &block, undo.as_ref(), detail);
    Ok(format::json_text(shown, Cache::NoStore))
}

pub(super) fn block_part(request: &Request<'_>) -> Answer {
    let number = |name: &str| {
        let text = request.query.get(name).unwrap_or_default();
        integral::<u64>(&text)
            .ok_or_else(|| bad_request(format!("Block part {name} missing or invalid")))
    };
    let (offset, size) = (number("offset")?, number("size")?);
    let (_, pos) = stored(request)?;
    let bad_range = || {
        bad_request(format!(
            "Bad block part offset/size {offset}/{size} for {}",
            request.param
        ))
    };
    let (Ok(start), Ok(len)) = (u32::try_from(offset), u32::try_from(size)) else {
        return Err(bad_range());
    };
    let part = request
        .parts
        .chain
        .block_reader()
        .read_block_part(pos, start, len as usize)
        .map_err(unreadable(request.param))?;
    if part.is_empty() || part.len() as u64 != size {
        return Err(bad_range());
    }
    if request.format == Some(Format::Json) {
        return Err(bad_request(
            "JSON output is not supported for this request type",
        ));
    }
    reply(request.format, Cache::Immutable, || part, || Value::Null)
}

/// Blocks of the active chain from a hash on, at most `count`; none if it is not on it.
pub(super) fn active_blocks(
    request: &Request<'_>,
    first: &BlockHash,
    count: usize,
) -> Vec<BlockSummary> {
    let chain = &request.parts.chain;
    let mut blocks = Vec::new();
    let mut next = chain.block_summary(first).filter(|block| block.active);
    while let Some(block) = next {
        next = block.next.and_then(|next| chain.block_summary(&next));
        blocks.push(block);
        if blocks.len() == count {
            break;
        }
    }
    blocks
}

pub(super) fn headers(request: &Request<'_>) -> Answer {
    let (old_count, text) = match request.path()[..] {
        [count, hash] => (Some(count), hash),
        [hash] => (None, hash),
        _ => {
            return Err(bad_request(
                "Invalid URI format. Expected /rest/headers/<hash>.<ext>?count=<count>",
            ));
        }
    };
    let count = request.count(old_count)?;
    let blocks = active_blocks(request, &hash(text)?, count);
    reply(
        request.format,
        Cache::NoStore,
        || {
            let headers = blocks.iter().map(|block| serialize(&block.header));
            headers.collect::<Vec<_>>().concat()
        },
        || {
            let headers = blocks
                .iter()
                .map(|block| Value::Object(block_json::header(request.parts, block)));
            headers.collect()
        },
    )
}

pub(super) fn hash_by_height(request: &Request<'_>) -> Answer {
    let text = request.param;
    let height = integral::<i32>(text)
        .and_then(|height| u32::try_from(height).ok())
        .ok_or_else(|| bad_request(format!("Invalid height: {}", sanitized(text))))?;
    let hash = request
        .parts
        .chain
        .hash_at(height)
        .ok_or_else(|| not_found("Block height out of range"))?;
    match request.format {
        Some(Format::Binary) => Ok(format::binary(serialize(&hash), Cache::NoStore)),
        Some(Format::Hex) => Ok(format::text(&hash.to_string(), Cache::NoStore)),
        Some(Format::Json) => {
            let shown = json!({"blockhash": hash.to_string()});
            Ok(format::json(&shown, Cache::NoStore))
        }
        None => Err(no_format()),
    }
}

pub(super) fn spent_outputs(request: &Request<'_>) -> Answer {
    let [text] = request.path()[..] else {
        return Err(bad_request(
            "Invalid URI format. Expected /rest/spenttxouts/<hash>.<ext>",
        ));
    };
    let hash: BlockHash = hash(text)?;
    let chain = &request.parts.chain;
    let block = chain
        .block_summary(&hash)
        .ok_or_else(|| not_found(format!("{text} not found")))?;
    let undo = if block.height == 0 {
        BlockUndo::default()
    } else {
        let read = chain.read_undo(&hash).unwrap_or_else(|error| {
            tracing::error!("{error}");
            None
        });
        read.ok_or_else(|| not_found(format!("{text} undo not available")))?
    };
    reply(
        request.format,
        Cache::Immutable,
        || encode_spent(&undo),
        || {
            // The coinbase spends nothing.
            let mut shown = vec![json!([])];
            shown.extend(undo.0.iter().map(|spent| {
                let outputs = spent.iter().map(|coin| {
                    json!({
                        "value": from_amount(coin.output.value),
                        "scriptPubKey": script_pubkey(&coin.output.script_pubkey, request.parts.network()),
                    })
                });
                outputs.collect::<Value>()
            }));
            Value::Array(shown)
        },
    )
}

/// The outputs that each transaction spent, with none for the coinbase.
fn encode_spent(undo: &BlockUndo) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |item: &dyn Fn(&mut Vec<u8>) -> Result<usize, bitcoin::io::Error>| {
        item(&mut out).expect("writing to memory does not fail");
    };
    put(&|out| VarInt(undo.0.len() as u64 + 1).consensus_encode(out));
    put(&|out| VarInt(0).consensus_encode(out));
    for spent in &undo.0 {
        put(&|out| VarInt(spent.len() as u64).consensus_encode(out));
        for coin in spent {
            put(&|out| coin.output.consensus_encode(out));
        }
    }
    out
}
