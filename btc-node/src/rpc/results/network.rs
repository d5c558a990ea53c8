//! What the methods about peers and the network give, where it is large.

use btc_interfaces::rpc::table::Shape;

/// What `getnettotals` gives.
pub(in crate::rpc) const GET_NET_TOTALS: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::number("totalbytesrecv", "Bytes received"),
        Shape::number("totalbytessent", "Bytes sent"),
        Shape::time("timemillis", "The system's time in milliseconds since 1970"),
        Shape::object(
            "uploadtarget",
            "The bound on what is sent",
            &[
                Shape::number("timeframe", "The time that it is for, in seconds"),
                Shape::number("target", "Bytes to be sent in this time; 0 for any number"),
                Shape::bool("target_reached", "Whether they are sent"),
                Shape::bool(
                    "serve_historical_blocks",
                    "Whether old blocks are given to peers",
                ),
                Shape::number("bytes_left_in_cycle", "Bytes that are left"),
                Shape::number("time_left_in_cycle", "Seconds that are left"),
            ],
        ),
    ],
)];

/// What `getnetworkinfo` gives.
pub(in crate::rpc) const GET_NETWORK_INFO: &[Shape] = &[Shape::object(
    "",
    "",
    &[
        Shape::number("version", "The program's version"),
        Shape::string("subversion", "The user agent"),
        Shape::number(
            "protocolversion",
            "The version of the protocol between peers",
        ),
        Shape::hex("localservices", "What this node offers, as bits"),
        Shape::array(
            "localservicesnames",
            "What this node offers, as words",
            &[Shape::string("", "")],
        ),
        Shape::bool("localrelay", "Whether transactions are taken from peers"),
        Shape::number(
            "timeoffset",
            "How far peers' clocks are off this one, in seconds",
        ),
        Shape::number(
            "tx_send_rate",
            "Transactions that are told in a second at most",
        ),
        Shape::map(
            "inv_buckets",
            "What waits to be told",
            &[Shape::object(
                "inbound/outbound",
                "",
                &[
                    Shape::number("backlog", "Transactions waiting to be announced"),
                    Shape::number(
                        "count_tok",
                        "What is left of the number that may be announced",
                    ),
                    Shape::number(
                        "size_tok",
                        "What is left of the bytes that may be announced",
                    ),
                ],
            )],
        ),
        Shape::number("connections", "Peers"),
        Shape::number("connections_in", "Connections that peers opened"),
        Shape::number("connections_out", "Connections that this node opened"),
        Shape::bool("networkactive", "Whether connections are made"),
        Shape::array(
            "networks",
            "The networks",
            &[Shape::object(
                "",
                "",
                &[
                    Shape::string("name", "Its name (ipv4, ipv6, onion, i2p, cjdns)"),
                    Shape::bool("limited", "Whether -onlynet leaves it out"),
                    Shape::bool("reachable", "Whether it is reached"),
                    Shape::string("proxy", "The proxy that is used for it; empty for none"),
                    Shape::bool(
                        "proxy_randomize_credentials",
                        "Whether each connection through it has credentials of its own",
                    ),
                ],
            )],
        ),
        Shape::number("relayfee", "Least feerate relayed, in BTC/kvB"),
        Shape::number(
            "incrementalfee",
            "What replacements pay for their relay, in BTC/kvB",
        ),
        Shape::array(
            "localaddresses",
            "Addresses that peers are told of",
            &[Shape::object(
                "",
                "",
                &[
                    Shape::string("address", "The address"),
                    Shape::number("port", "The port"),
                    Shape::number("score", "How well it is known"),
                ],
            )],
        ),
        Shape::array(
            "warnings",
            "Warnings about the network and the node",
            &[Shape::string("", "")],
        ),
    ],
)];

/// What is told of a transaction whose parents are missing.
const ORPHAN: &[Shape] = &[
    Shape::hex("txid", "The transaction's id"),
    Shape::hex("wtxid", "Its id with the witness"),
    Shape::number("bytes", "Its size in bytes"),
    Shape::number("vsize", "Its size in vB"),
    Shape::number("vsize_bip141", "The same"),
    Shape::number("weight", "Its weight"),
    Shape::array(
        "from",
        "The peers that announced it",
        &[Shape::number("", "")],
    ),
];

/// What `getorphantxs` gives.
pub(in crate::rpc) const GET_ORPHAN_TXS: &[Shape] = &[
    Shape::array("", "Of ids, or of objects", &[Shape::hex("", "")]).when("verbosity 0"),
    Shape::array(
        "",
        "Of ids, or of objects",
        &[Shape::object("", "", ORPHAN)],
    )
    .when("verbosity 1"),
    Shape::array(
        "",
        "Of ids, or of objects",
        &[Shape::object(
            "",
            "",
            &[
                Shape::fields(ORPHAN),
                Shape::hex("hex", "The transaction, at verbosity 2"),
            ],
        )],
    )
    .when("verbosity 2"),
];

