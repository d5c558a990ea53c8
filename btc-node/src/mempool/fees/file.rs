//! The estimators as bytes. Source: Core's `block_policy_estimates.dat` and `mempool_policy_estimator.dat`.

use super::coverage::{Coverage, MinedBlock, WINDOW};
use super::policy::BlockPolicy;
use super::stats::ConfirmStats;
use bitcoin::BlockHash;
use bitcoin::consensus::encode::VarInt;
use bitcoin::consensus::{Decodable, Encodable};
use bitcoin::hashes::Hash;

/// The format of the estimator by history that is written and read.
const BLOCK_POLICY_VERSION: i32 = 309_900;
/// The format of what is known of the last blocks.
const COVERAGE_VERSION: i32 = 1;
/// Waiting is measured for a week at the most, in blocks.
const MAX_TARGET: u64 = 1008;

/// Why a file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It ends early; the text is Core's.
    #[error("AutoFile::read: end of file: iostream error")]
    End,
    /// A later version wrote it.
    #[error("File version ({0}) too high to be read.")]
    TooNew(i32),
    /// An earlier version wrote it.
    #[error("File version ({0}) incompatible: Too old to be read")]
    TooOld(i32),
    /// A value cannot be.
    #[error("Corrupt estimates file. {0}")]
    Corrupt(&'static str),
}

/// The estimator by history.
pub fn encode_block_policy(policy: &BlockPolicy) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&BLOCK_POLICY_VERSION.to_le_bytes());
    out.extend_from_slice(&policy.best_height.to_le_bytes());
    let (first, last) = if policy.span() > policy.historical_span() / 2 {
        (policy.first_recorded, policy.best_height)
    } else {
        policy.historical
    };
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&last.to_le_bytes());
    put_numbers(&mut out, &policy.bounds);
    for stats in [&policy.medium, &policy.short, &policy.long] {
        out.extend_from_slice(&stats.decay.to_bits().to_le_bytes());
        out.extend_from_slice(&stats.scale.to_le_bytes());
        put_numbers(&mut out, &stats.feerates);
        put_numbers(&mut out, &stats.counts);
        for rows in [&stats.confirmed, &stats.failed] {
            put_length(&mut out, rows.len());
            for row in rows {
                put_numbers(&mut out, row);
            }
        }
    }
    out
}

/// Reads what [`encode_block_policy`] wrote.
///
/// # Errors
/// See [`FileError`].
pub fn decode_block_policy(bytes: &[u8]) -> Result<BlockPolicy, FileError> {
    let mut reader = Reader(bytes);
    match reader.u32()?.cast_signed() {
        BLOCK_POLICY_VERSION => {}
        newer if newer > BLOCK_POLICY_VERSION => return Err(FileError::TooNew(newer)),
        older => return Err(FileError::TooOld(older)),
    }
    let best = reader.u32()?;
    let historical = (reader.u32()?, reader.u32()?);
    if historical.0 > historical.1 || historical.1 > best {
        return Err(FileError::Corrupt(
            "Historical block range for estimates is invalid",
        ));
    }
    let bounds = reader.numbers()?;
    if !(2..=1000).contains(&bounds.len()) {
        return Err(FileError::Corrupt(
            "Must have between 2 and 1000 feerate buckets",
        ));
    }
    // They are searched by halving.
    if !bounds.is_sorted_by(|a, b| a < b) {
        return Err(FileError::Corrupt("Feerate buckets must rise"));
    }
    let stats = [
        reader.stats(bounds.len())?,
        reader.stats(bounds.len())?,
        reader.stats(bounds.len())?,
    ];
    Ok(BlockPolicy::from_parts(bounds, stats, best, historical))
}

/// What is known of the last blocks.
pub fn encode_coverage(coverage: &Coverage) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&COVERAGE_VERSION.to_le_bytes());
    put_length(&mut out, coverage.blocks.len());
    for block in &coverage.blocks {
        for number in [block.height, block.known_weight, block.weight] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    out.extend_from_slice(&coverage.tip.to_byte_array());
    out
}

