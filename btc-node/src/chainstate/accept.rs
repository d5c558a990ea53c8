//! Headers and blocks on their way in.

use bitcoin::block::Header;
use bitcoin::consensus::serialize;
use bitcoin::{Block, BlockHash};
use btc_consensus::header::check_proof_of_work;
use btc_consensus::params::BuriedDeployment;
use btc_consensus::{
    BlockContext, BlockError, BlockFault, CheckBlockOptions, HashedBlock, HeaderContext,
    HeaderError, check_hashed_block, contextual_check_hashed_block, contextual_check_header,
};

use super::coins_cache::Overlay;
use super::connect::{ConnectError, connect_block, connect_context};
use super::error::{BlockRejection, SubmitError};
use super::flush::FlushMode;
use super::options::SubmitOptions;
use super::state::{Shared, State};
use super::summary::Accepted;
use super::text::verdict;
use super::view::TreeView;
use crate::chain::BlockId;
use crate::chain::record::FilePos;
use crate::notify::Event;

/// How far ahead of the tip a block that nobody asked for may lie.
const MAX_BLOCKS_AHEAD: u32 = 288;

/// Every rule that needs no context.
pub(super) const CHECK_ALL: CheckBlockOptions = CheckBlockOptions {
    check_pow: true,
    check_merkle_root: true,
};

/// A block on its way in.
pub(super) struct Incoming<'a> {
    pub(super) block: &'a HashedBlock,
    /// Whether it was asked for.
    pub(super) force: bool,
    /// Where it lies already, if it was found in a block file: its place and length.
    pub(super) stored: Option<(FilePos, u32)>,
}

/// Which chains a block is on.
#[derive(Clone, Copy)]
struct Standing {
    active: bool,
    validated: bool,
}

impl Standing {
    fn of(state: &State, id: BlockId) -> Self {
        Self {
            active: state.chain.contains(&state.tree, id),
            validated: state.validated_chain().contains(&state.tree, id),
        }
    }
}

impl Shared {
    /// The clock in the width that headers use.
    fn now(&self) -> u32 {
        u32::try_from(self.clock.now().max(0)).unwrap_or(u32::MAX)
    }

    pub(super) fn submit_header(&self, header: &Header) -> Result<u32, SubmitError> {
        let mut state = self.lock_for_change()?;
        let id = self.accept_header(&mut state, header)?;
        let height = state.tree.entry(id).height;
        self.notify_header_tip(&mut state);
        self.check_consistency(&mut state)?;
        Ok(height)
    }

    pub(super) fn submit_block(
        &self,
        block: HashedBlock,
        options: SubmitOptions,
    ) -> Result<Accepted, SubmitError> {
        let taken = self.check_and_store(&block, options.force);
        if let Err(SubmitError::Rejected(BlockRejection::Rule(error))) = &taken {
            // Tools look for the name of this step in bitcoind.
            tracing::error!("ProcessNewBlock: AcceptBlock FAILED ({})", verdict(error));
        }
        let (id, new, was) = taken?;
        let hash = block.hash();
        // A copy of a block that is there already was not checked in its context: the one on disk counts.
        let rejected = self.activate(new.then_some(&block))?;
        self.advance_background()?;
        if let Some((_, error)) = rejected.into_iter().find(|(rejected, _)| *rejected == hash) {
            return Err(error.into());
        }
        let state = self.lock();
        let entry = state.tree.entry(id);
        if entry.failed() {
            // Another thread connected it first, or an ancestor of it turned out invalid.
            return Err(HeaderError::DuplicateInvalid(hash).into());
        }
        let is = Standing::of(&state, id);
        let tip = state.chain.tip() == Some(id);
        Ok(Accepted {
            hash,
            height: entry.height,
            new,
            active: is.active,
            connected: (is.active && !was.active) || (is.validated && !was.validated),
            tip,
        })
    }

