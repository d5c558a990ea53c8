//! Peers that send anything at all: nothing panics, and what is remembered of it is bounded.

use crate::simulator::{MAGIC, Node, START};
use bitcoin::hashes::Hash;
use bitcoin::key::rand::rngs::StdRng;
use bitcoin::key::rand::{Rng, RngCore, SeedableRng};
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{BlockHash, OutPoint, Transaction, Txid, Wtxid};
use btc_node::net::message::Command;
use btc_node::net::{Message, Version, frame};
use btc_node::sync::{Action, ConnectionKind, Event, NewPeer, PeerId, Permissions};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const NAMES: &[&str] = &[
    "version",
    "verack",
    "addr",
    "addrv2",
    "sendaddrv2",
    "getaddr",
    "inv",
    "getdata",
    "notfound",
    "getblocks",
    "getheaders",
    "headers",
    "sendheaders",
    "block",
    "tx",
    "mempool",
    "ping",
    "pong",
    "feefilter",
    "wtxidrelay",
    "sendcmpct",
    "cmpctblock",
    "getblocktxn",
    "blocktxn",
    "feature",
    "sendtxrcncl",
    "filterload",
    "filteradd",
    "filterclear",
    "merkleblock",
    "getcfilters",
    "getcfheaders",
    "getcfcheckpt",
    "unheardof",
];

struct Victim {
    node: Node,
    now: Duration,
    /// Messages that the node really gave away; changed, they are most likely to be nearly right.
    seen: Vec<(Command, Vec<u8>)>,
}

impl Victim {
    fn new() -> Self {
        let node = Node::new(0, |_| {});
        node.generate(105);
        node.take_events();
        Self {
            node,
            now: Duration::from_secs(START + 1000),
            seen: Vec::new(),
        }
    }

    /// Gives an event; says whether the peer is let go.
    fn tell(&mut self, event: Event) -> bool {
        let mut gone = false;
        for action in self.node.peers.handle(self.now, event) {
            match action {
                Action::Send(_, message) => {
                    // It must be one that can be sent.
                    let bytes = frame::encode(MAGIC, &message);
                    assert!(bytes.len() < 5_000_000);
                    if self.seen.len() < 200 {
                        self.seen.push((message.command(), message.encode()));
                    }
                }
                Action::Disconnect(_) => gone = true,
                Action::Discourage(_) => {}
            }
        }
        self.node.take_events();
        gone
    }

