//! Who is connected.

use super::super::context::Entry;
use super::{PeerView, network, peer_views, service_names};
use crate::net::transport;
use crate::sync::ConnectionKind;
use bitcoin::hex::DisplayHex;
use btc_interfaces::rpc::table::{Method, Shape};
use btc_interfaces::rpc::value;
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getconnectioncount",
            category: "network",
            summary: "How many peers the node is connected to.",
            args: &[],
            results: &[Shape::number("", "The number")],
            examples: &[""],
        },
        run: |parts, _| Ok(json!(peer_views(parts).len())),
    },
    Entry {
        method: Method {
            name: "ping",
            category: "network",
            summary: "Measures how long each peer takes to answer; getpeerinfo shows it as pingtime and pingwait.",
            args: &[],
            results: &[Shape::null()],
            examples: &[""],
        },
        run: |parts, _| {
            network(parts)?.ping();
            Ok(Value::Null)
        },
    },
    Entry {
        method: Method {
            name: "getpeerinfo",
            category: "network",
            summary: "Lists the peers.",
            args: &[],
            results: crate::rpc::results::network::GET_PEER_INFO,
            examples: &[""],
        },
        run: |parts, _| {
            let peers = peer_views(parts);
            Ok(peers.iter().map(peer_info).collect())
        },
    },
];

fn peer_info(peer: &PeerView) -> Value {
    let PeerView {
        info,
        traffic,
        name,
        mapped_as,
    } = peer;
    let system = |time: Option<SystemTime>| {
        time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_secs())
    };
    let seconds = |time: Option<Duration>| time.map_or(0, |time| time.as_secs());
    let height = |height: Option<u32>| height.map_or(-1, i64::from);
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    put("id", json!(info.id.0));
    let address = info.address.to_string();
    put("addr", json!(name.as_ref().unwrap_or(&address)));
    if *mapped_as != 0 {
        put("mapped_as", json!(mapped_as));
    }
    if let Some(seen) = info.seen_as.filter(|seen| seen.address.is_valid()) {
        put("addrlocal", json!(seen.to_string()));
    }
    if let Some(local) = traffic.local {
        put("addrbind", json!(local.to_string()));
    }
    put("network", json!(info.network.name()));
    let services = info.services.to_u64();
    put("services", json!(format!("{services:016x}")));
    put("servicesnames", service_names(services));
    put("relaytxes", json!(info.relays_transactions));
    put("last_inv_sequence", json!(info.told_sequence));
    put("inv_to_send", json!(info.transactions_to_tell));
    put("lastsend", json!(system(traffic.last_sent)));
    put("lastrecv", json!(system(traffic.last_received)));
    put("last_transaction", json!(seconds(info.last_transaction)));
    put("last_block", json!(seconds(info.last_block)));
    put("bytessent", json!(traffic.bytes_sent));
    put("bytesrecv", json!(traffic.bytes_received));
    put("conntime", json!(info.connected.as_secs()));
    put("timeoffset", json!(info.time_offset));
    for (key, time) in [
        ("pingtime", info.ping),
        ("minping", info.least_ping),
        ("pingwait", info.ping_wait.filter(|wait| !wait.is_zero())),
    ] {
        if let Some(time) = time {
            put(key, json!(time.as_secs_f64()));
        }
    }
    put("version", json!(info.version));
    put("subver", json!(info.user_agent));
    put("inbound", json!(info.kind == ConnectionKind::Inbound));
    put("bip152_hb_to", json!(info.high_bandwidth_to));
    put("bip152_hb_from", json!(info.high_bandwidth_from));
    put("presynced_headers", json!(height(info.presynced)));
    put("synced_headers", json!(height(info.synced_headers)));
    put("synced_blocks", json!(height(info.synced_blocks)));
    put("inflight", json!(info.in_flight));
    put("addr_relay_enabled", json!(info.address_relay));
    put("addr_processed", json!(info.addresses));
    put("addr_rate_limited", json!(info.addresses_limited));
    put("permissions", json!(info.permissions));
    put("minfeefilter", value::from_sat(info.fee_filter));
    put("bytessent_per_msg", json!(traffic.sent));
    put("bytesrecv_per_msg", json!(traffic.received));
    put("connection_type", json!(info.kind.as_str()));
    put("transport_protocol_type", json!(traffic.transport.as_str()));
    let session = match traffic.transport {
        transport::Kind::V2(id) => id.to_lower_hex_string(),
        transport::Kind::Detecting | transport::Kind::V1 => String::new(),
    };
    put("session_id", json!(session));
    Value::Object(out)
}
