//! One block in the tree.

use bitcoin::BlockHash;
use bitcoin::block::Header;
use btc_consensus::pow::Work;

use super::record::{FilePos, IndexRecord, status};

/// Sequence number of blocks on the chain that was active at the last shutdown: it wins ties after a restart.
pub const SEQUENCE_BEST_CHAIN: i32 = 0;
/// Sequence number of other blocks loaded from disk, and of headers without their block.
pub const SEQUENCE_FROM_DISK: i32 = 1;

/// Names an entry of one [`BlockTree`](super::BlockTree). Entries are never removed, so it stays valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub(super) u32);

impl BlockId {
    /// Its place in the order of [`BlockTree::ids`](super::BlockTree::ids).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// How far a block was checked. Each level includes those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Validity {
    /// Not at all.
    Unknown,
    /// The header, and all headers before it.
    Tree,
    /// The transactions in themselves: structure, sizes, merkle roots.
    Transactions,
    /// The transactions against the coins they spend, scripts included.
    Scripts,
}

/// A header with what the node knows about its block.
#[derive(Clone, Debug)]
pub struct BlockEntry {
    /// The header's hash.
    pub hash: BlockHash,
    /// The header.
    pub header: Header,
    /// Distance from the genesis block.
    pub height: u32,
    /// The entry before; `None` for the genesis block.
    pub prev: Option<BlockId>,
    /// An entry far before, for walks back in logarithmic time.
    pub(super) skip: Option<BlockId>,
    /// Work of the chain up to and including this block.
    pub chainwork: Work,
    /// Number of transactions; 0 if the block was never seen.
    pub n_tx: u32,
    /// Transactions up to and including this block; 0 unless every block up to here was seen.
    pub chain_tx: u64,
    /// Latest header time up to here, in seconds.
    pub time_max: u32,
    /// Order of arrival; the lower wins among equal work.
    pub sequence: i32,
    /// Status bits as stored on disk.
    status: u32,
    file: u32,
    data_pos: u32,
    undo_pos: u32,
}

impl BlockEntry {
    pub(super) fn new(hash: BlockHash, header: Header) -> Self {
        Self {
            hash,
            header,
            height: 0,
            prev: None,
            skip: None,
            chainwork: Work::from_compact(header.bits.to_consensus()),
            n_tx: 0,
            chain_tx: 0,
            time_max: header.time,
            sequence: SEQUENCE_FROM_DISK,
            status: 0,
            file: 0,
            data_pos: 0,
            undo_pos: 0,
        }
    }

    /// Takes over what the block index database holds about this header.
    pub(super) fn restore(&mut self, record: &IndexRecord) {
        self.status = record.status;
        self.n_tx = record.n_tx;
        self.file = record.file;
        self.data_pos = record.data_pos;
        self.undo_pos = record.undo_pos;
        if self.status & status::FAILED_CHILD != 0 {
            self.status = self.status & !status::FAILED_CHILD | status::FAILED;
        }
    }

    /// The record for the block index database.
    pub fn record(&self) -> IndexRecord {
        IndexRecord {
            height: self.height,
            status: self.status,
            n_tx: self.n_tx,
            file: self.file,
            data_pos: self.data_pos,
            undo_pos: self.undo_pos,
            header: self.header,
        }
    }

    /// The header's time in seconds.
    pub fn time(&self) -> u32 {
        self.header.time
    }

    /// Whether it, or an ancestor, broke a rule (or was declared invalid).
    pub fn failed(&self) -> bool {
        self.status & status::FAILED != 0
    }

    /// Marks it invalid, or takes the mark away.
    pub fn set_failed(&mut self, failed: bool) {
        if failed {
            self.status |= status::FAILED;
        } else {
            self.status &= !status::FAILED;
        }
    }

    /// How far it was checked.
    pub fn validity(&self) -> Validity {
        match self.status & status::VALID_MASK {
            0 | 1 => Validity::Unknown,
            2 => Validity::Tree,
            3 | 4 => Validity::Transactions,
            _ => Validity::Scripts,
        }
    }

    /// Whether it was checked at least to `level`, and not found invalid.
    pub fn is_valid(&self, level: Validity) -> bool {
        !self.failed() && self.validity() >= level
    }

    /// Notes that it passed `level`; says whether that is news.
    pub fn raise_validity(&mut self, level: Validity) -> bool {
        if self.failed() || self.validity() >= level {
            return false;
        }
        let bits = match level {
            Validity::Unknown => 0,
            Validity::Tree => status::VALID_TREE,
            Validity::Transactions => status::VALID_TRANSACTIONS,
            Validity::Scripts => status::VALID_SCRIPTS,
        };
        self.status = self.status & !status::VALID_MASK | bits;
        true
    }

    /// Where the block lies, if it is on disk.
    pub fn data(&self) -> Option<FilePos> {
        (self.status & status::HAVE_DATA != 0).then_some(FilePos {
            file: self.file,
            offset: self.data_pos,
        })
    }

    /// Where its undo record lies, if there is one.
    pub fn undo(&self) -> Option<FilePos> {
        (self.status & status::HAVE_UNDO != 0).then_some(FilePos {
            file: self.file,
            offset: self.undo_pos,
        })
    }

    /// Notes where the block lies, and that its undo record is still to be written.
    pub fn set_data(&mut self, pos: FilePos, with_witness: bool) {
        self.file = pos.file;
        self.data_pos = pos.offset;
        self.undo_pos = 0;
        self.status |= status::HAVE_DATA;
        if with_witness {
            self.status |= status::OPT_WITNESS;
        }
    }

    /// Notes where the undo record lies, in the file that pairs with the block's.
    pub fn set_undo(&mut self, offset: u32) {
        self.undo_pos = offset;
        self.status |= status::HAVE_UNDO;
    }

    /// Forgets where the block and its undo record lie: they are to be deleted.
    pub(super) fn forget_data(&mut self) {
        self.status &= !(status::HAVE_DATA | status::HAVE_UNDO);
        (self.file, self.data_pos, self.undo_pos) = (0, 0, 0);
    }

    /// Takes for granted that the block will be stored with its witness data.
    pub fn assume_witness(&mut self) {
        self.status |= status::OPT_WITNESS;
    }

    /// Whether the block was stored with its witness data.
    pub fn has_witness(&self) -> bool {
        self.status & status::OPT_WITNESS != 0
    }
}
