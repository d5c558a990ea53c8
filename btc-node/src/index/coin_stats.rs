//! The figures of `gettxoutsetinfo` after each block (`-coinstatsindex`).

use std::path::Path;
use std::sync::Arc;

use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, OutPoint, TxOut};
use btc_consensus::Coin;
use btc_consensus::connect::is_coinbase_overwritten;
use btc_consensus::script::program::is_unspendable;
use btc_consensus::subsidy::subsidy;

use super::db::{BEST_BLOCK, IndexDb, put_at_height};
use super::error::{IndexError, StartIndexError};
use super::follow::{Contents, Follower, IndexInfo, IndexedBlock};
use crate::chainstate::muhash::MuHash;
use crate::chainstate::stats::{bogo_size, write_coin_for_hash};
use crate::chainstate::{BlockSummary, ChainstateManager};
use crate::store::codec::Reader;
use crate::store::kv::{Batch, DatabaseOptions};

/// Its name, as `getindexinfo` shows it.
const NAME: &str = "coinstatsindex";
/// Where the set behind the digest is kept.
const SET: &[u8] = b"M";

/// Figures of all unspent coins after a block, and sums over all blocks up to it. Amounts are in sat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockCoinStats {
    /// The [MuHash](crate::chainstate::muhash) of the coins.
    pub muhash: [u8; 32],
    /// Number of unspent outputs.
    pub tx_outs: u64,
    /// A size that does not depend on the database.
    pub bogo_size: u64,
    /// Sum of their values.
    pub total_amount: u64,
    /// Subsidies that blocks were allowed.
    pub subsidy: u64,
    /// Values of all outputs that were spent.
    pub prevout_spent: u128,
    /// Values of all spendable outputs that other transactions than coinbases created.
    pub new_outputs_ex_coinbase: u128,
    /// Values of all spendable outputs that coinbases created.
    pub coinbase: u128,
    /// What the genesis block created, which nobody can spend.
    pub unspendable_genesis: u64,
    /// What coinbases created that others with the same txid replaced (BIP 30).
    pub unspendable_bip30: u64,
    /// What outputs hold whose scripts nobody can fulfil.
    pub unspendable_scripts: u64,
    /// What miners were allowed and did not take.
    pub unclaimed_rewards: u64,
}

