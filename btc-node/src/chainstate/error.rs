//! Why a chainstate cannot be opened, or a block is not taken.

use bitcoin::BlockHash;
use btc_consensus::block::BlockError;
use btc_consensus::fault::BlockFault;
use btc_consensus::header::HeaderError;

use crate::chain::tree::TreeError;
use crate::store::StoreError;

/// Why a chainstate cannot be opened. Texts that name what to do are Core's.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The files or databases failed.
    #[error("Error loading databases")]
    Store(#[from] StoreError),
    /// The directory of block files, or the key that obfuscates them, cannot be used.
    #[error("Failed to initialize ChainstateManager: {0}")]
    BlockFiles(#[source] StoreError),
    /// The block index cannot be opened.
    #[error("Error opening block database")]
    BlockDatabase(#[source] StoreError),
    /// The block index cannot be read.
    #[error("Error loading block database")]
    BlockIndex(#[source] StoreError),
    /// The block index makes no tree.
    #[error("Error loading block database")]
    BlockTree(#[from] TreeError),
    /// A block file that the index points to is missing.
    #[error("Error loading block database")]
    MissingBlockFile {
        /// The number of the file.
        file: u32,
    },
    /// A header in the block index lacks its proof of work.
    #[error("Error loading block database")]
    BadProofOfWork(BlockHash),
    /// The directory belongs to another network.
    #[error("Incorrect or no genesis block found. Wrong datadir for network?")]
    WrongGenesis,
    /// Block files were deleted under `-prune`.
    #[error(
        "You need to rebuild the database using -reindex to go back to unpruned mode.  \
         This will redownload the entire blockchain"
    )]
    Pruned,
    /// The coins database cannot be opened.
    #[error("Error opening coins database")]
    CoinsDatabase(#[source] StoreError),
    /// The coins database was written by a version before 0.15.
    #[error(
        "Unsupported chainstate database format found. Please restart with -reindex-chainstate. \
         This will rebuild the chainstate database."
    )]
    OldCoinsDatabase,
    /// The directory holds a UTXO snapshot of a block that the software knows nothing of.
    #[error(
        "A fatal internal error occurred, see debug.log for details: Assumeutxo data not found for the given blockhash \
         '{0}'."
    )]
    UnknownSnapshot(BlockHash),
    /// A UTXO snapshot proved wrong; it was set aside.
    #[error("{0}")]
    InvalidSnapshot(String),
    /// An interrupted flush cannot be completed.
    #[error(
        "Unable to replay blocks. You will need to rebuild the database using -reindex-chainstate."
    )]
    Replay {
        /// What stood in the way.
        reason: String,
    },
    /// The genesis block cannot be stored.
    #[error("Error initializing block database")]
    Genesis(#[source] StoreError),
    /// The coins' best block is unknown, or a chain cannot be begun.
    #[error("Error initializing block database")]
    Initialize {
        /// What stood in the way.
        reason: String,
    },
    /// Blocks were stored by a version without segregated witness.
    #[error(
        "Witness data for blocks after height {height} requires validation. Please restart with -reindex."
    )]
    MissingWitness {
        /// The height at which segregated witness became active.
        height: u32,
    },
    /// The tip's time lies ahead of the clock.
    #[error(
        "The block database contains a block which appears to be from the future. This may be due to your \
         computer's date and time being set incorrectly. Only rebuild the block database if you are sure that your \
         computer's date and time are correct"
    )]
    FromTheFuture,
    /// The last blocks did not pass their check.
    #[error("Corrupted block database detected")]
    Corrupted {
        /// What is wrong.
        reason: String,
    },
    /// The last blocks can only be checked as thoroughly as was asked for with more memory.
    #[error("Insufficient dbcache for block verification")]
    TooLittleMemory,
    /// [`Options::interrupt`](super::Options::interrupt) was set; what was done so far is kept.
    #[error("opening the chainstate was interrupted")]
    Interrupted,
    /// A thread cannot be started.
    #[error("cannot start a script thread: {0}")]
    Thread(#[source] std::io::Error),
}

impl OpenError {
    /// What lies behind the text, for the log: it names files and records, where the text only says what to do.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Store(error)
            | Self::BlockDatabase(error)
            | Self::BlockIndex(error)
            | Self::Genesis(error)
            | Self::CoinsDatabase(error) => Some(error.to_string()),
            Self::BlockTree(error) => Some(error.to_string()),
            Self::MissingBlockFile { file } => Some(format!(
                "block file {file:05}, which the block index points to, is missing"
            )),
            Self::BadProofOfWork(hash) => Some(format!(
                "the header of block {hash} in the block index lacks its proof of work"
            )),
            Self::Replay { reason } | Self::Initialize { reason } => Some(reason.clone()),
            // Their texts say it, or it was told where it was found.
            Self::BlockFiles(_)
            | Self::WrongGenesis
            | Self::Pruned
            | Self::OldCoinsDatabase
            | Self::UnknownSnapshot(_)
            | Self::InvalidSnapshot(_)
            | Self::MissingWitness { .. }
            | Self::FromTheFuture
            | Self::Corrupted { .. }
            | Self::TooLittleMemory
            | Self::Interrupted
            | Self::Thread(_) => None,
        }
    }
}

/// Why a block or header is refused. Says something about the block, never about this node's disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockRejection {
    /// It, or its header, breaks a rule; it builds on nothing known or something invalid; or it was found invalid before.
    #[error(transparent)]
    Rule(#[from] BlockError),
    /// A proposal does not build on the tip.
    #[error("inconclusive-not-best-prevblk")]
    NotOnTip,
}

impl BlockRejection {
    /// Core's reject string, as `submitblock` returns it.
    pub fn reject_reason(&self) -> String {
        match self {
            Self::Rule(error) => error.reject_reason().into_owned(),
            Self::NotOnTip => "inconclusive-not-best-prevblk".into(),
        }
    }

    /// Core's further explanation; empty if there is none.
    pub fn debug_message(&self) -> String {
        match self {
            Self::Rule(error) => error.debug_message(),
            Self::NotOnTip => String::new(),
        }
    }
}

impl BlockRejection {
    /// What it says about the block, its header and who sent it; `None` for a proposal off the tip.
    pub fn fault(&self) -> Option<BlockFault> {
        match self {
            Self::Rule(error) => Some(error.fault()),
            Self::NotOnTip => None,
        }
    }
}

impl From<HeaderError> for SubmitError {
    fn from(error: HeaderError) -> Self {
        Self::Rejected(BlockError::from(error).into())
    }
}

impl From<BlockError> for SubmitError {
    fn from(error: BlockError) -> Self {
        Self::Rejected(error.into())
    }
}

/// Why a block was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The block is at fault.
    #[error(transparent)]
    Rejected(#[from] BlockRejection),
    /// The disk or a database is at fault; the node should stop.
    #[error("system error: {0}")]
    Store(#[from] StoreError),
    /// The node is stopping because of an earlier failure of its disk or databases.
    #[error("the chainstate has failed: {0}")]
    Failed(String),
    /// No such block.
    #[error("Block not found")]
    UnknownBlock(BlockHash),
    /// A block on the way is to be disconnected, but what that takes is not on disk. Nothing was changed.
    #[error(
        "block {0} cannot be disconnected: its data was pruned, or has yet to come below a UTXO snapshot"
    )]
    CannotDisconnect(BlockHash),
    /// The genesis block cannot be declared invalid.
    #[error("the genesis block cannot be invalidated")]
    Genesis,
}
