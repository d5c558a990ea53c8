//! The commitment to witnesses (BIP 141).

use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::{Block, ScriptBuf};

use super::BlockError;
use crate::merkle::witness_root;
use crate::script::opcode::OP_RETURN;

/// What the script of a commitment starts with, before 32 bytes of hash.
const HEADER: [u8; 6] = [OP_RETURN, 36, 0xaa, 0x21, 0xa9, 0xed];

/// What a miner puts into the coinbase's witness who has no other use for it.
pub const WITNESS_RESERVED_VALUE: [u8; 32] = [0; 32];

/// The number of the coinbase's output that commits to the witnesses: the last that has the form.
pub fn witness_commitment_index(block: &Block) -> Option<usize> {
    block
        .txdata
        .first()?
        .output
        .iter()
        .rposition(|output| committed_hash(output.script_pubkey.as_bytes()).is_some())
}

/// The script of an output that commits to the block's witnesses, with this value reserved.
pub fn commitment_script(block: &Block, reserved_value: &[u8; 32]) -> ScriptBuf {
    let mut script = HEADER.to_vec();
    script.extend(commitment(witness_root(block), reserved_value));
    ScriptBuf::from_bytes(script)
}

fn committed_hash(script: &[u8]) -> Option<&[u8; 32]> {
    script.strip_prefix(&HEADER)?.first_chunk()
}

fn commitment(witness_root: [u8; 32], reserved_value: &[u8]) -> [u8; 32] {
    let mut engine = sha256d::Hash::engine();
    engine.input(&witness_root);
    engine.input(reserved_value);
    sha256d::Hash::from_engine(engine).to_byte_array()
}

/// Checks that the block's witnesses are those that its coinbase commits to or, if it does not
/// or `expected` is false, that there are none. `witness_root` is that over the block's transactions.
pub(super) fn check(
    block: &Block,
    witness_root: impl FnOnce() -> [u8; 32],
    expected: bool,
) -> Result<(), BlockError> {
    let committed = expected
        .then(|| witness_commitment_index(block))
        .flatten()
        .and_then(|index| committed_hash(block.txdata[0].output[index].script_pubkey.as_bytes()));
    let Some(committed) = committed else {
        let has_witness = |transaction: &bitcoin::Transaction| {
            transaction
                .input
                .iter()
                .any(|input| !input.witness.is_empty())
        };
        return if block.txdata.iter().any(has_witness) {
            Err(BlockError::UnexpectedWitness)
        } else {
            Ok(())
        };
    };
    let witness = block.txdata[0].input.first().map(|input| &input.witness);
    let reserved_value = witness
        .filter(|witness| witness.len() == 1)
        .and_then(|witness| witness.nth(0))
        .filter(|value| value.len() == 32)
        .ok_or(BlockError::WitnessReservedValue)?;
    if commitment(witness_root(), reserved_value) != *committed {
        return Err(BlockError::WitnessCommitment);
    }
    Ok(())
}
