//! MuHash3072: a digest of a set to which members can be added and removed in any order.
//!
//! Each member becomes a number modulo the largest 3072-bit safe prime, 2^3072 - 1103717; the set is the product of its
//! members, and the digest is the SHA256 of that product. Bitcoin Core defines it; `gettxoutsetinfo` and the coin
//! statistics show it.

mod inverse;

use bitcoin::hashes::{Hash, sha256};

/// 64-bit limbs of a number.
const LIMBS: usize = 48;
/// Bytes of a number.
const BYTES: usize = LIMBS * 8;
/// What the modulus lacks to 2^3072.
const PRIME_DIFF: u64 = 1_103_717;

/// A number below 2^3072, in limbs from low to high. Any two that differ by the modulus are equal members of the field;
/// [`reduced`](Num::reduced) picks the small one.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Num([u64; LIMBS]);

impl Num {
    fn one() -> Self {
        let mut limbs = [0; LIMBS];
        limbs[0] = 1;
        Self(limbs)
    }

    fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let mut limbs = [0; LIMBS];
        for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
            *limb = chunk
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte));
        }
        Self(limbs)
    }

    fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(&self.0) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// The product, below 2^3072.
    fn mul(&self, other: &Self) -> Self {
        let mut wide = [0_u64; 2 * LIMBS];
        for (i, a) in self.0.iter().enumerate() {
            let mut carry = 0_u128;
            for (slot, b) in wide[i..i + LIMBS].iter_mut().zip(&other.0) {
                let sum = u128::from(*a) * u128::from(*b) + u128::from(*slot) + carry;
                *slot = sum as u64;
                carry = sum >> 64;
            }
            wide[i + LIMBS] = carry as u64;
        }
        // 2^3072 is PRIME_DIFF modulo the prime: fold the high half onto the low one.
        let mut limbs = [0; LIMBS];
        let mut carry = 0_u128;
        let (low, high) = wide.split_at(LIMBS);
        for ((limb, low), high) in limbs.iter_mut().zip(low).zip(high) {
            let sum = u128::from(*high) * u128::from(PRIME_DIFF) + u128::from(*low) + carry;
            *limb = sum as u64;
            carry = sum >> 64;
        }
        let mut result = Self(limbs);
        // What still stands above 2^3072 is less than PRIME_DIFF + 1; folding it may carry once more.
        let mut over = carry as u64;
        while over != 0 {
            over = result.add_small(u128::from(over) * u128::from(PRIME_DIFF));
        }
        result
    }

    /// Adds a small number; says what overflowed.
    fn add_small(&mut self, value: u128) -> u64 {
        let mut carry = value;
        for limb in &mut self.0 {
            let sum = u128::from(*limb) + u128::from(carry as u64);
            *limb = sum as u64;
            carry = (carry >> 64) + (sum >> 64);
        }
        carry as u64
    }

    /// The same member of the field, below the modulus.
    fn reduced(&self) -> Self {
        let mut result = self.clone();
        let above =
            self.0[0] > u64::MAX - PRIME_DIFF && self.0[1..].iter().all(|limb| *limb == u64::MAX);
        if above {
            // Adding what the modulus lacks, and dropping the carry, subtracts the modulus.
            result.add_small(u128::from(PRIME_DIFF));
        }
        result
    }

    /// The multiplicative inverse.
    fn inverse(&self) -> Self {
        Self(inverse::inverse(&self.reduced().0))
    }
}

/// The digest of a set of byte strings.
#[derive(Clone, Debug)]
pub struct MuHash {
    /// Product of what was added.
    numerator: Num,
    /// Product of what was removed; dividing is put off to the end.
    denominator: Num,
}

impl Default for MuHash {
    fn default() -> Self {
        Self::new()
    }
}

impl MuHash {
    /// The empty set.
    pub fn new() -> Self {
        Self {
            numerator: Num::one(),
            denominator: Num::one(),
        }
    }

    /// Adds a member.
    pub fn insert(&mut self, member: &[u8]) {
        self.numerator = self.numerator.mul(&hash_to_num(member));
    }

    /// Removes a member.
    pub fn remove(&mut self, member: &[u8]) {
        self.denominator = self.denominator.mul(&hash_to_num(member));
    }

    /// Unites with another set.
    pub fn combine(&mut self, other: &Self) {
        self.numerator = self.numerator.mul(&other.numerator);
        self.denominator = self.denominator.mul(&other.denominator);
    }

