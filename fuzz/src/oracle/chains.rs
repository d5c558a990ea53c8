//! Whole chains with branches, handed block by block to a kernel and to a node.

use bitcoin::constants::genesis_block;
use bitcoin::{Block, Network};

use super::Tally;
use super::blocks::{self, MATURITY, Node, Twist};
use super::pair::Pair;
use super::random::Random;

/// Blocks with all branches, after those that make coins mature.
const STEPS: usize = 60;

/// Builds a tree of blocks and compares the tips after each.
pub fn compare(random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let (pair, mut nodes) = mature(random, tally)?;
    let trunk = nodes.len() - 1;
    let mut waiting: Vec<Block> = Vec::new();
    let mut submitted: Vec<Block> = Vec::new();
    let mut tip = nodes[trunk].header.block_hash();
    for _ in 0..STEPS {
        // Mostly a recent block, at times one further down, on a branch or even on an invalid one.
        let parent = if random.once_in(4) {
            let depth = random.pick(&[3, 3, 3, 20]);
            let from = trunk.saturating_sub(depth);
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
            pair.submit_header(&block.header, tally)?;
        }
        if random.once_in(16) {
            // It comes later: what builds on it comes first.
            waiting.push(block);
        } else {
            pair.submit(&block, tally)?;
            submitted.push(block);
        }
        if random.once_in(3) && !waiting.is_empty() {
            let late = waiting.remove(random.below(waiting.len()));
            pair.submit(&late, tally)?;
        }
        if random.once_in(16) && !submitted.is_empty() {
            // It is known already, as a good one or as a bad one.
            let again = &submitted[random.below(submitted.len())];
            pair.submit(again, tally)?;
            pair.submit_header(&again.header, tally)?;
        }
        let now = pair.tip();
        if now.hash != tip && now.header.prev_blockhash != tip {
            tally.reorganizations += 1;
        }
        tip = now.hash;
    }
    for late in waiting {
        pair.submit(&late, tally)?;
    }
    pair.close()?;
    tally.chains += 1;
    Ok(())
}

/// Both engines with a chain in which the first coins can be spent, and its blocks.
pub fn mature(random: &mut Random, tally: &mut Tally) -> Result<(Pair, Vec<Node>), String> {
    let pair = Pair::new().map_err(|error| format!("the engines do not start: {error}"))?;
    let mut nodes = vec![blocks::genesis(genesis_block(Network::Regtest).header)];
    for _ in 0..=MATURITY {
        let parent = nodes.last().expect("there is the genesis block").clone();
        let (block, coins) = blocks::block(random, &parent, Twist::None);
        pair.submit(&block, tally)?;
        nodes.push(blocks::node(&parent, &block, coins));
    }
    Ok((pair, nodes))
}
