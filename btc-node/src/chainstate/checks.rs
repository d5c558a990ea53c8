//! Script checks on several threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

/// Something to be checked on any thread.
pub(super) trait Job: Send + Sync + 'static {
    /// Why a check failed.
    type Error: Send;

    /// Runs the check.
    fn run(&self) -> Result<(), Self::Error>;
}

/// How the checks of one block ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure<E> {
    /// The check with this number failed, the first that did in the order of the jobs.
    Job(usize, E),
    /// A check panicked, which says nothing about the block.
    Panicked,
}

/// Jobs that are worked on, by threads that each take the next one.
struct Batch<J: Job> {
    jobs: Vec<J>,
    next: AtomicUsize,
    stop: AtomicBool,
    outcome: Mutex<Outcome<J::Error>>,
    idle: Condvar,
}

struct Outcome<E> {
    failure: Option<Failure<E>>,
    /// Threads that have not finished with the batch.
    working: usize,
}

impl<J: Job> Batch<J> {
    /// Takes jobs until none is left or one failed.
    fn work(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.jobs.get(index) else {
                return;
            };
            let failure = match catch_unwind(AssertUnwindSafe(|| job.run())) {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => Failure::Job(index, error),
                Err(_) => Failure::Panicked,
            };
            self.stop.store(true, Ordering::Relaxed);
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            // Every job before a failed one was taken and is finished too, so the lowest number does not depend on luck.
            let replace = match (&outcome.failure, &failure) {
                (None, _) | (Some(Failure::Job(..)), Failure::Panicked) => true,
                (Some(Failure::Job(first, _)), Failure::Job(index, _)) => index < first,
                (Some(Failure::Panicked), _) => false,
            };
            if replace {
                outcome.failure = Some(failure);
            }
            return;
        }
    }

    /// Notes that a thread is done with the batch.
    fn finish(&self) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.working -= 1;
        if outcome.working == 0 {
            self.idle.notify_all();
        }
    }
}

/// Below this many jobs the caller does them alone: waking threads would cost more.
const FEW_JOBS: usize = 4;

type Work = Box<dyn FnOnce() + Send>;

/// Threads that wait for checks.
pub(super) struct CheckQueue {
    workers: Vec<(mpsc::Sender<Work>, JoinHandle<()>)>,
}

impl CheckQueue {
    /// Starts `threads` threads; the caller of [`run`](Self::run) works too.
    pub(super) fn new(threads: usize) -> std::io::Result<Self> {
        let mut workers = Vec::with_capacity(threads);
        for number in 0..threads {
            let (sender, receiver) = mpsc::channel::<Work>();
            let thread = std::thread::Builder::new()
                .name(format!("scriptch.{number}"))
                .spawn(move || receiver.into_iter().for_each(|work| work()))?;
            workers.push((sender, thread));
        }
        Ok(Self { workers })
    }

    /// Runs all jobs, or stops soon after one fails.
    pub(super) fn run<J: Job>(&self, jobs: Vec<J>) -> Result<(), Failure<J::Error>> {
        let helpers = if jobs.len() < FEW_JOBS {
            0
        } else {
            self.workers.len()
        };
        let batch = Arc::new(Batch {
            jobs,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            outcome: Mutex::new(Outcome {
                failure: None,
                working: helpers,
            }),
            idle: Condvar::new(),
        });
        for (sender, _) in &self.workers[..helpers] {
            let shared = Arc::clone(&batch);
            let work: Work = Box::new(move || {
                shared.work();
                shared.finish();
            });
            if sender.send(work).is_err() {
                // The thread is gone; its share is done by the others.
                batch.finish();
            }
        }
        batch.work();
        let mut outcome = batch.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        while outcome.working > 0 {
            outcome = batch
                .idle
                .wait(outcome)
                .unwrap_or_else(PoisonError::into_inner);
        }
        outcome.failure.take().map_or(Ok(()), Err)
    }
}

impl Drop for CheckQueue {
    fn drop(&mut self) {
        for (sender, thread) in self.workers.drain(..) {
            drop(sender);
            // Its loop ends with the channel; a panic of a job was caught before.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Check(fn(usize) -> Result<(), &'static str>, usize);

    impl Job for Check {
        type Error = &'static str;
        fn run(&self) -> Result<(), &'static str> {
            (self.0)(self.1)
        }
    }

    fn jobs(count: usize, check: fn(usize) -> Result<(), &'static str>) -> Vec<Check> {
        (0..count).map(|number| Check(check, number)).collect()
    }

    #[test]
    fn all_pass_or_the_first_failure_is_told() {
        for threads in [0, 1, 3] {
            let queue = CheckQueue::new(threads).expect("starts");
            for _ in 0..50 {
                assert_eq!(queue.run(jobs(100, |_| Ok(()))), Ok(()));
                assert_eq!(queue.run(jobs(0, |_| Ok(()))), Ok(()));
                let failing = |n| if n % 7 == 6 { Err("bad") } else { Ok(()) };
                assert_eq!(queue.run(jobs(100, failing)), Err(Failure::Job(6, "bad")));
            }
        }
    }

    #[test]
    fn a_panic_is_no_verdict() {
        let queue = CheckQueue::new(2).expect("starts");
        let panicking = |n| if n == 5 { panic!("on purpose") } else { Ok(()) };
        assert_eq!(queue.run(jobs(10, panicking)), Err(Failure::Panicked));
        assert_eq!(
            queue.run(jobs(10, |_| Ok(()))),
            Ok(()),
            "the threads live on"
        );
    }
}
