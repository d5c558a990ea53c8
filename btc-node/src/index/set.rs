//! The indexes that a node keeps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::coin_stats::CoinStatsIndex;
use super::error::StartIndexError;
use super::filters::FilterIndex;
use super::follow::{Follower, IndexInfo};
use super::spenders::SpenderIndex;
use super::txs::TxIndex;
use crate::chainstate::ChainstateManager;
use crate::store::kv::DatabaseOptions;

/// Most memory for the database of an index, in bytes.
const MAX_CACHE: usize = 1 << 30;

/// Which indexes are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexOptions {
    /// `-txindex`.
    pub txs: bool,
    /// `-txospenderindex`.
    pub spenders: bool,
    /// `-blockfilterindex`.
    pub filters: bool,
    /// `-coinstatsindex`.
    pub coin_stats: bool,
    /// Whether they are built anew (`-reindex`).
    pub wipe: bool,
    /// Whether their databases are rewritten without what was deleted when they are opened (`-forcecompactdb`).
    pub compact: bool,
}

/// Memory for the databases of indexes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caches {
    txs: usize,
    spenders: usize,
    filters: usize,
}

impl IndexOptions {
    /// Shares of `-dbcache`: those whose lookups repeat least gain most. The figures of the coins need none.
    fn caches(&self, dbcache: usize) -> Caches {
        let share = |kept: bool, percent: usize| {
            if kept {
                (dbcache / 100 * percent).min(MAX_CACHE)
            } else {
                0
            }
        };
        Caches {
            txs: share(self.txs, 10),
            spenders: share(self.spenders, 5),
            filters: share(self.filters, 5),
        }
    }

    /// What is left of `dbcache` bytes for the chainstate.
    pub fn remaining(&self, dbcache: usize) -> usize {
        let caches = self.caches(dbcache);
        dbcache - caches.txs - caches.spenders - caches.filters
    }
}

/// The indexes that are kept; each may be asked from any thread.
#[derive(Default)]
pub struct Indexes {
    /// Where transactions lie.
    pub txs: Option<TxIndex>,
    /// What spends outputs.
    pub spenders: Option<SpenderIndex>,
    /// Compact filters.
    pub filters: Option<FilterIndex>,
    /// Figures of the coins.
    pub coin_stats: Option<CoinStatsIndex>,
}

impl Indexes {
    /// Opens or creates them in a network's directory, with their shares of `dbcache` bytes.
    ///
    /// # Errors
    /// See [`StartIndexError`].
    pub fn open(
        chain: &Arc<ChainstateManager>,
        net_dir: &Path,
        options: IndexOptions,
        dbcache: usize,
    ) -> Result<Self, StartIndexError> {
        let caches = options.caches(dbcache);
        let dir: PathBuf = net_dir.to_owned();
        let database = |cache| DatabaseOptions {
            wipe: options.wipe,
            compact: options.compact,
            ..DatabaseOptions::new(cache)
        };
        let mut indexes = Self::default();
        if options.txs {
            indexes.txs = Some(TxIndex::open(chain, &dir, &database(caches.txs))?);
        }
        if options.spenders {
            indexes.spenders = Some(SpenderIndex::open(chain, &dir, &database(caches.spenders))?);
        }
        if options.filters {
            indexes.filters = Some(FilterIndex::open(chain, &dir, &database(caches.filters))?);
        }
        if options.coin_stats {
            indexes.coin_stats = Some(CoinStatsIndex::open(chain, &dir, &database(0))?);
        }
        Ok(indexes)
    }

    fn followers(&self) -> impl Iterator<Item = &Follower> {
        let txs = self.txs.iter().map(TxIndex::follower);
        let spenders = self.spenders.iter().map(SpenderIndex::follower);
        let filters = self.filters.iter().map(FilterIndex::follower);
        let coin_stats = self.coin_stats.iter().map(CoinStatsIndex::follower);
        // In the order in which getindexinfo shows them.
        txs.chain(coin_stats).chain(spenders).chain(filters)
    }

    /// Lets them catch up with the chain, once all blocks that are to be read in are.
    ///
    /// # Errors
    /// Blocks that one needs were pruned, or there is no thread for it. Then none may have started.
    pub fn start(&self) -> Result<(), StartIndexError> {
        // In the order in which they were opened: Core names the first of several that lack blocks.
        let coin_stats = self.coin_stats.iter().map(CoinStatsIndex::follower);
        let others = self.txs.iter().map(TxIndex::follower);
        let others = others.chain(self.spenders.iter().map(SpenderIndex::follower));
        let others = others.chain(self.filters.iter().map(FilterIndex::follower));
        for follower in others.chain(coin_stats) {
            follower.check_blocks()?;
        }
        for follower in self.followers() {
            follower.start()?;
        }
        Ok(())
    }

    /// Makes those that catch up end soon.
    pub fn interrupt(&self) {
        for follower in self.followers() {
            follower.interrupt();
        }
    }

    /// Stops them. What the chain has told before is indexed; what it tells later is not.
    pub fn stop(&self) {
        for follower in self.followers() {
            follower.stop();
        }
    }

    /// How far they are.
    pub fn infos(&self) -> Vec<IndexInfo> {
        self.followers().map(Follower::info).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_take_their_share_of_the_memory() {
        let all = IndexOptions {
            txs: true,
            spenders: true,
            filters: true,
            coin_stats: true,
            wipe: false,
            compact: false,
        };
        assert_eq!(all.remaining(1000), 800);
        assert_eq!(IndexOptions::default().remaining(1000), 1000);
        let huge = 100 << 30;
        assert_eq!(all.remaining(huge), huge - 3 * MAX_CACHE);
    }
}
