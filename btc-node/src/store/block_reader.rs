//! Blocks and undo records, read back.

use std::fs;

use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, deserialize_partial};
use bitcoin::{Block, BlockHash, Transaction};

use super::block_files::{RECORD_HEADER, UNDO_CHECKSUM};
use super::codec::{MAX_SIZE, Reader};
use super::error::StoreError;
use super::flat_file::FlatFiles;
use super::import::BlockScanner;
use super::obfuscation::Obfuscation;
use super::undo::{BlockUndo, checksum};
use crate::chain::record::FilePos;

/// Bytes of a block's header.
const HEADER: usize = 80;
/// Bytes that are read at first for a transaction.
const TX_GUESS: usize = 4096;

/// Reads blocks and undo records. Cheap to clone; needs no lock, since records never change once written.
#[derive(Clone, Debug)]
pub struct BlockReader {
    pub(super) magic: [u8; 4],
    pub(super) obfuscation: Obfuscation,
    pub(super) blocks: FlatFiles,
    pub(super) undo: FlatFiles,
}

impl BlockReader {
    /// The block whose bytes start at `pos`.
    ///
    /// # Errors
    /// The file is missing or short, the framing is not there, the block does not decode, or it is not `hash`.
    pub fn read_block(&self, pos: FilePos, hash: &BlockHash) -> Result<Block, StoreError> {
        let bytes = self.read_raw_block(pos)?;
        let block: Block = deserialize(&bytes)
            .map_err(|error| StoreError::corrupt(format!("block at {}", self.place(pos)), error))?;
        let found = block.block_hash();
        if found != *hash {
            return Err(StoreError::corrupt(
                format!("block at {}", self.place(pos)),
                format!("hash {found} does not match the index, which says {hash}"),
            ));
        }
        Ok(block)
    }

    /// The bytes of the block at `pos`, as on the wire.
    pub fn read_raw_block(&self, pos: FilePos) -> Result<Vec<u8>, StoreError> {
        let (_, bytes) = self.read_record(&self.blocks, pos, 0)?;
        Ok(bytes)
    }

    /// The header of the block at `pos`.
    ///
    /// # Errors
    /// As for [`read_raw_block`](Self::read_raw_block); or it does not decode.
    pub fn read_header(&self, pos: FilePos) -> Result<Header, StoreError> {
        let bytes = self.read_block_part(pos, 0, HEADER)?;
        deserialize(&bytes)
            .map_err(|error| StoreError::corrupt(format!("block at {}", self.place(pos)), error))
    }

    /// `len` bytes of the block at `pos`, from `offset` in it on; fewer if the block ends before.
    ///
    /// # Errors
    /// The file is missing or short, or the framing is not there.
    pub fn read_block_part(
        &self,
        pos: FilePos,
        offset: u32,
        len: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let mut file = self.blocks.open(pos.file)?;
        let size = self.record_len(&self.blocks, &mut file, pos)?;
        let len = len.min(size.saturating_sub(offset as usize));
        let start = FilePos {
            file: pos.file,
            offset: pos.offset.saturating_add(offset),
        };
        self.blocks.read_from(&mut file, start, len)
    }

    /// The transaction that begins at `offset` of the block at `pos`.
    ///
    /// # Errors
    /// As for [`read_block_part`](Self::read_block_part); or no transaction is there.
    pub fn read_transaction(&self, pos: FilePos, offset: u32) -> Result<Transaction, StoreError> {
        // Its length is not known; most are short.
        let mut len = TX_GUESS;
        loop {
            let bytes = self.read_block_part(pos, offset, len)?;
            match deserialize_partial(&bytes) {
                Ok((tx, _)) => return Ok(tx),
                Err(_) if bytes.len() == len => len *= 16,
                Err(error) => {
                    let place = format!("transaction at {}", self.place(pos));
                    return Err(StoreError::corrupt(place, error));
                }
            }
        }
    }

    /// The undo record at `pos` of the block that follows `previous`.
    pub fn read_undo(&self, pos: FilePos, previous: &BlockHash) -> Result<BlockUndo, StoreError> {
        let (len, bytes) = self.read_record(&self.undo, pos, UNDO_CHECKSUM)?;
        let (record, sum) = bytes.split_at(len);
        if checksum(previous, record) != sum {
            return Err(StoreError::corrupt(
                format!("undo record at {}", self.place(pos)),
                "checksum mismatch",
            ));
        }
        BlockUndo::decode(record).map_err(|error| {
            StoreError::corrupt(format!("undo record at {}", self.place(pos)), error)
        })
    }

    /// The blocks of one file from `offset` on, in the order in which they lie there.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn scan(&self, file: u32, offset: u32) -> Result<BlockScanner<fs::File>, StoreError> {
        let opened = self.blocks.open_at(FilePos { file, offset })?;
        let (magic, obfuscation) = (self.magic, self.obfuscation);
        Ok(BlockScanner::starting_at(
            opened,
            offset.into(),
            magic,
            obfuscation,
        ))
    }

    /// Whether the block file with this number exists.
    pub fn has_block_file(&self, file: u32) -> bool {
        self.blocks.path(file).exists()
    }

    /// Whether the block file with this number can be opened.
    pub fn can_open_block_file(&self, file: u32) -> bool {
        self.blocks.open(file).is_ok()
    }

    fn place(&self, pos: FilePos) -> String {
        format!("file {} offset {}", pos.file, pos.offset)
    }

    /// Checks the framing before `pos`, then reads the record and `extra` bytes after it.
    fn read_record(
        &self,
        files: &FlatFiles,
        pos: FilePos,
        extra: u32,
    ) -> Result<(usize, Vec<u8>), StoreError> {
        let mut file = files.open(pos.file)?;
        let len = self.record_len(files, &mut file, pos)?;
        let bytes = files.read_from(&mut file, pos, len + extra as usize)?;
        Ok((len, bytes))
    }

    /// Checks the framing before `pos`, and gives the length of the record.
    fn record_len(
        &self,
        files: &FlatFiles,
        file: &mut fs::File,
        pos: FilePos,
    ) -> Result<usize, StoreError> {
        let corrupt =
            |reason: String| StoreError::corrupt(format!("record at {}", self.place(pos)), reason);
        let Some(start) = pos.offset.checked_sub(RECORD_HEADER) else {
            return Err(corrupt("no room for its framing".into()));
        };
        let header = files.read_from(
            file,
            FilePos {
                offset: start,
                ..pos
            },
            RECORD_HEADER as usize,
        )?;
        let mut reader = Reader::new(&header);
        let magic: [u8; 4] = reader
            .array()
            .map_err(StoreError::decode("record framing"))?;
        let len = reader
            .u32_le()
            .map_err(StoreError::decode("record framing"))?;
        if magic != self.magic {
            return Err(corrupt("block magic mismatch".into()));
        }
        if u64::from(len) > MAX_SIZE {
            return Err(corrupt(format!("length {len} is beyond the maximum")));
        }
        Ok(len as usize)
    }
}
