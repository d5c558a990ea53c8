//! Real blocks of mainnet.

use std::sync::Arc;

use bitcoin::consensus::deserialize;
use bitcoin::{Amount, Block};
use btc_consensus::block::{self, is_mutated};
use btc_consensus::{
    BlockContext, BlockError, BlockFault, Chain, ChainParams, CheckBlockOptions, ConnectContext,
    Work, check_block, connect, contextual_check_block, prevouts_needed,
};

use crate::chain::TestChain;

/// Blocks 1 to 255, each after the network's magic and its length.
fn first_blocks() -> Vec<Block> {
    let magic = ChainParams::new(Chain::Main).magic;
    let mut rest = &include_bytes!("../data/mainnet-1-255.blk")[..];
    let mut blocks = Vec::new();
    while let Some(record) = rest.strip_prefix(&magic) {
        let (length, record) = record.split_first_chunk().unwrap();
        let (block, after) = record.split_at(u32::from_le_bytes(*length) as usize);
        blocks.push(deserialize(block).unwrap());
        rest = after;
    }
    assert!(rest.is_empty());
    blocks
}

fn full_block() -> Block {
    deserialize(include_bytes!("../data/mainnet-413567.raw")).unwrap()
}

#[test]
fn the_first_blocks_connect() {
    let mut chain = TestChain::new(ChainParams::new(Chain::Main));
    let mut work = Work::from_compact(chain.tip().bits);
    for block in first_blocks() {
        chain.now = block.header.time;
        chain
            .accept(&block)
            .unwrap_or_else(|error| panic!("{}: {error}", chain.height() + 1));
        work = work + Work::from_compact(block.header.bits.to_consensus());
    }
    eprintln!(
        "mainnet-1-255.blk: {} blocks, {} scripts",
        chain.height(),
        chain.scripts
    );
    assert_eq!(chain.height(), 255);
    assert_eq!(
        chain.tip().hash.to_string(),
        "00000000d0a75c861fabf9ff7b92022f60e4afeed9331fe5aa073d8e4706fe3c"
    );
    assert_eq!(work.value().low_u64(), 256 * 0x1_0001_0001);
    assert_eq!(chain.coins.len(), 260);
    let total: Amount = chain.coins.values().map(|coin| coin.output.value).sum();
    assert_eq!(total, Amount::from_sat(255 * 50 * 100_000_000));
    assert!(chain.scripts > 0);
}

#[test]
fn a_changed_signature_fails() {
    let mut chain = TestChain::new(ChainParams::new(Chain::Main));
    let blocks = first_blocks();
    // The first payment ever is in block 170.
    for block in &blocks[..169] {
        chain.now = block.header.time;
        chain.accept(block).unwrap();
    }
    let mut block = blocks[169].clone();
    let mut script_sig = block.txdata[1].input[0].script_sig.to_bytes();
    script_sig[20] ^= 1;
    block.txdata[1].input[0].script_sig = script_sig.into();

    // The header no longer commits to the block, which is not the header's fault.
    let error = chain.accept(&block).unwrap_err();
    assert_eq!(error, BlockError::MerkleRoot);
    assert_eq!(error.fault(), BlockFault::Mutated);
    assert!(is_mutated(&block, false));
    assert!(!is_mutated(&blocks[169], false));

    let context = ConnectContext {
        params: &chain.params,
        prev: &chain.headers,
        check_scripts: true,
    };
    let coins = |outpoint: &_| chain.coins.get(outpoint).cloned();
    let (_, jobs) = connect(&Arc::new(block), coins, &context).unwrap();
    let error = jobs[0].run().unwrap_err();
    let error = BlockError::from(jobs[0].failure(error));
    assert_eq!(
        error.reject_reason(),
        "block-script-verify-flag-failed (Script evaluated without error but finished with a \
         false/empty top stack element)"
    );
    assert!(
        error.debug_message().starts_with("input 0 of "),
        "{}",
        error.debug_message()
    );
    assert!(error.debug_message().ends_with(
        ", spending 0437cd7f8525ceed2324359c2d0ba26006d92d856a9c20fa0241106ee5a597c9:0"
    ));
}

#[test]
fn a_full_block_is_well_formed() {
    let block = full_block();
    let params = ChainParams::new(Chain::Main);
    assert_eq!(block.txdata.len(), 1557);
    check_block(&block, &CheckBlockOptions::default(), &params).unwrap();
    let context = BlockContext {
        params: &params,
        height: 413_567,
        prev_median_time: 0,
    };
    contextual_check_block(&block, &context).unwrap();
    assert_eq!(block::total_size(&block), 999_887);
    assert_eq!(block::base_size(&block), 999_887);
    assert_eq!(block::weight(&block), 4 * 999_887);

    let spends: usize = block.txdata.iter().skip(1).map(|tx| tx.input.len()).sum();
    let needed = prevouts_needed(&block).len();
    assert!(0 < needed && needed < spends, "{needed} of {spends}");

    let wrong_height = BlockContext {
        height: 413_568,
        ..context
    };
    assert_eq!(
        contextual_check_block(&block, &wrong_height).unwrap_err(),
        BlockError::CoinbaseHeight
    );
}

#[test]
fn a_full_block_with_transactions_repeated_is_mutated() {
    let params = ChainParams::new(Chain::Main);
    let mut block = full_block();
    // 1557 leaves: the last is paired with itself.
    block.txdata.push(block.txdata[1556].clone());
    let error = check_block(&block, &CheckBlockOptions::default(), &params).unwrap_err();
    assert_eq!(error, BlockError::DuplicateTransactions);
    assert_eq!(error.reject_reason(), "bad-txns-duplicate");
    assert_eq!(error.fault(), BlockFault::Mutated);

    block.txdata.swap(5, 6);
    let error = check_block(&block, &CheckBlockOptions::default(), &params).unwrap_err();
    assert_eq!(error, BlockError::MerkleRoot);
}
