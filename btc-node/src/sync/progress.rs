//! How far the headers of peers have come, told in the log while this node catches up.

use super::Peers;
use super::event::PeerId;
use crate::chainstate::BlockSummary;
use btc_consensus::pow::Work;
use std::time::Duration;

/// Least time between two lines about headers that nothing is kept of: a peer could have as many written as it likes.
const PRESYNC_INTERVAL: Duration = Duration::from_millis(250);

impl Peers {
    /// Tells of headers that were kept. `before` was the best of all before they came, `last` is the last of them.
    pub(super) fn report_headers(&self, before: &BlockSummary, last: &BlockSummary) {
        if self.chain.best_header().hash != before.hash && self.chain.is_initial_block_download() {
            let share = self.share_of_chain(last.height, last.time);
            tracing::info!(
                "Synchronizing blockheaders, height: {} (~{share:.2}%)",
                last.height
            );
        }
    }

    /// Tells of headers that were only walked through, up to one with this `time` (s): of the peer whose chain has come
    /// farthest, and only as long as no chain is known that has enough work.
    pub(super) fn report_presync(&mut self, id: PeerId, time: u32) {
        let presync = |id: &PeerId| self.peers.get(id)?.presync.as_ref()?.progress();
        let Some((height, work)) = presync(&id) else {
            return;
        };
        let farthest = self.peers.keys().filter_map(presync).map(|(_, work)| work);
        let farthest: Option<Work> = farthest.max();
        let known = self.chain.best_header().chainwork;
        if farthest > Some(work)
            || known >= self.chain.options().minimum_chain_work
            || self.now < self.last_presync_report.saturating_add(PRESYNC_INTERVAL)
            || !self.chain.is_initial_block_download()
        {
            return;
        }
        self.last_presync_report = self.now;
        let share = self.share_of_chain(height, time);
        tracing::info!("Pre-synchronizing blockheaders, height: {height} (~{share:.2}%)");
    }

    /// Percent of the chain below a block, if it has grown since the block's `time` as it should.
    fn share_of_chain(&self, height: u32, time: u32) -> f64 {
        let spacing = u64::from(self.chain.params().pow_target_spacing);
        let left = self.now.as_secs().saturating_sub(time.into()) / spacing;
        100.0 * f64::from(height) / (u64::from(height) + left).max(1) as f64
    }
}
