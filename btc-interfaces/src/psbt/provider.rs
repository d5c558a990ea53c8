//! What somebody who updates or signs knows of scripts and keys.

use crate::descriptor::{DerivedKey, ExpandedScript, Expansion, KeyOrigin, Secret};
use bitcoin::hashes::{Hash, ripemd160};
use bitcoin::key::{Keypair, XOnlyPublicKey};
use bitcoin::taproot::{LeafVersion, TapLeafHash, TaprootSpendInfo};
use bitcoin::{PubkeyHash, PublicKey, Script, ScriptBuf, ScriptHash};
use std::collections::BTreeMap;
use std::fmt;

/// A taproot output with the tree that it commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaprootOutput {
    /// The internal key, the root and the proofs.
    pub spend: TaprootSpendInfo,
    /// The leaves, depth first: depth, leaf version, script.
    pub leaves: Vec<(u8, u8, ScriptBuf)>,
}

/// Scripts, keys with their origins, and secrets, each found by what outputs commit to.
#[derive(Default)]
pub struct Provider {
    scripts: BTreeMap<ScriptHash, ScriptBuf>,
    keys: BTreeMap<PubkeyHash, (PublicKey, KeyOrigin)>,
    by_x: BTreeMap<XOnlyPublicKey, PubkeyHash>,
    taproot: BTreeMap<XOnlyPublicKey, TaprootOutput>,
    secrets: BTreeMap<XOnlyPublicKey, Secret>,
    hide_origins: bool,
}

impl Provider {
    /// Knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps origins of keys to itself from now on.
    pub fn hide_origins(&mut self) {
        self.hide_origins = true;
    }

    /// Adds a script that outputs commit to.
    pub fn add_script(&mut self, script: ScriptBuf) {
        self.scripts.insert(script.script_hash(), script);
    }

    /// Adds a key and where it comes from.
    pub fn add_key(&mut self, key: &DerivedKey) {
        let hash = key.key.pubkey_hash();
        self.by_x.insert(x_only(&key.key), hash);
        self.keys.insert(hash, (key.key, key.origin.clone()));
    }

    /// Adds a secret.
    pub fn add_secret(&mut self, secret: Secret) {
        self.secrets.insert(x_only(&secret.public_key()), secret);
    }

    /// Adds what an output commits to.
    pub fn add_expanded(&mut self, script: &ExpandedScript) {
        let within = [&script.redeem_script, &script.witness_script];
        for script in within.into_iter().flatten() {
            self.add_script(script.clone());
        }
        if let Some(taproot) = &script.taproot {
            let output = taproot.spend.output_key().to_x_only_public_key();
            self.taproot.insert(output, taproot.clone());
        }
    }

    /// Adds what a descriptor says at one index.
    pub fn add_expansion(&mut self, expansion: &Expansion) {
        for script in &expansion.scripts {
            self.add_expanded(script);
        }
        for key in &expansion.keys {
            self.add_key(key);
        }
    }

    pub(super) fn script(&self, hash: &ScriptHash) -> Option<&ScriptBuf> {
        self.scripts.get(hash)
    }

    pub(super) fn key(&self, hash: &PubkeyHash) -> Option<PublicKey> {
        self.keys.get(hash).map(|(key, _)| *key)
    }

    pub(super) fn origin(&self, hash: &PubkeyHash) -> Option<&KeyOrigin> {
        let origin = self.keys.get(hash).map(|(_, origin)| origin);
        origin.filter(|_| !self.hide_origins)
    }

    pub(super) fn x_only_origin(&self, key: &XOnlyPublicKey) -> Option<&KeyOrigin> {
        self.origin(self.by_x.get(key)?)
    }

    /// The key of this hash, where the hash is of the x coordinate alone.
    pub(super) fn x_only_by_hash(&self, hash: &[u8]) -> Option<XOnlyPublicKey> {
        self.by_x.keys().copied().find(|key| {
            bitcoin::hashes::hash160::Hash::hash(&key.serialize()).as_byte_array()[..] == *hash
        })
    }

    pub(super) fn taproot(&self, output: &XOnlyPublicKey) -> Option<&TaprootOutput> {
        self.taproot.get(output)
    }

    pub(super) fn secret(&self, key: &PublicKey) -> Option<&Secret> {
        self.secrets.get(&x_only(key))
    }

    pub(super) fn keypair(&self, key: &XOnlyPublicKey) -> Option<Keypair> {
        let secret = self.secrets.get(key)?;
        Some(Keypair::from_secret_key(
            crate::descriptor::secp(),
            secret.key(),
        ))
    }

    /// Whether an output is of segwit as far as this knows: a witness program, or P2SH of one.
    pub fn is_segwit(&self, script: &Script) -> bool {
        if script.is_witness_program() {
            return true;
        }
        script.is_p2sh()
            && self
                .scripts
                .get(&script_hash_of(&script.as_bytes()[2..22]))
                .is_some_and(|inner| inner.is_witness_program())
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Provider({} scripts, {} keys, {} secrets)",
            self.scripts.len(),
            self.keys.len(),
            self.secrets.len()
        )
    }
}

impl TaprootOutput {
    /// The proofs of each script.
    pub(super) fn proofs(&self) -> impl Iterator<Item = (super::LeafScript, Vec<u8>)> + '_ {
        self.spend.script_map().keys().filter_map(|leaf| {
            let block = self.spend.control_block(leaf)?;
            let (script, version) = leaf;
            Some(((script.clone(), version.to_consensus()), block.serialize()))
        })
    }
}

pub(super) fn x_only(key: &PublicKey) -> XOnlyPublicKey {
    key.inner.x_only_public_key().0
}

/// A script hash from the 20 bytes of an output.
pub(super) fn script_hash_of(bytes: &[u8]) -> ScriptHash {
    let mut hash = [0; 20];
    hash.copy_from_slice(&bytes[..20]);
    ScriptHash::from_byte_array(hash)
}

/// The script hash of what a P2WSH program of these 32 bytes commits to.
pub(super) fn script_hash_of_program(program: &[u8]) -> ScriptHash {
    script_hash_of(ripemd160::Hash::hash(program).as_byte_array())
}

/// The hash under which signatures for a leaf are kept; `None` for a leaf version of no meaning yet.
pub(super) fn leaf_hash(script: &Script, version: u8) -> Option<TapLeafHash> {
    let version = LeafVersion::from_consensus(version).ok()?;
    Some(TapLeafHash::from_script(script, version))
}