/// What `getpeerinfo` gives.
pub(in crate::rpc) const GET_PEER_INFO: &[Shape] = &[Shape::array(
    "",
    "",
    &[Shape::object(
        "",
        "",
        &[
            Shape::number("id", "The connection's number"),
            Shape::string("addr", "The peer's address"),
            Shape::string("addrbind", "This end's address").optional(),
            Shape::string(
                "addrlocal",
                "This node's address as the peer sees it, with its port",
            )
            .optional(),
            Shape::string(
                "network",
                "How it is connected (ipv4, ipv6, onion, i2p, cjdns, not_publicly_routable)",
            ),
            Shape::number(
                "mapped_as",
                "The operator of its network, by the map of -asmap",
            )
            .optional(),
            Shape::hex("services", "What the peer offers, as bits"),
            Shape::array(
                "servicesnames",
                "The same by name",
                &[Shape::string("", "")],
            ),
            Shape::bool("relaytxes", "Whether it is told of transactions"),
            Shape::number(
                "last_inv_sequence",
                "The mempool's sequence number when it was last told of transactions",
            ),
            Shape::number("inv_to_send", "Transactions waiting to be announced to it"),
            Shape::time("lastsend", "When something was last sent to it"),
            Shape::time("lastrecv", "When something last came from it"),
            Shape::time(
                "last_transaction",
                "When it last sent a transaction that was taken",
            ),
            Shape::time("last_block", "When it last sent a new block"),
            Shape::number("bytessent", "Bytes sent"),
            Shape::number("bytesrecv", "Bytes received"),
            Shape::time("conntime", "When the connection was made"),
            Shape::number(
                "timeoffset",
                "How far its clock is off this one, in seconds",
            ),
            Shape::number("pingtime", "Its last answer to a ping, in seconds").optional(),
            Shape::number("minping", "Its quickest answer to a ping, in seconds").optional(),
            Shape::number("pingwait", "For how long an answer is missing, in seconds").optional(),
            Shape::number("version", "Its protocol version"),
            Shape::string("subver", "Its user agent"),
            Shape::bool("inbound", "Whether it made the connection"),
            Shape::bool(
                "bip152_hb_to",
                "Whether this node chose it to send compact blocks without being asked",
            ),
            Shape::bool(
                "bip152_hb_from",
                "Whether it chose this node to send compact blocks without being asked",
            ),
            Shape::number(
                "presynced_headers",
                "Height of its headers whose work is checked first; -1 for none",
            ),
            Shape::number(
                "synced_headers",
                "Height of its best header known; -1 for none",
            ),
            Shape::number(
                "synced_blocks",
                "Height of the last block in common; -1 for none",
            ),
            Shape::array(
                "inflight",
                "Heights of the blocks that it was asked for",
                &[Shape::number("", "")],
            ),
            Shape::bool(
                "addr_relay_enabled",
                "Whether addresses are exchanged with it",
            ),
            Shape::number("addr_processed", "Addresses taken from it"),
            Shape::number(
                "addr_rate_limited",
                "Addresses dropped because it sent too many",
            ),
            Shape::array(
                "permissions",
                "What it is allowed beyond others",
                &[Shape::string("", "")],
            ),
            Shape::number(
                "minfeefilter",
                "It wants no transaction that pays less, in BTC/kvB",
            ),
            Shape::map(
                "bytessent_per_msg",
                "Bytes sent, by kind of message",
                &[Shape::number("msg", "")],
            ),
            Shape::map(
                "bytesrecv_per_msg",
                "Bytes received, by kind of message",
                &[Shape::number("msg", "")],
            ),
            Shape::string("connection_type", "What the connection is for"),
            Shape::string(
                "transport_protocol_type",
                "The transport: v1, v2 or, not yet known, detecting",
            ),
            Shape::string(
                "session_id",
                "The connection's id, of transport v2; else empty",
            ),
        ],
    )],
)];

/// What `getrawaddrman` gives.
pub(in crate::rpc) const GET_RAW_ADDRMAN: &[Shape] = &[Shape::map(
    "",
    "",
    &[Shape::map(
        "table",
        "The table (new, tried)",
        &[Shape::object(
            "",
            "",
            &[
                Shape::string("address", "The address"),
                Shape::number(
                    "mapped_as",
                    "The operator of its network, by the map of -asmap",
                )
                .optional(),
                Shape::number("port", "The port"),
                Shape::string("network", "The network: ipv4, ipv6, onion, i2p or cjdns"),
                Shape::number("services", "What it offers, as bits"),
                Shape::time("time", "The block's time"),
                Shape::string("source", "Who told of it"),
                Shape::string("source_network", "That one's network"),
                Shape::number(
                    "source_mapped_as",
                    "The operator of that one's network, by the map of -asmap",
                )
                .optional(),
            ],
        )],
    )],
)];
