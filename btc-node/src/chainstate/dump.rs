//! All unspent coins written to a file (`dumptxoutset`), as they are now or as they were after an earlier block.
//!
//! The active chain is left alone: for an earlier block, the coins are copied to a database of their own, in which blocks
//! are undone.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, OutPoint, Txid};
use btc_consensus::Coin;

use super::coins_cache::{CoinsCache, Overlay};
use super::connect::disconnect_block;
use super::error::SubmitError;
use super::flush::FlushMode;
use super::manager::ChainstateManager;
use super::stats::{self, UtxoHash, UtxoHashKind};
use super::summary::BlockSummary;
use crate::store::coins_db::CoinsDb;
use crate::store::disk::{Disk, DiskFile};
use crate::store::kv::{DatabaseOptions, KvStore, MemoryKv};
use crate::store::utxo_snapshot::{SnapshotMetadata, write_coins};
use crate::store::{Database, StoreError};

/// Coins that are copied at a time.
const COPY: usize = 100_000;
/// Memory for the copy's coins, in bytes.
const ROLLBACK_MEMORY: usize = 64 << 20;
/// Memory for the copy's database, in bytes.
const ROLLBACK_CACHE: usize = 8 << 20;
/// The owner of the lock that keeps blocks from being pruned while they are undone.
const LOCK: &str = "dumptxoutset";

/// Where the coins come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpSource {
    /// The tip.
    Tip,
    /// An earlier block of the active chain.
    Block {
        /// The block.
        hash: BlockHash,
        /// Whether the copy in which blocks are undone is kept in memory, not on disk beside the file.
        in_memory: bool,
    },
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpReport {
    /// The block after which the coins were unspent.
    pub base: BlockSummary,
    /// How many there are.
    pub coins: u64,
    /// Their `hash_serialized_3`.
    pub hash: sha256d::Hash,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The path is taken. Core's text.
    #[error(
        "{} already exists. If you are sure this is what you want, move it out of the way first",
        .0.display()
    )]
    Exists(PathBuf),
    /// Nothing can be written there. Core's text.
    #[error("Couldn't open file {} for writing.", .0.display())]
    Open(PathBuf),
    /// Blocks since then were deleted. Core's text.
    #[error(
        "Could not roll back to requested height since necessary block data is already pruned."
    )]
    Pruned,
    /// The block is not on the active chain.
    #[error("block {0} is not on the active chain")]
    NotActive(BlockHash),
    /// The node is stopping.
    #[error("interrupted")]
    Interrupted,
    /// The node's disk or database failed, or the file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The coins could not be flushed.
    #[error(transparent)]
    Flush(#[from] SubmitError),
}

/// Coins in the order of the database.
type Coins<'a> = Box<dyn Iterator<Item = Result<(OutPoint, Coin), StoreError>> + 'a>;

/// The tip, and its coins twice.
type CoinsOfTip<'a> = (BlockSummary, Coins<'a>, Coins<'a>);

/// Takes a lock on pruning away when dropped.
struct PruneLock<'a>(&'a ChainstateManager);

impl Drop for PruneLock<'_> {
    fn drop(&mut self) {
        self.0.remove_prune_lock(LOCK);
    }
}

/// Deletes a directory's database when dropped.
struct Temporary {
    disk: Disk,
    dir: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let Self { disk, dir } = self;
        let removed = Database::destroy_on(disk, dir)
            .map_err(|error| error.to_string())
            .and_then(|()| disk.remove_dir_all(dir).map_err(|error| error.to_string()));
        if let Err(error) = removed {
            tracing::warn!(
                "Failed to clean up temporary UTXO database at {}, please remove it manually: {error}",
                dir.display()
            );
        }
    }
}

