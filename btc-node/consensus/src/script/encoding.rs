//! How signatures and public keys may be written.

use bitcoin::secp256k1::ecdsa;

use super::checker::EcdsaVersion;
use super::{ScriptError, ScriptFlags};

/// Checks the encoding of an ECDSA signature with its hash type, as far as `flags` ask for it.
///
/// The empty signature is always well encoded: it is the cheap way not to sign.
pub(super) fn check_signature(signature: &[u8], flags: ScriptFlags) -> Result<(), ScriptError> {
    let strict = ScriptFlags::DERSIG | ScriptFlags::LOW_S | ScriptFlags::STRICTENC;
    let Some((hash_type, der)) = signature.split_last() else {
        return Ok(());
    };
    if !flags.intersects(strict) {
        return Ok(());
    }
    if !is_strict_der(signature) {
        return Err(ScriptError::SigDer);
    }
    if flags.contains(ScriptFlags::LOW_S) && !has_low_s(der) {
        return Err(ScriptError::SigHighS);
    }
    if flags.contains(ScriptFlags::STRICTENC) && !matches!(hash_type & !0x80, 1..=3) {
        return Err(ScriptError::SigHashType);
    }
    Ok(())
}

/// Checks the encoding of a public key for ECDSA, as far as `flags` ask for it.
pub(super) fn check_pubkey(
    pubkey: &[u8],
    flags: ScriptFlags,
    version: EcdsaVersion,
) -> Result<(), ScriptError> {
    let compressed = matches!(pubkey, [2 | 3, rest @ ..] if rest.len() == 32);
    let uncompressed = matches!(pubkey, [4, rest @ ..] if rest.len() == 64);
    if flags.contains(ScriptFlags::STRICTENC) && !compressed && !uncompressed {
        return Err(ScriptError::PubkeyType);
    }
    if flags.contains(ScriptFlags::WITNESS_PUBKEYTYPE)
        && version == EcdsaVersion::WitnessV0
        && !compressed
    {
        return Err(ScriptError::WitnessPubkeyType);
    }
    Ok(())
}

/// Whether a signature followed by its hash type has the one form that BIP 66 allows:
/// `30 length 02 length R 02 length S hashtype`, R and S positive and without padding.
fn is_strict_der(signature: &[u8]) -> bool {
    if !(9..=73).contains(&signature.len()) {
        return false;
    }
    let [0x30, length, integers @ .., _hash_type] = signature else {
        return false;
    };
    if usize::from(*length) != integers.len() {
        return false;
    }
    matches!(strict_integer(integers).and_then(strict_integer), Some([]))
}

/// Reads one strictly encoded positive integer; gives what follows it.
fn strict_integer(der: &[u8]) -> Option<&[u8]> {
    let [0x02, length, rest @ ..] = der else {
        return None;
    };
    let (integer, rest) = rest.split_at_checked(usize::from(*length))?;
    match integer {
        [] | [0x80..=0xff, ..] => None,
        // A leading zero serves only to keep the next byte's top bit from being the sign.
        [0, 0..=0x7f, ..] => None,
        _ => Some(rest),
    }
}

/// Whether S is at most half the order. A value beyond the order is zero to the parser, and low.
fn has_low_s(der: &[u8]) -> bool {
    let Ok(signature) = ecdsa::Signature::from_der_lax(der) else {
        return false;
    };
    let mut normalized = signature;
    normalized.normalize_s();
    normalized == signature
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(r: &[u8], s: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x30, (4 + r.len() + s.len()) as u8, 2, r.len() as u8];
        bytes.extend_from_slice(r);
        bytes.extend([2, s.len() as u8]);
        bytes.extend_from_slice(s);
        bytes.push(1);
        bytes
    }

    #[test]
    fn strict_der() {
        assert!(is_strict_der(&signature(&[1], &[1])));
        assert!(is_strict_der(&signature(&[0, 0x80], &[0x7f; 32])));
        assert!(is_strict_der(&signature(&[0, 0x80], &[0])));
        for (r, s) in [
            (&[][..], &[1][..]),
            (&[0x80], &[1]),
            (&[0, 1], &[1]),
            (&[1], &[0, 0]),
        ] {
            assert!(!is_strict_der(&signature(r, s)), "{r:?} {s:?}");
        }
        let good = signature(&[1; 32], &[1; 32]);
        for length in 0..good.len() {
            assert!(!is_strict_der(&good[..length]));
        }
        assert!(!is_strict_der(&[&good[..], &[1]].concat()));
        assert!(!is_strict_der(&signature(&[1; 33], &[1; 34])));
    }
}
