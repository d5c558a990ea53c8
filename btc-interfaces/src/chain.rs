//! The chain as a wallet sees it, and the wallet as the node sees it.

use crate::rpc::{RpcCommand, RpcHandler};
use crate::{Handler, Result, SettingsAction};
use bitcoin::{Amount, Block, BlockHash, OutPoint, Transaction, TxOut, Txid};
use serde_json::Value;
use std::sync::Arc;

/// Which parts of a block [`Chain::find_block`] is asked for, beyond its place in the chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::WANT_BLOCK))]
pub struct WantBlock {
    /// Its transactions, read from disk.
    pub data: bool,
    /// A locator that starts at it.
    pub locator: bool,
}

/// A block that the node knows. Source: the fields of Core's `interfaces::FoundBlock`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::FOUND_BLOCK))]
pub struct FoundBlock {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: i32,
    /// The time in its header, seconds since 1970.
    pub time: i64,
    /// The greatest header time of it and its ancestors, seconds since 1970.
    pub max_time: i64,
    /// The median of the last eleven header times up to it, seconds since 1970.
    pub mtp_time: i64,
    /// Whether it is part of the active (most-work) chain.
    pub in_active_chain: bool,
    /// The hash of the next block in the active chain, if this one is in it and not the tip.
    pub next_block: Option<BlockHash>,
    /// The locator, if it was asked for and the block is in the active chain; else empty.
    pub locator: Vec<BlockHash>,
    /// The block, if it was asked for and is on disk.
    pub data: Option<Block>,
}

/// An unspent output, of the chain or of the mempool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::FOUND_COIN))]
pub struct FoundCoin {
    /// Where it was made.
    pub outpoint: OutPoint,
    /// Value and script.
    pub output: TxOut,
    /// The height of its block; 0x7fffffff if it is in the mempool.
    pub height: u32,
    /// Whether a coinbase made it.
    pub coinbase: bool,
}

/// Whether a transaction is to reach the network, and how. Source: Core's `node::TxBroadcast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, repr = "Int32"))]
pub enum BroadcastMethod {
    /// Into the mempool, and announce it to all peers.
    MempoolAndBroadcastToAll = 0,
    /// Into the mempool only.
    MempoolNoBroadcast = 1,
    /// Past the mempool, over short-lived private connections.
    NoMempoolPrivateBroadcast = 2,
}

/// What became of a broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, results))]
pub struct BroadcastOutcome {
    /// The reject string, as Core words it for this call; empty if accepted.
    pub error: String,
    /// Whether it was accepted.
    pub result: bool,
}

/// Counts around a mempool transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, results))]
pub struct TxAncestry {
    /// Ancestors in the mempool, itself included; 0 if it is not there.
    pub ancestors: u64,
    /// Transactions in its cluster.
    pub cluster_count: u64,
    /// Virtual size of the ancestors, itself included, in vB.
    pub ancestor_size: u64,
    /// Fees of the ancestors, itself included, in sat.
    pub ancestor_fees: i64,
}

/// How long a chain of unconfirmed transactions may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, results))]
pub struct PackageLimits {
    /// Most ancestors, itself included.
    pub ancestors: u32,
    /// Most descendants, itself included.
    pub descendants: u32,
}

/// A feerate estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::FEE_ESTIMATE))]
pub struct FeeEstimate {
    /// The feerate in sat/kvB.
    pub feerate: u64,
    /// For how many blocks it holds.
    pub blocks: i32,
}

/// Why a transaction left the mempool. Source: Core's `MemPoolRemovalReason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, repr = "Int32"))]
pub enum RemovalReason {
    /// It waited too long.
    Expiry = 0,
    /// The mempool was full.
    SizeLimit = 1,
    /// A reorganization made it invalid.
    Reorg = 2,
    /// A block holds it.
    Block = 3,
    /// A block spends its inputs elsewhere.
    Conflict = 4,
    /// Another transaction took its place.
    Replaced = 5,
}

/// A block in a notification. Source: Core's `interfaces::BlockInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::BLOCK_INFO))]
pub struct BlockInfo {
    /// Its hash.
    pub hash: BlockHash,
    /// Its parent's hash; all zero for the genesis block.
    pub prev_hash: BlockHash,
    /// Its height.
    pub height: i32,
    /// The file number of its data, or -1.
    pub file_number: i32,
    /// The position of its data in that file.
    pub data_pos: u32,
    /// The greatest header time up to it, seconds since 1970.
    pub chain_time_max: u32,
    /// The block, where the notification carries it.
    pub data: Option<Block>,
}

/// Which data come with block notifications.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::NOTIFY_OPTIONS))]
pub struct NotifyOptions {
    /// The block itself with [`ChainNotifications::block_disconnected`].
    pub disconnect_data: bool,
}

