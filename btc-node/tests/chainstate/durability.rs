//! What is left when the node is not closed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::Block;
use bitcoin::consensus::serialize;
use btc_node::chainstate::{ChainstateManager, OpenError, Options, SubmitError, VerifyError};
use btc_node::notify::Event;
use btc_node::store::Database;
use btc_node::store::kv::{Batch, KvStore, Sync};

use crate::support::{Home, branch, mine, muhash, next_block, reward_of, spend, submit};

#[test]
fn a_node_that_vanishes_comes_back_as_last_flushed_and_catches_up() {
    let home = Home::regtest();
    let (flushed, blocks) = {
        let node = home.open();
        mine(&node, 20);
        node.flush().expect("flushes");
        let flushed = (node.tip().hash, muhash(&node));
        (flushed, mine(&node, 30))
        // Dropped without close: what a kill leaves behind.
    };
    let node = home.open();
    assert_eq!((node.tip().hash, muhash(&node)), flushed);
    for block in &blocks {
        submit(&node, block).expect("is valid");
    }
    assert_eq!(node.tip().hash, blocks[29].block_hash());
    node.close().expect("flushes");
    drop(node);
    assert_eq!(home.open().tip().hash, blocks[29].block_hash());
}

#[test]
fn blocks_that_reached_their_file_and_not_the_index_are_found_again() {
    let home = Home::regtest();
    let small = |options: &mut Options| options.fast_prune = true;
    let (blocks, coins) = {
        let node = home.open_with(small);
        mine(&node, 20);
        node.flush().expect("flushes");
        // Enough to fill the file and begin others, with a branch among them.
        let tip = node.tip();
        let mut blocks = mine(&node, 400);
        for block in branch(&tip.header, tip.height, 3, 1) {
            submit(&node, &block).expect("is valid");
        }
        blocks.extend(mine(&node, 5));
        (blocks, (node.tip().hash, unspent_rewards(&node)))
        // Dropped without close: what a kill leaves behind.
    };
    assert!(home.blocks().join("blk00001.dat").exists());
    let node = home.open_with(small);
    assert_eq!(node.tip().height, 20);
    let report = node.recover_blocks().expect("recovers");
    assert_eq!(report.loaded, blocks.len() as u64 + 3);
    assert_eq!((node.tip().hash, unspent_rewards(&node)), coins);
    assert_eq!(node.recover_blocks().expect("has nothing left").loaded, 0);
    mine(&node, 2);
    node.close().expect("flushes");
    drop(node);
    let node = home.open_with(small);
    assert_eq!(node.tip().height, 427);
    assert_eq!(
        node.recover_blocks()
            .expect("has nothing to do")
            .scan
            .blocks,
        0
    );
}

/// Which rewards are unspent; asking needs no flush.
fn unspent_rewards(node: &ChainstateManager) -> Vec<bool> {
    (1..=node.tip().height)
        .map(|height| {
            let hash = node.hash_at(height).expect("is there");
            let block = node.read_block(&hash).expect("reads").expect("is there");
            node.coin(&reward_of(&block)).expect("reads").is_some()
        })
        .collect()
}

#[test]
fn blocks_on_disk_beyond_the_coins_are_connected_on_starting() {
    let home = Home::regtest();
    let (tip, coins) = {
        let node = home.open();
        mine(&node, 10);
        node.flush().expect("flushes");
        copy(
            &home.dir.path().join("chainstate"),
            &home.dir.path().join("older"),
        );
        mine(&node, 10);
        let result = (node.tip().hash, muhash(&node));
        node.close().expect("flushes");
        result
    };
    // The index is ahead of the coins, as after a stop between the two.
    fs::remove_dir_all(home.dir.path().join("chainstate")).expect("removes");
    fs::rename(
        home.dir.path().join("older"),
        home.dir.path().join("chainstate"),
    )
    .expect("renames");
    let node = home.open();
    assert_eq!((node.tip().hash, muhash(&node)), (tip, coins));
}

