//! What the methods about the mempool give, where it is large.

use btc_interfaces::rpc::table::Shape;

/// A transaction in the mempool.
const ENTRY: &[Shape] = &[
    Shape::number("vsize", "The same as vsize_adjusted (deprecated)"),
    Shape::number("vsize_bip141", "Virtual size in vB as of BIP 141"),
    Shape::number(
        "vsize_adjusted",
        "Virtual size in vB, counting signature operations",
    ),
    Shape::number("weight", "Weight"),
    Shape::time("time", "When it came"),
    Shape::number("height", "The height"),
    Shape::number("descendantcount", "Unconfirmed descendants, itself counted"),
    Shape::number(
        "descendantsize",
        "Virtual size of it and its unconfirmed descendants, in vB",
    ),
    Shape::number("ancestorcount", "Unconfirmed ancestors, itself counted"),
    Shape::number(
        "ancestorsize",
        "Virtual size of it and its unconfirmed ancestors, in vB",
    ),
    Shape::number(
        "chunkweight",
        "Weight of its chunk, counting signature operations",
    ),
    Shape::hex("wtxid", "Its id over the witness"),
    Shape::object(
        "fees",
        "What it pays",
        &[
            Shape::amount("base", "The fee as paid, in BTC"),
            Shape::amount("modified", "The fee as it counts for mining, in BTC"),
            Shape::amount(
                "ancestor",
                "Fees of it and its unconfirmed ancestors, as modified",
            ),
            Shape::amount(
                "descendant",
                "Fees of it and its unconfirmed descendants, as modified, in BTC",
            ),
            Shape::amount("chunk", "Fees of its chunk, as modified, in BTC"),
        ],
    ),
    Shape::array(
        "depends",
        "Unconfirmed transactions that it spends from",
        &[Shape::hex("", "")],
    ),
    Shape::array(
        "spentby",
        "Unconfirmed transactions that spend from it",
        &[Shape::hex("", "")],
    ),
    Shape::bool("unbroadcast", "Whether no peer has asked for it yet"),
];

/// What `getmempoolentry` gives.
pub(in crate::rpc) const GET_MEMPOOL_ENTRY: &[Shape] = &[Shape::object("", "", ENTRY)];

/// What `getmempoolancestors` and `getmempooldescendants` give.
pub(in crate::rpc) const RELATIVES: &[Shape] = &[
    Shape::array("", "", &[Shape::hex("", "Its id")]).when("not verbose"),
    Shape::map("", "", &[Shape::object("transactionid", "", ENTRY)]).when("verbose"),
];

/// What `getmempoolinfo` gives.
pub(in crate::rpc) const GET_MEMPOOL_INFO: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::bool("loaded", "Whether the file of the last run was read"),
        Shape::number("size", "Transactions"),
        Shape::number("bytes", "Sum of their sizes in vB"),
        Shape::number("usage", "Memory taken, in bytes"),
        Shape::amount("total_fee", "Sum of their fees in BTC"),
        Shape::number("maxmempool", "Memory allowed, in bytes"),
        Shape::amount("mempoolminfee", "Least feerate taken now, in BTC/kvB"),
        Shape::amount("minrelaytxfee", "Least feerate relayed, in BTC/kvB"),
        Shape::number(
            "incrementalrelayfee",
            "What replacements pay for their relay, in BTC/kvB",
        ),
        Shape::number(
            "unbroadcastcount",
            "Own transactions that no peer has asked for",
        ),
        Shape::bool(
            "permitbaremultisig",
            "Whether bare multisig outputs are taken",
        ),
        Shape::number(
            "maxdatacarriersize",
            "Bytes of data outputs allowed in a transaction",
        ),
        Shape::number("limitclustercount", "Transactions allowed in a cluster"),
        Shape::number("limitclustersize", "Size allowed of a cluster, in vB"),
        Shape::bool(
            "optimal",
            "Whether all clusters are known to be in their best order",
        ),
    ],
)];

/// What `getrawmempool` gives.
pub(in crate::rpc) const GET_RAW_MEMPOOL: &[Shape] = &[
    Shape::array(
        "",
        "Ids; or a json object, see verbose and mempool_sequence",
        &[Shape::hex("", "")],
    )
    .when("not verbose"),
    Shape::map(
        "",
        "Ids; or a json object, see verbose and mempool_sequence",
        &[Shape::object("transactionid", "", ENTRY)],
    )
    .when("verbose"),
    Shape::object(
        "",
        "Ids; or a json object, see verbose and mempool_sequence",
        &[
            Shape::array("txids", "Ids of the transactions", &[Shape::hex("", "")]),
            Shape::number("mempool_sequence", "The mempool's sequence number"),
        ],
    )
    .when("not verbose, with mempool_sequence"),
];
