//! Where each transaction of the chain lies (`-txindex`).
//!
//! A record is a key alone: the first five bytes of a keyed hash of the txid, the number of the block in the order in which
//! blocks came into the index, and the transaction's place in the block. Versions of Core before 31 kept whole txids; what
//! they wrote is still read.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction, Txid, VarInt};

use super::db::{BEST_BLOCK, IndexDb, text_key};
use super::error::{IndexError, StartIndexError};
use super::follow::{Contents, Follower, IndexInfo, IndexedBlock};
use super::siphash::SipKey;
use crate::chain::record::FilePos;
use crate::chainstate::{BlockSummary, ChainstateManager};
use crate::store::StoreError;
use crate::store::codec::{Reader, write_varint};
use crate::store::kv::{Batch, DatabaseOptions};

/// Its name, as `getindexinfo` shows it.
const NAME: &str = "txindex";
/// Prefix of records of transactions.
const TX: u8 = b'x';
/// Prefix of a block's hash by its number.
const BLOCK_BY_NUMBER: u8 = b's';
/// Prefix of a block's number by its hash.
const NUMBER_BY_BLOCK: u8 = b'h';
/// Prefix of records of transactions, as old versions wrote them: by whole txid.
const OLD_TX: u8 = b't';
/// Where the key of the hash is kept.
const HASH_KEY: &str = "txid_hash_salt";
/// Where the number of the next block is kept.
const NEXT_NUMBER: &str = "next_block_seq";
/// Where the best block is kept: [`text_key`] of "best_block_v2". Old versions kept theirs elsewhere.
const BEST_KEY: &[u8] = b"\x0dbest_block_v2";
/// Bytes of a hash that a key holds.
const HASH_BYTES: usize = 5;
/// Bytes of a header, the offset of the first byte after it.
pub(super) const HEADER: u32 = 80;

/// A transaction and the block that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTx {
    /// The transaction.
    pub tx: Transaction,
    /// The block.
    pub block: BlockHash,
}

/// The database with what is read from it once.
struct TxDb {
    db: IndexDb,
    key: SipKey,
    /// Whether an old version wrote a part of it.
    old: bool,
}

/// An index of all transactions of the chain, but for the genesis block's.
pub struct TxIndex {
    db: Arc<TxDb>,
    follower: Follower,
}

