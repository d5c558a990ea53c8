//! Where threads park, and what wakes them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use crate::error::Error;
use crate::interface::Reply;
use crate::rpc::{Conn, Sleeper};
use crate::sync::lock;
use crate::transport::{Readiness, Role};

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
    sleeps: Sleeps,
}

/// Where a thread sleeps.
#[derive(Default, Clone)]
enum Sleeps {
    /// Nowhere.
    #[default]
    Awake,
    /// Here.
    Here,
    /// Where a connection receives.
    Receiving(Arc<dyn Readiness>),
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
    /// Wakes the thread, if it sleeps.
    pub(crate) fn notify(&self) {
        let sleeps = lock(&self.state).sleeps.clone();
        self.wake(&sleeps);
    }

    fn wake(&self, sleeps: &Sleeps) {
        match sleeps {
            Sleeps::Awake => {}
            Sleeps::Here => self.wake.notify_one(),
            Sleeps::Receiving(readiness) => readiness.wake(Role::Guest),
        }
    }

    /// Prepares the thread to sleep where a connection receives, unless there is work, or `waits` says otherwise.
    pub(super) fn sleeps_if(
        &self,
        readiness: &Arc<dyn Readiness>,
        waits: impl FnOnce(&WaiterState) -> bool,
    ) -> bool {
        let mut state = lock(&self.state);
        let sleeps = state.jobs.is_empty() && waits(&state);
        if sleeps {
            state.sleeps = Sleeps::Receiving(readiness.clone());
        }
        sleeps
    }

    pub(super) fn park<'a>(
        &'a self,
        mut state: std::sync::MutexGuard<'a, WaiterState>,
        until: Option<Instant>,
    ) -> std::sync::MutexGuard<'a, WaiterState> {
        state.sleeps = Sleeps::Here;
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
        state.sleeps = Sleeps::Awake;
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
                Ok(state.sleeps.clone())
            }
        };
        match refused {
            Ok(sleeps) => self.wake(&sleeps),
            Err((job, error)) => job(Err(error)),
        }
    }

    /// Waits for work, and meanwhile receives in the stead of `conn`, whose worker this is. `None` when the thread is to
    /// end.
    pub(super) fn next_job(&self, conn: &Weak<Conn>) -> Option<Job> {
        let mut visits = true;
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            if visits {
                drop(state);
                visits = conn.upgrade().is_some_and(|conn| conn.visit(self, None));
                state = lock(&self.state);
            } else {
                state = self.park(state, None);
            }
        }
    }

    /// Lets the thread end when its work is done; no more is taken.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.notify();
    }

    pub(super) fn name(&self) -> &str {
        self.name.get().map_or("", String::as_str)
    }
}

/// A worker that waits for work.
impl Sleeper for Waiter {
    fn falls_asleep(&self, readiness: &Arc<dyn Readiness>) -> bool {
        self.sleeps_if(readiness, |state| !state.closed)
    }

    fn wakes(&self) {
        lock(&self.state).sleeps = Sleeps::Awake;
    }
}
