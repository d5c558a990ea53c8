//! Peers on I2P, by a router that speaks SAM 3.1.
//!
//! A [`Session`] is this node's place in that network, and lives as long as the connection to the router that made it.
//! Each connection to or from a peer is one more connection to the router, which names the session.

use crate::net::address::{Endpoint, NetAddress};
use base64::Engine;
use base64::alphabet::Alphabet;
use base64::engine::general_purpose::{GeneralPurpose, PAD};
use bitcoin::hashes::{Hash, sha256};
use bitcoin::key::rand::{RngCore, rngs::OsRng};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// SAM 3.1 has no ports: all are this one.
pub const PORT: u16 = 0;
/// The longest line of a router, in bytes.
const MAX_LINE: usize = 65_536;

/// Base64 as I2P writes it.
fn base64() -> GeneralPurpose {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~";
    let alphabet = Alphabet::new(ALPHABET).expect("64 characters, none twice");
    GeneralPurpose::new(&alphabet, PAD)
}

/// Why a router gave no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Ports cannot be named, so one that is named would not be reached.
    #[error("connection refused due to arbitrary port {0}")]
    Port(u16),
    /// The router is not there.
    #[error("Cannot connect to {0}")]
    Unreachable(SocketAddr),
    /// The connection to it broke.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It said what it should not.
    #[error("{0}")]
    Reply(String),
    /// It says no.
    #[error("\"{0}\"")]
    Refused(String),
    /// The key of this node cannot be read or kept.
    #[error("Cannot read or save I2P private key: {0}")]
    Key(String),
}

impl Error {
    /// Whether the router is at fault, not the way from there to the peer.
    pub fn is_of_router(&self) -> bool {
        match self {
            Self::Port(_) => false,
            Self::Refused(reply) => !["CANT_REACH_PEER", "TIMEOUT"]
                .iter()
                .any(|result| reply.contains(result)),
            _ => true,
        }
    }
}

/// Where the key of a node is kept that is to have the same address each time it starts.
pub trait KeyFile: Send + Sync {
    /// The key, if there is one yet.
    ///
    /// # Errors
    /// It cannot be read.
    fn load(&self) -> Result<Option<Vec<u8>>, String>;

    /// Keeps a key.
    ///
    /// # Errors
    /// It cannot be written.
    fn save(&self, key: &[u8]) -> Result<(), String>;
}

/// A node's place in I2P: made when it is first needed, and anew when the router went away.
pub struct Session {
    router: SocketAddr,
    /// Without one the address is another each time.
    key: Option<Arc<dyn KeyFile>>,
    active: Mutex<Option<Active>>,
}

struct Active {
    id: String,
    address: NetAddress,
    /// The session ends with it.
    control: TcpStream,
}

impl Session {
    /// At the router that listens there.
    pub fn new(router: SocketAddr, key: Option<Arc<dyn KeyFile>>) -> Self {
        Self {
            router,
            key,
            active: Mutex::new(None),
        }
    }

