//! Judging one transaction, in the order in which the network's other nodes judge it: what costs little comes first,
//! signatures last.

use super::entry::Entry;
use super::feerate::{Feerate, improves_diagram};
use super::policy::{
    self, MAX_STANDARD_SIGOP_COST, MIN_NON_WITNESS_SIZE, inputs, replacement, standard, truc,
};
use super::pool::{MEMPOOL_HEIGHT, Pool};
use super::reject::Reject;
use super::rules;
use super::tip::ChainView;
use crate::notify::RemovalReason;
use bitcoin::{OutPoint, Transaction, TxOut, Txid, Wtxid};
use btc_consensus::Coin;
use btc_consensus::script::ScriptFlags;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
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
    /// Whether a version 3 transaction may take the place of its sibling.
    pub allow_sibling_eviction: bool,
    /// It is judged with others: only their fees together must reach the least.
    pub in_package: bool,
    /// The mempool is not cut to its size afterwards, since the caller has more to bring.
    pub defer_limits: bool,
    /// The highest modified feerate that its owner allows, in sat for vB.
    pub max_feerate: Option<Feerate>,
    /// The highest fee that its owner allows, in sat.
    pub max_fee: Option<i64>,
    /// Whether the chain is up to date, so that its waiting for a block tells of fees.
    pub chain_is_current: bool,
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
            allow_sibling_eviction: true,
            in_package: false,
            defer_limits: false,
            max_feerate: None,
            max_fee: None,
            chain_is_current: false,
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
    /// Modified fees for sizes in vB, of the transactions that it was judged with.
    pub effective_feerate: Feerate,
    /// Those transactions; itself alone unless its package had to pay for it.
    pub effective_includes: Vec<Wtxid>,
    /// The transactions whose place it takes.
    pub replaced: Vec<Arc<Transaction>>,
}

impl Accepted {
    /// Of an entry whose fees count for itself alone.
    pub(super) fn alone(entry: &Entry, replaced: Vec<Arc<Transaction>>) -> Self {
        Self {
            txid: entry.txid,
            wtxid: entry.wtxid,
            vsize: entry.vsize(),
            fee: entry.fee,
            effective_feerate: Feerate::new(entry.modified_fee(), entry.vsize()),
            effective_includes: vec![entry.wtxid],
            replaced,
        }
    }
}

impl Pool {
    /// Judges a transaction and, unless this is a test, adds it.
    pub fn accept(
        &mut self,
        view: &dyn ChainView,
        tx: Arc<Transaction>,
        options: AcceptOptions,
    ) -> Result<Accepted, Reject> {
        let (entry, evicted) = self.judge(view, tx, options)?;
        let accepted = Accepted::alone(&entry, self.graph.transactions(&evicted));
        if options.max_fee.is_some_and(|max| entry.fee > max) {
            return Err(Reject::MaxFeeExceeded);
        }
        if options.test {
            return Ok(accepted);
        }
        let (wtxid, fee, vsize) = (entry.wtxid, entry.modified_fee(), entry.vsize());
        self.log_replaced(
            &evicted,
            format_args!(
                "New tx {} (wtxid={wtxid}, fees={fee}, vsize={vsize})",
                accepted.txid
            ),
        );
        self.remove(&evicted, RemovalReason::Replaced);
        let observe = options.chain_is_current && !options.bypass_limits && !options.defer_limits;
        self.add(entry, observe);
        if !options.bypass_limits && !options.defer_limits {
            self.enforce_limits(options.now);
            if !self.graph.contains(&accepted.txid) {
                return Err(Reject::MempoolFull);
            }
        }
        Ok(accepted)
    }

    /// Says in the log what gives way to what.
    pub(super) fn log_replaced(&self, evicted: &BTreeSet<Txid>, successor: fmt::Arguments<'_>) {
        for old in evicted.iter().filter_map(|txid| self.graph.get(txid)) {
            tracing::debug!(
                target: "mempool",
                "replacing mempool tx {} (wtxid={}, fees={}, vsize={}). {successor}",
                old.txid, old.wtxid, old.fee, old.vsize()
            );
        }
    }

