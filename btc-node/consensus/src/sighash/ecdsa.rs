//! The hashes that ECDSA signatures sign.

use std::fmt;

use bitcoin::Transaction;
use bitcoin::consensus::{Encodable, encode::VarInt};
use bitcoin::hashes::{Hash, HashEngine, sha256, sha256d};

use super::{ANYONE_CAN_PAY, INFALLIBLE, NONE, OUTPUT_MASK, SINGLE, Spend};
use crate::script::EcdsaVersion;
use crate::script::instruction::Instructions;
use crate::script::opcode::OP_CODESEPARATOR;

/// What the original algorithm gives where `SIGHASH_SINGLE` has no output to sign: the number 1.
const ONE: [u8; 32] = {
    let mut one = [0; 32];
    one[0] = 1;
    one
};

/// The hash that a signature from before segwit signs.
///
/// `script_code` is the executed script from the last separator on, without the signature.
/// `None` if the transaction has no input of that number.
pub fn legacy(
    transaction: &Transaction,
    input: usize,
    script_code: &[u8],
    hash_type: i32,
) -> Option<[u8; 32]> {
    if input >= transaction.input.len() {
        return None;
    }
    if lacks_single_output(transaction, input, hash_type) {
        return Some(ONE);
    }
    Some(finish(
        legacy_midstate(transaction, input, script_code, hash_type),
        hash_type,
    ))
}

/// The hash that a signature in a version 0 witness program signs (BIP 143).
///
/// `None` if the transaction has no input of that number.
pub fn segwit_v0(
    spend: &Spend,
    input: usize,
    script_code: &[u8],
    hash_type: i32,
) -> Option<[u8; 32]> {
    if input >= spend.transaction().input.len() {
        return None;
    }
    Some(finish(
        segwit_v0_midstate(spend, input, script_code, hash_type),
        hash_type,
    ))
}

/// What one input's ECDSA checks share: for each way to choose inputs and outputs, the hash of
/// everything but the hash type, for the script code it was last computed for.
///
/// Without this a script could make its spender hash the whole transaction 201 times.
#[derive(Clone, Default)]
pub struct EcdsaMidstates([Option<(EcdsaVersion, Vec<u8>, sha256::HashEngine)>; 6]);

impl fmt::Debug for EcdsaMidstates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.iter().flatten().count();
        f.debug_struct("EcdsaMidstates")
            .field("known", &known)
            .finish_non_exhaustive()
    }
}

impl EcdsaMidstates {
    /// The hash to sign for input number `input`, which must be the same at every call and exist.
    pub(crate) fn sighash(
        &mut self,
        spend: &Spend,
        input: usize,
        script_code: &[u8],
        hash_type: i32,
        version: EcdsaVersion,
    ) -> [u8; 32] {
        if version == EcdsaVersion::Legacy
            && lacks_single_output(spend.transaction(), input, hash_type)
        {
            return ONE;
        }
        let entry = &mut self.0[Self::index(hash_type)];
        match entry {
            Some((for_version, for_code, midstate))
                if *for_version == version && for_code == script_code =>
            {
                finish(midstate.clone(), hash_type)
            }
            _ => {
                let midstate = match version {
                    EcdsaVersion::Legacy => {
                        legacy_midstate(spend.transaction(), input, script_code, hash_type)
                    }
                    EcdsaVersion::WitnessV0 => {
                        segwit_v0_midstate(spend, input, script_code, hash_type)
                    }
                };
                *entry = Some((version, script_code.to_vec(), midstate.clone()));
                finish(midstate, hash_type)
            }
        }
    }

    fn index(hash_type: i32) -> usize {
        let outputs = match hash_type & OUTPUT_MASK {
            SINGLE => 2,
            NONE => 1,
            _ => 0,
        };
        if hash_type & ANYONE_CAN_PAY != 0 {
            outputs + 3
        } else {
            outputs
        }
    }
}

fn lacks_single_output(transaction: &Transaction, input: usize, hash_type: i32) -> bool {
    hash_type & OUTPUT_MASK == SINGLE && input >= transaction.output.len()
}

fn finish(mut midstate: sha256::HashEngine, hash_type: i32) -> [u8; 32] {
    midstate.input(&hash_type.to_le_bytes());
    sha256::Hash::from_engine(midstate)
        .hash_again()
        .to_byte_array()
}

