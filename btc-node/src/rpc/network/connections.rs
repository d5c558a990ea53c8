//! Connections made and ended by the user.

use super::super::context::{Entry, NodeParts};
use super::super::registry::{RequestContext, RpcResult};
use super::{AddConnectionError, AddError, network};
use crate::net::message::Command;
use crate::sync::ConnectionKind;
use bitcoin::hex::FromHex;
use btc_consensus::params::Chain;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code};
use serde_json::{Value, json};

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "addnode",
            category: "network",
            summary: "Adds a peer to those that a connection is kept to, takes it away, or tries once to reach one.",
            args: &[
                Arg::required(
                    "node",
                    Kind::String,
                    "The peer's address, with or without port",
                ),
                Arg::required("command", Kind::String, "add, remove or onetry"),
                Arg::hint(
                    "v2transport",
                    Kind::Bool,
                    "set by -v2transport",
                    "Encrypt the connection if the peer can",
                ),
            ],
            results: &[Shape::null()],
            examples: &["\"192.168.0.6:8333\" \"onetry\""],
        },
        run: add_node,
    },
    Entry {
        method: Method {
            name: "addconnection",
            category: "hidden",
            summary: "Makes a connection of a kind that the node otherwise makes by itself. For tests, on regtest alone.",
            args: &[
                Arg::required("address", Kind::String, "The peer's address and port"),
                Arg::required(
                    "connection_type",
                    Kind::String,
                    "outbound-full-relay, block-relay-only, addr-fetch or feeler",
                ),
                Arg::required(
                    "v2transport",
                    Kind::Bool,
                    "Encrypt the connection if the peer can",
                ),
            ],
            results: &[Shape::object(
                "",
                "",
                &[
                    Shape::string("address", "The address"),
                    Shape::string("connection_type", "The kind"),
                ],
            )],
            examples: &["\"192.168.0.6:8333\" \"outbound-full-relay\" false"],
        },
        run: add_connection,
    },
    Entry {
        method: Method {
            name: "disconnectnode",
            category: "network",
            summary: "Ends the connection to a peer, named either by address or by number.",
            args: &[
                Arg::hint(
                    "address",
                    Kind::String,
                    "fallback to nodeid",
                    "The peer's address and port",
                ),
                Arg::hint(
                    "nodeid",
                    Kind::Number,
                    "fallback to address",
                    "The connection's number",
                ),
            ],
            results: &[Shape::null()],
            examples: &["\"192.168.0.6:8333\"", "\"\" 1"],
        },
        run: disconnect_node,
    },
    Entry {
        method: Method {
            name: "getaddednodeinfo",
            category: "network",
            summary: "Lists the peers of addnode and -addnode, and whether they are connected.",
            args: &[Arg::hint(
                "node",
                Kind::String,
                "all nodes",
                "Only this one",
            )],
            results: &[Shape::array(
                "",
                "",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::string("addednode", "The peer as it was given"),
                        Shape::bool("connected", "Whether there is a connection"),
                        Shape::array(
                            "addresses",
                            "The connection, if there is one",
                            &[Shape::object(
                                "",
                                "",
                                &[
                                    Shape::string("address", "The peer's address"),
                                    Shape::string("connected", "inbound or outbound"),
                                ],
                            )],
                        ),
                    ],
                )],
            )],
            examples: &["", "\"192.168.0.201\""],
        },
        run: added_node_info,
    },
    Entry {
        method: Method {
            name: "setnetworkactive",
            category: "network",
            summary: "Switches all connections to peers on or off.",
            args: &[Arg::required(
                "state",
                Kind::Bool,
                "Whether there are connections",
            )],
            results: &[Shape::bool("", "What was asked for")],
            examples: &["false"],
        },
        run: |parts, context| {
            let network = network(parts)?;
            network.set_active(context.arguments.bool(0)?);
            Ok(json!(network.is_active()))
        },
    },
    Entry {
        method: Method {
            name: "sendmsgtopeer",
            category: "hidden",
            summary: "Sends any bytes to a peer as a message. For tests.",
            args: &[
                Arg::required("peer_id", Kind::Number, "The connection's number"),
                Arg::required(
                    "msg_type",
                    Kind::String,
                    "The message's type, up to 12 characters",
                ),
                Arg::required("msg", Kind::StringHex, "The payload"),
            ],
            results: &[Shape::object("", "", &[])],
            examples: &["0 \"addr\" \"ffffff\""],
        },
        run: send_message,
    },
];

