//! How much is sent in a day (`-maxuploadtarget`).
//!
//! What keeps the network going is never held back: new blocks and transactions. As the target comes near, old blocks
//! are given to nobody any more but those who may have them.

use super::Peers;
use std::time::Duration;

/// What is counted together.
const CYCLE: Duration = Duration::from_secs(24 * 60 * 60);
/// New blocks that are still to come are provided for, one in this time, of this many bytes.
const BLOCK_INTERVAL: Duration = Duration::from_secs(10 * 60);
const BLOCK_BYTES: u64 = 4_000_000;
/// Blocks older than this are old.
pub(super) const HISTORICAL_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How it stands with the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadInfo {
    /// Bytes to be sent in a cycle; 0 for no target.
    pub target: u64,
    /// Whether they are sent.
    pub reached: bool,
    /// Whether old blocks are still given.
    pub serves_history: bool,
    /// Bytes left.
    pub bytes_left: u64,
    /// Until the next cycle.
    pub time_left: Duration,
    /// How long a cycle is.
    pub cycle: Duration,
}

/// What was sent in this cycle.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    target: u64,
    /// All bytes sent since the node started, as last told.
    total: u64,
    in_cycle: u64,
    began: Option<Duration>,
}

impl Upload {
    /// With a target in bytes; 0 for none.
    pub(super) fn new(target: u64) -> Self {
        Self {
            target,
            total: 0,
            in_cycle: 0,
            began: None,
        }
    }

    fn sent(&mut self, total: u64, now: Duration) {
        let new = total.saturating_sub(self.total);
        self.total = total;
        if new == 0 {
            return;
        }
        if self.began.is_none_or(|began| began + CYCLE < now) {
            self.began = Some(now);
            self.in_cycle = 0;
        }
        self.in_cycle += new;
    }

    fn time_left(&self, now: Duration) -> Duration {
        match self.began {
            _ if self.target == 0 => Duration::ZERO,
            None => CYCLE,
            Some(began) => (began + CYCLE).saturating_sub(now),
        }
    }

    /// Whether all is sent that should be.
    pub(super) fn is_reached(&self) -> bool {
        self.target != 0 && self.in_cycle >= self.target
    }

    /// Whether what is left is for new blocks.
    pub(super) fn is_history_over(&self, now: Duration) -> bool {
        let blocks = self.time_left(now).as_secs() / BLOCK_INTERVAL.as_secs();
        let kept = blocks * BLOCK_BYTES;
        self.target != 0 && self.in_cycle >= self.target.saturating_sub(kept)
    }
}

impl Peers {
    /// Tells how many bytes all connections sent since the node started.
    pub fn note_sent(&mut self, now: Duration, total: u64) {
        self.upload.sent(total, now);
    }

    /// How it stands with `-maxuploadtarget`.
    pub fn upload_info(&self, now: Duration) -> UploadInfo {
        let upload = &self.upload;
        UploadInfo {
            target: upload.target,
            reached: upload.is_reached(),
            serves_history: !upload.is_history_over(now),
            bytes_left: upload.target.saturating_sub(upload.in_cycle),
            time_left: upload.time_left(now),
            cycle: CYCLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_blocks_end_before_the_target_and_a_new_day_begins_anew() {
        let hour = Duration::from_secs(3600);
        let start = 1000 * hour;
        // A day of blocks, and 100 MB.
        let mut upload = Upload::new(144 * BLOCK_BYTES + 100_000_000);
        assert!(!upload.is_history_over(start));
        upload.sent(100_000_000, start);
        assert!(upload.is_history_over(start) && !upload.is_reached());
        // Fewer blocks are still to come.
        assert!(!upload.is_history_over(start + hour));
        upload.sent(100_000_000 + 144 * BLOCK_BYTES, start + 2 * hour);
        assert!(upload.is_reached());
        upload.sent(100_000_001 + 144 * BLOCK_BYTES, start + 25 * hour);
        assert!(!upload.is_reached() && !upload.is_history_over(start + 25 * hour));
        let mut none = Upload::new(0);
        none.sent(u64::MAX, start);
        assert!(!none.is_reached() && !none.is_history_over(start));
        assert!(
            Upload::new(1_000_000).is_history_over(start),
            "too little for new blocks"
        );
    }
}
