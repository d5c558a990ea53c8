//! Old block files, deleted to stay within a target or on demand (`-prune`, `pruneblockchain`).
//!
//! The order makes it safe to be killed at any point: first everything in memory is written, so that no coin on disk
//! needs a block that goes; then a block index that does not speak of the files any more; then the files are deleted.
//! Files left over by a kill in between go at the next start.

use std::collections::BTreeMap;

use bitcoin::BlockHash;

use super::error::SubmitError;
use super::flush::{FlushMode, write_index};
use super::manager::ChainstateManager;
use super::state::{Shared, State};
use super::summary::BlockSummary;
use crate::chain::{BlockEntry, BlockId};
use crate::store::StoreError;
use crate::store::block_files::{BLOCK_CHUNK, FileInfo, UNDO_CHUNK};
use crate::store::index_db::PRUNED_FLAG;

/// Blocks before the tip that are always kept: deeper reorganizations are not expected. Peers count on them, too
/// (`NODE_NETWORK_LIMITED`, BIP 159).
pub const MIN_BLOCKS_TO_KEEP: u32 = 288;
/// Blocks kept before the first that a lock holds, so that its owner can follow a reorganization.
const LOCK_BUFFER: u32 = 10;
/// What a block is reckoned to take, in bytes, while the node is far behind.
const AVERAGE_BLOCK: u64 = 1_000_000;

/// What old block files are deleted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneTarget {
    /// Only when told to: `-prune=1`, [`ChainstateManager::prune_up_to`].
    Manual,
    /// To keep all block files below so many bytes, at least [`LEAST`](Self::LEAST).
    Bytes(u64),
}

impl PruneTarget {
    /// The least that files can be kept below: 550 MiB hold the blocks that are always kept and what they need.
    pub const LEAST: u64 = 550 << 20;
}

/// What the state knows of pruning.
#[derive(Debug)]
pub(super) struct Pruning {
    /// Whether files were ever deleted from this directory.
    pub(super) happened: bool,
    /// The first height that each owner still needs.
    locks: BTreeMap<String, u32>,
}

impl Pruning {
    /// In a directory from which files were deleted before, or not.
    pub(super) fn new(happened: bool) -> Self {
        Self {
            happened,
            locks: BTreeMap::new(),
        }
    }

    /// The last height that locks let go, of a chain of `height`.
    fn last_unlocked(&self, height: u32) -> u32 {
        let mut last = height;
        for (name, first) in &self.locks {
            let limit = first.saturating_sub(LOCK_BUFFER + 1);
            if limit <= last {
                // Height 0 would let nothing go for ever: the first block is never what a lock is about.
                last = limit.max(1);
                tracing::debug!(target: "prune", "{name} limited pruning to height {last}");
            }
        }
        last
    }

    /// Moves locks back that began at or after a block that was disconnected: their owners go back, too.
    pub(super) fn disconnected(&mut self, height: u32) {
        let latest = height.saturating_sub(1);
        for (name, first) in &mut self.locks {
            if *first > latest {
                *first = latest;
                tracing::debug!(target: "prune", "{name} prune lock moved back to {latest}");
            }
        }
    }
}

/// The heights whose blocks may go.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u32,
    last: u32,
}

impl Range {
    /// Up to `last` as far as the blocks that are always kept allow: of the active chain, and of the one that is validated
    /// below a snapshot, up to whose block the active chain's are not for it to judge.
    fn all(state: &State, last: u32) -> Vec<Self> {
        let up_to = |height: Option<u32>| {
            let kept = height.unwrap_or(0).saturating_sub(MIN_BLOCKS_TO_KEEP);
            last.min(kept)
        };
        let background = state.background.as_ref();
        let mut ranges = vec![Self {
            first: background.map_or(0, |below| state.tree.entry(below.target).height + 1),
            last: up_to(state.chain.height()),
        }];
        ranges.extend(background.map(|below| Self {
            first: 0,
            last: up_to(below.chain.height()),
        }));
        ranges
    }

    fn covers(self, info: &FileInfo) -> bool {
        info.size > 0 && info.height_last <= self.last && info.height_first >= self.first
    }
}

impl Shared {
    /// The files that are to go now to meet the target. Looks only if files grew since it was last asked.
    pub(super) fn files_over_target(&self, state: &mut State) -> Vec<u32> {
        let Some(target) = self.options.prune else {
            return Vec::new();
        };
        if !state.files_indexed || !state.files.take_grown() {
            return Vec::new();
        }
        let PruneTarget::Bytes(target) = target else {
            return Vec::new();
        };
        let target = target.max(PruneTarget::LEAST);
        let height = state.chain.height().unwrap_or(0);
        if height <= self.options.params.prune_after_height {
            return Vec::new();
        }
        let mut usage = state.files.usage();
        // Files grow in steps, and this is looked at after a step: the next one must fit as well.
        let mut buffer = BLOCK_CHUNK + UNDO_CHUNK;
        let ranges = Range::all(state, state.pruning.last_unlocked(height));
        let mut chosen = Vec::new();
        if usage + buffer >= target {
            let ahead = self.best_header_height(state).saturating_sub(height);
            if self.is_initial_download() {
                // Each time costs a flush of the coins: while far behind, more goes at once.
                buffer += AVERAGE_BLOCK * u64::from(ahead);
            }
            for (file, info) in state.files.finished() {
                if usage + buffer < target {
                    break;
                }
                if ranges.iter().any(|range| range.covers(info)) {
                    usage -= u64::from(info.size) + u64::from(info.undo_size);
                    chosen.push(file);
                }
            }
        }
        tracing::debug!(
            target: "prune",
            "target={}MiB actual={}MiB diff={}MiB {ranges:?} removed {} blk/rev pairs",
            target >> 20,
            usage >> 20,
            (i128::from(target) - i128::from(usage)) >> 20,
            chosen.len(),
        );
        chosen
    }

