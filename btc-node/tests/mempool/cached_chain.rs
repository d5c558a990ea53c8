//! The chain that Core's functional tests start from, bit for bit.

use crate::harness::Node;
use bitcoin::{Address, Network};
use btc_node::chainstate::{UtxoHash, UtxoHashKind};

const ADDRESSES: [&str; 4] = [
    "mjTkW3DjgyZck4KbiRusZsqTgaYTxdSz6z",
    "msX6jQXvxiNhx3Q62PKeLPrhrqZQdSimTg",
    "mnonCMyH9TmAsSj3M59DsbH8H63U3RKoFP",
    "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka",
];

#[test]
fn the_199_blocks_have_cores_hashes() {
    let node = Node::new();
    node.clock.set_mock(Some(i64::from(node.chain.tip().time)));
    let mut hashes = Vec::new();
    for round in 0..8 {
        let address: Address<_> = ADDRESSES[round % 4].parse().unwrap();
        let script = address
            .require_network(Network::Regtest)
            .unwrap()
            .script_pubkey();
        hashes.extend(node.generate_to(&script, if round == 7 { 24 } else { 25 }));
    }
    let expected: Vec<&str> = include_str!("data/cached-chain-hashes.txt")
        .lines()
        .map(|line| line.split_once(' ').unwrap().1)
        .collect();
    assert_eq!(expected.len(), 199);
    for (index, (hash, expected)) in hashes.iter().zip(&expected).enumerate() {
        assert_eq!(hash.to_string(), *expected, "at height {}", index + 1);
    }
    assert_eq!(hashes.len(), expected.len());

    // Known for this chain too: the digests that Core's assumeutxo tests rest on.
    let digest = |kind| node.chain.utxo_stats(kind).unwrap().unwrap().hash;
    let UtxoHash::HashSerialized3(serialized) = digest(UtxoHashKind::HashSerialized3) else {
        panic!()
    };
    assert!(serialized.to_string().starts_with("b39c1e09"));
    assert!(serialized.to_string().ends_with("33e469d1"));
    let UtxoHash::MuHash(muhash) = digest(UtxoHashKind::MuHash) else {
        panic!()
    };
    assert!(muhash.to_string().starts_with("36534f06"));
    assert!(muhash.to_string().ends_with("961c79"));
}
