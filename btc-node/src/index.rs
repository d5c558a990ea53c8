//! What is kept about the active chain besides the chainstate, to find it again quickly.
//!
//! | module | what it keeps, and where |
//! |---|---|
//! | [`txs`] | where each transaction lies: `indexes/txindex` |
//! | [`spenders`] | which transaction spends an output: `indexes/txospenderindex` |
//! | [`filters`] | compact filters of BIP 158 and their headers: `indexes/blockfilter/basic` |
//! | [`coin_stats`] | the figures of `gettxoutsetinfo` after each block: `indexes/coinstatsindex` |
//! | [`set`] | those of them that a node keeps, opened, started and stopped together |
//! | [`follow`] | the way along the chain that all have in common |
//! | `db`, `filter_files`, `siphash` | their records, files and hashes, byte for byte those of Core |
//!
//! An index first goes to the tip on a thread of its own, reading blocks from the block files. From then on it is told of
//! each block by [`notify`](crate::notify). It says to be at a block only once the chainstate says so on disk too, so a
//! kill leaves it at a block from which it can go on, never ahead of the chain.

pub mod coin_stats;
pub mod error;
pub mod filters;
pub mod follow;
pub mod set;
pub mod spenders;
pub mod txs;

mod db;
mod filter_files;
mod siphash;

pub use coin_stats::{BlockCoinStats, CoinStatsIndex};
pub use error::{IndexError, StartIndexError};
pub use filters::FilterIndex;
pub use follow::IndexInfo;
pub use set::{IndexOptions, Indexes};
pub use spenders::{Spender, SpenderIndex};
pub use txs::{FoundTx, TxIndex};
