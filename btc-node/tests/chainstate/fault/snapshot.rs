//! UTXO snapshots: written, loaded, validated behind, and put in the place of the coins below.

use btc_node::chainstate::Options;
use btc_node::chainstate::dump::DumpSource;

use super::gate::inject;
use crate::snapshot_source::{BASE, Source, TOP};
use crate::support::{Home, muhash, submit};

fn text(error: impl ToString) -> String {
    error.to_string()
}

#[test]
fn whatever_call_fails_while_a_snapshot_is_used_the_node_ends_with_the_same_coins() {
    let source = Source::new();
    let prepared = Home::regtest();
    {
        let node = source.begun(&prepared, 40);
        node.close().expect("flushes");
    }
    inject(12, |gate| {
        let home = Home::regtest();
        prepared.copy_to(&home);
        let change = |options: &mut Options| {
            source.options(options);
            options.disk = gate.disk();
        };
        let (mut loaded, mut flushed) = (false, 40);
        let mut attempt = || -> Result<(), String> {
            let node = home.try_open_with(change).map_err(text)?;
            source.load(&node, &source.file)?;
            loaded = true;
            for block in &source.blocks[BASE as usize..] {
                submit(&node, block).map_err(text)?;
            }
            node.flush().map_err(text)?;
            flushed = TOP as u32;
            for block in &source.blocks[40..BASE as usize] {
                submit(&node, block).map_err(text)?;
            }
            node.close().map_err(text)?;
            drop(node);
            // The snapshot takes the place of the coins below.
            let node = home.try_open_with(change).map_err(text)?;
            node.close().map_err(text)
        };
        let done = attempt();
        gate.judge(done.is_err(), &done);
        let node = home
            .try_open_with(|options| source.options(options))
            .unwrap_or_else(|error| panic!("after {done:?}: {error}"));
        node.recover_blocks().expect("recovers");
        let height = node.tip().height;
        assert!(height >= flushed, "{height} after {flushed} was flushed");
        if loaded {
            assert!(height >= BASE, "the snapshot was lost at {height}");
        } else if node.chainstates().len() == 1 && height < BASE {
            source.load(&node, &source.file).expect("loads after all");
        }
        for block in &source.blocks {
            let _ = submit(&node, block);
        }
        assert_eq!(
            (node.tip().height, muhash(&node)),
            (TOP as u32, source.coins.clone())
        );
        assert!(node.background().is_none(), "nothing is left to validate");
        node.close().expect("flushes");
        drop(node);
        let node = source.open(&home);
        let chains = node.chainstates();
        assert_eq!(chains.len(), 1);
        assert!(chains[0].validated && chains[0].snapshot.is_none());
        assert_eq!(muhash(&node), source.coins);
        for left in ["chainstate_snapshot", "chainstate_todelete"] {
            assert!(!home.dir.path().join(left).exists(), "{left}");
        }
        node.verify_chain(4, 0).expect("is whole");
    });
}

#[test]
fn whatever_call_fails_while_coins_are_dumped_there_is_a_whole_file_or_none() {
    let source = Source::new();
    let prepared = Home::regtest();
    {
        let node = source.begun(&prepared, TOP);
        node.close().expect("flushes");
    }
    let never = || false;
    let earlier = DumpSource::Block {
        hash: source.known.block_hash,
        in_memory: false,
    };
    inject(8, |gate| {
        let home = Home::regtest();
        prepared.copy_to(&home);
        let (now, then) = (home.dir.path().join("now"), home.dir.path().join("then"));
        let mut dumped = Vec::new();
        let mut attempt = || -> Result<(), String> {
            let node = home
                .try_open_with(|options| {
                    source.options(options);
                    options.disk = gate.disk();
                })
                .map_err(text)?;
            for (path, kind) in [(&now, DumpSource::Tip), (&then, earlier)] {
                node.dump_coins(path, kind, &never).map_err(text)?;
                dumped.push(path.clone());
            }
            node.close().map_err(text)
        };
        let done = attempt();
        gate.judge(done.is_err(), &done);
        let node = source.open(&home);
        assert_eq!(node.tip().height, TOP as u32);
        for (path, kind) in [(&now, DumpSource::Tip), (&then, earlier)] {
            let found = std::fs::read(path).ok();
            assert!(found.is_some() || !dumped.contains(path), "a file was lost");
            let again = home.dir.path().join("again");
            node.dump_coins(&again, kind, &never).expect("dumps");
            let whole = std::fs::read(&again).expect("reads");
            std::fs::remove_file(&again).expect("removes");
            assert!(
                found.is_none_or(|found| found == whole),
                "{path:?} is not whole"
            );
        }
        assert_eq!(
            std::fs::read(&then)
                .ok()
                .unwrap_or_else(|| source.file.clone()),
            source.file
        );
        assert_eq!(muhash(&node), source.coins);
        // What a dump leaves behind goes with the next one to the same place.
        std::fs::remove_file(&then).ok();
        node.dump_coins(&then, earlier, &never).expect("dumps");
        let temporary = home.dir.path().join(format!("temp_utxo_{BASE}"));
        assert!(!temporary.exists() && !then.with_extension("incomplete").exists());
    });
}
