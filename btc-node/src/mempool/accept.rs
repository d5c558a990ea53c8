//! Judging one transaction, in the order in which the network's other nodes judge it: what costs little comes first,
//! signatures last.

use super::entry::Entry;
use super::feerate::Feerate;
use super::policy::{
    self, MAX_STANDARD_SIGOP_COST, MIN_NON_WITNESS_SIZE, inputs, replacement, standard, truc,
};
use super::pool::Pool;
use super::reject::Reject;
use super::rules;
use super::tip::ChainView;
use crate::notify::RemovalReason;
use bitcoin::{OutPoint, Transaction, TxOut, Txid, Wtxid};
use btc_consensus::Coin;
use btc_consensus::script::ScriptFlags;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Outputs that are looked up to tell a transaction of the chain from one whose inputs are missing. A stranger may send
/// either, and every look may cost a read from disk.
const KNOWN_OUTPUTS: usize = 64;

/// How a transaction is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptOptions {
    /// Only say what would become of it.
    pub test: bool,
    /// It was in a block that is disconnected now: fees, limits and version 3's rules don't count.
    pub bypass_limits: bool,
    /// Whether it may take the place of others.
    pub allow_replacement: bool,
    /// When it came, in seconds since 1970.
    pub time: i64,
    /// The time now, for limits, in seconds since 1970.
    pub now: i64,
}

impl AcceptOptions {
    /// As for a transaction that comes in now.
    pub fn at(now: i64) -> Self {
        Self {
            test: false,
            bypass_limits: false,
            allow_replacement: true,
            time: now,
            now,
        }
    }
}

/// A transaction that is fit for the mempool.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Its id.
    pub txid: Txid,
    /// Its id with the witness.
    pub wtxid: Wtxid,
    /// Its size for feerates, in vB.
    pub vsize: i64,
    /// What it pays, in sat.
    pub fee: i64,
    /// Its modified fee for its size in vB.
    pub effective_feerate: Feerate,
    /// The transactions whose place it takes.
    pub replaced: Vec<Arc<Transaction>>,
}

impl Pool {
    /// Judges a transaction and, unless this is a test, adds it.
    pub fn accept(
        &mut self,
        view: &dyn ChainView,
        tx: Arc<Transaction>,
        options: AcceptOptions,
    ) -> Result<Accepted, Reject> {
        let txid = tx.compute_txid();
        let candidate = self.judge(view, tx, txid, options)?;
        let Candidate { entry, evicted } = candidate;
        let accepted = Accepted {
            txid,
            wtxid: entry.wtxid,
            vsize: entry.vsize(),
            fee: entry.fee,
            effective_feerate: Feerate::new(entry.modified_fee(), entry.vsize()),
            replaced: evicted
                .iter()
                .filter_map(|txid| self.graph.get(txid))
                .map(|entry| Arc::clone(&entry.tx))
                .collect(),
        };
        if options.test {
            return Ok(accepted);
        }
        for old in evicted.iter().filter_map(|txid| self.graph.get(txid)) {
            tracing::debug!(
                target: "mempool",
                "replacing mempool tx {} (wtxid={}, fees={}, vsize={}). New tx {} (wtxid={}, fees={}, vsize={})",
                old.txid, old.wtxid, old.fee, old.vsize(), txid, entry.wtxid, entry.modified_fee(), entry.vsize()
            );
        }
        self.remove(&evicted, RemovalReason::Replaced);
        self.add(entry);
        if !options.bypass_limits {
            self.enforce_limits(options.now);
            if !self.graph.contains(&txid) {
                return Err(Reject::MempoolFull);
            }
        }
        Ok(accepted)
    }

