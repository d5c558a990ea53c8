//! The last blocks, checked again: on starting (`-checkblocks`, `-checklevel`) and on demand (`verifychain`).

use std::sync::Arc;

use btc_consensus::{HashedBlock, check_block};

use super::accept::CHECK_ALL;
use super::coins_cache::Overlay;
use super::connect::{Undone, connect_block, connect_context, disconnect_block};
use super::flush::FlushMode;
use super::state::{Shared, State};
use super::summary::VerifyError;
use super::view::TreeView;
use crate::chain::BlockId;
use crate::notify::Event;

impl Shared {
    pub(super) fn verify_chain(&self, level: u32, blocks: u32) -> Result<(), VerifyError> {
        let mut state = self.lock();
        let result = self.verify_blocks(&mut state, level, blocks);
        // The check read coins into memory that nobody may need again.
        if state.failed.is_none()
            && let Err(error) = self.flush_state(&mut state, FlushMode::IfNeeded)
        {
            return Err(VerifyError::Corrupted(error.to_string()));
        }
        result
    }

    /// Level 0 reads the blocks, 1 checks them, 2 reads their undo records, 3 disconnects them in memory, and 4 connects
    /// them again. Levels 3 and 4 stop early if they would need more memory than the coins may take.
    fn verify_blocks(&self, state: &mut State, level: u32, blocks: u32) -> Result<(), VerifyError> {
        let Some(height) = state.chain.height() else {
            return Ok(());
        };
        let depth = if blocks == 0 || blocks > height {
            height
        } else {
            blocks
        };
        let level = level.min(4);
        tracing::info!(target: "validation", "Verifying last {depth} blocks at level {level}");
        let State {
            tree,
            chain,
            coins,
            snapshot,
            ..
        } = state;
        let mut overlay = Overlay::new(coins);
        let mut within_memory = true;
        // Blocks that were disconnected in memory, the highest first.
        let mut undone: Vec<BlockId> = Vec::new();
        // Connecting again takes about as long as the way down.
        let whole = u64::from(depth) * if level >= 4 { 2 } else { 1 };
        let mut told = 0;
        let mut progress = |done: u64| {
            let percent = (done * 100 / whole.max(1)).min(99) as u8;
            if percent / 10 > told / 10 {
                told = percent;
                self.tell_verifying(percent);
            }
        };
        let top = height;
        let mut complete = true;
        let mut checked = depth;
        for height in (top - depth + 1..=top).rev() {
            if self.interrupted() {
                return Err(VerifyError::Interrupted);
            }
            progress(u64::from(top - height));
            let Some(id) = chain.at(height) else { break };
            let entry = tree.entry(id);
            let hash = entry.hash;
            let bad = |what: &str, error: &dyn std::fmt::Display| {
                let message =
                    format!("Verification error: {what} at {height}, hash={hash} ({error})");
                tracing::error!(target: "validation", "{message}");
                VerifyError::Corrupted(message)
            };
            // Old blocks may have been deleted, or not be there yet below a snapshot; the snapshot's own block may be
            // there before it was connected, without what it takes to undo it.
            let partial = self.options.prune.is_some() || snapshot.is_some();
            let whole = entry.data().is_some() && (level < 2 || entry.undo().is_some());
            if partial && !whole {
                tracing::info!(
                    target: "validation",
                    "Block verification stopping at height {height} (no data). This could be due to pruning or use \
                     of an assumeutxo snapshot."
                );
                complete = false;
                checked = top - height;
                break;
            }
            let Some(pos) = entry.data() else {
                return Err(bad("ReadBlock failed", &"no block data"));
            };
            let block = self
                .reader
                .read_block(pos, &hash)
                .map_err(|error| bad("ReadBlock failed", &error))?;
            if level >= 1 {
                check_block(&block, &CHECK_ALL, &self.options.params)
                    .map_err(|error| bad("found bad block", &error.reject_reason()))?;
            }
            if level < 2 {
                continue;
            }
            let Some(undo_pos) = entry.undo() else {
                return Err(bad("found bad undo data", &"no undo data"));
            };
            let undo = self
                .reader
                .read_undo(undo_pos, &block.header.prev_blockhash)
                .map_err(|error| bad("found bad undo data", &error))?;
            if level < 3 || !within_memory {
                continue;
            }
            if overlay.memory_usage() > self.coins_budget {
                tracing::warn!(
                    target: "validation",
                    "Skipped verification of level >=3 (insufficient database cache size). Consider increasing -dbcache."
                );
                within_memory = false;
                continue;
            }
            match disconnect_block(&block, height, undo, &mut overlay) {
                Ok(Undone::Clean) => undone.push(id),
                Ok(Undone::Unclean) => {
                    return Err(bad(
                        "coin database inconsistencies found",
                        &"coins are not those that it left",
                    ));
                }
                Err(error) => return Err(bad("irrecoverable inconsistency in block data", &error)),
            }
        }
        if level >= 4 && within_memory {
            for (count, id) in (0_u64..).zip(undone.into_iter().rev()) {
                if self.interrupted() {
                    return Err(VerifyError::Interrupted);
                }
                progress(u64::from(depth) + count);
                let entry = tree.entry(id);
                let (Some(pos), Some(prev)) = (entry.data(), entry.prev) else {
                    break;
                };
                let bad = |error: &dyn std::fmt::Display| {
                    VerifyError::Corrupted(format!(
                        "Verification error: found unconnectable block at {}, hash={} ({error})",
                        entry.height, entry.hash
                    ))
                };
                let block = self
                    .reader
                    .read_block(pos, &entry.hash)
                    .map_err(|error| bad(&error))?;
                let prev = TreeView::new(tree, prev);
                let context = connect_context(&self.options, &prev, true);
                connect_block(
                    &HashedBlock::new(Arc::new(block)),
                    &mut overlay,
                    &context,
                    &self.checks,
                    &self.scripts,
                )
                .map_err(|error| bad(&error))?;
            }
        }
        self.tell_verifying(100);
        tracing::info!(target: "validation", "Verification: checked last {checked} blocks at level {level}");
        match (within_memory, complete) {
            (true, true) => Ok(()),
            (true, false) => Err(VerifyError::MissingBlocks),
            (false, _) => Err(VerifyError::TooLittleMemory),
        }
    }

    fn tell_verifying(&self, percent: u8) {
        self.notifier.send(Event::Progress {
            title: "Verifying blocks…".to_owned(),
            percent,
        });
    }
}
