//! Creating and loading wallets, and catching up with the chain.

use super::sync::{InBlock, TIMESTAMP_WINDOW};
use super::{
    Context, FLAG_BLANK, FLAG_DESCRIPTORS, FLAG_DISABLE_PRIVATE_KEYS,
    FLAG_LAST_HARDENED_XPUB_CACHED, Listener, Relock, Scan, State, Wallet,
};
use crate::db::{Batch, Database, Expect, OpenOptions, file};
use crate::error::{Result, WalletError};
use crate::keys::{ADDRESS_TYPES, KeyManager, type_number};
use crate::tx::TxState;
use bitcoin::bip32::Xpriv;
use bitcoin::secp256k1::rand::RngCore;
use bitcoin::secp256k1::rand::rngs::OsRng;
use bitcoin::{BlockHash, NetworkKind};
use btc_interfaces::rpc::code;
use btc_interfaces::{BroadcastMethod, NotifyOptions, WalletFlags, WantBlock};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How often a rescan tells how far it is, and records it.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(60);

/// Where a rescan starts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WatchFrom {
    /// At the first block that may concern keys of this time, seconds since 1970.
    Time(i64),
    /// At this height.
    Height(i32),
}

/// How a rescan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) start_height: i32,
    /// The last block looked at; `None` if there was none.
    pub(crate) last: Option<(i32, BlockHash)>,
    /// Somebody stopped it.
    pub(crate) aborted: bool,
    /// A block that could not be read, below which some may be missing too.
    pub(crate) failed: Option<(i32, BlockHash)>,
}

fn flag_bits(flags: WalletFlags) -> u64 {
    let bit = |set: bool, bit: u64| if set { bit } else { 0 };
    bit(flags.disable_private_keys, FLAG_DISABLE_PRIVATE_KEYS)
        | bit(flags.blank, FLAG_BLANK)
        | bit(flags.avoid_reuse, super::FLAG_AVOID_REUSE)
        | FLAG_DESCRIPTORS
        | FLAG_LAST_HARDENED_XPUB_CACHED
}

