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
    let name = format!("tx {} (wtxid={})", entry.txid, entry.wtxid);
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

/// The text for a second child where no replacement is possible.
fn descendant_limit(parent: &Entry) -> String {
    format!(
        "tx {} (wtxid={}) would exceed descendant count limit",
        parent.txid, parent.wtxid
    )
}
