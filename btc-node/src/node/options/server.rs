//! Options of the RPC port.

use super::{Options, option};
use crate::node::StartError;
use crate::rpc::auth::CookieError;
use crate::rpc::options::{AccessOptions, server_config};
use crate::rpc::server::{Access, ServerConfig};
use btc_interfaces::args::Args;

/// How the port is served, and who may come in.
#[derive(Debug, Clone)]
pub(super) struct ServerChoices {
    config: ServerConfig,
    access: AccessOptions,
}

impl Options {
    /// How the port is served.
    pub(crate) fn rpc_server(&self) -> ServerConfig {
        self.rpc.config.clone()
    }

    /// Who may come in. The cookie file is written here, so the port should be ours already.
    pub(crate) fn rpc_access(&self) -> Result<Access, CookieError> {
        self.rpc.access.open()
    }
}

pub(super) fn choices(args: &Args) -> Result<ServerChoices, StartError> {
    Ok(ServerChoices {
        config: server_config(args).map_err(|error| option(error.to_string()))?,
        access: AccessOptions::read(args).map_err(|error| option(error.to_string()))?,
    })
}
