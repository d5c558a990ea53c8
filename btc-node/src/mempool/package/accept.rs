//! Judging transactions together.

use super::{PackageError, PackageMember, PackageOutcome, check_form, is_child_with_parents};
use crate::mempool::accept::{AcceptOptions, Accepted, PackageParents, Screened};
use crate::mempool::entry::Entry;
use crate::mempool::feerate::{Feerate, improves_diagram};
use crate::mempool::package::package_hash;
use crate::mempool::policy::{replacement, truc};
use crate::mempool::pool::Pool;
use crate::mempool::reject::{Reject, RejectClass};
use crate::mempool::tip::ChainView;
use crate::notify::RemovalReason;
use bitcoin::{Transaction, Txid, Wtxid};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

impl Pool {
    /// Says what would become of transactions that come one after another, and changes nothing. Each must do without the
    /// others' fees.
    pub fn test_package(
        &mut self,
        view: &dyn ChainView,
        package: &[Arc<Transaction>],
        now: i64,
    ) -> PackageOutcome {
        let options = AcceptOptions {
            test: true,
            allow_replacement: false,
            allow_sibling_eviction: false,
            ..AcceptOptions::at(now)
        };
        self.accept_together(view, package, options)
    }

    /// Judges a child and its parents, or one transaction, and adds what is fit. A parent that is fit by itself comes in
    /// by itself; the others come in if their child pays for them. With `max_feerate` (sat for vB), one that pays more is
    /// refused.
    pub fn accept_package(
        &mut self,
        view: &dyn ChainView,
        package: &[Arc<Transaction>],
        max_feerate: Option<Feerate>,
        now: i64,
    ) -> PackageOutcome {
        if let Err(error) = check_form(package) {
            return PackageOutcome::failed(error);
        }
        if package.len() > 1 && !is_child_with_parents(package) {
            return PackageOutcome::failed(PackageError::NotChildWithParents);
        }
        let alone = AcceptOptions {
            defer_limits: true,
            max_feerate,
            ..AcceptOptions::at(now)
        };
        let mut members = BTreeMap::new();
        let mut left = Vec::new();
        let mut hopeless = false;
        for tx in package {
            let member = self.accept_member(view, tx, alone);
            if let PackageMember::Rejected(reject) = &member {
                // Only the others' fees or outputs can make a difference.
                let open = package.len() > 1
                    && matches!(
                        reject.class(),
                        RejectClass::Reconsiderable | RejectClass::MissingInputs
                    );
                hopeless |= !open;
                left.push(Arc::clone(tx));
            }
            members.insert(tx.compute_wtxid(), member);
        }
        let mut error = hopeless.then_some(PackageError::Transaction);
        if !hopeless && !left.is_empty() {
            let together = AcceptOptions {
                in_package: true,
                allow_sibling_eviction: false,
                ..alone
            };
            let outcome = self.accept_together(view, &left, together);
            error = outcome.error;
            members.extend(outcome.members);
        }
        self.enforce_limits(now);
        for tx in package {
            let member = members.get_mut(&tx.compute_wtxid());
            if let Some(member) = member
                && !matches!(member, PackageMember::Rejected(_))
                && !self.graph.contains(&tx.compute_txid())
            {
                *member = PackageMember::Rejected(Reject::MempoolFull);
                error = Some(PackageError::Transaction);
            }
        }
        PackageOutcome { error, members }
    }

    fn accept_member(
        &mut self,
        view: &dyn ChainView,
        tx: &Arc<Transaction>,
        options: AcceptOptions,
    ) -> PackageMember {
        if let Some(entry) = self.graph.get(&tx.compute_txid()) {
            return if entry.wtxid == tx.compute_wtxid() {
                PackageMember::Present {
                    vsize: entry.vsize(),
                    fee: entry.fee,
                }
            } else {
                PackageMember::OtherWitness(entry.wtxid)
            };
        }
        match self.accept(view, Arc::clone(tx), options) {
            Ok(accepted) => PackageMember::Accepted(accepted),
            Err(reject) => PackageMember::Rejected(reject),
        }
    }

