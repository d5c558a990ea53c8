//! `-netinfo`: the node's connections as a table, for people.

use super::batch::Replies;
use super::{CliError, request};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The highest level; what is above counts as it.
const MAX_LEVEL: u8 = 4;

/// What the first column of a table line is padded for: networks by their names in results and in the table.
const NETWORKS: [(&str, &str); 7] = [
    ("not_publicly_routable", "npr"),
    ("ipv4", "ipv4"),
    ("ipv6", "ipv6"),
    ("onion", "onion"),
    ("i2p", "i2p"),
    ("cjdns", "cjdns"),
    ("internal", "int"),
];

/// Those that have a column only if there are peers: nobody is reached through them.
const UNREACHABLE: [usize; 2] = [0, 6];

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Detail {
    level: u8,
    outbound_only: bool,
}

impl Detail {
    /// As the arguments say; more than two are ignored.
    pub(super) fn parse(words: &[String]) -> Result<Self, CliError> {
        const HINT: &str = "For more information, run: bitcoin-cli -netinfo help";
        let Some(level) = words.first() else {
            return Ok(Self::default());
        };
        let number: u8 = level.parse().map_err(|_| {
            CliError::Usage(format!("invalid -netinfo level argument: {level}\n{HINT}"))
        })?;
        let outbound_only = match words.get(1).map(String::as_str) {
            None => false,
            Some("o" | "outonly") if number > 0 => true,
            Some(other) => {
                let hint = if number > 0 {
                    HINT.to_owned()
                } else {
                    format!(
                        "The outonly argument is only valid for a level greater than 0 (the first argument). {HINT}"
                    )
                };
                let text = format!("invalid -netinfo outonly argument: {other}\n{hint}");
                return Err(CliError::Usage(text));
            }
        };
        Ok(Self {
            level: number.min(MAX_LEVEL),
            outbound_only,
        })
    }

    fn shows_peers(self) -> bool {
        self.level > 0
    }

    fn shows_addresses(self) -> bool {
        matches!(self.level, 2 | 4)
    }

    fn shows_versions(self) -> bool {
        matches!(self.level, 3 | 4)
    }
}

/// The calls that it takes, as a batch.
pub(super) fn requests() -> Value {
    json!([
        request("getpeerinfo", Value::Null, json!(0)),
        request("getnetworkinfo", Value::Null, json!(1)),
    ])
}

/// The table of a batch of replies, or the error of one. `chain` is `main`, `test` and so on; `now` is in seconds since
/// 1970.
pub(super) fn show(
    batch: &Value,
    detail: Detail,
    chain: &str,
    now: i64,
) -> Result<Result<String, Value>, CliError> {
    let replies = Replies::read(batch)?;
    if let Some(error) = replies.error(&[0, 1])? {
        return Ok(Err(error.clone()));
    }
    let network = replies.result(1)?;
    let peers: Vec<Peer> = items(replies.result(0)?)
        .iter()
        .filter_map(|peer| Peer::read(peer, now))
        .collect();
    let mut out = header(network, detail, chain);
    if detail.shows_peers() {
        list(&peers, detail, &mut out);
    }
    count(&peers, &network["networks"], &mut out);
    if !detail.shows_peers() {
        let names = services(&network["localservicesnames"]);
        let names: Vec<String> = names.map(|name| name.replace('_', " ")).collect();
        let names = names.join(", ").to_lowercase();
        let _ = write!(out, "\n\nLocal services: {names}");
    }
    local_addresses(&network["localaddresses"], &mut out);
    Ok(Ok(out))
}

/// What `-netinfo help` shows.
pub(super) const HELP: &str = "\
-netinfo (level [outonly]) | help

Shows the node's connections, made of what getpeerinfo and getnetworkinfo give. The text is for people and may change.

Arguments:
1. level    (0 to 4, default 0; more counts as 4)
            0  numbers of peers by network, of block-relay and manual ones, and the node's own addresses
            1  also a list of the peers
            2  the list with addresses
            3  the list with versions
            4  the list with both
