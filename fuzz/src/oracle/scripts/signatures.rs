//! Keys and signatures, right ones and ones that have the wrong form.

use std::sync::LazyLock;

use bitcoin::ScriptBuf;
use bitcoin::hashes::Hash;
use bitcoin::key::Secp256k1;
use bitcoin::secp256k1::{All, Keypair, Message, SecretKey};
use bitcoin::sighash::{Annex, EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot::TapLeafHash;

use super::super::random::Random;
use super::Case;

pub static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// The few keys that sign; few, so that scripts meet keys that they know.
static KEYS: LazyLock<Vec<Keypair>> = LazyLock::new(|| {
    (1..=6_u8)
        .map(|byte| {
            let secret = SecretKey::from_slice(&[byte; 32]).expect("small numbers are keys");
            secret.keypair(&SECP)
        })
        .collect()
});

/// How much is signed, at times in a way that has no name.
pub fn hash_type(random: &mut Random) -> u8 {
    if random.once_in(8) {
        random.pick(&[0, 4, 0x1f, 0x41, 0x43, 0x80, 0xff])
    } else {
        random.pick(&[1, 1, 2, 3, 0x81, 0x82, 0x83])
    }
}

pub fn key(random: &mut Random) -> Keypair {
    KEYS[random.below(KEYS.len())]
}

/// A signature over a legacy or BIP 143 hash.
pub fn ecdsa(
    random: &mut Random,
    case: &Case,
    code: &ScriptBuf,
    segwit: bool,
    key: &Keypair,
) -> Vec<u8> {
    let kind = hash_type(random);
    let mut cache = SighashCache::new(&case.transaction);
    let hash = if segwit {
        let value = case.prevouts[case.input].value;
        let kind = EcdsaSighashType::from_consensus(kind.into());
        let hash = cache.p2wsh_signature_hash(case.input, code, value, kind);
        hash.expect("the input exists").to_byte_array()
    } else {
        let hash = cache.legacy_signature_hash(case.input, code, kind.into());
        hash.expect("the input exists").to_byte_array()
    };
    let signature = SECP.sign_ecdsa(&Message::from_digest(hash), &key.secret_key());
    let mut bytes = signature.serialize_der().to_vec();
    bytes.push(kind);
    bytes
}

/// A public key as it may be written, hybrid and off the curve included.
pub fn pubkey(random: &mut Random, key: &Keypair) -> Vec<u8> {
    let key = key.public_key();
    match random.below(12) {
        0 => key.serialize_uncompressed().to_vec(),
        1 => {
            let mut bytes = key.serialize_uncompressed();
            bytes[0] = 6 | (bytes[64] & 1);
            bytes.to_vec()
        }
        2 => {
            let mut bytes = key.serialize();
            bytes[32] ^= 1;
            bytes.to_vec()
        }
        _ => key.serialize().to_vec(),
    }
}

pub fn taproot_type(random: &mut Random) -> TapSighashType {
    random.pick(&[
        TapSighashType::Default,
        TapSighashType::All,
        TapSighashType::None,
        TapSighashType::Single,
        TapSighashType::AllPlusAnyoneCanPay,
        TapSighashType::SinglePlusAnyoneCanPay,
    ])
}

/// A Schnorr signature over the input, for a key or a leaf with the place of the last `OP_CODESEPARATOR` in it; random
/// where there is no output to sign.
pub fn schnorr(
    random: &mut Random,
    case: &Case,
    leaf: Option<(TapLeafHash, u32)>,
    key: &Keypair,
) -> Vec<u8> {
    let kind = taproot_type(random);
    let prevouts = Prevouts::All(&case.prevouts);
    let annex = case.annex.as_deref().map(Annex::new);
    let annex = annex.map(|annex| annex.expect("it begins as one"));
    let hash = SighashCache::new(&case.transaction)
        .taproot_signature_hash(case.input, &prevouts, annex, leaf, kind);
    let Ok(hash) = hash else {
        // No output to sign: a signature of the right size by such a hash type, or anything.
        return if random.once_in(2) {
            let mut bytes = vec![7; 64];
            bytes.push(kind as u8);
            bytes
        } else {
            random.bytes(66)
        };
    };
    let message = Message::from_digest(hash.to_byte_array());
    let mut bytes = SECP
        .sign_schnorr_no_aux_rand(&message, key)
        .serialize()
        .to_vec();
    if kind != TapSighashType::Default {
        bytes.push(kind as u8);
    }
    if random.once_in(16) {
        match random.below(4) {
            // The default hash type is never written.
            0 => bytes.resize(65, 0),
            1 => bytes.truncate(63),
            2 => bytes.extend([1, 1]),
            _ => {
                bytes.truncate(64);
                bytes.push(random.pick(&[4, 0x80, 0x84, 0xff]));
            }
        }
    }
    bytes
}