impl Wallet {
    fn new(name: &str, context: Arc<Context>, state: State) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            context,
            scan: Scan::default(),
            relock: Relock::default(),
            state: Mutex::new(state),
            notifications: Mutex::new(None),
        })
    }

    fn open_database(
        name: &str,
        context: &Context,
        expect: Expect,
        verify: bool,
    ) -> Result<Database> {
        let directory = file::wallet_path(&context.options.wallets_dir(), name)?;
        let options = OpenOptions {
            expect,
            magic: context.magic(),
            verify,
            unsafe_sync: context.options.unsafe_sync,
        };
        Ok(Database::open(&directory, options)?)
    }

    /// Whether a wallet of this name could be loaded, without loading it.
    pub(crate) fn verify(name: &str, context: &Context) -> Result<()> {
        Self::open_database(name, context, Expect::Existing, true).map(drop)
    }

    /// Makes a wallet, encrypted from the start if there is a passphrase.
    pub(crate) fn create(
        name: &str,
        context: &Arc<Context>,
        flags: WalletFlags,
        passphrase: Option<&Zeroizing<String>>,
        warnings: &mut Vec<String>,
    ) -> Result<Arc<Self>> {
        if name.is_empty() {
            return Err(WalletError::refused(
                code::INVALID_PARAMETER,
                "Wallet name cannot be empty",
            ));
        }
        if passphrase.is_some() && flags.disable_private_keys {
            return Err(WalletError::refused(
                code::WALLET_ERROR,
                "Passphrase provided but private keys are disabled. A passphrase is only used to encrypt private keys, so cannot be used for wallets with private keys disabled.",
            ));
        }
        let relay_min_fee =
            crate::spend::fee::FeeRate::from_sat_per_kvb(context.chain.relay_min_fee()?);
        context
            .options
            .check_max_fee(relay_min_fee)
            .map_err(|error| WalletError::refused(code::WALLET_ERROR, error.to_string()))?;
        // Core reports every failure to make the file with this code, the existing one included.
        let mut database =
            Self::open_database(name, context, Expect::New, false).map_err(|error| {
                WalletError::refused(
                    code::WALLET_ERROR,
                    format!("Wallet file verification failed. {error}"),
                )
            })?;
        warnings.extend(context.options.warnings.iter().cloned());

        let bits = flag_bits(flags);
        let mut batch = Batch::new();
        batch.version();
        batch.flags(bits);
        database.commit(batch)?;
        let mut state = State::empty(
            database,
            context.options.network,
            bits,
            context.options.keypool,
        );
        let now = context.clock.now();
        let with_keys = !flags.disable_private_keys && !flags.blank;
        if with_keys && passphrase.is_none() {
            state.generate_keys(now)?;
        }
        if let Some((height, hash)) = context.tip()? {
            state.last_block = Some((height, hash));
        }
        let wallet = Self::new(name, Arc::clone(context), state);
        if let Some(passphrase) = passphrase {
            wallet.encrypt(passphrase)?;
        }
        wallet.attach(false)?;
        wallet.write_best_block()?;
        wallet.post_init()?;
        Ok(wallet)
    }

    /// Loads a wallet.
    pub(crate) fn load(
        name: &str,
        context: &Arc<Context>,
        warnings: &mut Vec<String>,
    ) -> Result<Arc<Self>> {
        let failed = |error: WalletError| {
            WalletError::refused(
                code::WALLET_ERROR,
                format!("Wallet loading failed. {error}"),
            )
        };
        let database =
            Self::open_database(name, context, Expect::Existing, false).map_err(|error| {
                WalletError::refused(
                    error.code(),
                    format!("Wallet file verification failed. {error}"),
                )
            })?;
        let relay_min_fee =
            crate::spend::fee::FeeRate::from_sat_per_kvb(context.chain.relay_min_fee()?);
        context
            .options
            .check_max_fee(relay_min_fee)
            .map_err(|error| WalletError::refused(code::WALLET_ERROR, error.to_string()))?;
        warnings.extend(context.options.warnings.iter().cloned());
        let mut state = State::load(
            database,
            context.options.network,
            context.options.keypool,
            warnings,
        )
        .map_err(failed)?;
        state.locate_transactions(context)?;
        state.top_up_all(context.options.keypool)?;
        let wallet = Self::new(name, Arc::clone(context), state);
        if let Err(error) = wallet.attach(true) {
            wallet.close();
            return Err(failed(error));
        }
        wallet.post_init()?;
        Ok(wallet)
    }

    /// Registers for the chain's events and catches up with it.
    fn attach(self: &Arc<Self>, rescan: bool) -> Result<()> {
        let chain = &self.context.chain;
        let stored = std::mem::take(&mut self.lock().stored_best);
        let height = chain.height()?;
        if !self.context.options.cross_chain
            && let Some(genesis) = stored.last()
            && height.is_some()
            && chain.block_hash(0)? != Some(*genesis)
        {
            return Err(WalletError::refused(
                code::WALLET_ERROR,
                "Wallet files should not be reused across chains. Restart bitcoind with -walletcrosschain to override.",
            ));
        }
        // First register, then rescan: no block is missed in between, and events wait until the rescan is through.
        self.lock().gate.close();
        let handler = chain.handle_notifications(
            Arc::new(Listener(Arc::downgrade(self))),
            NotifyOptions {
                disconnect_data: false,
            },
        )?;
        *super::lock(&self.notifications) = Some(handler);

        let tip = self.context.tip()?;
        let synced = if stored.is_empty() {
            None
        } else {
            chain.find_locator_fork(stored)?
        };
        self.lock().last_block = tip;
        if let Some((tip_height, _)) = tip
            && rescan
            && synced != Some(tip_height)
        {
            self.catch_up(synced.unwrap_or(0), tip_height)?;
        }
        self.open_gate()
    }

    fn catch_up(self: &Arc<Self>, synced: i32, tip_height: i32) -> Result<()> {
        let chain = &self.context.chain;
        let birth_time = self.lock().birth_time;
        let start = match birth_time {
            Some(birth_time) => chain
                .find_first_block_with_time_and_height(birth_time - TIMESTAMP_WINDOW, synced)?
                .map_or(tip_height, |found| found.height),
            None => synced,
        };
        if start < tip_height && (chain.have_pruned()? || chain.has_assumed_valid_chain()?) {
            let mut readable = tip_height;
            while readable > start && chain.have_block_on_disk(readable - 1)? {
                readable -= 1;
            }
            if readable > start {
                return Err(WalletError::refused(
                    code::WALLET_ERROR,
                    "Prune: last wallet synchronisation goes beyond pruned data. You need to -reindex (download the whole blockchain again in case of a pruned node)",
                ));
            }
        }
        chain.init_message("Rescanning…".to_owned())?;
        tracing::info!(target: "wallet", "[{}] Rescanning last {} blocks (from block {start})...", self.name, tip_height - start);
        let Some(_guard) = self.scan.reserve() else {
            return Err(WalletError::refused(
                code::WALLET_ERROR,
                "Failed to acquire rescan reserver during wallet initialization",
            ));
        };
        let scanned = self.scan_from(WatchFrom::Height(start), None)?;
        if scanned.aborted || scanned.failed.is_some() {
            return Err(WalletError::refused(
                code::WALLET_ERROR,
                "Failed to rescan the wallet during initialization",
            ));
        }
        if let Some(last) = scanned.last {
            self.lock().last_block = Some(last);
            self.write_best_block()?;
        }
        Ok(())
    }

    /// Looks through the active chain's blocks. The caller holds the right to rescan.
    pub(crate) fn scan_from(&self, from: WatchFrom, stop_height: Option<i32>) -> Result<Scanned> {
        let chain = &self.context.chain;
        let start_height = match from {
            WatchFrom::Height(height) => height,
            WatchFrom::Time(time) => {
                match chain.find_first_block_with_time_and_height(time - TIMESTAMP_WINDOW, 0)? {
                    Some(found) => found.height,
                    None => {
                        return Ok(Scanned {
                            start_height: chain.height()?.unwrap_or(0),
                            last: self.context.tip()?,
                            aborted: false,
                            failed: None,
                        });
                    }
                }
            }
        };
        let mut scanned = Scanned {
            start_height,
            last: None,
            aborted: false,
            failed: None,
        };
        let mut height = start_height;
        let mut told = Instant::now();
        loop {
            if self.scan.abort.load(std::sync::atomic::Ordering::Relaxed)
                || chain.shutdown_requested()?
            {
                scanned.aborted = true;
                return Ok(scanned);
            }
            if stop_height.is_some_and(|stop| height > stop) {
                return Ok(scanned);
            }
            let Some(hash) = chain.block_hash(height)? else {
                return Ok(scanned);
            };
            let want = WantBlock {
                data: true,
                locator: false,
            };
            let found = chain.find_block(hash, want)?;
            let Some((found, block)) =
                found.and_then(|mut found| found.data.take().map(|data| (found, data)))
            else {
                scanned.failed = Some((height, hash));
                height += 1;
                continue;
            };
            if let Some((_, last)) = scanned.last
                && block.header.prev_blockhash != last
            {
                // The chain took another way: go back to where it left ours.
                match chain.find_common_ancestor(last, hash)? {
                    Some(ancestor) if ancestor.height + 1 < height => {
                        height = ancestor.height.max(start_height - 1) + 1;
                        scanned.last = None;
                        continue;
                    }
                    _ => {}
                }
            }
            let at = InBlock {
                hash,
                height,
                time: found.time,
                max_time: found.max_time,
                rescanning: true,
            };
            let now = self.context.clock.now();
            let tip = {
                let mut state = self.lock();
                state.connect_block(&block, at, now)?;
                state.last_block.map_or(height, |(tip, _)| tip)
            };
            scanned.last = Some((height, hash));
            let span = f64::from((tip - start_height).max(1));
            self.scan
                .set_progress(f64::from(height - start_height) / span);
            if told.elapsed() > PROGRESS_INTERVAL {
                told = Instant::now();
                tracing::info!(target: "wallet", "[{}] Still rescanning. At block {height}.", self.name);
            }
            height += 1;
        }
    }

    /// Brings the wallet's unconfirmed transactions and the mempool together.
    fn post_init(self: &Arc<Self>) -> Result<()> {
        self.offer_unconfirmed()?;
        let listener = Arc::new(Listener(Arc::downgrade(self)));
        self.context.chain.request_mempool_transactions(listener)?;
        Ok(())
    }

    /// Hands the wallet's unconfirmed transactions to the mempool again.
    pub(crate) fn offer_unconfirmed(&self) -> Result<()> {
        let chain = &self.context.chain;
        if self.context.options.broadcast {
            for tx in self.resendable() {
                let outcome = chain.broadcast_transaction(
                    tx,
                    self.context.options.max_tx_fee,
                    BroadcastMethod::MempoolNoBroadcast,
                )?;
                if !outcome.result {
                    tracing::debug!(target: "wallet", "[{}] not taken by the mempool: {}", self.name, outcome.error);
                }
            }
        }
        Ok(())
    }

    /// The wallet's own transactions that belong into the mempool, in the order they were made.
    pub(crate) fn resendable(&self) -> Vec<bitcoin::Transaction> {
        let state = self.lock();
        let mut txs: Vec<_> = state
            .txs
            .values()
            .filter(|tx| {
                matches!(tx.record.state, TxState::Inactive { abandoned: false })
                    && !tx.record.tx.is_coinbase()
            })
            .collect();
        txs.sort_by_key(|tx| tx.record.order);
        txs.into_iter().map(|tx| tx.record.tx.clone()).collect()
    }
}

