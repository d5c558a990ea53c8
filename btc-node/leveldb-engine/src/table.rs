//! Tables: sorted files of blocks with an index and a filter.

mod builder;
mod index;
mod iter;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use builder::TableBuilder;
pub(crate) use iter::TableIter;

use crate::block::{Block, find_name};
use crate::bloom::{FILTER_NAME, FilterReader};
use crate::cache::{BlockCache, Lookup};
use crate::coding::{fixed32, fixed64, mask, put_varint, take_varint};
use crate::error::{Error, Result};
use crate::fs::ReadFile;
use crate::key::Sought;
use index::Index;

/// Every table ends in this.
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// Two handles of at most 20 bytes each, and the magic number.
const FOOTER: usize = 48;
/// Compression type and checksum follow every block.
const BLOCK_TRAILER: usize = 5;
const NO_COMPRESSION: u8 = 0;
const SNAPPY: u8 = 1;
const ZSTD: u8 = 2;

/// Buffers that grew beyond this for a large value are not kept.
const KEPT_BUFFER: usize = 256 << 10;

thread_local! {
    /// What a point read reads a block into: most blocks are looked at once and not kept.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a point read found in a table.
#[derive(Debug)]
pub(crate) struct Found {
    /// Trailer and value of the entry, if there is one.
    pub(crate) entry: Option<(u64, Vec<u8>)>,
    /// Whether a block was looked at: the filter does not always know that it need not be.
    pub(crate) looked: bool,
}

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
    index: Index,
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
            return Err(past_the_end(&path));
        }
        if fixed64(&footer, FOOTER - 8) != Some(MAGIC) {
            return Err(Error::corrupt("not an sstable (bad magic number)", &path));
        }
        let mut handles = &footer[..FOOTER - 8];
        let meta = Handle::take(&mut handles)?;
        let index = Handle::take(&mut handles)?;
        let raw = |handle| {
            let mut bytes = Vec::new();
            let len = read_block(&*file, &path, size, handle, &mut bytes)?;
            bytes.truncate(len);
            Ok(bytes)
        };
        let filter = || {
            let names = Block::new(raw(meta)?)?;
            Ok(match find_name(&names, FILTER_NAME)? {
                Some(handle) => FilterReader::new(raw(Handle::take(&mut &handle[..])?)?),
                None => None,
            })
        };
        // As in LevelDB, a damaged filter is none: no entry is lost with it.
        let filter = match filter() {
            Err(Error::Corruption(_) | Error::NotSupported(_)) => None,
            read => read?,
        };
        let index = Index::new(Block::new(raw(index)?)?, filter.as_ref())?;
        Ok(Self {
            number,
            path,
            size,
            file,
            index,
            filter,
            meta: meta.offset,
            cache,
        })
    }

    /// A data block, from the cache if it is there.
    fn block(&self, handle: Handle, fill_cache: bool) -> Result<Arc<Block>> {
        let cached = (self.number, handle.offset);
        if let Some(block) = self.cache.get(cached) {
            return Ok(block);
        }
        let mut bytes = Vec::new();
        let len = read_block(&*self.file, &self.path, self.size, handle, &mut bytes)?;
        bytes.truncate(len);
        let block = Arc::new(Block::new(bytes)?);
        if fill_cache {
            self.cache.insert(cached, &block);
        }
        Ok(block)
    }

    /// The first entry that is not before the sought one, if it is of the same user key.
    ///
    /// # Errors
    /// A block cannot be read or makes no sense.
    pub(crate) fn get(&self, sought: &Sought<'_>) -> Result<Found> {
        const NOTHING: Found = Found {
            entry: None,
            looked: false,
        };
        let Some(place) = self.index.find(sought)? else {
            return Ok(NOTHING);
        };
        let filter = self.filter.as_ref();
        if filter.is_some_and(|filter| !filter.may_contain(place.filter, sought.hash)) {
            return Ok(NOTHING);
        }
        Ok(Found {
            entry: self.find_in_block(place.handle, sought)?,
            looked: true,
        })
    }

    fn find_in_block(&self, handle: Handle, sought: &Sought<'_>) -> Result<Option<(u64, Vec<u8>)>> {
        let owned = |(trailer, value): (u64, &[u8])| (trailer, value.to_vec());
        let cached = (self.number, handle.offset);
        let wanted = match self.cache.look_up(cached, handle.size) {
            Lookup::Hit(block) => return Ok(block.find(sought)?.map(owned)),
            Lookup::Miss { wanted } => wanted,
        };
        let mut buffer = BUFFER.take();
        let len = read_block(&*self.file, &self.path, self.size, handle, &mut buffer)?;
        let bytes = &buffer[..len];
        let found = Block::new(bytes)?.find(sought)?.map(owned);
        if wanted {
            self.cache
                .insert(cached, &Arc::new(Block::new(bytes.to_vec())?));
        }
        if buffer.len() <= KEPT_BUFFER {
            BUFFER.set(buffer);
        }
        Ok(found)
    }

    /// About where in the file an internal key lies or would lie.
    pub(crate) fn offset_of(&self, target: &[u8]) -> Result<u64> {
        let mut index = self.index.iter();
        index.seek(target)?;
        match index.entry() {
            Some((_, mut value)) => Ok(Handle::take(&mut value)?.offset),
            None => Ok(self.meta),
        }
    }
}

