//! Coins in memory over the database, and changes tried out on top.
//!
//! The cache holds what was read and what was changed since the last flush. A changed coin is *dirty*; one that the
//! database has never seen is *fresh* too, so that spending it before a flush leaves no trace on disk.

use std::sync::Arc;

use bitcoin::{BlockHash, OutPoint};
use btc_consensus::Coin;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::store::StoreError;
use crate::store::coins_db::CoinsDb;

/// What is known about one outpoint.
#[derive(Clone, Debug)]
struct Cached {
    /// The coin; `None` once it is spent.
    coin: Option<Coin>,
    /// Whether the database holds something else.
    dirty: bool,
    /// Whether the database holds nothing.
    fresh: bool,
}

/// Coins over the database, in memory up to a budget that the owner enforces with [`flush`](Self::flush).
pub struct CoinsCache {
    db: Arc<CoinsDb>,
    // A txid cannot be chosen, only tried for, and the seed of the map's hash is not known outside: no need for more.
    coins: HashMap<OutPoint, Cached>,
    /// Heap bytes of the cached scripts.
    script_bytes: usize,
    dirty: usize,
    best: Option<BlockHash>,
}

/// Heap bytes of a coin's script, as allocators round them.
fn heap_bytes(coin: Option<&Coin>) -> usize {
    coin.map_or(0, |coin| match coin.output.script_pubkey.len() {
        0 => 0,
        len => (len + 8).next_multiple_of(16),
    })
}

impl CoinsCache {
    /// An empty cache over the database.
    pub fn new(db: Arc<CoinsDb>) -> Result<Self, StoreError> {
        let best = db.best_block()?;
        Ok(Self {
            db,
            coins: HashMap::default(),
            script_bytes: 0,
            dirty: 0,
            best,
        })
    }

    /// The block up to which the coins are right.
    pub fn best_block(&self) -> Option<BlockHash> {
        self.best
    }

    /// Says up to which block the coins are right now.
    pub fn set_best_block(&mut self, best: BlockHash) {
        self.best = Some(best);
    }

    /// The database below.
    pub fn db(&self) -> &Arc<CoinsDb> {
        &self.db
    }

    /// Bytes of memory in use.
    pub fn memory_usage(&self) -> usize {
        self.coins.allocation_size() + self.script_bytes
    }

    /// Outpoints held in memory.
    pub fn len(&self) -> usize {
        self.coins.len()
    }

    /// Whether nothing is held in memory.
    pub fn is_empty(&self) -> bool {
        self.coins.is_empty()
    }

    /// Outpoints that a flush would write.
    pub fn dirty_len(&self) -> usize {
        self.dirty
    }

    /// The coin at `outpoint`, kept in memory from now on.
    pub fn coin(&mut self, outpoint: &OutPoint) -> Result<Option<&Coin>, StoreError> {
        match self.coins.entry(*outpoint) {
            Entry::Occupied(entry) => Ok(entry.into_mut().coin.as_ref()),
            Entry::Vacant(slot) => {
                let Some(coin) = self.db.coin(outpoint)? else {
                    return Ok(None);
                };
                self.script_bytes += heap_bytes(Some(&coin));
                let cached = slot.insert(Cached {
                    coin: Some(coin),
                    dirty: false,
                    fresh: false,
                });
                Ok(cached.coin.as_ref())
            }
        }
    }

    /// The coin at `outpoint`, without keeping what the database gives: for questions that may be idle.
    pub fn peek(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        match self.coins.get(outpoint) {
            Some(cached) => Ok(cached.coin.clone()),
            None => self.db.coin(outpoint),
        }
    }

    /// Adds a coin. `overwrite` says that an unspent coin may be there already, in memory or only in the database, as
    /// with the two coinbases that repeat others.
    fn add(&mut self, outpoint: OutPoint, coin: Coin, overwrite: bool) {
        self.script_bytes += heap_bytes(Some(&coin));
        match self.coins.entry(outpoint) {
            Entry::Vacant(slot) => {
                slot.insert(Cached {
                    coin: Some(coin),
                    dirty: true,
                    fresh: !overwrite,
                });
                self.dirty += 1;
            }
            Entry::Occupied(mut entry) => {
                let cached = entry.get_mut();
                self.script_bytes -= heap_bytes(cached.coin.as_ref());
                // Spent but not yet written: the database still holds the old coin, so the new one is not fresh.
                cached.fresh |= !overwrite && cached.coin.is_none() && !cached.dirty;
                self.dirty += usize::from(!cached.dirty);
                cached.dirty = true;
                cached.coin = Some(coin);
            }
        }
    }

