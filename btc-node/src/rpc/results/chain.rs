//! What the methods about the chain and its coins give, where it is large.

use btc_interfaces::rpc::encode::shape::{SCRIPT_PUB_KEY, SCRIPT_TYPE};
use btc_interfaces::rpc::table::Shape;

/// What `getblockchaininfo` gives.
pub(in crate::rpc) const GET_BLOCKCHAIN_INFO: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string(
            "chain",
            "The network: main, test, testnet4, signet or regtest",
        ),
        Shape::number("blocks", "Height of the active chain's tip"),
        Shape::number("headers", "Height of the best header"),
        Shape::string("bestblockhash", "Hash of the tip"),
        Shape::hex("bits", "The tip's target in compact form"),
        Shape::hex("target", "The tip's target"),
        Shape::number("difficulty", "The tip's difficulty"),
        Shape::time("time", "The tip's time, in seconds since 1970"),
        Shape::time(
            "mediantime",
            "The tip's median time past, in seconds since 1970",
        ),
        Shape::number(
            "verificationprogress",
            "Estimate of the verified part of all transactions, 0 to 1",
        ),
        Shape::bool(
            "initialblockdownload",
            "Whether the node is still catching up",
        ),
        Shape::object(
            "backgroundvalidation",
            "What is validated below a snapshot, as long as it is",
            &[
                Shape::number("snapshotheight", "Height of the snapshot's block"),
                Shape::number("blocks", "Height of the last block that was validated"),
                Shape::string("bestblockhash", "Its hash"),
                Shape::time("mediantime", "Its median time past, in seconds since 1970"),
                Shape::number(
                    "verificationprogress",
                    "The validated part of the transactions up to the snapshot, 0 to 1",
                ),
                Shape::hex("chainwork", "Work up to it"),
            ],
        )
        .optional(),
        Shape::hex("chainwork", "Work of the active chain"),
        Shape::number("size_on_disk", "Bytes of block and undo files"),
        Shape::bool("pruned", "Whether old blocks are deleted"),
        Shape::number(
            "pruneheight",
            "Height of the first block that is kept; if old ones are deleted",
        )
        .optional(),
        Shape::bool(
            "automatic_pruning",
            "Whether they are deleted without being asked; if at all",
        )
        .optional(),
        Shape::number(
            "prune_target_size",
            "Bytes that block files are kept below; if automatically",
        )
        .optional(),
        Shape::hex("signet_challenge", "Signet's challenge").optional(),
        Shape::array(
            "warnings",
            "Warnings about the network and the node",
            &[Shape::string("", "")],
        ),
    ],
)];

/// What `getchainstates` gives.
pub(in crate::rpc) const GET_CHAINSTATES: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::number("headers", "Height of the best header"),
        Shape::array(
            "chainstates",
            "By work, the active one last",
            &[Shape::object(
                "",
                "",
                &[
                    Shape::number("blocks", "Height of the tip"),
                    Shape::hex("bestblockhash", "Hash of the tip"),
                    Shape::hex("bits", "The tip's target in compact form"),
                    Shape::hex("target", "The tip's target"),
                    Shape::number("difficulty", "The tip's difficulty"),
                    Shape::number(
                        "verificationprogress",
                        "Estimate of the way to the network's tip that it has behind it, 0 to 1",
                    ),
                    Shape::hex(
                        "snapshot_blockhash",
                        "The block of the snapshot that it began with",
                    )
                    .optional(),
                    Shape::number("coins_db_cache_bytes", "Memory for its database"),
                    Shape::number("coins_tip_cache_bytes", "Memory for its outputs"),
                    Shape::bool("validated", "Whether every block of it was validated"),
                ],
            )],
        ),
    ],
)];

