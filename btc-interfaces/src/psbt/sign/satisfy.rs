//! Satisfying Miniscript: of witness scripts, and of the leaves of taproot trees.

use super::super::provider::x_only;
use super::{Rules, Stack, Work};
use bitcoin::hashes::{Hash, hash160, ripemd160, sha256};
use bitcoin::key::XOnlyPublicKey;
use bitcoin::opcodes::all::OP_CHECKSIG;
use bitcoin::script::Builder;
use bitcoin::taproot::TapLeafHash;
use bitcoin::{
    PubkeyHash, PublicKey, Script, ScriptBuf, absolute, ecdsa, relative, taproot, transaction,
};
use miniscript::{ExtParams, Miniscript, Satisfier, Segwitv0, Tap, Terminal};
use std::collections::BTreeMap;

/// Scripts may be of keys that are known by their hashes alone, and need not be safe for others.
fn rules() -> ExtParams {
    ExtParams::insane().raw_pkh()
}

/// What satisfies a witness script that is Miniscript, lowest first.
pub(super) fn witness_script(work: &mut Work<'_, '_>, script: &Script) -> Option<Stack> {
    let parsed = Miniscript::<PublicKey, Segwitv0>::decode_with_ext(script, &rules()).ok()?;
    let mut known = Known::new(work);
    for node in parsed.iter() {
        if let Terminal::RawPkH(hash) = &node.node {
            let hash = PubkeyHash::from_byte_array(hash.to_byte_array());
            match work.key_of(&hash) {
                Some(key) => known.add_ecdsa(work, key, script),
                None => work.missing.keys.push(hash),
            }
        }
    }
    for key in parsed.iter_pk() {
        known.add_ecdsa(work, key, script);
    }
    parsed.satisfy(&known).ok()
}

/// What satisfies a leaf script that is Miniscript, lowest first.
pub(super) fn leaf_script(
    work: &mut Work<'_, '_>,
    script: &ScriptBuf,
    leaf: TapLeafHash,
) -> Option<Stack> {
    // The simplest leaf is read without more ado.
    if let Some(key) = single_key(script) {
        return Some(vec![work.leaf_signature(&key, leaf)?]);
    }
    let parsed = Miniscript::<XOnlyPublicKey, Tap>::decode_with_ext(script, &rules()).ok()?;
    let mut known = Known::new(work);
    for node in parsed.iter() {
        if let Terminal::RawPkH(hash) = &node.node
            && let Some(key) = work.x_only_by_hash(hash.as_byte_array())
        {
            known.add_schnorr(work, key, leaf);
        }
    }
    for key in parsed.iter_pk() {
        known.add_schnorr(work, key, leaf);
    }
    parsed.satisfy(&known).ok()
}

fn single_key(script: &Script) -> Option<XOnlyPublicKey> {
    let key = XOnlyPublicKey::from_slice(script.as_bytes().get(1..33)?).ok()?;
    let same = Builder::new()
        .push_x_only_key(&key)
        .push_opcode(OP_CHECKSIG)
        .into_script();
    (*same == *script).then_some(key)
}

impl Work<'_, '_> {
    fn x_only_by_hash(&self, hash: &[u8]) -> Option<XOnlyPublicKey> {
        let mut own = self.input.tap_keys.keys().copied();
        own.find(|key| hash160::Hash::hash(&key.serialize()).as_byte_array()[..] == *hash)
            .or_else(|| self.provider.x_only_by_hash(hash))
    }
}

/// What is at hand for a satisfaction.
struct Known {
    ecdsa: BTreeMap<PublicKey, ecdsa::Signature>,
    schnorr: BTreeMap<XOnlyPublicKey, taproot::Signature>,
    sha256: BTreeMap<sha256::Hash, [u8; 32]>,
    hash256: BTreeMap<[u8; 32], [u8; 32]>,
    ripemd160: BTreeMap<ripemd160::Hash, [u8; 32]>,
    hash160: BTreeMap<hash160::Hash, [u8; 32]>,
    version: transaction::Version,
    sequence: bitcoin::Sequence,
    lock_time: absolute::LockTime,
    /// Lock times count as reached: it is the size that is asked for.
    dummy: bool,
}

fn preimages<K: Ord + Copy>(from: &BTreeMap<K, Vec<u8>>) -> BTreeMap<K, [u8; 32]> {
    from.iter()
        .filter_map(|(hash, preimage)| Some((*hash, preimage.as_slice().try_into().ok()?)))
        .collect()
}

impl Known {
    fn new(work: &Work<'_, '_>) -> Self {
        let tx = work.session.cache.transaction();
        let input = &work.input;
        let hash256 = input
            .hash256_preimages
            .iter()
            .filter_map(|(hash, preimage)| {
                Some((hash.to_byte_array(), preimage.as_slice().try_into().ok()?))
            });
        Self {
            ecdsa: BTreeMap::new(),
            schnorr: BTreeMap::new(),
            sha256: preimages(&input.sha256_preimages),
            hash256: hash256.collect(),
            ripemd160: preimages(&input.ripemd160_preimages),
            hash160: preimages(&input.hash160_preimages),
            version: tx.version,
            sequence: tx
                .input
                .get(work.index)
                .map_or(bitcoin::Sequence::MAX, |input| input.sequence),
            lock_time: tx.lock_time,
            dummy: work.session.dummy,
        }
    }

