//! Joining what several know of one transaction, and putting transactions together.

use super::{Psbt, PsbtInput, PsbtOutput, PsbtVersion};
use std::collections::BTreeMap;

/// Bits of [`Psbt::modifiable`].
const INPUTS_MODIFIABLE: u8 = 1;
const OUTPUTS_MODIFIABLE: u8 = 2;
const HAS_SIGHASH_SINGLE: u8 = 4;

/// The lock time that inputs require, if they do: the greatest height if all that require one take a height, else the
/// greatest time. `None` if some take a height alone and others a time alone.
pub(super) fn required_lock_time(inputs: &[PsbtInput]) -> Option<Option<u32>> {
    let (mut time, mut height) = (Some(0), Some(0));
    for input in inputs {
        match (input.time_lock_time, input.height_lock_time) {
            (Some(_), None) => height = None,
            (None, Some(_)) => time = None,
            _ => {}
        }
        if time.is_none() && height.is_none() {
            return None;
        }
        time = time.map(|time| time.max(input.time_lock_time.unwrap_or(0)));
        height = height.map(|height| height.max(input.height_lock_time.unwrap_or(0)));
    }
    let positive = |lock: Option<u32>| lock.filter(|lock| *lock > 0);
    Some(positive(height).or(positive(time)))
}

/// Takes over what is not there yet.
fn add<K: Ord + Clone, V: Clone>(to: &mut BTreeMap<K, V>, from: &BTreeMap<K, V>) {
    for (key, value) in from {
        to.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// As [`add`], one level deeper.
fn add_nested<K: Ord + Clone, L: Ord + Clone, V: Clone>(
    to: &mut BTreeMap<K, BTreeMap<L, V>>,
    from: &BTreeMap<K, BTreeMap<L, V>>,
) {
    for (key, values) in from {
        add(to.entry(key.clone()).or_default(), values);
    }
}

fn fill<T: Clone>(to: &mut Option<T>, from: &Option<T>) {
    if to.is_none() {
        to.clone_from(from);
    }
}

impl Psbt {
    /// Takes over what `other` knows of the same transaction. What both know differently stays. Gives false if they are
    /// of different transactions or versions.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (self.unique_id(), other.unique_id()) else {
            return false;
        };
        if own != others || self.version != other.version {
            return false;
        }
        for (input, other) in self.inputs.iter_mut().zip(&other.inputs) {
            input.merge(other);
        }
        for (output, other) in self.outputs.iter_mut().zip(&other.outputs) {
            output.merge(other);
        }
        self.merge_xpubs(other);
        fill(&mut self.fallback_lock_time, &other.fallback_lock_time);
        if self.modifiable.is_some() || other.modifiable.is_some() {
            let (own, others) = (self.modifiable.unwrap_or(0), other.modifiable.unwrap_or(0));
            self.modifiable = Some((own & others) | ((own | others) & HAS_SIGHASH_SINGLE));
        }
        add(&mut self.proprietary, &other.proprietary);
        add(&mut self.unknown, &other.unknown);
        true
    }

    /// Takes over extended keys; a known one keeps its origin.
    pub fn merge_xpubs(&mut self, other: &Self) {
        for (origin, xpub) in &other.xpubs {
            if !self.xpubs.iter().any(|(_, known)| known == xpub) {
                self.xpubs.insert((origin.clone(), *xpub));
            }
        }
    }

    /// Adds an input at the end. Gives false if it is there already, or if version 2 does not allow it.
    #[must_use]
    pub fn add_input(&mut self, mut input: PsbtInput) -> bool {
        let outpoint = input.previous_output;
        if self
            .inputs
            .iter()
            .any(|own| own.previous_output == outpoint)
        {
            return false;
        }
        if self.version == PsbtVersion::Zero {
            input.partial_signatures.clear();
            input.final_script_sig = None;
            input.final_script_witness = None;
            self.inputs.push(input);
            return true;
        }
        if self.modifiable.unwrap_or(0) & INPUTS_MODIFIABLE == 0 {
            return false;
        }
        if input.time_lock_time.is_some() || input.height_lock_time.is_some() {
            let before = self.lock_time();
            let signed = self.inputs.iter().any(PsbtInput::has_signatures);
            self.inputs.push(input);
            let after = self.lock_time();
            if before.is_none() || after.is_none() || (signed && before != after) {
                self.inputs.pop();
                return false;
            }
            return true;
        }
        self.inputs.push(input);
        true
    }

    /// Adds an output at the end. Gives false if version 2 does not allow it.
    #[must_use]
    pub fn add_output(&mut self, output: PsbtOutput) -> bool {
        let allowed = self.version == PsbtVersion::Zero
            || self.modifiable.unwrap_or(0) & OUTPUTS_MODIFIABLE != 0;
        if allowed {
            self.outputs.push(output);
        }
        allowed
    }
}

impl PsbtInput {
    /// Whether it holds any signature, partial or finished.
    pub fn has_signatures(&self) -> bool {
        self.is_finalized()
            || !self.partial_signatures.is_empty()
            || self.tap_key_signature.is_some()
            || !self.tap_script_signatures.is_empty()
            || !self.musig2_signatures.is_empty()
    }

    fn merge(&mut self, other: &Self) {
        fill(&mut self.non_witness_utxo, &other.non_witness_utxo);
        fill(&mut self.witness_utxo, &other.witness_utxo);
        add(&mut self.partial_signatures, &other.partial_signatures);
        add(&mut self.ripemd160_preimages, &other.ripemd160_preimages);
        add(&mut self.sha256_preimages, &other.sha256_preimages);
        add(&mut self.hash160_preimages, &other.hash160_preimages);
        add(&mut self.hash256_preimages, &other.hash256_preimages);
        add(&mut self.keys, &other.keys);
        add(&mut self.proprietary, &other.proprietary);
        add(&mut self.unknown, &other.unknown);
        add(
            &mut self.tap_script_signatures,
            &other.tap_script_signatures,
        );
        add(&mut self.tap_scripts, &other.tap_scripts);
        add(&mut self.tap_keys, &other.tap_keys);
        fill(&mut self.redeem_script, &other.redeem_script);
        fill(&mut self.witness_script, &other.witness_script);
        fill(&mut self.final_script_sig, &other.final_script_sig);
        fill(&mut self.final_script_witness, &other.final_script_witness);
        fill(&mut self.tap_key_signature, &other.tap_key_signature);
        fill(&mut self.tap_internal_key, &other.tap_internal_key);
        fill(&mut self.tap_merkle_root, &other.tap_merkle_root);
        add(&mut self.musig2_participants, &other.musig2_participants);
        add_nested(&mut self.musig2_nonces, &other.musig2_nonces);
        add_nested(&mut self.musig2_signatures, &other.musig2_signatures);
        fill(&mut self.sequence, &other.sequence);
        fill(&mut self.time_lock_time, &other.time_lock_time);
        fill(&mut self.height_lock_time, &other.height_lock_time);
    }
}

impl PsbtOutput {
    fn merge(&mut self, other: &Self) {
        add(&mut self.keys, &other.keys);
        add(&mut self.proprietary, &other.proprietary);
        add(&mut self.unknown, &other.unknown);
        add(&mut self.tap_keys, &other.tap_keys);
        fill(&mut self.redeem_script, &other.redeem_script);
        fill(&mut self.witness_script, &other.witness_script);
        fill(&mut self.tap_internal_key, &other.tap_internal_key);
        if self.tap_tree.is_empty() {
            self.tap_tree.clone_from(&other.tap_tree);
        }
        add(&mut self.musig2_participants, &other.musig2_participants);
    }
}
