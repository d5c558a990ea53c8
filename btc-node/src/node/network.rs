//! The node's peers: sockets below, conversations above, and the thread that leads them.
//!
//! What comes from sockets, from the chain and from the user goes into one queue; the thread `msghand` takes it out in
//! order, hands it to [`Peers`], and carries out what follows. Questions of the RPC look at the peers between two
//! events.
//!
//! | module | what it does |
//! |---|---|
//! | `files` | addresses and bans, kept over a restart |
//! | `hooks` | what the RPC sees and does |
//! | `links` | which connections there are, and are wanted |
//! | `seeds` | first peers |

mod files;
mod hooks;
mod links;
mod seeds;

pub(crate) use files::BookOptions;
pub(crate) use seeds::SeedOptions;

use super::context::Context;
use super::error::StartError;
use super::filters::IndexFilters;
use super::options::{ConnectionLimit, RouteOptions, Whitelist};
use crate::chainstate::{ChainstateManager, SystemClock};
use crate::net::connections::{self, Answer, Connections, Opened, Origin, SocketEvent};
use crate::net::dial::i2p::{KeyFile, Session};
use crate::net::dial::{self, I2p};
use crate::net::{Directory, Endpoint, NetAddress, PeerAddress};
use crate::notify::{self, Event as NodeEvent};
use crate::sync::dial::{Dial, DialConfig, Dialer, Situation};
use crate::sync::{Action, Config, ConnectionKind, Event, NewPeer, PeerId, Peers, Permissions};
use bitcoin::key::rand::{RngCore, rngs::OsRng};
use bitcoin::p2p::ServiceFlags;
use files::{Files, I2pKey, MAX_ANCHORS};
use links::{Attempt, Links, Notation, Wanted};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long the RPC waits for a connection that it asks for.
const MAX_ATTEMPT_WAIT: Duration = Duration::from_secs(20);
/// How often time is said to have gone by.
const TICK: Duration = Duration::from_millis(100);
/// How often it is looked whom to connect to.
const DIAL: Duration = Duration::from_millis(500);
/// Between attempts to reach a peer that the user wants.
const RETRY_ADDED: Duration = Duration::from_secs(60);
const RETRY_CONNECT: Duration = Duration::from_millis(500);
/// How often addresses and bans are written.
const SAVE: Duration = Duration::from_secs(15 * 60);
/// Connections that were ended for newer ones and may still be open, beside those that peers may make: a flood must not
/// open them faster than they close.
const MAX_LEAVING: usize = 8;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) address: SocketAddr,
    /// What peers who come there may do (`-whitebind`).
    pub(crate) permissions: Permissions,
    /// Tor sends its peers there.
    pub(crate) onion: bool,
}

/// How the network is opened.
#[derive(Clone, Debug)]
pub(crate) struct NetworkOptions {
    /// Where to listen; empty for nowhere.
    pub(crate) listen: Vec<Listen>,
    /// Listen at these too if that works (the default addresses).
    pub(crate) listen_if_possible: Vec<SocketAddr>,
    /// Whether others may connect at all.
    pub(crate) listens: bool,
    /// `-connect`, without 0.
    pub(crate) connect: Vec<String>,
    /// Peers of the book are connected to: there is no `-connect`.
    pub(crate) dials: bool,
    /// `-addnode`.
    pub(crate) add: Vec<String>,
    /// `-seednode`.
    pub(crate) seed_nodes: Vec<String>,
    /// DNS.
    pub(crate) seeds: SeedOptions,
    /// Connections in all, and what they are limited by.
    pub(crate) limit: ConnectionLimit,
    /// Connections that this node makes by itself, at most.
    pub(crate) max_automatic: usize,
    /// Connections that others make, at most.
    pub(crate) max_inbound: usize,
    /// Of those, such that transactions are told to.
    pub(crate) max_inbound_relaying: usize,
    /// The chain's port.
    pub(crate) default_port: u16,
    /// The port of addresses of this node: where it listens.
    pub(crate) listen_port: u16,
    /// How peers are reached, and in which networks.
    pub(crate) ways: RouteOptions,
    /// `-timeout`.
    pub(crate) connect_timeout: Duration,
    /// `-peertimeout`.
    pub(crate) peer_timeout: Duration,
    /// `-v2transport`.
    pub(crate) v2: bool,
    /// `-dns`.
    pub(crate) look_up_names: bool,
    /// `-maxreceivebuffer` in bytes.
    pub(crate) max_receive_buffer: usize,
    /// `-maxsendbuffer` in bytes.
    pub(crate) max_send_buffer: usize,
    /// `-blocksonly`.
    pub(crate) blocks_only: bool,
    /// `-txreconciliation`.
    pub(crate) reconciliation: bool,
    /// `-peerbloomfilters`.
    pub(crate) bloom_filters: bool,
    /// `-maxuploadtarget` in bytes.
    pub(crate) upload_target: u64,
    /// `-txsendrate`.
    pub(crate) tx_send_rate: u32,
    /// `-blockreconstructionextratxn`.
    pub(crate) extra_transactions: usize,
    /// `-logips`.
    pub(crate) log_ips: bool,
    /// `-whitelist`.
    pub(crate) whitelist: Whitelist,
    /// `-peerblockfilters`.
    pub(crate) filters: bool,
    /// `-networkactive`.
    pub(crate) active: bool,
    /// `-externalip`.
    pub(crate) external: Vec<Endpoint>,
    /// `-discover`.
    pub(crate) discover: bool,
    /// `-capturemessages`.
    pub(crate) capture: bool,
    /// By what addresses are grouped (`-asmap`): a file, or nothing for the map in the program.
    pub(crate) asmap: Option<Option<PathBuf>>,
    /// The address book.
    pub(crate) book: BookOptions,
}

