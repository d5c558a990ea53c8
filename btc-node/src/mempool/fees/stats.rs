//! Transactions of one horizon, by feerate and by how long they waited.

/// A range of buckets and what became of its transactions. Counts are averages over blocks that lose weight with age.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BucketRange {
    /// The feerate above which it begins, in sat/kvB.
    pub start: f64,
    /// The feerate with which it ends, in sat/kvB.
    pub end: f64,
    /// Mined within the target.
    pub within_target: f64,
    /// Mined at all.
    pub confirmed: f64,
    /// Waiting for longer than the target.
    pub in_mempool: f64,
    /// Left without being mined, after waiting for the target.
    pub left_mempool: f64,
}

/// What one horizon says of a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimation {
    /// The feerate in sat/kvB; `None` if there is too little data or none is high enough.
    pub feerate: Option<f64>,
    /// The cheapest buckets that reach the threshold.
    pub pass: Option<BucketRange>,
    /// The dearest buckets that do not.
    pub fail: Option<BucketRange>,
    /// What a count keeps of its weight with each block.
    pub decay: f64,
    /// The blocks of one period, which is how finely waiting is measured.
    pub scale: u32,
}

/// The counts of one horizon. Buckets are the caller's: all are numbers of these.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConfirmStats {
    pub(super) decay: f64,
    pub(super) scale: u32,
    /// Sum of the feerates of mined transactions, by bucket.
    pub(super) feerates: Vec<f64>,
    /// How many were mined, by bucket.
    pub(super) counts: Vec<f64>,
    /// How many were mined within so many periods, by period and bucket.
    pub(super) confirmed: Vec<Vec<f64>>,
    /// How many left after waiting so many periods, by period and bucket.
    pub(super) failed: Vec<Vec<f64>>,
    /// How many of those that came in at a height still wait, by height (as a ring) and bucket.
    waiting: Vec<Vec<u32>>,
    /// How many wait for longer than the ring is.
    waiting_longer: Vec<u32>,
}

/// Sums over a range of buckets.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    within_target: f64,
    confirmed: f64,
    waiting: f64,
    failed: f64,
}

impl ConfirmStats {
    pub(super) fn new(buckets: usize, periods: usize, decay: f64, scale: u32) -> Self {
        Self::from_parts(
            decay,
            scale,
            vec![0.0; buckets],
            vec![0.0; buckets],
            vec![vec![0.0; buckets]; periods],
            vec![vec![0.0; buckets]; periods],
        )
    }

    /// With what is kept over a restart. Rows are of the length of `counts`; there are as many periods of each kind.
    pub(super) fn from_parts(
        decay: f64,
        scale: u32,
        feerates: Vec<f64>,
        counts: Vec<f64>,
        confirmed: Vec<Vec<f64>>,
        failed: Vec<Vec<f64>>,
    ) -> Self {
        let buckets = counts.len();
        let blocks = confirmed.len() * scale as usize;
        Self {
            decay,
            scale,
            feerates,
            counts,
            confirmed,
            failed,
            waiting: vec![vec![0; buckets]; blocks],
            waiting_longer: vec![0; buckets],
        }
    }

    /// The most blocks that waiting is measured for.
    pub(super) fn max_target(&self) -> u32 {
        self.scale * u32::try_from(self.confirmed.len()).unwrap_or(u32::MAX)
    }

    fn slot(&self, height: u32) -> usize {
        height as usize % self.waiting.len()
    }

    /// A transaction came in at a height.
    pub(super) fn added(&mut self, height: u32, bucket: usize) {
        let slot = self.slot(height);
        self.waiting[slot][bucket] += 1;
    }

    /// One that came in at `entered` left, `mined` or not, when the best height was `best`.
    pub(super) fn removed(&mut self, entered: u32, best: u32, bucket: usize, mined: bool) {
        // Before the first block there is nothing to reckon from.
        let waited = if best == 0 {
            0
        } else {
            match best.checked_sub(entered) {
                Some(waited) => waited,
                None => return,
            }
        };
        let count = if waited as usize >= self.waiting.len() {
            &mut self.waiting_longer[bucket]
        } else {
            let slot = self.slot(entered);
            &mut self.waiting[slot][bucket]
        };
        *count = count.saturating_sub(1);
        if !mined && waited >= self.scale {
            let periods = (waited / self.scale) as usize;
            for failed in self.failed.iter_mut().take(periods) {
                failed[bucket] += 1.0;
            }
        }
    }

