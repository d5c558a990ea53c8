//! Filters of peers that want few transactions (BIP 37).

use super::Peers;
use super::event::PeerId;
use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash;
use bitcoin::script::Instruction;
use bitcoin::{OutPoint, Script, Transaction};

/// The longest filter, in bytes.
const MAX_BITS: usize = 36_000;
/// The most hash functions.
const MAX_FUNCTIONS: u32 = 50;
/// The longest element that is added, in bytes.
const MAX_ELEMENT: usize = 520;
/// The bits of the flags that say how matches update the filter.
const UPDATE_MASK: u8 = 3;
const UPDATE_ALL: u8 = 1;
const UPDATE_P2PUBKEY_ONLY: u8 = 2;

/// A Bloom filter: says of anything that is in it that it may be.
#[derive(Clone, Debug)]
pub(super) struct Bloom {
    bits: Vec<u8>,
    functions: u32,
    tweak: u32,
    flags: u8,
}

impl Bloom {
    fn places<'a>(&'a self, data: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        (0..self.functions).map(move |function| {
            let seed = function.wrapping_mul(0xfba4_c795).wrapping_add(self.tweak);
            murmur3(seed, data) as usize % (self.bits.len() * 8)
        })
    }

    fn insert(&mut self, data: &[u8]) {
        if self.bits.is_empty() {
            return;
        }
        let places: Vec<usize> = self.places(data).collect();
        for place in places {
            self.bits[place / 8] |= 1 << (place % 8);
        }
    }

    fn contains(&self, data: &[u8]) -> bool {
        // Without bits it cannot tell anything apart.
        self.bits.is_empty()
            || self
                .places(data)
                .all(|place| self.bits[place / 8] & (1 << (place % 8)) != 0)
    }

    /// Whether a transaction may be one that the peer wants. Outputs that match are added, if the peer said so, so that
    /// what spends them matches too.
    pub(super) fn matches(&mut self, tx: &Transaction) -> bool {
        if self.bits.is_empty() {
            return true;
        }
        let txid = tx.compute_txid();
        let mut found = self.contains(&txid.to_byte_array());
        for (index, output) in tx.output.iter().enumerate() {
            let matches = pushes(&output.script_pubkey).any(|data| self.contains(data));
            if !matches {
                continue;
            }
            found = true;
            let update = match self.flags & UPDATE_MASK {
                UPDATE_ALL => true,
                UPDATE_P2PUBKEY_ONLY => {
                    output.script_pubkey.is_p2pk() || output.script_pubkey.is_multisig()
                }
                _ => false,
            };
            if update {
                let vout = u32::try_from(index).expect("a transaction has few outputs");
                self.insert(&serialize(&OutPoint { txid, vout }));
            }
        }
        found
            || tx.input.iter().any(|input| {
                self.contains(&serialize(&input.previous_output))
                    || pushes(&input.script_sig).any(|data| self.contains(data))
            })
    }
}

/// What a script pushes, up to its first error.
fn pushes(script: &Script) -> impl Iterator<Item = &[u8]> {
    script
        .instructions()
        .map_while(Result::ok)
        .filter_map(|instruction| match instruction {
            Instruction::PushBytes(bytes) if !bytes.is_empty() => Some(bytes.as_bytes()),
            _ => None,
        })
}

/// MurmurHash3, 32 bits.
fn murmur3(seed: u32, data: &[u8]) -> u32 {
    let scramble = |block: u32| {
        block
            .wrapping_mul(0xcc9e_2d51)
            .rotate_left(15)
            .wrapping_mul(0x1b87_3593)
    };
    let (blocks, rest) = data.as_chunks::<4>();
    let mut hash = seed;
    for block in blocks {
        hash = (hash ^ scramble(u32::from_le_bytes(*block)))
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        hash ^= scramble(u32::from_le_bytes(last));
    }
    hash ^= data.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

impl Peers {
    /// Whether a peer may set filters; one that may not is let go.
    fn may_filter(&mut self, id: PeerId, name: &str) -> bool {
        let allowed = self.config.bloom_filters;
        if !allowed {
            let reason = format!("{name} received despite not offering bloom services");
            self.disconnect(id, &reason);
        }
        allowed
    }

    pub(super) fn filter_load(
        &mut self,
        id: PeerId,
        bits: Vec<u8>,
        functions: u32,
        tweak: u32,
        flags: u8,
    ) {
        if !self.may_filter(id, "filterload") {
            return;
        }
        if bits.len() > MAX_BITS || functions > MAX_FUNCTIONS {
            self.misbehaving(id, "too-large bloom filter");
            return;
        }
        self.with(id, |peer| {
            if peer.may_relay {
                peer.bloom = Some(Bloom {
                    bits,
                    functions,
                    tweak,
                    flags,
                });
                peer.wants_transactions = true;
            }
        });
        self.over_relay_capacity(id, "filterload");
    }

    pub(super) fn filter_add(&mut self, id: PeerId, data: &[u8]) {
        if !self.may_filter(id, "filteradd") {
            return;
        }
        let mut bad = data.len() > MAX_ELEMENT;
        self.with(id, |peer| match &mut peer.bloom {
            Some(bloom) if !bad => bloom.insert(data),
            _ => bad |= peer.may_relay,
        });
        if bad {
            self.misbehaving(id, "bad filteradd message");
        }
    }

    pub(super) fn filter_clear(&mut self, id: PeerId) {
        if !self.may_filter(id, "filterclear") {
            return;
        }
        self.with(id, |peer| {
            if peer.may_relay {
                peer.bloom = None;
                peer.wants_transactions = true;
            }
        });
        self.over_relay_capacity(id, "filterclear");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hex::FromHex;

    fn bytes(hex: &str) -> Vec<u8> {
        FromHex::from_hex(hex).expect("is hex")
    }

    /// Figures of the hash function's published tests.
    #[test]
    fn the_hash_is_murmurs() {
        for (expected, seed, data) in [
            (0x0000_0000, 0, ""),
            (0x6a39_6f08, 0xfba4_c795, ""),
            (0x514e_28b7, 0, "00"),
            (0xea3f_0b17, 0xfba4_c795, "00"),
            (0x16c6_b7ab, 0, "0011"),
            (0xb074_502c, 0, "00112233445566"),
        ] {
            assert_eq!(murmur3(seed, &bytes(data)), expected, "{data}");
        }
    }

    #[test]
    fn what_was_added_matches_and_other_things_do_not() {
        let mut bloom = Bloom {
            bits: vec![0; 3],
            functions: 5,
            tweak: 0,
            flags: UPDATE_ALL,
        };
        let elements = [
            "99108ad8ed9bb6274d3980bab5a85c048f0950c8",
            "b5a2c786d9ef4658287ced5914b37a1b4aa32eee",
            "b9300670b4c5366e95b2699e8b18bc75e5f729c5",
        ];
        for element in elements {
            bloom.insert(&bytes(element));
            assert!(bloom.contains(&bytes(element)));
        }
        assert!(!bloom.contains(&bytes("19108ad8ed9bb6274d3980bab5a85c048f0950c8")));
        assert_eq!(bloom.bits, bytes("614e9b"));
    }
}
