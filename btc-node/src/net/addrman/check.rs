//! Whether the book is consistent.

use super::AddrMan;
use super::entry::MAX_REFERENCES;
use bitcoin::key::rand::Rng;
use std::collections::HashMap;

impl AddrMan {
    /// Checks the book in one of so many calls.
    pub(super) fn maybe_check(&mut self) {
        if self.check_ratio == 0 || self.rng.gen_range(0..self.check_ratio) != 0 {
            return;
        }
        if let Err(code) = self.check() {
            tracing::error!("ADDRMAN CONSISTENCY CHECK FAILED!!! err={code}");
            debug_assert_eq!(code, 0, "the address book is inconsistent");
        }
    }

    /// Checks that the tables, the order and the counts agree.
    ///
    /// # Errors
    /// The number that Core has for what is wrong.
    pub fn check(&self) -> Result<(), i32> {
        let counts = self.counts(None);
        let summary = format!(
            "new {}, tried {}, total {}",
            counts.new,
            counts.tried,
            self.order.len()
        );
        tracing::debug!(target: "addrman", "CheckAddrman: {summary} started");
        let started = std::time::Instant::now();
        let result = self.check_entries().and_then(|()| self.check_tables());
        tracing::debug!(
            target: "addrman",
            "CheckAddrman: completed ({:.2}ms)",
            started.elapsed().as_secs_f64() * 1000.0
        );
        result
    }

    fn check_entries(&self) -> Result<(), i32> {
        let (mut new, mut tried) = (0, 0);
        let mut networks: HashMap<_, super::Counts> = HashMap::new();
        for (id, entry) in &self.entries {
            let network = networks
                .entry(entry.address.endpoint.address.network())
                .or_default();
            if entry.tried {
                if entry.last_success == 0 {
                    return Err(-1);
                }
                if entry.references > 0 {
                    return Err(-2);
                }
                tried += 1;
                network.tried += 1;
            } else {
                if entry.references > MAX_REFERENCES {
                    return Err(-3);
                }
                if entry.references == 0 {
                    return Err(-4);
                }
                new += 1;
                network.new += 1;
            }
            if self.by_endpoint.get(&entry.address.endpoint) != Some(id) {
                return Err(-5);
            }
            if self.order.get(entry.order) != Some(id) {
                return Err(-14);
            }
            if entry.last_try < 0 {
                return Err(-6);
            }
            if entry.last_success < 0 {
                return Err(-8);
            }
        }
        let counts = self.counts(None);
        if self.order.len() != counts.new + counts.tried {
            return Err(-7);
        }
        if tried != counts.tried {
            return Err(-9);
        }
        if new != counts.new {
            return Err(-10);
        }
        let differs = |(network, counts): (_, &super::Counts)| {
            networks.get(network).copied().unwrap_or_default() != *counts
        };
        if self.counts.iter().any(differs) {
            return Err(-21);
        }
        Ok(())
    }

    fn check_tables(&self) -> Result<(), i32> {
        let mut tried = 0;
        for (bucket, position, id) in self.tried.iter() {
            let entry = self
                .entries
                .get(&id)
                .filter(|entry| entry.tried)
                .ok_or(-11)?;
            if entry.tried_bucket(&self.key, &self.groups) != bucket {
                return Err(-17);
            }
            if entry.position(&self.key, true, bucket) != position {
                return Err(-18);
            }
            tried += 1;
        }
        let mut references: HashMap<_, u8> = HashMap::new();
        for (bucket, position, id) in self.new.iter() {
            let entry = self
                .entries
                .get(&id)
                .filter(|entry| !entry.tried)
                .ok_or(-12)?;
            if entry.position(&self.key, false, bucket) != position {
                return Err(-19);
            }
            *references.entry(id).or_default() += 1;
        }
        if tried != self.counts(None).tried {
            return Err(-13);
        }
        let all = self.entries.iter().filter(|(_, entry)| !entry.tried);
        for (id, entry) in all {
            if references.get(id) != Some(&entry.references) {
                return Err(-15);
            }
        }
        if self.key.0 == [0; 32] {
            return Err(-16);
        }
        Ok(())
    }
}
