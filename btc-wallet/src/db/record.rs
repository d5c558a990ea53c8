//! What the records of a wallet mean: their keys and values, as Core writes them.
//!
//! A key is the record's type as a string, followed by what tells records of one type apart.

use super::codec::{CodecError, Reader, Writer};
use super::{Batch, Database, DbError, private_key};
use crate::crypter::MasterKey;
use crate::tx::TxRecord;
use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpub};
use bitcoin::hashes::{Hash, sha256, sha256d};
use bitcoin::{BlockHash, NetworkKind, OutPoint, PublicKey, Transaction, Txid};
use btc_interfaces::descriptor::{KeyCache, Secret};
use std::collections::BTreeMap;

const ACTIVE_EXTERNAL: &str = "activeexternalspk";
const ACTIVE_INTERNAL: &str = "activeinternalspk";
const BEST_BLOCK: &str = "bestblock";
const BEST_BLOCK_NO_MERKLE: &str = "bestblock_nomerkle";
const DEST_DATA: &str = "destdata";
const FLAGS: &str = "flags";
const LOCKED_UTXO: &str = "lockedutxo";
const MASTER_KEY: &str = "mkey";
const NAME: &str = "name";
const ORDER_POS_NEXT: &str = "orderposnext";
const PURPOSE: &str = "purpose";
const TX: &str = "tx";
const VERSION: &str = "version";
const DESCRIPTOR: &str = "walletdescriptor";
const DESCRIPTOR_CACHE: &str = "walletdescriptorcache";
const DESCRIPTOR_LH_CACHE: &str = "walletdescriptorlhcache";
const DESCRIPTOR_CKEY: &str = "walletdescriptorckey";
const DESCRIPTOR_KEY: &str = "walletdescriptorkey";
const WTX_VARIANT: &str = "wtxvariant";
/// Records of wallets from before descriptors; a descriptor wallet must not have them.
const LEGACY: [&str; 10] = [
    "ckey",
    "cscript",
    "defaultkey",
    "hdchain",
    "keymeta",
    "key",
    "wkey",
    "pool",
    "watchmeta",
    "watchs",
];

/// The key under which a descriptor used from an address marks it as spent from.
const USED: &str = "used";
/// The number in front of a stored locator: a protocol version that says nothing any more.
const LOCATOR_VERSION: i32 = 70016;
/// The client version that Core's readers expect of a wallet of this kind.
const CLIENT_VERSION: i32 = 319_900;

/// The identifier of a descriptor in the wallet.
pub(crate) type DescriptorId = sha256::Hash;

/// The value of a `walletdescriptor` record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DescriptorValue {
    /// Public text with checksum.
    pub(crate) text: String,
    /// Seconds since 1970.
    pub(crate) creation_time: u64,
    /// The next index to hand out.
    pub(crate) next_index: i32,
    /// First index.
    pub(crate) range_start: i32,
    /// One past the last index with a known script.
    pub(crate) range_end: i32,
}

/// All records that belong to one descriptor.
#[derive(Debug, Default)]
pub(crate) struct DescriptorRecords {
    pub(crate) value: Option<DescriptorValue>,
    pub(crate) cache: KeyCache,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) crypted: Vec<(PublicKey, Vec<u8>)>,
}

/// Everything a wallet's file holds.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) flags: Option<u64>,
    pub(crate) has_version: bool,
    pub(crate) best_block: Vec<BlockHash>,
    pub(crate) descriptors: BTreeMap<DescriptorId, DescriptorRecords>,
    /// By output type (as a number) and whether internal.
    pub(crate) active: BTreeMap<(u8, bool), DescriptorId>,
    pub(crate) names: Vec<(String, String)>,
    pub(crate) purposes: Vec<(String, String)>,
    pub(crate) used: Vec<String>,
    pub(crate) txs: Vec<(Txid, TxRecord)>,
    pub(crate) locked: Vec<OutPoint>,
    pub(crate) order_pos_next: i64,
    pub(crate) master_keys: BTreeMap<u32, MasterKey>,
    /// A record type that only wallets from before descriptors have.
    pub(crate) legacy: Option<String>,
    /// Records that did not decode and that the wallet can do without, each with the reason.
    pub(crate) tolerable: Vec<String>,
}

/// Why records do not make a wallet.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A record does not decode.
    #[error("corrupt {kind} record: {source}")]
    Corrupt {
        /// The record's type.
        kind: String,
        /// What is wrong.
        source: CodecError,
    },
}