    /// Stores a block that breaks no rule that can be told before it is connected; says whether it did, and where the
    /// block stands so far.
    fn check_and_store(
        &self,
        block: &HashedBlock,
        force: bool,
    ) -> Result<(BlockId, bool, Standing), SubmitError> {
        // A copy with wrong transactions says nothing about the block: nothing is remembered of it, not even the header.
        check_hashed_block(block, &CHECK_ALL, &self.options.params)?;
        let mut state = self.lock_for_change()?;
        let incoming = Incoming {
            block,
            force,
            stored: None,
        };
        let accepted = self.accept_block(&mut state, &incoming);
        self.notify_header_tip(&mut state);
        let (id, new) = accepted?;
        let standing = Standing::of(&state, id);
        Ok((id, new, standing))
    }

    /// Adds a header to the tree, unless it breaks a rule.
    pub(super) fn accept_header(
        &self,
        state: &mut State,
        header: &Header,
    ) -> Result<BlockId, HeaderError> {
        let hash = header.block_hash();
        if let Some(id) = state.tree.find(&hash) {
            if !state.tree.entry(id).failed() {
                return Ok(id);
            }
            tracing::debug!(target: "validation", "AcceptBlockHeader: block {hash} is marked invalid");
            return Err(HeaderError::DuplicateInvalid(hash));
        }
        // Tools look for the names of these steps in bitcoind.
        let refused = |step: &str, error: HeaderError| {
            tracing::debug!(
                target: "validation",
                "AcceptBlockHeader: Consensus::{step}: {hash}, {}",
                verdict(&error.into())
            );
            error
        };
        check_proof_of_work(header, &self.options.params)
            .map_err(|error| refused("CheckBlockHeader", error))?;
        let previous = header.prev_blockhash;
        let Some(prev) = state.tree.find(&previous) else {
            tracing::debug!(target: "validation", "header {hash} has prev block not found: {previous}");
            return Err(HeaderError::PrevNotFound);
        };
        if state.tree.entry(prev).failed() {
            tracing::debug!(target: "validation", "header {hash} has prev block invalid: {previous}");
            return Err(HeaderError::PrevInvalid);
        }
        let context = HeaderContext {
            params: &self.options.params,
            prev: &TreeView::new(&state.tree, prev),
            now: self.now(),
        };
        contextual_check_header(header, &context)
            .map_err(|error| refused("ContextualCheckBlockHeader", error))?;
        Ok(state.tree.insert(hash, *header))
    }

    /// Stores a block that passed [`check_hashed_block`], unless it breaks a rule or is not worth it; says whether it did.
    pub(super) fn accept_block(
        &self,
        state: &mut State,
        incoming: &Incoming<'_>,
    ) -> Result<(BlockId, bool), SubmitError> {
        let block = incoming.block;
        let id = self.accept_header(state, &block.header)?;
        if !self.is_wanted(state, id, incoming.force) {
            return Ok((id, false));
        }
        if let Err(error) = self.check_in_context(state, id, block) {
            self.mark_invalid(state, id, &error);
            return Err(error.into());
        }
        let (height, time) = (state.tree.entry(id).height, block.header.time);
        let pos = match incoming.stored {
            Some((pos, len)) => {
                state.files.adopt_block(pos, len, height, time);
                pos
            }
            None => match state
                .files
                .write_block(&serialize(&**block.block()), height, time)
            {
                Ok(pos) => pos,
                Err(error) => return Err(self.fail(state, error)),
            },
        };
        self.receive_block(state, id, block, pos);
        self.flush_state(state, FlushMode::PruneOnly)?;
        Ok((id, true))
    }

    /// Notes where a block lies, and which blocks may be connected now that it is there.
    pub(super) fn receive_block(
        &self,
        state: &mut State,
        id: BlockId,
        block: &Block,
        pos: FilePos,
    ) {
        let height = state.tree.entry(id).height;
        let segwit = self
            .options
            .params
            .is_active(BuriedDeployment::Segwit, height);
        state.tree.modify(id).set_data(pos, segwit);
        let n_tx = u32::try_from(block.txdata.len()).unwrap_or(u32::MAX);
        for linked in state.tree.receive_block(id, n_tx) {
            // Its rank changes: it must not be among the candidates meanwhile.
            state.candidates.remove(&state.tree, linked);
            state.tree.set_sequence(linked, state.next_sequence);
            state.next_sequence = state.next_sequence.saturating_add(1);
            state.consider_candidate(linked);
        }
    }

