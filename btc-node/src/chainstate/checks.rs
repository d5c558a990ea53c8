//! Script checks on several threads, while whoever asked for them goes on.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Something to be checked on any thread.
pub(super) trait Job: Send + Sync + 'static {
    /// Why a check failed.
    type Error: Clone + Send;

    /// Runs the check.
    fn run(&self) -> Result<(), Self::Error>;
}

/// How the checks of one block ended.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Set by a failure, and when nobody asks for the outcome any more.
    stop: AtomicBool,
    outcome: Mutex<Outcome<J::Error>>,
    idle: Condvar,
}

struct Outcome<E> {
    failure: Option<Failure<E>>,
    /// Threads that have begun with the batch and not finished.
    working: usize,
}

/// A batch, whatever its jobs are.
trait Work: Send + Sync {
    /// Takes jobs until none is left or one failed.
    fn work(&self);

    /// Whether no job is left to take.
    fn is_exhausted(&self) -> bool;
}

impl<J: Job> Batch<J> {
    fn outcome(&self) -> MutexGuard<'_, Outcome<J::Error>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes jobs until none is left or one failed, and says how that one did.
    fn take_jobs(&self) -> Option<Failure<J::Error>> {
        while !self.stop.load(Ordering::Relaxed) {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let job = self.jobs.get(index)?;
            match catch_unwind(AssertUnwindSafe(|| job.run())) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Some(Failure::Job(index, error)),
                Err(_) => return Some(Failure::Panicked),
            }
        }
        None
    }
}

impl<J: Job> Work for Batch<J> {
    fn work(&self) {
        self.outcome().working += 1;
        let failure = self.take_jobs();
        let mut outcome = self.outcome();
        if let Some(failure) = failure {
            self.stop.store(true, Ordering::Relaxed);
            // Every job before a failed one was taken and is finished too, so the lowest number does not depend on luck.
            let replace = match (&outcome.failure, &failure) {
                (None, _) | (Some(Failure::Job(..)), Failure::Panicked) => true,
                (Some(Failure::Job(first, _)), Failure::Job(index, _)) => index < first,
                (Some(Failure::Panicked), _) => false,
            };
            if replace {
                outcome.failure = Some(failure);
            }
        }
        outcome.working -= 1;
        if outcome.working == 0 {
            self.idle.notify_all();
        }
    }

    fn is_exhausted(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.next.load(Ordering::Relaxed) >= self.jobs.len()
    }
}

/// Jobs that were handed in. Once it is dropped, those that nobody has begun are not run.
pub(super) struct Ticket<J: Job> {
    batch: Arc<Batch<J>>,
    /// Whether no thread was told of it, so that it is left to the caller.
    alone: bool,
}

impl<J: Job> Ticket<J> {
    /// The jobs.
    pub(super) fn jobs(&self) -> &[J] {
        &self.batch.jobs
    }

    /// Waits until all jobs ran, or one failed and no thread is at any other.
    pub(super) fn wait(&self) -> Result<(), Failure<J::Error>> {
        if self.alone {
            self.batch.work();
        }
        let mut outcome = self.batch.outcome();
        // A thread is counted before it takes a job: with none left to take and nobody counted, all are done.
        while outcome.working > 0 || !self.batch.is_exhausted() {
            outcome = self
                .batch
                .idle
                .wait(outcome)
                .unwrap_or_else(PoisonError::into_inner);
        }
        outcome.failure.clone().map_or(Ok(()), Err)
    }
}

impl<J: Job> Drop for Ticket<J> {
    fn drop(&mut self) {
        self.batch.stop.store(true, Ordering::Relaxed);
    }
}

/// Below this many jobs the caller does them alone: waking threads would cost more.
const FEW_JOBS: usize = 4;

/// What the threads wait for.
#[derive(Default)]
struct Queue {
    /// In the order in which they were handed in, which is that of their blocks: the first is the one waited for.
    batches: VecDeque<Arc<dyn Work>>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that is done under the lock panics half way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does until the queue is closed.
    fn serve(&self) {
        let mut queue = self.queue();
        while !queue.closed {
            let Some(batch) = queue.batches.front().cloned() else {
                queue = self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(queue);
            batch.work();
            queue = self.queue();
            // Others that were at it may have removed it.
            if queue
                .batches
                .front()
                .is_some_and(|front| Arc::ptr_eq(front, &batch))
            {
                queue.batches.pop_front();
            }
        }
    }
}

/// Threads that wait for checks.
pub(super) struct CheckQueue {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl CheckQueue {
    /// Starts `threads` threads. With none, the caller does all the work when it waits for it.
    pub(super) fn new(threads: usize) -> std::io::Result<Self> {
        let mut queue = Self {
            shared: Arc::default(),
            threads: Vec::with_capacity(threads),
        };
        for number in 0..threads {
            let shared = Arc::clone(&queue.shared);
            let thread = std::thread::Builder::new()
                .name(format!("scriptch.{number}"))
                .spawn(move || shared.serve())?;
            queue.threads.push(thread);
        }
        Ok(queue)
    }

