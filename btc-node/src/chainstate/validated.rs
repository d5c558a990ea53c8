//! The chain that took nothing for granted: the active one, but below a UTXO snapshot the one that is validated there.
//!
//! Indexes follow it, since they need every block from the genesis block on. When the snapshot is validated
//! ([`Event::SnapshotValidated`](crate::notify::Event)) it goes on as the active chain, which contains what it was.

use std::sync::Arc;

use bitcoin::BlockHash;

use super::manager::ChainstateManager;
use super::state::State;
use super::summary::BlockSummary;
use crate::chain::BlockId;
use crate::store::StoreError;

/// The chain all of whose blocks were validated.
impl ChainstateManager {
    /// Its last block.
    pub fn validated_tip(&self) -> BlockSummary {
        let state = self.shared.lock();
        state.summary(validated_tip(&state))
    }

    /// Its block after the last one that it shares with the chain of `block`, after nothing the genesis block; `None` if
    /// it ends there, or `block` is not known.
    pub fn next_validated(&self, block: Option<&BlockHash>) -> Option<BlockSummary> {
        let state = self.shared.lock();
        let chain = state.validated_chain();
        let next = match block {
            None => chain.at(0)?,
            Some(hash) => {
                let fork = chain.fork_point(&state.tree, state.tree.find(hash)?)?;
                chain.next(&state.tree, fork)?
            }
        };
        Some(state.summary(next))
    }

    /// Calls `function` with its last block. No event is sent meanwhile, so what is decided there holds for all events
    /// that come after it.
    pub fn with_validated_tip<R>(&self, function: impl FnOnce(&BlockHash) -> R) -> R {
        let state = self.shared.lock();
        function(&state.tree.entry(validated_tip(&state)).hash)
    }

    /// The block up to which its coins on disk go; `None` if none were written yet.
    ///
    /// # Errors
    /// The database failed.
    pub fn last_validated_flushed(&self) -> Result<Option<BlockHash>, StoreError> {
        let db = {
            let state = self.shared.lock();
            let below = state.background.as_ref();
            Arc::clone(below.map_or(&state.coins, |below| &below.coins).db())
        };
        db.best_block()
    }
}

fn validated_tip(state: &State) -> BlockId {
    let tip = state.validated_chain().tip();
    // A chain below a snapshot gets its genesis block when the chainstate is opened, as the active one does.
    tip.unwrap_or_else(|| state.tip_id())
}
