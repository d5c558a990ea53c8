//! A network in a test: nodes with real chains and mempools, links with delays, one clock, one seed.

use bitcoin::key::rand::rngs::StdRng;
use bitcoin::key::rand::{Rng, SeedableRng};
use bitcoin::{BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use btc_consensus::params::{Chain, ChainParams};
use btc_node::chainstate::{ChainstateManager, Clock, Dirs, Options, SystemClock};
use btc_node::mempool::{Limits, Mempool, Policy};
use btc_node::mining::{TemplateOptions, generate};
use btc_node::net::{Directory, Endpoint, Frames, Message, frame};
use btc_node::notify::{Event as NodeEvent, Notifier, Registration};
use btc_node::sync::{Action, Config, ConnectionKind, Event, NewPeer, PeerId, Peers};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// When every simulation starts, in seconds since 1970.
pub(crate) const START: u64 = 1_700_000_000;
pub(crate) const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

/// One node.
pub(crate) struct Node {
    pub(crate) chain: Arc<ChainstateManager>,
    pub(crate) mempool: Arc<Mempool>,
    pub(crate) peers: Peers,
    pub(crate) directory: Arc<Directory>,
    clock: Arc<SystemClock>,
    events: Arc<Mutex<Vec<Event>>>,
    _listener: Registration,
    _dir: TempDir,
}

impl Node {
    pub(crate) fn new(index: usize, change: impl FnOnce(&mut Options)) -> Self {
        Self::with(index, Config::default(), change)
    }

    pub(crate) fn with(index: usize, config: Config, change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs {
            net: dir.path().join("regtest"),
            blocks: dir.path().join("regtest/blocks"),
        };
        std::fs::create_dir_all(&dirs.blocks).unwrap();
        let clock = Arc::new(SystemClock::new());
        clock.set_mock(Some(START as i64));
        let notifier = Arc::new(Notifier::new());
        let mut options = Options::new(dirs, ChainParams::new(Chain::Regtest));
        options.dbcache = 8 << 20;
        change(&mut options);
        let as_clock = || Arc::clone(&clock) as Arc<dyn Clock>;
        let chain =
            Arc::new(ChainstateManager::open(options, as_clock(), Arc::clone(&notifier)).unwrap());
        let mempool = Arc::new(Mempool::new(
            Policy::default(),
            Limits::default(),
            as_clock(),
            Arc::clone(&notifier),
        ));
        assert!(chain.set_mempool(Arc::clone(&mempool) as _).is_ok());
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let log = Arc::clone(&events);
        let listener = notifier.register(Arc::new(move |event: &NodeEvent| {
            let event = match event {
                NodeEvent::TipChanged {
                    hash, fork_height, ..
                } => Event::TipChanged {
                    hash: *hash,
                    fork_height: *fork_height,
                },
                NodeEvent::BlockConnected(event) => Event::BlockConnected(Arc::clone(&event.block)),
                NodeEvent::BlockDisconnected(_) => Event::BlockDisconnected,
                NodeEvent::BlockInvalid { hash, reason } => Event::BlockInvalid {
                    hash: *hash,
                    reason: reason.clone(),
                },
                _ => return,
            };
            log.lock().unwrap().push(event);
        }));
        let directory = Arc::new(Directory::empty([index as u8 + 1; 32]));
        let peers = Peers::new(
            config,
            Arc::clone(&chain),
            Arc::clone(&mempool),
            Arc::clone(&directory),
            [index as u8 + 1; 32],
        );
        Self {
            chain,
            mempool,
            peers,
            directory,
            clock,
            events,
            _listener: listener,
            _dir: dir,
        }
    }

    pub(crate) fn generate(&self, count: u64) -> Vec<BlockHash> {
        let options = TemplateOptions::default();
        let script = witness_script().to_p2wsh();
        generate(
            &self.chain,
            &self.mempool,
            &script,
            &options,
            count,
            1_000_000,
            &|| false,
        )
        .unwrap()
    }

    /// Spends the coinbase at a height, to anyone, for a fee of 1000 sat.
    pub(crate) fn spend_coinbase(&self, height: u32) -> Transaction {
        let hash = self.chain.hash_at(height).unwrap();
        let coinbase = self
            .chain
            .read_block(&hash)
            .unwrap()
            .unwrap()
            .txdata
            .remove(0);
        let value = coinbase.output[0].value - bitcoin::Amount::from_sat(1000);
        Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(coinbase.compute_txid(), 0),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[witness_script().into_bytes()]),
            }],
            output: vec![TxOut {
                value,
                script_pubkey: witness_script().to_p2wsh(),
            }],
        }
    }

    /// Spends the first output of a transaction, to anyone, for a fee.
    pub(crate) fn spend_output(&self, parent: &Transaction, fee: bitcoin::Amount) -> Transaction {
        let mut tx = parent.clone();
        tx.input[0].previous_output = OutPoint::new(parent.compute_txid(), 0);
        tx.output[0].value = parent.output[0].value - fee;
        tx
    }

    pub(crate) fn tip(&self) -> BlockHash {
        self.chain.tip().hash
    }

    pub(crate) fn take_events(&self) -> Vec<Event> {
        self.chain.notifier().sync_with_queue();
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}

