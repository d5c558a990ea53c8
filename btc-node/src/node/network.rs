//! The node's peers: sockets below, conversations above, and the thread that leads them.
//!
//! What comes from sockets, from the chain and from the user goes into one queue; the thread `msghand` takes it out in
//! order, hands it to [`Peers`], and carries out what follows. Questions of the RPC look at the peers between two
//! events.
//!
//! | module | what it does |
//! |---|---|
//! | `options` | how the network is opened |
//! | `opening` | its start and its end |
//! | `inputs` | what happens, one after the other |
//! | `incoming` | peers that connect |
//! | `outgoing` | peers that this node connects to |
//! | `seeds`, `fixed_seeds` | first peers: those that DNS knows, and those of a list |
//! | `onion` | the node's onion service |
//! | `files` | addresses and bans, kept over a restart |
//! | `hooks` | what the RPC sees and does |
//! | `stop` | the end of waiting |

mod files;
mod fixed_seeds;
mod hooks;
mod incoming;
mod inputs;
mod onion;
mod opening;
mod options;
mod outgoing;
mod seeds;
mod stop;

pub(crate) use files::BookOptions;
pub(crate) use onion::{OnionOptions, control_address};
pub(super) use opening::{Running, start};
pub(crate) use options::{Listen, NetworkOptions};
pub(crate) use seeds::SeedOptions;

use super::options::Whitelist;
use crate::chainstate::SystemClock;
use crate::net::Directory;
use crate::net::connections::Connections;
use crate::sync::dial::Dialer;
use crate::sync::links::{Links, Notation};
use crate::sync::{ConnectionKind, Peers};
use files::Files;
use fixed_seeds::FixedSeeds;
use inputs::Input;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stop::Stop;

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
    stop: Stop,
    fixed_seeds: Mutex<FixedSeeds>,
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while peers are handled ends their thread; what others see then is the last state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
}
