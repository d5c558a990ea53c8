//! Deadlines of calls that no thread waits for.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use crate::cancel::Ends;
use crate::error::Error;
use crate::sync::lock;

/// The deadlines to come. Of those at one instant the number tells them apart.
#[derive(Default)]
struct Deadlines {
    calls: BTreeMap<(Instant, u64), Weak<dyn Ends>>,
    next: u64,
}

static DEADLINES: Mutex<Deadlines> = Mutex::new(Deadlines {
    calls: BTreeMap::new(),
    next: 0,
});
static EARLIER: Condvar = Condvar::new();
/// Whether the thread that keeps them could be started; it then stays.
static KEPT: OnceLock<Result<(), Error>> = OnceLock::new();

/// A deadline, which is no more when this is dropped.
pub(crate) struct Entry((Instant, u64));

impl Drop for Entry {
    fn drop(&mut self) {
        let removed = lock(&DEADLINES).calls.remove(&self.0);
        drop(removed);
    }
}

/// Has a call end in [`Error::Timeout`] at `until`.
///
/// # Errors
/// When the thread that does it cannot be started.
pub(crate) fn at(until: Instant, call: Weak<dyn Ends>) -> Result<Entry, Error> {
    let start = || {
        std::thread::Builder::new()
            .name("ipc-timer".to_owned())
            .spawn(keep)
            .map(drop)
            .map_err(|error| Error::io("cannot start a thread", error))
    };
    KEPT.get_or_init(start).clone()?;
    let mut deadlines = lock(&DEADLINES);
    let key = (until, deadlines.next);
    deadlines.next += 1;
    deadlines.calls.insert(key, call);
    let first = deadlines.calls.first_key_value().map(|(first, _)| *first);
    drop(deadlines);
    if first == Some(key) {
        EARLIER.notify_one();
    }
    Ok(Entry(key))
}

fn keep() {
    let mut deadlines = lock(&DEADLINES);
    loop {
        let Some((&key, _)) = deadlines.calls.first_key_value() else {
            deadlines = EARLIER
                .wait(deadlines)
                .unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let left = key.0.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            let waited = EARLIER.wait_timeout(deadlines, left);
            deadlines = waited.unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        let call = deadlines.calls.remove(&key);
        drop(deadlines);
        if let Some(call) = call.and_then(|call| call.upgrade()) {
            // A waker that panics must not take the other deadlines with it.
            let end = std::panic::AssertUnwindSafe(|| call.end(Error::Timeout));
            let _ = std::panic::catch_unwind(end);
        }
        deadlines = lock(&DEADLINES);
    }
}
