//! The disk fails, writes short, runs full or is gone at each call that changes it: the node says so once and stops, and
//! the next one comes back with what was flushed and goes on to the same coins.
//!
//! Calls are many, so a run tries some of them; `BTC_NODE_FAULTS=all` tries all.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::Builder;
use bitcoin::{Amount, Block, BlockHash, ScriptBuf, TxOut};
use btc_node::chainstate::{ChainstateManager, Options};
use btc_node::notify::Event;
use btc_node::store::disk::{Call, Disk, Gate, Refusal};

use crate::support::{Home, Template, muhash, reward_of, seal, spend, submit};

/// What goes wrong at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It fails; later ones work.
    Fail,
    /// Half of it is written and it fails; later ones work.
    Short,
    /// There is no space from then on: half of it is written.
    Full,
    /// Nothing works from then on.
    Gone,
}

const FAULTS: [Fault; 4] = [Fault::Fail, Fault::Short, Fault::Full, Fault::Gone];

#[derive(Debug, Default)]
struct Counter {
    calls: u64,
    fault: Option<(u64, Fault)>,
    hit: Option<Call>,
}

#[derive(Debug, Default)]
struct Faulty(Mutex<Counter>);

impl Gate for Faulty {
    fn enter(&self, call: Call, _path: &Path) -> Result<(), Refusal> {
        let mut counter = self.0.lock().expect("unpoisoned");
        let number = counter.calls;
        counter.calls += 1;
        let Some((at, fault)) = counter.fault.filter(|(at, _)| number >= *at) else {
            return Ok(());
        };
        let grows = matches!(call, Call::Create | Call::Write);
        let refuse = match fault {
            Fault::Fail | Fault::Short => number == at,
            Fault::Full => grows,
            Fault::Gone => true,
        };
        if !refuse {
            return Ok(());
        }
        counter.hit.get_or_insert(call);
        let error = match fault {
            Fault::Full => io::Error::from_raw_os_error(28),
            _ => io::Error::from_raw_os_error(5),
        };
        let half = number == at && fault != Fault::Fail;
        Err(Refusal { error, half })
    }
}

/// Blocks to submit in this order, and the coins after each that becomes the tip.
struct Chain {
    blocks: Vec<Arc<Block>>,
    coins: HashMap<BlockHash, (u32, String)>,
    tip: BlockHash,
}

/// As large as a few to a block file of -fastprune.
fn large(template: Template) -> Arc<Block> {
    let mut block = Block::clone(&template.mine());
    let push = bitcoin::script::PushBytesBuf::try_from(vec![7; 9000]).expect("is short enough");
    let script_pubkey: ScriptBuf = Builder::new()
        .push_opcode(OP_RETURN)
        .push_slice(push)
        .into_script();
    block.txdata[0].output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey,
    });
    seal(&mut block);
    Arc::new(block)
}

/// Mines a trunk whose coins are spent, and a branch that takes over from within it.
fn make() -> Chain {
    let home = Home::regtest();
    let node = home.open();
    let mut chain = Chain {
        blocks: Vec::new(),
        coins: HashMap::new(),
        tip: node.tip().hash,
    };
    let note = |node: &ChainstateManager, chain: &mut Chain| {
        let tip = node.tip();
        chain.coins.insert(tip.hash, (tip.height, muhash(node)));
        chain.tip = tip.hash;
    };
    note(&node, &mut chain);
    // Plain blocks until the first coins are mature.
    for n in 0..100 {
        let tip = node.tip();
        let block = Template::after(&tip.header, tip.height).mine();
        submit(&node, &block).expect("is valid");
        chain.blocks.push(block);
        if n % 20 == 19 {
            note(&node, &mut chain);
        }
    }
    let fork = node.tip();
    for (tag, count) in [(1, 8), (2, 10)] {
        let (mut header, mut height) = (fork.header, fork.height);
        for n in 0..count {
            let reward = reward_of(&chain.blocks[n]);
            let transactions = vec![spend(&[reward], &[u64::from(tag), 5])];
            let block = large(Template {
                tag,
                transactions,
                ..Template::after(&header, height)
            });
            submit(&node, &block).expect("is valid");
            (header, height) = (block.header, height + 1);
            chain.blocks.push(block);
            note(&node, &mut chain);
        }
    }
    chain
}

