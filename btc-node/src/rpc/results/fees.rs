//! What the methods about fees give, where it is large.

use btc_interfaces::rpc::table::Shape;

/// What became of the transactions in a range of feerates.
const RANGE: &[Shape] = &[
    Shape::number("startrange", "From this feerate"),
    Shape::number("endrange", "To this feerate"),
    Shape::number("withintarget", "Mined within the target"),
    Shape::number("totalconfirmed", "Mined at all"),
    Shape::number("inmempool", "Waiting for longer than the target"),
    Shape::number("leftmempool", "Left unmined after the target"),
];

/// The estimate over one horizon.
const HORIZON: &[Shape] = &[
    Shape::number("feerate", "In BTC/kvB").optional(),
    Shape::number("decay", "What counts keep of their weight with each block"),
    Shape::number("scale", "How finely targets are told apart, in blocks"),
    Shape::object(
        "pass",
        "The cheapest transactions that reach the threshold",
        RANGE,
    )
    .optional(),
    Shape::object("fail", "The dearest that do not", RANGE).optional(),
    Shape::array(
        "errors",
        "Why there is no feerate",
        &[Shape::string("", "")],
    )
    .optional(),
];

/// What `estimaterawfee` gives.
pub(in crate::rpc) const ESTIMATE_RAW_FEE: &[Shape] = &[Shape::object(
    "",
    "By horizon: short, medium, long",
    &[
        Shape::object("short", "Over the last hours", HORIZON).optional(),
        Shape::object("medium", "Over the last days", HORIZON).optional(),
        Shape::object("long", "Over the last weeks", HORIZON).optional(),
    ],
)];

/// What `estimatesmartfee` gives.
pub(in crate::rpc) const ESTIMATE_SMART_FEE: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::number("feerate", "In BTC/kvB").optional(),
        Shape::string(
            "estimator",
            "Which one it comes from, if none was asked for",
        )
        .optional(),
        Shape::array("errors", "Why there is none", &[Shape::string("", "")]).optional(),
        Shape::number("blocks", "The target that it is for"),
        Shape::array(
            "mempool_health_statistics",
            "The last blocks, the newest first",
            &[Shape::object(
                "",
                "",
                &[
                    Shape::number("block_height", "Height"),
                    Shape::number("block_weight", "Weight without the coinbase"),
                    Shape::number("mempool_txs_weight", "Of that, what was in the mempool"),
                ],
            )],
        )
        .optional(),
    ],
)];