impl TxIndex {
    /// Opens or creates it in a network's directory, its database as the options say.
    ///
    /// # Errors
    /// See [`StartIndexError`].
    pub fn open(
        chain: &Arc<ChainstateManager>,
        net_dir: &Path,
        options: &DatabaseOptions,
    ) -> Result<Self, StartIndexError> {
        let path = net_dir.join("indexes").join("txindex");
        let db = IndexDb::open(NAME, &chain.options().disk, &path, options)?;
        let db = TxDb::over(db).map_err(|source| StartIndexError::State { name: NAME, source })?;
        if db.old {
            tracing::info!(
                "txindex contains entries in the legacy format, which uses excessive disk space. To reclaim disk space, \
                 stop the node, delete {} and restart to rebuild the index.",
                path.display()
            );
        }
        let db = Arc::new(db);
        let follower = Follower::open("txidx", chain, Box::new(Writer(Arc::clone(&db))))?;
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

    /// A transaction by its txid; that of the active chain if it is in several blocks.
    ///
    /// # Errors
    /// The database failed. A block file that cannot be read is told in the log, and counts as not having it.
    pub fn find(&self, txid: &Txid) -> Result<Option<FoundTx>, IndexError> {
        let chain = self.follower.chain();
        let mut candidates = Vec::new();
        for (number, offset) in self.db.places(txid)? {
            let Some(hash) = self.db.block_of_number(number)? else {
                tracing::warn!("Block sequence {number} not found for txid {txid}");
                continue;
            };
            let Some(summary) = chain.block_summary(&hash) else {
                tracing::warn!("Block index entry {hash} not found for txid {txid}");
                continue;
            };
            if let Some((file, start)) = summary.data_pos {
                let pos = FilePos {
                    file,
                    offset: start,
                };
                candidates.push((Reverse((summary.active, number)), pos, offset, hash));
            }
        }
        candidates.sort_unstable_by_key(|candidate| candidate.0);
        for (_, pos, offset, block) in candidates {
            match chain.block_reader().read_transaction(pos, offset) {
                Ok(tx) if tx.compute_txid() == *txid => return Ok(Some(FoundTx { tx, block })),
                // Another one with the same short hash.
                Ok(_) => {}
                Err(error) => tracing::warn!("Deserialize or I/O error - {error}"),
            }
        }
        self.find_old(txid)
    }

    /// A transaction that an old version entered.
    fn find_old(&self, txid: &Txid) -> Result<Option<FoundTx>, IndexError> {
        if !self.db.old {
            return Ok(None);
        }
        let Some(value) = self.db.db.get(&old_key(txid))? else {
            return Ok(None);
        };
        let (pos, offset) = read_disk_pos(&mut Reader::new(&value))?;
        let reader = self.follower.chain().block_reader();
        let read = || -> Result<_, StoreError> {
            let header = reader.read_header(pos)?;
            let offset = offset.saturating_add(HEADER);
            Ok((header, reader.read_transaction(pos, offset)?))
        };
        match read() {
            Ok((header, tx)) if tx.compute_txid() == *txid => Ok(Some(FoundTx {
                tx,
                block: header.block_hash(),
            })),
            Ok(_) => {
                tracing::error!("txid mismatch");
                Ok(None)
            }
            Err(error) => {
                tracing::error!("Deserialize or I/O error - {error}");
                Ok(None)
            }
        }
    }
}

impl TxDb {
    fn over(db: IndexDb) -> Result<Self, IndexError> {
        let name = text_key(HASH_KEY);
        let key = match db.get(&name)? {
            Some(value) => SipKey::decode(&value)
                .ok_or_else(|| IndexError::corrupt(NAME, "the key of its hash has another size"))?,
            None => {
                let key = SipKey::random();
                let mut batch = Batch::new();
                batch.put(name, key.encode());
                db.write_durably(&batch)?;
                key
            }
        };
        let old = {
            let first = db.iter_from(&[OLD_TX])?.next().transpose()?;
            first.is_some_and(|(key, _)| key.first() == Some(&OLD_TX))
        };
        Ok(Self { db, key, old })
    }

    /// The first part of a transaction's keys.
    fn prefix(&self, txid: &Txid) -> Vec<u8> {
        let mut key = vec![TX];
        key.extend_from_slice(&self.key.txid(txid).to_be_bytes()[..HASH_BYTES]);
        key
    }

    /// Blocks, by number, and offsets in them where the transaction may be.
    fn places(&self, txid: &Txid) -> Result<Vec<(u32, u32)>, IndexError> {
        let prefix = self.prefix(txid);
        let mut places = Vec::new();
        for entry in self.db.iter_from(&prefix)? {
            let (key, _) = entry?;
            let Some(rest) = key.strip_prefix(prefix.as_slice()) else {
                break;
            };
            places.push(read_place(rest).map_err(IndexError::decode(NAME))?);
        }
        Ok(places)
    }

    fn block_of_number(&self, number: u32) -> Result<Option<BlockHash>, IndexError> {
        let Some(value) = self.db.get(&number_key(number))? else {
            return Ok(None);
        };
        BlockHash::from_slice(&value)
            .map(Some)
            .map_err(|error| IndexError::corrupt(NAME, error.to_string()))
    }

    fn next_number(&self) -> Result<u32, IndexError> {
        match self.db.get(&text_key(NEXT_NUMBER))? {
            None => Ok(0),
            Some(value) => Reader::new(&value)
                .u32_le()
                .map_err(IndexError::decode(NAME)),
        }
    }

