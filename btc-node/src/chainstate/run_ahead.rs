//! Blocks connected above the tip while the scripts of those before them are checked.
//!
//! Checking scripts is most of the work, and needs nothing of what connecting a block changes. So while threads are at
//! the scripts of the next block, those after it are read, checked against the coins as the blocks before leave them,
//! and their scripts handed in as well.
//!
//! **Nothing can tell that this happened.** What is worked out here stays here: each block's [`Changes`] lie beside the
//! coins cache and not in it, and tip, index, undo files, mempool and listeners hear nothing. A block leaves only by
//! [`RunAhead::finish_first`], which gives the block that follows the tip, once all of its scripts are good; whoever
//! takes it changes the chainstate exactly as if it had just been connected. Hence:
//!
//! - A block with a bad script is never given, nor are those above it: the error is, and all is dropped.
//! - A block that cannot be connected ahead, whatever the reason, is not kept: when its turn comes it is connected
//!   again, and what is wrong is found and told then.
//! - What is here holds for one tip. If the tip or the way on is another by now, all is dropped.

use std::collections::VecDeque;

use btc_consensus::HashedBlock;

use super::checks::CheckQueue;
use super::coins_cache::{Changes, CoinsCache, Overlay};
use super::connect::{ConnectError, ScriptChecks, connect_block_unproven, connect_context};
use super::options::Options;
use super::script_cache::ScriptCache;
use super::view::TreeView;
use crate::chain::{BlockId, BlockTree};
use crate::store::undo::BlockUndo;

/// Most blocks that wait behind the first.
const MOST_BLOCKS: usize = 16;
/// With so many inputs waiting behind the first block no other joins them. A full block has some thousands, so at most
/// one such is held besides the first.
const ENOUGH_INPUTS: usize = 1000;

/// A block above the tip with what it does.
pub(super) struct Connected {
    pub(super) id: BlockId,
    pub(super) block: HashedBlock,
    pub(super) undo: BlockUndo,
    pub(super) changes: Changes,
    prev: BlockId,
    scripts: ScriptChecks,
}

/// The blocks that were connected above the tip, in order, each on the one before.
#[derive(Default)]
pub(super) struct RunAhead {
    blocks: VecDeque<Connected>,
}

/// What connecting a block takes besides the coins.
pub(super) struct Rules<'a> {
    pub(super) tree: &'a BlockTree,
    pub(super) options: &'a Options,
    pub(super) checks: &'a CheckQueue,
    pub(super) cache: &'a std::sync::Arc<ScriptCache>,
}

impl RunAhead {
    /// Forgets what does not begin with the block `next` on top of `tip`.
    pub(super) fn keep(&mut self, tip: BlockId, next: BlockId) {
        let first = self.blocks.front();
        if first.is_some_and(|first| (first.prev, first.id) != (tip, next)) {
            self.blocks.clear();
        }
    }

    /// The last block.
    pub(super) fn last(&self) -> Option<BlockId> {
        self.blocks.back().map(|last| last.id)
    }

    /// Whether another block may join.
    pub(super) fn has_room(&self) -> bool {
        let behind = self.blocks.iter().skip(1);
        self.blocks.len() <= MOST_BLOCKS
            && behind.map(|block| block.scripts.len()).sum::<usize>() < ENOUGH_INPUTS
    }

    /// Connects a block on top of the last, or on `prev`, the tip, if there is none.
    ///
    /// # Errors
    /// The rule that it breaks, or a failure of the disk; it did not join then.
    pub(super) fn push(
        &mut self,
        prev: BlockId,
        id: BlockId,
        block: HashedBlock,
        coins: &mut CoinsCache,
        check_scripts: bool,
        rules: &Rules<'_>,
    ) -> Result<(), ConnectError> {
        debug_assert!(self.last().is_none_or(|last| last == prev));
        let view = TreeView::new(rules.tree, prev);
        let context = connect_context(rules.options, &view, check_scripts);
        let between = self.blocks.iter().rev().map(|block| &block.changes);
        let mut overlay = Overlay::above(coins, between);
        let (undo, scripts) =
            connect_block_unproven(&block, &mut overlay, &context, rules.checks, rules.cache)?;
        let changes = overlay.into_changes();
        self.blocks.push_back(Connected {
            id,
            block,
            undo,
            changes,
            prev,
            scripts,
        });
        Ok(())
    }

    /// The first block, once all of its scripts are good; `None` if there is no block.
    ///
    /// # Errors
    /// A script that is not, or a failure of the checks. Nothing is left here then.
    pub(super) fn finish_first(&mut self) -> Result<Option<Connected>, ConnectError> {
        let Some(first) = self.blocks.pop_front() else {
            return Ok(None);
        };
        first
            .scripts
            .finish()
            .inspect_err(|_| self.blocks.clear())?;
        Ok(Some(first))
    }
}
