//! The estimator by history: what was mined how fast, over hours, days and weeks.

use super::Observed;
use super::stats::{ConfirmStats, Estimation};
use bitcoin::Txid;
use std::collections::HashMap;

/// The end of the cheapest bucket, in sat/kvB.
const MIN_FEERATE: f64 = 100.0;
/// The last bucket but one ends below this, in sat/kvB.
const MAX_FEERATE: f64 = 1e7;
/// How much dearer each bucket is than the one before.
const SPACING: f64 = 1.05;
/// The end of the last bucket.
const NO_LIMIT: f64 = 1e99;
/// History that ended this many blocks ago counts no more.
const MAX_HISTORY_AGE: u32 = 6 * 1008;

/// The share that must be mined within half the target.
const HALF_SHARE: f64 = 0.6;
/// The share that must be mined within the target.
const SHARE: f64 = 0.85;
/// The share that must be mined within twice the target.
const DOUBLE_SHARE: f64 = 0.95;
/// Transactions for each block that make buckets worth a judgement.
const SUFFICIENT: f64 = 0.1;
/// The same over the short horizon, which sees fewer blocks.
const SUFFICIENT_SHORT: f64 = 0.5;

/// Over which time it is looked back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Horizon {
    /// Half the weight after 18 blocks; targets up to 12 blocks.
    Short,
    /// Half the weight after 144 blocks; targets up to 48 blocks.
    Medium,
    /// Half the weight after 1008 blocks; targets up to 1008 blocks.
    Long,
}

impl Horizon {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Short, Self::Medium, Self::Long];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Medium => "medium",
            Self::Long => "long",
        }
    }

    /// Periods, their length in blocks, and the weight that is kept with each block.
    pub(super) fn shape(self) -> (usize, u32, f64) {
        match self {
            Self::Short => (12, 1, 0.962),
            Self::Medium => (24, 2, 0.9952),
            Self::Long => (42, 24, 0.99931),
        }
    }

    fn sufficient(self) -> f64 {
        match self {
            Self::Short => SUFFICIENT_SHORT,
            Self::Medium | Self::Long => SUFFICIENT,
        }
    }
}

/// The estimator.
#[derive(Debug, Clone)]
pub struct BlockPolicy {
    /// The ends of the buckets, rising, in sat/kvB.
    pub(super) bounds: Vec<f64>,
    pub(super) short: ConfirmStats,
    pub(super) medium: ConfirmStats,
    pub(super) long: ConfirmStats,
    pub(super) best_height: u32,
    /// The first block of this run that told anything; 0 before.
    pub(super) first_recorded: u32,
    /// First and last block of what earlier runs recorded.
    pub(super) historical: (u32, u32),
    /// Transactions that wait: the height at which they came in, and their bucket.
    waiting: HashMap<Txid, (u32, usize)>,
}

impl Default for BlockPolicy {
    fn default() -> Self {
        let mut bounds = Vec::new();
        let mut bound = MIN_FEERATE;
        while bound <= MAX_FEERATE {
            bounds.push(bound);
            bound *= SPACING;
        }
        bounds.push(NO_LIMIT);
        let stats = |horizon: Horizon| {
            let (periods, scale, decay) = horizon.shape();
            ConfirmStats::new(bounds.len(), periods, decay, scale)
        };
        Self {
            short: stats(Horizon::Short),
            medium: stats(Horizon::Medium),
            long: stats(Horizon::Long),
            bounds,
            best_height: 0,
            first_recorded: 0,
            historical: (0, 0),
            waiting: HashMap::new(),
        }
    }
}

impl BlockPolicy {
    /// With what earlier runs recorded. Each horizon's rows are as long as `bounds`, of which there are at least two.
    pub(super) fn from_parts(
        bounds: Vec<f64>,
        [medium, short, long]: [ConfirmStats; 3],
        best_height: u32,
        historical: (u32, u32),
    ) -> Self {
        Self {
            bounds,
            short,
            medium,
            long,
            best_height,
            first_recorded: 0,
            historical,
            waiting: HashMap::new(),
        }
    }

    fn stats(&self, horizon: Horizon) -> &ConfirmStats {
        match horizon {
            Horizon::Short => &self.short,
            Horizon::Medium => &self.medium,
            Horizon::Long => &self.long,
        }
    }

    fn all_stats(&mut self) -> [&mut ConfirmStats; 3] {
        [&mut self.short, &mut self.medium, &mut self.long]
    }

    fn bucket(&self, feerate: f64) -> usize {
        let bucket = self.bounds.partition_point(|bound| *bound < feerate);
        bucket.min(self.bounds.len() - 1)
    }

    /// A transaction came in by itself, on a chain that is up to date, without parents in the mempool.
    pub(in crate::mempool) fn added(&mut self, tx: &Observed) {
        // Where blocks were missed, how long it waits cannot be told.
        if tx.height != self.best_height || self.waiting.contains_key(&tx.txid) {
            return;
        }
        let bucket = self.bucket(tx.feerate as f64);
        self.waiting.insert(tx.txid, (tx.height, bucket));
        for stats in self.all_stats() {
            stats.added(tx.height, bucket);
        }
    }

    /// A transaction left, other than by a block.
    pub(in crate::mempool) fn removed(&mut self, txid: &Txid) {
        self.forget(txid, false);
    }

    fn forget(&mut self, txid: &Txid, mined: bool) -> Option<usize> {
        let (height, bucket) = self.waiting.remove(txid)?;
        let best = self.best_height;
        for stats in self.all_stats() {
            stats.removed(height, best, bucket, mined);
        }
        Some(bucket)
    }

