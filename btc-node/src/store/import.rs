//! Block files from elsewhere: finds the blocks in them, whatever lies between.
//!
//! Block files have had garbage between blocks, torn tails, and pre-allocated zeros at their ends. So the reader looks
//! for the network's magic, takes what follows if it is a block, and goes on one byte later if it is not.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use bitcoin::Block;
use bitcoin::consensus::deserialize;

use super::error::StoreError;
use super::obfuscation::Obfuscation;

/// Shortest and longest block in bytes, as for Core.
const BLOCK_SIZES: std::ops::RangeInclusive<usize> = 80..=4_000_000;
/// Magic and length.
const HEADER: usize = 8;

/// A block found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundBlock {
    /// Offset of the block's first byte in the file.
    pub offset: u64,
    /// Length of the block in bytes, as its framing says.
    pub len: u32,
    /// The block.
    pub block: Block,
}

/// What was found in a file so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// Blocks given out.
    pub blocks: u64,
    /// Times the magic was there but no block followed.
    pub bad: u64,
    /// Bytes that belong to no block.
    pub skipped: u64,
    /// Whether the file ends inside a block.
    pub truncated: bool,
}

/// Iterates over the blocks of a file. Memory is bounded by the largest block.
#[derive(Debug)]
pub struct BlockScanner<R> {
    input: BufReader<R>,
    obfuscation: Obfuscation,
    magic: [u8; 4],
    /// Revealed bytes that are not used up yet; the first is at `offset`.
    window: Vec<u8>,
    start: usize,
    offset: u64,
    /// Offset of the next byte that is read.
    read: u64,
    report: ScanReport,
    failed: bool,
}

impl BlockScanner<File> {
    /// Reads a file that is not obfuscated, such as `-loadblock` names.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, magic: [u8; 4]) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        Ok(Self::new(file, magic, Obfuscation::default()))
    }
}

impl<R: Read> BlockScanner<R> {
    /// Reads `input` from its beginning, obfuscated with the given key.
    pub fn new(input: R, magic: [u8; 4], obfuscation: Obfuscation) -> Self {
        Self::starting_at(input, 0, magic, obfuscation)
    }

    /// Reads a file of which `input` stands at `offset`.
    pub fn starting_at(input: R, offset: u64, magic: [u8; 4], obfuscation: Obfuscation) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 16, input),
            obfuscation,
            magic,
            window: Vec::new(),
            start: 0,
            offset,
            read: offset,
            report: ScanReport::default(),
            failed: false,
        }
    }

    /// Counts so far; final once the iterator has ended.
    pub fn report(&self) -> ScanReport {
        self.report
    }

    /// Makes at least `len` bytes available, unless the file ends before; says how many there are.
    fn fill(&mut self, len: usize) -> io::Result<usize> {
        let have = self.window.len() - self.start;
        if have >= len {
            return Ok(have);
        }
        self.window.drain(..self.start);
        self.start = 0;
        let missing = (len - have) as u64;
        let before = self.window.len();
        // Reading is bounded by `len`, which is bounded by the largest block.
        self.input
            .by_ref()
            .take(missing)
            .read_to_end(&mut self.window)?;
        let fresh = &mut self.window[before..];
        self.obfuscation.apply(fresh, self.read);
        self.read += fresh.len() as u64;
        Ok(self.window.len())
    }

    /// Drops `count` bytes from the front.
    fn advance(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// Moves to the next place that starts like the magic; false at the end of the file.
    fn find_magic(&mut self) -> io::Result<bool> {
        loop {
            let have = self.fill(HEADER)?.max(self.window.len() - self.start);
            let bytes = &self.window[self.start..self.start + have];
            if have < HEADER {
                self.report.skipped += have as u64;
                self.advance(have);
                return Ok(false);
            }
            if bytes.starts_with(&self.magic) {
                return Ok(true);
            }
            // Jump to the next byte that may begin the magic, keeping what may be its head.
            let next = bytes[1..]
                .iter()
                .position(|byte| *byte == self.magic[0])
                .map_or(have, |at| at + 1);
            self.report.skipped += next as u64;
            self.advance(next);
            if next == have {
                self.fill_chunk()?;
            }
        }
    }

    /// Reads a larger piece, since a gap may be long.
    fn fill_chunk(&mut self) -> io::Result<()> {
        self.fill(1 << 16).map(|_| ())
    }

    fn next_block(&mut self) -> io::Result<Option<FoundBlock>> {
        while self.find_magic()? {
            let head = &self.window[self.start..self.start + HEADER];
            let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            let size = len as usize;
            if BLOCK_SIZES.contains(&size) {
                let have = self.fill(HEADER + size)?;
                if have < HEADER + size {
                    self.report.truncated = true;
                } else {
                    let bytes = &self.window[self.start + HEADER..self.start + HEADER + size];
                    if let Ok(block) = deserialize::<Block>(bytes) {
                        let offset = self.offset + HEADER as u64;
                        self.advance(HEADER + size);
                        self.report.blocks += 1;
                        return Ok(Some(FoundBlock { offset, len, block }));
                    }
                }
            }
            self.report.bad += 1;
            self.report.skipped += 1;
            self.advance(1);
        }
        Ok(None)
    }
}

