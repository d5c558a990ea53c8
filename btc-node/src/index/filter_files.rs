//! `fltr?????.dat`: the filters themselves, one after the other.

use std::path::PathBuf;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;

use super::error::IndexError;
use crate::chain::record::FilePos;
use crate::store::StoreError;
use crate::store::codec::{MAX_SIZE, Reader, write_compact_size, write_varint};
use crate::store::disk::Disk;
use crate::store::flat_file::FlatFiles;
use crate::store::obfuscation::Obfuscation;

/// Size that a file does not exceed.
const MAX_FILE: u64 = 16 << 20;
/// Steps in which a file grows.
const CHUNK: u64 = 1 << 20;
/// Bytes of a record before its filter, if the filter's length takes one byte.
const MIN_HEAD: usize = 33;
/// And if it takes more.
const LONG_HEAD: usize = 37;

/// The filters' files.
#[derive(Clone, Debug)]
pub(super) struct FilterFiles(FlatFiles);

impl FilterFiles {
    pub(super) fn new(dir: PathBuf, disk: Disk) -> Self {
        Self(FlatFiles::new(dir, "fltr", CHUNK, Obfuscation::default()).on(disk))
    }

    /// Writes a filter at `next`, or at the start of the next file if it does not fit; gives where it lies, and where the
    /// one after it goes.
    pub(super) fn write(
        &self,
        next: FilePos,
        block: &BlockHash,
        filter: &[u8],
    ) -> Result<(FilePos, FilePos), StoreError> {
        let mut record = block.as_byte_array().to_vec();
        write_compact_size(&mut record, filter.len() as u64);
        record.extend_from_slice(filter);
        let len = record.len() as u64;
        let mut pos = next;
        if u64::from(pos.offset) + len > MAX_FILE {
            self.0.flush(pos, true)?;
            pos = FilePos {
                file: pos.file + 1,
                offset: 0,
            };
        }
        self.0.allocate(pos, len)?;
        self.0.write(pos, record)?;
        let after = FilePos {
            file: pos.file,
            offset: pos.offset + len as u32,
        };
        Ok((pos, after))
    }

    /// Makes sure that the disk has the file of `next`.
    pub(super) fn flush(&self, next: FilePos) -> Result<(), StoreError> {
        self.0.flush(next, false)
    }

    /// A filter and the block that it says to be of.
    pub(super) fn read(&self, pos: FilePos) -> Result<(BlockHash, Vec<u8>), IndexError> {
        let decode = IndexError::decode(super::filters::NAME);
        let mut file = self.0.open(pos.file)?;
        let mut head = self.0.read_from(&mut file, pos, MIN_HEAD)?;
        if head.last() > Some(&0xfc) {
            head = self.0.read_from(&mut file, pos, LONG_HEAD)?;
        }
        let mut reader = Reader::new(&head);
        let block = BlockHash::from_byte_array(reader.array().map_err(&decode)?);
        let len = reader.compact_size().map_err(&decode)?;
        debug_assert!(len as u64 <= MAX_SIZE, "the reader refuses longer ones");
        let start = FilePos {
            file: pos.file,
            offset: pos.offset + (head.len() - reader.rest().len()) as u32,
        };
        Ok((block, self.0.read_from(&mut file, start, len)?))
    }
}

/// A place as it is stored.
pub(super) fn encode_pos(pos: FilePos) -> Vec<u8> {
    let mut out = Vec::new();
    write_varint(&mut out, pos.file.into());
    write_varint(&mut out, pos.offset.into());
    out
}

/// Reads a place.
pub(super) fn decode_pos(
    reader: &mut Reader<'_>,
) -> Result<FilePos, crate::store::codec::DecodeError> {
    Ok(FilePos {
        file: reader.varint_i31()?,
        offset: reader.varint_u32()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_come_back_from_wherever_they_lie() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let files = FilterFiles::new(dir.path().to_owned(), Disk::default());
        let mut next = FilePos { file: 0, offset: 0 };
        let mut places = Vec::new();
        // The third does not fit the first file any more.
        for (number, len) in [
            (1_u8, 3),
            (2, 300),
            (3, MAX_FILE as usize - 300),
            (4, 70_000),
        ] {
            let hash = BlockHash::from_byte_array([number; 32]);
            let filter = vec![number; len];
            let (pos, after) = files.write(next, &hash, &filter).expect("writes");
            places.push((pos, hash, filter));
            next = after;
        }
        files.flush(next).expect("flushes");
        assert_eq!(places[2].0, FilePos { file: 1, offset: 0 });
        for (pos, hash, filter) in places {
            assert_eq!(files.read(pos).expect("reads"), (hash, filter));
        }
        let first = std::fs::metadata(dir.path().join("fltr00000.dat")).expect("exists");
        assert_eq!(first.len(), 36 + 335, "a full file is cut to what it holds");
    }
}