fn legacy_midstate(
    transaction: &Transaction,
    input: usize,
    script_code: &[u8],
    hash_type: i32,
) -> sha256::HashEngine {
    let mut engine = sha256::Hash::engine();
    let outputs = hash_type & OUTPUT_MASK;
    let foreign_sequences = outputs != SINGLE && outputs != NONE;

    encode(&mut engine, &transaction.version);
    let inputs = if hash_type & ANYONE_CAN_PAY != 0 {
        input..input + 1
    } else {
        0..transaction.input.len()
    };
    encode_length(&mut engine, inputs.len());
    for index in inputs {
        let txin = &transaction.input[index];
        encode(&mut engine, &txin.previous_output);
        if index == input {
            encode_script_code(&mut engine, script_code);
        } else {
            encode_length(&mut engine, 0);
        }
        if index == input || foreign_sequences {
            encode(&mut engine, &txin.sequence);
        } else {
            engine.input(&[0; 4]);
        }
    }
    match outputs {
        NONE => encode_length(&mut engine, 0),
        SINGLE => {
            encode_length(&mut engine, input + 1);
            for _ in 0..input {
                // An output that is not signed: worth -1, with an empty script.
                engine.input(&(-1i64).to_le_bytes());
                encode_length(&mut engine, 0);
            }
            // The caller has dealt with the case that there is no such output.
            if let Some(output) = transaction.output.get(input) {
                encode(&mut engine, output);
            }
        }
        _ => encode(&mut engine, &transaction.output),
    }
    encode(&mut engine, &transaction.lock_time);
    engine
}

/// Writes a script code without its separators. Its length counts an undecodable tail in full, of
/// which only what was read before the error is written.
fn encode_script_code(engine: &mut sha256::HashEngine, script_code: &[u8]) {
    // Nearly every script code has no such byte at all.
    if !script_code.contains(&OP_CODESEPARATOR) && decodes(script_code) {
        encode_length(engine, script_code.len());
        engine.input(script_code);
        return;
    }
    let separators = Instructions::new(script_code)
        .filter(|step| step.is_ok_and(|step| step.opcode == OP_CODESEPARATOR))
        .count();
    encode_length(engine, script_code.len() - separators);
    let mut instructions = Instructions::new(script_code);
    let mut start = 0;
    while let Some(step) = instructions.next() {
        if step.is_ok_and(|step| step.opcode == OP_CODESEPARATOR) {
            engine.input(&script_code[start..instructions.position() - 1]);
            start = instructions.position();
        }
    }
    engine.input(&script_code[start..instructions.position()]);
}

fn decodes(script_code: &[u8]) -> bool {
    Instructions::new(script_code).all(|step| step.is_ok())
}

fn segwit_v0_midstate(
    spend: &Spend,
    input: usize,
    script_code: &[u8],
    hash_type: i32,
) -> sha256::HashEngine {
    let transaction = spend.transaction();
    let txin = &transaction.input[input];
    let outputs = hash_type & OUTPUT_MASK;
    let others = hash_type & ANYONE_CAN_PAY == 0;
    let all_outputs = outputs != SINGLE && outputs != NONE;
    let zero = sha256d::Hash::all_zeros();

    let prevouts = if others {
        spend.common().prevouts.hash_again()
    } else {
        zero
    };
    let sequences = if others && all_outputs {
        spend.common().sequences.hash_again()
    } else {
        zero
    };
    let outputs = if all_outputs {
        spend.common().outputs.hash_again()
    } else if outputs == SINGLE && input < transaction.output.len() {
        spend.hash_output(input).hash_again()
    } else {
        zero
    };

    let mut engine = sha256::Hash::engine();
    encode(&mut engine, &transaction.version);
    engine.input(prevouts.as_byte_array());
    engine.input(sequences.as_byte_array());
    encode(&mut engine, &txin.previous_output);
    encode_length(&mut engine, script_code.len());
    engine.input(script_code);
    encode(&mut engine, &spend.prevouts()[input].value);
    encode(&mut engine, &txin.sequence);
    engine.input(outputs.as_byte_array());
    encode(&mut engine, &transaction.lock_time);
    engine
}

fn encode<T: Encodable>(engine: &mut sha256::HashEngine, item: &T) {
    item.consensus_encode(engine).expect(INFALLIBLE);
}

fn encode_length(engine: &mut sha256::HashEngine, length: usize) {
    encode(engine, &VarInt::from(length));
}
