//! What may happen, and who is told.

use std::fmt;
use std::sync::Arc;

use bitcoin::{Amount, Block, BlockHash, Transaction};

/// Why a transaction left the mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemovalReason {
    /// It waited too long.
    Expiry,
    /// The mempool was full.
    SizeLimit,
    /// A reorganization made it invalid.
    Reorg,
    /// It was mined.
    Block,
    /// A mined transaction spends the same coins.
    Conflict,
    /// One with a higher fee took its place.
    Replaced,
}

impl RemovalReason {
    /// Core's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expiry => "expiry",
            Self::SizeLimit => "sizelimit",
            Self::Reorg => "reorg",
            Self::Block => "block",
            Self::Conflict => "conflict",
            Self::Replaced => "replaced",
        }
    }
}

impl fmt::Display for RemovalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A block that joined or left the active chain.
#[derive(Clone, Debug)]
pub struct BlockEvent {
    /// The block with its transactions.
    pub block: Arc<Block>,
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Latest header time up to this block, in seconds.
    pub time_max: u32,
    /// Whether every block before it was validated: not above a UTXO snapshot that the blocks below have yet to confirm.
    pub validated: bool,
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The block became the tip.
    BlockConnected(BlockEvent),
    /// The block was the tip and is no longer on the active chain.
    BlockDisconnected(BlockEvent),
    /// A block that was stored broke a rule when it was to be connected.
    BlockInvalid {
        /// The block's hash.
        hash: BlockHash,
        /// Core's reject reason.
        reason: String,
    },
    /// The active chain ends elsewhere now; sent once after all its blocks were connected and disconnected.
    TipChanged {
        /// The new tip.
        hash: BlockHash,
        /// Its height.
        height: u32,
        /// Height of the last block that the old and new chain share.
        fork_height: u32,
        /// Whether the node is still catching up with the network.
        initial_download: bool,
    },
    /// A block below a UTXO snapshot was validated. It is on the active chain, which took it for granted so far.
    HistoricalBlockConnected(BlockEvent),
    /// All blocks below a UTXO snapshot are validated, and gave the snapshot's coins.
    SnapshotValidated,
    /// A better header is known.
    HeaderTip {
        /// The header's hash.
        hash: BlockHash,
        /// Its height.
        height: u32,
        /// Its time in seconds.
        time: u32,
    },
    /// A transaction entered the mempool.
    TxAdded {
        /// The transaction.
        tx: Arc<Transaction>,
        /// What it pays.
        fee: Amount,
        /// Position in the mempool's history.
        sequence: u64,
    },
    /// A transaction left the mempool, for another reason than being mined.
    TxRemoved {
        /// The transaction.
        tx: Arc<Transaction>,
        /// Why.
        reason: RemovalReason,
        /// Position in the mempool's history.
        sequence: u64,
    },
    /// Everything up to the locator's first block is safely on disk.
    ChainFlushed {
        /// Locator of the flushed tip.
        locator: Vec<BlockHash>,
    },
    /// A long task moved on; 100 means it is done.
    Progress {
        /// What is being done, for people.
        title: String,
        /// From 0 to 100.
        percent: u8,
    },
    /// The node cannot go on: a disk is full or a database is damaged. It should stop.
    Fatal {
        /// Why, for people.
        message: String,
    },
}

/// Someone who is told.
pub trait Listener: Send + Sync {
    /// Called for each event, one at a time, on the delivery thread. It may call the node, but must not wait for a later
    /// event.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Listener for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}
