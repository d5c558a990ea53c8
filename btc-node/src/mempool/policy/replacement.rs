//! When a transaction may take the place of others that spend the same outputs.

use crate::mempool::entry::Entry;
use crate::mempool::feerate::{Feerate, improves_diagram};
use crate::mempool::graph::Graph;
use crate::mempool::reject::Reject;
use bitcoin::Txid;
use std::collections::BTreeSet;

/// The greatest number of clusters that one replacement may touch.
const MAX_CLUSTERS: usize = 100;

/// The conflicts with their descendants: everything that goes if the replacement is accepted.
pub fn evicted(
    graph: &Graph,
    replacement: &Txid,
    conflicts: &BTreeSet<Txid>,
    sibling: bool,
) -> Result<BTreeSet<Txid>, Reject> {
    let clusters = graph.count_clusters(conflicts);
    if clusters > MAX_CLUSTERS {
        return Err(Reject::TooManyReplacements {
            sibling,
            debug: format!(
                "rejecting replacement {replacement}; too many conflicting clusters ({clusters} > {MAX_CLUSTERS})"
            ),
        });
    }
    Ok(graph.descendants(conflicts.iter().copied()))
}

/// A replacement pays at least what it evicts paid, and its own relay on top.
pub fn check_fees(
    graph: &Graph,
    entry: &Entry,
    evicted: &BTreeSet<Txid>,
    incremental: Feerate,
    sibling: bool,
) -> Result<(), Reject> {
    let insufficient = |debug| Err(Reject::InsufficientReplacementFee { sibling, debug });
    let (fee, evicted_fees) = (entry.modified_fee(), graph.totals(evicted).fees);
    if fee < evicted_fees {
        return insufficient(format!(
            "rejecting replacement {}, less fees than conflicting txs; {} < {}",
            entry.txid,
            money(fee),
            money(evicted_fees)
        ));
    }
    let (additional, relay) = (
        fee.saturating_sub(evicted_fees),
        incremental.fee_for(entry.vsize()),
    );
    if additional < relay {
        return insufficient(format!(
            "rejecting replacement {}, not enough additional fees to relay; {} < {}",
            entry.txid,
            money(additional),
            money(relay)
        ));
    }
    Ok(())
}

/// A replacement makes the mempool worth more to a miner.
pub fn check_diagram(before: &[Feerate], after: &[Feerate]) -> Result<(), Reject> {
    if improves_diagram(before, after) {
        Ok(())
    } else {
        Err(Reject::ReplacementFailed)
    }
}

/// Sat as bitcoin with at least two decimals, `0.00001`.
pub fn money(sats: i64) -> String {
    let sign = if sats < 0 { "-" } else { "" };
    let (whole, rest) = (
        sats.unsigned_abs() / 100_000_000,
        sats.unsigned_abs() % 100_000_000,
    );
    let decimals = format!("{rest:08}");
    format!("{sign}{whole}.{:0<2}", decimals.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::money;

    #[test]
    fn money_keeps_two_decimals() {
        assert_eq!(money(0), "0.00");
        assert_eq!(money(1_000), "0.00001");
        assert_eq!(money(150_000_000), "1.50");
        assert_eq!(money(-1), "-0.00000001");
    }
}