2. outonly  (\"outonly\" or \"o\") list only connections that the node made; needs a level above 0

Columns of the list, which is sorted by direction and least ping time:
  <->      in: made by the peer; out: made by this node
  type     full, block (relays blocks alone), manual (by addnode or -connect), feeler (tests an address),
           addr (fetches addresses), priv (sends a transaction of this node privately)
  net      the network: ipv4, ipv6, onion, i2p, cjdns, or npr (not publicly routable)
  serv     services: n NETWORK, b BLOOM, w WITNESS, c COMPACT_FILTERS, l NETWORK_LIMITED, 2 P2P_V2, u UNKNOWN
  v        version of the transport
  mping    least ping time, in ms
  ping     last ping time, in ms
  send     since the last message to the peer, in s
  recv     since the last message from the peer, in s
  txn      since the last transaction from it that was new and accepted, in min; * if none are relayed
  blk      since the last block from it that was new and valid so far, in min
  hb       high-bandwidth compact blocks: . to the peer, * from it
  addrp    addresses from it that were taken; . if none are relayed
  addrl    addresses from it that were too many
  age      since the connection was made, in min
  asmap    number of its operator's network (with -asmap)
  id       its number
  address  its address and port
  version  its version and the name of its program

Examples:
> bitcoin-cli -netinfo
> bitcoin-cli -netinfo 4 outonly
> watch --interval 1 --no-title bitcoin-cli -netinfo 4
";

/// A line of the list.
struct Peer {
    network: usize,
    inbound: bool,
    kind: &'static str,
    is_block_relay: bool,
    is_manual: bool,
    services: String,
    transport: char,
    least_ping: Option<f64>,
    ping: Option<f64>,
    sent: String,
    received: String,
    transaction: String,
    block: String,
    high_bandwidth: String,
    addresses: String,
    addresses_dropped: String,
    age: String,
    operator: u64,
    id: String,
    address: String,
    version: String,
}

impl Peer {
    /// `None` for a peer of a network that is not known.
    fn read(peer: &Value, now: i64) -> Option<Self> {
        let network = peer["network"].as_str()?;
        let network = NETWORKS.iter().position(|(name, _)| *name == network)?;
        let kind = peer["connection_type"].as_str().unwrap_or_default();
        let since = |name: &str, unit: i64| match peer[name].as_i64().unwrap_or(0) {
            0 => String::new(),
            time => ((now - time) / unit).to_string(),
        };
        let or_else = |text: String, mark: &str, flag: bool| {
            if text.is_empty() && flag {
                mark.to_owned()
            } else {
                text
            }
        };
        let number = |name: &str| match peer[name].as_i64().unwrap_or(0) {
            0 => String::new(),
            number => number.to_string(),
        };
        let flag = |name: &str| peer[name].as_bool();
        let mark = |name: &str, mark: &'static str| {
            if flag(name) == Some(true) { mark } else { " " }
        };
        let transport = peer["transport_protocol_type"].as_str().unwrap_or("v1");
        let mut version = peer["version"].to_string();
        version.push_str(peer["subver"].as_str().unwrap_or_default());
        Some(Self {
            network,
            inbound: flag("inbound").unwrap_or(false),
            kind: match kind {
                "outbound-full-relay" => "full",
                "block-relay-only" => "block",
                "manual" => "manual",
                "feeler" => "feeler",
                "addr-fetch" => "addr",
                "private-broadcast" => "priv",
                _ => "",
            },
            is_block_relay: kind == "block-relay-only",
            is_manual: kind == "manual",
            services: letters(&peer["servicesnames"]),
            transport: match transport.strip_prefix('v').map(str::as_bytes) {
                Some([digit]) => char::from(*digit),
                _ => ' ',
            },
            least_ping: peer["minping"].as_f64(),
            ping: peer["pingtime"].as_f64(),
            sent: since("lastsend", 1),
            received: since("lastrecv", 1),
            transaction: or_else(
                since("last_transaction", 60),
                "*",
                flag("relaytxes") == Some(false),
            ),
            block: since("last_block", 60),
            high_bandwidth: format!(
                "{}{}",
                mark("bip152_hb_to", "."),
                mark("bip152_hb_from", "*")
            ),
            addresses: or_else(
                number("addr_processed"),
                ".",
                flag("addr_relay_enabled") != Some(true),
            ),
            addresses_dropped: number("addr_rate_limited"),
            age: since("conntime", 60),
            operator: peer["mapped_as"].as_u64().unwrap_or(0),
            id: peer["id"].to_string(),
            address: peer["addr"].as_str().unwrap_or_default().to_owned(),
            version: if version == "0" {
                String::new()
            } else {
                version
            },
        })
    }
}

