//! UTXO snapshots: the coins of a block that the software knows (`loadtxoutset`), used before they are validated.
//!
//! | phase | directories | chains |
//! |---|---|---|
//! | loading | `chainstate`, and `chainstate_snapshot` without `base_blockhash` | one; at the next start the second directory is ignored |
//! | used | both, the second with `base_blockhash` | the snapshot's is active, the other is validated up to the snapshot's block behind it |
//! | validated | both | the snapshot's alone; at the next start it takes the place of the other |
//!
//! The header of the snapshot's block must be known and on the best chain. The coins' hash is compared twice: that of the
//! file, before it is used; and that of the chain below, once it is there.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bitcoin::{Amount, BlockHash};
use btc_consensus::params::{AssumeUtxo, BuriedDeployment};

use super::background::Background;
use super::coins_cache::CoinsCache;
use super::error::SubmitError;
use super::flush::FlushMode;
use super::manager::ChainstateManager;
use super::open::open_coins_db;
use super::options::Options;
use super::state::{Shared, State};
use super::stats::{self, UtxoHash, UtxoHashKind};
use super::summary::BlockSummary;
use crate::chain::BlockId;
use crate::notify::Event;
use crate::store::StoreError;
use crate::store::coins_db::CoinsDb;
use crate::store::utxo_snapshot::{self, CoinsError, SnapshotCoins, SnapshotMetadata};

/// Coins that are written at a time.
const CHUNK: usize = 50_000;
/// Coins after which a word about the progress is due.
const LOG_INTERVAL: u64 = 1_000_000;

