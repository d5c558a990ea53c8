//! From a partially signed transaction to bytes.

use super::{
    Proprietary, ProprietaryMap, Psbt, PsbtInput, PsbtOutput, PsbtVersion, TaprootKeys, Unknown,
};
use crate::descriptor::KeyOrigin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::consensus::encode::VarInt;
use bitcoin::consensus::{Encodable, serialize};
use bitcoin::hashes::Hash;
use bitcoin::taproot::TapLeafHash;
use bitcoin::{OutPoint, PublicKey, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// The map of one input, output or of the whole, while it is written.
struct Map<'o>(&'o mut Vec<u8>);

pub(super) fn compact_size(out: &mut Vec<u8>, number: usize) {
    VarInt::from(number)
        .consensus_encode(out)
        .expect("writing to memory does not fail");
}

fn bytes(out: &mut Vec<u8>, data: &[u8]) {
    compact_size(out, data.len());
    out.extend_from_slice(data);
}

impl Map<'_> {
    fn put(&mut self, kind: u8, key: &[u8], value: &[u8]) {
        compact_size(self.0, key.len() + 1);
        self.0.push(kind);
        self.0.extend_from_slice(key);
        bytes(self.0, value);
    }

    fn put_keys(&mut self, kind: u8, keys: &BTreeMap<PublicKey, KeyOrigin>) {
        for (key, origin) in keys {
            self.put(kind, &key.to_bytes(), &origin_bytes(origin));
        }
    }

    fn put_taproot_keys(&mut self, kind: u8, keys: &TaprootKeys) {
        for (key, (leaves, origin)) in keys {
            let mut value = leaves_bytes(leaves);
            value.extend(origin_bytes(origin));
            self.put(kind, &key.serialize(), &value);
        }
    }

    fn put_participants(&mut self, kind: u8, all: &BTreeMap<PublicKey, Vec<PublicKey>>) {
        for (aggregate, participants) in all {
            let value: Vec<u8> = participants.iter().flat_map(|key| key.to_bytes()).collect();
            self.put(kind, &aggregate.to_bytes(), &value);
        }
    }

    fn put_proprietary(&mut self, records: &ProprietaryMap) {
        for (key, Proprietary { value, .. }) in records {
            bytes(self.0, key);
            bytes(self.0, value);
        }
    }

    fn put_unknown(&mut self, records: &Unknown) {
        for (key, value) in records {
            bytes(self.0, key);
            bytes(self.0, value);
        }
    }

    fn end(self) {
        self.0.push(0);
    }
}

fn origin_bytes(origin: &KeyOrigin) -> Vec<u8> {
    let mut out = origin.fingerprint.to_bytes().to_vec();
    for step in &origin.path {
        out.extend_from_slice(&u32::from(*step).to_le_bytes());
    }
    out
}

fn leaves_bytes(leaves: &BTreeSet<TapLeafHash>) -> Vec<u8> {
    let mut out = Vec::new();
    compact_size(&mut out, leaves.len());
    for leaf in leaves {
        out.extend_from_slice(leaf.as_byte_array());
    }
    out
}

/// A transaction in the form without witnesses, which may have no inputs.
fn plain_transaction(tx: &Transaction) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |part: &dyn Fn(&mut Vec<u8>) -> Result<usize, bitcoin::io::Error>| {
        part(&mut out).expect("writing to memory does not fail");
    };
    put(&|out| tx.version.consensus_encode(out));
    put(&|out| tx.input.consensus_encode(out));
    put(&|out| tx.output.consensus_encode(out));
    put(&|out| tx.lock_time.consensus_encode(out));
    out
}

impl Psbt {
    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"psbt\xff".to_vec();
        let mut map = Map(&mut out);
        if self.version == PsbtVersion::Zero {
            let tx = self
                .unsigned_tx()
                .expect("the lock time of version 0 is the one written");
            map.put(0x00, &[], &plain_transaction(&tx));
        }
        for (origin, xpub) in &self.xpubs {
            map.put(0x01, xpub, &origin_bytes(origin));
        }
        if self.version == PsbtVersion::Two {
            map.put(0x02, &[], &serialize(&self.tx_version));
            if let Some(lock_time) = self.fallback_lock_time {
                map.put(0x03, &[], &serialize(&lock_time));
            }
            map.put(0x04, &[], &serialize(&VarInt::from(self.inputs.len())));
            map.put(0x05, &[], &serialize(&VarInt::from(self.outputs.len())));
            if let Some(modifiable) = self.modifiable {
                map.put(0x06, &[], &[modifiable]);
            }
            map.put(0xfb, &[], &self.version.number().to_le_bytes());
        }
        map.put_proprietary(&self.proprietary);
        map.put_unknown(&self.unknown);
        map.end();
        for input in &self.inputs {
            input.write(self.version, &mut out);
        }
        for output in &self.outputs {
            output.write(self.version, &mut out);
        }
        out
    }

    /// As text.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.to_bytes())
    }
}

