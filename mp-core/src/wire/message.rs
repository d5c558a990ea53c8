//! A received message: its frame, its segments, and what reading it may cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{PointerReader, Spares, WORD, WireError, load};

/// What a peer's message may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Largest frame in bytes, its header included. Default 64 MiB, which is also what libmultiprocess accepts.
    pub message_bytes: usize,
    /// Largest number of segments. Default 512.
    pub segments: usize,
    /// Words that readers of one message may visit in total, counting a word again each time a pointer leads to
    /// it. Default twice the words of the largest message. A short message may make readers visit no more than 16
    /// times its own words and 4096, or a few bytes could announce millions of empty structs.
    pub traversal_words: u64,
    /// How deep structs and lists may nest. Default 64.
    pub nesting: u32,
}

impl Default for ReadLimits {
    fn default() -> Self {
        let message_bytes = 64 << 20;
        Self {
            message_bytes,
            segments: 512,
            traversal_words: 2 * (message_bytes / WORD) as u64,
            nesting: 64,
        }
    }
}

/// A message in memory.
pub struct Message {
    bytes: Vec<u8>,
    segments: Segments,
    budget: AtomicU64,
    nesting: u32,
    /// Who gets the memory back.
    spares: Option<Arc<Spares>>,
}

impl Drop for Message {
    fn drop(&mut self) {
        if let Some(spares) = &self.spares {
            spares.give(std::mem::take(&mut self.bytes));
        }
    }
}

impl std::fmt::Debug for Message {
    /// Without the bytes: they may hold what is not for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("bytes", &self.bytes.len())
            .field("segments", &self.segments)
            .finish_non_exhaustive()
    }
}

/// Byte ranges of the segments; nearly every message has one, which then needs no allocation.
#[derive(Debug)]
enum Segments {
    One(usize, usize),
    Many(Vec<(usize, usize)>),
}

/// Size in bytes of the frame that starts with `head`, or `None` while `head` is too short to tell.
///
/// # Errors
/// [`WireError::TooManySegments`] and [`WireError::TooLarge`] when the frame breaks `limits`.
pub fn frame_size(head: &[u8], limits: &ReadLimits) -> Result<Option<usize>, WireError> {
    if head.len() < WORD {
        return Ok(None);
    }
    let count = load(head, 0, 4) as usize + 1;
    if count > limits.segments {
        return Err(WireError::TooManySegments);
    }
    let table = (4 + 4 * count).next_multiple_of(WORD);
    if head.len() < table {
        return Ok(None);
    }
    let mut words = 0_u64;
    for segment in 0..count {
        words += load(head, 4 + 4 * segment, 4);
    }
    let size = words
        .saturating_mul(WORD as u64)
        .saturating_add(table as u64);
    match usize::try_from(size) {
        Ok(size) if size <= limits.message_bytes => Ok(Some(size)),
        _ => Err(WireError::TooLarge),
    }
}

/// What readers of a message of so many bytes may visit, whatever the limits are: enough for every pointer to be
/// followed several times.
fn short_message_words(bytes: usize) -> u64 {
    16 * (bytes / WORD) as u64 + 4096
}

impl Message {
    /// Takes the bytes of one whole frame.
    ///
    /// # Errors
    /// Those of [`frame_size`], and [`WireError::Truncated`] when `bytes` are fewer than the frame announces.
    pub fn parse(bytes: Vec<u8>, limits: &ReadLimits) -> Result<Self, WireError> {
        let size = frame_size(&bytes, limits)?.ok_or(WireError::Truncated)?;
        if bytes.len() < size {
            return Err(WireError::Truncated);
        }
        let count = load(&bytes, 0, 4) as usize + 1;
        let mut start = (4 + 4 * count).next_multiple_of(WORD);
        let segments = if count == 1 {
            Segments::One(start, size)
        } else {
            let mut many = Vec::with_capacity(count);
            for segment in 0..count {
                let end = start + load(&bytes, 4 + 4 * segment, 4) as usize * WORD;
                many.push((start, end));
                start = end;
            }
            Segments::Many(many)
        };
        Ok(Self {
            bytes,
            segments,
            budget: AtomicU64::new(limits.traversal_words.min(short_message_words(size))),
            nesting: limits.nesting,
            spares: None,
        })
    }

    /// Has the message give its memory to `spares` when it is dropped.
    pub(crate) fn give_to(mut self, spares: &Arc<Spares>) -> Self {
        self.spares = Some(spares.clone());
        self
    }

    /// The pointer that every message begins with.
    pub fn root(&self) -> PointerReader<'_> {
        PointerReader::new(self, 0, 0, self.nesting)
    }

    /// The frame, as it came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn segment(&self, id: u32) -> Result<&[u8], WireError> {
        let (start, end) = match &self.segments {
            Segments::One(start, end) if id == 0 => (*start, *end),
            Segments::One(..) => return Err(WireError::OutOfBounds),
            Segments::Many(many) => *many.get(id as usize).ok_or(WireError::OutOfBounds)?,
        };
        Ok(&self.bytes[start..end])
    }

    /// Takes `words` from what may still be visited. Two threads reading one message at a time may each be charged
    /// for the other's words, never for fewer than their own.
    pub(super) fn charge(&self, words: u64) -> Result<(), WireError> {
        let left = self
            .budget
            .load(Ordering::Relaxed)
            .checked_sub(words)
            .ok_or(WireError::TraversalLimit)?;
        self.budget.store(left, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_message_cannot_announce_millions_of_elements() {
        // One segment of two words: a pointer to a list of structs, and its tag, for structs of size zero.
        let list = |count: u64| {
            let mut bytes = vec![0, 0, 0, 0, 2, 0, 0, 0];
            bytes.extend((1_u64 | (7 << 32)).to_le_bytes());
            bytes.extend((count << 2).to_le_bytes());
            let message =
                Message::parse(bytes, &ReadLimits::default()).expect("the frame is whole");
            message.root().list().map(|list| list.len())
        };
        assert_eq!(list(1000), Ok(1000));
        assert_eq!(list(4_194_304), Err(WireError::TraversalLimit));
    }
}
