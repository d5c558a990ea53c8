//! What the wallet list shows.

use bitcoin::Amount;
use btc_interfaces::{Balances, Node, Result};
use std::fmt;

/// One wallet's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletRow {
    /// Its name.
    pub name: String,
    /// What it owns.
    pub balances: Balances,
    /// How many transactions it knows.
    pub tx_count: u64,
    /// Whether it needs a passphrase before it signs.
    pub locked: bool,
}

impl fmt::Display for WalletRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "wallet \"{}\": {} available",
            self.name,
            btc(self.balances.trusted)
        )?;
        for (amount, what) in [
            (self.balances.untrusted_pending, "pending"),
            (self.balances.immature, "immature"),
        ] {
            if amount > Amount::ZERO {
                write!(f, ", {} {what}", btc(amount))?;
            }
        }
        write!(
            f,
            ", {} transactions{}",
            self.tx_count,
            if self.locked { ", locked" } else { "" }
        )
    }
}

fn btc(amount: Amount) -> String {
    format!(
        "{:.8} BTC",
        amount.display_in(bitcoin::Denomination::Bitcoin)
    )
}

/// The loaded wallets, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WalletsModel {
    /// Whether the node has wallets at all.
    pub available: bool,
    /// The loaded ones.
    pub rows: Vec<WalletRow>,
}

impl WalletsModel {
    /// Asks the node's wallets how they stand.
    ///
    /// # Errors
    /// Those of the node's and the wallets' methods, [`btc_interfaces::Error::Disconnected`] above all.
    pub fn load(node: &dyn Node) -> Result<Self> {
        let Some(loader) = node.wallet_loader()? else {
            return Ok(Self::default());
        };
        let mut rows = Vec::new();
        for wallet in loader.wallets()? {
            rows.push(WalletRow {
                name: wallet.wallet_name()?,
                balances: wallet.balances()?,
                tx_count: wallet.tx_count()?,
                locked: wallet.is_locked()?,
            });
        }
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            available: true,
            rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_there_is_and_nothing_else() {
        let mut row = WalletRow {
            name: "w".to_owned(),
            balances: Balances {
                trusted: Amount::from_sat(150_000_000),
                ..Balances::default()
            },
            tx_count: 2,
            locked: false,
        };
        assert_eq!(
            row.to_string(),
            "wallet \"w\": 1.50000000 BTC available, 2 transactions"
        );
        row.balances.immature = Amount::from_sat(1);
        row.locked = true;
        let expected = "wallet \"w\": 1.50000000 BTC available, 0.00000001 BTC immature, 2 transactions, locked";
        assert_eq!(row.to_string(), expected);
    }

    #[test]
    fn a_node_without_wallets_is_no_error() {
        let wallets =
            WalletsModel::load(&btc_interfaces::noop::NoopNode).expect("the node answers");
        assert!(!wallets.available && wallets.rows.is_empty());
    }
}
