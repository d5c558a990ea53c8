//! Choices that need not be secret, only unforeseen by those who don't know the seed.

/// SplitMix64 (Steele, Lea and Flood 2014): one multiplication chain a number, every seed as good as another.
#[derive(Debug, Clone)]
pub(in crate::mempool) struct Random(u64);

impl Random {
    pub(in crate::mempool) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(in crate::mempool) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is small and not 0.
    pub(in crate::mempool) fn below(&mut self, bound: usize) -> usize {
        // The highest 64 bits of the product with a 64-bit fraction; biased by less than `bound` in 2^64.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    pub(in crate::mempool) fn coin(&mut self) -> bool {
        self.next() >> 63 == 1
    }
}