    /// Whether what is submitted is worked on before it is waited for.
    pub(super) fn has_threads(&self) -> bool {
        !self.threads.is_empty()
    }

    /// Has jobs done after those that were handed in before.
    pub(super) fn submit<J: Job>(&self, jobs: Vec<J>) -> Ticket<J> {
        let alone = jobs.len() < FEW_JOBS || self.threads.is_empty();
        let batch = Arc::new(Batch {
            jobs,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            outcome: Mutex::new(Outcome {
                failure: None,
                working: 0,
            }),
            idle: Condvar::new(),
        });
        if !alone {
            let work: Arc<dyn Work> = Arc::<Batch<J>>::clone(&batch);
            self.shared.queue().batches.push_back(work);
            self.shared.changed.notify_all();
        }
        Ticket { batch, alone }
    }
}

impl Drop for CheckQueue {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // It ends once the queue is closed; a panic of a job was caught before.
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

    fn run(queue: &CheckQueue, jobs: Vec<Check>) -> Result<(), Failure<&'static str>> {
        queue.submit(jobs).wait()
    }

    #[test]
    fn all_pass_or_the_first_failure_is_told() {
        for threads in [0, 1, 3] {
            let queue = CheckQueue::new(threads).expect("starts");
            for _ in 0..50 {
                assert_eq!(run(&queue, jobs(100, |_| Ok(()))), Ok(()));
                assert_eq!(run(&queue, jobs(0, |_| Ok(()))), Ok(()));
                let failing = |n| if n % 7 == 6 { Err("bad") } else { Ok(()) };
                assert_eq!(run(&queue, jobs(100, failing)), Err(Failure::Job(6, "bad")));
            }
        }
    }

    #[test]
    fn a_panic_is_no_verdict() {
        let queue = CheckQueue::new(2).expect("starts");
        let panicking = |n| if n == 5 { panic!("on purpose") } else { Ok(()) };
        assert_eq!(run(&queue, jobs(10, panicking)), Err(Failure::Panicked));
        assert_eq!(
            run(&queue, jobs(10, |_| Ok(()))),
            Ok(()),
            "the threads live on"
        );
    }

    #[test]
    fn batches_are_done_in_turn_while_their_caller_goes_on() {
        let queue = CheckQueue::new(2).expect("starts");
        let failing = |n| if n == 9 { Err("bad") } else { Ok(()) };
        let tickets: Vec<_> = (0..20)
            .map(|n| queue.submit(jobs(20, if n % 5 == 3 { failing } else { |_| Ok(()) })))
            .collect();
        for (n, ticket) in tickets.iter().enumerate() {
            let expected = if n % 5 == 3 {
                Err(Failure::Job(9, "bad"))
            } else {
                Ok(())
            };
            assert_eq!(ticket.wait(), expected);
            assert_eq!(ticket.wait(), expected, "asked again, it says the same");
        }
    }

    #[test]
    fn what_nobody_waits_for_is_not_done() {
        static DONE: AtomicUsize = AtomicUsize::new(0);
        let queue = CheckQueue::new(1).expect("starts");
        let held = Arc::new(Mutex::new(()));
        struct Hold(Arc<Mutex<()>>);
        impl Job for Hold {
            type Error = &'static str;
            fn run(&self) -> Result<(), &'static str> {
                drop(self.0.lock());
                Ok(())
            }
        }
        let guard = held.lock().expect("not poisoned");
        let first = queue.submit((0..FEW_JOBS).map(|_| Hold(Arc::clone(&held))).collect());
        let dropped = queue.submit(jobs(100, |_| {
            DONE.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }));
        drop(dropped);
        drop(guard);
        assert_eq!(first.wait(), Ok(()));
        assert_eq!(run(&queue, jobs(10, |_| Ok(()))), Ok(()));
        assert_eq!(DONE.load(Ordering::Relaxed), 0);
    }
}
