//! The book as `peers.dat` has it.

use super::entry::{BUCKET_SIZE, Entry, MAX_REFERENCES, NEW_BUCKETS, TRIED_BUCKETS};
use super::{AddrMan, BucketKey};
use crate::net::address::{NetAddress, PeerAddress};
use crate::net::message::{DecodeError, Reader};
use crate::net::netgroup::NetGroups;
use std::collections::HashMap;

/// The format that is written. Those from 3 on have addresses of all networks, 2 and later know of maps of autonomous
/// systems.
const FORMAT: u8 = 4;
const FORMAT_WITH_ASMAP: u8 = 2;
const FORMAT_WITH_ADDRV2: u8 = 3;
/// What the lowest format that can read the file is written with.
const INCOMPATIBILITY_BASE: u8 = 32;
/// The number of buckets is written with this bit, so that the oldest format refuses the file.
const BUCKETS_FLAG: i32 = 1 << 30;
/// An address in a file says how it is written: these bits count, the others once were a version.
const ADDRESS_FORMAT_MASK: u32 = !0x7_ffff;
const ADDRESS_FORMAT_V2: u32 = 1 << 29;
const ADDRESS_VERSION: u32 = 220_000;

/// Why a file is no book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddrManFileError {
    /// It says that only programs which know this format can read it.
    #[error(
        "Unsupported format of addrman database: {format}. It is compatible with formats >={lowest}, but the maximum supported by this version of {program} is {FORMAT}.",
        program = crate::CLIENT_NAME
    )]
    Version {
        /// The format.
        format: u8,
        /// The lowest format that is said to do.
        lowest: u8,
    },
    /// Its bytes make no sense.
    #[error("{0}: iostream error")]
    Corrupt(String),
}

impl From<DecodeError> for AddrManFileError {
    fn from(error: DecodeError) -> Self {
        // A file ends, where a message has no more data.
        let text = error.to_string();
        Self::Corrupt(if text.ends_with("end of data") {
            "AutoFile::read: end of file".into()
        } else {
            text
        })
    }
}

impl PeerAddress {
    /// As in files.
    pub(crate) fn encode_disk(&self, out: &mut Vec<u8>) {
        out.extend((ADDRESS_VERSION | ADDRESS_FORMAT_V2).to_le_bytes());
        self.encode_v2(out);
    }

    pub(crate) fn decode_disk(reader: &mut Reader<'_>, v2: bool) -> Result<Self, DecodeError> {
        let version: u32 = reader.read()?;
        match version & ADDRESS_FORMAT_MASK {
            0 => Self::decode_v1(reader),
            ADDRESS_FORMAT_V2 if v2 => Self::decode_v2(reader),
            _ => Err(DecodeError::Text(
                "Unsupported CAddress disk format version".into(),
            )),
        }
    }
}

impl Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        self.address.encode_disk(out);
        self.source.encode_v2(out);
        out.extend(self.last_success.to_le_bytes());
        out.extend(self.attempts.to_le_bytes());
    }

    fn decode(reader: &mut Reader<'_>, v2: bool) -> Result<Self, DecodeError> {
        let address = PeerAddress::decode_disk(reader, v2)?;
        let source = if v2 {
            NetAddress::decode_v2(reader)?
        } else {
            NetAddress::from_ipv6_bytes(reader.read()?)
        };
        let mut entry = Self::new(address, source);
        entry.last_success = reader.read()?;
        entry.attempts = reader.read()?;
        Ok(entry)
    }
}