impl State {
    /// Makes a fresh seed and the eight descriptors that come from it.
    pub(crate) fn generate_keys(&mut self, now: i64) -> Result<()> {
        let mut seed = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(seed.as_mut_slice());
        // Core takes the random bytes as the master private key's secret, and it as the seed; any seed does.
        let mut master = Xpriv::new_master(NetworkKind::from(self.network), seed.as_slice())
            .map_err(btc_interfaces::descriptor::DescriptorError::from)?;
        let made = self.add_own_descriptors(&master, now);
        master.private_key.non_secure_erase();
        made
    }

    fn add_own_descriptors(&mut self, master: &Xpriv, now: i64) -> Result<()> {
        let creation_time = u64::try_from(now).unwrap_or(0);
        let mut batch = Batch::new();
        let mut managers = Vec::new();
        for internal in [false, true] {
            for kind in ADDRESS_TYPES {
                let mut manager =
                    KeyManager::own(master, kind, internal, self.network, creation_time)?;
                let secrets = manager.secrets(None, self.network_kind());
                manager.store_keys(self.unlocked.as_ref(), &mut batch);
                manager.top_up(self.keypool, &secrets, &mut batch)?;
                batch.active(type_number(kind), internal, Some(&manager.id()));
                managers.push((type_number(kind), internal, manager));
            }
        }
        let flags = self.flags & !FLAG_BLANK;
        if flags != self.flags {
            batch.flags(flags);
        }
        // On disk first: no address may be handed out whose key could be lost.
        self.db.commit(batch)?;
        self.flags = flags;
        for (kind, internal, manager) in managers {
            self.active.insert((kind, internal), manager.id());
            self.add_manager(manager);
        }
        Ok(())
    }

