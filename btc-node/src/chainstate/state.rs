//! What the chainstate's lock guards, and what stands beside it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use bitcoin::{Block, BlockHash};
use btc_consensus::pow::Work;
use btc_consensus::versionbits::ThresholdCache;

use super::background::Background;
use super::checks::CheckQueue;
use super::clock::Clock;
use super::coins_cache::CoinsCache;
use super::connect::ScriptsReason;
use super::error::SubmitError;
use super::options::Options;
use super::prune::Pruning;
use super::read_ahead::{self, Place, ReadAhead};
use super::script_cache::ScriptCache;
use super::snapshot::Snapshot;
use super::summary::BlockSummary;
use super::view::{MempoolHook, TipView};
use crate::chain::candidates::Rank;
use crate::chain::{ActiveChain, BlockId, BlockTree, Candidates, Validity};
use crate::notify::{Event, Notifier};
use crate::store::StoreError;
use crate::store::block_files::BlockFiles;
use crate::store::block_reader::BlockReader;
use crate::store::index_db::IndexDb;

/// Everything that changes when a block comes in.
pub(super) struct State {
    pub(super) tree: BlockTree,
    pub(super) chain: ActiveChain,
    pub(super) candidates: Candidates,
    pub(super) coins: CoinsCache,
    pub(super) files: BlockFiles,
    pub(super) ahead: ReadAhead,
    pub(super) index: IndexDb,
    /// The invalid block with the most work, to warn if the node may be on the wrong side of a split.
    pub(super) best_invalid: Option<BlockId>,
    /// Order of arrival of the next block.
    pub(super) next_sequence: i32,
    /// Order of arrival given to the next precious block, before all others.
    pub(super) precious_sequence: i32,
    /// Work of the tip when a block was last called precious.
    pub(super) precious_work: Work,
    /// The header last told of.
    pub(super) notified_header: Option<BlockId>,
    /// When the next periodic flush is due.
    pub(super) next_write: Instant,
    /// Whether the block files are all in the index; false during a reindex.
    pub(super) files_indexed: bool,
    pub(super) pruning: Pruning,
    /// The snapshot that the active chain was begun from, until it took the place of ordinary coins.
    pub(super) snapshot: Option<Snapshot>,
    /// What is validated below it.
    pub(super) background: Option<Background>,
    /// Why the scripts of the last block were run, as last told in the log; before the first, nothing was told.
    pub(super) told_of_scripts: Option<Option<ScriptsReason>>,
    /// Why nothing may be changed or written any more.
    pub(super) failed: Option<String>,
}

impl State {
    /// The tip. There always is one once the chainstate is open.
    pub(super) fn tip_id(&self) -> BlockId {
        self.chain
            .tip()
            .expect("opening connects the genesis block, and it is never disconnected")
    }

    /// The chain all of whose blocks were validated: that below a snapshot while there is one, else the active one.
    pub(super) fn validated_chain(&self) -> &ActiveChain {
        let below = self.background.as_ref();
        below.map_or(&self.chain, |below| &below.chain)
    }

    /// Tells in the log from which block on scripts are run, or not run any more. Above a snapshot that is not validated
    /// this says nothing of how much of the chain was.
    pub(super) fn tell_of_scripts(&mut self, id: BlockId, why: Option<ScriptsReason>) {
        if self.told_of_scripts == Some(why) || self.background.is_some() {
            return;
        }
        self.told_of_scripts = Some(why);
        let entry = self.tree.entry(id);
        let (height, hash) = (entry.height, entry.hash);
        match why {
            Some(why) => {
                tracing::info!("Enabling script verification at block #{height} ({hash}): {why}.");
            }
            None => tracing::info!("Disabling script verification at block #{height} ({hash})."),
        }
    }

    /// The rank of the tip among the candidates.
    pub(super) fn tip_rank(&self) -> Option<Rank> {
        self.chain.tip().map(|tip| Rank::of(&self.tree, tip))
    }

