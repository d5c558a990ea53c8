//! How a program configures and starts a node.

use super::error::StartError;
use super::messages::Messages;
use super::placement::Placement;
use super::shutdown::Shutdown;
use super::{Message, Node, init};
use btc_interfaces::args::{Args, Program};
use btc_interfaces::logging::Logger;
use std::ffi::OsString;
#[cfg(feature = "ipc")]
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A node to be started. Options are those of the command line and `bitcoin.conf`, under the same names.
///
/// Where a program says nothing, the node does as `bitcoin-node` does, with two exceptions: it opens no HTTP port
/// (`server=1` does), and it runs no wallet unless it gets a [`Placement`].
pub struct Builder {
    arguments: Vec<OsString>,
    args: Option<Args>,
    pub(super) placement: Option<Placement>,
    pub(super) messages: Messages,
    pub(super) shutdown: Shutdown,
    pub(super) serve_rpc: bool,
    pub(super) logger: Option<Logger>,
    pub(super) listening: Vec<super::messages::Listening>,
    #[cfg(feature = "ipc")]
    pub(super) parent: Option<UnixStream>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            args: None,
            placement: None,
            messages: Messages::new(),
            shutdown: Shutdown::new(),
            serve_rpc: false,
            logger: None,
            listening: Vec::new(),
            #[cfg(feature = "ipc")]
            parent: None,
        }
    }
}

impl Builder {
    /// Puts the data directory at `path`, which must exist.
    pub fn data_dir(self, path: impl AsRef<Path>) -> Self {
        let mut argument = OsString::from("-datadir=");
        argument.push(path.as_ref());
        self.argument(argument)
    }

    /// Sets an option, named without its dash: `option("chain", "regtest")`.
    pub fn option(self, name: &str, value: &str) -> Self {
        self.argument(format!("-{name}={value}").into())
    }

    fn argument(mut self, argument: OsString) -> Self {
        self.arguments.push(argument);
        self
    }

    /// Takes a configuration that was read already, in place of [`Builder::data_dir`] and [`Builder::option`].
    pub fn args(mut self, args: Args) -> Self {
        self.args = Some(args);
        self
    }

    /// Runs wallets, there.
    pub fn wallet(mut self, placement: Placement) -> Self {
        self.placement = Some(placement);
        self
    }

    /// Calls `listener` with what the node says while it starts and when it fails.
    pub fn on_message(mut self, listener: impl Fn(&Message) + Send + Sync + 'static) -> Self {
        self.listening.push(self.messages.listen(listener));
        self
    }

    /// Lets `shutdown` stop the node, also while it starts.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Opens the HTTP port unless `-server=0`.
    pub(crate) fn serve_rpc(mut self) -> Self {
        self.serve_rpc = true;
        self
    }

    /// Opens this log's file once the data directory is the node's, and lets RPC calls change what is in it. A program
    /// that embeds a node has a log of its own: what the node has to say goes to `tracing`, whoever subscribes.
    pub(crate) fn logger(mut self, logger: Logger) -> Self {
        self.logger = Some(logger);
        self
    }

    /// Offers the node's objects to the process at the other end of `stream`, if there is one.
    #[cfg(feature = "ipc")]
    pub(crate) fn parent(mut self, stream: Option<UnixStream>) -> Self {
        self.parent = stream;
        self
    }

    /// The configuration, read if it was not given.
    pub(super) fn take_args(&mut self) -> Result<Args, StartError> {
        match self.args.take() {
            Some(args) => Ok(args),
            None => Ok(Args::read(
                Program::Node,
                std::mem::take(&mut self.arguments),
            )?),
        }
    }

    /// Starts the node and returns when it takes calls.
    ///
    /// # Errors
    /// See [`StartError`]; nothing of the node is left then.
    pub fn start(self) -> Result<Node, StartError> {
        init::start(self)
    }
}
