//! The methods about peers, of which there are none yet: the answers are those of a node that has no connections.

use super::blockchain::warnings;
use super::context::{Entry, NodeParts};
use super::registry::{RequestContext, RpcResult};
use btc_interfaces::rpc::table::Method;
use btc_interfaces::rpc::value;
use serde_json::{Map, Value, json};

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
        run: |_, _| Ok(json!(0)),
    },
    Entry {
        method: Method {
            name: "getpeerinfo",
            category: "network",
            summary: "Lists the peers.",
            args: &[],
            result: "[...]    (json array) The peers; none, since the node makes no connections yet",
            examples: &[""],
        },
        run: |_, _| Ok(json!([])),
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
  "protocolversion" : n,  (numeric) The version of the protocol between peers; 0 as long as none is spoken
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
    let networks = ["ipv4", "ipv6", "onion", "i2p", "cjdns"].map(|name| {
        json!({
            "name": name,
            "limited": true,
            "reachable": false,
            "proxy": "",
            "proxy_randomize_credentials": false,
        })
    });
    let mut out = Map::new();
    out.insert("version".into(), json!(parts.client_version));
    out.insert("subversion".into(), json!(parts.subversion));
    out.insert("protocolversion".into(), json!(0));
    out.insert("localservices".into(), json!("0000000000000000"));
    out.insert("localservicesnames".into(), json!([]));
    out.insert("localrelay".into(), json!(false));
    out.insert("timeoffset".into(), json!(0));
    out.insert("networkactive".into(), json!(false));
    out.insert("connections".into(), json!(0));
    out.insert("connections_in".into(), json!(0));
    out.insert("connections_out".into(), json!(0));
    out.insert("networks".into(), json!(networks));
    out.insert("relayfee".into(), value::from_sat(relay));
    out.insert("incrementalfee".into(), value::from_sat(incremental));
    out.insert("localaddresses".into(), json!([]));
    out.insert("warnings".into(), warnings(parts));
    Ok(Value::Object(out))
}
