//! One transaction of the mempool, with what is known of it.

use super::feerate::Feerate;
use bitcoin::{Transaction, Txid, Wtxid};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A transaction as it stands in the mempool.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// Its id.
    pub txid: Txid,
    /// Its id with the witness.
    pub wtxid: Wtxid,
    /// What it pays, in sat.
    pub fee: i64,
    /// What `prioritisetransaction` adds to that for mining and eviction, in sat.
    pub fee_delta: i64,
    /// Its weight by BIP 141, in weight units.
    pub weight: i64,
    /// Its signature operations by BIP 141's count.
    pub sigop_cost: i64,
    /// The greater of its weight and of its signature operations at `-bytespersigop`, in weight units.
    pub adjusted_weight: i64,
    /// When it came in, in seconds since 1970.
    pub time: i64,
    /// The height of the tip when it came in.
    pub height: u32,
    /// Its place in the order of additions; 0 if it came back from a disconnected block.
    pub sequence: u64,
    /// Whether it spends a coinbase, and so may become immature by a reorganization.
    pub spends_coinbase: bool,
    /// Transactions of the mempool that it spends from.
    pub parents: BTreeSet<Txid>,
    /// Transactions of the mempool that spend from it.
    pub children: BTreeSet<Txid>,
    /// The cluster it belongs to.
    pub(super) cluster: u64,
}

impl Entry {
    /// Its size for limits and feerates, in vB, counting signature operations (`-bytespersigop`).
    pub fn vsize(&self) -> i64 {
        (self.adjusted_weight + 3) / 4
    }

    /// What it pays in the eyes of the miner: its fee and what `prioritisetransaction` added, in sat.
    pub fn modified_fee(&self) -> i64 {
        self.fee.saturating_add(self.fee_delta)
    }

    /// Its own modified feerate, in sat for weight units.
    pub(super) fn feerate(&self) -> Feerate {
        Feerate::new(self.modified_fee(), self.adjusted_weight)
    }
}

/// Sums over a transaction and its ancestors, or its descendants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many, itself included.
    pub count: u64,
    /// Their size in vB.
    pub vsize: i64,
    /// Their modified fees in sat.
    pub fees: i64,
}
