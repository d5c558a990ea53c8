//! The v2 transport: everything after the keys is encrypted, and looks like random bytes (BIP 324).
//!
//! Bytes in, bytes out: whoever has the socket pushes what came and sends what is here to be sent. Nobody is authenticated;
//! the encryption only makes watching connections cost more than reading them.

mod cipher;

use super::frame::Frame;
use super::message::Command;
use super::{Frames, MAX_PAYLOAD};
use bitcoin::secp256k1::rand::{self, Rng, RngCore};
use cipher::{Ephemeral, KEY, LENGTH, OVERHEAD, Packets, Session, TERMINATOR};

/// The longest garbage, in bytes.
const MAX_GARBAGE: usize = 4095;
/// Bytes of a name that is written out.
const NAME: usize = 12;
/// How a connection of the v1 transport goes on after the network's magic.
const V1_START: &[u8; NAME] = b"version\0\0\0\0\0";
/// The longest contents of a packet: a zero, a name, a payload.
const MAX_CONTENTS: usize = 1 + NAME + MAX_PAYLOAD;

/// Names that have a number of one byte, by that number (BIP 324, and BIP 434 for the last). Those between were never
/// given to a message that this network has.
const SHORT: [&str; 38] = [
    "",
    "addr",
    "block",
    "blocktxn",
    "cmpctblock",
    "feefilter",
    "filteradd",
    "filterclear",
    "filterload",
    "getblocks",
    "getblocktxn",
    "getdata",
    "getheaders",
    "headers",
    "inv",
    "mempool",
    "merkleblock",
    "notfound",
    "ping",
    "pong",
    "sendcmpct",
    "tx",
    "getcfilters",
    "cfilter",
    "getcfheaders",
    "cfheaders",
    "getcfcheckpt",
    "cfcheckpt",
    "addrv2",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "feature",
];

/// Why bytes are not taken. All but the last end the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer speaks the v1 transport of another network.
    #[error("V2 transport error: V1 peer with wrong MessageStart {0:08x}")]
    Magic(u32),
    /// There is more garbage than there may be.
    #[error("V2 transport error: missing garbage terminator")]
    Garbage,
    /// The packet is longer than any message may be.
    #[error("V2 transport error: packet too large ({0} bytes)")]
    TooLarge(usize),
    /// The packet, or the garbage before it, is not what was sent.
    #[error("V2 transport error: packet decryption failure ({0} bytes)")]
    Tampered(usize),
    /// The message has no name that could be one. The next is fine.
    #[error("V2 transport error: invalid message type ({0} bytes contents)")]
    Command(usize),
}

impl Error {
    /// Whether the connection cannot go on.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Command(_))
    }
}

/// What comes next on the wire.
enum Awaiting {
    /// A key, or the first message of the v1 transport.
    KeyOrV1,
    Key,
    /// The end of the garbage.
    Garbage {
        terminator: [u8; TERMINATOR],
        /// Bytes in which it does not begin.
        searched: usize,
    },
    /// The packet that names a version, with the garbage that it vouches for.
    Version {
        garbage: Vec<u8>,
    },
    Message,
}

/// What the ciphers are made of, until they are.
struct Offer {
    key: Ephemeral,
    garbage: Vec<u8>,
}

impl Offer {
    fn random() -> Self {
        let mut rng = rand::thread_rng();
        let mut garbage = vec![0; rng.gen_range(0..=MAX_GARBAGE)];
        rng.fill_bytes(&mut garbage);
        let key = Ephemeral::random();
        Self { key, garbage }
    }
}

/// The ciphers of a connection.
struct Ciphers {
    id: [u8; 32],
    send: Packets,
    receive: Packets,
}

/// What became of the bytes so far.
pub(super) enum Progress {
    /// A message.
    Frame(Frame),
    /// More bytes are needed.
    Waiting,
    /// The peer speaks the v1 transport: these are all bytes so far.
    V1(Frames),
}

/// What a packet was.
enum Packet {
    /// It is not whole.
    Partial,
    /// A version or a decoy: nothing is to be done.
    Passed,
    Message(Frame),
}

