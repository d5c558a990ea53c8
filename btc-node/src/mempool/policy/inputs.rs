//! What standard transactions may spend, and with which witnesses.

use super::{
    MAX_LEGACY_SIGOPS, MAX_P2SH_SIGOPS, MAX_P2WSH_ITEM_SIZE, MAX_P2WSH_ITEMS,
    MAX_P2WSH_SCRIPT_SIZE, MAX_TAPSCRIPT_ITEM_SIZE,
};
use crate::mempool::reject::Reject;
use bitcoin::{Script, ScriptBuf, Transaction, TxIn, TxOut};
use btc_consensus::script::sigops;
use btc_interfaces::rpc::encode::{Pushes, ScriptKind};

/// Checks that every input spends a script that is understood, in a reasonable way; `spent` holds the outputs in the
/// order of the inputs.
pub fn check(tx: &Transaction, spent: &[TxOut]) -> Result<(), Reject> {
    check_legacy_sigops(tx, spent)?;
    for (index, (input, output)) in tx.input.iter().zip(spent).enumerate() {
        match ScriptKind::of(&output.script_pubkey) {
            ScriptKind::NonStandard => {
                return Err(Reject::NonStandardInput(format!(
                    "input {index} script unknown"
                )));
            }
            ScriptKind::WitnessUnknown => {
                return Err(Reject::NonStandardInput(format!(
                    "input {index} witness program is undefined"
                )));
            }
            ScriptKind::ScriptHash => check_redeem_script(input, index)?,
            _ => {}
        }
    }
    Ok(())
}

/// BIP 54: counts where signature operations may run, which is in the script of the spent output too.
fn check_legacy_sigops(tx: &Transaction, spent: &[TxOut]) -> Result<(), Reject> {
    let mut total = 0;
    for (input, output) in tx.input.iter().zip(spent) {
        let (script_sig, script_pubkey) =
            (input.script_sig.as_bytes(), output.script_pubkey.as_bytes());
        total += sigops::count(script_sig, true);
        total += if output.script_pubkey.is_p2sh() {
            sigops::count_p2sh(script_pubkey, script_sig)
        } else {
            sigops::count(script_pubkey, true)
        };
        if total > MAX_LEGACY_SIGOPS {
            return Err(Reject::NonStandardInput(
                "non-witness sigops exceed bip54 limit".into(),
            ));
        }
    }
    Ok(())
}

fn check_redeem_script(input: &TxIn, index: usize) -> Result<(), Reject> {
    let redeem_script = match last_push(&input.script_sig) {
        Err(error) => {
            return Err(Reject::NonStandardInput(format!(
                "p2sh scriptsig malformed (input {index}: {error})"
            )));
        }
        Ok(None) => {
            return Err(Reject::NonStandardInput(format!(
                "input {index} P2SH redeemscript missing"
            )));
        }
        Ok(Some(script)) => script,
    };
    let count = sigops::count(redeem_script.as_bytes(), true);
    if count > MAX_P2SH_SIGOPS {
        return Err(Reject::NonStandardInput(format!(
            "p2sh redeemscript sigops exceed limit (input {index}: {count} > {MAX_P2SH_SIGOPS})"
        )));
    }
    Ok(())
}

/// What a scriptSig of pushes leaves on top of the stack; `None` if it is empty. The error is the text of the script
/// error that running it gives.
fn last_push(script_sig: &Script) -> Result<Option<ScriptBuf>, &'static str> {
    let mut top = None;
    for push in Pushes::new(script_sig.as_bytes()) {
        // A push that is cut short and an opcode that is no push are one error to the interpreter. Others than pushes
        // don't come here: the transaction's own form was checked before.
        let push = push.map_err(|_| "Opcode missing or not understood")?;
        top = Some(match (push.opcode, push.data) {
            (_, Some(data)) if data.len() > 520 => return Err("Push value size limit exceeded"),
            (_, Some(data)) => ScriptBuf::from_bytes(data.to_vec()),
            (0x4f, _) => ScriptBuf::from_bytes(vec![0x81]),
            (number @ 0x51..=0x60, _) => ScriptBuf::from_bytes(vec![number - 0x50]),
            _ => return Err("Opcode missing or not understood"),
        });
    }
    Ok(top)
}

/// Whether every witness is of a size and kind that is relayed.
pub fn has_standard_witnesses(tx: &Transaction, spent: &[TxOut]) -> bool {
    tx.input
        .iter()
        .zip(spent)
        .all(|(input, output)| input.witness.is_empty() || is_standard_witness(input, output))
}

fn is_standard_witness(input: &TxIn, output: &TxOut) -> bool {
    let script = &output.script_pubkey;
    if matches!(ScriptKind::of(script), ScriptKind::Anchor) {
        return false;
    }
    let nested = script.is_p2sh();
    let program = if nested {
        match last_push(&input.script_sig) {
            Ok(Some(redeem_script)) => redeem_script,
            _ => return false,
        }
    } else {
        script.clone()
    };
    let items: Vec<&[u8]> = input.witness.iter().collect();
    if !program.is_witness_program() {
        return false;
    }
    if program.is_p2wsh() {
        let Some((witness_script, items)) = items.split_last() else {
            return false;
        };
        return witness_script.len() <= MAX_P2WSH_SCRIPT_SIZE
            && items.len() <= MAX_P2WSH_ITEMS
            && items.iter().all(|item| item.len() <= MAX_P2WSH_ITEM_SIZE);
    }
    if program.is_p2tr() && !nested {
        return is_standard_taproot(&items);
    }
    true
}

fn is_standard_taproot(items: &[&[u8]]) -> bool {
    match items {
        [] => false,
        [_] => true,
        // No meaning is given to the annex yet.
        [.., [0x50, ..]] => false,
        [.., []] => false,
        [stack @ .., _script, [leaf_version, ..]] => {
            leaf_version & 0xfe != 0xc0
                || stack
                    .iter()
                    .all(|item| item.len() <= MAX_TAPSCRIPT_ITEM_SIZE)
        }
    }
}

/// Whether the transaction spends a witness program that is no anchor, native or in P2SH: if so and it has no witness at
/// all, the witness may have been cut off on the way.
pub fn spends_witness_program(tx: &Transaction, spent: &[TxOut]) -> bool {
    tx.input.iter().zip(spent).any(|(input, output)| {
        let script = &output.script_pubkey;
        if script.is_p2sh() {
            let redeem_script = last_push(&input.script_sig).ok().flatten();
            return redeem_script.is_some_and(|script| script.is_witness_program());
        }
        script.is_witness_program() && !matches!(ScriptKind::of(script), ScriptKind::Anchor)
    })
}
