//! What the methods about mining give, where it is large.

use btc_interfaces::rpc::table::Shape;

/// What `getblocktemplate` gives.
pub(in crate::rpc) const GET_BLOCK_TEMPLATE: &[Shape] = &[
    Shape::null().when("a proposal that is good"),
    Shape::string(
        "",
        "The template as in BIP 22; or what stands against the proposal, null for nothing",
    )
    .when("a proposal that is not"),
    Shape::object(
        "",
        "The template as in BIP 22; or what stands against the proposal, null for nothing",
        &[
            Shape::number("version", "The version"),
            Shape::array(
                "rules",
                "Rules that hold for the block",
                &[Shape::string("", "")],
            ),
            Shape::map(
                "vbavailable",
                "Votes that are open, and their bits",
                &[Shape::number("rulename", "")],
            ),
            Shape::array(
                "capabilities",
                "What the server can do with proposals",
                &[Shape::string("", "")],
            ),
            Shape::number("vbrequired", "Bits of the version that must be set"),
            Shape::string("previousblockhash", "The block before it"),
            Shape::array(
                "transactions",
                "The transactions, without the coinbase",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::hex("data", "The transaction"),
                        Shape::hex("txid", "The transaction's id"),
                        Shape::hex("hash", "Its id over the witness"),
                        Shape::array(
                            "depends",
                            "Those of the list, counted from 1, that must come before it",
                            &[Shape::number("", "")],
                        ),
                        Shape::number("fee", "The fee in sat"),
                        Shape::number("sigops", "Signature operations, as they count for a block"),
                        Shape::number("weight", "Weight"),
                    ],
                )],
            ),
            Shape::map(
                "coinbaseaux",
                "What the coinbase's script should carry",
                &[Shape::hex("key", "")],
            ),
            Shape::number(
                "coinbasevalue",
                "The most that the coinbase may pay, in sat",
            ),
            Shape::string(
                "longpollid",
                "Name it in a request that is to wait until this template is old",
            ),
            Shape::string("target", "The target"),
            Shape::time("mintime", "The earliest time that the block may carry"),
            Shape::array(
                "mutable",
                "What of the template may be changed",
                &[Shape::string("", "")],
            ),
            Shape::hex("noncerange", "The nonces that may be tried"),
            Shape::number("sigoplimit", "The most signature operations in a block"),
            Shape::number("sizelimit", "The most bytes in a block"),
            Shape::number("weightlimit", "The most weight in a block").optional(),
            Shape::time("curtime", "The time now, as a block may carry it"),
            Shape::string("bits", "The target in compact form"),
            Shape::number("height", "The height"),
            Shape::hex("signet_challenge", "Signet's challenge").optional(),
            Shape::hex(
                "default_witness_commitment",
                "The commitment to the witnesses of just these transactions",
            )
            .optional(),
        ],
    )
    .when("otherwise"),
];

/// What `getmininginfo` gives.
pub(in crate::rpc) const GET_MINING_INFO: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::number("blocks", "Height of the tip"),
        Shape::number("currentblockweight", "Weight of the last template").optional(),
        Shape::number(
            "currentblocktx",
            "Transactions of the last template, without the coinbase",
        )
        .optional(),
        Shape::hex("bits", "The tip's target in compact form"),
        Shape::number("difficulty", "The tip's difficulty"),
        Shape::hex("target", "The tip's target"),
        Shape::number("networkhashps", "Estimate of the network's hashes a second"),
        Shape::number("pooledtx", "Transactions in the mempool"),
        Shape::amount(
            "blockmintxfee",
            "Least feerate of a template's transactions, in BTC/kvB",
        ),
        Shape::string("chain", "The network"),
        Shape::hex("signet_challenge", "Signet's challenge").optional(),
        Shape::object(
            "next",
            "Height, bits, difficulty and target of the next block",
            &[
                Shape::number("height", "The height"),
                Shape::hex("bits", "The next block's target in compact form"),
                Shape::number("difficulty", "The next block's difficulty"),
                Shape::hex("target", "The next block's target"),
            ],
        ),
        Shape::array(
            "warnings",
            "Warnings about the network and the node",
            &[Shape::string("", "")],
        ),
    ],
)];
