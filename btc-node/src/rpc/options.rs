//! What the options say of the RPC server.

use super::auth::{CookieError, CookieFile, CookiePerms, Credentials, InvalidRpcAuth, Whitelist};
use super::server::{Access, ServerConfig};
use crate::net::subnet::Subnet;
use btc_interfaces::args::Args;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// An option of the RPC server that cannot be followed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OptionError {
    /// `-rpcallowip` is no range of addresses.
    #[error(
        "Invalid -rpcallowip subnet specification: {0}. Valid values are a single IP (e.g. 1.2.3.4), a network/netmask (e.g. 1.2.3.4/255.255.255.0), a network/CIDR (e.g. 1.2.3.4/24), all ipv4 (0.0.0.0/0), or all ipv6 (::/0). RFC4193 is allowed only if -cjdnsreachable=0."
    )]
    AllowIp(String),
    /// `-rpcbind` or `-rpcport` has no port.
    #[error("Invalid port specified in {option}: '{value}'")]
    Port {
        /// The option, with its `-`.
        option: &'static str,
        /// What it was set to.
        value: String,
    },
    /// `-rpcauth` is none.
    #[error(transparent)]
    RpcAuth(#[from] InvalidRpcAuth),
    /// `-rpccookieperms` names nobody.
    #[error("Invalid -rpccookieperms={0}; must be one of 'owner', 'group', or 'all'.")]
    CookiePerms(String),
}

/// Where and how to serve. Names in `-rpcbind` are looked up here; one that leads nowhere is passed over with a warning.
///
/// # Errors
/// For a range of addresses or a port that is none.
pub fn server_config(args: &Args) -> Result<ServerConfig, OptionError> {
    let default = ServerConfig::default();
    let cjdns = args.flag("cjdnsreachable") == Some(true);
    let allow = args.values("rpcallowip").into_iter();
    let allow = allow
        .map(|text| match text.parse() {
            // With CJDNS such an address says nothing of where a peer is.
            Ok(subnet) if !(cjdns && Subnet::CJDNS.holds_start_of(&subnet)) => Ok(subnet),
            _ => Err(OptionError::AllowIp(text)),
        })
        .collect::<Result<Vec<Subnet>, _>>()?;
    let number = |name: &str, default: usize| match args.int(name) {
        Some(number) => usize::try_from(number.max(1)).unwrap_or(default),
        None => default,
    };
    let timeout = args.int("rpcservertimeout").map(|seconds| {
        // A timeout of years is as good as a longer one, and never overflows a clock.
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0).clamp(1, 1_000_000_000))
    });
    Ok(ServerConfig {
        bind: addresses(args, !allow.is_empty())?,
        allow,
        // Threads and queue cost memory each; nobody needs more.
        threads: number("rpcthreads", default.threads).min(1024),
        work_queue: number("rpcworkqueue", default.work_queue).min(65_536),
        timeout: timeout.unwrap_or(default.timeout),
        log_ips: args.flag("logips") == Some(true),
    })
}

/// Loopback, unless both `-rpcbind` and `-rpcallowip` say that others may connect.
fn addresses(args: &Args, allows_others: bool) -> Result<Vec<SocketAddr>, OptionError> {
    let port = match args.value("rpcport") {
        None => args.rpc_port(),
        Some(value) => port(&value).ok_or(OptionError::Port {
            option: "-rpcport",
            value,
        })?,
    };
    let binds = args.values("rpcbind");
    if binds.is_empty() || !allows_others {
        if allows_others {
            tracing::warn!(
                "Option -rpcallowip was specified without -rpcbind; this doesn't usually make sense"
            );
        }
        if !binds.is_empty() {
            tracing::warn!(
                "Option -rpcbind was ignored because -rpcallowip was not specified, refusing to allow everyone to connect"
            );
        }
        return Ok(vec![
            SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port),
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        ]);
    }
    let mut addresses = Vec::new();
    for bind in binds {
        let (host, port) = split_host_port(&bind, port).ok_or_else(|| OptionError::Port {
            option: "-rpcbind",
            value: bind.clone(),
        })?;
        let found = (host, port).to_socket_addrs();
        match found.ok().and_then(|mut found| found.next()) {
            Some(address) => addresses.push(address),
            None => tracing::warn!(
                "Could not bind RPC on address {host} port {port}: Address lookup failed."
            ),
        }
    }
    Ok(addresses)
}

