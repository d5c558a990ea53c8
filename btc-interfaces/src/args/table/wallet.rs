//! Wallets.

use crate::args::{Category, OptionSpec};

const fn wallet(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::Wallet, usage, help)
}

const fn test(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::WalletDebugTest, usage, help).debug()
}

pub(super) const WALLET: &[OptionSpec] = &[
    wallet("addresstype", "Kind of new addresses: legacy, p2sh-segwit, bech32 or bech32m (default: bech32)."),
    wallet("avoidpartialspends", "Spend all coins of an address together (default: 0).").pending(),
    wallet("changetype", "Kind of change addresses (default: as fits the payment)."),
    wallet("consolidatefeerate=<amt>", "The feerate in BTC/kvB below which more coins than needed may be spent (default: 0.0001)."),
    wallet("disablewallet", "No wallets."),
    wallet("discardfee=<amt>", "The feerate in BTC/kvB at which change is not worth keeping (default: 0.0001)."),
    wallet("fallbackfee=<amt>", "The feerate in BTC/kvB when there is no estimate; 0 for none (default: 0)."),
    wallet("keypool=<n>", "Addresses made ahead (default: 1000)."),
    wallet("maxapsfee=<n>", "What spending all coins of an address together may cost more, in BTC (default: 0).").pending(),
    wallet("mintxfee=<amt>", "The lowest feerate in BTC/kvB of a transaction (default: 0.00001)."),
    wallet("signer=<cmd>", "Program that signs with a device.").pending(),
    wallet("spendzeroconfchange", "Spend unconfirmed change (default: 1)."),
    wallet("txconfirmtarget=<n>", "Blocks within which a transaction should confirm (default: 6)."),
    wallet("wallet=<path>", "Load this wallet at start, relative to -walletdir; may be given several times.").network_only(),
    wallet("walletbroadcast", "Send transactions to the network (default: 1)."),
    wallet("walletdir=<dir>", "Directory of wallets (default: wallets in the network's data directory, or itself).").network_only(),
    wallet("walletnotify=<cmd>", "Run a command when a wallet's transaction changes; %s becomes its id, %w the wallet, %b the block, %h its height.").pending(),
    wallet("walletrbf", "Let transactions be replaced; going out of use (default: 1)."),
    test("unsafesqlitesync", "Don't wait for the disk (default: 0)."),
    test("walletcrosschain", "Load wallets of other chains (default: 0)."),
    test("walletrejectlongchains", "Make no transaction that the mempool's limits would keep out (default: 1).").pending_always(),
];

/// What `bitcoin-wallet` itself knows.
pub(super) const TOOL: &[OptionSpec] = &[
    OptionSpec::new(
        Category::General,
        "help",
        "Print this text and exit (also -h and -?).",
    ),
    OptionSpec::new(Category::General, "version", "Print the version and exit."),
    OptionSpec::new(Category::General, "datadir=<dir>", "Data directory.").no_negation(),
    OptionSpec::new(
        Category::General,
        "wallet=<wallet-name>",
        "The wallet to work on.",
    )
    .network_only(),
    OptionSpec::new(
        Category::General,
        "dumpfile=<file name>",
        "File to dump a wallet to or to create one from.",
    )
    .no_negation(),
    OptionSpec::new(
        Category::DebugTest,
        "debug=<category>",
        "Log a category in detail (default: 0).",
    ),
    OptionSpec::new(
        Category::DebugTest,
        "printtoconsole",
        "Log to the screen (default: 0).",
    ),
    OptionSpec::new(Category::Hidden, "h", ""),
    OptionSpec::new(Category::Hidden, "?", ""),
];
