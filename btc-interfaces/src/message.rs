//! Signed messages: proof that someone holds the key of a P2PKH address, as Core's `signmessage` and `verifymessage` make
//! and check it. The signature carries the recovery id, so that it needs no public key beside it.
//!
//! ```
//! use bitcoin::secp256k1::SecretKey;
//! use btc_interfaces::descriptor::Secret;
//! use btc_interfaces::message;
//!
//! let key = Secret::new(SecretKey::from_slice(&[7; 32])?, true);
//! let signer = key.public_key().pubkey_hash();
//! let signature = message::sign(&key, "I was here");
//! assert!(message::verify(signer, &signature, "I was here")?);
//! assert!(!message::verify(signer, &signature, "I was there")?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::descriptor::{Secret, secp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::Message;
use bitcoin::secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use bitcoin::sign_message::{MessageSignature, signed_msg_hash};
use bitcoin::{PubkeyHash, PublicKey};

/// The text is no base64, so it is no signature at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Malformed base64 encoding")]
pub struct MalformedSignature;

/// What is signed: the double SHA-256 of a fixed prefix and the message.
fn digest(message: &str) -> Message {
    Message::from_digest(signed_msg_hash(message).to_byte_array())
}

/// Signs `message`; gives 65 bytes in base64. The same key and message always give the same signature.
pub fn sign(key: &Secret, message: &str) -> String {
    let signature = secp().sign_ecdsa_recoverable(&digest(message), key.key());
    let compressed = key.public_key().compressed;
    STANDARD.encode(MessageSignature::new(signature, compressed).serialize())
}

/// Whether `signature` signs `message` with the key that hashes to `signer`.
///
/// # Errors
/// [`MalformedSignature`] if it is no base64. Base64 of anything else than a signature just signs nothing.
pub fn verify(
    signer: PubkeyHash,
    signature: &str,
    message: &str,
) -> Result<bool, MalformedSignature> {
    let bytes = STANDARD.decode(signature).map_err(|_| MalformedSignature)?;
    Ok(recover(&bytes, message).is_some_and(|key| key.pubkey_hash() == signer))
}

/// The key that made a signature, if it is one.
fn recover(bytes: &[u8], message: &str) -> Option<PublicKey> {
    let (&header, signature) = bytes.split_first()?;
    // Two bits say which of the points, one whether the key is hashed in its compressed form.
    let header = header.wrapping_sub(27);
    let point = RecoveryId::from_i32(i32::from(header & 3)).ok()?;
    let signature = RecoverableSignature::from_compact(signature, point).ok()?;
    let inner = secp().recover_ecdsa(&digest(message), &signature).ok()?;
    Some(PublicKey {
        compressed: header & 4 != 0,
        inner,
    })
}

#[cfg(test)]
mod tests {
    use super::{MalformedSignature, sign, verify};
    use crate::descriptor::Secret;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bitcoin::PrivateKey;

    /// Key, message and signature from Core's functional suite.
    const KEY: &str = "cUeKHd5orzT3mz8P9pxyREHfsWtVfgsfDjiZZBcjUBAaGk1BTj7N";
    const MESSAGE: &str = "This is just a test message";
    const SIGNATURE: &str =
        "INbVnW4e6PeRmsv2Qgu8NuopvrVjkcxob+sX8OcZG0SALhWybUjzMLPdAsXI46YZGb0KQTRii+wWIQzRpG/U+S0=";

    fn key(compressed: bool) -> Secret {
        let key = PrivateKey::from_wif(KEY).expect("a key");
        Secret::new(key.inner, compressed)
    }

    #[test]
    fn signatures_are_cores() {
        let signer = key(true).public_key().pubkey_hash();
        assert_eq!(sign(&key(true), MESSAGE), SIGNATURE);
        assert_eq!(verify(signer, SIGNATURE, MESSAGE), Ok(true));
        assert_eq!(verify(signer, SIGNATURE, "another"), Ok(false));
    }

    #[test]
    fn the_form_of_the_key_is_signed_too() {
        let signature = sign(&key(false), MESSAGE);
        for compressed in [false, true] {
            let signer = key(compressed).public_key().pubkey_hash();
            assert_eq!(verify(signer, &signature, MESSAGE), Ok(!compressed));
        }
    }

    #[test]
    fn what_is_no_signature_signs_nothing() {
        let signer = key(true).public_key().pubkey_hash();
        assert_eq!(
            verify(signer, "invalid_sig", MESSAGE),
            Err(MalformedSignature)
        );
        for bytes in [&[][..], &[31; 64], &[31; 66], &[0xff; 65], &[0; 65]] {
            assert_eq!(verify(signer, &STANDARD.encode(bytes), MESSAGE), Ok(false));
        }
    }
}
