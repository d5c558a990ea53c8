//! The two keyed hashes by which index keys are shortened.

use bitcoin::OutPoint;
use bitcoin::Txid;
use bitcoin::hashes::{Hash, siphash24};

/// A key of 128 bits; its halves in the order in which they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SipKey(pub(super) u64, pub(super) u64);

impl SipKey {
    /// A fresh random key.
    pub(super) fn random() -> Self {
        use bitcoin::secp256k1::rand::random;
        Self(random(), random())
    }

    /// The stored form.
    pub(super) fn encode(self) -> Vec<u8> {
        [self.0.to_le_bytes(), self.1.to_le_bytes()].concat()
    }

    /// Reads the stored form.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_first_chunk()?;
        let second = second.try_into().ok()?;
        Some(Self(u64::from_le_bytes(*first), u64::from_le_bytes(second)))
    }

    /// SipHash-2-4 of an outpoint in its serialized form.
    pub(super) fn outpoint(self, outpoint: &OutPoint) -> u64 {
        let mut bytes = [0; 36];
        bytes[..32].copy_from_slice(outpoint.txid.as_byte_array());
        bytes[32..].copy_from_slice(&outpoint.vout.to_le_bytes());
        siphash24::Hash::hash_to_u64_with_keys(self.0, self.1, &bytes)
    }

    /// Core's variant of SipHash-1-3 for a txid, which is taken in as one block of 32 bytes, without padding.
    pub(super) fn txid(self, txid: &Txid) -> u64 {
        let mut words = [0_u64; 4];
        for (word, bytes) in words.iter_mut().zip(txid.as_byte_array().chunks_exact(8)) {
            *word = bytes
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte));
        }
        let mut state = State([
            0x736f_6d65_7073_6575 ^ self.0,
            0x646f_7261_6e64_6f6d ^ self.1,
            0x6c79_6765_6e65_7261 ^ self.0,
            0x7465_6462_7974_6573 ^ self.1,
        ]);
        let [first, second, third, fourth] = words;
        state.xor([second, third, fourth, first]);
        state.round();
        state.xor(words);
        // "unpadded", so that it is not the standard function of some other input.
        state.xor([0, 0, 0x6465_6464_6170_6e75, 0]);
        for _ in 0..3 {
            state.round();
        }
        state.0.iter().fold(0, |hash, word| hash ^ word)
    }
}

struct State([u64; 4]);

impl State {
    fn xor(&mut self, words: [u64; 4]) {
        for (own, word) in self.0.iter_mut().zip(words) {
            *own ^= word;
        }
    }

    /// The round that all variants share.
    fn round(&mut self) {
        let [v0, v1, v2, v3] = &mut self.0;
        *v0 = v0.wrapping_add(*v1);
        *v1 = v1.rotate_left(13) ^ *v0;
        *v0 = v0.rotate_left(32);
        *v2 = v2.wrapping_add(*v3);
        *v3 = v3.rotate_left(16) ^ *v2;
        *v0 = v0.wrapping_add(*v3);
        *v3 = v3.rotate_left(21) ^ *v0;
        *v2 = v2.wrapping_add(*v1);
        *v1 = v1.rotate_left(17) ^ *v2;
        *v2 = v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hex::FromHex as _;

    #[test]
    fn a_txid_hashes_to_what_core_publishes() {
        let txid = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";
        let key = SipKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        // Core publishes the first five bytes.
        let hash = key.txid(&txid.parse().expect("a txid"));
        assert_eq!(hash >> 24, 0xc6_7d87_b08c);
    }

    #[test]
    fn cores_vectors_are_met() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/siphash.json");
        let text = std::fs::read_to_string(path).expect("the vectors are there");
        let cases: Vec<serde_json::Value> = serde_json::from_str(&text).expect("an array");
        let number = |value: &serde_json::Value| {
            let digits = value.as_str().expect("a string");
            u64::from_str_radix(digits, 16).expect("hexadecimal digits")
        };
        let (mut txids, mut outpoints) = (0, 0);
        for case in &cases {
            let key = SipKey(number(&case["key"][0]), number(&case["key"][1]));
            let parts = case["input"].as_array().expect("an array");
            let parts: Vec<Vec<u8>> = parts
                .iter()
                .map(|part| Vec::from_hex(part.as_str().expect("a string")).expect("hex"))
                .collect();
            let expected = number(&case["expected"]["siphash24"]);
            let whole = siphash24::Hash::hash_to_u64_with_keys(key.0, key.1, &parts.concat());
            assert_eq!(whole, expected, "{case}");
            match &parts[..] {
                [id] if id.len() == 32 => {
                    let txid = Txid::from_slice(id).expect("32 bytes");
                    let expected = number(&case["expected"]["siphash13uj"]);
                    assert_eq!(key.txid(&txid), expected, "{case}");
                    txids += 1;
                }
                [id, vout] if id.len() == 32 && vout.len() == 4 => {
                    let outpoint = OutPoint {
                        txid: Txid::from_slice(id).expect("32 bytes"),
                        vout: u32::from_le_bytes(vout[..].try_into().expect("4 bytes")),
                    };
                    assert_eq!(key.outpoint(&outpoint), expected, "{case}");
                    outpoints += 1;
                }
                _ => {}
            }
        }
        assert_eq!((cases.len(), txids, outpoints), (146, 13, 11));
    }

    #[test]
    fn keys_survive_their_stored_form() {
        let key = SipKey(1, u64::MAX - 1);
        assert_eq!(SipKey::decode(&key.encode()), Some(key));
        assert_eq!(SipKey::decode(&[0; 15]), None);
        assert_eq!(SipKey::decode(&[0; 17]), None);
    }
}
