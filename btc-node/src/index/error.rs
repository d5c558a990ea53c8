//! What can go wrong with an index.

use bitcoin::BlockHash;

use crate::store::StoreError;
use crate::store::codec::DecodeError;

/// Why an index cannot be read, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Its database or files failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A block that it needs is not on disk.
    #[error("block {0} is not on disk")]
    NoBlock(BlockHash),
    /// What a block spent is needed and not on disk.
    #[error("the undo record of block {0} is not on disk")]
    NoUndo(BlockHash),
    /// The chain no longer knows a block that the index is at.
    #[error("block {0} is not known")]
    UnknownBlock(BlockHash),
    /// Records do not fit the chain or each other.
    #[error("corrupt {index}: {reason}")]
    Corrupt {
        /// Which index.
        index: &'static str,
        /// What does not fit.
        reason: String,
    },
}

impl IndexError {
    pub(super) fn corrupt(index: &'static str, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            index,
            reason: reason.into(),
        }
    }

    /// Turns a decoding failure into a corrupt record of an index.
    pub(super) fn decode(index: &'static str) -> impl Fn(DecodeError) -> Self {
        move |error| Self::corrupt(index, error.to_string())
    }
}

impl From<crate::store::kv::KvError> for IndexError {
    fn from(error: crate::store::kv::KvError) -> Self {
        Self::Store(error.into())
    }
}

/// Why an index cannot be opened or started. The texts are Core's where it has one.
#[derive(Debug, thiserror::Error)]
pub enum StartIndexError {
    /// Its database or files failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain does not know the block that the index is at.
    #[error("best block of {name} not found. Please rebuild the index.")]
    UnknownBest {
        /// The index.
        name: &'static str,
    },
    /// What it says about its own best block does not fit.
    #[error("Cannot read current {name} state; index may be corrupted: {source}")]
    State {
        /// The index.
        name: &'static str,
        /// What does not fit.
        source: IndexError,
    },
    /// Blocks between its best block and the tip were pruned.
    #[error(
        "{name} best block of the index goes beyond pruned data{}. Please disable the index or reindex (which will \
         download the whole blockchain again)",
        if *.undo { " (including undo data)" } else { "" }
    )]
    Pruned {
        /// The index.
        name: &'static str,
        /// Whether it needs what blocks spent too.
        undo: bool,
    },
    /// The system has no thread for it.
    #[error("cannot start the thread of {name}: {source}")]
    Thread {
        /// The index.
        name: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}
