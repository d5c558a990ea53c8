//! What only the node itself holds, and the order in which it lets go.

use super::commands;
use super::context::Context;
use super::pid_file::PidFile;
#[cfg(feature = "ipc")]
use super::serve::Incoming;
use crate::chainstate::SubmitError;
use crate::notify;
use crate::rpc;
use crate::store::data_dir::DataDir;
use std::thread::JoinHandle;

/// The parts that end with the node, as far as the start-up came.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) data_dir: Option<DataDir>,
    pub(super) pid_file: Option<PidFile>,
    pub(super) server: Option<rpc::server::Server>,
    pub(super) methods: Vec<rpc::registry::Registration>,
    pub(super) listeners: Vec<notify::Registration>,
    pub(super) messages: Vec<super::messages::Listening>,
    pub(super) import: Option<JoinHandle<()>>,
    pub(super) network: Option<super::network::Running>,
    pub(super) timed: Vec<JoinHandle<()>>,
    #[cfg(feature = "ipc")]
    pub(super) incoming: Vec<Incoming>,
}

impl Parts {
    /// Ends everything, each part before those it stands on: callers first, then the wallets, then what writes, then
    /// the queue of events, other processes, and the lock on the directory last. Doing it twice is harmless.
    pub(super) fn stop(&mut self, context: &Context) {
        if self.data_dir.is_none() {
            return;
        }
        tracing::info!("Shutdown in progress...");
        context.shutdown.request();
        let notified: Vec<_> = context
            .options
            .shutdown_notify
            .iter()
            .filter_map(|command| commands::spawn(command.clone()))
            .collect();
        for command in notified {
            // A panic there was the thread's own end already.
            let _ = command.join();
        }

        context.registry.interrupt().raise();
        if let Ok(chainstate) = context.chainstate() {
            chainstate.interrupt();
        }
        let indexes = context.indexes().ok();
        if let Some(indexes) = &indexes {
            indexes.interrupt();
        }
        if let Some(server) = self.server.take() {
            server.stop();
        }
        context.set_network(None);
        if let Some(network) = self.network.take() {
            network.stop();
        }
        if let Some(wallets) = context.wallets() {
            wallets.stop();
        }
        if let Some(import) = self.import.take()
            && import.join().is_err()
        {
            tracing::error!("the import of blocks ended with a panic");
        }
        context.timers.stop();
        for thread in self.timed.drain(..) {
            if thread.join().is_err() {
                tracing::error!("work that comes back after a time ended with a panic");
            }
        }
        self.write(context);
        context.notifier.close();
        // They have been told everything by now, and that it is on disk.
        if let Some(indexes) = indexes {
            indexes.stop();
        }
        #[cfg(feature = "ipc")]
        self.incoming.clear();
        self.methods.clear();
        if let Some(rest) = &context.rest {
            rest.close();
        }
        context.set_loaded(None);
        self.listeners.clear();
        self.messages.clear();
        self.pid_file = None;
        tracing::info!("Shutdown done");
        self.data_dir = None;
    }

    /// Writes what is only in memory.
    fn write(&self, context: &Context) {
        let (Ok(chainstate), Ok(mempool)) = (context.chainstate(), context.mempool()) else {
            return;
        };
        mempool.flush_fees(true);
        if context.options.persist_mempool && mempool.info().loaded {
            match mempool.dump(&context.mempool_path(), context.options.persist_mempool_v1) {
                Ok(count) => tracing::info!("Dumped mempool: {count} transactions"),
                Err(error) => tracing::warn!("Failed to dump mempool: {error}. Continuing anyway."),
            }
        }
        match chainstate.close() {
            // The chainstate tells of what fails itself, now or when it happened.
            Ok(()) | Err(SubmitError::Failed(_) | SubmitError::Store(_)) => {}
            // Nothing is lost that cannot be rebuilt from the block files, but the user must know.
            Err(error) => context.fatal(&error.to_string()),
        }
    }
}