    /// Connects to a peer; gives this node's address too.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn connect(&self, to: Endpoint) -> Result<(TcpStream, Endpoint), Error> {
        if to.port != PORT {
            return Err(Error::Port(to.port));
        }
        let (id, address) = self.open().await?;
        let result = self.reach(&id, to.address).await;
        if let Err(Error::Refused(reply)) = &result
            && reply.contains("INVALID_ID")
        {
            self.close().await;
        }
        Ok((result?, Endpoint::new(address, PORT)))
    }

    async fn reach(&self, id: &str, to: NetAddress) -> Result<TcpStream, Error> {
        let mut stream = self.hello().await?;
        let found = ask(&mut stream, &format!("NAMING LOOKUP NAME={to}")).await?;
        found.expect_ok()?;
        let destination = found.get("VALUE")?;
        let request = format!("STREAM CONNECT ID={id} DESTINATION={destination} SILENT=false");
        let connected = ask(&mut stream, &request).await?;
        if connected.get("RESULT")? != "OK" {
            return Err(Error::Refused(connected.line));
        }
        Ok(stream)
    }

    /// Waits for the next peer that connects to this node.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn accept(&self) -> Result<(TcpStream, Endpoint), Error> {
        let (id, _) = self.open().await?;
        let mut stream = self.hello().await?;
        let request = format!("STREAM ACCEPT ID={id} SILENT=false");
        let waits = ask(&mut stream, &request).await?;
        if waits.get("RESULT")? != "OK" {
            if waits.line.contains("INVALID_ID") {
                self.close().await;
            }
            return Err(Error::Refused(waits.line));
        }
        let peer = line(&mut stream).await?;
        // A line that is no destination says that the session is no more.
        match destination_address(&peer) {
            Some(address) => Ok((stream, Endpoint::new(address, PORT))),
            None => {
                self.close().await;
                Err(Error::Refused(peer))
            }
        }
    }

    /// This node's address, once there is a session.
    pub async fn address(&self) -> Option<Endpoint> {
        let active = self.active.lock().await;
        active
            .as_ref()
            .map(|active| Endpoint::new(active.address, PORT))
    }

    async fn close(&self) {
        if let Some(active) = self.active.lock().await.take() {
            tracing::info!("Destroying I2P SAM session {}", active.id);
        }
    }

    /// The session's name and this node's address.
    async fn open(&self) -> Result<(String, NetAddress), Error> {
        let mut active = self.active.lock().await;
        if let Some(open) = active.as_ref()
            && is_open(&open.control)
        {
            return Ok((open.id.clone(), open.address));
        }
        *active = None;
        let created = self.create().await?;
        let result = (created.id.clone(), created.address);
        *active = Some(created);
        Ok(result)
    }

    async fn create(&self) -> Result<Active, Error> {
        let id = format!("{:010x}", OsRng.next_u64() >> 24);
        let kind = if self.key.is_some() {
            "persistent"
        } else {
            "transient"
        };
        tracing::debug!(target: "i2p", "Creating {kind} I2P SAM session {id} with {}", self.router);
        let mut control = self.hello().await?;
        let key = match &self.key {
            Some(file) => {
                let key = match file.load().map_err(Error::Key)? {
                    Some(key) => key,
                    None => {
                        let made = ask(&mut control, "DEST GENERATE SIGNATURE_TYPE=7").await?;
                        let key = decode(made.get("PRIV")?)?;
                        file.save(&key).map_err(Error::Key)?;
                        key
                    }
                };
                let request = format!(
                    "SESSION CREATE STYLE=STREAM ID={id} DESTINATION={} i2cp.leaseSetEncType=4,0 \
                     inbound.quantity=3 outbound.quantity=3",
                    base64().encode(&key)
                );
                ask(&mut control, &request).await?.expect_ok()?;
                key
            }
            None => {
                let request = format!(
                    "SESSION CREATE STYLE=STREAM ID={id} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 \
                     i2cp.leaseSetEncType=4,0 inbound.quantity=1 outbound.quantity=1"
                );
                let created = ask(&mut control, &request).await?;
                created.expect_ok()?;
                decode(created.get("DESTINATION")?)?
            }
        };
        let destination = own_destination(&key)
            .ok_or_else(|| Error::Reply("The private key is too short".to_owned()))?;
        let address = address_of(destination);
        let shown = if self.key.is_some() {
            "Persistent"
        } else {
            "Transient"
        };
        tracing::info!("{shown} I2P SAM session {id} created, my address={address}:{PORT}");
        Ok(Active {
            id,
            address,
            control,
        })
    }

    /// A connection to the router, both having said which version they speak.
    async fn hello(&self) -> Result<TcpStream, Error> {
        let connected = TcpStream::connect(self.router).await;
        let mut stream = connected.map_err(|_| Error::Unreachable(self.router))?;
        ask(&mut stream, "HELLO VERSION MIN=3.1 MAX=3.1")
            .await?
            .expect_ok()?;
        Ok(stream)
    }
}

