//! The wallets as the node holds them: composed by a [`Placement`], started and stopped with the node, and missed
//! without harm when their process dies.
//!
//! Every RPC method that the wallets register goes through a slot that outlives their process. While the slot is
//! filled, calls are forwarded; when the process is gone, they are answered with an error that says so, and
//! `loadwallet` and `createwallet` start it again first.
//!
//! Locks: `composing` is held while a wallet process is being started or stopped, and calls go out under it; `state`
//! and a slot's own lock are held for a look or an exchange only, and nothing is called under them.

use super::context::Context;
use super::placement::{Placement, PlacementError};
#[cfg(feature = "ipc")]
use super::process::Remote;
use crate::rpc::registry::Registration;
use btc_interfaces::rpc::{RpcCommand, RpcError, RpcReply, RpcRequest, code};
use btc_interfaces::{
    ChainClient, Echo, FnHandler, Handler, Init, Result, RpcHandler, WalletLoader,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use thiserror::Error;

/// The methods that start a dead wallet process again instead of failing.
const REVIVING: [&str; 2] = ["loadwallet", "createwallet"];

/// What a call gets when the wallets' process is gone.
const STOPPED: &str = "The wallet process has stopped; loadwallet starts it again";

/// Why the wallets did not do what the node asked of them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WalletsError {
    /// They cannot be reached at their place.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// A call to them failed.
    #[error("the wallets failed to {action}: {source}")]
    Call {
        /// What was asked, as an infinitive.
        action: &'static str,
        /// The failure.
        source: btc_interfaces::Error,
    },
    /// They were never started, their process is gone, or the node is stopping.
    #[error("no wallets are running")]
    NotRunning,
}

/// The wallets of a node.
pub struct Wallets {
    context: Weak<Context>,
    placement: Placement,
    composing: Mutex<()>,
    state: Mutex<State>,
    methods: Mutex<BTreeMap<String, Method>>,
}

/// Whether the wallets run.
enum State {
    /// Not yet, or their process died.
    Absent,
    Running(Session),
    /// The node stops; nothing starts them again.
    Stopped,
}

/// One life of the wallets.
struct Session {
    init: Arc<dyn Init>,
    loader: Arc<dyn WalletLoader>,
    client: Arc<dyn ChainClient>,
    #[cfg(feature = "ipc")]
    remote: Option<Remote>,
}