impl BlockCoinStats {
    /// Everything that nobody can spend.
    pub fn unspendable(&self) -> u64 {
        self.unspendable_genesis
            .saturating_add(self.unspendable_bip30)
            .saturating_add(self.unspendable_scripts)
            .saturating_add(self.unclaimed_rewards)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = self.muhash.to_vec();
        for number in [
            self.tx_outs,
            self.bogo_size,
            self.total_amount,
            self.subsidy,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for sum in [
            self.prevout_spent,
            self.new_outputs_ex_coinbase,
            self.coinbase,
        ] {
            // Core keeps 256 bits; all coins of all blocks that will ever be fit half of them.
            out.extend_from_slice(&sum.to_le_bytes());
            out.extend_from_slice(&[0; 16]);
        }
        for amount in [
            self.unspendable_genesis,
            self.unspendable_bip30,
            self.unspendable_scripts,
            self.unclaimed_rewards,
        ] {
            out.extend_from_slice(&amount.to_le_bytes());
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        let mut reader = Reader::new(bytes);
        let decode = IndexError::decode(NAME);
        let mut stats = Self {
            muhash: reader.array().map_err(&decode)?,
            ..Self::default()
        };
        for number in [
            &mut stats.tx_outs,
            &mut stats.bogo_size,
            &mut stats.total_amount,
            &mut stats.subsidy,
        ] {
            *number = reader.u64_le().map_err(&decode)?;
        }
        for sum in [
            &mut stats.prevout_spent,
            &mut stats.new_outputs_ex_coinbase,
            &mut stats.coinbase,
        ] {
            *sum = u128::from_le_bytes(reader.array().map_err(&decode)?);
            if reader.array().map_err(&decode)? != [0; 16] {
                return Err(IndexError::corrupt(NAME, "a sum is beyond 128 bits"));
            }
        }
        for amount in [
            &mut stats.unspendable_genesis,
            &mut stats.unspendable_bip30,
            &mut stats.unspendable_scripts,
            &mut stats.unclaimed_rewards,
        ] {
            *amount = reader.u64_le().map_err(&decode)?;
        }
        reader.finish().map_err(&decode)?;
        Ok(stats)
    }

    /// Counts a coin that was created.
    fn add_coin(&mut self, output: &TxOut) -> Option<()> {
        self.tx_outs = self.tx_outs.checked_add(1)?;
        self.total_amount = self.total_amount.checked_add(output.value.to_sat())?;
        self.bogo_size = self.bogo_size.checked_add(bogo_size(output))?;
        Some(())
    }

    /// Counts a coin that was spent.
    fn spend_coin(&mut self, output: &TxOut) -> Option<()> {
        self.tx_outs = self.tx_outs.checked_sub(1)?;
        self.total_amount = self.total_amount.checked_sub(output.value.to_sat())?;
        self.bogo_size = self.bogo_size.checked_sub(bogo_size(output))?;
        self.prevout_spent += u128::from(output.value.to_sat());
        Some(())
    }

    /// Counts what the miner of the last block could have taken and did not.
    fn settle(&mut self) -> Option<()> {
        let allowed = self.prevout_spent.checked_add(self.subsidy.into())?;
        let accounted = self
            .new_outputs_ex_coinbase
            .checked_add(self.coinbase)?
            .checked_add(self.unspendable().into())?;
        let unclaimed = u64::try_from(allowed.checked_sub(accounted)?).ok()?;
        self.unclaimed_rewards = self.unclaimed_rewards.checked_add(unclaimed)?;
        Some(())
    }
}

/// An index of the coins' figures.
pub struct CoinStatsIndex {
    db: Arc<IndexDb>,
    follower: Follower,
}

impl CoinStatsIndex {
    /// Opens or creates it in a network's directory; `wipe` empties it first.
    ///
    /// # Errors
    /// See [`StartIndexError`].
    pub fn open(
        chain: &Arc<ChainstateManager>,
        net_dir: &Path,
        options: &DatabaseOptions,
    ) -> Result<Self, StartIndexError> {
        let indexes = net_dir.join("indexes");
        let old = indexes.join("coinstats");
        if old.exists() {
            tracing::warn!(
                "Old version of coinstatsindex found at {}. This folder can be safely deleted unless you plan to \
                 downgrade your node to version 29 or lower.",
                old.display()
            );
        }
        let path = indexes.join("coinstatsindex").join("db");
        let db = Arc::new(IndexDb::open(NAME, &chain.options().disk, &path, options)?);
        let writer = Writer {
            db: Arc::clone(&db),
            chain: Arc::clone(chain),
            set: MuHash::new(),
            stats: BlockCoinStats::default(),
            block: BlockHash::all_zeros(),
        };
        let follower = Follower::open("coinstatsidx", chain, Box::new(writer))?;
        Ok(Self { db, follower })
    }

    /// Its way along the chain.
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// How far it is.
    pub fn info(&self) -> IndexInfo {
        self.follower.info()
    }

    /// The figures after a block; `None` if it is not indexed.
    ///
    /// # Errors
    /// The database failed.
    pub fn stats(&self, block: &BlockSummary) -> Result<Option<BlockCoinStats>, IndexError> {
        let record = self.db.of_block(block.height, &block.hash)?;
        record
            .map(|record| BlockCoinStats::decode(&record))
            .transpose()
    }
}

struct Writer {
    db: Arc<IndexDb>,
    chain: Arc<ChainstateManager>,
    set: MuHash,
    stats: BlockCoinStats,
    /// The block after which all this holds.
    block: BlockHash,
}

/// What a block did to the coins.
enum Effect<'a> {
    Created {
        outpoint: OutPoint,
        coin: Coin,
    },
    Spent {
        outpoint: OutPoint,
        coin: &'a Coin,
    },
    /// An output that never becomes a coin, because of its script.
    Unspendable(Amount),
    /// A coinbase whose outputs are no coins, because a later one replaces them.
    Overwritten,
}

impl Writer {
    /// Tells of each effect of a block in order.
    fn effects(
        block: &IndexedBlock<'_>,
        mut tell: impl FnMut(Effect<'_>) -> Option<()>,
    ) -> Result<(), IndexError> {
        let (body, undo) = (block.block()?, block.undo()?);
        let BlockSummary { hash, height, .. } = *block.summary;
        let overflow = || IndexError::corrupt(NAME, format!("its sums do not fit block {hash}"));
        for (index, tx) in body.txdata.iter().enumerate() {
            let coinbase = index == 0;
            if coinbase && is_coinbase_overwritten(height, &hash) {
                tell(Effect::Overwritten).ok_or_else(overflow)?;
                continue;
            }
            let txid = tx.compute_txid();
            for (vout, output) in (0..).zip(&tx.output) {
                let effect = if is_unspendable(output.script_pubkey.as_bytes()) {
                    Effect::Unspendable(output.value)
                } else {
                    Effect::Created {
                        outpoint: OutPoint { txid, vout },
                        coin: Coin {
                            output: output.clone(),
                            height,
                            coinbase,
                        },
                    }
                };
                tell(effect).ok_or_else(overflow)?;
            }
            if coinbase {
                continue;
            }
            let spent = undo.0.get(index - 1).ok_or(IndexError::NoUndo(hash))?;
            for (input, coin) in tx.input.iter().zip(spent) {
                let outpoint = input.previous_output;
                tell(Effect::Spent { outpoint, coin }).ok_or_else(overflow)?;
            }
        }
        Ok(())
    }

    /// The figures after the block before this one, as they were written.
    fn parent_stats(&self, block: &IndexedBlock<'_>) -> Result<BlockCoinStats, IndexError> {
        let Some(height) = block.summary.height.checked_sub(1) else {
            return Ok(BlockCoinStats::default());
        };
        let record = self.db.of_block(height, &block.prev())?.ok_or_else(|| {
            let text = format!("previous block header not found; expected {}", block.prev());
            IndexError::corrupt(NAME, text)
        })?;
        BlockCoinStats::decode(&record)
    }

    fn check_set(&mut self, expected: &[u8; 32]) -> Result<(), IndexError> {
        self.set.divide();
        if self.set.finalize() == *expected {
            return Ok(());
        }
        Err(IndexError::corrupt(
            NAME,
            "the set of coins does not have the digest that was written",
        ))
    }
}

fn member(bytes: &mut Vec<u8>, outpoint: &OutPoint, coin: &Coin) {
    bytes.clear();
    write_coin_for_hash(bytes, outpoint, coin);
}

impl Contents for Writer {
    fn db(&self) -> &IndexDb {
        &self.db
    }