    /// Judges a transaction alone; gives its entry and everything that would have to go.
    fn judge(
        &mut self,
        view: &dyn ChainView,
        tx: Arc<Transaction>,
        options: AcceptOptions,
    ) -> Result<(Entry, BTreeSet<Txid>), Reject> {
        let screened = self.screen(view, tx, options, &PackageParents::new())?;
        if !screened.conflicts.is_empty() {
            self.graph.settle();
        }
        let evicted = self.check_replacing(&screened)?;
        let Screened { entry, spent, .. } = screened;
        let rate = Feerate::new(entry.modified_fee(), entry.vsize());
        if options.max_feerate.is_some_and(|max| rate > max) {
            return Err(Reject::MaxFeerateExceeded);
        }
        if !options.bypass_limits && self.policy.require_standard {
            self.check_ephemeral_spends(&entry.tx, &PackageParents::new())?;
        }
        self.check_scripts(view, &entry, &spent)?;
        Ok((entry, evicted))
    }

    /// What shows of a transaction before its relations in the mempool and its scripts are looked at. `package` holds
    /// the transactions that it may spend from beside those of the chain and the mempool.
    pub(super) fn screen(
        &mut self,
        view: &dyn ChainView,
        tx: Arc<Transaction>,
        options: AcceptOptions,
        package: &PackageParents,
    ) -> Result<Screened, Reject> {
        let txid = tx.compute_txid();
        let mut conflicts = self.check_alone(view, &tx, txid, options)?;
        let coins = self.find_coins(view, &tx, txid, package)?;
        let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output.clone()).collect();
        let fee = self.check_spending(view, &tx, &coins, &spent)?;
        let entry = self.entry(view, tx, txid, fee, &coins, &spent, options);
        self.check_fees(&entry, options)?;
        let mut sibling_eviction = false;
        if !options.bypass_limits
            && let truc::Outcome::FitsInsteadOf(sibling) =
                truc::check(&self.graph, &entry, &conflicts)?
        {
            if !options.allow_sibling_eviction {
                return Err(truc::too_many_descendants(&self.graph, &entry));
            }
            conflicts.insert(sibling);
            sibling_eviction = true;
        }
        Ok(Screened {
            entry,
            spent,
            conflicts,
            sibling_eviction,
        })
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
        package: &PackageParents,
    ) -> Result<Vec<Coin>, Reject> {
        let mut coins = Vec::with_capacity(tx.input.len());
        for input in &tx.input {
            if let Some(coin) = package_coin(package, &input.previous_output) {
                coins.push(coin);
                continue;
            }
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
        if options.bypass_limits || options.in_package {
            return Ok(());
        }
        self.check_feerate(entry.modified_fee(), entry.vsize(), options.now)
    }

    /// Whether a fee in sat reaches, for a size in vB, what the mempool takes now.
    pub(super) fn check_feerate(&mut self, fee: i64, vsize: i64, now: i64) -> Result<(), Reject> {
        let required = self.floor(now).fee_for(vsize);
        if required > 0 && fee < required {
            return Err(Reject::MempoolMinFee { fee, required });
        }
        let required = self.policy.min_relay_feerate.fee_for(vsize);
        if fee < required {
            return Err(Reject::MinRelayFee { fee, required });
        }
        Ok(())
    }

    /// Replacements and the cluster's limits; gives everything that would have to go.
    fn check_replacing(&self, screened: &Screened) -> Result<BTreeSet<Txid>, Reject> {
        let Screened {
            entry, conflicts, ..
        } = screened;
        if conflicts.is_empty() {
            let (count, weight) = self
                .graph
                .cluster_with(&entry.parents, entry.adjusted_weight);
            self.check_cluster(count, weight)?;
            return Ok(BTreeSet::new());
        }
        let sibling = screened.sibling_eviction;
        let evicted = replacement::evicted(&self.graph, &entry.txid, conflicts, sibling)?;
        replacement::check_fees(
            &entry.txid,
            Feerate::new(entry.modified_fee(), entry.vsize()),
            self.graph.totals(&evicted).fees,
            self.policy.incremental_feerate,
        )
        .map_err(|debug| Reject::InsufficientReplacementFee { sibling, debug })?;
        let preview = self.graph.preview(&[entry], &evicted);
        self.check_cluster(preview.count(), preview.weight())?;
        if !improves_diagram(preview.before(), &preview.after()) {
            return Err(Reject::ReplacementFailed);
        }
        let ancestors = self.graph.ancestors(entry.parents.iter().copied());
        if let Some(ancestor) = ancestors.intersection(conflicts).next() {
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

    /// A child spends all the dust of the parents that it spends from, be they in the mempool or beside it in a package.
    pub(super) fn check_ephemeral_spends(
        &self,
        tx: &Transaction,
        package: &PackageParents,
    ) -> Result<(), Reject> {
        let spends: BTreeSet<OutPoint> =
            tx.input.iter().map(|input| input.previous_output).collect();
        let parents: BTreeSet<Txid> = spends.iter().map(|outpoint| outpoint.txid).collect();
        for txid in parents {
            let Some(parent) = package
                .get(&txid)
                .or_else(|| self.graph.get(&txid).map(|entry| &entry.tx))
            else {
                continue;
            };
            let mut dust = standard::dust(parent, self.policy.dust_feerate)
                .filter_map(|index| u32::try_from(index).ok());
            if dust.any(|vout| !spends.contains(&OutPoint::new(txid, vout))) {
                return Err(Reject::MissingEphemeralSpends(format!(
                    "tx {} (wtxid={}) did not spend parent's ephemeral dust",
                    tx.compute_txid(),
                    tx.compute_wtxid()
                )));
            }
        }
        Ok(())
    }

    /// Runs the scripts by the rules of relay, then by those of the chain: the former are meant to hold the latter, and
    /// the mempool must never hold what no block may.
    pub(super) fn check_scripts(
        &self,
        view: &dyn ChainView,
        entry: &Entry,
        spent: &[TxOut],
    ) -> Result<(), Reject> {
        let spend = rules::spend(&entry.tx, spent)?;
        let cache = view.script_cache();
        rules::check_scripts(&spend, ScriptFlags::STANDARD, cache).map_err(|failure| {
            Reject::Script {
                debug: failure.describe(&entry.tx),
                error: failure.error,
                witness_stripped: entry.tx.input.iter().all(|input| input.witness.is_empty())
                    && inputs::spends_witness_program(&entry.tx, spent),
            }
        })?;
        rules::check_scripts(&spend, view.script_flags(), cache).map_err(|failure| {
            tracing::error!(
                target: "mempool",
                "script rules of relay are laxer than those of blocks: {} {}",
                entry.txid, failure.error
            );
            Reject::ConsensusScript {
                debug: failure.describe(&entry.tx),
                error: failure.error,
            }
        })?;
        if let Some(cache) = cache {
            cache.add_transaction(entry.tx.compute_wtxid(), view.script_flags());
        }
        Ok(())
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

/// The transactions of a package that others of it may spend from.
pub(super) type PackageParents = HashMap<Txid, Arc<Transaction>>;

/// A transaction that [`Pool::screen`] let through.
pub(super) struct Screened {
    /// As it would stand in the mempool.
    pub(super) entry: Entry,
    /// The outputs it spends, in the order of its inputs.
    pub(super) spent: Vec<TxOut>,
    /// The transactions that spend the same, and a sibling that would give way.
    pub(super) conflicts: BTreeSet<Txid>,
    sibling_eviction: bool,
}

/// An output of a transaction that is neither in the chain nor in the mempool yet.
fn package_coin(package: &PackageParents, outpoint: &OutPoint) -> Option<Coin> {
    let output = package
        .get(&outpoint.txid)?
        .output
        .get(usize::try_from(outpoint.vout).ok()?)?;
    Some(Coin {
        output: output.clone(),
        height: MEMPOOL_HEIGHT,
        coinbase: false,
    })
}
