//! Old files deleted, and the databases built anew.

use std::sync::Arc;

use btc_node::chainstate::{OpenError, Options, PruneTarget, SubmitError};

use super::gate::{Faulty, inject};
use super::growth::{Chain, make, settings};
use crate::prune::mine_large;
use crate::support::{Home, mine, muhash, submit};

fn pruned(options: &mut Options) {
    options.fast_prune = true;
    options.prune = Some(PruneTarget::Manual);
    options.check_level = 3;
    options.check_blocks = 6;
}

/// Where the last fault was noticed.
type Attempt = Result<(), String>;

fn text(error: impl ToString) -> String {
    error.to_string()
}

#[test]
fn whatever_call_fails_while_files_are_pruned_no_kept_block_is_lost() {
    let source = Home::regtest();
    let more = {
        let node = source.open_with(pruned);
        mine_large(&node, 400);
        node.close().expect("flushes");
        drop(node);
        let ahead = Home::regtest();
        source.copy_to(&ahead);
        let node = ahead.open_with(pruned);
        mine(&node, 5)
    };
    let expected = {
        let home = Home::regtest();
        source.copy_to(&home);
        let node = home.open_with(pruned);
        node.prune_up_to(400).expect("prunes");
        for block in &more {
            submit(&node, block).expect("is valid");
        }
        (node.tip().hash, muhash(&node), node.prune_height())
    };
    inject(8, |gate| {
        let home = Home::regtest();
        source.copy_to(&home);
        let attempt = || -> Attempt {
            let disk = gate.disk();
            let node = home
                .try_open_with(|options| {
                    pruned(options);
                    options.disk = disk;
                })
                .map_err(text)?;
            node.prune_up_to(400).map_err(text)?;
            for block in &more {
                submit(&node, block).map_err(text)?;
            }
            node.close().map_err(text)
        };
        let done = attempt();
        gate.judge(done.is_err(), &done);
        let node = home.open_with(pruned);
        node.recover_blocks().expect("recovers");
        if done.is_ok() {
            assert_eq!(node.tip().hash, expected.0);
        }
        assert!(node.tip().height >= 400);
        let first = node.first_stored(&node.tip().hash, true);
        let first = first.expect("the last blocks are there").height;
        assert!(first <= 400 - 288, "{first} is the first that is left");
        for height in first..=node.tip().height {
            let hash = node.hash_at(height).expect("is there");
            assert!(matches!(node.read_block(&hash), Ok(Some(_))), "{height}");
            assert!(
                height == 0 || matches!(node.read_undo(&hash), Ok(Some(_))),
                "{height}"
            );
        }
        node.prune_up_to(400).expect("prunes");
        for block in &more {
            submit(&node, block).expect("is valid");
        }
        let found = (node.tip().hash, muhash(&node), node.prune_height());
        assert_eq!(found, expected);
        node.close().expect("flushes");
        drop(node);
        // Nothing is left of the files that went.
        let node = home.open_with(pruned);
        assert!(!home.blocks().join("blk00000.dat").exists());
        assert!(!home.blocks().join("rev00000.dat").exists());
        drop(node);
    });
}

/// A closed node with the whole chain.
fn grown(chain: &Chain) -> Home {
    let home = Home::regtest();
    let node = home.open_with(settings(&Arc::default()));
    for block in &chain.blocks {
        submit(&node, block).expect("is valid");
    }
    node.close().expect("flushes");
    home
}

/// Builds the databases anew with faults, then starts without being asked to build anything.
fn rebuild(chain: &Chain, source: &Home, gate: &Arc<Faulty>, ask: fn(&mut Options)) {
    let home = Home::regtest();
    source.copy_to(&home);
    let attempt = || -> Attempt {
        let change = settings(gate);
        let node = home
            .try_open_with(|options| {
                change(options);
                ask(options);
            })
            .map_err(text)?;
        node.reindex_block_files().map_err(text)?;
        node.activate_best_chain().map_err(text)?;
        node.close().map_err(text)
    };
    let done = attempt();
    gate.judge(done.is_err(), &done);
    let node = match home.try_open_with(settings(&Arc::default())) {
        Ok(node) => node,
        // Half of a database is left: the user is told to ask again.
        Err(OpenError::BlockDatabase(_) | OpenError::CoinsDatabase(_)) => {
            home.open_with(|options| {
                settings(&Arc::default())(options);
                options.reindex = true;
            })
        }
        Err(error) => panic!("after {done:?}: {error}"),
    };
    let recovered: Result<_, SubmitError> = node
        .reindex_block_files()
        .and_then(|_| node.recover_blocks())
        .and_then(|_| node.activate_best_chain());
    recovered.unwrap_or_else(|error| panic!("after {done:?}: {error}"));
    assert_eq!(node.tip().hash, chain.tip, "after {done:?}");
    chain.finish(&node);
}

#[test]
fn whatever_call_fails_in_a_reindex_the_next_start_completes_it() {
    let chain = make();
    let source = grown(&chain);
    inject(8, |gate| {
        rebuild(&chain, &source, gate, |options| options.reindex = true);
    });
}

#[test]
fn whatever_call_fails_in_a_rebuild_of_the_coins_the_next_start_completes_it() {
    let chain = make();
    let source = grown(&chain);
    inject(8, |gate| {
        rebuild(&chain, &source, gate, |options| {
            options.reindex_chainstate = true;
        });
    });
}
