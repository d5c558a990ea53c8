//! What the methods about transactions give, where it is large.

use btc_interfaces::rpc::encode::shape::{SCRIPT_TYPE, TRANSACTION, TRANSACTION_WITH_PREVOUTS};
use btc_interfaces::rpc::table::Shape;

/// Where a transaction is.
const PLACE: &[Shape] = &[
    Shape::bool(
        "in_active_chain",
        "Whether the block is on the active chain; only if one was named",
    )
    .optional(),
    Shape::hex("blockhash", "The block's hash").optional(),
    Shape::number(
        "vsize_adjusted",
        "Virtual size in vB, counting signature operations",
    )
    .optional(),
    Shape::number("confirmations", "Blocks since, with its own").optional(),
    Shape::time("blocktime", "Its block's time").optional(),
    Shape::number("time", "The block's time").optional(),
    Shape::hex("hex", "Its bytes"),
];

/// What `getrawtransaction` gives.
pub(in crate::rpc) const GET_RAW_TRANSACTION: &[Shape] = &[
    Shape::string("", "The transaction in hexadecimal").when("verbosity 0"),
    Shape::object("", "", &[Shape::fields(PLACE), Shape::fields(TRANSACTION)]).when("verbosity 1"),
    Shape::object(
        "",
        "",
        &[
            Shape::elided("As for verbosity 1", PLACE),
            Shape::number("fee", "The fee in BTC, if what it spends is known").optional(),
            Shape::fields(TRANSACTION_WITH_PREVOUTS),
        ],
    )
    .when("verbosity 2"),
];

/// What `decoderawtransaction` gives.
pub(in crate::rpc) const DECODE_RAW_TRANSACTION: &[Shape] =
    &[Shape::object("", "The transaction", TRANSACTION)];

/// What `decodescript` gives.
pub(in crate::rpc) const DECODE_SCRIPT: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string("asm", "The script in words"),
        Shape::string("desc", "A descriptor of it"),
        Shape::string("type", "Its kind"),
        Shape::string("address", "Its address").optional(),
        Shape::string("p2sh", "The address of its hash").optional(),
        Shape::object(
            "segwit",
            "The same for a witness program",
            &[
                Shape::string("asm", "The script in words"),
                Shape::hex("hex", "Its bytes"),
                SCRIPT_TYPE,
                Shape::string("address", "The address, if the script has one").optional(),
                Shape::string("desc", "A descriptor of it"),
                Shape::string("p2sh-segwit", "The address of its hash as a nested program"),
            ],
        )
        .optional(),
    ],
)];

/// What `signrawtransactionwithkey` gives.
pub(in crate::rpc) const SIGN_RAW_TRANSACTION_WITH_KEY: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::hex("hex", "The transaction with signatures"),
        Shape::bool("complete", "Whether all inputs are signed"),
        Shape::array(
            "errors",
            "Inputs that are not",
            &[Shape::object(
                "",
                "",
                &[
                    Shape::hex("txid", "The transaction that is spent from"),
                    Shape::number("vout", "The output's number"),
                    Shape::array("witness", "The witness so far", &[Shape::hex("", "")]),
                    Shape::hex("scriptSig", "The script so far"),
                    Shape::number("sequence", "The sequence number"),
                    Shape::string("error", "What is wrong"),
                ],
            )],
        )
        .optional(),
    ],
)];

/// What `submitpackage` gives.
pub(in crate::rpc) const SUBMIT_PACKAGE: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string(
            "package_msg",
            "\"success\" if all are in the mempool, or what hinders",
        ),
        Shape::map(
            "tx-results",
            "By id over the witness",
            &[Shape::object(
                "wtxid",
                "One transaction",
                &[
                    Shape::hex("txid", "Its id"),
                    Shape::hex(
                        "other-wtxid",
                        "It is in the mempool with this witness instead",
                    )
                    .optional(),
                    Shape::number(
                        "vsize_adjusted",
                        "Size in vB, counting signature operations",
                    )
                    .optional(),
                    Shape::number("vsize", "The same").optional(),
                    Shape::number("vsize_bip141", "Size in vB").optional(),
                    Shape::object(
                        "fees",
                        "What it pays",
                        &[
                            Shape::amount("base", "What it pays, in BTC"),
                            Shape::amount(
                                "effective-feerate",
                                "The feerate it was judged by, in BTC/kvB",
                            )
                            .optional(),
                            Shape::array(
                                "effective-includes",
                                "The transactions that feerate is of",
                                &[Shape::hex("", "")],
                            )
                            .optional(),
                        ],
                    )
                    .optional(),
                    Shape::string("error", "Why it is not taken").optional(),
                ],
            )],
        ),
        Shape::array(
            "replaced-transactions",
            "Those whose place they took",
            &[Shape::hex("", "")],
        )
        .optional(),
    ],
)];

/// What `testmempoolaccept` gives.
pub(in crate::rpc) const TEST_MEMPOOL_ACCEPT: &[Shape] = &[Shape::array(
    "",
    "",
    &[Shape::object(
        "",
        "",
        &[
            Shape::hex("txid", "Its id"),
            Shape::hex("wtxid", "Its id over the witness too"),
            Shape::string(
                "package-error",
                "The rule about packages that they break together",
            )
            .optional(),
            Shape::bool(
                "allowed",
                "Whether it would be taken; not told if another one failed first",
            )
            .optional(),
            Shape::number(
                "vsize_adjusted",
                "Size in vB, counting signature operations",
            )
            .optional(),
            Shape::number("vsize", "The same").optional(),
            Shape::number("vsize_bip141", "Size in vB").optional(),
            Shape::object(
                "fees",
                "What it pays",
                &[
                    Shape::amount("base", "The fee as paid, in BTC"),
                    Shape::amount(
                        "effective-feerate",
                        "The feerate it was judged by, in BTC/kvB",
                    ),
                    Shape::array(
                        "effective-includes",
                        "The transactions that this feerate is of, by their ids over the witness",
                        &[Shape::hex("", "")],
                    ),
                ],
            )
            .optional(),
            Shape::string("reject-reason", "The rule against it").optional(),
            Shape::string("reject-details", "More on the same").optional(),
        ],
    )],
)];
