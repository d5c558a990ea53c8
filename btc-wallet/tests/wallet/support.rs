//! A chain in memory, honest enough for a wallet: it checks what it accepts, mines, reorganizes and tells.

mod verify;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction,
    TxIn, TxMerkleNode, TxOut, Txid, Witness, transaction,
};
use btc_interfaces::rpc::{RpcCommand, RpcError, RpcHandler, RpcRequest};
use btc_interfaces::{
    BlockInfo, BroadcastMethod, BroadcastOutcome, Chain, ChainNotifications, FeeEstimate,
    FnHandler, FoundBlock, FoundCoin, GlobalArgs, Handler, NotifyOptions, PackageLimits,
    RemovalReason, Result, SettingsAction, TxAncestry, WalletLoader, WantBlock,
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

/// When the chain's first block was made, seconds since 1970.
pub const GENESIS_TIME: u32 = 1_700_000_000;
const SUBSIDY: Amount = Amount::from_sat(5_000_000_000);

#[derive(Default)]
struct Inner {
    /// Every block ever made, with its height.
    known: HashMap<BlockHash, (Block, i32)>,
    /// Blocks of which only the hash is known, by height; the active chain then has nothing else.
    hashes: HashMap<BlockHash, i32>,
    active: Vec<BlockHash>,
    mempool: BTreeMap<Txid, Transaction>,
    listeners: Vec<(u64, Arc<dyn ChainNotifications>)>,
    methods: HashMap<String, Arc<dyn RpcHandler>>,
    settings: BTreeMap<String, Value>,
    told: Vec<String>,
    next: u64,
    /// What `fee_estimate` gives, in sat/kvB.
    estimate: Option<u64>,
    extra_nonce: i64,
}

/// The chain.
pub struct FakeChain {
    inner: Mutex<Inner>,
    me: Weak<Self>,
}

/// An event to deliver without the lock.
enum Event {
    Connected(Block, i32),
    Disconnected(Block, i32),
    Added(Transaction),
    Removed(Transaction, RemovalReason),
}

impl FakeChain {
    /// A chain with the genesis block.
    pub fn new() -> Arc<Self> {
        let chain = Arc::new_cyclic(|me| Self {
            inner: Mutex::new(Inner::default()),
            me: me.clone(),
        });
        let genesis = bitcoin::constants::genesis_block(Network::Regtest);
        let hash = genesis.block_hash();
        let mut inner = chain.inner.lock().unwrap();
        inner.known.insert(hash, (genesis, 0));
        inner.active.push(hash);
        drop(inner);
        chain
    }

    /// A chain of which only hashes are known, and whose mempool takes what it is offered.
    pub fn of_hashes(hashes: &[BlockHash]) -> Arc<Self> {
        let chain = Self::new();
        let mut inner = chain.inner.lock().unwrap();
        inner.known.clear();
        inner.active = hashes.to_vec();
        inner.hashes = hashes.iter().copied().zip(0..).collect();
        drop(inner);
        chain
    }

    /// What `fee_estimate` gives from now on, in sat/kvB.
    pub fn set_estimate(&self, estimate: Option<u64>) {
        self.inner.lock().unwrap().estimate = estimate;
    }

    /// Settings as the node would have them.
    pub fn settings(&self) -> BTreeMap<String, Value> {
        self.inner.lock().unwrap().settings.clone()
    }

    /// What wallets told the user: warnings and errors.
    pub fn told(&self) -> Vec<String> {
        self.inner.lock().unwrap().told.clone()
    }

    /// The transactions in the mempool.
    pub fn mempool(&self) -> Vec<Transaction> {
        self.inner
            .lock()
            .unwrap()
            .mempool
            .values()
            .cloned()
            .collect()
    }

    pub fn tip(&self) -> (i32, BlockHash) {
        let inner = self.inner.lock().unwrap();
        (inner.active.len() as i32 - 1, *inner.active.last().unwrap())
    }

    /// Mines `count` blocks to `script`, the first with the mempool.
    pub fn mine(&self, count: usize, script: &ScriptBuf) {
        for _ in 0..count {
            let txs: Vec<Transaction> = self.mempool();
            self.mine_block(txs, script);
        }
    }

    /// Mines one block with exactly these transactions.
    pub fn mine_block(&self, mut txs: Vec<Transaction>, script: &ScriptBuf) -> BlockHash {
        let (block, height, conflicts) = {
            let mut inner = self.inner.lock().unwrap();
            let height = inner.active.len() as i32;
            let prev = *inner.active.last().unwrap();
            inner.extra_nonce += 1;
            txs.sort_by_key(|tx| {
                // Parents first: a chain of transactions is never deep here.
                tx.input
                    .iter()
                    .filter(|input| inner.mempool.contains_key(&input.previous_output.txid))
                    .count()
            });
            let coinbase = Transaction {
                version: transaction::Version::TWO,
                lock_time: LockTime::ZERO,
                input: vec![TxIn {
                    previous_output: OutPoint::null(),
                    script_sig: Builder::new()
                        .push_int(i64::from(height))
                        .push_int(inner.extra_nonce)
                        .into_script(),
                    sequence: Sequence::MAX,
                    witness: Witness::new(),
                }],
                output: vec![TxOut {
                    value: SUBSIDY,
                    script_pubkey: script.clone(),
                }],
            };
            let mut txdata = vec![coinbase];
            txdata.append(&mut txs);
            let mut block = Block {
                header: Header {
                    version: Version::TWO,
                    prev_blockhash: prev,
                    merkle_root: TxMerkleNode::all_zeros(),
                    time: GENESIS_TIME + 600 * height as u32,
                    bits: CompactTarget::from_consensus(0x207f_ffff),
                    nonce: 0,
                },
                txdata,
            };
            block.header.merkle_root = block.compute_merkle_root().unwrap();
            let hash = block.block_hash();
            inner.known.insert(hash, (block.clone(), height));
            inner.active.push(hash);
            let spent: HashSet<OutPoint> = block.txdata[1..]
                .iter()
                .flat_map(|tx| tx.input.iter().map(|input| input.previous_output))
                .collect();
            for tx in &block.txdata {
                inner.mempool.remove(&tx.compute_txid());
            }
            let conflicts: Vec<Transaction> = inner
                .mempool
                .values()
                .filter(|tx| {
                    tx.input
                        .iter()
                        .any(|input| spent.contains(&input.previous_output))
                })
                .cloned()
                .collect();
            for tx in &conflicts {
                inner.mempool.remove(&tx.compute_txid());
            }
            (block, height, conflicts)
        };
        let hash = block.block_hash();
        for tx in conflicts {
            self.tell(Event::Removed(tx, RemovalReason::Conflict));
        }
        self.tell(Event::Connected(block, height));
        hash
    }

    /// Takes the tip off; its transactions go back to the mempool.
    pub fn disconnect_tip(&self) {
        let (block, height) = {
            let mut inner = self.inner.lock().unwrap();
            let hash = inner.active.pop().unwrap();
            let (block, height) = inner.known[&hash].clone();
            for tx in &block.txdata[1..] {
                inner.mempool.insert(tx.compute_txid(), tx.clone());
            }
            (block, height)
        };
        let txs = block.txdata[1..].to_vec();
        self.tell(Event::Disconnected(block, height));
        for tx in txs {
            self.tell(Event::Added(tx));
        }
    }

    /// Drops a transaction from the mempool.
    pub fn evict(&self, txid: Txid) {
        let removed = self.inner.lock().unwrap().mempool.remove(&txid);
        if let Some(tx) = removed {
            self.tell(Event::Removed(tx, RemovalReason::SizeLimit));
        }
    }

    fn tell(&self, event: Event) {
        let listeners: Vec<_> = self.inner.lock().unwrap().listeners.clone();
        for (_, listener) in listeners {
            let told = match &event {
                Event::Connected(block, height) => {
                    listener.block_connected(block_info(block, *height, true))
                }
                Event::Disconnected(block, height) => {
                    listener.block_disconnected(block_info(block, *height, false))
                }
                Event::Added(tx) => listener.transaction_added_to_mempool(tx.clone()),
                Event::Removed(tx, reason) => {
                    listener.transaction_removed_from_mempool(tx.clone(), *reason)
                }
            };
            told.unwrap();
        }
    }

    /// Calls an RPC method that a wallet registered.
    pub fn call(
        &self,
        wallet: &str,
        method: &str,
        params: Value,
    ) -> std::result::Result<Value, RpcError> {
        let handler = self.inner.lock().unwrap().methods[method].clone();
        let uri = if wallet.is_empty() {
            "/".to_owned()
        } else {
            format!("/wallet/{wallet}")
        };
        let request = RpcRequest {
            method: method.to_owned(),
            params,
            uri,
            auth_user: "test".to_owned(),
            repeated: Vec::new(),
        };
        handler.call(request).unwrap().into_result()
    }
}

fn block_info(block: &Block, height: i32, with_data: bool) -> BlockInfo {
    BlockInfo {
        hash: block.block_hash(),
        prev_hash: block.header.prev_blockhash,
        height,
        file_number: -1,
        data_pos: 0,
        chain_time_max: block.header.time,
        data: with_data.then(|| block.clone()),
    }
}

impl Inner {
    fn output(&self, outpoint: &OutPoint) -> Option<(TxOut, u32, bool)> {
        let in_mempool = self.mempool.get(&outpoint.txid).map(|tx| (tx, 0x7fff_ffff));
        let on_chain = || {
            self.active.iter().enumerate().find_map(|(height, hash)| {
                let tx = self.known[hash]
                    .0
                    .txdata
                    .iter()
                    .find(|tx| tx.compute_txid() == outpoint.txid)?;
                Some((tx, height as u32))
            })
        };
        let (tx, height) = in_mempool.or_else(on_chain)?;
        let output = tx.output.get(outpoint.vout as usize)?.clone();
        Some((output, height, tx.is_coinbase()))
    }

    fn is_spent(&self, outpoint: &OutPoint) -> bool {
        let spends = |tx: &Transaction| {
            tx.input
                .iter()
                .any(|input| input.previous_output == *outpoint)
        };
        self.mempool.values().any(spends)
            || self
                .active
                .iter()
                .any(|hash| self.known[hash].0.txdata.iter().any(spends))
    }

    /// Why the mempool does not take a transaction.
    fn refusal(&self, tx: &Transaction, max_fee: Amount) -> Option<String> {
        if !self.hashes.is_empty() {
            return None;
        }
        let mut prevouts = Vec::new();
        for input in &tx.input {
            let Some((output, height, coinbase)) = self.output(&input.previous_output) else {
                return Some("bad-txns-inputs-missingorspent".to_owned());
            };
            if self.is_spent(&input.previous_output) {
                return Some("txn-mempool-conflict".to_owned());
            }
            if coinbase && self.active.len() as u32 - height < 100 {
                return Some("bad-txns-premature-spend-of-coinbase".to_owned());
            }
            prevouts.push(output);
        }
        let paid_in: Amount = prevouts.iter().map(|output| output.value).sum();
        let paid_out: Amount = tx.output.iter().map(|output| output.value).sum();
        let Some(fee) = paid_in.checked_sub(paid_out) else {
            return Some("bad-txns-in-belowout".to_owned());
        };
        if fee > max_fee {
            return Some("max-fee-exceeded".to_owned());
        }
        if fee.to_sat() * 1000 < tx.vsize() as u64 * 1000 {
            return Some("min relay fee not met".to_owned());
        }
        if tx
            .output
            .iter()
            .any(|output| output.value < Amount::from_sat(294))
        {
            return Some("dust".to_owned());
        }
        if !tx.is_lock_time_enabled() && tx.lock_time != LockTime::ZERO
            || tx.lock_time.to_consensus_u32() >= self.active.len() as u32
        {
            return Some("non-final".to_owned());
        }
        verify::inputs(tx, &prevouts).err()
    }

    fn found(&self, hash: &BlockHash, want: WantBlock) -> Option<FoundBlock> {
        if let Some(height) = self.hashes.get(hash) {
            let time = i64::from(GENESIS_TIME) + 600 * i64::from(*height);
            return Some(FoundBlock {
                hash: *hash,
                height: *height,
                time,
                max_time: time,
                mtp_time: time,
                in_active_chain: true,
                next_block: None,
                locator: Vec::new(),
                data: None,
            });
        }
        let (block, height) = self.known.get(hash)?;
        let at = *height as usize;
        let active = self.active.get(at) == Some(hash);
        let time = i64::from(block.header.time);
        Some(FoundBlock {
            hash: *hash,
            height: *height,
            time,
            max_time: time,
            mtp_time: time - 3600,
            in_active_chain: active,
            next_block: self.active.get(at + 1).copied().filter(|_| active),
            locator: if want.locator && active {
                self.active[..=at].iter().rev().copied().collect()
            } else {
                Vec::new()
            },
            data: want.data.then(|| block.clone()),
        })
    }

    fn ancestors(&self, txid: &Txid) -> HashSet<Txid> {
        let mut found = HashSet::new();
        let mut pending = vec![*txid];
        while let Some(txid) = pending.pop() {
            if let Some(tx) = self.mempool.get(&txid)
                && found.insert(txid)
            {
                pending.extend(tx.input.iter().map(|input| input.previous_output.txid));
            }
        }
        found
    }
}

impl Chain for FakeChain {
    fn height(&self) -> Result<Option<i32>> {
        Ok(Some(self.tip().0))
    }
    fn block_hash(&self, height: i32) -> Result<Option<BlockHash>> {
        let inner = self.inner.lock().unwrap();
        Ok(usize::try_from(height)
            .ok()
            .and_then(|at| inner.active.get(at).copied()))
    }
    fn have_block_on_disk(&self, height: i32) -> Result<bool> {
        Ok(self.block_hash(height)?.is_some())
    }
    fn find_locator_fork(&self, locator: Vec<BlockHash>) -> Result<Option<i32>> {
        let inner = self.inner.lock().unwrap();
        Ok(locator
            .iter()
            .find_map(|hash| inner.active.iter().position(|active| active == hash))
            .map(|at| at as i32))
    }
    fn find_block(&self, hash: BlockHash, want: WantBlock) -> Result<Option<FoundBlock>> {
        Ok(self.inner.lock().unwrap().found(&hash, want))
    }
    fn find_first_block_with_time_and_height(
        &self,
        min_time: i64,
        min_height: i32,
    ) -> Result<Option<FoundBlock>> {
        let inner = self.inner.lock().unwrap();
        Ok(inner
            .active
            .iter()
            .filter_map(|hash| inner.found(hash, WantBlock::default()))
            .find(|found| found.max_time >= min_time && found.height >= min_height))
    }
    fn find_ancestor_by_height(&self, _: BlockHash, height: i32) -> Result<Option<FoundBlock>> {
        let inner = self.inner.lock().unwrap();
        Ok(inner
            .active
            .get(height as usize)
            .and_then(|hash| inner.found(hash, WantBlock::default())))
    }
    fn find_ancestor_by_hash(
        &self,
        _: BlockHash,
        ancestor_hash: BlockHash,
    ) -> Result<Option<FoundBlock>> {
        self.find_block(ancestor_hash, WantBlock::default())
    }
    fn find_common_ancestor(
        &self,
        first: BlockHash,
        second: BlockHash,
    ) -> Result<Option<FoundBlock>> {
        let inner = self.inner.lock().unwrap();
        let path = |mut hash: BlockHash| {
            let mut path = vec![hash];
            while let Some((block, _)) = inner.known.get(&hash) {
                hash = block.header.prev_blockhash;
                path.push(hash);
            }
            path
        };
        let second = path(second);
        Ok(path(first)
            .into_iter()
            .find(|hash| second.contains(hash))
            .and_then(|hash| inner.found(&hash, WantBlock::default())))
    }
    fn find_coins(&self, outpoints: Vec<OutPoint>) -> Result<Vec<FoundCoin>> {
        let inner = self.inner.lock().unwrap();
        Ok(outpoints
            .into_iter()
            .filter(|outpoint| !inner.is_spent(outpoint))
            .filter_map(|outpoint| {
                let (output, height, coinbase) = inner.output(&outpoint)?;
                Some(FoundCoin {
                    outpoint,
                    output,
                    height,
                    coinbase,
                })
            })
            .collect())
    }
    fn guess_verification_progress(&self, _: BlockHash) -> Result<f64> {
        Ok(1.0)
    }
    fn has_blocks(&self, _: BlockHash, _: i32, _: Option<i32>) -> Result<bool> {
        Ok(true)
    }
    fn is_in_mempool(&self, txid: Txid) -> Result<bool> {
        Ok(self.inner.lock().unwrap().mempool.contains_key(&txid))
    }
    fn has_descendants_in_mempool(&self, txid: Txid) -> Result<bool> {
        Ok(self.mempool().iter().any(|tx| {
            tx.input
                .iter()
                .any(|input| input.previous_output.txid == txid)
        }))
    }
    fn broadcast_transaction(
        &self,
        tx: Transaction,
        max_fee: Amount,
        _: BroadcastMethod,
    ) -> Result<BroadcastOutcome> {
        let txid = tx.compute_txid();
        {
            let mut inner = self.inner.lock().unwrap();
            if inner.mempool.contains_key(&txid) {
                return Ok(BroadcastOutcome {
                    error: String::new(),
                    result: true,
                });
            }
            if let Some(error) = inner.refusal(&tx, max_fee) {
                return Ok(BroadcastOutcome {
                    error,
                    result: false,
                });
            }
            inner.mempool.insert(txid, tx.clone());
        }
        self.tell(Event::Added(tx));
        Ok(BroadcastOutcome {
            error: String::new(),
            result: true,
        })
    }
    fn transaction_ancestry(&self, txid: Txid) -> Result<TxAncestry> {
        let inner = self.inner.lock().unwrap();
        let ancestors = inner.ancestors(&txid);
        Ok(TxAncestry {
            ancestors: ancestors.len() as u64,
            cluster_count: ancestors.len() as u64,
            ancestor_size: ancestors
                .iter()
                .map(|txid| inner.mempool[txid].vsize() as u64)
                .sum(),
            ancestor_fees: 0,
        })
    }
    fn package_limits(&self) -> Result<PackageLimits> {
        Ok(PackageLimits {
            ancestors: 25,
            descendants: 25,
        })
    }
    fn check_chain_limits(&self, tx: Transaction) -> Result<Option<String>> {
        let inner = self.inner.lock().unwrap();
        let ancestors: HashSet<Txid> = tx
            .input
            .iter()
            .flat_map(|input| inner.ancestors(&input.previous_output.txid))
            .collect();
        Ok(
            (ancestors.len() >= 25)
                .then(|| "too many unconfirmed ancestors [limit: 25]".to_owned()),
        )
    }
    fn fee_estimate(&self, blocks: i32, _: bool) -> Result<Option<FeeEstimate>> {
        let estimate = self.inner.lock().unwrap().estimate;
        Ok(estimate.map(|feerate| FeeEstimate { feerate, blocks }))
    }
    fn max_fee_estimate_blocks(&self) -> Result<u32> {
        Ok(1008)
    }
    fn mempool_min_fee(&self) -> Result<u64> {
        Ok(1000)
    }
    fn relay_min_fee(&self) -> Result<u64> {
        Ok(1000)
    }
    fn relay_incremental_fee(&self) -> Result<u64> {
        Ok(1000)
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
        Ok(false)
    }
    fn init_message(&self, _: String) -> Result<()> {
        Ok(())
    }
    fn init_warning(&self, message: String) -> Result<()> {
        self.inner
            .lock()
            .unwrap()
            .told
            .push(format!("warning: {message}"));
        Ok(())
    }
    fn init_error(&self, message: String) -> Result<()> {
        self.inner
            .lock()
            .unwrap()
            .told
            .push(format!("error: {message}"));
        Ok(())
    }
    fn show_progress(&self, _: String, _: i32, _: bool) -> Result<()> {
        Ok(())
    }
    fn handle_notifications(
        &self,
        to: Arc<dyn ChainNotifications>,
        _: NotifyOptions,
    ) -> Result<Arc<dyn Handler>> {
        let number = {
            let mut inner = self.inner.lock().unwrap();
            inner.next += 1;
            let number = inner.next;
            inner.listeners.push((number, to));
            number
        };
        let me = self.me.clone();
        Ok(Arc::new(FnHandler::new(move || {
            if let Some(chain) = me.upgrade() {
                chain
                    .inner
                    .lock()
                    .unwrap()
                    .listeners
                    .retain(|(known, _)| *known != number);
            }
        })))
    }
    fn wait_for_notifications_if_tip_changed(&self, _: BlockHash) -> Result<()> {
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
        self.inner
            .lock()
            .unwrap()
            .methods
            .insert(command.name, handler);
        Ok(Arc::new(FnHandler::new(|| {})))
    }
    fn rpc_enable_deprecated(&self, method: String) -> Result<bool> {
        let enabled = self.settings_list("deprecatedrpc".to_owned())?;
        Ok(enabled.contains(&Value::from(method)))
    }
    fn setting(&self, name: String) -> Result<Value> {
        self.rw_setting(name)
    }
    fn settings_list(&self, name: String) -> Result<Vec<Value>> {
        Ok(match self.rw_setting(name)? {
            Value::Array(values) => values,
            Value::Null => Vec::new(),
            other => vec![other],
        })
    }
    fn rw_setting(&self, name: String) -> Result<Value> {
        Ok(self
            .inner
            .lock()
            .unwrap()
            .settings
            .get(&name)
            .cloned()
            .unwrap_or(Value::Null))
    }
    fn overwrite_rw_setting(&self, name: String, value: Value, _: SettingsAction) -> Result<bool> {
        self.inner.lock().unwrap().settings.insert(name, value);
        Ok(true)
    }
    fn request_mempool_transactions(&self, to: Arc<dyn ChainNotifications>) -> Result<()> {
        for tx in self.mempool() {
            to.transaction_added_to_mempool(tx)?;
        }
        Ok(())
    }
    fn has_assumed_valid_chain(&self) -> Result<bool> {
        Ok(false)
    }
}

/// Wallets in a directory, over a chain.
pub struct Wallets {
    pub chain: Arc<FakeChain>,
    pub loader: Arc<dyn WalletLoader>,
}

impl Wallets {
    /// Starts them as a node does, with a small keypool and a fallback fee.
    pub fn start(chain: &Arc<FakeChain>, directory: &Path, options: &[&str]) -> Self {
        let mut lines: Vec<String> = options.iter().map(|line| (*line).to_owned()).collect();
        for default in ["keypool=10", "fallbackfee=0.0002"] {
            lines.push(default.to_owned());
        }
        let args = GlobalArgs {
            chain: "regtest".to_owned(),
            net_data_dir: directory.display().to_string(),
            options: lines,
            mock_time: i64::from(GENESIS_TIME),
        };
        let loader = btc_wallet::local(args, chain.clone()).unwrap();
        let client = loader.chain_client().unwrap();
        client.register_rpcs().unwrap();
        assert!(client.verify().unwrap(), "{:?}", chain.told());
        assert!(client.load().unwrap(), "{:?}", chain.told());
        client.start().unwrap();
        Self {
            chain: chain.clone(),
            loader,
        }
    }

    /// Stops them as a node does.
    pub fn stop(self) {
        self.loader.chain_client().unwrap().stop().unwrap();
    }

    /// Calls a method that must succeed.
    pub fn call(&self, wallet: &str, method: &str, params: Value) -> Value {
        match self.chain.call(wallet, method, params.clone()) {
            Ok(value) => value,
            Err(error) => panic!("{method} {params}: {error:?}"),
        }
    }

    /// Calls a method that must fail; gives code and text.
    pub fn refuse(&self, wallet: &str, method: &str, params: Value) -> (i32, String) {
        match self.chain.call(wallet, method, params.clone()) {
            Ok(value) => panic!("{method} {params} gave {value}"),
            Err(error) => (error.code, error.message),
        }
    }

    /// A fresh address and its script.
    pub fn address(&self, wallet: &str, kind: &str) -> (String, ScriptBuf) {
        let address = self.call(wallet, "getnewaddress", serde_json::json!(["", kind]));
        let text = address.as_str().unwrap().to_owned();
        (text.clone(), script(&text))
    }

    /// The spendable balance as text.
    pub fn balance(&self, wallet: &str) -> String {
        self.call(wallet, "getbalance", serde_json::json!([]))
            .to_string()
    }
}

/// The script of an address.
pub fn script(address: &str) -> ScriptBuf {
    let address: bitcoin::Address<_> = address.parse().unwrap();
    address
        .require_network(Network::Regtest)
        .unwrap()
        .script_pubkey()
}
