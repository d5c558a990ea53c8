//! A small fixed world behind every trait: four blocks, one transaction, wallets that only have names.

use crate::noop::NoopHandler;
use crate::rpc::{RpcCommand, RpcError, RpcHandler, RpcReply, RpcRequest, code};
use crate::*;
use bitcoin::blockdata::constants::genesis_block;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{
    Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
    Txid, Witness, Wtxid, absolute, transaction,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Time of the model's genesis block, in seconds since 1970; each block comes a second later.
const TIME: u32 = 1_700_000_000;
const HEIGHT: i32 = 3;

/// The model's only transaction: one output of one sat.
pub(super) fn payment() -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint {
                txid: Txid::from_byte_array([7; 32]),
                vout: 0,
            },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[vec![1, 2, 3], vec![]]),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(1),
            script_pubkey: ScriptBuf::from_bytes(vec![0x51]),
        }],
    }
}

/// The model's block at `height`: the regtest genesis block's contents under a header of its own.
pub(super) fn block(height: i32) -> Block {
    let mut block = genesis_block(Network::Regtest);
    for step in 0..=height {
        block.header.time = TIME + u32::try_from(step).unwrap_or(0);
        if step > 0 {
            block.header.prev_blockhash = self::block(step - 1).block_hash();
        }
    }
    block
}

fn height_of(hash: BlockHash) -> Option<i32> {
    (0..=HEIGHT).find(|height| block(*height).block_hash() == hash)
}

fn found(height: i32, want: WantBlock) -> FoundBlock {
    let block = block(height);
    let time = i64::from(block.header.time);
    FoundBlock {
        hash: block.block_hash(),
        height,
        time,
        max_time: time,
        mtp_time: time - i64::from(height) / 2,
        in_active_chain: true,
        next_block: (height < HEIGHT).then(|| self::block(height + 1).block_hash()),
        locator: if want.locator {
            (0..=height)
                .rev()
                .map(|height| self::block(height).block_hash())
                .collect()
        } else {
            Vec::new()
        },
        data: want.data.then_some(block),
    }
}

