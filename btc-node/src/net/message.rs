//! Messages from bytes and to bytes.
//!
//! Decoding is a function of the payload alone, allocates no more than the payload's length allows, and never panics.
//! Bytes after a complete message are ignored, as the network's other nodes do.

use super::version::{Version, printable};
use bitcoin::bip152::{BlockTransactions, BlockTransactionsRequest, HeaderAndShortIds};
use bitcoin::block::Header;
use bitcoin::consensus::encode::VarInt;
use bitcoin::consensus::{Decodable, Encodable, deserialize_partial};
use bitcoin::hashes::Hash;
use bitcoin::p2p::Address;
use bitcoin::p2p::address::AddrV2Message;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{Block, BlockHash, Transaction};
use std::fmt;
use std::sync::Arc;

/// The most addresses in a message.
pub const MAX_ADDRESSES: usize = 1000;
/// The most items in an `inv`, `getdata` or `notfound`.
pub const MAX_INVENTORY: usize = 50_000;
/// The most headers in a message.
pub const MAX_HEADERS: usize = 2000;
/// The most hashes in a locator.
pub const MAX_LOCATOR: usize = 101;
/// The longest name of a feature (BIP 434), in bytes; the shortest has four.
pub const MAX_FEATURE_ID: usize = 80;
/// The longest data of a feature, in bytes.
pub const MAX_FEATURE_DATA: usize = 512;

/// Why a payload is no such message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early or hold what the type cannot.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// The field or type.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// More elements than a message may have. Whoever sends this does so on purpose.
    #[error("{command} message size = {count}")]
    TooMany {
        /// The message.
        command: &'static str,
        /// How many it says it has.
        count: u64,
    },
    /// A feature's name is shorter than four bytes, or its data is too long (BIP 434).
    #[error("invalid feature payload")]
    Feature,
}

/// Where a chain is to be continued from: hashes from a tip back, and one to stop at (all zeros: go on as far as possible).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locator {
    /// Hashes, the newest first.
    pub hashes: Vec<BlockHash>,
    /// The last one wanted.
    pub stop: BlockHash,
}

/// A message of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// `version`: opens a connection.
    Version(Box<Version>),
    /// `verack`: the version is fine.
    Verack,
    /// `addr`: addresses of nodes, with the time they were seen, in seconds since 1970.
    Addr(Vec<(u32, Address)>),
    /// `addrv2`: addresses of all networks (BIP 155).
    AddrV2(Vec<AddrV2Message>),
    /// `sendaddrv2`: wants the latter.
    SendAddrV2,
    /// `getaddr`: asks for addresses.
    GetAddr,
    /// `inv`: has these.
    Inv(Vec<Inventory>),
    /// `getdata`: wants these.
    GetData(Vec<Inventory>),
    /// `notfound`: has not these.
    NotFound(Vec<Inventory>),
    /// `getblocks`: asks what follows, as `inv`.
    GetBlocks(Locator),
    /// `getheaders`: asks what follows, as `headers`.
    GetHeaders(Locator),
    /// `headers`: block headers, each after the one before.
    Headers(Vec<Header>),
    /// `sendheaders`: wants blocks announced by header (BIP 130).
    SendHeaders,
    /// `block`.
    Block(Arc<Block>),
    /// `tx`.
    Tx(Arc<Transaction>),
    /// `mempool`: asks for the ids of all transactions (BIP 35).
    Mempool,
    /// `ping`, with a number to come back.
    Ping(u64),
    /// `pong`, with the number; `None` if it is too short to have one.
    Pong(Option<u64>),
    /// `feefilter`: wants no transactions below this feerate, in sat/kvB (BIP 133).
    FeeFilter(i64),
    /// `wtxidrelay`: names transactions by wtxid (BIP 339).
    WtxidRelay,
    /// `sendcmpct`: takes compact blocks (BIP 152).
    SendCmpct {
        /// 1 if unasked, 0 if on request; others are against the rules.
        announce: u8,
        /// 2 for those with witnesses.
        version: u64,
    },
    /// `cmpctblock`.
    CmpctBlock(Box<HeaderAndShortIds>),
    /// `getblocktxn`.
    GetBlockTxn(BlockTransactionsRequest),
    /// `blocktxn`.
    BlockTxn(BlockTransactions),
    /// `feature`: announces a feature (BIP 434).
    Feature {
        /// Its name.
        id: Vec<u8>,
        /// Whatever the feature wants known.
        data: Vec<u8>,
    },
    /// `sendtxrcncl`: can reconcile transactions (BIP 330).
    SendTxRcncl {
        /// The protocol's version.
        version: u32,
        /// Its half of the salt.
        salt: u64,
    },
    /// Any other, kept as it came: filters (BIP 37 and 157) and what is not known at all.
    Other {
        /// The type's name.
        command: Command,
        /// The payload.
        payload: Vec<u8>,
    },
}

