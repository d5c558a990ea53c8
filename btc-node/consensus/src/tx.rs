//! Rules for transactions.

mod locks;

use bitcoin::{Amount, OutPoint, Transaction, TxIn, TxOut};
use hashbrown::HashSet;

use crate::coin::Coin;
use crate::fault::TxFault;
use crate::limits::{COINBASE_MATURITY, MAX_BLOCK_WEIGHT, MAX_MONEY, WITNESS_SCALE_FACTOR};
use crate::script::{ScriptFlags, sigops};

pub use locks::{SequenceLocks, is_final, sequence_locks};

/// The rule that a transaction breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TxError {
    /// No input.
    #[error("transaction has no inputs")]
    NoInputs,
    /// No output.
    #[error("transaction has no outputs")]
    NoOutputs,
    /// Larger without its witness than a block can be.
    #[error("transaction is too large for any block")]
    Oversize,
    /// An output's value is negative.
    #[error("output value is negative")]
    NegativeOutput,
    /// An output's value is more than all money.
    #[error("output value is out of range")]
    OutputTooLarge,
    /// The outputs' values sum up to more than all money.
    #[error("sum of output values is out of range")]
    OutputTotalTooLarge,
    /// Two inputs spend the same output.
    #[error("two inputs spend the same output")]
    DuplicateInputs,
    /// A coinbase's scriptSig is shorter than 2 or longer than 100 bytes.
    #[error("coinbase script is not between 2 and 100 bytes long")]
    CoinbaseLength,
    /// An input of another transaction than a coinbase spends nothing.
    #[error("input spends no output")]
    NullPrevout,
    /// An input's output does not exist, or is spent.
    #[error("CheckTxInputs: inputs missing/spent")]
    MissingInputs,
    /// A coinbase is spent before it has 100 blocks on top.
    #[error("tried to spend coinbase at depth {depth}")]
    PrematureCoinbaseSpend {
        /// How many blocks after the coinbase's own the spender would be.
        depth: i64,
    },
    /// The values spent, or their sum, are more than all money.
    #[error("input values are out of range")]
    InputValuesOutOfRange,
    /// More is paid than is spent.
    #[error("value in ({}) < value out ({})", money(.spent), money(.paid))]
    InputsBelowOutputs {
        /// The sum of the values spent.
        spent: Amount,
        /// The sum of the outputs' values.
        paid: Amount,
    },
    /// The fee is more than all money.
    #[error("fee is out of range")]
    FeeOutOfRange,
}

impl TxError {
    /// Bitcoin Core's reject reason.
    pub const fn reject_reason(&self) -> &'static str {
        match self {
            Self::NoInputs => "bad-txns-vin-empty",
            Self::NoOutputs => "bad-txns-vout-empty",
            Self::Oversize => "bad-txns-oversize",
            Self::NegativeOutput => "bad-txns-vout-negative",
            Self::OutputTooLarge => "bad-txns-vout-toolarge",
            Self::OutputTotalTooLarge => "bad-txns-txouttotal-toolarge",
            Self::DuplicateInputs => "bad-txns-inputs-duplicate",
            Self::CoinbaseLength => "bad-cb-length",
            Self::NullPrevout => "bad-txns-prevout-null",
            Self::MissingInputs => "bad-txns-inputs-missingorspent",
            Self::PrematureCoinbaseSpend { .. } => "bad-txns-premature-spend-of-coinbase",
            Self::InputValuesOutOfRange => "bad-txns-inputvalues-outofrange",
            Self::InputsBelowOutputs { .. } => "bad-txns-in-belowout",
            Self::FeeOutOfRange => "bad-txns-fee-outofrange",
        }
    }

    /// What Bitcoin Core says besides the reason; empty where it says nothing.
    pub fn debug_message(&self) -> String {
        match self {
            Self::MissingInputs
            | Self::PrematureCoinbaseSpend { .. }
            | Self::InputsBelowOutputs { .. } => self.to_string(),
            _ => String::new(),
        }
    }

    /// What the fault says about the transaction.
    pub const fn fault(&self) -> TxFault {
        match self {
            Self::MissingInputs => TxFault::MissingInputs,
            Self::PrematureCoinbaseSpend { .. } => TxFault::PrematureSpend,
            _ => TxFault::Consensus,
        }
    }
}

/// An amount in bitcoin with at least two decimals, as Bitcoin Core's messages have it.
fn money(amount: &Amount) -> String {
    let (whole, rest) = (amount.to_sat() / 100_000_000, amount.to_sat() % 100_000_000);
    let decimals = format!("{rest:08}");
    let (fixed, optional) = decimals.split_at(2);
    format!("{whole}.{fixed}{}", optional.trim_end_matches('0'))
}

/// Checks what can be checked of a transaction alone.
///
/// # Errors
/// The first rule that is broken.
pub fn check_transaction(transaction: &Transaction) -> Result<(), TxError> {
    if transaction.input.is_empty() {
        return Err(TxError::NoInputs);
    }
    if transaction.output.is_empty() {
        return Err(TxError::NoOutputs);
    }
    if transaction.base_size() as u64 * WITNESS_SCALE_FACTOR > MAX_BLOCK_WEIGHT {
        return Err(TxError::Oversize);
    }
    value_out(transaction)?;

    // Without this an input given twice would be spent twice (CVE-2018-17144).
    if spends_twice(&transaction.input) {
        return Err(TxError::DuplicateInputs);
    }

    if is_coinbase(transaction) {
        if !(2..=100).contains(&transaction.input[0].script_sig.len()) {
            return Err(TxError::CoinbaseLength);
        }
    } else if transaction
        .input
        .iter()
        .any(|input| is_null(&input.previous_output))
    {
        return Err(TxError::NullPrevout);
    }
    Ok(())
}

