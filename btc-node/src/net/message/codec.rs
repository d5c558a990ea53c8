//! Fields of messages from bytes and to bytes.

use super::{DecodeError, Locator, MAX_LOCATOR};
use bitcoin::consensus::encode::{self, VarInt};
use bitcoin::consensus::{Decodable, Encodable, deserialize_partial};
use bitcoin::{Block, Transaction};

/// Reads from a payload.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self(payload)
    }

    pub(crate) fn read<T: Decodable>(&mut self) -> Result<T, DecodeError> {
        let (value, used) = deserialize_partial(self.0).map_err(|error| malformed(&error))?;
        self.0 = &self.0[used..];
        Ok(value)
    }

    /// A transaction. Where the count of inputs would be, a zero says that witnesses follow; one that has neither
    /// inputs nor outputs is read all the same, so that it is refused for what it is.
    pub(crate) fn transaction(&mut self) -> Result<Transaction, DecodeError> {
        const NOTHING_FOLLOWS: [u8; 2] = [0, 0];
        if self.0.get(4..6) == Some(&NOTHING_FOLLOWS) {
            let version = self.read()?;
            self.take(NOTHING_FOLLOWS.len())?;
            return Ok(Transaction {
                version,
                lock_time: self.read()?,
                input: Vec::new(),
                output: Vec::new(),
            });
        }
        let error = match deserialize_partial(self.0) {
            Ok((tx, used)) => {
                self.0 = &self.0[used..];
                return Ok(tx);
            }
            Err(error) => error,
        };
        // Witnesses are looked at before what a flag of unknown meaning may say.
        let unknown = "Unknown transaction optional data";
        Err(match error {
            encode::Error::UnsupportedSegwitFlag(flag) if flag & 1 == 1 => {
                let mut known = self.0.to_vec();
                known[5] = 1;
                match deserialize_partial::<Transaction>(&known) {
                    Ok(_) => DecodeError::Text(unknown.into()),
                    Err(error) => malformed(&error),
                }
            }
            encode::Error::UnsupportedSegwitFlag(_) => DecodeError::Text(unknown.into()),
            error => malformed(&error),
        })
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(end_of_data)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A length and as many bytes, but no more than `max`.
    pub(crate) fn bytes(&mut self, max: usize) -> Result<&'a [u8], DecodeError> {
        let length = self.read::<VarInt>()?.0;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > max {
            return Err(DecodeError::Text("String length limit exceeded".into()));
        }
        self.take(length)
    }

    /// A count and as many elements, but no more than `max`.
    pub(crate) fn list<T>(
        &mut self,
        command: &'static str,
        max: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.read::<VarInt>()?.0;
        if count > max as u64 {
            // As in Core, a count of what is not there is a mistake; only headers are counted before they are read.
            if command != "headers" {
                for _ in 0..count {
                    element(self)?;
                }
            }
            return Err(DecodeError::TooMany { command, count });
        }
        // Every element takes a byte at least, so a false count cannot ask for much memory.
        let mut list = Vec::with_capacity((count as usize).min(self.0.len()));
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(list)
    }

    /// A block.
    pub(crate) fn block(&mut self) -> Result<Block, DecodeError> {
        let header = self.read()?;
        let count = self.read::<VarInt>()?.0;
        let mut txdata = Vec::new();
        for _ in 0..count {
            txdata.push(self.transaction()?);
        }
        Ok(Block { header, txdata })
    }

    pub(crate) fn locator(&mut self, command: &'static str) -> Result<Locator, DecodeError> {
        let _version: u32 = self.read()?;
        Ok(Locator {
            hashes: self.list(command, MAX_LOCATOR, Self::read)?,
            stop: self.read()?,
        })
    }

    /// Bytes not read yet.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn end_of_data() -> DecodeError {
    DecodeError::Text("DataStream::read(): end of data".into())
}

/// What is wrong, as Core says it where it has a text.
fn malformed(error: &encode::Error) -> DecodeError {
    match error {
        encode::Error::Io(_) => end_of_data(),
        encode::Error::NonMinimalVarInt => {
            DecodeError::Text("non-canonical ReadCompactSize()".into())
        }
        encode::Error::OversizedVectorAllocation { .. } => {
            DecodeError::Text("ReadCompactSize(): size too large".into())
        }
        encode::Error::UnsupportedSegwitFlag(_) => {
            DecodeError::Text("Unknown transaction optional data".into())
        }
        encode::Error::ParseFailed("witness flag set but no witnesses present") => {
            DecodeError::Text("Superfluous witness record".into())
        }
        other => DecodeError::Text(other.to_string()),
    }
}

/// Appends a value.
pub(crate) fn put<T: Encodable + ?Sized>(out: &mut Vec<u8>, value: &T) {
    value
        .consensus_encode(out)
        .expect("writing to memory does not fail");
}

/// Appends a count and the elements.
pub(crate) fn put_list<T: Encodable>(out: &mut Vec<u8>, list: &[T]) {
    put(out, &VarInt(list.len() as u64));
    for element in list {
        put(out, element);
    }
}
