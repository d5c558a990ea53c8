//! The start-up, step by step, in Core's order and with its messages.
//!
//! | step | what is there after it |
//! |---|---|
//! | configuration | the data directory, `settings.json`, options that make sense |
//! | lock | the data directory is ours; pid file; debug log |
//! | servers | wallets' process, sockets of `-ipcbind`, the HTTP port (in warm-up) |
//! | chain | block index and coins, checked; mempool; methods that need them |
//! | wallets | loaded, up to the chain's tip |
//! | import | runs on in the background: block files, then `mempool.dat` |
//! | network | peers, made and taken |
//!
//! Whatever a step made is in [`Parts`] at once, so that a failure, or a shutdown that comes in between, takes down what
//! is there in the order of any shutdown.

use super::builder::Builder;
use super::commands;
use super::context::{Context, Loaded};
use super::control::Control;
use super::error::{StartError, remediable};
use super::messages::{Message, Messages};
use super::options::{Options, rpc_access};
use super::parts::Parts;
use super::pid_file::PidFile;
use super::placement::Placement;
#[cfg(feature = "ipc")]
use super::serve::Incoming;
use super::settings::{self, RwSettings};
use super::wallets::{Wallets, WalletsError};
use super::{Node, echo, import, timer};
use crate::chainstate::{self, ChainstateManager, OpenError};
use crate::index::{IndexOptions, Indexes};
use crate::mempool::Mempool;
use crate::mempool::fees::Estimators;
use crate::notify::Event;
use crate::rpc::control;
use crate::rpc::network::PeerHooks;
use crate::rpc::server::BoundServer;
use crate::store::data_dir::DataDir;
use crate::store::{StoreError, flat_file};
use btc_consensus::params::Chain;
use btc_interfaces::args::Args;
use btc_interfaces::logging;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Brings a node up.
pub(super) fn start(mut builder: Builder) -> Result<Node, StartError> {
    let mut args = builder.take_args()?;
    let options = Options::read(&args)?;
    let base_dir = args.data_dir();
    let settings =
        RwSettings::open(args.settings_path(), crate::CLIENT_NAME).map_err(
            |error| match error {
                settings::OpenError::Read(error) => StartError::ReadSettings(error),
                settings::OpenError::Write(error) => StartError::WriteSettings(error),
            },
        )?;
    args.set_rw_settings(settings.all());

    let mut parts = Parts {
        messages: std::mem::take(&mut builder.listening),
        ..Parts::default()
    };
    parts.data_dir = Some(DataDir::open(
        &base_dir,
        options.params.chain.network(),
        options.blocks_dir.as_deref(),
        crate::CLIENT_NAME,
    )?);
    if let Some(path) = &options.pid_file {
        let pid_file = PidFile::create(path).map_err(|source| StartError::PidFile {
            path: path.clone(),
            source,
        })?;
        parts.pid_file = Some(pid_file);
    }
    if let Some(logger) = &builder.logger {
        logger.open()?;
        tracing::info!(
            "{} version v{}",
            crate::CLIENT_NAME,
            env!("CARGO_PKG_VERSION")
        );
        logging::log_start(&args);
        if options.params.chain == Chain::Signet {
            let magic = options.params.magic.map(|byte| format!("{byte:02x}"));
            tracing::info!("Signet derived magic (message start): {}", magic.concat());
        }
    }

    options.network.limit.tell(&builder.messages);
    say_what_is_odd(&mut args, &builder.messages);

    let mock_time = options.mock_time;
    let context = Arc::new(Context::new(args, options, settings, &builder));
    context.set_mock_time(mock_time);
    match run(&context, builder, &mut parts) {
        Ok(()) => Ok(Node {
            context,
            parts: Mutex::new(parts),
        }),
        Err(error) => {
            tracing::error!("{error}");
            parts.stop(&context);
            Err(error)
        }
    }
}

/// Warns of what in the options has no effect, or not the one that its author may think.
/// Options that Core once had, and what it tells those who still set them.
const REMOVED: [(&str, &str); 3] = [
    (
        "checkpoints",
        "Option '-checkpoints' is set but checkpoints were removed. This option has no effect.",
    ),
    (
        "limitancestorsize",
        "Option '-limitancestorsize' is given but ancestor size limits have been replaced with cluster size limits (see -limitclustersize). This option has no effect.",
    ),
    (
        "limitdescendantsize",
        "Option '-limitdescendantsize' is given but descendant size limits have been replaced with cluster size limits (see -limitclustersize). This option has no effect.",
    ),
];

