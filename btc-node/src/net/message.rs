//! Messages from bytes and to bytes.
//!
//! Decoding is a function of the payload alone, allocates no more than the payload's length allows, and never panics.
//! Bytes after a complete message are ignored, as the network's other nodes do.

mod codec;
mod command;

pub(crate) use codec::{Reader, put, put_list};
pub use command::Command;

use super::address::PeerAddress;
use super::version::{Version, printable};
use bitcoin::bip152::{BlockTransactions, BlockTransactionsRequest, HeaderAndShortIds};
use bitcoin::block::Header;
use bitcoin::consensus::encode::VarInt;
use bitcoin::hashes::Hash;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{Block, BlockHash, MerkleBlock, Transaction};
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
    #[error("{0}")]
    Text(String),
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
    /// `addr`: addresses of nodes on the internet.
    Addr(Vec<PeerAddress>),
    /// `addrv2`: addresses of all networks (BIP 155).
    AddrV2(Vec<PeerAddress>),
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
    /// `filterload`: wants only transactions that a Bloom filter matches (BIP 37).
    FilterLoad {
        /// The filter's bits.
        bits: Vec<u8>,
        /// How many hash functions it has.
        functions: u32,
        /// What makes them differ from those of others.
        tweak: u32,
        /// How matches update the filter.
        flags: u8,
    },
    /// `filteradd`: adds to the filter.
    FilterAdd(Vec<u8>),
    /// `filterclear`: wants all transactions again.
    FilterClear,
    /// `merkleblock`: the part of a block that a filter matches.
    MerkleBlock(Box<MerkleBlock>),
    /// Any other, kept as it came: block filters (BIP 157) and what is not known at all.
    Other {
        /// The type's name.
        command: Command,
        /// The payload.
        payload: Vec<u8>,
    },
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
            Self::FilterLoad { .. } => "filterload",
            Self::FilterAdd(_) => "filteradd",
            Self::FilterClear => "filterclear",
            Self::MerkleBlock(_) => "merkleblock",
            Self::Other { .. } => "other",
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(command: Command, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let reader = &mut reader;
        Ok(match command.as_str() {
            "version" => Self::Version(Box::new(Version::decode(reader)?)),
            "verack" => Self::Verack,
            "addr" => Self::Addr(reader.list("addr", MAX_ADDRESSES, PeerAddress::decode_v1)?),
            "addrv2" => {
                Self::AddrV2(reader.list("addrv2", MAX_ADDRESSES, PeerAddress::decode_v2)?)
            }
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
            "block" => Self::Block(Arc::new(reader.block()?)),
            "tx" => Self::Tx(Arc::new(reader.transaction()?)),
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
            "filterload" => Self::FilterLoad {
                bits: reader.bytes(super::MAX_PAYLOAD)?.to_vec(),
                functions: reader.read()?,
                tweak: reader.read()?,
                flags: reader.read()?,
            },
            "filteradd" => Self::FilterAdd(reader.bytes(super::MAX_PAYLOAD)?.to_vec()),
            "filterclear" => Self::FilterClear,
            "merkleblock" => Self::MerkleBlock(Box::new(reader.read()?)),
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
            | Self::WtxidRelay
            | Self::FilterClear => {}
            Self::Addr(list) => {
                put(buffer, &VarInt(list.len() as u64));
                list.iter().for_each(|address| address.encode_v1(buffer));
            }
            Self::AddrV2(list) => {
                put(buffer, &VarInt(list.len() as u64));
                list.iter().for_each(|address| address.encode_v2(buffer));
            }
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
            Self::FilterLoad {
                bits,
                functions,
                tweak,
                flags,
            } => {
                put(buffer, bits);
                put(buffer, functions);
                put(buffer, tweak);
                put(buffer, flags);
            }
            Self::FilterAdd(data) => put(buffer, data),
            Self::MerkleBlock(block) => put(buffer, block.as_ref()),
            Self::Other { payload, .. } => buffer.extend_from_slice(payload),
        }
        out
    }

    /// A message of a name that this node has no type for, with what may be shown of it.
    pub fn describe(&self) -> String {
        printable(self.command().as_str().as_bytes())
    }
}

/// The hash that stands for none, as a locator's stop.
pub fn no_stop() -> BlockHash {
    BlockHash::all_zeros()
}

#[cfg(test)]
mod tests;
