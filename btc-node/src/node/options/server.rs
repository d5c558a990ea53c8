//! Options of the RPC port.

use super::{Options, option};
use crate::node::StartError;
use crate::rpc::auth::{CookieError, CookieFile, CookiePerms, Credentials, Whitelist};
use crate::rpc::server::{Access, ServerConfig};
use crate::rpc::subnet::Subnet;
use btc_interfaces::args::Args;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How the port is served, and who may come in. Passwords are kept as salted hashes.
#[derive(Debug, Clone)]
pub(super) struct ServerChoices {
    config: ServerConfig,
    credentials: Credentials,
    whitelist: Whitelist,
    /// Where the cookie goes and who may read it; `None` if there is a password or the cookie is not wanted.
    cookie: Option<(PathBuf, CookiePerms)>,
}

impl Options {
    /// How the port is served.
    pub(crate) fn rpc_server(&self) -> ServerConfig {
        self.rpc.config.clone()
    }

    /// Who may come in. The cookie file is written here, so the port should be ours already.
    pub(crate) fn rpc_access(&self) -> Result<Access, CookieError> {
        let chosen = &self.rpc;
        let mut credentials = chosen.credentials.clone();
        let mut cookie = None;
        if let Some((path, perms)) = &chosen.cookie {
            let file = CookieFile::create(path, *perms)?;
            tracing::info!("Generated RPC authentication cookie {}", path.display());
            let (user, password) = file.credentials();
            credentials.add_password(user, password);
            cookie = Some(file);
        }
        Ok(Access {
            credentials,
            whitelist: chosen.whitelist.clone(),
            cookie,
        })
    }
}

pub(super) fn choices(args: &Args) -> Result<ServerChoices, StartError> {
    let mut credentials = Credentials::none();
    let password = args.value("rpcpassword").unwrap_or_default();
    let perms = match args.value("rpccookieperms") {
        None => CookiePerms::default(),
        Some(text) => CookiePerms::from_option(&text).ok_or_else(|| {
            option(format!(
                "Invalid -rpccookieperms={text}; must be one of 'owner', 'group', or 'all'."
            ))
        })?,
    };
    let mut cookie = None;
    if password.is_empty() {
        cookie = args
            .net_file("rpccookiefile", ".cookie")
            .map(|path| (path, perms));
    } else {
        credentials.add_password(&args.value("rpcuser").unwrap_or_default(), &password);
    }
    for rpcauth in args.values("rpcauth") {
        credentials
            .add_rpcauth(&rpcauth)
            .map_err(|error| option(error.to_string()))?;
    }
    let whitelists = args.values("rpcwhitelist");
    Ok(ServerChoices {
        config: ServerConfig {
            bind: bind(args)?,
            allow: allow(args)?,
            threads: at_least_one(args, "rpcthreads", 16),
            work_queue: at_least_one(args, "rpcworkqueue", 64),
            timeout: Duration::from_secs(
                args.int("rpcservertimeout")
                    .map_or(30, |seconds| u64::try_from(seconds).unwrap_or(1).max(1)),
            ),
            log_ips: args.flag("logips").unwrap_or(false),
        },
        credentials,
        whitelist: Whitelist::new(
            whitelists.iter().map(String::as_str),
            args.flag("rpcwhitelistdefault"),
        ),
        cookie,
    })
}

fn at_least_one(args: &Args, name: &str, default: usize) -> usize {
    args.int(name)
        .map_or(default, |value| usize::try_from(value).unwrap_or(1).max(1))
}

fn allow(args: &Args) -> Result<Vec<Subnet>, StartError> {
    args.values("rpcallowip")
        .iter()
        .map(|text| {
            text.parse().map_err(|_| {
                option(format!(
                    "Invalid -rpcallowip subnet specification: {text}. Valid values are a single IP (e.g. 1.2.3.4), a \
                     network/netmask (e.g. 1.2.3.4/255.255.255.0), a network/CIDR (e.g. 1.2.3.4/24), all ipv4 \
                     (0.0.0.0/0), or all ipv6 (::/0). RFC4193 is allowed only if -cjdnsreachable=0."
                ))
            })
        })
        .collect()
}

/// Where to listen: this machine alone, unless addresses are given and somebody else is allowed in.
fn bind(args: &Args) -> Result<Vec<SocketAddr>, StartError> {
    let invalid_port = |text: &str| option(format!("Invalid port specified in -rpcport: '{text}'"));
    if let Some(text) = args.value("rpcport")
        && text.parse::<u16>().ok().is_none_or(|port| port == 0)
    {
        return Err(invalid_port(&text));
    }
    let port = args.rpc_port();
    let binds = args.values("rpcbind");
    if binds.is_empty() || !args.is_set("rpcallowip") {
        if args.is_set("rpcallowip") {
            tracing::warn!(
                "Option -rpcallowip was specified without -rpcbind; this doesn't usually make sense"
            );
        } else if !binds.is_empty() {
            tracing::warn!(
                "Option -rpcbind was ignored because -rpcallowip was not specified, refusing to allow everyone to \
                 connect"
            );
        }
        return Ok(vec![
            SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port),
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        ]);
    }
    binds
        .iter()
        .map(|text| {
            address(text, port)
                .ok_or_else(|| option(format!("Invalid port specified in -rpcbind: '{text}'")))
        })
        .collect()
}

/// `address`, `address:port`, `[address]` or `[address]:port`.
fn address(text: &str, default_port: u16) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() != 0).then_some(address);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let ip = match bare {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        bare => bare.parse().ok()?,
    };
    Some(SocketAddr::new(ip, default_port))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_come_with_and_without_ports() {
        let read = |text| address(text, 18443).map(|it| it.to_string());
        assert_eq!(read("127.0.0.1").as_deref(), Some("127.0.0.1:18443"));
        assert_eq!(read("127.0.0.1:7").as_deref(), Some("127.0.0.1:7"));
        assert_eq!(read("::1").as_deref(), Some("[::1]:18443"));
        assert_eq!(read("[::1]").as_deref(), Some("[::1]:18443"));
        assert_eq!(read("[::]:7").as_deref(), Some("[::]:7"));
        for bad in ["127.0.0.1:0", "127.0.0.1:99999", "nowhere", ""] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
