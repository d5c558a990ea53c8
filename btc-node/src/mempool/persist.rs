//! The mempool over a restart: `mempool.dat`.

use super::{AcceptOptions, Mempool};
use crate::chainstate::ChainstateManager;
use crate::store::StoreError;
use crate::store::disk::Disk;
use crate::store::mempool_file::{self, MempoolDump, MempoolRecord, Reading};
use std::path::Path;
use std::sync::Arc;

/// What became of the transactions of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Came in.
    pub accepted: usize,
    /// Were refused: a block or a rule came in between.
    pub failed: usize,
    /// Were too old.
    pub expired: usize,
    /// Were there already.
    pub present: usize,
    /// Are to be announced still.
    pub unbroadcast: usize,
}

/// What is taken over from a file beside its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// Transactions count as come now, rather than when the file says.
    pub current_time: bool,
    /// What the file says of priorities is added to those there are.
    pub fee_deltas: bool,
    /// What the file says is still to be announced is announced.
    pub unbroadcast: bool,
}

impl LoadOptions {
    /// Everything, as for the file of this node's own last run.
    const OWN: Self = Self {
        current_time: false,
        fee_deltas: true,
        unbroadcast: true,
    };
}

impl Mempool {
    /// Reads the file, judges each of its transactions anew and adds those that are fit.
    /// `stop` is asked before each transaction and ends the work. Afterwards the mempool counts as loaded, whatever came
    /// of it.
    ///
    /// # Errors
    /// The file is missing, or cannot be read to its end; what came before was added. The node can go on without.
    pub fn load(
        &self,
        chain: &ChainstateManager,
        path: &Path,
        stop: impl Fn() -> bool,
    ) -> Result<Loaded, StoreError> {
        let result = self.import(chain, path, LoadOptions::OWN, stop);
        self.set_loaded();
        result
    }

    /// Reads a file, judges each of its transactions anew and adds those that are fit.
    /// `stop` is asked before each transaction and ends the work.
    ///
    /// # Errors
    /// The file is missing, or cannot be read to its end; what came before was added.
    pub fn import(
        &self,
        chain: &ChainstateManager,
        path: &Path,
        options: LoadOptions,
        stop: impl Fn() -> bool,
    ) -> Result<Loaded, StoreError> {
        let mut loaded = Loaded::default();
        let Reading { dump, failure } = mempool_file::read(path)?;
        let now = self.clock.now();
        let oldest = now.saturating_sub(self.read(|pool| pool.limits().expiry));
        for record in dump.transactions {
            if stop() {
                return Ok(loaded);
            }
            let txid = record.transaction.compute_txid();
            if record.fee_delta != 0 && options.fee_deltas {
                self.prioritise(txid, record.fee_delta);
            }
            let time = if options.current_time {
                now
            } else {
                record.time
            };
            if time <= oldest {
                loaded.expired += 1;
                continue;
            }
            let judged = AcceptOptions {
                time,
                ..AcceptOptions::at(now)
            };
            match self.accept(chain, Arc::new(record.transaction), judged) {
                Ok(_) => loaded.accepted += 1,
                // A wallet may have brought its own transactions in first.
                Err(_) if self.contains(&txid) => loaded.present += 1,
                Err(_) => loaded.failed += 1,
            }
        }
        // What was read of the rest is as good as what was not.
        if let Some(failure) = failure {
            return Err(failure);
        }
        for (txid, delta) in dump.deltas {
            if !options.fee_deltas {
                break;
            }
            self.prioritise(txid, delta);
        }
        for txid in dump.unbroadcast {
            if options.unbroadcast && self.contains(&txid) {
                self.add_unbroadcast(txid);
                loaded.unbroadcast += 1;
            }
        }
        tracing::info!(
            "Imported mempool transactions from file: {} succeeded, {} failed, {} expired, {} already there, {} waiting for initial broadcast",
            loaded.accepted,
            loaded.failed,
            loaded.expired,
            loaded.present,
            loaded.unbroadcast
        );
        Ok(loaded)
    }

    /// Writes the file; `plain` writes the older format without obfuscation (`-persistmempoolv1`).
    ///
    /// # Errors
    /// The file cannot be written; the one before stays.
    pub fn dump(&self, path: &Path, plain: bool) -> Result<usize, StoreError> {
        self.dump_on(&Disk::default(), path, plain)
    }

    /// As [`dump`](Self::dump), on a disk with a gate.
    ///
    /// # Errors
    /// As [`dump`](Self::dump).
    pub fn dump_on(&self, disk: &Disk, path: &Path, plain: bool) -> Result<usize, StoreError> {
        let dump = self.read(|pool| {
            let transactions: Vec<MempoolRecord> = pool
                .sorted()
                .map(|entry| MempoolRecord {
                    transaction: (*entry.tx).clone(),
                    time: entry.time,
                    fee_delta: entry.fee_delta,
                })
                .collect();
            let deltas = pool
                .deltas()
                .iter()
                .filter(|(txid, _)| !pool.graph().contains(txid))
                .map(|(txid, delta)| (*txid, *delta))
                .collect();
            MempoolDump {
                transactions,
                deltas,
                unbroadcast: pool.unbroadcast().clone(),
            }
        });
        mempool_file::write_on(disk, path, &dump, plain)?;
        Ok(dump.transactions.len())
    }
}
