//! Which transaction spends an output (`-txospenderindex`).
//!
//! A record is a key alone: a keyed hash of the outpoint, and the place of the transaction in the block files.

use std::path::Path;
use std::sync::Arc;

use bitcoin::{BlockHash, OutPoint, Transaction};

use super::db::{BEST_BLOCK, IndexDb};
use super::error::{IndexError, StartIndexError};
use super::follow::{Contents, Follower, IndexInfo, IndexedBlock};
use super::siphash::SipKey;
use super::txs::{HEADER, count_size, read_disk_pos};
use crate::chainstate::{BlockSummary, ChainstateManager};
use crate::store::codec::{Reader, write_varint};
use crate::store::kv::Batch;

/// Its name, as `getindexinfo` shows it.
const NAME: &str = "txospenderindex";
/// Prefix of records.
const SPENDER: u8 = b's';
/// Where the key of the hash is kept: Core writes it with the zero byte that ends a C string, and without its length.
const HASH_KEY: &[u8] = b"siphash_key\0";

/// A transaction that spends an output, and the block that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spender {
    /// The transaction.
    pub tx: Transaction,
    /// The block.
    pub block: BlockHash,
}

struct SpenderDb {
    db: IndexDb,
    key: SipKey,
}

/// An index of the transactions that spend outputs.
pub struct SpenderIndex {
    db: Arc<SpenderDb>,
    follower: Follower,
}

impl SpenderIndex {
    /// Opens or creates it in a network's directory, with about `cache` bytes of memory; `wipe` empties it first.
    ///
    /// # Errors
    /// See [`StartIndexError`].
    pub fn open(
        chain: &Arc<ChainstateManager>,
        net_dir: &Path,
        cache: usize,
        wipe: bool,
    ) -> Result<Self, StartIndexError> {
        let path = net_dir.join("indexes").join("txospenderindex").join("db");
        let db = IndexDb::open(NAME, &path, cache, wipe)?;
        let db =
            SpenderDb::over(db).map_err(|source| StartIndexError::State { name: NAME, source })?;
        let db = Arc::new(db);
        let follower = Follower::open("txospenderidx", chain, Box::new(Writer(Arc::clone(&db))))?;
        Ok(Self { db, follower })
    }

    /// Its way along the chain.
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// How far it is.
    pub fn info(&self) -> IndexInfo {
        self.follower.info()
    }

    /// The transaction of the chain that spends an output.
    ///
    /// # Errors
    /// The database failed, or a block file cannot be read.
    pub fn find(&self, outpoint: &OutPoint) -> Result<Option<Spender>, IndexError> {
        let prefix = self.db.prefix(outpoint);
        let reader = self.follower.chain().block_reader();
        for entry in self.db.db.iter_from(&prefix)? {
            let (key, _) = entry?;
            let Some(rest) = key.strip_prefix(prefix.as_slice()) else {
                break;
            };
            let (pos, offset) = read_disk_pos(&mut Reader::new(rest))?;
            let tx = reader.read_transaction(pos, offset.saturating_add(HEADER))?;
            if tx
                .input
                .iter()
                .any(|input| input.previous_output == *outpoint)
            {
                let block = reader.read_header(pos)?.block_hash();
                return Ok(Some(Spender { tx, block }));
            }
        }
        Ok(None)
    }
}

impl SpenderDb {
    fn over(db: IndexDb) -> Result<Self, IndexError> {
        let key = match db.get(HASH_KEY)? {
            Some(value) => SipKey::decode(&value)
                .ok_or_else(|| IndexError::corrupt(NAME, "the key of its hash has another size"))?,
            None => {
                let key = SipKey::random();
                let mut batch = Batch::new();
                batch.put(HASH_KEY, key.encode());
                db.write_durably(&batch)?;
                key
            }
        };
        Ok(Self { db, key })
    }

    /// The first part of the keys of what spends an output.
    fn prefix(&self, outpoint: &OutPoint) -> Vec<u8> {
        let mut key = vec![SPENDER];
        key.extend_from_slice(&self.key.outpoint(outpoint).to_le_bytes());
        key
    }

    /// The keys that a block makes.
    fn keys(&self, block: &IndexedBlock<'_>) -> Result<Vec<Vec<u8>>, IndexError> {
        let hash = block.summary.hash;
        let (file, start) = block.summary.data_pos.ok_or(IndexError::NoBlock(hash))?;
        let block = block.block()?;
        let mut keys = Vec::new();
        let mut offset = count_size(block.txdata.len());
        for tx in &block.txdata {
            let spent = tx.input.iter().filter(|_| !tx.is_coinbase());
            for input in spent {
                let mut key = self.prefix(&input.previous_output);
                for number in [file, start, offset] {
                    write_varint(&mut key, number.into());
                }
                keys.push(key);
            }
            offset += tx.total_size() as u32;
        }
        Ok(keys)
    }
}

struct Writer(Arc<SpenderDb>);

impl Contents for Writer {
    fn db(&self) -> &IndexDb {
        &self.0.db
    }

    fn best_key(&self) -> &'static [u8] {
        BEST_BLOCK
    }

    fn allows_pruning(&self) -> bool {
        false
    }

    fn needs_undo(&self) -> bool {
        false
    }

    fn load(&mut self, _best: Option<&BlockSummary>) -> Result<(), IndexError> {
        Ok(())
    }

    fn append(&mut self, block: &IndexedBlock<'_>) -> Result<(), IndexError> {
        let mut batch = Batch::new();
        for key in self.0.keys(block)? {
            batch.put(key, []);
        }
        Ok(self.0.db.write(&batch)?)
    }

    fn remove(&mut self, block: &IndexedBlock<'_>) -> Result<(), IndexError> {
        let mut batch = Batch::new();
        for key in self.0.keys(block)? {
            batch.delete(key);
        }
        Ok(self.0.db.write(&batch)?)
    }

    fn commit(&mut self, _batch: &mut Batch) -> Result<(), IndexError> {
        Ok(())
    }
}
