//! What the larger results of the wallet's methods are.

use btc_interfaces::rpc::encode::shape::{INPUT, SCRIPT_PUB_KEY, TRANSACTION_HEAD};
use btc_interfaces::rpc::table::Shape;

/// A block.
const LAST_BLOCK: &[Shape] = &[
    Shape::hex("hash", "The hash"),
    Shape::number("height", "The height"),
];

/// What every view of a transaction shows.
const WALLET_TRANSACTION: &[Shape] = &[
    Shape::number(
        "confirmations",
        "Blocks since, with its own; negative if a block holds a conflicting one that deep",
    ),
    Shape::bool("generated", "Whether a coinbase made it").optional(),
    Shape::bool(
        "trusted",
        "Whether it may be spent from; only of what is unconfirmed",
    )
    .optional(),
    Shape::hex("blockhash", "The block that it is in").optional(),
    Shape::number("blockheight", "Height of its block").optional(),
    Shape::number("blockindex", "Its place in its block").optional(),
    Shape::time("blocktime", "Its block's time").optional(),
    Shape::hex("txid", "The transaction's id"),
    Shape::hex("wtxid", "Its id over the witness"),
    Shape::array(
        "alternate_wtxids",
        "Ids over the witness of the same transaction with other witnesses",
        &[Shape::hex("", "")],
    ),
    Shape::array(
        "walletconflicts",
        "Transactions in blocks that stand against it",
        &[Shape::hex("", "")],
    ),
    Shape::hex(
        "replaced_by_txid",
        "What it was replaced by; of what the wallet sent",
    )
    .optional(),
    Shape::hex("replaces_txid", "What it replaced; of what the wallet sent").optional(),
    Shape::array(
        "mempoolconflicts",
        "Transactions in the mempool that stand against it",
        &[Shape::hex("", "")],
    ),
    Shape::string("to", "The comment on the payee").optional(),
    Shape::time(
        "time",
        "Its time: of its block if sensible, or when it was first seen",
    ),
    Shape::time("timereceived", "When it was first seen"),
    Shape::string("comment", "The comment that was given with it").optional(),
    Shape::string(
        "bip125-replaceable",
        "Always says yes, no or unknown on replacement as of BIP 125 (deprecated)",
    )
    .optional(),
];

/// The script behind the script behind an address.
const EMBEDDED_SCRIPT: &[Shape] = &[
    Shape::string("address", "The address").optional(),
    Shape::hex("scriptPubKey", "The script").optional(),
    Shape::bool("isscript", "Whether it stands for the hash of a script").optional(),
    Shape::bool("iswitness", "Whether it is a witness program").optional(),
    Shape::number("witness_version", "The program's version").optional(),
    Shape::hex("witness_program", "The program").optional(),
    Shape::string("script", "The script").optional(),
    Shape::hex("hex", "Its bytes").optional(),
    Shape::array(
        "pubkeys",
        "The keys of a multisig script",
        &[Shape::string("", "")],
    )
    .optional(),
    Shape::number(
        "sigsrequired",
        "How many signatures a multisig script asks for",
    )
    .optional(),
    Shape::hex("pubkey", "The public key").optional(),
    Shape::bool("iscompressed", "Whether the key is compressed").optional(),
];

/// The script behind an address.
const EMBEDDED: &[Shape] = &[
    Shape::fields(EMBEDDED_SCRIPT),
    Shape::object(
        "embedded",
        "What is known of the script behind it",
        EMBEDDED_SCRIPT,
    )
    .optional(),
];

/// What `getaddressinfo` gives.
pub(super) const GET_ADDRESS_INFO: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string("address", "The address"),
        Shape::hex("scriptPubKey", "The script"),
        Shape::bool("ismine", "Whether the wallet can sign for it"),
        Shape::bool("iswatchonly", "Always false (deprecated)"),
        Shape::bool(
            "solvable",
            "Whether it is known how to spend from it, but for private keys",
        ),
        Shape::string("desc", "A descriptor of it").optional(),
        Shape::string("parent_desc", "The wallet's descriptor that it comes from").optional(),
        Shape::bool("isscript", "Whether it stands for the hash of a script").optional(),
        Shape::bool("ischange", "Whether it takes change"),
        Shape::bool("iswitness", "Whether it is a witness program"),
        Shape::number("witness_version", "The program's version").optional(),
        Shape::hex("witness_program", "The program").optional(),
        Shape::string("script", "The script").optional(),
        Shape::hex("hex", "Its bytes").optional(),
        Shape::array(
            "pubkeys",
            "The keys of a multisig script",
            &[Shape::string("", "")],
        )
        .optional(),
        Shape::number(
            "sigsrequired",
            "How many signatures a multisig script asks for",
        )
        .optional(),
        Shape::hex("pubkey", "The public key").optional(),
        Shape::object(
            "embedded",
            "What is known of the script behind it",
            EMBEDDED,
        )
        .optional(),
        Shape::bool("iscompressed", "Whether the key is compressed").optional(),
        Shape::time("timestamp", "When it was made").optional(),
        Shape::string("hdkeypath", "The path that its key comes by").optional(),
        Shape::hex("hdseedid", "The hash of the seed that its key comes from").optional(),
        Shape::hex(
            "hdmasterfingerprint",
            "The fingerprint of the key that its key comes from",
        )
        .optional(),
        Shape::array(
            "labels",
            "Its labels: none or one",
            &[Shape::string("", "")],
        ),
    ],
)];

