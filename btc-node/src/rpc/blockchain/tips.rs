//! Branches of the chain, and choosing among them by hand.

use super::super::context::{Entry, NodeParts, submit_error};
use super::super::registry::{RequestContext, RpcResult};
use crate::chainstate::SubmitError;
use bitcoin::BlockHash;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use serde_json::{Value, json};

const BLOCK_HASH: &[Arg] = &[Arg::required(
    "blockhash",
    Kind::StringHex,
    "The block's hash",
)];

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getchaintips",
            category: "blockchain",
            summary: "Lists the ends of all branches of the block tree.",
            args: &[],
            results: &[Shape::array(
                "",
                "",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::number("height", "Height of the branch's last block"),
                        Shape::hex("hash", "Hash of that block"),
                        Shape::number(
                            "branchlen",
                            "Blocks since it left the active chain, 0 for the active tip",
                        ),
                        Shape::string(
                            "status",
                            "active, valid-fork, valid-headers, headers-only or invalid",
                        ),
                    ],
                )],
            )],
            examples: &[""],
        },
        run: get_chain_tips,
    },
    Entry {
        method: Method {
            name: "invalidateblock",
            category: "hidden",
            summary: "Treats a block as invalid from now on.",
            args: BLOCK_HASH,
            results: &[Shape::null()],
            examples: &["\"blockhash\""],
        },
        run: |parts, context| {
            change(parts, context, |parts, hash| {
                parts.chain.invalidate_block(hash)
            })
        },
    },
    Entry {
        method: Method {
            name: "reconsiderblock",
            category: "hidden",
            summary: "Takes back what invalidateblock said of a block, its ancestors and its descendants.",
            args: BLOCK_HASH,
            results: &[Shape::null()],
            examples: &["\"blockhash\""],
        },
        run: |parts, context| {
            change(parts, context, |parts, hash| {
                parts.chain.reconsider_block(hash)
            })
        },
    },
    Entry {
        method: Method {
            name: "preciousblock",
            category: "blockchain",
            summary: "Treats a block as if it had come before all others with the same work. A later call outdoes an earlier one; nothing is kept over a restart.",
            args: BLOCK_HASH,
            results: &[Shape::null()],
            examples: &["\"blockhash\""],
        },
        run: |parts, context| {
            change(parts, context, |parts, hash| {
                parts.chain.precious_block(hash)
            })
        },
    },
    Entry {
        method: Method {
            name: "verifychain",
            category: "blockchain",
            summary: "Checks the last blocks of the chain again.",
            args: &[
                Arg::hint(
                    "checklevel",
                    Kind::Number,
                    "3, range=0-4",
                    "How thoroughly: 0 reads blocks, 1 checks them, 2 reads undo data, 3 disconnects tip blocks in memory, 4 connects them again",
                ),
                Arg::hint("nblocks", Kind::Number, "6, 0=all", "How many blocks"),
            ],
            results: &[Shape::bool(
                "",
                "Whether they passed; if not, the log says why",
            )],
            examples: &[""],
        },
        run: verify_chain,
    },
    Entry {
        method: Method {
            name: "syncwithvalidationinterfacequeue",
            category: "hidden",
            summary: "Returns when all that happened before the call is told to the wallets and other listeners.",
            args: &[],
            results: &[Shape::null()],
            examples: &[""],
        },
        run: |parts, _| {
            parts.chain.notifier().sync_with_queue();
            Ok(Value::Null)
        },
    },
];

fn get_chain_tips(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    let tips = parts.chain.chain_tips().into_iter().map(|tip| {
        json!({
            "height": tip.height,
            "hash": tip.hash.to_string(),
            "branchlen": tip.branch_len,
            "status": tip.status.as_str(),
        })
    });
    Ok(tips.collect())
}

fn change(
    parts: &NodeParts,
    context: &RequestContext<'_>,
    change: impl Fn(&NodeParts, &BlockHash) -> Result<(), SubmitError>,
) -> RpcResult {
    change(parts, &context.arguments.hash(0)?).map_err(submit_error)?;
    Ok(Value::Null)
}

fn verify_chain(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let level: i32 = context.arguments.opt_int(0)?.unwrap_or(3);
    let blocks: i32 = context.arguments.opt_int(1)?.unwrap_or(6);
    let level = u32::try_from(level.clamp(0, 4)).unwrap_or(0);
    let blocks = u32::try_from(blocks).unwrap_or(0);
    Ok(json!(match parts.chain.verify_chain(level, blocks) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!("Verification error: {error}");
            false
        }
    }))
}
