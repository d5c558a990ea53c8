//! Taking in a transaction that comes from this node's own user.

use super::{AcceptOptions, Mempool, Reject};
use crate::chainstate::ChainstateManager;
use crate::store::StoreError;
use bitcoin::{Amount, OutPoint, Transaction};
use std::sync::Arc;
use thiserror::Error;

/// Why a user's transaction was not taken in.
#[derive(Debug, Error)]
pub enum BroadcastError {
    /// Outputs of it are in the chain.
    #[error("Transaction outputs already in utxo set")]
    AlreadyInUtxoSet,
    /// It pays more than the caller allows.
    #[error("Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")]
    MaxFeeExceeded,
    /// The mempool refuses it.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// The coins cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Mempool {
    /// Takes in a transaction of our own user, unless it pays more than `max_fee` (zero: any fee will do). With
    /// `announce` it is remembered until a peer has asked for it. One that waits here already is a success.
    ///
    /// # Errors
    /// See [`BroadcastError`]; nothing has changed then.
    pub fn broadcast(
        &self,
        chain: &ChainstateManager,
        tx: Arc<Transaction>,
        max_fee: Amount,
        announce: bool,
    ) -> Result<(), BroadcastError> {
        let txid = tx.compute_txid();
        for vout in 0..u32::try_from(tx.output.len()).unwrap_or(u32::MAX) {
            if chain.coin(&OutPoint { txid, vout })?.is_some() {
                return Err(BroadcastError::AlreadyInUtxoSet);
            }
        }
        if !self.contains(&txid) {
            if max_fee > Amount::ZERO {
                let test = AcceptOptions { test: true, ..AcceptOptions::at(self.clock.now()) };
                let fee = self.accept(chain, tx.clone(), test)?.fee;
                if fee > i64::try_from(max_fee.to_sat()).unwrap_or(i64::MAX) {
                    return Err(BroadcastError::MaxFeeExceeded);
                }
            }
            self.submit(chain, tx)?;
        }
        if announce {
            self.add_unbroadcast(txid);
        }
        Ok(())
    }
}
