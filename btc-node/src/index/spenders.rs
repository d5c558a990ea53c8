//! Which transaction spends an output (`-txospenderindex`).
//!
//! A record is a key alone: a keyed hash of the outpoint, and the place of the transaction in the block files. Records of
//! blocks that leave the chain are deleted with the next commit: if the node is killed before, the index goes on from an
//! earlier block that may need them. So a record counts only if its block is on the chain that the index is at.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bitcoin::{BlockHash, OutPoint, Transaction};

use super::db::{BEST_BLOCK, IndexDb};
use super::error::{IndexError, StartIndexError};
use super::follow::{Contents, Follower, IndexInfo, IndexedBlock};
use super::siphash::SipKey;
use super::txs::{HEADER, count_size, read_disk_pos};
use crate::chain::record::FilePos;
use crate::chainstate::{BlockSummary, ChainstateManager};
use crate::store::codec::{Reader, write_varint};
use crate::store::kv::{Batch, DatabaseOptions};

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
    /// Opens or creates it in a network's directory, its database as the options say.
    ///
    /// # Errors
    /// See [`StartIndexError`].
    pub fn open(
        chain: &Arc<ChainstateManager>,
        net_dir: &Path,
        options: &DatabaseOptions,
    ) -> Result<Self, StartIndexError> {
        let path = net_dir.join("indexes").join("txospenderindex").join("db");
        // Keys are looked for by what they begin with, of which a filter says nothing.
        let options = DatabaseOptions {
            filter: false,
            ..*options
        };
        let db = IndexDb::open(NAME, &chain.options().disk, &path, &options)?;
        let db =
            SpenderDb::over(db).map_err(|source| StartIndexError::State { name: NAME, source })?;
        let db = Arc::new(db);
        let writer = Writer {
            db: Arc::clone(&db),
            removed: BTreeSet::new(),
        };
        let follower = Follower::open("txospenderidx", chain, Box::new(writer))?;
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
            // After a kill, another block may lie where the one was that the record is of.
            let Some(block) = self.block_at(pos) else {
                continue;
            };
            let tx = reader.read_transaction(pos, offset.saturating_add(HEADER))?;
            if tx
                .input
                .iter()
                .any(|input| input.previous_output == *outpoint)
            {
                return Ok(Some(Spender { tx, block }));
            }
        }
        Ok(None)
    }

    /// The block that lies at a place, if it is on the chain that the index is at.
    fn block_at(&self, pos: FilePos) -> Option<BlockHash> {
        let chain = self.follower.chain();
        let header = match chain.block_reader().read_header(pos) {
            Ok(header) => header,
            Err(error) => {
                tracing::debug!("no block where a record of {NAME} points: {error}");
                return None;
            }
        };
        let block = chain.block_summary(&header.block_hash())?;
        let there = block.data_pos == Some((pos.file, pos.offset));
        (there && self.follower.is_on_its_chain(&block.hash)).then_some(block.hash)
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

struct Writer {
    db: Arc<SpenderDb>,
    /// Keys to delete with the next commit.
    removed: BTreeSet<Vec<u8>>,
}

impl Contents for Writer {
    fn db(&self) -> &IndexDb {
        &self.db.db
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
        for key in self.db.keys(block)? {
            self.removed.remove(&key);
            batch.put(key, []);
        }
        Ok(self.db.db.write(&batch)?)
    }

    fn remove(&mut self, block: &IndexedBlock<'_>) -> Result<(), IndexError> {
        self.removed.extend(self.db.keys(block)?);
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch) -> Result<(), IndexError> {
        for key in std::mem::take(&mut self.removed) {
            batch.delete(key);
        }
        Ok(())
    }
}