    /// Deletes block files. Everything else in memory must have been written.
    pub(super) fn prune_files(state: &mut State, files: &[u32]) -> Result<(), StoreError> {
        if !state.pruning.happened {
            state.index.set_flag(PRUNED_FLAG, true)?;
            state.pruning.happened = true;
        }
        state.tree.forget_data(|file| files.contains(&file));
        for file in files {
            state.files.forget(*file);
        }
        write_index(state)?;
        state.files.unlink(files.iter().copied());
        Ok(())
    }

    fn prune_up_to(&self, height: u32) -> Result<(), SubmitError> {
        let mut state = self.lock_for_change()?;
        if self.options.prune.is_none() || height == 0 {
            return Ok(());
        }
        let tip = state.chain.height().unwrap_or(0);
        let last = height.min(state.pruning.last_unlocked(tip));
        let ranges = Range::all(&state, last);
        let files = state.files.finished();
        let chosen: Vec<u32> = files
            .filter(|(_, info)| ranges.iter().any(|range| range.covers(info)))
            .map(|(file, _)| file)
            .collect();
        if !chosen.is_empty() {
            self.flush_state(&mut state, FlushMode::Always)?;
            if let Err(error) = Self::prune_files(&mut state, &chosen) {
                return Err(self.fail(&mut state, error));
            }
        }
        tracing::info!(
            "Prune (Manual): prune_height={} removed {} blk/rev pairs",
            last.min(tip.saturating_sub(MIN_BLOCKS_TO_KEEP)),
            chosen.len()
        );
        Ok(())
    }
}

/// The first block of the unbroken stretch that ends in `upper` and is `stored`; `None` if not even `upper` is.
fn first_stored(
    state: &State,
    upper: BlockId,
    stored: impl Fn(&BlockEntry) -> bool,
) -> Option<BlockId> {
    let mut first = Some(upper).filter(|id| stored(state.tree.entry(*id)))?;
    while let Some(prev) = state.tree.entry(first).prev
        && stored(state.tree.entry(prev))
    {
        first = prev;
    }
    Some(first)
}

/// Pruning, as those see it whose work needs old blocks.
impl ChainstateManager {
    /// What old block files are deleted for; `None` if they are kept.
    pub fn prune_target(&self) -> Option<PruneTarget> {
        self.shared.options.prune
    }

    /// Whether block files were ever deleted from this directory.
    pub fn have_pruned(&self) -> bool {
        self.shared.lock().pruning.happened
    }

    /// The height of the last block of the active chain that lacks its data or its undo record; `None` if there is none.
    /// The genesis block, which has nothing to undo, does not count.
    pub fn prune_height(&self) -> Option<u32> {
        let state = self.shared.lock();
        let tip = state.tip_id();
        let height = state.tree.entry(tip).height;
        let whole = |entry: &BlockEntry| entry.data().is_some() && entry.undo().is_some();
        let last = match first_stored(&state, tip, whole) {
            Some(first) => state.tree.entry(first).height.saturating_sub(1),
            None => height,
        };
        (last > 0).then_some(last)
    }

    /// The first block of the unbroken stretch up to `upper` that is on disk, with its undo record too if `undo` says so
    /// (the genesis block has none and counts as if it had). `None`: `upper` itself is not there, or not known.
    pub fn first_stored(&self, upper: &BlockHash, undo: bool) -> Option<BlockSummary> {
        let state = self.shared.lock();
        let upper = state.tree.find(upper)?;
        let first = first_stored(&state, upper, |entry| {
            entry.data().is_some() && (!undo || entry.undo().is_some() || entry.height == 0)
        })?;
        Some(state.summary(first))
    }

    /// Deletes the block files that hold only blocks up to `height`, as far as locks and [`MIN_BLOCKS_TO_KEEP`] allow.
    /// Does nothing unless the node prunes.
    ///
    /// # Errors
    /// The disk failed.
    pub fn prune_up_to(&self, height: u32) -> Result<(), SubmitError> {
        self.shared.prune_up_to(height)
    }

    /// Deletes the block files that are too much for the target, if there is one.
    ///
    /// # Errors
    /// The disk failed.
    pub fn prune_to_target(&self) -> Result<(), SubmitError> {
        let mut state = self.shared.lock_for_change()?;
        state.files.set_grown();
        self.shared.flush_state(&mut state, FlushMode::PruneOnly)
    }

    /// Keeps the blocks from `first_height` on, and a few before, until the lock of this name is set to another height or
    /// [removed](Self::remove_prune_lock). An index sets it to the height of its best block whenever that moves. When
    /// blocks are disconnected, locks move back with the tip by themselves.
    pub fn set_prune_lock(&self, name: &str, first_height: u32) {
        let mut state = self.shared.lock();
        state.pruning.locks.insert(name.to_owned(), first_height);
    }

    /// Takes a lock away; says whether there was one.
    pub fn remove_prune_lock(&self, name: &str) -> bool {
        self.shared.lock().pruning.locks.remove(name).is_some()
    }
}