/// An RPC method of the wallets.
struct Method {
    slot: Arc<Slot>,
    _registration: Registration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks guard is replaced whole, so a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wallets {
    /// Wallets that are not started yet.
    pub(crate) fn new(placement: Placement, context: Weak<Context>) -> Arc<Self> {
        Arc::new(Self {
            context,
            placement,
            composing: Mutex::new(()),
            state: Mutex::new(State::Absent),
            methods: Mutex::new(BTreeMap::new()),
        })
    }

    /// Starts the wallets' process if they have one, makes the loader, and registers their RPC methods. Loads nothing.
    pub(crate) fn construct(self: &Arc<Self>) -> Result<(), WalletsError> {
        let _composing = lock(&self.composing);
        self.compose()
    }

    /// As [`Wallets::construct`], with `composing` held.
    fn compose(self: &Arc<Self>) -> Result<(), WalletsError> {
        self.notice_loss();
        match &*lock(&self.state) {
            State::Running(_) => return Ok(()),
            State::Stopped => return Err(WalletsError::NotRunning),
            State::Absent => {}
        }
        let context = self.context.upgrade().ok_or(WalletsError::NotRunning)?;
        #[cfg(feature = "ipc")]
        let (init, remote) = match &self.placement {
            Placement::Local(init) => (init.clone(), None),
            Placement::Spawn(path) => {
                let remote = Remote::spawn(path)?;
                (remote.init(), Some(remote))
            }
            Placement::Connect(path) => {
                let remote = Remote::connect(path)?;
                (remote.init(), Some(remote))
            }
        };
        #[cfg(not(feature = "ipc"))]
        let Placement::Local(init) = &self.placement;
        #[cfg(not(feature = "ipc"))]
        let init = init.clone();

        let call = |action| move |source| WalletsError::Call { action, source };
        let chain = Arc::new(crate::iface::ContextChain::for_wallets(
            context.clone(),
            Arc::downgrade(self),
        ));
        let loader = init
            .make_wallet_loader(context.global_args(), chain)
            .map_err(call("start"))?;
        let client = loader.chain_client().map_err(call("start"))?;
        client
            .register_rpcs()
            .map_err(call("register their methods"))?;
        #[cfg(feature = "ipc")]
        let connection = remote.as_ref().map(Remote::connection);
        *lock(&self.state) = State::Running(Session {
            init,
            loader,
            client,
            #[cfg(feature = "ipc")]
            remote,
        });
        #[cfg(feature = "ipc")]
        if let Some(connection) = connection {
            let wallets = Arc::downgrade(self);
            connection.on_closed(move |_| {
                if let Some(wallets) = wallets.upgrade() {
                    wallets.notice_loss();
                }
            });
        }
        Ok(())
    }

    /// Takes note that the wallets' process went away by itself, if it did.
    fn notice_loss(&self) {
        #[cfg(feature = "ipc")]
        self.bury_if_closed();
    }

    #[cfg(feature = "ipc")]
    fn bury_if_closed(&self) {
        let session = {
            let mut state = lock(&self.state);
            match &*state {
                State::Running(session)
                    if session.remote.as_ref().is_some_and(Remote::is_closed) =>
                {
                    std::mem::replace(&mut *state, State::Absent)
                }
                _ => return,
            }
        };
        for method in lock(&self.methods).values() {
            method.slot.clear();
        }
        if let State::Running(Session {
            remote: Some(remote),
            ..
        }) = session
        {
            tracing::warn!("{STOPPED} ({})", remote.reap());
        }
    }

    /// Starts the wallets again after their process died; does nothing while they run.
    fn revive(self: &Arc<Self>) -> Result<(), WalletsError> {
        let _composing = lock(&self.composing);
        self.compose()?;
        self.client()?.start().map_err(|source| WalletsError::Call {
            action: "start",
            source,
        })
    }

    fn client(&self) -> Result<Arc<dyn ChainClient>, WalletsError> {
        match &*lock(&self.state) {
            State::Running(session) => Ok(session.client.clone()),
            _ => Err(WalletsError::NotRunning),
        }
    }

    fn call<T>(
        &self,
        action: &'static str,
        call: impl FnOnce(&dyn ChainClient) -> Result<T>,
    ) -> Result<T, WalletsError> {
        call(&*self.client()?).map_err(|source| WalletsError::Call { action, source })
    }

    /// Checks what is to be loaded at start; `false` if the node must not start, for a reason already told.
    pub(crate) fn verify(&self) -> Result<bool, WalletsError> {
        self.call("verify their files", |client| client.verify())
    }

    /// Loads what is to be loaded at start; `false` as above.
    pub(crate) fn load(&self) -> Result<bool, WalletsError> {
        self.call("load", |client| client.load())
    }

    /// Lets them begin their own work.
    pub(crate) fn start(&self) -> Result<(), WalletsError> {
        self.call("start", |client| client.start())
    }

    /// Tells them the time, in seconds since 1970, 0 for the real clock. Without running wallets there is nobody to
    /// tell; they are told when they start.
    pub(crate) fn set_mock_time(&self, time: i64) -> Result<(), WalletsError> {
        match self.call("take the time", |client| client.set_mock_time(time)) {
            Err(WalletsError::NotRunning) => Ok(()),
            result => result,
        }
    }

    /// Moves their scheduler forward by so many seconds.
    pub(crate) fn scheduler_mock_forward(&self, seconds: i64) -> Result<(), WalletsError> {
        match self.call("move their scheduler", |client| {
            client.scheduler_mock_forward(seconds)
        }) {
            Err(WalletsError::NotRunning) => Ok(()),
            result => result,
        }
    }

    /// The loader, while the wallets run.
    pub fn loader(&self) -> Option<Arc<dyn WalletLoader>> {
        match &*lock(&self.state) {
            State::Running(session) => Some(session.loader.clone()),
            _ => None,
        }
    }

    /// An echo from where the wallets are.
    pub(crate) fn echo(&self) -> Result<Arc<dyn Echo>, WalletsError> {
        let init = match &*lock(&self.state) {
            State::Running(session) => session.init.clone(),
            _ => return Err(WalletsError::NotRunning),
        };
        init.make_echo().map_err(|source| WalletsError::Call {
            action: "echo",
            source,
        })
    }

    /// The id of the wallets' process, if this node spawned one and it runs.
    pub fn process_id(&self) -> Option<u32> {
        #[cfg(feature = "ipc")]
        if let State::Running(session) = &*lock(&self.state) {
            return session.remote.as_ref().and_then(Remote::process_id);
        }
        None
    }

    /// Writes what is not written, lets go of the wallets, and waits for their process. Nothing starts them again.
    pub(crate) fn stop(&self) {
        let _composing = lock(&self.composing);
        let state = std::mem::replace(&mut *lock(&self.state), State::Stopped);
        if let State::Running(session) = state {
            if let Err(error) = session.client.stop() {
                tracing::warn!("the wallets did not stop cleanly: {error}");
            }
            let Session {
                init,
                loader,
                client,
                #[cfg(feature = "ipc")]
                remote,
            } = session;
            for method in lock(&self.methods).values() {
                method.slot.clear();
            }
            drop((client, loader, init));
            #[cfg(feature = "ipc")]
            if let Some(remote) = remote {
                remote.finish();
            }
        }
        // Out of the lock before the registrations go, since the registry has one of its own.
        let methods = std::mem::take(&mut *lock(&self.methods));
        drop(methods);
    }

    /// Fills the slot of the method that `command` names. The handler it gives empties the slot again.
    pub(crate) fn handle_rpc(
        self: &Arc<Self>,
        command: RpcCommand,
        handler: Arc<dyn RpcHandler>,
    ) -> Result<Arc<dyn Handler>> {
        let context = self
            .context
            .upgrade()
            .ok_or(btc_interfaces::Error::Cancelled)?;
        let mut methods = lock(&self.methods);
        let slot = match methods.get(&command.name) {
            Some(method) => method.slot.clone(),
            None => {
                let name = command.name.clone();
                let slot = Arc::new(Slot {
                    wallets: Arc::downgrade(self),
                    revives: REVIVING.contains(&name.as_str()),
                    handler: Mutex::new(None),
                });
                let registration = context.registry.register_remote(command, slot.clone());
                methods.insert(
                    name,
                    Method {
                        slot: slot.clone(),
                        _registration: registration,
                    },
                );
                slot
            }
        };
        *lock(&slot.handler) = Some(handler.clone());
        let slot = Arc::downgrade(&slot);
        Ok(Arc::new(FnHandler::new(move || {
            if let Some(slot) = slot.upgrade() {
                slot.clear_if(&handler);
            }
        })))
    }
}

/// One method of the wallets, with or without a process behind it.
struct Slot {
    wallets: Weak<Wallets>,
    revives: bool,
    handler: Mutex<Option<Arc<dyn RpcHandler>>>,
}

impl Slot {
    fn clear(&self) {
        let handler = lock(&self.handler).take();
        drop(handler);
    }