    /// A block came: the ring turns, and what was counted before loses weight.
    pub(super) fn block(&mut self, height: u32) {
        let slot = self.slot(height);
        for (longer, old) in self.waiting_longer.iter_mut().zip(&mut self.waiting[slot]) {
            *longer += std::mem::take(old);
        }
        let rows = self.confirmed.iter_mut().chain(&mut self.failed);
        let all = rows.chain([&mut self.feerates, &mut self.counts]);
        for count in all.flatten() {
            *count *= self.decay;
        }
    }

    /// A transaction was mined in the `blocks`th block (from 1) after it came in.
    pub(super) fn mined(&mut self, blocks: u32, bucket: usize, feerate: f64) {
        let periods = blocks.div_ceil(self.scale) as usize;
        for confirmed in self.confirmed.iter_mut().skip(periods.saturating_sub(1)) {
            confirmed[bucket] += 1.0;
        }
        self.counts[bucket] += 1.0;
        self.feerates[bucket] += feerate;
    }

    /// The lowest feerate of which, at `best` height, a share of `threshold` was mined within `target` blocks (from 1 to
    /// [`ConfirmStats::max_target`]). Buckets are joined, from the dearest down, until they hold `sufficient`
    /// transactions for each block. `bounds` are the buckets' ends.
    pub(super) fn estimate(
        &self,
        bounds: &[f64],
        target: u32,
        sufficient: f64,
        threshold: f64,
        best: u32,
    ) -> Estimation {
        let period = target.div_ceil(self.scale) as usize - 1;
        let enough = sufficient / (1.0 - self.decay);
        let mut sums = Sums::default();
        let mut partial = 0.0;
        // The dearest bucket of the range that is being joined.
        let mut top = None;
        let mut best_range = None;
        let (mut pass, mut fail) = (None, None);
        for bucket in (0..bounds.len()).rev() {
            let dearest = *top.get_or_insert(bucket);
            partial += self.counts[bucket];
            sums.within_target += self.confirmed[period][bucket];
            sums.confirmed += self.counts[bucket];
            sums.failed += self.failed[period][bucket];
            sums.waiting += self.waiting_since(target, best, bucket);
            if partial < enough {
                continue;
            }
            partial = 0.0;
            let all = sums.confirmed + sums.failed + sums.waiting;
            if sums.within_target / all < threshold {
                fail.get_or_insert_with(|| range(bounds, bucket, dearest, sums));
                continue;
            }
            fail = None;
            pass = Some(range(bounds, bucket, dearest, sums));
            best_range = Some(bucket..=dearest);
            sums = Sums::default();
            top = None;
        }
        // What is left at the cheap end is too little to pass.
        if let (None, Some(dearest)) = (fail, top) {
            fail = Some(range(bounds, 0, dearest, sums));
        }
        Estimation {
            feerate: best_range.and_then(|buckets| self.median(buckets)),
            pass,
            fail,
            decay: self.decay,
            scale: self.scale,
        }
    }

    /// How many of a bucket wait for at least `target` blocks.
    fn waiting_since(&self, target: u32, best: u32, bucket: usize) -> f64 {
        let ring: u32 = (target..self.max_target())
            .map(|blocks| self.waiting[self.slot(best.wrapping_sub(blocks))][bucket])
            .sum();
        f64::from(ring) + f64::from(self.waiting_longer[bucket])
    }

    /// The average feerate of the bucket that holds the median transaction of these.
    fn median(&self, mut buckets: std::ops::RangeInclusive<usize>) -> Option<f64> {
        let total: f64 = buckets.clone().map(|bucket| self.counts[bucket]).sum();
        if total == 0.0 {
            return None;
        }
        let mut left = total / 2.0;
        let median = buckets.find(|bucket| {
            let count = self.counts[*bucket];
            let found = count >= left;
            if !found {
                left -= count;
            }
            found
        })?;
        Some(self.feerates[median] / self.counts[median])
    }
}

fn range(bounds: &[f64], cheapest: usize, dearest: usize, sums: Sums) -> BucketRange {
    BucketRange {
        start: cheapest.checked_sub(1).map_or(0.0, |below| bounds[below]),
        end: bounds[dearest],
        within_target: sums.within_target,
        confirmed: sums.confirmed,
        in_mempool: sums.waiting,
        left_mempool: sums.failed,
    }
}
