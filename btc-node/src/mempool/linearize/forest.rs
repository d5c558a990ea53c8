//! A spanning forest of a cluster: the state of the search for its best order.
//!
//! Some dependencies, none of which close a circle, are *links*; transactions that links join are a chunk. As long as no
//! chunk depends on one of the same or a lower feerate, the chunks by falling feerate are an order of the cluster. A link
//! splits its chunk into the part with the parent, its *top*, and the rest. Where a top is better than its chunk, the link
//! is cut, and each of the two parts joined again with what it may not come before or behind: the order gets better or
//! stays as it is, never worse. When no top is better than its chunk, no order is better. Source: spanning-forest
//! linearization (Wuille 2025), a simplex method for the linear program whose solution is the best order.

use super::Dependencies;
use super::random::Random;
use super::set::Set;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

/// Some transactions and what they pay for what they weigh.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    pub(super) members: Set,
    pub(super) fee: i64,
    pub(super) weight: i64,
}

impl Part {
    /// By feerate; neither is empty.
    fn cmp_rate(&self, other: &Self) -> Ordering {
        (i128::from(self.fee) * i128::from(other.weight))
            .cmp(&(i128::from(other.fee) * i128::from(self.weight)))
    }

    fn add(&mut self, other: &Self) {
        self.members |= other.members;
        self.fee += other.fee;
        self.weight += other.weight;
    }

    fn subtract(&mut self, other: &Self) {
        self.members -= other.members;
        self.fee -= other.fee;
        self.weight -= other.weight;
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Chunk {
    whole: Part,
    /// Its links.
    links: Set,
    /// Transactions outside that its own spend from.
    parents: Set,
    /// Transactions outside that spend from its own.
    children: Set,
}

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    parent: usize,
    child: usize,
    /// The part of the chunk that stays with the parent when this link is cut.
    top: Part,
}

/// Which way a chunk looks for another to be joined with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// To chunks it depends on that are not better than itself, the worst first.
    Up,
    /// To chunks that depend on it and are not worse than itself, the best first.
    Down,
}

/// A chunk that may fall apart into pieces of its own feerate, and how far the search for them is. Such a piece holds the
/// pivot or does not: either the link with the pivot below is cut first, or the one with the pivot above.
#[derive(Debug, Clone, Copy)]
struct Divisible {
    chunk: usize,
    pivot: usize,
    /// Whether links are cut that have the pivot below them.
    pivot_below: bool,
    /// Whether the other way was tried in vain.
    last_try: bool,
}

/// The forest, and the work done for it.
pub(super) struct Forest<'a> {
    cluster: &'a Dependencies,
    random: Random,
    /// By numbers that [`Forest::in_use`] holds; each transaction begins as the chunk of its own number.
    chunks: Vec<Chunk>,
    in_use: Set,
    links: Vec<Link>,
    free_links: Set,
    /// The chunk that each transaction is in.
    chunk_of: Vec<usize>,
    /// Chunks that may have a link to cut. A number in it may have gone out of use.
    queue: VecDeque<usize>,
    queued: Set,
    steps: u64,
}

impl<'a> Forest<'a> {
    /// The forest without links.
    pub(super) fn new(cluster: &'a Dependencies, seed: u64) -> Self {
        let count = cluster.len();
        let chunks = (0..count).map(|i| Chunk {
            whole: cluster.part(i),
            links: Set::EMPTY,
            parents: cluster.parents(i),
            children: cluster.children(i),
        });
        Self {
            cluster,
            random: Random::new(seed),
            chunks: chunks.collect(),
            in_use: Set::below(count),
            links: vec![Link::default(); count],
            free_links: Set::below(count),
            chunk_of: (0..count).collect(),
            queue: VecDeque::new(),
            queued: Set::EMPTY,
            // What is to be paid at the end in any case: the order is put out once.
            steps: 90 * count as u64,
        }
    }

    /// The work done so far, in the unit of [`super::improve`].
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// Links transactions so that the order of the chunks is at least as good as `order`, which holds all transactions,
    /// parents first. To be called once, on the forest without links.
    pub(super) fn load(&mut self, order: &[usize]) {
        for i in order {
            let mut chunk = self.chunk_of[*i];
            while let Some(merged) = self.merge_with_neighbour(chunk, Direction::Up) {
                chunk = merged;
            }
        }
        self.queue = self.in_use.iter().collect();
        self.queued = self.in_use;
        for i in (1..self.queue.len()).rev() {
            let other = self.random.below(i + 1);
            self.queue.swap(i, other);
        }
    }

