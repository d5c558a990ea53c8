//! `bitcoin-cli`.

use crate::args::{Category, OptionSpec};

const fn option(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::General, usage, help)
}

const fn command(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::CliCommands, usage, help)
}

pub(super) const CLI: &[OptionSpec] = &[
    option("help", "Print this text and exit (also -h and -?)."),
    option("version", "Print the version and exit."),
    option(
        "color=<when>",
        "Colours in the output of -getinfo: always, auto or never (default: auto).",
    )
    .no_negation()
    .needs_value(),
    option(
        "conf=<file>",
        "Configuration file, relative to the data directory (default: bitcoin.conf).",
    ),
    option("datadir=<dir>", "Data directory.").no_negation(),
    option(
        "includeconf=<file>",
        "Another configuration file (in configuration files only).",
    ),
    option(
        "ipcconnect=<address>",
        "Call over a node's IPC socket: unix (node.sock in the network's data directory), unix:<path>, auto (unix if a node listens there, else HTTP), or 0 for HTTP (default: auto, 0 with -rpcconnect).",
    ),
    option("named", "Arguments are name=value (default: 0)."),
    option(
        "rpcclienttimeout=<n>",
        "Seconds to wait for an answer; 0 for ever (default: 900).",
    ),
    option("rpcconnect=<ip>", "Where the node is (default: 127.0.0.1)."),
    option(
        "rpccookiefile=<loc>",
        "File with the password, relative to the network's data directory (default: .cookie).",
    ),
    option("rpcid=<id>", "The request's id (default: 1).")
        .no_negation()
        .needs_value(),
    option("rpcpassword=<pw>", "Password.").secret(),
    option(
        "rpcport=<port>",
        "Port (default: 8332; 18332, 48332, 38332, 18443 on test chains).",
    )
    .network_only(),
    option("rpcuser=<user>", "User.").secret(),
    option("rpcwait", "Wait for the node to start."),
    option(
        "rpcwaittimeout=<n>",
        "Seconds to wait for it; 0 for ever (default: 0).",
    )
    .no_negation(),
    option("rpcwallet=<walletname>", "The wallet to call."),
    option(
        "stdin",
        "Read further arguments from standard input, one a line.",
    ),
    option(
        "stdinrpcpass",
        "Read the password from standard input, as its first line.",
    ),
    option(
        "stdinwalletpassphrase",
        "Read the wallet's passphrase from standard input, as its first line (after -stdinrpcpass).",
    ),
    command("addrinfo", "Count the addresses that the node knows."),
    command(
        "generate",
        "Mine blocks to a new address of the wallet; arguments: how many (default: 1), most tries (default: 1000000).",
    ),
    command("getinfo", "Show what the node and its wallets are at."),
    command(
        "netinfo",
        "Show the node's peers; argument: detail, 0 to 4 (default: 0), or help.",
    ),
    OptionSpec::new(Category::Hidden, "h", ""),
    OptionSpec::new(Category::Hidden, "?", ""),
];