impl AddrMan {
    /// The book as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT, INCOMPATIBILITY_BASE + FORMAT];
        out.extend(self.key.0);
        let counts = self.counts(None);
        let number = |out: &mut Vec<u8>, value: usize| {
            let value = i32::try_from(value).expect("the tables are small");
            out.extend(value.to_le_bytes());
        };
        number(&mut out, counts.new);
        number(&mut out, counts.tried);
        let buckets = i32::try_from(NEW_BUCKETS).expect("is small") ^ BUCKETS_FLAG;
        out.extend(buckets.to_le_bytes());
        let mut indices = HashMap::new();
        for (id, entry) in self.entries.iter().filter(|(_, entry)| !entry.tried) {
            indices.insert(*id, indices.len());
            entry.encode(&mut out);
        }
        for entry in self.entries.values().filter(|entry| entry.tried) {
            entry.encode(&mut out);
        }
        for bucket in 0..NEW_BUCKETS {
            let members: Vec<usize> = (0..BUCKET_SIZE)
                .filter_map(|position| self.new.get(bucket, position))
                .map(|id| indices[&id])
                .collect();
            number(&mut out, members.len());
            for index in members {
                number(&mut out, index);
            }
        }
        out.extend(self.groups.asmap_version());
        out
    }

    /// Reads a book, and says how many bytes it took. `seed` makes what is random in it.
    ///
    /// # Errors
    /// See [`AddrManFileError`].
    pub fn decode(
        bytes: &[u8],
        groups: NetGroups,
        seed: [u8; 32],
        check_ratio: u32,
    ) -> Result<(Self, usize), AddrManFileError> {
        let mut reader = Reader::new(bytes);
        let format: u8 = reader.read()?;
        let compat: u8 = reader.read()?;
        let Some(lowest) = compat.checked_sub(INCOMPATIBILITY_BASE) else {
            return Err(AddrManFileError::Corrupt(format!(
                "Corrupted addrman database: The compat value ({compat}) is lower than the expected minimum value {INCOMPATIBILITY_BASE}."
            )));
        };
        if lowest > FORMAT {
            return Err(AddrManFileError::Version { format, lowest });
        }
        let mut book = Self::new(groups, seed, check_ratio);
        book.key = BucketKey(reader.read()?);
        let (new, tried): (i32, i32) = (reader.read()?, reader.read()?);
        let mut buckets: i32 = reader.read()?;
        if format >= 1 {
            buckets ^= BUCKETS_FLAG;
        }
        let new = in_range("nNew", new, NEW_BUCKETS * BUCKET_SIZE)?;
        let tried = in_range("nTried", tried, TRIED_BUCKETS * BUCKET_SIZE)?;
        let v2 = format >= FORMAT_WITH_ADDRV2;
        let mut heard = Vec::new();
        for _ in 0..new {
            heard.push(book.create(Entry::decode(&mut reader, v2)?));
        }
        let mut lost_tried = 0;
        for _ in 0..tried {
            lost_tried += usize::from(!book.restore_tried(Entry::decode(&mut reader, v2)?));
        }
        let mut places = Vec::new();
        for bucket in 0..usize::try_from(buckets).unwrap_or(0) {
            let members: i32 = reader.read()?;
            for _ in 0..members {
                let index: i32 = reader.read()?;
                if let Some(id) = usize::try_from(index)
                    .ok()
                    .and_then(|index| heard.get(index))
                {
                    places.push((bucket, *id));
                }
            }
        }
        let mut version = [0; 32];
        if format >= FORMAT_WITH_ASMAP {
            version = reader.read()?;
        }
        let same =
            usize::try_from(buckets) == Ok(NEW_BUCKETS) && version == book.groups.asmap_version();
        if !same {
            tracing::debug!(
                target: "addrman",
                "Bucketing method was updated, re-bucketing addrman entries from disk"
            );
        }
        for (bucket, id) in places {
            book.restore_new(id, same.then_some(bucket));
        }
        let mut lost_new = 0;
        for id in heard {
            if book
                .entries
                .get(&id)
                .is_some_and(|entry| entry.references == 0)
            {
                book.delete(id);
                lost_new += 1;
            }
        }
        if lost_new + lost_tried > 0 {
            tracing::debug!(
                target: "addrman",
                "addrman lost {lost_new} new and {lost_tried} tried addresses due to collisions or invalid addresses"
            );
        }
        book.check().map_err(|code| {
            AddrManFileError::Corrupt(format!(
                "Corrupt data. Consistency check failed with code {code}"
            ))
        })?;
        Ok((book, bytes.len() - reader.left()))
    }

    fn restore_tried(&mut self, entry: Entry) -> bool {
        let bucket = entry.tried_bucket(&self.key, &self.groups);
        let position = entry.position(&self.key, true, bucket);
        let address = entry.address.endpoint.address;
        let known = self.by_endpoint.contains_key(&entry.address.endpoint);
        if !address.is_valid() || known || self.tried.get(bucket, position).is_some() {
            return false;
        }
        let id = self.create(entry);
        self.update(id, |entry| entry.tried = true);
        self.tried.set(bucket, position, Some(id));
        self.count(address, |counts| {
            counts.new -= 1;
            counts.tried += 1;
        });
        true
    }

    /// Puts an entry into the bucket it was in, or into its first one if the buckets changed.
    fn restore_new(&mut self, id: super::EntryId, bucket: Option<usize>) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        if !entry.address.endpoint.address.is_valid() || entry.references >= MAX_REFERENCES {
            return;
        }
        let free = |bucket: usize| {
            let position = entry.position(&self.key, false, bucket);
            let free = self.new.get(bucket, position).is_none();
            free.then_some((bucket, position))
        };
        let place = bucket
            .and_then(free)
            .or_else(|| free(entry.new_bucket(&self.key, entry.source, &self.groups)));
        if let Some((bucket, position)) = place {
            self.new.set(bucket, position, Some(id));
            self.update(id, |entry| entry.references += 1);
        }
    }
}

fn in_range(name: &str, value: i32, max: usize) -> Result<usize, AddrManFileError> {
    usize::try_from(value)
        .ok()
        .filter(|value| *value <= max)
        .ok_or_else(|| {
            AddrManFileError::Corrupt(format!(
                "Corrupt AddrMan serialization: {name}={value}, should be in [0, {max}]"
            ))
        })
}