enum Input {
    Socket(SocketEvent),
    Event(Event),
    /// Ask a node for addresses.
    FetchFrom(String),
    Stop,
}

/// The peers of a running node.
pub(crate) struct Network {
    connections: Connections,
    peers: Mutex<Peers>,
    links: Mutex<Links>,
    /// An attempt came to its end.
    attempt_ended: Condvar,
    dialer: Mutex<Dialer>,
    directory: Arc<Directory>,
    files: Files,
    clock: Arc<SystemClock>,
    inputs: Mutex<mpsc::Sender<Input>>,
    active: AtomicBool,
    stop: seeds::Stop,
    listen: Vec<Listen>,
    max_automatic: usize,
    max_inbound: usize,
    dials: bool,
    notation: Notation,
    /// The router of I2P.
    i2p: Option<SocketAddr>,
    log_ips: bool,
    v2: bool,
    whitelist: Whitelist,
}

/// What ends with the network.
pub(super) struct Running {
    network: Arc<Network>,
    threads: Vec<JoinHandle<()>>,
    listener: Option<notify::Registration>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while peers are handled ends their thread; what others see then is the last state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    OsRng.fill_bytes(&mut seed);
    seed
}

/// Opens the network.
pub(super) fn start(context: &Arc<Context>) -> Result<Running, StartError> {
    let options = context.options.network.clone();
    let loaded = context
        .loaded()
        .map_err(|error| StartError::Network(error.to_string()))?;
    let files = Files::new(&context.net_dir, context.params.magic);
    context.messages.progress("Loading P2P addresses…");
    let groups = files.load_groups(options.asmap.as_ref())?;
    let book = files.load_book(&options.book, groups)?;
    context.messages.progress("Loading banlist…");
    let bans = files.load_bans(options.book.ban_time);
    let reachable = options.ways.reachable.iter().copied().collect();
    let directory = Arc::new(Directory::new(book, bans, reachable));
    learn_own_addresses(&options, &directory);
    let (sender, inputs) = mpsc::channel();
    let connections = open(context, &options, &sender)?;
    let (max_full_relay, max_block_relay) = Dialer::limits(options.max_automatic);
    let config = Config {
        user_agent: context.options.subversion.clone(),
        blocks_only: options.blocks_only,
        v2_transport: options.v2,
        peer_timeout: options.peer_timeout,
        reconciliation: options.reconciliation,
        bloom_filters: options.bloom_filters,
        listens: options.listens,
        port: options.listen_port,
        discovers: options.discover,
        dials: options.dials,
        max_inbound_relaying: options.max_inbound_relaying,
        extra_transactions: options.extra_transactions,
        upload_target: options.upload_target,
        tx_send_rate: options.tx_send_rate,
        max_full_relay,
        max_block_relay,
    };
    let wanted = |target: &String, fixed| Wanted {
        target: target.clone(),
        v2: options.v2,
        fixed,
        next: Duration::ZERO,
    };
    let links = Links::new(
        options
            .connect
            .iter()
            .map(|target| wanted(target, true))
            .chain(options.add.iter().map(|target| wanted(target, false)))
            .collect(),
    );
    let dial = DialConfig {
        max_automatic: options.max_automatic,
        seed_nodes: options.seed_nodes.clone(),
        anchors: if options.dials {
            files.take_anchors()
        } else {
            Vec::new()
        },
    };
    let chain = Arc::clone(&loaded.chainstate);
    let mut peers = Peers::new(
        config,
        loaded.chainstate,
        loaded.mempool,
        Arc::clone(&directory),
        random_seed(),
    );
    if options.filters {
        peers.offer_filters(Arc::new(IndexFilters(loaded.indexes)));
    }
    let network = Arc::new(Network {
        connections,
        peers: Mutex::new(peers),
        links: Mutex::new(links),
        attempt_ended: Condvar::new(),
        dialer: Mutex::new(Dialer::new(dial, random_seed())),
        directory,
        files,
        clock: Arc::clone(&context.clock),
        inputs: Mutex::new(sender.clone()),
        active: AtomicBool::new(options.active),
        stop: seeds::Stop::default(),
        listen: options.listen,
        max_automatic: options.max_automatic,
        max_inbound: options.max_inbound,
        dials: options.dials,
        notation: Notation {
            default_port: options.default_port,
            routes: options.ways.routes,
        },
        i2p: options.ways.i2p,
        log_ips: options.log_ips,
        v2: options.v2,
        whitelist: options.whitelist,
    });
    if !options.active {
        tracing::info!("SetNetworkActive: false");
    }
    let listener = listen_to_node(context, chain, sender);
    let mut threads = vec![spawn("msghand", {
        let network = Arc::clone(&network);
        move || network.run(&inputs)
    })?];
    if options.seeds.enabled {
        let (network, chain) = (Arc::clone(&network), context.params.chain);
        threads.push(spawn("dnsseed", move || {
            seeds::run(&network, &options.seeds, chain);
        })?);
    } else {
        tracing::info!("DNS seeding disabled");
    }
    tracing::info!("net thread start");
    Ok(Running {
        network,
        threads,
        listener: Some(listener),
    })
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(StartError::Thread)
}

