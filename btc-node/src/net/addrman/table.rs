//! Buckets.

use super::entry::BUCKET_SIZE;

/// Names an entry of the book.
pub(super) type EntryId = u64;

/// So many buckets with as many places each.
pub(super) struct Table {
    places: Vec<Option<EntryId>>,
    /// How many places of each bucket are taken.
    taken: Vec<usize>,
    /// The buckets that are not empty, in no order: most of a young book are, and a choice must not look through them.
    occupied: Vec<usize>,
}

impl Table {
    pub(super) fn new(buckets: usize) -> Self {
        Self {
            places: vec![None; buckets * BUCKET_SIZE],
            taken: vec![0; buckets],
            occupied: Vec::new(),
        }
    }

    /// The buckets that are not empty.
    pub(super) fn occupied(&self) -> &[usize] {
        &self.occupied
    }

    pub(super) fn get(&self, bucket: usize, position: usize) -> Option<EntryId> {
        self.places[bucket * BUCKET_SIZE + position]
    }

    pub(super) fn set(&mut self, bucket: usize, position: usize, id: Option<EntryId>) {
        let place = &mut self.places[bucket * BUCKET_SIZE + position];
        let before = std::mem::replace(place, id);
        match (before, id) {
            (None, Some(_)) => {
                self.taken[bucket] += 1;
                if self.taken[bucket] == 1 {
                    self.occupied.push(bucket);
                }
            }
            (Some(_), None) => {
                self.taken[bucket] -= 1;
                if self.taken[bucket] == 0 {
                    self.occupied.retain(|other| *other != bucket);
                }
            }
            _ => {}
        }
    }

    /// Every place that is taken: bucket, position, who.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize, EntryId)> + '_ {
        self.places
            .iter()
            .enumerate()
            .filter_map(|(index, id)| id.map(|id| (index / BUCKET_SIZE, index % BUCKET_SIZE, id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_occupied_from_the_first_entry_to_the_last() {
        let mut table = Table::new(4);
        for (bucket, position, id) in [(2, 0, 7), (2, 5, 8), (0, 1, 9), (2, 5, 10)] {
            table.set(bucket, position, Some(id));
        }
        assert_eq!(table.occupied(), [2, 0]);
        table.set(2, 5, None);
        table.set(1, 1, None);
        assert_eq!(table.occupied(), [2, 0]);
        table.set(2, 0, None);
        assert_eq!(table.occupied(), [0]);
        assert_eq!(table.iter().collect::<Vec<_>>(), [(0, 1, 9)]);
    }
}