/// What `getdeploymentinfo` gives.
pub(in crate::rpc) const GET_DEPLOYMENT_INFO: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string("hash", "The block"),
        Shape::number("height", "Its height"),
        Shape::array(
            "script_flags",
            "Script rules of the block",
            &[Shape::string("", "")],
        ),
        Shape::map(
            "deployments",
            "Each change: type, height, active, and how it is signalled",
            &[Shape::object(
                "xxxx",
                "",
                &[
                    Shape::string("type", "buried or bip9"),
                    Shape::number("height", "The height").optional(),
                    Shape::bool("active", "Whether its rules hold for the next block"),
                    Shape::object(
                        "bip9",
                        "Votes in the blocks' versions; if they decide on it",
                        &[
                            Shape::number(
                                "bit",
                                "The bit that votes for it, 0 to 28; while they matter",
                            )
                            .optional(),
                            Shape::time("start_time", "Votes count from this median time on"),
                            Shape::time("timeout", "It fails if not decided by this median time"),
                            Shape::number(
                                "min_activation_height",
                                "It comes into force no lower than this",
                            ),
                            Shape::string(
                                "status",
                                "defined, started, locked_in, active or failed",
                            ),
                            Shape::number("since", "The first block that it is in this state at"),
                            Shape::string("status_next", "Where it stands at the block after"),
                            Shape::object(
                                "statistics",
                                "The votes of the current period; only while votes matter",
                                &[
                                    Shape::number("period", "Blocks in a period"),
                                    Shape::number(
                                        "threshold",
                                        "The votes that it needs; only while votes count",
                                    )
                                    .optional(),
                                    Shape::number("elapsed", "Blocks since the period began"),
                                    Shape::number("count", "Blocks of the period that voted"),
                                    Shape::bool(
                                        "possible",
                                        "Whether enough blocks are left; while votes count",
                                    )
                                    .optional(),
                                ],
                            )
                            .optional(),
                            Shape::string("signalling", "The period's blocks: # voted, - did not")
                                .optional(),
                        ],
                    )
                    .optional(),
                ],
            )],
        ),
    ],
)];

/// What `getdescriptoractivity` gives.
pub(in crate::rpc) const GET_DESCRIPTOR_ACTIVITY: &[Shape] = &[Shape::object(
    "",
    "",
    &[Shape::array(
        "activity",
        "By height, the mempool last",
        &[
            Shape::object(
                "",
                "",
                &[
                    Shape::string("type", "An output was spent"),
                    Shape::amount("amount", "Its value in BTC"),
                    Shape::hex("blockhash", "The block; none in the mempool").optional(),
                    Shape::number("height", "Its height").optional(),
                    Shape::hex("spend_txid", "The spending transaction"),
                    Shape::number("spend_vin", "The number of its input"),
                    Shape::hex("prevout_txid", "The transaction of the output"),
                    Shape::number("prevout_vout", "The output's number"),
                    Shape::object("prevout_spk", "Its script", SCRIPT_PUB_KEY),
                ],
            ),
            Shape::object(
                "",
                "",
                &[
                    Shape::string("type", "An output was spent"),
                    Shape::amount("amount", "Its value in BTC"),
                    Shape::hex("blockhash", "The block; none in the mempool").optional(),
                    Shape::number("height", "Its height").optional(),
                    Shape::hex("txid", "Its transaction"),
                    Shape::number("vout", "Its number"),
                    Shape::object("output_spk", "Its script", SCRIPT_PUB_KEY),
                ],
            ),
        ],
    )
    .unchecked()],
)];

/// What `gettxout` gives.
pub(in crate::rpc) const GET_TX_OUT: &[Shape] = &[
    Shape::null().when("not unspent"),
    Shape::object(
        "",
        "",
        &[
            Shape::hex("bestblock", "Hash of the tip"),
            Shape::number(
                "confirmations",
                "Blocks since, with its own; 0 in the mempool",
            ),
            Shape::amount("value", "Value in BTC"),
            Shape::object(
                "scriptPubKey",
                "The script",
                &[
                    Shape::string("asm", "The script in words"),
                    Shape::string("desc", "A descriptor of it"),
                    Shape::hex("hex", "Its bytes"),
                    SCRIPT_TYPE,
                    Shape::string("address", "The address, if the script has one").optional(),
                ],
            ),
            Shape::bool("coinbase", "Whether a coinbase made it"),
        ],
    )
    .when("otherwise"),
];

