//! What comes in, and why the rest does not.

use crate::harness::{Node, anyone, output, pay, spend};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::opcodes::all::{OP_ADD, OP_RETURN};
use bitcoin::script::Builder;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Txid, Witness};
use btc_node::mempool::{Limits, Policy, Reject, RejectClass};

/// Changes a good transaction so that one rule breaks.
type Spoil = fn(&mut Transaction);

#[test]
fn every_rule_has_its_reject_string() {
    let node = Node::mined(110);
    let good = pay(node.coinbase(1), 1_000);
    let value = good.output[0].value;
    let cases: &[(&str, Spoil)] = &[
        ("bad-txns-vin-empty", |tx| tx.input.clear()),
        ("bad-txns-vout-empty", |tx| tx.output.clear()),
        ("bad-txns-vout-toolarge", |tx| {
            tx.output[0].value = Amount::from_sat(2_100_000_000_000_001)
        }),
        ("bad-txns-vout-negative", |tx| {
            tx.output[0].value = Amount::from_sat(u64::MAX)
        }),
        ("bad-txns-inputs-duplicate", |tx| {
            tx.input.push(tx.input[0].clone())
        }),
        ("coinbase", |tx| {
            tx.input[0].previous_output = OutPoint::null();
            tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51, 0x51]);
        }),
        ("version", |tx| tx.version = Version(4)),
        ("version", |tx| tx.version = Version(0)),
        ("tx-size", |tx| {
            let big = TxOut {
                value: Amount::ZERO,
                script_pubkey: data_output(99_990),
            };
            tx.output.push(big);
        }),
        ("scriptsig-size", |tx| {
            tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51; 1651]);
        }),
        ("scriptsig-not-pushonly", |tx| {
            tx.input[0].script_sig = Builder::new().push_opcode(OP_ADD).into_script();
        }),
        ("scriptpubkey", |tx| {
            tx.output[0].script_pubkey = Builder::new().push_opcode(OP_ADD).into_script();
        }),
        ("dust", |tx| {
            tx.output = vec![
                TxOut {
                    value: Amount::ONE_SAT,
                    script_pubkey: anyone()
                };
                2
            ];
        }),
        // One dust output is fine only without a fee.
        ("dust", |tx| tx.output[0].value = Amount::ONE_SAT),
        ("tx-size-small", |tx| {
            tx.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x6a]);
            tx.output[0].value = Amount::ZERO;
        }),
        ("non-final", |tx| {
            tx.lock_time = LockTime::from_consensus(1_000);
            tx.input[0].sequence = Sequence::ZERO;
        }),
        ("bad-txns-inputs-missingorspent", |tx| {
            tx.input[0].previous_output = OutPoint::new(Txid::from_byte_array([7; 32]), 0);
        }),
        ("bad-txns-inputs-missingorspent", |tx| {
            tx.input[0].previous_output.vout = 9
        }),
        ("non-BIP68-final", |tx| {
            tx.input[0].sequence = Sequence::from_height(500)
        }),
        ("bad-txns-in-belowout", |tx| {
            tx.output[0].value = Amount::from_sat(5_000_000_001)
        }),
        ("bad-witness-nonstandard", |tx| {
            let items = [vec![1; 81], vec![0x51]];
            tx.input[0].witness = Witness::from_slice(&items);
        }),
        ("min relay fee not met", |tx| {
            tx.output[0].value = Amount::from_sat(4_999_999_999)
        }),
        (
            "mempool-script-verify-flag-failed (Witness program was passed an empty witness)",
            |tx| tx.input[0].witness = Witness::new(),
        ),
        (
            "mempool-script-verify-flag-failed (Witness program hash mismatch)",
            |tx| tx.input[0].witness = Witness::from_slice(&[[0x52]]),
        ),
    ];
    for (reason, spoil) in cases {
        let mut tx = good.clone();
        spoil(&mut tx);
        assert_eq!(node.reason(&tx), *reason);
    }
    let immature = pay(node.coinbase(50), 1_000);
    assert_eq!(
        node.reason(&immature),
        "bad-txns-premature-spend-of-coinbase"
    );
    assert!(
        node.mempool.transactions().is_empty(),
        "nothing of all that came in"
    );
    let accepted = node.submit(&good).unwrap();
    assert_eq!((accepted.fee, accepted.vsize), (1_000, good.vsize() as i64));
    assert_eq!(value, Amount::from_sat(4_999_999_000));
}

