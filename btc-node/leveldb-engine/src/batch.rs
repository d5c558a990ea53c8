//! Changes that take effect together, in the form in which the log keeps them.

use crate::coding::{fixed32, fixed64, put_slice, take_slice};
use crate::error::{Error, Result};

/// Sequence number and count come before the changes.
const HEADER: usize = 12;
/// Longest key: what the memory table's node header has bits for.
pub(crate) const MAX_KEY: usize = (1 << 28) - 1;
/// Longest value: the format's lengths are of 32 bits.
pub(crate) const MAX_VALUE: usize = u32::MAX as usize;

const TAG_DELETION: u8 = 0;
const TAG_VALUE: u8 = 1;

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Set the key to the value.
    Put(&'a [u8], &'a [u8]),
    /// Remove the key if it is there.
    Delete(&'a [u8]),
}

/// Changes that take effect together or not at all. Later ones win.
#[derive(Clone, Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
    too_long: bool,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty batch with room for `bytes` bytes of changes.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(HEADER + bytes);
        buffer.resize(HEADER, 0);
        Self {
            bytes: buffer,
            count: 0,
            too_long: false,
        }
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        if self.admit(key, value) {
            self.bytes.push(TAG_VALUE);
            put_slice(&mut self.bytes, key);
            put_slice(&mut self.bytes, value);
        }
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: &[u8]) {
        if self.admit(key, &[]) {
            self.bytes.push(TAG_DELETION);
            put_slice(&mut self.bytes, key);
        }
    }

    /// Counts a change. One that cannot be written makes the whole batch fail when it is written.
    fn admit(&mut self, key: &[u8], value: &[u8]) -> bool {
        if key.len() > MAX_KEY || value.len() > MAX_VALUE || self.count == u32::MAX {
            self.too_long = true;
            return false;
        }
        self.count += 1;
        true
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no change.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes the log takes for it, without the log's own framing.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all changes and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER);
        self.count = 0;
        self.too_long = false;
    }

    /// The changes in the order they were made.
    pub fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        let mut rest = &self.bytes[HEADER..];
        std::iter::from_fn(move || {
            (!rest.is_empty())
                .then(|| take_change(&mut rest).expect("put and delete wrote whole changes"))
        })
    }

    /// The log's record: the batch with the sequence number of its first change.
    ///
    /// # Errors
    /// A key or value was longer than the format can hold.
    pub(crate) fn header(&self, sequence: u64) -> Result<[u8; HEADER]> {
        if self.too_long {
            return Err(Error::InvalidArgument(
                "key or value too long for a batch".into(),
            ));
        }
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&sequence.to_le_bytes());
        header[8..].copy_from_slice(&self.count.to_le_bytes());
        Ok(header)
    }

    /// The changes as the log keeps them.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[HEADER..]
    }

    /// Reads a record of the log: sequence number of the first change, and the changes.
    ///
    /// # Errors
    /// The record does not hold what its header says.
    pub(crate) fn decode(record: &[u8]) -> Result<(u64, Self)> {
        let (Some(sequence), Some(count)) = (fixed64(record, 0), fixed32(record, 8)) else {
            return Err(Error::Corruption("malformed WriteBatch (too small)".into()));
        };
        let mut rest = &record[HEADER..];
        let mut found = 0u32;
        while !rest.is_empty() {
            let change = take_change(&mut rest)?;
            let (Change::Put(key, _) | Change::Delete(key)) = change;
            if key.len() > MAX_KEY {
                return Err(Error::NotSupported("key longer than 256 MiB".into()));
            }
            found = found.saturating_add(1);
        }
        if found != count {
            return Err(Error::Corruption("WriteBatch has wrong count".into()));
        }
        let batch = Self {
            bytes: record.to_vec(),
            count,
            too_long: false,
        };
        Ok((sequence, batch))
    }
}

/// Takes one change off the front of `rest`.
fn take_change<'a>(rest: &mut &'a [u8]) -> Result<Change<'a>> {
    let bad = |what: &str| Error::Corruption(what.into());
    let (&tag, mut input) = rest
        .split_first()
        .ok_or_else(|| bad("unknown WriteBatch tag"))?;
    let change = match tag {
        TAG_VALUE => take_slice(&mut input)
            .and_then(|key| Some(Change::Put(key, take_slice(&mut input)?)))
            .ok_or_else(|| bad("bad WriteBatch Put"))?,
        TAG_DELETION => take_slice(&mut input)
            .map(Change::Delete)
            .ok_or_else(|| bad("bad WriteBatch Delete"))?,
        _ => return Err(bad("unknown WriteBatch tag")),
    };
    *rest = input;
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_record_decodes_or_is_refused(record: Vec<u8>) {
            if let Ok((_, batch)) = Batch::decode(&record) {
                prop_assert_eq!(batch.changes().count(), batch.len());
            }
        }
    }

    #[test]
    fn a_record_comes_back_and_a_wrong_count_is_refused() {
        let mut batch = Batch::new();
        batch.put(b"a", b"1");
        batch.delete(b"b");
        let mut record = batch.header(7).expect("short").to_vec();
        record.extend_from_slice(batch.body());
        let (sequence, back) = Batch::decode(&record).expect("decodes");
        assert_eq!(sequence, 7);
        assert_eq!(
            back.changes().collect::<Vec<_>>(),
            [Change::Put(b"a", b"1"), Change::Delete(b"b")]
        );
        record[8] = 3;
        assert_eq!(
            Batch::decode(&record).unwrap_err().to_string(),
            "Corruption: WriteBatch has wrong count"
        );
    }
}