    /// Cuts links until none is left that a better order would lack; `false` if `budget` was used up before.
    pub(super) fn optimize(&mut self, budget: u64) -> bool {
        while let Some(chunk) = self.queue.pop_front() {
            self.queued.remove(chunk);
            if !self.in_use.contains(chunk) {
                continue;
            }
            if self.steps >= budget {
                return false;
            }
            if let Some(link) = self.link_to_cut(chunk) {
                self.recut(link);
            }
        }
        true
    }

    /// Divides chunks as long as the pieces have the same feerate as the whole; `false` if `budget` was used up before. To
    /// be called on a forest that nothing improves.
    pub(super) fn divide(&mut self, budget: u64) -> bool {
        let mut queue: VecDeque<Divisible> = VecDeque::new();
        for chunk in self.in_use.iter() {
            let divisible = self.divisible(chunk);
            queue.push_back(divisible);
        }
        while let Some(next) = queue.pop_front() {
            if self.steps >= budget {
                return false;
            }
            self.divide_one(next, &mut queue);
        }
        true
    }

    fn divisible(&mut self, chunk: usize) -> Divisible {
        let members = self.chunks[chunk].whole.members;
        let position = self.random.below(members.len());
        Divisible {
            chunk,
            pivot: members.iter().nth(position).expect("it is below the count"),
            pivot_below: self.random.coin(),
            last_try: false,
        }
    }

    fn divide_one(&mut self, this: Divisible, queue: &mut VecDeque<Divisible>) {
        let Chunk { whole, links, .. } = self.chunks[this.chunk];
        self.steps += 12 + 12 * links.len() as u64;
        let mut even = links;
        for link in links.iter() {
            if self.links[link].top.cmp_rate(&whole) == Ordering::Less {
                even.remove(link);
            }
        }
        let mut fitting = even;
        for link in even.iter() {
            if self.links[link].top.members.contains(this.pivot) == this.pivot_below {
                fitting.remove(link);
            }
        }
        if fitting.is_empty() {
            if !even.is_empty() && !this.last_try {
                queue.push_back(Divisible {
                    pivot_below: !this.pivot_below,
                    last_try: true,
                    ..this
                });
            }
            return;
        }
        let chosen = self.random.below(fitting.len());
        let link = fitting.iter().nth(chosen).expect("it is below the count");
        let (top, bottom) = self.cut(link);
        if self.chunks[top]
            .parents
            .overlaps(self.chunks[bottom].whole.members)
        {
            let chunk = self.merge(bottom, top);
            queue.push_back(Divisible { chunk, ..this });
            return;
        }
        let (own, other) = if this.pivot_below {
            (bottom, top)
        } else {
            (top, bottom)
        };
        let other = self.divisible(other);
        queue.push_back(Divisible { chunk: own, ..this });
        queue.push_back(other);
    }

    /// One of the links whose tops are better than the chunk.
    fn link_to_cut(&mut self, chunk: usize) -> Option<usize> {
        let Chunk { whole, links, .. } = self.chunks[chunk];
        self.steps += 10 + 8 * links.len() as u64;
        let mut better = Set::EMPTY;
        for link in links.iter() {
            if self.links[link].top.cmp_rate(&whole) == Ordering::Greater {
                better.insert(link);
            }
        }
        if better.is_empty() {
            return None;
        }
        let chosen = self.random.below(better.len());
        better.iter().nth(chosen)
    }

    /// Cuts a link whose top is better than its chunk, and joins both parts with what they then may not pass.
    fn recut(&mut self, link: usize) {
        let (top, bottom) = self.cut(link);
        if self.chunks[top]
            .parents
            .overlaps(self.chunks[bottom].whole.members)
        {
            // The better part depends on the other by another dependency. As the chunk was in its place, so it is.
            let merged = self.merge(bottom, top);
            self.enqueue(merged);
            return;
        }
        for (mut chunk, direction) in [(top, Direction::Up), (bottom, Direction::Down)] {
            while let Some(merged) = self.merge_with_neighbour(chunk, direction) {
                chunk = merged;
            }
            self.enqueue(chunk);
        }
    }

    fn enqueue(&mut self, chunk: usize) {
        if !self.queued.contains(chunk) {
            self.queued.insert(chunk);
            self.queue.push_back(chunk);
        }
    }

    /// Joins a chunk with the one that it most violates the order with; gives what it has become, or `None` if there is no
    /// such chunk.
    fn merge_with_neighbour(&mut self, chunk: usize, direction: Direction) -> Option<usize> {
        let neighbour = self.neighbour(chunk, direction)?;
        Some(match direction {
            Direction::Up => self.merge(neighbour, chunk),
            Direction::Down => self.merge(chunk, neighbour),
        })
    }

