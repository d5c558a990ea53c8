//! The rules that the mempool obeys at all times, checked over the whole of it (`-checkmempool`). What breaks one is a
//! bug, or memory that failed: the node stops before it mines or relays what came of it.

use super::pool::{MEMPOOL_HEIGHT, Pool};
use super::tip::ChainView;
use crate::notify::{Event, Notifier};
use crate::store::StoreError;
use bitcoin::{OutPoint, Txid};
use btc_consensus::Coin;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};

/// When the next check is due.
#[derive(Debug, Default)]
pub(super) struct Audit {
    every: AtomicU32,
    changes: AtomicU32,
}

impl Audit {
    /// Checks after so many changes; 0 for never.
    pub(super) fn set(&self, every: u32) {
        self.every.store(every, Ordering::Relaxed);
    }

    /// A change was made, after which `view` is the tip: does the check if its turn has come, and stops the node if a
    /// rule is broken.
    pub(super) fn run(&self, pool: &Pool, view: &dyn ChainView, notifier: &Notifier) {
        let every = self.every.load(Ordering::Relaxed);
        if every == 0
            || !self
                .changes
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(every)
        {
            return;
        }
        tracing::debug!(
            target: "mempool",
            "Checking mempool with {} transactions",
            pool.graph().len()
        );
        if let Err(error) = check(pool, view) {
            notifier.send(Event::Fatal {
                message: format!("the mempool is not consistent: {error}"),
            });
        }
    }
}

/// What does not hold.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuditError {
    /// A rule about one transaction.
    #[error("transaction {0}: {1}")]
    Transaction(Txid, &'static str),
    /// A rule about the whole.
    #[error("{0}")]
    Whole(&'static str),
    /// The coins cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks every transaction and the sums.
pub(super) fn check(pool: &Pool, view: &dyn ChainView) -> Result<(), AuditError> {
    let graph = pool.graph();
    let whole = |holds: bool, name| {
        if holds {
            Ok(())
        } else {
            Err(AuditError::Whole(name))
        }
    };
    let mut made: HashMap<OutPoint, Coin> = HashMap::new();
    let mut spent: HashSet<OutPoint> = HashSet::new();
    let mut children: HashMap<Txid, BTreeSet<Txid>> = HashMap::new();
    let (mut count, mut vsize, mut fees) = (0, 0, 0_i64);
    for entry in pool.sorted() {
        let txid = entry.txid;
        let rule = |holds: bool, name| {
            if holds {
                Ok(())
            } else {
                Err(AuditError::Transaction(txid, name))
            }
        };
        let tx = &entry.tx;
        rule(tx.compute_txid() == txid, "it is kept under another id")?;
        rule(
            graph.get_by_wtxid(&tx.compute_wtxid()).map(|it| it.txid) == Some(txid),
            "it is not found by its id with witness",
        )?;
        rule(!tx.is_coinbase(), "it is a coinbase")?;
        let mut parents = BTreeSet::new();
        let mut value_in = 0_i64;
        for input in &tx.input {
            let outpoint = input.previous_output;
            rule(spent.insert(outpoint), "another one spends the same")?;
            rule(
                graph.spender(&outpoint) == Some(txid),
                "it is not known as the one that spends its inputs",
            )?;
            let coin = match made.get(&outpoint) {
                Some(coin) => {
                    parents.insert(outpoint.txid);
                    children.entry(outpoint.txid).or_default().insert(txid);
                    coin.clone()
                }
                None => {
                    rule(
                        !graph.contains(&outpoint.txid),
                        "it comes before one that it spends from, or spends what that does not have",
                    )?;
                    let coin = view.coin(&outpoint)?;
                    coin.ok_or(AuditError::Transaction(txid, "it spends what is not there"))?
                }
            };
            rule(
                !coin.coinbase || coin.height + 100 <= view.height() + 1,
                "it spends a coinbase that is not mature",
            )?;
            let value = i64::try_from(coin.output.value.to_sat());
            value_in = value_in.saturating_add(value.unwrap_or(i64::MAX));
        }
        rule(parents == entry.parents, "its parents are others")?;
        let value_out: i64 = tx
            .output
            .iter()
            .map(|output| i64::try_from(output.value.to_sat()).unwrap_or(i64::MAX))
            .fold(0, i64::saturating_add);
        rule(
            entry.fee == value_in.saturating_sub(value_out) && entry.fee >= 0,
            "its fee is another",
        )?;
        let delta = pool.deltas().get(&txid).copied().unwrap_or(0);
        rule(entry.fee_delta == delta, "its priority is another")?;
        let members: Vec<_> = graph
            .cluster_of(&txid)
            .iter()
            .flat_map(|chunk| &chunk.txids)
            .collect();
        rule(
            members.iter().filter(|member| ***member == txid).count() == 1,
            "it is not once in its cluster",
        )?;
        rule(
            entry.parents.iter().all(|parent| members.contains(&parent)),
            "a parent is in another cluster",
        )?;
        for (vout, output) in (0..).zip(&tx.output) {
            let coin = Coin {
                output: output.clone(),
                height: MEMPOOL_HEIGHT,
                coinbase: false,
            };
            made.insert(OutPoint { txid, vout }, coin);
        }
        count += 1;
        vsize += entry.vsize();
        fees = fees.saturating_add(entry.fee);
    }
    for entry in graph.entries() {
        let found = children.remove(&entry.txid).unwrap_or_default();
        if found != entry.children {
            return Err(AuditError::Transaction(
                entry.txid,
                "its children are others",
            ));
        }
    }
    whole(count == graph.len(), "the order leaves some out")?;
    whole(vsize == graph.total_vsize(), "the sum of sizes is another")?;
    whole(fees == graph.total_fee(), "the sum of fees is another")?;
    let mut chunks = graph.chunks();
    let mut last = chunks.next();
    for chunk in chunks {
        whole(
            last.is_none_or(|last| last.feerate >= chunk.feerate),
            "a chunk of a lower feerate comes first",
        )?;
        last = Some(chunk);
    }
    whole(
        pool.unbroadcast().iter().all(|txid| graph.contains(txid)),
        "one that is to be announced is not there",
    )
}