fn say_what_is_odd(args: &mut Args, messages: &Messages) {
    let chain = args.chain_name();
    for section in args.unrecognized_sections() {
        messages.warning(section);
    }
    for option in args.unsuitable_section_only() {
        messages.warning(format!(
            "Config setting for -{option} only applied on {chain} network when in [{chain}] section."
        ));
    }
    let unnamed = args.values("addnode");
    for _ in unnamed.iter().filter(|name| name.trim().is_empty()) {
        tracing::warn!("Ignoring empty -addnode value");
    }
    for warning in args.take_warnings() {
        tracing::warn!("{warning}");
    }
    for (option, text) in REMOVED {
        if args.is_set(option) {
            messages.warning(text);
        }
    }
    for option in args.not_yet_effective() {
        tracing::warn!("option -{option} has no effect yet");
    }
}

/// Everything after the configuration and the lock.
fn run(context: &Arc<Context>, builder: Builder, parts: &mut Parts) -> Result<(), StartError> {
    listen(context, parts);
    if context.options.wallet
        && let Some(placement) = builder.placement
    {
        construct_wallets(context, placement)?;
    }
    #[cfg(feature = "ipc")]
    offer(context, builder.parent, parts)?;
    register_early(context, parts);
    serve(context, builder.serve_rpc, parts)?;
    check_shutdown(context)?;

    if let Some(wallets) = context.wallets() {
        refusing(context, || wallets.verify())?;
    }
    check_shutdown(context)?;

    load_chain(context, parts)?;
    check_shutdown(context)?;

    if let Some(wallets) = context.wallets() {
        context.messages.progress("Loading wallet…");
        refusing(context, || wallets.load())?;
    }
    check_shutdown(context)?;

    if let Ok(chainstate) = context.chainstate()
        && chainstate.prune_target().is_some()
    {
        // Only now: a wallet may have read blocks to catch up.
        context.messages.progress("Pruning blockstore…");
        chainstate.prune_to_target().map_err(StartError::Prune)?;
    } else {
        tracing::info!("Setting NODE_NETWORK in non-prune mode");
    }
    check_disk_space(context, parts)?;
    parts.import = Some(import::spawn(context).map_err(StartError::Thread)?);
    if let Ok(chainstate) = context.chainstate() {
        tracing::info!("nBestHeight = {}", chainstate.tip().height);
    }
    if let Some(wallets) = context.wallets() {
        wallets.start()?;
    }
    context.messages.progress("Starting network threads…");
    let network = super::network::start(context)?;
    context.set_network(Some(network.network()));
    parts.network = Some(network);
    context.registry.set_warmup_finished();
    context.messages.progress("Done loading");
    for command in &context.options.startup_notify {
        // It runs on by itself.
        drop(commands::spawn(command.clone()));
    }
    Ok(())
}

/// Refuses to begin with so little room that the first flush would fail.
fn check_disk_space(context: &Context, parts: &Parts) -> Result<(), StartError> {
    let Some(dirs) = &parts.data_dir else {
        return Ok(());
    };
    for dir in [dirs.net(), dirs.blocks()] {
        // If that cannot be told, whoever writes there will say what is wrong.
        if let Err(StoreError::DiskSpace) = flat_file::check_disk_space(dir, 0) {
            let error = StartError::DiskSpace(dir.to_owned());
            context.messages.error(error.to_string());
            return Err(error);
        }
    }
    Ok(())
}

/// A shutdown during the start is no failure, but there is no node either.
fn check_shutdown(context: &Context) -> Result<(), StartError> {
    if context.shutdown.is_requested() {
        return Err(StartError::Interrupted);
    }
    Ok(())
}

/// What the node itself does on messages and events.
fn listen(context: &Arc<Context>, parts: &mut Parts) {
    let registry = context.registry.clone();
    parts.messages.push(context.messages.listen(move |message| {
        if let Message::Progress(text) = message {
            registry.set_warmup_status(text.clone());
        }
    }));
    let node = Arc::downgrade(context);
    let listener = move |event: &Event| {
        if let Some(context) = node.upgrade() {
            on_event(&context, event);
        }
    };
    parts
        .listeners
        .push(context.notifier.register(Arc::new(listener)));
}

