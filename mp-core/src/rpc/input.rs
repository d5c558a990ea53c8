//! Frames from the peer.

use std::io;
use std::sync::Arc;

use crate::error::Error;
use crate::transport::Transport;
use crate::wire::{Message, ReadLimits, Spares, frame_size};

/// Cuts what is received into frames. What is received of a frame stays here until the rest is, whoever receives that.
pub(super) struct Input {
    buffer: Vec<u8>,
    /// Bytes of the buffer that are taken already.
    taken: usize,
    /// A frame too long for the buffer, with the size that it is to have.
    long: Option<(Vec<u8>, usize)>,
    /// Whether the last receipt took all the room there was, so that more may be there.
    full: bool,
    /// Memory for long frames.
    spares: Arc<Spares>,
}

/// What came of trying to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    Bytes,
    /// Nothing is there.
    Nothing,
    /// The peer ended the stream. A frame cut short is lost: the peer is gone.
    End,
}

/// Bytes asked for at a time. Frames that are longer are received into memory of their own.
const CHUNK: usize = 64 << 10;
/// Largest step by which the memory of a long frame grows ahead of what the peer has sent.
const GROWTH: usize = 2 << 20;

impl Input {
    pub(super) fn new(spares: Arc<Spares>) -> Self {
        Self {
            buffer: Vec::with_capacity(CHUNK),
            taken: 0,
            long: None,
            full: false,
            spares,
        }
    }

    /// The next message, if all of it is here.
    pub(super) fn next(&mut self, limits: &ReadLimits) -> Result<Option<Message>, Error> {
        if let Some((frame, size)) = &mut self.long {
            if frame.len() < *size {
                return Ok(None);
            }
            // The allocator may have given more room than asked for.
            self.buffer.extend_from_slice(&frame[*size..]);
            frame.truncate(*size);
            let frame = std::mem::take(frame);
            self.long = None;
            return Ok(Some(Message::parse(frame, limits)?.give_to(&self.spares)));
        }
        let ready = &self.buffer[self.taken..];
        let Some(size) = frame_size(ready, limits)? else {
            return Ok(None);
        };
        if ready.len() >= size {
            let frame = ready[..size].to_vec();
            self.taken += size;
            return Ok(Some(Message::parse(frame, limits)?));
        }
        if size > CHUNK / 2 {
            let spare = self.spares.take(size);
            let mut frame = spare.unwrap_or_else(|| Vec::with_capacity(size.min(GROWTH)));
            frame.extend_from_slice(ready);
            self.buffer.clear();
            self.taken = 0;
            self.long = Some((frame, size));
        }
        Ok(None)
    }

    /// Whether more may be there than was received last.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Receives what is there. Called when [`next`](Self::next) has nothing more to give.
    pub(super) fn try_receive(&mut self, transport: &dyn Transport) -> Result<Received, Error> {
        self.receive_by(|buffer| transport.try_recv(buffer))
    }

    /// Waits for something and receives it.
    pub(super) fn receive(&mut self, transport: &dyn Transport) -> Result<Received, Error> {
        self.receive_by(|buffer| transport.recv(buffer))
    }

    fn receive_by(
        &mut self,
        recv: impl FnOnce(&mut Vec<u8>) -> io::Result<usize>,
    ) -> Result<Received, Error> {
        let buffer = match &mut self.long {
            Some((frame, size)) => {
                if frame.capacity() == frame.len() {
                    frame.reserve_exact((*size - frame.len()).min(GROWTH.max(frame.len())));
                }
                frame
            }
            None => {
                if self.taken > 0 {
                    self.buffer.drain(..self.taken);
                    self.taken = 0;
                }
                self.buffer.reserve(CHUNK / 2);
                &mut self.buffer
            }
        };
        let received = recv(buffer);
        self.full = buffer.len() == buffer.capacity();
        match received {
            Ok(0) => Ok(Received::End),
            Ok(_) => Ok(Received::Bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Received::Nothing),
            // The peer died with something of ours unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Received::End),
            Err(error) => Err(Error::io("cannot receive", error)),
        }
    }
}