    fn add_ecdsa(&mut self, work: &mut Work<'_, '_>, key: PublicKey, script: &Script) {
        let signature = work.ecdsa(&key, script, Rules::SegwitV0);
        if let Some(signature) = signature.and_then(|raw| ecdsa::Signature::from_slice(&raw).ok()) {
            self.ecdsa.insert(key, signature);
        }
    }

    fn add_schnorr(&mut self, work: &mut Work<'_, '_>, key: XOnlyPublicKey, leaf: TapLeafHash) {
        let signature = work.leaf_signature(&key, leaf);
        if let Some(signature) = signature.and_then(|raw| taproot::Signature::from_slice(&raw).ok())
        {
            self.schnorr.insert(key, signature);
        }
    }

    fn by_hash<'m, K: Copy, V: Copy>(
        map: &'m BTreeMap<K, V>,
        bytes: impl Fn(&K) -> Vec<u8> + 'm,
        hash: &hash160::Hash,
    ) -> Option<(K, V)> {
        map.iter()
            .find(|(key, _)| hash160::Hash::hash(&bytes(key)) == *hash)
            .map(|(key, value)| (*key, *value))
    }
}

impl<Pk> Satisfier<Pk> for Known
where
    Pk: miniscript::ToPublicKey
        + miniscript::MiniscriptKey<
            Sha256 = sha256::Hash,
            Hash256 = miniscript::hash256::Hash,
            Ripemd160 = ripemd160::Hash,
            Hash160 = hash160::Hash,
        >,
{
    fn lookup_ecdsa_sig(&self, key: &Pk) -> Option<ecdsa::Signature> {
        self.ecdsa.get(&key.to_public_key()).copied()
    }

    fn lookup_tap_leaf_script_sig(&self, key: &Pk, _: &TapLeafHash) -> Option<taproot::Signature> {
        self.schnorr.get(&x_only(&key.to_public_key())).copied()
    }

    fn lookup_raw_pkh_pk(&self, hash: &hash160::Hash) -> Option<PublicKey> {
        self.lookup_raw(hash).map(|(key, _)| key)
    }

    fn lookup_raw_pkh_x_only_pk(&self, hash: &hash160::Hash) -> Option<XOnlyPublicKey> {
        self.lookup_raw_x_only(hash).map(|(key, _)| key)
    }

    fn lookup_raw_pkh_ecdsa_sig(
        &self,
        hash: &hash160::Hash,
    ) -> Option<(PublicKey, ecdsa::Signature)> {
        self.lookup_raw(hash)
    }

    fn lookup_raw_pkh_tap_leaf_script_sig(
        &self,
        (hash, _): &(hash160::Hash, TapLeafHash),
    ) -> Option<(XOnlyPublicKey, taproot::Signature)> {
        self.lookup_raw_x_only(hash)
    }

    fn lookup_sha256(&self, hash: &sha256::Hash) -> Option<[u8; 32]> {
        self.sha256.get(hash).copied()
    }

    fn lookup_hash256(&self, hash: &miniscript::hash256::Hash) -> Option<[u8; 32]> {
        self.hash256.get(&hash.to_byte_array()).copied()
    }

    fn lookup_ripemd160(&self, hash: &ripemd160::Hash) -> Option<[u8; 32]> {
        self.ripemd160.get(hash).copied()
    }

    fn lookup_hash160(&self, hash: &hash160::Hash) -> Option<[u8; 32]> {
        self.hash160.get(hash).copied()
    }

    fn check_older(&self, lock: relative::LockTime) -> bool {
        // Version 1 has no relative lock times (BIP 68).
        self.dummy
            || self.version.0.cast_unsigned() >= 2
                && self
                    .sequence
                    .to_relative_lock_time()
                    .is_some_and(|own| lock.is_implied_by(own))
    }

    fn check_after(&self, lock: absolute::LockTime) -> bool {
        self.dummy
            || self.sequence.enables_absolute_lock_time() && lock.is_implied_by(self.lock_time)
    }
}

impl Known {
    fn lookup_raw(&self, hash: &hash160::Hash) -> Option<(PublicKey, ecdsa::Signature)> {
        Self::by_hash(&self.ecdsa, |key| key.to_bytes(), hash)
    }

    fn lookup_raw_x_only(
        &self,
        hash: &hash160::Hash,
    ) -> Option<(XOnlyPublicKey, taproot::Signature)> {
        Self::by_hash(&self.schnorr, |key| key.serialize().to_vec(), hash)
    }
}
