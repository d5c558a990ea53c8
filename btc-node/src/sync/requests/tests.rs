use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const START: Duration = Duration::from_secs(1000);

fn tx(number: u8) -> GenTxid {
    GenTxid::Wtxid(Wtxid::from_byte_array([number; 32]))
}

/// Asks a peer for all that is due.
fn ask(requests: &mut TxRequests, peer: u64, now: Duration) -> Vec<GenTxid> {
    requests.advance(now);
    let due = requests.due(PeerId(peer));
    for id in &due {
        requests.asked(PeerId(peer), &id.hash(), now + Duration::from_secs(60));
    }
    due
}

fn is_empty(requests: &TxRequests) -> bool {
    requests.tracked.is_empty() && requests.peers.is_empty() && requests.timers.is_empty()
}

#[test]
fn one_peer_at_a_time_is_asked_and_those_we_chose_first() {
    let mut requests = TxRequests::new(1);
    let later = START + Duration::from_secs(2);
    requests.announced(PeerId(1), tx(7), false, later);
    assert!(ask(&mut requests, 1, START).is_empty());
    requests.announced(PeerId(2), tx(7), true, later);
    requests.advance(later);
    assert!(requests.due(PeerId(1)).is_empty());
    assert_eq!(ask(&mut requests, 2, later), [tx(7)]);
    assert!(ask(&mut requests, 1, later).is_empty(), "another was asked");
    let expiry = later + Duration::from_secs(60);
    assert_eq!(requests.advance(expiry), [(PeerId(2), tx(7))]);
    assert_eq!(ask(&mut requests, 1, expiry), [tx(7)]);
    // Who was asked in vain is not asked again.
    requests.announced(PeerId(2), tx(7), true, expiry);
    requests.answered(PeerId(1), &tx(7).hash());
    assert!(is_empty(&requests));
}

#[test]
fn an_answer_or_an_end_lets_the_next_be_asked() {
    let mut requests = TxRequests::new(1);
    for peer in 1..=3 {
        requests.announced(PeerId(peer), tx(7), true, START);
    }
    let asked =
        |requests: &mut TxRequests| (1..=3).find(|peer| !ask(requests, *peer, START).is_empty());
    let first = asked(&mut requests).unwrap();
    requests.answered(PeerId(first), &tx(7).hash());
    let second = asked(&mut requests).unwrap();
    assert_ne!(first, second);
    requests.forget_peer(PeerId(second));
    let third = asked(&mut requests).unwrap();
    assert_eq!(first + second + third, 6);
    requests.forget(&tx(7).hash());
    assert!(is_empty(&requests));
}

#[derive(Clone, Debug)]
enum Step {
    Announce(u64, u8, bool, u64),
    Ask(u64),
    Answer(u64, u8),
    Forget(u8),
    Leave(u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (peer, id) = (0u64..4, 0u8..4);
    prop_oneof![
        4 => (peer.clone(), id.clone(), any::<bool>(), 0u64..5)
            .prop_map(|(peer, id, preferred, delay)| Step::Announce(peer, id, preferred, delay)),
        3 => peer.clone().prop_map(Step::Ask),
        2 => (peer.clone(), id.clone()).prop_map(|(peer, id)| Step::Answer(peer, id)),
        1 => id.prop_map(Step::Forget),
        1 => peer.prop_map(Step::Leave),
        3 => (0u64..40).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens, no transaction is asked of two at a time, nobody is asked for what he did not announce, and
    /// the counts agree with what is remembered.
    #[test]
    fn the_books_are_in_order(steps in proptest::collection::vec(step(), 1..80)) {
        let mut requests = TxRequests::new(9);
        let mut now = START;
        let mut asked: BTreeMap<u8, u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Announce(peer, id, preferred, delay) => {
                    requests.announced(PeerId(peer), tx(id), preferred, now + Duration::from_secs(delay));
                }
                Step::Ask(peer) => {
                    for (_, id) in requests.advance(now) {
                        asked.remove(&id.hash()[0]);
                    }
                    for id in ask(&mut requests, peer, now) {
                        prop_assert_eq!(asked.insert(id.hash()[0], peer), None);
                    }
                }
                Step::Answer(peer, id) => {
                    requests.answered(PeerId(peer), &tx(id).hash());
                    if asked.get(&id) == Some(&peer) {
                        asked.remove(&id);
                    }
                }
                Step::Forget(id) => {
                    requests.forget(&tx(id).hash());
                    asked.remove(&id);
                }
                Step::Leave(peer) => {
                    requests.forget_peer(PeerId(peer));
                    asked.retain(|_, other| *other != peer);
                    prop_assert_eq!(requests.count(PeerId(peer)), 0);
                }
                Step::Pass(seconds) => now += Duration::from_secs(seconds),
            }
            for peer in 0..4 {
                let in_flight = asked.values().filter(|other| **other == peer).count();
                prop_assert_eq!(requests.in_flight(PeerId(peer)), in_flight);
                prop_assert!(requests.count(PeerId(peer)) <= 4);
            }
        }
        for peer in 0..4 {
            requests.forget_peer(PeerId(peer));
        }
        prop_assert!(is_empty(&requests));
    }
}
