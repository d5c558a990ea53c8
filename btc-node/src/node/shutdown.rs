//! The wish to stop, and what the process exits with.

use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A flag that is raised once and never lowered, shared by everything that may end the node or has to notice its end.
///
/// Clones are one flag. Raising it does nothing else: the thread that waits for it runs the shutdown.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    raised: Condvar,
}

type Listener = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    requested: bool,
    failed: bool,
    listeners: Vec<Listener>,
}

impl Shutdown {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is two flags and a list, valid at every step.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the node to stop. Doing it again is harmless.
    pub fn request(&self) {
        let listeners = {
            let mut state = self.state();
            state.requested = true;
            std::mem::take(&mut state.listeners)
        };
        self.0.raised.notify_all();
        // Without the lock, since a listener may ask for the state.
        for listener in listeners {
            listener();
        }
    }

    /// Asks the node to stop because it cannot go on: the process will exit with 1.
    pub fn fail(&self) {
        self.state().failed = true;
        self.request();
    }

    /// Whether a stop was asked for.
    pub fn is_requested(&self) -> bool {
        self.state().requested
    }

    /// Whether the stop was asked for by [`Shutdown::fail`].
    pub fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// Success, unless the node [failed](Shutdown::fail).
    pub fn exit_code(&self) -> ExitCode {
        if self.has_failed() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    /// Blocks until a stop is asked for.
    pub fn wait(&self) {
        let state = self.state();
        drop(
            self.0
                .raised
                .wait_while(state, |state| !state.requested)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Blocks until a stop is asked for or `timeout` is over; gives whether it was asked for.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let Some(deadline) = Instant::now().checked_add(timeout) else {
            self.wait();
            return true;
        };
        let mut state = self.state();
        loop {
            if state.requested {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .0
                .raised
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Runs `listener` when a stop is asked for, on the thread that asks; at once if it was asked for already.
    pub fn on_request(&self, listener: impl FnOnce() + Send + 'static) {
        {
            let mut state = self.state();
            if !state.requested {
                state.listeners.push(Box::new(listener));
                return;
            }
        }
        listener();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn waiting_ends_when_another_thread_asks() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.wait_timeout(Duration::ZERO));
        let waiter = std::thread::spawn({
            let shutdown = shutdown.clone();
            move || shutdown.wait()
        });
        shutdown.request();
        waiter.join().expect("the waiter returns");
        assert!(shutdown.wait_timeout(Duration::MAX));
        assert!(!shutdown.has_failed());
    }

    #[test]
    fn each_listener_runs_once_whether_early_or_late() {
        let shutdown = Shutdown::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let listen = || {
            let runs = Arc::clone(&runs);
            shutdown.on_request(move || {
                runs.fetch_add(1, Ordering::SeqCst);
            });
        };
        listen();
        shutdown.request();
        shutdown.fail();
        listen();
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        assert!(
            shutdown.has_failed(),
            "a failure after a request still counts"
        );
    }
}
