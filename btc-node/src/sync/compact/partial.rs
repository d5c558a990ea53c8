//! A block put together from what is here and what is sent.

use bitcoin::bip152::{HeaderAndShortIds, ShortId};
use bitcoin::block::Header;
use bitcoin::{Block, Transaction, Wtxid};
use btc_consensus::block::check_mutation;
use std::collections::HashMap;
use std::sync::Arc;

/// Why a compact block does not become a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::sync) enum PartialError {
    /// It names no block at all, or the transactions sent for it are not those that were asked for.
    #[error("invalid compact block")]
    Invalid,
    /// Two transactions have the same short id, or one took the place of another.
    #[error("short ids collide")]
    Collision,
}

/// What a place in the block was filled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Nowhere,
    Mempool,
    Extra,
    /// More than one transaction fits: it is asked for.
    Several,
}

/// A block of which some transactions may be missing.
#[derive(Debug)]
pub(in crate::sync) struct PartialBlock {
    header: Header,
    transactions: Vec<Option<Arc<Transaction>>>,
    prefilled: usize,
    from_mempool: usize,
    from_extra: usize,
}

impl PartialBlock {
    /// Takes what a compact block brings itself, and looks for the rest among transactions of the mempool and among
    /// others, in this order.
    pub(in crate::sync) fn new<'a>(
        compact: &HeaderAndShortIds,
        mempool: impl Iterator<Item = (&'a Wtxid, &'a Arc<Transaction>)>,
        extra: impl Iterator<Item = (&'a Wtxid, &'a Arc<Transaction>)>,
    ) -> Result<Self, PartialError> {
        let transactions = prefilled(compact)?;
        let free = (0..transactions.len()).filter(|place| transactions[*place].is_none());
        let places: HashMap<ShortId, usize> = compact.short_ids.iter().copied().zip(free).collect();
        if places.len() != compact.short_ids.len() {
            return Err(PartialError::Collision);
        }
        let mut search = Search {
            keys: ShortId::calculate_siphash_keys(&compact.header, compact.nonce),
            sources: vec![Source::Nowhere; transactions.len()],
            block: Self {
                header: compact.header,
                prefilled: compact.prefilled_txs.len(),
                transactions,
                from_mempool: 0,
                from_extra: 0,
            },
            places,
        };
        search.look_among(mempool, Source::Mempool);
        search.look_among(extra, Source::Extra);
        Ok(search.block)
    }

    /// The places of transactions that are missing, in order.
    pub(in crate::sync) fn missing(&self) -> Vec<u64> {
        let places = (0..).zip(&self.transactions);
        places
            .filter_map(|(place, tx)| tx.is_none().then_some(place))
            .collect()
    }

    /// The block with the missing transactions, in order. `segwit` is whether that is in force for it.
    ///
    /// # Errors
    /// The transactions are not as many as were missing, or the block is another than that of the header: a short id
    /// may have led to the wrong transaction.
    pub(in crate::sync) fn complete(
        self,
        sent: Vec<Transaction>,
        segwit: bool,
    ) -> Result<Block, PartialError> {
        let (asked, bytes) = (sent.len(), sent.iter().map(Transaction::total_size).sum());
        let bytes: usize = bytes;
        let mut sent = sent.into_iter();
        let mut txdata = Vec::with_capacity(self.transactions.len());
        for tx in self.transactions {
            txdata.push(match tx {
                Some(tx) => Transaction::clone(&tx),
                None => sent.next().ok_or(PartialError::Invalid)?,
            });
        }
        if sent.next().is_some() {
            return Err(PartialError::Invalid);
        }
        let block = Block {
            header: self.header,
            txdata,
        };
        if let Err(mutation) = check_mutation(&block, segwit) {
            tracing::debug!(target: "validation", "Block mutated: {mutation}");
            return Err(PartialError::Collision);
        }
        tracing::debug!(
            target: "cmpctblock",
            "Successfully reconstructed block {} with {} txn prefilled, {} txn from mempool (incl at least {} from extra pool) and {asked} txn ({bytes} bytes) requested",
            block.block_hash(),
            self.prefilled,
            self.from_mempool,
            self.from_extra,
        );
        Ok(block)
    }
}

/// The places of all transactions, with those in them that came along.
fn prefilled(compact: &HeaderAndShortIds) -> Result<Vec<Option<Arc<Transaction>>>, PartialError> {
    let ids = compact.short_ids.len();
    let count = ids + compact.prefilled_txs.len();
    // Places are numbers of 16 bits.
    if count == 0 || count > usize::from(u16::MAX) + 1 {
        return Err(PartialError::Invalid);
    }
    let mut transactions = vec![None; count];
    let mut next = 0;
    for (before, prefilled) in compact.prefilled_txs.iter().enumerate() {
        let place = next + usize::from(prefilled.idx);
        // All places below are taken by one or the other kind.
        if place > ids + before || place > usize::from(u16::MAX) || is_null(&prefilled.tx) {
            return Err(PartialError::Invalid);
        }
        transactions[place] = Some(Arc::new(prefilled.tx.clone()));
        next = place + 1;
    }
    Ok(transactions)
}

fn is_null(tx: &Transaction) -> bool {
    tx.input.is_empty() && tx.output.is_empty()
}

/// A partial block while it is filled.
struct Search {
    keys: (u64, u64),
    places: HashMap<ShortId, usize>,
    /// By place.
    sources: Vec<Source>,
    block: PartialBlock,
}

impl Search {
    fn look_among<'a>(
        &mut self,
        known: impl Iterator<Item = (&'a Wtxid, &'a Arc<Transaction>)>,
        source: Source,
    ) {
        for (wtxid, tx) in known {
            // Going on would find more collisions; they are too rare to be worth it.
            if self.block.from_mempool == self.places.len() {
                return;
            }
            let id = ShortId::with_siphash_keys(wtxid, self.keys);
            if let Some(place) = self.places.get(&id) {
                self.fill(*place, tx, source);
            }
        }
    }

    fn fill(&mut self, place: usize, tx: &Arc<Transaction>, source: Source) {
        let block = &mut self.block;
        let before = std::mem::replace(&mut self.sources[place], source);
        match before {
            Source::Nowhere => {
                block.transactions[place] = Some(Arc::clone(tx));
                block.from_mempool += 1;
                block.from_extra += usize::from(source == Source::Extra);
            }
            Source::Several => self.sources[place] = Source::Several,
            Source::Mempool | Source::Extra => {
                if block.transactions[place].as_ref() == Some(tx) {
                    self.sources[place] = before;
                    return;
                }
                block.transactions[place] = None;
                block.from_mempool -= 1;
                block.from_extra -= usize::from(before == Source::Extra);
                self.sources[place] = Source::Several;
            }
        }
    }
}

#[cfg(test)]
mod tests;