fn tip() -> BlockRef {
    BlockRef {
        hash: block(HEIGHT).block_hash(),
        height: HEIGHT,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What the objects of one model share.
#[derive(Default)]
struct World {
    listeners: Mutex<BTreeMap<u64, Arc<dyn ChainNotifications>>>,
    handlers: Mutex<BTreeMap<String, Arc<dyn RpcHandler>>>,
    settings: Mutex<BTreeMap<String, Value>>,
    next_listener: Mutex<u64>,
    shutdown: AtomicBool,
}

/// The [`Init`] that [`super::crossing`] expects.
#[derive(Clone, Default)]
pub struct Model(Arc<World>);

impl Model {
    /// A fresh world.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Init for Model {
    fn make_echo(&self) -> Result<Arc<dyn Echo>> {
        Ok(Arc::new(self.clone()))
    }
    fn make_mining_old2(&self) -> Result<()> {
        Err(Error::failed("this ordinal is not supported any more"))
    }
    fn make_mining(&self) -> Result<Arc<dyn Mining>> {
        Ok(Arc::new(self.clone()))
    }
    fn make_rpc(&self) -> Result<Arc<dyn Rpc>> {
        Ok(Arc::new(self.clone()))
    }
    fn make_chain(&self) -> Result<Arc<dyn Chain>> {
        Ok(Arc::new(self.clone()))
    }
    fn make_node(&self) -> Result<Arc<dyn Node>> {
        Ok(Arc::new(self.clone()))
    }
    fn make_wallet_loader(
        &self,
        global_args: GlobalArgs,
        chain: Arc<dyn Chain>,
    ) -> Result<Arc<dyn WalletLoader>> {
        Ok(Arc::new(Loader {
            global_args,
            chain,
            wallets: Mutex::default(),
            listeners: Arc::default(),
        }))
    }
}

impl Echo for Model {
    fn echo(&self, echo: String) -> Result<String> {
        Ok(echo)
    }
}

impl Rpc for Model {
    fn execute_rpc(&self, request: String, uri: String, user: String) -> Result<Value> {
        let text = request;
        let request = crate::rpc::json::value(&text).map_err(Error::failed)?;
        let method = request["method"].as_str().unwrap_or_default().to_owned();
        if method != "suiteprobe" {
            return Ok(json!({"request": text, "uri": uri, "user": user}));
        }
        let handler = lock(&self.0.handlers).get(&method).cloned();
        let handler = handler.ok_or_else(|| Error::failed("Method not found"))?;
        let params = request["params"].clone();
        let reply = handler.call(RpcRequest {
            method,
            params,
            uri,
            auth_user: user,
            repeated: Vec::new(),
        })?;
        Ok(match reply.into_result() {
            Ok(result) => json!({"result": result}),
            Err(error) => json!({"error": {"code": error.code, "message": error.message}}),
        })
    }
}

impl Chain for Model {
    fn height(&self) -> Result<Option<i32>> {
        Ok(Some(HEIGHT))
    }
    fn block_hash(&self, height: i32) -> Result<Option<BlockHash>> {
        Ok((0..=HEIGHT)
            .contains(&height)
            .then(|| block(height).block_hash()))
    }
    fn have_block_on_disk(&self, height: i32) -> Result<bool> {
        Ok((0..=HEIGHT).contains(&height))
    }
    fn find_locator_fork(&self, locator: Vec<BlockHash>) -> Result<Option<i32>> {
        Ok(locator.into_iter().find_map(height_of))
    }
    fn find_block(&self, hash: BlockHash, want: WantBlock) -> Result<Option<FoundBlock>> {
        Ok(height_of(hash).map(|height| found(height, want)))
    }
    fn find_first_block_with_time_and_height(
        &self,
        min_time: i64,
        min_height: i32,
    ) -> Result<Option<FoundBlock>> {
        let mut blocks = (0..=HEIGHT).map(|height| found(height, WantBlock::default()));
        Ok(blocks.find(|block| block.max_time >= min_time && block.height >= min_height))
    }
    fn find_ancestor_by_height(
        &self,
        block_hash: BlockHash,
        ancestor_height: i32,
    ) -> Result<Option<FoundBlock>> {
        let reachable =
            height_of(block_hash).is_some_and(|height| (0..=height).contains(&ancestor_height));
        Ok(reachable.then(|| found(ancestor_height, WantBlock::default())))
    }
    fn find_ancestor_by_hash(
        &self,
        block_hash: BlockHash,
        ancestor_hash: BlockHash,
    ) -> Result<Option<FoundBlock>> {
        match height_of(ancestor_hash) {
            Some(height) => self.find_ancestor_by_height(block_hash, height),
            None => Ok(None),
        }
    }
    fn find_common_ancestor(
        &self,
        block_hash1: BlockHash,
        block_hash2: BlockHash,
    ) -> Result<Option<FoundBlock>> {
        let height = height_of(block_hash1)
            .zip(height_of(block_hash2))
            .map(|(a, b)| a.min(b));
        Ok(height.map(|height| found(height, WantBlock::default())))
    }
    fn find_coins(&self, outpoints: Vec<OutPoint>) -> Result<Vec<FoundCoin>> {
        let known = OutPoint {
            txid: payment().compute_txid(),
            vout: 0,
        };
        let coin = |outpoint| FoundCoin {
            outpoint,
            output: payment().output[0].clone(),
            height: 2,
            coinbase: true,
        };
        Ok(outpoints
            .into_iter()
            .filter(|outpoint| *outpoint == known)
            .map(coin)
            .collect())
    }
    fn guess_verification_progress(&self, block_hash: BlockHash) -> Result<f64> {
        Ok(if height_of(block_hash).is_some() {
            0.25
        } else {
            0.0
        })
    }
    fn has_blocks(
        &self,
        block_hash: BlockHash,
        min_height: i32,
        max_height: Option<i32>,
    ) -> Result<bool> {
        let Some(height) = height_of(block_hash) else {
            return Ok(false);
        };
        Ok(min_height >= 0 && max_height.unwrap_or(height) <= height)
    }
    fn is_in_mempool(&self, txid: Txid) -> Result<bool> {
        Ok(txid == payment().compute_txid())
    }
    fn has_descendants_in_mempool(&self, _txid: Txid) -> Result<bool> {
        Ok(false)
    }
    fn broadcast_transaction(
        &self,
        tx: Transaction,
        max_tx_fee: Amount,
        method: BroadcastMethod,
    ) -> Result<BroadcastOutcome> {
        let error = format!("{} {} {method:?}", tx.compute_txid(), max_tx_fee.to_sat());
        Ok(BroadcastOutcome {
            error,
            result: false,
        })
    }
    fn transaction_ancestry(&self, _txid: Txid) -> Result<TxAncestry> {
        Ok(TxAncestry::default())
    }
    fn package_limits(&self) -> Result<PackageLimits> {
        Ok(PackageLimits {
            ancestors: 25,
            descendants: 26,
        })
    }
    fn check_chain_limits(&self, _tx: Transaction) -> Result<Option<String>> {
        Ok(Some("too-large-cluster".to_owned()))
    }
    fn fee_estimate(&self, blocks: i32, conservative: bool) -> Result<Option<FeeEstimate>> {
        Ok(conservative.then_some(FeeEstimate {
            feerate: 2500,
            blocks,
        }))
    }
    fn max_fee_estimate_blocks(&self) -> Result<u32> {
        Ok(1008)
    }
    fn mempool_min_fee(&self) -> Result<u64> {
        Ok(100)
    }
    fn relay_min_fee(&self) -> Result<u64> {
        Ok(100)
    }
    fn relay_incremental_fee(&self) -> Result<u64> {
        Ok(100)
    }
    fn relay_dust_fee(&self) -> Result<u64> {
        Ok(3000)
    }
    fn have_pruned(&self) -> Result<bool> {
        Ok(false)
    }
    fn prune_height(&self) -> Result<Option<i32>> {
        Ok(None)
    }
    fn is_ready_to_broadcast(&self) -> Result<bool> {
        Ok(true)
    }
    fn is_initial_block_download(&self) -> Result<bool> {
        Ok(false)
    }
    fn shutdown_requested(&self) -> Result<bool> {
        Ok(self.0.shutdown.load(Ordering::SeqCst))
    }
    fn init_message(&self, _message: String) -> Result<()> {
        Ok(())
    }
    fn init_warning(&self, _message: String) -> Result<()> {
        Ok(())
    }
    fn init_error(&self, message: String) -> Result<()> {
        Err(Error::failed(message))
    }
    fn show_progress(&self, _title: String, _progress: i32, _resume_possible: bool) -> Result<()> {
        let listeners: Vec<_> = lock(&self.0.listeners).values().cloned().collect();
        for listener in listeners {
            let info = |data| BlockInfo {
                hash: tip().hash,
                prev_hash: block(HEIGHT - 1).block_hash(),
                height: HEIGHT,
                file_number: 0,
                data_pos: 8,
                chain_time_max: TIME,
                data,
            };
            listener.transaction_added_to_mempool(payment())?;
            listener.transaction_removed_from_mempool(payment(), RemovalReason::Conflict)?;
            listener.block_connected(info(Some(block(HEIGHT))))?;
            listener.block_disconnected(info(None))?;
            listener.updated_block_tip()?;
            listener.chain_state_flushed(vec![tip().hash, block(0).block_hash()])?;
        }
        Ok(())
    }
    fn handle_notifications(
        &self,
        notifications: Arc<dyn ChainNotifications>,
        _options: NotifyOptions,
    ) -> Result<Arc<dyn Handler>> {
        let id = {
            let mut next = lock(&self.0.next_listener);
            *next += 1;
            *next
        };
        lock(&self.0.listeners).insert(id, notifications);
        let world = Arc::clone(&self.0);
        Ok(Arc::new(FnHandler::new(move || {
            drop(lock(&world.listeners).remove(&id))
        })))
    }
    fn wait_for_notifications_if_tip_changed(&self, _old_tip: BlockHash) -> Result<()> {
        Ok(())
    }
    fn wait_for_notifications(&self) -> Result<()> {
        Ok(())
    }
    fn handle_rpc(
        &self,
        command: RpcCommand,
        handler: Arc<dyn RpcHandler>,
    ) -> Result<Arc<dyn Handler>> {
        let name = command.name;
        lock(&self.0.handlers).insert(name.clone(), handler);
        let world = Arc::clone(&self.0);
        Ok(Arc::new(FnHandler::new(move || {
            drop(lock(&world.handlers).remove(&name))
        })))
    }
    fn rpc_enable_deprecated(&self, _method: String) -> Result<bool> {
        Ok(false)
    }
    fn setting(&self, name: String) -> Result<Value> {
        self.rw_setting(name)
    }
    fn settings_list(&self, _name: String) -> Result<Vec<Value>> {
        Ok(vec![json!("one"), json!(2)])
    }
    fn rw_setting(&self, name: String) -> Result<Value> {
        Ok(lock(&self.0.settings)
            .get(&name)
            .cloned()
            .unwrap_or(Value::Null))
    }
    fn overwrite_rw_setting(
        &self,
        name: String,
        value: Value,
        action: SettingsAction,
    ) -> Result<bool> {
        lock(&self.0.settings).insert(name, value);
        Ok(action == SettingsAction::SkipWrite)
    }
    fn request_mempool_transactions(
        &self,
        notifications: Arc<dyn ChainNotifications>,
    ) -> Result<()> {
        notifications.transaction_added_to_mempool(payment())
    }
    fn has_assumed_valid_chain(&self) -> Result<bool> {
        Ok(false)
    }
}

impl Mining for Model {
    fn is_test_chain(&self) -> Result<bool> {
        Ok(true)
    }
    fn is_initial_block_download(&self) -> Result<bool> {
        Ok(false)
    }
    fn get_tip(&self) -> Result<Option<BlockRef>> {
        Ok(Some(tip()))
    }
    fn wait_tip_changed(&self, _current_tip: BlockHash, _timeout: f64) -> Result<Option<BlockRef>> {
        Ok(Some(tip()))
    }
    fn create_new_block(
        &self,
        _options: CreateOptions,
        _cooldown: bool,
    ) -> Result<Option<Arc<dyn BlockTemplate>>> {
        Ok(Some(Arc::new(self.clone())))
    }
    fn check_block(&self, _block: Block, options: CheckOptions) -> Result<Verdict> {
        Ok(Verdict {
            reason: String::new(),
            debug: String::new(),
            result: options.check_merkle_root,
        })
    }
    fn interrupt(&self) -> Result<()> {
        Ok(())
    }
    fn submit_block(&self, _block: Block) -> Result<Verdict> {
        Ok(Verdict {
            reason: "duplicate".to_owned(),
            debug: String::new(),
            result: false,
        })
    }
    fn get_transactions_by_tx_id(&self, txids: Vec<Txid>) -> Result<Vec<Option<Transaction>>> {
        Ok(txids
            .into_iter()
            .map(|txid| (txid == payment().compute_txid()).then(payment))
            .collect())
    }
    fn get_transactions_by_witness_id(
        &self,
        wtxids: Vec<Wtxid>,
    ) -> Result<Vec<Option<Transaction>>> {
        Ok(wtxids
            .into_iter()
            .map(|wtxid| (wtxid == payment().compute_wtxid()).then(payment))
            .collect())
    }
}

impl BlockTemplate for Model {
    fn get_block_header(&self) -> Result<bitcoin::block::Header> {
        Ok(self.get_block()?.header)
    }
    fn get_block(&self) -> Result<Block> {
        Ok(block(HEIGHT + 1))
    }
    fn get_tx_fees(&self) -> Result<Vec<i64>> {
        Ok(Vec::new())
    }
    fn get_tx_sigops(&self) -> Result<Vec<i64>> {
        Ok(Vec::new())
    }
    fn get_coinbase_tx(&self) -> Result<CoinbaseTx> {
        Ok(CoinbaseTx {
            version: 2,
            sequence: 0xffff_fffe,
            script_sig_prefix: ScriptBuf::from_bytes(vec![0x54]),
            witness: Some(vec![0; 32]),
            block_reward_remaining: 5_000_000_000,
            required_outputs: vec![payment().output[0].clone()],
            lock_time: 3,
        })
    }
    fn get_coinbase_merkle_path(&self) -> Result<Vec<sha256d::Hash>> {
        Ok(Vec::new())
    }
    fn submit_solution(
        &self,
        version: u32,
        timestamp: u32,
        nonce: u32,
        _coinbase: Option<Transaction>,
    ) -> Result<Verdict> {
        Ok(Verdict {
            reason: "high-hash".to_owned(),
            debug: format!("{version} {timestamp} {nonce}"),
            result: false,
        })
    }
    fn wait_next(&self, _options: WaitOptions) -> Result<Option<Arc<dyn BlockTemplate>>> {
        Ok(None)
    }
    fn interrupt_wait(&self) -> Result<()> {
        Ok(())
    }
    fn submit_solution_old7(&self, _: u32, _: u32, _: u32, _: Transaction) -> Result<bool> {
        Err(Error::failed("this ordinal is not supported any more"))
    }
}

impl Node for Model {
    fn status(&self) -> Result<Option<NodeStatus>> {
        Ok(Some(NodeStatus {
            chain: "regtest".to_owned(),
            tip: tip(),
            header_tip: tip(),
            tip_time: i64::from(block(HEIGHT).header.time),
            verification_progress: 0.25,
            initial_block_download: false,
            connections: 0,
            mempool_size: 1,
            warnings: String::new(),
        }))
    }
    fn start_shutdown(&self) -> Result<()> {
        self.0.shutdown.store(true, Ordering::SeqCst);
        Ok(())
    }
    fn shutdown_requested(&self) -> Result<bool> {
        Chain::shutdown_requested(self)
    }
    fn execute_rpc(
        &self,
        method: String,
        _params: Value,
        _wallet_name: String,
    ) -> Result<RpcReply> {
        Ok(match method.as_str() {
            "getblockcount" => Ok(json!(HEIGHT)),
            _ => Err(RpcError::new(code::METHOD_NOT_FOUND, "Method not found")),
        }
        .into())
    }
    fn list_rpc_commands(&self) -> Result<Vec<String>> {
        Ok(vec!["getblockcount".to_owned()])
    }
    fn wallet_loader(&self) -> Result<Option<Arc<dyn WalletLoader>>> {
        Ok(None)
    }
    fn handle_events(&self, events: Arc<dyn NodeEvents>) -> Result<Arc<dyn Handler>> {
        events.block_tip(tip(), i64::from(block(HEIGHT).header.time), 0.5)?;
        events.init_message("Done loading".to_owned())?;
        Ok(Arc::new(NoopHandler))
    }
}

struct Loader {
    global_args: GlobalArgs,
    chain: Arc<dyn Chain>,
    wallets: Mutex<Vec<Arc<dyn Wallet>>>,
    listeners: Arc<Mutex<Vec<Arc<dyn WalletListener>>>>,
}

impl WalletLoader for Loader {
    fn chain_client(&self) -> Result<Arc<dyn ChainClient>> {
        Ok(Arc::new(noop::NoopChainClient))
    }
    fn create_wallet(&self, options: CreateWallet) -> Result<WalletOutcome> {
        let wallet: Arc<dyn Wallet> = Arc::new(Named(options.name));
        lock(&self.wallets).push(Arc::clone(&wallet));
        let listeners = lock(&self.listeners).clone();
        for listener in listeners {
            listener.wallet_loaded(Arc::clone(&wallet))?;
        }
        Ok(WalletOutcome {
            wallet: Some(wallet),
            warnings: vec![
                format!("blank: {}", options.flags.blank),
                format!("on start-up: {:?}", options.load_on_startup),
            ],
            error: String::new(),
            code: 0,
        })
    }
    fn load_wallet(&self, _name: String, _load_on_startup: Option<bool>) -> Result<WalletOutcome> {
        let error = "Path does not exist.".to_owned();
        Ok(WalletOutcome {
            wallet: None,
            warnings: Vec::new(),
            error,
            code: code::WALLET_NOT_FOUND,
        })
    }
    fn wallet_dir(&self) -> Result<String> {
        // The chain handed in is asked too: over IPC this is a call back into the caller.
        let height = self.chain.height()?.unwrap_or(-1);
        Ok(format!(
            "{}/wallets of {} at height {height}",
            self.global_args.net_data_dir, self.global_args.chain
        ))
    }
    fn list_wallet_dir(&self) -> Result<Vec<String>> {
        Ok(self.global_args.options.clone())
    }
    fn wallets(&self) -> Result<Vec<Arc<dyn Wallet>>> {
        Ok(lock(&self.wallets).clone())
    }
    fn handle_load_wallet(&self, listener: Arc<dyn WalletListener>) -> Result<Arc<dyn Handler>> {
        lock(&self.listeners).push(listener);
        let listeners = Arc::clone(&self.listeners);
        Ok(Arc::new(FnHandler::new(move || lock(&listeners).clear())))
    }
}

struct Named(String);

impl Wallet for Named {
    fn wallet_name(&self) -> Result<String> {
        Ok(self.0.clone())
    }
    fn balances(&self) -> Result<Balances> {
        Ok(Balances {
            trusted: Amount::from_sat(1),
            ..Balances::default()
        })
    }
    fn tx_count(&self) -> Result<u64> {
        Ok(u64::MAX)
    }
    fn new_destination(
        &self,
        address_type: AddressType,
        label: String,
    ) -> Result<DestinationOutcome> {
        Ok(DestinationOutcome {
            address: format!("{address_type:?} {label}"),
            error: String::new(),
        })
    }
    fn is_crypted(&self) -> Result<bool> {
        Ok(true)
    }
    fn is_locked(&self) -> Result<bool> {
        Ok(false)
    }
    fn last_block(&self) -> Result<Option<BlockRef>> {
        Ok(Some(tip()))
    }
}