/// Hands what happens in the node to the peers.
fn listen_to_node(
    context: &Context,
    chain: Arc<ChainstateManager>,
    sender: mpsc::Sender<Input>,
) -> notify::Registration {
    let sender = Mutex::new(sender);
    context
        .notifier
        .register(Arc::new(move |event: &NodeEvent| {
            let event = match event {
                NodeEvent::TipChanged {
                    hash, fork_height, ..
                } => Event::TipChanged {
                    hash: *hash,
                    fork_height: *fork_height,
                },
                // Blocks are held until they are handled, and what is mined does not matter before.
                NodeEvent::BlockConnected(event) if !chain.is_initial_block_download() => {
                    Event::BlockConnected(Arc::clone(&event.block))
                }
                NodeEvent::BlockDisconnected(_) => Event::BlockDisconnected,
                NodeEvent::BlockInvalid { hash, reason } => Event::BlockInvalid {
                    hash: *hash,
                    reason: reason.clone(),
                },
                _ => return,
            };
            // Nobody listens any more while the node stops.
            let _ = lock(&sender).send(Input::Event(event));
        }))
}

/// Notes by which addresses others may reach this node.
fn learn_own_addresses(options: &NetworkOptions, directory: &Directory) {
    use crate::net::local::Origin;
    let mut local = directory.local();
    let routes = &options.ways.routes;
    for endpoint in &options.external {
        local.add(routes.locate(*endpoint), Origin::User);
    }
    if !options.discover || !options.listens {
        return;
    }
    for listen in options.listen.iter().filter(|listen| !listen.onion) {
        local.add(routes.locate(listen.address.into()), Origin::Bind);
    }
    let everywhere = !options.listen_if_possible.is_empty()
        || options
            .listen
            .iter()
            .any(|listen| listen.address.ip().is_unspecified());
    if everywhere {
        for address in crate::net::interfaces::addresses() {
            let endpoint = Endpoint::new(address, options.listen_port);
            local.add(routes.locate(endpoint), Origin::Interface);
        }
    }
}

