//! Filling in what a [`Provider`] knows of an input: scripts, keys, signatures; and finishing it where that is enough.

mod satisfy;

use super::provider::{Provider, leaf_hash, script_hash_of, script_hash_of_program};
use super::{ControlBlockBytes, Psbt, PsbtInput, PsbtOutput};
use crate::descriptor::secp;
use crate::rpc::encode::ScriptKind;
use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, TapTweak, XOnlyPublicKey};
use bitcoin::opcodes::all::OP_PUSHNUM_NEG1;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::secp256k1::Message;
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot::TapLeafHash;
use bitcoin::{
    PubkeyHash, PublicKey, Script, ScriptBuf, ScriptHash, Transaction, TxOut, Witness, ecdsa,
    taproot,
};
use std::collections::BTreeSet;

/// Why an input is not finished. Texts are those that Core's users know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The output it spends is not known.
    #[error("Inputs missing or spent")]
    MissingInputs,
    /// Signatures are asked for that cover something else than is told.
    #[error("Specified sighash value does not match value stored in PSBT")]
    SighashMismatch,
    /// Something lacks.
    #[error("Input needs additional signatures or other data")]
    Incomplete,
    /// Inputs contradict each other.
    #[error("The transaction cannot be valid")]
    InvalidTx,
}

/// How to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What signatures cover, in the numbers of `SIGHASH_*`; by default everything.
    pub sighash_type: Option<u32>,
    /// Whether to make the final script and witness where all is there.
    pub finalize: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sighash_type: None,
            finalize: true,
        }
    }
}

/// What an input lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// Keys of which the hash alone is known.
    pub keys: Vec<PubkeyHash>,
    /// Keys whose signatures lack.
    pub signatures: Vec<PubkeyHash>,
    /// The script behind a P2SH output.
    pub redeem_script: Option<ScriptHash>,
    /// The script behind a P2WSH output, by its SHA-256.
    pub witness_script: Option<[u8; 32]>,
}

/// What signatures are made over: the transaction and what it spends.
pub struct Session<'t> {
    cache: SighashCache<&'t Transaction>,
    /// Outputs in the order of inputs, if all are known.
    spent: Option<Vec<TxOut>>,
    /// Signatures are stand-ins of the usual size.
    dummy: bool,
    /// What goes into nonces of Schnorr signatures beside the key and the message.
    randomness: Option<[u8; 32]>,
}

impl<'t> Session<'t> {
    /// For the unsigned transaction of `psbt`, which `tx` is.
    pub fn new(psbt: &Psbt, tx: &'t Transaction) -> Self {
        Self::with_outputs(tx, psbt.spent_outputs())
    }

    /// For a transaction and what it spends, if all of that is known.
    pub fn with_outputs(tx: &'t Transaction, spent: Option<Vec<TxOut>>) -> Self {
        Self {
            cache: SighashCache::new(tx),
            spent,
            dummy: false,
            randomness: None,
        }
    }

    /// Mixes these bytes into the nonces of Schnorr signatures, against who watches the computer while it signs (BIP
    /// 340).
    #[must_use]
    pub fn with_randomness(mut self, randomness: [u8; 32]) -> Self {
        self.randomness = Some(randomness);
        self
    }

    /// Makes stand-ins for signatures, to see how large the transaction will be.
    #[must_use]
    pub fn dummy(mut self) -> Self {
        self.dummy = true;
        self
    }
}

const SIGHASH_DEFAULT: u32 = 0;
const SIGHASH_ALL: u32 = 1;

