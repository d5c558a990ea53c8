//! Bitcoin's consensus rules as pure functions.
//!
//! Nothing here reads a file, a clock or a random number, starts a thread or writes a log: every
//! input is an argument. So a node, a test vector, a fuzzer and an oracle all call the same code.
//!
//! A block passes through these, each of which can say what rule it breaks:
//!
//! 1. [`header::check_proof_of_work`] and [`header::contextual_check_header`], as soon as its
//!    header is known;
//! 2. [`block::check_block`] and [`block::contextual_check_block`], when the rest has come;
//! 3. [`connect::connect`], when the blocks before it are connected and the outputs that it spends
//!    ([`connect::prevouts_needed`]) are loaded;
//! 4. the [`connect::ScriptJob`]s that gives, on as many threads as there are.
//!
//! Every error is one rule. Its `reject_reason` is what Bitcoin Core calls it, and its `fault`
//! says what a node may conclude about the block.

pub mod ancestors;
pub mod block;
pub mod coin;
pub mod connect;
pub mod fault;
pub mod header;
pub mod limits;
pub mod merkle;
pub mod params;
pub mod pow;
pub mod script;
pub mod sighash;
pub mod subsidy;
pub mod tx;
pub mod uint256;
pub mod versionbits;

mod curve;

pub use ancestors::{Ancestors, HeaderInfo};
pub use block::{BlockContext, BlockError, CheckBlockOptions, check_block, contextual_check_block};
pub use coin::Coin;
pub use connect::{ConnectContext, Delta, ScriptJob, connect, flags_for_block, prevouts_needed};
pub use fault::{BlockFault, TxFault};
pub use header::{HeaderContext, HeaderError, contextual_check_header};
pub use params::{Chain, ChainParams};
pub use pow::{Target, Work};
pub use script::{ScriptError, ScriptFlags};
pub use sighash::Spend;
pub use tx::{TxError, check_transaction};
