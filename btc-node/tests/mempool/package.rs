//! Packages: a child that pays for its parents.

use crate::harness::{Node, output, pay, spend};
use bitcoin::{OutPoint, Transaction};
use btc_node::mempool::package::{MAX_COUNT, check_form, is_child_with_parents_tree, package_hash};
use btc_node::mempool::{Feerate, PackageError, PackageMember, PackageOutcome, Reject};
use std::sync::Arc;

fn arcs(package: &[&Transaction]) -> Vec<Arc<Transaction>> {
    package.iter().map(|tx| Arc::new((*tx).clone())).collect()
}

fn submit(node: &Node, package: &[&Transaction]) -> PackageOutcome {
    node.mempool
        .submit_package(&node.chain, &arcs(package), None)
}

fn member<'a>(outcome: &'a PackageOutcome, tx: &Transaction) -> &'a PackageMember {
    &outcome.members[&tx.compute_wtxid()]
}

/// A child of one output of `parent`, the first, that pays `fee` sat.
fn child(parent: &Transaction, fee: u64) -> Transaction {
    pay((output(parent, 0), parent.output[0].value), fee)
}

#[test]
fn a_child_pays_for_a_parent_that_pays_nothing() {
    let node = Node::mined(110);
    let parent = pay(node.coinbase(1), 0);
    let child = child(&parent, 2_000);
    assert_eq!(node.reason(&parent), "min relay fee not met");
    let outcome = submit(&node, &[&parent, &child]);
    assert_eq!(outcome.error, None);
    let PackageMember::Accepted(accepted) = member(&outcome, &parent) else {
        panic!("the parent is in: {outcome:?}");
    };
    let vsize = i64::try_from(parent.vsize() + child.vsize()).unwrap();
    assert_eq!(accepted.effective_feerate, Feerate::new(2_000, vsize));
    assert_eq!(accepted.effective_includes.len(), 2);
    assert!(node.mempool.contains(&child.compute_txid()));
}

#[test]
fn a_parent_that_pays_for_itself_does_not_lend_its_fee() {
    let node = Node::mined(110);
    let rich = pay(node.coinbase(1), 50_000);
    let child = child(&rich, 0);
    let outcome = submit(&node, &[&rich, &child]);
    assert_eq!(outcome.error, Some(PackageError::Transaction));
    assert!(node.mempool.contains(&rich.compute_txid()));
    assert!(!node.mempool.contains(&child.compute_txid()));
    assert!(matches!(
        member(&outcome, &child),
        PackageMember::Rejected(Reject::MinRelayFee { fee: 0, .. })
    ));
}

#[test]
fn what_is_in_the_mempool_already_is_no_fault() {
    let node = Node::mined(110);
    let parent = pay(node.coinbase(1), 1_000);
    node.submit(&parent).unwrap();
    let child = child(&parent, 1_000);
    let outcome = submit(&node, &[&parent, &child]);
    assert_eq!(outcome.error, None);
    assert!(matches!(
        member(&outcome, &parent),
        PackageMember::Present { fee: 1_000, .. }
    ));
    let mut other = parent.clone();
    other.input[0].witness.push([0x51, 0x51]);
    let outcome = submit(&node, &[&other]);
    let PackageMember::OtherWitness(wtxid) = member(&outcome, &other) else {
        panic!("the other witness is told of: {outcome:?}");
    };
    assert_eq!(*wtxid, parent.compute_wtxid());
}

#[test]
fn a_parent_and_its_child_replace_together() {
    let node = Node::mined(110);
    let coin = node.coinbase(1);
    let old = pay(coin, 3_000);
    node.submit(&old).unwrap();
    let parent = pay(coin, 0);
    // Enough for the old fee, but not for the relay of both.
    let poor = child(&parent, 3_001);
    let outcome = submit(&node, &[&parent, &poor]);
    let error = outcome.error.unwrap().to_string();
    assert!(
        error.starts_with("package RBF failed: insufficient anti-DoS fees, rejecting replacement"),
        "{error}"
    );
    assert!(node.mempool.contains(&old.compute_txid()));
    let rich = child(&parent, 10_000);
    let outcome = submit(&node, &[&parent, &rich]);
    assert_eq!(outcome.error, None);
    let PackageMember::Accepted(accepted) = member(&outcome, &parent) else {
        panic!("the parent is in: {outcome:?}");
    };
    assert_eq!(accepted.replaced.len(), 1);
    assert!(!node.mempool.contains(&old.compute_txid()));
    assert!(node.mempool.contains(&rich.compute_txid()));
}