/// One side of a connection.
pub(super) struct V2 {
    magic: [u8; 4],
    initiating: bool,
    awaiting: Awaiting,
    offer: Option<Offer>,
    ciphers: Option<Ciphers>,
    /// Bytes of the handshake that were not given out yet.
    handshake: Vec<u8>,
    buffer: Vec<u8>,
    /// Bytes at the buffer's start that are dealt with.
    used: usize,
    /// The length of the packet at the buffer's start, once it is known: it can be read only once.
    packet: Option<usize>,
    heard: bool,
}

impl V2 {
    /// The side that made the connection: it speaks first.
    pub(super) fn initiate(magic: [u8; 4]) -> Self {
        let mut side = Self::new(magic, Offer::random(), true);
        side.begin();
        side
    }

    /// The side that was called: it listens first which transport is spoken.
    pub(super) fn accept(magic: [u8; 4]) -> Self {
        Self::new(magic, Offer::random(), false)
    }

    fn new(magic: [u8; 4], offer: Offer, initiating: bool) -> Self {
        Self {
            magic,
            initiating,
            awaiting: if initiating {
                Awaiting::Key
            } else {
                Awaiting::KeyOrV1
            },
            offer: Some(offer),
            ciphers: None,
            handshake: Vec::new(),
            buffer: Vec::new(),
            used: 0,
            packet: None,
            heard: false,
        }
    }

    /// Takes bytes as they come.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.heard |= !bytes.is_empty();
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, as far as it is there.
    pub(super) fn advance(&mut self) -> Result<Progress, Error> {
        loop {
            let waiting = &self.buffer[self.used..];
            match &mut self.awaiting {
                Awaiting::KeyOrV1 => {
                    let prefix = [self.magic.as_slice(), V1_START].concat();
                    let known = waiting.len().min(prefix.len());
                    if waiting[..known] != prefix[..known] {
                        self.awaiting = Awaiting::Key;
                        self.begin();
                    } else if known == prefix.len() {
                        let mut frames = Frames::new(self.magic);
                        frames.push(waiting);
                        return Ok(Progress::V1(frames));
                    } else {
                        return Ok(Progress::Waiting);
                    }
                }
                Awaiting::Key => {
                    // A key has these bytes there by chance once in 2^96 times.
                    if !self.initiating
                        && waiting.get(4..4 + NAME) == Some(V1_START.as_slice())
                        && let Some(magic) = waiting.first_chunk()
                    {
                        return Err(Error::Magic(u32::from_be_bytes(*magic)));
                    }
                    let Some(theirs) = waiting.first_chunk::<KEY>() else {
                        return Ok(Progress::Waiting);
                    };
                    let theirs = *theirs;
                    self.used += KEY;
                    self.agree(theirs);
                }
                Awaiting::Garbage {
                    terminator,
                    searched,
                } => {
                    let most = waiting.len().min(MAX_GARBAGE + TERMINATOR);
                    let found = waiting[*searched..most]
                        .windows(TERMINATOR)
                        .position(|window| window == terminator);
                    if let Some(found) = found {
                        let length = *searched + found;
                        let garbage = waiting[..length].to_vec();
                        self.used += length + TERMINATOR;
                        self.awaiting = Awaiting::Version { garbage };
                    } else if most == MAX_GARBAGE + TERMINATOR {
                        return Err(Error::Garbage);
                    } else {
                        *searched = (most + 1).saturating_sub(TERMINATOR);
                        return Ok(Progress::Waiting);
                    }
                }
                Awaiting::Version { .. } | Awaiting::Message => match self.packet()? {
                    Packet::Partial => return Ok(Progress::Waiting),
                    Packet::Passed => {}
                    Packet::Message(frame) => return Ok(Progress::Frame(frame)),
                },
            }
        }
    }

    /// Says our key, and garbage of a length that tells nothing.
    fn begin(&mut self) {
        if let Some(offer) = &self.offer {
            self.handshake.extend_from_slice(&offer.key.public());
            self.handshake.extend_from_slice(&offer.garbage);
        }
    }