/// Reads what [`encode_coverage`] wrote.
///
/// # Errors
/// See [`FileError`].
pub fn decode_coverage(bytes: &[u8]) -> Result<Coverage, FileError> {
    let mut reader = Reader(bytes);
    if reader.u32()?.cast_signed() != COVERAGE_VERSION {
        return Err(FileError::Corrupt("file version not supported"));
    }
    let count = reader.length(24)?;
    if count > WINDOW {
        return Err(FileError::Corrupt("too many blocks"));
    }
    let mut blocks = Vec::with_capacity(count);
    for _ in 0..count {
        blocks.push(MinedBlock {
            height: reader.u64()?,
            known_weight: reader.u64()?,
            weight: reader.u64()?,
        });
    }
    let follow = |pair: &[MinedBlock]| pair[0].height.checked_add(1) == Some(pair[1].height);
    if !blocks.windows(2).all(follow) {
        return Err(FileError::Corrupt("Non-consecutive block heights read"));
    }
    // Sums over them must not overflow.
    if blocks
        .iter()
        .any(|b| b.weight.max(b.known_weight) > u64::from(u32::MAX))
    {
        return Err(FileError::Corrupt("no block is that heavy"));
    }
    let tip = BlockHash::from_byte_array(reader.take()?);
    Ok(Coverage { blocks, tip })
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    VarInt::from(length)
        .consensus_encode(out)
        .expect("writing to memory does not fail");
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[f64]) {
    put_length(out, numbers.len());
    for number in numbers {
        out.extend_from_slice(&number.to_bits().to_le_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], FileError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FileError::End)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, FileError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, FileError> {
        self.take().map(u64::from_le_bytes)
    }

    /// The length of a list whose items take at least `least` bytes each, so that a lie costs no memory.
    fn length(&mut self, least: usize) -> Result<usize, FileError> {
        let length = VarInt::consensus_decode(&mut self.0).map_err(|_| FileError::End)?;
        usize::try_from(length.0)
            .ok()
            .filter(|length| *length <= self.0.len() / least)
            .ok_or(FileError::End)
    }

    fn number(&mut self) -> Result<f64, FileError> {
        self.u64().map(f64::from_bits)
    }

    fn numbers(&mut self) -> Result<Vec<f64>, FileError> {
        (0..self.length(8)?).map(|_| self.number()).collect()
    }

    fn row(&mut self, buckets: usize) -> Result<Vec<f64>, FileError> {
        let row = self.numbers()?;
        if row.len() == buckets {
            Ok(row)
        } else {
            Err(FileError::Corrupt("Mismatch in bucket count"))
        }
    }

    fn rows(&mut self, buckets: usize) -> Result<Vec<Vec<f64>>, FileError> {
        (0..self.length(1)?).map(|_| self.row(buckets)).collect()
    }

    fn stats(&mut self, buckets: usize) -> Result<ConfirmStats, FileError> {
        let decay = self.number()?;
        if !(decay > 0.0 && decay < 1.0) {
            return Err(FileError::Corrupt(
                "Decay must be between 0 and 1 (non-inclusive)",
            ));
        }
        let scale = self.u32()?;
        if scale == 0 {
            return Err(FileError::Corrupt("Scale must be non-zero"));
        }
        let feerates = self.row(buckets)?;
        let counts = self.row(buckets)?;
        let confirmed = self.rows(buckets)?;
        let targets = u64::from(scale).saturating_mul(confirmed.len() as u64);
        if !(1..=MAX_TARGET).contains(&targets) {
            return Err(FileError::Corrupt(
                " Must maintain estimates for between 1 and 1008 (one week) confirms",
            ));
        }
        let failed = self.rows(buckets)?;
        if failed.len() != confirmed.len() {
            return Err(FileError::Corrupt(
                "Mismatch in confirms tracked for failures",
            ));
        }
        Ok(ConfirmStats::from_parts(
            decay, scale, feerates, counts, confirmed, failed,
        ))
    }
}
