//! What time it is, as the node is told.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time. A node has one.
pub trait Clock: Send + Sync {
    /// Seconds since 1970.
    fn now(&self) -> i64;
}

/// The system's time, unless a fixed one is set (`-mocktime`, `setmocktime`).
#[derive(Debug, Default)]
pub struct SystemClock {
    /// The fixed time; 0 means none.
    mock: AtomicI64,
}

impl SystemClock {
    /// The system's time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the clock at `time` seconds since 1970; `None`, or 0, lets it run again.
    pub fn set_mock(&self, time: Option<i64>) {
        self.mock.store(time.unwrap_or(0), Ordering::SeqCst);
    }

    /// The time it was set to, in seconds since 1970; 0 while it runs.
    pub fn mock_time(&self) -> i64 {
        self.mock.load(Ordering::SeqCst)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        match self.mock_time() {
            0 => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                // A system clock before 1970 is a broken one; 1970 is the nearest time it could mean.
                .map_or(0, |since| {
                    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
                }),
            mock => mock,
        }
    }
}
