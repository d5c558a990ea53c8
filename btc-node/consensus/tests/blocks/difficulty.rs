//! How difficulty follows the clock on each network.

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use btc_consensus::pow::{
    CompactError, Target, Work, equivalent_time, is_permitted_transition, next_bits,
};
use btc_consensus::uint256::U256;
use btc_consensus::{Chain, ChainParams, HeaderInfo};
use proptest::prelude::*;

const LIMIT: u32 = 0x1d00_ffff;

fn header(time: u32, bits: u32) -> HeaderInfo {
    HeaderInfo {
        hash: BlockHash::all_zeros(),
        time,
        bits,
        version: 4,
    }
}

/// A full period with these bits that took `span` seconds from its first block to its last.
fn period(bits: u32, span: u32) -> Vec<HeaderInfo> {
    let start = 1_500_000_000;
    let step = span / 2015;
    let mut headers: Vec<_> = (0..2016)
        .map(|height| header(start + height * step, bits))
        .collect();
    headers[2015].time = start + span;
    headers
}

/// Retargets of mainnet, by the times and bits of the periods' ends.
#[test]
fn retargets_of_mainnet() {
    let params = ChainParams::new(Chain::Main);
    for (first, last, bits, expected) in [
        // Block 32256, the first that changed anything.
        (1_261_130_161, 1_262_152_739, 0x1d00_ffff, 0x1d00_d86a),
        // Block 2016: mining was too slow, but the limit is the limit.
        (1_231_006_505, 1_233_061_996, 0x1d00_ffff, 0x1d00_ffff),
        // Block 68544: a factor of nearly four is not exceeded.
        (1_279_008_237, 1_279_297_671, 0x1c05_a3f4, 0x1c01_68fd),
        // A period of more than four times its length counts as that.
        (1_263_163_443, 1_269_211_443, 0x1c38_7f6f, 0x1d00_e1fd),
    ] {
        let mut headers = period(bits, 0);
        headers[0].time = first;
        headers[2015].time = last;
        assert_eq!(
            next_bits(&headers, last + 600, &params),
            expected,
            "{bits:x}"
        );
        assert!(is_permitted_transition(&params, 2016, bits, expected));
        assert_eq!(next_bits(&headers[..2015].to_vec(), last, &params), bits);
    }
}

#[test]
fn a_late_block_on_testnet_may_be_easy() {
    let params = ChainParams::new(Chain::Testnet3);
    let mut headers = period(0x1c00_ffff, 600 * 2015);
    headers.truncate(100);
    let tip = headers[99].time;
    assert_eq!(next_bits(&headers, tip + 1200, &params), 0x1c00_ffff);
    assert_eq!(next_bits(&headers, tip + 1201, &params), LIMIT);
    // After easy blocks comes the last difficulty that was not.
    headers.push(header(tip + 1201, LIMIT));
    headers.push(header(tip + 2500, LIMIT));
    assert_eq!(next_bits(&headers, tip + 2600, &params), 0x1c00_ffff);
    // All the way back to the period's start, whatever that has.
    for header in &mut headers[1..] {
        header.bits = LIMIT;
    }
    assert_eq!(next_bits(&headers, tip + 2600, &params), 0x1c00_ffff);
    assert!(is_permitted_transition(&params, 100, 0x1c00_ffff, LIMIT));
}

#[test]
fn an_easy_last_block_loses_the_difficulty_but_on_testnet4() {
    let mut headers = period(0x1c00_ffff, 14 * 24 * 60 * 60);
    headers[2015].bits = LIMIT;
    let time = headers[2015].time + 600;
    assert_eq!(
        next_bits(&headers, time, &ChainParams::new(Chain::Testnet3)),
        LIMIT
    );
    assert_eq!(
        next_bits(&headers, time, &ChainParams::new(Chain::Testnet4)),
        0x1c00_ffff
    );
}

#[test]
fn regtest_never_changes() {
    let params = ChainParams::new(Chain::Regtest);
    let headers = vec![header(1_500_000_000, 0x207f_ffff); 144];
    assert_eq!(next_bits(&headers, 1_600_000_000, &params), 0x207f_ffff);
    assert_eq!(
        next_bits(&headers[..100].to_vec(), 1_600_000_000, &params),
        0x207f_ffff
    );
}

