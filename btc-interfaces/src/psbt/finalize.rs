//! From partial signatures to a transaction that can be sent.

use super::sign::{Missing, Options, Session, sign_input};
use super::{Provider, Psbt};
use bitcoin::Transaction;

/// Finishes every input whose signatures are there; gives whether that is all of them.
pub fn finalize(psbt: &mut Psbt) -> bool {
    let Some(tx) = psbt.unsigned_tx() else {
        return false;
    };
    let provider = Provider::new();
    let mut session = Session::new(psbt, &tx);
    let mut complete = true;
    for (index, input) in psbt.inputs.iter_mut().enumerate() {
        let options = Options {
            sighash_type: input.sighash_type,
            finalize: true,
        };
        let mut missing = Missing::default();
        complete &=
            sign_input(&provider, input, index, &mut session, options, &mut missing).is_ok();
    }
    complete
}

/// The transaction, once every input is finished.
pub fn extract(psbt: &Psbt) -> Option<Transaction> {
    let mut tx = psbt.unsigned_tx()?;
    for (input, known) in tx.input.iter_mut().zip(&psbt.inputs) {
        if !known.is_finalized() {
            return None;
        }
        input.script_sig = known.final_script_sig.clone().unwrap_or_default();
        input.witness = known.final_script_witness.clone().unwrap_or_default();
    }
    Some(tx)
}
