//! Transactions that are not in the mempool and may be in blocks all the same.

use bitcoin::{Transaction, Wtxid};
use std::collections::VecDeque;
use std::sync::Arc;

/// Greater ones are not kept, in bytes.
const MAX_SIZE: usize = 100_000;

/// The last transactions that were refused or gave way to others (`-blockreconstructionextratxn`).
#[derive(Debug)]
pub(in crate::sync) struct ExtraTransactions {
    capacity: usize,
    transactions: VecDeque<(Wtxid, Arc<Transaction>)>,
}

impl ExtraTransactions {
    /// Keeps up to so many.
    pub(in crate::sync) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            transactions: VecDeque::new(),
        }
    }

    pub(in crate::sync) fn add(&mut self, tx: &Arc<Transaction>) {
        if self.capacity == 0 || tx.total_size() >= MAX_SIZE {
            return;
        }
        if self.transactions.len() == self.capacity {
            self.transactions.pop_front();
        }
        let wtxid = tx.compute_wtxid();
        self.transactions.push_back((wtxid, Arc::clone(tx)));
    }

    pub(in crate::sync) fn iter(&self) -> impl Iterator<Item = (&Wtxid, &Arc<Transaction>)> {
        self.transactions.iter().map(|(wtxid, tx)| (wtxid, tx))
    }
}