    fn clear_if(&self, handler: &Arc<dyn RpcHandler>) {
        let mut current = lock(&self.handler);
        // A later life of the wallets may have filled the slot anew.
        if current.as_ref().is_some_and(|it| Arc::ptr_eq(it, handler)) {
            let handler = current.take();
            drop(current);
            drop(handler);
        }
    }

    fn forward(&self, request: &RpcRequest) -> Forwarded {
        let Some(handler) = lock(&self.handler).clone() else {
            return Forwarded::NobodyThere;
        };
        match handler.call(request.clone()) {
            Ok(reply) => Forwarded::Reply(reply),
            Err(btc_interfaces::Error::Disconnected { during: false }) => Forwarded::NobodyThere,
            Err(btc_interfaces::Error::Disconnected { during: true }) => Forwarded::Reply(error(
                "The wallet process has stopped during this call, which may have taken effect; loadwallet starts it \
                 again",
            )),
            Err(failure) => Forwarded::Reply(
                Err(RpcError::new(code::INTERNAL_ERROR, failure.to_string())).into(),
            ),
        }
    }
}

enum Forwarded {
    Reply(RpcReply),
    NobodyThere,
}

fn error(message: impl Into<String>) -> RpcReply {
    Err(RpcError::new(code::WALLET_ERROR, message)).into()
}

impl RpcHandler for Slot {
    fn call(&self, request: RpcRequest) -> Result<RpcReply> {
        if let Forwarded::Reply(reply) = self.forward(&request) {
            return Ok(reply);
        }
        if !self.revives {
            return Ok(error(STOPPED));
        }
        let Some(wallets) = self.wallets.upgrade() else {
            return Ok(error(STOPPED));
        };
        if let Err(failure) = wallets.revive() {
            return Ok(error(format!(
                "The wallet process has stopped and cannot be started again: {failure}"
            )));
        }
        Ok(match self.forward(&request) {
            Forwarded::Reply(reply) => reply,
            Forwarded::NobodyThere => error(STOPPED),
        })
    }
}
