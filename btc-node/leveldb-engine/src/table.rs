//! Tables: sorted files of blocks with an index and a filter.

mod builder;
mod iter;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use builder::TableBuilder;
pub(crate) use iter::TableIter;

use crate::block::{Block, BlockIter, find_name};
use crate::bloom::{FILTER_NAME, FilterReader};
use crate::cache::BlockCache;
use crate::coding::{fixed32, fixed64, mask, put_varint, take_varint};
use crate::error::{Error, Result};
use crate::fs::ReadFile;
use crate::key;

/// Every table ends in this.
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// Two handles of at most 20 bytes each, and the magic number.
const FOOTER: usize = 48;
/// Compression type and checksum follow every block.
const BLOCK_TRAILER: usize = 5;
const NO_COMPRESSION: u8 = 0;
const SNAPPY: u8 = 1;
const ZSTD: u8 = 2;

/// Where a block lies in its table, without its trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Handle {
    offset: u64,
    size: u64,
}

impl Handle {
    fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, self.offset);
        put_varint(out, self.size);
    }

    fn take(input: &mut &[u8]) -> Result<Self> {
        match (take_varint(input), take_varint(input)) {
            (Some(offset), Some(size)) => Ok(Self { offset, size }),
            _ => Err(Error::Corruption("bad block handle".into())),
        }
    }
}

/// A table that is open for reading.
#[derive(Debug)]
pub(crate) struct Table {
    number: u64,
    path: PathBuf,
    size: u64,
    file: Arc<dyn ReadFile>,
    index: Arc<Block>,
    filter: Option<FilterReader>,
    meta: u64,
    cache: Arc<BlockCache>,
}

impl Table {
    /// Opens the table `number` of `size` bytes. Index and filter are read now and stay in memory.
    ///
    /// # Errors
    /// The file cannot be read or is no table.
    pub(crate) fn open(
        file: Arc<dyn ReadFile>,
        path: PathBuf,
        number: u64,
        size: u64,
        cache: Arc<BlockCache>,
    ) -> Result<Self> {
        let footer_at = size
            .checked_sub(FOOTER as u64)
            .ok_or_else(|| Error::corrupt("file is too short to be an sstable", &path))?;
        let mut footer = [0; FOOTER];
        let read = file.read_at(&mut footer, footer_at);
        if read.map_err(Error::io(&path))? != FOOTER {
            return Err(Error::corrupt("truncated block read", &path));
        }
        if fixed64(&footer, FOOTER - 8) != Some(MAGIC) {
            return Err(Error::corrupt("not an sstable (bad magic number)", &path));
        }
        let mut handles = &footer[..FOOTER - 8];
        let meta = Handle::take(&mut handles)?;
        let index = Handle::take(&mut handles)?;
        let mut table = Self {
            number,
            path,
            size,
            file,
            index: Arc::new(Block::new(vec![0; 4])?),
            filter: None,
            meta: meta.offset,
            cache,
        };
        table.index = Arc::new(Block::new(table.read_raw(index)?)?);
        let names = Block::new(table.read_raw(meta)?)?;
        if let Some(handle) = find_name(&names, FILTER_NAME)? {
            let filter = table.read_raw(Handle::take(&mut &handle[..])?)?;
            table.filter = FilterReader::new(filter);
        }
        Ok(table)
    }

    /// Reads the bytes of a block and checks them.
    fn read_raw(&self, handle: Handle) -> Result<Vec<u8>> {
        let corrupt = |what| Error::corrupt(what, &self.path);
        let end = handle.size.checked_add(BLOCK_TRAILER as u64);
        let end = end.and_then(|size| handle.offset.checked_add(size));
        if end.is_none_or(|end| end > self.size) {
            return Err(corrupt("truncated block read"));
        }
        let size = usize::try_from(handle.size).map_err(|_| corrupt("truncated block read"))?;
        let mut bytes = vec![0; size + BLOCK_TRAILER];
        let read = self.file.read_at(&mut bytes, handle.offset);
        if read.map_err(Error::io(&self.path))? != bytes.len() {
            return Err(corrupt("truncated block read"));
        }
        let checked = &bytes[..=size];
        if fixed32(&bytes, size + 1) != Some(mask(crc32c::crc32c(checked))) {
            return Err(corrupt("block checksum mismatch"));
        }
        match bytes[size] {
            NO_COMPRESSION => {
                bytes.truncate(size);
                Ok(bytes)
            }
            SNAPPY => Err(Error::NotSupported(format!(
                "block compressed with snappy: {}",
                self.path.display()
            ))),
            ZSTD => Err(Error::NotSupported(format!(
                "block compressed with zstd: {}",
                self.path.display()
            ))),
            _ => Err(corrupt("bad block type")),
        }
    }

