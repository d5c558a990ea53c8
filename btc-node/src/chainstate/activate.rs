//! The choice of the best chain, and the way there.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bitcoin::{Block, BlockHash};
use btc_consensus::{BlockError, BlockFault, HashedBlock};

use super::coins_cache::Overlay;
use super::connect::{ConnectError, Undone, disconnect_block, is_genesis, must_check_scripts};
use super::error::SubmitError;
use super::flush::FlushMode;
use super::read_ahead::Place;
use super::run_ahead::{Connected, Rules, RunAhead};
use super::state::{Shared, State};
use super::text::{iso8601, log2_work, verdict};
use crate::chain::candidates::Rank;
use crate::chain::{BlockId, Validity};
use crate::notify::{BlockEvent, Event};
use crate::store::StoreError;
use crate::store::undo::BlockUndo;

/// How long slow listeners may hold up the next block.
pub(super) const LISTENER_PATIENCE: Duration = Duration::from_secs(10);

/// Blocks that were found invalid on the way, with the rule that each breaks.
pub(super) type Rejected = Vec<(BlockHash, BlockError)>;

impl Shared {
    /// Brings the active chain to the best one known. `block` saves reading a block that is at hand from disk.
    pub(super) fn activate(&self, block: Option<&HashedBlock>) -> Result<Rejected, SubmitError> {
        let mut rejected = Rejected::new();
        let mut target = None;
        let mut ahead = RunAhead::default();
        loop {
            // No lock is held here: a listener that calls the node finds it free.
            self.notifier.wait_for_room(LISTENER_PATIENCE);
            let mut state = self.lock_for_change()?;
            let moved = self.advance(&mut state, &mut target, &mut ahead, block, &mut rejected)?;
            if !moved || state.candidates.best() == state.chain.tip() {
                self.check_consistency(&mut state)?;
                self.flush_state(&mut state, FlushMode::Periodic)?;
                return Ok(rejected);
            }
            drop(state);
            if self.interrupted() {
                return Ok(rejected);
            }
        }
    }

    pub(super) fn activate_best_chain(
        &self,
        block: Option<&HashedBlock>,
    ) -> Result<(), SubmitError> {
        self.activate(block)?;
        self.advance_background()
    }

    /// Moves to a better tip, or finds that there is none. The lock is kept until the tip is at least as good as before,
    /// so nobody sees a reorganization half done. `target` keeps the chosen block from one call to the next: on the way
    /// to a far one, looking for it each time would take longer than going there.
    fn advance(
        &self,
        state: &mut State,
        target: &mut Option<BlockId>,
        ahead: &mut RunAhead,
        block: Option<&HashedBlock>,
        rejected: &mut Rejected,
    ) -> Result<bool, SubmitError> {
        let start = state.chain.tip();
        let start_rank = state.tip_rank();
        let mut moved = false;
        loop {
            // Between two calls the lock was free: the block may be invalid by now, or not the best any more.
            let still_good = target.filter(|id| {
                !state.tree.entry(*id).failed()
                    && Some(Rank::of(&state.tree, *id)) > state.tip_rank()
            });
            let Some(best) = still_good.or_else(|| self.most_work_chain(state)) else {
                break;
            };
            *target = Some(best);
            if state.chain.tip() == Some(best) {
                break;
            }
            let step = self.step_towards(state, best, ahead, block, rejected);
            moved = true;
            if let Err(error) = step {
                self.announce_tip(state, start);
                return Err(error);
            }
            if state.tip_rank() >= start_rank && state.chain.tip() != start {
                break;
            }
        }
        if moved {
            self.announce_tip(state, start);
        }
        Ok(moved)
    }

