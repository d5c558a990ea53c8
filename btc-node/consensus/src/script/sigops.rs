//! Counting the signature checks that a script may do, without running it.

use bitcoin::Witness;

use super::instruction::{Instructions, is_push_only};
use super::opcode::{
    OP_1, OP_16, OP_CHECKMULTISIG, OP_CHECKMULTISIGVERIFY, OP_CHECKSIG, OP_CHECKSIGVERIFY,
    OP_INVALIDOPCODE, small_number,
};
use super::program::{WitnessProgram, is_p2sh};
use crate::limits::MAX_PUBKEYS_PER_MULTISIG;

/// The signature checks of a script up to its first undecodable instruction.
///
/// A multisignature counts as 20 or, with `accurate`, as the number that directly precedes it.
pub fn count(script: &[u8], accurate: bool) -> u64 {
    let mut total = 0;
    let mut previous = OP_INVALIDOPCODE;
    for step in Instructions::new(script) {
        let Ok(step) = step else { break };
        total += match step.opcode {
            OP_CHECKSIG | OP_CHECKSIGVERIFY => 1,
            OP_CHECKMULTISIG | OP_CHECKMULTISIGVERIFY => match small_number(previous) {
                Some(keys) if accurate && (OP_1..=OP_16).contains(&previous) => u64::from(keys),
                _ => MAX_PUBKEYS_PER_MULTISIG as u64,
            },
            _ => 0,
        };
        previous = step.opcode;
    }
    total
}

/// The signature checks of the redeem script that `script_sig` reveals for a pay-to-script-hash
/// output; 0 if the output is of another kind or the scriptSig holds more than pushes.
pub fn count_p2sh(script_pubkey: &[u8], script_sig: &[u8]) -> u64 {
    if !is_p2sh(script_pubkey) {
        return 0;
    }
    redeem_script(script_sig).map_or(0, |redeem_script| count(redeem_script, true))
}

/// The signature checks that a witness pays for, native or nested in pay-to-script-hash.
///
/// Only version 0 programs have any; tapscript has a budget of its own.
pub fn count_witness(script_pubkey: &[u8], script_sig: &[u8], witness: &Witness) -> u64 {
    if let Some(program) = WitnessProgram::from_script(script_pubkey) {
        return count_program(program, witness);
    }
    if !is_p2sh(script_pubkey) {
        return 0;
    }
    redeem_script(script_sig)
        .and_then(WitnessProgram::from_script)
        .map_or(0, |program| count_program(program, witness))
}

fn count_program(program: WitnessProgram<'_>, witness: &Witness) -> u64 {
    match (program.version, program.program.len()) {
        (0, 20) => 1,
        (0, 32) => witness.last().map_or(0, |script| count(script, true)),
        _ => 0,
    }
}

/// What the last push of a push-only script pushes, which is nothing if it is a number opcode.
fn redeem_script(script_sig: &[u8]) -> Option<&[u8]> {
    if !is_push_only(script_sig) {
        return None;
    }
    Some(Instructions::new(script_sig).last()?.ok()?.data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::instruction::push_data;
    use crate::script::opcode::{OP_2, OP_EQUAL, OP_HASH160};

    #[test]
    fn multisig_counts() {
        let script = [OP_1, 1, 7, 1, 7, OP_2, OP_CHECKMULTISIG, OP_CHECKSIG];
        assert_eq!(count(&script, true), 3);
        assert_eq!(count(&script, false), 21);
        assert_eq!(count(&[OP_CHECKMULTISIG], true), 20);
        assert_eq!(count(&[OP_CHECKSIG, 75, OP_CHECKSIG], true), 1);
    }

    #[test]
    fn redeem_scripts() {
        let p2sh = [&[OP_HASH160, 20][..], &[0; 20], &[OP_EQUAL]].concat();
        let mut script_sig = vec![OP_1];
        push_data(&mut script_sig, &[OP_CHECKSIG, OP_CHECKSIG]);
        assert_eq!(count_p2sh(&p2sh, &script_sig), 2);
        assert_eq!(count_p2sh(&[OP_1], &script_sig), 0);
        script_sig.push(OP_CHECKSIG);
        assert_eq!(count_p2sh(&p2sh, &script_sig), 0);
        assert_eq!(count_p2sh(&p2sh, &[]), 0);

        let program = [&[0, 20][..], &[7; 20]].concat();
        let mut nested = Vec::new();
        push_data(&mut nested, &program);
        assert_eq!(count_witness(&program, &[], &Witness::new()), 1);
        assert_eq!(count_witness(&p2sh, &nested, &Witness::new()), 1);
    }
}
