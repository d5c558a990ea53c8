//! What is stored about a header, as plain data.

use bitcoin::block::Header;

/// A place in a numbered sequence of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePos {
    /// Which file.
    pub file: u32,
    /// Byte offset in it.
    pub offset: u32,
}

/// Status bits of a block, as stored.
pub mod status {
    /// Mask of the validity level, a number from 0 to 5.
    pub const VALID_MASK: u32 = 7;
    /// The header is valid and all its ancestors are known.
    pub const VALID_TREE: u32 = 2;
    /// The block's transactions are valid in themselves.
    pub const VALID_TRANSACTIONS: u32 = 3;
    /// The block connected with all scripts checked, or lies under the assumed-valid block.
    pub const VALID_SCRIPTS: u32 = 5;
    /// The block is in a block file.
    pub const HAVE_DATA: u32 = 8;
    /// Its undo record is in an undo file.
    pub const HAVE_UNDO: u32 = 16;
    /// The block, or an ancestor of it, broke a rule.
    pub const FAILED: u32 = 32;
    /// Older versions marked descendants of failed blocks so.
    pub const FAILED_CHILD: u32 = 64;
    /// The stored block includes its witness data.
    pub const OPT_WITNESS: u32 = 128;
}

/// One header's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexRecord {
    /// Distance from the genesis block.
    pub height: u32,
    /// Bits of [`status`].
    pub status: u32,
    /// Number of transactions, 0 if the block was never seen.
    pub n_tx: u32,
    /// Number of the file pair; meaningful with [`status::HAVE_DATA`] or [`status::HAVE_UNDO`].
    pub file: u32,
    /// Where the block starts in its file; meaningful with [`status::HAVE_DATA`].
    pub data_pos: u32,
    /// Where the undo record starts in its file; meaningful with [`status::HAVE_UNDO`].
    pub undo_pos: u32,
    /// The header.
    pub header: Header,
}
