//! Connections over TCP: made, taken, counted and ended.
//!
//! All sockets live on one thread with a single-threaded runtime of tokio, which the RPC port uses too: a hundred
//! connections that mostly wait need no more, and one thread keeps each connection's events in order. What arrives is
//! handed to a callback; whatever it stands for is done elsewhere, so a slow block never keeps sockets waiting.
//!
//! Both directions are bounded. Bytes that were read and not yet worked on are limited per connection: beyond, the
//! socket is not read. Bytes that wait to be sent are reported when they become many, and end the connection when far
//! too many.

mod backlog;
mod capture;
mod socket;
mod traffic;

pub use traffic::Traffic;

use super::address::{Endpoint, NetAddress};
use super::dial::{Dialer, Stream};
use super::message::{DecodeError, Message};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use socket::{After, Link};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Connections that may wait to be taken, as many as the standard library lets wait.
const BACKLOG: i32 = 128;

/// How sockets behave.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network's magic.
    pub magic: [u8; 4],
    /// The addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Addresses of which one that can be listened on is enough.
    pub listen_if_possible: Vec<SocketAddr>,
    /// Bytes of a connection that may wait to be worked on.
    pub max_receive_buffer: usize,
    /// Bytes that may wait to be sent before the connection counts as congested.
    pub max_send_buffer: usize,
    /// Whether those who connect may speak the encrypted transport (`-v2transport`).
    pub v2: bool,
    /// Where messages are written, in a folder for each peer (`-capturemessages`).
    pub capture: Option<PathBuf>,
}

/// Why the network cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("Unable to bind to {address} on this computer. {program} is probably already running.", program = crate::CLIENT_NAME)]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// As before, for another reason.
    #[error("Unable to bind to {address} on this computer (bind returned error {source})")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// None of the addresses that need not be there is.
    #[error("Failed to listen on any port. Use -listen=0 if you want this.")]
    Nowhere,
    /// The thread or its runtime cannot be started.
    #[error("cannot start the thread of the network: {0}")]
    Thread(#[source] io::Error),
}

/// A connection that was made.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its name.
    pub id: u64,
    /// The peer's address.
    pub address: Endpoint,
    /// Who made it.
    pub origin: Origin,
}

/// Who made a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This node, as the attempt of this number.
    Attempt(u64),
    /// The peer, who connected to this address of those that are listened on.
    Listener(SocketAddr),
}

/// Decides whether a peer's connection is taken; dropped, it is not.
#[derive(Debug)]
pub struct Answer(oneshot::Sender<()>);

impl Answer {
    /// Takes the connection: it is opened next.
    pub fn take(self) {
        // Who does not wait any more is gone.
        let _ = self.0.send(());
    }
}

/// How far the handshake of the encrypted transport came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeStep {
    /// Some of it was sent.
    Sent,
    /// Some of it was received.
    Received,
    /// It is over; or the peer speaks the plain transport, which has none.
    Done,
}

/// Something that happened on a socket.
#[derive(Debug)]
pub enum SocketEvent {
    /// A peer connects. Until this is answered no other is taken where it came.
    Knock {
        /// Who.
        address: Endpoint,
        /// Where it came: one of the addresses listened on.
        listener: SocketAddr,
        /// Whether it is taken.
        answer: Answer,
    },
    /// A connection was made.
    Opened(Opened),
    /// A message came. [`Connections::done`] is owed for its bytes.
    Message {
        /// The connection.
        id: u64,
        /// What came, or why it cannot be read.
        message: Result<Message, DecodeError>,
        /// Bytes it took.
        bytes: usize,
    },
    /// Much waits to be sent, or no longer does.
    Congested {
        /// The connection.
        id: u64,
        /// Which of the two.
        congested: bool,
    },
    /// The transport's handshake went on. The plain transport has none.
    Handshake {
        /// The connection.
        id: u64,
        /// How far it came.
        step: HandshakeStep,
    },
    /// A connection ended.
    Closed {
        /// The connection.
        id: u64,
        /// The attempt that goes on, without encryption: the peer seems to know none.
        retrying: Option<u64>,
    },
    /// A connection could not be made.
    Failed {
        /// The attempt's number.
        attempt: u64,
        /// Why.
        reason: String,
    },
}