    fn neighbour(&mut self, chunk: usize, direction: Direction) -> Option<usize> {
        let mut left = match direction {
            Direction::Up => self.chunks[chunk].parents,
            Direction::Down => self.chunks[chunk].children,
        };
        let mut bound = self.chunks[chunk].whole;
        let mut found = None;
        let mut equals = 0;
        while let Some(member) = left.first() {
            self.steps += 8;
            let other = self.chunk_of[member];
            let whole = self.chunks[other].whole;
            left -= whole.members;
            let worse = match direction {
                Direction::Up => whole.cmp_rate(&bound),
                Direction::Down => bound.cmp_rate(&whole),
            };
            if worse == Ordering::Less {
                equals = 0;
            }
            if worse != Ordering::Greater {
                equals += 1;
                // Each of those that are equally far takes the place of the one before in turn: all are as likely.
                if equals == 1 || self.random.below(equals) == 0 {
                    found = Some(other);
                }
                bound = whole;
            }
        }
        found
    }

    /// Links two chunks by one of the dependencies of `bottom` on `top`, of which there is at least one.
    fn merge(&mut self, top: usize, bottom: usize) -> usize {
        let (above, below) = (
            self.chunks[top].whole.members,
            self.chunks[bottom].whole.members,
        );
        self.steps += 5 + 3 * above.len() as u64;
        let cluster = self.cluster;
        let dependents = |parent: usize| cluster.children(parent) & below;
        let count: usize = above.iter().map(|parent| dependents(parent).len()).sum();
        let mut chosen = self.random.below(count);
        for parent in above.iter() {
            let children = dependents(parent);
            if let Some(child) = children.iter().nth(chosen) {
                return self.link(parent, child);
            }
            chosen -= children.len();
        }
        unreachable!("one chunk depends on the other")
    }

    /// Makes a link of a dependency between two chunks; gives the chunk that they have become.
    fn link(&mut self, parent: usize, child: usize) -> usize {
        let (top, bottom) = (self.chunk_of[parent], self.chunk_of[child]);
        let (above, below) = (self.chunks[top], self.chunks[bottom]);
        // The link's top is the whole of one side; the tops on each side that hold the link's end get the other side.
        for (links, end, far) in [
            (above.links, parent, &below.whole),
            (below.links, child, &above.whole),
        ] {
            for link in links.iter() {
                let part = &mut self.links[link].top;
                if part.members.contains(end) {
                    part.add(far);
                }
            }
        }
        let number = self
            .free_links
            .first()
            .expect("a forest has fewer links than transactions");
        self.free_links.remove(number);
        self.links[number] = Link {
            parent,
            child,
            top: above.whole,
        };
        for member in above.whole.members.iter() {
            self.chunk_of[member] = bottom;
        }
        let merged = &mut self.chunks[bottom];
        merged.whole.add(&above.whole);
        merged.links = above.links | below.links | Set::single(number);
        merged.parents = (above.parents | below.parents) - merged.whole.members;
        merged.children = (above.children | below.children) - merged.whole.members;
        self.in_use.remove(top);
        self.steps += 10 * merged.whole.members.len() as u64;
        bottom
    }

    /// Cuts a link; gives the two chunks, that of the parent first.
    fn cut(&mut self, number: usize) -> (usize, usize) {
        let Link { parent, child, top } = self.links[number];
        let bottom_number = self.chunk_of[parent];
        let old = self.chunks[bottom_number];
        self.steps += 10 + 11 * old.links.len() as u64;
        let mut bottom = old.whole;
        bottom.subtract(&top);
        let mut sides = [Set::EMPTY; 2];
        for link in (old.links - Set::single(number)).iter() {
            let Link {
                parent: end,
                top: part,
                ..
            } = &mut self.links[link];
            let is_above = top.members.contains(*end);
            let (near, far) = if is_above {
                (parent, &bottom)
            } else {
                (child, &top)
            };
            if part.members.contains(near) {
                part.subtract(far);
            }
            sides[usize::from(!is_above)].insert(link);
        }
        self.free_links.insert(number);
        let top_number = (Set::below(self.chunks.len()) - self.in_use)
            .first()
            .expect("there are as many numbers as transactions, and the chunk had two at least");
        self.in_use.insert(top_number);
        for member in top.members.iter() {
            self.chunk_of[member] = top_number;
        }
        for (chunk, whole, links) in [
            (top_number, top, sides[0]),
            (bottom_number, bottom, sides[1]),
        ] {
            let (mut parents, mut children) = (Set::EMPTY, Set::EMPTY);
            for member in whole.members.iter() {
                parents |= self.cluster.parents(member);
                children |= self.cluster.children(member);
            }
            self.chunks[chunk] = Chunk {
                whole,
                links,
                parents: parents - whole.members,
                children: children - whole.members,
            };
        }
        (top_number, bottom_number)
    }

