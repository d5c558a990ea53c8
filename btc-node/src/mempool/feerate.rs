//! Feerates as exact fractions, rounded only where a fee in sat is asked for.

use std::cmp::Ordering;
use std::fmt;

/// A fee for a size: both of a transaction, or of a set of transactions, or of a policy ("100 sat for 1000 vB").
///
/// The size is in vB or in weight units; which of the two is said where a value is made. Comparisons are by ratio and
/// exact. An empty value (size 0) stands for "no rate" and compares as zero.
#[derive(Debug, Clone, Copy, Default)]
pub struct Feerate {
    /// Fee in sat; negative only by `prioritisetransaction`.
    pub fee: i64,
    /// Size, in the unit of the context.
    pub size: i64,
}

impl Feerate {
    /// The rate of no fee.
    pub const ZERO: Self = Self { fee: 0, size: 0 };

    /// A rate in sat per 1000 vB.
    pub const fn from_sat_per_kvb(fee: i64) -> Self {
        Self { fee, size: 1000 }
    }

    /// The rate of `fee` sat for `size`; of no size there is no rate.
    pub const fn new(fee: i64, size: i64) -> Self {
        if size > 0 {
            Self { fee, size }
        } else {
            Self::ZERO
        }
    }

    /// The fee in sat for `size`, rounded up, so that whoever pays it reaches the rate.
    pub fn fee_for(self, size: i64) -> i64 {
        if self.size == 0 {
            return 0;
        }
        let product = i128::from(self.fee) * i128::from(size);
        let divisor = i128::from(self.size);
        let rounded_up = product.div_euclid(divisor) + i128::from(product.rem_euclid(divisor) != 0);
        if rounded_up == 0 && size != 0 && self.fee < 0 {
            return -1;
        }
        clamp(rounded_up)
    }

    /// The rate in sat per 1000 units of size, rounded down.
    pub fn per_thousand(self) -> i64 {
        if self.size == 0 {
            return 0;
        }
        clamp((i128::from(self.fee) * 1000).div_euclid(i128::from(self.size)))
    }

    /// Orders by ratio.
    pub fn cmp_ratio(&self, other: &Self) -> Ordering {
        let (left, right) = (self.with_size(), other.with_size());
        (i128::from(left.fee) * i128::from(right.size))
            .cmp(&(i128::from(right.fee) * i128::from(left.size)))
    }

    /// The same with the size in vB, where it was in weight units.
    pub fn weight_to_vsize(self) -> Self {
        Self {
            fee: self.fee,
            size: (self.size + 3) / 4,
        }
    }

    fn with_size(self) -> Self {
        if self.size == 0 {
            Self { fee: 0, size: 1 }
        } else {
            self
        }
    }
}

impl PartialEq for Feerate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp_ratio(other) == Ordering::Equal
    }
}

impl Eq for Feerate {}

impl PartialOrd for Feerate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Feerate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_ratio(other)
    }
}

impl std::ops::AddAssign for Feerate {
    /// Adds fees and sizes: the rate of two sets together.
    fn add_assign(&mut self, other: Self) {
        self.fee = self.fee.saturating_add(other.fee);
        self.size = self.size.saturating_add(other.size);
    }
}

impl fmt::Display for Feerate {
    /// As `0.00001000 BTC/kvB`, for a size in vB.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.per_thousand();
        let sign = if rate < 0 { "-" } else { "" };
        let rate = rate.unsigned_abs();
        write!(
            f,
            "{sign}{}.{:08} BTC/kvB",
            rate / 100_000_000,
            rate % 100_000_000
        )
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Whether the mempool with the chunks `new` is worth more to a miner than with the chunks `old`, whatever the size of
/// the blocks: the curve of the best fee over the size taken is nowhere below and somewhere above. Both lists may be in
/// any order. Source: the feerate diagram rule of Core's cluster mempool.
pub fn improves_diagram(old: &[Feerate], new: &[Feerate]) -> bool {
    let (old, new) = (Diagram::new(old), Diagram::new(new));
    let mut better = false;
    for size in old.breakpoints().chain(new.breakpoints()) {
        match new.cmp_at(&old, size) {
            Ordering::Less => return false,
            Ordering::Greater => better = true,
            Ordering::Equal => {}
        }
    }
    better
}

/// The concave curve of cumulative fee over cumulative size, flat after its end.
struct Diagram {
    /// The ends of the segments, the first at the origin.
    points: Vec<(i64, i64)>,
}

impl Diagram {
    fn new(chunks: &[Feerate]) -> Self {
        let mut sorted = chunks.to_vec();
        sorted.sort_by(|a, b| b.cmp_ratio(a));
        let mut points = vec![(0, 0)];
        let mut end = (0i64, 0i64);
        for chunk in sorted {
            end = (
                end.0.saturating_add(chunk.size),
                end.1.saturating_add(chunk.fee),
            );
            points.push(end);
        }
        Self { points }
    }

    fn breakpoints(&self) -> impl Iterator<Item = i64> {
        self.points.iter().map(|(size, _)| *size)
    }

    /// The height at `size` as a fraction with a positive denominator.
    fn at(&self, size: i64) -> (i128, i128) {
        let next = self.points.partition_point(|(end, _)| *end < size);
        match (
            next.checked_sub(1).map(|i| self.points[i]),
            self.points.get(next),
        ) {
            (_, Some(&(end, fee))) if end == size => (i128::from(fee), 1),
            (Some((from_size, from_fee)), Some(&(to_size, to_fee))) => {
                let width = i128::from(to_size - from_size);
                let rise = i128::from(to_fee) - i128::from(from_fee);
                (
                    i128::from(from_fee) * width + rise * i128::from(size - from_size),
                    width,
                )
            }
            (Some((_, fee)), None) => (i128::from(fee), 1),
            (None, _) => (0, 1),
        }
    }

    fn cmp_at(&self, other: &Self, size: i64) -> Ordering {
        let ((a, b), (c, d)) = (self.at(size), other.at(size));
        (a * d).cmp(&(c * b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_round_up_and_rates_down() {
        let rate = Feerate::from_sat_per_kvb(100);
        assert_eq!(rate.fee_for(1000), 100);
        assert_eq!(rate.fee_for(1), 1);
        assert_eq!(rate.fee_for(141), 15);
        assert_eq!(rate.fee_for(0), 0);
        assert_eq!(Feerate::new(10, 141).per_thousand(), 70);
        assert_eq!(Feerate::new(5, 0).fee_for(100), 0);
        assert_eq!(Feerate::from_sat_per_kvb(-1).fee_for(10), -1);
        assert_eq!(
            Feerate::from_sat_per_kvb(1000).to_string(),
            "0.00001000 BTC/kvB"
        );
    }

    #[test]
    fn a_diagram_must_be_nowhere_worse() {
        let rate = |fee, size| Feerate::new(fee, size);
        assert!(improves_diagram(&[rate(100, 100)], &[rate(150, 100)]));
        assert!(!improves_diagram(&[rate(100, 100)], &[rate(100, 100)]));
        // More fee in all, but less in the first 100 units.
        assert!(!improves_diagram(&[rate(100, 100)], &[rate(300, 1000)]));
        // The same curve cut in two pieces is no improvement.
        assert!(!improves_diagram(
            &[rate(100, 100)],
            &[rate(50, 50), rate(50, 50)]
        ));
        assert!(improves_diagram(
            &[rate(10, 100), rate(100, 100)],
            &[rate(120, 100)]
        ));
        assert!(improves_diagram(&[], &[rate(1, 100)]));
    }
}