fn witness_script() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51])
}

enum Delivery {
    Bytes(usize, PeerId, Vec<u8>),
    Closed(usize, PeerId),
}

/// One end of a connection: the node and the name it has for the peer.
type End = (usize, PeerId);

/// All nodes and what is on its way between them.
pub(crate) struct Network {
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: Duration,
    /// What travels, by the time it arrives and the order in which it was sent.
    queue: BTreeMap<(Duration, u64), Delivery>,
    sequence: u64,
    /// Bytes on one connection arrive in order.
    last_arrival: BTreeMap<End, Duration>,
    ends: BTreeMap<End, End>,
    cut: BTreeSet<(usize, usize)>,
    next_peer: u64,
    rng: StdRng,
    /// The longest a message may take.
    pub(crate) max_delay: Duration,
    /// How often nodes are told that time goes by.
    pub(crate) tick: Duration,
    /// How many messages of a million are lost with their whole connection.
    pub(crate) breaks_per_million: u32,
    pub(crate) log: Vec<(usize, String)>,
}

impl Network {
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        Self::of(
            (0..count).map(|index| Node::new(index, |_| {})).collect(),
            seed,
        )
    }

    pub(crate) fn of(nodes: Vec<Node>, seed: u64) -> Self {
        Self {
            nodes,
            now: Duration::from_secs(START),
            queue: BTreeMap::new(),
            sequence: 0,
            last_arrival: BTreeMap::new(),
            ends: BTreeMap::new(),
            cut: BTreeSet::new(),
            next_peer: 0,
            rng: StdRng::seed_from_u64(seed),
            max_delay: Duration::from_millis(300),
            tick: Duration::from_millis(100),
            breaks_per_million: 0,
            log: Vec::new(),
        }
    }

    /// Connects two nodes, `from` being the one that wants to.
    pub(crate) fn connect(&mut self, from: usize, to: usize) {
        let seen = [to, from].map(|node| {
            let address = Ipv4Addr::new(10, 0, 0, node as u8 + 1);
            SocketAddr::from((address, 18444)).into()
        });
        let ids = self.link([from, to]);
        self.greet([from, to], ids, ConnectionKind::OutboundFullRelay, seen);
    }

    /// Lays a line between two nodes, and gives the names that each has for the other.
    pub(crate) fn link(&mut self, nodes: [usize; 2]) -> [PeerId; 2] {
        let ends @ [near, far] = nodes.map(|node| {
            self.next_peer += 1;
            (node, PeerId(self.next_peer))
        });
        self.ends.insert(near, far);
        self.ends.insert(far, near);
        ends.map(|(_, id)| id)
    }

    /// Tells two nodes that their line is there. Each sees the other at the address of `seen`.
    pub(crate) fn greet(
        &mut self,
        nodes: [usize; 2],
        ids: [PeerId; 2],
        kind: ConnectionKind,
        seen: [Endpoint; 2],
    ) {
        let kinds = [kind, ConnectionKind::Inbound];
        for (((node, id), kind), address) in nodes.into_iter().zip(ids).zip(kinds).zip(seen) {
            self.step(node, Event::Connected(NewPeer::new(id, kind, address)));
        }
    }

    /// Whether a connection is there, by the name that a node has for it.
    pub(crate) fn is_open(&self, node: usize, id: PeerId) -> bool {
        self.ends.contains_key(&(node, id))
    }

    /// Whether a line may be laid.
    pub(crate) fn is_cut(&self, one: usize, other: usize) -> bool {
        self.cut.contains(&(one.min(other), one.max(other)))
    }

    /// Breaks all connections of a node.
    pub(crate) fn isolate(&mut self, node: usize) {
        let ends = self.ends.keys().filter(|(owner, _)| *owner == node);
        for end in ends.copied().collect::<Vec<End>>() {
            self.break_connection(end);
        }
    }

    /// Has a node take a transaction of its own and tell it.
    pub(crate) fn send_tx(&mut self, node: usize, tx: Transaction) {
        let tx = Arc::new(tx);
        let sender = &self.nodes[node];
        sender
            .mempool
            .submit(&sender.chain, Arc::clone(&tx))
            .unwrap();
        self.broadcast(node, tx);
    }

    /// Has a node tell of a transaction that its mempool has.
    pub(crate) fn broadcast(&mut self, node: usize, tx: Arc<Transaction>) {
        self.step(node, Event::Broadcast(tx));
    }

    pub(crate) fn connections(&self) -> usize {
        self.ends.len() / 2
    }

    /// Cuts all lines between two groups, and lets no new ones be made.
    pub(crate) fn partition(&mut self, left: &[usize], right: &[usize]) {
        for (l, r) in left
            .iter()
            .flat_map(|l| right.iter().map(move |r| (*l, *r)))
        {
            self.cut.insert((l.min(r), l.max(r)));
        }
        let broken: Vec<End> = self
            .ends
            .iter()
            .filter(|((a, _), (b, _))| self.cut.contains(&((*a).min(*b), (*a).max(*b))))
            .map(|(end, _)| *end)
            .collect();
        for end in broken {
            self.break_connection(end);
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    fn break_connection(&mut self, end: End) {
        let Some(other) = self.ends.remove(&end) else {
            return;
        };
        self.ends.remove(&other);
        for (node, id) in [end, other] {
            self.push(self.now, Delivery::Closed(node, id));
        }
    }

    fn push(&mut self, at: Duration, delivery: Delivery) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), delivery);
    }

    /// Lets a node take an event, and carries out what follows.
    pub(crate) fn step(&mut self, node: usize, event: Event) {
        self.nodes[node]
            .clock
            .set_mock(Some(self.now.as_secs() as i64));
        // Time alone changes no chain, and to ask for the chain's events takes a while.
        let quiet = matches!(event, Event::Tick);
        let mut events = vec![event];
        while !events.is_empty() {
            for event in events {
                let actions = self.nodes[node].peers.handle(self.now, event);
                for action in actions {
                    self.act(node, action);
                }
            }
            if quiet {
                return;
            }
            events = self.nodes[node].take_events();
        }
    }

    pub(crate) fn act(&mut self, node: usize, action: Action) {
        match action {
            Action::Send(id, message) => {
                let Some(far) = self.ends.get(&(node, id)).copied() else {
                    return;
                };
                self.log.push((node, message.name().to_owned()));
                if self.rng.gen_range(0..1_000_000) < self.breaks_per_million {
                    self.break_connection((node, id));
                    return;
                }
                let delay = self.max_delay.mul_f64(self.rng.r#gen());
                let earliest = self.last_arrival.get(&far).copied().unwrap_or_default();
                let at = (self.now + delay).max(earliest);
                self.last_arrival.insert(far, at);
                let bytes = frame::encode(MAGIC, &message);
                self.push(at, Delivery::Bytes(far.0, far.1, bytes));
            }
            Action::Disconnect(id) => {
                self.log.push((node, "disconnect".to_owned()));
                self.break_connection((node, id));
            }
            Action::Discourage(_) => self.log.push((node, "discourage".to_owned())),
        }
    }

    /// Lets time go by.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut next_tick = self.now;
        // What was done to nodes from outside is told first.
        for node in 0..self.nodes.len() {
            for event in self.nodes[node].take_events() {
                self.step(node, event);
            }
        }
        while self.now < end {
            next_tick += self.tick;
            while let Some(entry) = self.queue.first_entry()
                && entry.key().0 <= next_tick
            {
                let ((at, _), delivery) = entry.remove_entry();
                self.now = self.now.max(at);
                self.deliver(delivery);
            }
            self.now = self.now.max(next_tick);
            for node in 0..self.nodes.len() {
                self.step(node, Event::Tick);
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Closed(node, id) => self.step(node, Event::Disconnected(id)),
            Delivery::Bytes(node, id, bytes) => {
                if !self.ends.contains_key(&(node, id)) {
                    return;
                }
                let mut frames = Frames::new(MAGIC);
                frames.push(&bytes);
                let frame = frames.next_frame().unwrap().unwrap();
                let message = Message::decode(frame.command, &frame.payload).unwrap();
                self.step(node, Event::Received(id, message));
            }
        }
    }

    /// Runs until `done`, but no longer than `limit`; says whether it came to be.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            if self.now >= end {
                return false;
            }
            self.run(Duration::from_millis(500));
        }
        true
    }

    pub(crate) fn agree(&self) -> bool {
        self.nodes
            .iter()
            .all(|node| node.tip() == self.nodes[0].tip())
    }
}