/// A port in digits, above 0.
fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

/// `host`, `host:port`, `[host]`, `[host]:port` or a bare IPv6 address. `None` for a port that is none.
pub fn split_host_port(text: &str, default: u16) -> Option<(&str, u16)> {
    if let Some(rest) = text.strip_prefix('[')
        && let Some((host, rest)) = rest.split_once(']')
    {
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, self::port(port)?)),
            None if rest.is_empty() => Some((host, default)),
            None => None,
        };
    }
    match text.rsplit_once(':') {
        // More than one colon is an IPv6 address without a port.
        Some((host, _)) if host.contains(':') => Some((text, default)),
        Some((host, port)) => Some((host, self::port(port)?)),
        None => Some((text, default)),
    }
}

/// Who may call, and what. Passwords are kept as salted hashes.
#[derive(Debug, Clone)]
pub struct AccessOptions {
    credentials: Credentials,
    whitelist: Whitelist,
    /// Where the cookie goes and who may read it; `None` if there is a password or no cookie is wanted.
    cookie: Option<(PathBuf, CookiePerms)>,
}

impl AccessOptions {
    /// From `-rpcuser` and `-rpcpassword` or else the options of the cookie file, `-rpcauth`, and `-rpcwhitelist`.
    ///
    /// # Errors
    /// For an option that says nothing.
    pub fn read(args: &Args) -> Result<Self, OptionError> {
        let mut credentials = Credentials::none();
        let password = args.value("rpcpassword").unwrap_or_default();
        let perms = match args.value("rpccookieperms") {
            None => CookiePerms::default(),
            Some(text) => CookiePerms::from_option(&text).ok_or(OptionError::CookiePerms(text))?,
        };
        let mut cookie = None;
        if password.is_empty() {
            let path = args.net_file("rpccookiefile", ".cookie");
            cookie = path.map(|path| (path, perms));
        } else {
            tracing::info!("Using rpcuser/rpcpassword authentication.");
            tracing::warn!(
                "The use of rpcuser/rpcpassword is less secure, because credentials are configured in plain text. It is recommended that locally-run instances switch to cookie-based auth, or otherwise to use hashed rpcauth credentials. See share/rpcauth in the source directory for more information."
            );
            let user = args.value("rpcuser").unwrap_or_default();
            credentials.add_password(&user, &password);
        }
        let hashed = args.values("rpcauth");
        if !hashed.is_empty() {
            tracing::info!("Using rpcauth authentication.");
        }
        for line in hashed {
            credentials
                .add_rpcauth(&line)
                .inspect_err(|error| tracing::warn!("{error}"))?;
        }
        let lists = args.values("rpcwhitelist");
        let whitelist = Whitelist::new(
            lists.iter().map(String::as_str),
            args.flag("rpcwhitelistdefault"),
        );
        Ok(Self {
            credentials,
            whitelist,
            cookie,
        })
    }

