//! The start and the end of the network: sockets, files and threads.

use super::files::{Files, MAX_ANCHORS, SecretFile};
use super::fixed_seeds::FixedSeeds;
use super::inputs::Input;
use super::options::NetworkOptions;
use super::stop::Stop;
use super::{Network, lock, onion, seeds};
use crate::chainstate::ChainstateManager;
use crate::net::connections::{self, Connections};
use crate::net::dial::i2p::{KeyFile, Session};
use crate::net::dial::{self, I2p, SharedRoutes};
use crate::net::{Directory, Endpoint, PeerAddress};
use crate::node::context::Context;
use crate::node::error::StartError;
use crate::node::filters::IndexFilters;
use crate::notify::{self, Event as NodeEvent};
use crate::sync::dial::{DialConfig, Dialer};
use crate::sync::links::{Links, Notation, Wanted};
use crate::sync::{Config, ConnectionKind, Event, Peers};
use bitcoin::key::rand::{RngCore, rngs::OsRng};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What ends with the network.
pub(in crate::node) struct Running {
    network: Arc<Network>,
    threads: Vec<JoinHandle<()>>,
    listener: Option<notify::Registration>,
}

fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    OsRng.fill_bytes(&mut seed);
    seed
}

/// Opens the network.
pub(in crate::node) fn start(context: &Arc<Context>) -> Result<Running, StartError> {
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
    let routes = SharedRoutes::new(options.ways.routes.clone());
    let connections = open(context, &options, routes.clone(), &sender)?;
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
    let fixed_seeds = FixedSeeds::new(
        context.params.chain,
        options.fixed_seeds,
        options.seeds.enabled || !options.seed_nodes.is_empty(),
    );
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
        stop: Stop::default(),
        fixed_seeds: Mutex::new(fixed_seeds),
        listen: options.listen,
        max_automatic: options.max_automatic,
        max_inbound: options.max_inbound,
        dials: options.dials,
        notation: Notation {
            default_port: options.default_port,
            routes,
        },
        i2p: options.ways.i2p,
        log_ips: options.log_ips,
        v2: options.v2,
        whitelist: options.whitelist,
    });
    tracing::info!("SetNetworkActive: {}", options.active);
    if !options.connect.is_empty() && !options.seed_nodes.is_empty() {
        tracing::info!("-seednode is ignored when -connect is used");
    }
    if !options.dials && options.seeds.enabled && options.ways.routes.names.is_some() {
        tracing::info!("-dnsseed is ignored when -connect is used and -proxy is specified");
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
    if let Some(service) = options.onion {
        if service.is_one_of_many {
            context.messages.warning(format!(
                "More than one onion bind address is provided. Using {} for the automatically created Tor onion service.",
                service.target
            ));
        }
        let key = SecretFile::new(&context.net_dir, "onion_v3_private_key");
        let network = Arc::clone(&network);
        threads.push(spawn("torcontrol", move || {
            onion::run(&network, &service, &key);
        })?);
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
    routes: SharedRoutes,
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
        let key = SecretFile::new(&context.net_dir, "i2p_private_key");
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
        routes,
        i2p,
        options.connect_timeout,
        options.default_port,
        options.look_up_names,
    );
    Connections::start(socket_options, dialer, on_event)
        .map_err(|error| StartError::Network(error.to_string()))
}

impl Running {
    pub(in crate::node) fn network(&self) -> Arc<Network> {
        Arc::clone(&self.network)
    }

    /// Ends all connections and the threads, and writes down what is known of addresses.
    pub(in crate::node) fn stop(mut self) {
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