/// Who is told. Called on the network's thread; must not wait for anything.
pub type OnEvent = Arc<dyn Fn(SocketEvent) + Send + Sync>;

/// Where peers of I2P come: there is no address that is listened on.
pub const I2P_LISTENER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

struct Shared {
    options: Options,
    dialer: Dialer,
    on_event: OnEvent,
    links: Mutex<BTreeMap<u64, Arc<Link>>>,
    next_id: AtomicU64,
    totals: traffic::Totals,
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Link>>> {
        // Entries come and go by single calls, so the map is whole after a panic elsewhere.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All sockets of a node.
pub struct Connections {
    shared: Arc<Shared>,
    runtime: tokio::runtime::Handle,
    listening: Vec<SocketAddr>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Connections {
    /// Listens, and starts the network's thread; other nodes are reached by `dialer`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(options: Options, dialer: Dialer, on_event: OnEvent) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let mut listeners = Vec::new();
        for address in &options.listen {
            listeners.push(bind(&runtime, *address)?);
        }
        for address in &options.listen_if_possible {
            match bind(&runtime, *address) {
                Ok(listener) => listeners.push(listener),
                Err(error) => tracing::warn!("{error}"),
            }
        }
        if listeners.is_empty() && !options.listen_if_possible.is_empty() {
            return Err(StartError::Nowhere);
        }
        let listening = listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect();
        let shared = Arc::new(Shared {
            options,
            dialer,
            on_event,
            links: Mutex::default(),
            next_id: AtomicU64::new(0),
            totals: traffic::Totals::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let handle = runtime.handle().clone();
        for listener in listeners {
            handle.spawn(accept(Arc::clone(&shared), listener));
        }
        if shared.dialer.accepts_i2p() {
            handle.spawn(accept_i2p(Arc::clone(&shared)));
        }
        let thread = std::thread::Builder::new()
            .name("net".into())
            .spawn(move || {
                // Either end of the channel ends the thread.
                let _ = runtime.block_on(stopped);
            })
            .map_err(StartError::Thread)?;
        Ok(Self {
            shared,
            runtime: handle,
            listening,
            stop: Mutex::new(Some(stop)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The addresses that are listened on, with the ports that the system chose.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Makes a connection to an address or name, with or without port; with `v2`, encrypted if the peer can. What becomes
    /// of it is told as an event with the attempt's number.
    pub fn connect(&self, number: u64, target: String, v2: bool) {
        let shared = Arc::clone(&self.shared);
        self.runtime.spawn(async move {
            if let After::RetryV1 = attempt(&shared, number, &target, v2).await {
                attempt(&shared, number, &target, false).await;
            }
        });
    }

    /// Sends a message, after those before it. Nothing happens if the connection is gone.
    pub fn send(&self, id: u64, message: &Message) {
        let link = self.shared.links().get(&id).cloned();
        if let Some(link) = link {
            let much = self.shared.options.max_send_buffer;
            link.queue(message.command(), message.encode(), much, |congested| {
                (self.shared.on_event)(SocketEvent::Congested { id, congested });
            });
        }
    }

    /// Ends a connection, once what waits is sent or that takes too long.
    pub fn close(&self, id: u64) {
        if let Some(link) = self.shared.links().get(&id) {
            link.close();
        }
    }

    /// A message was worked on: as many bytes may be read again.
    pub fn done(&self, id: u64, bytes: usize) {
        if let Some(link) = self.shared.links().get(&id) {
            link.give_back(bytes);
        }
    }

    /// What a connection carried; `None` if it is gone.
    pub fn traffic(&self, id: u64) -> Option<Traffic> {
        let link = self.shared.links().get(&id).cloned()?;
        Some(link.traffic())
    }

    /// Bytes that all connections received and sent.
    pub fn totals(&self) -> (u64, u64) {
        self.shared.totals.get()
    }

    /// Ends everything; no event comes afterwards.
    pub fn stop(&self) {
        let take = |stop: &Mutex<Option<oneshot::Sender<()>>>| {
            stop.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        // Gone already if stopped before.
        drop(take(&self.stop));
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!(target: "net", "the network's thread ended with a panic");
        }
        self.shared.links().clear();
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.stop();
    }
}

fn bind(runtime: &tokio::runtime::Runtime, address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::InUse { address },
        _ => StartError::Bind { address, source },
    };
    let _entered = runtime.enter();
    let listener = listener(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    tracing::info!("Bound to {address}");
    Ok(listener)
}

/// A socket that listens on `address`, and for an IPv6 address on nothing else: the system would give it the port of
/// IPv4 too, which has a listener of its own.
fn listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    if address.is_ipv4() {
        return std::net::TcpListener::bind(address);
    }
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET6, SocketType::STREAM, flags, None)?;
    sockopt::set_ipv6_v6only(&socket, true)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Takes connections for as long as the runtime lives.
async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    /// After a failure, such as too many open files, there is no use in trying again at once.
    const PAUSE: Duration = Duration::from_millis(100);
    let Ok(bound) = listener.local_addr() else {
        return;
    };
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(target: "net", "socket error accept failed: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let address = shared.dialer.locate(address.into());
        admit(&shared, stream.into(), address, bound).await;
    }
}

/// Takes connections over I2P for as long as the runtime lives.
async fn accept_i2p(shared: Arc<Shared>) {
    /// Between attempts to have the router listen; twice as long each time, up to the latter.
    const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5 * 60));
    let mut pause = PAUSES.0;
    loop {
        match shared.dialer.accept_i2p().await {
            Ok((stream, address)) => {
                pause = PAUSES.0;
                admit(&shared, stream, address, I2P_LISTENER).await;
            }
            Err(error) => {
                tracing::debug!(target: "i2p", "Error accepting: {error}");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Carries a connection that a peer made, if it is taken.
async fn admit(shared: &Arc<Shared>, stream: Stream, address: Endpoint, listener: SocketAddr) {
    let (answer, answered) = oneshot::channel();
    (shared.on_event)(SocketEvent::Knock {
        address,
        listener,
        answer: Answer(answer),
    });
    if answered.await.is_ok() {
        let v2 = shared.options.v2;
        let origin = Origin::Listener(listener);
        let shared = Arc::clone(shared);
        tokio::spawn(socket::run(shared, stream, address, origin, v2));
    }
}

/// Makes a connection and carries it until it ends.
async fn attempt(shared: &Arc<Shared>, number: u64, target: &str, v2: bool) -> After {
    match shared.dialer.dial(target).await {
        Ok((stream, address)) => {
            // What a name stands for a proxy alone knows.
            let address = address.unwrap_or(Endpoint::new(NetAddress::UNSPECIFIED, 0));
            let origin = Origin::Attempt(number);
            socket::run(Arc::clone(shared), stream, address, origin, v2).await
        }
        Err(error) => {
            (shared.on_event)(SocketEvent::Failed {
                attempt: number,
                reason: error.to_string(),
            });
            After::Rest
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::dial::SharedRoutes;
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

    fn start(max_inbound: usize) -> (Connections, mpsc::Receiver<SocketEvent>) {
        let (sender, receiver) = mpsc::channel();
        let sender = Mutex::new(sender);
        let options = Options {
            magic: MAGIC,
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            listen_if_possible: Vec::new(),
            max_receive_buffer: 100_000,
            max_send_buffer: 100_000,
            v2: false,
            capture: None,
        };
        let taken = AtomicUsize::new(0);
        let on_event: OnEvent = Arc::new(move |event| match event {
            SocketEvent::Knock { answer, .. } => {
                if taken.fetch_add(1, Ordering::Relaxed) < max_inbound {
                    answer.take();
                }
            }
            event => {
                let _ = sender.lock().expect("unpoisoned").send(event);
            }
        });
        let timeout = Duration::from_secs(10);
        let dialer = Dialer::new(SharedRoutes::default(), None, timeout, 18444, false);
        let connections = Connections::start(options, dialer, on_event);
        (connections.expect("starts"), receiver)
    }

    fn next(events: &mpsc::Receiver<SocketEvent>) -> SocketEvent {
        events
            .recv_timeout(Duration::from_secs(30))
            .expect("an event comes")
    }

    fn opened(events: &mpsc::Receiver<SocketEvent>) -> Opened {
        match next(events) {
            SocketEvent::Opened(opened) => opened,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_cross_and_are_counted_until_one_side_ends() {
        let (server, at_server) = start(8);
        let (client, at_client) = start(8);
        client.connect(3, server.listening()[0].to_string(), false);
        let near = opened(&at_client);
        let far = opened(&at_server);
        assert_eq!(near.origin, Origin::Attempt(3));
        assert_eq!(far.origin, Origin::Listener(server.listening()[0]));
        for nonce in 0..50 {
            client.send(near.id, &Message::Ping(nonce));
        }
        for nonce in 0..50 {
            let SocketEvent::Message { message, bytes, id } = next(&at_server) else {
                panic!("a message comes");
            };
            assert_eq!((message, bytes), (Ok(Message::Ping(nonce)), 32));
            server.done(id, bytes);
        }
        let traffic = server.traffic(far.id).expect("is open");
        assert_eq!(traffic.received.get("ping"), Some(&1600));
        assert_eq!(server.totals().0, 1600);
        client.send(near.id, &Message::Verack);
        client.close(near.id);
        assert!(matches!(next(&at_server), SocketEvent::Message { .. }));
        assert!(matches!(next(&at_server), SocketEvent::Closed { .. }));
        assert!(matches!(next(&at_client), SocketEvent::Closed { .. }));
    }

    #[test]
    fn strangers_bytes_end_the_connection_and_a_full_house_takes_no_more() {
        let (server, events) = start(1);
        let mut stranger = std::net::TcpStream::connect(server.listening()[0]).expect("connects");
        let first = opened(&events);
        let mut second = std::net::TcpStream::connect(server.listening()[0]).expect("connects");
        let mut byte = [0];
        assert_eq!(second.read(&mut byte).expect("is closed"), 0);
        stranger
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("writes");
        assert!(matches!(next(&events), SocketEvent::Closed { id, .. } if id == first.id));
    }

    #[test]
    fn a_peer_that_floods_is_read_only_as_fast_as_it_is_worked_on() {
        let (server, events) = start(8);
        let mut flood = std::net::TcpStream::connect(server.listening()[0]).expect("connects");
        let id = opened(&events).id;
        let ping = super::super::frame::encode(MAGIC, &Message::Ping(1));
        let bytes = ping.repeat(10_000);
        let writer = std::thread::spawn(move || {
            flood.write_all(&bytes).expect("is read in the end");
            flood
        });
        let mut pending = 0;
        for _ in 0..10_000 {
            let SocketEvent::Message { bytes, .. } = next(&events) else {
                panic!("a message comes");
            };
            pending += bytes;
            assert!(pending <= 100_000 + 32);
            if pending > 90_000 {
                server.done(id, pending);
                pending = 0;
            }
        }
        drop(writer.join().expect("wrote all"));
    }

    #[test]
    fn both_families_have_a_listener_of_their_own() {
        let v4 = listener(SocketAddr::from(([0, 0, 0, 0], 0))).expect("some port is free");
        let port = v4.local_addr().expect("it is bound").port();
        let any_v6 = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port));
        match listener(any_v6) {
            Ok(v6) => assert_eq!(v6.local_addr().expect("it is bound").port(), port),
            // A machine without IPv6 says so, and not that IPv4 has the port.
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::AddrInUse),
        }
    }
}
