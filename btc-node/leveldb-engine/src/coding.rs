//! Integers as LevelDB writes them: little-endian fixed width, and base-128 varints.

/// Appends `value` as a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the length of `bytes` as a varint, then the bytes.
pub(crate) fn put_slice(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes a varint of at most 64 bits off the front of `input`.
pub(crate) fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (index, &byte) in input.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if index == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte < 0x80 {
            *input = &input[index + 1..];
            return Some(value);
        }
    }
    None
}

/// Takes a varint that must fit 32 bits off the front of `input`.
pub(crate) fn take_varint32(input: &mut &[u8]) -> Option<u32> {
    let mut rest = *input;
    let value = u32::try_from(take_varint(&mut rest)?).ok()?;
    *input = rest;
    Some(value)
}

/// Takes a slice with its length before it off the front of `input`.
pub(crate) fn take_slice<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_varint32(input)? as usize;
    let (slice, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(slice)
}

/// The little-endian integer at `at`, if it lies within `bytes`.
pub(crate) fn fixed32(bytes: &[u8], at: usize) -> Option<u32> {
    let (word, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u32::from_le_bytes(*word))
}

/// The little-endian integer at `at`, if it lies within `bytes`.
pub(crate) fn fixed64(bytes: &[u8], at: usize) -> Option<u64> {
    let (word, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u64::from_le_bytes(*word))
}

/// The checksum that is stored for bytes whose CRC-32C is `crc`. Masked, because the CRC of data that holds its own CRC
/// is weak.
pub(crate) fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_come_back(value: u64, tail: Vec<u8>) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            bytes.extend_from_slice(&tail);
            let mut input = bytes.as_slice();
            prop_assert_eq!(take_varint(&mut input), Some(value));
            prop_assert_eq!(input, tail.as_slice());
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes: Vec<u8>) {
            let mut input = bytes.as_slice();
            while take_slice(&mut input).is_some() && !input.is_empty() {}
        }
    }

    #[test]
    fn overlong_and_cut_varints_are_refused() {
        assert_eq!(take_varint(&mut [0x80; 9].as_slice()), None);
        assert_eq!(take_varint(&mut [0xff; 10].as_slice()), None);
        assert_eq!(
            take_varint32(&mut [0xff, 0xff, 0xff, 0xff, 0x7f].as_slice()),
            None
        );
    }

    #[test]
    fn the_mask_is_leveldbs() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(mask(0), 0xa282_ead8);
    }
}
