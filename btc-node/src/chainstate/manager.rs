//! The public face of the chainstate.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::block::Header;
use bitcoin::{Block, BlockHash, OutPoint};
use btc_consensus::params::ChainParams;
use btc_consensus::versionbits::ThresholdCache;
use btc_consensus::{Coin, HashedBlock};

use super::clock::Clock;
use super::error::{OpenError, SubmitError};
use super::options::{Options, SubmitOptions};
use super::state::{Shared, State};
use super::stats::{self, UtxoHashKind, UtxoStats};
use super::summary::{Accepted, BlockSummary, ChainTip, ChainTipStatus, ImportReport, VerifyError};
use super::view::{MempoolHook, TipView, TreeView};
use crate::chain::{BlockId, Validity};
use crate::notify::Notifier;
use crate::store::StoreError;
use crate::store::block_reader::BlockReader;
use crate::store::import::BlockScanner;
use crate::store::undo::BlockUndo;

/// The chainstate, shared by everyone through an `Arc`. See the [module](super) for the order of locks.
pub struct ChainstateManager {
    pub(super) shared: Shared,
}

impl ChainstateManager {
    /// Opens the databases, completes an interrupted flush, checks the last blocks, and connects what waits on disk.
    ///
    /// With `reindex`, the caller goes on with [`reindex_block_files`](Self::reindex_block_files).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        options: Options,
        clock: Arc<dyn Clock>,
        notifier: Arc<Notifier>,
    ) -> Result<Self, OpenError> {
        let shared = Shared::open(options, clock, notifier).inspect_err(|error| {
            if let Some(reason) = error.reason() {
                tracing::error!("{reason}");
            }
        })?;
        Ok(Self { shared })
    }

    /// The network's rules.
    pub fn params(&self) -> &ChainParams {
        &self.shared.options.params
    }

    /// The options it was opened with.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The queue of events.
    pub fn notifier(&self) -> &Arc<Notifier> {
        &self.shared.notifier
    }

    /// Connects the mempool, once. Gives it back if there is one already.
    ///
    /// # Errors
    /// A mempool is connected already.
    pub fn set_mempool(&self, mempool: Arc<dyn MempoolHook>) -> Result<(), Arc<dyn MempoolHook>> {
        self.shared.mempool.set(mempool)
    }

    /// Takes a block in: checks it, stores it, and moves the active chain to the one with the most work.
    ///
    /// # Errors
    /// [`SubmitError::Rejected`] if this block breaks a rule, also if that shows only when it is connected. That another
    /// block on the way turned out invalid is not this one's error.
    pub fn submit_block(
        &self,
        block: Arc<Block>,
        options: SubmitOptions,
    ) -> Result<Accepted, SubmitError> {
        self.submit_hashed_block(HashedBlock::new(block), options)
    }

    /// As [`submit_block`](Self::submit_block), for a block whose transactions are hashed already.
    ///
    /// # Errors
    /// See there.
    pub fn submit_hashed_block(
        &self,
        block: HashedBlock,
        options: SubmitOptions,
    ) -> Result<Accepted, SubmitError> {
        self.shared.submit_block(block, options)
    }

    /// Takes a header in and gives its height.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn submit_header(&self, header: &Header) -> Result<u32, SubmitError> {
        self.shared.submit_header(header)
    }

    /// Checks a block that would follow the tip, without keeping anything of it.
    ///
    /// # Errors
    /// See [`SubmitError`]; one that does not build on the tip is rejected as inconclusive.
    pub fn test_block_validity(
        &self,
        block: &Block,
        check_pow: bool,
        check_merkle_root: bool,
    ) -> Result<(), SubmitError> {
        let block = HashedBlock::new(Arc::new(block.clone()));
        self.test_hashed_block(&block, check_pow, check_merkle_root)
    }

    /// As [`test_block_validity`](Self::test_block_validity), for a block whose transactions are hashed already.
    ///
    /// # Errors
    /// See there.
    pub fn test_hashed_block(
        &self,
        block: &HashedBlock,
        check_pow: bool,
        check_merkle_root: bool,
    ) -> Result<(), SubmitError> {
        self.shared
            .test_block_validity(block, check_pow, check_merkle_root)
    }

    /// Declares a block invalid and moves to the best chain without it.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn invalidate_block(&self, hash: &BlockHash) -> Result<(), SubmitError> {
        self.shared.invalidate_block(hash)
    }

    /// Takes the mark of invalidity from a block, its ancestors and its descendants, and moves to the best chain.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn reconsider_block(&self, hash: &BlockHash) -> Result<(), SubmitError> {
        self.shared.reconsider_block(hash)
    }

    /// Treats a block as if it had come before all others with the same work.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn precious_block(&self, hash: &BlockHash) -> Result<(), SubmitError> {
        self.shared.precious_block(hash)
    }

    /// Moves to the best chain among the blocks on disk.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub fn activate_best_chain(&self) -> Result<(), SubmitError> {
        self.shared.activate_best_chain(None)
    }

    /// The active chain's last block.
    pub fn tip(&self) -> BlockSummary {
        let tip = self
            .shared
            .tip
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        tip.summary.clone()
    }

    /// A block by hash.
    pub fn block_summary(&self, hash: &BlockHash) -> Option<BlockSummary> {
        let state = self.shared.lock();
        state.tree.find(hash).map(|id| state.summary(id))
    }

    /// The active chain's block at a height.
    pub fn block_summary_at(&self, height: u32) -> Option<BlockSummary> {
        let state = self.shared.lock();
        state.chain.at(height).map(|id| state.summary(id))
    }

    /// The hash of the active chain's block at a height.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        let state = self.shared.lock();
        state.chain.at(height).map(|id| state.tree.entry(id).hash)
    }

    /// The valid header with the most work.
    pub fn best_header(&self) -> BlockSummary {
        let state = self.shared.lock();
        let id = state.tree.best_header().unwrap_or_else(|| state.tip_id());
        state.summary(id)
    }

    /// The ancestor of a block at a height.
    pub fn ancestor(&self, hash: &BlockHash, height: u32) -> Option<BlockHash> {
        let state = self.shared.lock();
        let id = state.tree.ancestor(state.tree.find(hash)?, height)?;
        Some(state.tree.entry(id).hash)
    }

    /// The last block that two branches share.
    pub fn last_common_ancestor(&self, a: &BlockHash, b: &BlockHash) -> Option<BlockHash> {
        let state = self.shared.lock();
        let id = state
            .tree
            .last_common_ancestor(state.tree.find(a)?, state.tree.find(b)?)?;
        Some(state.tree.entry(id).hash)
    }

    /// The first block of the active chain whose time, or that of one before it, is at least `time` (seconds), and
    /// whose height is at least `height`.
    pub fn first_block_since(&self, time: u32, height: u32) -> Option<BlockSummary> {
        let state = self.shared.lock();
        let id = state.chain.earliest_at_least(&state.tree, time, height)?;
        Some(state.summary(id))
    }

    /// A block, shared: the one that was connected last is at hand, others are [read](Self::read_block).
    ///
    /// # Errors
    /// As for [`read_block`](Self::read_block).
    pub fn block(&self, hash: &BlockHash) -> Result<Option<Arc<Block>>, StoreError> {
        let connected = self
            .shared
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match connected {
            Some((last, block)) if last == *hash => Ok(Some(block)),
            _ => Ok(self.read_block(hash)?.map(Arc::new)),
        }
    }

    /// A block from disk; `None` if only its header, or nothing, is known.
    ///
    /// # Errors
    /// The block file is missing or damaged.
    pub fn read_block(&self, hash: &BlockHash) -> Result<Option<Block>, StoreError> {
        let pos = {
            let state = self.shared.lock();
            state
                .tree
                .find(hash)
                .and_then(|id| state.tree.entry(id).data())
        };
        pos.map(|pos| self.shared.reader.read_block(pos, hash))
            .transpose()
    }

    /// What a block spent; `None` if there is no record, as for the genesis block.
    ///
    /// # Errors
    /// The undo file is missing or damaged.
    pub fn read_undo(&self, hash: &BlockHash) -> Result<Option<BlockUndo>, StoreError> {
        let found = {
            let state = self.shared.lock();
            state.tree.find(hash).and_then(|id| {
                let entry = state.tree.entry(id);
                Some((entry.undo()?, entry.header.prev_blockhash))
            })
        };
        found
            .map(|(pos, previous)| self.shared.reader.read_undo(pos, &previous))
            .transpose()
    }

    /// Reads block files without asking the chain: records never change once written.
    pub fn block_reader(&self) -> &BlockReader {
        &self.shared.reader
    }

    /// The block up to which the coins on disk go; `None` if none were written yet.
    ///
    /// # Errors
    /// The database failed.
    pub fn last_flushed(&self) -> Result<Option<BlockHash>, StoreError> {
        let db = Arc::clone(self.shared.lock().coins.db());
        db.best_block()
    }

    /// The unspent coin at `outpoint`, mempool not considered.
    ///
    /// # Errors
    /// The database failed.
    pub fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        self.shared.lock().coins.peek(outpoint)
    }

    /// Calls `function` with the tip and its coins, which do not change meanwhile. This is where code starts that needs
    /// the chainstate's lock and the mempool's.
    pub fn with_tip<R>(&self, function: impl FnOnce(&TipView<'_>) -> R) -> R {
        let state = self.shared.lock();
        function(&self.shared.view(&state))
    }

    /// Calls `function` with the chain that ends in a block, on whatever branch, and the states of deployments that were
    /// computed so far; `None` if the block is not known.
    pub fn with_branch<R>(
        &self,
        hash: &BlockHash,
        function: impl FnOnce(&TreeView<'_>, &mut ThresholdCache) -> R,
    ) -> Option<R> {
        let state = self.shared.lock();
        let id = state.tree.find(hash)?;
        let mut thresholds = self.shared.view(&state).thresholds();
        Some(function(&TreeView::new(&state.tree, id), &mut thresholds))
    }

    /// The ends of all branches, in the order of falling height, the active one first among equals.
    pub fn chain_tips(&self) -> Vec<ChainTip> {
        let state = self.shared.lock();
        let mut ends = state.tree.leaves();
        let tip = state.tip_id();
        if !ends.contains(&tip) {
            ends.push(tip);
        }
        let mut tips: Vec<ChainTip> = ends.into_iter().map(|id| chain_tip(&state, id)).collect();
        tips.sort_by_key(|tip| {
            (
                std::cmp::Reverse(tip.height),
                tip.status != ChainTipStatus::Active,
                tip.hash,
            )
        });
        tips
    }

    /// The last block of the active chain that a locator knows; the genesis block if it knows none.
    pub fn find_fork(&self, locator: &[BlockHash]) -> BlockSummary {
        let state = self.shared.lock();
        let id = state
            .chain
            .find_fork(&state.tree, locator)
            .unwrap_or_else(|| state.tip_id());
        state.summary(id)
    }

    /// A locator of the tip.
    pub fn locator(&self) -> Vec<BlockHash> {
        let state = self.shared.lock();
        state.tree.locator(state.tip_id())
    }

    /// A locator of any known block.
    pub fn locator_of(&self, hash: &BlockHash) -> Option<Vec<BlockHash>> {
        let state = self.shared.lock();
        Some(state.tree.locator(state.tree.find(hash)?))
    }

    /// Whether the node is still catching up. Once false, it stays false.
    pub fn is_initial_block_download(&self) -> bool {
        self.shared.initial_download.load(Ordering::Relaxed)
    }

    /// Whether block files are being read in, by a reindex or from elsewhere.
    pub fn is_importing(&self) -> bool {
        self.shared.importing.load(Ordering::Relaxed)
    }

    /// A guess of how much of the chain is verified, from 0 to 1.
    pub fn verification_progress(&self) -> f64 {
        let best = self.shared.best_header_height(&self.shared.lock());
        self.shared.verification_progress(&self.tip(), best)
    }

    /// The same guess for the chain that ends with a given block; `None` if the block is not known.
    pub fn verification_progress_at(&self, hash: &BlockHash) -> Option<f64> {
        let block = self.block_summary(hash)?;
        let best = self.shared.best_header_height(&self.shared.lock());
        Some(self.shared.verification_progress(&block, best))
    }

    /// Whether a block is known and it and its ancestors can be read, as far as their heights are at least `min_height`
    /// and at most `max_height`.
    pub fn has_blocks(&self, hash: &BlockHash, min_height: u32, max_height: Option<u32>) -> bool {
        let state = self.shared.lock();
        let Some(mut id) = state.tree.find(hash) else {
            return false;
        };
        if let Some(ancestor) = max_height.and_then(|height| state.tree.ancestor(id, height)) {
            id = ancestor;
        }
        loop {
            let entry = state.tree.entry(id);
            if entry.data().is_none() {
                return false;
            }
            match entry.prev {
                Some(prev) if entry.height > min_height => id = prev,
                _ => return true,
            }
        }
    }

    /// The last block of the active chain that a locator knows; `None` if it knows none.
    pub fn locator_fork(&self, locator: &[BlockHash]) -> Option<BlockSummary> {
        let state = self.shared.lock();
        locator
            .iter()
            .any(|hash| state.tree.find(hash).is_some())
            .then(|| {
                let id = state
                    .chain
                    .find_fork(&state.tree, locator)
                    .unwrap_or_else(|| state.tip_id());
                state.summary(id)
            })
    }

    /// Figures about all unspent coins. Flushes first; the walk itself holds no lock.
    ///
    /// # Errors
    /// The database failed. `None`: the node is stopping.
    pub fn utxo_stats(&self, kind: UtxoHashKind) -> Result<Option<UtxoStats>, SubmitError> {
        let (hash, height, db) = self.shared.flushed_tip()?;
        let interrupted = || self.shared.interrupted();
        Ok(stats::compute(&db, kind, hash, height, &interrupted)?)
    }

    /// Calls `function` for every unspent coin, in the order of the database, and says after which block they are so.
    /// Flushes first; the walk itself holds no lock. It ends early once `function` returns false.
    ///
    /// # Errors
    /// The database failed.
    pub fn scan_coins(
        &self,
        mut function: impl FnMut(&OutPoint, &Coin) -> bool,
    ) -> Result<BlockHash, SubmitError> {
        let (hash, _, db) = self.shared.flushed_tip()?;
        for entry in db.coins()? {
            let (outpoint, coin) = entry?;
            if !function(&outpoint, &coin) {
                break;
            }
        }
        Ok(hash)
    }

    /// Writes everything to disk.
    ///
    /// # Errors
    /// The disk is full or a database failed.
    pub fn flush(&self) -> Result<(), SubmitError> {
        self.shared.flush_all()
    }

    /// Bytes that block and undo files take.
    pub fn block_files_size(&self) -> u64 {
        self.shared.lock().files.usage()
    }

    /// Waits until the tip is another than `current`, and gives it; `None` after `timeout`, or once the node stops.
    pub fn wait_tip_changed(&self, current: &BlockHash, timeout: Duration) -> Option<BlockSummary> {
        // A timeout too long to be a time is no timeout.
        let deadline = Instant::now().checked_add(timeout);
        let mut tip = self
            .shared
            .tip
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while tip.summary.hash == *current && !tip.closed {
            tip = match deadline {
                None => self
                    .shared
                    .tip_changed
                    .wait(tip)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now())?;
                    let waited = self.shared.tip_changed.wait_timeout(tip, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        (!tip.closed).then(|| tip.summary.clone())
    }

    /// Reads the blocks of a file made elsewhere (`-loadblock`), and connects what they make.
    ///
    /// # Errors
    /// The file cannot be read on, or the node's own disk fails. Blocks that do not fit are skipped.
    pub fn import_blocks(
        &self,
        scanner: &mut BlockScanner<impl Read>,
    ) -> Result<ImportReport, SubmitError> {
        self.shared.import_blocks(scanner)
    }

    /// Builds the block index anew from the block files, after [`open`](Self::open) with `reindex`, or if an earlier
    /// reindex was not finished. Does nothing otherwise.
    ///
    /// # Errors
    /// The node's disk fails.
    pub fn reindex_block_files(&self) -> Result<ImportReport, SubmitError> {
        self.shared.reindex_block_files()
    }

    /// Enters the blocks that reached their file, but not the index, before an earlier run was killed, and connects what
    /// they make. So a block whose acceptance was reported stays, as long as the machine itself did. Costs nothing after
    /// an orderly end.
    ///
    /// # Errors
    /// The node's disk fails.
    pub fn recover_blocks(&self) -> Result<ImportReport, SubmitError> {
        self.shared.recover_blocks()
    }

    /// Makes long tasks and waits end soon. The chainstate stays usable.
    pub fn interrupt(&self) {
        self.shared.options.interrupt.store(true, Ordering::Relaxed);
        let mut tip = self
            .shared
            .tip
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        tip.closed = true;
        drop(tip);
        self.shared.tip_changed.notify_all();
    }

    /// Ends waits, writes everything to disk, and says so to listeners. Called again, it flushes again.
    ///
    /// # Errors
    /// The disk is full or a database failed.
    pub fn close(&self) -> Result<(), SubmitError> {
        self.interrupt();
        self.shared.flush_all()
    }

    /// Checks the last `blocks` (0: all) blocks of the active chain at `level` 0 to 4 (`verifychain`).
    ///
    /// # Errors
    /// What is wrong, for people; or that the level needs more memory than `-dbcache` gives.
    pub fn verify_chain(&self, level: u32, blocks: u32) -> Result<(), VerifyError> {
        self.shared.verify_chain(level, blocks)
    }
}

fn chain_tip(state: &State, id: BlockId) -> ChainTip {
    let entry = state.tree.entry(id);
    let fork = state.chain.fork_point(&state.tree, id);
    let fork_height = fork.map_or(0, |fork| state.tree.entry(fork).height);
    let status = if state.chain.contains(&state.tree, id) {
        ChainTipStatus::Active
    } else if entry.failed() {
        ChainTipStatus::Invalid
    } else if entry.chain_tx == 0 {
        ChainTipStatus::HeadersOnly
    } else if entry.is_valid(Validity::Scripts) {
        ChainTipStatus::ValidFork
    } else if entry.is_valid(Validity::Tree) {
        ChainTipStatus::ValidHeaders
    } else {
        ChainTipStatus::Unknown
    };
    ChainTip {
        hash: entry.hash,
        height: entry.height,
        branch_len: entry.height - fork_height,
        status,
    }
}
