//! Signing: ECDSA with small R for scripts of old and of witness version 0, Schnorr on the key path of taproot.

use bitcoin::ecdsa;
use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, TapTweak};
use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::script::{Builder, Instruction, PushBytesBuf};
use bitcoin::secp256k1::Message;
use bitcoin::secp256k1::rand::rngs::OsRng;
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot;
use bitcoin::{PublicKey, Script, ScriptBuf, Transaction, TxIn, TxOut, Witness};
use btc_interfaces::descriptor::{DerivedKey, ExpandedScript, SecretKeys, secp};

/// A DER signature with small R and S and its sighash byte is at most this long.
const ECDSA_SIGNATURE_SIZE: usize = 71;
const SCHNORR_SIGNATURE_SIZE: usize = 64;

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
    /// It holds signatures of others, which would have to be verified.
    #[error("verifying signatures that others made is not supported yet")]
    Foreign,
    /// The input is not one that can be signed (sighash single without its output).
    #[error("the sighash of the input cannot be computed")]
    Sighash,
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

/// Where signatures and keys come from: real ones, or stand-ins of their greatest size.
trait Signer {
    /// A signature with its sighash byte under `key`, for the script code of the old or the witness sighash.
    fn ecdsa(
        &mut self,
        key: &PublicKey,
        script_code: &Script,
        segwit: bool,
    ) -> Result<Option<Vec<u8>>, SignError>;
    /// A key path signature for the internal key.
    fn schnorr(&mut self, key: &PublicKey) -> Result<Option<Vec<u8>>, SignError>;
}

fn push(bytes: Vec<u8>) -> Result<PushBytesBuf, SignError> {
    PushBytesBuf::try_from(bytes).map_err(|_| SignError::MissingKey)
}

/// What satisfies a plain script: the stack, lowest first.
fn stack_for(
    script: &Script,
    keys: &[DerivedKey],
    segwit: bool,
    signer: &mut dyn Signer,
) -> Result<Vec<Vec<u8>>, SignError> {
    let find = |matches: &dyn Fn(&PublicKey) -> bool| {
        keys.iter()
            .map(|derived| derived.key)
            .find(|key| matches(key))
    };
    if script.is_p2pkh() {
        let hash = &script.as_bytes()[3..23];
        let key = find(&|key| key.pubkey_hash()[..] == *hash).ok_or(SignError::MissingKey)?;
        let signature = signer
            .ecdsa(&key, script, segwit)?
            .ok_or(SignError::MissingKey)?;
        return Ok(vec![signature, key.to_bytes()]);
    }
    if script.is_p2pk() {
        let key = script.p2pk_public_key().ok_or(SignError::MissingKey)?;
        let signature = signer
            .ecdsa(&key, script, segwit)?
            .ok_or(SignError::MissingKey)?;
        return Ok(vec![signature]);
    }
    if script.is_multisig() {
        let mut instructions = script.instructions().filter_map(Result::ok);
        let threshold = match instructions.next() {
            Some(Instruction::Op(op)) if (0x51..=0x60).contains(&op.to_u8()) => {
                usize::from(op.to_u8() - 0x50)
            }
            _ => return Err(SignError::MissingKey),
        };
        // One element more than there are signatures, which OP_CHECKMULTISIG takes off for nothing.
        let mut stack = vec![Vec::new()];
        for instruction in instructions {
            if stack.len() > threshold || instruction == Instruction::Op(OP_CHECKMULTISIG) {
                break;
            }
            let key = instruction
                .push_bytes()
                .and_then(|bytes| PublicKey::from_slice(bytes.as_bytes()).ok());
            if let Some(key) = key
                && let Some(signature) = signer.ecdsa(&key, script, segwit)?
            {
                stack.push(signature);
            }
        }
        return if stack.len() > threshold {
            Ok(stack)
        } else {
            Err(SignError::MissingKey)
        };
    }
    Err(SignError::MissingKey)
}

fn witness_for(
    script: &Script,
    witness_script: Option<&ScriptBuf>,
    keys: &[DerivedKey],
    signer: &mut dyn Signer,
) -> Result<Option<Witness>, SignError> {
    if script.is_p2wpkh() {
        let code = script.p2wpkh_script_code().ok_or(SignError::MissingKey)?;
        return Ok(Some(Witness::from_slice(&stack_for(
            &code, keys, true, signer,
        )?)));
    }
    if script.is_p2wsh() {
        let inner = witness_script.ok_or(SignError::MissingKey)?;
        let mut stack = stack_for(inner, keys, true, signer)?;
        stack.push(inner.to_bytes());
        return Ok(Some(Witness::from_slice(&stack)));
    }
    if script.is_p2tr() {
        for derived in keys {
            if let Some(signature) = signer.schnorr(&derived.key)? {
                return Ok(Some(Witness::from_slice(&[signature])));
            }
        }
        return Err(SignError::MissingKey);
    }
    Ok(None)
}

/// The script and witness that spend what `solved` describes.
fn satisfy(
    solved: &ExpandedScript,
    keys: &[DerivedKey],
    signer: &mut dyn Signer,
) -> Result<(ScriptBuf, Witness), SignError> {
    let outer = &solved.script_pubkey;
    let inner = if outer.is_p2sh() {
        solved.redeem_script.as_ref().ok_or(SignError::MissingKey)?
    } else {
        outer
    };
    let witness = witness_for(inner, solved.witness_script.as_ref(), keys, signer)?;
    let mut script_sig = Builder::new();
    if witness.is_none() {
        for element in stack_for(inner, keys, false, signer)? {
            script_sig = script_sig.push_slice(push(element)?);
        }
    }
    if outer.is_p2sh() {
        script_sig = script_sig.push_slice(push(inner.to_bytes())?);
    }
    Ok((script_sig.into_script(), witness.unwrap_or_default()))
}

