//! Logging and options for tests.

use crate::args::{Category, OptionSpec};

const fn debug(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::DebugTest, usage, help).debug()
}

const fn logging(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::DebugTest, usage, help)
}

const fn hidden(usage: &'static str) -> OptionSpec {
    OptionSpec::new(Category::Hidden, usage, "")
}

pub(super) const LOGGING: &[OptionSpec] = &[
    logging(
        "debug=<category>",
        "Log a category in detail; all of them without a value or with 1 (default: none).",
    ),
    logging(
        "debugexclude=<category>",
        "Don't log this category in detail.",
    ),
    logging(
        "help-debug",
        "Print this text with the options for tests and exit.",
    ),
    logging("logips", "Log addresses of peers (default: 0)."),
    logging(
        "loglevel=<level>|<category>:<level>",
        "How much detail: info, debug or trace (default: debug).",
    )
    .debug()
    .no_negation()
    .needs_value(),
    logging(
        "loglevelalways",
        "Show category and level in every line (default: 0).",
    ),
    logging(
        "logratelimit",
        "Bound what one place in the program may log in an hour (default: 1).",
    ),
    logging(
        "logsourcelocations",
        "Log where in the program a line comes from (default: 0).",
    ),
    logging(
        "logthreadnames",
        "Log which thread a line comes from (default: 0).",
    ),
    logging(
        "logtimemicros",
        "Log times to the microsecond (default: 0).",
    )
    .debug(),
    logging("logtimestamps", "Log times (default: 1)."),
    logging(
        "maxtxfee=<amt>",
        "The most that one transaction of the wallet or of RPC may pay, in BTC (default: 0.10).",
    ),
    logging(
        "printtoconsole",
        "Log to the screen, too (default: 1 without -daemon).",
    ),
    logging(
        "shrinkdebugfile",
        "Shorten a long log file at start (default: 1 without -debug).",
    ),
    logging(
        "uacomment=<cmt>",
        "Add a comment to the name that peers see.",
    ),
];

pub(super) const DEBUG: &[OptionSpec] = &[
    debug(
        "acceptstalefeeestimates",
        "Read fee estimates of any age (default: 0).",
    ),
    debug("capturemessages", "Write messages of peers to files."),
    debug(
        "checkaddrman=<n>",
        "Check the table of addresses every so many operations (default: 0).",
    ),
    debug(
        "checkblockindex",
        "Check the block index every so many operations; 0 for never (default: 0, on regtest 1).",
    ),
    debug(
        "checkblocks=<n>",
        "Blocks to check at start; 0 for all (default: 6).",
    ),
    debug(
        "checklevel=<n>",
        "How thoroughly they are checked, 0 to 4 (default: 3).",
    ),
    debug(
        "checkmempool=<n>",
        "Check the mempool every so many transactions; 0 for never (default: 0, on regtest 1).",
    ),
    debug(
        "deprecatedrpc=<method>",
        "Allow an RPC method that is going out of use.",
    ),
    debug("fastprune", "Use small block files."),
    debug(
        "limitancestorcount=<n>",
        "Unconfirmed ancestors that the wallet lets a coin have (default: 25).",
    ),
    debug(
        "limitclustercount=<n>",
        "Connected transactions in the mempool (default: 64).",
    ),
    debug(
        "limitclustersize=<n>",
        "Size of connected transactions in the mempool in kvB (default: 101).",
    ),
    debug(
        "limitdescendantcount=<n>",
        "Unconfirmed descendants that the wallet lets a coin have (default: 25).",
    ),
    debug(
        "maxsigcachesize=<n>",
        "Memory for checked signatures in MiB (default: 32).",
    ),
    debug(
        "maxtipage=<n>",
        "Age of the tip in seconds above which the node thinks that it is behind (default: 86400).",
    ),
    debug(
        "mocktime=<n>",
        "Take this for the time, in seconds since 1970 (default: 0, the clock).",
    ),
    debug(
        "printpriority",
        "Log the feerate of transactions when mining (default: 0).",
    ),
    debug(
        "stopafterblockimport",
        "Stop when blocks are imported (default: 0).",
    ),
    debug(
        "stopatheight",
        "Stop when the chain has this height (default: 0, never).",
    ),
    debug("test=<option>", "Switch on something that a test needs.").pending(),
    debug(
        "testactivationheight=<name@height>",
        "From which height a rule holds: segwit, bip34, dersig, cltv or csv (regtest only).",
    ),
];

pub(super) const HIDDEN: &[OptionSpec] = &[
    hidden("h"),
    hidden("?"),
    hidden("checkpoints"),
    hidden("dbcrashratio"),
    hidden("forcecompactdb"),
    hidden("limitancestorsize"),
    hidden("limitdescendantsize"),
];
