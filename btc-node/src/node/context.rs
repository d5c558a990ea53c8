//! Everything a running node consists of, in one place that rooms and adapters are reached from.

use super::builder::Builder;
use super::commands;
use super::messages::Messages;
use super::network::Network;
use super::new_rules::NewRules;
use super::options::Options;
use super::settings::RwSettings;
use super::shutdown::Shutdown;
use super::timer::Timers;
use super::wallets::Wallets;
use super::warnings::{Kind, Warnings};
use crate::chainstate::ChainstateManager;
use crate::chainstate::SystemClock;
use crate::index::Indexes;
use crate::mempool::Mempool;
use crate::mining::TemplateOptions;
use crate::notify::Notifier;
use crate::rpc::registry::Registry;
use crate::rpc::rest::Rest;
use btc_consensus::params::ChainParams;
use btc_interfaces::args::Args;
use btc_interfaces::logging::Logger;
use btc_interfaces::{Error, GlobalArgs, Result, SettingsAction};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// A node's parts. Those that need the data directory are there from the step of the start-up that makes them on;
/// asking earlier is an error, since other processes may ask while the node starts.
pub struct Context {
    /// The options, with what `settings.json` says now.
    args: RwLock<Args>,
    pub(crate) options: Options,
    /// The network's rules.
    pub params: Arc<ChainParams>,
    /// The directory of the chain's files: `…/regtest`.
    pub net_dir: PathBuf,
    /// What `settings.json` holds.
    pub(crate) settings: RwSettings,
    /// The time.
    pub clock: Arc<SystemClock>,
    /// What the node says while it starts.
    pub messages: Messages,
    /// Warnings in force.
    pub warnings: Warnings,
    /// The wish to stop.
    pub shutdown: Shutdown,
    /// The node's own log, unless the program keeps one.
    pub(crate) logger: Option<Logger>,
    /// What happens, in order.
    pub notifier: Arc<Notifier>,
    /// The RPC methods.
    pub registry: Registry,
    /// Signals of rules that this node does not know.
    pub(crate) new_rules: NewRules,
    /// Work that comes back after a time.
    pub(crate) timers: Timers,
    /// REST, if it is offered (`-rest`).
    pub(crate) rest: Option<Arc<Rest>>,
    chain: RwLock<Option<Loaded>>,
    pub(crate) wallets: OnceLock<Arc<Wallets>>,
    network: RwLock<Option<Arc<Network>>>,
}

/// What is there while the chain's databases are open.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) chainstate: Arc<ChainstateManager>,
    pub(crate) mempool: Arc<Mempool>,
    pub(crate) indexes: Arc<Indexes>,
}

impl Context {
    /// A node of which nothing runs yet.
    pub(super) fn new(
        args: Args,
        options: Options,
        settings: RwSettings,
        builder: &Builder,
    ) -> Self {
        let registry = Registry::new();
        registry.set_check_results(args.flag("rpcdoccheck").unwrap_or(false));
        let rest = options.rest;
        Self {
            params: Arc::new(options.params.clone()),
            net_dir: args.net_data_dir(),
            args: RwLock::new(args),
            options,
            settings,
            clock: Arc::new(SystemClock::new()),
            messages: builder.messages.clone(),
            warnings: Warnings::new(),
            shutdown: builder.shutdown.clone(),
            logger: builder.logger.clone(),
            notifier: Arc::new(Notifier::new()),
            new_rules: NewRules::default(),
            timers: Timers::default(),
            rest: rest.then(|| Arc::new(Rest::new(registry.clone()))),
            registry,
            chain: RwLock::new(None),
            wallets: OnceLock::new(),
            network: RwLock::new(None),
        }
    }

    pub(crate) fn loaded(&self) -> Result<Loaded> {
        let loaded = self.chain.read().unwrap_or_else(PoisonError::into_inner);
        loaded.clone().ok_or_else(|| {
            Error::failed(if self.shutdown.is_requested() {
                "the node has stopped"
            } else {
                "the chain is not loaded yet"
            })
        })
    }

    /// The chain's state.
    ///
    /// # Errors
    /// Before it is loaded, and after the node has stopped.
    pub fn chainstate(&self) -> Result<Arc<ChainstateManager>> {
        Ok(self.loaded()?.chainstate)
    }