fn add_node(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let target = context.arguments.string(0)?;
    let command = context.arguments.string(1)?;
    if !matches!(command, "add" | "remove" | "onetry") {
        return Err(RpcError::new(
            code::MISC_ERROR,
            super::help(METHODS, "addnode"),
        ));
    }
    let network = network(parts)?;
    if target.trim().is_empty() {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            "Error: Node address cannot be empty",
        ));
    }
    let v2 = context.arguments.opt_bool(2)?;
    let result = match command {
        "add" => network.add(target, v2),
        "remove" => network.remove(target),
        _ => network.connect_once(target, v2),
    };
    result.map(|()| Value::Null).map_err(|error| {
        let code = match error {
            AddError::AlreadyAdded => code::CLIENT_NODE_ALREADY_ADDED,
            AddError::NotAdded => code::CLIENT_NODE_NOT_ADDED,
            AddError::NoV2 => code::INVALID_PARAMETER,
        };
        RpcError::new(code, error.to_string())
    })
}

fn add_connection(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    if parts.chain.params().chain != Chain::Regtest {
        return Err(RpcError::new(
            code::MISC_ERROR,
            "addconnection is for regression testing (-regtest mode) only.",
        ));
    }
    let address = context.arguments.string(0)?;
    let kind = context.arguments.string(1)?.trim();
    let Some(wanted) = ConnectionKind::automatic(kind) else {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            super::help(METHODS, "addconnection"),
        ));
    };
    let network = network(parts)?;
    let v2 = context.arguments.bool(2)?;
    network.connect_as(address, wanted, v2).map_err(|error| {
        let code = match error {
            AddConnectionError::Full => code::CLIENT_NODE_CAPACITY_REACHED,
            AddConnectionError::NoV2 => code::INVALID_PARAMETER,
        };
        RpcError::new(code, error.to_string())
    })?;
    Ok(json!({ "address": address, "connection_type": kind }))
}

fn disconnect_node(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let network = network(parts)?;
    let address = context.arguments.opt_string(0)?;
    let found = match (address, context.arguments.opt_int::<i64>(1)?) {
        (Some(address), None) => network.disconnect_address(address),
        (None | Some(""), Some(id)) => u64::try_from(id).is_ok_and(|id| network.disconnect(id)),
        _ => {
            return Err(RpcError::new(
                code::INVALID_PARAMS,
                "Only one of address and nodeid should be provided.",
            ));
        }
    };
    if !found {
        return Err(RpcError::new(
            code::CLIENT_NODE_NOT_CONNECTED,
            "Node not found in connected nodes",
        ));
    }
    Ok(Value::Null)
}

fn added_node_info(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let mut added = network(parts)?.added();
    if let Some(only) = context.arguments.opt_string(0)? {
        added.retain(|node| node.target == only);
        if added.is_empty() {
            return Err(RpcError::new(
                code::CLIENT_NODE_NOT_ADDED,
                "Error: Node has not been added.",
            ));
        }
    }
    Ok(added
        .into_iter()
        .map(|node| {
            let addresses: Vec<Value> = node
                .connected
                .iter()
                .map(|(address, inbound)| {
                    json!({
                        "address": address.to_string(),
                        "connected": if *inbound { "inbound" } else { "outbound" },
                    })
                })
                .collect();
            json!({
                "addednode": node.target,
                "connected": node.connected.is_some(),
                "addresses": addresses,
            })
        })
        .collect())
}

fn send_message(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    const LONGEST: usize = 12;
    const MAX_SENT: usize = 16_000_000;
    let id = context.arguments.int::<i64>(0)?;
    let name = context.arguments.string(1)?;
    if name.len() > LONGEST {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            format!("Error: msg_type too long, max length is {LONGEST}"),
        ));
    }
    let invalid = || RpcError::new(code::INVALID_PARAMETER, "Error parsing input for msg");
    let payload = Vec::<u8>::from_hex(context.arguments.string(2)?).map_err(|_| invalid())?;
    let command = Command::new(name).ok_or_else(|| {
        RpcError::new(code::INVALID_PARAMETER, "Error: msg_type is not printable")
    })?;
    // More than a peer takes is allowed, to see what it does; more than a frame can hold is not.
    if payload.len() > MAX_SENT {
        return Err(invalid());
    }
    let network = network(parts)?;
    let sent = u64::try_from(id).is_ok_and(|id| network.send_message(id, command, payload));
    if !sent {
        return Err(RpcError::new(
            code::MISC_ERROR,
            "Error: Could not send message to peer",
        ));
    }
    Ok(json!({}))
}
