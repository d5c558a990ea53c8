//! The tip with its coins, as the mempool and the miner see it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::{Block, BlockHash, OutPoint};
use btc_consensus::ancestors::{Ancestors, HeaderInfo};
use btc_consensus::params::ChainParams;
use btc_consensus::versionbits::ThresholdCache;
use btc_consensus::{Coin, HashedBlock};

use super::coins_cache::CoinsCache;
use super::script_cache::ScriptCache;
use crate::chain::{ActiveChain, BlockId, BlockTree};
use crate::store::StoreError;

/// One block of the tree with all before it, as the rules of `btc_consensus` ask for them.
#[derive(Clone, Copy, Debug)]
pub struct TreeView<'a> {
    tree: &'a BlockTree,
    id: BlockId,
}

impl<'a> TreeView<'a> {
    /// The chain that ends in `id`.
    pub fn new(tree: &'a BlockTree, id: BlockId) -> Self {
        Self { tree, id }
    }
}

impl Ancestors for TreeView<'_> {
    fn height(&self) -> u32 {
        self.tree.entry(self.id).height
    }

    fn ancestor(&self, height: u32) -> Option<HeaderInfo> {
        let entry = self.tree.entry(self.tree.ancestor(self.id, height)?);
        Some(HeaderInfo {
            hash: entry.hash,
            time: entry.header.time,
            bits: entry.header.bits.to_consensus(),
            version: entry.header.version.to_consensus(),
        })
    }

    fn median_time_past(&self, height: u32) -> u32 {
        let id = self.tree.ancestor(self.id, height).unwrap_or(self.id);
        self.tree.median_time_past(id)
    }
}

/// The tip and its coins, unchanged for as long as this lives. It implements [`Ancestors`] for the active chain.
#[derive(Clone, Copy)]
pub struct TipView<'a> {
    pub(super) tree: &'a BlockTree,
    pub(super) chain: &'a ActiveChain,
    pub(super) coins: &'a CoinsCache,
    pub(super) scripts: &'a ScriptCache,
    pub(super) params: &'a ChainParams,
    pub(super) tip: BlockId,
    pub(super) thresholds: &'a Mutex<ThresholdCache>,
}

impl<'a> TipView<'a> {
    /// The network's rules.
    pub fn params(&self) -> &'a ChainParams {
        self.params
    }

    /// The states of deployments that were computed so far, to ask for more. Nothing else may be asked meanwhile.
    pub fn thresholds(&self) -> MutexGuard<'a, ThresholdCache> {
        // Entries are added whole, so a panic elsewhere leaves none half done.
        self.thresholds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The tip's hash.
    pub fn hash(&self) -> BlockHash {
        self.tree.entry(self.tip).hash
    }

    /// The tip's height. A transaction accepted now would be mined at the next.
    pub fn tip_height(&self) -> u32 {
        self.tree.entry(self.tip).height
    }

    /// The tip's time in seconds.
    pub fn time(&self) -> u32 {
        self.tree.entry(self.tip).time()
    }

    /// The tip's median time past in seconds: the clock of lock times in the next block.
    pub fn tip_median_time_past(&self) -> u32 {
        self.tree.median_time_past(self.tip)
    }

    /// The unspent coin at `outpoint`, mempool not considered.
    ///
    /// # Errors
    /// The database failed; the answer is not known.
    pub fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        self.coins.peek(outpoint)
    }

    /// What scripts were found good before, for whoever checks some.
    pub fn script_cache(&self) -> &'a ScriptCache {
        self.scripts
    }

    /// The hash of the active chain's block at `height`.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.chain.at(height).map(|id| self.tree.entry(id).hash)
    }

    /// Whether a block is on the active chain, and at which height.
    pub fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        let id = self.tree.find(hash)?;
        self.chain
            .contains(self.tree, id)
            .then(|| self.tree.entry(id).height)
    }
}

impl Ancestors for TipView<'_> {
    fn height(&self) -> u32 {
        self.tip_height()
    }

    fn ancestor(&self, height: u32) -> Option<HeaderInfo> {
        TreeView::new(self.tree, self.chain.at(height)?).ancestor(height)
    }

    fn median_time_past(&self, height: u32) -> u32 {
        TreeView::new(self.tree, self.tip).median_time_past(height)
    }
}

/// A mempool, told of blocks inside the commit.
///
/// All methods are called with the chainstate lock held and must not call the [`ChainstateManager`]: everything that
/// they may ask is in the view. None may fail; what does not fit any more is dropped from the mempool.
///
/// [`ChainstateManager`]: super::ChainstateManager
pub trait MempoolHook: Send + Sync {
    /// A block was connected; `view` ends in it. Its transactions, and those in conflict with them, leave the mempool.
    fn block_connected(&self, block: &HashedBlock, height: u32, view: &TipView<'_>);

    /// The tip was disconnected; `view` ends in its parent. The mempool sets its transactions aside.
    fn block_disconnected(&self, block: &Arc<Block>, height: u32, view: &TipView<'_>);

    /// Blocks were disconnected, and maybe others connected, since the last call; nobody saw the mempool in between.
    /// What was set aside returns if `readd` (it is not worth it after deep invalidations and failures), and whatever is
    /// final, mature or unspent no longer leaves.
    fn reorg_finished(&self, view: &TipView<'_>, readd: bool);

    /// Whether no transaction waits.
    fn is_empty(&self) -> bool {
        true
    }

    /// Memory in use and the limit, in bytes: what the mempool leaves of its limit, the coins cache may use.
    fn memory(&self) -> (usize, usize) {
        (0, 0)
    }
}
