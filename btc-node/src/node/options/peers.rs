//! Options of the network of peers.

use super::{connection_limit, option, positive, routes};
use crate::net::Endpoint;
use crate::net::address::split_host_port;
use crate::node::StartError;
use crate::node::network::{
    BookOptions, Listen, NetworkOptions, OnionOptions, SeedOptions, control_address,
};
use crate::sync::{Permissions, relay};
use btc_consensus::params::Chain;
use btc_interfaces::args::Args;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// Connections at one time, unless `-maxconnections` says otherwise.
const MAX_CONNECTIONS: i64 = 125;
/// Of these, so many are kept for those that this node makes.
const OUTBOUND: i64 = 11;
/// How long a ban lasts, in seconds, unless `-bantime` says otherwise.
const BAN_TIME: i64 = 24 * 60 * 60;

/// The greatest `-txsendrate`.
const MAX_SEND_RATE: i64 = 1000;
/// Transactions kept to put blocks together, unless `-blockreconstructionextratxn` says otherwise.
const EXTRA_TRANSACTIONS: i64 = 100;
/// Part of the incoming peers that transactions are told to, unless `-inboundrelaypercent` says otherwise.
const RELAYING_PERCENT: i64 = 50;

/// The peers of `-addnode` that have a name.
fn added(args: &Args) -> Vec<String> {
    let mut names = args.values("addnode");
    names.retain(|name| !name.trim().is_empty());
    names
}

pub(super) fn network(args: &Args, chain: Chain) -> Result<NetworkOptions, StartError> {
    let port = port(args, chain)?;
    let max_connections = args.int("maxconnections").unwrap_or(MAX_CONNECTIONS);
    if max_connections < 0 {
        return Err(option("-maxconnections must be greater or equal than zero"));
    }
    let listening = listening(args, port, max_connections)?;
    let limit = connection_limit::read(args, max_connections)?;
    let granted = i64::try_from(limit.granted).unwrap_or(i64::MAX);
    let seconds =
        |name, default| Duration::from_secs(positive(args, name).map_or(default, u64::from));
    let peer_timeout = args.int("peertimeout");
    if peer_timeout.is_some_and(|timeout| timeout <= 0) {
        return Err(option("peertimeout must be a positive integer."));
    }
    let kilobytes = |name, default: u32| {
        usize::try_from(positive(args, name).unwrap_or(default))
            .unwrap_or(usize::MAX)
            .saturating_mul(1000)
    };
    let limited = |value: i64| usize::try_from(value.max(0)).unwrap_or(usize::MAX);
    let max_inbound = limited(granted - OUTBOUND);
    let percent = args
        .int("inboundrelaypercent")
        .unwrap_or(RELAYING_PERCENT)
        .clamp(0, 100);
    let external = external(args, listening.port)?;
    let flag = |name, default| args.flag(name).unwrap_or(default);
    Ok(NetworkOptions {
        listens: listening.wanted,
        listen_port: listening.port,
        connect: args
            .values("connect")
            .into_iter()
            .filter(|target| target != "0")
            .collect(),
        dials: !args.is_set("connect"),
        add: added(args),
        seed_nodes: args.values("seednode"),
        seeds: seeds(args, max_connections)?,
        limit,
        max_automatic: limited(granted.min(OUTBOUND)),
        max_inbound,
        max_inbound_relaying: max_inbound * limited(percent) / 100,
        default_port: default_port(chain),
        ways: routes::routes(args, listening.wanted)?,
        connect_timeout: Duration::from_millis(positive(args, "timeout").map_or(5000, u64::from)),
        peer_timeout: seconds("peertimeout", 60),
        v2: flag("v2transport", true),
        look_up_names: flag("dns", true),
        max_receive_buffer: kilobytes("maxreceivebuffer", 5000),
        max_send_buffer: kilobytes("maxsendbuffer", 1000),
        blocks_only: flag("blocksonly", false),
        reconciliation: flag("txreconciliation", false),
        bloom_filters: flag("peerbloomfilters", false),
        upload_target: upload_target(args)?,
        asmap: asmap(args),
        tx_send_rate: args
            .int("txsendrate")
            .and_then(|rate| u32::try_from(rate.clamp(1, MAX_SEND_RATE)).ok())
            .unwrap_or(relay::DEFAULT_RATE),
        extra_transactions: limited(
            args.int("blockreconstructionextratxn")
                .unwrap_or(EXTRA_TRANSACTIONS)
                .min(u32::MAX.into()),
        ),
        log_ips: flag("logips", false),
        filters: flag("peerblockfilters", false),
        whitelist: super::whitelist::whitelist(args)?,
        active: flag("networkactive", true),
        discover: flag(
            "discover",
            listening.wanted && external.is_empty() && !routes::has_proxy(args),
        ),
        external,
        onion: onion(args, &listening)?,
        fixed_seeds: flag("fixedseeds", true),
        capture: flag("capturemessages", false),
        book: BookOptions {
            check_ratio: positive(args, "checkaddrman").unwrap_or(0).min(1_000_000),
            deterministic: args.values("test").iter().any(|test| test == "addrman"),
            ban_time: args.int("bantime").unwrap_or(BAN_TIME),
        },
        listen: listening.addresses,
        listen_if_possible: listening.if_possible,
    })
}

