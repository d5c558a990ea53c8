//! Signatures for one input: made with keys at hand, and taken over from other copies of the transaction.

use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, TapTweak};
use bitcoin::script::{Builder, Instruction, PushBytesBuf};
use bitcoin::secp256k1::Message;
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::{PublicKey, Script, ScriptBuf, Transaction, TxIn, TxOut, Witness};
use bitcoin::{ecdsa, taproot};
use btc_interfaces::descriptor::{Secret, secp};
use btc_interfaces::rpc::encode::{Pushes, ScriptKind};

/// What may go into an input.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Keys to sign with.
    pub(super) keys: Vec<Secret>,
    /// Scripts that outputs commit to.
    pub(super) scripts: Vec<ScriptBuf>,
}

/// Which parts of the transaction signatures cover.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coverage {
    pub(super) ecdsa: EcdsaSighashType,
    pub(super) taproot: TapSighashType,
}

/// One input of a transaction that is being signed.
pub(super) struct Signer<'a> {
    cache: SighashCache<&'a Transaction>,
    index: usize,
    /// What all inputs spend, as far as it is known.
    prevouts: &'a [Option<TxOut>],
    output: &'a TxOut,
    known: &'a Known,
    coverage: Coverage,
    /// Elements that the input, or another copy of it, holds already.
    found: Vec<Vec<u8>>,
}

impl<'a> Signer<'a> {
    /// For the input `index`, whose own output is known. Signatures in `copies` of the input are taken over where they
    /// are right.
    pub(super) fn new(
        tx: &'a Transaction,
        index: usize,
        prevouts: &'a [Option<TxOut>],
        known: &'a Known,
        coverage: Coverage,
        copies: &[&TxIn],
    ) -> Option<Self> {
        let mut found = Vec::new();
        for input in copies {
            let pushes = Pushes::new(input.script_sig.as_bytes()).filter_map(Result::ok);
            found.extend(pushes.filter_map(|push| push.data.map(<[u8]>::to_vec)));
            found.extend(input.witness.iter().map(<[u8]>::to_vec));
        }
        Some(Self {
            cache: SighashCache::new(tx),
            index,
            prevouts,
            output: prevouts.get(index)?.as_ref()?,
            known,
            coverage,
            found,
        })
    }

    /// The script and witness with all signatures there are; `None` if it is not known how the output is spent.
    pub(super) fn sign(mut self) -> Option<(ScriptBuf, Witness)> {
        let outer = &self.output.script_pubkey;
        let nested = outer.is_p2sh();
        let script = if nested {
            let hash = outer.as_bytes().get(2..22)?;
            self.script(|script| script.script_hash()[..] == *hash)?
        } else {
            outer.clone()
        };
        let mut script_sig = Builder::new();
        let mut witness = Vec::new();
        if script.is_p2wpkh() {
            witness = self.stack(&script.p2wpkh_script_code()?, true)?;
        } else if script.is_p2wsh() {
            let hash = script.as_bytes().get(2..34)?;
            let inner = self.script(|script| script.wscript_hash()[..] == *hash)?;
            witness = self.stack(&inner, true)?;
            witness.push(inner.into_bytes());
        } else if script.is_p2tr() {
            witness.push(self.key_path()?);
        } else if !matches!(ScriptKind::of(&script), ScriptKind::Anchor) {
            for element in self.stack(&script, false)? {
                script_sig = script_sig.push_slice(PushBytesBuf::try_from(element).ok()?);
            }
        }
        if nested {
            script_sig = script_sig.push_slice(PushBytesBuf::try_from(script.into_bytes()).ok()?);
        }
        Some((script_sig.into_script(), Witness::from_slice(&witness)))
    }

    /// A script that an output commits to, told by the caller or found in the input.
    fn script(&self, is_it: impl Fn(&Script) -> bool) -> Option<ScriptBuf> {
        let given = self.known.scripts.iter().map(ScriptBuf::as_script);
        let found = self.found.iter().map(|bytes| Script::from_bytes(bytes));
        given
            .chain(found)
            .find(|script| is_it(script))
            .map(ToOwned::to_owned)
    }

    /// What satisfies a plain script, lowest first, with empty elements where signatures lack.
    fn stack(&mut self, script: &Script, segwit: bool) -> Option<Vec<Vec<u8>>> {
        match ScriptKind::of(script) {
            ScriptKind::PubKey { key } => {
                let key = PublicKey::from_slice(key).ok()?;
                Some(vec![self.signature(&key, script, segwit)?])
            }
            ScriptKind::PubKeyHash => {
                let hash = script.as_bytes().get(3..23)?;
                let key = self.key_of(hash)?;
                Some(vec![self.signature(&key, script, segwit)?, key.to_bytes()])
            }
            ScriptKind::Multisig { .. } => self.multisig(script, segwit),
            _ => None,
        }
    }

