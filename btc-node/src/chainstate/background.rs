//! Validation of what a UTXO snapshot takes for granted: a second chain, from the genesis block to the snapshot's.
//!
//! It has one target, so there is nothing to choose: it follows the snapshot block's ancestors as they come in. What it
//! connects is told as [`Event::HistoricalBlockConnected`], so that indexes can begin at the beginning.

use std::sync::Arc;

use bitcoin::Block;
use btc_consensus::{HashedBlock, check_hashed_block};

use super::accept::CHECK_ALL;
use super::coins_cache::{CoinsCache, Overlay};
use super::connect::{
    ConnectError, Undone, connect_block, connect_context, disconnect_block, is_genesis,
    must_check_scripts,
};
use super::error::SubmitError;
use super::flush::FlushMode;
use super::state::{Shared, State};
use super::view::TreeView;
use crate::chain::{ActiveChain, BlockId, Validity};
use crate::notify::{BlockEvent, Event};
use crate::store::StoreError;

/// Blocks after which a word about the progress is due.
const LOG_INTERVAL: u32 = 2000;

/// The chain that is validated while the node already uses what a snapshot says.
pub(super) struct Background {
    pub(super) chain: ActiveChain,
    pub(super) coins: CoinsCache,
    /// The snapshot's block.
    pub(super) target: BlockId,
}

/// What a step came to.
enum Step {
    Moved,
    /// The next block is not there yet, or there is nothing to validate.
    Waiting,
    /// The target is the tip.
    Done,
    /// A block is invalid, so the snapshot's chain is.
    Invalid(String),
}

impl Shared {
    /// Connects what there is for the chain below a snapshot; compares its coins with the snapshot's at the end.
    pub(super) fn advance_background(&self) -> Result<(), SubmitError> {
        loop {
            if self.lock().background.is_none() || self.interrupted() {
                return Ok(());
            }
            self.notifier
                .wait_for_room(super::activate::LISTENER_PATIENCE);
            let mut state = self.lock_for_change()?;
            let step = match self.background_step(&mut state) {
                Ok(step) => step,
                Err(error) => return Err(self.fail(&mut state, error)),
            };
            match step {
                Step::Moved => self.flush_state(&mut state, FlushMode::IfNeeded)?,
                Step::Waiting => return self.flush_state(&mut state, FlushMode::Periodic),
                Step::Done => {
                    drop(state);
                    self.validate_snapshot()?;
                    // What branches off below the snapshot may be chosen from now on.
                    return self.activate(None).map(drop);
                }
                Step::Invalid(reason) => return Err(self.reject_snapshot(&mut state, &reason)),
            }
        }
    }

    fn background_step(&self, state: &mut State) -> Result<Step, StoreError> {
        let State {
            tree, background, ..
        } = &mut *state;
        let Some(Background { chain, target, .. }) = background else {
            return Ok(Step::Waiting);
        };
        let Some(tip) = chain.tip() else {
            return Ok(Step::Waiting);
        };
        if tip == *target {
            return Ok(Step::Done);
        }
        if !tree.is_ancestor(tip, *target) {
            // What was the active chain before the snapshot came had left the snapshot's.
            self.undo_background_tip(state, tip)?;
            return Ok(Step::Moved);
        }
        let next = tree.ancestor(*target, tree.entry(tip).height + 1);
        let Some((id, pos)) = next.and_then(|id| Some((id, tree.entry(id).data()?))) else {
            return Ok(Step::Waiting);
        };
        let hash = tree.entry(id).hash;
        let block = Arc::new(self.reader.read_block(pos, &hash)?);
        match self.connect_in_background(state, tip, id, &block) {
            Ok(()) => {}
            Err(ConnectError::Store(error)) => return Err(error),
            Err(ConnectError::Invalid(error)) => {
                let reason = format!("block {hash} is invalid: {}", error.reject_reason());
                return Ok(Step::Invalid(reason));
            }
        }
        let entry = state.tree.entry(id);
        if entry.height.is_multiple_of(LOG_INTERVAL) {
            tracing::info!(
                target: "validation",
                "[background validation] UpdateTip: new best={hash} height={} tx={}",
                entry.height,
                entry.chain_tx
            );
        }
        self.notifier
            .send(Event::HistoricalBlockConnected(BlockEvent {
                block,
                hash,
                height: entry.height,
                time_max: entry.time_max,
                validated: true,
            }));
        Ok(Step::Moved)
    }

    fn connect_in_background(
        &self,
        state: &mut State,
        tip: BlockId,
        id: BlockId,
        block: &Arc<Block>,
    ) -> Result<(), ConnectError> {
        let block = HashedBlock::new(Arc::clone(block));
        check_hashed_block(&block, &CHECK_ALL, &self.options.params)?;
        let State {
            tree,
            background,
            files,
            ..
        } = state;
        let Some(Background { chain, coins, .. }) = background else {
            return Ok(());
        };
        if is_genesis(&self.options, &block.hash()) {
            coins.set_best_block(block.hash());
            chain.set_tip(tree, Some(id));
            return Ok(());
        }
        let check_scripts = must_check_scripts(tree, &self.options, id).is_some();
        let prev = TreeView::new(tree, tip);
        let context = connect_context(&self.options, &prev, check_scripts);
        let mut overlay = Overlay::new(coins);
        let undo = connect_block(&block, &mut overlay, &context, &self.checks, &self.scripts)?;
        let entry = tree.entry(id);
        let height = entry.height;
        if let (None, Some(pos)) = (entry.undo(), entry.data()) {
            let pos = files.write_undo(pos.file, height, &block.header.prev_blockhash, &undo)?;
            tree.modify(id).set_undo(pos.offset);
        }
        if !tree.entry(id).is_valid(Validity::Scripts) {
            tree.modify(id).raise_validity(Validity::Scripts);
        }
        overlay.commit();
        chain.set_tip(tree, Some(id));
        Ok(())
    }

    fn undo_background_tip(&self, state: &mut State, tip: BlockId) -> Result<(), StoreError> {
        let State {
            tree, background, ..
        } = state;
        let Some(Background { chain, coins, .. }) = background else {
            return Ok(());
        };
        let entry = tree.entry(tip);
        let corrupt = |reason: &str| StoreError::corrupt(format!("block {}", entry.hash), reason);
        let missing = || corrupt("no data to disconnect it with");
        let pos = entry.data().ok_or_else(missing)?;
        let undo_pos = entry.undo().ok_or_else(missing)?;
        let block = self.reader.read_block(pos, &entry.hash)?;
        let undo = self
            .reader
            .read_undo(undo_pos, &block.header.prev_blockhash)?;
        let mut overlay = Overlay::new(coins);
        if disconnect_block(&block, entry.height, undo, &mut overlay)? == Undone::Unclean {
            return Err(corrupt("the coins are not those that it left"));
        }
        overlay.commit();
        chain.set_tip(tree, entry.prev);
        Ok(())
    }
}