/// Why a snapshot is not loaded. The texts are Core's.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// One is loaded already.
    #[error("Can't activate a snapshot-based chainstate more than once")]
    Twice,
    /// The software does not know what the coins of that block are.
    #[error(
        "assumeutxo block hash in snapshot metadata not recognized (hash: {hash}). The following snapshot heights are \
         available: {heights}"
    )]
    Unknown {
        /// The block that the file names.
        hash: BlockHash,
        /// The heights of those that are known.
        heights: String,
    },
    /// The block's header has not come yet.
    #[error(
        "The base block header ({0}) must appear in the headers chain. Make sure all headers are syncing, and call \
         loadtxoutset again"
    )]
    NoHeader(BlockHash),
    /// The block, or one before it, is invalid.
    #[error("The base block header ({0}) is part of an invalid chain")]
    Invalid(BlockHash),
    /// The block is not on the best chain of headers.
    #[error(
        "A forked headers-chain with more work than the chain with the snapshot base block header exists. Please proceed \
         to sync without AssumeUtxo."
    )]
    Forked,
    /// Transactions wait that were judged by other coins.
    #[error("Can't activate a snapshot when mempool not empty")]
    MempoolNotEmpty,
    /// The coins are not to be had from the file.
    #[error("Population failed: {0}")]
    Population(#[from] PopulationError),
    /// Meanwhile the node got as far by itself.
    #[error("work does not exceed active chainstate")]
    LittleWork,
    /// What makes the snapshot count cannot be written.
    #[error("could not write base blockhash")]
    Base(#[source] StoreError),
    /// The chainstate cannot be changed.
    #[error(transparent)]
    Chainstate(#[from] SubmitError),
}

/// Why the coins are not to be had from the file. The texts are Core's.
#[derive(Debug, thiserror::Error)]
pub enum PopulationError {
    /// The node is as far by itself.
    #[error("Work does not exceed active chainstate")]
    LittleWork,
    /// A transaction has more coins than the file says are left.
    #[error("Mismatch in coins count in snapshot metadata and actual snapshot data")]
    Count,
    /// A coin is of a later block.
    #[error("Bad snapshot data after deserializing {0} coins")]
    Coin(u64),
    /// A coin is worth more than there is.
    #[error("Bad snapshot data after deserializing {0} coins - bad tx out value")]
    Value(u64),
    /// The file is short, or what it holds makes no coins.
    #[error("Bad snapshot format or truncated snapshot after deserializing {0} coins")]
    Format(u64),
    /// The file goes on after its coins.
    #[error("Bad snapshot - coins left over after deserializing {0} coins")]
    LeftOver(u64),
    /// The coins are not those that the software knows.
    #[error("Bad snapshot content hash: expected {expected}, got {found}")]
    Hash {
        /// What the software knows.
        expected: bitcoin::hashes::sha256d::Hash,
        /// What the file's coins give.
        found: bitcoin::hashes::sha256d::Hash,
    },
    /// The node is stopping.
    #[error("Aborting after an interrupt was requested")]
    Interrupted,
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The snapshot that the active chain was begun from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Snapshot {
    /// Its block.
    pub(super) base: BlockId,
    /// Whether the chain below gave the same coins.
    pub(super) validated: bool,
}

/// One of the node's chains of coins.
#[derive(Clone, Debug)]
pub struct ChainstateInfo {
    /// Its last block.
    pub tip: BlockSummary,
    /// The block of the snapshot that it was begun from.
    pub snapshot: Option<BlockHash>,
    /// Whether every block of it was validated.
    pub validated: bool,
    /// A guess of how much of the way to the tip of the network it has gone, from 0 to 1.
    pub progress: f64,
    /// Memory for its database, in bytes.
    pub coins_db_cache: usize,
    /// Memory for its coins, in bytes.
    pub coins_cache: usize,
}

/// The chain that is validated below a snapshot.
#[derive(Clone, Debug)]
pub struct BackgroundInfo {
    /// Its last block.
    pub tip: BlockSummary,
    /// The snapshot's block, which it goes to.
    pub target: BlockSummary,
    /// The part of the transactions that it has behind it, from 0 to 1.
    pub progress: f64,
}

/// UTXO snapshots.
impl ChainstateManager {
    /// Loads the coins of a snapshot, of which `metadata` was read from the start of `coins`, and goes on from its block;
    /// gives that. What is below is validated as its blocks come in. The lock is free while the coins are read.
    ///
    /// # Errors
    /// See [`SnapshotError`]; the node goes on as before.
    pub fn load_snapshot(
        &self,
        metadata: &SnapshotMetadata,
        coins: &mut dyn Read,
    ) -> Result<BlockSummary, SnapshotError> {
        self.shared.load_snapshot(metadata, coins)
    }

    /// The chains of coins: the one that is validated below a snapshot, if there is one, then the active one.
    pub fn chainstates(&self) -> Vec<ChainstateInfo> {
        let best = self.shared.best_header_height(&self.shared.lock());
        let background = self.background();
        let state = self.shared.lock();
        let (active_coins, background_coins) = self.shared.coins_budgets(&state);
        let coins_db_cache = self.shared.coins_db_budget;
        let mut all = Vec::new();
        if let Some(background) = background {
            all.push(ChainstateInfo {
                snapshot: None,
                validated: true,
                progress: self.shared.verification_progress(&background.tip, best),
                tip: background.tip,
                coins_db_cache,
                coins_cache: background_coins,
            });
        }
        let tip = state.summary(state.tip_id());
        all.push(ChainstateInfo {
            snapshot: state.snapshot.map(|it| state.tree.entry(it.base).hash),
            validated: state.snapshot.is_none_or(|it| it.validated),
            progress: self.shared.verification_progress(&tip, best),
            coins_db_cache,
            coins_cache: active_coins,
            tip,
        });
        all
    }

    /// The chain that is validated below a snapshot; `None` if there is none, or it is done. Its blocks are to be asked
    /// for, too: the ancestors of the target after the tip.
    pub fn background(&self) -> Option<BackgroundInfo> {
        let state = self.shared.lock();
        let background = state.background.as_ref()?;
        let tip = background.chain.tip()?;
        let done = state.tree.entry(tip).chain_tx as f64;
        let whole = state.tree.entry(background.target).chain_tx as f64;
        Some(BackgroundInfo {
            tip: state.summary(tip),
            target: state.summary(background.target),
            progress: if whole > 0.0 { done / whole } else { 0.0 },
        })
    }

    /// Whether blocks of any age can be given to peers (`NODE_NETWORK`): not if old ones are deleted, or still missing
    /// below a snapshot.
    pub fn serves_history(&self) -> bool {
        self.prune_target().is_none() && self.shared.lock().background.is_none()
    }
}

impl Shared {
    fn load_snapshot(
        &self,
        metadata: &SnapshotMetadata,
        coins: &mut dyn Read,
    ) -> Result<BlockSummary, SnapshotError> {
        // Another one that is being loaded uses the same directory.
        if self.loading_snapshot.swap(true, Ordering::AcqRel) {
            return Err(SnapshotError::Twice);
        }
        let loaded = self.load_only_snapshot(metadata, coins);
        self.loading_snapshot.store(false, Ordering::Release);
        loaded
    }

    fn load_only_snapshot(
        &self,
        metadata: &SnapshotMetadata,
        coins: &mut dyn Read,
    ) -> Result<BlockSummary, SnapshotError> {
        let (base, known) = self.check_snapshot(&metadata.base)?;
        let net = &self.options.dirs.net;
        let loaded = self
            .populate(base, &known, metadata.coins, coins)
            .map_err(SnapshotError::from)
            .and_then(|db| self.switch_to_snapshot(base, &known, db));
        if loaded.is_err()
            && let Err(error) = utxo_snapshot::remove_snapshot(&self.options.disk, net)
        {
            tracing::error!(
                "Failed to remove snapshot chainstate dir ({}). Manually remove it before restarting. ({error})",
                utxo_snapshot::snapshot_dir(net).display()
            );
        }
        loaded
    }

    /// Whether a snapshot of this block may be loaded.
    fn check_snapshot(&self, hash: &BlockHash) -> Result<(BlockId, AssumeUtxo), SnapshotError> {
        let state = self.lock_for_change()?;
        if state.snapshot.is_some() {
            return Err(SnapshotError::Twice);
        }
        let all = &self.options.params.assume_utxo;
        let Some(known) = all.iter().find(|known| known.block_hash == *hash) else {
            let heights: Vec<String> = all.iter().map(|known| known.height.to_string()).collect();
            return Err(SnapshotError::Unknown {
                hash: *hash,
                heights: heights.join(", "),
            });
        };
        let base = state
            .tree
            .find(hash)
            .ok_or(SnapshotError::NoHeader(*hash))?;
        if state.tree.entry(base).failed() {
            return Err(SnapshotError::Invalid(*hash));
        }
        let best = state.tree.best_header();
        if !best.is_some_and(|best| state.tree.is_ancestor(base, best)) {
            return Err(SnapshotError::Forked);
        }
        if self
            .mempool
            .get()
            .is_some_and(|mempool| !mempool.is_empty())
        {
            return Err(SnapshotError::MempoolNotEmpty);
        }
        if !is_ahead(&state, base) {
            return Err(PopulationError::LittleWork.into());
        }
        Ok((base, *known))
    }

    /// Writes the coins to a directory of their own, and compares them with what is known of them.
    fn populate(
        &self,
        base: BlockId,
        known: &AssumeUtxo,
        count: u64,
        input: &mut dyn Read,
    ) -> Result<Arc<CoinsDb>, PopulationError> {
        let net = &self.options.dirs.net;
        let (height, hash) = {
            let state = self.lock();
            let entry = state.tree.entry(base);
            (entry.height, entry.hash)
        };
        tracing::info!("[snapshot] loading {count} coins from snapshot {hash}");
        utxo_snapshot::remove_snapshot(&self.options.disk, net)?;
        let dir = utxo_snapshot::snapshot_dir(net);
        let db = open_coins_db(&dir, self.coins_db_budget, &self.options)?;
        let mut coins = SnapshotCoins::new(input, count);
        let mut chunk = Vec::with_capacity(CHUNK.min(usize::try_from(count).unwrap_or(CHUNK)));
        let mut done = 0_u64;
        for coin in coins.by_ref() {
            let (outpoint, coin) = coin.map_err(|error| match error {
                CoinsError::Count => PopulationError::Count,
                CoinsError::Read(_) | CoinsError::Format(_) => PopulationError::Format(done),
            })?;
            if coin.height > height {
                return Err(PopulationError::Coin(done));
            }
            if coin.output.value > Amount::MAX_MONEY {
                return Err(PopulationError::Value(done));
            }
            chunk.push((outpoint, coin));
            done += 1;
            if chunk.len() == CHUNK {
                if self.interrupted() {
                    return Err(PopulationError::Interrupted);
                }
                db.load(&chunk)?;
                chunk.clear();
            }
            if done.is_multiple_of(LOG_INTERVAL) {
                let percent = done as f64 * 100.0 / count as f64;
                tracing::info!("[snapshot] {done} coins loaded ({percent:.2}%)");
            }
        }
        db.load(&chunk)?;
        if !coins.is_exhausted().unwrap_or(false) {
            return Err(PopulationError::LeftOver(count));
        }
        tracing::info!("[snapshot] loaded {count} coins from snapshot {hash}");
        let found = self.coins_hash(&db, hash, height)?;
        if found != known.hash_serialized {
            return Err(PopulationError::Hash {
                expected: known.hash_serialized,
                found,
            });
        }
        db.set_best_block(&hash)?;
        tracing::info!("[snapshot] validated snapshot");
        Ok(Arc::new(db))
    }

    /// The hash by which snapshots are known.
    fn coins_hash(
        &self,
        db: &CoinsDb,
        hash: BlockHash,
        height: u32,
    ) -> Result<bitcoin::hashes::sha256d::Hash, PopulationError> {
        let interrupted = || self.interrupted();
        serialized_hash(db, hash, height, &interrupted)
    }

    /// Makes the snapshot's chain the active one.
    fn switch_to_snapshot(
        &self,
        base: BlockId,
        known: &AssumeUtxo,
        db: Arc<CoinsDb>,
    ) -> Result<BlockSummary, SnapshotError> {
        let coins = CoinsCache::new(db).map_err(PopulationError::Store)?;
        let mut guard = self.lock_for_change()?;
        let state = &mut *guard;
        if state.snapshot.is_some() {
            return Err(SnapshotError::Twice);
        }
        if !is_ahead(state, base) {
            return Err(SnapshotError::LittleWork);
        }
        let params = &self.options.params;
        let mut walk = Some(base);
        while let Some(id) = walk {
            let entry = state.tree.entry(id);
            walk = entry.prev;
            // Blocks that come later will have theirs; a start before that must not find fault with it.
            if entry.height > 0
                && params.is_active(BuriedDeployment::Segwit, entry.height)
                && !entry.has_witness()
            {
                state.tree.modify(id).assume_witness();
            }
        }
        self.flush_state(state, FlushMode::Always)?;
        let Options { disk, dirs, .. } = &self.options;
        utxo_snapshot::write_base(disk, &dirs.net, &known.block_hash)
            .map_err(SnapshotError::Base)?;
        let before = state.chain.tip();
        let mut chain = state.chain.clone();
        chain.set_tip(&state.tree, Some(base));
        state.background = Some(Background {
            chain: std::mem::replace(&mut state.chain, chain),
            coins: std::mem::replace(&mut state.coins, coins),
            target: base,
        });
        state.snapshot = Some(Snapshot {
            base,
            validated: false,
        });
        state.files.set_snapshot_height(known.height);
        let linked = state.tree.assume_chain_tx(base, known.chain_tx_count);
        for id in linked {
            state.tree.set_sequence(id, state.next_sequence);
            state.next_sequence = state.next_sequence.saturating_add(1);
        }
        state.candidates.clear();
        self.collect_candidates(state);
        self.update_initial_download(state);
        self.announce_tip(state, before);
        tracing::info!(
            "[snapshot] successfully activated snapshot {}",
            known.block_hash
        );
        Ok(state.summary(base))
    }

    /// Compares the coins of the chain below a snapshot with what is known of the snapshot, once that chain is complete.
    pub(super) fn validate_snapshot(&self) -> Result<(), SubmitError> {
        let (db, hash, height) = {
            let mut state = self.lock_for_change()?;
            self.flush_state(&mut state, FlushMode::Always)?;
            let Some(background) = &state.background else {
                return Ok(());
            };
            let entry = state.tree.entry(background.target);
            (Arc::clone(background.coins.db()), entry.hash, entry.height)
        };
        tracing::info!(
            "[snapshot] computing UTXO stats for background chainstate to validate snapshot - this could take a few \
             minutes"
        );
        // Its coins do not change any more, so no lock is needed.
        let found = self.coins_hash(&db, hash, height);
        let mut state = self.lock_for_change()?;
        let found = match found {
            Ok(found) => found,
            Err(PopulationError::Interrupted) => return Ok(()),
            Err(PopulationError::Store(error)) => return Err(self.fail(&mut state, error)),
            Err(other) => return Err(self.reject_snapshot(&mut state, &other.to_string())),
        };
        let known = self.options.params.assume_utxo_at(height);
        match known {
            Some(known) if known.hash_serialized == found => {}
            Some(known) => {
                let expected = known.hash_serialized;
                let reason = format!("hash mismatch: actual={found}, expected={expected}");
                return Err(self.reject_snapshot(&mut state, &reason));
            }
            None => {
                let reason = format!("assumeutxo data not found for height ({height})");
                return Err(self.reject_snapshot(&mut state, &reason));
            }
        }
        tracing::info!("[snapshot] snapshot beginning at {hash} has been fully validated");
        state.background = None;
        if let Some(snapshot) = &mut state.snapshot {
            snapshot.validated = true;
        }
        self.collect_candidates(&mut state);
        drop(state);
        self.notifier.send(Event::SnapshotValidated);
        Ok(())
    }

    /// The snapshot proved wrong: it is set aside, and the node stops, to go on without it at the next start.
    pub(super) fn reject_snapshot(&self, state: &mut State, reason: &str) -> SubmitError {
        tracing::warn!("[snapshot] {reason}");
        let validated = state
            .background
            .as_ref()
            .and_then(|background| background.chain.height())
            .unwrap_or(0);
        let height = state.chain.height().unwrap_or(0);
        let mut message = rejection(height, validated);
        let Options { disk, dirs, .. } = &self.options;
        if let Err(error) = utxo_snapshot::set_invalid_aside(disk, &dirs.net) {
            message = format!("{message}\n{error}");
        }
        self.fail(
            state,
            StoreError::corrupt("UTXO snapshot", format!("{reason}. {message}")),
        )
    }
}

/// What the user is told of a snapshot that proved wrong.
pub(super) fn rejection(height: u32, validated: u32) -> String {
    format!(
        "{} failed to validate the -assumeutxo snapshot state. This indicates a hardware problem, or a bug in the \
         software, or a bad software modification that allowed an invalid snapshot to be loaded. As a result of this, the \
         node will shut down and stop using any state that was built on the snapshot, resetting the chain height from \
         {height} to {validated}. On the next restart, the node will resume syncing from {validated} without using any \
         snapshot data. The invalid snapshot chainstate will be left on disk in case it is helpful in diagnosing the \
         issue that caused this error.",
        crate::CLIENT_NAME
    )
}

/// The hash of all coins by which snapshots are known.
pub(super) fn serialized_hash(
    db: &CoinsDb,
    hash: BlockHash,
    height: u32,
    interrupted: &dyn Fn() -> bool,
) -> Result<bitcoin::hashes::sha256d::Hash, PopulationError> {
    let stats = stats::compute(db, UtxoHashKind::HashSerialized3, hash, height, interrupted)?;
    match stats.map(|stats| stats.hash) {
        Some(UtxoHash::HashSerialized3(found)) => Ok(found),
        Some(_) | None => Err(PopulationError::Interrupted),
    }
}

/// Whether a block's chain has more work than the active one.
fn is_ahead(state: &State, base: BlockId) -> bool {
    let tip = state.tree.entry(state.tip_id());
    state.tree.entry(base).chainwork > tip.chainwork
}
