//! Memory of large messages, kept for the next one.

use std::sync::Mutex;

use crate::sync::lock;

/// Large buffers that are not in use.
///
/// What a large message costs is mostly memory that the system has to give, page by page, each time. A connection that
/// has carried one keeps its memory for the next, within bounds.
#[derive(Default)]
pub(crate) struct Spares(Mutex<Vec<Vec<u8>>>);

/// Buffers that are kept.
const COUNT: usize = 2;
/// Buffers of fewer bytes cost little to get anew.
const MIN_BYTES: usize = 64 << 10;
/// Buffers of more bytes are too much to keep: 4 MiB is what a connection may hold for nothing.
const MAX_BYTES: usize = 2 << 20;

impl std::fmt::Debug for Spares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Spares").field(&lock(&self.0).len()).finish()
    }
}

impl Spares {
    /// An empty buffer for at least so many bytes, if there is one.
    pub(crate) fn take(&self, bytes: usize) -> Option<Vec<u8>> {
        if bytes < MIN_BYTES {
            return None;
        }
        let mut spares = lock(&self.0);
        let at = spares.iter().position(|spare| spare.capacity() >= bytes)?;
        Some(spares.swap_remove(at))
    }

    /// Takes a buffer that is no longer in use.
    pub(crate) fn give(&self, mut buffer: Vec<u8>) {
        if !(MIN_BYTES..=MAX_BYTES).contains(&buffer.capacity()) {
            return;
        }
        buffer.clear();
        let mut spares = lock(&self.0);
        spares.push(buffer);
        if spares.len() > COUNT {
            // Larger ones serve more messages.
            let sizes = spares.iter().map(Vec::capacity).enumerate();
            if let Some((smallest, _)) = sizes.min_by_key(|(_, size)| *size) {
                spares.swap_remove(smallest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let spares = Spares::default();
        spares.give(Vec::with_capacity(MIN_BYTES - 1));
        spares.give(Vec::with_capacity(2 * MAX_BYTES));
        assert!(spares.take(MIN_BYTES).is_none());
        for size in [100_000, 200_000, 300_000, 150_000] {
            spares.give(vec![7; size]);
        }
        let kept = [
            spares.take(MIN_BYTES),
            spares.take(MIN_BYTES),
            spares.take(MIN_BYTES),
        ];
        let mut sizes: Vec<_> = kept.iter().flatten().map(Vec::capacity).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [200_000, 300_000]);
        assert!(kept.iter().flatten().all(Vec::is_empty));
    }

    #[test]
    fn a_buffer_is_large_enough_or_not_given() {
        let spares = Spares::default();
        spares.give(Vec::with_capacity(MIN_BYTES));
        assert!(spares.take(MIN_BYTES + 1).is_none());
        assert!(spares.take(10).is_none(), "small messages leave it alone");
        assert!(spares.take(MIN_BYTES).is_some());
    }
}