impl ChainstateManager {
    /// Writes all coins to a new file, in version 2 of Core's format. It is written under a name that ends in
    /// `.incomplete` and renamed once it is whole; a named pipe is written to directly. `interrupted` is asked now and
    /// then.
    ///
    /// # Errors
    /// See [`DumpError`].
    pub fn dump_coins(
        &self,
        path: &Path,
        source: DumpSource,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<DumpReport, DumpError> {
        let pipe = fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
        if !pipe && fs::symlink_metadata(path).is_ok() {
            return Err(DumpError::Exists(path.to_owned()));
        }
        let target = if pipe {
            path.to_owned()
        } else {
            let mut name = path.as_os_str().to_owned();
            name.push(".incomplete");
            PathBuf::from(name)
        };
        let disk = &self.shared.options.disk;
        let opened = if pipe {
            let opened = File::options().write(true).open(&target);
            opened.map(|file| disk.file(&target, file))
        } else {
            disk.create(&target)
        };
        let file = opened.map_err(|_| DumpError::Open(target.clone()))?;
        let report = match source {
            DumpSource::Tip => self.dump_tip(&target, file, interrupted)?,
            DumpSource::Block { hash, in_memory } => {
                self.dump_block(&target, file, &hash, in_memory, interrupted)?
            }
        };
        if !pipe {
            disk.rename(&target, path)
                .map_err(StoreError::io("rename", &target))?;
        }
        Ok(report)
    }

    fn dump_tip(
        &self,
        path: &Path,
        file: DiskFile,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<DumpReport, DumpError> {
        loop {
            let db = self.coins_db();
            if let Some((base, counted, written)) = self.coins_now(&db)? {
                return self.write_dump(path, file, base, counted, written, interrupted);
            }
        }
    }

    fn coins_db(&self) -> Arc<CoinsDb> {
        Arc::clone(self.shared.lock().coins.db())
    }

    /// Flushes, and gives the tip with its coins, twice; they stay as they are, whatever is written later. `None` if the
    /// chain uses another database by now.
    fn coins_now<'a>(&self, db: &'a Arc<CoinsDb>) -> Result<Option<CoinsOfTip<'a>>, DumpError> {
        let shared = &self.shared;
        let mut state = shared.lock_for_change()?;
        shared.flush_state(&mut state, FlushMode::Always)?;
        if !Arc::ptr_eq(db, state.coins.db()) {
            return Ok(None);
        }
        let tip = state.summary(state.tip_id());
        Ok(Some((tip, Box::new(db.coins()?), Box::new(db.coins()?))))
    }