fn data_output(size: usize) -> ScriptBuf {
    let mut bytes = vec![0x6a, 0x4e];
    bytes.extend_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
    bytes.resize(bytes.len() + size, 0);
    ScriptBuf::from_bytes(bytes)
}

#[test]
fn a_missing_witness_is_told_apart_from_a_wrong_one() {
    let node = Node::mined(101);
    let mut tx = pay(node.coinbase(1), 1_000);
    tx.input[0].witness = Witness::new();
    assert_eq!(
        node.submit(&tx).unwrap_err().class(),
        RejectClass::WitnessStripped
    );
    tx.input[0].witness = Witness::from_slice(&[[0x52]]);
    assert_eq!(
        node.submit(&tx).unwrap_err().class(),
        RejectClass::NotStandard
    );
}

#[test]
fn explanations_are_cores() {
    let node = Node::mined(101);
    let mut tx = pay(node.coinbase(1), 5);
    let vsize = tx.vsize();
    let expected = format!(
        "min relay fee not met, 5 < {}",
        (vsize * 100).div_ceil(1000)
    );
    assert_eq!(node.submit(&tx).unwrap_err().to_string(), expected);
    tx.output[0].value = Amount::from_sat(5_000_000_001);
    assert_eq!(
        node.submit(&tx).unwrap_err().to_string(),
        "bad-txns-in-belowout, value in (50.00) < value out (50.00000001)"
    );
    let mut tx = pay(node.coinbase(1), 1_000);
    tx.input[0].witness = Witness::from_slice(&[[0x52]]);
    let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
    let spent = tx.input[0].previous_output;
    assert_eq!(
        node.submit(&tx).unwrap_err().debug(),
        format!(
            "input 0 of {txid} (wtxid {wtxid}), spending {}:0",
            spent.txid
        )
    );
}

#[test]
fn data_outputs_share_one_allowance() {
    let policy = Policy {
        max_datacarrier_bytes: Some(83),
        ..Policy::default()
    };
    let node = Node::with(policy, Limits::default());
    node.generate(101);
    let data = |len: usize| {
        let payload = bitcoin::script::PushBytesBuf::try_from(vec![0; len]).unwrap();
        let script_pubkey = Builder::new()
            .push_opcode(OP_RETURN)
            .push_slice(payload)
            .into_script();
        TxOut {
            value: Amount::ZERO,
            script_pubkey,
        }
    };
    let with = |outputs: &[usize]| {
        let mut tx = pay(node.coinbase(1), 100_000);
        tx.output.extend(outputs.iter().map(|len| data(*len)));
        tx
    };
    assert_eq!(node.reason(&with(&[81])), "datacarrier");
    assert_eq!(node.reason(&with(&[40, 40])), "datacarrier");
    node.submit(&with(&[80])).unwrap();
}

#[test]
fn the_same_transaction_comes_in_once() {
    let node = Node::mined(101);
    let tx = pay(node.coinbase(1), 1_000);
    node.submit(&tx).unwrap();
    assert_eq!(node.reason(&tx), "txn-already-in-mempool");
    let mut malleated = tx.clone();
    malleated.input[0].witness = Witness::from_slice(&[vec![], vec![0x51]]);
    assert_eq!(
        node.reason(&malleated),
        "txn-same-nonwitness-data-in-mempool"
    );
    node.generate(1);
    assert_eq!(node.reason(&tx), "txn-already-known");
}

