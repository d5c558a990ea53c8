//! The node's peers: sockets below, conversations above, and the thread that leads them.
//!
//! What comes from sockets, from the chain and from the user goes into one queue; the thread `msghand` takes it out in
//! order, hands it to [`Peers`], and carries out what follows. Questions of the RPC look at the peers between two
//! events.

use super::context::Context;
use super::error::StartError;
use super::filters::IndexFilters;
use super::options::Whitelist;
use crate::chainstate::SystemClock;
use crate::net::connections::{self, Connections, Opened, SocketEvent};
use crate::notify::{self, Event as NodeEvent};
use crate::rpc::network::{AddError, AddedNode, PeerHooks, PeerView};
use crate::sync::{Action, Config, ConnectionKind, Event, NewPeer, PeerId, Peers};
use bitcoin::key::rand::{RngCore, rngs::OsRng};
use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often time is said to have gone by.
const TICK: Duration = Duration::from_millis(100);
/// Between attempts to reach a peer that the user wants.
const RETRY_ADDED: Duration = Duration::from_secs(60);
const RETRY_CONNECT: Duration = Duration::from_millis(500);
/// Addresses whose connections are not taken because of what was done there.
const MAX_DISCOURAGED: usize = 50_000;

/// How the network is opened.
#[derive(Clone, Debug)]
pub(crate) struct NetworkOptions {
    /// Where to listen; empty for nowhere.
    pub(crate) listen: Vec<SocketAddr>,
    /// Listen at these too if that works (the default addresses).
    pub(crate) listen_if_possible: Vec<SocketAddr>,
    /// `-connect`, without 0.
    pub(crate) connect: Vec<String>,
    /// `-addnode`.
    pub(crate) add: Vec<String>,
    /// `-maxconnections`, less those that this node makes.
    pub(crate) max_inbound: usize,
    /// `-port` or the chain's.
    pub(crate) port: u16,
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
    /// `-logips`.
    pub(crate) log_ips: bool,
    /// `-whitelist`.
    pub(crate) whitelist: Whitelist,
    /// `-peerblockfilters`.
    pub(crate) filters: bool,
}

enum Input {
    Socket(SocketEvent),
    Event(Event),
    Stop,
}

/// A peer that the user wants to be connected to.
#[derive(Clone, Debug)]
struct Wanted {
    target: String,
    /// Encrypted if the peer can.
    v2: bool,
    /// Of `-connect`: not shown, and tried all the time.
    fixed: bool,
    next: Duration,
    trying: bool,
}

#[derive(Default)]
struct State {
    open: BTreeMap<u64, Opened>,
    wanted: Vec<Wanted>,
}

/// The peers of a running node.
pub(crate) struct Network {
    connections: Connections,
    peers: Mutex<Peers>,
    state: Mutex<State>,
    discouraged: Arc<Mutex<HashSet<IpAddr>>>,
    clock: Arc<SystemClock>,
    inputs: Mutex<mpsc::Sender<Input>>,
    port: u16,
    log_ips: bool,
    v2: bool,
    whitelist: Whitelist,
}