/// `-asmap`: nothing if it is not set, and `Some(None)` if it is switched on without a file.
fn asmap(args: &Args) -> Option<Option<PathBuf>> {
    if !args.is_set("asmap") || args.is_negated("asmap") {
        return None;
    }
    let is_switch = args.flag("asmap") == Some(true);
    let file = args.value("asmap").filter(|_| !is_switch);
    Some(file.map(PathBuf::from))
}

/// `-maxuploadtarget` in bytes: a number and a unit, of 1000 in lower case and of 1024 in upper case.
fn upload_target(args: &Args) -> Result<u64, StartError> {
    let Some(text) = args.value("maxuploadtarget") else {
        return Ok(0);
    };
    let unit = |unit: char| {
        let base: u64 = if unit.is_lowercase() { 1000 } else { 1024 };
        let power = "kmgt".find(unit.to_ascii_lowercase())?;
        base.checked_pow(u32::try_from(power).ok()? + 1)
    };
    let (digits, factor) = match text.strip_suffix(|last: char| last.is_ascii_alphabetic()) {
        Some(digits) => (digits, text.chars().last().and_then(unit)),
        None => (text.as_str(), unit('M')),
    };
    let number = Some(digits)
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
        .and_then(|digits| digits.parse::<u64>().ok());
    number
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| option(format!("Unable to parse -maxuploadtarget: '{text}'")))
}

/// Where to listen.
struct Listening {
    wanted: bool,
    addresses: Vec<Listen>,
    if_possible: Vec<SocketAddr>,
    /// The port of this node's own addresses.
    port: u16,
}

