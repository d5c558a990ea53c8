//! Absolute and relative lock times.

use bitcoin::Transaction;

use crate::ancestors::Ancestors;
use crate::limits::LOCKTIME_THRESHOLD;

/// Turns a relative lock time off (BIP 68).
const DISABLE: u32 = 1 << 31;
/// A relative lock time in units of 512 seconds, not of blocks.
const TIME: u32 = 1 << 22;
/// The bits that are the lock's length.
const LENGTH: u32 = 0xffff;
/// Units of time are 2 to this power, in seconds.
const GRANULARITY: u32 = 9;

/// Whether a transaction's lock time lets it be in a block at `height` whose lock time cutoff is
/// `time`: the median time past of the block before (BIP 113), or before that rule the block's own
/// time.
pub fn is_final(transaction: &Transaction, height: u32, time: u32) -> bool {
    let lock_time = transaction.lock_time.to_consensus_u32();
    let reached = if lock_time < LOCKTIME_THRESHOLD {
        height
    } else {
        time
    };
    // A lock time counts only if some input says that it does.
    lock_time == 0
        || lock_time < reached
        || transaction
            .input
            .iter()
            .all(|input| input.sequence.to_consensus_u32() == u32::MAX)
}

/// The last height and the last time at which relative lock times keep a transaction out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceLocks {
    /// The last height that is too low; -1 if none is.
    pub height: i64,
    /// The last median time past that is too early, in seconds since 1970; -1 if none is.
    pub time: i64,
}

impl SequenceLocks {
    /// No lock at all.
    pub const NONE: Self = Self {
        height: -1,
        time: -1,
    };

    /// Whether a block at `height` may hold the transaction, where the block before has the median
    /// time past `median_time`.
    pub fn permit(&self, height: u32, median_time: u32) -> bool {
        self.height < i64::from(height) && self.time < i64::from(median_time)
    }
}

/// The relative lock times of a transaction (BIP 68), given the heights of the coins that it
/// spends in the order of its inputs.
///
/// `chain` is the one that ends in the block before. A coin's height may be one more than its tip,
/// for coins that the block itself creates.
pub fn sequence_locks(
    transaction: &Transaction,
    coin_heights: impl IntoIterator<Item = u32>,
    chain: &dyn Ancestors,
) -> SequenceLocks {
    let mut locks = SequenceLocks::NONE;
    // Versions are unsigned: a negative one is a large one.
    if transaction.version.0.cast_unsigned() < 2 {
        return locks;
    }
    for (input, coin_height) in transaction.input.iter().zip(coin_heights) {
        let sequence = input.sequence.to_consensus_u32();
        if sequence & DISABLE != 0 {
            continue;
        }
        let length = i64::from(sequence & LENGTH);
        // A lock names the first block that may spend; what is kept is the last that may not.
        if sequence & TIME != 0 {
            let start = chain.median_time_past(coin_height.saturating_sub(1));
            locks.time = locks
                .time
                .max(i64::from(start) + (length << GRANULARITY) - 1);
        } else {
            locks.height = locks.height.max(i64::from(coin_height) + length - 1);
        }
    }
    locks
}