    /// Asks the chain where the blocks are that transactions were seen in; transactions of blocks that are not in the
    /// active chain any more become unconfirmed.
    fn locate_transactions(&mut self, context: &Context) -> Result<()> {
        let mut known: HashMap<BlockHash, Option<i32>> = HashMap::new();
        let block_times = &mut self.block_times;
        for tx in self.txs.values_mut() {
            let (TxState::Confirmed { block, .. } | TxState::Conflicted { block, .. }) =
                tx.record.state
            else {
                if tx.record.tx.is_coinbase() && matches!(tx.record.state, TxState::Inactive { .. })
                {
                    tx.record.state = TxState::Inactive { abandoned: true };
                }
                continue;
            };
            let at = match known.get(&block) {
                Some(at) => *at,
                None => {
                    let found = context.chain.find_block(block, WantBlock::default())?;
                    let found = found.filter(|found| found.in_active_chain);
                    if let Some(found) = &found {
                        block_times.insert(block, found.time);
                    }
                    let at = found.map(|found| found.height);
                    known.insert(block, at);
                    at
                }
            };
            tx.record.state = match (at, tx.record.state) {
                (Some(height), TxState::Confirmed { block, index, .. }) => TxState::Confirmed {
                    block,
                    height,
                    index,
                },
                (Some(height), TxState::Conflicted { block, .. }) => {
                    TxState::Conflicted { block, height }
                }
                _ => TxState::Inactive {
                    abandoned: tx.record.tx.is_coinbase(),
                },
            };
        }
        Ok(())
    }
}