fn header(network: &Value, detail: Detail, chain: &str) -> String {
    let chain = match chain {
        "main" => "",
        "test" => " testnet",
        other => &format!(" {other}"),
    };
    let services = if detail.shows_peers() {
        format!(" - services {}", letters(&network["localservicesnames"]))
    } else {
        String::new()
    };
    format!(
        "multiprocess-bitcoin client v{}{chain} - server {}{}{services}\n\n",
        env!("CARGO_PKG_VERSION"),
        network["protocolversion"],
        network["subversion"].as_str().unwrap_or_default(),
    )
}

fn list(peers: &[Peer], detail: Detail, out: &mut String) {
    let mut peers: Vec<&Peer> = peers
        .iter()
        .filter(|peer| !(detail.outbound_only && peer.inbound))
        .collect();
    if peers.is_empty() {
        return;
    }
    let ping = |peer: &Peer| peer.least_ping.unwrap_or(-1.0);
    peers.sort_by(|a, b| {
        let direction = b.inbound.cmp(&a.inbound);
        direction.then(ping(a).total_cmp(&ping(b)))
    });
    let width = |least: usize, text: fn(&Peer) -> &str| {
        let widths = peers.iter().map(|peer| text(peer).len());
        widths.max().unwrap_or(0).max(least)
    };
    let services = width(6, |peer| &peer.services);
    let addresses = width(5, |peer| &peer.addresses);
    let dropped = width(6, |peer| &peer.addresses_dropped);
    let age = width(5, |peer| &peer.age);
    let id = width(2, |peer| &peer.id);
    let has_operators = peers.iter().any(|peer| peer.operator != 0);
    let address = if detail.shows_addresses() {
        width(0, |peer| &peer.address) + 1
    } else {
        0
    };
    let shown = |flag: bool, text: &'static str| if flag { text } else { "" };
    let _ = writeln!(
        out,
        "<->   type   net {:>services$}  v  mping   ping send recv  txn  blk  hb {:>addresses$}{:>dropped$}{:>age$} {}{:>id$} {:<address$}{}",
        "serv",
        "addrp",
        "addrl",
        "age",
        shown(has_operators, " asmap "),
        "id",
        shown(detail.shows_addresses(), "address"),
        shown(detail.shows_versions(), "version"),
    );
    for peer in peers {
        let operator = match peer.operator {
            _ if !has_operators => String::new(),
            0 => " ".repeat(7),
            number => format!("{number:>7}"),
        };
        let _ = writeln!(
            out,
            "{:>3} {:>6} {:>5} {:>services$} {:>2}{:>7}{:>7}{:>5}{:>5}{:>5}{:>5}  {:>2} {:>addresses$}{:>dropped$}{:>age$}{operator} {:>id$} {:<address$}{}",
            if peer.inbound { "in" } else { "out" },
            peer.kind,
            NETWORKS[peer.network].1,
            peer.services,
            peer.transport,
            milliseconds(peer.least_ping),
            milliseconds(peer.ping),
            peer.sent,
            peer.received,
            peer.transaction,
            peer.block,
            peer.high_bandwidth,
            peer.addresses,
            peer.addresses_dropped,
            peer.age,
            peer.id,
            if detail.shows_addresses() {
                &peer.address
            } else {
                ""
            },
            if detail.shows_versions() {
                &peer.version
            } else {
                ""
            },
        );
    }
    let _ = write!(
        out,
        "                {:>services$}         ms     ms  sec  sec  min  min                {:>age$}\n\n",
        "", "min"
    );
}