fn on_event(context: &Context, event: &Event) {
    match event {
        Event::Fatal { message } => context.fatal(message),
        // Only the start-up tells its steps; later tasks show up in the log.
        Event::Progress { title, percent: 0 } if context.loaded().is_err() => {
            context.messages.progress(title);
        }
        Event::TipChanged {
            hash,
            height,
            initial_download,
            ..
        } => {
            context.new_rules.check(context);
            if let Some(command) = &context.options.block_notify
                && !initial_download
            {
                drop(commands::spawn(command.replace("%s", &hash.to_string())));
            }
            stop_at_height(context, *height);
        }
        _ => {}
    }
}

/// Ends the node once its chain is as high as `-stopatheight` says.
fn stop_at_height(context: &Context, height: u32) {
    let stop = context.options.stop_at_height;
    if stop.is_some_and(|stop| height >= stop) && !context.shutdown.is_requested() {
        tracing::info!("Stopping at height {height}, as -stopatheight says");
        context.shutdown.request();
    }
}

fn construct_wallets(context: &Arc<Context>, placement: Placement) -> Result<(), StartError> {
    let wallets = Wallets::new(placement, Arc::downgrade(context));
    // Set first, so that a failure half-way finds them when everything is taken down.
    let wallets = context.wallets.get_or_init(|| wallets);
    wallets.construct()?;
    Ok(())
}

/// Runs a step of the wallets that may refuse, with reasons told as messages; they become the error.
fn refusing(
    context: &Context,
    step: impl FnOnce() -> Result<bool, WalletsError>,
) -> Result<(), StartError> {
    let reasons: Arc<Mutex<Vec<String>>> = Arc::default();
    let listening = context.messages.listen({
        let reasons = Arc::clone(&reasons);
        move |message| {
            if let Message::Error(text) = message {
                reasons
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(text.clone());
            }
        }
    });
    let agreed = step()?;
    drop(listening);
    if agreed {
        return Ok(());
    }
    let reasons = std::mem::take(&mut *reasons.lock().unwrap_or_else(PoisonError::into_inner));
    Err(StartError::WalletsRefused(reasons))
}

/// Methods that need no chain.
fn register_early(context: &Arc<Context>, parts: &mut Parts) {
    let hooks: Arc<dyn control::ControlHooks> = Arc::new(Control::new(context));
    parts
        .methods
        .extend(control::register(&context.registry, &hooks, Instant::now()));
    parts.methods.push(echo::register(context));
}

/// Offers the node's objects to other processes.
#[cfg(feature = "ipc")]
fn offer(
    context: &Arc<Context>,
    parent: Option<std::os::unix::net::UnixStream>,
    parts: &mut Parts,
) -> Result<(), StartError> {
    if let Some(stream) = parent {
        let incoming = Incoming::parent(context, stream);
        parts
            .incoming
            .push(incoming.map_err(|error| StartError::Parent(error.to_string()))?);
    }
    for address in &context.options.ipc_bind {
        let incoming = Incoming::bind(context, address).map_err(|source| StartError::IpcBind {
            address: address.clone(),
            source,
        })?;
        parts.incoming.push(incoming);
    }
    Ok(())
}

/// Opens the ports on which others reach the node.
fn serve(context: &Arc<Context>, by_default: bool, parts: &mut Parts) -> Result<(), StartError> {
    if !context.options.server.unwrap_or(by_default) {
        return Ok(());
    }
    // The reasons are for the log; the user is told to look there.
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!("{error}");
        StartError::Server
    };
    let mut bound =
        BoundServer::bind(context.options.rpc_server()).map_err(|error| failed(&error))?;
    if let Some(rest) = &context.rest {
        bound = bound.with_rest(Arc::clone(rest));
    }
    let access = rpc_access(&context.args()).map_err(|error| failed(&error))?;
    let server = bound
        .start(context.registry.clone(), access)
        .map_err(|error| failed(&error))?;
    parts.server = Some(server);
    Ok(())
}

