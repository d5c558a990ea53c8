//! What a transaction should pay, learnt from how long others waited.
//!
//! Two estimators watch the mempool. [`BlockPolicy`] sorts transactions by feerate into buckets and remembers, with less
//! and less weight, how many of each bucket were mined within how many blocks. [`Coverage`] remembers how much of the
//! last blocks was in the mempool before: if it was most, what the mempool holds now tells what the next block will take
//! (see [`mining::fees`](crate::mining::fees)).
//!
//! | module | what it does |
//! |---|---|
//! | [`policy`] | the estimator by history, over three horizons |
//! | [`stats`] | one horizon: counts by bucket, their decay, the estimate |
//! | [`coverage`] | the share of the last blocks that the mempool knew |
//! | [`file`](mod@file) | both as bytes, in Core's format |
//!
//! Source: the behaviour of Core's fee estimators.

pub mod coverage;
pub mod file;
pub mod policy;
pub mod stats;

pub use coverage::{Coverage, Health, MinedBlock};
pub use policy::{BlockPolicy, Horizon};
pub use stats::{BucketRange, Estimation};

use crate::store::StoreError;
use crate::store::data_dir::{read_file, replace_file};
use bitcoin::{Block, BlockHash, Txid};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Estimates older than this mislead more than they help.
const MAX_FILE_AGE_HOURS: u64 = 60;

/// A transaction as the estimators see it.
#[derive(Debug, Clone, Copy)]
pub struct Observed {
    /// Its id.
    pub txid: Txid,
    /// What it pays, without deltas, in sat/kvB.
    pub feerate: i64,
    /// The height of the tip when it came in.
    pub height: u32,
    /// Its weight, in weight units.
    pub weight: u64,
}

/// The estimators of a node and where they are kept.
#[derive(Debug)]
pub struct Estimators {
    /// By history.
    pub block_policy: BlockPolicy,
    /// How far the mempool can be trusted.
    pub coverage: Coverage,
    dir: PathBuf,
}

/// The estimators' files as they should be now.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
    block_policy: Vec<u8>,
    coverage: Vec<u8>,
}

impl Estimators {
    /// Reads what the last run left in the chain's directory; what is missing or cannot be read starts anew, with a line
    /// in the log. History older than 60 hours is read only if `accept_stale`; what is known of the last blocks counts
    /// only if they end at `tip`.
    pub fn open(net_dir: &Path, accept_stale: bool, tip: (u32, BlockHash)) -> Self {
        let dir = net_dir.join("fees");
        let estimators = Self {
            block_policy: BlockPolicy::default(),
            coverage: Coverage::default(),
            dir,
        };
        estimators.migrate(&net_dir.join("fee_estimates.dat"));
        Self {
            block_policy: read_block_policy(&estimators.block_policy_path(), accept_stale),
            coverage: read_coverage(&estimators.coverage_path(), tip),
            ..estimators
        }
    }

    fn block_policy_path(&self) -> PathBuf {
        self.dir.join("block_policy_estimates.dat")
    }

    fn coverage_path(&self) -> PathBuf {
        self.dir.join("mempool_policy_estimator.dat")
    }

    /// Moves the file from where it was in earlier versions.
    fn migrate(&self, legacy: &Path) {
        if !legacy.exists() {
            return;
        }
        let path = self.block_policy_path();
        if path.exists() {
            match fs::remove_file(legacy) {
                Ok(()) => {
                    tracing::info!("Removed legacy fee estimates file {}.", legacy.display());
                }
                Err(error) => tracing::warn!(
                    "Failed to remove legacy fee estimates file {}: {error}. Continuing anyway.",
                    legacy.display()
                ),
            }
            return;
        }
        match fs::create_dir_all(&self.dir).and_then(|()| fs::rename(legacy, &path)) {
            Ok(()) => tracing::info!(
                "Migrated fee estimates from {} to {}.",
                legacy.display(),
                path.display()
            ),
            Err(error) => tracing::warn!(
                "Failed to migrate fee estimates from {} to {}: {error}. Continuing with fresh estimates.",
                legacy.display(),
                path.display()
            ),
        }
    }

    /// A block became the tip; `mined` are its transactions that were in the mempool, in the block's order.
    pub(super) fn block_connected(&mut self, block: &Block, height: u32, mined: &[Observed]) {
        self.block_policy.block(height, mined);
        let weight = |block: &Block| -> u64 {
            let transactions = block.txdata.iter().skip(1);
            transactions.map(|tx| tx.weight().to_wu()).sum()
        };
        self.coverage.block(
            MinedBlock {
                height: u64::from(height),
                known_weight: mined.iter().map(|tx| tx.weight).sum(),
                weight: weight(block),
            },
            block.block_hash(),
        );
    }

