//! The UTXO database, `chainstate`.
//!
//! A flush may take several batches. The first replaces the best block by the pair (new tip, old tip), the last puts
//! the new best block in its place: so an interrupted flush is seen on the next start and can be replayed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bitcoin::hashes::Hash;
use bitcoin::secp256k1::rand::{Rng, thread_rng};
use bitcoin::{BlockHash, OutPoint, Txid};
use btc_consensus::Coin;

use super::codec::{Reader, write_varint};
use super::compress::{read_coin, write_coin};
use super::error::StoreError;
use super::kv::{Batch, KvStore, Sync};

const COIN: u8 = b'C';
const BEST_BLOCK: u8 = b'B';
const HEAD_BLOCKS: u8 = b'H';
/// Per-transaction records of versions before 0.15.
const OLD_COINS: u8 = b'c';

/// Where the coins lie in a network's directory.
pub fn coins_dir(net: &Path) -> PathBuf {
    net.join("chainstate")
}

/// The tips of an interrupted flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadBlocks {
    /// The tip that was being written.
    pub new: BlockHash,
    /// The tip that was there before; `None` on the first flush of all.
    pub old: Option<BlockHash>,
}

/// How coins are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writing {
    /// Bytes after which a batch is written and the next begun (`-dbbatchsize`).
    pub batch_bytes: usize,
    /// The process ends after a batch that is not the last with a chance of one in so many, for tests of what a crash
    /// leaves (`-dbcrashratio`); 0 for never.
    pub crash_ratio: u32,
}

impl Default for Writing {
    /// Batches of 32 MiB and no crashes.
    fn default() -> Self {
        Self {
            batch_bytes: 32 << 20,
            crash_ratio: 0,
        }
    }
}

impl Writing {
    /// Ends the process if the dice say so.
    fn crash(&self) {
        if self.crash_ratio > 0 && thread_rng().gen_range(0..self.crash_ratio) == 0 {
            tracing::error!("Simulating a crash. Goodbye.");
            std::process::exit(0);
        }
    }
}

/// The database of unspent outputs.
pub struct CoinsDb {
    db: Arc<dyn KvStore>,
    writing: Writing,
    compaction: Mutex<Option<Compaction>>,
}

