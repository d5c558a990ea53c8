//! The message that opens a connection.

use super::message::{DecodeError, Reader};
use bitcoin::consensus::Encodable;
use bitcoin::p2p::{Address, ServiceFlags};

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
    pub receiver: Address,
    /// Its own address; nobody trusts it.
    pub sender: Address,
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
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |value: &dyn Fn(&mut Vec<u8>) -> Result<usize, bitcoin::io::Error>| {
            value(out).expect("writing to memory does not fail");
        };
        put(&|out| self.version.consensus_encode(out));
        put(&|out| self.services.consensus_encode(out));
        put(&|out| self.time.consensus_encode(out));
        put(&|out| self.receiver.consensus_encode(out));
        put(&|out| self.sender.consensus_encode(out));
        put(&|out| self.nonce.consensus_encode(out));
        put(&|out| self.user_agent.consensus_encode(out));
        put(&|out| self.start_height.consensus_encode(out));
        put(&|out| self.relay.consensus_encode(out));
    }

    /// Everything after the receiver's address may be missing, as in the protocol's early versions.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut version = Self {
            version: reader.read()?,
            services: reader.read()?,
            time: reader.read()?,
            receiver: reader.read()?,
            sender: Address {
                services: ServiceFlags::NONE,
                address: [0; 8],
                port: 0,
            },
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
            version.sender = reader.read()?;
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
