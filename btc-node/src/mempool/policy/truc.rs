//! Topologically restricted transactions: version 3, BIP 431.

use crate::mempool::entry::Entry;
use crate::mempool::graph::Graph;
use crate::mempool::reject::Reject;
use bitcoin::Txid;
use std::collections::BTreeSet;

const VERSION: i32 = 3;
/// The greatest size of such a transaction, in vB.
const MAX_VSIZE: i64 = 10_000;
/// The greatest size of one with an unconfirmed parent, in vB.
const CHILD_MAX_VSIZE: i64 = 1_000;

/// What the rules say of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They are kept.
    Fits,
    /// They would be kept if this sibling gave way: the transaction may try to replace it.
    FitsInsteadOf(Txid),
}

/// Checks `entry`, with its parents set, against the mempool; `conflicts` are the transactions that it replaces.
pub fn check(graph: &Graph, entry: &Entry, conflicts: &BTreeSet<Txid>) -> Result<Outcome, Reject> {
    let violation = |text: String| Err(Reject::Truc(text));
    let restricted = entry.tx.version.0 == VERSION;
    let name = name(entry);
    for parent in entry.parents.iter().filter_map(|txid| graph.get(txid)) {
        let parent_restricted = parent.tx.version.0 == VERSION;
        if restricted != parent_restricted {
            let (own, other) = if restricted {
                ("", "non-")
            } else {
                ("non-", "")
            };
            return violation(format!(
                "{own}version=3 {name} cannot spend from {other}version=3 tx {} (wtxid={})",
                parent.txid, parent.wtxid
            ));
        }
    }
    if !restricted {
        return Ok(Outcome::Fits);
    }
    let vsize = entry.vsize();
    if vsize > MAX_VSIZE {
        return violation(format!(
            "version=3 {name} is too big: {vsize} > {MAX_VSIZE} virtual bytes"
        ));
    }
    if entry.parents.len() > 1 {
        return violation(format!("{name} would have too many ancestors"));
    }
    let Some(parent) = entry.parents.first().and_then(|txid| graph.get(txid)) else {
        return Ok(Outcome::Fits);
    };
    if !parent.parents.is_empty() {
        return violation(format!("{name} would have too many ancestors"));
    }
    if vsize > CHILD_MAX_VSIZE {
        return violation(format!(
            "version=3 child {name} is too big: {vsize} > {CHILD_MAX_VSIZE} virtual bytes"
        ));
    }
    let mut others = graph.descendants([parent.txid]);
    others.remove(&parent.txid);
    if others.is_empty() || others.iter().any(|txid| conflicts.contains(txid)) {
        return Ok(Outcome::Fits);
    }
    // With one sibling that has no other ancestors and no child, it is clear which one would have to give way.
    if let (1, Some(sibling)) = (others.len(), others.first())
        && graph.ancestors([*sibling]).len() == 2
    {
        return Ok(Outcome::FitsInsteadOf(*sibling));
    }
    violation(descendant_limit(parent))
}

/// The refusal of a second child whose sibling may not give way.
pub fn too_many_descendants(graph: &Graph, entry: &Entry) -> Reject {
    let parent = entry.parents.first().and_then(|txid| graph.get(txid));
    Reject::Truc(parent.map(descendant_limit).unwrap_or_default())
}

/// Checks `entry`, with its parents in the mempool set, against those that come with it: `package` holds all of them,
/// itself included, parents first. The rules within the mempool were checked for each alone. The error says what is
/// broken.
pub fn check_in_package(graph: &Graph, entry: &Entry, package: &[&Entry]) -> Result<(), String> {
    let spends = |child: &Entry, parent: &Txid| {
        let mut inputs = child.tx.input.iter();
        inputs.any(|input| input.previous_output.txid == *parent)
    };
    let others = || package.iter().filter(|other| other.txid != entry.txid);
    let beside: Vec<&Entry> = package
        .iter()
        .take_while(|other| other.txid != entry.txid)
        .filter(|other| spends(entry, &other.txid))
        .copied()
        .collect();
    let within = entry.parents.iter().filter_map(|txid| graph.get(txid));
    let mut parents = within.chain(beside.iter().copied());
    if entry.tx.version.0 != VERSION {
        return match parents.find(|parent| parent.tx.version.0 == VERSION) {
            Some(parent) => Err(format!(
                "non-version=3 {} cannot spend from version=3 {}",
                name(entry),
                name(parent)
            )),
            None => Ok(()),
        };
    }
    let too_many_ancestors =
        |entry: &Entry| format!("{} would have too many ancestors", name(entry));
    let Some(parent) = parents.next() else {
        return Ok(());
    };
    if parents.next().is_some() || (graph.contains(&parent.txid) && !parent.parents.is_empty()) {
        return Err(too_many_ancestors(entry));
    }
    let vsize = entry.vsize();
    if vsize > CHILD_MAX_VSIZE {
        return Err(format!(
            "version=3 child {} is too big: {vsize} > {CHILD_MAX_VSIZE} virtual bytes",
            name(entry)
        ));
    }
    if parent.tx.version.0 != VERSION {
        return Err(format!(
            "version=3 {} cannot spend from non-version=3 {}",
            name(entry),
            name(parent)
        ));
    }
    for other in others() {
        if spends(other, &parent.txid) {
            return Err(descendant_limit(parent));
        }
        if spends(other, &entry.txid) {
            return Err(too_many_ancestors(other));
        }
    }
    if !parent.children.is_empty() {
        return Err(descendant_limit(parent));
    }
    Ok(())
}

fn name(entry: &Entry) -> String {
    format!("tx {} (wtxid={})", entry.txid, entry.wtxid)
}

/// The text for a second child where no replacement is possible.
fn descendant_limit(parent: &Entry) -> String {
    format!(
        "tx {} (wtxid={}) would exceed descendant count limit",
        parent.txid, parent.wtxid
    )
}
