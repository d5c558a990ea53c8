//! The mempool's part in a change of the tip.

use super::{AcceptOptions, Mempool};
use crate::chainstate::{MempoolHook, TipView};
use crate::notify::RemovalReason;
use bitcoin::{Block, Transaction, Txid};
use btc_consensus::HashedBlock;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

/// Memory for transactions of disconnected blocks, in bytes of their serialization.
const MAX_DISCONNECTED_BYTES: usize = 20_000_000;

/// Transactions of disconnected blocks, in the order in which they were in the chain.
#[derive(Debug, Default)]
pub(super) struct Disconnected {
    transactions: VecDeque<Arc<Transaction>>,
    bytes: usize,
}

impl Disconnected {
    /// Takes in a block that was the tip. Gives what found no room: the latest of the chain, whose descendants cannot be
    /// valid without it.
    fn push(&mut self, block: &Block) -> Vec<Arc<Transaction>> {
        for tx in block.txdata.iter().rev().filter(|tx| !tx.is_coinbase()) {
            self.bytes += tx.total_size();
            self.transactions.push_front(Arc::new(tx.clone()));
        }
        let mut dropped = Vec::new();
        while self.bytes > MAX_DISCONNECTED_BYTES {
            let Some(tx) = self.transactions.pop_back() else {
                break;
            };
            self.bytes -= tx.total_size();
            dropped.push(tx);
        }
        dropped
    }

    /// Forgets what a block of the new chain holds too.
    fn remove_mined(&mut self, block: &HashedBlock) {
        if self.transactions.is_empty() {
            return;
        }
        let mined: HashSet<Txid> = block.txids().iter().copied().collect();
        let bytes = &mut self.bytes;
        self.transactions.retain(|tx| {
            let keep = !mined.contains(&tx.compute_txid());
            if !keep {
                *bytes -= tx.total_size();
            }
            keep
        });
    }

    fn take(&mut self) -> VecDeque<Arc<Transaction>> {
        self.bytes = 0;
        std::mem::take(&mut self.transactions)
    }
}

impl MempoolHook for Mempool {
    fn block_connected(&self, block: &HashedBlock, height: u32, view: &TipView<'_>) {
        let now = self.clock.now();
        self.change(|state| {
            state.disconnected.remove_mined(block);
            state.pool.tip_changed();
            state.pool.block_connected(block, height, now);
            // In a reorganization it is only fit for the tip again at the end.
            if state.disconnected.transactions.is_empty() {
                self.audit.run(&state.pool, view, &self.notifier);
            }
        });
    }

    fn block_disconnected(&self, block: &Arc<Block>, _height: u32, _view: &TipView<'_>) {
        self.change(|state| {
            state.pool.tip_changed();
            for tx in state.disconnected.push(block) {
                state.pool.remove_spenders(&tx, RemovalReason::Reorg);
            }
        });
    }

    fn reorg_finished(&self, view: &TipView<'_>, readd: bool) {
        let now = self.clock.now();
        self.change(|state| {
            let pool = &mut state.pool;
            pool.hold_clusters();
            for tx in state.disconnected.take() {
                let options = AcceptOptions {
                    bypass_limits: true,
                    ..AcceptOptions::at(now)
                };
                if !readd || pool.accept(view, Arc::clone(&tx), options).is_err() {
                    // What descends from it has lost its inputs.
                    pool.remove_spenders(&tx, RemovalReason::Reorg);
                }
            }
            pool.join_clusters();
            let unfit: BTreeSet<Txid> = pool
                .graph()
                .entries()
                .filter(|entry| !pool.is_still_valid(view, entry))
                .map(|entry| entry.txid)
                .collect();
            pool.remove_with_descendants(unfit, RemovalReason::Reorg);
            pool.enforce_limits(now);
            self.audit.run(pool, view, &self.notifier);
        });
    }

    fn is_empty(&self) -> bool {
        self.read(|pool| pool.graph().entries().next().is_none())
    }

    fn memory(&self) -> (usize, usize) {
        self.read(|pool| (pool.graph().memory_usage(), pool.limits().max_bytes))
    }
}
