//! Depths, trust and what the wallet owns.

use super::state::{State, WalletTx};
use crate::tx::TxState;
use crate::wallet::FLAG_AVOID_REUSE;
use bitcoin::{Amount, OutPoint, Script, SignedAmount, Transaction, Txid};
use btc_interfaces::Balances;
use std::collections::HashSet;

/// Blocks that a coinbase output must have on top before it is spent.
const COINBASE_MATURITY: i32 = 100;
/// Unconfirmed ancestors that trust is followed through; longer chains the mempool does not take.
const MAX_TRUST_DEPTH: usize = 128;

/// How an output is spent, by the wallet's own transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    No,
    /// By one that is neither in a block nor in the mempool, but may still get there.
    Pending,
    InMempool,
    Confirmed,
}

/// What `getbalances` tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FullBalances {
    pub(crate) trusted: Amount,
    pub(crate) untrusted_pending: Amount,
    pub(crate) immature: Amount,
    /// Trusted, but on addresses that were spent from, in a wallet that avoids them.
    pub(crate) used: Amount,
    /// What pending transactions outside of the mempool would take away, as a negative amount.
    pub(crate) nonmempool: SignedAmount,
}

impl From<FullBalances> for Balances {
    fn from(full: FullBalances) -> Self {
        Self {
            trusted: full.trusted + full.used,
            untrusted_pending: full.untrusted_pending,
            immature: full.immature,
        }
    }
}

impl State {
    /// Confirmations: 0 if unconfirmed, negative if a block that deep conflicts with it.
    pub(crate) fn depth(&self, tx: &WalletTx) -> i32 {
        self.depth_of(&tx.record.state)
    }

    pub(crate) fn depth_of(&self, state: &TxState) -> i32 {
        let tip = self.last_block.map_or(-1, |(height, _)| height);
        match state {
            TxState::Confirmed { height, .. } if *height >= 0 => (tip - height + 1).max(0),
            TxState::Conflicted { height, .. } if *height >= 0 => -(tip - height + 1).max(0),
            _ => 0,
        }
    }

    /// Blocks until a coinbase may be spent; 0 for other transactions.
    pub(crate) fn blocks_to_maturity(&self, tx: &WalletTx) -> i32 {
        if tx.record.tx.is_coinbase() {
            (COINBASE_MATURITY + 1 - self.depth(tx)).max(0)
        } else {
            0
        }
    }

    pub(crate) fn how_spent(&self, outpoint: &OutPoint) -> Spent {
        let mut spent = Spent::No;
        for txid in self.spends.get(outpoint).into_iter().flatten() {
            let Some(tx) = self.txs.get(txid) else {
                continue;
            };
            match tx.record.state {
                TxState::Confirmed { .. } => return Spent::Confirmed,
                TxState::InMempool => spent = Spent::InMempool,
                TxState::Conflicted { .. } | TxState::Inactive { abandoned: true } => {}
                TxState::Inactive { abandoned: false } | TxState::Unrecognized { .. } => {
                    if spent == Spent::No && tx.mempool_conflicts.is_empty() {
                        spent = Spent::Pending;
                    }
                }
            }
        }
        spent
    }

    /// What a transaction takes from the wallet's outputs.
    pub(crate) fn debit(&self, tx: &Transaction) -> Amount {
        if tx.is_coinbase() {
            return Amount::ZERO;
        }
        tx.input
            .iter()
            .filter_map(|input| self.own_prevout(&input.previous_output))
            .map(|output| output.value)
            .sum()
    }

    /// What a transaction pays to the wallet.
    pub(crate) fn credit(&self, tx: &Transaction) -> Amount {
        tx.output
            .iter()
            .filter(|output| self.is_mine(&output.script_pubkey))
            .map(|output| output.value)
            .sum()
    }

    /// Whether a transaction spends any of the wallet's outputs.
    pub(crate) fn is_from_me(&self, tx: &Transaction) -> bool {
        !tx.is_coinbase()
            && tx
                .input
                .iter()
                .any(|input| self.own_prevout(&input.previous_output).is_some())
    }

    /// Whether a transaction may be counted on: confirmed, or in the mempool with none but the wallet's own inputs.
    pub(crate) fn is_trusted(
        &self,
        txid: &Txid,
        spend_zero_conf_change: bool,
        known: &mut HashSet<Txid>,
    ) -> bool {
        let mut pending = vec![*txid];
        let mut seen = HashSet::new();
        while let Some(txid) = pending.pop() {
            if known.contains(&txid) || !seen.insert(txid) {
                continue;
            }
            if seen.len() > MAX_TRUST_DEPTH {
                return false;
            }
            let Some(tx) = self.txs.get(&txid) else {
                return false;
            };
            match tx.record.state {
                TxState::Confirmed { .. } => continue,
                TxState::InMempool if spend_zero_conf_change && self.is_from_me(&tx.record.tx) => {}
                _ => return false,
            }
            for input in &tx.record.tx.input {
                if self.own_prevout(&input.previous_output).is_none() {
                    return false;
                }
                pending.push(input.previous_output.txid);
            }
        }
        known.extend(seen);
        true
    }

    /// Whether a script was spent from, in a wallet that avoids reuse.
    pub(crate) fn is_used(&self, script: &Script) -> bool {
        self.address_book
            .get(&self.address_of(script))
            .is_some_and(|entry| entry.used)
    }

    pub(crate) fn balances(
        &self,
        min_depth: i32,
        avoid_reuse: bool,
        include_pending: bool,
        spend_zero_conf_change: bool,
    ) -> FullBalances {
        let mut balances = FullBalances::default();
        let mut trusted_txs = HashSet::new();
        let split_used = avoid_reuse && self.has_flag(FLAG_AVOID_REUSE);
        for (outpoint, output) in &self.outputs {
            let Some(tx) = self.txs.get(&outpoint.txid) else {
                continue;
            };
            let pending = match self.how_spent(outpoint) {
                Spent::Confirmed | Spent::InMempool => continue,
                Spent::Pending if !include_pending => continue,
                Spent::Pending => true,
                Spent::No => false,
            };
            let trusted = self.is_trusted(&outpoint.txid, spend_zero_conf_change, &mut trusted_txs);
            let bucket = if self.blocks_to_maturity(tx) > 0 && tx.record.state.is_confirmed() {
                &mut balances.immature
            } else if trusted && self.depth(tx) >= min_depth {
                if split_used && self.is_used(&output.script_pubkey) {
                    &mut balances.used
                } else {
                    &mut balances.trusted
                }
            } else if !trusted && tx.record.state == TxState::InMempool {
                if split_used && self.is_used(&output.script_pubkey) {
                    &mut balances.used
                } else {
                    &mut balances.untrusted_pending
                }
            } else {
                continue;
            };
            *bucket += output.value;
            if pending {
                balances.nonmempool -= SignedAmount::from_sat(output.value.to_sat().cast_signed());
            }
        }
        balances
    }
}
