//! A chain that grows and changes its branch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::Builder;
use bitcoin::{Amount, Block, BlockHash, ScriptBuf, TxOut};
use btc_node::chainstate::{ChainstateManager, Options};
use btc_node::notify::Event;

use super::gate::{Faulty, inject};
use crate::support::{Home, Template, muhash, reward_of, seal, spend, submit};

/// Blocks to submit in this order, and the coins after each that becomes the tip.
pub(super) struct Chain {
    pub(super) blocks: Vec<Arc<Block>>,
    pub(super) coins: HashMap<BlockHash, (u32, String)>,
    pub(super) tip: BlockHash,
}

impl Chain {
    /// Checks that a node can go on to the end of the chain, and has the chain's coins there.
    pub(super) fn finish(&self, node: &ChainstateManager) {
        if let Some((_, coins)) = self.coins.get(&node.tip().hash) {
            assert_eq!(muhash(node), *coins, "as found");
        }
        for block in &self.blocks {
            // Some are known.
            let _ = submit(node, block);
        }
        assert_eq!(node.tip().hash, self.tip, "the tip");
        assert_eq!(muhash(node), self.coins[&self.tip].1, "at the end");
    }
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
pub(super) fn make() -> Chain {
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

pub(super) fn settings(gate: &Arc<Faulty>) -> impl FnOnce(&mut Options) {
    let disk = gate.disk();
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
    inject(12, |gate| {
        let home = Home::regtest();
        let (flushed, failure) = work(&home, &chain, gate);
        gate.judge(failure.is_some(), &failure);
        let node = home
            .try_open_with(settings(&Arc::default()))
            .unwrap_or_else(|error| panic!("after {failure:?}: {error}"));
        node.recover_blocks().expect("recovers");
        let height = node.tip().height;
        assert!(height >= flushed, "{height} after {flushed} was flushed");
        chain.finish(&node);
    });
}
