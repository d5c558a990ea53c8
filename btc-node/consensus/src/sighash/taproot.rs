//! The hashes of BIPs 340 to 342.

use std::sync::LazyLock;

use bitcoin::consensus::{Encodable, encode::VarInt};
use bitcoin::hashes::{Hash, HashEngine, sha256};

use super::{INFALLIBLE, Spend};
use crate::script::TaprootSpend;

/// Only the output with the input's number is signed.
const SINGLE: u8 = 3;
/// No other input is signed.
const ANYONE_CAN_PAY: u8 = 0x80;

/// An engine that has read a tag's hash twice (BIP 340).
fn tagged(tag: &str) -> sha256::HashEngine {
    let tag = sha256::Hash::hash(tag.as_bytes());
    let mut engine = sha256::Hash::engine();
    engine.input(tag.as_byte_array());
    engine.input(tag.as_byte_array());
    engine
}

macro_rules! tagged_engine {
    ($tag:literal) => {{
        static ENGINE: LazyLock<sha256::HashEngine> = LazyLock::new(|| tagged($tag));
        ENGINE.clone()
    }};
}

/// The hash that a taproot signature signs (BIPs 341 and 342).
///
/// `output_hash` gives the SHA256 of the output with the input's number, and is asked only where
/// that output alone is signed.
///
/// `None` if the hash type is undefined, or signs an output that does not exist, or if the
/// transaction has no input of that number.
pub fn taproot(
    spend: &Spend,
    input: usize,
    hash_type: u8,
    context: &TaprootSpend,
    output_hash: impl FnOnce() -> sha256::Hash,
) -> Option<[u8; 32]> {
    if !matches!(hash_type, 0..=3 | 0x81..=0x83) {
        return None;
    }
    let transaction = spend.transaction();
    let txin = transaction.input.get(input)?;
    let outputs = hash_type & 3;

    let mut engine = tagged_engine!("TapSighash");
    engine.input(&[0, hash_type]);
    encode(&mut engine, &transaction.version);
    encode(&mut engine, &transaction.lock_time);
    if hash_type & ANYONE_CAN_PAY == 0 {
        engine.input(spend.common().prevouts.as_byte_array());
        engine.input(spend.spent().amounts.as_byte_array());
        engine.input(spend.spent().scripts.as_byte_array());
        engine.input(spend.common().sequences.as_byte_array());
    }
    if outputs <= 1 {
        engine.input(spend.common().outputs.as_byte_array());
    }
    let extension = u8::from(context.leaf.is_some());
    engine.input(&[extension * 2 + u8::from(context.annex_hash.is_some())]);
    if hash_type & ANYONE_CAN_PAY == 0 {
        engine.input(&u32::try_from(input).ok()?.to_le_bytes());
    } else {
        encode(&mut engine, &txin.previous_output);
        encode(&mut engine, &spend.prevouts()[input]);
        encode(&mut engine, &txin.sequence);
    }
    if let Some(annex_hash) = &context.annex_hash {
        engine.input(annex_hash.as_byte_array());
    }
    if outputs == SINGLE {
        if input >= transaction.output.len() {
            return None;
        }
        engine.input(output_hash().as_byte_array());
    }
    if let Some(leaf) = &context.leaf {
        const KEY_VERSION: u8 = 0;
        engine.input(leaf.leaf_hash.as_byte_array());
        engine.input(&[KEY_VERSION]);
        engine.input(&leaf.code_separator.to_le_bytes());
    }
    Some(sha256::Hash::from_engine(engine).to_byte_array())
}

/// The tagged hash of a leaf: its version and script (BIP 341).
pub fn leaf_hash(version: u8, script: &[u8]) -> sha256::Hash {
    let mut engine = tagged_engine!("TapLeaf");
    engine.input(&[version]);
    encode(&mut engine, &VarInt::from(script.len()));
    engine.input(script);
    sha256::Hash::from_engine(engine)
}

/// The tagged hash of two nodes of the script tree, the smaller first.
pub(crate) fn branch_hash(left: &[u8; 32], right: &[u8; 32]) -> sha256::Hash {
    let mut engine = tagged_engine!("TapBranch");
    engine.input(left.min(right));
    engine.input(left.max(right));
    sha256::Hash::from_engine(engine)
}

/// The tagged hash that an internal key is tweaked by.
pub(crate) fn tweak_hash(internal_key: &[u8; 32], merkle_root: &sha256::Hash) -> sha256::Hash {
    let mut engine = tagged_engine!("TapTweak");
    engine.input(internal_key);
    engine.input(merkle_root.as_byte_array());
    sha256::Hash::from_engine(engine)
}

/// The SHA256 of an annex with its length.
pub(crate) fn annex_hash(annex: &[u8]) -> sha256::Hash {
    let mut engine = sha256::Hash::engine();
    encode(&mut engine, &VarInt::from(annex.len()));
    engine.input(annex);
    sha256::Hash::from_engine(engine)
}

fn encode<T: Encodable>(engine: &mut sha256::HashEngine, item: &T) {
    item.consensus_encode(engine).expect(INFALLIBLE);
}
