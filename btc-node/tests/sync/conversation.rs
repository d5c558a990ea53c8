//! One node, and a peer that says what the test says.

use crate::simulator::{Node, START};
use bitcoin::hashes::Hash;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{Amount, Block, BlockHash, Txid, Wtxid};
use btc_node::net::message::{Command, Locator, no_stop};
use btc_node::net::{Message, Version};
use btc_node::sync::{Action, ConnectionKind, Event, NewPeer, PeerId, Permissions};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const PEER: PeerId = PeerId(0);

struct Talk {
    node: Node,
    now: Duration,
}

fn theirs(version: u32) -> Message {
    Message::Version(Box::new(Version {
        version,
        nonce: 5,
        ..Version::new(
            SocketAddr::from(([10, 0, 0, 1], 18444)).into(),
            START as i64,
        )
    }))
}

impl Talk {
    fn new(kind: ConnectionKind, permissions: Permissions) -> (Self, Vec<Action>) {
        let mut talk = Self {
            node: Node::new(0, |_| {}),
            now: Duration::from_secs(START),
        };
        let address = SocketAddr::from(([10, 0, 0, 1], 18444)).into();
        let mut peer = NewPeer::new(PEER, kind, address);
        peer.permissions = permissions;
        let actions = talk.tell(Event::Connected(peer));
        (talk, actions)
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        self.node.peers.handle(self.now, event)
    }

    fn say(&mut self, message: Message) -> Vec<Action> {
        self.tell(Event::Received(PEER, message))
    }

    /// A peer that made the connection and shook hands, on a chain of `blocks` blocks.
    fn with_chain(blocks: u64, permissions: Permissions) -> Self {
        let (mut talk, _) = Self::new(ConnectionKind::Inbound, permissions);
        talk.node.generate(blocks);
        talk.say(theirs(70_016));
        talk.say(Message::WtxidRelay);
        talk.say(Message::Verack);
        talk.node.take_events();
        talk
    }
}

fn names(actions: &[Action]) -> Vec<&'static str> {
    actions
        .iter()
        .map(|action| match action {
            Action::Send(_, message) => message.name(),
            Action::Disconnect(_) => "(disconnect)",
            Action::Discourage(_) => "(discourage)",
        })
        .collect()
}

#[test]
fn whoever_connects_speaks_first_and_features_come_before_verack() {
    let (mut talk, first) = Talk::new(ConnectionKind::Inbound, Permissions::default());
    assert!(first.is_empty());
    assert!(talk.say(Message::Ping(1)).is_empty(), "no version yet");
    let answer = talk.say(theirs(70_016));
    assert_eq!(
        names(&answer),
        ["version", "wtxidrelay", "sendaddrv2", "verack"]
    );
    assert!(talk.say(Message::Ping(1)).is_empty(), "no verack yet");
    let answer = talk.say(Message::Verack);
    assert_eq!(&names(&answer)[..2], ["sendcmpct", "ping"]);
    let late = talk.say(Message::WtxidRelay);
    assert_eq!(names(&late), ["(disconnect)"]);

    let (mut talk, first) = Talk::new(ConnectionKind::Manual, Permissions::default());
    assert_eq!(names(&first), ["version"]);
    let answer = talk.say(theirs(70_015));
    assert_eq!(names(&answer), ["verack", "getaddr"]);
}

#[test]
fn obsolete_and_silent_peers_are_let_go() {
    let (mut talk, _) = Talk::new(ConnectionKind::Inbound, Permissions::default());
    assert_eq!(names(&talk.say(theirs(31_799))), ["(disconnect)"]);

    let (mut talk, _) = Talk::new(ConnectionKind::Inbound, Permissions::default());
    talk.now += Duration::from_secs(60);
    assert!(talk.tell(Event::Tick).is_empty());
    talk.now += Duration::from_secs(1);
    assert_eq!(names(&talk.tell(Event::Tick)), ["(disconnect)"]);
}

#[test]
fn an_unanswered_ping_ends_the_connection() {
    let mut talk = Talk::with_chain(1, Permissions::default());
    for _ in 0..20 {
        talk.now += Duration::from_secs(60);
        let actions = talk.say(Message::Pong(Some(1)));
        assert!(!names(&actions).contains(&"(disconnect)"));
    }
    talk.now += Duration::from_secs(61);
    assert!(names(&talk.tell(Event::Tick)).contains(&"(disconnect)"));
}

#[test]
fn headers_and_blocks_are_served_from_where_the_peer_is() {
    let mut talk = Talk::with_chain(5, Permissions::default());
    let genesis = talk.node.chain.hash_at(0).unwrap();
    let locator = |hash| Locator {
        hashes: vec![hash],
        stop: no_stop(),
    };
    let answer = talk.say(Message::GetHeaders(locator(genesis)));
    let Some(Action::Send(_, Message::Headers(headers))) = answer.first() else {
        panic!("{answer:?}");
    };
    assert_eq!(headers.len(), 5);
    let answer = talk.say(Message::GetBlocks(locator(genesis)));
    let Some(Action::Send(_, Message::Inv(items))) = answer.first() else {
        panic!("{answer:?}");
    };
    assert_eq!(items.len(), 5);
    let tip = talk.node.tip();
    let answer = talk.say(Message::GetData(vec![Inventory::WitnessBlock(tip)]));
    let Some(Action::Send(_, Message::Block(block))) = answer.first() else {
        panic!("{answer:?}");
    };
    assert_eq!(block.block_hash(), tip);
    let unknown = BlockHash::from_byte_array([9; 32]);
    let answer = talk.say(Message::GetData(vec![Inventory::WitnessBlock(unknown)]));
    assert!(answer.is_empty());
}

