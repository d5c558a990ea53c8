//! Agreement of miners on a change, by bits of the header's version (BIP 9).

use std::collections::HashMap;

use bitcoin::BlockHash;

use crate::ancestors::{Ancestors, HeaderInfo};
use crate::params::{Bip9Deployment, ChainParams, Deployment};

/// The version's top bits that say that the rest are signals.
pub const TOP_BITS: i32 = 0x2000_0000;
/// Which bits those are.
const TOP_MASK: i32 = 0xe000_0000_u32.cast_signed();

/// How many of the lowest bits are for signals (BIP 323).
const SIGNAL_BITS: u8 = 5;

/// How far a change has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ThresholdState {
    /// Signals do not count yet.
    Defined,
    /// Signals count.
    Started,
    /// Enough signals were seen; the change comes into force after a period at least.
    LockedIn,
    /// The change is in force.
    Active,
    /// Time ran out before there were enough signals.
    Failed,
}

impl ThresholdState {
    /// The name in `getdeploymentinfo`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Defined => "defined",
            Self::Started => "started",
            Self::LockedIn => "locked_in",
            Self::Active => "active",
            Self::Failed => "failed",
        }
    }
}

/// The signals in a period so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signals {
    /// The blocks of the period that exist, oldest first: whether each signals.
    pub blocks: Vec<bool>,
    /// How many of them do.
    pub count: u32,
    /// Whether the threshold can still be reached in this period.
    pub possible: bool,
}

/// A bit that miners agree to use for a change that this node does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownActivation {
    /// The bit of the version.
    pub bit: u8,
    /// Whether the change is likely in force, and not only agreed on.
    pub active: bool,
}

/// What a state is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Subject {
    /// A deployment of the network.
    Known(Deployment),
    /// A bit, as far as it signals for no deployment.
    Unknown(u8),
}

/// States that were computed, by the last block of the period before.
///
/// One for each set of parameters. It grows by an entry per period and deployment; kept from call
/// to call it saves looking at more than the last period.
#[derive(Clone, Debug, Default)]
pub struct ThresholdCache(HashMap<(Subject, BlockHash), ThresholdState>);

impl ThresholdCache {
    /// The state for the block after the one at `height` on `chain`; `None` for the genesis block.
    pub fn state_after(
        &mut self,
        params: &ChainParams,
        deployment: Deployment,
        chain: &dyn Ancestors,
        height: Option<u32>,
    ) -> ThresholdState {
        let schedule = params.deployment(deployment);
        self.state_of(Subject::Known(deployment), schedule, params, chain, height)
    }

    fn state_of(
        &mut self,
        subject: Subject,
        schedule: &Bip9Deployment,
        params: &ChainParams,
        chain: &dyn Ancestors,
        height: Option<u32>,
    ) -> ThresholdState {
        match schedule.start_time {
            Bip9Deployment::ALWAYS_ACTIVE => return ThresholdState::Active,
            Bip9Deployment::NEVER_ACTIVE => return ThresholdState::Failed,
            _ => {}
        }
        // The state of a whole period follows from the last block of the one before.
        let mut pending = Vec::new();
        let mut state = ThresholdState::Defined;
        let mut end = height.and_then(|height| period_end(schedule, height));
        while let Some((height, header)) = end.and_then(|end| Some((end, chain.ancestor(end)?))) {
            if let Some(known) = self.0.get(&(subject, header.hash)) {
                state = *known;
                break;
            }
            if i64::from(chain.median_time_past(height)) < schedule.start_time {
                self.0
                    .insert((subject, header.hash), ThresholdState::Defined);
                break;
            }
            pending.push((height, header.hash));
            end = height.checked_sub(schedule.period);
        }
        for (height, hash) in pending.into_iter().rev() {
            let time = i64::from(chain.median_time_past(height));
            state = next_state(schedule, state, time, height, || {
                self.count(subject, schedule, params, chain, height)
            });
            self.0.insert((subject, hash), state);
        }
        state
    }

    /// The signals in the period that ends at `end`.
    fn count(
        &mut self,
        subject: Subject,
        schedule: &Bip9Deployment,
        params: &ChainParams,
        chain: &dyn Ancestors,
        end: u32,
    ) -> u32 {
        if let Subject::Known(_) = subject {
            return signals(schedule, chain, end).count;
        }
        let first = (end + 1)
            .saturating_sub(schedule.period)
            .max(params.min_bip9_warning_height);
        let mut count = 0;
        for height in first..=end {
            let unexpected = chain.ancestor(height).is_some_and(|header| {
                is_signal(schedule, &header)
                    && self.version_after(params, chain, height.checked_sub(1)) & mask(schedule)
                        == 0
            });
            count += u32::from(unexpected);
        }
        count
    }

