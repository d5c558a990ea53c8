//! The traits between the parts of a Bitcoin node, its wallet and its GUI.
//!
//! A program that embeds a node holds an `Arc<dyn Chain>`; so does a wallet in another process. Neither can tell which
//! it holds, except by latency and by [`Error::Disconnected`]. The rules that keep it so:
//!
//! * traits are object-safe, `Send + Sync`, take `&self`, own their arguments, and every method returns [`Result`],
//!   since a remote call can always fail;
//! * what crosses is plain data: no lock, no database handle, no iterator over live state;
//! * a callback is a trait object, and registering one returns a [`Handler`]: dropping it unregisters.
//!
//! With feature `ipc` every trait also has a proxy, and the proxies speak the wire protocol of libmultiprocess; the
//! schemas are in `schema/`. Without it this crate knows nothing of processes.
//!
//! ```
//! use btc_interfaces::{Chain, noop::NoopChain};
//! use std::sync::Arc;
//!
//! fn describe(chain: &dyn Chain) -> btc_interfaces::Result<String> {
//!     Ok(match chain.height()? {
//!         Some(height) => format!("{height} blocks"),
//!         None => "no chain yet".to_owned(),
//!     })
//! }
//! let chain: Arc<dyn Chain> = Arc::new(NoopChain);
//! assert_eq!(describe(&*chain)?, "no chain yet");
//! # Ok::<(), btc_interfaces::Error>(())
//! ```

pub mod address;
pub mod args;
mod chain;
pub mod descriptor;
mod echo;
mod error;
mod handler;
mod init;
#[cfg(feature = "ipc")]
pub mod ipc;
#[cfg(feature = "logging")]
pub mod logging;
pub mod message;
mod mining;
mod node;
pub mod noop;
pub mod psbt;
pub mod rpc;
mod settings;
#[cfg(feature = "suite")]
pub mod suite;
mod wallet;

/// The name of the programs as a whole, as it stands in messages that name it.
pub const CLIENT_NAME: &str = "multiprocess-bitcoin";

pub use chain::{
    BlockInfo, BroadcastMethod, BroadcastOutcome, Chain, ChainClient, ChainNotifications,
    FeeEstimate, FoundBlock, FoundCoin, NotifyOptions, PackageLimits, RemovalReason, TxAncestry,
    WantBlock,
};
pub use echo::Echo;
pub use error::{Error, Result};
pub use handler::{FnHandler, Handler};
pub use init::Init;
pub use mining::{
    BlockRef, BlockTemplate, CheckOptions, CoinbaseTx, CreateOptions, Mining, Verdict, WaitOptions,
};
pub use node::{Node, NodeEvents, NodeStatus};
pub use rpc::{Rpc, RpcHandler};
pub use settings::{GlobalArgs, SettingsAction};
pub use wallet::{
    AddressType, Balances, CreateWallet, DestinationOutcome, Wallet, WalletFlags, WalletListener,
    WalletLoader, WalletOutcome,
};