    /// All of these transactions or none.
    fn accept_together(
        &mut self,
        view: &dyn ChainView,
        package: &[Arc<Transaction>],
        options: AcceptOptions,
    ) -> PackageOutcome {
        if let [only] = package
            && options.in_package
        {
            // Nobody is left to pay for it.
            let alone = AcceptOptions {
                in_package: false,
                allow_sibling_eviction: true,
                ..options
            };
            let member = self.accept_member(view, only, alone);
            let failed = matches!(member, PackageMember::Rejected(_));
            return PackageOutcome {
                error: failed.then_some(PackageError::Transaction),
                members: BTreeMap::from([(only.compute_wtxid(), member)]),
            };
        }
        let (entries, evicted) = match self.judge_together(view, package, options) {
            Ok(fit) => fit,
            Err(outcome) => return outcome,
        };
        let wtxids: Vec<Wtxid> = entries.iter().map(|entry| entry.wtxid).collect();
        let total = total(&entries);
        let mut replaced = self.graph.transactions(&evicted);
        let members = entries
            .iter()
            .map(|entry| {
                let mut accepted = Accepted::alone(entry, std::mem::take(&mut replaced));
                if options.in_package {
                    accepted.effective_feerate = total;
                    accepted.effective_includes.clone_from(&wtxids);
                }
                (entry.wtxid, PackageMember::Accepted(accepted))
            })
            .collect();
        if !options.test {
            self.log_replaced(
                &evicted,
                format_args!(
                    "New package {} with {} txs, fees={}, vsize={}",
                    package_hash(&wtxids),
                    wtxids.len(),
                    total.fee,
                    total.size
                ),
            );
            self.remove(&evicted, RemovalReason::Replaced);
            for entry in entries {
                self.add(entry, false);
            }
        }
        PackageOutcome {
            error: None,
            members,
        }
    }

    /// Gives the entries of all, and everything that would have to go.
    fn judge_together(
        &mut self,
        view: &dyn ChainView,
        package: &[Arc<Transaction>],
        options: AcceptOptions,
    ) -> Result<(Vec<Entry>, BTreeSet<Txid>), PackageOutcome> {
        check_form(package).map_err(PackageOutcome::failed)?;
        let (mut screened, parents) = self.screen_together(view, package, options)?;
        let all: Vec<&Entry> = screened.iter().map(|one| &one.entry).collect();
        for entry in &all {
            truc::check_in_package(&self.graph, entry, &all)
                .map_err(|text| PackageOutcome::failed(PackageError::Truc(text)))?;
        }
        let total = total(all.iter().copied());
        if options.in_package
            && let Err(reject) = self.check_feerate(total.fee, total.size, options.now)
            && let Some(last) = screened.last()
        {
            let wtxid = last.entry.wtxid;
            return Err(PackageOutcome::rejected(
                PackageError::Transaction,
                wtxid,
                reject,
            ));
        }
        let replaces = screened.iter().any(|one| !one.conflicts.is_empty());
        let without_ancestors = screened.iter().all(|one| one.entry.parents.is_empty());
        // From here on the others of the package count as parents too.
        let txids: HashSet<Txid> = screened.iter().map(|one| one.entry.txid).collect();
        for one in &mut screened {
            let inputs = one.entry.tx.input.iter();
            let spent = inputs.map(|input| input.previous_output.txid);
            one.entry
                .parents
                .extend(spent.filter(|txid| txids.contains(txid)));
        }
        let evicted = if replaces {
            self.graph.settle();
            self.check_package_replacement(&screened, total, without_ancestors)
                .map_err(PackageOutcome::failed)?
        } else {
            let all: Vec<&Entry> = screened.iter().map(|one| &one.entry).collect();
            let preview = self.graph.preview(&all, &BTreeSet::new());
            self.check_cluster(preview.count(), preview.weight())
                .map_err(|_| PackageOutcome::failed(PackageError::ClusterLimit))?;
            BTreeSet::new()
        };
        for one in &screened {
            let (wtxid, entry) = (one.entry.wtxid, &one.entry);
            if self.policy.require_standard {
                self.check_ephemeral_spends(&entry.tx, &parents)
                    .map_err(|reject| {
                        PackageOutcome::rejected(PackageError::UnspentDust, wtxid, reject)
                    })?;
            }
        }
        let mut passed = BTreeMap::new();
        for one in &screened {
            let wtxid = one.entry.wtxid;
            if let Err(reject) = self.check_scripts(view, &one.entry, &one.spent) {
                let mut outcome =
                    PackageOutcome::rejected(PackageError::Transaction, wtxid, reject);
                if options.test {
                    outcome.members.extend(passed);
                }
                return Err(outcome);
            }
            let accepted = Accepted::alone(&one.entry, Vec::new());
            passed.insert(wtxid, PackageMember::Accepted(accepted));
        }
        Ok((screened.into_iter().map(|one| one.entry).collect(), evicted))
    }