    fn judge(
        &mut self,
        view: &dyn ChainView,
        tx: Arc<Transaction>,
        txid: Txid,
        options: AcceptOptions,
    ) -> Result<Candidate, Reject> {
        let conflicts = self.check_alone(view, &tx, txid, options)?;
        let coins = self.find_coins(view, &tx, txid)?;
        let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output.clone()).collect();
        let fee = self.check_spending(view, &tx, &coins, &spent)?;
        let entry = self.entry(view, tx, txid, fee, &coins, &spent, options);
        self.check_fees(&entry, options)?;
        let evicted = self.check_replacing(&entry, conflicts, options)?;
        if !options.bypass_limits && self.policy.require_standard {
            self.check_ephemeral_spends(&entry)?;
        }
        self.check_scripts(view, &entry, &spent)?;
        Ok(Candidate { entry, evicted })
    }

    /// What shows without the coins; gives the transactions that spend the same outputs.
    fn check_alone(
        &self,
        view: &dyn ChainView,
        tx: &Transaction,
        txid: Txid,
        options: AcceptOptions,
    ) -> Result<BTreeSet<Txid>, Reject> {
        btc_consensus::tx::check_transaction(tx)?;
        if tx.is_coinbase() {
            return Err(Reject::Coinbase);
        }
        if self.policy.require_standard {
            standard::check(tx, &self.policy)?;
        }
        if tx.base_size() < MIN_NON_WITNESS_SIZE {
            return Err(Reject::TooSmall);
        }
        if !rules::is_final(tx, view) {
            return Err(Reject::NonFinal);
        }
        if self.graph.get_by_wtxid(&tx.compute_wtxid()).is_some() {
            return Err(Reject::AlreadyInMempool);
        }
        if self.graph.contains(&txid) {
            return Err(Reject::SameTxidInMempool);
        }
        let conflicts: BTreeSet<Txid> = tx
            .input
            .iter()
            .filter_map(|input| self.graph.spender(&input.previous_output))
            .collect();
        if !conflicts.is_empty() && !options.allow_replacement {
            return Err(Reject::ReplacementDisallowed);
        }
        Ok(conflicts)
    }

    fn find_coins(
        &self,
        view: &dyn ChainView,
        tx: &Transaction,
        txid: Txid,
    ) -> Result<Vec<Coin>, Reject> {
        let mut coins = Vec::with_capacity(tx.input.len());
        for input in &tx.input {
            if let Some(coin) = self.coin(view, &input.previous_output)? {
                coins.push(coin);
                continue;
            }
            // Is it missing because the transaction itself is in the chain?
            for (vout, _) in (0u32..).zip(&tx.output).take(KNOWN_OUTPUTS) {
                if view.coin(&OutPoint::new(txid, vout))?.is_some() {
                    return Err(Reject::AlreadyKnown);
                }
            }
            return Err(Reject::MissingInputs);
        }
        Ok(coins)
    }

    /// Lock times, values and the form of what is spent; gives the fee in sat.
    fn check_spending(
        &self,
        view: &dyn ChainView,
        tx: &Transaction,
        coins: &[Coin],
        spent: &[TxOut],
    ) -> Result<i64, Reject> {
        if !rules::are_sequence_locks_met(tx, coins, view) {
            return Err(Reject::NonBip68Final);
        }
        let fee = rules::check_inputs(tx, coins, view)?;
        if self.policy.require_standard {
            inputs::check(tx, spent)?;
            if !inputs::has_standard_witnesses(tx, spent) {
                return Err(Reject::NonStandardWitness);
            }
        }
        Ok(fee)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one entry")]
    fn entry(
        &self,
        view: &dyn ChainView,
        tx: Arc<Transaction>,
        txid: Txid,
        fee: i64,
        coins: &[Coin],
        spent: &[TxOut],
        options: AcceptOptions,
    ) -> Entry {
        let sigop_cost = rules::sigop_cost(&tx, spent, ScriptFlags::STANDARD);
        let weight = i64::try_from(tx.weight().to_wu()).unwrap_or(i64::MAX);
        Entry {
            txid,
            wtxid: tx.compute_wtxid(),
            fee,
            fee_delta: self.delta_of(&txid),
            weight,
            sigop_cost,
            adjusted_weight: weight.max(sigop_cost * self.policy.bytes_per_sigop),
            time: options.time,
            height: view.height(),
            sequence: if options.bypass_limits {
                0
            } else {
                self.sequence()
            },
            spends_coinbase: coins.iter().any(|coin| coin.coinbase),
            parents: self.graph.parents_of(&tx),
            children: BTreeSet::new(),
            cluster: 0,
            tx,
        }
    }

    fn check_fees(&mut self, entry: &Entry, options: AcceptOptions) -> Result<(), Reject> {
        let policy = &self.policy;
        if policy.require_standard
            && (entry.fee != 0 || entry.modified_fee() != 0)
            && standard::dust(&entry.tx, policy.dust_feerate)
                .next()
                .is_some()
        {
            return Err(Reject::DustWithFee);
        }
        if entry.sigop_cost > MAX_STANDARD_SIGOP_COST {
            return Err(Reject::TooManySigops(entry.sigop_cost));
        }
        if options.bypass_limits {
            return Ok(());
        }
        let (fee, vsize) = (entry.modified_fee(), entry.vsize());
        let required = self.floor(options.now).fee_for(vsize);
        if required > 0 && fee < required {
            return Err(Reject::MempoolMinFee { fee, required });
        }
        let required = self.policy.min_relay_feerate.fee_for(vsize);
        if fee < required {
            return Err(Reject::MinRelayFee { fee, required });
        }
        Ok(())
    }

    /// Version 3's rules, replacements and the cluster's limits; gives everything that would have to go.
    fn check_replacing(
        &self,
        entry: &Entry,
        mut conflicts: BTreeSet<Txid>,
        options: AcceptOptions,
    ) -> Result<BTreeSet<Txid>, Reject> {
        let mut sibling_eviction = false;
        if !options.bypass_limits
            && let truc::Outcome::FitsInsteadOf(sibling) =
                truc::check(&self.graph, entry, &conflicts)?
        {
            conflicts.insert(sibling);
            sibling_eviction = true;
        }
        if conflicts.is_empty() {
            let (count, weight) = self
                .graph
                .cluster_with(&entry.parents, entry.adjusted_weight);
            self.check_cluster(count, weight)?;
            return Ok(BTreeSet::new());
        }
        let evicted = replacement::evicted(&self.graph, &entry.txid, &conflicts, sibling_eviction)?;
        let incremental = self.policy.incremental_feerate;
        replacement::check_fees(&self.graph, entry, &evicted, incremental, sibling_eviction)?;
        let preview = self.graph.preview(entry, &evicted);
        self.check_cluster(preview.cluster_count, preview.cluster_weight)?;
        replacement::check_diagram(&preview.before, &preview.after)?;
        let ancestors = self.graph.ancestors(entry.parents.iter().copied());
        if let Some(ancestor) = ancestors.intersection(&conflicts).next() {
            return Err(Reject::SpendsConflicting(format!(
                "{} spends conflicting transaction {ancestor}",
                entry.txid
            )));
        }
        Ok(evicted)
    }

    pub(super) fn check_cluster(&self, count: usize, weight: i64) -> Result<(), Reject> {
        let max_weight = self.policy.cluster_vsize.saturating_mul(4);
        if count > self.policy.cluster_count || weight > max_weight {
            return Err(Reject::ClusterLimit);
        }
        Ok(())
    }

    /// A child spends all the dust of the parents that it spends from.
    fn check_ephemeral_spends(&self, entry: &Entry) -> Result<(), Reject> {
        let spends: BTreeSet<OutPoint> = entry
            .tx
            .input
            .iter()
            .map(|input| input.previous_output)
            .collect();
        for parent in entry.parents.iter().filter_map(|txid| self.graph.get(txid)) {
            let mut dust = standard::dust(&parent.tx, self.policy.dust_feerate)
                .filter_map(|index| u32::try_from(index).ok());
            if dust.any(|vout| !spends.contains(&OutPoint::new(parent.txid, vout))) {
                return Err(Reject::MissingEphemeralSpends(format!(
                    "tx {} (wtxid={}) did not spend parent's ephemeral dust",
                    entry.txid, entry.wtxid
                )));
            }
        }
        Ok(())
    }

    /// Runs the scripts by the rules of relay, then by those of the chain: the former are meant to hold the latter, and
    /// the mempool must never hold what no block may.
    fn check_scripts(
        &self,
        view: &dyn ChainView,
        entry: &Entry,
        spent: &[TxOut],
    ) -> Result<(), Reject> {
        let spend = rules::spend(&entry.tx, spent)?;
        rules::check_scripts(&spend, ScriptFlags::STANDARD).map_err(|failure| Reject::Script {
            debug: failure.describe(&entry.tx),
            error: failure.error,
            witness_stripped: entry.tx.input.iter().all(|input| input.witness.is_empty())
                && inputs::spends_witness_program(&entry.tx, spent),
        })?;
        rules::check_scripts(&spend, view.script_flags()).map_err(|failure| {
            tracing::error!(
                target: "mempool",
                "script rules of relay are laxer than those of blocks: {} {}",
                entry.txid, failure.error
            );
            Reject::ConsensusScript {
                debug: failure.describe(&entry.tx),
                error: failure.error,
            }
        })
    }

    /// Whether a transaction that was fit is so still after a reorganization: its coins are there, mature, and its lock
    /// times are reached.
    pub(super) fn is_still_valid(&self, view: &dyn ChainView, entry: &Entry) -> bool {
        let coins: Option<Vec<Coin>> = entry
            .tx
            .input
            .iter()
            .map(|input| self.coin(view, &input.previous_output).ok().flatten())
            .collect();
        let Some(coins) = coins else { return false };
        let next = view.height() + 1;
        let mature = coins.iter().all(|coin| {
            !coin.coinbase || next.saturating_sub(coin.height) >= policy::COINBASE_MATURITY
        });
        mature
            && rules::is_final(&entry.tx, view)
            && rules::are_sequence_locks_met(&entry.tx, &coins, view)
    }
}

struct Candidate {
    entry: Entry,
    evicted: BTreeSet<Txid>,
}
