//! The eight characters after `#` that guard a descriptor against typing errors. Source: BIP 380.

use super::DescriptorError;

/// Every character a descriptor may hold; the position gives its symbol (low 5 bits) and its group (the rest).
const INPUT: &str = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ ";
/// The position of each ASCII character in [`INPUT`], or [`ABSENT`].
const POSITIONS: [u8; 128] = {
    let mut positions = [ABSENT; 128];
    let input = INPUT.as_bytes();
    let mut place = 0;
    while place < input.len() {
        // The first of two counts.
        if positions[input[place] as usize] == ABSENT {
            positions[input[place] as usize] = place as u8;
        }
        place += 1;
    }
    positions
};
const ABSENT: u8 = u8::MAX;
const OUTPUT: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u64; 5] = [
    0xf5_dee5_1989,
    0xa9_fdca_3312,
    0x1b_ab10_e32d,
    0x37_06b1_677a,
    0x64_4d62_6ffd,
];

fn step(state: u64, symbol: u64) -> u64 {
    let top = state >> 35;
    let mut next = ((state & 0x7_ffff_ffff) << 5) ^ symbol;
    for (bit, value) in GENERATOR.iter().enumerate() {
        if top >> bit & 1 == 1 {
            next ^= value;
        }
    }
    next
}

/// The checksum of `payload`, which must not hold one itself; `None` if a character of it is not allowed.
pub fn checksum(payload: &str) -> Option<String> {
    let mut state = 1;
    let mut group = 0;
    let mut pending = 0;
    for byte in payload.bytes() {
        let position = POSITIONS.get(usize::from(byte)).copied();
        let position = u64::from(position.filter(|position| *position != ABSENT)?);
        state = step(state, position & 31);
        group = group * 3 + (position >> 5);
        pending += 1;
        if pending == 3 {
            state = step(state, group);
            group = 0;
            pending = 0;
        }
    }
    if pending > 0 {
        state = step(state, group);
    }
    for _ in 0..8 {
        state = step(state, 0);
    }
    state ^= 1;
    Some(
        (0..8)
            .map(|place| OUTPUT[(state >> (5 * (7 - place)) & 31) as usize] as char)
            .collect(),
    )
}

/// Splits `text` into payload and checksum and verifies the latter; gives the payload.
pub(super) fn strip(text: &str, required: bool) -> Result<&str, DescriptorError> {
    let mut parts = text.split('#');
    let payload = parts.next().unwrap_or_default();
    let given = parts.next();
    if parts.next().is_some() {
        return Err(DescriptorError::SeveralChecksums);
    }
    if given.is_none() && required {
        return Err(DescriptorError::MissingChecksum);
    }
    if let Some(given) = given
        && given.len() != 8
    {
        return Err(DescriptorError::ChecksumLength(given.len()));
    }
    let computed = checksum(payload).ok_or(DescriptorError::InvalidCharacters)?;
    match given {
        Some(given) if given != computed => Err(DescriptorError::ChecksumMismatch {
            given: given.to_owned(),
            computed,
        }),
        _ => Ok(payload),
    }
}