    /// Each by itself, but able to spend from those before it.
    fn screen_together(
        &mut self,
        view: &dyn ChainView,
        package: &[Arc<Transaction>],
        options: AcceptOptions,
    ) -> Result<(Vec<Screened>, PackageParents), PackageOutcome> {
        let mut parents = PackageParents::new();
        let mut all = Vec::with_capacity(package.len());
        for tx in package {
            let rejected = |reject| {
                PackageOutcome::rejected(PackageError::Transaction, tx.compute_wtxid(), reject)
            };
            let screened = self
                .screen(view, Arc::clone(tx), options, &parents)
                .map_err(rejected)?;
            let rate = Feerate::new(screened.entry.modified_fee(), screened.entry.vsize());
            if options.max_feerate.is_some_and(|max| rate > max) {
                return Err(rejected(Reject::MaxFeerateExceeded));
            }
            parents.insert(screened.entry.txid, Arc::clone(tx));
            all.push(screened);
        }
        Ok((all, parents))
    }

    /// Whether a parent and its child may take the place of others; gives everything that would have to go.
    fn check_package_replacement(
        &self,
        screened: &[Screened],
        total: Feerate,
        without_ancestors: bool,
    ) -> Result<BTreeSet<Txid>, PackageError> {
        let failed = |text: String| PackageError::Replacement(text);
        let [parent, child] = screened else {
            return Err(failed("package must be 1-parent-1-child".into()));
        };
        if !without_ancestors {
            return Err(failed(
                "new transaction cannot have mempool ancestors".into(),
            ));
        }
        let conflicts: BTreeSet<Txid> = parent.conflicts.union(&child.conflicts).copied().collect();
        let (parent, child) = (&parent.entry, &child.entry);
        // The texts name the child for both.
        let evicted = replacement::evicted(&self.graph, &child.txid, &conflicts, false)
            .map_err(|reject| failed(reject.text()))?;
        replacement::check_fees(
            &child.txid,
            total,
            self.graph.totals(&evicted).fees,
            self.policy.incremental_feerate,
        )
        .map_err(|debug| failed(format!("insufficient anti-DoS fees, {debug}")))?;
        // They must be one chunk: a child that pays for its relay alone helps no miner.
        let parent_rate = Feerate::new(parent.modified_fee(), parent.vsize());
        if total <= parent_rate {
            return Err(failed(format!(
                "package feerate is less than or equal to parent feerate, package feerate {total} <= parent feerate is {parent_rate}"
            )));
        }
        let preview = self.graph.preview(&[parent, child], &evicted);
        self.check_cluster(preview.count(), preview.weight())
            .map_err(|_| PackageError::ClusterLimit)?;
        if !improves_diagram(preview.before(), &preview.after()) {
            return Err(failed(Reject::ReplacementFailed.debug()));
        }
        tracing::debug!(
            target: "txpackages",
            "package RBF checks passed: parent {} (wtxid={}), child {} (wtxid={}), package hash ({})",
            parent.txid, parent.wtxid, child.txid, child.wtxid,
            package_hash(&[parent.wtxid, child.wtxid])
        );
        Ok(evicted)
    }
}

/// Modified fees in sat for sizes in vB.
fn total<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Feerate {
    let mut total = Feerate::ZERO;
    for entry in entries {
        total += Feerate::new(entry.modified_fee(), entry.vsize());
    }
    total
}
