//! A stream of bytes within one process.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Readiness, Role, Transport};
use crate::sync::lock;

/// One end of a stream within this process; see [`memory`].
#[derive(Debug)]
pub struct Memory {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
}

/// The two ends of a stream within this process, without the operating system: for tests, and for objects that are
/// to be called as if they were elsewhere. `capacity` bytes fit into each direction (1 at least) before the sender has
/// to wait for the reader.
///
/// ```
/// let (here, there) = mp_core::memory(64 << 10);
/// # drop((here, there));
/// ```
#[must_use]
pub fn memory(capacity: usize) -> (Memory, Memory) {
    let pipe = || {
        Arc::new(Pipe {
            capacity: capacity.max(1),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    };
    let (left, right) = (pipe(), pipe());
    let end = |incoming: &Arc<Pipe>, outgoing: &Arc<Pipe>| Memory {
        incoming: incoming.clone(),
        outgoing: outgoing.clone(),
    };
    (end(&left, &right), end(&right, &left))
}

/// One direction.
#[derive(Debug)]
struct Pipe {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    closed: bool,
    /// A guest waits for bytes.
    guest: bool,
    /// Who is to end its wait.
    woken: [bool; 2],
}

impl std::fmt::Debug for State {
    /// Without the bytes: they may hold what is not for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("bytes", &self.bytes.len())
            .field("closed", &self.closed)
            .finish()
    }
}

impl Pipe {
    /// Waits until `done` holds.
    fn wait(&self, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed
            .wait_while(lock(&self.state), |state| !done(state))
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what fits into the buffer's spare capacity.
    fn take(&self, mut state: MutexGuard<'_, State>, buffer: &mut Vec<u8>) -> usize {
        let room = buffer.capacity() - buffer.len();
        let count = room.min(state.bytes.len());
        buffer.extend(state.bytes.drain(..count));
        self.changed.notify_all();
        count
    }

    fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }
}

/// Where what arrives is waited for.
struct Arrivals(Arc<Pipe>);

impl Readiness for Arrivals {
    fn wait(&self, role: Role, until: Option<Instant>) -> io::Result<()> {
        let mut state = lock(&self.0.state);
        state.guest |= role == Role::Guest;
        loop {
            let theirs = role == Role::Keeper && state.guest && !state.closed;
            let arrived = state.closed || !state.bytes.is_empty();
            if state.woken[role as usize] || arrived && !theirs {
                break;
            }
            state = match until {
                None => self.0.changed.wait(state),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    match self.0.changed.wait_timeout(state, left) {
                        Ok((state, _)) => Ok(state),
                        Err(poisoned) => Ok(poisoned.into_inner().0),
                    }
                }
            }
            .unwrap_or_else(PoisonError::into_inner);
        }
        state.woken[role as usize] = false;
        if role == Role::Guest {
            state.guest = false;
            // What it does not receive is the keeper's.
            self.0.changed.notify_all();
        }
        Ok(())
    }

    fn wake(&self, role: Role) {
        lock(&self.0.state).woken[role as usize] = true;
        self.0.changed.notify_all();
    }
}

impl Transport for Memory {
    fn try_send(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = lock(&self.outgoing.state);
        if state.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut sent = 0;
        for slice in bytes {
            let room = self.outgoing.capacity - state.bytes.len();
            let part = &slice[..slice.len().min(room)];
            state.bytes.extend(part);
            sent += part.len();
        }
        if sent == 0 && bytes.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.outgoing.changed.notify_all();
        Ok(sent)
    }

    fn wait_writable(&self) -> io::Result<()> {
        let capacity = self.outgoing.capacity;
        drop(
            self.outgoing
                .wait(|state| state.closed || state.bytes.len() < capacity),
        );
        Ok(())
    }

    fn recv(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let state = self
            .incoming
            .wait(|state| state.closed || !state.bytes.is_empty());
        Ok(self.incoming.take(state, buffer))
    }

    fn try_recv(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let state = lock(&self.incoming.state);
        if state.bytes.is_empty() && !state.closed {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(self.incoming.take(state, buffer))
    }

    fn readiness(&self) -> Option<Box<dyn Readiness>> {
        Some(Box::new(Arrivals(self.incoming.clone())))
    }

    fn peer_user(&self) -> io::Result<Option<u32>> {
        // The peer is this very process.
        Ok(Some(rustix::process::geteuid().as_raw()))
    }

    fn shutdown(&self) {
        self.incoming.close();
        self.outgoing.close();
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.shutdown();
    }
}