/// Fills in what `provider` knows of one input, signs it where there are secrets, and finishes it where everything is
/// there. What lacks is added to `missing`.
pub fn sign_input(
    provider: &Provider,
    input: &mut PsbtInput,
    index: usize,
    session: &mut Session<'_>,
    options: Options,
    missing: &mut Missing,
) -> Result<(), SignError> {
    let whole = input.non_witness_utxo.is_some();
    let output = input.utxo().cloned().ok_or(SignError::MissingInputs)?;
    if input.is_finalized() {
        return Ok(());
    }
    let spend = fill(
        provider,
        input,
        &output,
        whole,
        index,
        session,
        options.sighash_type,
        missing,
    )?;
    if spend.complete && options.finalize {
        input.partial_signatures.clear();
        input.keys.clear();
        input.redeem_script = None;
        input.witness_script = None;
        input.final_script_sig = (!spend.script_sig.is_empty()).then_some(spend.script_sig);
        input.final_script_witness = (!spend.witness.is_empty()).then_some(spend.witness);
    }
    if spend.segwit {
        input.witness_utxo = Some(output);
    }
    if spend.complete {
        Ok(())
    } else {
        Err(SignError::Incomplete)
    }
}

/// A script and a witness for an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// The script.
    pub script_sig: ScriptBuf,
    /// The witness.
    pub witness: Witness,
    /// Whether they are all that is needed; else they hold empty elements where signatures lack.
    pub complete: bool,
    segwit: bool,
}

/// As [`sign_input`], for an input that spends `output`, of which the caller is sure; gives what there is also if it is
/// not complete, and leaves it to the caller to put it in its place.
pub fn sign_spent(
    provider: &Provider,
    input: &mut PsbtInput,
    output: &TxOut,
    index: usize,
    session: &mut Session<'_>,
    sighash_type: Option<u32>,
) -> Result<Spend, SignError> {
    let mut missing = Missing::default();
    fill(
        provider,
        input,
        output,
        true,
        index,
        session,
        sighash_type,
        &mut missing,
    )
}

#[expect(clippy::too_many_arguments, reason = "one call from two places")]
fn fill(
    provider: &Provider,
    input: &mut PsbtInput,
    output: &TxOut,
    trusted: bool,
    index: usize,
    session: &mut Session<'_>,
    sighash_type: Option<u32>,
    missing: &mut Missing,
) -> Result<Spend, SignError> {
    let taproot = output.script_pubkey.is_p2tr();
    let usual = if taproot {
        SIGHASH_DEFAULT
    } else {
        SIGHASH_ALL
    };
    let sighash = sighash_type.unwrap_or(usual);
    if input.sighash_type.is_some_and(|kind| kind != sighash) {
        return Err(SignError::SighashMismatch);
    }
    if sighash != SIGHASH_DEFAULT && (taproot || sighash != SIGHASH_ALL) {
        input.sighash_type = Some(sighash);
    }
    check_coverage(input, sighash)?;
    let mut known = input.clone();
    let mut work = Work {
        provider,
        input: &mut known,
        index,
        session,
        output,
        sighash,
        missing,
        witness: false,
    };
    let (complete, script_sig, stack) = work.produce();
    let segwit = work.witness;
    // The value of an output that nobody can check is covered by signatures of segwit alone.
    if !trusted && !segwit {
        return Err(SignError::Incomplete);
    }
    *input = known;
    Ok(Spend {
        script_sig,
        witness: Witness::from_slice(&stack),
        complete,
        segwit,
    })
}

/// Signatures that are there must cover what new ones will.
fn check_coverage(input: &PsbtInput, sighash: u32) -> Result<(), SignError> {
    let schnorr = input
        .tap_key_signature
        .iter()
        .chain(input.tap_script_signatures.values());
    let mut fits = true;
    for signature in schnorr {
        fits &= match (sighash, signature.as_slice()) {
            (SIGHASH_DEFAULT, signature) => signature.len() == 64,
            (kind, signature) => {
                signature.len() == 65 && signature.last().copied().map(u32::from) == Some(kind)
            }
        };
    }
    if sighash != SIGHASH_DEFAULT {
        for (_, signature) in input.partial_signatures.values() {
            fits &= signature.last().copied().map(u32::from) == Some(sighash);
        }
    }
    fits.then_some(()).ok_or(SignError::SighashMismatch)
}

