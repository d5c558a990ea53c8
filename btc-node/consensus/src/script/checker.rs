//! What a script asks about the transaction that spends it.

use std::cell::{OnceCell, RefCell};

use bitcoin::hashes::sha256;
use bitcoin::secp256k1::{Message, PublicKey, XOnlyPublicKey, ecdsa, schnorr};

use super::ScriptError;
use crate::curve::secp;
use crate::limits::LOCKTIME_THRESHOLD;
use crate::sighash::{self, EcdsaMidstates, Spend};

/// Which rules an ECDSA signature commits by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcdsaVersion {
    /// The original algorithm.
    Legacy,
    /// BIP 143, for version 0 witness programs.
    WitnessV0,
}

/// What a taproot signature commits to besides the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaprootSpend {
    /// The SHA256 of the annex with its length, if the witness has one.
    pub annex_hash: Option<sha256::Hash>,
    /// The leaf, if a script is spent and not the key.
    pub leaf: Option<LeafSpend>,
}

/// What a tapscript signature commits to besides what a key spend does (BIP 342).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafSpend {
    /// The tagged hash of the leaf.
    pub leaf_hash: sha256::Hash,
    /// The position of the last executed `OP_CODESEPARATOR`, or `0xffffffff`.
    pub code_separator: u32,
}

/// Answers a script's questions about its spender.
pub trait SignatureChecker {
    /// Whether an ECDSA signature with its hash type holds for `pubkey`.
    fn check_ecdsa(
        &self,
        signature: &[u8],
        pubkey: &[u8],
        script_code: &[u8],
        version: EcdsaVersion,
    ) -> bool;

    /// Checks a Schnorr signature of 64 bytes, or 65 with a hash type.
    ///
    /// # Errors
    /// The rule of BIP 341 that the signature breaks.
    fn check_schnorr(
        &self,
        signature: &[u8],
        pubkey: &[u8; 32],
        spend: &TaprootSpend,
    ) -> Result<(), ScriptError>;

    /// Whether the transaction is locked until at least `lock_time` (BIP 65).
    fn check_lock_time(&self, lock_time: i64) -> bool;

    /// Whether the input is locked for at least `sequence` (BIP 112).
    fn check_sequence(&self, sequence: i64) -> bool;
}

/// Verifies signatures over hashes; the place for a cache of what has been verified.
pub trait CurveVerifier {
    /// Whether an ECDSA signature, DER in the lax sense and without hash type, holds.
    fn ecdsa(&self, sighash: [u8; 32], signature: &[u8], pubkey: &[u8]) -> bool;

    /// Whether a BIP 340 signature holds.
    fn schnorr(&self, sighash: [u8; 32], signature: &[u8; 64], pubkey: &[u8; 32]) -> bool;
}

/// Verifies every signature by libsecp256k1, remembering nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uncached;

impl CurveVerifier for Uncached {
    fn ecdsa(&self, sighash: [u8; 32], signature: &[u8], pubkey: &[u8]) -> bool {
        let Ok(pubkey) = PublicKey::from_slice(pubkey) else {
            return false;
        };
        // Blocks from before BIP 66 hold signatures that only a lax reader understands, and S may
        // be in either half of the order.
        let Ok(mut signature) = ecdsa::Signature::from_der_lax(signature) else {
            return false;
        };
        signature.normalize_s();
        secp()
            .verify_ecdsa(&Message::from_digest(sighash), &signature, &pubkey)
            .is_ok()
    }

    fn schnorr(&self, sighash: [u8; 32], signature: &[u8; 64], pubkey: &[u8; 32]) -> bool {
        let (Ok(pubkey), Ok(signature)) = (
            XOnlyPublicKey::from_slice(pubkey),
            schnorr::Signature::from_slice(signature),
        ) else {
            return false;
        };
        secp()
            .verify_schnorr(&signature, &Message::from_digest(sighash), &pubkey)
            .is_ok()
    }
}

/// An input number that the transaction does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction has no input {0}")]
pub struct NoSuchInput(pub usize);

