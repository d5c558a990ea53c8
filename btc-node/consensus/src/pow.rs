//! Proof of work: targets, work, and how difficulty follows the clock.

use std::fmt;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;

use crate::ancestors::{Ancestors, HeaderInfo};
use crate::params::ChainParams;
use crate::uint256::U256;

/// A number that a block's hash may not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(U256);

/// Why a header's bits are no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// The sign bit is set.
    #[error("compact target is negative")]
    Negative,
    /// The value takes more than 256 bits.
    #[error("compact target exceeds 256 bits")]
    Overflow,
    /// The value is zero, which no hash can be.
    #[error("compact target is zero")]
    Zero,
}

impl Target {
    /// A target from its value.
    pub const fn new(value: U256) -> Self {
        Self(value)
    }

    /// The target's value.
    pub const fn value(self) -> U256 {
        self.0
    }

    /// Reads the compact form: an exponent of 256 in the top byte, a sign, and 23 bits.
    ///
    /// # Errors
    /// If the value is negative, zero or too large.
    pub fn from_compact(bits: u32) -> Result<Self, CompactError> {
        let size = bits >> 24;
        let word = bits & 0x007f_ffff;
        // What a small size shifts out is gone before the sign is looked at.
        let word = if size <= 3 {
            word >> (8 * (3 - size))
        } else {
            word
        };
        if word == 0 {
            return Err(CompactError::Zero);
        }
        if bits & 0x0080_0000 != 0 {
            return Err(CompactError::Negative);
        }
        if size > 34 || (word > 0xff && size > 33) || (word > 0xffff && size > 32) {
            return Err(CompactError::Overflow);
        }
        let value = U256::from(u64::from(word));
        Ok(Self(if size <= 3 {
            value
        } else {
            value << (8 * (size - 3))
        }))
    }

    /// The compact form, which keeps the top 23 bits and rounds the rest down.
    pub fn to_compact(self) -> u32 {
        let mut size = self.0.bits().div_ceil(8);
        let mut word = if size <= 3 {
            self.0.low_u64() << (8 * (3 - size))
        } else {
            (self.0 >> (8 * (size - 3))).low_u64()
        };
        if word & 0x0080_0000 != 0 {
            word >>= 8;
            size += 1;
        }
        // At most 23 bits are left of the word.
        word as u32 | size << 24
    }

    /// Whether a block's hash is as small as this target asks.
    pub fn is_met_by(self, hash: &BlockHash) -> bool {
        U256::from_le_bytes(hash.to_byte_array()) <= self.0
    }

    /// The expected number of hashes to meet this target: `2^256 / (target + 1)`.
    pub fn work(self) -> Work {
        let Some(divisor) = self.0.checked_add(U256::ONE) else {
            return Work(U256::ONE);
        };
        // 2^256 does not fit, so take the divisor away once before dividing.
        let quotient = (!self.0).checked_div(divisor).unwrap_or(U256::ZERO);
        Work(quotient.checked_add(U256::ONE).unwrap_or(U256::MAX))
    }
}

/// A number of expected hashes: of one block, or of a chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Work(U256);

impl Work {
    /// No work.
    pub const ZERO: Self = Self(U256::ZERO);

    /// Work from its value.
    pub const fn new(value: U256) -> Self {
        Self(value)
    }

    /// The work's value.
    pub const fn value(self) -> U256 {
        self.0
    }

    /// The work of a header with these bits; none if they are no target.
    pub fn from_compact(bits: u32) -> Self {
        Target::from_compact(bits).map_or(Self::ZERO, Target::work)
    }

    /// The sum; the largest value if that does not fit, which takes more energy than there is.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).unwrap_or(U256::MAX))
    }
}

impl std::ops::Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl fmt::Display for Work {
    /// 64 hexadecimal digits, as `chainwork` is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work({:?})", self.0)
    }
}

/// Whether `hash` meets the target in `bits`, and that is no easier than the network allows.
pub fn meets_target(hash: &BlockHash, bits: u32, params: &ChainParams) -> bool {
    Target::from_compact(bits)
        .is_ok_and(|target| target <= params.pow_limit && target.is_met_by(hash))
}