/// Fills in what `provider` knows of an output.
pub fn update_output(provider: &Provider, output: &mut PsbtOutput) {
    let tx = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![bitcoin::TxIn::default()],
        output: Vec::new(),
    };
    let spent = TxOut {
        value: output.amount,
        script_pubkey: output.script.clone(),
    };
    let mut session = Session::with_outputs(&tx, None);
    let mut input = PsbtInput::new(bitcoin::OutPoint::null(), None);
    input.redeem_script.clone_from(&output.redeem_script);
    input.witness_script.clone_from(&output.witness_script);
    input.keys.clone_from(&output.keys);
    input.tap_keys.clone_from(&output.tap_keys);
    let mut work = Work {
        provider,
        input: &mut input,
        index: 0,
        session: &mut session,
        output: &spent,
        sighash: SIGHASH_ALL,
        missing: &mut Missing::default(),
        witness: false,
    };
    work.produce();
    output.redeem_script = input.redeem_script;
    output.witness_script = input.witness_script;
    output.keys = input.keys;
    output.tap_keys = input.tap_keys;
    if input.tap_internal_key.is_some() {
        output.tap_internal_key = input.tap_internal_key;
    }
    if let Some(key) = taproot_key(&output.script)
        && let Some(known) = provider.taproot(&key)
        && !known.leaves.is_empty()
    {
        output.tap_tree.clone_from(&known.leaves);
    }
}

fn taproot_key(script: &Script) -> Option<XOnlyPublicKey> {
    match ScriptKind::of(script) {
        ScriptKind::WitnessV1Taproot { output_key } => XOnlyPublicKey::from_slice(output_key).ok(),
        _ => None,
    }
}

/// One input while it is worked on.
struct Work<'a, 't> {
    provider: &'a Provider,
    input: &'a mut PsbtInput,
    index: usize,
    session: &'a mut Session<'t>,
    output: &'a TxOut,
    sighash: u32,
    missing: &'a mut Missing,
    /// Whether it is of segwit, so that signatures cover its value.
    witness: bool,
}

/// Which sighash a script's signatures take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    Legacy,
    SegwitV0,
}

type Stack = Vec<Vec<u8>>;

impl Work<'_, '_> {
    /// The script and the witness, and whether they are all that is needed.
    fn produce(&mut self) -> (bool, ScriptBuf, Stack) {
        let mut script = self.output.script_pubkey.clone();
        let mut redeem = None;
        if script.is_p2sh() {
            let hash = script_hash_of(&script.as_bytes()[2..22]);
            let Some(inner) = self.find_script(&hash, |input| input.redeem_script.as_ref()) else {
                self.missing.redeem_script = Some(hash);
                return (false, ScriptBuf::new(), Stack::new());
            };
            self.input.redeem_script = Some(inner.clone());
            redeem = Some(inner.clone());
            script = inner;
            // A script behind a hash behind a hash has no meaning.
            if script.is_p2sh() {
                return (false, ScriptBuf::new(), Stack::new());
            }
        }
        let (mut plain, mut witness) = (Stack::new(), Stack::new());
        let solved = match ScriptKind::of(&script) {
            ScriptKind::WitnessV0KeyHash => {
                self.witness = true;
                let code = script
                    .p2wpkh_script_code()
                    .expect("the script is a P2WPKH output");
                self.plain(&code, Rules::SegwitV0, &mut witness)
            }
            ScriptKind::WitnessV0ScriptHash => self.witness_script(&script, &mut witness),
            ScriptKind::WitnessV1Taproot { output_key } => {
                self.witness = true;
                let key = XOnlyPublicKey::from_slice(output_key).ok();
                redeem.is_none() && key.is_some_and(|key| self.taproot(&key, &mut witness))
            }
            ScriptKind::Anchor => redeem.is_none(),
            _ => self.plain(&script, Rules::Legacy, &mut plain),
        };
        if let Some(redeem) = redeem {
            plain.push(redeem.into_bytes());
        }
        (solved, push_all(&plain), witness)
    }

    fn find_script(
        &self,
        hash: &ScriptHash,
        own: impl Fn(&PsbtInput) -> Option<&ScriptBuf>,
    ) -> Option<ScriptBuf> {
        let known = self.provider.script(hash);
        known
            .or_else(|| own(self.input).filter(|script| script.script_hash() == *hash))
            .cloned()
    }

