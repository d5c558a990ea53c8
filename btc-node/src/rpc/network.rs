//! The methods about peers.

use super::blockchain::warnings;
use super::context::{Entry, NodeParts};
use super::registry::{RequestContext, RpcResult};
use crate::net::PROTOCOL_VERSION;
use crate::net::connections::Traffic;
use crate::net::transport;
use crate::sync::{ConnectionKind, PeerInfo};
use bitcoin::hex::DisplayHex;
use bitcoin::p2p::ServiceFlags;
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A peer with what its connection carried.
#[derive(Clone, Debug)]
pub struct PeerView {
    /// What is known of the peer.
    pub info: PeerInfo,
    /// What its connection carried.
    pub traffic: Traffic,
    /// What the user wrote to reach it, if it was the user.
    pub name: Option<String>,
}

/// A peer that the user wants to be connected to.
#[derive(Clone, Debug)]
pub struct AddedNode {
    /// What the user wrote.
    pub target: String,
    /// The connection's address and whether the peer made it, if there is one.
    pub connected: Option<(SocketAddr, bool)>,
}

/// Why the list of wanted peers stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// It is on the list.
    #[error("Error: Node already added")]
    AlreadyAdded,
    /// It is not on the list.
    #[error("Error: Node could not be removed. It has not been added previously.")]
    NotAdded,
    /// It is to be encrypted, and this node does not.
    #[error("Error: v2transport requested but not enabled (see -v2transport)")]
    NoV2,
}

/// What these methods need of the network.
pub trait PeerHooks: Send + Sync {
    /// All peers.
    fn peers(&self) -> Vec<PeerView>;
    /// Tries once to reach a peer, encrypted or not; if that is not said, as `-v2transport` says.
    ///
    /// # Errors
    /// [`AddError::NoV2`].
    fn connect_once(&self, target: &str, v2: Option<bool>) -> Result<(), AddError>;
    /// Keeps a connection to a peer from now on, encrypted or not as before.
    ///
    /// # Errors
    /// It is kept already, or [`AddError::NoV2`].
    fn add(&self, target: &str, v2: Option<bool>) -> Result<(), AddError>;
    /// Does so no longer; a connection that is there stays.
    ///
    /// # Errors
    /// It was never added.
    fn remove(&self, target: &str) -> Result<(), AddError>;
    /// The peers so added.
    fn added(&self) -> Vec<AddedNode>;
    /// Ends a connection by its number; says whether there was one.
    fn disconnect(&self, id: u64) -> bool;
    /// Ends connections by the peer's address or what the user wrote; says whether there were any.
    fn disconnect_address(&self, address: &str) -> bool;
    /// Bytes received and sent since the start.
    fn totals(&self) -> (u64, u64);
    /// What this node offers, as bits.
    fn services(&self) -> u64;
    /// Pings all peers.
    fn ping(&self);
}

/// The network, once it is open.
pub type FindPeers = Arc<dyn Fn() -> Option<Arc<dyn PeerHooks>> + Send + Sync>;

/// The methods of this module.
pub fn methods() -> &'static [Entry] {
    METHODS
}

const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getconnectioncount",
            category: "network",
            summary: "How many peers the node is connected to.",
            args: &[],
            result: "n    (numeric) The number",
            examples: &[""],
        },
        run: |parts, _| Ok(json!(peers(parts).len())),
    },
    Entry {
        method: Method {
            name: "ping",
            category: "network",
            summary: "Measures how long each peer takes to answer; getpeerinfo shows it as pingtime and pingwait.",
            args: &[],
            result: "null    (json null) Always",
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
            result: r#"[                              (json array)
  {                            (json object)
    "id" : n,                  (numeric) The connection's number
    "addr" : "str",            (string) The peer's address
    "addrbind" : "str",        (string, optional) This end's address
    "network" : "str",         (string) The kind of the address
    "services" : "hex",        (string) What the peer offers, as bits
    "servicesnames" : [...],   (json array) The same by name
    "relaytxes" : b,           (boolean) Whether it is told of transactions
    "inbound" : b,             (boolean) Whether it made the connection
    "version" : n,             (numeric) Its protocol version
    "subver" : "str",          (string) Its user agent
    "synced_headers" : n,      (numeric) Height of its best header known; -1 for none
    "synced_blocks" : n,       (numeric) Height of the last block in common; -1 for none
    "connection_type" : "str", (string) What the connection is for
    ...
  }, ...
]"#,
            examples: &[""],
        },
        run: |parts, _| {
            let peers = peers(parts);
            Ok(peers.iter().map(peer_info).collect())
        },
    },
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
                    "Encrypt the connection; there is no such transport yet",
                ),
            ],
            result: "null    (json null) Always",
            examples: &["\"192.168.0.6:8333\" \"onetry\""],
        },
        run: add_node,
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
            result: "null    (json null) Always",
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
            result: r#"[                          (json array)
  {                        (json object)
    "addednode" : "str",   (string) The peer as it was given
    "connected" : b,       (boolean) Whether there is a connection
    "addresses" : [        (json array) The connection, if there is one
      {                    (json object)
        "address" : "str", (string) The peer's address
        "connected" : "str" (string) inbound or outbound
      }
    ]
  }, ...
]"#,
            examples: &["", "\"192.168.0.201\""],
        },
        run: added_node_info,
    },
    Entry {
        method: Method {
            name: "getnettotals",
            category: "network",
            summary: "How many bytes came and went.",
            args: &[],
            result: r#"{                            (json object)
  "totalbytesrecv" : n,      (numeric) Bytes received
  "totalbytessent" : n,      (numeric) Bytes sent
  "timemillis" : n,          (numeric) The system's time in milliseconds since 1970
  "uploadtarget" : {...}     (json object) The bound on what is sent; there is none yet
}"#,
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
            result: r#"{                         (json object)
  "version" : n,          (numeric) The program's version
  "subversion" : "str",   (string) The user agent
  "protocolversion" : n,  (numeric) The version of the protocol between peers
  "networkactive" : b,    (boolean) Whether connections are made
  "connections" : n,      (numeric) Peers
  "relayfee" : n,         (numeric) Least feerate relayed, in BTC/kvB
  "incrementalfee" : n,   (numeric) What replacements pay for their relay, in BTC/kvB
  "warnings" : [...]      (json array) Warnings about the network and the node
  ...
}"#,
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
    let reachable = network.is_some();
    let networks = ["ipv4", "ipv6", "onion", "i2p", "cjdns"].map(|name| {
        let direct = reachable && name.starts_with("ip");
        json!({
            "name": name,
            "limited": !direct,
            "reachable": direct,
            "proxy": "",
            "proxy_randomize_credentials": false,
        })
    });
    let services = network.as_ref().map_or(0, |network| network.services());
    let peers = peers(parts);
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
    out.insert("networkactive".into(), json!(reachable));
    out.insert("connections".into(), json!(peers.len()));
    out.insert("connections_in".into(), json!(inbound));
    out.insert("connections_out".into(), json!(peers.len() - inbound));
    out.insert("networks".into(), json!(networks));
    out.insert("relayfee".into(), value::from_sat(relay));
    out.insert("incrementalfee".into(), value::from_sat(incremental));
    out.insert("localaddresses".into(), json!([]));
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