fn listening(args: &Args, port: u16, max_connections: i64) -> Result<Listening, StartError> {
    let (bind, whitebind) = (args.values("bind"), args.values("whitebind"));
    let bound = !bind.is_empty() || !whitebind.is_empty();
    // An address to listen on is a wish to listen; peers chosen one by one, or none at all, are not.
    let wanted = args.flag("listen").unwrap_or_else(|| {
        bound || (!args.is_set("connect") && max_connections > 0 && !routes::has_proxy(args))
    });
    if !wanted && bound {
        return Err(option(
            "Cannot set -bind or -whitebind together with -listen=0",
        ));
    }
    let mut addresses: Vec<Listen> = Vec::new();
    let mut add = |listen: Listen| {
        let address = listen.address;
        if addresses.iter().any(|other| other.address == address) {
            return Err(option(format!(
                "Duplicate binding configuration for address {address}. Please check your -bind, -bind=...=onion and -whitebind settings."
            )));
        }
        addresses.push(listen);
        Ok(())
    };
    let none = Permissions::default();
    for text in &bind {
        let (address, onion) = match text.strip_suffix("=onion") {
            Some(address) => (address, true),
            None => (text.as_str(), false),
        };
        let default = if onion { port.wrapping_add(1) } else { port };
        add(Listen {
            address: bind_address("bind", text, address, Some(default))?,
            permissions: none,
            onion,
        })?;
    }
    for text in &whitebind {
        let (permissions, address) = super::whitelist::whitebind(args, text)?;
        add(Listen {
            address: bind_address("whitebind", &address, &address, None)?,
            permissions,
            onion: false,
        })?;
    }
    let mut if_possible = Vec::new();
    if wanted && bind.is_empty() {
        add(Listen {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port.wrapping_add(1))),
            permissions: none,
            onion: true,
        })?;
    }
    if wanted && !bound {
        if_possible = vec![
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        ];
    }
    let own_port = addresses
        .iter()
        .find(|listen| !listen.onion && listen.permissions == none)
        .or_else(|| addresses.iter().find(|listen| !listen.onion))
        .map_or(port, |listen| listen.address.port());
    Ok(Listening {
        wanted,
        addresses,
        if_possible,
        port: own_port,
    })
}

/// The onion service that Tor is asked for: its connections go to the first address for them, or the first of all.
fn onion(args: &Args, listening: &Listening) -> Result<Option<OnionOptions>, StartError> {
    let wanted = args.flag("listenonion");
    if wanted == Some(true) && !listening.wanted {
        return Err(option("Cannot set -listen=0 together with -listenonion=1"));
    }
    let mut targets = listening.addresses.iter().filter(|listen| listen.onion);
    let target = targets.next().or(listening.addresses.first());
    let (true, Some(target)) = (wanted.unwrap_or(listening.wanted), target) else {
        return Ok(None);
    };
    let control = args.value("torcontrol");
    let control = control.as_deref().unwrap_or("127.0.0.1:9051");
    let only = args.values("onlynet");
    Ok(Some(OnionOptions {
        control: control_address(control, args.flag("dns").unwrap_or(true)).ok_or_else(|| {
            option(format!(
                "Invalid -torcontrol address or hostname: '{control}'"
            ))
        })?,
        password: args.value("torpassword").filter(|text| !text.is_empty()),
        wants_proxy: args.value("onion").is_none_or(|proxy| proxy.is_empty()),
        joins: only.is_empty()
            || only
                .iter()
                .any(|name| name.eq_ignore_ascii_case("onion") || name.eq_ignore_ascii_case("tor")),
        target: target.address,
        is_one_of_many: targets.next().is_some(),
    }))
}

fn seeds(args: &Args, max_connections: i64) -> Result<SeedOptions, StartError> {
    // Peers chosen one by one, or none at all, need no others.
    let alone = args.is_set("connect") || max_connections == 0;
    let enabled = args.flag("dnsseed").unwrap_or(!alone);
    let forced = args.flag("forcednsseed").unwrap_or(false);
    if forced && !enabled {
        return Err(option(
            "Cannot set -forcednsseed to true when setting -dnsseed to false.",
        ));
    }
    Ok(SeedOptions {
        enabled,
        forced,
        after_seed_nodes: !args.values("seednode").is_empty(),
    })
}

fn external(args: &Args, port: u16) -> Result<Vec<Endpoint>, StartError> {
    args.values("externalip")
        .iter()
        .map(|text| {
            Endpoint::parse(text, port)
                .filter(|endpoint| endpoint.address.is_valid())
                .ok_or_else(|| option(format!("Cannot resolve -externalip address: '{text}'")))
        })
        .collect()
}

fn default_port(chain: Chain) -> u16 {
    match chain {
        Chain::Main => 8333,
        Chain::Testnet3 => 18333,
        Chain::Testnet4 => 48333,
        Chain::Signet => 38333,
        Chain::Regtest => 18444,
    }
}