    /// Writes the cookie file, if there is to be one. The port should be ours already, since the file names it to callers.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn open(&self) -> Result<Access, CookieError> {
        let mut credentials = self.credentials.clone();
        let cookie = match &self.cookie {
            None => {
                if credentials.is_empty() {
                    tracing::info!("RPC authentication cookie file generation is disabled.");
                }
                None
            }
            Some((path, perms)) => {
                let file = CookieFile::create(path, *perms)
                    .inspect_err(|error| tracing::warn!("Unable to write {error}"))?;
                tracing::info!("Generated RPC authentication cookie {}", path.display());
                tracing::info!("Permissions used for cookie: {}", perms.symbols());
                tracing::info!("Using random cookie authentication.");
                let (user, password) = file.credentials();
                credentials.add_password(user, password);
                Some(file)
            }
        };
        Ok(Access {
            credentials,
            whitelist: self.whitelist.clone(),
            cookie,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use btc_interfaces::args::Program;

    fn args(arguments: &[&str]) -> Args {
        let mut args = Args::new(Program::Node);
        args.parse(arguments).expect("valid");
        args
    }

    #[test]
    fn loopback_unless_both_options_say_otherwise() {
        let bind = |arguments: &[&str]| {
            let config = server_config(&args(arguments)).expect("valid");
            config
                .bind
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let loopback = ["[::1]:18443", "127.0.0.1:18443"];
        assert_eq!(bind(&["-regtest"]), loopback);
        assert_eq!(bind(&["-regtest", "-rpcbind=0.0.0.0"]), loopback);
        assert_eq!(bind(&["-regtest", "-rpcallowip=::/0"]), loopback);
        assert_eq!(bind(&["-rpcport=5"]), ["[::1]:5", "127.0.0.1:5"]);
        assert_eq!(
            bind(&[
                "-rpcallowip=1.2.3.4",
                "-rpcbind=0.0.0.0:7",
                "-rpcbind=[::]:8",
                "-rpcbind=::1"
            ]),
            ["0.0.0.0:7", "[::]:8", "[::1]:8332"]
        );
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(split_host_port("a", 1), Some(("a", 1)));
        assert_eq!(split_host_port("a:2", 1), Some(("a", 2)));
        assert_eq!(split_host_port("[::1]:2", 1), Some(("::1", 2)));
        assert_eq!(split_host_port("[::1]", 1), Some(("::1", 1)));
        assert_eq!(split_host_port("::1", 1), Some(("::1", 1)));
        for bad in ["a:", "a:x", "a:0", "a:65536", "a:+1", "[::1]:", "[::1]x"] {
            assert_eq!(split_host_port(bad, 1), None, "{bad}");
        }
    }

    #[test]
    fn bad_options_have_their_texts() {
        let error = |argument: &str| match server_config(&args(&[argument, "-rpcallowip=::1"])) {
            Err(error) => error.to_string(),
            Ok(_) => AccessOptions::read(&args(&[argument]))
                .expect_err("refused")
                .to_string(),
        };
        assert!(
            error("-rpcallowip=x").starts_with("Invalid -rpcallowip subnet specification: x. ")
        );
        assert_eq!(
            error("-rpcbind=a:x"),
            "Invalid port specified in -rpcbind: 'a:x'"
        );
        assert_eq!(
            error("-rpcport=0"),
            "Invalid port specified in -rpcport: '0'"
        );
        assert_eq!(
            error("-rpccookieperms=you"),
            "Invalid -rpccookieperms=you; must be one of 'owner', 'group', or 'all'."
        );
    }

    #[test]
    fn a_password_takes_the_cookies_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let datadir = format!("-datadir={}", dir.path().display());
        let open = |arguments: &[&str]| {
            let arguments: Vec<&str> = [datadir.as_str()]
                .iter()
                .chain(arguments)
                .copied()
                .collect();
            let options = AccessOptions::read(&args(&arguments)).expect("valid");
            options.open().expect("written")
        };
        let with_password = open(&["-rpcuser=a", "-rpcpassword=b"]);
        assert!(with_password.cookie.is_none() && !dir.path().join(".cookie").exists());
        assert!(
            with_password
                .credentials
                .authenticate(b"Basic YTpi")
                .is_some()
        );
        let with_cookie = open(&["-rpccookiefile=c"]);
        assert_eq!(
            with_cookie.cookie.expect("a cookie").path(),
            dir.path().join("c")
        );
        let none = open(&["-norpccookiefile"]);
        assert!(none.cookie.is_none());
        assert!(AccessOptions::read(&args(&["-norpccookiefile", "-rpcauth=x"])).is_err());
    }
}