impl PsbtInput {
    fn write(&self, version: PsbtVersion, out: &mut Vec<u8>) {
        let mut map = Map(out);
        if let Some(tx) = &self.non_witness_utxo {
            map.put(0x00, &[], &plain_transaction(tx));
        }
        if let Some(output) = &self.witness_utxo {
            map.put(0x01, &[], &serialize(output));
        }
        if !self.is_finalized() {
            self.write_unfinished(&mut map);
        }
        if let Some(script) = &self.final_script_sig {
            map.put(0x07, &[], script.as_bytes());
        }
        if let Some(witness) = &self.final_script_witness {
            map.put(0x08, &[], &serialize(witness));
        }
        if version == PsbtVersion::Two {
            let OutPoint { txid, vout } = self.previous_output;
            map.put(0x0e, &[], txid.as_byte_array());
            map.put(0x0f, &[], &vout.to_le_bytes());
            if let Some(sequence) = self.sequence {
                map.put(0x10, &[], &sequence.0.to_le_bytes());
            }
            if let Some(time) = self.time_lock_time {
                map.put(0x11, &[], &time.to_le_bytes());
            }
            if let Some(height) = self.height_lock_time {
                map.put(0x12, &[], &height.to_le_bytes());
            }
        }
        map.put_proprietary(&self.proprietary);
        map.put_unknown(&self.unknown);
        map.end();
    }

    /// What is of no use once the input is finished.
    fn write_unfinished(&self, map: &mut Map<'_>) {
        for (key, signature) in self.partial_signatures.values() {
            map.put(0x02, &key.to_bytes(), signature);
        }
        if let Some(kind) = self.sighash_type {
            map.put(0x03, &[], &kind.to_le_bytes());
        }
        if let Some(script) = &self.redeem_script {
            map.put(0x04, &[], script.as_bytes());
        }
        if let Some(script) = &self.witness_script {
            map.put(0x05, &[], script.as_bytes());
        }
        map.put_keys(0x06, &self.keys);
        for (hash, preimage) in &self.ripemd160_preimages {
            map.put(0x0a, hash.as_byte_array(), preimage);
        }
        for (hash, preimage) in &self.sha256_preimages {
            map.put(0x0b, hash.as_byte_array(), preimage);
        }
        for (hash, preimage) in &self.hash160_preimages {
            map.put(0x0c, hash.as_byte_array(), preimage);
        }
        for (hash, preimage) in &self.hash256_preimages {
            map.put(0x0d, hash.as_byte_array(), preimage);
        }
        if let Some(signature) = &self.tap_key_signature {
            map.put(0x13, &[], signature);
        }
        for ((key, leaf), signature) in &self.tap_script_signatures {
            let key = [key.serialize(), leaf.to_byte_array()].concat();
            map.put(0x14, &key, signature);
        }
        for ((script, version), blocks) in &self.tap_scripts {
            let mut value = script.to_bytes();
            value.push(*version);
            for block in blocks {
                map.put(0x15, &block.0, &value);
            }
        }
        map.put_taproot_keys(0x16, &self.tap_keys);
        if let Some(key) = &self.tap_internal_key {
            map.put(0x17, &[], &key.serialize());
        }
        if let Some(root) = &self.tap_merkle_root {
            map.put(0x18, &[], root.as_byte_array());
        }
        map.put_participants(0x1a, &self.musig2_participants);
        for (session, nonces) in &self.musig2_nonces {
            for (participant, nonce) in nonces {
                map.put(0x1b, &session_key(participant, session), nonce);
            }
        }
        for (session, signatures) in &self.musig2_signatures {
            for (participant, signature) in signatures {
                map.put(0x1c, &session_key(participant, session), signature);
            }
        }
    }
}

fn session_key(participant: &PublicKey, (aggregate, leaf): &super::MusigSession) -> Vec<u8> {
    let mut key = participant.to_bytes();
    key.extend(aggregate.to_bytes());
    if let Some(leaf) = leaf {
        key.extend_from_slice(leaf.as_byte_array());
    }
    key
}

impl PsbtOutput {
    fn write(&self, version: PsbtVersion, out: &mut Vec<u8>) {
        let mut map = Map(out);
        if let Some(script) = &self.redeem_script {
            map.put(0x00, &[], script.as_bytes());
        }
        if let Some(script) = &self.witness_script {
            map.put(0x01, &[], script.as_bytes());
        }
        map.put_keys(0x02, &self.keys);
        if version == PsbtVersion::Two {
            map.put(0x03, &[], &self.amount.to_sat().to_le_bytes());
            map.put(0x04, &[], self.script.as_bytes());
        }
        map.put_proprietary(&self.proprietary);
        if let Some(key) = &self.tap_internal_key {
            map.put(0x05, &[], &key.serialize());
        }
        if !self.tap_tree.is_empty() {
            let mut value = Vec::new();
            for (depth, version, script) in &self.tap_tree {
                value.extend([*depth, *version]);
                bytes(&mut value, script.as_bytes());
            }
            map.put(0x06, &[], &value);
        }
        map.put_taproot_keys(0x07, &self.tap_keys);
        map.put_participants(0x08, &self.musig2_participants);
        map.put_unknown(&self.unknown);
        map.end();
    }
}