/// Whether two inputs spend the same output.
fn spends_twice(inputs: &[TxIn]) -> bool {
    /// Up to so many inputs, comparing each with each is faster than hashing them.
    const FEW: usize = 12;
    if inputs.len() <= FEW {
        return inputs.iter().enumerate().any(|(index, input)| {
            let mut before = inputs[..index].iter();
            before.any(|other| other.previous_output == input.previous_output)
        });
    }
    let mut prevouts = HashSet::with_capacity(inputs.len());
    !inputs
        .iter()
        .all(|input| prevouts.insert(input.previous_output))
}

/// The sum of the outputs' values.
///
/// # Errors
/// If a value, or the sum, is not an amount of money.
pub fn value_out(transaction: &Transaction) -> Result<Amount, TxError> {
    let mut total = 0;
    for output in &transaction.output {
        let value = output.value.to_sat();
        if value > i64::MAX as u64 {
            return Err(TxError::NegativeOutput);
        }
        if value > MAX_MONEY {
            return Err(TxError::OutputTooLarge);
        }
        total += value;
        if total > MAX_MONEY {
            return Err(TxError::OutputTotalTooLarge);
        }
    }
    Ok(Amount::from_sat(total))
}

/// Whether a transaction creates money: it has one input, which spends nothing.
pub fn is_coinbase(transaction: &Transaction) -> bool {
    matches!(&transaction.input[..], [input] if is_null(&input.previous_output))
}

fn is_null(outpoint: &OutPoint) -> bool {
    *outpoint == OutPoint::null()
}

/// Checks a transaction's inputs against the coins that they spend, in the order of the inputs,
/// for a block at `height`; gives the fee.
///
/// Not for a coinbase, which spends nothing.
///
/// # Errors
/// The first rule that is broken; [`TxError::MissingInputs`] if there are fewer coins than inputs.
pub fn check_inputs(
    transaction: &Transaction,
    coins: &[Coin],
    height: u32,
) -> Result<Amount, TxError> {
    if coins.len() != transaction.input.len() {
        return Err(TxError::MissingInputs);
    }
    let mut spent = 0;
    for coin in coins {
        let depth = i64::from(height) - i64::from(coin.height);
        if coin.coinbase && depth < i64::from(COINBASE_MATURITY) {
            return Err(TxError::PrematureCoinbaseSpend { depth });
        }
        let value = coin.output.value.to_sat();
        if value > MAX_MONEY || spent + value > MAX_MONEY {
            return Err(TxError::InputValuesOutOfRange);
        }
        spent += value;
    }
    let spent = Amount::from_sat(spent);
    let paid = value_out(transaction)?;
    // What is left of an amount of money is one, so the fee is always in range.
    spent
        .checked_sub(paid)
        .ok_or(TxError::InputsBelowOutputs { spent, paid })
}

/// The signature checks in a transaction's own scripts, multisignatures counted as 20 each.
pub fn legacy_sigops(transaction: &Transaction) -> u64 {
    let inputs = transaction.input.iter().map(|input| &input.script_sig);
    let outputs = transaction
        .output
        .iter()
        .map(|output| &output.script_pubkey);
    inputs
        .chain(outputs)
        .map(|script| sigops::count(script.as_bytes(), false))
        .sum()
}

/// The cost of a transaction's signature checks (BIP 141), given the outputs that it spends in the
/// order of its inputs; those of a coinbase are not looked at.
pub fn sigop_cost<'a>(
    transaction: &Transaction,
    prevouts: impl IntoIterator<Item = &'a TxOut>,
    flags: ScriptFlags,
) -> u64 {
    let flags = flags.with_implied();
    let mut cost = legacy_sigops(transaction) * WITNESS_SCALE_FACTOR;
    if is_coinbase(transaction) {
        return cost;
    }
    for (input, prevout) in transaction.input.iter().zip(prevouts) {
        let script_pubkey = prevout.script_pubkey.as_bytes();
        let script_sig = input.script_sig.as_bytes();
        if flags.contains(ScriptFlags::P2SH) {
            cost += sigops::count_p2sh(script_pubkey, script_sig) * WITNESS_SCALE_FACTOR;
        }
        if flags.contains(ScriptFlags::WITNESS) {
            cost += sigops::count_witness(script_pubkey, script_sig, &input.witness);
        }
    }
    cost
}

#[cfg(test)]
mod tests {
    use bitcoin::Txid;
    use bitcoin::hashes::Hash;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_output_spent_twice_is_noticed(mut vouts in proptest::collection::vec(0..60_u32, 0..40)) {
            let inputs = |vouts: &[u32]| -> Vec<TxIn> {
                let prevout = |vout| OutPoint::new(Txid::all_zeros(), vout);
                let input = |vout: &u32| TxIn { previous_output: prevout(*vout), ..TxIn::default() };
                vouts.iter().map(input).collect()
            };
            let spent = inputs(&vouts);
            let count = vouts.len();
            vouts.sort_unstable();
            vouts.dedup();
            prop_assert_eq!(spends_twice(&spent), vouts.len() < count);
            prop_assert!(!spends_twice(&inputs(&vouts)));
        }
    }
}
