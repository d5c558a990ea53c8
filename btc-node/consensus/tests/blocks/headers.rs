//! Headers that break one rule each.

use bitcoin::CompactTarget;
use bitcoin::block::{Header, Version};
use btc_consensus::{
    BlockError, BlockFault, Chain, ChainParams, HeaderContext, HeaderError, contextual_check_header,
};

use crate::chain::TestChain;

fn regtest() -> ChainParams {
    ChainParams::new(Chain::Regtest)
}

/// The error for the next block with its header changed and mined again.
fn refusal(chain: &mut TestChain, change: impl FnOnce(&mut Header)) -> BlockError {
    let mut block = chain.block(Vec::new());
    change(&mut block.header);
    chain.mine(&mut block);
    chain
        .accept(&block)
        .expect_err("the header must be refused")
}

fn assert_refused(error: &BlockError, reason: &str, message: &str, fault: BlockFault) {
    assert_eq!(error.reject_reason(), reason);
    assert_eq!(error.debug_message(), message);
    assert_eq!(error.fault(), fault);
}

#[test]
fn too_little_work() {
    let mut chain = TestChain::with_blocks(regtest(), 1);
    let mut block = chain.block(Vec::new());
    while btc_consensus::header::check_proof_of_work(&block.header, &chain.params).is_ok() {
        block.header.nonce += 1;
    }
    let error = chain.accept(&block).unwrap_err();
    assert_refused(
        &error,
        "high-hash",
        "proof of work failed",
        BlockFault::InvalidHeader,
    );
}

#[test]
fn a_target_beyond_the_limit() {
    let mut chain = TestChain::with_blocks(regtest(), 1);
    let mut block = chain.block(Vec::new());
    for bits in [
        0,
        0x2080_0000,
        0x2100_ffff,
        0xff00_ffff,
        0x0380_0001,
        0x20ff_ffff,
    ] {
        block.header.bits = CompactTarget::from_consensus(bits);
        assert_eq!(
            chain.accept(&block),
            Err(BlockError::Header(HeaderError::HighHash)),
            "{bits:x}"
        );
    }
}

#[test]
fn another_target_than_the_chains() {
    let mut chain = TestChain::with_blocks(regtest(), 1);
    let error = refusal(&mut chain, |header| {
        header.bits = CompactTarget::from_consensus(0x207f_fffe)
    });
    assert_refused(
        &error,
        "bad-diffbits",
        "incorrect proof of work",
        BlockFault::InvalidHeader,
    );
}

#[test]
fn times() {
    let mut chain = TestChain::with_blocks(regtest(), 12);
    let median = chain.headers[7].time;
    let error = refusal(&mut chain, |header| header.time = median);
    let message = "block's timestamp is too early";
    assert_refused(&error, "time-too-old", message, BlockFault::InvalidHeader);

    let now = chain.now;
    let error = refusal(&mut chain, |header| header.time = now + 7201);
    let message = "block timestamp too far in the future";
    assert_refused(&error, "time-too-new", message, BlockFault::TimeFuture);

    for time in [median + 1, now + 7200] {
        let mut chain = TestChain::with_blocks(regtest(), 12);
        let mut block = chain.block(Vec::new());
        block.header.time = time;
        chain.mine(&mut block);
        assert_eq!(chain.accept(&block), Ok(()));
    }
}

#[test]
fn versions() {
    let params = regtest()
        .with_activation_height("bip34".parse().unwrap(), 2)
        .with_activation_height("dersig".parse().unwrap(), 3)
        .with_activation_height("cltv".parse().unwrap(), 4);
    let mut chain = TestChain::new(params);
    for (height, lowest) in [(1, i32::MIN), (2, 2), (3, 3), (4, 4), (5, 4)] {
        if let Some(lower) = lowest.checked_sub(1) {
            let error = refusal(&mut chain, |header| {
                header.version = Version::from_consensus(lower)
            });
            let reason = format!("bad-version(0x{lower:08x})");
            let message = format!("rejected nVersion=0x{lower:08x} block");
            assert_refused(&error, &reason, &message, BlockFault::InvalidHeader);
        }
        let mut block = chain.block(Vec::new());
        block.header.version = Version::from_consensus(lowest);
        chain.mine(&mut block);
        assert_eq!(chain.accept(&block), Ok(()), "height {height}");
    }
}

/// With BIP 94 the first block of a period may not be dated long before the last of the one
/// before, though the median would allow it.
#[test]
fn time_warp() {
    let context_of = |params: ChainParams, step: u32| {
        let mut chain = TestChain::with_blocks(params, 142);
        chain.now += 10_000;
        let mut last = chain.block(Vec::new());
        last.header.time = chain.tip().time + 5000;
        chain.mine(&mut last);
        chain.accept(&last).unwrap();
        assert_eq!(chain.height(), 143);
        let mut block = chain.block(Vec::new());
        block.header.time = last.header.time - step;
        chain.mine(&mut block);
        chain.accept(&block)
    };
    assert_eq!(context_of(regtest(), 601), Ok(()));
    assert_eq!(context_of(regtest().with_bip94(), 600), Ok(()));
    let error = context_of(regtest().with_bip94(), 601).unwrap_err();
    assert_refused(
        &error,
        "time-timewarp-attack",
        "block's timestamp is too early on diff adjustment block",
        BlockFault::InvalidHeader,
    );
}

#[test]
fn what_the_tree_of_headers_says() {
    let hash = regtest().genesis_hash;
    for (error, reason, message, fault) in [
        (
            HeaderError::PrevNotFound,
            "prev-blk-not-found",
            String::new(),
            BlockFault::MissingPrev,
        ),
        (
            HeaderError::PrevInvalid,
            "bad-prevblk",
            String::new(),
            BlockFault::InvalidPrev,
        ),
        (
            HeaderError::DuplicateInvalid(hash),
            "duplicate-invalid",
            format!("block {hash} was previously marked invalid"),
            BlockFault::CachedInvalid,
        ),
        (
            HeaderError::TooLittleChainwork,
            "too-little-chainwork",
            String::new(),
            BlockFault::HeaderLowWork,
        ),
    ] {
        assert_refused(&BlockError::from(error), reason, &message, fault);
    }
}

#[test]
fn the_clock_may_be_anywhere() {
    let chain = TestChain::with_blocks(regtest(), 1);
    let header = chain.block(Vec::new()).header;
    let check = |now| {
        let context = HeaderContext {
            params: &chain.params,
            prev: &chain.headers,
            now,
        };
        contextual_check_header(&header, &context)
    };
    assert_eq!(check(u32::MAX), Ok(()));
    assert_eq!(check(0), Err(HeaderError::TimeTooNew));
}