fn key(kind: &str) -> Writer {
    Writer::new().text(kind)
}

fn with_id(kind: &str, id: &DescriptorId) -> Writer {
    key(kind).raw(id.as_byte_array())
}

/// An extended public key in 74 bytes, without the network's version.
fn write_xpub(xpub: &Xpub) -> Vec<u8> {
    let full = xpub.encode();
    Writer::new().bytes(&full[4..]).done()
}

fn read_xpub(reader: &mut Reader<'_>, network: NetworkKind) -> Result<Xpub, CodecError> {
    let bytes = reader.bytes()?;
    let mut inner = Reader::new(bytes);
    let depth = inner.u8()?;
    let parent_fingerprint = Fingerprint::from(inner.array::<4>()?);
    let child_number = ChildNumber::from(u32::from_be_bytes(inner.array()?));
    let chain_code = ChainCode::from(inner.array::<32>()?);
    let public_key = bitcoin::secp256k1::PublicKey::from_slice(inner.take(33)?)
        .map_err(|_| CodecError::Invalid("extended public key"))?;
    inner.end()?;
    Ok(Xpub {
        network,
        depth,
        parent_fingerprint,
        child_number,
        public_key,
        chain_code,
    })
}

fn read_public_key(reader: &mut Reader<'_>) -> Result<PublicKey, CodecError> {
    PublicKey::from_slice(reader.bytes()?).map_err(|_| CodecError::Invalid("public key"))
}

fn read_id(reader: &mut Reader<'_>) -> Result<DescriptorId, CodecError> {
    Ok(DescriptorId::from_byte_array(reader.array()?))
}

fn read_locator(reader: &mut Reader<'_>) -> Result<Vec<BlockHash>, CodecError> {
    reader.i32()?;
    let count = reader.size()?;
    (0..count).map(|_| reader.bitcoin()).collect()
}

impl Records {
    /// Reads them all.
    pub(crate) fn load(database: &Database, network: NetworkKind) -> Result<Self, RecordError> {
        let mut records = Self::default();
        let mut merkle_locator = Vec::new();
        let mut variants: BTreeMap<Txid, Vec<Transaction>> = BTreeMap::new();
        database.for_each(|key, value| {
            let mut key = Reader::new(key);
            let kind = key.text().map_err(|source| RecordError::Corrupt {
                kind: "unnamed".to_owned(),
                source,
            })?;
            let mut value = Reader::new(value);
            let read = records.record(
                &kind,
                &mut key,
                &mut value,
                network,
                &mut merkle_locator,
                &mut variants,
            );
            read.or_else(|source| match kind.as_str() {
                // Addresses' names are no reason to keep a user from his coins.
                NAME | PURPOSE | DEST_DATA | ORDER_POS_NEXT | LOCKED_UTXO => {
                    records.tolerable.push(format!("{kind}: {source}"));
                    Ok(())
                }
                _ => Err(RecordError::Corrupt { kind, source }),
            })
        })?;
        if !merkle_locator.is_empty() {
            records.best_block = merkle_locator;
        }
        for (txid, record) in &mut records.txs {
            record.add_variants(variants.remove(txid).unwrap_or_default());
        }
        Ok(records)
    }