    /// Removes a coin.
    fn spend(&mut self, outpoint: OutPoint) {
        match self.coins.entry(outpoint) {
            Entry::Vacant(slot) => {
                slot.insert(Cached {
                    coin: None,
                    dirty: true,
                    fresh: false,
                });
                self.dirty += 1;
            }
            Entry::Occupied(mut entry) => {
                let cached = entry.get_mut();
                self.script_bytes -= heap_bytes(cached.coin.as_ref());
                if cached.fresh {
                    self.dirty -= usize::from(cached.dirty);
                    entry.remove();
                } else {
                    self.dirty += usize::from(!cached.dirty);
                    cached.dirty = true;
                    cached.coin = None;
                }
            }
        }
    }

    /// Applies changes that were made on top of the coins as they are.
    pub fn apply(&mut self, changes: Changes) {
        for (outpoint, change) in changes.coins {
            match change.coin {
                Some(coin) => self.add(outpoint, coin, change.overwrite),
                // Added and spent by the same changes: nothing lies below, nothing to do.
                None if !change.overwrite => {}
                None => self.spend(outpoint),
            }
        }
        if let Some(best) = changes.best {
            self.best = Some(best);
        }
    }

    /// Writes what changed. `keep` keeps the unspent coins in memory, else the cache is emptied and its memory freed.
    ///
    /// On an error nothing is forgotten: a later flush writes the same changes again.
    pub fn flush(&mut self, keep: bool) -> Result<(), StoreError> {
        let Some(best) = self.best else {
            return Ok(());
        };
        let changes = self
            .coins
            .iter()
            .filter(|(_, cached)| cached.dirty)
            .map(|(outpoint, cached)| (outpoint, cached.coin.as_ref()));
        self.db.write(changes, best)?;
        self.dirty = 0;
        if keep {
            self.coins.retain(|_, cached| cached.coin.is_some());
            for cached in self.coins.values_mut() {
                cached.dirty = false;
                cached.fresh = false;
            }
        } else {
            self.coins = HashMap::default();
            self.script_bytes = 0;
        }
        Ok(())
    }

    /// Forgets an outpoint that was only looked at.
    pub fn uncache(&mut self, outpoint: &OutPoint) {
        if let Entry::Occupied(entry) = self.coins.entry(*outpoint)
            && !entry.get().dirty
        {
            self.script_bytes -= heap_bytes(entry.get().coin.as_ref());
            entry.remove();
        }
    }
}

/// Changes to coins, apart from the cache that they are meant for.
///
/// They say what differs from the coins at one block, whatever of those the cache holds in memory: so they stay right
/// while the cache reads, forgets and flushes, and until another block is the best.
#[derive(Default)]
pub struct Changes {
    coins: HashMap<OutPoint, Change>,
    best: Option<BlockHash>,
}

/// What became of an outpoint.
struct Change {
    coin: Option<Coin>,
    /// Whether an unspent coin may lie below it.
    overwrite: bool,
}

impl Changes {
    /// Bytes of memory in use.
    pub fn memory_usage(&self) -> usize {
        let scripts: usize = self
            .coins
            .values()
            .map(|change| heap_bytes(change.coin.as_ref()))
            .sum();
        self.coins.allocation_size() + scripts
    }
}

/// Changes on top of the cache that take effect together, or not at all if it is dropped.
pub struct Overlay<'a> {
    base: &'a mut CoinsCache,
    /// Changes between the cache and these, the newest first.
    between: Vec<&'a Changes>,
    changes: Changes,
}

impl<'a> Overlay<'a> {
    /// No changes yet.
    pub fn new(base: &'a mut CoinsCache) -> Self {
        Self::above(base, std::iter::empty())
    }

