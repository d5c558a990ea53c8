//! Unsigned integers of 256 bits, as far as proof of work needs them.

use std::fmt;

/// An unsigned integer of 256 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct U256 {
    /// Least significant first.
    limbs: [u64; 4],
}

impl U256 {
    /// Zero.
    pub const ZERO: Self = Self { limbs: [0; 4] };
    /// One.
    pub const ONE: Self = Self {
        limbs: [1, 0, 0, 0],
    };
    /// The largest value.
    pub const MAX: Self = Self {
        limbs: [u64::MAX; 4],
    };

    /// The value of bytes, least significant first, as hashes are compared.
    pub const fn from_le_bytes(bytes: [u8; 32]) -> Self {
        let mut limbs = [0; 4];
        let mut index = 0;
        while index < 32 {
            limbs[index / 8] |= (bytes[index] as u64) << (index % 8 * 8);
            index += 1;
        }
        Self { limbs }
    }

    /// The value of bytes, most significant first, as hexadecimal digits are written.
    pub const fn from_be_bytes(bytes: [u8; 32]) -> Self {
        let mut reversed = [0; 32];
        let mut index = 0;
        while index < 32 {
            reversed[index] = bytes[31 - index];
            index += 1;
        }
        Self::from_le_bytes(reversed)
    }

    /// The bytes, least significant first.
    pub fn to_le_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.limbs) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// The bytes, most significant first.
    pub fn to_be_bytes(self) -> [u8; 32] {
        let mut bytes = self.to_le_bytes();
        bytes.reverse();
        bytes
    }

    /// The lowest 64 bits.
    pub const fn low_u64(self) -> u64 {
        self.limbs[0]
    }

    /// How many bits the value takes; 0 for zero.
    pub fn bits(self) -> u32 {
        let top = self.limbs.iter().rposition(|limb| *limb != 0);
        top.map_or(0, |top| {
            64 * (top as u32 + 1) - self.limbs[top].leading_zeros()
        })
    }

    /// The sum, if it fits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (sum, carry) = self.overflowing_add(other);
        (!carry).then_some(sum)
    }

    /// The difference, if it is not negative.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        let (difference, borrow) = self.overflowing_sub(other);
        (!borrow).then_some(difference)
    }

    fn overflowing_add(self, other: Self) -> (Self, bool) {
        let mut limbs = [0; 4];
        let mut carry = false;
        for (index, limb) in limbs.iter_mut().enumerate() {
            let (sum, first) = self.limbs[index].overflowing_add(other.limbs[index]);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first || second);
        }
        (Self { limbs }, carry)
    }

    fn overflowing_sub(self, other: Self) -> (Self, bool) {
        let mut limbs = [0; 4];
        let mut borrow = false;
        for (index, limb) in limbs.iter_mut().enumerate() {
            let (rest, first) = self.limbs[index].overflowing_sub(other.limbs[index]);
            let (rest, second) = rest.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (rest, first || second);
        }
        (Self { limbs }, borrow)
    }

    /// The product's lowest 256 bits.
    #[must_use]
    pub fn wrapping_mul_u64(self, factor: u64) -> Self {
        let mut limbs = [0; 4];
        let mut carry = 0u128;
        for (limb, own) in limbs.iter_mut().zip(self.limbs) {
            let product = u128::from(own) * u128::from(factor) + carry;
            *limb = product as u64;
            carry = product >> 64;
        }
        Self { limbs }
    }

    /// The quotient, rounded down; `None` if `divisor` is zero.
    pub fn checked_div(self, divisor: Self) -> Option<Self> {
        if divisor == Self::ZERO {
            return None;
        }
        let mut quotient = Self::ZERO;
        let mut rest = Self::ZERO;
        for bit in (0..self.bits()).rev() {
            // The bit that leaves `rest` at the top means that it exceeds any divisor.
            let carry = rest.limbs[3] >> 63 == 1;
            rest = rest << 1;
            rest.limbs[0] |= (self >> bit).limbs[0] & 1;
            if carry || rest >= divisor {
                rest = rest.overflowing_sub(divisor).0;
                quotient.limbs[bit as usize / 64] |= 1 << (bit % 64);
            }
        }
        Some(quotient)
    }
}

impl From<u64> for U256 {
    fn from(value: u64) -> Self {
        Self {
            limbs: [value, 0, 0, 0],
        }
    }
}

