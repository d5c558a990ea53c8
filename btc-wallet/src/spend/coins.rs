//! Which coins a wallet has.

use super::selection::Coin;
use crate::sign;
use crate::tx::TxState;
use crate::wallet::balance::Spent;
use crate::wallet::{FLAG_AVOID_REUSE, State};
use bitcoin::{Amount, OutPoint, TxOut, Txid};
use btc_interfaces::descriptor::{DerivedKey, ExpandedScript};
use std::collections::{HashMap, HashSet};

/// Which coins are wanted.
#[derive(Debug, Clone)]
pub(crate) struct CoinFilter {
    pub(crate) min_depth: i32,
    pub(crate) max_depth: i32,
    /// Also coins that others may take away again.
    pub(crate) include_unsafe: bool,
    pub(crate) include_immature: bool,
    /// Leave out coins on addresses that were spent from, in a wallet that avoids them.
    pub(crate) avoid_reuse: bool,
    pub(crate) skip_locked: bool,
    pub(crate) min_amount: Amount,
    pub(crate) max_amount: Amount,
    pub(crate) spend_zero_conf_change: bool,
}

impl CoinFilter {
    /// All coins that may be spent.
    pub(crate) fn spendable(spend_zero_conf_change: bool) -> Self {
        Self {
            min_depth: 0,
            max_depth: 9_999_999,
            include_unsafe: false,
            include_immature: false,
            avoid_reuse: true,
            skip_locked: true,
            min_amount: Amount::ZERO,
            max_amount: Amount::MAX_MONEY,
            spend_zero_conf_change,
        }
    }
}

/// A coin with what calls tell of it.
#[derive(Debug, Clone)]
pub(crate) struct ListedCoin {
    pub(crate) outpoint: OutPoint,
    pub(crate) output: TxOut,
    pub(crate) depth: i32,
    pub(crate) safe: bool,
    pub(crate) solved: Option<(ExpandedScript, Vec<DerivedKey>)>,
}

impl State {
    /// The wallet's unspent outputs that pass `filter`.
    pub(crate) fn coins(&self, filter: &CoinFilter) -> Vec<ListedCoin> {
        let mut trusted = HashSet::new();
        let mut coins = Vec::new();
        for (outpoint, output) in &self.outputs {
            let Some(tx) = self.txs.get(&outpoint.txid) else {
                continue;
            };
            let depth = self.depth(tx);
            let in_reach = match tx.record.state {
                TxState::Confirmed { .. } => depth > 0,
                TxState::InMempool => true,
                _ => false,
            };
            if !in_reach
                || depth < filter.min_depth
                || depth > filter.max_depth
                || !filter.include_immature && self.blocks_to_maturity(tx) > 0
                || output.value < filter.min_amount
                || output.value > filter.max_amount
                || filter.skip_locked && self.locked.contains_key(outpoint)
                || self.how_spent(outpoint) != Spent::No
            {
                continue;
            }
            // A coin of a replacement, or of what it replaces, may vanish with its transaction.
            let replaceable =
                depth == 0 && (tx.record.replaces.is_some() || tx.record.replaced_by.is_some());
            let safe = !replaceable
                && self.is_trusted(&outpoint.txid, filter.spend_zero_conf_change, &mut trusted);
            if !safe && !filter.include_unsafe {
                continue;
            }
            if filter.avoid_reuse
                && self.has_flag(FLAG_AVOID_REUSE)
                && self.is_used(&output.script_pubkey)
            {
                continue;
            }
            coins.push(ListedCoin {
                outpoint: *outpoint,
                output: output.clone(),
                depth,
                safe,
                solved: self
                    .solve(&output.script_pubkey)
                    .map(|(script, expansion)| (script, expansion.keys)),
            });
        }
        coins
    }

    /// The coins that selection may choose from.
    pub(super) fn candidates(
        &self,
        filter: &CoinFilter,
        ancestors: &HashMap<Txid, u64>,
    ) -> Vec<Coin> {
        self.coins(filter)
            .into_iter()
            .filter(|coin| self.is_available(&coin.outpoint))
            .filter_map(|coin| {
                let (script, keys) = coin.solved.as_ref()?;
                let input = sign::dummy_input(script, keys)?;
                let from_me = self
                    .txs
                    .get(&coin.outpoint.txid)
                    .is_some_and(|tx| self.is_from_me(&tx.record.tx));
                Some(Coin {
                    outpoint: coin.outpoint,
                    weight: input.segwit_weight().to_wu(),
                    depth: coin.depth,
                    from_me,
                    ancestors: if coin.depth == 0 {
                        ancestors.get(&coin.outpoint.txid).copied().unwrap_or(1)
                    } else {
                        0
                    },
                    kind: kind(&coin.output, script),
                    output: coin.output,
                })
            })
            .collect()
    }
}

/// Coins that look alike when spent get the same number.
fn kind(output: &TxOut, script: &ExpandedScript) -> u8 {
    let outer = &output.script_pubkey;
    match () {
        () if outer.is_p2tr() => 3,
        () if outer.is_p2wpkh() || outer.is_p2wsh() => 2,
        () if script
            .redeem_script
            .as_ref()
            .is_some_and(|inner| inner.is_witness_program()) =>
        {
            1
        }
        () => 0,
    }
}