fn settings(gate: &Arc<Faulty>) -> impl FnOnce(&mut Options) {
    let disk = Disk::gated(Arc::<Faulty>::clone(gate));
    move |options| {
        options.disk = disk;
        options.fast_prune = true;
        options.check_blocks = 3;
        // A flush in several batches.
        options.coins_writing.batch_bytes = 300;
    }
}

/// Opens, submits all blocks, flushes now and then, closes; up to the first failure, whose text it gives. The
/// height of the last flush that was reported comes with it.
fn work(home: &Home, chain: &Chain, gate: &Arc<Faulty>) -> (u32, Option<String>) {
    let node = match home.try_open_with(settings(gate)) {
        Ok(node) => node,
        Err(error) => return (0, Some(error.to_string())),
    };
    let fatal = Arc::new(Mutex::new(Vec::new()));
    let messages = Arc::clone(&fatal);
    let _guard = node.notifier().register(Arc::new(move |event: &Event| {
        if let Event::Fatal { message } = event {
            messages.lock().expect("unpoisoned").push(message.clone());
        }
    }));
    let mut flushed = 0;
    let mut attempt = || -> Result<(), String> {
        for (number, block) in chain.blocks.iter().enumerate() {
            submit(&node, block).map_err(|error| error.to_string())?;
            if number % 25 == 24 || number > 110 {
                node.flush().map_err(|error| error.to_string())?;
                flushed = node.tip().height;
            }
        }
        node.close().map_err(|error| error.to_string())
    };
    let failure = attempt().err();
    node.notifier().sync_with_queue();
    let messages = fatal.lock().expect("unpoisoned").clone();
    assert!(messages.len() <= 1, "it is said once: {messages:?}");
    if failure.is_some() {
        // Whatever failed has stopped the node: nothing more is taken.
        let after = submit(&node, &chain.blocks[chain.blocks.len() - 1]);
        assert!(after.is_err() || messages.is_empty(), "{messages:?}");
    }
    (flushed, failure)
}

#[test]
fn whatever_call_fails_the_next_start_has_what_was_flushed() {
    let chain = make();
    let calls = {
        let home = Home::regtest();
        let gate = Arc::new(Faulty::default());
        let (_, failure) = work(&home, &chain, &gate);
        assert_eq!(failure, None);
        gate.0.lock().expect("unpoisoned").calls
    };
    assert!(calls > 100, "{calls}");
    let step = match std::env::var_os("BTC_NODE_FAULTS") {
        Some(_) => 1,
        None => (calls / 24).max(1) as usize,
    };
    let mut hits = 0;
    for (round, at) in (0..calls).step_by(step).enumerate() {
        let faults = match step {
            1 => &FAULTS[..],
            _ => &FAULTS[round % 4..][..1],
        };
        for &fault in faults {
            let what = format!("{fault:?} at call {at} of {calls}");
            let home = Home::regtest();
            let gate = Arc::new(Faulty::default());
            gate.0.lock().expect("unpoisoned").fault = Some((at, fault));
            let (flushed, failure) = work(&home, &chain, &gate);
            let hit = gate.0.lock().expect("unpoisoned").hit;
            hits += u32::from(hit.is_some());
            if failure.is_none() {
                // What is deleted late, or compacted behind, is tried again later.
                assert_ne!(fault, Fault::Gone, "{what}: {hit:?} went unnoticed");
            }
            let node = home
                .try_open_with(settings(&Arc::default()))
                .unwrap_or_else(|error| panic!("{what} ({hit:?}, {failure:?}): {error}"));
            node.recover_blocks()
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            let tip = node.tip();
            assert!(
                tip.height >= flushed,
                "{what}: {} after {flushed} was flushed",
                tip.height
            );
            if let Some((_, coins)) = chain.coins.get(&tip.hash) {
                assert_eq!(muhash(&node), *coins, "{what}");
            }
            for block in &chain.blocks {
                // Some are known.
                let _ = submit(&node, block);
            }
            assert_eq!(node.tip().hash, chain.tip, "{what}");
            assert_eq!(muhash(&node), chain.coins[&chain.tip].1, "{what}");
        }
    }
    assert!(hits > 10, "{hits}");
}