    /// No changes yet on top of changes that have not reached the cache, the newest first. To be taken apart with
    /// [`into_changes`](Self::into_changes), and applied after them.
    pub fn above(base: &'a mut CoinsCache, between: impl Iterator<Item = &'a Changes>) -> Self {
        let between: Vec<_> = between.collect();
        let best = between
            .first()
            .map_or(base.best_block(), |newest| newest.best);
        Self {
            base,
            between,
            changes: Changes {
                coins: HashMap::new(),
                best,
            },
        }
    }

    /// Makes room for changes to so many more outpoints.
    pub fn reserve(&mut self, outpoints: usize) {
        self.changes.coins.reserve(outpoints);
    }

    /// The coin at `outpoint`, with the changes applied.
    pub fn coin(&mut self, outpoint: &OutPoint) -> Result<Option<&Coin>, StoreError> {
        match self.changes.coins.get(outpoint) {
            Some(change) => Ok(change.coin.as_ref()),
            None => below(self.base, &self.between, outpoint),
        }
    }

    /// Adds a coin; see [`CoinsCache`] about `overwrite`.
    pub fn add(&mut self, outpoint: OutPoint, coin: Coin, overwrite: bool) {
        let change = Change {
            coin: Some(coin),
            overwrite,
        };
        match self.changes.coins.entry(outpoint) {
            Entry::Vacant(slot) => {
                slot.insert(change);
            }
            Entry::Occupied(mut entry) => {
                let before = entry.insert(change);
                // Whatever the overlay did before, the base still holds what it held.
                entry.get_mut().overwrite |= before.overwrite || before.coin.is_none();
            }
        }
    }

    /// Removes a coin and gives it, if it was there.
    pub fn spend(&mut self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        let coin = match self.changes.coins.get_mut(outpoint) {
            Some(change) => change.coin.take(),
            None => {
                let coin = below(self.base, &self.between, outpoint)?.cloned();
                if coin.is_some() {
                    self.spend_found(*outpoint);
                }
                coin
            }
        };
        Ok(coin)
    }

    /// Removes a coin that was found here since the last change to it.
    pub fn spend_found(&mut self, outpoint: OutPoint) {
        match self.changes.coins.entry(outpoint) {
            Entry::Occupied(mut entry) => entry.get_mut().coin = None,
            Entry::Vacant(slot) => {
                slot.insert(Change {
                    coin: None,
                    overwrite: true,
                });
            }
        }
    }

    /// The block up to which the changed coins are right.
    pub fn best_block(&self) -> Option<BlockHash> {
        self.changes.best
    }

    /// Says up to which block the changed coins are right.
    pub fn set_best_block(&mut self, best: BlockHash) {
        self.changes.best = Some(best);
    }

    /// About how many bytes of memory the changes take.
    pub fn memory_usage(&self) -> usize {
        self.changes.memory_usage() + self.base.memory_usage()
    }

    /// The changes, to be applied later.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    /// Puts the changes into the cache. Only for an overlay with no others between it and the cache.
    pub fn commit(self) {
        debug_assert!(self.between.is_empty(), "others come first");
        self.base.apply(self.changes);
    }
}

