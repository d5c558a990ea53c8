//! Core's serialization of keys and values in a wallet database.

use bitcoin::consensus::encode::{self, Decodable, Encodable, VarInt};

/// No string, script or key in a wallet is longer.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// Why bytes are not the record they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// They end too early.
    #[error("end of data")]
    Truncated,
    /// There is more than there should be.
    #[error("{0} bytes too many")]
    Excess(usize),
    /// A length beyond reason.
    #[error("size {0} too large")]
    TooLarge(u64),
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Text,
    /// A Bitcoin structure that does not decode.
    #[error("{0}")]
    Bitcoin(String),
    /// A value that no writer writes.
    #[error("invalid {0}")]
    Invalid(&'static str),
}

impl From<encode::Error> for CodecError {
    fn from(error: encode::Error) -> Self {
        Self::Bitcoin(error.to_string())
    }
}

/// Reads one key or value from front to end.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (front, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(front)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        self.take(N)?.try_into().map_err(|_| CodecError::Truncated)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, CodecError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, CodecError> {
        self.array().map(i64::from_le_bytes)
    }

    /// A count or length of what follows.
    pub(crate) fn size(&mut self) -> Result<usize, CodecError> {
        let VarInt(size) = self.bitcoin()?;
        if size > MAX_BYTES {
            return Err(CodecError::TooLarge(size));
        }
        usize::try_from(size).map_err(|_| CodecError::TooLarge(size))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let size = self.size()?;
        self.take(size)
    }

    pub(crate) fn text(&mut self) -> Result<String, CodecError> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| CodecError::Text)
    }

    /// Anything in Bitcoin's consensus encoding.
    pub(crate) fn bitcoin<T: Decodable>(&mut self) -> Result<T, CodecError> {
        T::consensus_decode(&mut self.0).map_err(|error| match error {
            encode::Error::Io(_) => CodecError::Truncated,
            other => other.into(),
        })
    }

    pub(crate) fn end(&self) -> Result<(), CodecError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(CodecError::Excess(self.0.len()))
        }
    }
}

/// Builds one key or value.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn i32(self, value: i32) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn i64(self, value: i64) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn size(self, size: usize) -> Self {
        self.bitcoin(&VarInt::from(size))
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        self.size(bytes.len()).raw(bytes)
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn bitcoin<T: Encodable>(mut self, value: &T) -> Self {
        value
            .consensus_encode(&mut self.0)
            .expect("a vector takes every write");
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}