/// Opens the chain and what stands on it.
fn load_chain(context: &Arc<Context>, parts: &mut Parts) -> Result<(), StartError> {
    context.messages.progress("Loading block index…");
    let dirs = parts
        .data_dir
        .as_ref()
        .expect("the directory is held from before this step until the end")
        .into();
    let mut options = context.options.chainstate(dirs);
    let dbcache = options.dbcache;
    options.dbcache = context.options.indexes.remaining(dbcache);
    // A shutdown must not wait for a long check, nor for blocks that wait to be connected.
    let interrupt = options.interrupt.clone();
    context
        .shutdown
        .on_request(move || interrupt.store(true, Ordering::Relaxed));
    let open =
        |options| ChainstateManager::open(options, context.clock.clone(), context.notifier.clone());
    let reindexing = chainstate::Options {
        reindex: true,
        ..options.clone()
    };
    let opened = match open(options) {
        Err(error)
            if context.options.reindexes_after_failure()
                && !context.shutdown.is_requested()
                && remediable(&error) =>
        {
            tracing::error!("{error}; building the databases anew");
            open(reindexing)
        }
        opened => opened,
    };
    // What it has told comes before what is told next.
    context.notifier.sync_with_queue();
    let chainstate = opened.map_err(|error| match error {
        OpenError::Interrupted => StartError::Interrupted,
        error => StartError::Chainstate(error),
    })?;
    let chainstate = Arc::new(chainstate);
    let mempool = Arc::new(Mempool::new(
        context.options.policy.clone(),
        context.options.mempool_limits.clone(),
        context.clock.clone(),
        context.notifier.clone(),
    ));
    mempool.set_audit(context.options.check_mempool);
    if chainstate.set_mempool(mempool.clone()).is_err() {
        unreachable!("a chainstate that was just opened has no mempool");
    }
    if let Err(error) = chainstate.recover_blocks() {
        return Err(StartError::Recover(error));
    }
    tracing::info!("Block index and chainstate loaded");
    // No block may be left to come that would say so.
    stop_at_height(context, chainstate.tip().height);
    if !context.options.network.blocks_only {
        watch_fees(context, parts, &chainstate, &mempool)?;
    }
    keep_announcing(context, parts, &mempool)?;
    let kept = IndexOptions {
        // A reindex may have been begun because nothing else helped.
        wipe: chainstate.options().reindex,
        ..context.options.indexes
    };
    let indexes = Arc::new(Indexes::open(&chainstate, &context.net_dir, kept, dbcache)?);
    let loaded = Loaded {
        chainstate,
        mempool,
        indexes,
    };
    parts
        .methods
        .extend(super::methods::register(context, &loaded));
    context.set_loaded(Some(loaded));
    Ok(())
}

/// How often fee estimates are written.
const FEE_FLUSH_PERIOD: Duration = Duration::from_secs(60 * 60);

/// Lets the fee estimators watch, and keeps what they know on disk.
fn watch_fees(
    context: &Context,
    parts: &mut Parts,
    chainstate: &ChainstateManager,
    mempool: &Arc<Mempool>,
) -> Result<(), StartError> {
    let tip = chainstate.tip();
    mempool.set_fee_estimators(Estimators::open(
        &context.net_dir,
        context.options.accept_stale_fee_estimates,
        (tip.height, tip.hash),
    ));
    let mempool = Arc::clone(mempool);
    let timer = Arc::clone(&context.timers.fee_flush);
    let thread = timer::spawn("feeflush", timer, FEE_FLUSH_PERIOD, move || {
        mempool.flush_fees(false);
    });
    parts.timed.push(thread.map_err(StartError::Thread)?);
    Ok(())
}

/// How often transactions of our own that no peer asked for are announced again, and what may come on top.
const ANNOUNCE_PERIOD: Duration = Duration::from_secs(10 * 60);
const ANNOUNCE_SPREAD_SECONDS: u64 = 5 * 60;

/// Announces transactions of our own again until a peer asks for them.
fn keep_announcing(
    context: &Arc<Context>,
    parts: &mut Parts,
    mempool: &Arc<Mempool>,
) -> Result<(), StartError> {
    let (node, mempool) = (Arc::downgrade(context), Arc::clone(mempool));
    // No other node's period, so that it says nothing of when a transaction was made.
    let spread = RandomState::new().hash_one(0) % ANNOUNCE_SPREAD_SECONDS;
    let period = ANNOUNCE_PERIOD + Duration::from_secs(spread);
    let timer = Arc::clone(&context.timers.announce);
    let thread = timer::spawn("announce", timer, period, move || {
        let network = node.upgrade().and_then(|context| context.network());
        if let Some(network) = network {
            for tx in mempool.unbroadcast() {
                network.announce(&tx);
            }
        }
    });
    parts.timed.push(thread.map_err(StartError::Thread)?);
    Ok(())
}
