//! Options about the ways to peers: proxies, I2P, and the networks that are used at all.

use super::option;
use crate::net::address::{Network, split_host_port};
use crate::net::dial::{Proxy, ProxyAddress, Routes};
use crate::node::StartError;
use btc_interfaces::args::Args;
use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// The port of a proxy that is named without one: Tor's.
const SOCKS_PORT: u16 = 9050;
/// That of an I2P router.
const SAM_PORT: u16 = 7656;
/// What the path of a socket is written with.
const UNIX: &str = "unix:";
/// The longest path that a socket's address has room for, in bytes.
const MAX_PATH: usize = 107;

/// The ways to peers.
#[derive(Clone, Debug)]
pub(crate) struct RouteOptions {
    /// Which networks are reached how.
    pub(crate) routes: Routes,
    /// The router of I2P (`-i2psam`).
    pub(crate) i2p: Option<SocketAddr>,
    /// Whether peers may come over I2P (`-i2pacceptincoming`).
    pub(crate) accepts_i2p: bool,
    /// The networks that peers are looked for in (`-onlynet`, and that there is a way to).
    pub(crate) reachable: BTreeSet<Network>,
}

/// Whether all connections go by a proxy: a node that hides does not listen unless it is told to.
pub(super) fn has_proxy(args: &Args) -> bool {
    args.value("proxy")
        .is_some_and(|proxy| !proxy.is_empty() && proxy != "0")
}

/// Reads them. `listen` says whether peers may connect at all.
pub(super) fn routes(args: &Args, listen: bool) -> Result<RouteOptions, StartError> {
    let look_up = args.flag("dns").unwrap_or(true);
    let isolate = args.flag("proxyrandomize").unwrap_or(true);
    let only = args.values("onlynet");
    let mut reachable: BTreeSet<Network> = Network::ALL.into();
    if !only.is_empty() {
        reachable.clear();
        for name in &only {
            let network = Network::from_name(name).ok_or_else(|| {
                option(format!("Unknown network specified in -onlynet: '{name}'"))
            })?;
            reachable.insert(network);
        }
    }
    let only_has = |network| !only.is_empty() && reachable.contains(&network);
    let only_cjdns = only_has(Network::Cjdns);
    let only_onion = only_has(Network::Onion);
    let only_i2p = only_has(Network::I2p);
    if !args.flag("cjdnsreachable").unwrap_or(false) {
        if only_cjdns {
            return Err(option(
                "Outbound connections restricted to CJDNS (-onlynet=cjdns) but -cjdnsreachable is not provided",
            ));
        }
        reachable.remove(&Network::Cjdns);
    }
    let cjdns = reachable.contains(&Network::Cjdns);
    if args.flag("dnsseed") == Some(true)
        && !reachable.contains(&Network::Ipv4)
        && !reachable.contains(&Network::Ipv6)
    {
        return Err(option(
            "Incompatible options: -dnsseed=1 was explicitly specified, but -onlynet forbids connections to IPv4/IPv6",
        ));
    }

    let reader = Reader { look_up, isolate };
    let mut routes = Routes {
        cjdns,
        ..Routes::default()
    };
    for value in args.values("proxy") {
        reader.add(&value, &mut routes)?;
    }
    match args.value("onion").as_deref() {
        None | Some("") => {}
        Some("0") => {
            routes.proxies.remove(&Network::Onion);
            if only_onion {
                return Err(option(
                    "Outbound connections restricted to Tor (-onlynet=onion) but the proxy for reaching the Tor network is explicitly forbidden: -onion=0",
                ));
            }
        }
        Some(text) => {
            let proxy = reader.proxy("-onion", text, text)?;
            routes.proxies.insert(Network::Onion, proxy);
        }
    }
    if !routes.proxies.contains_key(&Network::Onion) {
        if only_onion && !args.flag("listenonion").unwrap_or(listen) {
            return Err(option(
                "Outbound connections restricted to Tor (-onlynet=onion) but the proxy for reaching the Tor network is not provided: none of -proxy, -onion or -listenonion is given",
            ));
        }
        reachable.remove(&Network::Onion);
    }

    let i2p = match args.value("i2psam") {
        Some(text) if !text.is_empty() => {
            check_port("-i2psam", &text, &text)?;
            let address = reader.resolve(&text, SAM_PORT);
            Some(
                address.ok_or_else(|| {
                    option(format!("Invalid -i2psam address or hostname: '{text}'"))
                })?,
            )
        }
        _ => {
            if only_i2p {
                return Err(option(
                    "Outbound connections restricted to i2p (-onlynet=i2p) but -i2psam is not provided",
                ));
            }
            reachable.remove(&Network::I2p);
            None
        }
    };
    Ok(RouteOptions {
        routes,
        i2p,
        accepts_i2p: args.flag("i2pacceptincoming").unwrap_or(listen),
        reachable,
    })
}

