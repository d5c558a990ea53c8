//! The transaction that pays the miner.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::opcodes::OP_0;
use bitcoin::script::Builder;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Txid,
    Witness, WitnessMerkleNode, Wtxid, merkle_tree,
};
use btc_interfaces::CoinbaseTx;

/// What the witness of a coinbase holds, and what the commitment is made with (BIP 141): nothing is committed to yet.
const RESERVED_VALUE: [u8; 32] = [0; 32];

/// What a commitment's script starts with (BIP 141).
const COMMITMENT_PREFIX: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// The coinbase of the block at `height`, with one output that takes `reward`. The commitment to witnesses comes with
/// [`commit`].
pub fn coinbase(height: u32, reward: Amount, script_pubkey: ScriptBuf) -> Transaction {
    let mut script_sig = height_prefix(height);
    if height <= 16 {
        // The height alone is one byte, and a coinbase's script has at least two.
        script_sig = Builder::from(script_sig.into_bytes())
            .push_opcode(OP_0)
            .into_script();
    }
    Transaction {
        version: Version::TWO,
        // With a sequence that is not final, this keeps the coinbase from being valid in any earlier block.
        lock_time: LockTime::from_consensus(height.saturating_sub(1)),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig,
            sequence: Sequence::ENABLE_LOCKTIME_NO_RBF,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: reward,
            script_pubkey,
        }],
    }
}

/// What every coinbase script at this height begins with (BIP 34).
pub fn height_prefix(height: u32) -> ScriptBuf {
    Builder::new().push_int(i64::from(height)).into_script()
}

/// Where a coinbase commits to the witnesses: the last output of the form.
pub fn commitment_index(coinbase: &Transaction) -> Option<usize> {
    coinbase.output.iter().rposition(|output| {
        let script = output.script_pubkey.as_bytes();
        script.len() >= 38 && script.starts_with(&COMMITMENT_PREFIX)
    })
}

/// Makes the coinbase commit to the block's witnesses, unless it does already, and gives it the witness that goes with
/// that if segregated witness is active (BIP 141); then sets the header's merkle root.
pub fn commit(block: &mut Block, segwit_active: bool) {
    let (mut txids, mut wtxids) = (Vec::new(), Vec::new());
    for tx in block.txdata.iter().skip(1) {
        txids.push(tx.compute_txid());
        wtxids.push(tx.compute_wtxid());
    }
    commit_to(block, segwit_active, &txids, &wtxids);
}

/// As [`commit`], where the ids of all transactions but the coinbase are known.
pub fn commit_to(block: &mut Block, segwit_active: bool, txids: &[Txid], wtxids: &[Wtxid]) {
    if block.txdata.is_empty() {
        return;
    }
    if commitment_index(&block.txdata[0]).is_none()
        && let Some(witness_root) = root(Wtxid::all_zeros(), wtxids)
    {
        let witness_root = WitnessMerkleNode::from_raw_hash(witness_root);
        let commitment = Block::compute_witness_commitment(&witness_root, &RESERVED_VALUE);
        let mut script = COMMITMENT_PREFIX.to_vec();
        script.extend_from_slice(commitment.as_byte_array());
        let script_pubkey = ScriptBuf::from_bytes(script);
        block.txdata[0].output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey,
        });
    }
    add_reserved_value(block, segwit_active);
    block.header.merkle_root = root(block.txdata[0].compute_txid(), txids)
        .map_or_else(TxMerkleNode::all_zeros, TxMerkleNode::from_raw_hash);
}

/// The root of the tree over the coinbase's id and the others.
fn root<T: Hash + Copy>(coinbase: T, others: &[T]) -> Option<sha256d::Hash>
where
    sha256d::Hash: From<T>,
{
    let leaves = std::iter::once(coinbase).chain(others.iter().copied());
    merkle_tree::calculate_root(leaves.map(sha256d::Hash::from))
}

/// Gives the coinbase the witness that a commitment needs, if it has one and lacks the other: the ids don't change by it.
pub fn add_reserved_value(block: &mut Block, segwit_active: bool) {
    let Some(coinbase) = block.txdata.first_mut() else {
        return;
    };
    if segwit_active && commitment_index(coinbase).is_some() {
        let Some(input) = coinbase.input.first_mut() else {
            return;
        };
        if input.witness.is_empty() {
            input.witness.push(RESERVED_VALUE);
        }
    }
}

/// What a miner needs to know to make another coinbase in place of `coinbase`.
pub fn describe(coinbase: &Transaction, height: u32, reward: Amount) -> CoinbaseTx {
    let commitment = commitment_index(coinbase).map(|index| coinbase.output[index].clone());
    CoinbaseTx {
        version: coinbase.version.0.cast_unsigned(),
        sequence: coinbase
            .input
            .first()
            .map_or(u32::MAX, |input| input.sequence.0),
        script_sig_prefix: height_prefix(height),
        witness: coinbase
            .input
            .first()
            .and_then(|input| input.witness.nth(0))
            .map(<[u8]>::to_vec),
        block_reward_remaining: i64::try_from(reward.to_sat()).unwrap_or(i64::MAX),
        required_outputs: commitment.into_iter().collect(),
        lock_time: coinbase.lock_time.to_consensus_u32(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_pushed_the_shortest_way() {
        let script = |height| {
            coinbase(height, Amount::ZERO, ScriptBuf::new()).input[0]
                .script_sig
                .to_hex_string()
        };
        assert_eq!(script(1), "5100");
        assert_eq!(script(16), "6000");
        assert_eq!(script(17), "0111");
        assert_eq!(script(128), "028000");
        assert_eq!(script(199), "02c700");
    }

    #[test]
    fn lock_time_and_sequence_tie_it_to_its_height() {
        let tx = coinbase(7, Amount::ZERO, ScriptBuf::new());
        assert_eq!(tx.lock_time.to_consensus_u32(), 6);
        assert_eq!(tx.input[0].sequence.0, 0xffff_fffe);
    }
}