/// The name of a message's type: up to twelve printable characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Command([u8; 12]);

impl Command {
    /// Of the header's field; `None` if it has other than printable characters, or anything after the first zero.
    pub fn from_wire(field: [u8; 12]) -> Option<Self> {
        let end = field
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(field.len());
        let (name, padding) = field.split_at(end);
        let valid = name.iter().all(|byte| (b' '..0x7f).contains(byte))
            && padding.iter().all(|byte| *byte == 0);
        valid.then_some(Self(field))
    }

    /// Of a name with at most twelve printable characters.
    pub fn new(name: &str) -> Option<Self> {
        let mut field = [0; 12];
        field
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        Self::from_wire(field)
    }

    /// As the header's field.
    pub fn to_wire(self) -> [u8; 12] {
        self.0
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(12);
        std::str::from_utf8(&self.0[..end]).expect("only printable ASCII is let in")
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads from a payload.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn read<T: Decodable>(&mut self) -> Result<T, DecodeError> {
        let (value, used) =
            deserialize_partial(self.0).map_err(|error| DecodeError::Malformed {
                what: short_name::<T>(),
                reason: error.to_string(),
            })?;
        self.0 = &self.0[used..];
        Ok(value)
    }

    /// A length and as many bytes, but no more than `max`.
    pub(super) fn bytes(&mut self, max: usize) -> Result<&'a [u8], DecodeError> {
        let length = self.read::<VarInt>()?.0;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > max || length > self.0.len() {
            return Err(DecodeError::Malformed {
                what: "bytes",
                reason: format!(
                    "length {length} where at most {} fit",
                    max.min(self.0.len())
                ),
            });
        }
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(bytes)
    }

    /// A count and as many elements, but no more than `max`.
    fn list<T>(
        &mut self,
        command: &'static str,
        max: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.read::<VarInt>()?.0;
        if count > max as u64 {
            return Err(DecodeError::TooMany { command, count });
        }
        // Every element takes a byte at least, so a false count cannot ask for much memory.
        let mut list = Vec::with_capacity((count as usize).min(self.0.len()));
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(list)
    }

