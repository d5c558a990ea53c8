//! The network as a whole.

use super::super::blockchain::warnings;
use super::super::context::{Entry, NodeParts};
use super::super::registry::{RequestContext, RpcResult};
use super::{PeerView, network, peer_views, service_names};
use crate::net::{Network, PROTOCOL_VERSION};
use crate::sync::ConnectionKind;
use crate::sync::relay::BacklogInfo;
use btc_interfaces::rpc::table::Method;
use btc_interfaces::rpc::value;
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getnettotals",
            category: "network",
            summary: "How many bytes came and went.",
            args: &[],
            results: crate::rpc::results::network::GET_NET_TOTALS,
            examples: &[""],
        },
        run: net_totals,
    },
    Entry {
        method: Method {
            name: "getnetworkinfo",
            category: "network",
            summary: "Shows the state of the node's connections to the network.",
            args: &[],
            results: crate::rpc::results::network::GET_NETWORK_INFO,
            examples: &[""],
        },
        run: get_network_info,
    },
];

fn get_network_info(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    let (relay, incremental) = parts.mempool.read(|pool| {
        let policy = pool.policy();
        (
            policy.min_relay_feerate.per_thousand(),
            policy.incremental_feerate.per_thousand(),
        )
    });
    let network = (parts.peers)();
    let networks = Network::ALL.map(|kind| {
        let reached = network
            .as_ref()
            .is_some_and(|network| network.directory().reachable().contains(&kind));
        let proxy = network.as_ref().and_then(|network| network.proxy(kind));
        json!({
            "name": kind.name(),
            "limited": !reached,
            "reachable": reached,
            "proxy": proxy.as_ref().map_or_else(String::new, |proxy| proxy.address.to_string()),
            "proxy_randomize_credentials": proxy.as_ref().is_some_and(|proxy| proxy.isolate),
        })
    });
    let services = network.as_ref().map_or(0, |network| network.services());
    let peers = peer_views(parts);
    let inbound = peers
        .iter()
        .filter(|peer| peer.info.kind == ConnectionKind::Inbound)
        .count();
    let mut out = Map::new();
    out.insert("version".into(), json!(parts.client_version));
    out.insert("subversion".into(), json!(parts.subversion));
    out.insert("protocolversion".into(), json!(PROTOCOL_VERSION));
    out.insert("localservices".into(), json!(format!("{services:016x}")));
    out.insert("localservicesnames".into(), service_names(services));
    out.insert("localrelay".into(), json!(parts.relays_transactions));
    out.insert("timeoffset".into(), json!(time_offset(&peers)));
    if let Some(relay) = network.as_ref().map(|network| network.relay()) {
        let bucket = |bucket: BacklogInfo| {
            json!({
                "backlog": bucket.waiting,
                "count_tok": bucket.count_tokens,
                "size_tok": bucket.byte_tokens,
            })
        };
        out.insert("tx_send_rate".into(), json!(relay.rate));
        out.insert(
            "inv_buckets".into(),
            json!({ "inbound": bucket(relay.inbound), "outbound": bucket(relay.outbound) }),
        );
    }
    out.insert(
        "networkactive".into(),
        json!(network.as_ref().is_some_and(|network| network.is_active())),
    );
    out.insert("connections".into(), json!(peers.len()));
    out.insert("connections_in".into(), json!(inbound));
    out.insert("connections_out".into(), json!(peers.len() - inbound));
    out.insert("networks".into(), json!(networks));
    out.insert("relayfee".into(), value::from_sat(relay));
    out.insert("incrementalfee".into(), value::from_sat(incremental));
    let local: Vec<Value> = network
        .as_ref()
        .map(|network| network.directory().local().list())
        .unwrap_or_default()
        .into_iter()
        .map(|(endpoint, score)| {
            json!({
                "address": endpoint.address.to_string(),
                "port": endpoint.port,
                "score": score,
            })
        })
        .collect();
    out.insert("localaddresses".into(), json!(local));
    out.insert("warnings".into(), warnings(parts));
    Ok(Value::Object(out))
}

/// The middle of the offsets of the peers that this node chose, in seconds; 0 if there are few.
fn time_offset(peers: &[PeerView]) -> i64 {
    let mut offsets: Vec<i64> = peers
        .iter()
        .filter(|peer| peer.info.kind != ConnectionKind::Inbound && peer.info.version != 0)
        .map(|peer| peer.info.time_offset)
        .collect();
    if offsets.len() < 5 {
        return 0;
    }
    offsets.sort_unstable();
    offsets[offsets.len() / 2]
}

fn net_totals(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    let network = network(parts)?;
    let (received, sent) = network.totals();
    let upload = network.upload();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(json!({
        "totalbytesrecv": received,
        "totalbytessent": sent,
        "timemillis": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        "uploadtarget": {
            "timeframe": upload.cycle.as_secs(),
            "target": upload.target,
            "target_reached": upload.reached,
            "serve_historical_blocks": upload.serves_history,
            "bytes_left_in_cycle": upload.bytes_left,
            "time_left_in_cycle": upload.time_left.as_secs(),
        },
    }))
}
