//! The RPC server and IPC.

use crate::args::{Category, OptionSpec};

const fn rpc(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::Rpc, usage, help)
}

pub(super) const RPC: &[OptionSpec] = &[
    rpc(
        "rest",
        "Answer REST requests without a password (default: 0).",
    ),
    rpc(
        "rpcallowip=<ip>",
        "Let this address or network connect: 1.2.3.4, 1.2.3.4/24, 1.2.3.4/255.255.255.0, or the like in IPv6. Needs -rpcbind.",
    ),
    rpc(
        "rpcauth=<userpw>",
        "A user and the hash of a password, user:salt$hash.",
    )
    .secret(),
    rpc(
        "rpcbind=<addr>[:port]",
        "Listen on this address; only with -rpcallowip (default: 127.0.0.1 and ::1).",
    )
    .network_only(),
    rpc(
        "rpccookiefile=<loc>",
        "File for the random password, relative to the network's data directory; -norpccookiefile for none (default: .cookie).",
    ),
    rpc(
        "rpccookieperms=<readable-by>",
        "Who may read it: owner, group or all (default: owner).",
    ),
    rpc(
        "rpcdoccheck",
        "Check results against the help (default: 0).",
    )
    .debug(),
    rpc("rpcpassword=<pw>", "Password.").secret(),
    rpc(
        "rpcport=<port>",
        "Port (default: 8332; 18332, 48332, 38332, 18443 on test chains).",
    )
    .network_only(),
    rpc(
        "rpcservertimeout=<n>",
        "Seconds that a client may take or be idle (default: 30).",
    )
    .debug(),
    rpc(
        "rpcthreads=<n>",
        "Calls that run at one time (default: 16).",
    ),
    rpc("rpcuser=<user>", "User.").secret(),
    rpc(
        "rpcwhitelist=<whitelist>",
        "What a user may call: user:method,method. Users without a list may call nothing if there is any.",
    ),
    rpc(
        "rpcwhitelistdefault",
        "Users without a list may call nothing (default: 1 if there is a list).",
    ),
    rpc(
        "rpcworkqueue=<n>",
        "Calls that may wait for others to end (default: 64).",
    )
    .debug(),
    rpc(
        "server",
        "Answer RPC (default: 1 for the node without a window).",
    ),
    OptionSpec::new(
        Category::Ipc,
        "ipcbind=<address>",
        "Let other programs connect by IPC: unix for <datadir>/node.sock, unix:<path> for another socket.",
    ),
];
