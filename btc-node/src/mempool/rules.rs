//! The rules of consensus, asked for a transaction of the next block.

use super::pool::MEMPOOL_HEIGHT;
use super::reject::Reject;
use super::tip::ChainView;
use crate::chainstate::ScriptCache;
use bitcoin::{Transaction, TxIn, TxOut};
use btc_consensus::Coin;
use btc_consensus::script::{self, ScriptError, ScriptFlags, SignatureChecker, TransactionChecker};
use btc_consensus::sighash::Spend;
use btc_consensus::tx;
use std::sync::Arc;

/// Whether the lock time lets the transaction into the next block.
pub(super) fn is_final(tx: &Transaction, view: &dyn ChainView) -> bool {
    tx::is_final(tx, view.height() + 1, view.median_time_past())
}

/// Whether the relative lock times let the transaction into the next block, by the coins in the order of its inputs.
/// Coins of the mempool count as if the next block made them.
pub(super) fn are_sequence_locks_met(
    tx: &Transaction,
    coins: &[Coin],
    view: &dyn ChainView,
) -> bool {
    let next = view.height() + 1;
    let heights = coins.iter().map(|coin| {
        if coin.height == MEMPOOL_HEIGHT {
            next
        } else {
            coin.height
        }
    });
    tx::sequence_locks(tx, heights, view.chain()).permit(next, view.median_time_past())
}

/// Values and maturity of what is spent in the next block; gives the fee in sat.
pub(super) fn check_inputs(
    tx: &Transaction,
    coins: &[Coin],
    view: &dyn ChainView,
) -> Result<i64, Reject> {
    let fee = tx::check_inputs(tx, coins, view.height() + 1)?;
    Ok(i64::try_from(fee.to_sat()).unwrap_or(i64::MAX))
}

/// The cost of the signature checks (BIP 141).
pub(super) fn sigop_cost(tx: &Transaction, spent: &[TxOut], flags: ScriptFlags) -> i64 {
    i64::try_from(tx::sigop_cost(tx, spent, flags)).unwrap_or(i64::MAX)
}

/// A script that failed.
#[derive(Debug)]
pub(super) struct ScriptFailure {
    /// How.
    pub(super) error: ScriptError,
    input: usize,
}

impl ScriptFailure {
    /// Which input of `tx` it was, and what that spends.
    pub(super) fn describe(&self, tx: &Transaction) -> String {
        let prevout = tx
            .input
            .get(self.input)
            .map(|input| input.previous_output)
            .unwrap_or_default();
        format!(
            "input {} of {} (wtxid {}), spending {}:{}",
            self.input,
            tx.compute_txid(),
            tx.compute_wtxid(),
            prevout.txid,
            prevout.vout
        )
    }
}

/// Runs the scripts of all inputs by `flags`, with what `cache` knows of their signatures.
pub(super) fn check_scripts(
    spend: &Spend,
    flags: ScriptFlags,
    cache: Option<&ScriptCache>,
) -> Result<(), ScriptFailure> {
    for (index, (input, output)) in spend
        .transaction()
        .input
        .iter()
        .zip(spend.prevouts())
        .enumerate()
    {
        let no_input = "the number is that of one of the transaction's inputs";
        let verdict = match cache {
            Some(cache) => {
                let verifier = cache.verifier(true);
                let checker = TransactionChecker::with_verifier(spend, index, verifier);
                run(input, output, flags, &checker.expect(no_input))
            }
            None => {
                let checker = TransactionChecker::new(spend, index);
                run(input, output, flags, &checker.expect(no_input))
            }
        };
        verdict.map_err(|error| ScriptFailure {
            error,
            input: index,
        })?;
    }
    Ok(())
}

fn run<C: SignatureChecker>(
    input: &TxIn,
    output: &TxOut,
    flags: ScriptFlags,
    checker: &C,
) -> Result<(), ScriptError> {
    script::verify(
        &input.script_sig,
        &output.script_pubkey,
        &input.witness,
        flags,
        checker,
    )
}

/// The transaction with what it spends, for [`check_scripts`].
pub(super) fn spend(tx: &Arc<Transaction>, spent: &[TxOut]) -> Result<Spend, Reject> {
    Spend::new(Arc::clone(tx), spent.to_vec()).map_err(|_| Reject::MissingInputs)
}
