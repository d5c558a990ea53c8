//! The book of addresses that might be connected to.
//!
//! Whoever fills the book decides whom a node talks to, so it is built to be hard to fill. An address heard of goes into
//! a *new* bucket, chosen by its group and by the group of who told of it; one that a connection was made to goes into
//! a *tried* bucket, chosen by its own group. Where in a bucket is decided by a secret key. One teller reaches few
//! buckets, one group of addresses even fewer, and an address that proved to work is not pushed out by one that did
//! not: before it goes, it is tried once more.
//!
//! The layout and the file are Core's. Times are seconds since 1970 and come with each call; chance comes from the seed.

mod check;
mod entry;
mod file;
mod table;

pub use entry::Entry;
pub use file::AddrManFileError;

use super::address::{Endpoint, NetAddress, Network, PeerAddress};
use super::netgroup::NetGroups;
use bitcoin::key::rand::rngs::StdRng;
use bitcoin::key::rand::{Rng, RngCore, SeedableRng};
use entry::{BUCKET_SIZE, BucketKey, MAX_REFERENCES, NEW_BUCKETS, TRIED_BUCKETS};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use table::{EntryId, Table};

/// How long an address that works is safe from one that would take its place.
const REPLACEMENT: i64 = 4 * 60 * 60;
/// How long the test of the old one may take before the new one wins.
const TEST_WINDOW: i64 = 40 * 60;
/// Addresses that may wait for such a test.
const MAX_COLLISIONS: usize = 10;
const HOUR: i64 = 60 * 60;

/// How many addresses of a network there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Only heard of.
    pub new: usize,
    /// Once connected to.
    pub tried: usize,
}

/// Where in the book an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bucket's number.
    pub bucket: usize,
    /// The place in it.
    pub position: usize,
}

/// The book.
pub struct AddrMan {
    key: BucketKey,
    groups: NetGroups,
    entries: BTreeMap<EntryId, Entry>,
    by_endpoint: HashMap<Endpoint, EntryId>,
    /// All entries, in an order that draws at random shuffle.
    order: Vec<EntryId>,
    new: Table,
    tried: Table,
    counts: HashMap<Network, Counts>,
    next_id: EntryId,
    /// New addresses that wait until the one in their place is tested.
    collisions: BTreeSet<EntryId>,
    last_good: i64,
    rng: StdRng,
    /// One of so many calls checks the whole book (`-checkaddrman`); 0 for none.
    check_ratio: u32,
}

impl std::fmt::Debug for AddrMan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddrMan")
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

