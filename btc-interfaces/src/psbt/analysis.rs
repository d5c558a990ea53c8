//! Telling what a partially signed transaction still needs.

use super::sign::{Missing, Options, Session, sign_input};
use super::{Provider, Psbt, PsbtInput};
use bitcoin::{Amount, Transaction};

/// Who has to do something next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Who knows outputs, scripts and keys.
    Updater,
    /// Who has secrets.
    Signer,
    /// Who joins signatures into scripts and witnesses.
    Finalizer,
    /// Who makes the transaction.
    Extractor,
}

impl Role {
    /// The role in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Updater => "updater",
            Self::Signer => "signer",
            Self::Finalizer => "finalizer",
            Self::Extractor => "extractor",
        }
    }
}

/// How far an input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputAnalysis {
    /// Whether the output it spends is known.
    pub has_utxo: bool,
    /// Whether it is finished, and rightly.
    pub is_final: bool,
    /// Who is next.
    pub next: Role,
    /// What lacks.
    pub missing: Missing,
}

/// How far a partially signed transaction is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Analysis {
    /// It can never be a transaction.
    Invalid(String),
    /// It can.
    Valid {
        /// Its inputs in order.
        inputs: Vec<InputAnalysis>,
        /// Who is next.
        next: Role,
        /// Inputs minus outputs in sat, negative if too much is spent; if all outputs that are spent are known.
        fee: Option<i64>,
        /// The transaction with stand-ins for signatures, if it is known how all inputs are spent.
        estimate: Option<Transaction>,
    },
}

/// Looks at `psbt`; `is_right` tells of a finished input whether its script and witness are.
pub fn analyze(psbt: &Psbt, is_right: &dyn Fn(usize, &PsbtInput) -> bool) -> Analysis {
    let invalid = |text: String| Analysis::Invalid(format!("PSBT is not valid. {text}"));
    let Some(tx) = psbt.unsigned_tx() else {
        return Analysis::Invalid("PSBT cannot be made into a valid transaction".to_owned());
    };
    let provider = Provider::new();
    let mut session = Session::new(psbt, &tx);
    let mut inputs = Vec::with_capacity(psbt.inputs.len());
    let mut total_in = Some(Amount::ZERO);
    for (index, input) in psbt.inputs.iter().enumerate() {
        match input.utxo() {
            Some(output) => {
                let sum = in_range(output.value).and_then(|value| {
                    let so_far = total_in.unwrap_or(Amount::ZERO);
                    in_range(so_far.checked_add(value)?)
                });
                let Some(sum) = sum else {
                    return invalid(format!("Input {index} has invalid value"));
                };
                total_in = total_in.map(|_| sum);
                if output.script_pubkey.is_op_return() || output.script_pubkey.len() > 10_000 {
                    return invalid(format!("Input {index} spends unspendable output"));
                }
            }
            None => total_in = None,
        }
        inputs.push(analyze_input(
            &provider,
            input,
            index,
            &mut session,
            is_right,
        ));
    }
    let next = inputs.iter().map(|input| input.next).min();
    let next = next.unwrap_or(Role::Extractor);
    let Some(total_in) = total_in else {
        return Analysis::Valid {
            inputs,
            next,
            fee: None,
            estimate: None,
        };
    };
    let outputs = psbt.outputs.iter().map(|output| output.amount);
    let total_out = outputs.into_iter().try_fold(Amount::ZERO, |sum, value| {
        in_range(sum.checked_add(in_range(value)?)?)
    });
    let Some(total_out) = total_out else {
        return invalid("Output amount invalid".to_owned());
    };
    // Both are at most 21 million coins.
    let fee = total_in.to_sat().cast_signed() - total_out.to_sat().cast_signed();
    let estimate = estimate(&provider, psbt, &tx, &inputs);
    Analysis::Valid {
        inputs,
        next,
        fee: Some(fee),
        estimate,
    }
}

fn in_range(amount: Amount) -> Option<Amount> {
    (amount <= Amount::MAX_MONEY).then_some(amount)
}

fn analyze_input(
    provider: &Provider,
    input: &PsbtInput,
    index: usize,
    session: &mut Session<'_>,
    is_right: &dyn Fn(usize, &PsbtInput) -> bool,
) -> InputAnalysis {
    let has_utxo = input.utxo().is_some();
    let mut missing = Missing::default();
    if has_utxo && is_right(index, input) {
        return InputAnalysis {
            has_utxo,
            is_final: true,
            next: Role::Extractor,
            missing,
        };
    }
    let options = Options::default();
    let mut copy = input.clone();
    let outcome = sign_input(provider, &mut copy, index, session, options, &mut missing);
    let next = match outcome {
        Ok(()) => {
            missing = Missing::default();
            Role::Finalizer
        }
        Err(_)
            if !missing.signatures.is_empty()
                && missing.keys.is_empty()
                && missing.redeem_script.is_none()
                && missing.witness_script.is_none() =>
        {
            Role::Signer
        }
        Err(_) => Role::Updater,
    };
    InputAnalysis {
        has_utxo,
        is_final: false,
        next,
        missing,
    }
}

/// The transaction as large as it will be.
fn estimate(
    provider: &Provider,
    psbt: &Psbt,
    tx: &Transaction,
    inputs: &[InputAnalysis],
) -> Option<Transaction> {
    let mut session = Session::new(psbt, tx).dummy();
    let mut whole = tx.clone();
    for (index, input) in psbt.inputs.iter().enumerate() {
        let mut copy = input.clone();
        let mut missing = Missing::default();
        let options = Options::default();
        let outcome = sign_input(
            provider,
            &mut copy,
            index,
            &mut session,
            options,
            &mut missing,
        );
        outcome.ok()?;
        // Core takes no finished input of taproot for its size unless it has the whole transaction before it.
        let taproot = input
            .utxo()
            .is_some_and(|output| output.script_pubkey.is_p2tr());
        let signed = matches!(inputs[index].next, Role::Finalizer | Role::Extractor);
        if taproot && signed && input.non_witness_utxo.is_none() {
            return None;
        }
        whole.input[index].script_sig = copy.final_script_sig.unwrap_or_default();
        whole.input[index].witness = copy.final_script_witness.unwrap_or_default();
    }
    Some(whole)
}