    /// Adds a block to the candidates if it is at least as good as the tip.
    pub(super) fn consider_candidate(&mut self, id: BlockId) {
        if self
            .tip_rank()
            .is_none_or(|tip| Rank::of(&self.tree, id) >= tip)
        {
            self.candidates.insert(&self.tree, id);
        }
    }

    /// Has the blocks read that follow the one at `height` on the way to `target`.
    pub(super) fn read_ahead(&mut self, target: BlockId, height: u32) {
        let tree = &self.tree;
        let following = (height + 1..=height + read_ahead::DEPTH).map_while(|height| {
            let entry = tree.entry(tree.ancestor(target, height)?);
            let pos = entry.data()?;
            let hash = entry.hash;
            Some(Place { pos, hash })
        });
        self.ahead.request(following);
    }

    /// Whether a block, with all before it, could be connected as far as is known.
    pub(super) fn is_connectable(&self, id: BlockId) -> bool {
        let entry = self.tree.entry(id);
        entry.is_valid(Validity::Transactions) && entry.chain_tx > 0
    }

    pub(super) fn summary(&self, id: BlockId) -> BlockSummary {
        let entry = self.tree.entry(id);
        let next = self.chain.next(&self.tree, id);
        BlockSummary {
            hash: entry.hash,
            header: entry.header,
            height: entry.height,
            time: entry.time(),
            median_time_past: self.tree.median_time_past(id),
            time_max: entry.time_max,
            chainwork: entry.chainwork,
            n_tx: entry.n_tx,
            chain_tx: entry.chain_tx,
            validity: entry.validity(),
            failed: entry.failed(),
            has_data: entry.data().is_some(),
            has_undo: entry.undo().is_some(),
            pruned: self.pruning.happened && entry.data().is_none() && entry.n_tx > 0,
            data_pos: entry.data().map(|pos| (pos.file, pos.offset)),
            active: self.chain.contains(&self.tree, id),
            next: next.map(|next| self.tree.entry(next).hash),
        }
    }
}

/// The tip as those see it who do not wait for the chainstate's lock.
pub(super) struct PublishedTip {
    pub(super) summary: BlockSummary,
    /// Set once waits should end.
    pub(super) closed: bool,
}

/// The state with what surrounds it.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) notifier: Arc<Notifier>,
    pub(super) reader: BlockReader,
    pub(super) mempool: OnceLock<Arc<dyn MempoolHook>>,
    pub(super) checks: CheckQueue,
    pub(super) scripts: Arc<ScriptCache>,
    /// The states of deployments, as far as they were asked for.
    pub(super) thresholds: Mutex<ThresholdCache>,
    /// Memory for coins, in bytes.
    pub(super) coins_budget: usize,
    /// Memory for a database of coins, in bytes.
    pub(super) coins_db_budget: usize,
    /// Whether a snapshot is being loaded.
    pub(super) loading_snapshot: AtomicBool,
    pub(super) state: Mutex<State>,
    pub(super) tip: Mutex<PublishedTip>,
    pub(super) tip_changed: Condvar,
    /// The block that was connected last: whoever is told of it wants to see it.
    pub(super) connected: Mutex<Option<(BlockHash, Arc<Block>)>>,
    pub(super) initial_download: AtomicBool,
    pub(super) importing: AtomicBool,
    /// How often a check of the whole index has been due.
    pub(super) index_checks: AtomicU32,
}