impl AddrMan {
    /// An empty book. `seed` makes its key and what is random in it.
    pub fn new(groups: NetGroups, seed: [u8; 32], check_ratio: u32) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        Self::with_key(groups, key, rng, check_ratio)
    }

    /// An empty book of which everything is known beforehand (`-test=addrman`): no secret, for tests alone.
    pub fn deterministic(groups: NetGroups, check_ratio: u32) -> Self {
        let mut key = [0; 32];
        key[0] = 1;
        Self::with_key(groups, key, StdRng::from_seed([0; 32]), check_ratio)
    }

    fn with_key(groups: NetGroups, key: [u8; 32], rng: StdRng, check_ratio: u32) -> Self {
        Self {
            key: BucketKey(key),
            groups,
            entries: BTreeMap::new(),
            by_endpoint: HashMap::new(),
            order: Vec::new(),
            new: Table::new(NEW_BUCKETS),
            tried: Table::new(TRIED_BUCKETS),
            counts: HashMap::new(),
            next_id: 0,
            collisions: BTreeSet::new(),
            last_good: 1,
            rng,
            check_ratio,
        }
    }

    /// The groups of addresses.
    pub fn groups(&self) -> &NetGroups {
        &self.groups
    }

    /// All addresses.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many there are of a network, or of all.
    pub fn counts(&self, network: Option<Network>) -> Counts {
        match network {
            Some(network) => self.counts.get(&network).copied().unwrap_or_default(),
            None => self
                .counts
                .values()
                .fold(Counts::default(), |sum, counts| Counts {
                    new: sum.new + counts.new,
                    tried: sum.tried + counts.tried,
                }),
        }
    }

    fn count(&mut self, address: NetAddress, change: impl FnOnce(&mut Counts)) {
        change(self.counts.entry(address.network()).or_default());
    }

    /// Puts down addresses that `source` told of. What others tell of is believed to be `penalty` seconds older than
    /// they say. Says whether any was new.
    pub fn add(
        &mut self,
        addresses: &[PeerAddress],
        source: NetAddress,
        penalty: i64,
        now: i64,
    ) -> bool {
        self.maybe_check();
        let mut added = 0;
        for address in addresses {
            added += usize::from(self.add_one(*address, source, penalty, now));
        }
        if added > 0 {
            let Counts { new, tried } = self.counts(None);
            tracing::debug!(
                target: "addrman",
                "Added {added} addresses (of {}) from {source}: {tried} tried, {new} new",
                addresses.len()
            );
        }
        self.maybe_check();
        added > 0
    }

    fn add_one(
        &mut self,
        address: PeerAddress,
        source: NetAddress,
        mut penalty: i64,
        now: i64,
    ) -> bool {
        let endpoint = address.endpoint;
        if !endpoint.address.is_routable() {
            return false;
        }
        // Who tells of itself knows when it was there.
        if endpoint.address == source {
            penalty = 0;
        }
        let seen = i64::from(address.time);
        let believed = u32::try_from(seen.saturating_sub(penalty)).unwrap_or(0);
        let id = if let Some(id) = self.by_endpoint.get(&endpoint).copied() {
            let entry = self.entries.get_mut(&id).expect("what is found is there");
            let interval = if now - seen < 24 * HOUR {
                HOUR
            } else {
                24 * HOUR
            };
            if i64::from(entry.address.time) < seen - interval - penalty {
                entry.address.time = believed;
            }
            entry.address.services |= address.services;
            let references = entry.references;
            if address.time <= entry.address.time || entry.tried || references == MAX_REFERENCES {
                return false;
            }
            // Each place more is half as likely.
            if references > 0 && self.rng.gen_range(0..1u32 << references) != 0 {
                return false;
            }
            id
        } else {
            let mut entry = Entry::new(address, source);
            entry.address.time = believed;
            self.create(entry)
        };
        self.place_new(id, source, now)
    }

    fn create(&mut self, mut entry: Entry) -> EntryId {
        let id = self.next_id;
        self.next_id += 1;
        let endpoint = entry.address.endpoint;
        entry.order = self.order.len();
        self.order.push(id);
        self.by_endpoint.insert(endpoint, id);
        self.entries.insert(id, entry);
        self.count(endpoint.address, |counts| counts.new += 1);
        id
    }

    /// Gives an entry its place in a new bucket, unless a better one has it.
    fn place_new(&mut self, id: EntryId, source: NetAddress, now: i64) -> bool {
        let entry = &self.entries[&id];
        let endpoint = entry.address.endpoint;
        let bucket = entry.new_bucket(&self.key, source, &self.groups);
        let position = entry.position(&self.key, false, bucket);
        let references = entry.references;
        let present = self.new.get(bucket, position);
        if present == Some(id) {
            return false;
        }
        let free = present.is_none_or(|present| {
            let present = &self.entries[&present];
            present.is_terrible(now) || (present.references > 1 && references == 0)
        });
        if free {
            self.clear_new(bucket, position);
            self.new.set(bucket, position, Some(id));
            self.update(id, |entry| entry.references += 1);
            let mapped = match self.groups.mapped_as(endpoint.address) {
                0 => String::new(),
                system => format!(" mapped to AS{system}"),
            };
            tracing::debug!(target: "addrman", "Added {endpoint}{mapped} to new[{bucket}][{position}]");
        } else if references == 0 {
            self.delete(id);
        }
        free
    }

    fn update(&mut self, id: EntryId, change: impl FnOnce(&mut Entry)) {
        change(self.entries.get_mut(&id).expect("entries named are there"));
    }

    fn clear_new(&mut self, bucket: usize, position: usize) {
        let Some(id) = self.new.get(bucket, position) else {
            return;
        };
        self.new.set(bucket, position, None);
        self.update(id, |entry| entry.references -= 1);
        let entry = &self.entries[&id];
        tracing::debug!(
            target: "addrman",
            "Removed {} from new[{bucket}][{position}]",
            entry.address.endpoint
        );
        if entry.references == 0 {
            self.delete(id);
        }
    }

    /// Forgets an entry that is in no bucket.
    fn delete(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        let (endpoint, order) = (entry.address.endpoint, entry.order);
        self.swap_order(order, self.order.len() - 1);
        self.order.pop();
        self.entries.remove(&id);
        self.by_endpoint.remove(&endpoint);
        self.count(endpoint.address, |counts| counts.new -= 1);
    }

    fn swap_order(&mut self, first: usize, second: usize) {
        let (one, other) = (self.order[first], self.order[second]);
        self.order.swap(first, second);
        self.update(one, |entry| entry.order = second);
        self.update(other, |entry| entry.order = first);
    }

    /// A connection to an address worked. It becomes *tried*, unless another has its place: that one is to be tested
    /// first. Says whether it moved.
    pub fn good(&mut self, endpoint: Endpoint, now: i64) -> bool {
        self.maybe_check();
        let moved = self.mark_good(endpoint, true, now);
        self.maybe_check();
        moved
    }

    fn mark_good(&mut self, endpoint: Endpoint, test_before: bool, now: i64) -> bool {
        self.last_good = now;
        let Some(id) = self.by_endpoint.get(&endpoint).copied() else {
            return false;
        };
        self.update(id, |entry| {
            entry.last_success = now;
            entry.last_try = now;
            entry.attempts = 0;
        });
        let entry = &self.entries[&id];
        if entry.tried || entry.references == 0 {
            return false;
        }
        let bucket = entry.tried_bucket(&self.key, &self.groups);
        let position = entry.position(&self.key, true, bucket);
        if test_before && let Some(present) = self.tried.get(bucket, position) {
            if self.collisions.len() < MAX_COLLISIONS {
                self.collisions.insert(id);
            }
            tracing::debug!(
                target: "addrman",
                "Collision with {} while attempting to move {endpoint} to tried table. Collisions={}",
                self.entries[&present].address.endpoint,
                self.collisions.len()
            );
            return false;
        }
        self.make_tried(id);
        tracing::debug!(target: "addrman", "Moved {endpoint} to tried[{bucket}][{position}]");
        true
    }

    /// Moves an entry from its new buckets to its tried one; who is there goes back to a new one.
    fn make_tried(&mut self, id: EntryId) {
        let entry = &self.entries[&id];
        let address = entry.address.endpoint.address;
        let start = entry.new_bucket(&self.key, entry.source, &self.groups);
        let mut left = entry.references;
        for bucket in (0..NEW_BUCKETS).map(|step| (start + step) % NEW_BUCKETS) {
            if left == 0 {
                break;
            }
            let position = self.entries[&id].position(&self.key, false, bucket);
            if self.new.get(bucket, position) == Some(id) {
                self.new.set(bucket, position, None);
                left -= 1;
            }
        }
        self.update(id, |entry| entry.references = 0);
        self.count(address, |counts| counts.new -= 1);
        let entry = &self.entries[&id];
        let bucket = entry.tried_bucket(&self.key, &self.groups);
        let position = entry.position(&self.key, true, bucket);
        if let Some(old) = self.tried.get(bucket, position) {
            self.tried.set(bucket, position, None);
            self.send_back(old, (bucket, position));
        }
        self.tried.set(bucket, position, Some(id));
        self.update(id, |entry| entry.tried = true);
        self.count(address, |counts| counts.tried += 1);
    }

    /// Puts an entry that lost its tried place into a new bucket.
    fn send_back(&mut self, id: EntryId, from: (usize, usize)) {
        let entry = &self.entries[&id];
        let endpoint = entry.address.endpoint;
        let bucket = entry.new_bucket(&self.key, entry.source, &self.groups);
        let position = entry.position(&self.key, false, bucket);
        self.clear_new(bucket, position);
        self.update(id, |entry| {
            entry.tried = false;
            entry.references = 1;
        });
        self.new.set(bucket, position, Some(id));
        self.count(endpoint.address, |counts| {
            counts.tried -= 1;
            counts.new += 1;
        });
        tracing::debug!(
            target: "addrman",
            "Moved {endpoint} from tried[{}][{}] to new[{bucket}][{position}] to make space",
            from.0,
            from.1
        );
    }

    /// A connection to an address is tried. Failures count only if the network works at all, which a success since the
    /// last count shows.
    pub fn attempt(&mut self, endpoint: Endpoint, count_failure: bool, now: i64) {
        self.maybe_check();
        let last_good = self.last_good;
        if let Some(id) = self.by_endpoint.get(&endpoint).copied() {
            self.update(id, |entry| {
                entry.last_try = now;
                if count_failure && entry.last_counted < last_good {
                    entry.last_counted = now;
                    entry.attempts = entry.attempts.saturating_add(1);
                }
            });
        }
        self.maybe_check();
    }

    /// A connection to an address still works, as noticed when it ends.
    pub fn connected(&mut self, endpoint: Endpoint, now: i64) {
        const INTERVAL: i64 = 20 * 60;
        if let Some(id) = self.by_endpoint.get(&endpoint).copied() {
            self.update(id, |entry| {
                if now - i64::from(entry.address.time) > INTERVAL {
                    entry.address.time = u32::try_from(now).unwrap_or(u32::MAX);
                }
            });
        }
    }

    /// What an address offers, as it says itself.
    pub fn set_services(&mut self, endpoint: Endpoint, services: u64) {
        if let Some(id) = self.by_endpoint.get(&endpoint).copied() {
            self.update(id, |entry| entry.address.services = services);
        }
    }

    /// An address to connect to, from the tried ones or the new ones with equal chance, of the given networks (any if
    /// there are none), with the time of the last attempt.
    pub fn select(
        &mut self,
        new_only: bool,
        networks: &[Network],
        now: i64,
    ) -> Option<(PeerAddress, i64)> {
        self.maybe_check();
        let available = if networks.is_empty() {
            self.counts(None)
        } else {
            networks.iter().fold(Counts::default(), |sum, network| {
                let counts = self.counts(Some(*network));
                Counts {
                    new: sum.new + counts.new,
                    tried: sum.tried + counts.tried,
                }
            })
        };
        let search_tried = match (available.new, available.tried) {
            (0, _) if new_only => return None,
            (0, 0) => return None,
            (_, 0) => false,
            _ if new_only => false,
            (0, _) => true,
            _ => self.rng.r#gen(),
        };
        let wanted = |entry: &Entry| {
            networks.is_empty() || networks.contains(&entry.address.endpoint.address.network())
        };
        let mut factor = 1.0;
        // There is an entry of the kind, so this ends, sooner each time that none is taken.
        loop {
            let table = if search_tried { &self.tried } else { &self.new };
            // An empty bucket would only be drawn again.
            let buckets = table.occupied();
            let bucket = buckets[self.rng.gen_range(0..buckets.len())];
            let start = self.rng.gen_range(0..BUCKET_SIZE);
            let found = (0..BUCKET_SIZE)
                .filter_map(|step| table.get(bucket, (start + step) % BUCKET_SIZE))
                .map(|id| &self.entries[&id])
                .find(|entry| wanted(entry));
            let Some(entry) = found else {
                continue;
            };
            if self.rng.r#gen::<f64>() < factor * entry.chance(now) {
                tracing::debug!(
                    target: "addrman",
                    "Selected {} from {}",
                    entry.address.endpoint,
                    if search_tried { "tried" } else { "new" }
                );
                return Some((entry.address, entry.last_try));
            }
            factor *= 1.2;
        }
    }

    /// Addresses at random, at most `max` (0: no bound) and at most `max_percent` of all (0: no bound), of one network
    /// if given; `filtered` leaves out those that are terrible.
    pub fn addresses(
        &mut self,
        max: usize,
        max_percent: usize,
        network: Option<Network>,
        filtered: bool,
        now: i64,
    ) -> Vec<PeerAddress> {
        self.maybe_check();
        let mut count = self.order.len();
        if max_percent > 0 {
            count = max_percent.min(100) * count / 100;
        }
        if max > 0 {
            count = count.min(max);
        }
        let mut found = Vec::with_capacity(count);
        for place in 0..self.order.len() {
            if found.len() >= count {
                break;
            }
            let other = self.rng.gen_range(place..self.order.len());
            self.swap_order(place, other);
            let entry = &self.entries[&self.order[place]];
            let of_network =
                network.is_none_or(|network| entry.address.endpoint.address.class() == network);
            if of_network && !(filtered && entry.is_terrible(now)) {
                found.push(entry.address);
            }
        }
        tracing::debug!(target: "addrman", "GetAddr returned {} random addresses", found.len());
        self.maybe_check();
        found
    }

    /// Decides between addresses that want the same tried place, as far as that can be told by now.
    pub fn resolve_collisions(&mut self, now: i64) {
        self.maybe_check();
        let collisions: Vec<EntryId> = self.collisions.iter().copied().collect();
        for id in collisions {
            if self.resolve_collision(id, now) {
                self.collisions.remove(&id);
            }
        }
        self.maybe_check();
    }

    fn resolve_collision(&mut self, id: EntryId, now: i64) -> bool {
        let Some(new) = self.entries.get(&id) else {
            return true;
        };
        let endpoint = new.address.endpoint;
        let bucket = new.tried_bucket(&self.key, &self.groups);
        let position = new.position(&self.key, true, bucket);
        let Some(old) = self.tried.get(bucket, position) else {
            // Its place became free.
            self.mark_good(endpoint, false, now);
            return true;
        };
        let old = &self.entries[&old];
        if now - old.last_success < REPLACEMENT {
            return true;
        }
        if now - old.last_try < REPLACEMENT {
            // Tried and failed; a connection may take a minute.
            if now - old.last_try <= 60 {
                return false;
            }
            tracing::debug!(
                target: "addrman",
                "Replacing {} with {endpoint} in tried table",
                old.address.endpoint
            );
        } else if now - new.last_success > TEST_WINDOW {
            tracing::debug!(
                target: "addrman",
                "Unable to test; replacing {} with {endpoint} in tried table anyway",
                old.address.endpoint
            );
        } else {
            return false;
        }
        self.mark_good(endpoint, false, now);
        true
    }

    /// A tried address that another wants to replace and that is to be tested, with the time of the last attempt.
    pub fn select_collision(&mut self) -> Option<(PeerAddress, i64)> {
        if self.collisions.is_empty() {
            return None;
        }
        let index = self.rng.gen_range(0..self.collisions.len());
        let id = *self.collisions.iter().nth(index)?;
        let Some(new) = self.entries.get(&id) else {
            self.collisions.remove(&id);
            return None;
        };
        let bucket = new.tried_bucket(&self.key, &self.groups);
        let position = new.position(&self.key, true, bucket);
        let old = &self.entries[&self.tried.get(bucket, position)?];
        Some((old.address, old.last_try))
    }

    /// Every place that is taken in one of the tables, in order.
    pub fn places(&self, tried: bool) -> Vec<(Place, Entry)> {
        let table = if tried { &self.tried } else { &self.new };
        table
            .iter()
            .map(|(bucket, position, id)| (Place { bucket, position }, self.entries[&id].clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests;
