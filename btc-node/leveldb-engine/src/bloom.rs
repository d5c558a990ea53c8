//! LevelDB's built-in bloom filter, and the block of a table that holds its filters.

use crate::coding::fixed32;

/// The name under which a table's filter is found.
pub(crate) const FILTER_NAME: &[u8] = b"filter.leveldb.BuiltinBloomFilter2";
/// Each filter covers the data blocks that begin within so many bytes (as a power of two) of the table.
const BASE_LOG: u8 = 11;

/// The hash of a user key: a murmur-like function with a fixed seed.
pub(crate) fn hash(key: &[u8]) -> u32 {
    const MULTIPLIER: u32 = 0xc6a4_a793;
    let mut h = 0xbc9f_1d34 ^ (key.len() as u32).wrapping_mul(MULTIPLIER);
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        let word = fixed32(chunk, 0).expect("chunks are of four bytes");
        h = h.wrapping_add(word).wrapping_mul(MULTIPLIER);
        h ^= h >> 16;
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (index, &byte) in rest.iter().enumerate() {
            h = h.wrapping_add(u32::from(byte) << (8 * index));
        }
        h = h.wrapping_mul(MULTIPLIER);
        h ^= h >> 24;
    }
    h
}

/// Collects the filters of a table that is being written.
#[derive(Debug)]
pub(crate) struct FilterBuilder {
    bits_per_key: usize,
    hashes: Vec<u32>,
    filters: Vec<u8>,
    offsets: Vec<u32>,
}

impl FilterBuilder {
    pub(crate) fn new(bits_per_key: usize) -> Self {
        Self {
            bits_per_key,
            hashes: Vec::new(),
            filters: Vec::new(),
            offsets: Vec::new(),
        }
    }

    /// Adds a user key of the current data block.
    pub(crate) fn add(&mut self, user_key: &[u8]) {
        self.hashes.push(hash(user_key));
    }

    /// Says that the next data block begins at `offset` of the table.
    pub(crate) fn start_block(&mut self, offset: u64) {
        while (self.offsets.len() as u64) < offset >> BASE_LOG {
            self.close_filter();
        }
    }

    /// The filter block.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if !self.hashes.is_empty() {
            self.close_filter();
        }
        let array = self.filters.len() as u32;
        for offset in &self.offsets {
            self.filters.extend_from_slice(&offset.to_le_bytes());
        }
        self.filters.extend_from_slice(&array.to_le_bytes());
        self.filters.push(BASE_LOG);
        self.filters
    }

    fn close_filter(&mut self) {
        // Tables are closed long before their filters reach 4 GiB.
        self.offsets.push(self.filters.len() as u32);
        if self.hashes.is_empty() {
            return;
        }
        let probes = (self.bits_per_key * 69 / 100).clamp(1, 30);
        // Very short filters would match almost anything.
        let bytes = (self.hashes.len() * self.bits_per_key).max(64).div_ceil(8);
        let bits = (bytes * 8) as u32;
        let start = self.filters.len();
        self.filters.resize(start + bytes, 0);
        for mut h in self.hashes.drain(..) {
            let delta = h.rotate_right(17);
            for _ in 0..probes {
                let bit = h % bits;
                self.filters[start + (bit / 8) as usize] |= 1 << (bit % 8);
                h = h.wrapping_add(delta);
            }
        }
        self.filters.push(probes as u8);
    }
}

/// The filter block of a table that is read. Damage makes it say that any key may be there.
#[derive(Debug)]
pub(crate) struct FilterReader {
    block: Vec<u8>,
    array: usize,
    count: u64,
    base_log: u8,
}

impl FilterReader {
    /// Reads a filter block; `None` if it makes no sense.
    pub(crate) fn new(block: Vec<u8>) -> Option<Self> {
        let base_log = *block.last()?;
        let tail = block.len().checked_sub(5)?;
        let array = fixed32(&block, tail)? as usize;
        let count = (tail.checked_sub(array)? / 4) as u64;
        (base_log < 64).then_some(Self {
            block,
            array,
            count,
            base_log,
        })
    }

    /// Where the filter is of the data block that begins at `offset`.
    pub(crate) fn span(&self, offset: u64) -> Span {
        let index = offset >> self.base_log;
        if index >= self.count {
            return Span::ANYTHING;
        }
        let at = self.array + index as usize * 4;
        // The offset after the last filter's is that of the array itself.
        let (Some(start), Some(end)) = (fixed32(&self.block, at), fixed32(&self.block, at + 4))
        else {
            return Span::ANYTHING;
        };
        match start <= end && end as usize <= self.array {
            true => Span { start, end },
            false => Span::ANYTHING,
        }
    }

    /// Whether the data block with the filter at `span` may hold a user key with this hash.
    #[inline]
    pub(crate) fn may_contain(&self, span: Span, hash: u32) -> bool {
        match self.block.get(span.start as usize..span.end as usize) {
            Some([]) => false,
            Some(filter) => matches(filter, hash),
            None => true,
        }
    }
}

/// Where in its block a filter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// No filter: the data block may hold any key.
    pub(crate) const ANYTHING: Self = Self { start: 1, end: 0 };
}

fn matches(filter: &[u8], mut hash: u32) -> bool {
    let Some((&probes, array)) = filter.split_last() else {
        return false;
    };
    let Ok(bits) = u32::try_from(array.len() * 8) else {
        return true;
    };
    if bits == 0 {
        return false;
    }
    if probes > 30 {
        // Kept for encodings to come.
        return true;
    }
    let delta = hash.rotate_right(17);
    (0..probes).all(|_| {
        let bit = hash % bits;
        hash = hash.wrapping_add(delta);
        array[(bit / 8) as usize] & 1 << (bit % 8) != 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_few_others() {
        let mut builder = FilterBuilder::new(10);
        builder.start_block(0);
        for key in 0..10_000u32 {
            builder.start_block(u64::from(key / 100) * 4096);
            builder.add(&key.to_le_bytes());
        }
        let reader = FilterReader::new(builder.finish()).expect("is whole");
        let found =
            |offset, key: u32| reader.may_contain(reader.span(offset), hash(&key.to_le_bytes()));
        assert!((0..10_000).all(|key| found(u64::from(key / 100) * 4096, key)));
        let wrong = (10_000..20_000).filter(|&key| found(8192, key)).count();
        assert!(wrong < 200, "{wrong} of 10000");
        assert!(!found(2048, 1), "no block begins there");
    }

    #[test]
    fn any_bytes_are_a_filter_or_refused() {
        proptest::proptest!(|(block: Vec<u8>, offset in 0..100_000u64)| {
            if let Some(reader) = FilterReader::new(block) {
                reader.may_contain(reader.span(offset), hash(b"key"));
            }
        });
    }

    #[test]
    fn the_hash_is_leveldbs() {
        // The values of LevelDB's own test are for this seed.
        assert_eq!(hash(&[]), 0xbc9f_1d34);
        assert_eq!(hash(&[0x62]), 0xef13_45c4);
        assert_eq!(hash(&[0xc3, 0x97]), 0x5b66_3814);
        assert_eq!(hash(&[0xe2, 0x99, 0xa5]), 0x323c_078f);
        assert_eq!(hash(&[0xe1, 0x80, 0xb9, 0x32]), 0xed21_633a);
    }
}
