//! The branch of a block's merkle tree that leads from the coinbase to the root.

use bitcoin::Block;
use bitcoin::hashes::{Hash, HashEngine, sha256d};

/// The hashes that the coinbase's id is joined with, one a level, leaf first: what a miner needs to find the merkle root
/// of the block with another coinbase. Empty for a block of the coinbase alone.
pub fn coinbase_path(block: &Block) -> Vec<sha256d::Hash> {
    let mut level: Vec<sha256d::Hash> = block
        .txdata
        .iter()
        .map(|tx| tx.compute_txid().to_raw_hash())
        .collect();
    let mut path = Vec::new();
    while level.len() > 1 {
        path.push(level[1]);
        level = level
            .chunks(2)
            .map(|pair| join(pair[0], *pair.last().unwrap_or(&pair[0])))
            .collect();
    }
    path
}

/// The parent of two hashes.
pub fn join(left: sha256d::Hash, right: sha256d::Hash) -> sha256d::Hash {
    let mut engine = sha256d::Hash::engine();
    engine.input(&left.to_byte_array());
    engine.input(&right.to_byte_array());
    sha256d::Hash::from_engine(engine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::absolute::LockTime;
    use bitcoin::constants::genesis_block;
    use bitcoin::{Network, Transaction, transaction};

    #[test]
    fn path_and_coinbase_give_the_root_for_any_number_of_transactions() {
        let mut block = genesis_block(Network::Regtest);
        for count in 1..=9 {
            let root = coinbase_path(&block)
                .into_iter()
                .fold(block.txdata[0].compute_txid().to_raw_hash(), join);
            let expected = block
                .compute_merkle_root()
                .expect("there are transactions")
                .to_raw_hash();
            assert_eq!(root, expected, "{count} transactions");
            block.txdata.push(Transaction {
                version: transaction::Version(count),
                lock_time: LockTime::ZERO,
                input: Vec::new(),
                output: Vec::new(),
            });
        }
    }
}
