//! What the chainstate says of blocks, branches and its own tasks.

use bitcoin::BlockHash;
use bitcoin::block::Header;
use btc_consensus::pow::Work;

use crate::chain::Validity;
use crate::store::import::ScanReport;

/// A block's place in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Its hash.
    pub hash: BlockHash,
    /// Its header.
    pub header: Header,
    /// Its height.
    pub height: u32,
    /// Its header's time in seconds.
    pub time: u32,
    /// Median time past in seconds.
    pub median_time_past: u32,
    /// Latest header time up to here, in seconds.
    pub time_max: u32,
    /// Work of the chain up to and including it.
    pub chainwork: Work,
    /// Number of its transactions; 0 if only the header is known.
    pub n_tx: u32,
    /// Transactions up to and including it; 0 unless all blocks up to here are known.
    pub chain_tx: u64,
    /// How far it was checked.
    pub validity: Validity,
    /// Whether it, or a block before it, is invalid.
    pub failed: bool,
    /// Whether the block is on disk.
    pub has_data: bool,
    /// Whether its undo record is on disk.
    pub has_undo: bool,
    /// Whether the block was on disk and was deleted to save space.
    pub pruned: bool,
    /// Where it lies: file number and offset of its first byte.
    pub data_pos: Option<(u32, u32)>,
    /// Whether it is on the active chain.
    pub active: bool,
    /// The active chain's block after it, if it is on the active chain.
    pub next: Option<BlockHash>,
}

/// What became of a submitted block that broke no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Whether it was stored now. False for one that was there, and for one that was not asked for and not worth storing.
    pub new: bool,
    /// Whether it is on the active chain.
    pub active: bool,
    /// Whether it was connected now, to the active chain or the one below a UTXO snapshot. If not, nothing new is known
    /// about whether it would connect.
    pub connected: bool,
    /// Whether it is the tip.
    pub tip: bool,
}

/// How a branch of the tree ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChainTipStatus {
    /// The active chain's tip.
    Active,
    /// It contains an invalid block.
    Invalid,
    /// Not all blocks of the branch are there.
    HeadersOnly,
    /// All blocks are there, but they were never connected.
    ValidHeaders,
    /// It was connected once.
    ValidFork,
    /// Nothing of the above.
    Unknown,
}

impl ChainTipStatus {
    /// Core's word for it in `getchaintips`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Invalid => "invalid",
            Self::HeadersOnly => "headers-only",
            Self::ValidHeaders => "valid-headers",
            Self::ValidFork => "valid-fork",
            Self::Unknown => "unknown",
        }
    }
}

/// The end of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainTip {
    /// Its last block.
    pub hash: BlockHash,
    /// That block's height.
    pub height: u32,
    /// Blocks since it left the active chain; 0 for the active tip.
    pub branch_len: u32,
    /// How it ended.
    pub status: ChainTipStatus,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Blocks that were stored.
    pub loaded: u64,
    /// Blocks that were there already.
    pub known: u64,
    /// Blocks whose parent is not known.
    pub orphans: u64,
    /// Blocks that break a rule.
    pub invalid: u64,
    /// What the file held.
    pub scan: ScanReport,
}

/// Why the last blocks did not pass their check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Blocks, undo records and coins do not fit together.
    #[error("{0}")]
    Corrupted(String),
    /// Nothing wrong was found, but levels 3 and 4 would need more memory than `-dbcache` gives.
    #[error("Insufficient dbcache for block verification")]
    TooLittleMemory,
    /// Nothing wrong was found, but not all of the blocks are on disk: older ones were deleted.
    #[error("Blocks needed for verification are missing")]
    MissingBlocks,
    /// The check was stopped.
    #[error("interrupted")]
    Interrupted,
}