    fn append(&self, block: &IndexedBlock<'_>) -> Result<(), IndexError> {
        let mut number_by_block = vec![NUMBER_BY_BLOCK];
        number_by_block.extend_from_slice(block.summary.hash.as_byte_array());
        // One that comes again after a reorganization or a kill is there already.
        if self.db.get(&number_by_block)?.is_some() {
            return Ok(());
        }
        let number = self.next_number()?;
        let mut batch = Batch::new();
        batch.put(number_by_block, number.to_le_bytes());
        batch.put(number_key(number), *block.summary.hash.as_byte_array());
        batch.put(text_key(NEXT_NUMBER), (number + 1).to_le_bytes());
        let block = block.block()?;
        let mut offset = HEADER + count_size(block.txdata.len());
        for tx in &block.txdata {
            let mut key = self.prefix(&tx.compute_txid());
            write_varint(&mut key, number.into());
            key.extend_from_slice(&offset.to_be_bytes()[1..]);
            batch.put(key, []);
            offset += tx.total_size() as u32;
        }
        Ok(self.db.write(&batch)?)
    }
}

/// Bytes that the number of a block's transactions takes.
pub(super) fn count_size(transactions: usize) -> u32 {
    VarInt(transactions as u64).size() as u32
}

fn number_key(number: u32) -> Vec<u8> {
    let mut key = vec![BLOCK_BY_NUMBER];
    write_varint(&mut key, number.into());
    key
}

fn old_key(txid: &Txid) -> Vec<u8> {
    let mut key = vec![OLD_TX];
    key.extend_from_slice(txid.as_byte_array());
    key
}

/// A block's number and an offset in it.
fn read_place(bytes: &[u8]) -> Result<(u32, u32), crate::store::codec::DecodeError> {
    let mut reader = Reader::new(bytes);
    let number = reader.varint_u32()?;
    let [high, middle, low] = reader.array()?;
    reader.finish()?;
    Ok((number, u32::from_be_bytes([0, high, middle, low])))
}

/// A block's place and the offset of a transaction after its header.
pub(super) fn read_disk_pos(reader: &mut Reader<'_>) -> Result<(FilePos, u32), IndexError> {
    let mut read = || {
        let file = reader.varint_i31()?;
        let offset = reader.varint_u32()?;
        Ok((FilePos { file, offset }, reader.varint_u32()?))
    };
    read().map_err(IndexError::decode(NAME))
}

struct Writer(Arc<TxDb>);

impl Contents for Writer {
    fn db(&self) -> &IndexDb {
        &self.0.db
    }

    fn best_key(&self) -> &'static [u8] {
        BEST_KEY
    }

    fn best_block(&self) -> Result<Option<BlockHash>, IndexError> {
        match self.0.db.best_block(BEST_KEY)? {
            Some(best) => Ok(Some(best)),
            // Where an old version left off, this one goes on.
            None => self.0.db.best_block(BEST_BLOCK),
        }
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
        // Nobody can spend what the genesis block creates.
        if block.summary.height == 0 {
            return Ok(());
        }
        self.0.append(block)
    }

    /// Stays: a block that left the active chain can still be asked for.
    fn remove(&mut self, _block: &IndexedBlock<'_>) -> Result<(), IndexError> {
        Ok(())
    }

    fn commit(&mut self, _batch: &mut Batch) -> Result<(), IndexError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_encoded_as_core_publishes() {
        for (number, offset, bytes) in [
            (0, 0, &[0, 0, 0, 0][..]),
            (1, 2, &[1, 0, 0, 2]),
            (10_000_000, 123, &[0x83, 0xe1, 0xac, 0, 0, 0, 0x7b]),
            (456, 3_999_999, &[0x82, 0x48, 0x3d, 0x08, 0xff]),
        ] {
            assert_eq!(read_place(bytes), Ok((number, offset)));
        }
        assert!(read_place(&[1, 0, 0]).is_err());
        assert!(read_place(&[1, 0, 0, 2, 0]).is_err());
        assert_eq!(number_key(1), [0x73, 1]);
        assert_eq!(BEST_KEY, text_key("best_block_v2"));
    }
}