    fn multisig(&mut self, script: &Script, segwit: bool) -> Option<Vec<Vec<u8>>> {
        let instructions: Vec<Instruction<'_>> =
            script.instructions().collect::<Result<_, _>>().ok()?;
        let threshold = small_number(instructions.first()?)?;
        // One element more than there are signatures, which OP_CHECKMULTISIG takes off for nothing.
        let mut stack = vec![Vec::new()];
        for instruction in instructions.get(1..instructions.len().checked_sub(2)?)? {
            let key = PublicKey::from_slice(instruction.push_bytes()?.as_bytes());
            if stack.len() <= threshold
                && let Ok(key) = key
                && let Some(signature) = self.signature(&key, script, segwit)
            {
                stack.push(signature);
            }
        }
        stack.resize(threshold + 1, Vec::new());
        Some(stack)
    }

    fn key_of(&self, hash: &[u8]) -> Option<PublicKey> {
        let own = self.known.keys.iter().map(Secret::public_key);
        let found = self.found.iter();
        let found = found.filter_map(|bytes| PublicKey::from_slice(bytes).ok());
        own.chain(found).find(|key| key.pubkey_hash()[..] == *hash)
    }

    fn digest(
        &mut self,
        script_code: &Script,
        segwit: bool,
        kind: EcdsaSighashType,
    ) -> Option<Message> {
        let index = self.index;
        let digest = if segwit {
            let value = self.output.value;
            self.cache
                .p2wsh_signature_hash(index, script_code, value, kind)
                .ok()?
                .to_byte_array()
        } else {
            self.cache
                .legacy_signature_hash(index, script_code, kind.to_u32())
                .ok()?
                .to_byte_array()
        };
        Some(Message::from_digest(digest))
    }

    /// A signature under `key`: a new one, or one that the input or a copy of it holds.
    fn signature(&mut self, key: &PublicKey, script: &Script, segwit: bool) -> Option<Vec<u8>> {
        let secret = self
            .known
            .keys
            .iter()
            .find(|secret| secret.public_key().inner == key.inner)
            .map(|secret| *secret.key());
        if let Some(secret) = secret {
            let kind = self.coverage.ecdsa;
            let message = self.digest(script, segwit, kind)?;
            let signature = ecdsa::Signature {
                signature: secp().sign_ecdsa_low_r(&message, &secret),
                sighash_type: kind,
            };
            return Some(signature.to_vec());
        }
        for index in 0..self.found.len() {
            let Ok(candidate) = ecdsa::Signature::from_slice(&self.found[index]) else {
                continue;
            };
            let message = self.digest(script, segwit, candidate.sighash_type)?;
            if secp()
                .verify_ecdsa(&message, &candidate.signature, &key.inner)
                .is_ok()
            {
                return Some(self.found[index].clone());
            }
        }
        None
    }

    /// A signature for the key path of a taproot output.
    fn key_path(&mut self) -> Option<Vec<u8>> {
        let program = self.output.script_pubkey.as_bytes().get(2..34)?.to_vec();
        let pairs = self.known.keys.iter().flat_map(|key| {
            let pair = Keypair::from_secret_key(secp(), key.key());
            // The output may be of a raw key without a tweak.
            [pair.tap_tweak(secp(), None).to_keypair(), pair]
        });
        let pair = pairs
            .into_iter()
            .find(|pair| pair.x_only_public_key().0.serialize()[..] == program[..]);
        let Some(pair) = pair else {
            return self.found.first().cloned();
        };
        let all: Option<Vec<&TxOut>> = self.prevouts.iter().map(Option::as_ref).collect();
        let kind = self.coverage.taproot;
        let digest = self
            .cache
            .taproot_key_spend_signature_hash(self.index, &Prevouts::All(&all?), kind)
            .ok()?;
        let message = Message::from_digest(digest.to_byte_array());
        let signature = taproot::Signature {
            signature: secp().sign_schnorr_no_aux_rand(&message, &pair),
            sighash_type: kind,
        };
        Some(signature.to_vec())
    }
}

/// The number that `OP_1` to `OP_16`, or a push of one byte, stands for.
fn small_number(instruction: &Instruction<'_>) -> Option<usize> {
    match instruction {
        Instruction::Op(op) => match op.to_u8() {
            number @ 0x51..=0x60 => Some(usize::from(number - 0x50)),
            _ => None,
        },
        Instruction::PushBytes(bytes) => match bytes.as_bytes() {
            [number @ 17..=20] => Some(usize::from(*number)),
            _ => None,
        },
    }
}