    /// Makes one number of the two, once, so that asking for the digest costs little. The set stays the same.
    pub fn divide(&mut self) {
        if self.denominator != Num::one() {
            self.numerator = self.numerator.mul(&self.denominator.inverse());
            self.denominator = Num::one();
        }
        self.numerator = self.numerator.reduced();
    }

    /// The set as Core stores it, 768 bytes: both numbers, least significant byte first.
    pub fn encode(&self) -> Vec<u8> {
        [
            self.numerator.reduced().to_bytes(),
            self.denominator.reduced().to_bytes(),
        ]
        .concat()
    }

    /// The set that was stored; `None` if its size is another.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (numerator, denominator) = bytes.split_first_chunk()?;
        Some(Self {
            numerator: Num::from_bytes(numerator),
            denominator: Num::from_bytes(denominator.try_into().ok()?),
        })
    }

    /// The digest, as 32 bytes in the order in which Core serializes them (displayed reversed).
    pub fn finalize(&self) -> [u8; 32] {
        let product = if self.denominator == Num::one() {
            self.numerator.clone()
        } else {
            self.numerator.mul(&self.denominator.inverse())
        };
        sha256::Hash::hash(&product.reduced().to_bytes()).to_byte_array()
    }
}

/// The member as a number: 384 bytes of the ChaCha20 stream whose key is its SHA256.
fn hash_to_num(member: &[u8]) -> Num {
    let key = sha256::Hash::hash(member).to_byte_array();
    let mut bytes = [0; BYTES];
    for (counter, block) in bytes.chunks_exact_mut(64).enumerate() {
        chacha20_block(&key, counter as u32, block);
    }
    Num::from_bytes(&bytes)
}

/// One block of the ChaCha20 stream with an all-zero nonce (RFC 8439).
fn chacha20_block(key: &[u8; 32], counter: u32, out: &mut [u8]) {
    let mut input = [0_u32; 16];
    input[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    for (word, chunk) in input[4..12].iter_mut().zip(key.chunks_exact(4)) {
        *word = chunk
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u32::from(*byte));
    }
    input[12] = counter;
    let mut state = input;
    for _ in 0..10 {
        for [a, b, c, d] in [
            [0, 4, 8, 12],
            [1, 5, 9, 13],
            [2, 6, 10, 14],
            [3, 7, 11, 15],
            [0, 5, 10, 15],
            [1, 6, 11, 12],
            [2, 7, 8, 13],
            [3, 4, 9, 14],
        ] {
            for (x, y, z, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                state[x] = state[x].wrapping_add(state[y]);
                state[z] = (state[z] ^ state[x]).rotate_left(turn);
            }
        }
    }
    for ((chunk, word), start) in out.chunks_exact_mut(4).zip(state).zip(input) {
        chunk.copy_from_slice(&word.wrapping_add(start).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(n: u8) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[0] = n;
        bytes
    }

    fn hex(bytes: [u8; 32]) -> String {
        bytes
            .iter()
            .rev()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn cores_published_digest() {
        // Core's crypto tests: the numbers 0 and 1 added, 2 removed.
        let mut hash = MuHash::new();
        hash.insert(&member(0));
        hash.insert(&member(1));
        hash.remove(&member(2));
        assert_eq!(
            hex(hash.finalize()),
            "10d312b100cbd32ada024a6646e40d3482fcff103668d2625f10002a607d5863"
        );
    }

    #[test]
    fn order_does_not_matter_and_removal_undoes() {
        let mut one = MuHash::new();
        let mut other = MuHash::new();
        for n in 0..10 {
            one.insert(&member(n));
            other.insert(&member(9 - n));
        }
        assert_eq!(one.finalize(), other.finalize());
        other.insert(&member(77));
        assert_ne!(one.finalize(), other.finalize());
        other.remove(&member(77));
        assert_eq!(one.finalize(), other.finalize());
        let mut empty = MuHash::new();
        empty.combine(&one);
        assert_eq!(empty.finalize(), one.finalize());
    }

    #[test]
    fn numbers_at_the_modulus_reduce() {
        let mut modulus = Num([u64::MAX; LIMBS]);
        modulus.0[0] = u64::MAX - PRIME_DIFF + 1;
        assert_eq!(modulus.reduced(), Num([0; LIMBS]));
        let mut largest = Num([u64::MAX; LIMBS]);
        largest.0[0] = u64::MAX - PRIME_DIFF;
        // Minus one, squared, is one.
        assert_eq!(largest.reduced(), largest);
        assert_eq!(largest.mul(&largest).reduced(), Num::one());
        assert_eq!(largest.inverse().reduced(), largest);
    }
}
