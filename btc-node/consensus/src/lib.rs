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
//!
//! The first block after the genesis block, all the way:
//!
//! ```
//! use std::sync::Arc;
//!
//! use bitcoin::{Block, consensus::encode::deserialize_hex};
//! use btc_consensus::{
//!     BlockContext, Chain, ChainParams, CheckBlockOptions, ConnectContext, HeaderContext,
//!     HeaderInfo, check_block, connect, contextual_check_block, contextual_check_header, header,
//! };
//!
//! let block: Block = deserialize_hex(
//!     "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd\
//!     1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299\
//!     0101000000010000000000000000000000000000000000000000000000000000000000000000ffff\
//!     ffff0704ffff001d0104ffffffff0100f2052a0100000043410496b538e853519c726a2c91e61ec1\
//!     1600ae1390813a627c66fb8be7947be63c52da7589379515d4e0a604f8141781e62294721166bf62\
//!     1e73a82cbf2342c858eeac00000000",
//! )?;
//! let params = ChainParams::new(Chain::Main);
//! let chain = vec![HeaderInfo::from(&params.genesis.header)];
//!
//! header::check_proof_of_work(&block.header, &params)?;
//! let now = block.header.time;
//! let context = HeaderContext { params: &params, prev: &chain, now };
//! contextual_check_header(&block.header, &context)?;
//!
//! check_block(&block, &CheckBlockOptions::default(), &params)?;
//! let prev_median_time = params.genesis.header.time;
//! contextual_check_block(&block, &BlockContext { params: &params, height: 1, prev_median_time })?;
//!
//! let context = ConnectContext { params: &params, prev: &chain, check_scripts: true };
//! let nothing_to_spend = |_: &_| None;
//! let (delta, scripts) = connect(&Arc::new(block), nothing_to_spend, &context)?;
//! for job in scripts {
//!     job.run().map_err(|error| job.failure(error))?;
//! }
//! assert_eq!(delta.created.len(), 1);
//! assert_eq!(delta.created[0].1.output.value.to_btc(), 50.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub use block::{
    BlockContext, BlockError, CheckBlockOptions, HashedBlock, check_block, check_hashed_block,
    contextual_check_block, contextual_check_hashed_block,
};
pub use coin::Coin;
pub use connect::{
    ConnectContext, Delta, ScriptJob, connect, connect_hashed, flags_for_block, prevouts_needed,
};
pub use fault::{BlockFault, TxFault};
pub use header::{HeaderContext, HeaderError, contextual_check_header};
pub use params::{Chain, ChainParams};
pub use pow::{Target, Work};
pub use script::{ScriptError, ScriptFlags};
pub use sighash::Spend;
pub use tx::{TxError, check_transaction};
