//! Compact filters of blocks (BIP 158, type basic) and the chain of their headers (`-blockfilterindex`).

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bitcoin::bip158::{BlockFilter, BlockFilterWriter, FilterHash, FilterHeader};
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash};

use super::db::{BEST_BLOCK, IndexDb, put_at_height};
use super::error::{IndexError, StartIndexError};
use super::filter_files::{FilterFiles, decode_pos, encode_pos};
use super::follow::{Contents, Follower, IndexInfo, IndexedBlock};
use crate::chain::record::FilePos;
use crate::chainstate::{BlockSummary, ChainstateManager};
use crate::store::StoreError;
use crate::store::codec::{DecodeError, Reader};
use crate::store::kv::{Batch, DatabaseOptions};
use crate::store::undo::BlockUndo;

/// Its name, as `getindexinfo` shows it.
pub(super) const NAME: &str = "basic block filter index";
/// Where the end of the last filter is kept.
const NEXT_POS: &[u8] = b"P";
/// Blocks between two headers that peers ask for to check what others tell them (BIP 157).
pub const CHECKPOINT_INTERVAL: u32 = 1000;
/// Checkpoints kept in memory, so that answering a peer reads no disk. Enough for two million blocks.
const MAX_CACHED: usize = 2000;

/// What is kept about a block's filter besides the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    hash: FilterHash,
    header: FilterHeader,
    pos: FilePos,
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        let mut out = self.hash.to_byte_array().to_vec();
        out.extend_from_slice(self.header.as_byte_array());
        out.extend(encode_pos(self.pos));
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        let read = || -> Result<Self, DecodeError> {
            let mut reader = Reader::new(bytes);
            let record = Self {
                hash: FilterHash::from_byte_array(reader.array()?),
                header: FilterHeader::from_byte_array(reader.array()?),
                pos: decode_pos(&mut reader)?,
            };
            reader.finish()?;
            Ok(record)
        };
        read().map_err(IndexError::decode(NAME))
    }
}

/// The basic filter of a block, given what it spent.
///
/// ```
/// use bitcoin::Network;
/// use btc_node::index::filters::basic_filter;
/// use btc_node::store::undo::BlockUndo;
///
/// let genesis = bitcoin::constants::genesis_block(Network::Testnet);
/// let filter = basic_filter(&genesis, &BlockUndo::default());
/// assert_eq!(filter.content, [0x01, 0x9d, 0xfc, 0xa8]);
/// ```
pub fn basic_filter(block: &Block, undo: &BlockUndo) -> BlockFilter {
    let mut content = Vec::new();
    let mut writer = BlockFilterWriter::new(&mut content, block);
    writer.add_output_scripts();
    for coin in undo.0.iter().flatten() {
        writer.add_element(coin.output.script_pubkey.as_bytes());
    }
    writer.finish().expect("writing to memory does not fail");
    BlockFilter { content }
}

struct FilterDb {
    db: IndexDb,
    files: FilterFiles,
}

impl FilterDb {
    fn record(&self, height: u32, hash: &BlockHash) -> Result<Option<Record>, IndexError> {
        let record = self.db.of_block(height, hash)?;
        record.map(|record| Record::decode(&record)).transpose()
    }

    /// The header of the filter of a block that was indexed.
    fn known_header(&self, height: u32, hash: &BlockHash) -> Result<FilterHeader, IndexError> {
        let missing = || IndexError::corrupt(NAME, format!("no filter header of block {hash}"));
        Ok(self.record(height, hash)?.ok_or_else(missing)?.header)
    }

    fn filter(&self, record: &Record) -> Result<BlockFilter, IndexError> {
        let (_, content) = self.files.read(record.pos)?;
        if FilterHash::hash(&content) != record.hash {
            let place = format!("file {} offset {}", record.pos.file, record.pos.offset);
            return Err(IndexError::corrupt(
                NAME,
                format!("checksum mismatch of the filter at {place}"),
            ));
        }
        Ok(BlockFilter { content })
    }
}

/// An index of compact filters.
pub struct FilterIndex {
    db: Arc<FilterDb>,
    follower: Follower,
    checkpoints: Mutex<HashMap<BlockHash, FilterHeader>>,
}

impl FilterIndex {
    /// Opens or creates it in a network's directory, its database as the options say.
    ///
    /// # Errors
    /// See [`StartIndexError`].
    pub fn open(
        chain: &Arc<ChainstateManager>,
        net_dir: &Path,
        options: &DatabaseOptions,
    ) -> Result<Self, StartIndexError> {
        let dir = net_dir.join("indexes").join("blockfilter").join("basic");
        let disk = &chain.options().disk;
        disk.create_dir_all(&dir)
            .map_err(StoreError::io("create directory", &dir))?;
        let db = Arc::new(FilterDb {
            db: IndexDb::open(NAME, disk, &dir.join("db"), options)?,
            files: FilterFiles::new(dir, disk.clone()),
        });
        let writer = Writer {
            db: Arc::clone(&db),
            next: FilePos { file: 0, offset: 0 },
            last: FilterHeader::all_zeros(),
        };
        let follower = Follower::open("blkfltbscidx", chain, Box::new(writer))?;
        Ok(Self {
            db,
            follower,
            checkpoints: Mutex::default(),
        })
    }

    /// Its way along the chain.
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// How far it is.
    pub fn info(&self) -> IndexInfo {
        self.follower.info()
    }