    fn best_key(&self) -> &'static [u8] {
        BEST_BLOCK
    }

    fn allows_pruning(&self) -> bool {
        true
    }

    fn needs_undo(&self) -> bool {
        true
    }

    fn load(&mut self, best: Option<&BlockSummary>) -> Result<(), IndexError> {
        if let Some(value) = self.db.get(SET)? {
            self.set = MuHash::decode(&value)
                .ok_or_else(|| IndexError::corrupt(NAME, "the set of coins has another size"))?;
        }
        let Some(best) = best else { return Ok(()) };
        let record = self.db.of_block(best.height, &best.hash)?.ok_or_else(|| {
            IndexError::corrupt(NAME, format!("no record of its best block {}", best.hash))
        })?;
        self.stats = BlockCoinStats::decode(&record)?;
        self.block = best.hash;
        let expected = self.stats.muhash;
        self.check_set(&expected)
    }

    fn append(&mut self, block: &IndexedBlock<'_>) -> Result<(), IndexError> {
        let BlockSummary { hash, height, .. } = *block.summary;
        let overflow = || IndexError::corrupt(NAME, format!("its sums do not fit block {hash}"));
        let allowed = subsidy(height, self.chain.params()).to_sat();
        let Self { set, stats, .. } = self;
        stats.subsidy = stats.subsidy.checked_add(allowed).ok_or_else(overflow)?;
        if height == 0 {
            stats.unspendable_genesis += allowed;
        } else {
            if self.block != block.prev() {
                let text = format!(
                    "previous block header belongs to unexpected block {}; expected {}",
                    self.block,
                    block.prev()
                );
                return Err(IndexError::corrupt(NAME, text));
            }
            let mut bytes = Vec::new();
            Self::effects(block, |effect| {
                match effect {
                    Effect::Overwritten => {
                        stats.unspendable_bip30 = stats.unspendable_bip30.checked_add(allowed)?;
                    }
                    Effect::Unspendable(value) => {
                        let sum = stats.unspendable_scripts.checked_add(value.to_sat())?;
                        stats.unspendable_scripts = sum;
                    }
                    Effect::Created { outpoint, coin } => {
                        member(&mut bytes, &outpoint, &coin);
                        set.insert(&bytes);
                        let value = u128::from(coin.output.value.to_sat());
                        if coin.coinbase {
                            stats.coinbase += value;
                        } else {
                            stats.new_outputs_ex_coinbase += value;
                        }
                        stats.add_coin(&coin.output)?;
                    }
                    Effect::Spent { outpoint, coin } => {
                        member(&mut bytes, &outpoint, coin);
                        set.remove(&bytes);
                        stats.spend_coin(&coin.output)?;
                    }
                }
                Some(())
            })?;
        }
        stats.settle().ok_or_else(overflow)?;
        set.divide();
        stats.muhash = set.finalize();
        self.block = hash;
        // The set itself is written with the best block, so that the two stay together whatever happens.
        let mut batch = Batch::new();
        put_at_height(&mut batch, height, &hash, &self.stats.encode());
        Ok(self.db.write(&batch)?)
    }

