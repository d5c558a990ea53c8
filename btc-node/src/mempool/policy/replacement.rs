//! When a transaction may take the place of others that spend the same outputs.

use crate::mempool::feerate::Feerate;
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

/// A replacement pays at least what it evicts paid, and its own relay on top. `rate` is its modified fee for its size in
/// vB; `evicted_fees` in sat. The error says by how much it fails, in words that name `replacement`.
pub fn check_fees(
    replacement: &Txid,
    rate: Feerate,
    evicted_fees: i64,
    incremental: Feerate,
) -> Result<(), String> {
    if rate.fee < evicted_fees {
        return Err(format!(
            "rejecting replacement {replacement}, less fees than conflicting txs; {} < {}",
            money(rate.fee),
            money(evicted_fees)
        ));
    }
    let additional = rate.fee.saturating_sub(evicted_fees);
    let relay = incremental.fee_for(rate.size);
    if additional < relay {
        return Err(format!(
            "rejecting replacement {replacement}, not enough additional fees to relay; {} < {}",
            money(additional),
            money(relay)
        ));
    }
    Ok(())
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
