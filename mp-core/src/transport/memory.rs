//! A stream of bytes within one process.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::Transport;
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
    fn wait(&self, done: impl Fn(&State) -> bool) -> std::sync::MutexGuard<'_, State> {
        self.changed
            .wait_while(lock(&self.state), |state| !done(state))
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
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
        let mut state = self
            .incoming
            .wait(|state| state.closed || !state.bytes.is_empty());
        let room = buffer.capacity() - buffer.len();
        let count = room.min(state.bytes.len());
        buffer.extend(state.bytes.drain(..count));
        self.incoming.changed.notify_all();
        Ok(count)
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
