//! Sets of the transactions of one cluster.

use std::ops::{BitAnd, BitOr, BitOrAssign, Sub, SubAssign};

/// A set of numbers below [`Set::CAPACITY`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Set(u64);

impl Set {
    /// How many different numbers there are: the most transactions that a cluster may have.
    pub(super) const CAPACITY: usize = 64;
    pub(super) const EMPTY: Self = Self(0);

    pub(super) fn single(number: usize) -> Self {
        debug_assert!(number < Self::CAPACITY);
        Self(1 << number)
    }

    /// The numbers below `count`.
    pub(super) fn below(count: usize) -> Self {
        debug_assert!(count <= Self::CAPACITY);
        match count {
            0 => Self::EMPTY,
            count => Self(u64::MAX >> (Self::CAPACITY - count)),
        }
    }

    pub(super) fn contains(self, number: usize) -> bool {
        self.0 >> number & 1 == 1
    }

    pub(super) fn insert(&mut self, number: usize) {
        *self |= Self::single(number);
    }

    pub(super) fn remove(&mut self, number: usize) {
        *self -= Self::single(number);
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    /// The numbers, the lowest first.
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let first = Self(left).first()?;
            left &= left - 1;
            Some(first)
        })
    }
}

impl BitOr for Set {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Set {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Set {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOrAssign for Set {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl SubAssign for Set {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<T: IntoIterator<Item = usize>>(numbers: T) -> Self {
        let mut set = Self::EMPTY;
        for number in numbers {
            set.insert(number);
        }
        set
    }
}
