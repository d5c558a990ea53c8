//! Compact filters of blocks, and the search with them.

use super::super::context::{Entry, NodeParts, index_error};
use super::super::registry::{RequestContext, RpcResult};
use super::blocks::{read_block, undo_unreadable};
use super::scan::SCAN_OBJECTS;
use super::scan::scripts;
use crate::chain::Validity;
use crate::chainstate::BlockSummary;
use crate::index::FilterIndex;
use bitcoin::ScriptBuf;
use bitcoin::hex::DisplayHex;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The one type of filters that there is.
const BASIC: &str = "basic";
/// Filters that are held in memory at once.
const CHUNK: u32 = 1000;

/// The one search that may be under way.
#[derive(Debug, Default)]
pub struct FilterScan {
    running: AtomicBool,
    abort: AtomicBool,
    /// In percent.
    progress: AtomicU32,
    height: AtomicU32,
}

/// Ends the search when dropped.
struct Running<'a>(&'a FilterScan);

impl FilterScan {
    fn start(&self) -> Option<Running<'_>> {
        let free = !self.running.swap(true, Ordering::AcqRel);
        free.then(|| Running(self))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getblockfilter",
            category: "blockchain",
            summary: "Shows the compact filter of a block (BIP 158).",
            args: &[
                Arg::required("blockhash", Kind::StringHex, "The block's hash"),
                Arg::default("filtertype", Kind::String, "\"basic\"", "The filter's type"),
            ],
            results: &[Shape::object(
                "",
                "",
                &[
                    Shape::hex("filter", "The filter"),
                    Shape::hex("header", "The filter's header"),
                ],
            )],
            examples: &[
                "\"00000000c937983704a73af28acdec37b049d214adbda81d7e2a3dd146f6ed09\" \"basic\"",
            ],
        },
        run: get_block_filter,
    },
    Entry {
        method: Method {
            name: "scanblocks",
            category: "blockchain",
            summary: "Looks through compact filters for blocks that may matter to descriptors. Needs -blockfilterindex.",
            args: &[
                Arg::required(
                    "action",
                    Kind::String,
                    "start looks, abort ends a search under way, status shows how far it is",
                ),
                Arg::optional("scanobjects", Kind::Array, "Descriptors; needed to start")
                    .with(SCAN_OBJECTS)
                    .shown_as("[scanobjects,...]"),
                Arg::default(
                    "start_height",
                    Kind::Number,
                    "0",
                    "The first block's height",
                ),
                Arg::hint(
                    "stop_height",
                    Kind::Number,
                    "chain tip",
                    "The last block's height",
                ),
                Arg::default("filtertype", Kind::String, "\"basic\"", "The filters' type"),
                Arg::optional("options", Kind::ObjectNamedParams, "Options")
                    .shown_as("options")
                    .with(&[Arg::default(
                        "filter_false_positives",
                        Kind::Bool,
                        "false",
                        "Look into each block that a filter points to",
                    )]),
            ],
            results: crate::rpc::results::chain::SCAN_BLOCKS,
            examples: &[
                "start '[\"addr(bcrt1q4u4nsgk6ug0sqz7r3rj9tykjxrsl0yy4d0wwte)\"]' 300000",
                "status",
                "abort",
            ],
        },
        run: scan_blocks,
    },
];

fn refused(code: i32, message: impl Into<String>) -> RpcError {
    RpcError::new(code, message)
}

/// The index of a type of filters.
fn index<'a>(parts: &'a NodeParts, name: &str) -> Result<&'a FilterIndex, RpcError> {
    if name != BASIC {
        return Err(refused(code::INVALID_ADDRESS_OR_KEY, "Unknown filtertype"));
    }
    parts.indexes.filters.as_ref().ok_or_else(|| {
        refused(
            code::MISC_ERROR,
            format!("Index is not enabled for filtertype {name}"),
        )
    })
}

fn get_block_filter(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let hash = context.arguments.hash(0)?;
    let index = index(parts, context.arguments.string(1)?)?;
    let block = parts.block(&hash)?;
    let synced = index.follower().wait_until_synced();
    let found = index.filter(&block).and_then(|filter| {
        let header = index.header(&block)?;
        Ok(filter.zip(header))
    });
    let found = found.unwrap_or_else(|error| {
        tracing::error!("{error}");
        None
    });
    if let Some((filter, header)) = found {
        return Ok(json!({
            "filter": filter.content.to_lower_hex_string(),
            "header": header.to_string(),
        }));
    }
    let (code, reason) = if block.validity < Validity::Scripts {
        (
            code::INVALID_ADDRESS_OR_KEY,
            "Block was not connected to active chain.",
        )
    } else if !synced {
        (
            code::MISC_ERROR,
            "Block filters are still in the process of being indexed.",
        )
    } else {
        (
            code::INTERNAL_ERROR,
            "This error is unexpected and indicates index corruption.",
        )
    };
    Err(refused(code, format!("Filter not found. {reason}")))
}

