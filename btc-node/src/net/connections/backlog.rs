//! What waits to be sent on a connection, and when that is told to be much.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes that wait. One thread adds to them while another takes from them.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: AtomicUsize,
    /// Whether it was last told to be much.
    told: Mutex<bool>,
}

impl Backlog {
    /// Adds bytes and gives the sum.
    pub(super) fn add(&self, bytes: usize) -> usize {
        self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes
    }

    /// Takes bytes away that were added before.
    pub(super) fn take(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Has `tell` say whether more than `limit` bytes wait, if that is not what was said last.
    ///
    /// To be called after each change. Looking and telling are one step, so that of two threads the one that comes last
    /// tells what is so in the end: told in the other order, a peer would count as congested for good.
    pub(super) fn tell_change(&self, limit: usize, tell: impl FnOnce(bool)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let much = self.bytes.load(Ordering::Acquire) > limit;
        if *told != much {
            *told = much;
            tell(much);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn each_change_is_told_once() {
        let backlog = Backlog::default();
        let said = Mutex::new(Vec::new());
        let look = || backlog.tell_change(10, |much| said.lock().expect("no panic").push(much));
        assert_eq!(backlog.add(10), 10);
        look();
        assert_eq!(backlog.add(1), 11);
        look();
        look();
        backlog.take(5);
        look();
        backlog.take(6);
        look();
        assert_eq!(*said.lock().expect("no panic"), [true, false]);
    }

    #[test]
    fn what_is_told_last_is_so_in_the_end() {
        const ROUNDS: usize = 200;
        for _ in 0..ROUNDS {
            let backlog = Backlog::default();
            let said = Mutex::new(false);
            let look = || backlog.tell_change(3, |much| *said.lock().expect("no panic") = much);
            let (sender, queue) = std::sync::mpsc::channel();
            thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        backlog.add(1);
                        sender.send(()).expect("there is a receiver");
                        look();
                    }
                });
                for _ in 0..ROUNDS {
                    queue.recv().expect("there is a sender");
                    backlog.take(1);
                    look();
                }
            });
            assert!(!*said.lock().expect("no panic"), "nothing waits any more");
        }
    }
}