/// The coin at `outpoint` as the cache has it with the changes between, the newest first.
fn below<'c>(
    base: &'c mut CoinsCache,
    between: &[&'c Changes],
    outpoint: &OutPoint,
) -> Result<Option<&'c Coin>, StoreError> {
    for changes in between {
        if let Some(change) = changes.coins.get(outpoint) {
            return Ok(change.coin.as_ref());
        }
    }
    base.coin(outpoint)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap as StdHashMap;

    use bitcoin::hashes::Hash;
    use bitcoin::{Amount, ScriptBuf, TxOut, Txid};
    use proptest::prelude::*;

    use super::*;
    use crate::store::kv::MemoryKv;

    fn outpoint(n: u8) -> OutPoint {
        OutPoint {
            txid: Txid::from_byte_array([n; 32]),
            vout: 0,
        }
    }

    fn coin(sats: u64) -> Coin {
        Coin {
            output: TxOut {
                value: Amount::from_sat(sats),
                script_pubkey: ScriptBuf::from_bytes(vec![0x51; (sats % 50) as usize]),
            },
            height: 1,
            coinbase: false,
        }
    }

    fn cache() -> CoinsCache {
        CoinsCache::new(Arc::new(CoinsDb::new(Box::new(MemoryKv::new())))).expect("opens")
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(u8, u64),
        Spend(u8),
        Remove(u8),
        Look(u8),
        Flush(bool),
        Uncache(u8),
        Discard(Vec<(u8, Option<u64>)>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..12_u8, 1..200_u64).prop_map(|(n, sats)| Step::Add(n, sats)),
            4 => (0..12_u8).prop_map(Step::Spend),
            4 => (0..12_u8).prop_map(Step::Remove),
            2 => (0..12_u8).prop_map(Step::Look),
            1 => any::<bool>().prop_map(Step::Flush),
            1 => (0..12_u8).prop_map(Step::Uncache),
            1 => proptest::collection::vec((0..12_u8, proptest::option::of(1..200_u64)), 0..4)
                .prop_map(Step::Discard),
        ]
    }

    proptest! {
        /// The cache says at every step what a plain map says, and so does the database after the last flush.
        #[test]
        fn a_cache_is_a_map(steps in proptest::collection::vec(step(), 0..60)) {
            let mut cache = cache();
            let mut model: StdHashMap<u8, u64> = StdHashMap::new();
            cache.set_best_block(BlockHash::all_zeros());
            for step in steps {
                match step {
                    Step::Add(n, sats) => {
                        let mut overlay = Overlay::new(&mut cache);
                        let overwrite = model.insert(n, sats).is_some();
                        overlay.add(outpoint(n), coin(sats), overwrite);
                        overlay.commit();
                    }
                    Step::Spend(n) => {
                        let mut overlay = Overlay::new(&mut cache);
                        let spent = overlay.spend(&outpoint(n)).expect("reads");
                        prop_assert_eq!(spent, model.remove(&n).map(coin));
                        overlay.commit();
                    }
                    Step::Remove(n) => {
                        let mut overlay = Overlay::new(&mut cache);
                        let found = overlay.coin(&outpoint(n)).expect("reads").is_some();
                        prop_assert_eq!(found, model.remove(&n).is_some());
                        if found {
                            overlay.spend_found(outpoint(n));
                        }
                        overlay.commit();
                    }
                    Step::Look(n) => {
                        prop_assert_eq!(
                            cache.coin(&outpoint(n)).expect("reads").cloned(),
                            model.get(&n).copied().map(coin)
                        );
                    }
                    Step::Flush(keep) => cache.flush(keep).expect("flushes"),
                    Step::Uncache(n) => cache.uncache(&outpoint(n)),
                    Step::Discard(changes) => {
                        let mut overlay = Overlay::new(&mut cache);
                        for (n, change) in changes {
                            match change {
                                Some(sats) => overlay.add(outpoint(n), coin(sats), true),
                                None => drop(overlay.spend(&outpoint(n)).expect("reads")),
                            }
                        }
                    }
                }
                let scripts: usize =
                    cache.coins.values().map(|cached| heap_bytes(cached.coin.as_ref())).sum();
                prop_assert_eq!(cache.script_bytes, scripts);
                prop_assert_eq!(cache.dirty, cache.coins.values().filter(|cached| cached.dirty).count());
                for n in 0..12 {
                    prop_assert_eq!(
                        cache.peek(&outpoint(n)).expect("reads"),
                        model.get(&n).copied().map(coin)
                    );
                }
            }
            cache.flush(false).expect("flushes");
            prop_assert_eq!(cache.db().coins().expect("reads").count(), model.len());
        }
    }

    #[test]
    fn a_coin_made_and_spent_between_flushes_never_reaches_the_database() {
        let mut cache = cache();
        let mut overlay = Overlay::new(&mut cache);
        overlay.add(outpoint(1), coin(5), false);
        overlay.commit();
        assert_eq!(cache.dirty_len(), 1);
        let mut overlay = Overlay::new(&mut cache);
        overlay.spend(&outpoint(1)).expect("reads");
        overlay.commit();
        assert_eq!((cache.dirty_len(), cache.len()), (0, 0));
    }
}
