//! What the options say to the node's parts, checked before anything is opened.
//!
//! | module | whose options |
//! |---|---|
//! | `connection_limit` | connections, as far as there are file descriptors |
//! | `indexes` | the indexes |
//! | `network` | the rules of the chain |
//! | `peers` | the network of peers |
//! | `rooms` | chainstate, mempool, mining |
//! | `server` | the RPC port |

mod connection_limit;
mod indexes;
mod network;
mod peers;
mod rooms;
mod routes;
mod server;
mod whitelist;

use super::error::StartError;
use super::network::NetworkOptions;
use crate::index::IndexOptions;
use crate::mempool::{Limits, Policy};
use crate::mining::TemplateOptions;
use crate::rpc::server::ServerConfig;
use btc_consensus::params::ChainParams;
use btc_interfaces::args::Args;
pub(crate) use connection_limit::ConnectionLimit;
use rooms::ChainstateChoices;
pub(crate) use routes::RouteOptions;
pub(crate) use server::rpc_access;
use std::path::PathBuf;
pub(crate) use whitelist::Whitelist;

/// The longest user agent that peers take, in bytes.
const MAX_SUBVERSION: usize = 256;

/// The options that the composition and the rooms it makes need.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The network's rules.
    pub(crate) params: ChainParams,
    /// `-server`, if given.
    pub(crate) server: Option<bool>,
    /// `-rest`.
    pub(crate) rest: bool,
    /// Not `-disablewallet`.
    pub(crate) wallet: bool,
    /// `-pid`; `None` for `-nopid`.
    pub(crate) pid_file: Option<PathBuf>,
    /// `-blocksdir`.
    pub(crate) blocks_dir: Option<PathBuf>,
    /// `-loadblock`.
    pub(crate) load_blocks: Vec<PathBuf>,
    /// `-stopafterblockimport`.
    pub(crate) stop_after_import: bool,
    /// `-checkmempool`.
    pub(crate) check_mempool: u32,
    /// `-stopatheight`.
    pub(crate) stop_at_height: Option<u32>,
    /// `-persistmempool`.
    pub(crate) persist_mempool: bool,
    /// `-persistmempoolv1`.
    pub(crate) persist_mempool_v1: bool,
    /// `-mocktime`, in seconds since 1970; 0 for the system's clock.
    pub(crate) mock_time: i64,
    /// `-startupnotify`.
    pub(crate) startup_notify: Vec<String>,
    /// `-shutdownnotify`.
    pub(crate) shutdown_notify: Vec<String>,
    /// `-blocknotify`.
    pub(crate) block_notify: Option<String>,
    /// `-alertnotify`.
    pub(crate) alert_notify: Option<String>,
    /// `-ipcbind`.
    #[cfg(feature = "ipc")]
    pub(crate) ipc_bind: Vec<String>,
    /// The user agent, with the comments of `-uacomment`.
    pub(crate) subversion: String,
    /// `-acceptstalefeeestimates`.
    pub(crate) accept_stale_fee_estimates: bool,
    /// What the mempool takes.
    pub(crate) policy: Policy,
    /// How much the mempool holds, and how long.
    pub(crate) mempool_limits: Limits,
    /// How block templates are made.
    pub(crate) template: TemplateOptions,
    /// The network of peers.
    pub(crate) network: NetworkOptions,
    /// Which indexes are kept.
    pub(crate) indexes: IndexOptions,
    chainstate: ChainstateChoices,
    rpc: ServerConfig,
}

impl Options {
    /// Reads and checks them all.
    pub(crate) fn read(args: &Args) -> Result<Self, StartError> {
        args.check_supported()?;
        if args.is_set("ipcbind") && !cfg!(feature = "ipc") {
            return Err(option("-ipcbind needs a program built with feature ipc"));
        }
        let params = network::params(args)?;
        let policy = rooms::policy(args, &params)?;
        Ok(Self {
            server: args.flag("server"),
            rest: args.flag("rest").unwrap_or(false),
            wallet: !args.flag("disablewallet").unwrap_or(false),
            pid_file: args.net_file("pid", "bitcoind.pid"),
            blocks_dir: args
                .path("blocksdir", "")
                .filter(|dir| !dir.as_os_str().is_empty()),
            load_blocks: args
                .values("loadblock")
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            stop_after_import: args.flag("stopafterblockimport").unwrap_or(false),
            check_mempool: rooms::check_ratio(args, "checkmempool", &params),
            stop_at_height: positive(args, "stopatheight"),
            persist_mempool: args.flag("persistmempool").unwrap_or(true),
            persist_mempool_v1: args.flag("persistmempoolv1").unwrap_or(false),
            mock_time: mock_time(args)?,
            startup_notify: commands(args, "startupnotify"),
            shutdown_notify: commands(args, "shutdownnotify"),
            block_notify: commands(args, "blocknotify").into_iter().next(),
            alert_notify: commands(args, "alertnotify").into_iter().next(),
            #[cfg(feature = "ipc")]
            ipc_bind: args.values("ipcbind"),
            subversion: subversion(&args.values("uacomment"))?,
            accept_stale_fee_estimates: rooms::accept_stale_fee_estimates(args, &params)?,
            mempool_limits: rooms::mempool_limits(args, &policy)?,
            policy,
            template: rooms::template(args)?,
            network: peers::network(args, params.chain)?,
            indexes: indexes::indexes(args)?,
            chainstate: rooms::chainstate(args, &params)?,
            rpc: server::config(args)?,
            params,
        })
    }
}

/// A complaint about an option.
fn option(text: impl Into<String>) -> StartError {
    StartError::Option(text.into())
}

