//! What the methods about blocks give, where it is large.

use btc_interfaces::rpc::encode::shape::{TRANSACTION, TRANSACTION_WITH_PREVOUTS};
use btc_interfaces::rpc::table::Shape;

/// What is told of a header, from its height on.
const HEADER: &[Shape] = &[
    Shape::number("height", "The height"),
    Shape::number("version", "The version"),
    Shape::hex("versionHex", "The version in hexadecimal"),
    Shape::hex("merkleroot", "The merkle root"),
    Shape::time("time", "The block's time"),
    Shape::time("mediantime", "The median time past"),
    Shape::number("nonce", "The nonce"),
    Shape::hex("bits", "The target in compact form"),
    Shape::hex("target", "The target"),
    Shape::number("difficulty", "The difficulty"),
    Shape::hex("chainwork", "The work of the chain up to this block"),
    Shape::number("nTx", "Transactions in it"),
    Shape::hex("previousblockhash", "The block before it").optional(),
    Shape::hex("nextblockhash", "The block after it").optional(),
];

/// A block without its transactions.
const BLOCK: &[Shape] = &[
    Shape::hex("hash", "The hash"),
    Shape::number(
        "confirmations",
        "Blocks since, with its own; -1 off the active chain",
    ),
    Shape::number("size", "Size in bytes"),
    Shape::number("strippedsize", "Size without witnesses, in bytes"),
    Shape::number("weight", "Weight"),
    Shape::object(
        "coinbase_tx",
        "What is of interest of the coinbase",
        &[
            Shape::number("version", "The version"),
            Shape::number("locktime", "The lock time"),
            Shape::number("sequence", "The sequence number"),
            Shape::hex("coinbase", "The script of its input"),
            Shape::hex("witness", "The one element of its witness").optional(),
        ],
    ),
    Shape::fields(HEADER),
];

/// What `getblock` gives.
pub(in crate::rpc) const GET_BLOCK: &[Shape] = &[
    Shape::hex("", "The block").when("verbosity 0"),
    Shape::object(
        "",
        "",
        &[
            Shape::fields(BLOCK),
            Shape::array("tx", "Ids of the transactions", &[Shape::hex("", "")]),
        ],
    )
    .when("verbosity 1"),
    Shape::object(
        "",
        "",
        &[
            Shape::elided("As for verbosity 1", BLOCK),
            Shape::array(
                "tx",
                "The transactions",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::elided("As decoderawtransaction shows it", TRANSACTION),
                        Shape::number("fee", "The fee in BTC, if what it spends is known")
                            .optional(),
                        Shape::hex("hex", "Its bytes"),
                    ],
                )],
            ),
        ],
    )
    .when("verbosity 2"),
    Shape::object(
        "",
        "",
        &[
            Shape::elided("As for verbosity 1", BLOCK),
            Shape::array(
                "tx",
                "The transactions",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::elided(
                            "As getrawtransaction shows it with verbosity 2",
                            TRANSACTION_WITH_PREVOUTS,
                        ),
                        Shape::number("fee", "The fee in BTC, if what it spends is known")
                            .optional(),
                        Shape::hex("hex", "Its bytes"),
                    ],
                )],
            ),
        ],
    )
    .when("verbosity 3"),
];

/// What `getblockheader` gives.
pub(in crate::rpc) const GET_BLOCK_HEADER: &[Shape] = &[
    Shape::object(
        "",
        "The header's fields and its place, or a string of hex",
        &[
            Shape::hex("hash", "The hash"),
            Shape::number(
                "confirmations",
                "Blocks since, with its own; -1 off the active chain",
            ),
            Shape::fields(HEADER),
        ],
    )
    .when("verbose"),
    Shape::hex("", "The header's fields and its place, or a string of hex").when("not verbose"),
];

/// What `getblockstats` gives.
pub(in crate::rpc) const GET_BLOCK_STATS: &[Shape] = &[Shape::object(
    "",
    "Fees, feerates, sizes, weights, inputs, outputs and the like, by name",
    &[
        Shape::number("avgfee", "The mean fee").optional(),
        Shape::number("avgfeerate", "The mean feerate, in sat/vB").optional(),
        Shape::number("avgtxsize", "The mean size of a transaction, in bytes").optional(),
        Shape::hex("blockhash", "The block's hash").optional(),
        Shape::tuple(
            "feerate_percentiles",
            "Feerates at the 10th, 25th, 50th, 75th and 90th percentile by weight, in sat/vB",
            &[
                Shape::number("", ""),
                Shape::number("", ""),
                Shape::number("", ""),
                Shape::number("", ""),
                Shape::number("", ""),
            ],
        )
        .optional(),
        Shape::number("height", "The height").optional(),
        Shape::number("ins", "Inputs, without the coinbase's").optional(),
        Shape::number("maxfee", "The highest fee").optional(),
        Shape::number("maxfeerate", "The highest feerate, in sat/vB").optional(),
        Shape::number("maxtxsize", "The largest transaction, in bytes").optional(),
        Shape::number("medianfee", "The median fee").optional(),
        Shape::number("mediantime", "The median time past").optional(),
        Shape::number("mediantxsize", "The median size of a transaction, in bytes").optional(),
        Shape::number("minfee", "The lowest fee").optional(),
        Shape::number("minfeerate", "The lowest feerate, in sat/vB").optional(),
        Shape::number("mintxsize", "The smallest transaction, in bytes").optional(),
        Shape::number("outs", "Outputs").optional(),
        Shape::number("subsidy", "The subsidy").optional(),
        Shape::number(
            "swtotal_size",
            "Size of all transactions with witnesses, in bytes",
        )
        .optional(),
        Shape::number(
            "swtotal_weight",
            "Weight of all transactions with witnesses",
        )
        .optional(),
        Shape::number("swtxs", "Transactions with witnesses").optional(),
        Shape::number("time", "The block's time").optional(),
        Shape::number(
            "total_out",
            "The values of all outputs, without the coinbase's",
        )
        .optional(),
        Shape::number(
            "total_size",
            "Size of all transactions, without the coinbase, in bytes",
        )
        .optional(),
        Shape::number(
            "total_weight",
            "Weight of all transactions, without the coinbase",
        )
        .optional(),
        Shape::number("totalfee", "The sum of the fees").optional(),
        Shape::number("txs", "Transactions").optional(),
        Shape::number("utxo_increase", "Unspent outputs more than before").optional(),
        Shape::number("utxo_size_inc", "Bytes of unspent outputs more than before").optional(),
        Shape::number(
            "utxo_increase_actual",
            "Unspent outputs more than before, those that nobody can spend left out",
        )
        .optional(),
        Shape::number(
            "utxo_size_inc_actual",
            "Bytes of unspent outputs more than before, those that nobody can spend left out",
        )
        .optional(),
    ],
)];

/// What `getchaintxstats` gives.
pub(in crate::rpc) const GET_CHAIN_TX_STATS: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::time("time", "The last block's time, in seconds since 1970"),
        Shape::number("txcount", "Transactions up to it").optional(),
        Shape::hex("window_final_block_hash", "The last block"),
        Shape::number("window_final_block_height", "Its height"),
        Shape::number("window_block_count", "Blocks in the stretch"),
        Shape::number(
            "window_interval",
            "Seconds between the median times of its ends",
        )
        .optional(),
        Shape::number("window_tx_count", "Transactions in it").optional(),
        Shape::number("txrate", "Transactions a second").optional(),
    ],
)];
