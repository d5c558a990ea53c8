//! The methods that show the chain and change which of its branches is active.

mod activity;
mod blocks;
mod deployments;
pub mod filters;
mod info;
mod proof;
mod prune;
pub mod scan;
mod snapshot;
mod stats;
mod tips;
mod utxo;
mod wait;

pub(super) use blocks::{TEXTS, read_block, undo_unreadable};
pub(super) use info::warnings;

use super::context::Entry;
use std::sync::LazyLock;

/// The category's methods. Those that show the mempool are in [`super::mempool`].
pub fn methods() -> &'static [Entry] {
    static METHODS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        let mut methods = Vec::new();
        methods.extend(activity::METHODS);
        methods.extend(blocks::METHODS);
        methods.extend(deployments::METHODS);
        methods.extend(filters::METHODS);
        methods.extend(info::METHODS);
        methods.extend(proof::METHODS);
        methods.extend(prune::METHODS);
        methods.extend(scan::METHODS);
        methods.extend(snapshot::METHODS);
        methods.extend(stats::METHODS);
        methods.extend(tips::METHODS);
        methods.extend(utxo::METHODS);
        methods.extend(wait::METHODS);
        methods
    });
    &METHODS
}
