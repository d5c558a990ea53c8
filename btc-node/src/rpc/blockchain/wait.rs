//! Waiting for blocks.

use super::super::context::{Entry, NodeParts};
use super::super::registry::{RequestContext, RpcResult};
use crate::chainstate::BlockSummary;
use bitcoin::BlockHash;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::json;
use std::time::{Duration, Instant};

/// How soon a call notices that the server stops.
const TICK: Duration = Duration::from_millis(250);

const TIMEOUT: Arg = Arg::default(
    "timeout",
    Kind::Number,
    "0",
    "Milliseconds to wait; 0 for as long as it takes",
);

const TIP: &[Shape] = &[Shape::object(
    "",
    "The tip then",
    &[
        Shape::hex("hash", "Its hash"),
        Shape::number("height", "Its height"),
    ],
)];

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "waitfornewblock",
            category: "blockchain",
            summary: "Waits until the tip is another one, and shows it.",
            args: &[
                TIMEOUT,
                Arg::hint(
                    "current_tip",
                    Kind::StringHex,
                    "the tip when the call comes",
                    "The tip that the caller knows",
                ),
            ],
            results: TIP,
            examples: &["1000"],
        },
        run: wait_for_new_block,
    },
    Entry {
        method: Method {
            name: "waitforblock",
            category: "blockchain",
            summary: "Waits until a certain block is the tip, and shows the tip.",
            args: &[
                Arg::required("blockhash", Kind::StringHex, "The hash to wait for"),
                TIMEOUT,
            ],
            results: TIP,
            examples: &["\"blockhash\" 1000"],
        },
        run: |parts, context| {
            let hash: BlockHash = context.arguments.hash(0)?;
            let timeout = timeout(context, 1)?;
            Ok(wait_until(parts, context, timeout, |tip| tip.hash == hash))
        },
    },
    Entry {
        method: Method {
            name: "waitforblockheight",
            category: "blockchain",
            summary: "Waits until the tip is at a height or above, and shows the tip.",
            args: &[
                Arg::required("height", Kind::Number, "The height to wait for"),
                TIMEOUT,
            ],
            results: TIP,
            examples: &["100 1000"],
        },
        run: |parts, context| {
            let height: i32 = context.arguments.int(0)?;
            let timeout = timeout(context, 1)?;
            Ok(wait_until(parts, context, timeout, |tip| {
                i64::from(tip.height) >= i64::from(height)
            }))
        },
    },
];

fn wait_for_new_block(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let timeout = timeout(context, 0)?;
    let known = match context.arguments.opt(1) {
        Some(hash) => value::hash(hash, "current_tip")?,
        None => parts.chain.tip().hash,
    };
    Ok(wait_until(parts, context, timeout, |tip| tip.hash != known))
}

/// The time to wait; `None` for no limit.
fn timeout(context: &RequestContext<'_>, index: usize) -> Result<Option<Duration>, RpcError> {
    match context.arguments.int::<i32>(index)? {
        0 => Ok(None),
        milliseconds => u64::try_from(milliseconds)
            .map(|milliseconds| Some(Duration::from_millis(milliseconds)))
            .map_err(|_| RpcError::new(code::MISC_ERROR, "Negative timeout")),
    }
}

/// Waits until the tip is as `done` wants it, the time is over, or the node stops; shows the tip then.
fn wait_until(
    parts: &NodeParts,
    context: &RequestContext<'_>,
    timeout: Option<Duration>,
    done: impl Fn(&BlockSummary) -> bool,
) -> serde_json::Value {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut tip = parts.chain.tip();
    while !done(&tip) && !context.interrupt.is_raised() {
        let left = deadline.map_or(TICK, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            break;
        }
        let tick = left.min(TICK);
        let start = Instant::now();
        match parts.chain.wait_tip_changed(&tip.hash, tick) {
            Some(new) => tip = new,
            // Earlier than asked for: the chainstate is closing.
            None if start.elapsed() < tick => break,
            None => {}
        }
    }
    json!({ "hash": tip.hash.to_string(), "height": tip.height })
}
