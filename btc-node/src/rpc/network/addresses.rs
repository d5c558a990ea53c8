//! The address book.

use super::super::context::{Entry, NodeParts};
use super::super::registry::{RequestContext, RpcResult};
use super::{PeerHooks, network};
use crate::net::addrman::Counts;
use crate::net::{Endpoint, NetAddress, Network, PeerAddress};
use bitcoin::p2p::ServiceFlags;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code};
use serde_json::{Map, Value, json};

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getnodeaddresses",
            category: "network",
            summary: "Gives addresses of nodes at random, of those that seem to be of use.",
            args: &[
                Arg::default("count", Kind::Number, "1", "How many at most; 0 for all"),
                Arg::hint(
                    "network",
                    Kind::String,
                    "all networks",
                    "Only of this one: ipv4, ipv6, onion, i2p or cjdns",
                ),
            ],
            results: &[Shape::array(
                "",
                "",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::time("time", "When the node was last seen, in seconds since 1970"),
                        Shape::number("services", "What it offers, as bits"),
                        Shape::string("address", "Its address"),
                        Shape::number("port", "Its port"),
                        Shape::string("network", "The network (ipv4, ipv6, onion, i2p, cjdns)"),
                    ],
                )],
            )],
            examples: &["8", "4 \"i2p\""],
        },
        run: node_addresses,
    },
    Entry {
        method: Method {
            name: "addpeeraddress",
            category: "hidden",
            summary: "Puts an address into the book. For tests.",
            args: &[
                Arg::required("address", Kind::String, "The address"),
                Arg::required("port", Kind::Number, "The port"),
                Arg::default(
                    "tried",
                    Kind::Bool,
                    "false",
                    "Whether it counts as one that a connection was made to",
                ),
            ],
            results: &[Shape::object(
                "",
                "",
                &[
                    Shape::bool("success", "Whether it is there now"),
                    Shape::string("error", "Why not").optional(),
                ],
            )],
            examples: &["\"1.2.3.4\" 8333 true"],
        },
        run: add_peer_address,
    },
    Entry {
        method: Method {
            name: "getaddrmaninfo",
            category: "network",
            summary: "How many addresses the book has.",
            args: &[],
            results: &[Shape::map(
                "",
                "",
                &[Shape::object(
                    "network",
                    "Of a network (ipv4, ipv6, onion, i2p, cjdns, all_networks)",
                    &[
                        Shape::number("new", "Only heard of"),
                        Shape::number("tried", "Once connected to"),
                        Shape::number("total", "Both"),
                    ],
                )],
            )],
            examples: &[""],
        },
        run: info,
    },
    Entry {
        method: Method {
            name: "getrawaddrman",
            category: "hidden",
            summary: "Shows all of the book.",
            args: &[],
            results: crate::rpc::results::network::GET_RAW_ADDRMAN,
            examples: &[""],
        },
        run: raw,
    },
];

fn node_addresses(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let count = context.arguments.opt_int::<i32>(0)?.unwrap_or(1);
    let count = usize::try_from(count)
        .map_err(|_| RpcError::new(code::INVALID_PARAMETER, "Address count out of range"))?;
    let only = context
        .arguments
        .opt_string(1)?
        .map(|name| {
            Network::from_name(name).ok_or_else(|| {
                RpcError::new(
                    code::INVALID_PARAMETER,
                    format!("Network not recognized: {name}"),
                )
            })
        })
        .transpose()?;
    let network = network(parts)?;
    let found = network
        .directory()
        .addresses(count, 0, only, network.seconds());
    Ok(found
        .iter()
        .map(|told| {
            json!({
                "time": told.time,
                "services": told.services,
                "address": told.endpoint.address.to_string(),
                "port": told.endpoint.port,
                "network": told.endpoint.address.class().name(),
            })
        })
        .collect())
}

fn add_peer_address(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let text = context.arguments.string(0)?;
    let port = context.arguments.int::<u16>(1)?;
    let tried = context.arguments.opt_bool(2)?.unwrap_or(false);
    let address: NetAddress = text
        .parse()
        .map_err(|_| RpcError::new(code::CLIENT_INVALID_IP_OR_SUBNET, "Invalid IP address"))?;
    let network = network(parts)?;
    let reaches_cjdns = network.directory().reachable().contains(&Network::Cjdns);
    let now = network.seconds();
    let told = PeerAddress {
        time: u32::try_from(now).unwrap_or(u32::MAX),
        services: (ServiceFlags::NETWORK | ServiceFlags::WITNESS).to_u64(),
        endpoint: Endpoint::new(address.as_cjdns_if(reaches_cjdns), port),
    };
    let mut book = network.directory().book();
    // As if it told of itself.
    let error = if !book.add(&[told], told.endpoint.address, 0, now) {
        Some("failed-adding-to-new")
    } else if tried && !book.good(told.endpoint, now) {
        Some("failed-adding-to-tried")
    } else {
        None
    };
    let mut out = Map::new();
    if let Some(error) = error {
        out.insert("error".into(), json!(error));
    }
    out.insert("success".into(), json!(error.is_none()));
    Ok(Value::Object(out))
}

fn info(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    let network = network(parts)?;
    let book = network.directory().book();
    let shown = |counts: Counts| {
        json!({
            "new": counts.new,
            "tried": counts.tried,
            "total": counts.new + counts.tried,
        })
    };
    let mut out = Map::new();
    for kind in Network::ALL {
        out.insert(kind.name().into(), shown(book.counts(Some(kind))));
    }
    out.insert("all_networks".into(), shown(book.counts(None)));
    Ok(Value::Object(out))
}

fn raw(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    let network = network(parts)?;
    Ok(json!({
        "new": table(network.as_ref(), false),
        "tried": table(network.as_ref(), true),
    }))
}

fn table(network: &dyn PeerHooks, tried: bool) -> Value {
    // Taken first, so that the book is not held while its groups are asked for.
    let places = network.directory().book().places(tried);
    let mut out = Map::new();
    for (place, entry) in places {
        let told = entry.address;
        let address = told.endpoint.address;
        let mut shown = Map::new();
        shown.insert("address".into(), json!(address.to_string()));
        let mapped = network.mapped_as(address);
        if mapped != 0 {
            shown.insert("mapped_as".into(), json!(mapped));
        }
        shown.insert("port".into(), json!(told.endpoint.port));
        shown.insert("services".into(), json!(told.services));
        shown.insert("time".into(), json!(told.time));
        shown.insert("network".into(), json!(address.class().name()));
        shown.insert("source".into(), json!(entry.source.to_string()));
        shown.insert("source_network".into(), json!(entry.source.class().name()));
        let mapped = network.mapped_as(entry.source);
        if mapped != 0 {
            shown.insert("source_mapped_as".into(), json!(mapped));
        }
        out.insert(
            format!("{}/{}", place.bucket, place.position),
            Value::Object(shown),
        );
    }
    Value::Object(out)
}