#[test]
fn a_replacement_must_pay_for_itself() {
    let node = Node::mined(101);
    let coin = node.coinbase(1);
    let original = pay(coin, 1_000);
    node.submit(&original).unwrap();
    let vsize = original.vsize() as u64;
    let relay = (vsize * 100).div_ceil(1000);
    assert_eq!(
        node.submit(&pay(coin, 900)).unwrap_err().to_string(),
        format!(
            "insufficient fee, rejecting replacement {}, less fees than conflicting txs; 0.000009 < 0.00001",
            pay(coin, 900).compute_txid()
        )
    );
    assert_eq!(
        node.reason(&pay(coin, 1_000 + relay - 1)),
        "insufficient fee"
    );
    let replacement = pay(coin, 1_000 + relay);
    let accepted = node.submit(&replacement).unwrap();
    assert_eq!(accepted.replaced.len(), 1);
    assert!(!node.mempool.contains(&original.compute_txid()));
    assert!(node.mempool.contains(&replacement.compute_txid()));
}

#[test]
fn a_replacement_takes_descendants_with_it_and_pays_for_them() {
    let node = Node::mined(101);
    let coin = node.coinbase(1);
    let parent = pay(coin, 1_000);
    let child = spend(
        &[output(&parent, 0)],
        &[parent.output[0].value.to_sat() - 5_000],
    );
    node.submit(&parent).unwrap();
    node.submit(&child).unwrap();
    assert_eq!(node.reason(&pay(coin, 5_999)), "insufficient fee");
    let accepted = node.submit(&pay(coin, 7_000)).unwrap();
    assert_eq!(accepted.replaced.len(), 2);
    assert_eq!(node.mempool.transactions().len(), 1);
}

#[test]
fn a_large_replacement_of_a_small_dense_one_is_no_improvement() {
    let node = Node::mined(102);
    let coin = node.coinbase(1);
    node.submit(&pay(coin, 20_000)).unwrap();
    // Pays more in all, but its feerate is lower: a small block would earn less.
    let outputs = vec![10_000; 100];
    let mut bulky = spend(&[coin.0], &outputs);
    bulky.output[0].value = Amount::from_sat(coin.1.to_sat() - 99 * 10_000 - 30_000);
    let reject = node.submit(&bulky).unwrap_err();
    assert_eq!(
        reject.to_string(),
        "replacement-failed, insufficient feerate: does not improve feerate diagram"
    );
}

#[test]
fn nothing_spends_what_it_replaces() {
    let node = Node::mined(102);
    let coin = node.coinbase(1);
    let parent = pay(coin, 1_000);
    node.submit(&parent).unwrap();
    let both = spend(&[coin.0, output(&parent, 0)], &[coin.1.to_sat()]);
    assert_eq!(node.reason(&both), "bad-txns-spends-conflicting-tx");
}

#[test]
fn clusters_have_a_limit() {
    let node = Node::mined(101);
    let mut previous = pay(node.coinbase(1), 1_000);
    node.submit(&previous).unwrap();
    for _ in 1..64 {
        let value = previous.output[0].value.to_sat() - 1_000;
        let next = spend(&[output(&previous, 0)], &[value]);
        node.submit(&next).unwrap();
        previous = next;
    }
    let value = previous.output[0].value.to_sat() - 1_000;
    let over = spend(&[output(&previous, 0)], &[value]);
    assert_eq!(node.reason(&over), "too-large-cluster");
    assert_eq!(
        node.mempool.check_cluster_limits(&over),
        Err(Reject::ClusterLimit)
    );
    let (totals, cluster) = node.mempool.ancestry(&previous.compute_txid());
    assert_eq!((totals.count, totals.fees, cluster), (64, 64_000, 64));
}

#[test]
fn clusters_have_a_size_limit() {
    let policy = Policy {
        cluster_vsize: 500,
        ..Policy::default()
    };
    let node = Node::with(policy, Limits::default());
    node.generate(101);
    let mut previous = pay(node.coinbase(1), 1_000);
    let mut count = 0;
    while node.submit(&previous).is_ok() {
        count += 1;
        let value = previous.output[0].value.to_sat() - 1_000;
        previous = spend(&[output(&previous, 0)], &[value]);
    }
    assert_eq!(node.reason(&previous), "too-large-cluster");
    let vsize = previous.weight().to_wu() * count;
    assert!(vsize <= 2_000 && vsize + previous.weight().to_wu() > 2_000);
}

