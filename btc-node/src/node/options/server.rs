//! Options of the RPC port.

use super::{Options, option};
use crate::node::StartError;
use crate::rpc::auth::CookieError;
use crate::rpc::options::{AccessOptions, OptionError, server_config};
use crate::rpc::server::{Access, ServerConfig};
use btc_interfaces::args::Args;
use thiserror::Error;

/// Why nobody can come in.
#[derive(Debug, Error)]
pub(crate) enum AccessError {
    /// An option about credentials makes no sense.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The cookie file cannot be written.
    #[error(transparent)]
    Cookie(#[from] CookieError),
}

/// Who may come in. The cookie file is written here, so the port should be ours already.
///
/// Options about credentials are looked at no earlier: what is wrong with them stands in the log alone, as in bitcoind.
pub(crate) fn rpc_access(args: &Args) -> Result<Access, AccessError> {
    Ok(AccessOptions::read(args)?.open()?)
}

impl Options {
    /// How the port is served.
    pub(crate) fn rpc_server(&self) -> ServerConfig {
        self.rpc.clone()
    }
}

pub(super) fn config(args: &Args) -> Result<ServerConfig, StartError> {
    server_config(args).map_err(|error| option(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::rpc_access;
    use btc_interfaces::args::{Args, Program};

    #[test]
    fn wrong_credentials_let_nobody_in() {
        for (argument, reason) in [
            ("-rpcauth", "Invalid -rpcauth argument."),
            ("-rpcauth=user", "Invalid -rpcauth argument."),
            (
                "-rpccookieperms=world",
                "Invalid -rpccookieperms=world; must be one of 'owner', 'group', or 'all'.",
            ),
        ] {
            let mut args = Args::new(Program::Node);
            args.parse(["-regtest", "-datadir=/nowhere", argument])
                .expect("options of these names");
            let Err(error) = rpc_access(&args) else {
                panic!("nobody can come in")
            };
            assert_eq!(error.to_string(), reason);
        }
    }
}
