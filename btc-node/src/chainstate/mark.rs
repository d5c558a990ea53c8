//! Blocks that the user declares invalid, valid again, or precious.

use bitcoin::BlockHash;

use super::error::SubmitError;
use super::state::{Shared, State};
use crate::chain::BlockId;

/// Disconnected blocks beyond which their transactions are not worth returning to the mempool.
const MAX_READD_BLOCKS: u32 = 10;

impl Shared {
    pub(super) fn invalidate_block(&self, hash: &BlockHash) -> Result<(), SubmitError> {
        let mut guard = self.lock_for_change()?;
        let state = &mut *guard;
        let id = Self::find(state, hash)?;
        if state.tree.entry(id).prev.is_none() {
            return Err(SubmitError::Genesis);
        }
        self.check_data_from(state, id)?;
        let before = state.chain.tip();
        let disconnected = self.disconnect_through(state, id);
        if state.chain.tip() != before {
            self.announce_tip(state, before);
        }
        disconnected?;
        state.candidates.remove(&state.tree, id);
        state.tree.modify(id).set_failed(true);
        self.invalid_chain_found(state, id);
        // The new tip, and whatever is as good, were no candidates while the invalid block was better.
        self.collect_candidates(state);
        drop(guard);
        self.activate_best_chain(None)
    }

    /// Whether the active chain can be taken back to before `id`.
    fn check_data_from(&self, state: &State, id: BlockId) -> Result<(), SubmitError> {
        let mut walk = state.chain.tip();
        while state.chain.contains(&state.tree, id)
            && let Some(entry) = walk.map(|walk| state.tree.entry(walk))
            && entry.height >= state.tree.entry(id).height
        {
            if entry.data().is_none() || entry.undo().is_none() {
                return Err(SubmitError::CannotDisconnect(entry.hash));
            }
            walk = entry.prev;
        }
        Ok(())
    }

    /// Disconnects until `id` is not on the active chain, marking each block as it goes: a node stopped in between
    /// finds them invalid when it starts again.
    fn disconnect_through(&self, state: &mut State, id: BlockId) -> Result<(), SubmitError> {
        let mut count = 0;
        while state.chain.contains(&state.tree, id) {
            let tip = state.tip_id();
            let result = self.disconnect_tip(state);
            count += 1;
            let readd = result.is_ok() && count <= MAX_READD_BLOCKS;
            self.with_mempool(state, |mempool, view| mempool.reorg_finished(view, readd));
            result?;
            state.candidates.remove(&state.tree, tip);
            state.tree.modify(tip).set_failed(true);
        }
        Ok(())
    }

    pub(super) fn reconsider_block(&self, hash: &BlockHash) -> Result<(), SubmitError> {
        let mut guard = self.lock_for_change()?;
        let state = &mut *guard;
        let id = Self::find(state, hash)?;
        let related: Vec<BlockId> = state
            .tree
            .ids()
            .filter(|other| {
                state.tree.entry(*other).failed()
                    && (state.tree.is_ancestor(id, *other) || state.tree.is_ancestor(*other, id))
            })
            .collect();
        for other in related {
            state.tree.modify(other).set_failed(false);
            if state.best_invalid == Some(other) {
                state.best_invalid = None;
            }
            if state.is_connectable(other) {
                state.consider_candidate(other);
            }
        }
        state.tree.recalculate_best_header();
        drop(guard);
        self.activate_best_chain(None)
    }

    pub(super) fn precious_block(&self, hash: &BlockHash) -> Result<(), SubmitError> {
        let mut guard = self.lock_for_change()?;
        let state = &mut *guard;
        let id = Self::find(state, hash)?;
        let tip_work = state.tree.entry(state.tip_id()).chainwork;
        if state.tree.entry(id).chainwork < tip_work {
            // There is a better chain: nothing to prefer.
            return Ok(());
        }
        if tip_work > state.precious_work {
            // The chain grew since the last call: start anew.
            state.precious_sequence = -1;
        }
        state.precious_work = tip_work;
        state.candidates.remove(&state.tree, id);
        let sequence = state.precious_sequence;
        state.tree.set_sequence(id, sequence);
        state.precious_sequence = sequence.saturating_sub(1);
        if state.is_connectable(id) {
            state.candidates.insert(&state.tree, id);
            let tip = state.tip_id();
            state.candidates.prune(&state.tree, tip);
        }
        drop(guard);
        self.activate_best_chain(None)
    }
}
