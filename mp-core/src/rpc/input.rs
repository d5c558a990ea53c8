//! Frames from the peer.

use std::io;

use crate::error::Error;
use crate::transport::Transport;
use crate::wire::{Message, ReadLimits, frame_size};

/// Cuts what is received into frames.
pub(super) struct Input {
    buffer: Vec<u8>,
    /// Bytes of the buffer that are taken already.
    taken: usize,
}

/// Bytes asked for at a time. Frames that are longer are received into memory of their own.
const CHUNK: usize = 64 << 10;
/// Largest step by which the memory of a long frame grows ahead of what the peer has sent.
const GROWTH: usize = 1 << 20;

impl Input {
    pub(super) fn new() -> Self {
        Self {
            buffer: Vec::with_capacity(CHUNK),
            taken: 0,
        }
    }

    /// Waits for the next message; `None` when the peer ended the stream.
    pub(super) fn next(
        &mut self,
        transport: &dyn Transport,
        limits: &ReadLimits,
    ) -> Result<Option<Message>, Error> {
        loop {
            let ready = &self.buffer[self.taken..];
            if let Some(size) = frame_size(ready, limits)? {
                if ready.len() >= size {
                    let frame = ready[..size].to_vec();
                    self.taken += size;
                    return Ok(Some(Message::parse(frame, limits)?));
                }
                if size > CHUNK / 2 {
                    return self.long(size, transport, limits);
                }
            }
            if self.taken > 0 {
                self.buffer.drain(..self.taken);
                self.taken = 0;
            }
            self.buffer.reserve(CHUNK / 2);
            if receive(transport, &mut self.buffer)? == 0 {
                // A frame cut short is lost either way: the peer is gone.
                return Ok(None);
            }
        }
    }

    fn long(
        &mut self,
        size: usize,
        transport: &dyn Transport,
        limits: &ReadLimits,
    ) -> Result<Option<Message>, Error> {
        let mut frame = Vec::with_capacity(size.min(GROWTH));
        frame.extend_from_slice(&self.buffer[self.taken..]);
        self.buffer.clear();
        self.taken = 0;
        while frame.len() < size {
            if frame.capacity() == frame.len() {
                frame.reserve_exact((size - frame.len()).min(GROWTH.max(frame.len())));
            }
            if receive(transport, &mut frame)? == 0 {
                return Ok(None);
            }
        }
        // The allocator may have given more room than asked for.
        self.buffer.extend_from_slice(&frame[size..]);
        frame.truncate(size);
        Ok(Some(Message::parse(frame, limits)?))
    }
}

fn receive(transport: &dyn Transport, buffer: &mut Vec<u8>) -> Result<usize, Error> {
    match transport.recv(buffer) {
        Ok(count) => Ok(count),
        // The peer died with something of ours unread.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
        Err(error) => Err(Error::io("cannot receive", error)),
    }
}
