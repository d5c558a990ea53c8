//! Whatever is done to a tree of blocks, the active chain is a longest valid one and the coins are its own.

use std::sync::Arc;

use bitcoin::Block;
use btc_node::chainstate::{ChainstateManager, SubmitError, UtxoHashKind};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{Home, Template, reward_of, submit};

#[derive(Clone, Debug)]
enum Step {
    /// A block on any block, likely a late one.
    Extend(Index, bool),
    Invalidate(Index),
    Reconsider(Index),
    Prefer(Index),
    Flush,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<Index>(), any::<bool>()).prop_map(|(at, late)| Step::Extend(at, late)),
        2 => any::<Index>().prop_map(Step::Invalidate),
        2 => any::<Index>().prop_map(Step::Reconsider),
        1 => any::<Index>().prop_map(Step::Prefer),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

/// What a node should think of a tree of blocks.
struct Model {
    /// Parent, height and mark of each block; the first is the genesis block.
    blocks: Vec<(Option<usize>, u32, bool)>,
    known: Vec<Arc<Block>>,
}

impl Model {
    fn ancestors(&self, mut at: usize) -> Vec<usize> {
        let mut path = vec![at];
        while let Some(parent) = self.blocks[at].0 {
            path.push(parent);
            at = parent;
        }
        path
    }

    fn is_valid(&self, at: usize) -> bool {
        self.ancestors(at)
            .iter()
            .all(|block| !self.blocks[*block].2)
    }

    fn best_height(&self) -> u32 {
        let valid = (0..self.blocks.len()).filter(|block| self.is_valid(*block));
        valid
            .map(|block| self.blocks[block].1)
            .max()
            .expect("the genesis block is valid")
    }

    fn check(&self, node: &ChainstateManager) {
        let tip = node.tip();
        assert_eq!(tip.height, self.best_height());
        let at = self
            .known
            .iter()
            .position(|block| block.block_hash() == tip.hash);
        let at = at.expect("the tip is one of the blocks");
        assert!(self.is_valid(at));
        let active = self.ancestors(at);
        for (n, block) in self.known.iter().enumerate().skip(1) {
            let unspent = node.coin(&reward_of(block)).expect("reads").is_some();
            assert_eq!(unspent, active.contains(&n), "block {n}");
        }
        let stats = node.utxo_stats(UtxoHashKind::None).expect("computes");
        assert_eq!(
            stats.expect("is not interrupted").tx_outs,
            u64::from(tip.height)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_active_chain_is_a_longest_valid_one(steps in proptest::collection::vec(step(), 1..40)) {
        let home = Home::regtest();
        let mut node = home.open();
        let genesis = node.params().genesis.clone();
        let mut model = Model { blocks: vec![(None, 0, false)], known: vec![Arc::new(genesis)] };
        for step in steps {
            // A mark on the genesis block is refused, so the first block takes its place.
            let count = model.known.len();
            let pick = |at: &Index| at.index(count).max(1).min(count - 1);
            match step {
                Step::Extend(at, late) => {
                    let parent = if late { count - 1 - at.index(count.min(3)) } else { at.index(count) };
                    let prev = Arc::clone(&model.known[parent]);
                    let height = model.blocks[parent].1;
                    let block =
                        Template { tag: count as u32, ..Template::after(&prev.header, height) }.mine();
                    let before = node.tip();
                    match submit(&node, &block) {
                        Ok(accepted) => {
                            prop_assert!(model.is_valid(parent));
                            prop_assert_eq!(accepted.tip, height + 1 > before.height);
                            model.blocks.push((Some(parent), height + 1, false));
                            model.known.push(block);
                        }
                        Err(SubmitError::Rejected(rejection)) => {
                            prop_assert!(!model.is_valid(parent));
                            prop_assert_eq!(rejection.reject_reason(), "bad-prevblk");
                        }
                        Err(error) => panic!("not the block's fault: {error}"),
                    }
                }
                Step::Invalidate(_) | Step::Reconsider(_) | Step::Prefer(_) if count == 1 => {}
                Step::Invalidate(at) => {
                    let at = pick(&at);
                    node.invalidate_block(&model.known[at].block_hash()).expect("works");
                    // Everything on it is marked too: valid again only by its own or its descendants' word.
                    for n in 0..count {
                        model.blocks[n].2 |= model.ancestors(n).contains(&at);
                    }
                }
                Step::Reconsider(at) => {
                    let at = pick(&at);
                    node.reconsider_block(&model.known[at].block_hash()).expect("works");
                    for n in 0..count {
                        let related = model.ancestors(n).contains(&at) || model.ancestors(at).contains(&n);
                        model.blocks[n].2 &= !related;
                    }
                }
                Step::Prefer(at) => {
                    let at = pick(&at);
                    node.precious_block(&model.known[at].block_hash()).expect("works");
                    if model.is_valid(at) && model.blocks[at].1 == model.best_height() {
                        prop_assert_eq!(node.tip().hash, model.known[at].block_hash());
                    }
                }
                Step::Flush => node.flush().expect("flushes"),
                Step::Reopen => {
                    let tip = node.tip().hash;
                    node.close().expect("flushes");
                    drop(node);
                    node = home.open();
                    prop_assert_eq!(node.tip().hash, tip, "ties are kept over a restart");
                }
            }
            model.check(&node);
        }
        node.verify_chain(4, 0).expect("is sound");
    }
}
