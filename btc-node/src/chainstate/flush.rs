//! What reaches the disk, when, and in which order.
//!
//! Blocks and undo records first, then the block index that points to them, then the coins whose best block is in the
//! index: a stop at any point leaves each naming only what is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;
use bitcoin::secp256k1::rand::{Rng, thread_rng};

use super::error::SubmitError;
use super::state::{Shared, State};
use crate::notify::Event;
use crate::store::StoreError;
use crate::store::coins_db::CoinsDb;
use crate::store::flat_file::check_disk_space;

/// Time between periodic writes, in minutes; drawn at random so that nodes do not all write at once.
const WRITE_MINUTES: std::ops::Range<u64> = 50..70;
/// Bytes that a coin may take on disk: twice its usual size, in the log and again in a table.
const COIN_ON_DISK: u64 = 48 * 2 * 2;

/// One flush in so many is followed by a compaction of the coins: about every two weeks, as in Core.
const FLUSHES_PER_COMPACTION: u32 = 320;

/// Why a flush may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlushMode {
    /// Between two blocks: only if memory is over its budget.
    IfNeeded,
    /// After the chain was brought up to date: if memory is nearly used up or time has passed.
    Periodic,
    /// Now, keeping coins in memory.
    Always,
    /// Only if block files are to be deleted.
    PruneOnly,
}

/// When the next periodic write is due.
pub(super) fn next_write() -> Instant {
    Instant::now() + Duration::from_secs(60 * thread_rng().gen_range(WRITE_MINUTES))
}

impl Shared {
    /// Flushes if `mode` says so.
    pub(super) fn flush_state(
        &self,
        state: &mut State,
        mode: FlushMode,
    ) -> Result<(), SubmitError> {
        let (mempool_used, mempool_limit) = self
            .mempool
            .get()
            .map_or((0, 0), |mempool| mempool.memory());
        let (active_budget, background_budget) = self.coins_budgets(state);
        let budget = active_budget + mempool_limit.saturating_sub(mempool_used);
        let used = state.coins.memory_usage();
        let nearly_full = (budget / 10 * 9).max(budget.saturating_sub(10 << 20));
        let (write, empty) = match mode {
            FlushMode::IfNeeded => (used > budget, true),
            FlushMode::Periodic if used > nearly_full => (true, true),
            FlushMode::Periodic => (Instant::now() >= state.next_write, false),
            FlushMode::Always => (true, false),
            FlushMode::PruneOnly => (false, false),
        };
        let background_full = mode != FlushMode::PruneOnly
            && (state.background.as_ref())
                .is_some_and(|background| background.coins.memory_usage() > background_budget);
        let prune = self.files_over_target(state);
        if !write && !background_full && prune.is_empty() {
            return Ok(());
        }
        let keep = Keep {
            active: !empty,
            background: !background_full,
        };
        let mut written = write_out(state, &self.options.dirs.net, keep);
        if written.is_ok() && !prune.is_empty() {
            written = Self::prune_files(state, &prune);
        }
        if let Err(error) = written {
            return Err(self.fail(state, error));
        }
        state.next_write = next_write();
        if let Some(tip) = state
            .coins
            .best_block()
            .and_then(|best| state.tree.find(&best))
        {
            self.notifier.send(Event::ChainFlushed {
                locator: state.tree.locator(tip),
            });
        }
        let compact = write
            && !self.interrupted()
            && !self.is_initial_download()
            && thread_rng().gen_range(0..FLUSHES_PER_COMPACTION) == 0;
        if compact && let Err(error) = state.coins.db().compact_in_background() {
            tracing::warn!("Failed to start chainstate compaction ({error})");
        }
        Ok(())
    }

    pub(super) fn flush_all(&self) -> Result<(), SubmitError> {
        let mut state = self.lock_for_change()?;
        self.flush_state(&mut state, FlushMode::Always)
    }

    /// Flushes, and gives the database with the block that it holds the coins of.
    pub(super) fn flushed_tip(&self) -> Result<(BlockHash, u32, Arc<CoinsDb>), SubmitError> {
        let mut state = self.lock_for_change()?;
        self.flush_state(&mut state, FlushMode::Always)?;
        let tip = state.tree.entry(state.tip_id());
        Ok((tip.hash, tip.height, Arc::clone(state.coins.db())))
    }
}

/// Which coins stay in memory once they are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    active: bool,
    background: bool,
}

/// Writes everything, in order.
pub(super) fn write_out(
    state: &mut State,
    net_dir: &std::path::Path,
    keep: Keep,
) -> Result<(), StoreError> {
    check_disk_space(state.files.dir(), 0)?;
    state.files.flush()?;
    write_index(state)?;
    if state.coins.best_block().is_some() {
        check_disk_space(net_dir, COIN_ON_DISK * state.coins.dirty_len() as u64)?;
        state.coins.flush(keep.active)?;
    }
    if let Some(background) = &mut state.background
        && background.coins.best_block().is_some()
    {
        check_disk_space(net_dir, COIN_ON_DISK * background.coins.dirty_len() as u64)?;
        background.coins.flush(keep.background)?;
    }
    Ok(())
}

/// Writes what changed in the block index.
pub(super) fn write_index(state: &mut State) -> Result<(), StoreError> {
    let files = state.files.take_dirty();
    let blocks = state.tree.take_dirty();
    if files.is_empty() && blocks.is_empty() {
        return Ok(());
    }
    let records = blocks.iter().map(|id| {
        let entry = state.tree.entry(*id);
        (entry.hash, entry.record())
    });
    let written = state.index.write(&files, state.files.last_file(), records);
    if written.is_err() {
        state
            .files
            .restore_dirty(files.iter().map(|(file, _)| *file));
        state.tree.restore_dirty(blocks);
    }
    written
}
