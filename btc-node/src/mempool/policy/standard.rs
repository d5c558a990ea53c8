//! The form of a standard transaction, its outputs and its dust.

use super::{MAX_DUST_OUTPUTS, MAX_SCRIPT_SIG_SIZE, MAX_STANDARD_WEIGHT, Policy};
use crate::mempool::feerate::Feerate;
use crate::mempool::reject::Reject;
use bitcoin::{Transaction, TxOut};
use btc_interfaces::rpc::encode::{ScriptKind, is_push_only};

/// Checks everything about a transaction that shows without the outputs it spends.
pub fn check(tx: &Transaction, policy: &Policy) -> Result<(), Reject> {
    if !(1..=3).contains(&tx.version.0) {
        return Err(Reject::NonStandard("version"));
    }
    if tx.weight().to_wu() > MAX_STANDARD_WEIGHT {
        return Err(Reject::NonStandard("tx-size"));
    }
    for input in &tx.input {
        if input.script_sig.len() > MAX_SCRIPT_SIG_SIZE {
            return Err(Reject::NonStandard("scriptsig-size"));
        }
        if !is_push_only(&input.script_sig) {
            return Err(Reject::NonStandard("scriptsig-not-pushonly"));
        }
    }
    let mut data_left = policy.max_datacarrier_bytes.unwrap_or(0);
    for output in &tx.output {
        match ScriptKind::of(&output.script_pubkey) {
            ScriptKind::NonStandard => return Err(Reject::NonStandard("scriptpubkey")),
            ScriptKind::Multisig { keys, .. } if keys.len() > 3 => {
                return Err(Reject::NonStandard("scriptpubkey"));
            }
            ScriptKind::Multisig { .. } if !policy.permit_bare_multisig => {
                return Err(Reject::NonStandard("bare-multisig"));
            }
            ScriptKind::NullData => {
                data_left = data_left
                    .checked_sub(output.script_pubkey.len())
                    .ok_or(Reject::NonStandard("datacarrier"))?;
            }
            _ => {}
        }
    }
    if dust(tx, policy.dust_feerate).count() > MAX_DUST_OUTPUTS {
        return Err(Reject::NonStandard("dust"));
    }
    Ok(())
}

/// The indexes of the outputs that cost more to spend than they hold.
pub fn dust(tx: &Transaction, rate: Feerate) -> impl Iterator<Item = usize> {
    tx.output
        .iter()
        .enumerate()
        .filter(move |(_, output)| is_dust(output, rate))
        .map(|(index, _)| index)
}

/// Whether an output costs more to spend, at this rate, than it holds.
pub fn is_dust(output: &TxOut, rate: Feerate) -> bool {
    i64::try_from(output.value.to_sat()).is_ok_and(|value| value < dust_threshold(output, rate))
}

/// The value in sat below which an output is dust: what creating and spending it costs at `rate`. A witness output is
/// reckoned as if spent by one signature and key.
pub fn dust_threshold(output: &TxOut, rate: Feerate) -> i64 {
    let script = &output.script_pubkey;
    if script.is_op_return() || script.len() > 10_000 {
        return 0;
    }
    // Outpoint, script length and sequence; the signature and key are discounted in a witness.
    let spending = if script.is_witness_program() {
        32 + 4 + 1 + 107 / 4 + 4
    } else {
        32 + 4 + 1 + 107 + 4
    };
    rate.fee_for(output.size() as i64 + spending)
}