/// A compaction on a thread of its own.
struct Compaction {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Drop for CoinsDb {
    fn drop(&mut self) {
        let compaction = self
            .compaction
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(Compaction { thread, stop }) = compaction.take() {
            if !thread.is_finished() {
                let path = location(&*self.db);
                tracing::info!("Waiting for background chainstate compaction of {path}");
            }
            stop.store(true, Ordering::Relaxed);
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Where a database lies, for the log.
fn location(db: &dyn KvStore) -> String {
    db.path()
        .map_or_else(|| "memory".into(), |path| path.display().to_string())
}

impl CoinsDb {
    /// Over an open store, which obfuscates its values if it should.
    pub fn new(db: Box<dyn KvStore>) -> Self {
        Self {
            db: db.into(),
            writing: Writing::default(),
            compaction: Mutex::default(),
        }
    }

    /// The same, written otherwise.
    #[must_use]
    pub fn with_writing(mut self, writing: Writing) -> Self {
        self.writing = writing;
        self
    }

    /// With smaller batches, so that tests can interrupt a flush.
    #[cfg(test)]
    pub(crate) fn with_batch_bytes(db: Box<dyn KvStore>, batch_bytes: usize) -> Self {
        Self::new(db).with_writing(Writing {
            batch_bytes,
            ..Writing::default()
        })
    }

    /// The coin at `outpoint`, if it is unspent.
    pub fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        let Some(value) = self.db.get(&coin_key(outpoint))? else {
            return Ok(None);
        };
        read_coin(&mut Reader::new(&value))
            .map(Some)
            .map_err(StoreError::decode("coin"))
    }

    /// The block up to which the coins are right; `None` if there is none yet, or a flush was interrupted.
    pub fn best_block(&self) -> Result<Option<BlockHash>, StoreError> {
        let Some(value) = self.db.get(&[BEST_BLOCK])? else {
            return Ok(None);
        };
        BlockHash::from_slice(&value)
            .map(Some)
            .map_err(|error| StoreError::corrupt("best block", error))
    }

    /// The tips between which a flush was interrupted, if one was.
    pub fn head_blocks(&self) -> Result<Option<HeadBlocks>, StoreError> {
        let Some(value) = self.db.get(&[HEAD_BLOCKS])? else {
            return Ok(None);
        };
        let mut reader = Reader::new(&value);
        let parse = |reader: &mut Reader<'_>| {
            if reader.compact_size()? != 2 {
                return Ok(None);
            }
            let new = BlockHash::from_byte_array(reader.array()?);
            let old = BlockHash::from_byte_array(reader.array()?);
            Ok(Some(HeadBlocks {
                new,
                old: (old != BlockHash::all_zeros()).then_some(old),
            }))
        };
        match parse(&mut reader).map_err(StoreError::decode("head blocks"))? {
            Some(heads) => Ok(Some(heads)),
            None => Err(StoreError::corrupt(
                "head blocks",
                "unknown inconsistent state",
            )),
        }
    }

    /// Whether records of a version before 0.15 are in it, which are not supported.
    pub fn needs_upgrade(&self) -> Result<bool, StoreError> {
        let first = self.db.iter_from(&[OLD_COINS])?.next().transpose()?;
        Ok(first.is_some_and(|(key, _)| key.first() == Some(&OLD_COINS)))
    }

    /// Writes changes (`None` removes a coin) and the block they lead to.
    ///
    /// # Errors
    /// Besides the engine's failures: an interrupted flush towards another block must be replayed first.
    pub fn write<'a>(
        &self,
        changes: impl Iterator<Item = (&'a OutPoint, Option<&'a Coin>)>,
        best: BlockHash,
    ) -> Result<(), StoreError> {
        let old = match self.best_block()? {
            Some(old) => old,
            None => match self.head_blocks()? {
                Some(heads) if heads.new != best => {
                    return Err(StoreError::corrupt(
                        "coins database",
                        "inconsistent state, likely due to a previous crash or shutdown; \
                         restart with -reindex-chainstate or -reindex",
                    ));
                }
                Some(heads) => heads.old.unwrap_or_else(BlockHash::all_zeros),
                None => BlockHash::all_zeros(),
            },
        };
        let mut batch = Batch::new();
        batch.delete([BEST_BLOCK]);
        let mut heads = vec![2];
        heads.extend_from_slice(best.as_byte_array());
        heads.extend_from_slice(old.as_byte_array());
        batch.put([HEAD_BLOCKS], heads);
        for (outpoint, coin) in changes {
            match coin {
                Some(coin) => {
                    let mut value = Vec::with_capacity(40);
                    write_coin(&mut value, coin);
                    batch.put(coin_key(outpoint), value);
                }
                None => batch.delete(coin_key(outpoint)),
            }
            if batch.approximate_size() > self.writing.batch_bytes {
                self.db.write(&batch, Sync::Lazy)?;
                batch.clear();
                self.writing.crash();
            }
        }
        batch.delete([HEAD_BLOCKS]);
        batch.put([BEST_BLOCK], best.as_byte_array());
        Ok(self.db.write(&batch, Sync::Lazy)?)
    }

    /// Adds coins to a database that has no best block yet, as when a snapshot is loaded into it. They count once
    /// [`set_best_block`](Self::set_best_block) says of which block they are.
    ///
    /// # Errors
    /// The engine failed.
    pub fn load(&self, coins: &[(OutPoint, Coin)]) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for (outpoint, coin) in coins {
            let mut value = Vec::with_capacity(40);
            write_coin(&mut value, coin);
            batch.put(coin_key(outpoint), value);
        }
        Ok(self.db.write(&batch, Sync::Lazy)?)
    }