#[test]
fn version_three_has_one_parent_and_one_child() {
    let node = Node::mined(103);
    let version_3 = |mut tx: Transaction| {
        tx.version = Version(3);
        tx
    };
    let coin = node.coinbase(1);
    let half = coin.1.to_sat() / 2;
    let parent = version_3(spend(&[coin.0], &[half, half - 1_000]));
    node.submit(&parent).unwrap();
    let ordinary = spend(&[output(&parent, 0)], &[half - 1_000]);
    let reject = node.submit(&ordinary).unwrap_err();
    assert_eq!(reject.reason(), "TRUC-violation");
    assert!(
        reject.debug().starts_with("non-version=3 tx "),
        "{}",
        reject.debug()
    );
    let child = version_3(ordinary);
    node.submit(&child).unwrap();
    let grandchild = version_3(spend(&[output(&child, 0)], &[half - 2_000]));
    assert!(
        node.submit(&grandchild)
            .unwrap_err()
            .debug()
            .ends_with("would have too many ancestors")
    );
    // A second child may take the first one's place, at a price.
    let cheap = version_3(spend(&[output(&parent, 1)], &[half - 2_000]));
    assert_eq!(
        node.reason(&cheap),
        "insufficient fee (including sibling eviction)"
    );
    let sibling = version_3(spend(&[output(&parent, 1)], &[half - 9_000]));
    assert_eq!(node.submit(&sibling).unwrap().replaced.len(), 1);
    let big = version_3(spend(&[output(&parent, 0)], &vec![1_000; 30]));
    assert!(
        node.submit(&big)
            .unwrap_err()
            .debug()
            .contains("is too big: ")
    );
}

#[test]
fn a_test_changes_nothing() {
    let node = Node::mined(101);
    let tx = pay(node.coinbase(1), 1_000);
    node.events();
    let tested = node
        .mempool
        .test(&node.chain, std::sync::Arc::new(tx.clone()))
        .unwrap();
    assert_eq!(tested.fee, 1_000);
    assert!(node.events().is_empty() && node.mempool.transactions().is_empty());
    node.submit(&tx).unwrap();
}

#[test]
fn a_full_mempool_drops_the_worst_and_raises_its_price() {
    let limits = Limits {
        max_bytes: 20_000,
        ..Limits::default()
    };
    let node = Node::with(Policy::default(), limits);
    node.generate(130);
    let mut fee = 200;
    for height in 1..=25 {
        fee += 50;
        let _ = node.submit(&pay(node.coinbase(height), fee));
    }
    let info = node.mempool.info();
    assert!(info.usage <= 20_000 && info.size < 25, "{info:?}");
    assert!(info.min_feerate.per_thousand() > 100);
    // What stays pays more than what went.
    let fees: Vec<i64> = node
        .mempool
        .read(|pool| pool.graph().entries().map(|entry| entry.fee).collect());
    assert!(
        fees.iter()
            .all(|fee| *fee > 1_450 - 50 * i64::try_from(info.size + 2).unwrap())
    );
    let reject = node.submit(&pay(node.coinbase(26), 15)).unwrap_err();
    assert_eq!(reject.reason(), "mempool min fee not met");
    // After a block the price falls again, by half in a few hours.
    node.generate(1);
    node.clock.set_mock(Some(1_700_000_000 + 100 * 60 * 60));
    assert_eq!(node.mempool.floor(), 0);
}

#[test]
fn what_waits_too_long_leaves() {
    let node = Node::mined(102);
    let old = pay(node.coinbase(1), 1_000);
    node.submit(&old).unwrap();
    node.clock.set_mock(Some(1_700_000_000 + 336 * 60 * 60 + 1));
    node.submit(&pay(node.coinbase(2), 1_000)).unwrap();
    assert!(!node.mempool.contains(&old.compute_txid()));
    assert_eq!(node.mempool.transactions().len(), 1);
}