    /// The transactions that wait for a block.
    ///
    /// # Errors
    /// As for [`Context::chainstate`].
    pub fn mempool(&self) -> Result<Arc<Mempool>> {
        Ok(self.loaded()?.mempool)
    }

    /// The indexes that are kept.
    ///
    /// # Errors
    /// As for [`Context::chainstate`].
    pub fn indexes(&self) -> Result<Arc<Indexes>> {
        Ok(self.loaded()?.indexes)
    }

    /// Waits until the chain is loaded.
    ///
    /// # Errors
    /// When the node is stopped before.
    pub fn wait_loaded(&self) -> Result<()> {
        /// How often it looks; loading takes seconds.
        const TICK: Duration = Duration::from_millis(20);
        loop {
            match self.loaded() {
                Err(_) if !self.shutdown.wait_timeout(TICK) => {}
                loaded => return loaded.map(drop),
            }
        }
    }

    /// Opens or closes the chain to everybody. Whoever asked before keeps what it got.
    pub(crate) fn set_loaded(&self, loaded: Option<Loaded>) {
        let mut chain = self.chain.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *chain, loaded);
        // Without the lock, since closing databases takes its time.
        drop(chain);
        drop(before);
    }

    /// The peers, while the network is open.
    pub(crate) fn network(&self) -> Option<Arc<Network>> {
        let network = self.network.read().unwrap_or_else(PoisonError::into_inner);
        network.clone()
    }

    /// Shows the network to everybody, or no longer.
    pub(super) fn set_network(&self, network: Option<Arc<Network>>) {
        let mut current = self.network.write().unwrap_or_else(PoisonError::into_inner);
        *current = network;
    }

    /// The wallets, unless the node runs without.
    pub fn wallets(&self) -> Option<Arc<Wallets>> {
        self.wallets.get().cloned()
    }

    /// The chain's name as `-chain` takes it.
    pub fn chain_name(&self) -> &str {
        self.params.chain.name()
    }

    /// How the options want blocks to be put together.
    pub fn template_options(&self) -> TemplateOptions {
        self.options.template.clone()
    }

    /// Where the mempool is kept over a restart.
    pub(crate) fn mempool_path(&self) -> PathBuf {
        self.net_dir.join("mempool.dat")
    }

    /// The options.
    pub fn args(&self) -> RwLockReadGuard<'_, Args> {
        self.args.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a value of `settings.json`; gives whether that worked. Null erases.
    pub(crate) fn set_rw_setting(&self, name: &str, value: Value, action: SettingsAction) -> bool {
        let worked = self.settings.set(name, value, action);
        self.args
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .set_rw_settings(self.settings.all());
        worked
    }

    /// The configuration as the wallets' process gets it.
    pub fn global_args(&self) -> GlobalArgs {
        let mut global = self.args().to_global();
        global.mock_time = self.clock.mock_time();
        global
    }

    /// Sets the time for every part: seconds since 1970, or 0 for the system's clock.
    pub fn set_mock_time(&self, time: i64) {
        self.clock.set_mock(Some(time));
        if let Some(logger) = &self.logger {
            logger.set_mock_time(time);
        }
        if let Some(wallets) = self.wallets()
            && let Err(error) = wallets.set_mock_time(time)
        {
            tracing::warn!("the wallets did not take the time: {error}");
        }
    }

    /// Puts a warning in force; a new one goes to `-alertnotify`.
    pub(crate) fn warn(&self, kind: Kind, text: &str) {
        let new = self.warnings.set(kind, text);
        if new && let Some(command) = &self.options.alert_notify {
            drop(commands::spawn(
                command.replace("%s", &commands::quote(text)),
            ));
        }
    }

    /// Stops the node because it cannot go on. The reason goes to the log, to the user and to the warnings.
    pub fn fatal(&self, reason: &str) {
        self.warn(Kind::FatalInternalError, reason);
        tracing::error!("*** {reason}");
        self.messages.error(format!(
            "A fatal internal error occurred, see debug.log for details: {reason}"
        ));
        self.shutdown.fail();
    }
}