impl std::ops::Not for U256 {
    type Output = Self;

    fn not(self) -> Self {
        Self {
            limbs: self.limbs.map(|limb| !limb),
        }
    }
}

impl std::ops::Shl<u32> for U256 {
    type Output = Self;

    /// Bits shifted out are lost; so are all of them from 256 on.
    fn shl(self, shift: u32) -> Self {
        let (whole, part) = (shift as usize / 64, shift % 64);
        let limb = |index: Option<usize>| index.map_or(0, |index| self.limbs[index]);
        Self {
            limbs: std::array::from_fn(|index| {
                let low = limb(index.checked_sub(whole + 1));
                let high = limb(index.checked_sub(whole));
                // In two steps, since a shift by all 64 bits is none.
                high << part | low >> 1 >> (63 - part)
            }),
        }
    }
}

impl std::ops::Shr<u32> for U256 {
    type Output = Self;

    /// Bits shifted out are lost; so are all of them from 256 on.
    fn shr(self, shift: u32) -> Self {
        let (whole, part) = (shift as usize / 64, shift % 64);
        let limb = |index: usize| self.limbs.get(index).copied().unwrap_or(0);
        Self {
            limbs: std::array::from_fn(|index| {
                let low = limb(index + whole);
                let high = limb(index + whole + 1);
                low >> part | high << 1 << (63 - part)
            }),
        }
    }
}

impl Ord for U256 {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.limbs.iter().rev().cmp(other.limbs.iter().rev())
    }
}

impl PartialOrd for U256 {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::LowerHex for U256 {
    /// Always 64 digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limbs
            .iter()
            .rev()
            .try_for_each(|limb| write!(f, "{limb:016x}"))
    }
}

impl fmt::Display for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(self, f)
    }
}

impl fmt::Debug for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{self:x}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_u256() -> impl Strategy<Value = U256> {
        (any::<[u8; 32]>(), 0..256u32)
            .prop_map(|(bytes, shift)| U256::from_le_bytes(bytes) >> shift)
    }

    fn wide(value: u128) -> U256 {
        U256 {
            limbs: [value as u64, (value >> 64) as u64, 0, 0],
        }
    }

    proptest! {
        #[test]
        fn bytes_round_trip(value in any_u256()) {
            prop_assert_eq!(U256::from_le_bytes(value.to_le_bytes()), value);
            prop_assert_eq!(U256::from_be_bytes(value.to_be_bytes()), value);
        }

        #[test]
        fn small_values_agree_with_u128(left: u128, right: u128, factor: u32, shift in 0..128u32) {
            prop_assert_eq!(wide(left).cmp(&wide(right)), left.cmp(&right));
            prop_assert_eq!(wide(left).checked_div(wide(right)), left.checked_div(right).map(wide));
            prop_assert_eq!(wide(left).checked_sub(wide(right)), left.checked_sub(right).map(wide));
            prop_assert_eq!(wide(left) >> shift, wide(left >> shift));
            prop_assert_eq!(wide(left).bits(), 128 - left.leading_zeros());
            let narrow = left >> 64;
            prop_assert_eq!(
                wide(narrow).wrapping_mul_u64(factor.into()),
                wide(narrow * u128::from(factor))
            );
        }

        #[test]
        fn shifts_undo_each_other(value in any_u256(), shift in 0..=256u32) {
            let kept = U256::MAX >> shift;
            let low = U256 { limbs: std::array::from_fn(|i| value.limbs[i] & kept.limbs[i]) };
            prop_assert_eq!((value << shift) >> shift, low);
        }

        #[test]
        fn division_undoes_multiplication(value in any_u256(), factor in 1..u64::MAX) {
            let value = value >> 64;
            let product = value.wrapping_mul_u64(factor);
            prop_assert_eq!(product.checked_div(factor.into()), Some(value));
            if value != U256::ZERO {
                prop_assert_eq!(product.checked_div(value), Some(factor.into()));
            }
        }

        #[test]
        fn sums_and_differences(left in any_u256(), right in any_u256()) {
            match left.checked_add(right) {
                Some(sum) => prop_assert_eq!(sum.checked_sub(right), Some(left)),
                None => prop_assert!(!left < right),
            }
        }
    }
}