    fn witness_script(&mut self, script: &Script, stack: &mut Stack) -> bool {
        let program = &script.as_bytes()[2..34];
        let hash = script_hash_of_program(program);
        let Some(inner) = self.find_script(&hash, |input| input.witness_script.as_ref()) else {
            let mut missing = [0; 32];
            missing.copy_from_slice(program);
            self.missing.witness_script = Some(missing);
            return false;
        };
        self.witness = true;
        self.input.witness_script = Some(inner.clone());
        let mut solved = self.plain(&inner, Rules::SegwitV0, stack);
        if !solved
            && stack.is_empty()
            && let Some(found) = satisfy::witness_script(self, &inner)
        {
            *stack = found;
            solved = true;
        }
        stack.push(inner.into_bytes());
        solved
    }

    /// Satisfies a script that is neither a hash of another nor Miniscript.
    fn plain(&mut self, script: &Script, rules: Rules, stack: &mut Stack) -> bool {
        match ScriptKind::of(script) {
            ScriptKind::PubKey { key } => {
                let signature = PublicKey::from_slice(key)
                    .ok()
                    .and_then(|key| self.ecdsa(&key, script, rules));
                let found = signature.is_some();
                stack.extend(signature);
                found
            }
            ScriptKind::PubKeyHash => {
                let hash = script_hash_of(&script.as_bytes()[3..23]);
                let hash = PubkeyHash::from_byte_array(hash.to_byte_array());
                let Some(key) = self.key_of(&hash) else {
                    self.missing.keys.push(hash);
                    return false;
                };
                let Some(signature) = self.ecdsa(&key, script, rules) else {
                    return false;
                };
                stack.extend([signature, key.to_bytes()]);
                true
            }
            ScriptKind::Multisig { required, keys } => {
                let whole = usize::from(required) + 1;
                // One element more than there are signatures, which OP_CHECKMULTISIG takes off for nothing.
                stack.push(Vec::new());
                for key in keys {
                    // Each signature that can be made is kept for others, also beyond those needed here.
                    if let Ok(key) = PublicKey::from_slice(key)
                        && let Some(signature) = self.ecdsa(&key, script, rules)
                        && stack.len() < whole
                    {
                        stack.push(signature);
                    }
                }
                let solved = stack.len() == whole;
                stack.resize(whole, Vec::new());
                solved
            }
            _ => false,
        }
    }

    fn key_of(&self, hash: &PubkeyHash) -> Option<PublicKey> {
        let signed = self.input.partial_signatures.get(hash);
        signed
            .map(|(key, _)| *key)
            .or_else(|| {
                let mut keys = self.input.keys.keys();
                keys.find(|key| key.pubkey_hash() == *hash).copied()
            })
            .or_else(|| self.provider.key(hash))
    }

    /// A signature under `key`, taken from the input or made.
    fn ecdsa(&mut self, key: &PublicKey, script: &Script, rules: Rules) -> Option<Vec<u8>> {
        let hash = key.pubkey_hash();
        if let Some((_, signature)) = self.input.partial_signatures.get(&hash) {
            let signature = signature.clone();
            // One that is wrong would make the whole input worthless.
            return self
                .verify_ecdsa(key, &signature, script, rules)
                .then_some(signature);
        }
        if let Some(origin) = self.provider.origin(&hash) {
            let origin = origin.clone();
            self.input.keys.entry(*key).or_insert(origin);
        }
        let made = self.make_ecdsa(key, script, rules);
        match &made {
            Some(signature) if !self.session.dummy => {
                let entry = (*key, signature.clone());
                self.input.partial_signatures.insert(hash, entry);
            }
            Some(_) => {}
            None => self.missing.signatures.push(hash),
        }
        made
    }

