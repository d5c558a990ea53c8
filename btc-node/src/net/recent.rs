//! A set that forgets.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// The last so many different values.
#[derive(Clone, Debug)]
pub(crate) struct RecentSet<T> {
    capacity: usize,
    members: HashSet<T>,
    order: VecDeque<T>,
}

impl<T: Copy + Eq + Hash> RecentSet<T> {
    /// Holds up to `capacity` values.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            members: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    pub(crate) fn insert(&mut self, value: T) {
        if !self.members.insert(value) {
            return;
        }
        self.order.push_back(value);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.members.remove(&oldest);
        }
    }

    pub(crate) fn contains(&self, value: &T) -> bool {
        self.members.contains(value)
    }

    pub(crate) fn clear(&mut self) {
        self.members.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut set = RecentSet::new(2);
        for value in [1, 2, 1, 3] {
            set.insert(value);
        }
        assert!(!set.contains(&1) && set.contains(&2) && set.contains(&3));
    }
}
