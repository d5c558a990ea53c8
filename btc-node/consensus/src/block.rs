//! Rules for blocks that need no coins.

mod error;
mod hashed;
pub mod signet;
mod witness;

use bitcoin::hashes::Hash;
use bitcoin::{Block, VarInt};

use crate::header::check_proof_of_work;
use crate::limits::{MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_WEIGHT, WITNESS_SCALE_FACTOR};
use crate::merkle::{self, MerkleRoot};
use crate::params::{BuriedDeployment, ChainParams};
use crate::script::instruction::push_data;
use crate::script::number;
use crate::script::opcode::{OP_0, OP_1};
use crate::tx::{check_transaction, is_coinbase, is_final, legacy_sigops};

pub use error::{BlockError, ScriptFailure};
pub use hashed::HashedBlock;
pub use witness::{WITNESS_RESERVED_VALUE, commitment_script, witness_commitment_index};

/// Which of a block's own rules to check; both, but where a block is being built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckBlockOptions {
    /// Whether the header's hash must meet its target and, on signet, the block be signed.
    pub check_pow: bool,
    /// Whether the header must commit to the transactions.
    pub check_merkle_root: bool,
}

impl Default for CheckBlockOptions {
    fn default() -> Self {
        Self {
            check_pow: true,
            check_merkle_root: true,
        }
    }
}

/// What a block is checked against besides itself.
#[derive(Clone, Copy, Debug)]
pub struct BlockContext<'a> {
    /// The network.
    pub params: &'a ChainParams,
    /// The block's height.
    pub height: u32,
    /// The median time past of the block before, in seconds since 1970; not looked at for the
    /// genesis block.
    pub prev_median_time: u32,
}

/// Checks what can be checked of a block alone: its proof of work, that the header commits to the
/// transactions, the form of each of them, and limits.
///
/// Witnesses are not looked at, since nothing here shows that they are the right ones.
///
/// # Errors
/// The first rule that is broken.
pub fn check_block(
    block: &Block,
    options: &CheckBlockOptions,
    params: &ChainParams,
) -> Result<(), BlockError> {
    check_with_root(block, || merkle::block_root(block), options, params)
}

/// As [`check_block`], for a block whose transactions are hashed already.
///
/// # Errors
/// The first rule that is broken.
pub fn check_hashed_block(
    block: &HashedBlock,
    options: &CheckBlockOptions,
    params: &ChainParams,
) -> Result<(), BlockError> {
    let txids = block.txids().iter();
    let root = || merkle::merkle_root(txids.map(|txid| txid.to_byte_array()).collect());
    check_with_root(block, root, options, params)
}

/// `merkle_root` is that over the block's transactions.
fn check_with_root(
    block: &Block,
    merkle_root: impl FnOnce() -> MerkleRoot,
    options: &CheckBlockOptions,
    params: &ChainParams,
) -> Result<(), BlockError> {
    if options.check_pow {
        check_proof_of_work(&block.header, params)?;
        if let Some(challenge) = &params.signet_challenge
            && block.block_hash() != params.genesis_hash
        {
            signet::check_solution(block, challenge).map_err(BlockError::SignetSolution)?;
        }
    }
    // Whether these are the block's transactions comes first: the faults of others say nothing
    // about the header.
    if options.check_merkle_root {
        check_merkle_root(block, merkle_root())?;
    }
    let count = block.txdata.len() as u64;
    if count == 0
        || count * WITNESS_SCALE_FACTOR > MAX_BLOCK_WEIGHT
        || base_size(block) * WITNESS_SCALE_FACTOR > MAX_BLOCK_WEIGHT
    {
        return Err(BlockError::Length);
    }
    if !block.txdata.first().is_some_and(is_coinbase) {
        return Err(BlockError::CoinbaseMissing);
    }
    if block.txdata.iter().skip(1).any(is_coinbase) {
        return Err(BlockError::CoinbaseMultiple);
    }
    for (index, transaction) in block.txdata.iter().enumerate() {
        check_transaction(transaction).map_err(|error| BlockError::Transaction {
            index,
            txid: transaction.compute_txid(),
            error,
        })?;
    }
    let sigops: u64 = block.txdata.iter().map(legacy_sigops).sum();
    if sigops * WITNESS_SCALE_FACTOR > MAX_BLOCK_SIGOPS_COST {
        return Err(BlockError::LegacySigops);
    }
    Ok(())
}

/// Checks a block against its place in the chain: lock times, the height in the coinbase, the
/// commitment to witnesses, and the weight.
///
/// # Errors
/// The first rule that is broken.
pub fn contextual_check_block(block: &Block, context: &BlockContext<'_>) -> Result<(), BlockError> {
    check_with_witness_root(block, || merkle::witness_root(block), context)
}

/// As [`contextual_check_block`], for a block whose transactions are hashed already.
///
/// # Errors
/// The first rule that is broken.
pub fn contextual_check_hashed_block(
    block: &HashedBlock,
    context: &BlockContext<'_>,
) -> Result<(), BlockError> {
    let root = || merkle::witness_root_over(block.wtxids().iter().copied());
    check_with_witness_root(block, root, context)
}

