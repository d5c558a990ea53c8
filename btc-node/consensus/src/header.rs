//! Rules for headers.

use std::borrow::Cow;

use bitcoin::BlockHash;
use bitcoin::block::Header;

use crate::ancestors::Ancestors;
use crate::fault::BlockFault;
use crate::limits::{MAX_FUTURE_BLOCK_TIME, MAX_TIMEWARP};
use crate::params::{BuriedDeployment, ChainParams};
use crate::pow::{meets_target, next_bits};

/// Why a header is not accepted.
///
/// The last four are for the room that keeps the tree of headers, so that it needs no error type
/// of its own for what peers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The hash does not meet the target, or the target is not one that the network allows.
    #[error("proof of work failed")]
    HighHash,
    /// The target is not the one that the chain before asks for.
    #[error("incorrect proof of work")]
    BadDifficultyBits,
    /// The time is not after the median time past.
    #[error("block's timestamp is too early")]
    TimeTooOld,
    /// The first block of a difficulty period is dated too far before the last (BIP 94).
    #[error("block's timestamp is too early on diff adjustment block")]
    Timewarp,
    /// The time is more than two hours ahead of the clock.
    #[error("block timestamp too far in the future")]
    TimeTooNew,
    /// The version is lower than a rule in force asks for.
    #[error("rejected nVersion=0x{0:08x} block")]
    BadVersion(i32),
    /// The header before it is not known.
    #[error("previous block not found")]
    PrevNotFound,
    /// The header before it is invalid.
    #[error("previous block invalid")]
    PrevInvalid,
    /// The header was found invalid before.
    #[error("block {0} was previously marked invalid")]
    DuplicateInvalid(BlockHash),
    /// The chain has too little work to be stored.
    #[error("too little chainwork")]
    TooLittleChainwork,
}

impl HeaderError {
    /// Bitcoin Core's reject reason.
    pub fn reject_reason(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::HighHash => "high-hash",
            Self::BadDifficultyBits => "bad-diffbits",
            Self::TimeTooOld => "time-too-old",
            Self::Timewarp => "time-timewarp-attack",
            Self::TimeTooNew => "time-too-new",
            Self::BadVersion(version) => return format!("bad-version(0x{version:08x})").into(),
            Self::PrevNotFound => "prev-blk-not-found",
            Self::PrevInvalid => "bad-prevblk",
            Self::DuplicateInvalid(_) => "duplicate-invalid",
            Self::TooLittleChainwork => "too-little-chainwork",
        })
    }

    /// What Bitcoin Core says besides the reason; empty where it says nothing.
    pub fn debug_message(&self) -> String {
        match self {
            Self::PrevNotFound | Self::PrevInvalid | Self::TooLittleChainwork => String::new(),
            error => error.to_string(),
        }
    }

    /// What the fault says about the header.
    pub const fn fault(&self) -> BlockFault {
        match self {
            Self::HighHash
            | Self::BadDifficultyBits
            | Self::TimeTooOld
            | Self::Timewarp
            | Self::BadVersion(_) => BlockFault::InvalidHeader,
            Self::TimeTooNew => BlockFault::TimeFuture,
            Self::PrevNotFound => BlockFault::MissingPrev,
            Self::PrevInvalid => BlockFault::InvalidPrev,
            Self::DuplicateInvalid(_) => BlockFault::CachedInvalid,
            Self::TooLittleChainwork => BlockFault::HeaderLowWork,
        }
    }
}

/// What a header is checked against.
#[derive(Clone, Copy)]
pub struct HeaderContext<'a> {
    /// The network.
    pub params: &'a ChainParams,
    /// The chain that ends in the block before.
    pub prev: &'a dyn Ancestors,
    /// The time at the node, in seconds since 1970.
    pub now: u32,
}

/// Checks that a header's hash meets its own target, and that the target is within the network's
/// limit. Needs no context, so it is the first thing to ask of a header from a peer.
///
/// # Errors
/// [`HeaderError::HighHash`].
pub fn check_proof_of_work(header: &Header, params: &ChainParams) -> Result<(), HeaderError> {
    if meets_target(&header.block_hash(), header.bits.to_consensus(), params) {
        Ok(())
    } else {
        Err(HeaderError::HighHash)
    }
}

/// Checks a header against the chain that it extends: difficulty, times and version.
///
/// # Errors
/// The first rule that is broken.
pub fn contextual_check_header(
    header: &Header,
    context: &HeaderContext<'_>,
) -> Result<(), HeaderError> {
    let HeaderContext { params, prev, now } = *context;
    let height = prev.height().saturating_add(1);
    if header.bits.to_consensus() != next_bits(prev, header.time, params) {
        return Err(HeaderError::BadDifficultyBits);
    }
    if header.time <= prev.median_time_past(prev.height()) {
        return Err(HeaderError::TimeTooOld);
    }
    if params.enforce_bip94 && height.is_multiple_of(params.difficulty_interval()) {
        let earliest = prev.ancestor(prev.height()).map_or(0, |tip| tip.time);
        if header.time < earliest.saturating_sub(MAX_TIMEWARP) {
            return Err(HeaderError::Timewarp);
        }
    }
    if header.time > now.saturating_add(MAX_FUTURE_BLOCK_TIME) {
        return Err(HeaderError::TimeTooNew);
    }
    let version = header.version.to_consensus();
    let outdated = [
        (2, BuriedDeployment::HeightInCoinbase),
        (3, BuriedDeployment::DerSig),
        (4, BuriedDeployment::Cltv),
    ]
    .into_iter()
    .any(|(needed, rule)| version < needed && params.is_active(rule, height));
    if outdated {
        return Err(HeaderError::BadVersion(version));
    }
    Ok(())
}
