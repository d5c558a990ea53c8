//! A node with all indexes, and everything that they answer, to compare.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::bip158::{BlockFilter, FilterHeader};
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, OutPoint, Txid};
use btc_node::chainstate::{ChainstateManager, Options};
use btc_node::index::filters::basic_filter;
use btc_node::index::{BlockCoinStats, IndexOptions, Indexes, StartIndexError};

use crate::support::{Home, next_block, reward_of, spend, submit};

/// A node and its indexes.
pub(crate) struct Indexed {
    pub(crate) chain: Arc<ChainstateManager>,
    pub(crate) indexes: Indexes,
}

pub(crate) fn all() -> IndexOptions {
    IndexOptions {
        txs: true,
        spenders: true,
        filters: true,
        coin_stats: true,
        wipe: false,
        compact: false,
    }
}

impl Indexed {
    /// Opens both; the indexes are not started.
    pub(crate) fn open(home: &Home) -> Self {
        Self::open_with(home, |_| {}, all()).expect("opens")
    }

    pub(crate) fn open_with(
        home: &Home,
        change: impl FnOnce(&mut Options),
        options: IndexOptions,
    ) -> Result<Self, StartIndexError> {
        let chain = Arc::new(home.open_with(change));
        let indexes = Indexes::open(&chain, home.dir.path(), options, 16 << 20)?;
        Ok(Self { chain, indexes })
    }

    /// Opens both and lets the indexes catch up.
    pub(crate) fn synced(home: &Home) -> Self {
        let indexed = Self::open(home);
        indexed.indexes.start().expect("starts");
        indexed.wait();
        indexed
    }

    /// Waits until the indexes have caught up.
    pub(crate) fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.indexes.infos().iter().all(|info| info.synced) {
            assert!(Instant::now() < deadline, "{:?}", self.indexes.infos());
            std::thread::yield_now();
        }
        self.settle();
    }

    /// Waits until the indexes have what the chain has told.
    pub(crate) fn settle(&self) {
        self.chain.notifier().sync_with_queue();
    }

    /// Ends it as a node ends.
    pub(crate) fn close(self) {
        self.indexes.interrupt();
        self.chain.close().expect("flushes");
        self.chain.notifier().close();
        self.indexes.stop();
    }

    pub(crate) fn heights(&self) -> Vec<u32> {
        let infos = self.indexes.infos();
        infos.iter().map(|info| info.height).collect()
    }

    /// Mines a block that spends a reward 101 blocks back, if that is unspent, and gives the block.
    pub(crate) fn mine_spending(&self) -> Arc<Block> {
        let tip = self.chain.tip();
        let mature = tip.height.checked_sub(100).filter(|height| *height > 0);
        let coin = mature.map(|height| {
            let hash = self.chain.hash_at(height).expect("is there");
            let block = self.chain.read_block(&hash).expect("reads");
            reward_of(&block.expect("is there"))
        });
        let coin = coin.filter(|coin| self.chain.coin(coin).expect("reads").is_some());
        let spends = coin.map(|coin| {
            let first = spend(&[coin], &[1000, 2000, 3000]);
            let second = OutPoint::new(first.compute_txid(), 1);
            vec![first, spend(&[second], &[1500])]
        });
        let block = next_block(&self.chain, spends.unwrap_or_default());
        submit(&self.chain, &block).expect("is valid");
        block
    }
}

/// What indexes say of a block.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    block: BlockHash,
    filter: BlockFilter,
    header: FilterHeader,
    stats: BlockCoinStats,
    /// Each transaction with the block that it is found in.
    txs: Vec<(Txid, Option<BlockHash>)>,
    /// Each output spent, with the transaction that is said to spend it, and its block.
    spenders: Vec<(OutPoint, Option<(Txid, BlockHash)>)>,
}

