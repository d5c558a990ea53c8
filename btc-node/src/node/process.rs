//! Another process that has an [`Init`] for us: started here, or reached by its socket.

use super::placement::PlacementError;
use btc_interfaces::Init;
use mp_core::process::Spawned;
use mp_core::{Connection, Error, Options, PeerCheck};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a process may take to end after its connection has, before it is killed. It may have databases to close.
const EXIT_PATIENCE: Duration = Duration::from_secs(30);

/// How long calls that it still makes may take when it is let go.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// The process, its connection, and its first object.
pub(super) struct Remote {
    connection: Connection,
    init: Arc<dyn Init>,
    child: Option<Spawned>,
}

impl Remote {
    /// Starts `program` and connects to it by a socket that it inherits.
    pub(super) fn spawn(program: &Path) -> Result<Self, PlacementError> {
        let failed = |reason: Error| PlacementError::Spawn {
            path: program.to_owned(),
            reason: reason.to_string(),
        };
        let (child, stream) = mp_core::process::spawn(program, [""; 0]).map_err(failed)?;
        tracing::debug!(target: "ipc", "Process {} pid {} launched", program.display(), child.id());
        let (connection, init) =
            Connection::connect(stream, Options::new().peer(PeerCheck::SameUser))
                .map_err(failed)?;
        Ok(Self {
            connection,
            init,
            child: Some(child),
        })
    }

    /// Connects to a process that listens on a socket.
    pub(super) fn connect(socket: &Path) -> Result<Self, PlacementError> {
        let failed = |reason: String| PlacementError::Connect {
            path: socket.to_owned(),
            reason,
        };
        let stream = UnixStream::connect(socket).map_err(|error| failed(error.to_string()))?;
        let (connection, init) =
            Connection::connect(stream, Options::new().peer(PeerCheck::SameUser))
                .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            connection,
            init,
            child: None,
        })
    }

    pub(super) fn init(&self) -> Arc<dyn Init> {
        self.init.clone()
    }

    pub(super) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    pub(super) fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Spawned::id)
    }

    /// Lets go of it: ends the connection, then waits for the process, which ends by itself.
    pub(super) fn finish(self) {
        let Self {
            connection,
            init,
            child,
        } = self;
        drop(init);
        if !connection.shutdown(DRAIN_PATIENCE) {
            tracing::warn!("calls of the wallet process did not end in time and were abandoned");
        }
        let how = child.map(reap);
        if let Some(how) = how {
            tracing::info!("the wallet process ended ({how})");
        }
    }

    /// Waits for a process whose connection has ended, and tells how it went.
    pub(super) fn reap(self) -> String {
        self.child.map_or_else(|| "disconnected".to_owned(), reap)
    }
}

/// Waits for the end, and brings it about if it takes too long.
fn reap(mut child: Spawned) -> String {
    match child.wait_within(EXIT_PATIENCE) {
        Ok(status) => status.to_string(),
        Err(Error::Timeout) => {
            tracing::warn!("process {} does not end and is killed", child.id());
            match child.kill().and_then(|()| child.wait()) {
                Ok(status) => status.to_string(),
                Err(error) => format!("cannot be killed: {error}"),
            }
        }
        Err(error) => format!("cannot be waited for: {error}"),
    }
}