/// The commands of an option, without empty ones.
fn commands(args: &Args, name: &str) -> Vec<String> {
    let mut commands = args.values(name);
    commands.retain(|command| !command.is_empty() && command != "0");
    commands
}

/// A number above zero that fits; otherwise it is as if it were not given.
fn positive(args: &Args, name: &str) -> Option<u32> {
    args.int(name)
        .and_then(|value| u32::try_from(value).ok())
        .filter(|value| *value > 0)
}

/// `-mocktime`, which cannot be before 1970.
fn mock_time(args: &Args) -> Result<i64, StartError> {
    let time = args.int("mocktime").unwrap_or(0);
    if time < 0 {
        return Err(option(format!(
            "-mocktime={time} is negative; it is a number of seconds since 1970"
        )));
    }
    Ok(time)
}

/// The user agent (BIP 14) with comments.
fn subversion(comments: &[String]) -> Result<String, StartError> {
    let safe = |c: char| c.is_ascii_alphanumeric() || " .,;-_?@".contains(c);
    if let Some(comment) = comments.iter().find(|comment| !comment.chars().all(safe)) {
        return Err(option(format!(
            "User Agent comment ({comment}) contains unsafe characters."
        )));
    }
    let comments = match comments {
        [] => String::new(),
        comments => format!("({})", comments.join("; ")),
    };
    let subversion = format!(
        "/{}:{}{comments}/",
        crate::CLIENT_NAME,
        env!("CARGO_PKG_VERSION")
    );
    if subversion.len() > MAX_SUBVERSION {
        return Err(option(format!(
            "Total length of network version string ({}) exceeds maximum length ({MAX_SUBVERSION}). Reduce the number \
             or size of uacomments.",
            subversion.len()
        )));
    }
    Ok(subversion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use btc_interfaces::args::Program;

    fn read(arguments: &[&str]) -> Result<Options, StartError> {
        let mut args = Args::new(Program::Node);
        args.parse(["-regtest", "-datadir=/nowhere"].iter().chain(arguments))?;
        Options::read(&args)
    }

    #[test]
    fn defaults_are_those_of_bitcoind() {
        let options = read(&[]).unwrap();
        assert!(options.wallet && options.persist_mempool);
        assert_eq!(options.server, None);
        assert_eq!(options.params.chain.name(), "regtest");
        assert_eq!(
            options.pid_file.unwrap(),
            PathBuf::from("/nowhere/regtest/bitcoind.pid")
        );
        assert_eq!(options.policy, Policy::default());
        assert_eq!(options.template, TemplateOptions::default());
    }

    #[test]
    fn values_that_make_no_sense_are_refused_by_name() {
        for (argument, reason) in [
            (
                "-uacomment=a(b",
                "User Agent comment (a(b) contains unsafe characters.",
            ),
            ("-mocktime=-1", "-mocktime=-1 is negative"),
            (
                "-minrelaytxfee=x",
                "Invalid amount for -minrelaytxfee=<amount>: 'x'",
            ),
            (
                "-dustrelayfee=-1",
                "Invalid amount for -dustrelayfee=<amount>: '-1'",
            ),
            (
                "-limitclustercount=65",
                "limitclustercount must be less than or equal to 64",
            ),
            (
                "-assumevalid=xyz",
                "Invalid assumevalid block hash specified (xyz)",
            ),
            (
                "-minimumchainwork=xyz",
                "Invalid minimum work specified (xyz)",
            ),
            (
                "-testactivationheight=segwit",
                "Invalid format (segwit) for -testactivationheight",
            ),
            (
                "-testactivationheight=x@1",
                "Invalid name (x@1) for -testactivationheight",
            ),
            (
                "-testactivationheight=segwit@-1",
                "Invalid height value (segwit@-1)",
            ),
            ("-vbparams=testdummy:0", "Version bits parameters malformed"),
            ("-rpcport=0", "Invalid port specified in -rpcport: '0'"),
            (
                "-rpcallowip=x",
                "Invalid -rpcallowip subnet specification: x.",
            ),
            (
                "-blockmaxweight=4000001",
                "-blockmaxweight (4000001) exceeds consensus maximum block weight (4000000)",
            ),
            (
                "-blockreservedweight=1999",
                "-blockreservedweight (1999) is lower than minimum safety value of (2000)",
            ),
        ] {
            let error = read(&[argument]).unwrap_err().to_string();
            assert!(error.contains(reason), "{argument}: {error}");
        }
    }

    #[test]
    fn what_is_given_arrives() {
        let options = read(&[
            "-nopid",
            "-disablewallet",
            "-stopatheight=7",
            "-uacomment=one",
            "-uacomment=two",
            "-minrelaytxfee=0.00002",
            "-acceptnonstdtxn",
            "-nodatacarrier",
            "-maxmempool=5",
            "-blockmintxfee=0.00003",
            "-testactivationheight=segwit@300",
            "-startupnotify=true",
        ])
        .unwrap();
        assert_eq!((options.pid_file, options.wallet), (None, false));
        assert_eq!(options.stop_at_height, Some(7));
        assert!(options.subversion.ends_with("(one; two)/"));
        assert_eq!(options.policy.min_relay_feerate.per_thousand(), 2000);
        assert!(!options.policy.require_standard);
        assert_eq!(options.policy.max_datacarrier_bytes, None);
        assert_eq!(options.mempool_limits.max_bytes, 5_000_000);
        assert_eq!(options.template.min_feerate.per_thousand(), 3000);
        assert_eq!(options.params.segwit_height, 300);
        assert_eq!(options.startup_notify, ["true"]);
    }
}