struct Reader {
    look_up: bool,
    isolate: bool,
}

impl Reader {
    /// Takes a value of `-proxy`: a proxy for all networks, or `=network` for one, or 0 for none.
    fn add(&self, value: &str, routes: &mut Routes) -> Result<(), StartError> {
        let (text, network) = match value.rsplit_once('=') {
            Some((_, "")) => {
                return Err(option(format!(
                    "Invalid -proxy address or hostname, ends with '=': '{value}'"
                )));
            }
            Some((text, network)) => (text, Some(network)),
            None => (value, None),
        };
        let proxy = match text {
            "" | "0" => None,
            text => Some(self.proxy("-proxy", text, value)?),
        };
        // Names stand for addresses of the internet, so they go where these go.
        let (networks, names): (&[Network], bool) =
            match network.map(str::to_ascii_lowercase).as_deref() {
                None => (
                    &[Network::Ipv4, Network::Ipv6, Network::Onion, Network::Cjdns],
                    true,
                ),
                Some("ipv4") => (&[Network::Ipv4], true),
                Some("ipv6") => (&[Network::Ipv6], true),
                Some("onion") => (&[Network::Onion], false),
                Some("cjdns") => (&[Network::Cjdns], false),
                Some(other) => {
                    return Err(option(format!(
                        "Unrecognized network in -proxy='{value}': '{other}'"
                    )));
                }
            };
        for network in networks {
            match &proxy {
                Some(proxy) => routes.proxies.insert(*network, proxy.clone()),
                None => routes.proxies.remove(network),
            };
        }
        if names {
            routes.names = proxy;
        }
        Ok(())
    }

    /// A proxy, written as `text`, which is part of what the user wrote.
    fn proxy(&self, name: &str, text: &str, written: &str) -> Result<Proxy, StartError> {
        let invalid = || option(format!("Invalid {name} address or hostname: '{text}'"));
        let address = if let Some(path) = text.strip_prefix(UNIX) {
            if path.is_empty() || path.len() > MAX_PATH {
                return Err(invalid());
            }
            ProxyAddress::Path(PathBuf::from(path))
        } else {
            check_port(name, text, written)?;
            ProxyAddress::Ip(self.resolve(text, SOCKS_PORT).ok_or_else(invalid)?)
        };
        Ok(Proxy {
            address,
            isolate: self.isolate,
        })
    }

    fn resolve(&self, text: &str, default_port: u16) -> Option<SocketAddr> {
        let (host, port) = split_host_port(text)?;
        let port = port.unwrap_or(default_port);
        if let Ok(ip) = host.parse() {
            return Some(SocketAddr::new(ip, port));
        }
        // What no name can be need not be asked for.
        let is_name = !host.is_empty() && host.split('.').all(|label| !label.is_empty());
        if !self.look_up || !is_name {
            return None;
        }
        (host, port).to_socket_addrs().ok()?.next()
    }
}

