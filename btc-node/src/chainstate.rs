//! The single writer: what the active chain is, which coins it leaves unspent, and in what order that reaches the disk.
//!
//! [`ChainstateManager`] is shared by `Arc`; every method takes `&self`. Blocks go in through
//! [`submit_block`](ChainstateManager::submit_block), and come out as events of [`notify`](crate::notify).
//!
//! ```
//! use std::sync::Arc;
//!
//! use btc_consensus::{Chain, ChainParams};
//! use btc_node::chainstate::{ChainstateManager, Options, SystemClock};
//! use btc_node::notify::Notifier;
//! use btc_node::store::data_dir::DataDir;
//!
//! # let temporary = tempfile::tempdir()?;
//! # let path = temporary.path();
//! let dir = DataDir::open(path, bitcoin::Network::Regtest, None, "Example")?;
//! let options = Options::new((&dir).into(), ChainParams::new(Chain::Regtest));
//! let (clock, notifier) = (Arc::new(SystemClock::new()), Arc::new(Notifier::new()));
//! let node = ChainstateManager::open(options, clock, notifier)?;
//! assert_eq!(node.tip().height, 0);
//! node.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Lock order.** The chainstate lock, then the mempool's. The mempool is told of blocks while
//! the chainstate lock is held, so nobody sees a new tip with an old mempool; and whoever holds the mempool's lock must
//! not call into the chainstate. Code that needs both starts with [`ChainstateManager::with_tip`]. Listeners of
//! [`notify`](crate::notify) are called with no lock held.
//!
//! | module | what it does |
//! |---|---|
//! | [`options`], [`clock`], [`error`] | what a caller passes in and gets back |
//! | [`manager`], [`summary`] | the public face, and what it answers with |
//! | [`view`] | the tip with its coins, as the mempool and the miner see it |
//! | [`coins_cache`] | coins in memory over the database, within a budget |
//! | [`script_cache`] | what was found good before, shared with the mempool |
//! | [`muhash`], [`stats`], [`dump`] | digests and figures of all unspent coins, and a file of them |
//! | `state`, `open` | what the lock guards; how it is loaded, an interrupted flush included |
//! | `accept`, `connect`, `activate`, `mark` | headers and blocks in; coins changed; the best chain chosen; blocks declared invalid |
//! | `checks`, `read_ahead`, `run_ahead` | script checks on several threads; blocks read, and connected above the tip, meanwhile |
//! | [`snapshot`], `background` | coins of a block taken for granted, and validated behind the active chain |
//! | `validated` | the chain that took nothing for granted, for those who follow that one |
//! | [`prune`] | old block files deleted; locks that keep them |
//! | `consistency` | the rules of the block index, checked over the whole of it |
//! | `flush`, `import`, `verify` | writing out; block files read in; the last blocks checked again |

pub mod clock;
pub mod coins_cache;
pub mod dump;
pub mod error;
pub mod manager;
pub mod muhash;
pub mod options;
pub mod prune;
pub mod script_cache;
pub mod snapshot;
pub mod stats;
pub mod summary;
pub mod view;

mod accept;
mod activate;
mod background;
mod checks;
mod connect;
mod consistency;
mod flush;
mod import;
mod mark;
mod open;
mod read_ahead;
mod run_ahead;
mod state;
mod text;
mod validated;
mod verify;

pub use clock::{Clock, SystemClock};
pub use error::{BlockRejection, OpenError, SubmitError};
pub use manager::ChainstateManager;
pub use options::{Dirs, Options, SubmitOptions};
pub use prune::PruneTarget;
pub use script_cache::ScriptCache;
pub use snapshot::{BackgroundInfo, ChainstateInfo, SnapshotError};
pub use stats::{UtxoHash, UtxoHashKind, UtxoStats};
pub use summary::{Accepted, BlockSummary, ChainTip, ChainTipStatus, ImportReport, VerifyError};
pub use view::{MempoolHook, TipView};
