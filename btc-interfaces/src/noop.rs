//! Implementations that do nothing and answer with the neutral value: no chain, no wallets, no templates.
//!
//! They stand in where a part is absent, and are what a test starts from.

use crate::rpc::{RpcCommand, RpcError, RpcHandler, RpcReply, RpcRequest, code};
use crate::*;
use bitcoin::{Amount, Block, BlockHash, OutPoint, Transaction, Txid, Wtxid};
use serde_json::Value;
use std::sync::Arc;

/// Nothing to unregister.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopHandler;

impl Handler for NoopHandler {
    fn disconnect(&self) -> Result<()> {
        Ok(())
    }
}

/// Echoes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopEcho;

impl Echo for NoopEcho {
    fn echo(&self, _echo: String) -> Result<String> {
        Ok(String::new())
    }
}

/// A process that offers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopInit;

impl Init for NoopInit {
    fn make_echo(&self) -> Result<Arc<dyn Echo>> {
        Err(Error::unsupported("echo"))
    }
    fn make_mining_old2(&self) -> Result<()> {
        Err(Error::failed(
            "Old mining interface (@2) not supported. Please update your client!",
        ))
    }
    fn make_mining(&self) -> Result<Arc<dyn Mining>> {
        Err(Error::unsupported("mining"))
    }
    fn make_rpc(&self) -> Result<Arc<dyn Rpc>> {
        Err(Error::unsupported("rpc"))
    }
    fn make_chain(&self) -> Result<Arc<dyn Chain>> {
        Err(Error::unsupported("chain"))
    }
    fn make_node(&self) -> Result<Arc<dyn Node>> {
        Err(Error::unsupported("node"))
    }
    fn make_wallet_loader(
        &self,
        _global_args: GlobalArgs,
        _chain: Arc<dyn Chain>,
    ) -> Result<Arc<dyn WalletLoader>> {
        Err(Error::unsupported("wallet loader"))
    }
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopNotifications;

impl ChainNotifications for NoopNotifications {
    fn transaction_added_to_mempool(&self, _tx: Transaction) -> Result<()> {
        Ok(())
    }
    fn transaction_removed_from_mempool(
        &self,
        _tx: Transaction,
        _reason: RemovalReason,
    ) -> Result<()> {
        Ok(())
    }
    fn block_connected(&self, _block: BlockInfo) -> Result<()> {
        Ok(())
    }
    fn block_disconnected(&self, _block: BlockInfo) -> Result<()> {
        Ok(())
    }
    fn updated_block_tip(&self) -> Result<()> {
        Ok(())
    }
    fn chain_state_flushed(&self, _locator: Vec<BlockHash>) -> Result<()> {
        Ok(())
    }
}

/// A node without a chain: no block, an empty mempool, no settings.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopChain;

impl Chain for NoopChain {
    fn height(&self) -> Result<Option<i32>> {
        Ok(None)
    }
    fn block_hash(&self, _height: i32) -> Result<Option<BlockHash>> {
        Ok(None)
    }
    fn have_block_on_disk(&self, _height: i32) -> Result<bool> {
        Ok(false)
    }
    fn find_locator_fork(&self, _locator: Vec<BlockHash>) -> Result<Option<i32>> {
        Ok(None)
    }
    fn find_block(&self, _hash: BlockHash, _want: WantBlock) -> Result<Option<FoundBlock>> {
        Ok(None)
    }
    fn find_first_block_with_time_and_height(
        &self,
        _min_time: i64,
        _min_height: i32,
    ) -> Result<Option<FoundBlock>> {
        Ok(None)
    }
    fn find_ancestor_by_height(
        &self,
        _block_hash: BlockHash,
        _ancestor_height: i32,
    ) -> Result<Option<FoundBlock>> {
        Ok(None)
    }
    fn find_ancestor_by_hash(
        &self,
        _block_hash: BlockHash,
        _ancestor_hash: BlockHash,
    ) -> Result<Option<FoundBlock>> {
        Ok(None)
    }
    fn find_common_ancestor(
        &self,
        _block_hash1: BlockHash,
        _block_hash2: BlockHash,
    ) -> Result<Option<FoundBlock>> {
        Ok(None)
    }
    fn find_coins(&self, _outpoints: Vec<OutPoint>) -> Result<Vec<FoundCoin>> {
        Ok(Vec::new())
    }
    fn guess_verification_progress(&self, _block_hash: BlockHash) -> Result<f64> {
        Ok(0.0)
    }
    fn has_blocks(
        &self,
        _block_hash: BlockHash,
        _min_height: i32,
        _max_height: Option<i32>,
    ) -> Result<bool> {
        Ok(false)
    }
    fn is_in_mempool(&self, _txid: Txid) -> Result<bool> {
        Ok(false)
    }
    fn has_descendants_in_mempool(&self, _txid: Txid) -> Result<bool> {
        Ok(false)
    }
    fn broadcast_transaction(
        &self,
        _tx: Transaction,
        _max_tx_fee: Amount,
        _method: BroadcastMethod,
    ) -> Result<BroadcastOutcome> {
        Ok(BroadcastOutcome {
            error: "no mempool".to_owned(),
            result: false,
        })
    }
    fn transaction_ancestry(&self, _txid: Txid) -> Result<TxAncestry> {
        Ok(TxAncestry::default())
    }
    fn package_limits(&self) -> Result<PackageLimits> {
        Ok(PackageLimits {
            ancestors: 0,
            descendants: 0,
        })
    }
    fn check_chain_limits(&self, _tx: Transaction) -> Result<Option<String>> {
        Ok(None)
    }
    fn fee_estimate(&self, _blocks: i32, _conservative: bool) -> Result<Option<FeeEstimate>> {
        Ok(None)
    }
    fn max_fee_estimate_blocks(&self) -> Result<u32> {
        Ok(0)
    }
    fn mempool_min_fee(&self) -> Result<u64> {
        Ok(0)
    }
    fn relay_min_fee(&self) -> Result<u64> {
        Ok(0)
    }
    fn relay_incremental_fee(&self) -> Result<u64> {
        Ok(0)
    }
    fn relay_dust_fee(&self) -> Result<u64> {
        Ok(0)
    }
    fn have_pruned(&self) -> Result<bool> {
        Ok(false)
    }
    fn prune_height(&self) -> Result<Option<i32>> {
        Ok(None)
    }
    fn is_ready_to_broadcast(&self) -> Result<bool> {
        Ok(false)
    }
    fn is_initial_block_download(&self) -> Result<bool> {
        Ok(true)
    }
    fn shutdown_requested(&self) -> Result<bool> {
        Ok(false)
    }
    fn init_message(&self, _message: String) -> Result<()> {
        Ok(())
    }
    fn init_warning(&self, _message: String) -> Result<()> {
        Ok(())
    }
    fn init_error(&self, _message: String) -> Result<()> {
        Ok(())
    }
    fn show_progress(&self, _title: String, _progress: i32, _resume_possible: bool) -> Result<()> {
        Ok(())
    }
    fn handle_notifications(
        &self,
        _notifications: Arc<dyn ChainNotifications>,
        _options: NotifyOptions,
    ) -> Result<Arc<dyn Handler>> {
        Ok(Arc::new(NoopHandler))
    }
    fn wait_for_notifications_if_tip_changed(&self, _old_tip: BlockHash) -> Result<()> {
        Ok(())
    }
    fn wait_for_notifications(&self) -> Result<()> {
        Ok(())
    }
    fn handle_rpc(
        &self,
        _command: RpcCommand,
        _handler: Arc<dyn RpcHandler>,
    ) -> Result<Arc<dyn Handler>> {
        Ok(Arc::new(NoopHandler))
    }
    fn rpc_enable_deprecated(&self, _method: String) -> Result<bool> {
        Ok(false)
    }
    fn setting(&self, _name: String) -> Result<Value> {
        Ok(Value::Null)
    }
    fn settings_list(&self, _name: String) -> Result<Vec<Value>> {
        Ok(Vec::new())
    }
    fn rw_setting(&self, _name: String) -> Result<Value> {
        Ok(Value::Null)
    }
    fn overwrite_rw_setting(
        &self,
        _name: String,
        _value: Value,
        _action: SettingsAction,
    ) -> Result<bool> {
        Ok(false)
    }
    fn request_mempool_transactions(
        &self,
        _notifications: Arc<dyn ChainNotifications>,
    ) -> Result<()> {
        Ok(())
    }
    fn has_assumed_valid_chain(&self) -> Result<bool> {
        Ok(false)
    }
}

/// A client with nothing to start or stop.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopChainClient;

impl ChainClient for NoopChainClient {
    fn register_rpcs(&self) -> Result<()> {
        Ok(())
    }
    fn verify(&self) -> Result<bool> {
        Ok(true)
    }
    fn load(&self) -> Result<bool> {
        Ok(true)
    }
    fn start(&self) -> Result<()> {
        Ok(())
    }
    fn stop(&self) -> Result<()> {
        Ok(())
    }
    fn set_mock_time(&self, _time: i64) -> Result<()> {
        Ok(())
    }
    fn scheduler_mock_forward(&self, _seconds: i64) -> Result<()> {
        Ok(())
    }
}

/// No wallets, and none can be made.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopWalletLoader;

fn no_wallets() -> WalletOutcome {
    WalletOutcome {
        wallet: None,
        warnings: Vec::new(),
        error: "wallets are not supported here".to_owned(),
        code: code::WALLET_ERROR,
    }
}

impl WalletLoader for NoopWalletLoader {
    fn chain_client(&self) -> Result<Arc<dyn ChainClient>> {
        Ok(Arc::new(NoopChainClient))
    }
    fn create_wallet(&self, _options: CreateWallet) -> Result<WalletOutcome> {
        Ok(no_wallets())
    }
    fn load_wallet(&self, _name: String, _load_on_startup: Option<bool>) -> Result<WalletOutcome> {
        Ok(no_wallets())
    }
    fn wallet_dir(&self) -> Result<String> {
        Ok(String::new())
    }
    fn list_wallet_dir(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn wallets(&self) -> Result<Vec<Arc<dyn Wallet>>> {
        Ok(Vec::new())
    }
    fn handle_load_wallet(&self, _listener: Arc<dyn WalletListener>) -> Result<Arc<dyn Handler>> {
        Ok(Arc::new(NoopHandler))
    }
}

/// An empty wallet without a name or keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopWallet;

impl Wallet for NoopWallet {
    fn wallet_name(&self) -> Result<String> {
        Ok(String::new())
    }
    fn balances(&self) -> Result<Balances> {
        Ok(Balances::default())
    }
    fn tx_count(&self) -> Result<u64> {
        Ok(0)
    }
    fn new_destination(
        &self,
        _address_type: AddressType,
        _label: String,
    ) -> Result<DestinationOutcome> {
        Ok(DestinationOutcome {
            address: String::new(),
            error: "this wallet has no available keys".to_owned(),
        })
    }
    fn is_crypted(&self) -> Result<bool> {
        Ok(false)
    }
    fn is_locked(&self) -> Result<bool> {
        Ok(false)
    }
    fn last_block(&self) -> Result<Option<BlockRef>> {
        Ok(None)
    }
}

/// A server that knows no method.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopRpcHandler;

impl RpcHandler for NoopRpcHandler {
    fn call(&self, _request: RpcRequest) -> Result<RpcReply> {
        Ok(Err(RpcError::new(code::METHOD_NOT_FOUND, "Method not found")).into())
    }
}

/// A miner's view of a node without a chain.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopMining;

impl Mining for NoopMining {
    fn is_test_chain(&self) -> Result<bool> {
        Ok(false)
    }
    fn is_initial_block_download(&self) -> Result<bool> {
        Ok(true)
    }
    fn get_tip(&self) -> Result<Option<BlockRef>> {
        Ok(None)
    }
    fn wait_tip_changed(&self, _current_tip: BlockHash, _timeout: f64) -> Result<Option<BlockRef>> {
        Ok(None)
    }
    fn create_new_block(
        &self,
        _options: CreateOptions,
        _cooldown: bool,
    ) -> Result<Option<Arc<dyn BlockTemplate>>> {
        Ok(None)
    }
    fn check_block(&self, _block: Block, _options: CheckOptions) -> Result<Verdict> {
        Err(Error::unsupported("check_block"))
    }
    fn interrupt(&self) -> Result<()> {
        Ok(())
    }
    fn submit_block(&self, _block: Block) -> Result<Verdict> {
        Err(Error::unsupported("submit_block"))
    }
    fn get_transactions_by_tx_id(&self, txids: Vec<Txid>) -> Result<Vec<Option<Transaction>>> {
        Ok(vec![None; txids.len()])
    }
    fn get_transactions_by_witness_id(
        &self,
        wtxids: Vec<Wtxid>,
    ) -> Result<Vec<Option<Transaction>>> {
        Ok(vec![None; wtxids.len()])
    }
}

/// An RPC server that knows no method.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopRpc;

impl Rpc for NoopRpc {
    fn execute_rpc(&self, _request: String, _uri: String, _user: String) -> Result<Value> {
        Err(Error::unsupported("rpc"))
    }
}

/// Listens to no node.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopNodeEvents;

impl NodeEvents for NoopNodeEvents {
    fn block_tip(&self, _tip: BlockRef, _time: i64, _verification_progress: f64) -> Result<()> {
        Ok(())
    }
    fn init_message(&self, _message: String) -> Result<()> {
        Ok(())
    }
}

/// A node that has nothing to show.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopNode;

impl Node for NoopNode {
    fn status(&self) -> Result<Option<NodeStatus>> {
        Ok(None)
    }
    fn start_shutdown(&self) -> Result<()> {
        Ok(())
    }
    fn shutdown_requested(&self) -> Result<bool> {
        Ok(false)
    }
    fn execute_rpc(
        &self,
        method: String,
        _params: Value,
        _wallet_name: String,
    ) -> Result<RpcReply> {
        NoopRpcHandler.call(RpcRequest {
            method,
            params: Value::Null,
            uri: String::new(),
            auth_user: String::new(),
            repeated: Vec::new(),
        })
    }
    fn list_rpc_commands(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn wallet_loader(&self) -> Result<Option<Arc<dyn WalletLoader>>> {
        Ok(None)
    }
    fn handle_events(&self, _events: Arc<dyn NodeEvents>) -> Result<Arc<dyn Handler>> {
        Ok(Arc::new(NoopHandler))
    }
}
