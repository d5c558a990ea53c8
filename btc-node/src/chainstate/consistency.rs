//! The rules that the block index and the candidates obey at all times, checked over the whole tree
//! (`-checkblockindex`). What breaks one is a bug, or memory that failed: the node stops before more comes of it.

use std::sync::atomic::Ordering;

use super::error::SubmitError;
use super::state::{Shared, State};
use crate::chain::candidates::Rank;
use crate::chain::entry::SEQUENCE_FROM_DISK;
use crate::chain::{BlockId, Validity};
use crate::store::StoreError;

/// What holds of a block or of one of those before it. What is only taken for granted below a snapshot's block does not
/// count for those above.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    failed: bool,
    /// Its data are not on disk.
    missing: bool,
    /// It was never on disk.
    unseen: bool,
    /// Its scripts were not run.
    unproven: bool,
}

/// Checks for one rule: gives its name if it does not hold.
fn rule(holds: bool, name: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(name) }
}

impl Shared {
    /// Does the check if its turn has come.
    ///
    /// # Errors
    /// A rule is broken; the chainstate takes nothing more.
    pub(super) fn check_consistency(&self, state: &mut State) -> Result<(), SubmitError> {
        let every = self.options.check_index;
        if every == 0 || !state.files_indexed {
            return Ok(());
        }
        let turn = self.index_checks.fetch_add(1, Ordering::Relaxed);
        if !turn.is_multiple_of(every) {
            return Ok(());
        }
        check(state).map_err(|(id, name)| {
            let hash = state.tree.entry(id).hash;
            let reason = format!("CheckBlockIndex: block {hash}: {name}");
            self.fail(state, StoreError::corrupt("block index", reason))
        })
    }
}

/// Checks every block. Parents come before children in the tree.
fn check(state: &State) -> Result<(), (BlockId, &'static str)> {
    let base = state.snapshot.map(|snapshot| snapshot.base);
    let mut pasts: Vec<Past> = Vec::with_capacity(state.tree.len());
    for id in state.tree.ids() {
        let entry = state.tree.entry(id);
        let before = match entry.prev {
            None => Past::default(),
            Some(prev) => {
                let past = pasts.get(prev.index());
                let past = *past.ok_or((id, "its parent comes after it"))?;
                if Some(prev) == base {
                    Past {
                        failed: past.failed,
                        ..Past::default()
                    }
                } else {
                    past
                }
            }
        };
        let past = Past {
            failed: before.failed || entry.failed(),
            missing: before.missing || entry.data().is_none(),
            unseen: before.unseen || entry.n_tx == 0,
            unproven: before.unproven
                || (entry.prev.is_some() && entry.validity() < Validity::Scripts),
        };
        pasts.push(past);
        check_entry(state, id, &past, base == Some(id)).map_err(|name| (id, name))?;
        check_candidate(state, id, &past, base == Some(id)).map_err(|name| (id, name))?;
    }
    Ok(())
}

/// Checks a block by itself and beside its parent.
fn check_entry(state: &State, id: BlockId, past: &Past, is_base: bool) -> Result<(), &'static str> {
    let entry = state.tree.entry(id);
    let stored = entry.data().is_some();
    let parent = entry.prev.map(|prev| state.tree.entry(prev));
    rule(
        entry.chain_tx > 0 || entry.sequence <= SEQUENCE_FROM_DISK,
        "it counts as received before its past was",
    )?;
    rule(
        !stored || entry.n_tx > 0,
        "it is on disk, but the number of its transactions is not known",
    )?;
    rule(
        state.pruning.happened || stored || entry.n_tx == 0,
        "its transactions are known, but it is not on disk, and nothing was pruned",
    )?;
    rule(
        stored || entry.undo().is_none(),
        "its undo record is on disk, but not the block",
    )?;
    rule(
        entry.validity() >= Validity::Tree,
        "its header was not checked",
    )?;
    rule(
        (entry.validity() >= Validity::Transactions) == (entry.n_tx > 0),
        "whether its transactions were checked does not fit whether they are known",
    )?;
    rule(
        entry.validity() < Validity::Scripts || !past.unproven,
        "its scripts were run, but not those of a block before it",
    )?;
    rule(
        (!past.unseen || is_base) == (entry.chain_tx > 0),
        "whether the transactions up to it are counted does not fit whether all blocks were seen",
    )?;
    rule(
        entry.failed() == past.failed,
        "it builds on an invalid block and is not marked as invalid",
    )?;
    let best = state.tree.best_header();
    rule(
        entry.failed()
            || best.is_some_and(|best| entry.chainwork <= state.tree.entry(best).chainwork),
        "it has more work than the best header",
    )?;
    match parent {
        None => rule(
            entry.height == 0 && entry.chain_tx == u64::from(entry.n_tx),
            "it is the genesis block and not the first",
        )?,
        Some(parent) => {
            rule(
                entry.height == parent.height + 1 && entry.chainwork > parent.chainwork,
                "height or work do not follow from its parent's",
            )?;
            rule(
                match (parent.chain_tx, entry.n_tx) {
                    (0, _) | (_, 0) => (entry.chain_tx != 0) == is_base,
                    (before, own) => entry.chain_tx == before + u64::from(own),
                },
                "the count of transactions does not follow from its parent's",
            )?;
        }
    }
    let waits = state.tree.is_unlinked(id);
    rule(
        !(parent.is_some() && stored && past.unseen && !past.failed) || waits,
        "it came before its past, and is not among those that wait for theirs",
    )?;
    rule(
        !waits || (stored && past.missing),
        "it waits for its past for no reason",
    )
}

/// Checks whether a block is rightly among those that may become the tip, or not.
fn check_candidate(
    state: &State,
    id: BlockId,
    past: &Past,
    is_base: bool,
) -> Result<(), &'static str> {
    let Some(tip) = state.chain.tip() else {
        return Ok(());
    };
    let is_candidate = state.candidates.contains(&state.tree, id);
    let seen = !past.unseen || is_base;
    if Rank::of(&state.tree, id) < Rank::of(&state.tree, tip) || !seen {
        return rule(
            !is_candidate,
            "it may become the tip, though it is worse than that, or its past was never seen",
        );
    }
    // What leaves the chain below a snapshot waits until that is validated.
    let waits = state
        .background
        .as_ref()
        .is_some_and(|below| !state.tree.is_ancestor(below.target, id));
    let wanted = !past.failed && !waits && (!past.missing || id == tip || is_base);
    rule(
        !wanted || is_candidate,
        "it is at least as good as the tip, and may not become it",
    )
}