/// What the indexes say of each block of the active chain.
pub(crate) fn answers(indexed: &Indexed) -> Vec<Answer> {
    let Indexes {
        txs: Some(txs),
        spenders: Some(spenders),
        filters: Some(filters),
        coin_stats: Some(coin_stats),
    } = &indexed.indexes
    else {
        panic!("not all indexes are kept");
    };
    let chain = &indexed.chain;
    (0..=chain.tip().height)
        .map(|height| {
            let summary = chain.block_summary_at(height).expect("is there");
            let block = chain.read_block(&summary.hash).expect("reads");
            let block = block.expect("is there");
            let ids = block.txdata.iter().map(|tx| tx.compute_txid());
            let inputs = block.txdata.iter().flat_map(|tx| &tx.input);
            let filter = filters.filter(&summary).expect("reads");
            Answer {
                block: summary.hash,
                filter: filter.unwrap_or_else(|| panic!("no filter at {height}")),
                header: filters.header(&summary).expect("reads").expect("is there"),
                stats: coin_stats
                    .stats(&summary)
                    .expect("reads")
                    .expect("is there"),
                txs: ids
                    .map(|txid| {
                        let found = txs.find(&txid).expect("reads");
                        (txid, found.map(|found| found.block))
                    })
                    .collect(),
                spenders: inputs
                    .map(|input| {
                        let outpoint = input.previous_output;
                        let found = spenders.find(&outpoint).expect("reads");
                        let found = found.map(|found| (found.tx.compute_txid(), found.block));
                        (outpoint, found)
                    })
                    .collect(),
            }
        })
        .collect()
}

/// The same, from the blocks and undo records themselves.
pub(crate) fn check_against_blocks(indexed: &Indexed) {
    let chain = &indexed.chain;
    let mut header = FilterHeader::all_zeros();
    for (height, answer) in (0..).zip(answers(indexed)) {
        let hash = chain.hash_at(height).expect("is there");
        let block = chain.read_block(&hash).expect("reads").expect("is there");
        let undo = chain.read_undo(&hash).expect("reads").unwrap_or_default();
        let filter = basic_filter(&block, &undo);
        header = filter.filter_header(&header);
        assert_eq!((&answer.filter, answer.header), (&filter, header));
        for (tx, (txid, found)) in block.txdata.iter().zip(&answer.txs) {
            // The genesis block's transaction is not indexed: nobody can spend it.
            let expected = (height > 0).then_some(hash);
            assert_eq!((tx.compute_txid(), expected), (*txid, *found));
        }
        let spent = block.txdata.iter().flat_map(|tx| {
            let txid = tx.compute_txid();
            let inputs = tx.input.iter();
            inputs.map(move |input| (input.previous_output, txid, tx.is_coinbase()))
        });
        for ((outpoint, spender, coinbase), answer) in spent.zip(&answer.spenders) {
            let expected = (!coinbase).then_some((spender, hash));
            assert_eq!((outpoint, expected), *answer);
        }
    }
    let tip = chain.tip();
    let index = indexed.indexes.coin_stats.as_ref().expect("is kept");
    let stats = index.stats(&tip).expect("reads").expect("is there");
    let walked = chain
        .utxo_stats(btc_node::chainstate::UtxoHashKind::MuHash)
        .expect("computes")
        .expect("is not interrupted");
    let btc_node::chainstate::UtxoHash::MuHash(digest) = walked.hash else {
        panic!("another digest was asked for");
    };
    assert_eq!(digest.to_byte_array(), stats.muhash);
    assert_eq!(
        (
            walked.tx_outs,
            walked.bogo_size,
            walked.total_amount.map(|sum| sum.to_sat())
        ),
        (stats.tx_outs, stats.bogo_size, Some(stats.total_amount))
    );
    // Whatever was allowed or spent went somewhere.
    assert_eq!(
        stats.prevout_spent + u128::from(stats.subsidy),
        stats.new_outputs_ex_coinbase + stats.coinbase + u128::from(stats.unspendable())
    );
}
