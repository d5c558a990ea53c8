//! Where the wallets run: the one place in which a node in one process differs from a node in several.

use btc_interfaces::Init;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// Where the wallets run. Each placement ends in an [`Init`] that makes the wallet loader; nothing else in the node
/// knows which it is.
#[non_exhaustive]
pub enum Placement {
    /// In this process, made by this object.
    Local(Arc<dyn Init>),
    /// In a process of their own, which this program file becomes with the argument `-ipcfd`.
    #[cfg(feature = "ipc")]
    Spawn(PathBuf),
    /// In a process that listens on this Unix socket.
    #[cfg(feature = "ipc")]
    Connect(PathBuf),
}

impl Placement {
    /// In this process: the wallet crate, linked in.
    #[cfg(feature = "wallet")]
    pub fn local() -> Self {
        Self::Local(Arc::new(btc_wallet::WalletInit))
    }

    /// In a process of the program `bitcoin-wallet` that lies beside the running one.
    #[cfg(feature = "ipc")]
    pub fn spawn_sibling() -> Result<Self, PlacementError> {
        let own = std::env::current_exe().map_err(PlacementError::OwnPath)?;
        Ok(Self::Spawn(own.with_file_name("bitcoin-wallet")))
    }
}

impl std::fmt::Debug for Placement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(_) => formatter.write_str("Local"),
            #[cfg(feature = "ipc")]
            Self::Spawn(path) => formatter.debug_tuple("Spawn").field(path).finish(),
            #[cfg(feature = "ipc")]
            Self::Connect(path) => formatter.debug_tuple("Connect").field(path).finish(),
        }
    }
}

/// Why the wallets cannot be reached at their place.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// The running program does not know where it lies.
    #[error("cannot find the running program's own path: {0}")]
    OwnPath(#[source] std::io::Error),
    /// The wallet program did not start.
    #[error("cannot start {}: {reason}", .path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Nobody answers on the socket.
    #[error("cannot connect to {}: {reason}", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