    fn make_ecdsa(&mut self, key: &PublicKey, script: &Script, rules: Rules) -> Option<Vec<u8>> {
        let kind = match self.sighash {
            SIGHASH_DEFAULT => EcdsaSighashType::All,
            kind => EcdsaSighashType::from_standard(kind).ok()?,
        };
        if self.session.dummy {
            let signature = bitcoin::secp256k1::ecdsa::Signature::from_compact(&[1; 64]).ok()?;
            let signature = ecdsa::Signature {
                signature,
                sighash_type: kind,
            };
            return Some(signature.to_vec());
        }
        if rules == Rules::SegwitV0 && !key.compressed {
            return None;
        }
        let provider = self.provider;
        let secret = provider.secret(key)?;
        let message = self.digest(script, rules, kind)?;
        let signature = ecdsa::Signature {
            signature: secp().sign_ecdsa_low_r(&message, secret.key()),
            sighash_type: kind,
        };
        Some(signature.to_vec())
    }

    fn verify_ecdsa(
        &mut self,
        key: &PublicKey,
        signature: &[u8],
        script: &Script,
        rules: Rules,
    ) -> bool {
        if self.session.dummy {
            return true;
        }
        let Ok(signature) = ecdsa::Signature::from_slice(signature) else {
            return false;
        };
        let Some(message) = self.digest(script, rules, signature.sighash_type) else {
            return false;
        };
        secp()
            .verify_ecdsa(&message, &signature.signature, &key.inner)
            .is_ok()
    }

    fn digest(&mut self, script: &Script, rules: Rules, kind: EcdsaSighashType) -> Option<Message> {
        let cache = &mut self.session.cache;
        let digest = match rules {
            Rules::Legacy => cache
                .legacy_signature_hash(self.index, script, kind.to_u32())
                .ok()?
                .to_byte_array(),
            Rules::SegwitV0 => cache
                .p2wsh_signature_hash(self.index, script, self.output.value, kind)
                .ok()?
                .to_byte_array(),
        };
        Some(Message::from_digest(digest))
    }

    fn taproot(&mut self, output: &XOnlyPublicKey, stack: &mut Stack) -> bool {
        if let Some(known) = self.provider.taproot(output) {
            self.input.tap_internal_key = Some(known.spend.internal_key());
            if let Some(root) = known.spend.merkle_root() {
                self.input.tap_merkle_root = Some(root);
            }
            for (leaf, proof) in known.proofs() {
                let proofs = self.input.tap_scripts.entry(leaf).or_default();
                proofs.insert(ControlBlockBytes(proof));
            }
        }
        let internal = self.input.tap_internal_key;
        for key in internal.iter().chain([output]) {
            if let Some(origin) = self.provider.x_only_origin(key) {
                let fresh = || (BTreeSet::new(), origin.clone());
                self.input.tap_keys.entry(*key).or_insert_with(fresh);
            }
        }
        if let Some(signature) = self.key_path_signature(internal, output) {
            stack.push(signature);
            return true;
        }
        let mut best: Option<(usize, Stack)> = None;
        let leaves: Vec<_> = self
            .input
            .tap_scripts
            .iter()
            .filter_map(|(leaf, proofs)| Some((leaf.clone(), proofs.first()?.0.clone())))
            .collect();
        for ((script, version), proof) in leaves {
            let Some(hash) = leaf_hash(&script, version) else {
                continue;
            };
            let Some(mut found) = satisfy::leaf_script(self, &script, hash) else {
                continue;
            };
            found.extend([script.into_bytes(), proof]);
            let size = Witness::from_slice(&found).size();
            if best.as_ref().is_none_or(|(least, _)| size < *least) {
                best = Some((size, found));
            }
        }
        let solved = best.is_some();
        if let Some((_, found)) = best {
            *stack = found;
        }
        solved
    }