#[test]
fn a_feerate_above_the_owners_limit_stops_it() {
    let node = Node::mined(110);
    let parent = pay(node.coinbase(1), 0);
    let child = child(&parent, 100_000);
    let limit = Some(Feerate::from_sat_per_kvb(10_000));
    let outcome = node
        .mempool
        .submit_package(&node.chain, &arcs(&[&parent, &child]), limit);
    assert_eq!(outcome.error, Some(PackageError::Transaction));
    assert!(matches!(
        member(&outcome, &child),
        PackageMember::Rejected(Reject::MaxFeerateExceeded)
    ));
    assert_eq!(node.mempool.info().size, 0);
}

#[test]
fn a_test_of_several_changes_nothing() {
    let node = Node::mined(110);
    let parent = pay(node.coinbase(1), 1_000);
    let child = child(&parent, 1_000);
    let test = |package: &[&Transaction]| node.mempool.test_package(&node.chain, &arcs(package));
    let outcome = test(&[&parent, &child]);
    assert_eq!(outcome.error, None);
    assert!(matches!(
        member(&outcome, &child),
        PackageMember::Accepted(_)
    ));
    assert_eq!(node.mempool.info().size, 0);
    // A test takes no other's place.
    node.submit(&pay(node.coinbase(1), 500)).unwrap();
    let outcome = test(&[&parent, &child]);
    assert!(matches!(
        member(&outcome, &parent),
        PackageMember::Rejected(Reject::ReplacementDisallowed)
    ));
    assert_eq!(outcome.members.len(), 1);
}

#[test]
fn a_cluster_beyond_the_limits_is_no_package() {
    let node = Node::mined(110);
    let mut last = pay(node.coinbase(1), 1_000);
    for _ in 0..63 {
        node.submit(&last).unwrap();
        last = child(&last, 1_000);
    }
    // The cluster holds 63: one more fits, two do not.
    let over = child(&last, 1_000);
    let outcome = node
        .mempool
        .test_package(&node.chain, &arcs(&[&last, &over]));
    assert_eq!(outcome.error, Some(PackageError::ClusterLimit));
}

#[test]
fn the_form_of_a_package_is_checked_first() {
    let node = Node::mined(110);
    let parent = pay(node.coinbase(1), 1_000);
    let child = child(&parent, 1_000);
    let rival = pay(node.coinbase(1), 2_000);
    let form = |package: &[&Transaction]| check_form(&arcs(package));
    assert_eq!(form(&[&parent, &child]), Ok(()));
    assert_eq!(form(&[&child, &parent]), Err(PackageError::NotSorted));
    assert_eq!(form(&[&parent, &parent]), Err(PackageError::Duplicates));
    assert_eq!(form(&[&parent, &rival]), Err(PackageError::Conflict));
    let many: Vec<Transaction> = (0..=MAX_COUNT)
        .map(|n| spend(&[OutPoint::new(parent.compute_txid(), n as u32)], &[1]))
        .collect();
    let many: Vec<&Transaction> = many.iter().collect();
    assert_eq!(form(&many), Err(PackageError::TooMany));
    let unrelated = pay(node.coinbase(2), 1_000);
    let outcome = submit(&node, &[&parent, &unrelated]);
    assert_eq!(outcome.error, Some(PackageError::NotChildWithParents));
    assert!(outcome.members.is_empty());
    assert!(is_child_with_parents_tree(&arcs(&[&parent, &child])));
    assert!(!is_child_with_parents_tree(&arcs(&[&parent])));
}

#[test]
fn a_package_has_one_hash_whatever_its_order() {
    let node = Node::mined(110);
    let parent = pay(node.coinbase(1), 1_000);
    let child = child(&parent, 1_000);
    let (a, b) = (parent.compute_wtxid(), child.compute_wtxid());
    assert_eq!(package_hash(&[a, b]), package_hash(&[b, a]));
    assert_ne!(package_hash(&[a, b]), package_hash(&[a]));
}
