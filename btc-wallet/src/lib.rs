//! A Bitcoin wallet that sees the chain through [`btc_interfaces::Chain`] alone.
//!
//! It keeps keys as output descriptors in a SQLite file that Core's wallets share, follows the chain's events, chooses
//! coins, signs and sends. It answers RPC methods that it registers with the node, from its own process or from the
//! node's: [`local`] gives the wallets of this process.
//!
//! ```
//! use btc_interfaces::{GlobalArgs, noop::NoopChain};
//! use std::sync::Arc;
//!
//! let directory = std::env::temp_dir();
//! let args = GlobalArgs {
//!     chain: "regtest".into(),
//!     net_data_dir: directory.display().to_string(),
//!     ..GlobalArgs::default()
//! };
//! let loader = btc_wallet::local(args, Arc::new(NoopChain))?;
//! assert_eq!(loader.wallets()?.len(), 0);
//! # Ok::<(), btc_interfaces::Error>(())
//! ```

mod crypter;
pub mod db;
mod error;
mod keys;
mod loader;
mod options;
mod rpc;
mod sign;
mod spend;
mod tx;
mod wallet;

pub use db::record::RecordError;
pub use error::WalletError;
pub use keys::KeyError;
pub use loader::{WalletInit, local};
pub use options::OptionError;

/// The tables of all methods of a wallet.
pub fn rpc_tables() -> impl Iterator<Item = &'static btc_interfaces::rpc::table::Method> {
    rpc::methods().map(|entry| &entry.method)
}
