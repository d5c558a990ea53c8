//! Transactions that are judged together, so that a child may pay for its parents.

mod accept;

use super::accept::Accepted;
use super::reject::Reject;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{OutPoint, Transaction, Txid, Wtxid};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The greatest number of transactions in a package.
pub const MAX_COUNT: usize = 25;
/// The greatest weight of a package, in weight units.
pub const MAX_WEIGHT: u64 = 404_000;

/// A rule about packages that one breaks. The texts are those that clients know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// One of its transactions is refused.
    #[error("transaction failed")]
    Transaction,
    /// One of its transactions leaves its parent's dust unspent.
    #[error("unspent-dust")]
    UnspentDust,
    /// It has too many transactions.
    #[error("package-too-many-transactions")]
    TooMany,
    /// It weighs too much.
    #[error("package-too-large")]
    TooLarge,
    /// A transaction is in it twice.
    #[error("package-contains-duplicates")]
    Duplicates,
    /// A child comes before its parent.
    #[error("package-not-sorted")]
    NotSorted,
    /// Two of its transactions spend the same output, or one has no input.
    #[error("conflict-in-package")]
    Conflict,
    /// It is other than a child with some of its parents.
    #[error("package-not-child-with-parents")]
    NotChildWithParents,
    /// A rule of version 3 transactions is broken.
    #[error("TRUC-violation, {0}")]
    Truc(String),
    /// A cluster would become too large.
    #[error("too-large-cluster")]
    ClusterLimit,
    /// It may not replace what it conflicts with.
    #[error("package RBF failed: {0}")]
    Replacement(String),
}

impl PackageError {
    /// Whether the package as a whole is at fault, rather than one of its transactions.
    pub fn is_policy(&self) -> bool {
        !matches!(self, Self::Transaction | Self::UnspentDust)
    }
}

/// What became of one transaction of a package.
#[derive(Debug, Clone)]
pub enum PackageMember {
    /// It came in, or would.
    Accepted(Accepted),
    /// It was in the mempool before.
    Present {
        /// Its size for feerates, in vB.
        vsize: i64,
        /// What it pays, in sat.
        fee: i64,
    },
    /// It was in the mempool before, with this witness instead.
    OtherWitness(Wtxid),
    /// It is refused.
    Rejected(Reject),
}

/// What became of a package.
#[derive(Debug, Clone, Default)]
pub struct PackageOutcome {
    /// Why not all of it is in the mempool.
    pub error: Option<PackageError>,
    /// What became of each transaction, as far as it was looked at.
    pub members: BTreeMap<Wtxid, PackageMember>,
}

impl PackageOutcome {
    fn failed(error: PackageError) -> Self {
        Self {
            error: Some(error),
            members: BTreeMap::new(),
        }
    }

    fn rejected(error: PackageError, wtxid: Wtxid, reject: Reject) -> Self {
        Self {
            error: Some(error),
            members: BTreeMap::from([(wtxid, PackageMember::Rejected(reject))]),
        }
    }
}

/// What shows of a package by itself: its size, the order of its transactions, and that they don't contradict each other.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_form(package: &[Arc<Transaction>]) -> Result<(), PackageError> {
    if package.len() > MAX_COUNT {
        return Err(PackageError::TooMany);
    }
    let weight: u64 = package.iter().map(|tx| tx.weight().to_wu()).sum();
    // Of one alone it is better to say that the transaction is too large.
    if package.len() > 1 && weight > MAX_WEIGHT {
        return Err(PackageError::TooLarge);
    }
    let txids: Vec<Txid> = package.iter().map(|tx| tx.compute_txid()).collect();
    let mut later: HashSet<Txid> = txids.iter().copied().collect();
    if later.len() != package.len() {
        return Err(PackageError::Duplicates);
    }
    for (tx, txid) in package.iter().zip(&txids) {
        if parents(tx).any(|parent| later.contains(&parent)) {
            return Err(PackageError::NotSorted);
        }
        later.remove(txid);
    }
    let mut spent: HashSet<OutPoint> = HashSet::new();
    for tx in package {
        let own: Vec<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
        if own.is_empty() || own.iter().any(|outpoint| spent.contains(outpoint)) {
            return Err(PackageError::Conflict);
        }
        // All at once: an output that one transaction spends twice is that transaction's own fault.
        spent.extend(own);
    }
    Ok(())
}

/// Whether all but the last are parents of the last, of which there is at least one.
pub fn is_child_with_parents(package: &[Arc<Transaction>]) -> bool {
    let Some((child, rest)) = package.split_last() else {
        return false;
    };
    let parents: HashSet<Txid> = parents(child).collect();
    !rest.is_empty() && rest.iter().all(|tx| parents.contains(&tx.compute_txid()))
}

/// The same, and no parent spends from another.
pub fn is_child_with_parents_tree(package: &[Arc<Transaction>]) -> bool {
    let Some((_, rest)) = package.split_last() else {
        return false;
    };
    let txids: HashSet<Txid> = rest.iter().map(|tx| tx.compute_txid()).collect();
    is_child_with_parents(package)
        && !rest
            .iter()
            .any(|tx| parents(tx).any(|parent| txids.contains(&parent)))
}

fn parents(tx: &Transaction) -> impl Iterator<Item = Txid> {
    tx.input.iter().map(|input| input.previous_output.txid)
}

/// The id of a set of transactions, whatever their order, as hexadecimal: the hash of their ids with witnesses, sorted as
/// they are read. Source: Core's package hash.
pub fn package_hash(wtxids: &[Wtxid]) -> String {
    Wtxid::from_byte_array(package_id(wtxids)).to_string()
}

/// The same as bytes.
pub fn package_id(wtxids: &[Wtxid]) -> [u8; 32] {
    let mut sorted: Vec<[u8; 32]> = wtxids.iter().map(|id| id.to_byte_array()).collect();
    sorted.sort_by(|a, b| a.iter().rev().cmp(b.iter().rev()));
    sha256::Hash::hash(&sorted.concat()).to_byte_array()
}
