//! Records of the manifest: what changed in the set of tables.

use crate::coding::{put_slice, put_varint, take_slice, take_varint, take_varint32};
use crate::error::{Error, Result};
use crate::key;

/// Levels of tables.
pub(crate) const LEVELS: usize = 7;
/// The order of keys, by the name that LevelDB gives it.
pub(crate) const COMPARATOR: &[u8] = b"leveldb.BytewiseComparator";

/// A table as the manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableRecord {
    pub(crate) number: u64,
    pub(crate) size: u64,
    pub(crate) smallest: Vec<u8>,
    pub(crate) largest: Vec<u8>,
}

/// A change to the set of tables and to the counters kept with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) comparator: Option<Vec<u8>>,
    pub(crate) log_number: Option<u64>,
    pub(crate) prev_log_number: Option<u64>,
    pub(crate) next_file: Option<u64>,
    pub(crate) last_sequence: Option<u64>,
    pub(crate) compact_pointers: Vec<(usize, Vec<u8>)>,
    pub(crate) deleted: Vec<(usize, u64)>,
    pub(crate) added: Vec<(usize, TableRecord)>,
}

impl Edit {
    /// The record's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(name) = &self.comparator {
            put_varint(&mut out, 1);
            put_slice(&mut out, name);
        }
        let numbers = [
            (2, self.log_number),
            (9, self.prev_log_number),
            (3, self.next_file),
            (4, self.last_sequence),
        ];
        for (tag, number) in numbers {
            if let Some(number) = number {
                put_varint(&mut out, tag);
                put_varint(&mut out, number);
            }
        }
        for (level, key) in &self.compact_pointers {
            put_varint(&mut out, 5);
            put_varint(&mut out, *level as u64);
            put_slice(&mut out, key);
        }
        for (level, number) in &self.deleted {
            put_varint(&mut out, 6);
            put_varint(&mut out, *level as u64);
            put_varint(&mut out, *number);
        }
        for (level, table) in &self.added {
            put_varint(&mut out, 7);
            put_varint(&mut out, *level as u64);
            put_varint(&mut out, table.number);
            put_varint(&mut out, table.size);
            put_slice(&mut out, &table.smallest);
            put_slice(&mut out, &table.largest);
        }
        out
    }

    /// Reads a record.
    ///
    /// # Errors
    /// It is not one; the text names the field.
    pub(crate) fn decode(record: &[u8]) -> Result<Self> {
        let mut edit = Self::default();
        let mut input = record;
        while !input.is_empty() {
            let tag = take_varint32(&mut input).ok_or_else(|| bad("invalid tag"))?;
            edit.take_field(tag, &mut input)
                .ok_or_else(|| bad(field_name(tag)))?;
        }
        Ok(edit)
    }

    fn take_field(&mut self, tag: u32, input: &mut &[u8]) -> Option<()> {
        match tag {
            1 => self.comparator = Some(take_slice(input)?.to_vec()),
            2 => self.log_number = Some(take_number(input)?),
            3 => self.next_file = Some(take_number(input)?),
            4 => self.last_sequence = Some(take_number(input)?),
            5 => self
                .compact_pointers
                .push((take_level(input)?, take_key(input)?)),
            6 => self.deleted.push((take_level(input)?, take_number(input)?)),
            7 => {
                let level = take_level(input)?;
                let table = TableRecord {
                    number: take_number(input)?,
                    size: take_number(input)?,
                    smallest: take_key(input)?,
                    largest: take_key(input)?,
                };
                self.added.push((level, table));
            }
            9 => self.prev_log_number = Some(take_number(input)?),
            _ => return None,
        }
        Some(())
    }
}

/// Counters and sizes have 56 bits, so that no later addition overflows.
fn take_number(input: &mut &[u8]) -> Option<u64> {
    take_varint(input).filter(|&number| number <= key::MAX_SEQUENCE)
}

fn take_level(input: &mut &[u8]) -> Option<usize> {
    take_varint32(input)
        .map(|level| level as usize)
        .filter(|&level| level < LEVELS)
}

fn take_key(input: &mut &[u8]) -> Option<Vec<u8>> {
    take_slice(input)
        .filter(|key| key.len() >= key::TRAILER)
        .map(<[u8]>::to_vec)
}

fn bad(field: &str) -> Error {
    Error::Corruption(format!("VersionEdit: {field}"))
}

fn field_name(tag: u32) -> &'static str {
    match tag {
        1 => "comparator name",
        2 => "log number",
        3 => "next file number",
        4 => "last sequence number",
        5 => "compaction pointer",
        6 => "deleted file",
        7 => "new-file entry",
        9 => "previous log number",
        _ => "unknown tag",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_comes_back() {
        let edit = Edit {
            comparator: Some(COMPARATOR.to_vec()),
            log_number: Some(1),
            prev_log_number: Some(0),
            next_file: Some(1 << 40),
            last_sequence: Some(9),
            compact_pointers: vec![(1, b"k12345678".to_vec())],
            deleted: vec![(0, 4), (6, 5)],
            added: vec![(
                2,
                TableRecord {
                    number: 7,
                    size: 1000,
                    smallest: b"a12345678".to_vec(),
                    largest: b"b12345678".to_vec(),
                },
            )],
        };
        assert_eq!(Edit::decode(&edit.encode()), Ok(edit));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_refused(record in proptest::collection::vec(0..12u8, 0..60)) {
            if let Ok(edit) = Edit::decode(&record) {
                prop_assert_eq!(Edit::decode(&edit.encode()), Ok(edit));
            }
        }
    }
}