    /// A block came, with these of the mempool's transactions.
    pub(super) fn block(&mut self, height: u32, mined: &[Observed]) {
        // Blocks of another branch say nothing new.
        if height <= self.best_height {
            return;
        }
        self.best_height = height;
        for stats in self.all_stats() {
            stats.block(height);
        }
        let mut counted = 0;
        for tx in mined {
            let waited = height.saturating_sub(tx.height);
            if self.forget(&tx.txid, true).is_none() || waited == 0 {
                continue;
            }
            let feerate = tx.feerate as f64;
            let bucket = self.bucket(feerate);
            for stats in self.all_stats() {
                stats.mined(waited, bucket, feerate);
            }
            counted += 1;
        }
        if self.first_recorded == 0 && counted > 0 {
            self.first_recorded = height;
        }
        tracing::debug!(
            target: "estimatefee",
            "Blockpolicy estimates updated by {counted} of {} block txs, mempool map size {}, max target {}",
            mined.len(), self.waiting.len(), self.max_usable_target()
        );
    }

    /// Counts everything that waits as not mined.
    pub(super) fn drop_waiting(&mut self) {
        let waiting: Vec<Txid> = self.waiting.keys().copied().collect();
        for txid in &waiting {
            self.removed(txid);
        }
        tracing::debug!(
            target: "estimatefee",
            "Recorded {} unconfirmed txs from mempool", waiting.len()
        );
    }

    /// The greatest target that a horizon knows of, in blocks.
    pub fn max_target(&self, horizon: Horizon) -> u32 {
        self.stats(horizon).max_target()
    }

    /// Blocks of this run with data.
    pub(super) fn span(&self) -> u32 {
        if self.first_recorded == 0 {
            return 0;
        }
        self.best_height.saturating_sub(self.first_recorded)
    }

    /// Blocks of earlier runs with data, if that is not too long ago.
    pub(super) fn historical_span(&self) -> u32 {
        let (first, last) = self.historical;
        if first == 0 || self.best_height.saturating_sub(last) > MAX_HISTORY_AGE {
            return 0;
        }
        last.saturating_sub(first)
    }

    /// The greatest target that there is enough data for: half of the blocks seen, so that failures would show.
    fn max_usable_target(&self) -> u32 {
        let seen = self.span().max(self.historical_span());
        self.long.max_target().min(seen / 2)
    }

    /// What one horizon says of a target in blocks, if it knows of it. `threshold` is the share to be mined, from 0 to 1.
    pub fn estimate_raw(
        &self,
        target: u32,
        threshold: f64,
        horizon: Horizon,
    ) -> Option<Estimation> {
        let stats = self.stats(horizon);
        (1..=stats.max_target()).contains(&target).then(|| {
            let sufficient = horizon.sufficient();
            stats.estimate(
                &self.bounds,
                target,
                sufficient,
                threshold,
                self.best_height,
            )
        })
    }

    /// A feerate in sat/kvB with which a transaction is likely to be mined within `target` blocks, and the target that
    /// it is for: one block cannot be promised, nor a target that there is too little data for. A `conservative` one
    /// holds over longer horizons too.
    ///
    /// It is the highest of three: enough for 60% within half the target, for 85% within it, for 95% within twice it.
    pub fn estimate(&self, target: u32, conservative: bool) -> (Option<i64>, u32) {
        if !(1..=self.long.max_target()).contains(&target) {
            return (None, target);
        }
        let target = target.max(2).min(self.max_usable_target());
        if target <= 1 {
            return (None, target);
        }
        let mut feerate = self
            .combined(target / 2, HALF_SHARE, true)
            .max_option(self.combined(target, SHARE, true))
            .max_option(self.combined(2 * target, DOUBLE_SHARE, !conservative));
        if conservative || feerate.is_none() {
            feerate = feerate.max_option(self.over_longer_horizons(2 * target));
        }
        (feerate.map(|feerate| feerate.round() as i64), target)
    }

    fn feerate(&self, target: u32, threshold: f64, horizon: Horizon) -> Option<f64> {
        self.estimate_raw(target, threshold, horizon)?.feerate
    }

    /// By the shortest horizon that knows of the target; with `check_shorter` the longest targets of shorter ones count
    /// if they are cheaper, which keeps estimates from rising with the target.
    fn combined(&self, target: u32, threshold: f64, check_shorter: bool) -> Option<f64> {
        let known = |horizon: &Horizon| target <= self.max_target(*horizon);
        let horizon = Horizon::ALL.into_iter().find(known)?;
        let mut feerate = self.feerate(target, threshold, horizon);
        if check_shorter {
            for shorter in [Horizon::Medium, Horizon::Short] {
                if target <= self.max_target(shorter) {
                    continue;
                }
                let cheaper = self
                    .feerate(self.max_target(shorter), threshold, shorter)
                    .filter(|cheaper| *cheaper > 0.0 && feerate.is_none_or(|rate| *cheaper < rate));
                feerate = cheaper.or(feerate);
            }
        }
        feerate
    }

    /// By all horizons longer than the one that a target belongs to.
    fn over_longer_horizons(&self, target: u32) -> Option<f64> {
        let of = |horizon: Horizon| {
            let stats = self.stats(horizon);
            stats
                .estimate(
                    &self.bounds,
                    target,
                    SUFFICIENT,
                    DOUBLE_SHARE,
                    self.best_height,
                )
                .feerate
        };
        let medium = (target <= self.short.max_target()).then(|| of(Horizon::Medium));
        let long = (target <= self.medium.max_target()).then(|| of(Horizon::Long));
        medium.flatten().max_option(long.flatten())
    }
}

/// The greater of two numbers that may not be there.
trait MaxOption {
    fn max_option(self, other: Self) -> Self;
}

impl MaxOption for Option<f64> {
    fn max_option(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        }
    }
}