fn milliseconds(seconds: Option<f64>) -> String {
    match seconds.map(|seconds| (seconds * 1000.0).round()) {
        None => String::new(),
        Some(milliseconds) if milliseconds > 999_999.0 => "-".to_owned(),
        Some(milliseconds) => milliseconds.to_string(),
    }
}

/// Whether a peer counts in a row.
type Counts = fn(&Peer) -> bool;

fn count(peers: &[Peer], networks: &Value, out: &mut String) {
    let mut columns = Vec::new();
    out.push_str("     ");
    for network in items(networks) {
        let known = NETWORKS
            .iter()
            .position(|(name, _)| network["name"] == *name);
        if let Some(known) = known
            && network["reachable"] == true
        {
            let _ = write!(out, "{:>8}", NETWORKS[known].0);
            columns.push(known);
        }
    }
    for unreachable in UNREACHABLE {
        if peers.iter().any(|peer| peer.network == unreachable) {
            let _ = write!(out, "{:>8}", NETWORKS[unreachable].1);
            columns.push(unreachable);
        }
    }
    let manual = peers.iter().filter(|peer| peer.is_manual).count();
    let block_relay = peers.iter().filter(|peer| peer.is_block_relay).count();
    out.push_str("   total   block");
    if manual > 0 {
        out.push_str("  manual");
    }
    let rows: [(&str, Counts); 3] = [
        ("in", |peer| peer.inbound),
        ("out", |peer| !peer.inbound),
        ("total", |_| true),
    ];
    for (name, counts) in rows {
        let _ = write!(out, "\n{name:<5}");
        for column in &columns {
            let of_network = |peer: &&Peer| counts(peer) && peer.network == *column;
            let _ = write!(out, "{:>8}", peers.iter().filter(of_network).count());
        }
        let all = peers.iter().filter(|peer| counts(peer)).count();
        let _ = write!(out, "   {all:>5}");
        if name == "out" {
            let _ = write!(out, "   {block_relay:>5}");
            if manual > 0 {
                let _ = write!(out, "   {manual:>5}");
            }
        }
    }
}