    /// Says, durably, up to which block the loaded coins are right.
    ///
    /// # Errors
    /// The engine failed.
    pub fn set_best_block(&self, best: &BlockHash) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put([BEST_BLOCK], best.as_byte_array());
        Ok(self.db.write(&batch, Sync::Durable)?)
    }

    /// All coins, in the order of their txid's bytes and output number, as they were when this was called.
    pub fn coins(
        &self,
    ) -> Result<impl Iterator<Item = Result<(OutPoint, Coin), StoreError>> + '_, StoreError> {
        let entries = self.db.iter_from(&[COIN])?;
        Ok(entries.map_while(|entry| {
            let (key, value) = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error.into())),
            };
            let (&COIN, outpoint) = key.split_first()? else {
                return None;
            };
            Some(decode_entry(outpoint, &value))
        }))
    }

    /// About how many bytes on disk the coins take.
    pub fn approximate_size(&self) -> u64 {
        self.db.approximate_size(&[COIN], &[COIN + 1])
    }

    /// Begins to rewrite the database without what is spent, on a thread of its own, unless that is under way. Dropping
    /// this ends it early.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn compact_in_background(&self) -> std::io::Result<()> {
        let mut compaction = self
            .compaction
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let under_way = |compaction: &Compaction| !compaction.thread.is_finished();
        if compaction.as_ref().is_some_and(under_way) {
            return Ok(());
        }
        let db = Arc::clone(&self.db);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("utxocompact".into())
            .spawn(move || {
                let path = location(&*db);
                tracing::debug!(target: "coindb", "Starting chainstate compaction of {path}");
                match db.compact(&stopped) {
                    Ok(()) if stopped.load(Ordering::Relaxed) => {}
                    Ok(()) => {
                        tracing::debug!(target: "coindb", "Finished chainstate compaction of {path}");
                    }
                    Err(error) => tracing::warn!("Failed chainstate compaction ({error})"),
                }
            })?;
        *compaction = Some(Compaction { thread, stop });
        Ok(())
    }
}

fn coin_key(outpoint: &OutPoint) -> Vec<u8> {
    let mut key = Vec::with_capacity(38);
    key.push(COIN);
    key.extend_from_slice(outpoint.txid.as_byte_array());
    write_varint(&mut key, outpoint.vout.into());
    key
}

fn decode_entry(key: &[u8], value: &[u8]) -> Result<(OutPoint, Coin), StoreError> {
    let mut reader = Reader::new(key);
    let txid = reader.array().map_err(StoreError::decode("coin key"))?;
    let vout = reader
        .varint_u32()
        .map_err(StoreError::decode("coin key"))?;
    let coin = read_coin(&mut Reader::new(value)).map_err(StoreError::decode("coin"))?;
    Ok((
        OutPoint {
            txid: Txid::from_byte_array(txid),
            vout,
        },
        coin,
    ))
}

#[cfg(test)]
mod tests {
    use bitcoin::{Amount, ScriptBuf, TxOut};

    use super::*;
    use crate::store::kv::MemoryKv;

    fn coin(sats: u64) -> Coin {
        Coin {
            output: TxOut {
                value: Amount::from_sat(sats),
                script_pubkey: ScriptBuf::from_bytes(vec![0x51]),
            },
            height: 5,
            coinbase: true,
        }
    }

    fn outpoint(n: u32) -> OutPoint {
        OutPoint {
            txid: Txid::from_byte_array([n as u8; 32]),
            vout: n,
        }
    }

    fn tip(n: u8) -> BlockHash {
        BlockHash::from_byte_array([n; 32])
    }