/// The bits that a header with time `time` must have on top of the chain `prev`.
pub fn next_bits(prev: &dyn Ancestors, time: u32, params: &ChainParams) -> u32 {
    let limit = params.pow_limit.to_compact();
    let interval = params.difficulty_interval();
    let height = prev.height();
    let Some(tip) = prev.ancestor(height) else {
        return limit;
    };
    let next_height = u64::from(height) + 1;
    if next_height.is_multiple_of(u64::from(interval)) {
        return retarget(prev, tip, params);
    }
    if !params.allow_min_difficulty_blocks {
        return tip.bits;
    }
    // Test networks: a block that took more than twice the spacing may be of least difficulty,
    // and the one after it takes up where the last regular one was.
    if u64::from(time) > u64::from(tip.time) + 2 * u64::from(params.pow_target_spacing) {
        return limit;
    }
    let mut header = tip;
    let mut height = height;
    while !height.is_multiple_of(interval) && header.bits == limit {
        height -= 1;
        match prev.ancestor(height) {
            Some(before) => header = before,
            None => break,
        }
    }
    header.bits
}

/// The bits after a full period that ends in `tip`.
fn retarget(prev: &dyn Ancestors, tip: HeaderInfo, params: &ChainParams) -> u32 {
    let first_height = prev
        .height()
        .saturating_add(1)
        .saturating_sub(params.difficulty_interval());
    let Some(first) = prev.ancestor(first_height) else {
        return tip.bits;
    };
    if params.no_retargeting {
        return tip.bits;
    }
    let span = i64::from(params.pow_target_timespan);
    let actual = (i64::from(tip.time) - i64::from(first.time)).clamp(span / 4, span * 4);
    // BIP 94: the period's first block cannot use the rule for least difficulty, so its bits are
    // those of the whole period.
    let bits = if params.enforce_bip94 {
        first.bits
    } else {
        tip.bits
    };
    let target = Target::from_compact(bits).map_or(U256::ZERO, Target::value);
    scale(target, actual.unsigned_abs(), params).to_compact()
}

/// A target times `actual` seconds over the timespan wanted, no easier than the limit.
fn scale(target: U256, actual: u64, params: &ChainParams) -> Target {
    let scaled = target
        .wrapping_mul_u64(actual)
        .checked_div(U256::from(u64::from(params.pow_target_timespan)))
        .unwrap_or(target);
    Target(scaled).min(params.pow_limit)
}

/// Whether bits can change from `old` to `new` at `height`, whatever the times between: by a
/// factor of four at most at a retarget, elsewhere not at all.
///
/// What is known of a chain of headers before any of its times is.
pub fn is_permitted_transition(params: &ChainParams, height: u32, old: u32, new: u32) -> bool {
    if params.allow_min_difficulty_blocks {
        return true;
    }
    if !height.is_multiple_of(params.difficulty_interval()) {
        return old == new;
    }
    let value = |bits| Target::from_compact(bits).map_or(U256::ZERO, Target::value);
    let span = u64::from(params.pow_target_timespan);
    // Compared as a header would hold it, rounded.
    let bound = |actual| value(scale(value(old), actual, params).to_compact());
    (bound(span / 4)..=bound(span * 4)).contains(&value(new))
}

/// How long the work between two chains takes at the difficulty `tip_bits`, in seconds; negative
/// if `to` has less work than `from`.
pub fn equivalent_time(to: Work, from: Work, tip_bits: u32, params: &ChainParams) -> i64 {
    let (difference, sign) = match to.0.checked_sub(from.0) {
        Some(difference) => (difference, 1),
        None => (from.0.checked_sub(to.0).unwrap_or(U256::ZERO), -1),
    };
    let time = difference
        .wrapping_mul_u64(u64::from(params.pow_target_spacing))
        .checked_div(Work::from_compact(tip_bits).0)
        .unwrap_or(U256::MAX);
    let time = if time.bits() > 63 {
        i64::MAX
    } else {
        time.low_u64() as i64
    };
    sign * time
}
