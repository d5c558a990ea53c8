use super::*;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TxIn, TxMerkleNode, TxOut, Txid, Witness};
use proptest::prelude::*;

fn tx(number: u8) -> Arc<Transaction> {
    let spends = if number == 0 {
        OutPoint::null()
    } else {
        OutPoint::new(Txid::from_byte_array([number; 32]), 0)
    };
    Arc::new(Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: spends,
            script_sig: ScriptBuf::from_bytes(vec![1, number]),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(number.into()),
            script_pubkey: ScriptBuf::from_bytes(vec![0x51; 40]),
        }],
    })
}

fn block(count: u8) -> Block {
    let mut header = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
    let mut block = Block {
        header,
        txdata: (0..count)
            .map(|number| Transaction::clone(&tx(number)))
            .collect(),
    };
    header.merkle_root = block
        .compute_merkle_root()
        .unwrap_or(TxMerkleNode::all_zeros());
    block.header = header;
    block
}

fn known(txs: &[Arc<Transaction>]) -> Vec<(Wtxid, Arc<Transaction>)> {
    txs.iter()
        .map(|tx| (tx.compute_wtxid(), Arc::clone(tx)))
        .collect()
}

fn look(
    compact: &HeaderAndShortIds,
    mempool: &[(Wtxid, Arc<Transaction>)],
    extra: &[(Wtxid, Arc<Transaction>)],
) -> Result<PartialBlock, PartialError> {
    fn pairs(
        known: &[(Wtxid, Arc<Transaction>)],
    ) -> impl Iterator<Item = (&Wtxid, &Arc<Transaction>)> {
        known.iter().map(|(wtxid, tx)| (wtxid, tx))
    }
    PartialBlock::new(compact, pairs(mempool), pairs(extra))
}

proptest! {
    #[test]
    fn whatever_is_here_the_rest_makes_the_block(
        here in proptest::collection::vec(0u8..3, 1..30),
        nonce: u64,
        first_filled: bool,
    ) {
        let count = u8::try_from(here.len()).unwrap();
        let block = block(count);
        let filled: &[usize] = if first_filled { &[] } else { &[0, 1][..usize::from(count.min(2))] };
        let compact = HeaderAndShortIds::from_block(&block, nonce, 2, filled).unwrap();
        let pick = |from| -> Vec<Arc<Transaction>> {
            (0..count).filter(|i| here[usize::from(*i)] == from).map(tx).collect()
        };
        let partial = look(&compact, &known(&pick(1)), &known(&pick(2))).unwrap();
        let missing = partial.missing();
        let sent: Vec<Transaction> =
            missing.iter().map(|place| block.txdata[usize::try_from(*place).unwrap()].clone()).collect();
        prop_assert_eq!(partial.complete(sent, false), Ok(block));
    }
}

#[test]
fn a_transaction_of_both_pools_is_no_collision_but_two_of_one_id_are() {
    let block = block(3);
    let compact = HeaderAndShortIds::from_block(&block, 1, 2, &[]).unwrap();
    let all = known(&[tx(1), tx(2)]);
    assert!(look(&compact, &all, &all).unwrap().missing().is_empty());
    // Two transactions under one id: which is meant only the peer can tell.
    let mut mempool = all.clone();
    mempool.insert(1, (all[0].0, tx(9)));
    assert_eq!(look(&compact, &mempool, &[]).unwrap().missing(), [1]);
    let other = vec![(all[0].0, tx(9))];
    let partial = look(&compact, &all[..1], &other).unwrap();
    assert_eq!(partial.missing(), [1, 2]);
}

#[test]
fn what_names_no_block_is_refused() {
    let block = block(3);
    let compact = HeaderAndShortIds::from_block(&block, 1, 2, &[]).unwrap();
    let mut none = compact.clone();
    none.short_ids.clear();
    none.prefilled_txs.clear();
    let mut beyond = compact.clone();
    beyond.prefilled_txs[0].idx = 3;
    let mut far = compact.clone();
    far.prefilled_txs = vec![far.prefilled_txs[0].clone(); 2];
    far.prefilled_txs[1].idx = u16::MAX;
    for wrong in [none, beyond, far] {
        assert_eq!(look(&wrong, &[], &[]).unwrap_err(), PartialError::Invalid);
    }
    let mut twice = compact.clone();
    twice.short_ids[1] = twice.short_ids[0];
    assert_eq!(look(&twice, &[], &[]).unwrap_err(), PartialError::Collision);
}

#[test]
fn what_is_sent_must_be_what_was_missing() {
    let block = block(3);
    let compact = HeaderAndShortIds::from_block(&block, 1, 2, &[]).unwrap();
    let new = || look(&compact, &known(&[tx(1)]), &[]).unwrap();
    let two = Transaction::clone(&tx(2));
    assert_eq!(new().complete(vec![], false), Err(PartialError::Invalid));
    let more = vec![two.clone(), two.clone()];
    assert_eq!(new().complete(more, false), Err(PartialError::Invalid));
    let other = vec![Transaction::clone(&tx(7))];
    assert_eq!(new().complete(other, false), Err(PartialError::Collision));
    assert_eq!(new().complete(vec![two], false), Ok(block));
}
