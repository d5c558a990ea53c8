//! Disjoint sets of numbers that are joined one after another.

/// Numbers from 0 in disjoint sets (Tarjan 1975), each with a representative.
pub(super) struct Partition {
    parent: Vec<usize>,
    count: Vec<usize>,
}

impl Partition {
    /// Each number below `len` in a set of its own.
    pub(super) fn new(len: usize) -> Self {
        Self {
            parent: (0..len).collect(),
            count: vec![1; len],
        }
    }

    /// The representative of the set that the number is in.
    pub(super) fn find(&mut self, mut number: usize) -> usize {
        while self.parent[number] != number {
            self.parent[number] = self.parent[self.parent[number]];
            number = self.parent[number];
        }
        number
    }

    /// Joins the sets of two numbers; gives the representative.
    pub(super) fn join(&mut self, a: usize, b: usize) -> usize {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return a;
        }
        let (small, large) = if self.count[a] < self.count[b] {
            (a, b)
        } else {
            (b, a)
        };
        self.parent[small] = large;
        self.count[large] += self.count[small];
        large
    }
}