    /// What [`Files::write`] should write. At the end of a run, `last`, what still waits counts as not mined.
    pub(super) fn files(&mut self, last: bool) -> Files {
        if last {
            self.block_policy.drop_waiting();
        }
        Files {
            dir: self.dir.clone(),
            block_policy: file::encode_block_policy(&self.block_policy),
            coverage: file::encode_coverage(&self.coverage),
        }
    }
}

impl Files {
    /// Writes the files. A failure costs estimates, not money: it is a warning in the log.
    pub fn write(&self) {
        let path = self.dir.join("block_policy_estimates.dat");
        match write(&self.dir, &path, &self.block_policy) {
            Ok(()) => tracing::debug!(
                target: "estimatefee",
                "Flushed fee estimates to {}.", path.display()
            ),
            Err(error) => {
                tracing::warn!("{error}");
                tracing::warn!(
                    "Failed to write fee estimates to {}. Continue anyway.",
                    path.display()
                );
            }
        }
        let path = self.dir.join("mempool_policy_estimator.dat");
        match write(&self.dir, &path, &self.coverage) {
            Ok(()) => tracing::debug!(
                target: "estimatefee",
                "mempool_policy: mined-block stats flushed to {}.", path.display()
            ),
            Err(error) => {
                tracing::warn!("{error}");
                tracing::warn!(
                    "mempool_policy: unable to open {} for writing. Continuing anyway",
                    path.display()
                );
            }
        }
    }
}

/// Writes a file whole or not at all.
fn write(dir: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    fs::create_dir_all(dir).map_err(StoreError::io("create directory", dir))?;
    replace_file(path, bytes)
}

/// Nothing that these files can be is larger.
const MAX_FILE_SIZE: u64 = 64 << 20;

fn read_block_policy(path: &Path, accept_stale: bool) -> BlockPolicy {
    let fresh = BlockPolicy::default;
    let unreadable = |error: &dyn std::fmt::Display| {
        tracing::warn!("Unable to read policy estimator data (non-fatal): {error}");
        tracing::warn!(
            "Failed to read fee estimates from {}. Continue anyway.",
            path.display()
        );
        fresh()
    };
    let bytes = match read_file(path, MAX_FILE_SIZE) {
        Ok(bytes) => bytes,
        // One that may not be opened counts as none.
        Err(StoreError::Io { .. }) => {
            tracing::info!("{} is not found. Continue anyway.", path.display());
            return fresh();
        }
        Err(error) => return unreadable(&error),
    };
    let hours = age(path).as_secs() / 3600;
    if hours > MAX_FILE_AGE_HOURS && !accept_stale {
        tracing::warn!(
            "Fee estimation file {} too old (age={hours} > {MAX_FILE_AGE_HOURS} hours) and will not be used to avoid serving stale estimates.",
            path.display()
        );
        return fresh();
    }
    file::decode_block_policy(&bytes).unwrap_or_else(|error| unreadable(&error))
}

fn age(path: &Path) -> Duration {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let now = SystemTime::now();
    modified
        .ok()
        .and_then(|modified| now.duration_since(modified).ok())
        .unwrap_or_default()
}

fn read_coverage(path: &Path, tip: (u32, BlockHash)) -> Coverage {
    let cut = || {
        tracing::warn!("mempool_policy: Unable to read mined-block stats from stream (non-fatal)");
        Coverage::default()
    };
    let bytes = match read_file(path, MAX_FILE_SIZE) {
        Ok(bytes) => bytes,
        Err(StoreError::Unreadable) => return cut(),
        Err(error) => {
            tracing::debug!(
                target: "estimatefee",
                "mempool_policy: {} cannot be read: {error}. Continuing anyway", path.display()
            );
            return Coverage::default();
        }
    };
    match file::decode_coverage(&bytes) {
        Ok(coverage) if coverage.ends_at(tip.0, tip.1) => coverage,
        Ok(_) => {
            tracing::warn!(
                "mempool_policy: Mined-block stats read do not end at the active chain tip; ignoring file"
            );
            Coverage::default()
        }
        Err(file::FileError::End) => cut(),
        Err(error) => {
            tracing::warn!("mempool_policy: {error}; ignoring file");
            Coverage::default()
        }
    }
}

#[cfg(test)]
mod tests;
