//! What a transaction should pay, by what was mined lately and by what the next block would take.

use super::template::{MAX_BLOCK_WEIGHT, TemplateOptions, chunk_feerates};
use crate::chainstate::ChainstateManager;
use crate::mempool::fees::{Health, Horizon};
use crate::mempool::{Feerate, Mempool};

/// The target in blocks of estimates from the mempool: it says nothing of later ones.
const MEMPOOL_TARGET: u32 = 2;

/// Where an estimate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// How long transactions of each feerate waited.
    BlockPolicy,
    /// What the mempool holds now.
    Mempool,
}

impl Source {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::BlockPolicy => "block_policy",
            Self::Mempool => "mempool_policy",
        }
    }

    /// The source of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::BlockPolicy, Self::Mempool];
        all.into_iter().find(|source| source.name() == name)
    }
}

/// A feerate to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// In sat for vB.
    pub feerate: Feerate,
    /// Blocks within which it is likely to be enough.
    pub target: u32,
    /// Where it comes from.
    pub source: Source,
}

/// Why there is no estimate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEstimate {
    /// This node does not estimate, since it takes no transactions from peers.
    #[error("Fee estimation disabled")]
    Disabled,
    /// Too little was seen for this target or, if none is named, for any.
    #[error("Insufficient data or no feerate found")]
    InsufficientData {
        /// The target in blocks that was looked at.
        target: u32,
    },
    /// `mempool.dat` is still being read.
    #[error("mempool_policy: Mempool not loaded yet, no fee rate estimate available")]
    NotLoaded,
    /// Too few blocks have come since the start.
    #[error("mempool_policy: Not enough recent block data for fee rate estimation")]
    TooFewBlocks,
    /// The last blocks held too much that the mempool did not know.
    #[error("mempool_policy: Mempool is unreliable for fee rate estimation")]
    Unreliable,
}

impl NoEstimate {
    /// The target in blocks that was looked at.
    pub fn target(&self) -> u32 {
        match self {
            Self::InsufficientData { target } => *target,
            _ => MEMPOOL_TARGET,
        }
    }
}

/// The greatest target of any estimate, in blocks.
///
/// # Errors
/// [`NoEstimate::Disabled`].
pub fn max_target(mempool: &Mempool) -> Result<u32, NoEstimate> {
    mempool
        .fees(|fees| fees.block_policy.max_target(Horizon::Long))
        .ok_or(NoEstimate::Disabled)
}

/// What to pay to be mined within `target` blocks, by one source or by the cheaper of both. A `conservative` estimate
/// is slower to follow falling prices.
///
/// # Errors
/// See [`NoEstimate`]. Without a source named both must have an estimate.
pub fn estimate(
    chain: &ChainstateManager,
    mempool: &Mempool,
    source: Option<Source>,
    target: u32,
    conservative: bool,
) -> Result<Estimate, NoEstimate> {
    let by_history = || by_history(mempool, target, conservative);
    let by_mempool = || by_mempool(chain, mempool, conservative);
    match source {
        Some(Source::BlockPolicy) => by_history(),
        Some(Source::Mempool) => by_mempool(),
        None => {
            let (history, mempool) = (by_history()?, by_mempool()?);
            Ok(if mempool.feerate < history.feerate {
                mempool
            } else {
                history
            })
        }
    }
}

fn by_history(mempool: &Mempool, target: u32, conservative: bool) -> Result<Estimate, NoEstimate> {
    let (feerate, target) = mempool
        .fees(|fees| fees.block_policy.estimate(target, conservative))
        .ok_or(NoEstimate::Disabled)?;
    Ok(Estimate {
        feerate: feerate
            .filter(|feerate| *feerate != 0)
            .map(Feerate::from_sat_per_kvb)
            .ok_or(NoEstimate::InsufficientData { target })?,
        target,
        source: Source::BlockPolicy,
    })
}

fn by_mempool(
    chain: &ChainstateManager,
    mempool: &Mempool,
    conservative: bool,
) -> Result<Estimate, NoEstimate> {
    let health = mempool
        .fees(|fees| fees.coverage.health())
        .ok_or(NoEstimate::Disabled)?;
    let info = mempool.info();
    if !info.loaded {
        return Err(NoEstimate::NotLoaded);
    }
    match health {
        Health::Healthy => {}
        Health::TooFewBlocks => return Err(NoEstimate::TooFewBlocks),
        Health::LowCoverage => return Err(NoEstimate::Unreliable),
    }
    let mut feerates = chunk_feerates(chain, mempool, &TemplateOptions::default());
    // Sizes were rounded up, which may have put neighbours out of order.
    feerates.sort_by(|a, b| b.cmp_ratio(a));
    // What is in the first half of the block is safer than what is in the third quarter.
    let depth = if conservative {
        MAX_BLOCK_WEIGHT / 2
    } else {
        MAX_BLOCK_WEIGHT * 3 / 4
    };
    Ok(Estimate {
        // A block that would not be so full takes whatever is relayed.
        feerate: at_depth(&feerates, depth).unwrap_or(info.min_feerate),
        target: MEMPOOL_TARGET,
        source: Source::Mempool,
    })
}

/// The feerate of the chunk at which a block holds this weight, in weight units.
fn at_depth(feerates: &[Feerate], depth: u64) -> Option<Feerate> {
    let mut weight = 0u64;
    feerates.iter().copied().find(|feerate| {
        weight = weight.saturating_add(feerate.size.unsigned_abs().saturating_mul(4));
        weight >= depth
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_of_a_block_decides() {
        let feerates: Vec<Feerate> = (1..=10)
            .rev()
            .map(|rate| Feerate::new(rate * 100_000, 100_000))
            .collect();
        assert_eq!(at_depth(&feerates, 2_000_000), Some(feerates[4]));
        assert_eq!(at_depth(&feerates, 3_000_000), Some(feerates[7]));
        assert_eq!(at_depth(&feerates[..3], 3_000_000), None);
    }
}