/// The checker for one input of a transaction.
#[derive(Debug)]
pub struct TransactionChecker<'a, V = Uncached> {
    spend: &'a Spend,
    input: usize,
    verifier: V,
    midstates: RefCell<EcdsaMidstates>,
    /// The hash of the output with the input's number, for taproot's `SIGHASH_SINGLE`.
    output_hash: OnceCell<sha256::Hash>,
}

impl<'a> TransactionChecker<'a> {
    /// The checker for the input with this number.
    ///
    /// # Errors
    /// If there is no such input.
    pub fn new(spend: &'a Spend, input: usize) -> Result<Self, NoSuchInput> {
        Self::with_verifier(spend, input, Uncached)
    }
}

impl<'a, V: CurveVerifier> TransactionChecker<'a, V> {
    /// As [`new`](TransactionChecker::new), verifying signatures by `verifier`.
    ///
    /// # Errors
    /// If there is no such input.
    pub fn with_verifier(spend: &'a Spend, input: usize, verifier: V) -> Result<Self, NoSuchInput> {
        if input >= spend.transaction().input.len() {
            return Err(NoSuchInput(input));
        }
        Ok(Self {
            spend,
            input,
            verifier,
            midstates: RefCell::default(),
            output_hash: OnceCell::new(),
        })
    }

    fn sequence(&self) -> u32 {
        self.spend.transaction().input[self.input]
            .sequence
            .to_consensus_u32()
    }
}

impl<V: CurveVerifier> SignatureChecker for TransactionChecker<'_, V> {
    fn check_ecdsa(
        &self,
        signature: &[u8],
        pubkey: &[u8],
        script_code: &[u8],
        version: EcdsaVersion,
    ) -> bool {
        let Some((hash_type, signature)) = signature.split_last() else {
            return false;
        };
        // A key that cannot be one is not worth a hash of the transaction.
        let key_length = match pubkey.first() {
            Some(2 | 3) => 33,
            Some(4 | 6 | 7) => 65,
            _ => return false,
        };
        if pubkey.len() != key_length {
            return false;
        }
        let sighash = self.midstates.borrow_mut().sighash(
            self.spend,
            self.input,
            script_code,
            i32::from(*hash_type),
            version,
        );
        self.verifier.ecdsa(sighash, signature, pubkey)
    }

    fn check_schnorr(
        &self,
        signature: &[u8],
        pubkey: &[u8; 32],
        spend: &TaprootSpend,
    ) -> Result<(), ScriptError> {
        let (signature, hash_type) = match signature.split_first_chunk::<64>() {
            Some((signature, [])) => (signature, 0),
            Some((_, [0])) => return Err(ScriptError::SchnorrSigHashType),
            Some((signature, [hash_type])) => (signature, *hash_type),
            _ => return Err(ScriptError::SchnorrSigSize),
        };
        let output_hash = || {
            *self
                .output_hash
                .get_or_init(|| self.spend.hash_output(self.input))
        };
        let sighash = sighash::taproot(self.spend, self.input, hash_type, spend, output_hash)
            .ok_or(ScriptError::SchnorrSigHashType)?;
        if self.verifier.schnorr(sighash, signature, pubkey) {
            Ok(())
        } else {
            Err(ScriptError::SchnorrSig)
        }
    }

    fn check_lock_time(&self, lock_time: i64) -> bool {
        let own = self.spend.transaction().lock_time.to_consensus_u32();
        let threshold = i64::from(LOCKTIME_THRESHOLD);
        let same_kind = (own < LOCKTIME_THRESHOLD) == (lock_time < threshold);
        // A final input would switch the transaction's lock time off.
        same_kind && lock_time <= i64::from(own) && self.sequence() != u32::MAX
    }

    fn check_sequence(&self, sequence: i64) -> bool {
        /// Relative lock times in units of time and not of blocks.
        const TYPE: u32 = 1 << 22;
        const DISABLE: u32 = 1 << 31;
        const MASK: u32 = TYPE | 0xffff;

        let own = self.sequence();
        // Versions are unsigned: a negative one is a large one.
        let version = self.spend.transaction().version.0.cast_unsigned();
        if version < 2 || own & DISABLE != 0 {
            return false;
        }
        let own = i64::from(own & MASK);
        let operand = sequence & i64::from(MASK);
        (own < i64::from(TYPE)) == (operand < i64::from(TYPE)) && operand <= own
    }
}
