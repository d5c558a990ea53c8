//! How much each place in the program may write to the log's file.
//!
//! Whoever finds a way to make a node log a line would fill its disk by it. So what is logged without being asked for is
//! counted for each place that logs, and beyond a limit it goes to the screen alone until the next window begins. Source:
//! Core's `-logratelimit`, with its limit, its window and its texts.

use std::collections::HashMap;
use std::time::{Duration, Instant};
use tracing::{Level, Metadata};

/// Bytes that one place may write in a window.
const MAX_BYTES: u64 = 1 << 20;
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// An event with a field of this name is never kept back: its number is bounded by other means.
pub(super) const UNLIMITED: &str = "unlimited";

/// A place in the program that logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    file: &'static str,
    line: u32,
    module: &'static str,
}

impl Place {
    /// The place of an event that counts; `None` for details, which are there because somebody wants them.
    pub(super) fn of(metadata: &Metadata<'static>) -> Option<Self> {
        let counts =
            *metadata.level() <= Level::INFO && metadata.fields().field(UNLIMITED).is_none();
        counts.then(|| Self {
            file: metadata.file().unwrap_or("?"),
            line: metadata.line().unwrap_or(0),
            module: metadata.module_path().unwrap_or("?"),
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} ({})", self.file, self.line, self.module)
    }
}

/// What becomes of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is written.
    Write,
    /// It is the last of its place that is written; this is to be said before it.
    Last(String),
    /// It is kept from the file.
    Drop,
}

#[derive(Debug, Default)]
struct Used {
    bytes: u64,
    dropped: u64,
}

/// What each place has written in this window.
#[derive(Debug)]
pub(super) struct Limiter {
    max_bytes: u64,
    window: Duration,
    began: Instant,
    places: HashMap<Place, Used>,
    suppressing: bool,
}

impl Limiter {
    /// With Core's limit and window, the first of which begins now.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            max_bytes: MAX_BYTES,
            window: WINDOW,
            began: now,
            places: HashMap::new(),
            suppressing: false,
        }
    }

    /// Whether some place is kept from the file.
    pub(super) fn is_suppressing(&self) -> bool {
        self.suppressing
    }

    /// Counts a line of so many bytes.
    pub(super) fn consume(&mut self, place: Place, bytes: usize) -> Verdict {
        let bytes = bytes as u64;
        let used = self.places.entry(place).or_default();
        let fits = used.bytes.saturating_add(bytes) <= self.max_bytes;
        if used.dropped == 0 && fits {
            used.bytes += bytes;
            return Verdict::Write;
        }
        let was_suppressed = used.dropped > 0;
        used.dropped = used.dropped.saturating_add(bytes);
        if was_suppressed {
            return Verdict::Drop;
        }
        self.suppressing = true;
        Verdict::Last(format!(
            "Excessive logging detected from {place}: >{} bytes logged during the last time window of {}s. \
             Suppressing logging to disk from this source location until time window resets. \
             Console logging unaffected. Last log entry.",
            self.max_bytes,
            self.window.as_secs()
        ))
    }

    /// Begins a new window if it is time, and gives what is to be said then.
    pub(super) fn renew(&mut self, now: Instant) -> Vec<String> {
        if now.saturating_duration_since(self.began) < self.window {
            return Vec::new();
        }
        self.began = now;
        self.suppressing = false;
        let seconds = self.window.as_secs();
        let places = std::mem::take(&mut self.places);
        let dropped = places.into_iter().filter(|(_, used)| used.dropped > 0);
        dropped
            .map(|(place, used)| {
                format!(
                    "Restarting logging from {place}: {} bytes were dropped during the last {seconds}s.",
                    used.dropped
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn place(line: u32) -> Place {
        Place {
            file: "src/a.rs",
            line,
            module: "a",
        }
    }

    #[test]
    fn a_place_that_writes_too_much_is_kept_back_until_the_next_window() {
        let now = Instant::now();
        let mut limiter = Limiter {
            max_bytes: 100,
            ..Limiter::new(now)
        };
        assert_eq!(limiter.consume(place(1), 60), Verdict::Write);
        assert_eq!(limiter.consume(place(1), 40), Verdict::Write);
        assert!(!limiter.is_suppressing());
        let Verdict::Last(text) = limiter.consume(place(1), 30) else {
            panic!("the limit is reached");
        };
        assert_eq!(
            text,
            "Excessive logging detected from src/a.rs:1 (a): >100 bytes logged during the last time window of 3600s. \
             Suppressing logging to disk from this source location until time window resets. \
             Console logging unaffected. Last log entry."
        );
        assert!(limiter.is_suppressing());
        // A short line would fit, but the place is kept back as a whole.
        assert_eq!(limiter.consume(place(1), 1), Verdict::Drop);
        assert_eq!(limiter.consume(place(2), 100), Verdict::Write);

        assert!(limiter.renew(now + Duration::from_secs(3599)).is_empty());
        let told = limiter.renew(now + Duration::from_secs(3600));
        assert_eq!(
            told,
            [
                "Restarting logging from src/a.rs:1 (a): 31 bytes were dropped during the last 3600s."
            ]
        );
        assert!(!limiter.is_suppressing());
        assert_eq!(limiter.consume(place(1), 100), Verdict::Write);
    }
}
