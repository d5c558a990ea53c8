//! Numbers on the script stack: little-endian, sign in the top bit, of any length.

use super::ScriptError;

/// The longest operand of arithmetic opcodes, in bytes.
pub const MAX_LEN: usize = 4;

/// The longest operand of the two lock time opcodes, in bytes.
pub const MAX_LOCK_TIME_LEN: usize = 5;

/// Reads a stack item of at most `max_len` bytes as a number.
///
/// Results of arithmetic may be longer than operands may be, so a sum of two operands is a valid
/// item that no arithmetic opcode accepts. `max_len` must not exceed 8.
///
/// # Errors
/// [`ScriptError::ScriptNum`] if the item is too long or, where `minimal` is set, longer than its
/// value needs. Negative zero is not minimal.
///
/// ```
/// use btc_consensus::script::number::{MAX_LEN, decode, encode};
///
/// assert_eq!(decode(&[0xff, 0x80], MAX_LEN, true), Ok(-255));
/// assert_eq!(encode(-255), [0xff, 0x80]);
/// ```
pub fn decode(item: &[u8], max_len: usize, minimal: bool) -> Result<i64, ScriptError> {
    if item.len() > max_len.min(8) || (minimal && !is_minimal(item)) {
        return Err(ScriptError::ScriptNum);
    }
    let Some((last, _)) = item.split_last() else {
        return Ok(0);
    };
    let mut bytes = [0; 8];
    bytes[..item.len()].copy_from_slice(item);
    bytes[item.len() - 1] &= 0x7f;
    let magnitude = i64::from_le_bytes(bytes);
    Ok(if last & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    })
}

/// The shortest encoding of a number; zero is the empty item.
pub fn encode(value: i64) -> Vec<u8> {
    let magnitude = value.unsigned_abs();
    let len = (u64::BITS - magnitude.leading_zeros()).div_ceil(8) as usize;
    let mut item = magnitude.to_le_bytes()[..len].to_vec();
    let sign = if value < 0 { 0x80 } else { 0 };
    match item.last_mut() {
        // The top bit is taken: the sign needs a byte of its own.
        Some(last) if *last & 0x80 != 0 => item.push(sign),
        Some(last) => *last |= sign,
        None => {}
    }
    item
}

/// Whether a stack item counts as true: any bit set but the sign of a zero.
pub fn is_true(item: &[u8]) -> bool {
    match item.split_last() {
        Some((last, rest)) => last & 0x7f != 0 || rest.iter().any(|byte| *byte != 0),
        None => false,
    }
}

fn is_minimal(item: &[u8]) -> bool {
    match item {
        [] => true,
        // The last byte holds no more than the sign, which must then have had no room before it.
        [.., before, last] if last & 0x7f == 0 => before & 0x80 != 0,
        [last] => last & 0x7f != 0,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_encodings() {
        for (value, item) in [
            (0, &[][..]),
            (1, &[1]),
            (-1, &[0x81]),
            (127, &[0x7f]),
            (128, &[0x80, 0]),
            (-128, &[0x80, 0x80]),
            (256, &[0, 1]),
            (i64::from(i32::MAX), &[0xff, 0xff, 0xff, 0x7f]),
            (2_147_483_648, &[0, 0, 0, 0x80, 0]),
        ] {
            assert_eq!(encode(value), item);
            assert_eq!(decode(item, MAX_LOCK_TIME_LEN, true), Ok(value));
        }
    }

    #[test]
    fn padding_and_negative_zero_are_not_minimal() {
        for item in [&[0][..], &[0x80], &[1, 0], &[1, 0x80], &[0, 0]] {
            assert_eq!(decode(item, MAX_LEN, true), Err(ScriptError::ScriptNum));
            assert!(decode(item, MAX_LEN, false).is_ok());
        }
        assert_eq!(
            decode(&[1, 2, 3, 4, 5], MAX_LEN, false),
            Err(ScriptError::ScriptNum)
        );
    }

    #[test]
    fn truth() {
        for item in [&[][..], &[0], &[0x80], &[0, 0, 0x80]] {
            assert!(!is_true(item), "{item:?}");
        }
        for item in [&[1][..], &[0x81], &[0x80, 0], &[0, 1]] {
            assert!(is_true(item), "{item:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(value in -(1i64 << 39) + 1..(1i64 << 39)) {
            prop_assert_eq!(decode(&encode(value), MAX_LOCK_TIME_LEN, true), Ok(value));
        }

        #[test]
        fn minimal_items_are_what_encode_gives(item in proptest::collection::vec(any::<u8>(), 0..=5)) {
            let value = decode(&item, MAX_LOCK_TIME_LEN, false).unwrap();
            let minimal = decode(&item, MAX_LOCK_TIME_LEN, true).is_ok();
            prop_assert_eq!(minimal, encode(value) == item);
            prop_assert_eq!(is_true(&item), value != 0);
        }
    }
}
