//! The message that opens a connection.

use super::address::{Endpoint, NetAddress, PeerAddress};
use super::message::{DecodeError, Reader, put};
use bitcoin::p2p::ServiceFlags;

/// The longest user agent, in bytes.
pub const MAX_USER_AGENT: usize = 256;

/// What a node says of itself first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The protocol version it speaks.
    pub version: u32,
    /// What it offers.
    pub services: ServiceFlags,
    /// Its clock, in seconds since 1970.
    pub time: i64,
    /// The address it reached the other by.
    pub receiver: Endpoint,
    /// What it says the other offers.
    pub receiver_services: ServiceFlags,
    /// A number by which a node recognizes itself.
    pub nonce: u64,
    /// What program it is (BIP 14).
    pub user_agent: String,
    /// The height of its chain.
    pub start_height: i32,
    /// Whether it wants transactions announced (BIP 37); true unless said otherwise.
    pub relay: bool,
}

impl Version {
    /// What a full node without blocks or a name says to `receiver` at `time` (s since 1970): fields are there to be
    /// changed.
    pub fn new(receiver: Endpoint, time: i64) -> Self {
        Self {
            version: super::PROTOCOL_VERSION,
            services: ServiceFlags::NETWORK | ServiceFlags::WITNESS,
            time,
            receiver,
            receiver_services: ServiceFlags::NONE,
            nonce: 0,
            user_agent: String::new(),
            start_height: 0,
            relay: true,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(out, &self.version);
        put(out, &self.services);
        put(out, &self.time);
        let receiver = PeerAddress {
            time: 0,
            services: self.receiver_services.to_u64(),
            endpoint: self.receiver,
        };
        receiver.encode_without_time(out);
        // Its own address, which nobody trusts.
        let sender = PeerAddress {
            time: 0,
            services: self.services.to_u64(),
            endpoint: Endpoint::new(NetAddress::UNSPECIFIED, 0),
        };
        sender.encode_without_time(out);
        put(out, &self.nonce);
        put(out, &self.user_agent);
        put(out, &self.start_height);
        put(out, &self.relay);
    }

    /// Everything after the receiver's address may be missing, as in the protocol's early versions.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (version, services, time) = (reader.read()?, reader.read()?, reader.read()?);
        let receiver = PeerAddress::decode_without_time(reader, 0)?;
        let mut version = Self {
            version,
            services,
            time,
            receiver: receiver.endpoint,
            receiver_services: ServiceFlags::from(receiver.services),
            nonce: 0,
            user_agent: String::new(),
            start_height: -1,
            relay: true,
        };
        // A version number is signed on the wire; one below zero is older than any.
        if version.version > i32::MAX.cast_unsigned() {
            version.version = 0;
        }
        if !reader.is_empty() {
            PeerAddress::decode_without_time(reader, 0)?;
            version.nonce = reader.read()?;
        }
        if !reader.is_empty() {
            let bytes = reader.bytes(MAX_USER_AGENT)?;
            version.user_agent = printable(bytes);
        }
        if !reader.is_empty() {
            version.start_height = reader.read()?;
        }
        if !reader.is_empty() {
            version.relay = reader.read::<u8>()? != 0;
        }
        Ok(version)
    }
}

/// The characters that are safe to show, of text that a stranger sent.
pub(crate) fn printable(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| char::from(*byte))
        .filter(|c| c.is_ascii_alphanumeric() || " .,;-_/:?@()".contains(*c))
        .collect()
}