    fn key_path_signature(
        &mut self,
        internal: Option<XOnlyPublicKey>,
        output: &XOnlyPublicKey,
    ) -> Option<Vec<u8>> {
        if let Some(signature) = self.input.tap_key_signature.clone() {
            let message = self.schnorr_digest(None, taproot_kind(&signature)?)?;
            let parsed = taproot::Signature::from_slice(&signature).ok()?;
            let right = secp().verify_schnorr(&parsed.signature, &message, output);
            return right.is_ok().then_some(signature);
        }
        if self.session.dummy {
            return Some(vec![0; 64]);
        }
        let root = self.input.tap_merkle_root;
        let tweaked = internal
            .and_then(|key| self.provider.keypair(&key))
            .map(|pair| pair.tap_tweak(secp(), root).to_keypair());
        // The output may be of a raw key without a tweak.
        let raw = self.provider.keypair(output);
        let mut pair = [tweaked, raw]
            .into_iter()
            .flatten()
            .find(|pair| pair.x_only_public_key().0 == *output)?;
        let signature = self.make_schnorr(&pair, None);
        pair.non_secure_erase();
        self.input.tap_key_signature.clone_from(&signature);
        signature
    }

    /// A signature under a key of a leaf, taken from the input or made.
    fn leaf_signature(&mut self, key: &XOnlyPublicKey, leaf: TapLeafHash) -> Option<Vec<u8>> {
        if let Some(origin) = self.provider.x_only_origin(key) {
            let fresh = || (BTreeSet::new(), origin.clone());
            let entry = self.input.tap_keys.entry(*key).or_insert_with(fresh);
            entry.0.insert(leaf);
        }
        if let Some(signature) = self.input.tap_script_signatures.get(&(*key, leaf)).cloned() {
            let message = self.schnorr_digest(Some(leaf), taproot_kind(&signature)?)?;
            let parsed = taproot::Signature::from_slice(&signature).ok()?;
            let right = secp().verify_schnorr(&parsed.signature, &message, key);
            return right.is_ok().then_some(signature);
        }
        if self.session.dummy {
            return Some(vec![0; 64]);
        }
        let mut pair = self.provider.keypair(key)?;
        let signature = self.make_schnorr(&pair, Some(leaf))?;
        pair.non_secure_erase();
        self.input
            .tap_script_signatures
            .insert((*key, leaf), signature.clone());
        Some(signature)
    }

    fn make_schnorr(&mut self, pair: &Keypair, leaf: Option<TapLeafHash>) -> Option<Vec<u8>> {
        let kind = TapSighashType::from_consensus_u8(u8::try_from(self.sighash).ok()?).ok()?;
        let message = self.schnorr_digest(leaf, kind)?;
        let signature = taproot::Signature {
            signature: match &self.session.randomness {
                Some(randomness) => secp().sign_schnorr_with_aux_rand(&message, pair, randomness),
                None => secp().sign_schnorr_no_aux_rand(&message, pair),
            },
            sighash_type: kind,
        };
        Some(signature.to_vec())
    }

    fn schnorr_digest(
        &mut self,
        leaf: Option<TapLeafHash>,
        kind: TapSighashType,
    ) -> Option<Message> {
        let Session { cache, spent, .. } = &mut *self.session;
        let prevouts = Prevouts::All(spent.as_deref()?);
        let digest = match leaf {
            None => cache.taproot_key_spend_signature_hash(self.index, &prevouts, kind),
            Some(leaf) => {
                cache.taproot_script_spend_signature_hash(self.index, &prevouts, leaf, kind)
            }
        };
        Some(Message::from_digest(digest.ok()?.to_byte_array()))
    }
}

fn taproot_kind(signature: &[u8]) -> Option<TapSighashType> {
    Some(taproot::Signature::from_slice(signature).ok()?.sighash_type)
}

/// A script that pushes these elements, each in the shortest way; empty if one is larger than a push can be.
fn push_all(stack: &[Vec<u8>]) -> ScriptBuf {
    let mut script = Builder::new();
    for element in stack {
        script = match element.as_slice() {
            [number @ 1..=16] => script.push_int(i64::from(*number)),
            [0x81] => script.push_opcode(OP_PUSHNUM_NEG1),
            other => match PushBytesBuf::try_from(other.to_vec()) {
                Ok(bytes) => script.push_slice(bytes),
                Err(_) => return ScriptBuf::new(),
            },
        };
    }
    script.into_script()
}