    /// Disconnects down to the fork with `target`'s chain and connects blocks of it until the tip has more work than it
    /// had, the target is reached, or a block turns out invalid.
    fn step_towards(
        &self,
        state: &mut State,
        target: BlockId,
        ahead: &mut RunAhead,
        block: Option<&HashedBlock>,
        rejected: &mut Rejected,
    ) -> Result<(), SubmitError> {
        let start_work = state.chain.tip().map(|tip| state.tree.entry(tip).chainwork);
        let fork = state.chain.fork_point(&state.tree, target);
        let mut disconnected = false;
        while state.chain.tip() != fork {
            if let Err(error) = self.disconnect_tip(state) {
                self.with_mempool(state, |mempool, view| mempool.reorg_finished(view, false));
                return Err(error);
            }
            disconnected = true;
        }
        while state.chain.tip() != Some(target) {
            let next = state.chain.height().map_or(0, |height| height + 1);
            let Some(id) = state.tree.ancestor(target, next) else {
                break;
            };
            let at_hand = block.filter(|block| block.hash() == state.tree.entry(id).hash);
            match self.connect_tip(state, id, target, ahead, at_hand) {
                Ok(()) => {
                    let tip = state.tip_id();
                    state.candidates.prune(&state.tree, tip);
                    if start_work.is_none_or(|work| state.tree.entry(tip).chainwork > work) {
                        break;
                    }
                }
                Err(ConnectError::Invalid(error)) if error.fault() == BlockFault::Mutated => {
                    // Only whole blocks are stored, so the disk gave back other bytes than it was given.
                    let reason = "Corrupt block found indicating potential hardware failure.";
                    let hash = state.tree.entry(id).hash;
                    let error = StoreError::corrupt(format!("block {hash}"), reason);
                    return Err(self.fail_step(state, disconnected, error));
                }
                Err(ConnectError::Invalid(error)) => {
                    let hash = state.tree.entry(id).hash;
                    let verdict = verdict(&error);
                    tracing::info!("Block validation error: {verdict}");
                    tracing::error!(target: "validation", "ConnectBlock {hash} failed, {verdict}");
                    self.mark_invalid(state, id, &error);
                    self.notifier.send(Event::BlockInvalid {
                        hash,
                        reason: error.reject_reason().into_owned(),
                    });
                    rejected.push((hash, error));
                    break;
                }
                Err(ConnectError::Store(error)) => {
                    return Err(self.fail_step(state, disconnected, error));
                }
            }
        }
        if disconnected {
            self.with_mempool(state, |mempool, view| mempool.reorg_finished(view, true));
        }
        self.warn_about_invalid_chain(state);
        Ok(())
    }

    /// Ends a step that the disk failed: the mempool is left fit for the tip that there is.
    fn fail_step(&self, state: &mut State, disconnected: bool, error: StoreError) -> SubmitError {
        if disconnected {
            self.with_mempool(state, |mempool, view| mempool.reorg_finished(view, false));
        }
        self.fail(state, error)
    }

    /// The best candidate all of whose blocks are there and not known to be invalid.
    fn most_work_chain(&self, state: &mut State) -> Option<BlockId> {
        loop {
            let best = state.candidates.best()?;
            if let Some(below) = &state.background
                && !state.tree.is_ancestor(below.target, best)
            {
                // What lies below a snapshot cannot be undone yet. Those on other branches come back once it can.
                state.candidates.remove(&state.tree, best);
                continue;
            }
            // Everything on the active chain is fine: walk until there.
            let mut chain = Vec::new();
            let mut walk = Some(best);
            let mut broken = None;
            while let Some(id) = walk.filter(|id| !state.chain.contains(&state.tree, *id)) {
                let entry = state.tree.entry(id);
                chain.push(id);
                if entry.failed() || (entry.data().is_none() && entry.prev.is_some()) {
                    broken = Some(entry.failed());
                    break;
                }
                walk = entry.prev;
            }
            let Some(failed) = broken else {
                return Some(best);
            };
            if failed {
                self.note_best_invalid(state, best);
            }
            for id in chain {
                if !failed && state.tree.entry(id).data().is_some() {
                    state.tree.add_unlinked(id);
                }
                state.candidates.remove(&state.tree, id);
            }
        }
    }

    /// Connects the block after the tip, on the way to `target`.
    fn connect_tip(
        &self,
        state: &mut State,
        id: BlockId,
        target: BlockId,
        ahead: &mut RunAhead,
        at_hand: Option<&HashedBlock>,
    ) -> Result<(), ConnectError> {
        let hash = state.tree.entry(id).hash;
        if is_genesis(&self.options, &hash) {
            // Its outputs cannot be spent: nothing is connected.
            state.coins.set_best_block(hash);
            state.chain.set_tip(&state.tree, Some(id));
            return Ok(());
        }
        ahead.keep(state.tip_id(), id);
        if ahead.last().is_none() {
            self.connect_ahead(state, id, target, ahead, at_hand)?;
        }
        if self.checks.has_threads() && self.options.connect_ahead {
            self.extend_run(state, target, ahead);
        }
        // From here on the block is good: nothing before this has left a trace.
        match ahead.finish_first()? {
            Some(connected) => self.commit_block(state, connected),
            None => Ok(()),
        }
    }

    /// Connects blocks after the last that is connected ahead while the scripts of the first are checked. One that fails
    /// is tried again when it is its turn.
    fn extend_run(&self, state: &mut State, target: BlockId, ahead: &mut RunAhead) {
        while ahead.has_room() {
            let next = ahead.last().and_then(|last| {
                let next = state
                    .tree
                    .ancestor(target, state.tree.entry(last).height + 1)?;
                state.tree.entry(next).data().and(Some(next))
            });
            let Some(next) = next else {
                return;
            };
            if self
                .connect_ahead(state, next, target, ahead, None)
                .is_err()
            {
                return;
            }
        }
    }

