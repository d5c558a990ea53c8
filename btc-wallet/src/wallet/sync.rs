//! What a block or a mempool event does to a wallet.

use super::state::{State, WalletTx};
use crate::db::Batch;
use crate::error::{Result, WalletError};
use crate::keys::KeyError;
use crate::tx::{TxRecord, TxState};
use crate::wallet::FLAG_AVOID_REUSE;
use bitcoin::{Block, BlockHash, OutPoint, Transaction, Txid};
use btc_interfaces::RemovalReason;
use std::collections::HashSet;

/// Seconds that a header's time may be off.
pub(crate) const TIMESTAMP_WINDOW: i64 = 2 * 60 * 60;
/// How far in the future a transaction's time may be and still be believed, in seconds.
const TOLERATED_FUTURE: i64 = 300;
/// Blocks without news for the wallet between two records of the best block.
const RECORD_INTERVAL: i32 = 144;
const PURPOSE_RECEIVE: &str = "receive";

/// The block that a transaction is in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InBlock {
    pub(crate) hash: BlockHash,
    pub(crate) height: i32,
    /// The time in its header, seconds since 1970.
    pub(crate) time: i64,
    /// The greatest header time up to it.
    pub(crate) max_time: i64,
    /// Whether the wallet looks at it long after it came.
    pub(crate) rescanning: bool,
}

impl State {
    /// Takes a block that became part of the active chain, and writes what changed. Gives whether the best block should
    /// be recorded.
    pub(crate) fn connect_block(&mut self, block: &Block, at: InBlock, now: i64) -> Result<bool> {
        if !at.rescanning {
            self.last_block = Some((at.height, at.hash));
            // What is older than the wallet cannot concern it.
            if self
                .birth_time
                .is_some_and(|birth| at.max_time < birth - 2 * TIMESTAMP_WINDOW)
            {
                return Ok(false);
            }
        }
        let taken = self.take_transactions(block, at, now);
        // Not on disk is not seen: the next start must look again.
        self.behind |= taken.is_err();
        Ok(taken? || at.height % RECORD_INTERVAL == 0)
    }

    fn take_transactions(&mut self, block: &Block, at: InBlock, now: i64) -> Result<bool> {
        let mut batch = Batch::new();
        let mut changed = false;
        for (tx, index) in block.txdata.iter().zip(0..) {
            let state = TxState::Confirmed {
                block: at.hash,
                height: at.height,
                index,
            };
            changed |= self.sync_tx(tx, state, Some(at), now, &mut batch)?;
            self.forget_mempool_conflicts(tx);
        }
        if changed {
            self.block_times.insert(at.hash, at.time);
        }
        self.db.commit(batch)?;
        Ok(changed)
    }

    /// Takes the tip off.
    pub(crate) fn disconnect_block(
        &mut self,
        hash: BlockHash,
        height: i32,
        prev: BlockHash,
    ) -> Result<()> {
        let mut batch = Batch::new();
        let gone: Vec<(Txid, bool)> = self
            .txs
            .iter()
            .filter(|(_, tx)| matches!(tx.record.state, TxState::Confirmed { block, .. } if block == hash))
            .map(|(txid, tx)| (*txid, tx.record.tx.is_coinbase()))
            .collect();
        for (txid, coinbase) in gone {
            if coinbase {
                self.update_descendants(txid, &mut batch, |tx| {
                    let abandoned = TxState::Inactive { abandoned: true };
                    std::mem::replace(&mut tx.record.state, abandoned) != abandoned
                });
            } else if let Some(tx) = self.txs.get_mut(&txid) {
                tx.record.state = TxState::Inactive { abandoned: false };
                batch.tx(&txid, &tx.record);
            }
        }
        let freed: Vec<Txid> = self
            .txs
            .iter()
            .filter(|(_, tx)| matches!(tx.record.state, TxState::Conflicted { height: at, .. } if at >= height))
            .map(|(txid, _)| *txid)
            .collect();
        for txid in freed {
            if let Some(tx) = self.txs.get_mut(&txid) {
                tx.record.state = TxState::Inactive { abandoned: false };
                batch.tx(&txid, &tx.record);
            }
        }
        self.last_block = Some((height - 1, prev));
        self.db.commit(batch)?;
        Ok(())
    }

