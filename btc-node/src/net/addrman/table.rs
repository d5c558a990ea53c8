//! Buckets.

use super::entry::BUCKET_SIZE;

/// Names an entry of the book.
pub(super) type EntryId = u64;

/// So many buckets with as many places each.
pub(super) struct Table(Vec<Option<EntryId>>);

impl Table {
    pub(super) fn new(buckets: usize) -> Self {
        Self(vec![None; buckets * BUCKET_SIZE])
    }

    pub(super) fn buckets(&self) -> usize {
        self.0.len() / BUCKET_SIZE
    }

    pub(super) fn get(&self, bucket: usize, position: usize) -> Option<EntryId> {
        self.0[bucket * BUCKET_SIZE + position]
    }

    pub(super) fn set(&mut self, bucket: usize, position: usize, id: Option<EntryId>) {
        self.0[bucket * BUCKET_SIZE + position] = id;
    }

    /// Every place that is taken: bucket, position, who.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize, EntryId)> + '_ {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(index, id)| id.map(|id| (index / BUCKET_SIZE, index % BUCKET_SIZE, id)))
    }
}