    #[test]
    fn coins_are_kept_until_spent() {
        let db = CoinsDb::with_batch_bytes(Box::new(MemoryKv::new()), 64);
        let coins: Vec<_> = (0..20).map(|n| (outpoint(n), coin(n.into()))).collect();
        db.write(
            coins.iter().map(|(outpoint, coin)| (outpoint, Some(coin))),
            tip(1),
        )
        .expect("writes");
        assert_eq!(db.best_block().expect("reads"), Some(tip(1)));
        assert_eq!(db.head_blocks().expect("reads"), None);
        assert_eq!(db.coin(&outpoint(7)).expect("reads"), Some(coin(7)));
        db.write([(&outpoint(7), None)].into_iter(), tip(2))
            .expect("writes");
        assert_eq!(db.coin(&outpoint(7)).expect("reads"), None);
        assert_eq!(db.coins().expect("reads").count(), 19);
        let all: Vec<_> = db
            .coins()
            .expect("reads")
            .map(|entry| entry.expect("decodes"))
            .collect();
        assert_eq!(all[8], (outpoint(9), coin(9)));
    }

    #[test]
    fn a_compaction_in_the_background_ends_with_the_database() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let engine = crate::store::engine::EngineDb::open(dir.path(), 1 << 20).expect("opens");
        let db = CoinsDb::new(Box::new(engine));
        let coins: Vec<_> = (0..20_000).map(|n| (outpoint(n), coin(n.into()))).collect();
        for changes in coins.chunks(1000) {
            let changes = changes
                .iter()
                .map(|(outpoint, coin)| (outpoint, Some(coin)));
            db.write(changes, tip(1)).expect("writes");
        }
        db.compact_in_background().expect("begins");
        db.compact_in_background().expect("is under way or over");
        assert_eq!(db.coin(&outpoint(7)).expect("reads"), Some(coin(7)));
        drop(db);
        // The directory is free at once.
        let engine = crate::store::engine::EngineDb::open(dir.path(), 1 << 20).expect("opens");
        let db = CoinsDb::new(Box::new(engine));
        assert_eq!(db.coins().expect("reads").count(), coins.len());
    }

    /// Passes a given number of batches on, then fails as a full disk does.
    struct FailAfter(MemoryKv, std::sync::atomic::AtomicUsize);

    impl KvStore for FailAfter {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, crate::store::kv::KvError> {
            self.0.get(key)
        }
        fn write(&self, batch: &Batch, sync: Sync) -> Result<(), crate::store::kv::KvError> {
            use std::sync::atomic::Ordering::SeqCst;
            if self.1.fetch_sub(1, SeqCst) == 0 {
                return Err(crate::store::kv::KvError::Engine(
                    "IO error: No space left on device".into(),
                ));
            }
            self.0.write(batch, sync)
        }
        fn iter_from(
            &self,
            start: &[u8],
        ) -> Result<crate::store::kv::Entries<'_>, crate::store::kv::KvError> {
            self.0.iter_from(start)
        }
        fn approximate_size(&self, start: &[u8], end: &[u8]) -> u64 {
            self.0.approximate_size(start, end)
        }
        fn compact(&self, stop: &Arc<AtomicBool>) -> Result<(), crate::store::kv::KvError> {
            self.0.compact(stop)
        }
    }

    #[test]
    fn an_interrupted_flush_leaves_both_tips() {
        let store = FailAfter(MemoryKv::new(), 2.into());
        let db = CoinsDb::with_batch_bytes(Box::new(store), 64);
        let coins: Vec<_> = (0..20).map(|n| (outpoint(n), coin(n.into()))).collect();
        let changes = || coins.iter().map(|(outpoint, coin)| (outpoint, Some(coin)));
        db.write(changes(), tip(1)).expect_err("the disk is full");
        assert_eq!(db.best_block().expect("reads"), None);
        assert_eq!(
            db.head_blocks().expect("reads"),
            Some(HeadBlocks {
                new: tip(1),
                old: None
            })
        );
        let error = db
            .write(changes(), tip(2))
            .expect_err("must be replayed to the same block first");
        assert!(error.to_string().contains("inconsistent state"), "{error}");
    }
}