    /// Connects one block on top of the last that is connected ahead, or of the tip.
    fn connect_ahead(
        &self,
        state: &mut State,
        id: BlockId,
        target: BlockId,
        ahead: &mut RunAhead,
        at_hand: Option<&HashedBlock>,
    ) -> Result<(), ConnectError> {
        let entry = state.tree.entry(id);
        let (hash, height) = (entry.hash, entry.height);
        let missing = || StoreError::corrupt("block index", format!("block {hash} has no data"));
        let prev = entry.prev.ok_or_else(missing)?;
        let block = match at_hand {
            Some(block) => block.clone(),
            None => {
                let pos = entry.data().ok_or_else(missing)?;
                state.read_ahead(target, height);
                state.ahead.take(Place { pos, hash })?
            }
        };
        let why = must_check_scripts(&state.tree, &self.options, id);
        state.tell_of_scripts(id, why);
        let check_scripts = why.is_some();
        let rules = Rules {
            tree: &state.tree,
            options: &self.options,
            checks: &self.checks,
            cache: &self.scripts,
        };
        ahead.push(prev, id, block, &mut state.coins, check_scripts, &rules)
    }

    /// Makes a block that was connected on the tip, and whose scripts are good, the tip.
    fn commit_block(&self, state: &mut State, connected: Connected) -> Result<(), ConnectError> {
        let Connected {
            id,
            block,
            undo,
            changes,
            ..
        } = connected;
        let State { tree, files, .. } = state;
        let entry = tree.entry(id);
        let (hash, height, time_max) = (entry.hash, entry.height, entry.time_max);
        if let (None, Some(pos)) = (entry.undo(), entry.data()) {
            let pos = files.write_undo(pos.file, height, &block.header.prev_blockhash, &undo)?;
            tree.modify(id).set_undo(pos.offset);
        }
        if !tree.entry(id).is_valid(Validity::Scripts) {
            tree.modify(id).raise_validity(Validity::Scripts);
        }
        state.coins.apply(changes);
        state.chain.set_tip(&state.tree, Some(id));
        // The chain is moved before a flush may fail: what is in memory stays consistent either way.
        self.flush_state(state, FlushMode::IfNeeded)
            .map_err(flush_error)?;
        self.with_mempool(state, |mempool, view| {
            mempool.block_connected(&block, height, view)
        });
        self.tip_moved(state);
        *self
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some((hash, Arc::clone(block.block())));
        self.notifier.send(Event::BlockConnected(BlockEvent {
            block: Arc::clone(block.block()),
            hash,
            height,
            time_max,
            validated: state.background.is_none(),
        }));
        Ok(())
    }

    /// Disconnects the tip.
    pub(super) fn disconnect_tip(&self, state: &mut State) -> Result<(), SubmitError> {
        let (block, event) = match self.undo_tip(state) {
            Ok(done) => done,
            Err(error) => {
                return Err(self.fail_saying(state, "Failed to disconnect block.", error));
            }
        };
        self.flush_state(state, FlushMode::IfNeeded)?;
        self.with_mempool(state, |mempool, view| {
            mempool.block_disconnected(&block, event.height, view)
        });
        self.tip_moved(state);
        self.notifier.send(Event::BlockDisconnected(event));
        Ok(())
    }

    /// Takes the tip's effect on the coins back, and the tip off the chain.
    fn undo_tip(&self, state: &mut State) -> Result<(Arc<Block>, BlockEvent), StoreError> {
        let id = state.tip_id();
        let entry = state.tree.entry(id);
        let (hash, height, time_max) = (entry.hash, entry.height, entry.time_max);
        let corrupt = |reason: &str| StoreError::corrupt(format!("block {hash}"), reason);
        let prev = entry
            .prev
            .ok_or_else(|| corrupt("the genesis block cannot be disconnected"))?;
        let pos = entry
            .data()
            .ok_or_else(|| corrupt("no block data to disconnect it with"))?;
        let undo_pos = entry
            .undo()
            .ok_or_else(|| corrupt("no undo data to disconnect it with"))?;
        let block = Arc::new(self.reader.read_block(pos, &hash)?);
        let undo: BlockUndo = self
            .reader
            .read_undo(undo_pos, &block.header.prev_blockhash)?;
        let mut overlay = Overlay::new(&mut state.coins);
        if disconnect_block(&block, height, undo, &mut overlay)? == Undone::Unclean {
            return Err(corrupt("the coins are not those that it left"));
        }
        overlay.commit();
        state.chain.set_tip(&state.tree, Some(prev));
        state.pruning.disconnected(height);
        Ok((
            Arc::clone(&block),
            BlockEvent {
                block,
                hash,
                height,
                time_max,
                validated: state.background.is_none(),
            },
        ))
    }

