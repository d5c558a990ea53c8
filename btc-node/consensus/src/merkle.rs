//! Merkle trees.

use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::{Block, Wtxid};

/// The root of a tree, and whether the leaves may be another list's with the same root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MerkleRoot {
    /// The root; zero for no leaves.
    pub root: [u8; 32],
    /// Whether two neighbours are equal at some level. A level with an odd number of nodes repeats
    /// its last, so a list that repeats its own end can have the same root (CVE-2012-2459).
    pub mutated: bool,
}

/// The root over these leaves.
pub fn merkle_root(mut nodes: Vec<[u8; 32]>) -> MerkleRoot {
    let mut mutated = false;
    while nodes.len() > 1 {
        mutated |= nodes.chunks_exact(2).any(|pair| pair[0] == pair[1]);
        let parents = nodes.len().div_ceil(2);
        for parent in 0..parents {
            let left = nodes[2 * parent];
            let right = nodes.get(2 * parent + 1).copied().unwrap_or(left);
            nodes[parent] = combine(&left, &right);
        }
        nodes.truncate(parents);
    }
    MerkleRoot {
        root: nodes.first().copied().unwrap_or([0; 32]),
        mutated,
    }
}

/// The root over a block's transactions without their witnesses.
pub fn block_root(block: &Block) -> MerkleRoot {
    merkle_root(
        block
            .txdata
            .iter()
            .map(|tx| tx.compute_txid().to_byte_array())
            .collect(),
    )
}

/// The root over a block's transactions with their witnesses, the coinbase taken as zero (BIP 141).
pub fn witness_root(block: &Block) -> [u8; 32] {
    witness_root_over(block.txdata.iter().map(|tx| tx.compute_wtxid()))
}

/// The root over ids with witnesses, the first taken as zero (BIP 141); it is not asked for.
pub(crate) fn witness_root_over(wtxids: impl Iterator<Item = Wtxid>) -> [u8; 32] {
    let mut leaves: Vec<_> = vec![[0; 32]];
    leaves.extend(wtxids.skip(1).map(|wtxid| wtxid.to_byte_array()));
    merkle_root(leaves).root
}

/// The nodes beside the path from a leaf to the root, the lowest first.
///
/// `None` if there is no such leaf.
pub fn merkle_branch(mut nodes: Vec<[u8; 32]>, leaf: usize) -> Option<Vec<[u8; 32]>> {
    if leaf >= nodes.len() {
        return None;
    }
    let mut branch = Vec::new();
    let mut position = leaf;
    while nodes.len() > 1 {
        let sibling = position ^ 1;
        branch.push(nodes.get(sibling).copied().unwrap_or(nodes[position]));
        let parents = nodes.len().div_ceil(2);
        for parent in 0..parents {
            let left = nodes[2 * parent];
            let right = nodes.get(2 * parent + 1).copied().unwrap_or(left);
            nodes[parent] = combine(&left, &right);
        }
        nodes.truncate(parents);
        position /= 2;
    }
    Some(branch)
}

fn combine(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut engine = sha256d::Hash::engine();
    engine.input(left);
    engine.input(right);
    sha256d::Hash::from_engine(engine).to_byte_array()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u8) -> Vec<[u8; 32]> {
        (0..count).map(|leaf| [leaf; 32]).collect()
    }

    #[test]
    fn a_repeated_end_has_the_same_root_and_is_noticed() {
        let honest = merkle_root(leaves(6));
        let mut repeated = leaves(6);
        repeated.extend([[4; 32], [5; 32]]);
        let repeated = merkle_root(repeated);
        assert_eq!(honest.root, repeated.root);
        assert!(!honest.mutated);
        assert!(repeated.mutated);
    }

    #[test]
    fn small_trees() {
        assert_eq!(merkle_root(Vec::new()).root, [0; 32]);
        assert_eq!(merkle_root(leaves(1)).root, [0; 32]);
        assert_eq!(merkle_root(leaves(2)).root, combine(&[0; 32], &[1; 32]));
        assert_eq!(merkle_branch(leaves(2), 2), None);
    }

    proptest! {
        #[test]
        fn branches_lead_to_the_root(count in 1..40u8, pick: prop::sample::Index) {
            let leaf = pick.index(usize::from(count));
            let branch = merkle_branch(leaves(count), leaf).unwrap();
            let mut position = leaf;
            let node = branch.iter().fold(leaves(count)[leaf], |node, sibling| {
                let parent = if position % 2 == 0 {
                    combine(&node, sibling)
                } else {
                    combine(sibling, &node)
                };
                position /= 2;
                parent
            });
            prop_assert_eq!(node, merkle_root(leaves(count)).root);
        }
    }
}