/// Whether the router still holds the connection.
fn is_open(control: &TcpStream) -> bool {
    let read = control.try_read(&mut [0]);
    matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// A line of the router.
struct Reply {
    line: String,
    /// What it answers, without secrets.
    request: String,
}

impl Reply {
    fn get(&self, key: &str) -> Result<&str, Error> {
        let mut words = self.line.split(' ');
        let value = words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        value.ok_or_else(|| {
            Error::Reply(format!(
                "Missing {key}= in the reply to \"{}\"",
                self.request
            ))
        })
    }

    fn expect_ok(&self) -> Result<(), Error> {
        if self.get("RESULT")? == "OK" {
            return Ok(());
        }
        Err(Error::Reply(format!(
            "Reply to \"{}\": had a RESULT not equal to OK.",
            self.request
        )))
    }
}

async fn ask(stream: &mut TcpStream, request: &str) -> Result<Reply, Error> {
    stream.write_all(request.as_bytes()).await?;
    stream.write_all(b"\n").await?;
    let line = line(stream).await?;
    // It holds the private key.
    let request = if request.starts_with("SESSION CREATE") {
        "SESSION CREATE ..."
    } else {
        request
    };
    let request = request.to_owned();
    Ok(Reply { line, request })
}

/// The next line, read byte by byte: what follows it belongs to the peer.
async fn line(stream: &mut TcpStream) -> Result<String, Error> {
    let mut bytes = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => break,
            _ if bytes.len() >= MAX_LINE => {
                return Err(Error::Reply("the router's line is too long".to_owned()));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::Reply("the router's line is no text".to_owned()))
}

fn decode(text: &str) -> Result<Vec<u8>, Error> {
    let decoded = base64().decode(text);
    decoded.map_err(|_| Error::Reply("Cannot decode Base64 of the router".to_owned()))
}

/// The public part of a private key: 387 bytes, and as many more as the number in the last two of them says.
fn own_destination(key: &[u8]) -> Option<&[u8]> {
    let certificate = u16::from_be_bytes(*key.get(385..)?.first_chunk()?);
    key.get(..387 + usize::from(certificate))
}

fn address_of(destination: &[u8]) -> NetAddress {
    NetAddress::I2p(sha256::Hash::hash(destination).to_byte_array())
}

fn destination_address(text: &str) -> Option<NetAddress> {
    // Some routers add options after the destination.
    let word = text.split(' ').next()?;
    let decoded = base64().decode(word).ok()?;
    (decoded.len() >= 387).then(|| address_of(&decoded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// A router that answers each request with what `answer` gives, until that is nothing.
    fn router(answer: fn(&str) -> Option<String>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("is bound");
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    let mut writer = stream.try_clone().expect("can be cloned");
                    for line in BufReader::new(stream).lines().map_while(Result::ok) {
                        let Some(answer) = answer(&line) else { return };
                        if writer.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn key() -> Vec<u8> {
        // A certificate of four bytes, then the private part.
        let mut key = vec![7; 385];
        key.extend([0, 4, 1, 2, 3, 4]);
        key.extend([9; 64]);
        key
    }

    fn honest(request: &str) -> Option<String> {
        let first = request.split(' ').take(2).collect::<Vec<_>>().join(" ");
        Some(match first.as_str() {
            "HELLO VERSION" => "HELLO REPLY RESULT=OK VERSION=3.1\n".to_owned(),
            "DEST GENERATE" => format!("DEST REPLY PUB=x PRIV={}\n", base64().encode(key())),
            "SESSION CREATE" => {
                format!(
                    "SESSION STATUS RESULT=OK DESTINATION={}\n",
                    base64().encode(key())
                )
            }
            "NAMING LOOKUP" => "NAMING REPLY RESULT=OK NAME=x VALUE=dest\n".to_owned(),
            "STREAM CONNECT" if request.contains("DESTINATION=dest") => {
                "STREAM STATUS RESULT=OK\nhello from the peer\n".to_owned()
            }
            "STREAM ACCEPT" => {
                let peer = base64().encode([5; 391]);
                format!("STREAM STATUS RESULT=OK\n{peer} FROM_PORT=0\nhi\n")
            }
            _ => return None,
        })
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("starts").block_on(future)
    }

    fn peer(port: u16) -> Endpoint {
        Endpoint::new(NetAddress::I2p([3; 32]), port)
    }

    #[derive(Default)]
    struct Kept(std::sync::Mutex<Option<Vec<u8>>>);

    impl KeyFile for Kept {
        fn load(&self) -> Result<Option<Vec<u8>>, String> {
            Ok(self.0.lock().expect("unpoisoned").clone())
        }

        fn save(&self, key: &[u8]) -> Result<(), String> {
            *self.0.lock().expect("unpoisoned") = Some(key.to_vec());
            Ok(())
        }
    }

    #[test]
    fn a_peer_is_reached_and_its_first_bytes_are_left_to_the_caller() {
        let session = Session::new(router(honest), None);
        run(async {
            let (mut stream, me) = session.connect(peer(0)).await.expect("connects");
            assert_eq!(me, Endpoint::new(address_of(&key()[..391]), PORT));
            assert_eq!(
                line(&mut stream).await.expect("a line"),
                "hello from the peer"
            );
            // The session is there already.
            session.connect(peer(0)).await.expect("connects again");
        });
    }

    #[test]
    fn a_peer_is_let_in_by_name() {
        let kept = Arc::new(Kept::default());
        let session = Session::new(router(honest), Some(kept.clone()));
        run(async {
            let (mut stream, from) = session.accept().await.expect("a peer comes");
            assert_eq!(from, Endpoint::new(address_of(&[5; 391]), PORT));
            assert_eq!(line(&mut stream).await.expect("a line"), "hi");
        });
        assert_eq!(kept.load(), Ok(Some(key())));
    }

    #[test]
    fn what_goes_wrong_is_said_and_whose_fault_it_is() {
        fn unreachable(request: &str) -> Option<String> {
            match request.starts_with("STREAM CONNECT") {
                true => Some("STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"x\"\n".to_owned()),
                false => honest(request),
            }
        }
        fn liar(request: &str) -> Option<String> {
            match request.starts_with("SESSION CREATE") {
                true => Some("SESSION STATUS RESULT=DUPLICATED_DEST\n".to_owned()),
                false => honest(request),
            }
        }
        let nowhere = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            listener.local_addr().expect("is bound")
        };
        for (router, port, expected, of_router) in [
            (
                router(honest),
                8333,
                "connection refused due to arbitrary port 8333".to_owned(),
                false,
            ),
            (nowhere, 0, format!("Cannot connect to {nowhere}"), true),
            (
                router(unreachable),
                0,
                "\"STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"x\"\"".to_owned(),
                false,
            ),
            (
                router(liar),
                0,
                "Reply to \"SESSION CREATE ...\": had a RESULT not equal to OK.".to_owned(),
                true,
            ),
        ] {
            let session = Session::new(router, None);
            let error = run(session.connect(peer(port))).expect_err("cannot be reached");
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.is_of_router(), of_router, "{error}");
        }
    }
}