/// What ends with the network.
pub(super) struct Running {
    network: Arc<Network>,
    thread: Option<JoinHandle<()>>,
    listener: Option<notify::Registration>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while peers are handled ends their thread; what others see then is the last state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the network.
pub(super) fn start(context: &Arc<Context>) -> Result<Running, StartError> {
    let options = context.options.network.clone();
    let loaded = context
        .loaded()
        .map_err(|error| StartError::Network(error.to_string()))?;
    let (sender, inputs) = mpsc::channel();
    let discouraged: Arc<Mutex<HashSet<IpAddr>>> = Arc::default();
    let admission = {
        let discouraged = Arc::clone(&discouraged);
        Arc::new(move |address: SocketAddr| {
            !lock(&discouraged).contains(&address.ip().to_canonical())
        })
    };
    let connections = open(context, &options, admission, &sender)?;
    let mut seed = [0; 32];
    OsRng.fill_bytes(&mut seed);
    let config = Config {
        user_agent: context.options.subversion.clone(),
        blocks_only: options.blocks_only,
        v2_transport: options.v2,
        peer_timeout: options.peer_timeout,
        ..Config::default()
    };
    let wanted = |target: &String, fixed| Wanted {
        target: target.clone(),
        v2: options.v2,
        fixed,
        next: Duration::ZERO,
        trying: false,
    };
    let state = State {
        open: BTreeMap::new(),
        wanted: options
            .connect
            .iter()
            .map(|target| wanted(target, true))
            .chain(options.add.iter().map(|target| wanted(target, false)))
            .collect(),
    };
    let mut peers = Peers::new(config, loaded.chainstate, loaded.mempool, seed);
    if options.filters {
        peers.offer_filters(Arc::new(IndexFilters(loaded.indexes)));
    }
    let network = Arc::new(Network {
        connections,
        peers: Mutex::new(peers),
        state: Mutex::new(state),
        discouraged,
        clock: Arc::clone(&context.clock),
        inputs: Mutex::new(sender.clone()),
        port: options.port,
        log_ips: options.log_ips,
        v2: options.v2,
        whitelist: options.whitelist,
    });
    let sender = Mutex::new(sender);
    let listener = context
        .notifier
        .register(Arc::new(move |event: &NodeEvent| {
            let event = match event {
                NodeEvent::TipChanged {
                    hash, fork_height, ..
                } => Event::TipChanged {
                    hash: *hash,
                    fork_height: *fork_height,
                },
                NodeEvent::TxAdded { tx, .. } => Event::TxAdded(Arc::clone(tx)),
                _ => return,
            };
            // Nobody listens any more while the node stops.
            let _ = lock(&sender).send(Input::Event(event));
        }));
    let thread = std::thread::Builder::new()
        .name("msghand".into())
        .spawn({
            let network = Arc::clone(&network);
            move || network.run(&inputs)
        })
        .map_err(StartError::Thread)?;
    tracing::info!("net thread start");
    Ok(Running {
        network,
        thread: Some(thread),
        listener: Some(listener),
    })
}

/// Listens where the user wants it; where only the default does, one address that works is enough.
fn open(
    context: &Context,
    options: &NetworkOptions,
    admission: connections::Admission,
    sender: &mpsc::Sender<Input>,
) -> Result<Connections, StartError> {
    let sender = Mutex::new(sender.clone());
    let on_event: connections::OnEvent = Arc::new(move |event| {
        // Nobody listens any more while the node stops.
        let _ = lock(&sender).send(Input::Socket(event));
    });
    let socket_options = connections::Options {
        magic: context.params.magic,
        listen: options.listen.clone(),
        listen_if_possible: options.listen_if_possible.clone(),
        max_inbound: options.max_inbound,
        connect_timeout: options.connect_timeout,
        max_receive_buffer: options.max_receive_buffer,
        max_send_buffer: options.max_send_buffer,
        v2: options.v2,
        default_port: options.port,
        look_up_names: options.look_up_names,
    };
    Connections::start(socket_options, admission, on_event)
        .map_err(|error| StartError::Network(error.to_string()))
}

impl Running {
    pub(super) fn network(&self) -> Arc<Network> {
        Arc::clone(&self.network)
    }

    /// Ends all connections and the threads.
    pub(super) fn stop(mut self) {
        drop(self.listener.take());
        // If the thread is gone, there is nobody to tell.
        let _ = lock(&self.network.inputs).send(Input::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the peers ended with a panic");
        }
        self.network.connections.stop();
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

    fn run(&self, inputs: &mpsc::Receiver<Input>) {
        tracing::info!("msghand thread start");
        let mut next_tick = std::time::Instant::now();
        loop {
            let now = std::time::Instant::now();
            if now >= next_tick {
                next_tick = now + TICK;
                self.handle(Event::Tick);
                self.connect_wanted();
            }
            match inputs.recv_timeout(next_tick.saturating_duration_since(now)) {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Input::Event(event)) => self.handle(event),
                Ok(Input::Socket(event)) => self.socket(event),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        tracing::info!("msghand thread exit");
    }

    fn socket(&self, event: SocketEvent) {
        match event {
            SocketEvent::Opened(opened) => {
                // Addresses of peers stand in the log only if the user wants them there.
                if self.log_ips {
                    let (id, address) = (opened.id, opened.address);
                    tracing::debug!(target: "net", "connection made: peer={id}, peeraddr={address}");
                }
                let new = NewPeer {
                    id: PeerId(opened.id),
                    kind: if opened.target.is_some() {
                        ConnectionKind::Manual
                    } else {
                        ConnectionKind::Inbound
                    },
                    address: opened.address,
                    permissions: self
                        .whitelist
                        .permissions(opened.address.ip(), opened.target.is_none()),
                };
                {
                    let mut state = lock(&self.state);
                    if let Some(target) = &opened.target {
                        state.tried(target);
                    }
                    state.open.insert(opened.id, opened);
                }
                self.handle(Event::Connected(new));
            }
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
                {
                    let mut state = lock(&self.state);
                    state.open.remove(&id);
                    if let Some(target) = retrying {
                        state.trying(&target);
                    }
                }
                self.handle(Event::Disconnected(PeerId(id)));
            }
            SocketEvent::Failed { target, reason } => {
                tracing::debug!(target: "net", "connecting to {target} failed: {reason}");
                lock(&self.state).tried(&target);
            }
        }
    }

    fn handle(&self, event: Event) {
        let actions = lock(&self.peers).handle(self.now(), event);
        for action in actions {
            match action {
                Action::Send(id, message) => self.connections.send(id.0, &message),
                Action::Disconnect(id) => self.connections.close(id.0),
                Action::Discourage(address) => {
                    let mut discouraged = lock(&self.discouraged);
                    // A set that was filled on purpose is worth nothing.
                    if discouraged.len() >= MAX_DISCOURAGED {
                        discouraged.clear();
                    }
                    discouraged.insert(address);
                }
            }
        }
    }

    /// Tries to reach the peers that the user wants and that are not there.
    fn connect_wanted(&self) {
        // Not the mocked time: a clock that stands still must not keep peers away.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut due = Vec::new();
        {
            let mut state = lock(&self.state);
            let State { open, wanted } = &mut *state;
            for wanted in wanted.iter_mut() {
                let there = open
                    .values()
                    .any(|peer| is_target(peer, &wanted.target, self.port));
                if !there && !wanted.trying && now >= wanted.next {
                    wanted.trying = true;
                    wanted.next = now
                        + if wanted.fixed {
                            RETRY_CONNECT
                        } else {
                            RETRY_ADDED
                        };
                    due.push((wanted.target.clone(), wanted.v2));
                }
            }
        }
        for (target, v2) in due {
            self.connections.connect(target, v2);
        }
    }
}

impl State {
    /// An attempt is under way.
    fn trying(&mut self, target: &str) {
        self.set_trying(target, true);
    }