    fn connect(&mut self, id: PeerId, rng: &mut StdRng) {
        let kinds = [
            ConnectionKind::Inbound,
            ConnectionKind::OutboundFullRelay,
            ConnectionKind::BlockRelayOnly,
        ];
        let address = SocketAddr::from(([10, 0, rng.r#gen(), rng.r#gen()], 18444)).into();
        let mut peer = NewPeer::new(id, kinds[rng.gen_range(0..3)], address);
        // One that is never punished can do most.
        if rng.r#gen() {
            peer.permissions = Permissions::ALL;
        }
        self.tell(Event::Connected(peer));
        let version = Version {
            services: bitcoin::p2p::ServiceFlags::from(rng.next_u64() | 9),
            nonce: rng.r#gen(),
            start_height: rng.r#gen(),
            ..Version::new(address, START as i64)
        };
        let say = |message| Event::Received(id, message);
        self.tell(say(Message::Version(Box::new(version))));
        if rng.r#gen() {
            self.tell(say(Message::WtxidRelay));
        }
        self.tell(say(Message::Verack));
        self.tell(say(Message::SendCmpct {
            announce: 1,
            version: 2,
        }));
    }

    /// Bytes that are random, or a message of the node's own with some of them changed.
    fn payload(&self, rng: &mut StdRng) -> (Command, Vec<u8>) {
        if !self.seen.is_empty() && rng.gen_bool(0.6) {
            let (command, mut payload) = self.seen[rng.gen_range(0..self.seen.len())].clone();
            for _ in 0..rng.gen_range(0..4) {
                if !payload.is_empty() {
                    let place = rng.gen_range(0..payload.len());
                    payload[place] = rng.r#gen();
                }
            }
            return (command, payload);
        }
        let name = NAMES[rng.gen_range(0..NAMES.len())];
        let mut payload = vec![0; rng.gen_range(0..200)];
        rng.fill_bytes(&mut payload);
        (Command::new(name).unwrap(), payload)
    }
}

#[test]
fn whatever_comes_nothing_breaks() {
    let mut rng = StdRng::seed_from_u64(11);
    let mut victim = Victim::new();
    let mut id = PeerId(0);
    victim.connect(id, &mut rng);
    for _ in 0..6000 {
        let (command, payload) = victim.payload(&mut rng);
        let event = match Message::decode(command, &payload) {
            Ok(message) => Event::Received(id, message),
            Err(error) => Event::Malformed(id, error),
        };
        let gone = victim.tell(event);
        if rng.gen_bool(0.05) {
            victim.now += Duration::from_secs(rng.gen_range(0..200));
            victim.tell(Event::Tick);
        }
        if gone || rng.gen_bool(0.002) {
            victim.tell(Event::Disconnected(id));
            id = PeerId(id.0 + 1);
            victim.connect(id, &mut rng);
        }
    }
    // The node is none the worse for it.
    assert_eq!(victim.node.chain.tip().height, 105);
}

#[test]
fn what_is_remembered_of_a_flood_is_bounded() {
    let mut rng = StdRng::seed_from_u64(12);
    let mut victim = Victim::new();
    let id = PeerId(0);
    let address = SocketAddr::from(([10, 0, 0, 1], 18444)).into();
    victim.tell(Event::Connected(NewPeer::new(
        id,
        ConnectionKind::Inbound,
        address,
    )));
    let version = Version {
        nonce: 1,
        ..Version::new(address, START as i64)
    };
    for message in [
        Message::Version(Box::new(version)),
        Message::WtxidRelay,
        Message::Verack,
    ] {
        assert!(!victim.tell(Event::Received(id, message)));
    }
    let random = |rng: &mut StdRng| {
        let mut hash = [0; 32];
        rng.fill_bytes(&mut hash);
        hash
    };
    let mut asked = 0;
    for _ in 0..20 {
        let items = (0..10_000)
            .map(|_| Inventory::WTx(Wtxid::from_byte_array(random(&mut rng))))
            .collect();
        victim.tell(Event::Received(id, Message::Inv(items)));
        let blocks = (0..10_000)
            .map(|_| Inventory::WitnessBlock(BlockHash::from_byte_array(random(&mut rng))))
            .collect();
        victim.tell(Event::Received(id, Message::NotFound(blocks)));
    }
    victim.now += Duration::from_secs(10);
    for action in victim.node.peers.handle(victim.now, Event::Tick) {
        if let Action::Send(_, Message::GetData(items)) = action {
            asked += items.len();
        }
    }
    assert_eq!(asked, 5000, "no more announcements are remembered");
    // While it owes answers to all these, nothing more is taken for it; later it may go on.
    victim.now += Duration::from_secs(120);
    victim.tell(Event::Tick);
    // Children of nothing: no more than may wait is kept.
    let model = victim.node.spend_coinbase(1);
    for _ in 0..4000 {
        let mut tx: Transaction = model.clone();
        let parent = Txid::from_byte_array(random(&mut rng));
        tx.input[0].previous_output = OutPoint::new(parent, 0);
        victim.tell(Event::Received(id, Message::Tx(Arc::new(tx))));
    }
    let orphans = victim.node.peers.orphans();
    let weight: u64 = orphans
        .iter()
        .map(|orphan| orphan.tx.weight().to_wu())
        .sum();
    assert!(!orphans.is_empty() && orphans.len() <= 3000 && weight <= 404_000);
    victim.tell(Event::Disconnected(id));
    assert!(victim.node.peers.orphans().is_empty());
}
