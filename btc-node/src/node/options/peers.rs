//! Options of the network of peers.

use super::{option, positive};
use crate::node::StartError;
use crate::node::network::NetworkOptions;
use btc_consensus::params::Chain;
use btc_interfaces::args::Args;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Connections at one time, unless `-maxconnections` says otherwise.
const MAX_CONNECTIONS: i64 = 125;
/// Of these, so many are kept for those that this node makes.
const OUTBOUND: i64 = 11;

pub(super) fn network(args: &Args, chain: Chain) -> Result<NetworkOptions, StartError> {
    let port = port(args, chain)?;
    let max_connections = args.int("maxconnections").unwrap_or(MAX_CONNECTIONS);
    if max_connections < 0 {
        return Err(option("-maxconnections must be greater or equal than zero"));
    }
    let connect = args.values("connect");
    let bind = args.values("bind");
    // An address to listen on is a wish to listen; peers chosen one by one, or none at all, are not.
    let listen = args
        .flag("listen")
        .unwrap_or_else(|| !bind.is_empty() || (!args.is_set("connect") && max_connections > 0));
    if !listen && !bind.is_empty() && args.flag("listen") == Some(false) {
        return Err(option(
            "Cannot set -bind or -whitebind together with -listen=0",
        ));
    }
    let mut addresses = Vec::new();
    let mut defaults = Vec::new();
    if listen && bind.is_empty() {
        defaults = vec![
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        ];
    } else if listen {
        for text in &bind {
            let address = bind_address(text, port)?;
            if addresses.contains(&address) {
                return Err(option(format!(
                    "Duplicate binding configuration for address {address}. Please check your -bind, -bind=...=onion and -whitebind settings."
                )));
            }
            addresses.push(address);
        }
    }
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
    Ok(NetworkOptions {
        listen: addresses,
        listen_if_possible: defaults,
        connect: connect.into_iter().filter(|target| target != "0").collect(),
        add: args.values("addnode"),
        max_inbound: usize::try_from((max_connections - OUTBOUND).max(0)).unwrap_or(usize::MAX),
        port,
        connect_timeout: Duration::from_millis(positive(args, "timeout").map_or(5000, u64::from)),
        peer_timeout: seconds("peertimeout", 60),
        v2: args.flag("v2transport").unwrap_or(true),
        look_up_names: args.flag("dns").unwrap_or(true),
        max_receive_buffer: kilobytes("maxreceivebuffer", 5000),
        max_send_buffer: kilobytes("maxsendbuffer", 1000),
        blocks_only: args.flag("blocksonly").unwrap_or(false),
        log_ips: args.flag("logips").unwrap_or(false),
        filters: args.flag("peerblockfilters").unwrap_or(false),
        whitelist: super::whitelist::whitelist(args)?,
    })
}

fn port(args: &Args, chain: Chain) -> Result<u16, StartError> {
    let Some(text) = args.value("port") else {
        return Ok(match chain {
            Chain::Main => 8333,
            Chain::Testnet3 => 18333,
            Chain::Testnet4 => 48333,
            Chain::Signet => 38333,
            Chain::Regtest => 18444,
        });
    };
    text.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| option(format!("Invalid port specified in -port: '{text}'")))
}

/// An address to listen on, with or without port. What comes over Tor's (`=onion`) is as any other.
fn bind_address(text: &str, port: u16) -> Result<SocketAddr, StartError> {
    let address = text.strip_suffix("=onion").unwrap_or(text);
    let resolved = crate::net::connections::parse(address, port).or_else(|| {
        let named = if address.contains(':') {
            address.to_socket_addrs()
        } else {
            (address, port).to_socket_addrs()
        };
        named.ok()?.next()
    });
    resolved.ok_or_else(|| option(format!("Cannot resolve -bind address: '{text}'")))
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
        assert_eq!((plain.max_inbound, plain.port), (114, 18444));
        let alone = read(&["-connect=0"]).unwrap();
        assert!(alone.listen_if_possible.is_empty() && alone.connect.is_empty());
        let bound = read(&["-connect=0", "-bind=127.0.0.1", "-port=7"]).unwrap();
        assert_eq!(bound.listen, ["127.0.0.1:7".parse().unwrap()]);
        let onion = read(&["-bind=127.0.0.1:9=onion"]).unwrap();
        assert_eq!(onion.listen, ["127.0.0.1:9".parse().unwrap()]);
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