    fn record(
        &mut self,
        kind: &str,
        key: &mut Reader<'_>,
        value: &mut Reader<'_>,
        network: NetworkKind,
        merkle_locator: &mut Vec<BlockHash>,
        variants: &mut BTreeMap<Txid, Vec<Transaction>>,
    ) -> Result<(), CodecError> {
        match kind {
            FLAGS => self.flags = Some(value.u64()?),
            VERSION => self.has_version = value.i32()? > 0,
            BEST_BLOCK => *merkle_locator = read_locator(value)?,
            BEST_BLOCK_NO_MERKLE => self.best_block = read_locator(value)?,
            ORDER_POS_NEXT => self.order_pos_next = value.i64()?,
            NAME => self.names.push((key.text()?, value.text()?)),
            PURPOSE => self.purposes.push((key.text()?, value.text()?)),
            DEST_DATA => {
                let address = key.text()?;
                if key.text()? == USED {
                    self.used.push(address);
                }
            }
            LOCKED_UTXO => self.locked.push(OutPoint {
                txid: key.bitcoin()?,
                vout: key.u32()?,
            }),
            TX => {
                let txid: Txid = key.bitcoin()?;
                let record = TxRecord::decode(value)?;
                if record.tx.compute_txid() != txid {
                    return Err(CodecError::Invalid("transaction id"));
                }
                self.txs.push((txid, record));
            }
            WTX_VARIANT => {
                let txid: Txid = key.bitcoin()?;
                let tx: Transaction = value.bitcoin()?;
                if tx.compute_txid() != txid {
                    return Err(CodecError::Invalid("witness variant"));
                }
                variants.entry(txid).or_default().push(tx);
            }
            ACTIVE_EXTERNAL | ACTIVE_INTERNAL => {
                let slot = (key.u8()?, kind == ACTIVE_INTERNAL);
                self.active.insert(slot, read_id(value)?);
            }
            MASTER_KEY => {
                let id = key.u32()?;
                let master_key = MasterKey {
                    crypted_key: value.bytes()?.to_vec(),
                    salt: value.bytes()?.to_vec(),
                    derivation_method: value.u32()?,
                    rounds: value.u32()?,
                    other_parameters: value.bytes()?.to_vec(),
                };
                self.master_keys.insert(id, master_key);
            }
            DESCRIPTOR => {
                let read = DescriptorValue {
                    text: value.text()?,
                    creation_time: value.u64()?,
                    next_index: value.i32()?,
                    range_start: value.i32()?,
                    range_end: value.i32()?,
                };
                let id = read_id(key)?;
                self.descriptors.entry(id).or_default().value = Some(read);
            }
            DESCRIPTOR_CACHE => {
                let id = read_id(key)?;
                let position = key.u32()?;
                let xpub = read_xpub(value, network)?;
                let cache = &mut self.descriptors.entry(id).or_default().cache;
                if key.is_empty() {
                    cache.parents.insert(position, xpub);
                } else {
                    cache.derived.insert((position, key.u32()?), xpub);
                }
            }
            DESCRIPTOR_LH_CACHE => {
                let id = read_id(key)?;
                let position = key.u32()?;
                let xpub = read_xpub(value, network)?;
                let cache = &mut self.descriptors.entry(id).or_default().cache;
                cache.last_hardened.insert(position, xpub);
            }
            DESCRIPTOR_KEY => {
                let id = read_id(key)?;
                let public_key = read_public_key(key)?;
                let der = value.bytes()?;
                let checksum: [u8; 32] = value.array()?;
                let secret = private_key::decode(der)?;
                if pair_checksum(&public_key, der) != checksum || secret.public_key() != public_key
                {
                    return Err(CodecError::Invalid("private key"));
                }
                self.descriptors.entry(id).or_default().secrets.push(secret);
            }
            DESCRIPTOR_CKEY => {
                let id = read_id(key)?;
                let public_key = read_public_key(key)?;
                let crypted = value.bytes()?.to_vec();
                self.descriptors
                    .entry(id)
                    .or_default()
                    .crypted
                    .push((public_key, crypted));
            }
            kind if LEGACY.contains(&kind) => self.legacy = Some(kind.to_owned()),
            // Records of other versions are left as they are.
            _ => {}
        }
        Ok(())
    }
}

/// The double SHA-256 over both keys that guards a stored private key.
fn pair_checksum(public_key: &PublicKey, der: &[u8]) -> [u8; 32] {
    // Plain concatenation: the hash is over the raw bytes, without their lengths.
    let joined = zeroize::Zeroizing::new([public_key.to_bytes().as_slice(), der].concat());
    sha256d::Hash::hash(&joined).to_byte_array()
}

impl Batch {
    /// Marks the wallet as written by a client of this format.
    pub(crate) fn version(&mut self) {
        self.put(
            key(VERSION).done(),
            Writer::new().i32(CLIENT_VERSION).done(),
        );
    }

    pub(crate) fn flags(&mut self, flags: u64) {
        self.put(key(FLAGS).done(), Writer::new().u64(flags).done());
    }

    pub(crate) fn best_block(&mut self, locator: &[BlockHash]) {
        let empty = Writer::new().i32(LOCATOR_VERSION).size(0).done();
        // Empty, so that versions that want a merkle branch rescan.
        self.put(key(BEST_BLOCK).done(), empty);
        let full = locator.iter().fold(
            Writer::new().i32(LOCATOR_VERSION).size(locator.len()),
            |writer, hash| writer.bitcoin(hash),
        );
        self.put(key(BEST_BLOCK_NO_MERKLE).done(), full.done());
    }

    pub(crate) fn order_pos_next(&mut self, next: i64) {
        self.put(key(ORDER_POS_NEXT).done(), Writer::new().i64(next).done());
    }