impl<R: Read> Iterator for BlockScanner<R> {
    type Item = io::Result<FoundBlock>;

    /// The next block; a read error is given once and ends the iteration.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let found = self.next_block().transpose();
        self.failed = matches!(found, Some(Err(_)));
        found
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::consensus::serialize;
    use bitcoin::constants::genesis_block;
    use proptest::prelude::*;

    use super::*;

    const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

    fn record() -> Vec<u8> {
        let block = serialize(&genesis_block(Network::Regtest));
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&(block.len() as u32).to_le_bytes());
        out.extend_from_slice(&block);
        out
    }

    fn scan(bytes: &[u8]) -> (Vec<u64>, ScanReport) {
        let mut scanner = BlockScanner::new(bytes, MAGIC, Obfuscation::default());
        let offsets = scanner
            .by_ref()
            .map(|found| found.expect("reads").offset)
            .collect();
        (offsets, scanner.report())
    }

    #[test]
    fn blocks_are_found_between_garbage() {
        let mut file = record();
        file.extend_from_slice(b"garbage with a false start \xfa\xbf\xb5\xda\x00\x00\x00\x00");
        let second = file.len() as u64;
        file.extend_from_slice(&record());
        file.extend_from_slice(&[0; 100_000]);
        let third = file.len() as u64;
        file.extend_from_slice(&record());
        file.extend_from_slice(&[0; 500]);
        let (offsets, report) = scan(&file);
        assert_eq!(offsets, [8, second + 8, third + 8]);
        assert_eq!((report.blocks, report.bad, report.truncated), (3, 1, false));
        assert_eq!(
            report.skipped,
            file.len() as u64 - 3 * record().len() as u64
        );
    }

    #[test]
    fn a_torn_tail_is_reported_and_hides_nothing_before_it() {
        let mut file = record();
        file.extend_from_slice(&record());
        file.truncate(file.len() - 20);
        let (offsets, report) = scan(&file);
        assert_eq!(offsets, [8]);
        assert!(report.truncated);
    }

    #[test]
    fn a_block_inside_a_false_record_is_still_found() {
        // A magic whose length spans the real block, and whose content is no block.
        let mut file = MAGIC.to_vec();
        file.extend_from_slice(&200_u32.to_le_bytes());
        let at = file.len() as u64;
        file.extend_from_slice(&record());
        let (offsets, _) = scan(&file);
        assert_eq!(offsets, [at + 8]);
    }

    #[test]
    fn obfuscated_files_are_revealed() {
        let key = Obfuscation::new([9, 8, 7, 6, 5, 4, 3, 2]);
        let mut file = [record(), record()].concat();
        key.apply(&mut file, 0);
        let scanner = BlockScanner::new(&file[..], MAGIC, key);
        assert_eq!(scanner.count(), 2);
    }

    proptest! {
        #[test]
        fn every_whole_block_is_found(gaps in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..300), 1..5,
        )) {
            let mut file = Vec::new();
            for gap in &gaps {
                file.extend_from_slice(gap);
                file.extend_from_slice(&record());
            }
            let (offsets, _) = scan(&file);
            prop_assert_eq!(offsets.len(), gaps.len());
        }
    }
}
