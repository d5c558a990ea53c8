//! The threads that run calls, and the bounded queue before them.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

type Job = Box<dyn FnOnce() + Send>;

/// The end where calls are put in.
#[derive(Clone)]
pub(super) struct Queue(SyncSender<Job>);

/// As many calls wait as may.
pub(super) struct QueueFull;

/// The threads. They end when every [`Queue`] is dropped and what was queued has run.
pub(super) struct Workers {
    alive: Arc<Alive>,
}

struct Alive {
    count: Mutex<usize>,
    ended: Condvar,
}

impl Queue {
    /// Queues a call, unless the queue is full.
    pub(super) fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), QueueFull> {
        match self.0.try_send(Box::new(job)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(QueueFull),
        }
    }
}

impl Workers {
    pub(super) fn start(threads: usize, depth: usize) -> io::Result<(Self, Queue)> {
        let (sender, receiver) = sync_channel::<Job>(depth);
        let receiver = Arc::new(Mutex::new(receiver));
        let alive = Arc::new(Alive {
            count: Mutex::new(0),
            ended: Condvar::new(),
        });
        for index in 0..threads {
            let receiver = Arc::clone(&receiver);
            let living = Living::new(&alive);
            thread::Builder::new()
                .name(format!("http_pool_{index}"))
                .spawn(move || {
                    let _living = living;
                    while let Some(job) = next(&receiver) {
                        job();
                    }
                })?;
        }
        Ok((Self { alive }, Queue(sender)))
    }

    /// Waits for the threads to end; gives how many had not by the deadline.
    pub(super) fn join(self, deadline: Instant) -> usize {
        let count = self
            .alive
            .count
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let patience = deadline.saturating_duration_since(Instant::now());
        let (count, _) = self
            .alive
            .ended
            .wait_timeout_while(count, patience, |count| *count > 0)
            .unwrap_or_else(PoisonError::into_inner);
        *count
    }
}

fn next(receiver: &Mutex<Receiver<Job>>) -> Option<Job> {
    let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
    receiver.recv().ok()
}

/// Counts a thread as long as it lives, however it ends.
struct Living(Arc<Alive>);

impl Living {
    fn new(alive: &Arc<Alive>) -> Self {
        *alive.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(Arc::clone(alive))
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_all();
    }
}