fn scan_blocks(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let scan = &parts.filter_scan;
    match context.arguments.string(0)? {
        "status" => Ok(if scan.running.load(Ordering::Acquire) {
            json!({
                "progress": scan.progress.load(Ordering::Acquire),
                "current_height": scan.height.load(Ordering::Acquire),
            })
        } else {
            Value::Null
        }),
        "abort" => {
            let running = scan.running.load(Ordering::Acquire);
            scan.abort.store(running, Ordering::Release);
            Ok(json!(running))
        }
        "start" => start(parts, context),
        other => Err(refused(
            code::INVALID_PARAMETER,
            format!("Invalid action '{other}'"),
        )),
    }
}

fn start(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let Some(running) = parts.filter_scan.start() else {
        return Err(refused(
            code::INVALID_PARAMETER,
            "Scan already in progress, use action \"abort\" or \"status\"",
        ));
    };
    let scan = running.0;
    if context.arguments.opt(1).is_none() {
        return Err(refused(
            code::MISC_ERROR,
            "scanobjects argument is required for the start action",
        ));
    }
    let index = index(parts, context.arguments.string(4)?)?;
    let check_blocks = match context.arguments.opt(5).map(value::object).transpose()? {
        None => false,
        Some(options) => options
            .get("filter_false_positives")
            .filter(|given| !given.is_null())
            .map_or(Ok(false), value::boolean)?,
    };
    let from = match context.arguments.opt_int::<i32>(2)? {
        None => 0,
        Some(height) => {
            at(parts, height)
                .ok_or_else(|| refused(code::MISC_ERROR, "Invalid start_height"))?
                .height
        }
    };
    let stop = match context.arguments.opt_int::<i32>(3)? {
        None => parts.chain.tip(),
        Some(height) => at(parts, height)
            .filter(|block| block.height >= from)
            .ok_or_else(|| refused(code::MISC_ERROR, "Invalid stop_height"))?,
    };
    let mut needles = HashSet::new();
    for object in context.arguments.array(1)? {
        needles.extend(
            scripts(parts, object)?
                .into_iter()
                .map(|(script, _)| script),
        );
    }

    scan.abort.store(false, Ordering::Release);
    scan.progress.store(0, Ordering::Release);
    scan.height.store(from, Ordering::Release);
    let (mut relevant, mut completed, mut reached) = (Vec::new(), true, from);
    let mut next = from;
    while next <= stop.height {
        if scan.abort.load(Ordering::Acquire) || context.interrupt.is_raised() {
            completed = false;
            break;
        }
        let end = next.saturating_add(CHUNK - 1).min(stop.height);
        let end_block = match parts.chain.ancestor(&stop.hash, end) {
            Some(hash) => parts.block(&hash)?,
            None => break,
        };
        // Blocks that are not indexed yet are passed over.
        let filters = index.filters(next, &end_block).map_err(index_error)?;
        for (hash, filter) in filters.unwrap_or_default() {
            let query = needles.iter().map(|script| script.as_bytes());
            let matches = filter
                .match_any(&hash, query)
                .map_err(|error| refused(code::INTERNAL_ERROR, error.to_string()))?;
            if matches && (!check_blocks || has_script(parts, &parts.block(&hash)?, &needles)?) {
                relevant.push(hash.to_string());
            }
        }
        reached = end;
        let percent = match stop.height - from {
            0 => 100,
            total => u64::from(end - from) * 100 / u64::from(total),
        };
        scan.progress.store(percent as u32, Ordering::Release);
        scan.height.store(end, Ordering::Release);
        next = end + 1;
    }
    Ok(json!({
        "from_height": from,
        "to_height": reached,
        "relevant_blocks": relevant,
        "completed": completed,
    }))
}

/// The active chain's block at a height.
fn at(parts: &NodeParts, height: i32) -> Option<BlockSummary> {
    let height = u32::try_from(height).ok()?;
    parts.chain.block_summary_at(height)
}

/// Whether a block creates or spends an output with one of the scripts.
fn has_script(
    parts: &NodeParts,
    summary: &BlockSummary,
    scripts: &HashSet<ScriptBuf>,
) -> Result<bool, RpcError> {
    let block = read_block(parts, summary)?;
    let mut created = block.txdata.iter().flat_map(|tx| &tx.output);
    if created.any(|output| scripts.contains(&output.script_pubkey)) {
        return Ok(true);
    }
    if summary.height == 0 {
        return Ok(false);
    }
    let undo = parts
        .chain
        .read_undo(&summary.hash)
        .ok()
        .flatten()
        .ok_or_else(undo_unreadable)?;
    let mut spent = undo.0.iter().flatten();
    Ok(spent.any(|coin| scripts.contains(&coin.output.script_pubkey)))
}