/// What `getbalances` gives.
pub(super) const GET_BALANCES: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::object(
            "mine",
            "What the wallet can sign for",
            &[
                Shape::amount("trusted", "What is confirmed, or the wallet's own"),
                Shape::amount("untrusted_pending", "What others sent that is unconfirmed"),
                Shape::amount("immature", "What coinbases paid that cannot be spent yet"),
                Shape::amount(
                    "nonmempool",
                    "What transactions spend that are not in the mempool, negative",
                ),
                Shape::amount(
                    "used",
                    "What lies on addresses that were spent from before; if the wallet minds that",
                )
                .optional(),
            ],
        ),
        Shape::object(
            "lastprocessedblock",
            "The block up to which this holds",
            LAST_BLOCK,
        ),
    ],
)];

/// What `gettransaction` gives.
pub(super) const GET_TRANSACTION: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::amount("amount", "The value in BTC"),
        Shape::amount("fee", "The fee in BTC, negative; of what the wallet sent").optional(),
        Shape::fields(WALLET_TRANSACTION),
        Shape::array(
            "parent_descs",
            "The wallet's descriptors that it comes from",
            &[Shape::string("", "")],
        )
        .optional(),
        Shape::array(
            "details",
            "What it pays, output by output",
            &[Shape::object(
                "",
                "",
                &[
                    Shape::string("address", "The address that was paid").optional(),
                    Shape::string(
                        "category",
                        "send, receive, or of a coinbase generate, immature or orphan",
                    ),
                    Shape::amount("amount", "The value in BTC"),
                    Shape::string("label", "The label").optional(),
                    Shape::number("vout", "The number of the output"),
                    Shape::amount("fee", "The fee in BTC, negative; of what the wallet sent")
                        .optional(),
                    Shape::bool(
                        "abandoned",
                        "Whether its outputs were given up for spending again",
                    ),
                    Shape::array(
                        "parent_descs",
                        "The wallet's descriptors that it comes from",
                        &[Shape::string("", "")],
                    )
                    .optional(),
                ],
            )],
        ),
        Shape::hex("hex", "Its bytes"),
        Shape::object(
            "decoded",
            "The transaction as data, if asked for",
            &[
                Shape::fields(TRANSACTION_HEAD),
                Shape::array("vin", "What it spends", &[Shape::object("", "", INPUT)]),
                Shape::array(
                    "vout",
                    "What it pays",
                    &[Shape::object(
                        "",
                        "",
                        &[
                            Shape::amount("value", "The value in BTC"),
                            Shape::number("n", "Its place among the outputs"),
                            Shape::object("scriptPubKey", "The script", SCRIPT_PUB_KEY),
                            Shape::bool("ischange", "Always true: it takes change").optional(),
                        ],
                    )],
                ),
            ],
        )
        .optional(),
        Shape::object(
            "lastprocessedblock",
            "The block up to which this holds",
            LAST_BLOCK,
        ),
    ],
)];

/// What `getwalletinfo` gives.
pub(super) const GET_WALLET_INFO: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string("walletname", "The wallet's name"),
        Shape::number("walletversion", "Always 169900 (deprecated)"),
        Shape::string("format", "The format of its file"),
        Shape::number("txcount", "Transactions in the wallet"),
        Shape::number(
            "keypoolsize",
            "Keys made ahead for addresses that are given out",
        ),
        Shape::number("keypoolsize_hd_internal", "Keys made ahead for change").optional(),
        Shape::time(
            "unlocked_until",
            "When it will be locked again, 0 if it is locked; only of encrypted wallets",
        )
        .optional(),
        Shape::bool("private_keys_enabled", "Whether it may hold private keys"),
        Shape::bool(
            "avoid_reuse",
            "Whether coins of addresses that were spent from before are set apart",
        ),
        Shape::object(
            "scanning",
            "The search for transactions that is under way, or false",
            &[
                Shape::number("duration", "Seconds since it began"),
                Shape::number("progress", "How far it is, 0 to 1"),
            ],
        )
        .unchecked(),
        Shape::bool("descriptors", "Always true: scripts come from descriptors"),
        Shape::bool("external_signer", "Whether a device outside signs"),
        Shape::bool("blank", "Whether it was made without keys"),
        Shape::time("birthtime", "Blocks before this time need not be searched").optional(),
        Shape::array("flags", "What was set for it", &[Shape::string("", "")]),
        Shape::object(
            "lastprocessedblock",
            "The block up to which this holds",
            LAST_BLOCK,
        ),
    ],
)];

