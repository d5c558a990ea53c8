//! Core's on-disk integers, and a bounds-checked cursor to read records with.
//!
//! `VARINT` is Core's base-128 number, most significant group first, each continuation adding one so that every
//! number has exactly one encoding. It is not the `CompactSize` of the network protocol, which is here too.

/// Largest `CompactSize` that may describe a length, as in Core's `MAX_SIZE` (32 MiB).
pub const MAX_SIZE: u64 = 0x0200_0000;

/// Why bytes do not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The record ends early.
    #[error("end of data")]
    End,
    /// A `VARINT` does not fit its type.
    #[error("ReadVarInt(): size too large")]
    VarIntTooLarge,
    /// A `CompactSize` is longer than its number needs.
    #[error("non-canonical ReadCompactSize()")]
    NonCanonicalSize,
    /// A `CompactSize` is beyond [`MAX_SIZE`].
    #[error("ReadCompactSize(): size too large")]
    SizeTooLarge,
    /// A compressed amount does not fit 64 bits.
    #[error("compressed amount out of range")]
    Amount,
    /// A compressed public key is no point on the curve.
    #[error("compressed public key is not on the curve")]
    PublicKey,
    /// Bytes are left where the record should have ended.
    #[error("{0} trailing bytes")]
    Trailing(usize),
}

/// Appends `value` as a `VARINT`.
pub fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    let mut groups = [0_u8; 10];
    let mut first = groups.len();
    loop {
        let more = if first == groups.len() { 0 } else { 0x80 };
        first -= 1;
        groups[first] = (value & 0x7f) as u8 | more;
        if value <= 0x7f {
            break;
        }
        value = (value >> 7) - 1;
    }
    out.extend_from_slice(&groups[first..]);
}

/// Appends `value` as a `CompactSize`.
pub fn write_compact_size(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0xfc => out.push(value as u8),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xfe);
            out.extend_from_slice(&(value as u32).to_le_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// A cursor over a record. Reading past the end is an error, never a panic.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(DecodeError::End)?;
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::End)?;
        self.rest = tail;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A little-endian 32-bit number.
    pub fn u32_le(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// A little-endian 64-bit number.
    pub fn u64_le(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A `VARINT` of at most `max`, which bounds what the field's type holds.
    fn varint_up_to(&mut self, max: u64) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        loop {
            let byte = self.u8()?;
            if value > max >> 7 {
                return Err(DecodeError::VarIntTooLarge);
            }
            value = (value << 7) | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            if value == max {
                return Err(DecodeError::VarIntTooLarge);
            }
            value += 1;
        }
    }

    /// A `VARINT` stored from an unsigned 32-bit field.
    pub fn varint_u32(&mut self) -> Result<u32, DecodeError> {
        let value = self.varint_up_to(u32::MAX.into())?;
        u32::try_from(value).map_err(|_| DecodeError::VarIntTooLarge)
    }

    /// A `VARINT` stored from a signed 32-bit field that is never negative.
    pub fn varint_i31(&mut self) -> Result<u32, DecodeError> {
        let value = self.varint_up_to(i32::MAX as u64)?;
        u32::try_from(value).map_err(|_| DecodeError::VarIntTooLarge)
    }

    /// A `VARINT` stored from an unsigned 64-bit field.
    pub fn varint_u64(&mut self) -> Result<u64, DecodeError> {
        self.varint_up_to(u64::MAX)
    }

    /// A `CompactSize`, canonical and at most [`MAX_SIZE`].
    pub fn compact_size(&mut self) -> Result<usize, DecodeError> {
        let (value, least) = match self.u8()? {
            0xfd => (u64::from(u16::from_le_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(self.u32_le()?), 0x1_0000),
            0xff => (self.u64_le()?, 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least {
            return Err(DecodeError::NonCanonicalSize);
        }
        if value > MAX_SIZE {
            return Err(DecodeError::SizeTooLarge);
        }
        Ok(value as usize)
    }

    /// Fails if anything is left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn varint(value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write_varint(&mut out, value);
        out
    }

    #[test]
    fn varints_are_the_published_ones() {
        for (value, bytes) in [
            (0_u64, "00"),
            (0x7f, "7f"),
            (0x80, "8000"),
            (0x1234, "a334"),
            (0xffff, "82fe7f"),
            (0x12_3456, "c7e756"),
            (0x8012_3456, "86ffc7e756"),
            (0xffff_ffff, "8efefefe7f"),
            (0xffff_ffff_ffff_ffff, "80fefefefefefefefe7f"),
        ] {
            let encoded: String = varint(value).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(encoded, bytes, "{value:#x}");
        }
    }

    #[test]
    fn a_varint_beyond_its_type_is_refused() {
        let mut reader_bytes = varint(u64::from(u32::MAX) + 1);
        assert_eq!(
            Reader::new(&reader_bytes).varint_u32(),
            Err(DecodeError::VarIntTooLarge)
        );
        reader_bytes = varint(1 << 31);
        assert_eq!(
            Reader::new(&reader_bytes).varint_i31(),
            Err(DecodeError::VarIntTooLarge)
        );
        let endless = [0xff_u8; 32];
        assert_eq!(
            Reader::new(&endless).varint_u64(),
            Err(DecodeError::VarIntTooLarge)
        );
    }

    #[test]
    fn compact_sizes_must_be_canonical_and_bounded() {
        assert_eq!(
            Reader::new(&[0xfd, 0xfc, 0]).compact_size(),
            Err(DecodeError::NonCanonicalSize)
        );
        assert_eq!(
            Reader::new(&[0xfe, 0, 0, 0, 0x10]).compact_size(),
            Err(DecodeError::SizeTooLarge)
        );
        assert_eq!(Reader::new(&[0xfd]).compact_size(), Err(DecodeError::End));
    }

    proptest! {
        #[test]
        fn varints_round_trip(value: u64) {
            let bytes = varint(value);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint_u64(), Ok(value));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn a_decoded_varint_is_the_only_spelling(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint_u64() {
                let used = bytes.len() - reader.rest().len();
                prop_assert_eq!(varint(value), &bytes[..used]);
            }
        }

        #[test]
        fn compact_sizes_round_trip(value in 0..=MAX_SIZE) {
            let mut out = Vec::new();
            write_compact_size(&mut out, value);
            prop_assert_eq!(Reader::new(&out).compact_size(), Ok(value as usize));
        }
    }
}
