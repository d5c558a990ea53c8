//! New money.

use bitcoin::Amount;

use crate::params::ChainParams;

/// What a block at `height` may create, besides the fees that it collects.
///
/// ```
/// use btc_consensus::params::{Chain, ChainParams};
/// use btc_consensus::subsidy::subsidy;
///
/// let params = ChainParams::new(Chain::Main);
/// assert_eq!(subsidy(209_999, &params).to_sat(), 50_0000_0000);
/// assert_eq!(subsidy(210_000, &params).to_sat(), 25_0000_0000);
/// ```
pub fn subsidy(height: u32, params: &ChainParams) -> Amount {
    const FIRST: u64 = 50 * 100_000_000;
    let halvings = height
        .checked_div(params.subsidy_halving_interval)
        .unwrap_or(u32::MAX);
    Amount::from_sat(FIRST.checked_shr(halvings).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_MONEY;
    use crate::params::Chain;

    #[test]
    fn the_sum_of_all_subsidies() {
        let params = ChainParams::new(Chain::Main);
        let interval = params.subsidy_halving_interval;
        let total: u64 = (0..70)
            .map(|period| {
                let first = subsidy(period * interval, &params);
                assert_eq!(first, subsidy((period + 1) * interval - 1, &params));
                first.to_sat() * u64::from(interval)
            })
            .sum();
        assert_eq!(total, 2_099_999_997_690_000);
        assert!(total < MAX_MONEY);
        assert_eq!(subsidy(u32::MAX, &params), Amount::ZERO);
    }
}