    fn remove(&mut self, block: &IndexedBlock<'_>) -> Result<(), IndexError> {
        let mut batch = Batch::new();
        self.db.keep_by_hash(block.summary.height, &mut batch)?;
        self.db.write(&batch)?;
        let stats = self.parent_stats(block)?;
        let set = &mut self.set;
        let mut bytes = Vec::new();
        Self::effects(block, |effect| {
            match effect {
                Effect::Overwritten | Effect::Unspendable(_) => {}
                Effect::Created { outpoint, coin } => {
                    member(&mut bytes, &outpoint, &coin);
                    set.remove(&bytes);
                }
                Effect::Spent { outpoint, coin } => {
                    member(&mut bytes, &outpoint, coin);
                    set.insert(&bytes);
                }
            }
            Some(())
        })?;
        self.check_set(&stats.muhash)?;
        self.stats = stats;
        self.block = block.prev();
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch) -> Result<(), IndexError> {
        batch.put(SET, self.set.encode());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_come_back(
            muhash: [u8; 32], counts: [u64; 4], sums: [u128; 3], amounts: [u64; 4],
        ) {
            let stats = BlockCoinStats {
                muhash,
                tx_outs: counts[0],
                bogo_size: counts[1],
                total_amount: counts[2],
                subsidy: counts[3],
                prevout_spent: sums[0],
                new_outputs_ex_coinbase: sums[1],
                coinbase: sums[2],
                unspendable_genesis: amounts[0],
                unspendable_bip30: amounts[1],
                unspendable_scripts: amounts[2],
                unclaimed_rewards: amounts[3],
            };
            let bytes = stats.encode();
            prop_assert_eq!(bytes.len(), 32 + 4 * 8 + 3 * 32 + 4 * 8);
            prop_assert_eq!(BlockCoinStats::decode(&bytes).ok(), Some(stats));
            prop_assert!(BlockCoinStats::decode(&bytes[1..]).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..250)) {
            let _ = BlockCoinStats::decode(&bytes);
        }
    }

    #[test]
    fn what_a_miner_leaves_counts_once() {
        let mut stats = BlockCoinStats {
            subsidy: 50,
            coinbase: 40,
            ..BlockCoinStats::default()
        };
        stats.settle().expect("fits");
        stats.settle().expect("fits");
        assert_eq!(stats.unclaimed_rewards, 10);
        stats.coinbase = 60;
        assert_eq!(stats.settle(), None, "more was taken than allowed");
    }
}