    fn locator(&mut self, command: &'static str) -> Result<Locator, DecodeError> {
        let _version: u32 = self.read()?;
        Ok(Locator {
            hashes: self.list(command, MAX_LOCATOR, Self::read)?,
            stop: self.read()?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn short_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    name.rsplit("::").next().unwrap_or(name)
}

impl Message {
    /// The name of its type.
    pub fn command(&self) -> Command {
        if let Self::Other { command, .. } = self {
            return *command;
        }
        Command::new(self.name()).expect("known names are short and printable")
    }

    /// The name of its type; `other` if this node does not understand it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Version(_) => "version",
            Self::Verack => "verack",
            Self::Addr(_) => "addr",
            Self::AddrV2(_) => "addrv2",
            Self::SendAddrV2 => "sendaddrv2",
            Self::GetAddr => "getaddr",
            Self::Inv(_) => "inv",
            Self::GetData(_) => "getdata",
            Self::NotFound(_) => "notfound",
            Self::GetBlocks(_) => "getblocks",
            Self::GetHeaders(_) => "getheaders",
            Self::Headers(_) => "headers",
            Self::SendHeaders => "sendheaders",
            Self::Block(_) => "block",
            Self::Tx(_) => "tx",
            Self::Mempool => "mempool",
            Self::Ping(_) => "ping",
            Self::Pong(_) => "pong",
            Self::FeeFilter(_) => "feefilter",
            Self::WtxidRelay => "wtxidrelay",
            Self::SendCmpct { .. } => "sendcmpct",
            Self::CmpctBlock(_) => "cmpctblock",
            Self::GetBlockTxn(_) => "getblocktxn",
            Self::BlockTxn(_) => "blocktxn",
            Self::Feature { .. } => "feature",
            Self::SendTxRcncl { .. } => "sendtxrcncl",
            Self::Other { .. } => "other",
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(command: Command, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(payload);
        let reader = &mut reader;
        Ok(match command.as_str() {
            "version" => Self::Version(Box::new(Version::decode(reader)?)),
            "verack" => Self::Verack,
            "addr" => Self::Addr(reader.list("addr", MAX_ADDRESSES, Reader::read)?),
            "addrv2" => Self::AddrV2(reader.list("addrv2", MAX_ADDRESSES, Reader::read)?),
            "sendaddrv2" => Self::SendAddrV2,
            "getaddr" => Self::GetAddr,
            "inv" => Self::Inv(reader.list("inv", MAX_INVENTORY, Reader::read)?),
            "getdata" => Self::GetData(reader.list("getdata", MAX_INVENTORY, Reader::read)?),
            "notfound" => Self::NotFound(reader.list("notfound", MAX_INVENTORY, Reader::read)?),
            "getblocks" => Self::GetBlocks(reader.locator("getblocks")?),
            "getheaders" => Self::GetHeaders(reader.locator("getheaders")?),
            "headers" => Self::Headers(reader.list("headers", MAX_HEADERS, |reader| {
                let header = reader.read()?;
                // The number of transactions, which is always zero here and never checked.
                reader.read::<VarInt>()?;
                Ok(header)
            })?),
            "sendheaders" => Self::SendHeaders,
            "block" => Self::Block(Arc::new(reader.read()?)),
            "tx" => Self::Tx(Arc::new(reader.read()?)),
            "mempool" => Self::Mempool,
            "ping" => Self::Ping(reader.read()?),
            "pong" => Self::Pong(reader.read().ok()),
            "feefilter" => Self::FeeFilter(reader.read()?),
            "wtxidrelay" => Self::WtxidRelay,
            "sendcmpct" => Self::SendCmpct {
                announce: reader.read()?,
                version: reader.read()?,
            },
            "cmpctblock" => Self::CmpctBlock(Box::new(reader.read()?)),
            "getblocktxn" => Self::GetBlockTxn(reader.read()?),
            "blocktxn" => Self::BlockTxn(reader.read()?),
            "feature" => Self::feature(reader).map_err(|_| DecodeError::Feature)?,
            "sendtxrcncl" => Self::SendTxRcncl {
                version: reader.read()?,
                salt: reader.read()?,
            },
            _ => Self::Other {
                command,
                payload: payload.to_vec(),
            },
        })
    }

    fn feature(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = reader.bytes(MAX_FEATURE_ID)?.to_vec();
        let data = reader.bytes(MAX_FEATURE_DATA)?.to_vec();
        if id.len() < 4 || !reader.is_empty() {
            return Err(DecodeError::Feature);
        }
        Ok(Self::Feature { id, data })
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let buffer = &mut out;
        match self {
            Self::Version(version) => version.encode(buffer),
            Self::Verack
            | Self::SendAddrV2
            | Self::GetAddr
            | Self::SendHeaders
            | Self::Mempool
            | Self::WtxidRelay => {}
            Self::Addr(list) => put_list(buffer, list),
            Self::AddrV2(list) => put_list(buffer, list),
            Self::Inv(list) | Self::GetData(list) | Self::NotFound(list) => put_list(buffer, list),
            Self::GetBlocks(locator) | Self::GetHeaders(locator) => {
                put(buffer, &super::PROTOCOL_VERSION);
                put_list(buffer, &locator.hashes);
                put(buffer, &locator.stop);
            }
            Self::Headers(headers) => {
                put(buffer, &VarInt(headers.len() as u64));
                for header in headers {
                    put(buffer, header);
                    buffer.push(0);
                }
            }
            Self::Block(block) => put(buffer, block.as_ref()),
            Self::Tx(tx) => put(buffer, tx.as_ref()),
            Self::Ping(nonce) | Self::Pong(Some(nonce)) => put(buffer, nonce),
            Self::Pong(None) => {}
            Self::FeeFilter(rate) => put(buffer, rate),
            Self::SendCmpct { announce, version } => {
                put(buffer, announce);
                put(buffer, version);
            }
            Self::CmpctBlock(block) => put(buffer, block.as_ref()),
            Self::GetBlockTxn(request) => put(buffer, request),
            Self::BlockTxn(transactions) => put(buffer, transactions),
            Self::Feature { id, data } => {
                put(buffer, id);
                put(buffer, data);
            }
            Self::SendTxRcncl { version, salt } => {
                put(buffer, version);
                put(buffer, salt);
            }
            Self::Other { payload, .. } => buffer.extend_from_slice(payload),
        }
        out
    }

    /// A message of a name that this node has no type for, with what may be shown of it.
    pub fn describe(&self) -> String {
        printable(self.command().as_str().as_bytes())
    }
}

fn put<T: Encodable + ?Sized>(out: &mut Vec<u8>, value: &T) {
    value
        .consensus_encode(out)
        .expect("writing to memory does not fail");
}

fn put_list<T: Encodable>(out: &mut Vec<u8>, list: &[T]) {
    put(out, &VarInt(list.len() as u64));
    for element in list {
        put(out, element);
    }
}

/// The hash that stands for none, as a locator's stop.
pub fn no_stop() -> BlockHash {
    BlockHash::all_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::Network;
    use bitcoin::constants::genesis_block;
    use bitcoin::hex::FromHex;
    use proptest::prelude::*;

    const NAMES: &[&str] = &[
        "version",
        "verack",
        "addr",
        "addrv2",
        "sendaddrv2",
        "getaddr",
        "inv",
        "getdata",
        "notfound",
        "getblocks",
        "getheaders",
        "headers",
        "sendheaders",
        "block",
        "tx",
        "mempool",
        "ping",
        "pong",
        "feefilter",
        "wtxidrelay",
        "sendcmpct",
        "cmpctblock",
        "getblocktxn",
        "blocktxn",
        "feature",
        "sendtxrcncl",
        "filterload",
        "getcfilters",
        "x",
    ];

    fn inventory() -> impl Strategy<Value = Inventory> {
        (any::<u32>(), any::<[u8; 32]>()).prop_map(|(kind, hash)| match kind % 5 {
            0 => Inventory::Block(BlockHash::from_byte_array(hash)),
            1 => Inventory::WitnessBlock(BlockHash::from_byte_array(hash)),
            2 => Inventory::WTx(bitcoin::Wtxid::from_byte_array(hash)),
            3 => Inventory::Transaction(bitcoin::Txid::from_byte_array(hash)),
            _ => Inventory::Unknown { inv_type: 77, hash },
        })
    }

    fn message() -> impl Strategy<Value = Message> {
        let hashes = proptest::collection::vec(any::<[u8; 32]>(), 0..MAX_LOCATOR)
            .prop_map(|list| list.into_iter().map(BlockHash::from_byte_array).collect());
        let locator = (hashes, any::<[u8; 32]>()).prop_map(|(hashes, stop)| Locator {
            hashes,
            stop: BlockHash::from_byte_array(stop),
        });
        let items = proptest::collection::vec(inventory(), 0..20);
        let genesis = genesis_block(Network::Regtest);
        let headers = vec![genesis.header; 3];
        prop_oneof![
            locator.prop_map(Message::GetHeaders),
            items.prop_map(Message::Inv),
            any::<u64>().prop_map(Message::Ping),
            any::<Option<u64>>().prop_map(Message::Pong),
            any::<i64>().prop_map(Message::FeeFilter),
            (any::<u8>(), any::<u64>())
                .prop_map(|(announce, version)| Message::SendCmpct { announce, version }),
            (
                proptest::collection::vec(any::<u8>(), 4..80),
                proptest::collection::vec(any::<u8>(), 0..512)
            )
                .prop_map(|(id, data)| Message::Feature { id, data }),
            Just(Message::Headers(headers)),
            Just(Message::Tx(Arc::new(genesis.txdata[0].clone()))),
            Just(Message::Block(Arc::new(genesis))),
            Just(Message::Verack),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(message in message()) {
            let decoded = Message::decode(message.command(), &message.encode());
            prop_assert_eq!(decoded.as_ref(), Ok(&message));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            name in proptest::sample::select(NAMES), payload in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let command = Command::new(name).expect("is short");
            if let Ok(message) = Message::decode(command, &payload) {
                prop_assert_eq!(message.command(), command);
                // What was understood can be sent on.
                prop_assert!(Message::decode(command, &message.encode()).is_ok());
            }
        }

        #[test]
        fn a_cut_message_is_refused(message in message(), cut in any::<proptest::sample::Index>()) {
            let bytes = message.encode();
            prop_assume!(!bytes.is_empty() && !matches!(message, Message::Pong(_)));
            let cut = &bytes[..cut.index(bytes.len())];
            prop_assert!(Message::decode(message.command(), cut).is_err());
        }
    }

    #[test]
    fn counts_above_the_limit_are_told_apart_from_garbage() {
        let payload = [0xfd, 0x51, 0xc3];
        let inv = Command::new("inv").expect("is short");
        let error = Message::decode(inv, &payload).expect_err("has 50001 items");
        assert_eq!(error.to_string(), "inv message size = 50001");
        let error = Message::decode(inv, &[0xfd, 0x50, 0xc3]).expect_err("is cut");
        assert!(matches!(error, DecodeError::Malformed { .. }));
    }

    #[test]
    fn the_oldest_version_message_is_understood() {
        let hex = "9c7c00000100000000000000e615104d00000000010000000000000000000000000000000000ffff0a000001208d";
        let payload = Vec::<u8>::from_hex(hex).expect("is hex");
        let Ok(Message::Version(version)) =
            Message::decode(Command::new("version").expect("is short"), &payload)
        else {
            panic!("is a version");
        };
        assert_eq!(version.version, 31_900);
        assert!(version.relay && version.user_agent.is_empty());
        let again = Message::Version(version.clone());
        assert_eq!(
            Message::decode(again.command(), &again.encode()),
            Ok(again.clone())
        );
    }

    #[test]
    fn names_are_printable_and_padded_with_zeros() {
        assert_eq!(
            Command::new("verack").map(|c| c.to_string()),
            Some("verack".into())
        );
        assert_eq!(Command::from_wire(*b"verack\0\0\0\0\0x"), None);
        assert_eq!(Command::from_wire(*b"ver\x07ack\0\0\0\0\0"), None);
        assert_eq!(Command::new("a name too long"), None);
    }
}
