//! The node's onion service, kept up for as long as there is a Tor that gives it.

use super::Network;
use super::files::SecretFile;
use crate::net::dial::i2p::KeyFile;
use crate::net::dial::{Proxy, ProxyAddress};
use crate::net::local::Origin;
use crate::net::tor::conversation::{COOKIE_SIZE, Conversation, Settings, Step};
use crate::net::tor::reply::Replies;
use crate::net::{self, Endpoint};
use bitcoin::key::rand::{RngCore, rngs::OsRng};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

/// Between attempts to reach Tor; half as long again each time, up to the latter.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10 * 60));
/// How long the control port may take to be there.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How often the end of the network is looked for.
const LOOK: Duration = Duration::from_millis(250);
/// How long a command may take to be sent.
const SEND_TIME: Duration = Duration::from_secs(10);

/// How the service is asked for (`-listenonion`).
#[derive(Clone)]
pub(crate) struct OnionOptions {
    /// Where Tor's control port is (`-torcontrol`).
    pub(crate) control: SocketAddr,
    /// `-torpassword`.
    pub(crate) password: Option<String>,
    /// Onion addresses are reached by Tor's proxy: no other is set.
    pub(crate) wants_proxy: bool,
    /// Whether onion addresses are connected to once there is a way (`-onlynet`).
    pub(crate) joins: bool,
    /// Where this node takes the service's connections.
    pub(crate) target: SocketAddr,
    /// There are several such places; this is the first.
    pub(crate) is_one_of_many: bool,
}

impl std::fmt::Debug for OnionOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnionOptions")
            .field("control", &self.control)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Keeps the service up until the network ends. Runs on a thread of its own.
pub(super) fn run(network: &Network, options: &OnionOptions, key: &SecretFile) {
    tracing::info!("torcontrol thread start");
    let control = options.control;
    let mut pause = PAUSES.0;
    loop {
        tracing::debug!(target: "tor", "Attempting to connect to Tor control port {control}");
        match connect(control) {
            Ok(stream) => {
                pause = PAUSES.0;
                tracing::debug!(target: "tor", "Successfully connected to Tor control port");
                let mut service = Service {
                    network,
                    options,
                    key,
                    address: None,
                };
                if let Err(error) = service.keep(stream) {
                    tracing::debug!(target: "tor", "Lost connection to Tor control port: {error}");
                }
                service.forget();
                if network.stop.is_stopped() {
                    break;
                }
                tracing::debug!(
                    target: "tor",
                    "Not connected to Tor control port {control}, will retry"
                );
            }
            Err(error) => {
                tracing::warn!("tor: Error connecting to address {control}");
                tracing::debug!(target: "tor", "{error}");
                tracing::warn!("tor: Initiating connection to Tor control port {control} failed");
                tracing::debug!(target: "tor", "Retrying in {:.1} seconds", pause.as_secs_f64());
            }
        }
        if !network.stop.wait(pause) {
            break;
        }
        pause = (pause * 3 / 2).min(PAUSES.1);
    }
    tracing::info!("torcontrol thread exit");
}

fn connect(control: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&control, CONNECT_TIME)?;
    stream.set_read_timeout(Some(LOOK))?;
    stream.set_write_timeout(Some(SEND_TIME))?;
    Ok(stream)
}

/// The service over one connection: it is there as long as that is.
struct Service<'a> {
    network: &'a Network,
    options: &'a OnionOptions,
    key: &'a SecretFile,
    address: Option<Endpoint>,
}