/// What `gettxoutsetinfo` gives.
pub(in crate::rpc) const GET_TX_OUT_SET_INFO: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::number("height", "Height of the block after which the figures hold"),
        Shape::hex("bestblock", "Its hash"),
        Shape::number("txouts", "Unspent outputs"),
        Shape::number("bogosize", "A size that depends on no database"),
        Shape::hex("hash_serialized_3", "The digest").optional(),
        Shape::hex("muhash", "The digest").optional(),
        Shape::number(
            "transactions",
            "Transactions with unspent outputs; not from an index",
        )
        .optional(),
        Shape::number(
            "disk_size",
            "About how many bytes they take on disk; not from an index",
        )
        .optional(),
        Shape::amount("total_amount", "Sum of the values in BTC"),
        Shape::amount(
            "total_unspendable_amount",
            "What nobody can spend, in BTC; only from an index",
        )
        .optional(),
        Shape::object(
            "block_info",
            "What the block did, in BTC; only from an index",
            &[
                Shape::amount("prevout_spent", "Values that it spent"),
                Shape::amount("coinbase", "Values that its coinbase created"),
                Shape::amount(
                    "new_outputs_ex_coinbase",
                    "Values that its other transactions created",
                ),
                Shape::amount("unspendable", "Values that nobody can spend"),
                Shape::object(
                    "unspendables",
                    "The same by cause",
                    &[
                        Shape::amount("genesis_block", "The subsidy of the genesis block"),
                        Shape::amount("bip30", "What coinbases lost that a later one repeated"),
                        Shape::amount(
                            "scripts",
                            "What was sent to scripts that nobody can satisfy",
                        ),
                        Shape::amount("unclaimed_rewards", "What miners did not take"),
                    ],
                ),
            ],
        )
        .optional(),
    ],
)];

/// What `scanblocks` gives.
pub(in crate::rpc) const SCAN_BLOCKS: &[Shape] = &[
    Shape::null().when("status, and none is under way"),
    Shape::object(
        "",
        "For start; abort gives a boolean; status null, or progress in percent and current_height",
        &[
            Shape::number("from_height", "The first block's height"),
            Shape::number("to_height", "The last block's height"),
            Shape::array(
                "relevant_blocks",
                "Blocks that may matter",
                &[Shape::hex("", "")],
            ),
            Shape::bool("completed", "Whether the search came to its end"),
        ],
    )
    .when("start, once it is done"),
    Shape::object(
        "",
        "For start; abort gives a boolean; status null, or progress in percent and current_height",
        &[
            Shape::number("progress", "How far it is, in percent"),
            Shape::number("current_height", "Height of the block that is looked at"),
        ],
    )
    .when("status, while one is under way"),
    Shape::bool(
        "",
        "For start; abort gives a boolean; status null, or progress in percent and current_height",
    )
    .when("abort"),
];

/// What `scantxoutset` gives.
pub(in crate::rpc) const SCAN_TX_OUT_SET: &[Shape] = &[
    Shape::object(
        "",
        "For start; abort gives a boolean, status null or {\"progress\": n}",
        &[
            Shape::bool("success", "Whether the search came to its end"),
            Shape::number("txouts", "Outputs looked at"),
            Shape::number("height", "Height of the block after which this holds"),
            Shape::hex("bestblock", "Its hash"),
            Shape::array(
                "unspents",
                "The outputs that were found",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::hex("txid", "The transaction"),
                        Shape::number("vout", "The output's number"),
                        Shape::hex("scriptPubKey", "Its script"),
                        Shape::string("desc", "A descriptor of the script"),
                        Shape::amount("amount", "Value in BTC"),
                        Shape::bool("coinbase", "Whether a coinbase made it"),
                        Shape::number("height", "Height of its block"),
                        Shape::hex("blockhash", "Hash of its block"),
                        Shape::number("confirmations", "Blocks since, with its own"),
                    ],
                )],
            ),
            Shape::amount("total_amount", "Sum of the values in BTC"),
        ],
    )
    .when("start, once it is done"),
    Shape::bool(
        "",
        "For start; abort gives a boolean, status null or {\"progress\": n}",
    )
    .when("abort"),
    Shape::object(
        "",
        "For start; abort gives a boolean, status null or {\"progress\": n}",
        &[Shape::number("progress", "How far it is, in percent")],
    )
    .when("status, while one is under way"),
    Shape::null().when("status, and none is under way"),
];

/// What `dumptxoutset` gives.
pub(in crate::rpc) const DUMP_TX_OUT_SET: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::number("coins_written", "Outputs in the file"),
        Shape::hex("base_hash", "The block after which they are unspent"),
        Shape::number("base_height", "Its height"),
        Shape::string("path", "The file, in full"),
        Shape::hex(
            "txoutset_hash",
            "The digest of the outputs, hash_serialized_3",
        ),
        Shape::number("nchaintx", "Transactions up to the block"),
    ],
)];

/// What `loadtxoutset` gives.
pub(in crate::rpc) const LOAD_TX_OUT_SET: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::number("coins_loaded", "Outputs in the file"),
        Shape::hex("tip_hash", "The block after which they are unspent"),
        Shape::number("base_height", "Its height"),
        Shape::string("path", "The file, in full"),
    ],
)];
