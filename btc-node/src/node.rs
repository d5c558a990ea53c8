//! The node as a whole: how it is configured, comes up, runs and goes down.
//!
//! | module | what it does |
//! |---|---|
//! | `builder`, `options` | what a program and a user want of the node |
//! | `init` | the steps of the start-up |
//! | `context` | all parts in one place |
//! | `parts` | the steps of the shutdown |
//! | [`placement`], `wallets` | where wallets run; the one place that knows more than one process |
//! | `import` | block files and the mempool's file, read while the node runs |
//! | `network` | the thread that leads the peers |
//! | `filters` | compact filters for them |
//! | `program` | what `bitcoin-node` and `bitcoind` share |

mod builder;
mod commands;
mod context;
mod control;
mod daemon;
mod echo;
mod error;
mod filters;
mod import;
mod init;
#[cfg(feature = "ipc")]
pub(crate) mod listen;
mod messages;
mod methods;
mod network;
mod new_rules;
mod options;
mod parts;
mod pid_file;
pub mod placement;
#[cfg(feature = "ipc")]
mod process;
pub mod program;
#[cfg(feature = "ipc")]
mod serve;
pub mod settings;
mod shutdown;
mod timer;
mod wallets;
pub mod warnings;

pub use builder::Builder;
pub use context::Context;
pub use error::StartError;
#[cfg(feature = "ipc")]
pub use listen::AddressError;
pub use messages::{Listening, Message, Messages};
pub use placement::{Placement, PlacementError};
#[cfg(feature = "ipc")]
pub use serve::BindError;
pub use shutdown::Shutdown;
pub use wallets::{Wallets, WalletsError};

use crate::iface;
use btc_interfaces::{Chain, Init, Mining, Rpc, WalletLoader};
use parts::Parts;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// A running node.
///
/// The objects it hands out are those that another process would get. They may outlive the node; their calls fail
/// then, or answer for the chain as it was.
///
/// Dropping it stops it, as [`Node::stop`] does.
pub struct Node {
    context: Arc<Context>,
    parts: Mutex<Parts>,
}

impl Node {
    /// A node to configure and start.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Its parts.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// What it offers to other processes.
    pub fn init(&self) -> Arc<dyn Init> {
        Arc::new(iface::NodeInit::new(self.context.clone()))
    }

    /// The chain as wallets see it.
    pub fn chain(&self) -> Arc<dyn Chain> {
        Arc::new(iface::ContextChain::new(self.context.clone()))
    }

    /// The node as a miner sees it.
    pub fn mining(&self) -> Arc<dyn Mining> {
        Arc::new(iface::ContextMining::new(self.context.clone()))
    }

    /// The node as a GUI sees it.
    pub fn node(&self) -> Arc<dyn btc_interfaces::Node> {
        Arc::new(iface::ContextNode::new(self.context.clone()))
    }

    /// Its RPC, without HTTP and credentials.
    pub fn rpc(&self) -> Arc<dyn Rpc> {
        Arc::new(iface::ContextRpc::new(self.context.clone()))
    }

    /// Its wallets; `None` if it runs without, or if their process is gone.
    pub fn wallet_loader(&self) -> Option<Arc<dyn WalletLoader>> {
        self.context.wallets()?.loader()
    }

    /// The wish to stop it, which others may raise too: an RPC call, a full disk.
    pub fn shutdown(&self) -> &Shutdown {
        &self.context.shutdown
    }

    /// Stops it, if nobody has, and gives what a process should exit with: 1 after a failure.
    pub fn stop(self) -> ExitCode {
        self.end();
        self.context.shutdown.exit_code()
    }

    fn end(&self) {
        self.parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stop(&self.context);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}
