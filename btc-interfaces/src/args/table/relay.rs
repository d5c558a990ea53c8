//! What is relayed and mined.

use crate::args::{Category, OptionSpec};

const fn relay(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::Relay, usage, help)
}

const fn mining(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::Mining, usage, help)
}

pub(super) const RELAY: &[OptionSpec] = &[
    relay(
        "acceptnonstdtxn",
        "Accept transactions that are valid but not standard, on test chains (default: 0).",
    )
    .debug(),
    relay(
        "bytespersigop",
        "Bytes that a signature operation counts for (default: 20).",
    ),
    relay("datacarrier", "Accept outputs that hold data (default: 1)."),
    relay(
        "datacarriersize",
        "Bytes of such outputs in a transaction (default: 100000).",
    ),
    relay(
        "dustrelayfee=<amt>",
        "The feerate in BTC/kvB at which an output is not worth spending (default: 0.00003).",
    )
    .debug(),
    relay(
        "incrementalrelayfee=<amt>",
        "The feerate in BTC/kvB that a replacement pays more (default: 0.000001).",
    )
    .debug(),
    relay(
        "minrelaytxfee=<amt>",
        "The lowest feerate in BTC/kvB that is relayed (default: 0.000001).",
    ),
    relay(
        "permitbaremultisig",
        "Accept outputs that are multisignature scripts themselves (default: 1).",
    ),
    relay(
        "privatebroadcast",
        "Send this node's transactions over Tor or I2P connections of their own (default: 0).",
    )
    .refused(),
    relay(
        "txsendrate=<n>",
        "Transactions announced in a second (default: 14).",
    )
    .debug(),
    relay(
        "whitelistforcerelay",
        "Give whitelisted peers the forcerelay permission (default: 0).",
    ),
    relay(
        "whitelistrelay",
        "Give whitelisted peers the relay permission (default: 1).",
    ),
];

pub(super) const MINING: &[OptionSpec] = &[
    mining(
        "blockmaxweight=<n>",
        "The greatest weight of a block that is made (default: 4000000).",
    )
    .debug(),
    mining(
        "blockmintxfee=<amt>",
        "The lowest feerate in BTC/kvB that goes into a block that is made (default: 0.00000001).",
    ),
    mining(
        "blockreservedweight=<n>",
        "Weight kept for header and coinbase (default: 8000).",
    ),
    mining(
        "blockversion=<n>",
        "The version of blocks that are made, on regtest.",
    )
    .debug(),
];