    /// The bits that miners agree to use, up to the tip of `chain`, for changes that are not among
    /// the network's deployments: cause to warn that this node may be out of date.
    pub fn unknown_activations(
        &mut self,
        params: &ChainParams,
        chain: &dyn Ancestors,
    ) -> Vec<UnknownActivation> {
        let interval = params.difficulty_interval();
        let (period, threshold) = if params.chain.is_test() {
            (interval, (u64::from(interval) * 3 / 4) as u32)
        } else {
            (2016, 1815)
        };
        let agreed = |bit| {
            let schedule = Bip9Deployment {
                bit,
                start_time: 0,
                timeout: Bip9Deployment::NO_TIMEOUT,
                min_activation_height: 0,
                period,
                threshold,
            };
            let height = Some(chain.height());
            match self.state_of(Subject::Unknown(bit), &schedule, params, chain, height) {
                ThresholdState::LockedIn => Some(UnknownActivation { bit, active: false }),
                ThresholdState::Active => Some(UnknownActivation { bit, active: true }),
                _ => None,
            }
        };
        (0..SIGNAL_BITS).filter_map(agreed).collect()
    }

    /// The height of the first block with the state that the block after `height` has.
    pub fn since(
        &mut self,
        params: &ChainParams,
        deployment: Deployment,
        chain: &dyn Ancestors,
        height: Option<u32>,
    ) -> u32 {
        let schedule = params.deployment(deployment);
        let fixed = [Bip9Deployment::ALWAYS_ACTIVE, Bip9Deployment::NEVER_ACTIVE];
        let state = self.state_after(params, deployment, chain, height);
        if fixed.contains(&schedule.start_time) || state == ThresholdState::Defined {
            return 0;
        }
        let Some(mut end) = height.and_then(|height| period_end(schedule, height)) else {
            return 0;
        };
        while let Some(before) = end.checked_sub(schedule.period) {
            if self.state_after(params, deployment, chain, Some(before)) != state {
                break;
            }
            end = before;
        }
        end + 1
    }

    /// The version for a block on top of `chain`: a signal for every change that is under way.
    pub fn block_version(&mut self, params: &ChainParams, chain: &dyn Ancestors) -> i32 {
        self.version_after(params, chain, Some(chain.height()))
    }

    fn version_after(
        &mut self,
        params: &ChainParams,
        chain: &dyn Ancestors,
        height: Option<u32>,
    ) -> i32 {
        let mut version = TOP_BITS;
        for deployment in Deployment::ALL {
            let state = self.state_after(params, deployment, chain, height);
            if matches!(state, ThresholdState::Started | ThresholdState::LockedIn) {
                version |= mask(params.deployment(deployment));
            }
        }
        version
    }
}

/// The signals for a deployment in the period of the block at `height`, up to that block.
pub fn signals(schedule: &Bip9Deployment, chain: &dyn Ancestors, height: u32) -> Signals {
    let first = height - height.checked_rem(schedule.period).unwrap_or(0);
    let blocks: Vec<bool> = (first..=height)
        .map_while(|height| chain.ancestor(height))
        .map(|header| is_signal(schedule, &header))
        .collect();
    let count = blocks.iter().filter(|signal| **signal).count() as u32;
    let missing = blocks.len() as u32 - count;
    let possible = schedule.period.saturating_sub(schedule.threshold) >= missing;
    Signals {
        blocks,
        count,
        possible,
    }
}

/// The bit of the version that signals.
pub const fn mask(schedule: &Bip9Deployment) -> i32 {
    1 << (schedule.bit & 31)
}

/// The last block of the last full period up to `height`; `None` if there is none.
fn period_end(schedule: &Bip9Deployment, height: u32) -> Option<u32> {
    let blocks = u64::from(height) + 1;
    let rest = blocks.checked_rem(u64::from(schedule.period))?;
    u32::try_from(blocks - rest).ok()?.checked_sub(1)
}

/// The state of the period after the one that ends at `height` with the median time `time`, and
/// whose own state is `state`. `count` is asked for its signals where they matter.
fn next_state(
    schedule: &Bip9Deployment,
    state: ThresholdState,
    time: i64,
    height: u32,
    count: impl FnOnce() -> u32,
) -> ThresholdState {
    match state {
        ThresholdState::Defined if time >= schedule.start_time => ThresholdState::Started,
        ThresholdState::Started if count() >= schedule.threshold => ThresholdState::LockedIn,
        ThresholdState::Started if time >= schedule.timeout => ThresholdState::Failed,
        ThresholdState::LockedIn if height + 1 >= schedule.min_activation_height => {
            ThresholdState::Active
        }
        unchanged => unchanged,
    }
}

