//! The estimators against histories whose answer is plain.

use super::file::{
    FileError, decode_block_policy, decode_coverage, encode_block_policy, encode_coverage,
};
use super::policy::Horizon;
use super::{BlockPolicy, Coverage, Health, MinedBlock, Observed};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Txid};
use proptest::prelude::*;

fn observed(number: u32, feerate: i64, height: u32) -> Observed {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_le_bytes());
    Observed {
        txid: Txid::from_byte_array(id),
        feerate,
        height,
        weight: 400,
    }
}

/// `blocks` blocks from height 1 on; in each, ten transactions of every feerate come in, and are mined `delay` blocks
/// later.
fn history(blocks: u32, feerates: &[(i64, u32)]) -> BlockPolicy {
    let mut policy = BlockPolicy::default();
    let mut pending: Vec<(u32, Observed)> = Vec::new();
    let mut number = 0;
    for height in 1..=blocks {
        let due: Vec<Observed> = pending
            .iter()
            .filter(|(when, _)| *when == height)
            .map(|(_, tx)| *tx)
            .collect();
        policy.block(height, &due);
        for (feerate, delay) in feerates {
            for _ in 0..10 {
                number += 1;
                let tx = observed(number, *feerate, height);
                policy.added(&tx);
                pending.push((height + delay, tx));
            }
        }
    }
    policy
}

#[test]
fn without_history_there_is_no_estimate() {
    let policy = BlockPolicy::default();
    assert_eq!(policy.estimate(6, false), (None, 0));
    assert_eq!(policy.estimate(1009, false), (None, 1009));
    assert_eq!(policy.max_target(Horizon::Long), 1008);
    let raw = policy.estimate_raw(2, 0.95, Horizon::Short).unwrap();
    assert_eq!((raw.feerate, raw.pass), (None, None));
    assert!(policy.estimate_raw(13, 0.95, Horizon::Short).is_none());
}

#[test]
fn the_cheap_and_slow_is_for_those_who_can_wait() {
    let policy = history(60, &[(10_000, 1), (1_000, 8)]);
    assert_eq!(policy.estimate(2, false), (Some(10_000), 2));
    assert_eq!(policy.estimate(1, false), (Some(10_000), 2));
    assert_eq!(policy.estimate(20, false), (Some(1_000), 20));
    // Fifty-eight blocks of data tell of no more than half of them.
    assert_eq!(policy.estimate(1008, false).1, 29);
}

#[test]
fn what_leaves_unmined_counts_against_its_feerate() {
    let mut policy = history(60, &[(10_000, 1), (1_000, 1)]);
    assert_eq!(policy.estimate(2, false).0, Some(1_000));
    let mut number = 1_000_000;
    for height in 61..80 {
        policy.block(height, &[]);
        for _ in 0..100 {
            number += 1;
            policy.added(&observed(number, 1_000, height));
        }
    }
    policy.drop_waiting();
    let (feerate, _) = policy.estimate(2, false);
    assert_ne!(feerate, Some(1_000));
}

#[test]
fn transactions_off_the_tip_are_not_counted() {
    let mut policy = BlockPolicy::default();
    policy.block(10, &[]);
    let tx = observed(1, 5_000, 9);
    policy.added(&tx);
    policy.block(11, &[tx]);
    assert_eq!(policy.first_recorded, 0);
}

#[test]
fn files_say_what_is_wrong_with_them() {
    let bytes = encode_block_policy(&history(30, &[(5_000, 1)]));
    let mut newer = bytes.clone();
    newer[..4].copy_from_slice(&400_000i32.to_le_bytes());
    assert_eq!(
        decode_block_policy(&newer).unwrap_err(),
        FileError::TooNew(400_000)
    );
    for cut in [0, 3, 15, 100, bytes.len() - 1] {
        assert!(decode_block_policy(&bytes[..cut]).is_err());
    }
}

#[test]
fn the_mempool_is_trusted_if_it_knew_the_last_blocks() {
    let mut coverage = Coverage::default();
    let block = |height, known_weight| MinedBlock {
        height,
        known_weight,
        weight: 4_000_000,
    };
    let hash = BlockHash::from_byte_array([7; 32]);
    for height in 1..=5 {
        coverage.block(block(height, 3_500_000), hash);
        assert_eq!(coverage.health(), Health::TooFewBlocks);
    }
    coverage.block(block(6, 3_500_000), hash);
    assert_eq!(coverage.health(), Health::Healthy);
    for height in 7..=9 {
        coverage.block(block(height, 0), hash);
    }
    assert_eq!(coverage.health(), Health::LowCoverage);
    assert_eq!(coverage.blocks().len(), 6);
    let read = decode_coverage(&encode_coverage(&coverage)).unwrap();
    assert_eq!(read, coverage);
    assert!(read.ends_at(9, hash) && !read.ends_at(9, BlockHash::all_zeros()));
    // Another branch, then a gap.
    coverage.block(block(8, 0), hash);
    assert_eq!(coverage.blocks().last().unwrap().height, 8);
    coverage.block(block(20, 0), hash);
    assert_eq!(coverage.blocks().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// What is written and read again answers for the same targets, and is written the same.
    #[test]
    fn estimates_survive_the_file(
        blocks in 2u32..80,
        feerates in prop::collection::vec((100i64..1_000_000, 1u32..12), 1..4),
        target in 1u32..60,
        conservative: bool,
    ) {
        let policy = history(blocks, &feerates);
        let read = decode_block_policy(&encode_block_policy(&policy)).unwrap();
        let answered = policy.estimate(target, conservative).1;
        prop_assert_eq!(read.estimate(target, conservative).1, answered);
        prop_assert_eq!(encode_block_policy(&read), encode_block_policy(&policy));
    }

    /// No bytes make the reader fail otherwise than by an error.
    #[test]
    fn any_bytes_are_an_error_or_an_estimator(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_coverage(&bytes);
        if bytes.len() > 4 {
            bytes[..4].copy_from_slice(&309_900i32.to_le_bytes());
        }
        let _ = decode_block_policy(&bytes);
    }
}