struct StandIn;

impl Signer for StandIn {
    fn ecdsa(&mut self, _: &PublicKey, _: &Script, _: bool) -> Result<Option<Vec<u8>>, SignError> {
        Ok(Some(vec![0; ECDSA_SIGNATURE_SIZE]))
    }

    fn schnorr(&mut self, _: &PublicKey) -> Result<Option<Vec<u8>>, SignError> {
        Ok(Some(vec![0; SCHNORR_SIGNATURE_SIZE]))
    }
}

/// An input as large as a signed one can get; `None` if it cannot be signed even with all keys.
pub(crate) fn dummy_input(solved: &ExpandedScript, keys: &[DerivedKey]) -> Option<TxIn> {
    let (script_sig, witness) = satisfy(solved, keys, &mut StandIn).ok()?;
    Some(TxIn {
        script_sig,
        witness,
        ..TxIn::default()
    })
}

struct RealSigner<'a> {
    cache: &'a mut SighashCache<Transaction>,
    index: usize,
    prevouts: Option<&'a [TxOut]>,
    output: &'a TxOut,
    secrets: &'a SecretKeys,
    coverage: Coverage,
}

impl Signer for RealSigner<'_> {
    fn ecdsa(
        &mut self,
        key: &PublicKey,
        script_code: &Script,
        segwit: bool,
    ) -> Result<Option<Vec<u8>>, SignError> {
        let Some(secret) = self.secrets.get(key) else {
            return Ok(None);
        };
        let kind = self.coverage.ecdsa;
        let digest = if segwit {
            let value = self.output.value;
            // For P2WPKH the script code is the P2PKH script, which the sighash takes as any witness script.
            self.cache
                .p2wsh_signature_hash(self.index, script_code, value, kind)
                .map_err(|_| SignError::Sighash)?
                .to_byte_array()
        } else {
            self.cache
                .legacy_signature_hash(self.index, script_code, kind.to_u32())
                .map_err(|_| SignError::Sighash)?
                .to_byte_array()
        };
        let signature = secp().sign_ecdsa_low_r(&Message::from_digest(digest), secret.key());
        let signature = ecdsa::Signature {
            signature,
            sighash_type: kind,
        };
        Ok(Some(signature.to_vec()))
    }

    fn schnorr(&mut self, key: &PublicKey) -> Result<Option<Vec<u8>>, SignError> {
        let Some(secret) = self
            .secrets
            .get(key)
            .or_else(|| self.secrets.get_x_only(&key.inner.x_only_public_key().0))
        else {
            return Ok(None);
        };
        let prevouts = self.prevouts.ok_or(SignError::MissingInput)?;
        let kind = self.coverage.taproot;
        let digest = self
            .cache
            .taproot_key_spend_signature_hash(self.index, &Prevouts::All(prevouts), kind)
            .map_err(|_| SignError::Sighash)?
            .to_byte_array();
        let mut pair = Keypair::from_secret_key(secp(), secret.key());
        let mut tweaked = pair.tap_tweak(secp(), None).to_keypair();
        // The output may be of a raw key without a tweak.
        let output_key = &self.output.script_pubkey.as_bytes()[2..];
        let signing = if tweaked.x_only_public_key().0.serialize() == *output_key {
            &tweaked
        } else if pair.x_only_public_key().0.serialize() == *output_key {
            &pair
        } else {
            return Ok(None);
        };
        let signature =
            secp().sign_schnorr_with_rng(&Message::from_digest(digest), signing, &mut OsRng);
        pair.non_secure_erase();
        tweaked.non_secure_erase();
        let signature = taproot::Signature {
            signature,
            sighash_type: kind,
        };
        Ok(Some(signature.to_vec()))
    }
}

/// Signs every input of `tx` that `inputs` and `secrets` allow. Gives the inputs that are not complete, with the reason.
///
/// `inputs` are in the order of the transaction's; `None` where the output spent is not known. An input is signed anew
/// even if it holds a signature, where the keys are at hand.
pub(crate) fn sign(
    tx: Transaction,
    inputs: &[Option<SignableInput>],
    secrets: &SecretKeys,
    coverage: Coverage,
) -> (Transaction, Vec<(usize, SignError)>) {
    let prevouts: Option<Vec<TxOut>> = inputs
        .iter()
        .map(|input| input.as_ref().map(|input| input.output.clone()))
        .collect();
    let mut errors = Vec::new();
    let mut satisfied = Vec::new();
    let mut cache = SighashCache::new(tx);
    for (index, input) in inputs.iter().enumerate() {
        let outcome = match input {
            None => Err(SignError::MissingInput),
            Some(SignableInput { solved: None, .. }) => Err(SignError::MissingKey),
            Some(SignableInput {
                output,
                solved: Some((script, keys)),
            }) => {
                let mut signer = RealSigner {
                    cache: &mut cache,
                    index,
                    prevouts: prevouts.as_deref(),
                    output,
                    secrets,
                    coverage,
                };
                satisfy(script, keys, &mut signer)
            }
        };
        match outcome {
            Ok(parts) => satisfied.push((index, parts)),
            Err(error) => errors.push((index, error)),
        }
    }
    let mut tx = cache.into_transaction();
    for (index, (script_sig, witness)) in satisfied {
        tx.input[index].script_sig = script_sig;
        tx.input[index].witness = witness;
    }
    for (index, error) in &mut errors {
        let input = &tx.input[*index];
        if *error == SignError::MissingKey
            && !(input.script_sig.is_empty() && input.witness.is_empty())
        {
            *error = SignError::Foreign;
        }
    }
    (tx, errors)
}
