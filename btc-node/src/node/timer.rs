//! Work that comes back after a time.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lets one thread wait for its next turn, which others can bring nearer. It goes by the time that passes, not by the
/// node's clock, which tests set.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    state: Mutex<State>,
    changed: Condvar,
}

/// The timers of a node.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// When fee estimates are written.
    pub(crate) fee_flush: Arc<Timer>,
    /// When transactions of our own that no peer asked for are announced again.
    pub(crate) announce: Arc<Timer>,
}

impl Timers {
    fn all(&self) -> [&Arc<Timer>; 2] {
        [&self.fee_flush, &self.announce]
    }

    /// Brings every next turn nearer by so much.
    pub(crate) fn forward(&self, by: Duration) {
        self.all().into_iter().for_each(|timer| timer.forward(by));
    }

    /// Ends all waiting for good.
    pub(crate) fn stop(&self) {
        self.all().into_iter().for_each(|timer| timer.stop());
    }
}

#[derive(Debug, Default)]
struct State {
    /// How much nearer the next turn was brought.
    forwarded: Duration,
    stopped: bool,
}

impl Timer {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each value is set in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the next turn nearer by so much.
    fn forward(&self, by: Duration) {
        self.lock().forwarded += by;
        self.changed.notify_all();
    }

    /// Ends the waiting for good.
    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Blocks until `period` is over; false once stopped.
    fn wait(&self, period: Duration) -> bool {
        let since = Instant::now();
        let mut state = self.lock();
        while !state.stopped {
            let passed = since.elapsed() + state.forwarded;
            let Some(left) = period.checked_sub(passed).filter(|left| !left.is_zero()) else {
                state.forwarded = Duration::ZERO;
                return true;
            };
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        false
    }
}

/// Runs `work` on a thread of its own each time `period` is over, until the timer is stopped.
///
/// # Errors
/// There is no thread to be had.
pub(super) fn spawn(
    name: &str,
    timer: Arc<Timer>,
    period: Duration,
    mut work: impl FnMut() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            while timer.wait(period) {
                work();
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_turn_can_be_brought_nearer_and_ends_with_the_timer() {
        let timer = Arc::new(Timer::default());
        let (done, turns) = mpsc::channel();
        let hour = Duration::from_secs(3600);
        let thread = spawn("test", Arc::clone(&timer), hour, move || {
            done.send(()).unwrap();
        })
        .unwrap();
        timer.forward(hour / 2);
        timer.forward(hour / 2);
        turns.recv_timeout(Duration::from_secs(60)).unwrap();
        timer.stop();
        thread.join().unwrap();
        assert!(turns.try_recv().is_err(), "one turn was due");
    }
}
