//! The node as a GUI sees it.

use crate::{BlockRef, Handler, Result, WalletLoader};
use serde_json::Value;
use std::sync::Arc;

/// What a status display shows of a node.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::node::NODE_STATUS))]
pub struct NodeStatus {
    /// The chain's name: `main`, `test`, `testnet4`, `signet` or `regtest`.
    pub chain: String,
    /// The tip.
    pub tip: BlockRef,
    /// The best header known.
    pub header_tip: BlockRef,
    /// The time in the tip's header, seconds since 1970.
    pub tip_time: i64,
    /// Which part of all transactions is verified, between 0 and 1, by estimate.
    pub verification_progress: f64,
    /// Whether the node is still catching up.
    pub initial_block_download: bool,
    /// Connected peers.
    pub connections: u64,
    /// Transactions in the mempool.
    pub mempool_size: u64,
    /// Warnings for the user, one a line.
    pub warnings: String,
}

/// Hears of what a GUI shows. Source: the `handle…` methods of Core's `interfaces::Node`.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::node::NODE_EVENTS))]
pub trait NodeEvents: Send + Sync {
    /// The tip changed.
    fn block_tip(&self, tip: BlockRef, time: i64, verification_progress: f64) -> Result<()>;
    /// What the start-up is at.
    fn init_message(&self, message: String) -> Result<()>;
}

/// A running node. Source: Core's `interfaces::Node`, of which this is the part that a status display needs.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::node::NODE))]
pub trait Node: Send + Sync {
    /// What a status display shows; `None` until the start-up is over, which [`NodeEvents::init_message`] tells of.
    fn status(&self) -> Result<Option<NodeStatus>>;
    /// Begins a shutdown, and returns.
    fn start_shutdown(&self) -> Result<()>;
    /// Whether a shutdown has begun.
    fn shutdown_requested(&self) -> Result<bool>;
    /// Runs an RPC method on the wallet `wallet_name` (empty: none).
    fn execute_rpc(
        &self,
        method: String,
        params: Value,
        wallet_name: String,
    ) -> Result<crate::rpc::RpcReply>;
    /// Names of the RPC methods.
    fn list_rpc_commands(&self) -> Result<Vec<String>>;
    /// The wallets, or `None` if the node runs without.
    fn wallet_loader(&self) -> Result<Option<Arc<dyn WalletLoader>>>;
    /// Registers for events.
    fn handle_events(&self, events: Arc<dyn NodeEvents>) -> Result<Arc<dyn Handler>>;
}
