//! What one connection may cost this process.

use std::time::Duration;

use crate::wire::ReadLimits;

/// Bounds of one connection. Each is checked where the cost arises; going over one is an error that names it, to the
/// caller where it is this side's doing, to the peer where it is the peer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// What one message may cost. Default: [`ReadLimits::default`]. Messages of more than
    /// [`ReadLimits::message_bytes`] are not sent either.
    pub message: ReadLimits,
    /// Objects of this side that the peer may refer to. Default 100,000.
    pub exports: usize,
    /// Objects of the peer that this side may refer to. Default 100,000.
    pub imports: usize,
    /// Calls of this side that wait for their reply. Default 10,000.
    pub questions: usize,
    /// Calls of the peer that are not yet finished. Default 10,000.
    pub answers: usize,
    /// Threads that the peer may make here, those of its pool included. Default 256.
    pub threads: usize,
    /// Calls that may wait for one thread. Default 1,000.
    pub queued_calls: usize,
    /// Bytes of requests that may wait for threads. Default 256 MiB.
    pub queued_bytes: usize,
    /// How deep calls may nest on one thread: call, callback, call, … Default 64.
    pub nested_calls: u32,
    /// Bytes that may wait for the peer to read before callers have to wait too. Default 4 MiB.
    pub output_bytes: usize,
    /// Bytes of replies that may wait for a peer that asks and does not read, before it is disconnected. Default
    /// 256 MiB.
    pub output_bytes_max: usize,
    /// How long dropping a proxy waits for the reply to `destroy`. Default 10 s.
    pub destroy_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: ReadLimits::default(),
            exports: 100_000,
            imports: 100_000,
            questions: 10_000,
            answers: 10_000,
            threads: 256,
            queued_calls: 1_000,
            queued_bytes: 256 << 20,
            nested_calls: 64,
            output_bytes: 4 << 20,
            output_bytes_max: 256 << 20,
            destroy_wait: Duration::from_secs(10),
        }
    }
}
