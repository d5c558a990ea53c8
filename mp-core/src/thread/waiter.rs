//! Where threads park, and what wakes them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::error::Error;
use crate::interface::Reply;
use crate::sync::lock;

/// Work for a thread. It is run with `Ok`, or told why it cannot be run.
pub(crate) type Job = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// Where a thread parks, and the work addressed to it.
#[derive(Default)]
pub(crate) struct Waiter {
    pub(super) state: Mutex<WaiterState>,
    wake: Condvar,
    pub(super) name: OnceLock<String>,
}

#[derive(Default)]
pub(super) struct WaiterState {
    pub(super) jobs: VecDeque<Job>,
    /// The thread is gone, or is to go once it has nothing left to do.
    pub(super) closed: bool,
    parked: bool,
}

/// Where a reply is put for the thread that waits for it.
pub(crate) struct ReplyCell {
    pub(super) waiter: Arc<Waiter>,
    pub(super) reply: Mutex<Option<Result<Reply, Error>>>,
}

impl ReplyCell {
    pub(crate) fn deliver(&self, reply: Result<Reply, Error>) {
        *lock(&self.reply) = Some(reply);
        self.waiter.notify();
    }
}

impl Waiter {
    pub(crate) fn notify(&self) {
        let parked = lock(&self.state).parked;
        if parked {
            self.wake.notify_one();
        }
    }

    pub(super) fn park<'a>(
        &'a self,
        mut state: std::sync::MutexGuard<'a, WaiterState>,
        until: Option<Instant>,
    ) -> std::sync::MutexGuard<'a, WaiterState> {
        state.parked = true;
        let mut state = match until {
            None => self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.wake
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        state.parked = false;
        state
    }

    /// Adds work, or refuses it.
    pub(super) fn post(&self, job: Job, limit: usize) {
        let refused = {
            let mut state = lock(&self.state);
            if state.closed {
                Err((job, Error::failed("invalid thread handle")))
            } else if state.jobs.len() >= limit {
                Err((
                    job,
                    Error::Limit {
                        what: "calls waiting for one thread",
                        limit: limit as u64,
                    },
                ))
            } else {
                state.jobs.push_back(job);
                Ok(state.parked)
            }
        };
        match refused {
            Ok(true) => self.wake.notify_one(),
            Ok(false) => {}
            Err((job, error)) => job(Err(error)),
        }
    }

    /// Waits for work; `None` when the thread is to end.
    pub(super) fn next_job(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self.park(state, None);
        }
    }

    /// Lets the thread end when its work is done; no more is taken.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.wake.notify_one();
    }

    pub(super) fn name(&self) -> &str {
        self.name.get().map_or("", String::as_str)
    }
}