    /// The filter of a block; `None` if it is not indexed.
    ///
    /// # Errors
    /// The database or the files failed.
    pub fn filter(&self, block: &BlockSummary) -> Result<Option<BlockFilter>, IndexError> {
        let record = self.db.record(block.height, &block.hash)?;
        record.map(|record| self.db.filter(&record)).transpose()
    }

    /// The header of a block's filter; `None` if it is not indexed.
    ///
    /// # Errors
    /// The database failed.
    pub fn header(&self, block: &BlockSummary) -> Result<Option<FilterHeader>, IndexError> {
        let is_checkpoint = block.height.is_multiple_of(CHECKPOINT_INTERVAL);
        if is_checkpoint && let Some(header) = self.checkpoints().get(&block.hash) {
            return Ok(Some(*header));
        }
        let Some(record) = self.db.record(block.height, &block.hash)? else {
            return Ok(None);
        };
        if is_checkpoint {
            let mut checkpoints = self.checkpoints();
            if checkpoints.len() < MAX_CACHED {
                checkpoints.insert(block.hash, record.header);
            }
        }
        Ok(Some(record.header))
    }

    fn checkpoints(&self) -> std::sync::MutexGuard<'_, HashMap<BlockHash, FilterHeader>> {
        self.checkpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The filters of the blocks from a height up to `stop` on its chain, each with its block; `None` if one is not
    /// indexed.
    ///
    /// # Errors
    /// The database or the files failed.
    pub fn filters(
        &self,
        from: u32,
        stop: &BlockSummary,
    ) -> Result<Option<Vec<(BlockHash, BlockFilter)>>, IndexError> {
        let Some(records) = self.records(from, stop)? else {
            return Ok(None);
        };
        let filters = records
            .iter()
            .map(|(hash, record)| Ok((*hash, self.db.filter(record)?)));
        filters.collect::<Result<_, IndexError>>().map(Some)
    }

    /// The hashes of the filters of the blocks from a height up to `stop` on its chain; `None` if one is not indexed.
    ///
    /// # Errors
    /// The database failed.
    pub fn hashes(
        &self,
        from: u32,
        stop: &BlockSummary,
    ) -> Result<Option<Vec<FilterHash>>, IndexError> {
        let records = self.records(from, stop)?;
        Ok(records.map(|records| records.iter().map(|(_, record)| record.hash).collect()))
    }

    fn records(
        &self,
        from: u32,
        stop: &BlockSummary,
    ) -> Result<Option<Vec<(BlockHash, Record)>>, IndexError> {
        let found = self.db.db.heights(from, stop.height)?;
        if from > stop.height || found.len() as u64 != u64::from(stop.height - from) + 1 {
            return Ok(None);
        }
        // From the end, since a block names the one before it. Those that left the active chain are kept elsewhere.
        let chain = self.follower.chain();
        let mut records = Vec::with_capacity(found.len());
        let mut at = Some(stop.clone());
        for (hash, record) in found.into_iter().rev() {
            let Some(block) = at else { return Ok(None) };
            let record = if hash == block.hash {
                Some(record)
            } else {
                self.db.db.by_hash(&block.hash)?
            };
            let Some(record) = record else {
                return Ok(None);
            };
            records.push((block.hash, Record::decode(&record)?));
            at = chain.block_summary(&block.header.prev_blockhash);
        }
        records.reverse();
        Ok(Some(records))
    }
}

struct Writer {
    db: Arc<FilterDb>,
    /// Where the next filter goes.
    next: FilePos,
    /// The header of the last block's filter; zeros before the first.
    last: FilterHeader,
}

impl Contents for Writer {
    fn db(&self) -> &IndexDb {
        &self.db.db
    }

    fn best_key(&self) -> &'static [u8] {
        BEST_BLOCK
    }

    fn allows_pruning(&self) -> bool {
        true
    }

    fn needs_undo(&self) -> bool {
        true
    }

    fn load(&mut self, best: Option<&BlockSummary>) -> Result<(), IndexError> {
        if let Some(value) = self.db.db.get(NEXT_POS)? {
            self.next = decode_pos(&mut Reader::new(&value)).map_err(IndexError::decode(NAME))?;
        }
        if let Some(best) = best {
            self.last = self.db.known_header(best.height, &best.hash)?;
        }
        Ok(())
    }

    fn append(&mut self, block: &IndexedBlock<'_>) -> Result<(), IndexError> {
        let filter = basic_filter(&*block.block()?, &block.undo()?);
        let hash = FilterHash::hash(&filter.content);
        let header = hash.filter_header(&self.last);
        let summary = block.summary;
        let files = &self.db.files;
        let (pos, next) = files.write(self.next, &summary.hash, &filter.content)?;
        let mut batch = Batch::new();
        let record = Record { hash, header, pos };
        put_at_height(&mut batch, summary.height, &summary.hash, &record.encode());
        self.db.db.write(&batch)?;
        self.next = next;
        self.last = header;
        Ok(())
    }

    fn remove(&mut self, block: &IndexedBlock<'_>) -> Result<(), IndexError> {
        let height = block.summary.height;
        let mut batch = Batch::new();
        self.db.db.keep_by_hash(height, &mut batch)?;
        // The filter is referred to for good now: whatever is committed later, nothing may be written over it.
        batch.put(NEXT_POS, encode_pos(self.next));
        self.db.db.write(&batch)?;
        self.last = match height.checked_sub(1) {
            Some(parent) => self.db.known_header(parent, &block.prev())?,
            None => FilterHeader::all_zeros(),
        };
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch) -> Result<(), IndexError> {
        self.db.files.flush(self.next)?;
        batch.put(NEXT_POS, encode_pos(self.next));
        Ok(())
    }
}