#[test]
fn an_interrupted_flush_over_a_reorganization_is_completed() {
    // The coins before and after a reorganization, and every mixture of the two that a flush may leave.
    let home = Home::regtest();
    let chainstate = home.dir.path().join("chainstate");
    let (before, after, tip, coins) = {
        let node = home.open();
        let trunk = mine(&node, 105);
        let spent: Vec<Arc<Block>> = (0..3)
            .map(|n| {
                let block = next_block(&node, vec![spend(&[reward_of(&trunk[n])], &[10, 20])]);
                submit(&node, &block).expect("is valid");
                block
            })
            .collect();
        node.flush().expect("flushes");
        copy(&chainstate, &home.dir.path().join("before"));
        let mut other = branch(&trunk[104].header, 105, 4, 3);
        let parent = other.last().expect("has blocks").header;
        let child = crate::support::Template {
            transactions: vec![spend(&[reward_of(&trunk[1])], &[30])],
            ..crate::support::Template::after(&parent, 109)
        };
        other.push(child.mine());
        for block in &other {
            submit(&node, block).expect("is valid");
        }
        assert_eq!(node.tip().height, 110);
        let result = (
            entries(&home.dir.path().join("before")),
            node.tip().hash,
            muhash(&node),
        );
        node.close().expect("flushes");
        drop(node);
        assert_eq!(spent.len(), 3);
        (result.0, entries(&chainstate), result.1, result.2)
    };
    // The obfuscation key is the same in both: values can be mixed as they are.
    let differing: Vec<_> = before
        .keys()
        .chain(after.keys())
        .filter(|key| key[0] == b'C' && before.get(*key) != after.get(*key))
        .cloned()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    assert!(differing.len() > 10);
    let best = |map: &BTreeMap<Vec<u8>, Vec<u8>>| map[&vec![b'B']].clone();
    for written in 0..=differing.len() {
        let mut batch = Batch::new();
        // The best block gives way to both tips, obfuscated like every value.
        let key = &before[&b"\x0e\x00obfuscate_key".to_vec()][1..];
        let reveal = |value: Vec<u8>| -> Vec<u8> {
            value
                .iter()
                .zip(key.iter().cycle())
                .map(|(byte, key)| byte ^ key)
                .collect()
        };
        let heads = [vec![2], reveal(best(&after)), reveal(best(&before))].concat();
        batch.delete([b'B']);
        batch.put([b'H'], reveal(heads));
        for (n, name) in differing.iter().enumerate() {
            let source = if n < written { &after } else { &before };
            match source.get(name) {
                Some(value) => batch.put(name.clone(), value.clone()),
                None => batch.delete(name.clone()),
            }
        }
        {
            let db = Database::open(&chainstate, 1 << 20).expect("opens");
            db.write(&batch, Sync::Durable).expect("writes");
        }
        let node = home.open();
        assert_eq!(
            (node.tip().hash, muhash(&node)),
            (tip, coins.clone()),
            "after {written} changes"
        );
        node.close().expect("flushes");
    }
}

#[test]
fn the_memory_for_coins_is_held_by_flushing() {
    let home = Home::regtest();
    let node = home.open_with(|options| options.dbcache = 4 << 20);
    let trunk = mine(&node, 150);
    // Each block makes ten thousand coins, so that the budget of some two megabytes is passed every few blocks.
    for block in &trunk[..12] {
        let fan = spend(&[reward_of(block)], &[1000; 10_000]);
        submit(&node, &next_block(&node, vec![fan])).expect("is valid");
    }
    let (tip, height) = (node.tip().hash, node.tip().height);
    // Dropped without close: some of it must be on disk all the same.
    drop(node);
    let node = home.open_with(|options| options.dbcache = 4 << 20);
    assert!(node.tip().height > 150 && node.tip().height <= height);
    assert!(node.tip().height == height || node.tip().hash != tip);
    // Undoing it all takes more memory than there is, which is no fault of the chain.
    assert_eq!(node.verify_chain(2, 0), Ok(()));
    assert_eq!(node.verify_chain(3, 0), Err(VerifyError::TooLittleMemory));
    assert_eq!(node.verify_chain(4, 1), Ok(()));
}

/// The variable that makes [`child_that_is_killed`] a child.
const CHILD_HOME: &str = "CHAINSTATE_TEST_CHILD_HOME";

/// Not a test by itself: what [`a_node_killed_at_any_instant_keeps_what_it_reported`] starts and kills.
#[test]
fn child_that_is_killed() {
    let Ok(dir) = std::env::var(CHILD_HOME) else {
        return;
    };
    let home = Home::in_dir(dir.as_ref());
    let node = home.open_with(|options| {
        options.dbcache = 4 << 20;
        options.check_level = 0;
    });
    let mut out = std::io::stdout();
    loop {
        let tip = node.tip();
        for n in 0..4 {
            let mature = tip.height.checked_sub(101 + n).filter(|height| *height > 0);
            let coin = mature.and_then(|height| {
                let hash = node.hash_at(height).expect("is there");
                let block = node.read_block(&hash).expect("reads").expect("is there");
                let reward = reward_of(&block);
                node.coin(&reward).expect("reads").map(|_| reward)
            });
            let spends = coin
                .map(|coin| spend(&[coin], &[1000; 40]))
                .into_iter()
                .collect();
            submit(&node, &next_block(&node, spends)).expect("is valid");
        }
        if tip.height.is_multiple_of(3) {
            let back = node.hash_at(tip.height + 1).expect("is there");
            node.invalidate_block(&back).expect("goes back");
            for block in branch(&node.tip().header, tip.height, 2, 1) {
                submit(&node, &block).expect("is valid");
            }
            node.reconsider_block(&back).expect("goes forward");
        }
        node.flush().expect("flushes");
        let tip = node.tip();
        writeln!(out, "flushed {} {}", tip.height, tip.hash).expect("writes");
        out.flush().expect("writes");
    }
}