/// `witness_root` is that over the block's transactions.
fn check_with_witness_root(
    block: &Block,
    witness_root: impl FnOnce() -> [u8; 32],
    context: &BlockContext<'_>,
) -> Result<(), BlockError> {
    let BlockContext {
        params,
        height,
        prev_median_time,
    } = *context;
    let cutoff = if params.is_active(BuriedDeployment::Csv, height) {
        prev_median_time
    } else {
        block.header.time
    };
    if !block
        .txdata
        .iter()
        .all(|transaction| is_final(transaction, height, cutoff))
    {
        return Err(BlockError::NonFinal);
    }
    if params.is_active(BuriedDeployment::HeightInCoinbase, height) {
        let expected = height_push(height);
        let states_height = block
            .txdata
            .first()
            .and_then(|coinbase| coinbase.input.first())
            .is_some_and(|input| input.script_sig.as_bytes().starts_with(&expected));
        if !states_height {
            return Err(BlockError::CoinbaseHeight);
        }
    }
    witness::check(
        block,
        witness_root,
        params.is_active(BuriedDeployment::Segwit, height),
    )?;
    // Only now is the witness known to be the block's, and its weight the block's fault.
    if weight(block) > MAX_BLOCK_WEIGHT {
        return Err(BlockError::Weight);
    }
    Ok(())
}

/// How a copy of a block may hold something else than the block itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mutation {
    /// Its header or its coinbase commits to other transactions or witnesses.
    #[error("{reason}{comma}{debug}", reason = .0.reject_reason(), debug = .0.debug_message(),
        comma = if .0.debug_message().is_empty() { "" } else { ", " })]
    Commitment(BlockError),
    /// It has no coinbase, and a transaction that may be two nodes of the merkle tree instead.
    #[error("a transaction of 64 bytes and no coinbase")]
    TreeNodes,
}

/// Whether a block's transactions or witnesses may not be those that its header commits to, so
/// that another copy may be valid.
///
/// `check_witness` is whether segwit is in force for it. Cheap enough to ask of any block from a
/// peer before its header is blamed for anything.
pub fn is_mutated(block: &Block, check_witness: bool) -> bool {
    check_mutation(block, check_witness).is_err()
}

/// As [`is_mutated`], and says how.
///
/// # Errors
/// The first [`Mutation`] that shows.
pub fn check_mutation(block: &Block, check_witness: bool) -> Result<(), Mutation> {
    check_merkle_root(block, merkle::block_root(block)).map_err(Mutation::Commitment)?;
    if !block.txdata.first().is_some_and(is_coinbase) {
        // A transaction of 64 bytes may be two nodes of the tree. Without a coinbase the block is
        // invalid anyway; with one, nobody can afford to make the coinbase look like two hashes.
        let is_node = |transaction: &bitcoin::Transaction| transaction.base_size() == 64;
        return if block.txdata.iter().any(is_node) {
            Err(Mutation::TreeNodes)
        } else {
            Ok(())
        };
    }
    witness::check(block, || merkle::witness_root(block), check_witness)
        .map_err(Mutation::Commitment)
}

fn check_merkle_root(block: &Block, merkle: MerkleRoot) -> Result<(), BlockError> {
    if merkle.root != block.header.merkle_root.to_byte_array() {
        return Err(BlockError::MerkleRoot);
    }
    if merkle.mutated {
        return Err(BlockError::DuplicateTransactions);
    }
    Ok(())
}

/// What a coinbase's scriptSig starts with at `height` (BIP 34).
pub fn height_push(height: u32) -> Vec<u8> {
    match height {
        0 => vec![OP_0],
        1..=16 => vec![OP_1 + height as u8 - 1],
        _ => {
            let mut push = Vec::new();
            push_data(&mut push, &number::encode(i64::from(height)));
            push
        }
    }
}

/// The size of a block without witnesses, in bytes.
pub fn base_size(block: &Block) -> u64 {
    size(
        block,
        block
            .txdata
            .iter()
            .map(bitcoin::Transaction::base_size)
            .sum(),
    )
}

/// The size of a block with witnesses, in bytes.
pub fn total_size(block: &Block) -> u64 {
    size(
        block,
        block
            .txdata
            .iter()
            .map(bitcoin::Transaction::total_size)
            .sum(),
    )
}

/// The weight of a block: three times its size without witnesses and once its size with them.
pub fn weight(block: &Block) -> u64 {
    base_size(block) * (WITNESS_SCALE_FACTOR - 1) + total_size(block)
}

fn size(block: &Block, transactions: usize) -> u64 {
    const HEADER: usize = 80;
    (HEADER + VarInt::from(block.txdata.len()).size() + transactions) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_as_coinbases_state_them() {
        assert_eq!(height_push(0), [0]);
        assert_eq!(height_push(1), [0x51]);
        assert_eq!(height_push(16), [0x60]);
        assert_eq!(height_push(17), [1, 17]);
        assert_eq!(height_push(128), [2, 128, 0]);
        assert_eq!(height_push(227_931), [3, 0x5b, 0x7a, 0x03]);
    }
}