/// What a node tells of its chain. Events of one registration come one at a time, in order. An error ends nothing: the
/// node drops the registration when the other side is gone. Source: Core's `interfaces::Chain::Notifications`.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::CHAIN_NOTIFICATIONS))]
pub trait ChainNotifications: Send + Sync {
    /// A transaction entered the mempool.
    fn transaction_added_to_mempool(&self, tx: Transaction) -> Result<()>;
    /// A transaction left the mempool other than by a block.
    fn transaction_removed_from_mempool(
        &self,
        tx: Transaction,
        reason: RemovalReason,
    ) -> Result<()>;
    /// A block became part of the active chain; its data is always there.
    fn block_connected(&self, block: BlockInfo) -> Result<()>;
    /// The tip was taken off the active chain.
    fn block_disconnected(&self, block: BlockInfo) -> Result<()>;
    /// The tip changed; comes after the blocks' own events.
    fn updated_block_tip(&self) -> Result<()>;
    /// The chain state up to `locator` is on disk, so a listener may record that it got that far.
    fn chain_state_flushed(&self, locator: Vec<BlockHash>) -> Result<()>;
}

/// The chain, the mempool and the node's settings, for wallets and other clients. Source: Core's `interfaces::Chain`.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::CHAIN))]
pub trait Chain: Send + Sync {
    /// Height of the tip; `None` while there is not even a genesis block.
    fn height(&self) -> Result<Option<i32>>;
    /// Hash of the active chain's block at `height`; `None` above the tip.
    fn block_hash(&self, height: i32) -> Result<Option<BlockHash>>;
    /// Whether the active chain's block at `height` can be read.
    fn have_block_on_disk(&self, height: i32) -> Result<bool>;
    /// Height of the highest active block that `locator` names; `None` if it names none.
    fn find_locator_fork(&self, locator: Vec<BlockHash>) -> Result<Option<i32>>;
    /// The block with this hash; `None` if the node does not know it.
    fn find_block(&self, hash: BlockHash, want: WantBlock) -> Result<Option<FoundBlock>>;
    /// The first active block with a [`FoundBlock::max_time`] of at least `min_time` (seconds since 1970) and a height
    /// of at least `min_height`.
    fn find_first_block_with_time_and_height(
        &self,
        min_time: i64,
        min_height: i32,
    ) -> Result<Option<FoundBlock>>;
    /// The ancestor of `block_hash` at `ancestor_height`.
    fn find_ancestor_by_height(
        &self,
        block_hash: BlockHash,
        ancestor_height: i32,
    ) -> Result<Option<FoundBlock>>;
    /// `ancestor_hash`, if it is an ancestor of `block_hash`.
    fn find_ancestor_by_hash(
        &self,
        block_hash: BlockHash,
        ancestor_hash: BlockHash,
    ) -> Result<Option<FoundBlock>>;
    /// The last common ancestor of two blocks.
    fn find_common_ancestor(
        &self,
        block_hash1: BlockHash,
        block_hash2: BlockHash,
    ) -> Result<Option<FoundBlock>>;
    /// Those of the outpoints that are unspent in the chain and the mempool, with their outputs.
    fn find_coins(&self, outpoints: Vec<OutPoint>) -> Result<Vec<FoundCoin>>;
    /// Which part of all transactions is verified at this block, between 0 and 1, by estimate.
    fn guess_verification_progress(&self, block_hash: BlockHash) -> Result<f64>;
    /// Whether all ancestors of `block_hash` from `min_height` to `max_height` (or to itself) can be read.
    fn has_blocks(
        &self,
        block_hash: BlockHash,
        min_height: i32,
        max_height: Option<i32>,
    ) -> Result<bool>;
    /// Whether the mempool holds the transaction.
    fn is_in_mempool(&self, txid: Txid) -> Result<bool>;
    /// Whether the mempool holds a transaction that spends one of its outputs.
    fn has_descendants_in_mempool(&self, txid: Txid) -> Result<bool>;
    /// Hands a transaction to the mempool and, by `method`, to the network; refuses it if its fee is above `max_tx_fee`.
    fn broadcast_transaction(
        &self,
        tx: Transaction,
        max_tx_fee: Amount,
        method: BroadcastMethod,
    ) -> Result<BroadcastOutcome>;
    /// Counts around a mempool transaction.
    fn transaction_ancestry(&self, txid: Txid) -> Result<TxAncestry>;
    /// The mempool's limits on chains of unconfirmed transactions.
    fn package_limits(&self) -> Result<PackageLimits>;
    /// The reason why the mempool's limits would keep the transaction out; `None` if they don't.
    fn check_chain_limits(&self, tx: Transaction) -> Result<Option<String>>;
    /// The feerate to confirm within `blocks`; `None` where the node has too little data.
    fn fee_estimate(&self, blocks: i32, conservative: bool) -> Result<Option<FeeEstimate>>;
    /// The greatest number of blocks that [`Chain::fee_estimate`] takes.
    fn max_fee_estimate_blocks(&self) -> Result<u32>;
    /// The feerate below which the mempool takes nothing now, in sat/kvB.
    fn mempool_min_fee(&self) -> Result<u64>;
    /// `-minrelaytxfee` in sat/kvB.
    fn relay_min_fee(&self) -> Result<u64>;
    /// `-incrementalrelayfee` in sat/kvB.
    fn relay_incremental_fee(&self) -> Result<u64>;
    /// `-dustrelayfee` in sat/kvB.
    fn relay_dust_fee(&self) -> Result<u64>;
    /// Whether blocks were ever pruned.
    fn have_pruned(&self) -> Result<bool>;
    /// The height of the last pruned block; `None` if none was.
    fn prune_height(&self) -> Result<Option<i32>>;
    /// Whether transactions would reach anybody: past the import of blocks and the initial download.
    fn is_ready_to_broadcast(&self) -> Result<bool>;
    /// Whether the node is still catching up.
    fn is_initial_block_download(&self) -> Result<bool>;
    /// Whether the node is stopping.
    fn shutdown_requested(&self) -> Result<bool>;
    /// Shows what the start-up is at.
    fn init_message(&self, message: String) -> Result<()>;
    /// Shows a warning of the start-up.
    fn init_warning(&self, message: String) -> Result<()>;
    /// Shows an error of the start-up.
    fn init_error(&self, message: String) -> Result<()>;
    /// Shows progress in percent; 100 ends it.
    fn show_progress(&self, title: String, progress: i32, resume_possible: bool) -> Result<()>;
    /// Registers for the chain's events.
    fn handle_notifications(
        &self,
        notifications: Arc<dyn ChainNotifications>,
        options: NotifyOptions,
    ) -> Result<Arc<dyn Handler>>;
    /// Returns when every event up to now is delivered, at once if `old_tip` still is the tip.
    fn wait_for_notifications_if_tip_changed(&self, old_tip: BlockHash) -> Result<()>;
    /// Returns when every event up to now is delivered.
    fn wait_for_notifications(&self) -> Result<()>;
    /// Registers an RPC method. Where two register one name, the last stands until its handler goes.
    fn handle_rpc(
        &self,
        command: RpcCommand,
        handler: Arc<dyn RpcHandler>,
    ) -> Result<Arc<dyn Handler>>;
    /// Whether `-deprecatedrpc` names the method.
    fn rpc_enable_deprecated(&self, method: String) -> Result<bool>;
    /// An option's value in force, null if not set.
    fn setting(&self, name: String) -> Result<Value>;
    /// All values of an option.
    fn settings_list(&self, name: String) -> Result<Vec<Value>>;
    /// A value of `settings.json`, null if not set.
    fn rw_setting(&self, name: String) -> Result<Value>;
    /// Replaces a value of `settings.json`; null erases it. Gives whether that worked.
    fn overwrite_rw_setting(
        &self,
        name: String,
        value: Value,
        action: SettingsAction,
    ) -> Result<bool>;
    /// Tells the listener of every transaction now in the mempool, before this returns.
    fn request_mempool_transactions(
        &self,
        notifications: Arc<dyn ChainNotifications>,
    ) -> Result<()>;
    /// Whether the chain state comes from a snapshot that is not yet validated or was in this run.
    fn has_assumed_valid_chain(&self) -> Result<bool>;
}

/// A part that works on the node's chain and that the node starts and stops: the wallets. Source: Core's
/// `interfaces::ChainClient`.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::CHAIN_CLIENT))]
pub trait ChainClient: Send + Sync {
    /// Registers its RPC methods with the chain.
    fn register_rpcs(&self) -> Result<()>;
    /// Checks what it is about to load; `false` if the node must not start (and it said why by
    /// [`Chain::init_error`]).
    fn verify(&self) -> Result<bool>;
    /// Loads it; `false` as above.
    fn load(&self) -> Result<bool>;
    /// Starts its own work.
    fn start(&self) -> Result<()>;
    /// Writes what is not yet written and lets go of the chain.
    fn stop(&self) -> Result<()>;
    /// Sets the time, in seconds since 1970; 0 for the real clock.
    fn set_mock_time(&self, time: i64) -> Result<()>;
    /// Moves its scheduler forward by so many seconds.
    fn scheduler_mock_forward(&self, seconds: i64) -> Result<()>;
}