    /// An attempt is over, well or not.
    fn tried(&mut self, target: &str) {
        self.set_trying(target, false);
    }

    fn set_trying(&mut self, target: &str, trying: bool) {
        for wanted in &mut self.wanted {
            if wanted.target == target {
                wanted.trying = trying;
            }
        }
    }
}

fn is_target(peer: &Opened, target: &str, port: u16) -> bool {
    peer.target.as_deref() == Some(target) || connections::parse(target, port) == Some(peer.address)
}

impl Network {
    /// Encrypted or not: as the user asks, else as the node is set.
    fn choose_transport(&self, asked: Option<bool>) -> Result<bool, AddError> {
        match asked {
            Some(true) if !self.v2 => Err(AddError::NoV2),
            Some(v2) => Ok(v2),
            None => Ok(self.v2),
        }
    }
}

impl PeerHooks for Network {
    fn peers(&self) -> Vec<PeerView> {
        let peers = lock(&self.peers).info();
        peers
            .into_iter()
            .filter_map(|info| {
                // One that is gone already, and only not yet forgotten, is not shown.
                let traffic = self.connections.traffic(info.id.0)?;
                let name = lock(&self.state).open.get(&info.id.0)?.target.clone();
                Some(PeerView {
                    info,
                    traffic,
                    name,
                })
            })
            .collect()
    }

    fn connect_once(&self, target: &str, v2: Option<bool>) -> Result<(), AddError> {
        let v2 = self.choose_transport(v2)?;
        self.connections.connect(target.to_owned(), v2);
        Ok(())
    }

    fn add(&self, target: &str, v2: Option<bool>) -> Result<(), AddError> {
        let v2 = self.choose_transport(v2)?;
        let mut state = lock(&self.state);
        let exists = |wanted: &Wanted| !wanted.fixed && wanted.target == target;
        if state.wanted.iter().any(exists) {
            return Err(AddError::AlreadyAdded);
        }
        state.wanted.push(Wanted {
            target: target.to_owned(),
            v2,
            fixed: false,
            next: Duration::ZERO,
            trying: false,
        });
        Ok(())
    }

    fn remove(&self, target: &str) -> Result<(), AddError> {
        let mut state = lock(&self.state);
        let before = state.wanted.len();
        state
            .wanted
            .retain(|wanted| wanted.fixed || wanted.target != target);
        if state.wanted.len() == before {
            return Err(AddError::NotAdded);
        }
        Ok(())
    }

    fn added(&self) -> Vec<AddedNode> {
        let state = lock(&self.state);
        state
            .wanted
            .iter()
            .filter(|wanted| !wanted.fixed)
            .map(|wanted| {
                let peer = state
                    .open
                    .values()
                    .find(|peer| is_target(peer, &wanted.target, self.port));
                AddedNode {
                    target: wanted.target.clone(),
                    connected: peer.map(|peer| (peer.address, peer.target.is_none())),
                }
            })
            .collect()
    }

    fn disconnect(&self, id: u64) -> bool {
        let found = lock(&self.state).open.contains_key(&id);
        self.connections.close(id);
        found
    }

    fn disconnect_address(&self, address: &str) -> bool {
        let ids: Vec<u64> = lock(&self.state)
            .open
            .values()
            .filter(|peer| is_target(peer, address, self.port))
            .map(|peer| peer.id)
            .collect();
        for id in &ids {
            self.connections.close(*id);
        }
        !ids.is_empty()
    }

    fn totals(&self) -> (u64, u64) {
        self.connections.totals()
    }

    fn services(&self) -> u64 {
        lock(&self.peers).services().to_u64()
    }

    fn ping(&self) {
        // If the thread is gone, the node is stopping.
        let _ = lock(&self.inputs).send(Input::Event(Event::Ping));
    }
}