fn is_signal(schedule: &Bip9Deployment, header: &HeaderInfo) -> bool {
    header.version & TOP_MASK == TOP_BITS && header.version & mask(schedule) != 0
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;

    use super::*;
    use crate::params::{Chain, VersionBitsParameters};

    const BIT: i32 = TOP_BITS | 1 << 28;

    /// Headers a minute apart, with these versions.
    fn chain(versions: impl IntoIterator<Item = i32>) -> Vec<HeaderInfo> {
        (0u32..)
            .zip(versions)
            .map(|(height, version)| {
                let mut hash = [0; 32];
                hash[..4].copy_from_slice(&height.to_le_bytes());
                HeaderInfo {
                    hash: BlockHash::from_byte_array(hash),
                    time: 1000 + height * 60,
                    bits: 0,
                    version,
                }
            })
            .collect()
    }

    fn states(params: &ChainParams, chain: &[HeaderInfo]) -> Vec<ThresholdState> {
        let mut cache = ThresholdCache::default();
        let periods = chain.len() as u32 / 144;
        (0..=periods)
            .map(|period| (period * 144).checked_sub(1))
            .map(|height| cache.state_after(params, Deployment::TestDummy, &chain.to_vec(), height))
            .collect()
    }

    #[test]
    fn from_defined_to_active() {
        use ThresholdState::*;
        let params = ChainParams::new(Chain::Regtest);
        let chain = chain((0..720).map(|height| if height / 144 == 1 { BIT } else { TOP_BITS }));
        assert_eq!(
            states(&params, &chain),
            [Defined, Started, LockedIn, Active, Active, Active]
        );

        let mut cache = ThresholdCache::default();
        let dummy = Deployment::TestDummy;
        assert_eq!(cache.since(&params, dummy, &chain, Some(719)), 432);
        assert_eq!(cache.since(&params, dummy, &chain, Some(431)), 432);
        assert_eq!(cache.since(&params, dummy, &chain, Some(430)), 288);
        let version = |cache: &mut ThresholdCache, length: usize| {
            cache.block_version(&params, &chain[..length].to_vec())
        };
        assert_eq!(version(&mut cache, 100), TOP_BITS);
        assert_eq!(version(&mut cache, 144), BIT);
        assert_eq!(version(&mut cache, 300), BIT);
        assert_eq!(version(&mut cache, 432), TOP_BITS);
    }

    #[test]
    fn too_few_signals_until_the_timeout() {
        use ThresholdState::*;
        let schedule = VersionBitsParameters {
            start_time: 0,
            timeout: 1000 + 60 * 280,
            min_activation_height: 0,
        };
        let params =
            ChainParams::new(Chain::Regtest).with_version_bits(Deployment::TestDummy, schedule);
        let chain = chain((0..432).map(|height| if height % 144 < 107 { BIT } else { TOP_BITS }));
        assert_eq!(states(&params, &chain), [Defined, Started, Failed, Failed]);
        let seen = signals(params.deployment(Deployment::TestDummy), &chain, 287);
        assert_eq!(
            (seen.count, seen.possible, seen.blocks.len()),
            (107, false, 144)
        );
    }

    #[test]
    fn a_minimum_height_delays() {
        use ThresholdState::*;
        let schedule = VersionBitsParameters {
            start_time: 0,
            timeout: Bip9Deployment::NO_TIMEOUT,
            min_activation_height: 577,
        };
        let params =
            ChainParams::new(Chain::Regtest).with_version_bits(Deployment::TestDummy, schedule);
        let chain = chain((0..864).map(|_| BIT));
        assert_eq!(
            states(&params, &chain),
            [
                Defined, Started, LockedIn, LockedIn, LockedIn, Active, Active
            ]
        );
    }

    #[test]
    fn bits_that_mean_nothing_here() {
        let params = ChainParams::new(Chain::Regtest);
        let odd = TOP_BITS | 1 << 3 | 1 << 28;
        let chain = chain((0..576).map(|height| {
            if (144..252).contains(&height) {
                odd
            } else {
                TOP_BITS
            }
        }));
        let found = |chain: &[HeaderInfo]| {
            ThresholdCache::default().unknown_activations(&params, &chain.to_vec())
        };
        assert_eq!(found(&chain[..287]), []);
        assert_eq!(
            found(&chain[..288]),
            [UnknownActivation {
                bit: 3,
                active: false
            }]
        );
        assert_eq!(
            found(&chain[..432]),
            [UnknownActivation {
                bit: 3,
                active: true
            }]
        );
        // What the node itself would signal is known to it.
        let mut known = params.clone();
        known.deployments[0].bit = 3;
        let mut cache = ThresholdCache::default();
        assert_eq!(cache.unknown_activations(&known, &chain), []);

        let mut fewer = chain;
        fewer[144].version = TOP_BITS;
        assert_eq!(found(&fewer), []);
    }
}
