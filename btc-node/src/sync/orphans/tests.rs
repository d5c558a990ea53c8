use super::*;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Sequence, TxIn, TxOut, Witness};
use proptest::prelude::*;

/// Spends output 0 of the transactions with these numbers, and weighs some more.
fn orphan(parents: &[u32], extra: usize) -> Arc<Transaction> {
    let input = |parent: &u32| {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&parent.to_le_bytes());
        TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array(id), 0),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }
    };
    Arc::new(Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: parents.iter().map(input).collect(),
        output: vec![TxOut {
            value: Amount::ONE_SAT,
            script_pubkey: ScriptBuf::from_bytes(vec![0x6a; extra + 20]),
        }],
    })
}

fn work(orphanage: &mut Orphanage, peer: u64) -> usize {
    std::iter::from_fn(|| orphanage.next_ready(PeerId(peer))).count()
}

/// Counts everything anew.
fn check(orphanage: &Orphanage) {
    let mut weight = 0;
    let mut input_work = 0;
    let mut announcements = 0;
    let mut spent = BTreeSet::new();
    for (wtxid, orphan) in &orphanage.orphans {
        weight += orphan.weight();
        input_work += orphan.input_work();
        announcements += orphan.announcers.len();
        assert!(!orphan.announcers.is_empty());
        spent.extend(orphan.tx.input.iter().map(|input| input.previous_output));
        for (peer, number) in &orphan.announcers {
            let ready = orphan.ready == Some(*peer);
            assert!(
                orphanage.shares[peer]
                    .announcements
                    .contains(&(ready, *number, *wtxid))
            );
        }
    }
    assert_eq!(
        (weight, input_work),
        (orphanage.weight, orphanage.input_work)
    );
    assert_eq!(announcements, orphanage.announcements);
    assert_eq!(spent, orphanage.spenders.keys().copied().collect());
    let of_shares = orphanage.shares.values();
    let shares: usize = of_shares.map(|share| share.announcements.len()).sum();
    assert_eq!(shares, announcements);
    for share in orphanage.shares.values() {
        let txs = || {
            share
                .announcements
                .iter()
                .map(|(.., id)| &orphanage.orphans[id])
        };
        assert_eq!(share.weight, txs().map(Orphan::weight).sum::<u64>());
        assert_eq!(share.work, txs().map(|o| 1 + o.input_work()).sum::<usize>());
    }
    assert!(!orphanage.exceeds());
}

#[test]
fn a_child_is_judged_again_once_when_a_parent_comes() {
    let mut orphanage = Orphanage::default();
    let parent = orphan(&[1], 0);
    let mut child = Transaction::clone(&orphan(&[2, 3], 0));
    child.input[0].previous_output = OutPoint::new(parent.compute_txid(), 0);
    let child = Arc::new(child);
    orphanage.add(&child, PeerId(1));
    orphanage.add(&child, PeerId(2));
    assert!(orphanage.peers_with_work().is_empty());
    orphanage.parent_came(&parent, |_| 1);
    orphanage.parent_came(&parent, |_| 0);
    assert_eq!(orphanage.peers_with_work(), [PeerId(2)]);
    assert_eq!((work(&mut orphanage, 1), work(&mut orphanage, 2)), (0, 1));
    assert_eq!(
        orphanage.children_of(&parent.compute_txid(), PeerId(1)),
        std::slice::from_ref(&child)
    );
    assert!(
        orphanage
            .children_of(&parent.compute_txid(), PeerId(3))
            .is_empty()
    );
    check(&orphanage);
    // The last announcer takes it along.
    orphanage.forget_peer(PeerId(1));
    assert!(orphanage.contains(&child.compute_wtxid()));
    orphanage.forget_peer(PeerId(2));
    assert!(orphanage.orphans.is_empty() && orphanage.spenders.is_empty());
}

#[test]
fn a_flood_costs_the_one_who_makes_it() {
    let mut orphanage = Orphanage::default();
    let honest: Vec<_> = (0..40).map(|number| orphan(&[number], 0)).collect();
    for tx in &honest {
        orphanage.add(tx, PeerId(1));
    }
    for number in 1000..6000 {
        orphanage.add(&orphan(&[number], 0), PeerId(2));
    }
    assert!((1000..=MAX_WORK).contains(&orphanage.announcements));
    for number in 0..30 {
        orphanage.add(&orphan(&[9000 + number], 90_000), PeerId(3));
    }
    check(&orphanage);
    assert!(
        honest
            .iter()
            .all(|tx| orphanage.contains(&tx.compute_wtxid()))
    );
    assert!(orphanage.weight <= 3 * WEIGHT_PER_PEER);
    // Its oldest go first.
    assert!(!orphanage.contains(&orphan(&[1000], 0).compute_wtxid()));
    assert!(orphanage.contains(&orphan(&[5999], 0).compute_wtxid()));
    orphanage.add(&orphan(&[7], 120_000), PeerId(4));
    assert_eq!(orphanage.shares.len(), 3, "too heavy for anybody");
}

#[derive(Clone, Debug)]
enum Step {
    Add(u64, u32, usize, usize),
    Remove(u32),
    Leave(u64),
    Mine(u32),
    Work(u64),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn the_books_are_in_order(steps in proptest::collection::vec(
        prop_oneof![
            12 => (0u64..5, 0u32..60, 1usize..200, 0usize..90_000)
                .prop_map(|(peer, id, inputs, extra)| Step::Add(peer, id, inputs, extra)),
            1 => (0u32..60).prop_map(Step::Remove),
            1 => (0u64..5).prop_map(Step::Leave),
            1 => (0u32..60).prop_map(Step::Mine),
            2 => (0u64..5).prop_map(Step::Work),
        ], 1..60))
    {
        let mut orphanage = Orphanage::default();
        // A number stands for the same transaction always.
        let mut made: HashMap<u32, Arc<Transaction>> = HashMap::new();
        for step in steps {
            match step {
                Step::Add(peer, id, inputs, extra) => {
                    let inputs: Vec<u32> = (0u32..).take(inputs).map(|i| id * 1000 + i).collect();
                    let tx = made.entry(id).or_insert_with(|| orphan(&inputs, extra));
                    orphanage.add(tx, PeerId(peer));
                }
                Step::Remove(id) => {
                    if let Some(tx) = made.get(&id) {
                        orphanage.remove(&tx.compute_wtxid());
                    }
                }
                Step::Leave(peer) => orphanage.forget_peer(PeerId(peer)),
                Step::Mine(id) => {
                    if let Some(tx) = made.get(&id) {
                        let mut block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
                        block.txdata.push(Transaction::clone(tx));
                        orphanage.block_connected(&block);
                        prop_assert!(!orphanage.contains(&tx.compute_wtxid()));
                    }
                }
                Step::Work(peer) => {
                    work(&mut orphanage, peer);
                }
            }
            check(&orphanage);
        }
    }
}
