//! Peers, proxies and ZeroMQ.

use crate::args::{Category, OptionSpec};

const fn connection(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::Connection, usage, help)
}

const fn zmq(usage: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Category::Zmq, usage, help).pending()
}

pub(super) const CONNECTION: &[OptionSpec] = &[
    connection(
        "addnode=<ip>",
        "Keep a connection to this peer; may be given several times.",
    )
    .network_only(),
    connection(
        "asmap=<file>",
        "Map from addresses to networks' operators, to spread connections over them.",
    ),
    connection("bantime=<n>", "Seconds that a ban lasts (default: 86400)."),
    connection(
        "bind=<addr>[:<port>][=onion]",
        "Listen for peers on this address; =onion marks one for Tor (default: 0.0.0.0).",
    )
    .network_only(),
    connection(
        "cjdnsreachable",
        "Addresses of fc00::/8 lead to CJDNS (default: 0).",
    ),
    connection("connect=<ip>", "Connect to these peers only; 0 for none.").network_only(),
    connection(
        "discover",
        "Find out the addresses of this machine (default: 1 when listening without -externalip or -proxy).",
    ),
    connection(
        "dns",
        "Look up names of -addnode, -seednode and -connect (default: 1).",
    ),
    connection(
        "dnsseed",
        "Ask DNS for peers when few are known (default: 1).",
    ),
    connection(
        "externalip=<ip>",
        "An address that others reach this node by.",
    ),
    connection(
        "fixedseeds",
        "Use built-in peers if DNS gives none (default: 1).",
    ),
    connection("forcednsseed", "Always ask DNS for peers (default: 0)."),
    connection(
        "i2pacceptincoming",
        "Accept peers of I2P (default: 1 with -i2psam).",
    ),
    connection("i2psam=<ip:port>", "Reach I2P over this SAM proxy."),
    connection(
        "inboundrelaypercent=<n>",
        "Part of the incoming peers that may relay transactions, in percent (default: 50).",
    ),
    connection(
        "listen",
        "Accept peers (default: 1 without -proxy, -connect or -maxconnections=0).",
    ),
    connection(
        "listenonion",
        "Make an onion service with Tor (default: 1).",
    ),
    connection(
        "maxconnections=<n>",
        "Connections to peers at one time (default: 125).",
    ),
    connection(
        "maxreceivebuffer=<n>",
        "Memory for what a peer sends, in 1000 bytes (default: 5000).",
    ),
    connection(
        "maxsendbuffer=<n>",
        "Memory for what a peer is sent, in 1000 bytes (default: 1000).",
    ),
    connection(
        "maxuploadtarget=<n>",
        "Bytes to send in a day, with k, K, m, M, g, G, t or T (default: 0M, no bound).",
    ),
    connection(
        "natpmp",
        "Ask the router for a port by PCP or NAT-PMP (default: 1).",
    )
    .pending(),
    connection("networkactive", "Connect to peers at all (default: 1)."),
    connection(
        "onion=<ip:port|path>",
        "Reach onion services over this proxy; -noonion for not at all (default: -proxy).",
    ),
    connection(
        "onlynet=<net>",
        "Connect only to peers of this network: ipv4, ipv6, onion, i2p or cjdns.",
    ),
    connection(
        "peerblockfilters",
        "Give peers compact filters (BIP 157; default: 0).",
    ),
    connection("peerbloomfilters", "Filter for peers (BIP 37; default: 0)."),
    connection(
        "peertimeout=<n>",
        "Seconds of silence after which a peer is let go (default: 60).",
    )
    .debug(),
    connection(
        "port=<port>",
        "Port to listen for peers on (default: 8333; 18333, 48333, 38333, 18444 on test chains).",
    )
    .network_only(),
    connection(
        "proxy=<ip>[:<port>]|<path>[=<network>]",
        "Reach peers over this SOCKS5 proxy (default: none).",
    )
    .needs_value(),
    connection(
        "proxyrandomize",
        "Use new credentials for each connection over a proxy (default: 1).",
    ),
    connection("seednode=<ip>", "Ask this peer for others, then leave it."),
    connection(
        "timeout=<n>",
        "Milliseconds until connecting to a peer is given up (default: 5000).",
    ),
    connection(
        "torcontrol=<ip>:<port>",
        "Where Tor's control port is (default: 127.0.0.1:9051).",
    ),
    connection("torpassword=<pass>", "Password of Tor's control port.").secret(),
    connection(
        "txreconciliation",
        "Reconcile transactions with peers (BIP 330; default: 0).",
    )
    .debug(),
    connection(
        "v2transport",
        "Encrypt connections to peers (BIP 324; default: 1).",
    ),
    connection(
        "whitebind=<[permissions@]addr>",
        "As -bind, with permissions for those who connect there.",
    ),
    connection(
        "whitelist=<[permissions@]IP address or network>",
        "Permissions for peers from this address or network.",
    ),
];

pub(super) const ZMQ: &[OptionSpec] = &[
    zmq("zmqpubhashblock=<address>", "Publish hashes of blocks."),
    zmq(
        "zmqpubhashblockhwm=<n>",
        "Messages of hashes of blocks kept for slow readers (default: 1000).",
    ),
    zmq("zmqpubhashtx=<address>", "Publish ids of transactions."),
    zmq(
        "zmqpubhashtxhwm=<n>",
        "Messages of ids of transactions kept for slow readers (default: 1000).",
    ),
    zmq("zmqpubrawblock=<address>", "Publish blocks."),
    zmq(
        "zmqpubrawblockhwm=<n>",
        "Messages of blocks kept for slow readers (default: 1000).",
    ),
    zmq("zmqpubrawtx=<address>", "Publish transactions."),
    zmq(
        "zmqpubrawtxhwm=<n>",
        "Messages of transactions kept for slow readers (default: 1000).",
    ),
    zmq(
        "zmqpubsequence=<address>",
        "Publish blocks and transactions in the order of their events.",
    ),
    zmq(
        "zmqpubsequencehwm=<n>",
        "Messages of the sequence kept for slow readers (default: 1000).",
    ),
];
