//! Block templates for miners.

use crate::Result;
use bitcoin::block::Header;
use bitcoin::{Block, BlockHash, ScriptBuf, Transaction, TxOut, Txid, Wtxid};
use std::sync::Arc;

/// A block's place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::common::BLOCK_REF))]
pub struct BlockRef {
    /// The block's hash.
    pub hash: BlockHash,
    /// Its height; the genesis block has 0.
    pub height: i32,
}

/// How a template is put together. Source: Core's `node::BlockCreateOptions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::mining::BLOCK_CREATE_OPTIONS))]
pub struct CreateOptions {
    /// Whether transactions of the mempool go in.
    pub use_mempool: bool,
    /// Weight units kept free for the header, the transaction count and the coinbase.
    pub block_reserved_weight: u64,
    /// Signature operations kept free for the coinbase's further outputs.
    pub coinbase_output_max_additional_sigops: u64,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            use_mempool: true,
            block_reserved_weight: 8000,
            coinbase_output_max_additional_sigops: 400,
        }
    }
}

/// Which checks [`Mining::check_block`] makes besides the block's own rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::mining::BLOCK_CHECK_OPTIONS))]
pub struct CheckOptions {
    /// Compare the header's merkle root with the transactions.
    pub check_merkle_root: bool,
    /// Compare the hash with the target.
    pub check_pow: bool,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            check_merkle_root: true,
            check_pow: true,
        }
    }
}

/// How long [`BlockTemplate::wait_next`] waits, and for what.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::mining::BLOCK_WAIT_OPTIONS))]
pub struct WaitOptions {
    /// Milliseconds; anything above an hour or so may be taken for "no limit".
    pub timeout: f64,
    /// Return a new template once its fees exceed the old one's by this many sat.
    pub fee_threshold: i64,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self {
            timeout: f64::MAX,
            fee_threshold: bitcoin::Amount::MAX_MONEY.to_sat() as i64,
        }
    }
}

/// A verdict on a block, with Core's reject strings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, results))]
pub struct Verdict {
    /// The reject string, `high-hash` for one; empty if the block is valid.
    pub reason: String,
    /// More on the same, for people.
    pub debug: String,
    /// Whether the block is valid (and, for a submission, new).
    pub result: bool,
}

/// What a miner needs to build the coinbase transaction. Source: Core's `node::CoinbaseTx`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::mining::COINBASE_TX))]
pub struct CoinbaseTx {
    /// Transaction version.
    pub version: u32,
    /// Sequence number of the only input.
    pub sequence: u32,
    /// What the scriptSig starts with: the height (BIP34).
    pub script_sig_prefix: ScriptBuf,
    /// The only witness item, or `None` if the block commits to no witness.
    pub witness: Option<Vec<u8>>,
    /// Subsidy and fees in sat, less what `required_outputs` take.
    pub block_reward_remaining: i64,
    /// Outputs that must be there, the witness commitment among them.
    pub required_outputs: Vec<TxOut>,
    /// Lock time.
    pub lock_time: u32,
}

/// Block templates and submissions. Source: Core's `interfaces::Mining`.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::mining::MINING))]
pub trait Mining: Send + Sync {
    /// Whether this is a chain for tests: anything but mainnet.
    fn is_test_chain(&self) -> Result<bool>;
    /// Whether the node is still catching up.
    fn is_initial_block_download(&self) -> Result<bool>;
    /// The tip, or `None` while there is none yet.
    fn get_tip(&self) -> Result<Option<BlockRef>>;
    /// Waits up to `timeout` milliseconds until the tip is not `current_tip`, and gives the tip; `None` on shutdown.
    fn wait_tip_changed(&self, current_tip: BlockHash, timeout: f64) -> Result<Option<BlockRef>>;
    /// A new template, or `None` on shutdown. With `cooldown` it waits for the tip to settle after a catch-up.
    fn create_new_block(
        &self,
        options: CreateOptions,
        cooldown: bool,
    ) -> Result<Option<Arc<dyn BlockTemplate>>>;
    /// Checks a block against the tip without accepting it.
    fn check_block(&self, block: Block, options: CheckOptions) -> Result<Verdict>;
    /// Ends the waits that are under way.
    fn interrupt(&self) -> Result<()>;
    /// Accepts a block as if a peer had sent it.
    fn submit_block(&self, block: Block) -> Result<Verdict>;
    /// The mempool's transactions with these ids, `None` for those it does not hold.
    fn get_transactions_by_tx_id(&self, txids: Vec<Txid>) -> Result<Vec<Option<Transaction>>>;
    /// As above, by witness ids.
    fn get_transactions_by_witness_id(
        &self,
        wtxids: Vec<Wtxid>,
    ) -> Result<Vec<Option<Transaction>>>;
}

/// A template: a block without its proof of work. Source: Core's `interfaces::BlockTemplate`.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::mining::BLOCK_TEMPLATE))]
pub trait BlockTemplate: Send + Sync {
    /// The header, its nonce not yet found.
    fn get_block_header(&self) -> Result<Header>;
    /// The whole block.
    fn get_block(&self) -> Result<Block>;
    /// Fees in sat, one for each transaction but the coinbase.
    fn get_tx_fees(&self) -> Result<Vec<i64>>;
    /// Signature operation costs, one for each transaction but the coinbase.
    fn get_tx_sigops(&self) -> Result<Vec<i64>>;
    /// What the miner's own coinbase must hold.
    fn get_coinbase_tx(&self) -> Result<CoinbaseTx>;
    /// The merkle branch of the coinbase, leaf first.
    fn get_coinbase_merkle_path(&self) -> Result<Vec<bitcoin::hashes::sha256d::Hash>>;
    /// Accepts the template as a block, with these header fields and this coinbase; without one it is refused. The
    /// template keeps them, accepted or not.
    fn submit_solution(
        &self,
        version: u32,
        timestamp: u32,
        nonce: u32,
        coinbase: Option<Transaction>,
    ) -> Result<Verdict>;
    /// Waits for a template that is better by the options; `None` when the time is over.
    fn wait_next(&self, options: WaitOptions) -> Result<Option<Arc<dyn BlockTemplate>>>;
    /// Ends [`BlockTemplate::wait_next`].
    fn interrupt_wait(&self) -> Result<()>;
    /// Where `submitSolution` stood before; calling it is an error that says so.
    fn submit_solution_old7(
        &self,
        version: u32,
        timestamp: u32,
        nonce: u32,
        coinbase: Transaction,
    ) -> Result<bool>;
}