#[test]
fn transitions() {
    let params = ChainParams::new(Chain::Main);
    assert!(!is_permitted_transition(
        &params,
        2017,
        0x1c05_a3f4,
        0x1c05_a3f3
    ));
    assert!(is_permitted_transition(
        &params,
        2017,
        0x1c05_a3f4,
        0x1c05_a3f4
    ));
    assert!(is_permitted_transition(
        &params,
        2016,
        0x1c05_a3f4,
        0x1c01_68fd
    ));
    assert!(!is_permitted_transition(
        &params,
        2016,
        0x1c05_a3f4,
        0x1c01_68fc
    ));
    assert!(is_permitted_transition(
        &params,
        2016,
        0x1c38_7f6f,
        0x1d00_e1fd
    ));
    assert!(!is_permitted_transition(
        &params,
        2016,
        0x1c38_7f6f,
        0x1d00_e1fe
    ));
}

#[test]
fn compact_forms() {
    for (bits, value) in [
        (0x0112_3456, 0x12),
        (0x0200_8000, 0x80),
        (0x0212_3456, 0x1234),
        (0x0312_3456, 0x12_3456),
        (0x0412_3456, 0x1234_5600),
        (0x0500_9234, 0x9234_0000),
    ] {
        let target = Target::from_compact(bits).unwrap();
        assert_eq!(target.value(), U256::from(value), "{bits:x}");
    }
    for (bits, error) in [
        (0, CompactError::Zero),
        (0x0100_3456, CompactError::Zero),
        (0x0180_3456, CompactError::Zero),
        (0x01fe_dcba, CompactError::Negative),
        (0x0492_3456, CompactError::Negative),
        (0x2212_3456, CompactError::Overflow),
        (0xff12_3456, CompactError::Overflow),
        (0x2300_0001, CompactError::Overflow),
    ] {
        assert_eq!(Target::from_compact(bits), Err(error), "{bits:x}");
    }
    assert!(Target::from_compact(0x2200_00ff).is_ok());
    assert!(Target::from_compact(0x2100_ffff).is_ok());
}

#[test]
fn work() {
    assert_eq!(Work::from_compact(LIMIT).value(), U256::from(0x1_0001_0001));
    assert_eq!(Work::from_compact(0x207f_ffff).value(), U256::from(2));
    assert_eq!(Work::from_compact(0), Work::ZERO);
    assert_eq!(Work::from_compact(0x0492_3456), Work::ZERO);
    let one = Target::new(U256::ONE).work();
    assert_eq!(one.value(), U256::ONE << 255);
    assert_eq!(Target::new(U256::MAX).work().value(), U256::ONE);

    let params = ChainParams::new(Chain::Main);
    let unit = Work::from_compact(LIMIT);
    let three = unit + unit + unit;
    assert_eq!(equivalent_time(three, unit, LIMIT, &params), 1200);
    assert_eq!(equivalent_time(unit, three, LIMIT, &params), -1200);
}

proptest! {
    #[test]
    fn compact_form_keeps_what_it_can(bytes: [u8; 32], shift in 0..256u32) {
        let value = U256::from_le_bytes(bytes) >> shift;
        prop_assume!(value != U256::ZERO);
        let compact = Target::new(value).to_compact();
        let rounded = Target::from_compact(compact).unwrap();
        prop_assert!(rounded.value() <= value);
        prop_assert_eq!(rounded.to_compact(), compact);
        // Sixteen significant bits at least are kept.
        let kept = value.bits().saturating_sub(16);
        prop_assert_eq!(rounded.value() >> kept, value >> kept);
    }

    #[test]
    fn any_bits_are_a_target_or_an_error(bits: u32) {
        if let Ok(target) = Target::from_compact(bits) {
            prop_assert_eq!(Target::from_compact(target.to_compact()), Ok(target));
            prop_assert!(target.work() > Work::ZERO);
        }
    }

    #[test]
    fn a_retarget_is_always_permitted(span in 0..10_000_000u32, word in 0x8000..0x7f_ffffu32, size in 4..0x1du32) {
        let params = ChainParams::new(Chain::Main);
        let bits = size << 24 | word;
        prop_assume!(Target::from_compact(bits).unwrap() <= params.pow_limit);
        let headers = period(bits, span);
        let next = next_bits(&headers, headers[2015].time + 1, &params);
        prop_assert!(is_permitted_transition(&params, 2016, bits, next));
        prop_assert!(Target::from_compact(next).unwrap() <= params.pow_limit);
    }
}
