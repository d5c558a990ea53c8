//! Files, indexes, notifications, and the choice of a chain.

use crate::args::{Category, OptionSpec};

const fn general(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::General, usage, help)
}

const fn chain(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::Chain, usage, help)
}

pub(super) const GENERAL: &[OptionSpec] = &[
    general("help", "Print this text and exit (also -h and -?)."),
    general("version", "Print the version and exit."),
    general(
        "alertnotify=<cmd>",
        "Run a command when a warning arises; %s in it becomes the warning.",
    ),
    general(
        "allowignoredconf",
        "If the data directory has a bitcoin.conf that is not the one in use, warn of it rather than end.",
    ),
    general(
        "assumevalid=<hex>",
        "Take the scripts of this block and its ancestors as checked; 0 checks all.",
    ),
    general(
        "blockfilterindex=<type>",
        "Keep an index of compact filters of this type: basic (also without a value), or 0 for none (default: 0).",
    ),
    general(
        "blocknotify=<cmd>",
        "Run a command when the best block changes; %s in it becomes its hash.",
    ),
    general(
        "blockreconstructionextratxn=<n>",
        "Transactions kept besides the mempool to rebuild compact blocks from (default: 100).",
    ),
    general(
        "blocksdir=<dir>",
        "Directory for the blocks directory and its files (default: the data directory).",
    ),
    general("blocksonly", "Ask peers for no transactions (default: 0)."),
    general(
        "blocksxor",
        "Obfuscate the block files of a new data directory (default: 1).",
    ),
    general(
        "coinstatsindex",
        "Keep an index of statistics of the coins (default: 0).",
    ),
    general(
        "conf=<file>",
        "Configuration file, relative to the data directory (default: bitcoin.conf).",
    ),
    general("daemon", "Run in the background (default: 0)."),
    general(
        "daemonwait",
        "As -daemon, but return only once the node is ready (default: 0).",
    ),
    general("datadir=<dir>", "Data directory.").no_negation(),
    general(
        "dbbatchsize",
        "Bytes written to the database at once (default: 33554432).",
    )
    .debug(),
    general(
        "dbcache=<n>",
        "Memory for coins and databases in MiB (default: 450).",
    ),
    general(
        "debuglogfile=<file>",
        "Log file, relative to the network's data directory; -nodebuglogfile for none (default: debug.log).",
    ),
    general(
        "includeconf=<file>",
        "Another configuration file, relative to the data directory (in configuration files only).",
    ),
    general("loadblock=<file>", "Import blocks from a file at start."),
    general(
        "maxmempool=<n>",
        "Keep the mempool below so many megabytes (default: 300).",
    ),
    general(
        "mempoolexpiry=<n>",
        "Hours after which a transaction leaves the mempool (default: 336).",
    ),
    general(
        "minimumchainwork=<hex>",
        "The least work that the best chain is known to have.",
    )
    .debug(),
    general(
        "par=<n>",
        "Threads that check scripts: 0 for as many as there are cores, below 0 to leave so many free (default: 0).",
    ),
    general(
        "persistmempool",
        "Save the mempool at the end and load it at the start (default: 1).",
    ),
    general(
        "persistmempoolv1",
        "Save the mempool in the older format (default: 0).",
    ),
    general(
        "pid=<file>",
        "File for the process id, relative to the network's data directory (default: bitcoind.pid).",
    ),
    general(
        "prevoutfetchthreads=<n>",
        "Fetch the coins of blocks that wait to be connected ahead; 0 for not. Which threads do it is the node's choice (default: 8).",
    ),
    general(
        "prune=<n>",
        "Delete old block files: 0 none, 1 by RPC only, from 550 on to stay below so many MiB (default: 0).",
    ),
    general(
        "reindex",
        "Rebuild the block index and the coins from the block files.",
    ),
    general("reindex-chainstate", "Rebuild the coins from the blocks."),
    general(
        "settings=<file>",
        "File for settings that the node changes itself; -nosettings for none (default: settings.json).",
    ),
    general(
        "shutdownnotify=<cmd>",
        "Run a command when the node begins to stop.",
    ),
    general(
        "startupnotify=<cmd>",
        "Run a command when the node has started.",
    ),
    general("txindex", "Keep an index of all transactions (default: 0)."),
    general(
        "txospenderindex",
        "Keep an index of what spends each output (default: 0).",
    ),
];

pub(super) const CHAIN: &[OptionSpec] = &[
    chain(
        "chain=<chain>",
        "Use a chain: main, test, testnet4, signet or regtest (default: main).",
    ),
    chain(
        "regtest",
        "Use a private chain for tests, on which blocks need next to no work.",
    )
    .debug(),
    chain("signet", "Use a test chain whose blocks are signed."),
    chain(
        "signetchallenge",
        "The script that signs a signet's blocks (default: that of the public signet).",
    )
    .no_negation(),
    chain(
        "signetseednode",
        "A peer of a signet to learn others from, host or host:port.",
    )
    .no_negation()
    .pending(),
    chain(
        "testnet",
        "Use the third test chain, which is going out of use.",
    ),
    chain("testnet4", "Use the fourth test chain."),
    chain(
        "vbparams=<deployment:start:end[:min_activation_height]>",
        "When a deployment starts, ends and may become active (regtest only).",
    )
    .debug(),
];