    /// What follows every move of the tip.
    fn tip_moved(&self, state: &State) {
        self.update_initial_download(state);
        let tip = state.summary(state.tip_id());
        tracing::info!(
            target: "validation",
            // There are as many as there are blocks, which cost more to make than a line.
            unlimited = true,
            "UpdateTip: new best={} height={} version=0x{:08x} log2_work={:.6} tx={} date='{}' progress={:.6} cache={:.1}MiB({}txo)",
            tip.hash,
            tip.height,
            tip.header.version.to_consensus(),
            log2_work(tip.chainwork),
            tip.chain_tx,
            iso8601(tip.time),
            self.verification_progress(&tip, self.best_header_height(state)),
            state.coins.memory_usage() as f64 / f64::from(1 << 20),
            state.coins.len(),
        );
    }

    pub(super) fn best_header_height(&self, state: &State) -> u32 {
        state
            .tree
            .best_header()
            .map_or(0, |best| state.tree.entry(best).height)
    }

    /// Publishes the tip and tells listeners, if it is another than `before`.
    pub(super) fn announce_tip(&self, state: &State, before: Option<BlockId>) {
        let tip = state.tip_id();
        let summary = state.summary(tip);
        if before != Some(tip) {
            let fork = before.and_then(|before| state.tree.last_common_ancestor(before, tip));
            self.notifier.send(Event::TipChanged {
                hash: summary.hash,
                height: summary.height,
                fork_height: fork.map_or(0, |fork| state.tree.entry(fork).height),
                initial_download: self
                    .initial_download
                    .load(std::sync::atomic::Ordering::Relaxed),
            });
        }
        self.tip
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .summary = summary;
        self.tip_changed.notify_all();
    }

    /// Remembers the invalid block with the most work.
    pub(super) fn note_best_invalid(&self, state: &mut State, id: BlockId) {
        let work = |id| state.tree.entry(id).chainwork;
        if state.best_invalid.is_none_or(|best| work(best) < work(id)) {
            state.best_invalid = Some(id);
        }
    }

    /// Marks what builds on an invalid block, and looks for another best header if it was that one's ancestor.
    pub(super) fn invalid_chain_found(&self, state: &mut State, id: BlockId) {
        self.note_best_invalid(state, id);
        let descendants: Vec<_> = state
            .tree
            .ids()
            .filter(|other| {
                *other != id
                    && !state.tree.entry(*other).failed()
                    && state.tree.is_ancestor(id, *other)
            })
            .collect();
        for descendant in descendants {
            state.candidates.remove(&state.tree, descendant);
            state.tree.modify(descendant).set_failed(true);
        }
        if state
            .tree
            .best_header()
            .is_some_and(|best| state.tree.is_ancestor(id, best))
        {
            state.tree.recalculate_best_header();
        }
        let entry = state.tree.entry(id);
        tracing::info!(
            target: "validation",
            "InvalidChainFound: invalid block={} height={} log2_work={:.6} date={}",
            entry.hash,
            entry.height,
            log2_work(entry.chainwork),
            iso8601(entry.time()),
        );
        self.warn_about_invalid_chain(state);
    }

    /// Warns if an invalid chain is far longer than the active one: then this node may be the one that is wrong.
    fn warn_about_invalid_chain(&self, state: &State) {
        let (Some(invalid), Some(tip)) = (state.best_invalid, state.chain.tip()) else {
            return;
        };
        let tip = state.tree.entry(tip);
        let block_work = btc_consensus::Work::from_compact(tip.header.bits.to_consensus());
        let threshold = (0..6).fold(tip.chainwork, |work, _| work.saturating_add(block_work));
        if state.tree.entry(invalid).chainwork > threshold {
            tracing::warn!(
                target: "validation",
                "Found invalid chain more than 6 blocks longer than our best chain. This could be due to database \
                 corruption or consensus incompatibility with peers."
            );
        }
    }

    /// Adds every block that is at least as good as the tip to the candidates.
    pub(super) fn collect_candidates(&self, state: &mut State) {
        let tip = state.tip_rank();
        for id in state.tree.ids() {
            // The block of a snapshot is where its chain begins, whether it is there or not.
            let base = state.snapshot.is_some_and(|snapshot| snapshot.base == id);
            if (state.is_connectable(id) || base)
                && tip.is_none_or(|tip| Rank::of(&state.tree, id) >= tip)
            {
                state.candidates.insert(&state.tree, id);
            }
        }
    }
}

/// A failed flush while a block is connected: the failure is recorded already.
fn flush_error(error: SubmitError) -> ConnectError {
    match error {
        SubmitError::Store(error) => ConnectError::Store(error),
        other => ConnectError::Store(StoreError::corrupt("chainstate", other)),
    }
}