#[test]
fn a_node_killed_at_any_instant_keeps_what_it_reported() {
    use bitcoin::secp256k1::rand::{Rng, thread_rng};
    const KILLS: u32 = 8;
    let home = Home::regtest();
    {
        let node = home.open();
        mine(&node, 100);
        node.close().expect("flushes");
    }
    let mut reported = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("has a path"))
            .args(["--exact", "durability::child_that_is_killed", "--nocapture"])
            .env(CHILD_HOME, home.dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        let mut seen = 0;
        let wanted = thread_rng().gen_range(0..4);
        let mut report = |line: &str| {
            if let Some(rest) = line.strip_prefix("flushed ") {
                let height = rest
                    .split(' ')
                    .next()
                    .and_then(|height| height.parse::<u32>().ok());
                reported = height.expect("is a number");
                seen += 1;
            }
            seen
        };
        let alive = lines
            .by_ref()
            .any(|line| report(&line.expect("reads")) > wanted);
        assert!(alive, "the child ended by itself");
        // Not waiting for anything: the kill shall fall anywhere in the child's work.
        std::thread::sleep(Duration::from_micros(thread_rng().gen_range(0..20_000)));
        child.kill().expect("kills");
        // What was written to the pipe before the kill counts too.
        for line in lines.map_while(Result::ok) {
            report(&line);
        }
        child.wait().expect("ends");
        // Every block is undone and connected again.
        let node = home.open();
        let tip = node.tip();
        assert!(
            tip.height >= reported,
            "kill {kill}: {} after {reported} was reported",
            tip.height
        );
        // Dropped without close: the next child finds what this one left.
    }
    // The coins are those that the blocks make, and no others.
    let node = home.open();
    let fresh = Home::regtest();
    let copy = fresh.open();
    for height in 1..=node.tip().height {
        let hash = node.hash_at(height).expect("is there");
        let block = node.read_block(&hash).expect("reads").expect("is there");
        submit(&copy, &Arc::new(block)).expect("is valid");
    }
    assert_eq!(muhash(&copy), muhash(&node));
}

/// The first place of `needle` in a file, which must have it.
fn find(file: &[u8], needle: &[u8]) -> usize {
    file.windows(needle.len())
        .position(|window| window == needle)
        .expect("is there")
}

#[test]
fn a_block_that_the_disk_changed_stops_the_node_and_not_the_chain() {
    let home = Home::regtest();
    let plain = |options: &mut Options| {
        options.blocks_xor = false;
        options.check_level = 0;
    };
    let node = home.open_with(plain);
    let trunk = mine(&node, 5);
    let other = branch(&trunk[1].header, 2, 4, 1);
    for block in &other[..3] {
        submit(&node, block).expect("is valid");
    }
    let tip = node.tip().hash;
    // One bit of a transaction of a block that is not connected yet.
    let path = home.blocks().join("blk00000.dat");
    let mut file = fs::read(&path).expect("reads");
    let coinbase = serialize(&other[1].txdata[0]);
    let at = find(&file, &coinbase) + coinbase.len() - 1;
    file[at] ^= 1;
    fs::write(&path, &file).expect("writes");
    let fatal = Arc::new(Mutex::new(Vec::new()));
    let messages = Arc::clone(&fatal);
    let guard = node.notifier().register(Arc::new(move |event: &Event| {
        if let Event::Fatal { message } = event {
            messages.lock().expect("unpoisoned").push(message.clone());
        }
    }));
    let error = submit(&node, &other[3]).expect_err("the disk is at fault");
    assert!(matches!(error, SubmitError::Store(_)), "{error}");
    node.notifier().sync_with_queue();
    drop(guard);
    let messages = fatal.lock().expect("unpoisoned").clone();
    assert_eq!(messages.len(), 1);
    assert!(
        messages[0].ends_with("Corrupt block found indicating potential hardware failure."),
        "{}",
        messages[0]
    );
    // Nothing more is taken, and nothing is written.
    let refused = submit(&node, &next_block(&node, Vec::new())).expect_err("has failed");
    assert!(matches!(refused, SubmitError::Failed(_)), "{refused}");
    assert!(matches!(node.close(), Err(SubmitError::Failed(_))));
    drop(node);
    // With the right bytes back, the blocks are taken anew.
    file[at] ^= 1;
    fs::write(&path, &file).expect("writes");
    let node = home.open_with(plain);
    for block in trunk.iter().chain(&other) {
        submit(&node, block).expect("is valid");
    }
    assert_ne!(node.tip().hash, tip);
    assert_eq!(node.tip().hash, other[3].block_hash());
}

