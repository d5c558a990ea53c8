//! Signed blocks (BIP 325).

use bitcoin::absolute::LockTime;
use bitcoin::consensus::{Decodable, serialize};
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Block, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
};

use super::witness_commitment_index;
use crate::merkle::merkle_root;
use crate::script::instruction::{Instructions, push_data};
use crate::script::opcode::{OP_0, OP_RETURN};
use crate::script::{self, ScriptError, ScriptFlags, TransactionChecker};
use crate::sighash::Spend;

/// What the push starts with that holds a block's signature.
const HEADER: [u8; 4] = [0xec, 0xc7, 0xda, 0xa2];

/// The rules that a block's signature is held to.
const FLAGS: [ScriptFlags; 4] = [
    ScriptFlags::P2SH,
    ScriptFlags::WITNESS,
    ScriptFlags::DERSIG,
    ScriptFlags::NULLDUMMY,
];

/// Why a block does not count as signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignetError {
    /// The coinbase commits to no witnesses, which is where a signature would be.
    #[error("block has no witness commitment to hold a signature")]
    NoCommitment,
    /// The signature is not a scriptSig and a witness.
    #[error("block signature cannot be read")]
    Malformed,
    /// The signature does not satisfy the challenge.
    #[error("block signature is invalid: {0}")]
    Script(ScriptError),
}

/// Checks that a block's signature satisfies `challenge`.
///
/// A block without one is signed by nothing, which satisfies a challenge that asks for nothing.
///
/// # Errors
/// If the signature is not there, cannot be read or does not hold.
pub fn check_solution(block: &Block, challenge: &Script) -> Result<(), SignetError> {
    let (to_spend, spending) = transactions(block, challenge)?;
    let spend = Spend::new(spending, to_spend.output).map_err(|_| SignetError::Malformed)?;
    let checker = TransactionChecker::new(&spend, 0).map_err(|_| SignetError::Malformed)?;
    let input = &spend.transaction().input[0];
    let flags = FLAGS
        .into_iter()
        .fold(ScriptFlags::NONE, |all, flag| all | flag);
    script::verify(
        &input.script_sig,
        challenge,
        &input.witness,
        flags,
        &checker,
    )
    .map_err(SignetError::Script)
}

/// The transaction that stands for the block without its signature, and the one that spends it
/// by the signature.
fn transactions(
    block: &Block,
    challenge: &Script,
) -> Result<(Transaction, Transaction), SignetError> {
    let index = witness_commitment_index(block).ok_or(SignetError::NoCommitment)?;
    let mut coinbase = block
        .txdata
        .first()
        .ok_or(SignetError::NoCommitment)?
        .clone();
    let mut script_sig = ScriptBuf::new();
    let mut witness = Witness::new();
    let commitment = &mut coinbase.output[index].script_pubkey;
    if let Some((without, solution)) = split_solution(commitment.as_bytes()) {
        *commitment = ScriptBuf::from_bytes(without);
        let mut reader = &solution[..];
        script_sig =
            Decodable::consensus_decode(&mut reader).map_err(|_| SignetError::Malformed)?;
        witness = Decodable::consensus_decode(&mut reader).map_err(|_| SignetError::Malformed)?;
        if !reader.is_empty() {
            return Err(SignetError::Malformed);
        }
    }

    let mut leaves = vec![coinbase.compute_txid().to_byte_array()];
    leaves.extend(
        block
            .txdata
            .iter()
            .skip(1)
            .map(|tx| tx.compute_txid().to_byte_array()),
    );
    let mut signed = serialize(&block.header.version);
    signed.extend(block.header.prev_blockhash.to_byte_array());
    signed.extend(merkle_root(leaves).root);
    signed.extend(block.header.time.to_le_bytes());

    let mut block_push = vec![OP_0];
    push_data(&mut block_push, &signed);
    let to_spend = transaction(
        OutPoint::null(),
        ScriptBuf::from_bytes(block_push),
        Witness::new(),
        challenge.to_owned(),
    );
    let spending = transaction(
        OutPoint::new(to_spend.compute_txid(), 0),
        script_sig,
        witness,
        ScriptBuf::from_bytes(vec![OP_RETURN]),
    );
    Ok((to_spend, spending))
}

fn transaction(
    previous_output: OutPoint,
    script_sig: ScriptBuf,
    witness: Witness,
    script_pubkey: ScriptBuf,
) -> Transaction {
    Transaction {
        version: Version(0),
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            script_sig,
            sequence: Sequence::ZERO,
            witness,
        }],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey,
        }],
    }
}

/// Takes the first signature out of a commitment's script; gives the script with only the header
/// left of it, and the signature. `None` if there is none.
fn split_solution(commitment: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut without = Vec::with_capacity(commitment.len());
    let mut solution = None;
    // What follows an instruction that cannot be read is dropped.
    for step in Instructions::new(commitment).map_while(Result::ok) {
        match step.data {
            [] => without.push(step.opcode),
            data if solution.is_none() && is_solution(data) => {
                solution = Some(data[HEADER.len()..].to_vec());
                push_data(&mut without, &HEADER);
            }
            data => push_data(&mut without, data),
        }
    }
    Some((without, solution?))
}

fn is_solution(data: &[u8]) -> bool {
    data.strip_prefix(&HEADER)
        .is_some_and(|solution| !solution.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signature_is_taken_out() {
        let mut script = vec![OP_RETURN];
        push_data(&mut script, &[1, 2]);
        push_data(&mut script, &[&HEADER[..], &[7, 8]].concat());
        push_data(&mut script, &[&HEADER[..], &[9]].concat());
        let (without, solution) = split_solution(&script).unwrap();
        assert_eq!(solution, [7, 8]);
        let mut expected = vec![OP_RETURN];
        push_data(&mut expected, &[1, 2]);
        push_data(&mut expected, &HEADER);
        push_data(&mut expected, &[&HEADER[..], &[9]].concat());
        assert_eq!(without, expected);
    }

    #[test]
    fn a_header_alone_is_no_signature() {
        let mut script = vec![OP_RETURN];
        push_data(&mut script, &HEADER);
        assert_eq!(split_solution(&script), None);
    }
}
