//! Feerates and the fees they make.

use bitcoin::Amount;

/// A feerate in satoshi per 1000 virtual bytes, as the node and its users count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeeRate(u64);

impl FeeRate {
    /// From satoshi per 1000 virtual bytes.
    pub const fn from_sat_per_kvb(sat: u64) -> Self {
        Self(sat)
    }

    /// In satoshi per 1000 virtual bytes.
    pub const fn sat_per_kvb(self) -> u64 {
        self.0
    }

    /// The fee of `vsize` virtual bytes, rounded up.
    pub fn fee(self, vsize: u64) -> Amount {
        Amount::from_sat(self.0.saturating_mul(vsize).div_ceil(1000))
    }

    /// As `0.00001000 BTC/kvB`.
    pub fn to_btc_string(self) -> String {
        format!(
            "{}.{:08} BTC/kvB",
            self.0 / 100_000_000,
            self.0 % 100_000_000
        )
    }

    /// As `1.000 sat/vB`.
    pub fn to_sat_string(self) -> String {
        format!("{}.{:03} sat/vB", self.0 / 1000, self.0 % 1000)
    }
}
