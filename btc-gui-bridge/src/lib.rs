//! Models for a Bitcoin GUI that know no toolkit.
//!
//! A model is a snapshot of what a [`Node`](btc_interfaces::Node) or its wallets say, brought up to date by events and
//! by asking again. A window shows it; `bitcoin-gui` prints it. The node may be in this process or in another: the
//! models see `dyn Node` and `dyn Wallet` alone.
//!
//! ```
//! use btc_gui_bridge::ChainModel;
//! use btc_interfaces::{Init, suite::Model};
//!
//! let node = Model::new().make_node()?; // A node of the test suite: three blocks on regtest.
//! let chain = ChainModel::attach(&*node)?;
//! assert_eq!(chain.snapshot().to_string(), "regtest: block 3 of 3, 25.00 % verified, 0 peers, 1 transaction waiting");
//! # Ok::<(), btc_interfaces::Error>(())
//! ```

mod chain;
mod wallets;

pub use chain::{ChainModel, ChainSnapshot};
pub use wallets::{WalletRow, WalletsModel};
