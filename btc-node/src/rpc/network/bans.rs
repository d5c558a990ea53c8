//! Bans.

use super::super::context::{Entry, NodeParts};
use super::super::registry::{RequestContext, RpcResult};
use super::network;
use crate::net::subnet::Subnet;
use crate::net::{NetAddress, Network};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code};
use serde_json::{Value, json};

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "setban",
            category: "network",
            summary: "Bans an address or a range of addresses, or takes a ban back.",
            args: &[
                Arg::required(
                    "subnet",
                    Kind::String,
                    "The address, or a range as address/bits or address/netmask",
                ),
                Arg::required("command", Kind::String, "add or remove"),
                Arg::default(
                    "bantime",
                    Kind::Number,
                    "0",
                    "How long, in seconds, or until when with absolute; 0 for what -bantime says",
                ),
                Arg::default(
                    "absolute",
                    Kind::Bool,
                    "false",
                    "Whether bantime is in seconds since 1970",
                ),
            ],
            results: &[Shape::null()],
            examples: &[
                "\"192.168.0.6\" \"add\" 86400",
                "\"192.168.0.0/24\" \"add\"",
            ],
        },
        run: set_ban,
    },
    Entry {
        method: Method {
            name: "listbanned",
            category: "network",
            summary: "Lists the bans.",
            args: &[],
            results: &[Shape::array(
                "",
                "",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::string("address", "The range"),
                        Shape::time("ban_created", "When it was banned, in seconds since 1970"),
                        Shape::time("banned_until", "When that ends, in seconds since 1970"),
                        Shape::time("ban_duration", "How long it lasts, in seconds"),
                        Shape::time("time_remaining", "How long it still lasts, in seconds"),
                    ],
                )],
            )],
            examples: &[""],
        },
        run: list_banned,
    },
    Entry {
        method: Method {
            name: "clearbanned",
            category: "network",
            summary: "Takes all bans back.",
            args: &[],
            results: &[Shape::null()],
            examples: &[""],
        },
        run: |parts, _| {
            let network = network(parts)?;
            network.directory().bans().clear();
            network.bans_changed();
            Ok(Value::Null)
        },
    },
];

fn set_ban(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let text = context.arguments.string(0)?;
    let command = context.arguments.string(1)?;
    if !matches!(command, "add" | "remove") {
        return Err(RpcError::new(
            code::MISC_ERROR,
            super::help(METHODS, "setban"),
        ));
    }
    let network = network(parts)?;
    let single: Option<NetAddress> = text.parse().ok().filter(|_| !text.contains('/'));
    let reaches_cjdns = network.directory().reachable().contains(&Network::Cjdns);
    let single = single.map(|address| address.as_cjdns_if(reaches_cjdns));
    let subnet = match single {
        Some(address) => Subnet::single(address).filter(|_| address.is_valid()),
        None => text.parse::<Subnet>().ok(),
    };
    let subnet = subnet.ok_or_else(|| {
        RpcError::new(
            code::CLIENT_INVALID_IP_OR_SUBNET,
            "Error: Invalid IP/Subnet",
        )
    })?;
    let now = network.seconds();
    if command == "remove" {
        if !network.directory().bans().unban(&subnet) {
            return Err(RpcError::new(
                code::CLIENT_INVALID_IP_OR_SUBNET,
                "Error: Unban failed. Requested address/subnet was not previously manually banned.",
            ));
        }
        network.bans_changed();
        return Ok(Value::Null);
    }
    let duration = context.arguments.opt_int::<i64>(2)?.unwrap_or(0);
    let absolute = context.arguments.opt_bool(3)?.unwrap_or(false);
    {
        let mut bans = network.directory().bans();
        let banned = match single {
            Some(address) => bans.is_banned(address, now),
            None => bans.is_range_banned(&subnet, now),
        };
        if banned {
            return Err(RpcError::new(
                code::CLIENT_NODE_ALREADY_ADDED,
                "Error: IP/Subnet already banned",
            ));
        }
        if absolute && duration < now {
            return Err(RpcError::new(
                code::INVALID_PARAMETER,
                "Error: Absolute timestamp is in the past",
            ));
        }
        bans.ban(subnet, duration, absolute, now);
    }
    network.bans_changed();
    network.disconnect_subnet(&subnet);
    Ok(Value::Null)
}

fn list_banned(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    let network = network(parts)?;
    let now = network.seconds();
    let mut bans = network.directory().bans();
    Ok(bans
        .list(now)
        .iter()
        .map(|(subnet, ban)| {
            json!({
                "address": subnet.to_string(),
                "ban_created": ban.created,
                "banned_until": ban.until,
                "ban_duration": ban.until - ban.created,
                "time_remaining": ban.until - now,
            })
        })
        .collect())
}