    /// Takes a transaction that entered the mempool.
    pub(crate) fn mempool_added(&mut self, tx: &Transaction, now: i64) -> Result<()> {
        let mut batch = Batch::new();
        self.sync_tx(tx, TxState::InMempool, None, now, &mut batch)?;
        let txid = tx.compute_txid();
        for rival in self.rivals(tx, &txid) {
            // Only this run knows of mempool conflicts: nothing is written.
            self.update_descendants(rival, &mut Batch::new(), |tx| {
                tx.mempool_conflicts.insert(txid)
            });
        }
        self.db.commit(batch)?;
        Ok(())
    }

    /// Takes a transaction that left the mempool.
    pub(crate) fn mempool_removed(
        &mut self,
        tx: &Transaction,
        reason: RemovalReason,
        now: i64,
    ) -> Result<()> {
        let mut batch = Batch::new();
        let txid = tx.compute_txid();
        let inactive = TxState::Inactive { abandoned: false };
        if let Some(known) = self.txs.get_mut(&txid)
            && known.record.state == TxState::InMempool
        {
            known.record.state = inactive;
        }
        if reason == RemovalReason::Conflict
            && !self
                .state_of(&txid)
                .is_some_and(|state| state.is_conflicted())
        {
            self.sync_tx(tx, inactive, None, now, &mut batch)?;
        }
        self.forget_mempool_conflicts(tx);
        self.db.commit(batch)?;
        Ok(())
    }

    /// Other transactions of the wallet that spend what `tx` spends.
    fn rivals(&self, tx: &Transaction, txid: &Txid) -> Vec<Txid> {
        tx.input
            .iter()
            .filter_map(|input| self.spends.get(&input.previous_output))
            .flatten()
            .filter(|rival| *rival != txid)
            .copied()
            .collect()
    }

    fn forget_mempool_conflicts(&mut self, tx: &Transaction) {
        // Most transactions of a block are nobody's: they are not worth their hash.
        if !tx
            .input
            .iter()
            .any(|input| self.spends.contains_key(&input.previous_output))
        {
            return;
        }
        let txid = tx.compute_txid();
        for rival in self.rivals(tx, &txid) {
            self.update_descendants(rival, &mut Batch::new(), |tx| {
                tx.mempool_conflicts.remove(&txid)
            });
        }
    }

    /// Changes a transaction and, where that changed it, those that spend its outputs; changed ones go into `batch`.
    pub(crate) fn update_descendants(
        &mut self,
        start: Txid,
        batch: &mut Batch,
        mut change: impl FnMut(&mut WalletTx) -> bool,
    ) {
        let mut pending = vec![start];
        let mut done = HashSet::new();
        while let Some(txid) = pending.pop() {
            if !done.insert(txid) {
                continue;
            }
            let Some(tx) = self.txs.get_mut(&txid) else {
                continue;
            };
            if !change(tx) {
                continue;
            }
            batch.tx(&txid, &tx.record);
            for (_, vout) in tx.record.tx.output.iter().zip(0..) {
                pending.extend(
                    self.spends
                        .get(&OutPoint { txid, vout })
                        .into_iter()
                        .flatten(),
                );
            }
        }
    }

    fn mark_conflicted(&mut self, txid: Txid, block: BlockHash, height: i32, batch: &mut Batch) {
        let conflict = TxState::Conflicted { block, height };
        let conflict_depth = self.depth_of(&conflict);
        if conflict_depth >= 0 {
            // The block is not below the last one seen: its own event is still to come.
            return;
        }
        let tip = self.last_block.map_or(-1, |(height, _)| height);
        self.update_descendants(txid, batch, |tx| {
            let depth = match tx.record.state {
                TxState::Confirmed { height, .. } => tip - height + 1,
                TxState::Conflicted { height, .. } => -(tip - height + 1),
                _ => 0,
            };
            if conflict_depth < depth {
                tx.record.state = conflict;
                true
            } else {
                false
            }
        });
    }