fn port(args: &Args, chain: Chain) -> Result<u16, StartError> {
    let Some(text) = args.value("port") else {
        return Ok(default_port(chain));
    };
    text.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| option(format!("Invalid port specified in -port: '{text}'")))
}

/// An address to listen on, with or without port; a `-whitebind` must have one.
fn bind_address(
    name: &str,
    text: &str,
    address: &str,
    port: Option<u16>,
) -> Result<SocketAddr, StartError> {
    let unresolved = || option(format!("Cannot resolve -{name} address: '{text}'"));
    let (host, given) = split_host_port(address).ok_or_else(unresolved)?;
    // First whether it is an address at all, then whether it has a port.
    let resolved = Endpoint::parse(host, 0)
        .and_then(Endpoint::socket_address)
        .or_else(|| (host, 0).to_socket_addrs().ok()?.next())
        .ok_or_else(unresolved)?;
    let port = given
        .or(port)
        .ok_or_else(|| option(format!("Need to specify a port with -whitebind: '{text}'")))?;
    Ok(SocketAddr::new(resolved.ip(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use btc_interfaces::args::Program;

    fn read(arguments: &[&str]) -> Result<NetworkOptions, StartError> {
        let mut args = Args::new(Program::Node);
        args.parse(["-regtest", "-datadir=/nowhere"].iter().chain(arguments))?;
        network(&args, Chain::Regtest)
    }

    #[test]
    fn listening_follows_from_what_else_is_wanted() {
        let plain = read(&[]).unwrap();
        assert_eq!(plain.listen_if_possible.len(), 2);
        assert_eq!((plain.max_inbound, plain.listen_port), (114, 18444));
        let onion: Vec<_> = plain
            .listen
            .iter()
            .map(|listen| (listen.address.port(), listen.onion))
            .collect();
        assert_eq!(onion, [(18445, true)]);
        let alone = read(&["-connect=0"]).unwrap();
        assert!(alone.listen_if_possible.is_empty() && alone.connect.is_empty());
        let bound = read(&["-connect=0", "-bind=127.0.0.1", "-port=7"]).unwrap();
        assert_eq!(bound.listen[0].address, "127.0.0.1:7".parse().unwrap());
        let onion = read(&["-bind=127.0.0.1:9=onion"]).unwrap();
        assert!(onion.listen[0].onion && onion.listen_if_possible.is_empty());
        let white = read(&["-whitebind=noban@127.0.0.1:9"]).unwrap();
        assert!(white.listen[0].permissions.no_ban && white.listen_port == 9);
    }

    #[test]
    fn values_that_make_no_sense_are_refused_by_name() {
        for (arguments, reason) in [
            (
                vec!["-maxconnections=-1"],
                "-maxconnections must be greater",
            ),
            (vec!["-port=x"], "Invalid port specified in -port: 'x'"),
            (
                vec!["-peertimeout=0"],
                "peertimeout must be a positive integer.",
            ),
            (
                vec!["-bind=1.2.3.4:x"],
                "Cannot resolve -bind address: '1.2.3.4:x'",
            ),
            (
                vec!["-whitebind=127.0.0.1"],
                "Need to specify a port with -whitebind: '127.0.0.1'",
            ),
            (
                vec!["-whitebind=out,noban@127.0.0.1:9"],
                "whitebind may only be used for incoming connections",
            ),
            (
                vec!["-forcednsseed", "-dnsseed=0"],
                "Cannot set -forcednsseed to true when setting -dnsseed to false.",
            ),
            (
                vec!["-externalip=x"],
                "Cannot resolve -externalip address: 'x'",
            ),
            (
                vec!["-bind=127.0.0.1:9", "-bind=127.0.0.1:9=onion"],
                "Duplicate binding configuration for address 127.0.0.1:9.",
            ),
            (
                vec!["-bind=127.0.0.1", "-listen=0"],
                "together with -listen=0",
            ),
        ] {
            let error = read(&arguments).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