#[test]
fn a_congested_peer_is_served_later() {
    let mut talk = Talk::with_chain(1, Permissions::default());
    let tip = talk.node.tip();
    talk.tell(Event::Congested(PEER, true));
    assert!(
        talk.say(Message::GetData(vec![Inventory::WitnessBlock(tip)]))
            .is_empty()
    );
    let answer = talk.tell(Event::Congested(PEER, false));
    assert_eq!(names(&answer), ["block"]);
}

#[test]
fn transactions_are_given_only_to_those_who_were_told() {
    let mut talk = Talk::with_chain(
        102,
        Permissions {
            no_ban: true,
            ..Permissions::default()
        },
    );
    let tx = talk.node.spend_coinbase(1);
    let wtxid = tx.compute_wtxid();
    let node = &talk.node;
    node.mempool
        .submit(&node.chain, Arc::new(tx.clone()))
        .unwrap();
    let want = || Message::GetData(vec![Inventory::WTx(wtxid)]);
    assert_eq!(names(&talk.say(want())), ["notfound"], "nobody was told");
    let told = talk.tell(Event::Broadcast(Arc::new(tx)));
    assert_eq!(
        told.last(),
        Some(&Action::Send(
            PEER,
            Message::Inv(vec![Inventory::WTx(wtxid)])
        ))
    );
    assert_eq!(names(&talk.say(want())), ["tx"]);
    let other = Message::GetData(vec![Inventory::Transaction(Txid::from_byte_array([1; 32]))]);
    assert_eq!(names(&talk.say(other)), ["notfound"]);
}

#[test]
fn an_announced_transaction_is_asked_for_after_a_while_and_once() {
    let mut talk = Talk::with_chain(102, Permissions::default());
    let wtxid = Wtxid::from_byte_array([3; 32]);
    assert!(
        talk.say(Message::Inv(vec![Inventory::WTx(wtxid)]))
            .is_empty()
    );
    talk.now += Duration::from_secs(2);
    let asked = talk.tell(Event::Tick);
    assert!(asked.contains(&Action::Send(
        PEER,
        Message::GetData(vec![Inventory::WTx(wtxid)])
    )));
    assert!(!names(&talk.tell(Event::Tick)).contains(&"getdata"));
}

#[test]
fn who_sent_a_block_that_turns_out_invalid_only_later_is_let_go() {
    let mut talk = Talk::with_chain(3, Permissions::default());
    let tip = talk.node.tip();
    let last = talk.node.chain.read_block(&tip).unwrap().unwrap();
    let changed = |change: &dyn Fn(&mut Block)| {
        let mut block = last.clone();
        change(&mut block);
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        while block.header.validate_pow(block.header.target()).is_err() {
            block.header.nonce += 1;
        }
        block
    };
    // It takes too much, which shows when it is connected: not before a block makes it part of the longest chain.
    let greedy = changed(&|block| block.txdata[0].output[0].value += Amount::ONE_SAT);
    let next = changed(&|block| {
        block.header.prev_blockhash = greedy.block_hash();
        block.header.time += 1;
        let mut script = block.txdata[0].input[0].script_sig.to_bytes();
        assert_eq!(script[0], 0x53, "the height");
        script[0] = 0x54;
        block.txdata[0].input[0].script_sig = script.into();
    });
    let actions = talk.say(Message::Block(Arc::new(greedy)));
    assert!(!names(&actions).contains(&"(disconnect)"));
    talk.say(Message::Block(Arc::new(next)));
    let mut actions = Vec::new();
    for event in talk.node.take_events() {
        actions.extend(talk.tell(event));
    }
    let ends = ["(discourage)", "(disconnect)"];
    assert!(
        names(&actions).windows(2).any(|pair| pair == ends),
        "{actions:?}"
    );
    assert_eq!(talk.node.tip(), tip);
}

#[test]
fn what_no_honest_peer_sends_ends_the_connection() {
    let command = |name| Command::new(name).unwrap();
    let other = |name| Message::Other {
        command: command(name),
        // A kind, a height, a hash.
        payload: vec![0; 37],
    };
    let filtered = Message::GetData(vec![Inventory::Unknown {
        inv_type: 3,
        hash: [1; 32],
    }]);
    for message in [
        Message::FilterClear,
        other("getcfilters"),
        Message::Mempool,
        filtered,
    ] {
        let mut talk = Talk::with_chain(1, Permissions::default());
        assert_eq!(names(&talk.say(message)), ["(disconnect)"]);
    }
    let mut talk = Talk::with_chain(1, Permissions::default());
    assert!(talk.say(other("unheardof")).is_empty());

    let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
    let mut unmined = genesis;
    while unmined.validate_pow(unmined.target()).is_ok() {
        unmined.nonce += 1;
    }
    for headers in [vec![unmined], vec![genesis, genesis]] {
        let mut talk = Talk::with_chain(1, Permissions::default());
        let actions = talk.say(Message::Headers(headers));
        assert_eq!(names(&actions), ["(discourage)", "(disconnect)"]);
    }
    let mut talk = Talk::with_chain(1, Permissions::default());
    let mut many = vec![0xfd, 0x51, 0xc3];
    many.resize(3 + 36 * 50_001, 0);
    let inv = Message::decode(command("inv"), &many).unwrap_err();
    let actions = talk.tell(Event::Malformed(PEER, inv));
    assert_eq!(names(&actions), ["(discourage)", "(disconnect)"]);
}
