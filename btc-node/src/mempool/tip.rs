//! What the mempool asks of the chain.

use crate::chainstate::{ScriptCache, TipView};
use crate::store::StoreError;
use bitcoin::OutPoint;
use btc_consensus::Coin;
use btc_consensus::ancestors::Ancestors;
use btc_consensus::flags_for_block;
use btc_consensus::script::ScriptFlags;

/// The state of the chain at its tip, which stands still while a transaction is judged by it.
pub trait ChainView {
    /// The active chain, from the genesis block to the tip.
    fn chain(&self) -> &dyn Ancestors;
    /// The unspent output of the chain, not of the mempool.
    ///
    /// # Errors
    /// The database failed; the answer is not known.
    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError>;
    /// The script rules of the tip's block.
    fn script_flags(&self) -> ScriptFlags;
    /// Where to look for what scripts were found good before, and to remember it for the block that holds them.
    fn script_cache(&self) -> Option<&ScriptCache> {
        None
    }

    /// Height of the tip.
    fn height(&self) -> u32 {
        self.chain().height()
    }

    /// Median time past of the tip, in seconds since 1970: what lock times of the next block are compared with.
    fn median_time_past(&self) -> u32 {
        self.chain().median_time_past(self.height())
    }
}

impl ChainView for TipView<'_> {
    fn chain(&self) -> &dyn Ancestors {
        self
    }

    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        TipView::coin(self, outpoint)
    }

    fn script_flags(&self) -> ScriptFlags {
        flags_for_block(self.tip_height(), &self.hash(), self.params())
    }

    fn script_cache(&self) -> Option<&ScriptCache> {
        Some(TipView::script_cache(self))
    }
}