/// A table is shorter than the manifest says. LevelDB maps tables into memory, so for it this is a wrong argument.
fn past_the_end(path: &Path) -> Error {
    let error = io::Error::new(io::ErrorKind::InvalidInput, "Invalid argument");
    Error::from_io(path.display().to_string(), &error)
}

/// Reads a block of a table of `table_size` bytes and checks it; returns how many bytes of `buffer` it has.
fn read_block(
    file: &dyn ReadFile,
    path: &Path,
    table_size: u64,
    handle: Handle,
    buffer: &mut Vec<u8>,
) -> Result<usize> {
    let corrupt = |what| Error::corrupt(what, path);
    let end = handle.size.checked_add(BLOCK_TRAILER as u64);
    let end = end.and_then(|size| handle.offset.checked_add(size));
    if end.is_none_or(|end| end > table_size) {
        return Err(corrupt("truncated block read"));
    }
    let size = usize::try_from(handle.size).map_err(|_| corrupt("truncated block read"))?;
    if buffer.len() < size + BLOCK_TRAILER {
        buffer.resize(size + BLOCK_TRAILER, 0);
    }
    let bytes = &mut buffer[..size + BLOCK_TRAILER];
    let read = file.read_at(bytes, handle.offset);
    if read.map_err(Error::io(path))? != bytes.len() {
        return Err(past_the_end(path));
    }
    if fixed32(bytes, size + 1) != Some(mask(crc32c::crc32c(&bytes[..=size]))) {
        return Err(corrupt("block checksum mismatch"));
    }
    match bytes[size] {
        NO_COMPRESSION => Ok(size),
        SNAPPY => Err(Error::NotSupported(format!(
            "block compressed with snappy: {}",
            path.display()
        ))),
        ZSTD => Err(Error::NotSupported(format!(
            "block compressed with zstd: {}",
            path.display()
        ))),
        _ => Err(corrupt("bad block type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Fs, MemoryFs};
    use crate::key;
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
                let get = |sequence| {
                    let found = table.get(&Sought::new(&n.to_be_bytes(), sequence));
                    found.expect("reads").entry
                };
                let (trailer, value) = get(9).expect("is there");
                assert_eq!((trailer, value), (5 << 8 | 1, n.to_le_bytes().to_vec()));
                assert_eq!(get(4), None);
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
        let footer = whole.len() - FOOTER;
        let mut handles = &whole[footer..];
        let mut next = || Handle::take(&mut handles).expect("is whole").offset as usize;
        let (names, index) = (next(), next());
        // The one block before the names is the filter's.
        let table = open(&fs, &path, whole.len() as u64).expect("opens");
        let last = table.index.find(&Sought::new(&499u32.to_be_bytes(), 9));
        let last = last.expect("reads").expect("is there").handle;
        let meta = last.offset as usize + last.size as usize + BLOCK_TRAILER;
        assert!(meta < names && names < index);
        for at in (0..whole.len()).step_by(7) {
            // Padding in the footer has no meaning, and a filter is not needed.
            if at >= meta && at < index || (footer..whole.len() - 8).contains(&at) {
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
