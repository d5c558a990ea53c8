//! Frames on their way to the peer.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::sync::lock;
use crate::transport::Transport;
use crate::wire::Spares;

/// The frames that wait to be sent, in the order they are to arrive.
///
/// Whoever adds a frame sends it, without waiting, under the queue's own lock. Only when the peer reads too slowly
/// does one thread wait for it, and others leave their frames to that one.
pub(super) struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    frames: VecDeque<Vec<u8>>,
    /// Who gets the memory of frames that are sent.
    spares: Arc<Spares>,
    /// Bytes of the first frame that are sent already.
    sent: usize,
    bytes: usize,
    /// Somebody waits for the peer to read, and will send what is here.
    waiting: bool,
    closed: bool,
}

/// What is left to do after a try to send.
pub(super) enum Flushed {
    /// Nothing, for this thread.
    Done,
    /// Somebody has to wait until the peer reads; the caller became that one, see [`Output::drain`].
    Blocked,
}

/// Frames sent by one system call.
const BATCH: usize = 16;

impl Output {
    pub(super) fn new(spares: &Arc<Spares>) -> Self {
        Self {
            state: Mutex::new(State {
                frames: VecDeque::new(),
                spares: spares.clone(),
                sent: 0,
                bytes: 0,
                waiting: false,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds a frame. The caller holds the lock that decides on the order of frames.
    pub(super) fn push(&self, frame: Vec<u8>) {
        let mut state = lock(&self.state);
        if !state.closed {
            state.bytes += frame.len();
            state.frames.push_back(frame);
        }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        lock(&self.state).bytes
    }

    /// Sends what can be sent now.
    pub(super) fn try_flush(&self, transport: &dyn Transport) -> io::Result<Flushed> {
        let mut state = lock(&self.state);
        if state.waiting || state.closed {
            return Ok(Flushed::Done);
        }
        if state.send(transport)? {
            return Ok(Flushed::Done);
        }
        state.waiting = true;
        Ok(Flushed::Blocked)
    }

    /// Waits for the peer and sends until nothing is left; for who got [`Flushed::Blocked`].
    pub(super) fn drain(&self, transport: &dyn Transport) -> io::Result<()> {
        loop {
            let ready = transport.wait_writable();
            let mut state = lock(&self.state);
            let sent = if state.closed {
                Ok(true)
            } else {
                ready.and_then(|()| state.send(transport))
            };
            self.changed.notify_all();
            if !matches!(sent, Ok(false)) {
                state.waiting = false;
                return sent.map(|_| ());
            }
        }
    }

    /// Waits until at most `bytes` wait, or `until`.
    pub(super) fn wait_below(&self, bytes: usize, until: Option<Instant>) {
        let mut state = lock(&self.state);
        while state.bytes > bytes && state.waiting && !state.closed {
            state = match until {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Forgets what was not sent, and takes no more.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.frames.clear();
        state.bytes = 0;
        self.changed.notify_all();
    }
}

impl State {
    /// Sends until nothing is left (true) or the peer has to read first (false).
    fn send(&mut self, transport: &dyn Transport) -> io::Result<bool> {
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); BATCH];
            let mut count = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                *slice = IoSlice::new(if count == 0 {
                    &frame[self.sent..]
                } else {
                    frame
                });
                count += 1;
            }
            match transport.try_send(&slices[..count]) {
                Ok(sent) => self.remove(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn remove(&mut self, mut sent: usize) {
        self.bytes -= sent;
        while let Some(front) = self.frames.front() {
            let left = front.len() - self.sent;
            if sent < left {
                self.sent += sent;
                return;
            }
            sent -= left;
            self.sent = 0;
            if let Some(frame) = self.frames.pop_front() {
                self.spares.give(frame);
            }
        }
    }
}