/// What `listdescriptors` gives.
pub(super) const LIST_DESCRIPTORS: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::string("wallet_name", "The wallet's name"),
        Shape::array(
            "descriptors",
            "The descriptors, sorted by their text",
            &[Shape::object(
                "",
                "",
                &[
                    Shape::string("desc", "The descriptor"),
                    Shape::number("timestamp", "When it was made"),
                    Shape::bool("active", "Whether new addresses come from it"),
                    Shape::bool(
                        "internal",
                        "Whether change goes to it, or else addresses that are given out",
                    )
                    .optional(),
                    Shape::tuple(
                        "range",
                        "First and last index; of ranged descriptors",
                        &[Shape::number("", ""), Shape::number("", "")],
                    )
                    .optional(),
                    Shape::number("next", "The same as next_index").optional(),
                    Shape::number("next_index", "The index of the next address").optional(),
                ],
            )],
        ),
    ],
)];

/// What `listtransactions` gives.
pub(super) const LIST_TRANSACTIONS: &[Shape] = &[Shape::array(
    "",
    "",
    &[Shape::object(
        "",
        "",
        &[
            Shape::string("address", "The address that was paid").optional(),
            Shape::string(
                "category",
                "send, receive, or of a coinbase generate, immature or orphan",
            ),
            Shape::amount("amount", "The value in BTC"),
            Shape::string("label", "The label").optional(),
            Shape::number("vout", "The number of the output"),
            Shape::amount("fee", "The fee in BTC, negative; of what the wallet sent").optional(),
            Shape::fields(WALLET_TRANSACTION),
            Shape::array(
                "parent_descs",
                "The wallet's descriptors that it comes from",
                &[Shape::string("", "")],
            )
            .optional(),
            Shape::bool(
                "abandoned",
                "Whether its outputs were given up for spending again",
            ),
        ],
    )],
)];

/// What `listunspent` gives.
pub(super) const LIST_UNSPENT: &[Shape] = &[Shape::array(
    "",
    "",
    &[Shape::object(
        "",
        "",
        &[
            Shape::hex("txid", "The transaction's id"),
            Shape::number("vout", "The number of the output"),
            Shape::string("address", "The address, if the script has one").optional(),
            Shape::string("label", "The label").optional(),
            Shape::string("scriptPubKey", "The script"),
            Shape::amount("amount", "The value in BTC"),
            Shape::number("confirmations", "Blocks since, with its own"),
            Shape::number("ancestorcount", "Unconfirmed ancestors, itself counted").optional(),
            Shape::number(
                "ancestorsize",
                "Virtual size of it and its unconfirmed ancestors, in vB",
            )
            .optional(),
            Shape::amount(
                "ancestorfees",
                "Fees of it and its unconfirmed ancestors, as modified, in sat",
            )
            .optional(),
            Shape::hex("redeemScript", "The script behind its hash").optional(),
            Shape::string("witnessScript", "The script behind its witness program").optional(),
            Shape::bool("spendable", "Always true (deprecated)"),
            Shape::bool(
                "solvable",
                "Whether it is known how to spend from it, but for private keys",
            ),
            Shape::bool(
                "reused",
                "Whether its address was spent from before; if the wallet minds that",
            )
            .optional(),
            Shape::string("desc", "A descriptor of it").optional(),
            Shape::array(
                "parent_descs",
                "The wallet's descriptors that it comes from",
                &[Shape::string("", "")],
            ),
            Shape::bool(
                "safe",
                "Whether it is safe to spend: confirmed, or the wallet's own",
            ),
        ],
    )],
)];

/// What `signrawtransactionwithwallet` gives.
pub(super) const SIGN_RAW_TRANSACTION_WITH_WALLET: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::hex("hex", "Its bytes"),
        Shape::bool("complete", "Whether all inputs are signed"),
        Shape::array(
            "errors",
            "What went wrong",
            &[Shape::object(
                "",
                "",
                &[
                    Shape::hex("txid", "The transaction that it spends from"),
                    Shape::number("vout", "The number of the output"),
                    Shape::array("witness", "The witness", &[Shape::hex("", "")]),
                    Shape::hex("scriptSig", "The script, but in a coinbase"),
                    Shape::number("sequence", "The sequence number"),
                    Shape::string("error", "What is wrong"),
                ],
            )],
        )
        .optional(),
    ],
)];