    /// Makes the ciphers, and says that the garbage is over and which version is spoken: the only one there is.
    fn agree(&mut self, theirs: [u8; KEY]) {
        let Some(Offer { key, garbage }) = self.offer.take() else {
            // The key is awaited once.
            return;
        };
        let Session {
            id,
            mut send,
            receive,
            send_terminator,
            receive_terminator,
        } = key.agree(theirs, self.initiating, self.magic);
        self.handshake.extend_from_slice(&send_terminator);
        send.seal(&[], &garbage, false, &mut self.handshake);
        self.ciphers = Some(Ciphers { id, send, receive });
        self.awaiting = Awaiting::Garbage {
            terminator: receive_terminator,
            searched: 0,
        };
    }

    fn packet(&mut self) -> Result<Packet, Error> {
        let Some(ciphers) = &mut self.ciphers else {
            return Ok(Packet::Partial);
        };
        let waiting = &mut self.buffer[self.used..];
        let Some(prefix) = waiting.first_chunk::<LENGTH>() else {
            return Ok(Packet::Partial);
        };
        let length = *self
            .packet
            .get_or_insert_with(|| ciphers.receive.length(*prefix));
        if length > MAX_CONTENTS {
            return Err(Error::TooLarge(length));
        }
        let Some(sealed) = waiting.get_mut(LENGTH..length + OVERHEAD) else {
            return Ok(Packet::Partial);
        };
        self.packet = None;
        self.used += length + OVERHEAD;
        let aad: &[u8] = match &self.awaiting {
            Awaiting::Version { garbage } => garbage,
            _ => &[],
        };
        let contents = ciphers
            .receive
            .open(sealed, aad)
            .map_err(|_| Error::Tampered(length))?;
        match (&mut self.awaiting, contents) {
            // Only the first packet vouches for the garbage, be it a decoy.
            (Awaiting::Version { garbage }, None) => garbage.clear(),
            // What the version says is for a time when there is another.
            (Awaiting::Version { .. }, Some(_)) => self.awaiting = Awaiting::Message,
            (_, None) => {}
            (_, Some(contents)) => {
                let (command, payload) = split(contents).ok_or(Error::Command(length))?;
                return Ok(Packet::Message(Frame {
                    command,
                    payload: payload.to_vec(),
                    wire_len: length + OVERHEAD,
                }));
            }
        }
        Ok(Packet::Passed)
    }

    /// Bytes of the handshake that are to be sent before anything else.
    pub(super) fn take_handshake(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.handshake)
    }

    /// Whether messages can be sent.
    pub(super) fn can_send(&self) -> bool {
        self.ciphers.is_some()
    }

    /// A message as it goes onto the wire; `None` before the keys are exchanged.
    pub(super) fn encode(&mut self, command: Command, payload: &[u8]) -> Option<Vec<u8>> {
        let ciphers = self.ciphers.as_mut()?;
        let short = SHORT.iter().position(|name| *name == command.as_str());
        let mut out = Vec::new();
        match short.and_then(|number| u8::try_from(number).ok()) {
            Some(number) if number > 0 => {
                ciphers
                    .send
                    .seal(&[&[number], payload], &[], false, &mut out);
            }
            _ => {
                let name = command.to_wire();
                ciphers
                    .send
                    .seal(&[&[0], &name, payload], &[], false, &mut out);
            }
        }
        Some(out)
    }

    /// The session's id, once the peer has shown that it has the same.
    pub(super) fn session_id(&self) -> Option<[u8; 32]> {
        let ciphers = self.ciphers.as_ref()?;
        matches!(self.awaiting, Awaiting::Message).then_some(ciphers.id)
    }

    /// Whether this side called and nothing was ever answered: the peer may speak the v1 transport alone.
    pub(super) fn is_unanswered(&self) -> bool {
        self.initiating && !self.heard
    }
}

/// A packet's contents as name and payload.
fn split(contents: &[u8]) -> Option<(Command, &[u8])> {
    let (&first, rest) = contents.split_first()?;
    if first == 0 {
        let (name, payload) = rest.split_first_chunk::<NAME>()?;
        return Some((Command::from_wire(*name)?, payload));
    }
    let name = SHORT.get(usize::from(first))?;
    Some((Command::new(name)?, rest))
}
