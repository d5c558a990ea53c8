//! Signing with the wallet's keys: single keys, multisignatures, Miniscript, and both paths of taproot.

use bitcoin::secp256k1::rand::RngCore;
use bitcoin::secp256k1::rand::rngs::OsRng;
use bitcoin::sighash::{EcdsaSighashType, TapSighashType};
use bitcoin::{OutPoint, Transaction, TxIn, TxOut};
use btc_interfaces::descriptor::{DerivedKey, ExpandedScript, SecretKeys};
use btc_interfaces::psbt::sign::{Session, Spend, sign_spent};
use btc_interfaces::psbt::{Provider, PsbtInput};

/// Why an input could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SignError {
    /// The output it spends is not known.
    #[error("Input not found or already spent")]
    MissingInput,
    /// A key is not the wallet's, or the script is of no known form.
    #[error("Unable to sign input, invalid stack size (possibly missing key)")]
    MissingKey,
    /// Others have to sign too.
    #[error("CHECK(MULTI)SIG failing with non-zero signature (possibly need more signatures)")]
    MoreSignatures,
    /// It holds signatures of others, which would have to be verified.
    #[error("verifying signatures that others made is not supported yet")]
    Foreign,
}

/// What an input spends, and how.
#[derive(Debug, Clone)]
pub(crate) struct SignableInput {
    pub(crate) output: TxOut,
    /// The scripts within and the keys; `None` if the wallet does not know them.
    pub(crate) solved: Option<(ExpandedScript, Vec<DerivedKey>)>,
}

/// Which parts of the transaction signatures cover.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coverage {
    pub(crate) ecdsa: EcdsaSighashType,
    pub(crate) taproot: TapSighashType,
}

impl Default for Coverage {
    fn default() -> Self {
        Self {
            ecdsa: EcdsaSighashType::All,
            taproot: TapSighashType::Default,
        }
    }
}

impl Coverage {
    /// In the numbers of `SIGHASH_*`, for an input that spends `output`.
    pub(crate) fn number(self, output: &TxOut) -> u32 {
        if output.script_pubkey.is_p2tr() {
            u32::from(self.taproot as u8)
        } else {
            self.ecdsa.to_u32()
        }
    }
}

/// Randomness for the nonces of Schnorr signatures.
pub(crate) fn randomness() -> [u8; 32] {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

fn add(provider: &mut Provider, script: &ExpandedScript, keys: &[DerivedKey]) {
    provider.add_expanded(script);
    for key in keys {
        provider.add_key(key);
    }
}

/// An input as large as a signed one can get; `None` if it cannot be signed even with all keys.
pub(crate) fn dummy_input(solved: &ExpandedScript, keys: &[DerivedKey]) -> Option<TxIn> {
    let mut provider = Provider::new();
    add(&mut provider, solved, keys);
    let tx = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn::default()],
        output: Vec::new(),
    };
    let output = TxOut {
        value: bitcoin::Amount::ZERO,
        script_pubkey: solved.script_pubkey.clone(),
    };
    let mut session = Session::with_outputs(&tx, None).dummy();
    let mut input = PsbtInput::new(OutPoint::null(), None);
    let spend = sign_spent(&provider, &mut input, &output, 0, &mut session, None).ok()?;
    spend.complete.then(|| TxIn {
        script_sig: spend.script_sig,
        witness: spend.witness,
        ..TxIn::default()
    })
}

/// Signs every input of `tx` that `inputs` and `secrets` allow. Gives the inputs that are not complete, with the reason.
///
/// `inputs` are in the order of the transaction's; `None` where the output spent is not known. An input is signed anew
/// even if it holds a signature, where the keys are at hand; where others have to sign too, it holds what there is.
pub(crate) fn sign(
    tx: Transaction,
    inputs: &[Option<SignableInput>],
    secrets: &SecretKeys,
    coverage: Coverage,
) -> (Transaction, Vec<(usize, SignError)>) {
    let mut provider = Provider::new();
    for (_, secret) in secrets.iter() {
        provider.add_secret(secret.clone());
    }
    for (script, keys) in inputs
        .iter()
        .flatten()
        .filter_map(|input| input.solved.as_ref())
    {
        add(&mut provider, script, keys);
    }
    let spent: Option<Vec<TxOut>> = inputs
        .iter()
        .map(|input| input.as_ref().map(|input| input.output.clone()))
        .collect();
    let mut session = Session::with_outputs(&tx, spent).with_randomness(randomness());
    let mut errors = Vec::new();
    let mut spends: Vec<(usize, Spend)> = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        let Some(SignableInput { output, solved }) = input else {
            errors.push((index, SignError::MissingInput));
            continue;
        };
        if solved.is_none() {
            errors.push((index, SignError::MissingKey));
            continue;
        }
        let mut work = PsbtInput::new(tx.input[index].previous_output, None);
        let kind = Some(coverage.number(output));
        match sign_spent(&provider, &mut work, output, index, &mut session, kind) {
            Ok(spend) if spend.complete => spends.push((index, spend)),
            Ok(spend) if !work.partial_signatures.is_empty() => {
                errors.push((index, SignError::MoreSignatures));
                spends.push((index, spend));
            }
            Ok(_) | Err(_) => errors.push((index, SignError::MissingKey)),
        }
    }
    let mut tx = tx.clone();
    for (index, error) in &mut errors {
        let input = &tx.input[*index];
        let signed = !(input.script_sig.is_empty() && input.witness.is_empty());
        if signed && *error != SignError::MissingInput {
            *error = SignError::Foreign;
            spends.retain(|(other, _)| other != index);
        }
    }
    for (index, spend) in spends {
        tx.input[index].script_sig = spend.script_sig;
        tx.input[index].witness = spend.witness;
    }
    (tx, errors)
}
