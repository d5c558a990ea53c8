//! What the JSON of transactions and scripts is, as data for the tables of methods.

use crate::rpc::table::Shape;

/// The kind of an output script.
pub const SCRIPT_TYPE: Shape = Shape::string(
    "type",
    "Its kind: nonstandard, anchor, pubkey, pubkeyhash, scripthash, multisig, nulldata, witness_v0_scripthash, \
     witness_v0_keyhash, witness_v1_taproot or witness_unknown",
);

/// An output script, as [`script_pubkey`](super::script_pubkey) shows it.
pub const SCRIPT_PUB_KEY: &[Shape] = &[
    Shape::string("asm", "The script in words"),
    Shape::string("desc", "A descriptor of it"),
    Shape::hex("hex", "Its bytes"),
    Shape::string("address", "The address, if the script has one").optional(),
    SCRIPT_TYPE,
];

/// What a transaction is besides its inputs and outputs.
pub const TRANSACTION_HEAD: &[Shape] = &[
    Shape::hex("txid", "The transaction's id"),
    Shape::hex("hash", "Its id over the witness"),
    Shape::number("size", "Size in bytes"),
    Shape::number("vsize", "Virtual size in vB"),
    Shape::number("weight", "Weight"),
    Shape::number("version", "The version"),
    Shape::time("locktime", "The lock time"),
];

/// An input.
pub const INPUT: &[Shape] = &[
    Shape::hex("coinbase", "The script, in a coinbase").optional(),
    Shape::hex("txid", "The transaction that it spends from").optional(),
    Shape::number("vout", "The number of the output that it spends").optional(),
    Shape::object(
        "scriptSig",
        "The script, but in a coinbase",
        &[
            Shape::string("asm", "The script in words"),
            Shape::hex("hex", "Its bytes"),
        ],
    )
    .optional(),
    Shape::array("txinwitness", "The witness", &[Shape::hex("", "")]).optional(),
    Shape::number("sequence", "The sequence number"),
];

/// An output.
pub const OUTPUT: &[Shape] = &[
    Shape::amount("value", "The value in BTC"),
    Shape::number("n", "Its place among the outputs"),
    Shape::object("scriptPubKey", "The script", SCRIPT_PUB_KEY),
];

/// A transaction.
pub const TRANSACTION: &[Shape] = &[
    Shape::fields(TRANSACTION_HEAD),
    Shape::array("vin", "What it spends", &[Shape::object("", "", INPUT)]),
    Shape::array("vout", "What it pays", &[Shape::object("", "", OUTPUT)]),
];

/// A transaction with the outputs that it spends.
pub const TRANSACTION_WITH_PREVOUTS: &[Shape] = &[
    Shape::fields(TRANSACTION_HEAD),
    Shape::array(
        "vin",
        "What it spends",
        &[Shape::object(
            "",
            "",
            &[
                Shape::elided("As without the outputs that it spends", INPUT),
                Shape::object(
                    "prevout",
                    "The output that it spends, if known",
                    &[
                        Shape::bool("generated", "Whether a coinbase made it"),
                        Shape::number("height", "Height of its block"),
                        Shape::amount("value", "The value in BTC"),
                        Shape::object("scriptPubKey", "The script", SCRIPT_PUB_KEY),
                    ],
                )
                .optional(),
            ],
        )],
    ),
    Shape::array("vout", "What it pays", &[Shape::object("", "", OUTPUT)]),
];