impl Shared {
    /// The state, whatever happened to it: for reading.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            // Whoever held it may have left it half changed: it may be looked at, but must not reach the disk.
            let mut state = poisoned.into_inner();
            state
                .failed
                .get_or_insert_with(|| "a thread panicked while it changed the chainstate".into());
            state
        })
    }

    /// The state, to be changed.
    pub(super) fn lock_for_change(&self) -> Result<MutexGuard<'_, State>, SubmitError> {
        let state = self.lock();
        match &state.failed {
            Some(reason) => Err(SubmitError::Failed(reason.clone())),
            None => Ok(state),
        }
    }

    /// Notes a failure of the disk after which the state must not be changed any more, and tells everyone.
    pub(super) fn fail(&self, state: &mut State, error: StoreError) -> SubmitError {
        let message = error.to_string();
        self.fail_saying(state, &message, error)
    }

    /// As [`fail`](Self::fail), where the user is told what the node could not do; the log tells why.
    pub(super) fn fail_saying(
        &self,
        state: &mut State,
        message: &str,
        error: StoreError,
    ) -> SubmitError {
        tracing::error!(target: "validation", "{error}");
        let message = message.to_owned();
        if state.failed.is_none() {
            state.failed = Some(message.clone());
            self.notifier.send(Event::Fatal { message });
        }
        SubmitError::Store(error)
    }

    /// Memory for the coins of the active chain and of the one below a snapshot, in bytes. Most goes to the one that has
    /// more to do.
    pub(super) fn coins_budgets(&self, state: &State) -> (usize, usize) {
        if state.background.is_none() {
            return (self.coins_budget, 0);
        }
        let little = self.coins_budget / 20;
        let most = self.coins_budget - little;
        if self.is_initial_download() {
            (most, little)
        } else {
            (little, most)
        }
    }

    /// Whether the node is still catching up.
    pub(super) fn is_initial_download(&self) -> bool {
        self.initial_download.load(Ordering::Relaxed)
    }

    pub(super) fn interrupted(&self) -> bool {
        self.options.interrupt.load(Ordering::Relaxed)
    }

    /// The tip with its coins.
    pub(super) fn view<'a>(&'a self, state: &'a State) -> TipView<'a> {
        TipView {
            tree: &state.tree,
            chain: &state.chain,
            coins: &state.coins,
            scripts: &self.scripts,
            params: &self.options.params,
            tip: state.tip_id(),
            thresholds: &self.thresholds,
        }
    }

    /// Calls the mempool, if there is one.
    pub(super) fn with_mempool(
        &self,
        state: &State,
        function: impl FnOnce(&dyn MempoolHook, &TipView<'_>),
    ) {
        if let Some(mempool) = self.mempool.get() {
            function(mempool.as_ref(), &self.view(state));
        }
    }

    /// Leaves initial download for good once the tip is recent and has enough work.
    pub(super) fn update_initial_download(&self, state: &State) {
        if !self.initial_download.load(Ordering::Relaxed) || self.importing.load(Ordering::Relaxed)
        {
            return;
        }
        let Some(tip) = state.chain.tip().map(|tip| state.tree.entry(tip)) else {
            return;
        };
        let max_age = i64::try_from(self.options.max_tip_age.as_secs()).unwrap_or(i64::MAX);
        let oldest = self.clock.now().saturating_sub(max_age);
        if tip.chainwork >= self.options.minimum_chain_work && i64::from(tip.time()) >= oldest {
            tracing::info!(target: "validation", "Leaving InitialBlockDownload (latching to false)");
            self.initial_download.store(false, Ordering::Relaxed);
        }
    }

    /// A guess of how much of the chain is verified at `tip`, from 0 to 1.
    pub(super) fn verification_progress(&self, tip: &BlockSummary, best_header_height: u32) -> f64 {
        const TWO_HOURS: i64 = 2 * 60 * 60;
        if tip.chain_tx == 0 {
            return 0.0;
        }
        let data = &self.options.params.tx_data;
        let now = self.clock.now();
        let done = tip.chain_tx as f64;
        // Close to the end, heights tell better than the times that miners set.
        let recent =
            (now - i64::from(tip.time)).abs() <= TWO_HOURS && best_header_height >= tip.height;
        let time = if recent {
            let spacing = i64::from(self.options.params.pow_target_spacing);
            now - i64::from(best_header_height - tip.height) * spacing
        } else {
            i64::from(tip.time)
        };
        let total = if tip.chain_tx <= data.tx_count {
            data.tx_count as f64 + (now - i64::from(data.time)) as f64 * data.tx_rate
        } else {
            done + (now - time) as f64 * data.tx_rate
        };
        (done / total).clamp(0.0, 1.0)
    }
}
