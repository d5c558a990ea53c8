//! A transaction of our own on its way to the network.

use super::{AcceptOptions, Mempool, Reject, RejectClass};
use crate::chainstate::ChainstateManager;
use crate::store::StoreError;
use bitcoin::{OutPoint, Transaction};
use std::sync::Arc;

/// Why a transaction of our own is not taken. The texts are those that clients know.
#[derive(Debug, thiserror::Error)]
pub enum BroadcastError {
    /// The chain holds it already.
    #[error("Transaction outputs already in utxo set")]
    AlreadyInChain,
    /// It pays more than its owner allows.
    #[error("Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")]
    MaxFeeExceeded,
    /// It loses more to outputs that can never be spent than its owner allows.
    #[error("Unspendable output exceeds maximum configured by user (maxburnamount)")]
    MaxBurnExceeded,
    /// The mempool does not take it.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// The coins cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BroadcastError {
    /// Whether the transaction lacks inputs, which callers treat apart from other rejects.
    pub fn is_missing_inputs(&self) -> bool {
        matches!(self, Self::Rejected(reject) if reject.class() == RejectClass::MissingInputs)
    }
}

impl Mempool {
    /// Takes a transaction of our own. One that is here already is fine. With `max_fee` (sat) it is refused, before it is
    /// added, if it pays more. With `announce` it counts as unbroadcast until a peer asks for it; to tell peers is up to
    /// the caller. Gives the mempool's own transaction of this id, which may have another witness.
    ///
    /// # Errors
    /// See [`BroadcastError`].
    pub fn broadcast(
        &self,
        chain: &ChainstateManager,
        tx: &Arc<Transaction>,
        max_fee: Option<i64>,
        announce: bool,
    ) -> Result<Arc<Transaction>, BroadcastError> {
        let txid = tx.compute_txid();
        for (vout, _) in (0u32..).zip(&tx.output) {
            if chain.coin(&OutPoint::new(txid, vout))?.is_some() {
                return Err(BroadcastError::AlreadyInChain);
            }
        }
        if let Some(known) = self.get(&txid) {
            return Ok(known);
        }
        let options = AcceptOptions {
            max_fee,
            ..AcceptOptions::at(self.clock.now())
        };
        match self.accept(chain, Arc::clone(tx), options) {
            Ok(_) => {}
            Err(Reject::MaxFeeExceeded) => return Err(BroadcastError::MaxFeeExceeded),
            Err(reject) => return Err(reject.into()),
        }
        if announce {
            self.add_unbroadcast(txid);
        }
        Ok(Arc::clone(tx))
    }
}