#[test]
fn opening_can_be_interrupted() {
    let home = Home::regtest();
    {
        let node = home.open();
        mine(&node, 5);
        node.close().expect("flushes");
    }
    let error = home
        .try_open_with(|options| options.interrupt = Arc::new(true.into()))
        .err()
        .expect("is interrupted");
    assert!(matches!(error, OpenError::Interrupted), "{error}");
    assert_eq!(home.open().tip().height, 5);
}

#[test]
fn a_damaged_undo_record_is_found_by_level_two() {
    let home = Home::regtest();
    {
        let node = home.open_with(|options| options.blocks_xor = false);
        mine(&node, 5);
        node.close().expect("flushes");
    }
    let path = home.blocks().join("rev00000.dat");
    let mut file = fs::read(&path).expect("reads");
    // Magic, length, one byte for an empty record: then the checksum.
    file[12] ^= 1;
    fs::write(&path, file).expect("writes");
    let level = |level| {
        home.try_open_with(|options| {
            options.blocks_xor = false;
            options.check_level = level;
        })
    };
    assert!(level(1).is_ok());
    let error = level(2).err().expect("is found");
    assert_eq!(error.to_string(), "Corrupted block database detected");
}

#[test]
fn a_damaged_database_is_named() {
    let home = Home::regtest();
    {
        let node = home.open();
        mine(&node, 5);
        node.close().expect("flushes");
    }
    let current = home.dir.path().join("chainstate/CURRENT");
    let whole = fs::read(&current).expect("reads");
    fs::write(&current, "nonsense").expect("writes");
    let error = home.try_open_with(|_| {}).err().expect("is refused");
    assert_eq!(error.to_string(), "Error opening coins database");
    fs::write(&current, whole).expect("writes");
    let current = home.blocks().join("index/CURRENT");
    let whole = fs::read(&current).expect("reads");
    fs::write(&current, "nonsense").expect("writes");
    let error = home.try_open_with(|_| {}).err().expect("is refused");
    assert_eq!(error.to_string(), "Error opening block database");
    fs::write(&current, whole).expect("writes");
    assert_eq!(home.open().tip().height, 5);
    // Coins without the blocks that they come from.
    fs::remove_dir_all(home.blocks()).expect("removes");
    let error = home.try_open_with(|_| {}).err().expect("is refused");
    assert_eq!(error.to_string(), "Error initializing block database");
}

/// All entries of a database as they are stored.
fn entries(dir: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let db = Database::open(dir, 1 << 20).expect("opens");
    db.iter_from(&[])
        .expect("iterates")
        .map(|entry| entry.expect("reads"))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("creates");
    for entry in fs::read_dir(from).expect("lists") {
        let entry = entry.expect("lists");
        if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copies");
        }
    }
}

#[test]
fn an_index_that_contradicts_itself_is_not_gone_on_with() {
    let home = Home::regtest();
    let hash = {
        let node = home.open();
        let blocks = mine(&node, 10);
        node.close().expect("flushes");
        blocks[4].block_hash()
    };
    {
        // Of this one the scripts were not run, it says: those of its descendants were.
        let db = Database::open(&home.blocks().join("index"), 1 << 20).expect("opens");
        let key = [b"b", &hash[..]].concat();
        let mut record = db.get(&key).expect("reads").expect("is there");
        let (with_scripts, without) = ([0x80, 0x1d], [0x80, 0x1b]);
        let at = find(&record, &with_scripts);
        record[at..at + 2].copy_from_slice(&without);
        let mut batch = Batch::new();
        batch.put(key, record);
        db.write(&batch, Sync::Durable).expect("writes");
    }
    let error = home.try_open_with(|_| {}).err().expect("is refused");
    let reason = error.reason().expect("says more in the log");
    assert_eq!(
        reason,
        format!(
            "system error: corrupt block index: CheckBlockIndex: block {}: its scripts were run, but not those of a block before it",
            // The first that builds on it.
            home.open_with(|options| options.check_index = 0)
                .hash_at(6)
                .expect("is there")
        )
    );
}