    /// The order of the chunks, and of the transactions in each.
    ///
    /// Of the chunks whose parents are out, that of the highest feerate comes next; of several the lightest, then the one
    /// whose last transaction has the lowest number. In a chunk the same goes for transactions. So an order that nothing
    /// improves is the same however it was found, and the same as on the network's other nodes.
    pub(super) fn order(&self) -> Vec<usize> {
        let count = self.cluster.len();
        let mut order = Vec::with_capacity(count);
        let mut out = Set::EMPTY;
        let ready = |chunk: usize| {
            let whole = self.chunks[chunk].whole;
            let last = whole.members.iter().last().unwrap_or_default();
            Ready::new(whole, last, chunk)
        };
        let mut waiting = self.in_use;
        let mut heap: BinaryHeap<Ready> = BinaryHeap::with_capacity(waiting.len());
        let release =
            |waiting: &mut Set, out: Set, candidates: Set, heap: &mut BinaryHeap<Ready>| {
                for chunk in (*waiting & candidates).iter() {
                    if (self.chunks[chunk].parents - out).is_empty() {
                        waiting.remove(chunk);
                        heap.push(ready(chunk));
                    }
                }
            };
        release(&mut waiting, out, self.in_use, &mut heap);
        let mut inner: BinaryHeap<Ready> = BinaryHeap::with_capacity(count);
        while let Some(next) = heap.pop() {
            let chunk = self.chunks[next.number];
            let mut left = chunk.whole.members;
            let release_inner =
                |left: &mut Set, out: Set, candidates: Set, inner: &mut BinaryHeap<Ready>| {
                    for member in (*left & candidates).iter() {
                        if (self.cluster.parents(member) - out).is_empty() {
                            left.remove(member);
                            inner.push(Ready::new(self.cluster.part(member), member, member));
                        }
                    }
                };
            release_inner(&mut left, out, chunk.whole.members, &mut inner);
            while let Some(Ready { number: member, .. }) = inner.pop() {
                out.insert(member);
                order.push(member);
                release_inner(&mut left, out, self.cluster.children(member), &mut inner);
            }
            let dependents = chunk
                .children
                .iter()
                .map(|child| self.chunk_of[child])
                .collect();
            release(&mut waiting, out, dependents, &mut heap);
        }
        order
    }

    /// Checks what must hold between any two calls.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut seen = Set::EMPTY;
        let mut links = Set::EMPTY;
        for number in self.in_use.iter() {
            let chunk = &self.chunks[number];
            assert!(!seen.overlaps(chunk.whole.members) && !chunk.whole.members.is_empty());
            assert!(!links.overlaps(chunk.links));
            assert_eq!(chunk.links.len() + 1, chunk.whole.members.len());
            seen |= chunk.whole.members;
            links |= chunk.links;
            for member in chunk.whole.members.iter() {
                assert_eq!(self.chunk_of[member], number);
            }
            for link in chunk.links.iter() {
                let Link { parent, child, top } = &self.links[link];
                assert!(self.cluster.parents(*child).contains(*parent));
                let mut reached = Set::single(*parent);
                loop {
                    let before = reached;
                    for other in (chunk.links - Set::single(link)).iter() {
                        let ends: Set = [self.links[other].parent, self.links[other].child]
                            .into_iter()
                            .collect();
                        if reached.overlaps(ends) {
                            reached |= ends;
                        }
                    }
                    if reached == before {
                        break;
                    }
                }
                assert_eq!(reached, top.members, "a top is what the parent reaches");
                assert!(!reached.contains(*child));
            }
        }
        assert_eq!(seen, Set::below(self.cluster.len()));
        assert!(!links.overlaps(self.free_links));
    }
}

/// What may come next in an order; the greatest does.
#[derive(Debug, Clone, Copy)]
struct Ready {
    part: Part,
    tie: Reverse<usize>,
    number: usize,
}

impl Ready {
    fn new(part: Part, last: usize, number: usize) -> Self {
        Self {
            part,
            tie: Reverse(last),
            number,
        }
    }
}

impl Ord for Ready {
    fn cmp(&self, other: &Self) -> Ordering {
        self.part
            .cmp_rate(&other.part)
            .then_with(|| other.part.weight.cmp(&self.part.weight))
            .then_with(|| self.tie.cmp(&other.tie))
    }
}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ready {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ready {}