fn local_addresses(addresses: &Value, out: &mut String) {
    out.push_str("\n\nLocal addresses");
    let addresses = items(addresses);
    if addresses.is_empty() {
        out.push_str(": n/a\n");
        return;
    }
    let text = |address: &Value| address["address"].as_str().unwrap_or_default().to_owned();
    let widths = addresses.iter().map(|address| text(address).len() + 1);
    let width = widths.max().unwrap_or(0);
    for address in addresses {
        let number = |name: &str| address[name].as_i64().unwrap_or(0);
        let _ = write!(
            out,
            "\n{:<width$}    port {:>6}    score {:>6}",
            text(address),
            number("port"),
            number("score"),
        );
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn services(names: &Value) -> impl Iterator<Item = &str> {
    items(names).iter().filter_map(Value::as_str)
}

/// A letter for each service.
fn letters(names: &Value) -> String {
    services(names)
        .map(|name| match name {
            "NETWORK_LIMITED" => 'l',
            "P2P_V2" => '2',
            other => other.chars().next().unwrap_or(' ').to_ascii_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn detail(text: &str) -> Result<Detail, String> {
        Detail::parse(&words(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn levels() {
        assert_eq!(detail(""), Ok(Detail::default()));
        let all = Detail {
            level: 4,
            outbound_only: true,
        };
        assert_eq!(detail("255 o extra"), Ok(all));
        for (wrong, text) in [
            ("256", "invalid -netinfo level argument: 256\nFor more"),
            ("-1", "invalid -netinfo level argument: -1\n"),
            ("1 x", "invalid -netinfo outonly argument: x\nFor more"),
            (
                "0 o",
                "invalid -netinfo outonly argument: o\nThe outonly argument is only valid",
            ),
        ] {
            let error = detail(wrong).expect_err(wrong);
            assert!(error.starts_with(text), "{error}");
        }
    }

    fn batch() -> Value {
        let peer = |id: u64, inbound: bool, network: &str, ping: f64| {
            json!({
                "id": id, "addr": "203.0.113.7:8333", "network": network, "inbound": inbound,
                "servicesnames": ["NETWORK", "WITNESS", "NETWORK_LIMITED", "P2P_V2"],
                "relaytxes": !inbound, "lastsend": 990, "lastrecv": 995, "last_transaction": 0,
                "last_block": 700, "conntime": 100, "pingtime": ping, "minping": ping,
                "version": 70016, "subver": "/x:1/", "bip152_hb_to": true, "bip152_hb_from": false,
                "connection_type": if inbound { "inbound" } else { "manual" },
                "transport_protocol_type": "v2", "addr_relay_enabled": !inbound,
                "addr_processed": 0, "addr_rate_limited": 12,
            })
        };
        json!([
            {"id": 1, "error": null, "result": {
                "version": 319_900, "subversion": "/y:2/", "protocolversion": 70016,
                "localservicesnames": ["NETWORK", "NETWORK_LIMITED"],
                "networks": [{"name": "ipv4", "reachable": true}, {"name": "onion", "reachable": false}],
                "localaddresses": [{"address": "198.51.100.1", "port": 8333, "score": 4}],
            }},
            {"id": 0, "error": null, "result": [
                peer(3, false, "ipv4", 0.0304),
                peer(10, true, "not_publicly_routable", 0.002),
            ]},
        ])
    }

    fn shown(level: &str) -> String {
        let detail = Detail::parse(&words(level)).expect("a level");
        show(&batch(), detail, "regtest", 1000)
            .expect("replies")
            .expect("no error")
    }

    #[test]
    fn the_summary() {
        let text = shown("");
        let (first, rest) = text.split_once('\n').expect("lines");
        assert!(
            first.starts_with("multiprocess-bitcoin client v"),
            "{first}"
        );
        assert!(first.ends_with(" regtest - server 70016/y:2/"), "{first}");
        assert_eq!(
            rest,
            "
         ipv4     npr   total   block  manual
in          0       1       1
out         1       0       1       0       1
total       1       1       2

Local services: network, network limited

Local addresses
198.51.100.1     port   8333    score      4"
        );
    }

    #[test]
    fn the_list() {
        let text = shown("4");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with(" - services nl"), "{}", lines[0]);
        assert_eq!(
            lines[2],
            "<->   type   net   serv  v  mping   ping send recv  txn  blk  hb addrp addrl  age id address          version"
        );
        assert_eq!(
            lines[3],
            " in          npr   nwl2  2      2      2   10    5    *    5  .      .    12   15 10 203.0.113.7:8333 70016/x:1/"
        );
        assert_eq!(
            lines[4],
            "out manual  ipv4   nwl2  2     30     30   10    5         5  .           12   15  3 203.0.113.7:8333 70016/x:1/"
        );
        let outbound = shown("1 outonly");
        assert!(outbound.contains("\nout manual") && !outbound.contains("\n in "));
    }

    #[test]
    fn an_error_is_passed_on() {
        let mut batch = batch();
        batch[1]["error"] = json!({"code": -28, "message": "Loading"});
        let error = show(&batch, Detail::default(), "main", 0)
            .expect("replies")
            .expect_err("an error");
        assert_eq!(error["code"], -28);
        assert!(show(&json!({}), Detail::default(), "main", 0).is_err());
    }
}