impl Service<'_> {
    /// Talks until the connection or the network ends.
    fn keep(&mut self, mut stream: TcpStream) -> io::Result<()> {
        let settings = Settings {
            password: self.options.password.clone(),
            wants_proxy: self.options.wants_proxy,
            target: self.options.target,
            port: self.network.notation.default_port,
        };
        let mut nonce = [0; 32];
        OsRng.fill_bytes(&mut nonce);
        let mut conversation = Conversation::new(settings, self.load_key(), nonce);
        let mut replies = Replies::default();
        let first = conversation.begin();
        self.perform(first, &mut conversation, &mut stream)?;
        let mut buffer = [0; 4096];
        while !self.network.stop.is_stopped() {
            let count = match stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if is_timeout(&error) => continue,
                Err(error) => return Err(error),
            };
            let complete = replies.push(&buffer[..count]).map_err(|error| {
                tracing::warn!("tor: Error processing receive buffer: {error}");
                io::Error::from(ErrorKind::InvalidData)
            })?;
            for reply in complete {
                let steps = conversation.take(&reply);
                self.perform(steps, &mut conversation, &mut stream)?;
            }
        }
        Ok(())
    }

    fn perform(
        &mut self,
        steps: Vec<Step>,
        conversation: &mut Conversation,
        stream: &mut TcpStream,
    ) -> io::Result<()> {
        let mut steps = VecDeque::from(steps);
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Send(command) => stream.write_all(format!("{command}\r\n").as_bytes())?,
                Step::ReadCookie(path) => match read_cookie(&path) {
                    Ok(cookie) => steps.extend(conversation.cookie(cookie)),
                    Err(error) => tracing::warn!("tor: {error}"),
                },
                Step::Proxy(proxy) => self.use_proxy(proxy),
                Step::Service { address, key } => self.advertise(address, &key),
            }
        }
        Ok(())
    }

    fn load_key(&self) -> Option<String> {
        let key = match self.key.load() {
            Ok(key) => key?,
            Err(error) => {
                tracing::warn!("tor: Error reading service private key from {error}");
                return None;
            }
        };
        tracing::debug!(
            target: "tor",
            "Reading cached private key from {}",
            self.key.path().display()
        );
        // It becomes a word of a command, so it must be one.
        let key = String::from_utf8(key).ok()?.trim().to_owned();
        let is_word = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        is_word.then_some(key)
    }

    fn use_proxy(&self, address: SocketAddr) {
        let proxy = Proxy {
            address: ProxyAddress::Ip(address),
            // Other circuits for other peers, so that nobody learns that they are one node's.
            isolate: true,
        };
        let onion = net::Network::Onion;
        self.network.notation.routes.set_proxy(onion, proxy);
        if self.options.joins {
            self.network.directory.reach(onion);
        }
    }

    fn advertise(&mut self, address: Endpoint, key: &str) {
        match self.key.save(key.as_bytes()) {
            Ok(()) => tracing::debug!(
                target: "tor",
                "Cached service private key to {}",
                self.key.path().display()
            ),
            Err(error) => tracing::warn!("tor: Error writing service private key to {error}"),
        }
        self.forget();
        self.network.directory.local().add(address, Origin::User);
        self.address = Some(address);
    }

    /// Tells nobody of the service any more.
    fn forget(&mut self) {
        if let Some(address) = self.address.take() {
            self.network.directory.local().remove(address.address);
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// Reads the file whose content shows that this node may read Tor's files, and no more of it than there should be.
fn read_cookie(path: &Path) -> Result<[u8; COOKIE_SIZE], String> {
    let unreadable = |_| {
        format!(
            "Authentication cookie {} could not be opened (check permissions)",
            path.display()
        )
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(COOKIE_SIZE as u64 + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    bytes.try_into().map_err(|_| {
        format!(
            "Authentication cookie {} is not exactly {COOKIE_SIZE} bytes, as is required by the spec",
            path.display()
        )
    })
}

/// Reads where the control port is: an address or a name, with or without port.
pub(crate) fn control_address(text: &str, look_up: bool) -> Option<SocketAddr> {
    const PORT: u16 = 9051;
    if let Some(endpoint) = Endpoint::parse(text, PORT) {
        return endpoint.socket_address();
    }
    let (host, port) = net::address::split_host_port(text)?;
    let address = (host, port.unwrap_or(PORT));
    look_up.then(|| address.to_socket_addrs().ok()?.next())?
}