fn network(parts: &NodeParts) -> Result<Arc<dyn PeerHooks>, RpcError> {
    (parts.peers)().ok_or_else(|| {
        RpcError::new(
            code::CLIENT_P2P_DISABLED,
            "Error: Peer-to-peer functionality missing or disabled",
        )
    })
}

/// The peers; none before the network is open.
pub(super) fn peers(parts: &NodeParts) -> Vec<PeerView> {
    (parts.peers)().map_or_else(Vec::new, |network| network.peers())
}

fn add_node(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let target = context.arguments.string(0)?;
    let command = context.arguments.string(1)?;
    if !matches!(command, "add" | "remove" | "onetry") {
        return Err(RpcError::new(
            code::MISC_ERROR,
            format!("addnode: the command is add, remove or onetry, not {command}"),
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

fn net_totals(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    let (received, sent) = network(parts)?.totals();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(json!({
        "totalbytesrecv": received,
        "totalbytessent": sent,
        "timemillis": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        "uploadtarget": {
            "timeframe": 86400,
            "target": 0,
            "target_reached": false,
            "serve_historical_blocks": true,
            "bytes_left_in_cycle": 0,
            "time_left_in_cycle": 0,
        },
    }))
}

fn peer_info(peer: &PeerView) -> Value {
    let PeerView {
        info,
        traffic,
        name,
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
    if let Some(local) = traffic.local {
        put("addrbind", json!(local.to_string()));
    }
    put("network", json!(network_name(info.address)));
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
    put("bip152_hb_to", json!(false));
    put("bip152_hb_from", json!(info.high_bandwidth_from));
    put("presynced_headers", json!(-1));
    put("synced_headers", json!(height(info.synced_headers)));
    put("synced_blocks", json!(height(info.synced_blocks)));
    put("inflight", json!(info.in_flight));
    put("addr_relay_enabled", json!(false));
    put("addr_processed", json!(0));
    put("addr_rate_limited", json!(info.addresses));
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

/// The kind of an address, as `getpeerinfo` calls it.
fn network_name(address: SocketAddr) -> &'static str {
    match address.ip() {
        ip if ip.is_loopback() => "not_publicly_routable",
        std::net::IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => {
            "not_publicly_routable"
        }
        std::net::IpAddr::V4(_) => "ipv4",
        std::net::IpAddr::V6(_) => "ipv6",
    }
}

/// The names of service bits.
fn service_names(services: u64) -> Value {
    let known = [
        (ServiceFlags::NETWORK, "NETWORK"),
        (ServiceFlags::BLOOM, "BLOOM"),
        (ServiceFlags::WITNESS, "WITNESS"),
        (ServiceFlags::COMPACT_FILTERS, "COMPACT_FILTERS"),
        (ServiceFlags::NETWORK_LIMITED, "NETWORK_LIMITED"),
        (ServiceFlags::P2P_V2, "P2P_V2"),
    ];
    (0..64)
        .map(|bit| 1u64 << bit)
        .filter(|bit| services & bit != 0)
        .map(|bit| {
            let name = known
                .iter()
                .find(|(flag, _)| flag.to_u64() == bit)
                .map(|(_, name)| (*name).to_owned());
            json!(name.unwrap_or_else(|| format!("UNKNOWN[2^{}]", bit.trailing_zeros())))
        })
        .collect()
}
