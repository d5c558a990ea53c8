//! Logs: records in 32 KiB blocks, each fragment with its checksum. The write-ahead log and the manifest are such files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::coding::{fixed32, mask};
use crate::error::{Error, Result};
use crate::fs::{AppendFile, ReadFile};

const BLOCK: usize = 32 << 10;
const HEADER: usize = 7;
/// How much is collected before the file system is asked to write.
const BUFFER: usize = 8 * BLOCK;

const ZERO: u8 = 0;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// Appends records to a new file.
#[derive(Debug)]
pub(crate) struct LogWriter {
    file: Box<dyn AppendFile>,
    path: PathBuf,
    in_block: usize,
    buffer: Vec<u8>,
}

impl LogWriter {
    /// Writes to `file`, which is empty.
    pub(crate) fn new(file: Box<dyn AppendFile>, path: PathBuf) -> Self {
        Self {
            file,
            path,
            in_block: 0,
            buffer: Vec::new(),
        }
    }

    /// Appends one record, given in two parts. The system has it when this returns, the disk not necessarily.
    ///
    /// # Errors
    /// The file system's. The file may then end in half a record, so nothing may be appended any more.
    pub(crate) fn add(&mut self, head: &[u8], body: &[u8]) -> Result<()> {
        let (mut head, mut body) = (head, body);
        let mut first = true;
        loop {
            let left = BLOCK - self.in_block;
            if left < HEADER {
                self.buffer.resize(self.buffer.len() + left, 0);
                self.in_block = 0;
                continue;
            }
            let len = (left - HEADER).min(head.len() + body.len());
            let last = len == head.len() + body.len();
            let kind = match (first, last) {
                (true, true) => FULL,
                (true, false) => FIRST,
                (false, false) => MIDDLE,
                (false, true) => LAST,
            };
            let (head_part, head_rest) = head.split_at(len.min(head.len()));
            let (body_part, body_rest) = body.split_at(len - head_part.len());
            (head, body) = (head_rest, body_rest);
            self.fragment(kind, head_part, body_part);
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
            if last {
                return self.flush();
            }
            first = false;
        }
    }

    fn fragment(&mut self, kind: u8, head: &[u8], body: &[u8]) {
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&[kind]), head), body);
        let len = head.len() + body.len();
        self.buffer.extend_from_slice(&mask(crc).to_le_bytes());
        let short = u16::try_from(len).expect("a fragment fits a block of 32 KiB");
        self.buffer.extend_from_slice(&short.to_le_bytes());
        self.buffer.push(kind);
        self.buffer.extend_from_slice(head);
        self.buffer.extend_from_slice(body);
        self.in_block += HEADER + len;
    }

    fn flush(&mut self) -> Result<()> {
        let done = self.file.append(&self.buffer);
        self.buffer.clear();
        done.map_err(Error::io(&self.path))
    }

    /// Returns once all records are on the disk.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.sync().map_err(Error::io(&self.path))
    }
}

/// What stands at the reader's place in the file.
enum Fragment {
    Data(u8, std::ops::Range<usize>),
    /// The rest of the block holds nothing.
    Padding,
    End,
}

/// Reads the records of a file. A record cut short at the file's end is not there; other damage is an error.
#[derive(Debug)]
pub(crate) struct LogReader {
    file: Arc<dyn ReadFile>,
    path: PathBuf,
    block: Vec<u8>,
    at: usize,
    offset: u64,
    // The last read gave less than a block.
    ended: bool,
}

impl LogReader {
    /// Reads `file` from its beginning.
    pub(crate) fn new(file: Arc<dyn ReadFile>, path: PathBuf) -> Self {
        Self {
            file,
            path,
            block: Vec::new(),
            at: 0,
            offset: 0,
            ended: false,
        }
    }

