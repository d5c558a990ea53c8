//! Writing of tables.

use std::path::PathBuf;

use super::{BLOCK_TRAILER, FOOTER, Handle, MAGIC, NO_COMPRESSION};
use crate::block::BlockBuilder;
use crate::bloom::{FILTER_NAME, FilterBuilder};
use crate::coding::mask;
use crate::error::{Error, Result};
use crate::fs::AppendFile;
use crate::key;
use crate::options::Options;

/// How much is collected before the file system is asked to write. All writes but the last are of whole multiples: the
/// system then keeps the file in large pages, of which a block spans one and seldom two, and reads it a fifth faster.
const BUFFER: usize = 256 << 10;

/// Writes a table. Entries come in the order of their internal keys.
#[derive(Debug)]
pub(crate) struct TableBuilder {
    file: Box<dyn AppendFile>,
    path: PathBuf,
    buffer: Vec<u8>,
    offset: u64,
    block_size: usize,
    restart_interval: usize,
    data: BlockBuilder,
    index: BlockBuilder,
    filter: Option<FilterBuilder>,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    // A block that is written but not in the index: the index key may be short once the next block's first is known.
    pending: Option<Handle>,
}

impl TableBuilder {
    /// Writes to `file`, which is empty.
    pub(crate) fn new(file: Box<dyn AppendFile>, path: PathBuf, options: &Options) -> Self {
        Self {
            file,
            path,
            buffer: Vec::new(),
            offset: 0,
            block_size: options.block_size,
            restart_interval: options.restart_interval,
            data: BlockBuilder::new(options.restart_interval),
            index: BlockBuilder::new(1),
            filter: (options.bloom_bits > 0).then(|| FilterBuilder::new(options.bloom_bits)),
            first_key: Vec::new(),
            last_key: Vec::new(),
            pending: None,
        }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn add(&mut self, internal_key: &[u8], value: &[u8]) -> Result<()> {
        if let Some(handle) = self.pending.take() {
            let between = key::separator(&self.last_key, internal_key);
            self.add_to_index(&between, handle);
        }
        if let Some(filter) = &mut self.filter {
            filter.add(key::user(internal_key));
        }
        if self.first_key.is_empty() {
            self.first_key.extend_from_slice(internal_key);
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(internal_key);
        self.data.add(internal_key, value);
        if self.data.size() >= self.block_size {
            self.close_block()?;
        }
        Ok(())
    }

    fn add_to_index(&mut self, key: &[u8], handle: Handle) {
        let mut value = Vec::with_capacity(20);
        handle.encode(&mut value);
        self.index.add(key, &value);
    }

    fn close_block(&mut self) -> Result<()> {
        if self.data.is_empty() {
            return Ok(());
        }
        let handle = put_block(&mut self.buffer, &mut self.offset, self.data.finish());
        self.pending = Some(handle);
        self.data.clear();
        if let Some(filter) = &mut self.filter {
            filter.start_block(self.offset);
        }
        let rest = self.buffer.len() % BUFFER;
        self.flush(self.buffer.len() - rest)
    }

    /// Writes the first `len` bytes of the buffer.
    fn flush(&mut self, len: usize) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let done = self.file.append(&self.buffer[..len]);
        self.buffer.drain(..len);
        done.map_err(Error::io(&self.path))
    }

    /// Bytes of the blocks that are closed.
    pub(crate) fn size(&self) -> u64 {
        self.offset
    }

    /// The first and the last key.
    pub(crate) fn range(&self) -> (Vec<u8>, Vec<u8>) {
        (self.first_key.clone(), self.last_key.clone())
    }

    /// Writes what a table needs besides its entries, and returns its size once the disk has all of it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.close_block()?;
        let mut names = BlockBuilder::new(self.restart_interval);
        if let Some(filter) = self.filter.take() {
            let handle = put_block(&mut self.buffer, &mut self.offset, &filter.finish());
            let mut value = Vec::with_capacity(20);
            handle.encode(&mut value);
            names.add(FILTER_NAME, &value);
        }
        let names = put_block(&mut self.buffer, &mut self.offset, names.finish());
        if let Some(handle) = self.pending.take() {
            let after = key::successor(&self.last_key);
            self.add_to_index(&after, handle);
        }
        let index = put_block(&mut self.buffer, &mut self.offset, self.index.finish());
        let mut footer = Vec::with_capacity(FOOTER);
        names.encode(&mut footer);
        index.encode(&mut footer);
        footer.resize(FOOTER - 8, 0);
        footer.extend_from_slice(&MAGIC.to_le_bytes());
        self.buffer.extend_from_slice(&footer);
        self.offset += FOOTER as u64;
        self.flush(self.buffer.len())?;
        self.file.sync().map_err(Error::io(&self.path))?;
        Ok(self.offset)
    }
}

/// Appends a block with its trailer; says where it is.
fn put_block(buffer: &mut Vec<u8>, offset: &mut u64, block: &[u8]) -> Handle {
    let handle = Handle {
        offset: *offset,
        size: block.len() as u64,
    };
    let crc = crc32c::crc32c_append(crc32c::crc32c(block), &[NO_COMPRESSION]);
    buffer.extend_from_slice(block);
    buffer.push(NO_COMPRESSION);
    buffer.extend_from_slice(&mask(crc).to_le_bytes());
    *offset += (block.len() + BLOCK_TRAILER) as u64;
    handle
}