    fn dump_block(
        &self,
        path: &Path,
        file: DiskFile,
        hash: &BlockHash,
        in_memory: bool,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<DumpReport, DumpError> {
        let base = self
            .block_summary(hash)
            .filter(|block| block.active)
            .ok_or(DumpError::NotActive(*hash))?;
        let _lock = if self.prune_target().is_some() {
            self.set_prune_lock(LOCK, base.height);
            let lock = PruneLock(self);
            let first = self.first_stored(&self.tip().hash, true);
            if first.is_none_or(|first| first.height > base.height) {
                return Err(DumpError::Pruned);
            }
            Some(lock)
        } else {
            None
        };
        // Declared before the database, so that it is dropped after it.
        let _temporary;
        let kv: Box<dyn KvStore> = if in_memory {
            tracing::info!(
                "Using in-memory database for UTXO-set rollback (this may require significant RAM)."
            );
            Box::new(MemoryKv::new())
        } else {
            let parent = path.parent().unwrap_or(Path::new("."));
            let dir = parent.join(format!("temp_utxo_{}", base.height));
            let disk = &self.shared.options.disk;
            Database::destroy_on(disk, &dir)?;
            // From here on there is something to clean up, whatever fails.
            _temporary = Temporary {
                disk: disk.clone(),
                dir: dir.clone(),
            };
            let db = Database::open_on(disk, &dir, &DatabaseOptions::new(ROLLBACK_CACHE))?;
            Box::new(db)
        };
        let copy = Arc::new(CoinsDb::new(kv));
        let tip = self.copy_coins(&copy, interrupted)?;
        self.roll_back(&copy, tip, &base, interrupted)?;
        let counted = Box::new(copy.coins()?);
        let written = Box::new(copy.coins()?);
        self.write_dump(path, file, base, counted, written, interrupted)
    }

    /// Copies all coins as of the tip, and gives it.
    fn copy_coins(
        &self,
        copy: &CoinsDb,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<BlockSummary, DumpError> {
        tracing::info!("Copying current UTXO set to temporary database.");
        loop {
            let db = self.coins_db();
            if let Some((tip, coins, _)) = self.coins_now(&db)? {
                copy_all(coins, copy, &tip.hash, interrupted)?;
                return Ok(tip);
            }
        }
    }

    /// Undoes blocks in a copy of the coins, from `tip` down to `base`.
    fn roll_back(
        &self,
        copy: &Arc<CoinsDb>,
        tip: BlockSummary,
        base: &BlockSummary,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(), DumpError> {
        tracing::info!("Rolling back from height {} to {}", tip.height, base.height);
        let mut coins = CoinsCache::new(Arc::clone(copy))?;
        let mut at = tip;
        while at.height > base.height {
            if interrupted() {
                return Err(DumpError::Interrupted);
            }
            let missing = |what: &str| {
                StoreError::corrupt(format!("block {}", at.hash), format!("{what} is missing"))
            };
            let block = self
                .read_block(&at.hash)?
                .ok_or_else(|| missing("its data"))?;
            let undo = self
                .read_undo(&at.hash)?
                .ok_or_else(|| missing("its undo record"))?;
            let mut overlay = Overlay::new(&mut coins);
            // Unclean only if coins were overwritten, which their blocks stand for.
            disconnect_block(&block, at.height, undo, &mut overlay)?;
            overlay.set_best_block(block.header.prev_blockhash);
            overlay.commit();
            if coins.memory_usage() > ROLLBACK_MEMORY {
                coins.flush(false)?;
            }
            at = self
                .block_summary(&block.header.prev_blockhash)
                .ok_or_else(|| missing("the block before it"))?;
        }
        if at.hash != base.hash {
            return Err(DumpError::NotActive(base.hash));
        }
        coins.flush(false)?;
        tracing::info!("Rollback complete. Computing UTXO statistics for created txoutset dump.");
        Ok(())
    }

    /// Counts coins, and then writes the same.
    fn write_dump(
        &self,
        path: &Path,
        file: DiskFile,
        base: BlockSummary,
        counted: Coins<'_>,
        written: Coins<'_>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<DumpReport, DumpError> {
        let kind = UtxoHashKind::HashSerialized3;
        let stats = stats::compute_from(counted, kind, base.hash, base.height, interrupted)?
            .ok_or(DumpError::Interrupted)?;
        let UtxoHash::HashSerialized3(hash) = stats.hash else {
            unreachable!("the digest is of the kind that was asked for");
        };
        let mut out = BufWriter::new(file);
        let mut put = |bytes: &[u8]| out.write_all(bytes).map_err(StoreError::io("write", path));
        let metadata = SnapshotMetadata {
            base: base.hash,
            coins: stats.tx_outs,
        };
        put(&metadata.encode(self.params().magic))?;
        let (mut txid, mut coins) = (Txid::all_zeros(), Vec::new());
        let mut record = Vec::new();
        let mut put_coins = |txid: &Txid, coins: &[(u32, Coin)]| {
            record.clear();
            if !coins.is_empty() {
                write_coins(&mut record, txid, coins);
            }
            put(&record)
        };
        for (index, entry) in written.enumerate() {
            if index % 5000 == 0 && interrupted() {
                return Err(DumpError::Interrupted);
            }
            let (outpoint, coin) = entry?;
            if outpoint.txid != txid {
                put_coins(&txid, &coins)?;
                coins.clear();
                txid = outpoint.txid;
            }
            coins.push((outpoint.vout, coin));
        }
        put_coins(&txid, &coins)?;
        let file = out
            .into_inner()
            .map_err(|error| StoreError::io("write", path)(error.into_error()))?;
        file.sync().map_err(StoreError::io("sync", path))?;
        Ok(DumpReport {
            base,
            coins: stats.tx_outs,
            hash,
        })
    }
}

/// Writes coins to another database, as of a block.
fn copy_all(
    mut coins: Coins<'_>,
    copy: &CoinsDb,
    tip: &BlockHash,
    interrupted: &dyn Fn() -> bool,
) -> Result<(), DumpError> {
    let mut count = 0_u64;
    loop {
        let chunk: Vec<(OutPoint, Coin)> = coins.by_ref().take(COPY).collect::<Result<_, _>>()?;
        if interrupted() {
            return Err(DumpError::Interrupted);
        }
        let changes = chunk.iter().map(|(outpoint, coin)| (outpoint, Some(coin)));
        copy.write(changes, *tip)?;
        count += chunk.len() as u64;
        if chunk.len() < COPY {
            break;
        }
    }
    tracing::info!("UTXO set copy complete: {count} coins total");
    Ok(())
}
