//! Blocks and undo records, read back.

use std::fs;

use bitcoin::consensus::deserialize;
use bitcoin::{Block, BlockHash};

use super::block_files::{RECORD_HEADER, UNDO_CHECKSUM};
use super::codec::{MAX_SIZE, Reader};
use super::error::StoreError;
use super::flat_file::FlatFiles;
use super::import::BlockScanner;
use super::obfuscation::Obfuscation;
use super::undo::{BlockUndo, checksum};
use crate::chain::record::FilePos;

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
        let corrupt =
            |reason: String| StoreError::corrupt(format!("record at {}", self.place(pos)), reason);
        let Some(start) = pos.offset.checked_sub(RECORD_HEADER) else {
            return Err(corrupt("no room for its framing".into()));
        };
        let mut file = files.open(pos.file)?;
        let header = files.read_from(
            &mut file,
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
        let bytes = files.read_from(&mut file, pos, len as usize + extra as usize)?;
        Ok((len as usize, bytes))
    }
}