/// Listens where the user wants it; where only the default does, one address that works is enough.
fn open(
    context: &Context,
    options: &NetworkOptions,
    sender: &mpsc::Sender<Input>,
) -> Result<Connections, StartError> {
    let sender = Mutex::new(sender.clone());
    let on_event: connections::OnEvent = Arc::new(move |event| {
        // Nobody listens any more while the node stops.
        let _ = lock(&sender).send(Input::Socket(event));
    });
    let capture = context.net_dir.join("message_capture");
    let socket_options = connections::Options {
        magic: context.params.magic,
        listen: options.listen.iter().map(|listen| listen.address).collect(),
        listen_if_possible: options.listen_if_possible.clone(),
        max_receive_buffer: options.max_receive_buffer,
        max_send_buffer: options.max_send_buffer,
        v2: options.v2,
        capture: options.capture.then_some(capture),
    };
    let ways = &options.ways;
    let i2p = ways.i2p.map(|router| {
        let key = I2pKey::new(&context.net_dir);
        // Who takes no peers has no use for an address that stays.
        let key: Option<Arc<dyn KeyFile>> = if ways.accepts_i2p {
            Some(Arc::new(key))
        } else {
            None
        };
        I2p {
            session: Session::new(router, key),
            accepts: ways.accepts_i2p,
        }
    });
    let dialer = dial::Dialer::new(
        ways.routes.clone(),
        i2p,
        options.connect_timeout,
        options.default_port,
        options.look_up_names,
    );
    Connections::start(socket_options, dialer, on_event)
        .map_err(|error| StartError::Network(error.to_string()))
}

impl Running {
    pub(super) fn network(&self) -> Arc<Network> {
        Arc::clone(&self.network)
    }

    /// Ends all connections and the threads, and writes down what is known of addresses.
    pub(super) fn stop(mut self) {
        let network = &self.network;
        drop(self.listener.take());
        network.stop.stop();
        network.attempt_ended.notify_all();
        // If the thread is gone, there is nobody to tell.
        let _ = lock(&network.inputs).send(Input::Stop);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the peers ended with a panic");
            }
        }
        if network.dials {
            let anchors: Vec<PeerAddress> = lock(&network.links)
                .open
                .values()
                .filter(|link| link.kind == ConnectionKind::BlockRelayOnly)
                .map(|link| PeerAddress {
                    time: u32::try_from(network.seconds()).unwrap_or(0),
                    services: link.services(),
                    endpoint: link.address,
                })
                .take(MAX_ANCHORS)
                .collect();
            network.files.save_anchors(&anchors);
        }
        network.connections.stop();
        network.files.save(&network.directory);
    }
}