fn check_port(name: &str, text: &str, written: &str) -> Result<(), StartError> {
    if split_host_port(text).is_some() {
        return Ok(());
    }
    Err(option(format!(
        "Invalid port specified in {name}: '{written}'"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use btc_interfaces::args::Program;

    fn read(arguments: &[&str]) -> Result<RouteOptions, StartError> {
        let mut args = Args::new(Program::Node);
        args.parse(["-regtest", "-datadir=/nowhere"].iter().chain(arguments))?;
        routes(&args, true)
    }

    fn shown(options: &RouteOptions, network: Network) -> String {
        let proxy = options.routes.proxies.get(&network);
        proxy.map_or_else(String::new, |proxy| proxy.address.to_string())
    }

    #[test]
    fn a_proxy_is_for_all_networks_or_for_one() {
        let all = read(&["-proxy=127.0.0.1"]).unwrap();
        for network in [Network::Ipv4, Network::Ipv6, Network::Onion, Network::Cjdns] {
            assert_eq!(shown(&all, network), "127.0.0.1:9050");
        }
        assert!(all.routes.names.is_some() && all.reachable.contains(&Network::Onion));
        let one = read(&["-proxy=127.6.6.6:6=ipv6", "-proxyrandomize=0"]).unwrap();
        assert_eq!(shown(&one, Network::Ipv4), "");
        assert_eq!(shown(&one, Network::Ipv6), "127.6.6.6:6");
        assert!(!one.routes.names.as_ref().unwrap().isolate);
        assert!(!one.reachable.contains(&Network::Onion));
        let without = read(&["-proxy=[::1]:1", "-proxy=0=cjdns", "-onion=unix:/tmp/tor"]).unwrap();
        assert_eq!(shown(&without, Network::Cjdns), "");
        assert_eq!(shown(&without, Network::Ipv4), "[::1]:1");
        assert_eq!(shown(&without, Network::Onion), "unix:/tmp/tor");
        let cjdns = read(&["-cjdnsreachable", "-proxy=127.0.0.1"]).unwrap();
        for (options, network) in [(&cjdns, Network::Cjdns), (&all, Network::Ipv6)] {
            let private = options.routes.parse("[fc00:1:2:3::7]:8888", 1).unwrap();
            assert_eq!(
                private.address.network() == Network::Cjdns,
                network == Network::Cjdns
            );
        }
        let i2p = read(&["-i2psam=127.0.0.1", "-onlynet=i2p"]).unwrap();
        assert_eq!(i2p.i2p, Some(SocketAddr::from(([127, 0, 0, 1], 7656))));
        assert_eq!(i2p.reachable, [Network::I2p].into());
    }

    #[test]
    fn what_cannot_be_is_said_as_core_says_it() {
        let long = format!("-proxy=unix:{}", "x".repeat(1000));
        for (arguments, reason) in [
            (
                vec!["-proxy=abc..abc:23456"],
                "Invalid -proxy address or hostname: 'abc..abc:23456'",
            ),
            (
                vec!["-proxy=192.0.0.1:def"],
                "Invalid port specified in -proxy: '192.0.0.1:def'",
            ),
            (
                vec!["-onion=192.0.0.1:def"],
                "Invalid port specified in -onion: '192.0.0.1:def'",
            ),
            (
                vec!["-i2psam=def..def:23456"],
                "Invalid -i2psam address or hostname: 'def..def:23456'",
            ),
            (
                vec!["-onlynet=i2p"],
                "(-onlynet=i2p) but -i2psam is not provided",
            ),
            (
                vec!["-onlynet=cjdns"],
                "(-onlynet=cjdns) but -cjdnsreachable is not provided",
            ),
            (
                vec!["-onlynet=onion", "-noonion"],
                "explicitly forbidden: -onion=0",
            ),
            (
                vec!["-onlynet=onion", "-listenonion=0"],
                "none of -proxy, -onion or -listenonion is given",
            ),
            (
                vec!["-onlynet=abc"],
                "Unknown network specified in -onlynet: 'abc'",
            ),
            (
                vec!["-proxy=127.0.0.1:9050="],
                "ends with '=': '127.0.0.1:9050='",
            ),
            (
                vec!["-proxy=127.0.0.1:9050=foo"],
                "Unrecognized network in -proxy='127.0.0.1:9050=foo': 'foo'",
            ),
            (vec![&long], "Invalid -proxy address or hostname: 'unix:xxx"),
        ] {
            let error = read(&arguments).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