    /// A data block, from the cache if it is there.
    fn block(&self, handle: Handle, fill_cache: bool) -> Result<Arc<Block>> {
        let cached = (self.number, handle.offset);
        if let Some(block) = self.cache.get(cached) {
            return Ok(block);
        }
        let block = Arc::new(Block::new(self.read_raw(handle)?)?);
        if fill_cache {
            self.cache.insert(cached, &block);
        }
        Ok(block)
    }

    /// The first entry that is not before `target`, if it can be one of the same user key: its trailer and value.
    pub(crate) fn get(&self, target: &[u8]) -> Result<Option<(u64, Vec<u8>)>> {
        let mut index = BlockIter::new(Arc::clone(&self.index));
        index.seek(target)?;
        let Some((_, mut value)) = index.entry() else {
            return Ok(None);
        };
        let handle = Handle::take(&mut value)?;
        let wanted = key::user(target);
        if let Some(filter) = &self.filter
            && !filter.may_contain(handle.offset, wanted)
        {
            return Ok(None);
        }
        let mut data = BlockIter::new(self.block(handle, true)?);
        data.seek(target)?;
        Ok(data.entry().and_then(|(found, value)| {
            let (user, trailer) = key::split(found);
            (user == wanted).then(|| (trailer, value.to_vec()))
        }))
    }

    /// About where in the file an internal key lies or would lie.
    pub(crate) fn offset_of(&self, target: &[u8]) -> Result<u64> {
        let mut index = BlockIter::new(Arc::clone(&self.index));
        index.seek(target)?;
        match index.entry() {
            Some((_, mut value)) => Ok(Handle::take(&mut value)?.offset),
            None => Ok(self.meta),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Fs, MemoryFs};
    use crate::options::Options;

    fn table(entries: u32, options: &Options) -> (MemoryFs, PathBuf, Result<Table>) {
        let (fs, path) = (MemoryFs::new(), PathBuf::from("/1.ldb"));
        let mut builder =
            TableBuilder::new(fs.create(&path).expect("creates"), path.clone(), options);
        for n in 0..entries {
            let key = key::internal(&n.to_be_bytes(), key::trailer(5, key::Kind::Value));
            builder.add(&key, &n.to_le_bytes()).expect("adds");
        }
        let size = builder.finish().expect("finishes");
        let opened = open(&fs, &path, size);
        (fs, path, opened)
    }

    fn open(fs: &MemoryFs, path: &std::path::Path, size: u64) -> Result<Table> {
        let file = fs.open(path).expect("opens");
        Table::open(
            file,
            path.into(),
            1,
            size,
            Arc::new(BlockCache::new(1 << 20)),
        )
    }

    #[test]
    fn what_is_written_is_found() {
        for bloom_bits in [0, 10] {
            let options = Options {
                bloom_bits,
                ..Options::default()
            };
            let table = table(5000, &options).2.expect("opens");
            for n in 0..5000u32 {
                let seek = key::internal(&n.to_be_bytes(), key::seek_trailer(9));
                let (trailer, value) = table.get(&seek).expect("reads").expect("is there");
                assert_eq!((trailer, value), (5 << 8 | 1, n.to_le_bytes().to_vec()));
                let older = key::internal(&n.to_be_bytes(), key::seek_trailer(4));
                assert_eq!(table.get(&older).expect("reads"), None);
            }
            let mut iter = TableIter::new(Arc::new(table), false);
            iter.seek(&key::internal(&2500u32.to_be_bytes(), key::seek_trailer(9)))
                .expect("reads");
            for n in 2500..5000u32 {
                assert_eq!(iter.entry().expect("stands").1, n.to_le_bytes());
                iter.next().expect("reads");
            }
            assert!(iter.entry().is_none());
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is() {
        let (fs, path, _) = table(500, &Options::default());
        let whole = fs.contents(&path).expect("is there");
        for at in (0..whole.len()).step_by(7) {
            // Padding in the footer has no meaning.
            if (whole.len() - FOOTER..whole.len() - 8).contains(&at) {
                continue;
            }
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            fs.overwrite(&path, &bytes);
            let size = bytes.len() as u64;
            let read = open(&fs, &path, size).and_then(|table| {
                let mut iter = TableIter::new(Arc::new(table), false);
                iter.seek_to_first()?;
                while iter.entry().is_some() {
                    iter.next()?;
                }
                Ok(())
            });
            assert!(
                matches!(read, Err(Error::Corruption(_))),
                "byte {at}: {read:?}"
            );
        }
    }
}
