//! Whole chains with branches, handed block by block to a kernel and to a node.

use std::sync::{Arc, Mutex, PoisonError};

use bitcoin::consensus::serialize;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{Block, Network};
use bitcoinkernel::prelude::*;
use bitcoinkernel::{
    BLOCK_CHECK_ALL, BlockCheckResult, BlockValidationResult, BlockValidationStateRef, ChainType,
    ChainstateManager as Kernel, Context, ContextBuilder, ProcessBlockResult, ValidationMode,
};
use btc_consensus::{Chain, ChainParams, CheckBlockOptions, check_block};
use btc_node::chainstate::{ChainstateManager, Options, SubmitError, SubmitOptions, SystemClock};
use btc_node::notify::Notifier;
use btc_node::store::data_dir::DataDir;

use super::blocks::{self, MATURITY, Twist};
use super::random::Random;
use super::{Tally, hex};

/// Blocks with all branches, after those that make coins mature.
const STEPS: usize = 60;

/// What the kernel said of the blocks that it tried to connect since it was last asked.
type Checked = Arc<Mutex<Vec<([u8; 32], bool, BlockValidationResult)>>>;

/// Both engines, each on a directory of its own.
struct Pair {
    kernel: Kernel,
    kernel_params: bitcoinkernel::ChainParams,
    checked: Checked,
    node: ChainstateManager,
    params: ChainParams,
    _context: Context,
    _dirs: [tempfile::TempDir; 2],
}

/// Builds a tree of blocks and compares the tips after each.
pub fn compare(random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let pair = Pair::new().map_err(|error| format!("the engines do not start: {error}"))?;
    let mut nodes = vec![blocks::genesis(genesis_block(Network::Regtest).header)];
    for _ in 0..=MATURITY {
        let parent = nodes.last().expect("there is the genesis block").clone();
        let (block, coins) = blocks::block(random, &parent, Twist::None);
        pair.submit(&block, tally)?;
        nodes.push(blocks::node(&parent, &block, coins));
    }
    let trunk = nodes.len() - 1;
    let mut waiting: Vec<Block> = Vec::new();
    let mut tip = nodes[trunk].header.block_hash();
    for _ in 0..STEPS {
        // Mostly a recent block, at times one further down, on a branch or even on an invalid one.
        let parent = if random.once_in(4) {
            let from = trunk.saturating_sub(3);
            from + random.below(nodes.len() - from)
        } else {
            nodes.len() - 1 - random.below(2.min(nodes.len()))
        };
        let parent = nodes[parent].clone();
        let twist = Twist::any(random);
        let (block, coins) = blocks::block(random, &parent, twist);
        let mut node = blocks::node(&parent, &block, coins);
        node.valid = parent.valid && twist == Twist::None;
        if node.valid || random.once_in(6) {
            nodes.push(node);
        }
        if random.once_in(8) {
            // It comes later: what builds on it comes first.
            waiting.push(block);
        } else {
            pair.submit(&block, tally)?;
        }
        if random.once_in(6) && !waiting.is_empty() {
            let late = waiting.remove(random.below(waiting.len()));
            pair.submit(&late, tally)?;
        }
        let now = pair.node.tip();
        if now.hash != tip && now.header.prev_blockhash != tip {
            tally.reorganizations += 1;
        }
        tip = now.hash;
    }
    for late in waiting {
        pair.submit(&late, tally)?;
    }
    let closed = pair.node.close();
    closed.map_err(|error| format!("our node does not close: {error}"))?;
    tally.chains += 1;
    Ok(())
}

impl Pair {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let dirs = [tempfile::tempdir()?, tempfile::tempdir()?];
        let checked = Checked::default();
        let seen = Arc::clone(&checked);
        let context = ContextBuilder::new()
            .chain_type(ChainType::Regtest)
            .with_block_checked_validation(
                move |block: bitcoinkernel::Block, state: BlockValidationStateRef<'_>| {
                    let valid = state.mode() == ValidationMode::Valid;
                    let verdict = (block.hash().to_bytes(), valid, state.result());
                    seen.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(verdict);
                },
            )
            .build()?;
        let data = dirs[0].path().display().to_string();
        let kernel = Kernel::builder(&context, &data, &format!("{data}/blocks"))?
            .block_tree_db_in_memory(true)
            .chainstate_db_in_memory(true)
            .worker_threads(0)
            .build()?;
        kernel.import_blocks()?;

        let dir = DataDir::open(dirs[1].path(), Network::Regtest, None, "Oracle")?;
        let params = ChainParams::new(Chain::Regtest);
        let options = Options::new((&dir).into(), params.clone());
        let (clock, notifier) = (Arc::new(SystemClock::new()), Arc::new(Notifier::new()));
        Ok(Self {
            kernel,
            kernel_params: bitcoinkernel::ChainParams::new(ChainType::Regtest),
            checked,
            node: ChainstateManager::open(options, clock, notifier)?,
            params,
            _context: context,
            _dirs: dirs,
        })
    }

    /// Hands a block to both and compares what they say of it, and where they stand then.
    fn submit(&self, block: &Block, tally: &mut Tally) -> Result<(), String> {
        let bytes = serialize(block);
        let describe = |said: String| {
            format!(
                "{said}: block {} ({}) on {}",
                block.block_hash(),
                hex(&bytes),
                block.header.prev_blockhash
            )
        };
        let kernel_block = bitcoinkernel::Block::new(&bytes)
            .map_err(|error| describe(format!("the kernel does not read it: {error}")))?;

        let alone = kernel_block.check(&self.kernel_params, BLOCK_CHECK_ALL);
        let alone = matches!(alone, BlockCheckResult::Valid);
        let own = check_block(block, &CheckBlockOptions::default(), &self.params);
        if own.is_ok() != alone {
            return Err(describe(format!(
                "by itself, the kernel says {alone}, we {own:?}"
            )));
        }
        tally.blocks.add(alone);

        let hash = block.block_hash().to_byte_array();
        let checked = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked().clear();
        let result = self.kernel.process_block(&kernel_block);
        // A block that turns out invalid is followed by what is connected in its place.
        let said = std::mem::take(&mut *checked());
        let found_invalid = said.iter().any(|(of, valid, _)| *of == hash && !valid);
        let theirs = !matches!(result, ProcessBlockResult::Rejected) && !found_invalid;
        let options = SubmitOptions { force: true };
        let ours = self.node.submit_block(Arc::new(block.clone()), options);
        if let Err(error @ (SubmitError::Store(_) | SubmitError::Failed(_))) = &ours {
            return Err(describe(format!("our node failed: {error}")));
        }
        // A block on top of one that turned out invalid just now is bad too, which the kernel does not say of it.
        let on_invalid = theirs && said.iter().any(|(_, valid, _)| !valid);
        if ours.is_ok() != theirs && !on_invalid {
            return Err(describe(format!(
                "the kernel says {theirs} ({result:?}, {said:?}), we {ours:?}"
            )));
        }
        tally.submissions.add(theirs);
        let theirs = self.kernel.active_chain().tip().block_hash().to_bytes();
        let ours = self.node.tip().hash.to_byte_array();
        if ours != theirs {
            return Err(describe(format!(
                "after it, the kernel's tip is {}, ours {}",
                hex(&theirs),
                hex(&ours)
            )));
        }
        Ok(())
    }
}
