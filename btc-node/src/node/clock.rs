//! The time that the node lives in: the system's, or one that a test set.

use crate::chainstate::Clock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock that can be set, with `-mocktime` or the RPC `setmocktime`.
#[derive(Debug, Default)]
pub struct NodeClock {
    /// Seconds since 1970, or 0 for the system's clock.
    mock: AtomicI64,
}

impl NodeClock {
    /// The system's clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the clock at `time` seconds since 1970, or lets it follow the system's again if that is 0.
    pub fn set_mock_time(&self, time: i64) {
        self.mock.store(time, Ordering::SeqCst);
    }

    /// The time it was set to; 0 if it follows the system's.
    pub fn mock_time(&self) -> i64 {
        self.mock.load(Ordering::SeqCst)
    }
}

impl Clock for NodeClock {
    fn now(&self) -> i64 {
        match self.mock_time() {
            0 => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                // A system clock before 1970 is a broken one; 1970 is the nearest time it could mean.
                .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
            time => time,
        }
    }
}