    /// The file that is read.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next record, or `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read or is damaged before its end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut record: Option<Vec<u8>> = None;
        loop {
            let (kind, range) = match self.fragment()? {
                Fragment::End => return Ok(None),
                Fragment::Padding if record.is_some() => {
                    return Err(self.corrupt("error in middle of record"));
                }
                Fragment::Padding => continue,
                Fragment::Data(kind, range) => (kind, range),
            };
            let data = &self.block[range];
            match (kind, &mut record) {
                // An empty first fragment may end a block and be followed by a whole record: old writers did that.
                (FULL | FIRST, Some(begun)) if !begun.is_empty() => {
                    return Err(self.corrupt(match kind {
                        FULL => "partial record without end(1)",
                        _ => "partial record without end(2)",
                    }));
                }
                (FULL, _) => return Ok(Some(data.to_vec())),
                (FIRST, _) => record = Some(data.to_vec()),
                (MIDDLE, Some(begun)) => begun.extend_from_slice(data),
                (LAST, Some(begun)) => {
                    begun.extend_from_slice(data);
                    return Ok(record);
                }
                (MIDDLE, None) => return Err(self.corrupt("missing start of fragmented record(1)")),
                (LAST, None) => return Err(self.corrupt("missing start of fragmented record(2)")),
                _ => return Err(self.corrupt(&format!("unknown record type {kind}"))),
            }
        }
    }

    fn corrupt(&self, what: &str) -> Error {
        Error::corrupt(what, &self.path)
    }

    fn fragment(&mut self) -> Result<Fragment> {
        while self.block.len() - self.at < HEADER {
            if self.ended {
                return Ok(Fragment::End);
            }
            self.block.resize(BLOCK, 0);
            self.at = 0;
            let read = self.file.read_at(&mut self.block, self.offset);
            let read = read.map_err(Error::io(&self.path))?;
            self.block.truncate(read);
            self.offset += read as u64;
            self.ended = read < BLOCK;
        }
        let header = &self.block[self.at..self.at + HEADER];
        let expected = fixed32(header, 0).expect("a header has seven bytes");
        let len = usize::from(u16::from_le_bytes([header[4], header[5]]));
        let kind = header[6];
        let start = self.at + HEADER;
        let Some(data) = self.block.get(start..start + len) else {
            if self.ended {
                self.at = self.block.len();
                return Ok(Fragment::End);
            }
            return Err(self.corrupt("bad record length"));
        };
        if kind == ZERO && len == 0 {
            self.at = self.block.len();
            return Ok(Fragment::Padding);
        }
        if mask(crc32c::crc32c_append(crc32c::crc32c(&[kind]), data)) != expected {
            return Err(self.corrupt("checksum mismatch"));
        }
        self.at = start + len;
        Ok(Fragment::Data(kind, start..start + len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Fs, MemoryFs};
    use proptest::prelude::*;

    fn written(records: &[Vec<u8>]) -> (MemoryFs, PathBuf) {
        let fs = MemoryFs::new();
        let path = PathBuf::from("/log");
        let mut writer = LogWriter::new(fs.create(&path).expect("creates"), path.clone());
        for record in records {
            let (head, body) = record.split_at(record.len().min(12));
            writer.add(head, body).expect("adds");
        }
        (fs, path)
    }

    fn read(fs: &MemoryFs, path: &Path) -> (Vec<Vec<u8>>, Option<Error>) {
        let mut reader = LogReader::new(fs.open(path).expect("opens"), path.into());
        let mut records = Vec::new();
        loop {
            match reader.next() {
                Ok(Some(record)) => records.push(record),
                Ok(None) => return (records, None),
                Err(error) => return (records, Some(error)),
            }
        }
    }

    fn sizes() -> impl Strategy<Value = Vec<usize>> {
        proptest::collection::vec(
            prop_oneof![0..100usize, 32_700..32_800usize, 0..200_000usize],
            0..8,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn records_come_back(sizes in sizes()) {
            let records: Vec<_> = sizes.iter().enumerate().map(|(i, &n)| vec![i as u8; n]).collect();
            let (fs, path) = written(&records);
            prop_assert_eq!(read(&fs, &path), (records, None));
        }

        #[test]
        fn a_cut_tail_loses_whole_records_only(sizes in sizes(), cut: prop::sample::Index) {
            let records: Vec<_> = sizes.iter().enumerate().map(|(i, &n)| vec![i as u8; n]).collect();
            let (fs, path) = written(&records);
            let bytes = fs.contents(&path).expect("is there");
            if bytes.is_empty() { return Ok(()); }
            fs.overwrite(&path, &bytes[..cut.index(bytes.len())]);
            let (found, error) = read(&fs, &path);
            prop_assert_eq!(error, None);
            prop_assert_eq!(&found[..], &records[..found.len()]);
        }

        #[test]
        fn a_flipped_bit_never_gives_a_wrong_record(at: prop::sample::Index, bit in 0..8u8) {
            let records = vec![vec![1; 40_000], vec![2; 10], vec![3; 40_000], vec![4; 9]];
            let (fs, path) = written(&records);
            let mut bytes = fs.contents(&path).expect("is there");
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            fs.overwrite(&path, &bytes);
            let (found, _) = read(&fs, &path);
            prop_assert_eq!(&found[..], &records[..found.len()]);
        }
    }

    #[test]
    fn damage_before_the_end_is_named() {
        let (fs, path) = written(&[vec![1; 10], vec![2; 10]]);
        let mut bytes = fs.contents(&path).expect("is there");
        bytes[8] ^= 1;
        fs.overwrite(&path, &bytes);
        let error = read(&fs, &path).1.expect("fails");
        assert_eq!(error.to_string(), "Corruption: checksum mismatch: /log");
    }
}
