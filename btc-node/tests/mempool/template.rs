//! What goes into a block, in which order, and how much of it.

use crate::harness::{Node, anyone, output, pay, spend};
use bitcoin::Amount;
use btc_node::mempool::Feerate;
use btc_node::mining::template::TemplateError;
use btc_node::mining::wait::{Wait, wait_next};
use btc_node::mining::{Template, TemplateOptions, create};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

fn template(node: &Node, options: &TemplateOptions) -> Template {
    create(&node.chain, &node.mempool, options).unwrap()
}

#[test]
fn better_feerates_come_first_and_children_lift_their_parents() {
    let node = Node::mined(110);
    let middle = pay(node.coinbase(1), 5_000);
    let poor_parent = pay(node.coinbase(2), 20);
    let rich_child = spend(
        &[output(&poor_parent, 0)],
        &[poor_parent.output[0].value.to_sat() - 50_000],
    );
    let low = pay(node.coinbase(3), 1_000);
    for tx in [&low, &middle, &poor_parent, &rich_child] {
        node.submit(tx).unwrap();
    }
    let template = template(&node, &TemplateOptions::default());
    let order: Vec<_> = template.block.txdata[1..]
        .iter()
        .map(|tx| tx.compute_txid())
        .collect();
    let expected = [&poor_parent, &rich_child, &middle, &low].map(|tx| tx.compute_txid());
    assert_eq!(order, expected);
    assert_eq!(template.fees, [20, 50_000, 5_000, 1_000]);
    assert_eq!(template.chunk_feerates.len(), 3);
    let reward = template.block.txdata[0].output[0].value;
    assert_eq!(reward, Amount::from_sat(5_000_000_000 + 56_020));
    assert_eq!(template.coinbase.block_reward_remaining, 5_000_056_020);
    assert_eq!(template.coinbase.required_outputs.len(), 1);
}

#[test]
fn prioritising_moves_a_transaction_but_earns_nothing() {
    let node = Node::mined(110);
    let (rich, poor) = (pay(node.coinbase(1), 5_000), pay(node.coinbase(2), 1_000));
    node.submit(&rich).unwrap();
    node.submit(&poor).unwrap();
    node.mempool.prioritise(poor.compute_txid(), 100_000);
    let made = template(&node, &TemplateOptions::default());
    assert_eq!(made.block.txdata[1].compute_txid(), poor.compute_txid());
    assert_eq!(made.total_fees(), 6_000);
    node.mempool.prioritise(poor.compute_txid(), -101_000);
    let made = template(&node, &TemplateOptions::default());
    assert_eq!(made.fees, [5_000], "below the least feerate it stays out");
}

#[test]
fn the_limits_on_weight_hold_and_smaller_ones_fill_up() {
    let node = Node::mined(110);
    let coin = node.coinbase(1);
    let mut big = spend(&[coin.0], &vec![10_000; 100]);
    big.output[0].value = Amount::from_sat(coin.1.to_sat() - 99 * 10_000 - 400_000);
    let small = pay(node.coinbase(2), 1_000);
    node.submit(&big).unwrap();
    node.submit(&small).unwrap();
    let room = |weight: u64| TemplateOptions {
        max_weight: 8_000 + weight,
        ..TemplateOptions::default()
    };
    let both = big.weight().to_wu() + small.weight().to_wu();
    assert_eq!(template(&node, &room(both + 1)).fees.len(), 2);
    // Reaching the limit counts as exceeding it.
    assert_eq!(template(&node, &room(both)).fees, [400_000]);
    assert_eq!(
        template(&node, &room(small.weight().to_wu() + 1)).fees,
        [1_000]
    );
    assert!(template(&node, &room(1)).fees.is_empty());
}

#[test]
fn the_least_feerate_and_an_empty_block() {
    let node = Node::mined(110);
    node.submit(&pay(node.coinbase(1), 1_000)).unwrap();
    let strict = TemplateOptions {
        min_feerate: Feerate::from_sat_per_kvb(20_000),
        ..TemplateOptions::default()
    };
    assert!(template(&node, &strict).fees.is_empty());
    let empty = TemplateOptions {
        use_mempool: false,
        ..TemplateOptions::default()
    };
    assert_eq!(template(&node, &empty).block.txdata.len(), 1);
}

#[test]
fn options_out_of_range_are_refused() {
    let node = Node::mined(1);
    let cases = [
        TemplateOptions {
            max_weight: 4_000_001,
            ..TemplateOptions::default()
        },
        TemplateOptions {
            reserved_weight: 1_999,
            ..TemplateOptions::default()
        },
        TemplateOptions {
            max_weight: 5_000,
            ..TemplateOptions::default()
        },
        TemplateOptions {
            reserved_sigops: 80_001,
            ..TemplateOptions::default()
        },
    ];
    for options in cases {
        let error = create(&node.chain, &node.mempool, &options).unwrap_err();
        assert!(matches!(error, TemplateError::Option { .. }), "{error}");
    }
}

#[test]
fn waiting_ends_with_a_tip_or_with_enough_fees() {
    let node = Node::mined(110);
    let options = TemplateOptions {
        script_pubkey: anyone(),
        ..TemplateOptions::default()
    };
    let current = template(&node, &options);
    let never = AtomicBool::new(false);
    let wait = |milliseconds, fee_threshold| {
        let wait = Wait {
            timeout: Some(Duration::from_millis(milliseconds)),
            fee_threshold,
        };
        wait_next(&node.chain, &node.mempool, &current, &options, wait, &never).unwrap()
    };
    assert!(wait(1, None).is_none());
    node.submit(&pay(node.coinbase(1), 1_000)).unwrap();
    assert!(wait(1, None).is_none());
    assert!(wait(1, Some(1_001)).is_none());
    assert_eq!(wait(60_000, Some(1_000)).unwrap().fees, [1_000]);
    node.generate(1);
    assert_eq!(wait(60_000, None).unwrap().height, 112);
    let stopped = AtomicBool::new(true);
    let forever = Wait {
        timeout: None,
        fee_threshold: None,
    };
    let current = template(&node, &options);
    assert!(
        wait_next(
            &node.chain,
            &node.mempool,
            &current,
            &options,
            forever,
            &stopped
        )
        .unwrap()
        .is_none()
    );
}