    pub(crate) fn name(&mut self, address: &str, label: &str) {
        self.put(
            key(NAME).text(address).done(),
            Writer::new().text(label).done(),
        );
    }

    pub(crate) fn purpose(&mut self, address: &str, purpose: &str) {
        self.put(
            key(PURPOSE).text(address).done(),
            Writer::new().text(purpose).done(),
        );
    }

    pub(crate) fn used(&mut self, address: &str) {
        self.put(
            key(DEST_DATA).text(address).text(USED).done(),
            Writer::new().text("1").done(),
        );
    }

    pub(crate) fn tx(&mut self, txid: &Txid, record: &TxRecord) {
        for tx in record.variants() {
            let variant = key(WTX_VARIANT)
                .bitcoin(txid)
                .bitcoin(&tx.compute_wtxid())
                .done();
            self.put(variant, Writer::new().bitcoin(tx).done());
        }
        self.put(key(TX).bitcoin(txid).done(), record.encode());
    }

    pub(crate) fn erase_tx(&mut self, txid: &Txid, record: &TxRecord) {
        for tx in record.variants() {
            let wtxid = tx.compute_wtxid();
            self.erase(key(WTX_VARIANT).bitcoin(txid).bitcoin(&wtxid).done());
        }
        self.erase(key(TX).bitcoin(txid).done());
    }

    pub(crate) fn lock_coin(&mut self, outpoint: &OutPoint, locked: bool) {
        let key = key(LOCKED_UTXO)
            .bitcoin(&outpoint.txid)
            .u32(outpoint.vout)
            .done();
        if locked {
            self.put(key, vec![b'1']);
        } else {
            self.erase(key);
        }
    }

    pub(crate) fn active(&mut self, output_type: u8, internal: bool, id: Option<&DescriptorId>) {
        let kind = if internal {
            ACTIVE_INTERNAL
        } else {
            ACTIVE_EXTERNAL
        };
        let key = key(kind).u8(output_type).done();
        match id {
            Some(id) => self.put(key, id.as_byte_array().to_vec()),
            None => self.erase(key),
        }
    }

    pub(crate) fn master_key(&mut self, id: u32, master_key: &MasterKey) {
        let value = Writer::new()
            .bytes(&master_key.crypted_key)
            .bytes(&master_key.salt)
            .u32(master_key.derivation_method)
            .u32(master_key.rounds)
            .bytes(&master_key.other_parameters);
        self.put(key(MASTER_KEY).u32(id).done(), value.done());
    }

    pub(crate) fn descriptor(&mut self, id: &DescriptorId, value: &DescriptorValue) {
        let written = Writer::new()
            .text(&value.text)
            .u64(value.creation_time)
            .i32(value.next_index)
            .i32(value.range_start)
            .i32(value.range_end);
        self.put(with_id(DESCRIPTOR, id).done(), written.done());
    }

    pub(crate) fn descriptor_cache(&mut self, id: &DescriptorId, cache: &KeyCache) {
        for (position, xpub) in &cache.parents {
            self.put(
                with_id(DESCRIPTOR_CACHE, id).u32(*position).done(),
                write_xpub(xpub),
            );
        }
        for ((position, index), xpub) in &cache.derived {
            self.put(
                with_id(DESCRIPTOR_CACHE, id)
                    .u32(*position)
                    .u32(*index)
                    .done(),
                write_xpub(xpub),
            );
        }
        for (position, xpub) in &cache.last_hardened {
            self.put(
                with_id(DESCRIPTOR_LH_CACHE, id).u32(*position).done(),
                write_xpub(xpub),
            );
        }
    }

    pub(crate) fn descriptor_key(&mut self, id: &DescriptorId, secret: &Secret) {
        let public_key = secret.public_key();
        let der = private_key::encode(secret);
        let value = Writer::new()
            .bytes(&der)
            .raw(&pair_checksum(&public_key, &der));
        self.put(
            with_id(DESCRIPTOR_KEY, id)
                .bytes(&public_key.to_bytes())
                .done(),
            value.done(),
        );
    }

    /// Stores an encrypted key in the place of the plain one.
    pub(crate) fn descriptor_crypted_key(
        &mut self,
        id: &DescriptorId,
        public_key: &PublicKey,
        crypted: &[u8],
    ) {
        let public_key = public_key.to_bytes();
        self.put(
            with_id(DESCRIPTOR_CKEY, id).bytes(&public_key).done(),
            Writer::new().bytes(crypted).done(),
        );
        self.erase(with_id(DESCRIPTOR_KEY, id).bytes(&public_key).done());
    }
}