    /// Whether a block is to be stored: not if it is there, nor, unless it was asked for, if it is unlikely to be of use.
    fn is_wanted(&self, state: &State, id: BlockId, force: bool) -> bool {
        let entry = state.tree.entry(id);
        if entry.data().is_some() {
            return false;
        }
        if force {
            return true;
        }
        let tip = state.tree.entry(state.tip_id());
        entry.n_tx == 0
            && entry.chainwork >= tip.chainwork
            && entry.height <= tip.height.saturating_add(MAX_BLOCKS_AHEAD)
            && entry.chainwork >= self.options.minimum_chain_work
    }

    fn check_in_context(
        &self,
        state: &State,
        id: BlockId,
        block: &HashedBlock,
    ) -> Result<(), BlockError> {
        let entry = state.tree.entry(id);
        let context = BlockContext {
            params: &self.options.params,
            height: entry.height,
            prev_median_time: entry
                .prev
                .map_or(0, |prev| state.tree.median_time_past(prev)),
        };
        contextual_check_hashed_block(block, &context)
    }

    /// Remembers that a block breaks a rule, unless only this copy of it may.
    pub(super) fn mark_invalid(&self, state: &mut State, id: BlockId, error: &BlockError) {
        if error.fault() == BlockFault::Mutated {
            return;
        }
        state.candidates.remove(&state.tree, id);
        state.tree.modify(id).set_failed(true);
        self.invalid_chain_found(state, id);
    }

    /// Tells of a new best header.
    pub(super) fn notify_header_tip(&self, state: &mut State) {
        let best = state.tree.best_header();
        if best == state.notified_header {
            return;
        }
        state.notified_header = best;
        if let Some(entry) = best.map(|best| state.tree.entry(best)) {
            self.notifier.send(Event::HeaderTip {
                hash: entry.hash,
                height: entry.height,
                time: entry.time(),
            });
        }
    }

    pub(super) fn test_block_validity(
        &self,
        block: &HashedBlock,
        check_pow: bool,
        check_merkle_root: bool,
    ) -> Result<(), SubmitError> {
        let mut state = self.lock_for_change()?;
        let tip = state.tip_id();
        if block.header.prev_blockhash != state.tree.entry(tip).hash {
            return Err(BlockRejection::NotOnTip.into());
        }
        let params = &self.options.params;
        check_hashed_block(
            block,
            &CheckBlockOptions {
                check_pow,
                check_merkle_root,
            },
            params,
        )?;
        let State { tree, coins, .. } = &mut *state;
        let prev = TreeView::new(tree, tip);
        contextual_check_header(
            &block.header,
            &HeaderContext {
                params,
                prev: &prev,
                now: self.now(),
            },
        )?;
        let block_context = BlockContext {
            params,
            height: tree.entry(tip).height + 1,
            prev_median_time: tree.median_time_past(tip),
        };
        contextual_check_hashed_block(block, &block_context)?;
        let mut overlay = Overlay::new(coins);
        let context = connect_context(&self.options, &prev, true);
        match connect_block(block, &mut overlay, &context, &self.checks, &self.scripts) {
            Ok(_) => Ok(()),
            Err(ConnectError::Invalid(error)) => Err(error.into()),
            Err(ConnectError::Store(error)) => Err(self.fail(&mut state, error)),
        }
    }

    /// The block of a hash.
    pub(super) fn find(state: &State, hash: &BlockHash) -> Result<BlockId, SubmitError> {
        state
            .tree
            .find(hash)
            .ok_or(SubmitError::UnknownBlock(*hash))
    }
}
