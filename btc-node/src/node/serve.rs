//! Offering the node's objects to other processes: to the one that started it, and on the sockets of `-ipcbind`.

use super::context::Context;
use super::listen::{self, AddressError};
use crate::iface::NodeInit;
use btc_interfaces::{BlockTemplate, Echo, Init, Mining, Rpc};
use mp_core::{Connection, Options, PeerCheck};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Clients of one socket at a time; more wait in the socket's queue.
const MAX_CLIENTS: usize = 64;

/// How long calls may take when a connection is ended.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// Who may come to a socket of `-ipcbind`, and what for: processes of the node's own user, for what Core offers there.
/// Chain and Node are for the processes that the node starts, or that start it.
fn for_clients() -> Options {
    Options::new()
        .peer(PeerCheck::SameUser)
        .allow::<dyn Init>()
        .allow::<dyn Echo>()
        .allow::<dyn Mining>()
        .allow::<dyn BlockTemplate>()
        .allow::<dyn Rpc>()
}

/// Connections on which the node's objects are offered. Dropping it ends them, and the listening.
pub(super) struct Incoming {
    connections: Arc<Connections>,
    accept: Option<(PathBuf, JoinHandle<()>)>,
}

#[derive(Default)]
struct Connections {
    state: Mutex<State>,
    /// Told when a connection ended or no more are wanted.
    changed: std::sync::Condvar,
}

#[derive(Default)]
struct State {
    open: BTreeMap<u64, Connection>,
    next_id: u64,
    closing: bool,
}

impl Connections {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A map and a flag, whole at every step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more client may come; `false` if none shall.
    fn wait_for_room(&self) -> bool {
        let state = self.state();
        let state = self
            .changed
            .wait_while(state, |state| {
                !state.closing && state.open.len() >= MAX_CLIENTS
            })
            .unwrap_or_else(PoisonError::into_inner);
        !state.closing
    }

    /// Serves the node's objects on `stream` until either side ends it. Gives the connection, unless the node stops.
    fn serve(
        self: &Arc<Self>,
        context: &Arc<Context>,
        stream: UnixStream,
        options: Options,
    ) -> Result<Option<Connection>, mp_core::Error> {
        let init: Arc<dyn Init> = Arc::new(NodeInit::new(context.clone()));
        let connection = Connection::serve(stream, init, options)?;
        let id = {
            let mut state = self.state();
            if state.closing {
                drop(state);
                connection.close();
                return Ok(None);
            }
            let id = state.next_id;
            state.next_id += 1;
            state.open.insert(id, connection.clone());
            id
        };
        let connections = Arc::downgrade(self);
        connection.on_closed(move |_| {
            if let Some(connections) = connections.upgrade() {
                let ended = connections.state().open.remove(&id);
                connections.changed.notify_all();
                drop(ended);
            }
        });
        Ok(Some(connection))
    }
}

impl Incoming {
    /// Offers the objects to the process at the other end of `stream`. When that one goes, so does the node: nobody else
    /// would end it.
    pub(super) fn parent(
        context: &Arc<Context>,
        stream: UnixStream,
    ) -> Result<Self, mp_core::Error> {
        let connections = Arc::new(Connections::default());
        if let Some(connection) =
            connections.serve(context, stream, Options::new().peer(PeerCheck::SameUser))?
        {
            let shutdown = context.shutdown.clone();
            connection.on_closed(move |_| shutdown.request());
        }
        Ok(Self {
            connections,
            accept: None,
        })
    }

    /// Listens on an address of `-ipcbind` and offers the objects to whoever connects.
    pub(super) fn bind(context: &Arc<Context>, address: &str) -> Result<Self, BindError> {
        let path = listen::socket_path(address, &context.net_dir, "node")?;
        let listener = listen::bind(&path)?;
        let connections = Arc::new(Connections::default());
        let thread = std::thread::Builder::new()
            .name("ipcaccept".to_owned())
            .spawn({
                let connections = connections.clone();
                let context = Arc::downgrade(context);
                move || {
                    while connections.wait_for_room() {
                        match listener.accept() {
                            Ok((stream, _)) => {
                                let Some(context) = context.upgrade() else {
                                    return;
                                };
                                if let Err(error) =
                                    connections.serve(&context, stream, for_clients())
                                {
                                    tracing::warn!("an IPC client could not be served: {error}");
                                }
                            }
                            Err(error) if error.kind() == ErrorKind::Interrupted => {}
                            Err(error) => {
                                tracing::error!("no more IPC clients are accepted: {error}");
                                return;
                            }
                        }
                    }
                }
            })
            .map_err(BindError::Thread)?;
        tracing::info!(
            "Listening for IPC requests on address unix:{}",
            path.display()
        );
        Ok(Self {
            connections,
            accept: Some((path, thread)),
        })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let open = {
            let mut state = self.connections.state();
            state.closing = true;
            std::mem::take(&mut state.open)
        };
        self.connections.changed.notify_all();
        for connection in open.into_values() {
            connection.shutdown(DRAIN_PATIENCE);
        }
        if let Some((path, thread)) = self.accept.take() {
            // Wakes the thread from its wait for a client. If this fails, it waits on until the process ends.
            if UnixStream::connect(&path).is_ok() {
                let _ = thread.join();
            }
        }
    }
}

/// Why a socket of `-ipcbind` is not there.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is no good.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The system has no thread for it.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}
