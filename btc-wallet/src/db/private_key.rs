//! The DER form in which Core stores private keys: SEC 1 with the curve's parameters spelled out.

use super::codec::CodecError;
use bitcoin::secp256k1::SecretKey;
use bitcoin::secp256k1::constants::{CURVE_ORDER, FIELD_SIZE, GENERATOR_X, GENERATOR_Y};
use btc_interfaces::descriptor::Secret;
use zeroize::Zeroizing;

const COMPRESSED_LENGTH: usize = 214;
const UNCOMPRESSED_LENGTH: usize = 279;
const COMPRESSED_HEAD: [u8; 8] = [0x30, 0x81, 0xd3, 0x02, 0x01, 0x01, 0x04, 0x20];
const UNCOMPRESSED_HEAD: [u8; 9] = [0x30, 0x82, 0x01, 0x13, 0x02, 0x01, 0x01, 0x04, 0x20];

/// The DER of a secret key with its public key.
pub(crate) fn encode(secret: &Secret) -> Zeroizing<Vec<u8>> {
    let public = secret.public_key();
    let mut out = Zeroizing::new(Vec::with_capacity(UNCOMPRESSED_LENGTH));
    if public.compressed {
        out.extend(COMPRESSED_HEAD);
    } else {
        out.extend(UNCOMPRESSED_HEAD);
    }
    out.extend(&secret.key()[..]);
    let (parameters, curve): (&[u8], &[u8]) = if public.compressed {
        (&[0xa0, 0x81, 0x85], &[0x30, 0x81, 0x82])
    } else {
        (&[0xa0, 0x81, 0xa5], &[0x30, 0x81, 0xa2])
    };
    out.extend(parameters);
    out.extend(curve);
    out.extend([0x02, 0x01, 0x01]);
    // prime-field 1.2.840.10045.1.1 with the field's prime
    out.extend([
        0x30, 0x2c, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x01, 0x01, 0x02, 0x21, 0x00,
    ]);
    out.extend(FIELD_SIZE);
    // the curve's a = 0 and b = 7
    out.extend([0x30, 0x06, 0x04, 0x01, 0x00, 0x04, 0x01, 0x07]);
    if public.compressed {
        out.extend([0x04, 0x21, 0x02]);
        out.extend(GENERATOR_X);
    } else {
        out.extend([0x04, 0x41, 0x04]);
        out.extend(GENERATOR_X);
        out.extend(GENERATOR_Y);
    }
    out.extend([0x02, 0x21, 0x00]);
    out.extend(CURVE_ORDER);
    out.extend([0x02, 0x01, 0x01]);
    let tail: &[u8] = if public.compressed {
        &[0xa1, 0x24, 0x03, 0x22, 0x00]
    } else {
        &[0xa1, 0x44, 0x03, 0x42, 0x00]
    };
    out.extend(tail);
    out.extend(public.to_bytes());
    out
}

/// The secret within such a DER.
pub(crate) fn decode(der: &[u8]) -> Result<Secret, CodecError> {
    let invalid = CodecError::Invalid("private key");
    let (start, compressed) = match der.len() {
        COMPRESSED_LENGTH if der.starts_with(&COMPRESSED_HEAD) => (COMPRESSED_HEAD.len(), true),
        UNCOMPRESSED_LENGTH if der.starts_with(&UNCOMPRESSED_HEAD) => {
            (UNCOMPRESSED_HEAD.len(), false)
        }
        _ => return Err(invalid),
    };
    let key = SecretKey::from_slice(&der[start..start + 32]).map_err(|_| invalid)?;
    Ok(Secret::new(key, compressed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_their_length_and_come_back() {
        for (compressed, length) in [(true, COMPRESSED_LENGTH), (false, UNCOMPRESSED_LENGTH)] {
            let secret = Secret::new(
                SecretKey::from_slice(&[9; 32]).expect("in range"),
                compressed,
            );
            let der = encode(&secret);
            assert_eq!(der.len(), length);
            assert!(decode(&der).expect("just encoded") == secret);
            assert!(decode(&der[1..]).is_err());
        }
    }
}