impl Network {
    /// The time that peers live in.
    fn now(&self) -> Duration {
        match u64::try_from(self.clock.mock_time()) {
            Ok(time) if time > 0 => Duration::from_secs(time),
            _ => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// As before, in seconds.
    fn seconds(&self) -> i64 {
        i64::try_from(self.now().as_secs()).unwrap_or(i64::MAX)
    }

    fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    fn full_relay_peers(&self) -> usize {
        let peers = lock(&self.peers).info();
        peers
            .iter()
            .filter(|peer| peer.kind == ConnectionKind::OutboundFullRelay && peer.version != 0)
            .count()
    }

    fn run(&self, inputs: &mpsc::Receiver<Input>) {
        tracing::info!("msghand thread start");
        // This thread opens the connections that -addnode asks for too. Tools wait for the line of the thread that does.
        tracing::info!("addcon thread start");
        let start = Instant::now();
        let (mut next_tick, mut next_dial, mut next_save) = (start, start, start + SAVE);
        loop {
            let now = Instant::now();
            if now >= next_tick {
                next_tick = now + TICK;
                self.handle(Event::Tick);
                self.connect_wanted();
            }
            if now >= next_dial {
                next_dial = now + DIAL;
                self.dial();
            }
            if now >= next_save {
                next_save = now + SAVE;
                self.files.save(&self.directory);
            }
            match inputs.recv_timeout(next_tick.saturating_duration_since(now)) {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Input::Event(event)) => self.handle(event),
                Ok(Input::Socket(event)) => self.socket(event),
                Ok(Input::FetchFrom(name)) => lock(&self.dialer).fetch_from(name),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        tracing::info!("msghand thread exit");
    }

    fn socket(&self, event: SocketEvent) {
        match event {
            SocketEvent::Knock {
                address,
                listener,
                answer,
            } => self.knock(address, listener, answer),
            SocketEvent::Opened(opened) => self.opened(&opened),
            SocketEvent::Message { id, message, bytes } => {
                self.handle(match message {
                    Ok(message) => Event::Received(PeerId(id), message),
                    Err(error) => Event::Malformed(PeerId(id), error),
                });
                self.connections.done(id, bytes);
            }
            SocketEvent::Congested { id, congested } => {
                self.handle(Event::Congested(PeerId(id), congested));
            }
            SocketEvent::Handshake { id, step } => {
                self.handle(Event::Handshake(PeerId(id), step));
            }
            SocketEvent::Closed { id, retrying } => {
                lock(&self.links).remove(id, retrying);
                self.handle(Event::Disconnected(PeerId(id)));
            }
            SocketEvent::Failed { attempt, reason } => {
                let ended = lock(&self.links).end(attempt);
                self.attempt_ended.notify_all();
                if let Some(attempt) = ended {
                    let target = attempt.name.or_else(|| {
                        let address = attempt.address?;
                        Some(address.endpoint.to_string())
                    });
                    tracing::debug!(
                        target: "net",
                        "connecting to {} failed: {reason}",
                        target.unwrap_or_default()
                    );
                }
            }
        }
    }

    /// Where a peer came, as the options have it.
    fn listen_of(&self, listener: SocketAddr) -> Option<&Listen> {
        self.listen.iter().find(|listen| listen.address == listener)
    }

    /// What a peer may do that made its connection. Those of Tor all have the proxy's address.
    fn inbound_permissions(&self, address: NetAddress, listener: SocketAddr) -> Permissions {
        let listen = self.listen_of(listener);
        let granted = listen.map_or(Permissions::default(), |listen| listen.permissions);
        match listen {
            Some(Listen { onion: true, .. }) => granted,
            _ => granted.union(self.whitelist.permissions(address, true)),
        }
    }

    /// Decides whether a peer's connection is taken.
    fn knock(&self, address: Endpoint, listener: SocketAddr, answer: Answer) {
        let dropped = |why: &str| {
            tracing::debug!(target: "net", "connection from {address} dropped{why}");
        };
        if !self.is_active() {
            dropped(": not accepting new connections");
            return;
        }
        let permissions = self.inbound_permissions(address.address, listener);
        let inbound = lock(&self.links).count(ConnectionKind::Inbound);
        if !permissions.no_ban {
            let bans = self.directory.bans();
            if bans.is_banned(address.address, self.seconds()) {
                dropped(" (banned)");
                return;
            }
            if inbound + 1 >= self.max_inbound && bans.is_discouraged(address.address) {
                dropped(" (discouraged)");
                return;
            }
        }
        if inbound >= self.max_inbound + MAX_LEAVING {
            dropped(" (full)");
            return;
        }
        if inbound >= self.max_inbound {
            let (made, actions) = lock(&self.peers).make_room();
            self.carry_out(actions);
            if !made {
                tracing::debug!(
                    target: "net",
                    "failed to find an eviction candidate - connection dropped (full)"
                );
                return;
            }
        }
        tracing::debug!(target: "net", "connection from {address} accepted");
        answer.take();
    }

    fn opened(&self, opened: &Opened) {
        let (id, address) = (PeerId(opened.id), opened.address);
        // Addresses of peers stand in the log only if the user wants them there.
        if self.log_ips {
            tracing::debug!(target: "net", "connection made: peer={id}, peeraddr={address}");
        }
        let link = {
            let mut links = lock(&self.links);
            let attempt = match opened.origin {
                Origin::Attempt(number) => links.end(number),
                Origin::Listener(_) => None,
            };
            links.add(opened, attempt)
        };
        self.attempt_ended.notify_all();
        let mut new = NewPeer::new(id, link.kind, address);
        match opened.origin {
            Origin::Attempt(_) => {
                new.permissions = self.whitelist.permissions(address.address, false);
            }
            Origin::Listener(listener) => {
                new.permissions = self.inbound_permissions(address.address, listener);
                new.listener = Some(listener);
                new.onion = self.listen_of(listener).is_some_and(|listen| listen.onion);
                new.prefer_evict = self.directory.bans().is_discouraged(address.address);
            }
        }
        self.handle(Event::Connected(new));
        // It came while the network was switched off.
        if !self.is_active() {
            self.connections.close(opened.id);
        }
    }

    fn handle(&self, event: Event) {
        // Held until all is carried out, so that what two threads do to one peer does not mix.
        let (now, sent) = (self.now(), self.connections.totals().1);
        let mut peers = lock(&self.peers);
        peers.note_sent(now, sent);
        let actions = peers.handle(now, event);
        self.carry_out(actions);
    }

    fn carry_out(&self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(id, message) => self.connections.send(id.0, &message),
                Action::Disconnect(id) => self.connections.close(id.0),
                Action::Discourage(address) => self.directory.bans().discourage(address),
            }
        }
    }

    /// Begins to make a connection.
    /// Gives the attempt's number, if there is anything to try.
    fn connect(&self, attempt: Attempt) -> Option<u64> {
        let target = match (&attempt.name, attempt.address) {
            (Some(name), _) => name.clone(),
            (None, Some(address)) => address.endpoint.to_string(),
            (None, None) => return None,
        };
        let hours = attempt.address.map_or(0.0, |address| {
            (self.seconds() - i64::from(address.time)) as f64 / 3600.0
        });
        tracing::debug!(
            target: "net",
            "trying {} connection ({}) to {target}, lastseen={hours:.1}hrs",
            if attempt.v2 { "v2" } else { "v1" },
            attempt.kind.as_str()
        );
        let v2 = attempt.v2;
        let number = lock(&self.links).begin(attempt);
        self.connections.connect(number, target, v2);
        Some(number)
    }

    /// Waits for the end of an attempt, well or not, as long as one usually takes.
    fn wait_for(&self, attempt: u64) {
        let links = lock(&self.links);
        let pending = |links: &mut Links| links.is_pending(attempt) && !self.stop.is_stopped();
        // What is not over by then goes on by itself.
        let _ = self
            .attempt_ended
            .wait_timeout_while(links, MAX_ATTEMPT_WAIT, pending);
    }

    /// Tries to reach the peers that the user wants and that are not there.
    fn connect_wanted(&self) {
        if !self.is_active() {
            return;
        }
        // Not the mocked time: a clock that stands still must not keep peers away.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut due = Vec::new();
        {
            let mut links = lock(&self.links);
            let targets: Vec<(usize, String, bool)> = links
                .wanted
                .iter()
                .enumerate()
                .filter(|(_, wanted)| now >= wanted.next)
                .map(|(index, wanted)| (index, wanted.target.clone(), wanted.v2))
                .filter(|(_, target, _)| !links.reaches(target, &self.notation))
                .collect();
            for (index, target, v2) in targets {
                let wanted = &mut links.wanted[index];
                wanted.next = now
                    + if wanted.fixed {
                        RETRY_CONNECT
                    } else {
                        RETRY_ADDED
                    };
                due.push((target, v2));
            }
        }
        for (target, v2) in due {
            let _ = self.connect(Attempt {
                name: Some(target),
                address: None,
                kind: ConnectionKind::Manual,
                v2,
            });
        }
    }

    /// Makes the connections that are due by the node's own choice.
    fn dial(&self) {
        if !self.is_active() || !self.dials {
            return;
        }
        let (extra, limited_is_enough) = {
            let peers = lock(&self.peers);
            (peers.wants_extra(), peers.limited_is_enough())
        };
        let connections = lock(&self.links).connections();
        let situation = Situation {
            now: self.now(),
            connections: &connections,
            is_added: &|endpoint| lock(&self.links).is_added(endpoint, &self.notation),
            try_extra: extra.0,
            extra_block_relay: extra.1,
            limited_is_enough,
        };
        let dials = lock(&self.dialer).next(&situation, &self.directory);
        for dial in dials {
            match dial {
                Dial::Fetch(name) => {
                    let _ = self.connect(Attempt {
                        name: Some(name),
                        address: None,
                        kind: ConnectionKind::AddrFetch,
                        v2: self.v2,
                    });
                }
                Dial::Peer {
                    address,
                    kind,
                    count_failure,
                } => self.dial_peer(address, kind, count_failure),
            }
        }
    }

    fn dial_peer(&self, address: PeerAddress, kind: ConnectionKind, count_failure: bool) {
        let endpoint = address.endpoint;
        let now = self.seconds();
        let refused = {
            let bans = self.directory.bans();
            bans.is_banned(endpoint.address, now) || bans.is_discouraged(endpoint.address)
        };
        self.directory.book().attempt(endpoint, count_failure, now);
        let connected = lock(&self.links)
            .connections()
            .iter()
            .any(|(_, other)| other.address == endpoint.address);
        if !refused && !connected {
            let encrypts = ServiceFlags::from(address.services).has(ServiceFlags::P2P_V2);
            let _ = self.connect(Attempt {
                name: None,
                address: Some(address),
                kind,
                v2: self.v2 && encrypts,
            });
        }
    }
}