    /// Takes a transaction in its new state if it concerns the wallet; gives whether it does.
    pub(crate) fn sync_tx(
        &mut self,
        tx: &Transaction,
        state: TxState,
        at: Option<InBlock>,
        now: i64,
        batch: &mut Batch,
    ) -> Result<bool> {
        let txid = tx.compute_txid();
        if let TxState::Confirmed { block, height, .. } = state {
            for rival in self.rivals(tx, &txid) {
                self.mark_conflicted(rival, block, height, batch);
            }
        }
        let concerns = self.txs.contains_key(&txid)
            || tx
                .output
                .iter()
                .any(|output| self.is_mine(&output.script_pubkey))
            || self.is_from_me(tx);
        if !concerns {
            return Ok(false);
        }
        for output in &tx.output {
            self.note_used(&output.script_pubkey, batch)?;
        }
        if self.has_flag(FLAG_AVOID_REUSE) {
            self.mark_spent_from(tx, batch);
        }
        self.add_tx(tx, txid, state, at, now, batch);
        Ok(true)
    }

    /// A script of the wallet's was paid: addresses up to it count as handed out.
    fn note_used(&mut self, script: &bitcoin::Script, batch: &mut Batch) -> Result<()> {
        for id in self.ids_of(script) {
            let Some(manager) = self.managers.get_mut(&id) else {
                continue;
            };
            let newly = manager.mark_used(script, batch)?;
            match self.top_up(id, self.keypool, batch) {
                Err(WalletError::Key(KeyError::KeypoolRanOut)) => {
                    tracing::warn!(target: "wallet", "Topping up keypool failed (locked wallet)");
                }
                other => other?,
            }
            if self.is_internal(&id) == Some(false) {
                for script in newly {
                    let address = self.address_of(&script);
                    let entry = self.address_book.entry(address.clone()).or_default();
                    if entry.label.is_none() && !address.is_empty() {
                        entry.label = Some(String::new());
                        entry.purpose = Some(PURPOSE_RECEIVE.to_owned());
                        batch.name(&address, "");
                        batch.purpose(&address, PURPOSE_RECEIVE);
                    }
                }
            }
        }
        Ok(())
    }

    fn mark_spent_from(&mut self, tx: &Transaction, batch: &mut Batch) {
        for input in &tx.input {
            let Some(output) = self.outputs.get(&input.previous_output) else {
                continue;
            };
            let address = self.address_of(&output.script_pubkey);
            if address.is_empty() {
                continue;
            }
            let entry = self.address_book.entry(address.clone()).or_default();
            if !entry.used {
                entry.used = true;
                batch.used(&address);
            }
        }
    }

    pub(crate) fn add_tx(
        &mut self,
        tx: &Transaction,
        txid: Txid,
        state: TxState,
        at: Option<InBlock>,
        now: i64,
        batch: &mut Batch,
    ) {
        if let Some(known) = self.txs.get_mut(&txid) {
            if state.is_confirmed() || state == TxState::InMempool {
                known.mempool_conflicts.clear();
            }
            if known.record.update(tx, state) {
                batch.tx(&txid, &known.record);
            }
            return;
        }
        let received = u32::try_from(now).unwrap_or(u32::MAX);
        let mut record = TxRecord::new(tx.clone(), state, received, self.order_next);
        self.order_next += 1;
        batch.order_pos_next(self.order_next);
        record.time_smart = self.smart_time(received, at);
        batch.tx(&txid, &record);
        self.insert_tx(txid, record);
    }

    /// The time to show for a new transaction: that of its block, but in the order in which transactions came.
    fn smart_time(&self, received: u32, at: Option<InBlock>) -> u32 {
        let Some(at) = at else { return received };
        let smart = if at.rescanning {
            at.max_time
        } else {
            let received = i64::from(received);
            let latest = self
                .txs
                .values()
                .filter(|tx| i64::from(tx.record.time()) <= received + TOLERATED_FUTURE)
                .max_by_key(|tx| tx.record.order)
                .map_or(0, |tx| i64::from(tx.record.time()));
            latest.max(at.time.min(received.max(latest)))
        };
        u32::try_from(smart).unwrap_or(received)
    }
}
