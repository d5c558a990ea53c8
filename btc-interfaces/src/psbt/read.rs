//! From bytes to a partially signed transaction.

use super::{
    ControlBlockBytes, MusigSession, Proprietary, ProprietaryMap, Psbt, PsbtError, PsbtInput,
    PsbtOutput, PsbtVersion, TaprootKeys, Unknown,
};
use crate::descriptor::KeyOrigin;
use crate::rpc::encode::is_valid_signature_encoding;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::absolute::{LOCK_TIME_THRESHOLD, LockTime};
use bitcoin::bip32::{ChildNumber, Fingerprint};
use bitcoin::consensus::Decodable;
use bitcoin::consensus::encode::{VarInt, deserialize_partial};
use bitcoin::hashes::Hash;
use bitcoin::key::XOnlyPublicKey;
use bitcoin::secp256k1;
use bitcoin::taproot::{
    TAPROOT_CONTROL_MAX_NODE_COUNT, TAPROOT_LEAF_MASK, TapLeafHash, TapNodeHash,
};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, PublicKey, ScriptBuf, Sequence, Transaction, TxOut, Txid, Witness,
};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a compressed public key.
const KEY_SIZE: usize = 33;
const MUSIG2_NONCE_SIZE: usize = 66;

type Result<T> = std::result::Result<T, PsbtError>;

fn fail<T>(text: impl Into<String>) -> Result<T> {
    Err(PsbtError::format(text))
}

/// Reads from what is left.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else {
            return fail("SpanReader::read(): end of data");
        };
        self.0 = rest;
        Ok(taken)
    }

    fn decode<T: Decodable>(&mut self) -> Result<T> {
        let (value, used) =
            deserialize_partial(self.0).or_else(|_| fail("SpanReader::read(): end of data"))?;
        self.0 = &self.0[used..];
        Ok(value)
    }

    fn compact_size(&mut self) -> Result<u64> {
        Ok(self.decode::<VarInt>()?.0)
    }

    /// Bytes with their number before them.
    fn bytes(&mut self) -> Result<&'b [u8]> {
        let count = self.compact_size()?;
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// A script with its length before it; `None` if it is empty.
    fn script(&mut self) -> Result<Option<ScriptBuf>> {
        let script = self.bytes()?;
        Ok((!script.is_empty()).then(|| ScriptBuf::from_bytes(script.to_vec())))
    }

    /// A value that must fill the length told before it.
    fn sized<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let size = self.compact_size()?;
        let before = self.0.len();
        let value = read(self)?;
        if (before - self.0.len()) as u64 != size {
            return fail("Size of value was not the stated size");
        }
        Ok(value)
    }

    fn u32(&mut self) -> Result<u32> {
        self.sized(Self::decode)
    }

    fn hash(&mut self) -> Result<[u8; 32]> {
        self.sized(Self::decode)
    }

    fn origin(&mut self, length: u64) -> Result<KeyOrigin> {
        if length == 0 || !length.is_multiple_of(4) {
            return fail("Invalid length for HD key path");
        }
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        let (fingerprint, path) = bytes.split_at(4);
        Ok(KeyOrigin {
            fingerprint: Fingerprint::from(array(fingerprint)),
            path: path
                .chunks_exact(4)
                .map(|step| ChildNumber::from(u32::from_le_bytes(array(step))))
                .collect(),
        })
    }

    fn sized_origin(&mut self) -> Result<KeyOrigin> {
        let length = self.compact_size()?;
        self.origin(length)
    }

    /// The next record's key; `None` at the end of the map.
    fn key(&mut self, seen: &mut BTreeSet<Vec<u8>>, map: &str) -> Result<Option<Key<'b>>> {
        if self.0.is_empty() {
            let article = if map == "global" { "the" } else { "an" };
            return fail(format!(
                "Separator is missing at the end of {article} {map} map"
            ));
        }
        let whole = self.bytes()?;
        if whole.is_empty() {
            return Ok(None);
        }
        if !seen.insert(whole.to_vec()) {
            let hex = bitcoin::hex::DisplayHex::to_lower_hex_string(whole);
            return fail(format!(
                "Duplicate Key, {map} key \"{hex}\" already provided"
            ));
        }
        let mut rest = Reader(whole);
        let kind = rest.compact_size()?;
        Ok(Some(Key {
            kind,
            whole,
            data: rest.0,
        }))
    }
}

/// The key of a record.
struct Key<'b> {
    kind: u64,
    whole: &'b [u8],
    /// What follows the kind.
    data: &'b [u8],
}

impl Key<'_> {
    /// The key with its kind must have `size` bytes.
    fn expect(&self, name: &str, size: usize) -> Result<()> {
        if self.whole.len() != size {
            return fail(format!("Size of key was not {size} for the type {name}"));
        }
        Ok(())
    }

    fn proprietary(&self, value: &[u8]) -> Result<(Vec<u8>, Proprietary)> {
        let mut rest = Reader(self.data);
        let record = Proprietary {
            identifier: rest.bytes()?.to_vec(),
            subtype: rest.compact_size()?,
            value: value.to_vec(),
        };
        Ok((self.whole.to_vec(), record))
    }

    /// The public key that follows the kind, compressed or not.
    fn public_key(&self, name: &str) -> Result<PublicKey> {
        if !matches!(self.data.len(), 33 | 65) {
            return fail(format!(
                "Size of key was not the expected size for the type {name}"
            ));
        }
        PublicKey::from_slice(self.data).or_else(|_| fail("Invalid pubkey"))
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

fn x_only(bytes: &[u8]) -> Result<XOnlyPublicKey> {
    XOnlyPublicKey::from_slice(bytes).or_else(|_| fail("Invalid pubkey"))
}

fn compressed(bytes: &[u8], text: &str) -> Result<PublicKey> {
    let key = secp256k1::PublicKey::from_slice(bytes).or_else(|_| fail(text))?;
    Ok(PublicKey::new(key))
}

/// A transaction in the form without witnesses, which may have no inputs.
fn plain_transaction(reader: &mut Reader<'_>) -> Result<Transaction> {
    Ok(Transaction {
        version: reader.decode()?,
        input: reader.decode()?,
        output: reader.decode()?,
        lock_time: reader.decode()?,
    })
}

fn read_taproot_key(
    reader: &mut Reader<'_>,
    key: &Key<'_>,
    map: &str,
    keys: &mut TaprootKeys,
) -> Result<()> {
    key.expect(&format!("{map} Taproot BIP32 Keypath"), 33)?;
    let public = x_only(key.data)?;
    let length = reader.compact_size()?;
    let before = reader.0.len();
    let mut leaves = BTreeSet::new();
    for _ in 0..reader.compact_size()? {
        leaves.insert(TapLeafHash::from_byte_array(array(reader.take(32)?)));
    }
    let used = (before - reader.0.len()) as u64;
    let Some(rest) = length.checked_sub(used) else {
        return fail(format!("{map} Taproot BIP32 keypath has an invalid length"));
    };
    keys.insert(public, (leaves, reader.origin(rest)?));
    Ok(())
}

fn read_participants(
    reader: &mut Reader<'_>,
    key: &Key<'_>,
    map: &str,
    all: &mut BTreeMap<PublicKey, Vec<PublicKey>>,
) -> Result<()> {
    key.expect(&format!("{map} MuSig2 Participants Pubkeys"), KEY_SIZE + 1)?;
    let invalid = format!("{map} musig2 aggregate pubkey is invalid");
    let aggregate = compressed(key.data, &invalid)?;
    let invalid = format!("{map} musig2 participant pubkey is invalid");
    let value = reader.bytes()?;
    let chunks = value.chunks_exact(KEY_SIZE);
    let complete = chunks.remainder().is_empty();
    let participants = chunks
        .map(|bytes| compressed(bytes, &invalid))
        .collect::<Result<_>>()?;
    if !complete {
        return fail(format!(
            "{map} musig2 participants pubkeys value size is not a multiple of 33"
        ));
    }
    all.insert(aggregate, participants);
    Ok(())
}

/// The participant and the session that a MuSig2 record is of.
fn musig_record(key: &Key<'_>, what: &str) -> Result<(PublicKey, MusigSession)> {
    let leaf = match key.data.len() {
        66 => None,
        98 => Some(TapLeafHash::from_byte_array(array(&key.data[66..]))),
        _ => {
            return fail(format!(
                "Input musig2 {what} key is not expected size of 67 or 99 bytes"
            ));
        }
    };
    let aggregate = compressed(&key.data[33..66], "musig2 aggregate pubkey is invalid")?;
    let participant = compressed(&key.data[..33], "musig2 participant pubkey is invalid")?;
    Ok((participant, (aggregate, leaf)))
}

fn schnorr_signature(reader: &mut Reader<'_>, path: &str) -> Result<Vec<u8>> {
    let signature = reader.bytes()?;
    match signature.len() {
        0..64 => fail(format!(
            "Input Taproot {path} path signature is shorter than 64 bytes"
        )),
        64 | 65 => Ok(signature.to_vec()),
        _ => fail(format!(
            "Input Taproot {path} path signature is longer than 65 bytes"
        )),
    }
}

/// What the map of the whole tells that is not kept as it is.
#[derive(Default)]
struct Header {
    tx: Option<Transaction>,
    number: u32,
    inputs: u64,
    outputs: u64,
    found: BTreeSet<u64>,
}

impl Psbt {
    /// From text.
    pub fn from_base64(text: &str) -> Result<Self> {
        let bytes = STANDARD.decode(text).map_err(|_| PsbtError::Base64)?;
        Self::from_bytes(&bytes)
    }

    /// From bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader(bytes);
        if reader.take(5)? != b"psbt\xff" {
            return fail("Invalid PSBT magic bytes");
        }
        let (mut psbt, header) = read_global(&mut reader)?;
        for index in 0..header.inputs {
            if reader.0.is_empty() {
                return fail("Inputs provided does not match the number of inputs in transaction.");
            }
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            let told = header.tx.as_ref().and_then(|tx| tx.input.get(index));
            let outpoint = told.map_or(OutPoint::null(), |input| input.previous_output);
            let mut input = PsbtInput::new(outpoint, told.map(|input| input.sequence));
            input.read(&mut reader, psbt.version)?;
            if let Some(tx) = &input.non_witness_utxo {
                if tx.compute_txid() != input.previous_output.txid {
                    return fail("Non-witness UTXO does not match outpoint hash");
                }
                if input.previous_output.vout as usize >= tx.output.len() {
                    return fail("Input specifies output index that does not exist");
                }
            }
            psbt.inputs.push(input);
        }
        for index in 0..header.outputs {
            if reader.0.is_empty() {
                return fail(
                    "Outputs provided does not match the number of outputs in transaction.",
                );
            }
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            let told = header.tx.as_ref().and_then(|tx| tx.output.get(index));
            let mut output = PsbtOutput::new(told.cloned().unwrap_or(TxOut {
                value: Amount::ZERO,
                script_pubkey: ScriptBuf::new(),
            }));
            output.read(&mut reader, psbt.version)?;
            psbt.outputs.push(output);
        }
        if !reader.0.is_empty() {
            return Err(PsbtError::ExtraData);
        }
        Ok(psbt)
    }
}

fn read_global(reader: &mut Reader<'_>) -> Result<(Psbt, Header)> {
    let blank = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: Vec::new(),
        output: Vec::new(),
    };
    let mut psbt = Psbt::from_unsigned(&blank, PsbtVersion::Zero);
    psbt.fallback_lock_time = None;
    let mut header = Header::default();
    let mut seen = BTreeSet::new();
    while let Some(key) = reader.key(&mut seen, "global")? {
        header.found.insert(key.kind);
        match key.kind {
            0x00 => {
                key.expect("Global Unsigned TX", 1)?;
                let tx = reader.sized(plain_transaction)?;
                if tx.input.iter().any(|input| !input.script_sig.is_empty()) {
                    return fail("Unsigned tx does not have empty scriptSigs and scriptWitnesses.");
                }
                psbt.tx_version = tx.version;
                psbt.fallback_lock_time = Some(tx.lock_time);
                header.inputs = tx.input.len() as u64;
                header.outputs = tx.output.len() as u64;
                header.tx = Some(tx);
            }
            0x01 => {
                key.expect("Global XPUB", 79)?;
                if secp256k1::PublicKey::from_slice(&key.data[45..]).is_err() {
                    return fail("Invalid pubkey");
                }
                psbt.xpubs.insert((reader.sized_origin()?, array(key.data)));
            }
            0x02 => {
                key.expect("Global Transaction Version", 1)?;
                psbt.tx_version = Version(reader.u32()?.cast_signed());
            }
            0x03 => {
                key.expect("Global Fallback Locktime", 1)?;
                psbt.fallback_lock_time = Some(LockTime::from_consensus(reader.u32()?));
            }
            0x04 => {
                key.expect("Global Input Count", 1)?;
                header.inputs = reader.sized(Reader::compact_size)?;
            }
            0x05 => {
                key.expect("Global Output Count", 1)?;
                header.outputs = reader.sized(Reader::compact_size)?;
            }
            0x06 => {
                key.expect("Global TX Modifiable Flags", 1)?;
                psbt.modifiable = Some(reader.sized(Reader::decode)?);
            }
            0xfb => {
                key.expect("Global PSBT Version", 1)?;
                header.number = reader.u32()?;
                if header.number > PsbtVersion::Two.number() {
                    return fail("Unsupported version number");
                }
            }
            _ => read_other(reader, &key, &mut psbt.proprietary, &mut psbt.unknown)?,
        }
    }
    psbt.version = header.version()?;
    Ok((psbt, header))
}

impl Header {
    /// The version, if the map has what it needs and nothing that it must not have.
    fn version(&self) -> Result<PsbtVersion> {
        const FIELDS: [(u64, &str); 5] = [
            (0x02, "PSBT_GLOBAL_TX_VERSION"),
            (0x03, "PSBT_GLOBAL_FALLBACK_LOCKTIME"),
            (0x04, "PSBT_GLOBAL_INPUT_COUNT"),
            (0x05, "PSBT_GLOBAL_OUTPUT_COUNT"),
            (0x06, "PSBT_GLOBAL_TX_MODIFIABLE"),
        ];
        let Some(version) = PsbtVersion::from_number(self.number) else {
            return fail("There is no PSBT version 1");
        };
        match version {
            PsbtVersion::Zero => {
                if self.tx.is_none() {
                    return fail("No unsigned transaction was provided");
                }
                for (kind, name) in FIELDS {
                    if self.found.contains(&kind) {
                        return fail(format!("{name} is not allowed in PSBTv0"));
                    }
                }
            }
            PsbtVersion::Two => {
                for (kind, name) in FIELDS {
                    if matches!(kind, 0x02 | 0x04 | 0x05) && !self.found.contains(&kind) {
                        return fail(format!("{name} is required in PSBTv2"));
                    }
                }
                if self.tx.is_some() {
                    return fail("PSBT_GLOBAL_UNSIGNED_TX is not allowed in PSBTv2");
                }
            }
        }
        Ok(version)
    }
}

/// A record that no field is for: a program's own, or one that nobody knows.
fn read_other(
    reader: &mut Reader<'_>,
    key: &Key<'_>,
    proprietary: &mut ProprietaryMap,
    unknown: &mut Unknown,
) -> Result<()> {
    let value = reader.bytes()?;
    if key.kind == 0xfc {
        let (key, record) = key.proprietary(value)?;
        proprietary.insert(key, record);
    } else {
        unknown.insert(key.whole.to_vec(), value.to_vec());
    }
    Ok(())
}

/// Fields that only version 2 has.
fn needs_version_2(version: PsbtVersion, what: &str) -> Result<()> {
    match version {
        PsbtVersion::Zero => fail(format!("{what} is not allowed in PSBTv0")),
        PsbtVersion::Two => Ok(()),
    }
}

impl PsbtInput {
    fn read(&mut self, reader: &mut Reader<'_>, version: PsbtVersion) -> Result<()> {
        let mut seen = BTreeSet::new();
        while let Some(key) = reader.key(&mut seen, "input")? {
            match key.kind {
                0x00..=0x08 => self.read_script_field(reader, &key)?,
                0x0a..=0x0d => self.read_preimage(reader, &key)?,
                0x0e..=0x12 => self.read_transaction_field(reader, &key, version)?,
                0x13..=0x18 => self.read_taproot_field(reader, &key)?,
                0x1a..=0x1c => self.read_musig_field(reader, &key)?,
                _ => read_other(reader, &key, &mut self.proprietary, &mut self.unknown)?,
            }
        }
        if version == PsbtVersion::Two {
            if !seen.contains(&[0x0e][..]) {
                return fail("Previous TXID is required in PSBTv2");
            }
            if !seen.contains(&[0x0f][..]) {
                return fail("Previous output's index is required in PSBTv2");
            }
        }
        Ok(())
    }

    fn read_script_field(&mut self, reader: &mut Reader<'_>, key: &Key<'_>) -> Result<()> {
        match key.kind {
            0x00 => {
                key.expect("Input Non-witness UTXO", 1)?;
                self.non_witness_utxo = Some(reader.sized(Reader::decode)?);
            }
            0x01 => {
                key.expect("Input Witness UTXO", 1)?;
                let output: TxOut = reader.sized(Reader::decode)?;
                // An amount of -1 stands for no output.
                self.witness_utxo = (output.value.to_sat() != u64::MAX).then_some(output);
            }
            0x02 => {
                let public = key.public_key("partial signature pubkey")?;
                let signature = reader.bytes()?;
                if !is_valid_signature_encoding(signature) {
                    return fail("Signature is not a valid encoding");
                }
                self.partial_signatures
                    .insert(public.pubkey_hash(), (public, signature.to_vec()));
            }
            0x03 => {
                key.expect("Input Sighash Type", 1)?;
                self.sighash_type = Some(reader.u32()?);
            }
            0x04 => {
                key.expect("Input redeemScript", 1)?;
                self.redeem_script = reader.script()?;
            }
            0x05 => {
                key.expect("Input witnessScript", 1)?;
                self.witness_script = reader.script()?;
            }
            0x06 => {
                let public = key.public_key("BIP32 keypath")?;
                self.keys.insert(public, reader.sized_origin()?);
            }
            0x07 => {
                key.expect("Input Final scriptSig", 1)?;
                self.final_script_sig = reader.script()?;
            }
            _ => {
                key.expect("Input Final scriptWitness", 1)?;
                let witness: Witness = reader.sized(Reader::decode)?;
                self.final_script_witness = (!witness.is_empty()).then_some(witness);
            }
        }
        Ok(())
    }

    fn read_preimage(&mut self, reader: &mut Reader<'_>, key: &Key<'_>) -> Result<()> {
        let (name, size) = match key.kind {
            0x0a => ("RIPEMD160", 21),
            0x0b => ("SHA256", 33),
            0x0c => ("Hash160", 21),
            _ => ("Hash256", 33),
        };
        key.expect(&format!("Input {name} Preimage"), size)?;
        let preimage = reader.bytes()?.to_vec();
        match key.kind {
            0x0a => {
                let hash = bitcoin::hashes::ripemd160::Hash::from_byte_array(array(key.data));
                self.ripemd160_preimages.insert(hash, preimage);
            }
            0x0b => {
                let hash = bitcoin::hashes::sha256::Hash::from_byte_array(array(key.data));
                self.sha256_preimages.insert(hash, preimage);
            }
            0x0c => {
                let hash = bitcoin::hashes::hash160::Hash::from_byte_array(array(key.data));
                self.hash160_preimages.insert(hash, preimage);
            }
            _ => {
                let hash = bitcoin::hashes::sha256d::Hash::from_byte_array(array(key.data));
                self.hash256_preimages.insert(hash, preimage);
            }
        }
        Ok(())
    }

    fn read_transaction_field(
        &mut self,
        reader: &mut Reader<'_>,
        key: &Key<'_>,
        version: PsbtVersion,
    ) -> Result<()> {
        match key.kind {
            0x0e => {
                key.expect("Input Previous TXID", 1)?;
                needs_version_2(version, "Previous txid")?;
                self.previous_output.txid = Txid::from_byte_array(reader.hash()?);
            }
            0x0f => {
                key.expect("Input Previous Output's Index", 1)?;
                needs_version_2(version, "Previous output's index")?;
                self.previous_output.vout = reader.u32()?;
            }
            0x10 => {
                key.expect("Input Sequence", 1)?;
                needs_version_2(version, "Sequence")?;
                self.sequence = Some(Sequence(reader.u32()?));
            }
            0x11 => {
                key.expect("Input Required Time Based Locktime", 1)?;
                needs_version_2(version, "Required time based locktime")?;
                let time = reader.u32()?;
                if time < LOCK_TIME_THRESHOLD {
                    return fail("Required time based locktime is invalid (less than 500000000)");
                }
                self.time_lock_time = Some(time);
            }
            _ => {
                key.expect("Input Required Height Based Locktime", 1)?;
                needs_version_2(version, "Required height based locktime")?;
                let height = reader.u32()?;
                if height >= LOCK_TIME_THRESHOLD {
                    return fail(
                        "Required height based locktime is invalid (greater than or equal to 500000000)",
                    );
                }
                if height == 0 {
                    return fail("Required height based locktime is invalid (0)");
                }
                self.height_lock_time = Some(height);
            }
        }
        Ok(())
    }

    fn read_taproot_field(&mut self, reader: &mut Reader<'_>, key: &Key<'_>) -> Result<()> {
        match key.kind {
            0x13 => {
                key.expect("Input Taproot Key Path Signature", 1)?;
                self.tap_key_signature = Some(schnorr_signature(reader, "key")?);
            }
            0x14 => {
                key.expect("Input Taproot Script Path Signature", 65)?;
                let public = x_only(&key.data[..32])?;
                let leaf = TapLeafHash::from_byte_array(array(&key.data[32..]));
                let signature = schnorr_signature(reader, "script")?;
                self.tap_script_signatures.insert((public, leaf), signature);
            }
            0x15 => {
                if key.whole.len() < 34 {
                    return fail("Input Taproot leaf script key is not at least 34 bytes");
                }
                if !(key.whole.len() - 2).is_multiple_of(32) {
                    return fail("Input Taproot leaf script key's control block size is not valid");
                }
                let Some((version, script)) = reader.bytes()?.split_last() else {
                    return fail("Input Taproot leaf script must be at least 1 byte");
                };
                let leaf = (ScriptBuf::from_bytes(script.to_vec()), *version);
                let block = ControlBlockBytes(key.data.to_vec());
                self.tap_scripts.entry(leaf).or_default().insert(block);
            }
            0x16 => read_taproot_key(reader, key, "Input", &mut self.tap_keys)?,
            0x17 => {
                key.expect("Input Taproot Internal Key", 1)?;
                self.tap_internal_key = Some(x_only(&reader.hash()?)?);
            }
            _ => {
                key.expect("Input Taproot Merkle Root", 1)?;
                let root = reader.hash()?;
                self.tap_merkle_root =
                    (root != [0; 32]).then(|| TapNodeHash::from_byte_array(root));
            }
        }
        Ok(())
    }

    fn read_musig_field(&mut self, reader: &mut Reader<'_>, key: &Key<'_>) -> Result<()> {
        match key.kind {
            0x1a => read_participants(reader, key, "Input", &mut self.musig2_participants),
            0x1b => {
                let (participant, session) = musig_record(key, "pubnonce")?;
                let nonce = reader.bytes()?;
                if nonce.len() != MUSIG2_NONCE_SIZE {
                    return fail("Input musig2 pubnonce value is not 66 bytes");
                }
                let nonces = self.musig2_nonces.entry(session).or_default();
                nonces.insert(participant, nonce.to_vec());
                Ok(())
            }
            _ => {
                let (participant, session) = musig_record(key, "partial sig")?;
                let signature = reader.hash()?;
                let signatures = self.musig2_signatures.entry(session).or_default();
                signatures.insert(participant, signature);
                Ok(())
            }
        }
    }
}

impl PsbtOutput {
    fn read(&mut self, reader: &mut Reader<'_>, version: PsbtVersion) -> Result<()> {
        let mut seen = BTreeSet::new();
        while let Some(key) = reader.key(&mut seen, "output")? {
            match key.kind {
                0x00 => {
                    key.expect("Output redeemScript", 1)?;
                    self.redeem_script = reader.script()?;
                }
                0x01 => {
                    key.expect("Output witnessScript", 1)?;
                    self.witness_script = reader.script()?;
                }
                0x02 => {
                    let public = key.public_key("BIP32 keypath")?;
                    self.keys.insert(public, reader.sized_origin()?);
                }
                0x03 => {
                    key.expect("Output Amount", 1)?;
                    needs_version_2(version, "Output amount")?;
                    self.amount = reader.sized(Reader::decode)?;
                }
                0x04 => {
                    key.expect("Output Script", 1)?;
                    needs_version_2(version, "Output script")?;
                    self.script = reader.script()?.unwrap_or_default();
                }
                0x05 => {
                    key.expect("Output Taproot Internal Key", 1)?;
                    self.tap_internal_key = Some(x_only(&reader.hash()?)?);
                }
                0x06 => {
                    key.expect("Output Taproot Tree Key", 1)?;
                    self.tap_tree = read_tree(reader.bytes()?)?;
                }
                0x07 => read_taproot_key(reader, &key, "Output", &mut self.tap_keys)?,
                0x08 => {
                    read_participants(reader, &key, "Output", &mut self.musig2_participants)?;
                }
                _ => read_other(reader, &key, &mut self.proprietary, &mut self.unknown)?,
            }
        }
        if version == PsbtVersion::Two {
            if !seen.contains(&[0x03][..]) {
                return fail("Output amount is required in PSBTv2");
            }
            if !seen.contains(&[0x04][..]) {
                return fail("Output script is required in PSBTv2");
            }
        }
        Ok(())
    }
}

fn read_tree(bytes: &[u8]) -> Result<Vec<(u8, u8, ScriptBuf)>> {
    if bytes.is_empty() {
        return fail("Output Taproot tree must not be empty");
    }
    let mut reader = Reader(bytes);
    let mut leaves = Vec::new();
    while !reader.0.is_empty() {
        let depth: u8 = reader.decode()?;
        let version: u8 = reader.decode()?;
        let script = reader.script()?.unwrap_or_default();
        if usize::from(depth) > TAPROOT_CONTROL_MAX_NODE_COUNT {
            return fail("Output Taproot tree has as leaf greater than Taproot maximum depth");
        }
        if version & !TAPROOT_LEAF_MASK != 0 {
            return fail("Output Taproot tree has a leaf with an invalid leaf version");
        }
        leaves.push((depth, version, script));
    }
    if !is_complete_tree(leaves.iter().map(|(depth, ..)| *depth)) {
        return fail("Output Taproot tree is malformed");
    }
    Ok(leaves)
}

/// Whether leaves of these depths, depth first, make up one whole tree.
fn is_complete_tree(depths: impl Iterator<Item = u8>) -> bool {
    // Depths of subtrees that wait for their right neighbours, each deeper than the one before.
    let mut waiting: Vec<u8> = Vec::new();
    let mut complete = false;
    for mut depth in depths {
        if complete || waiting.last().is_some_and(|last| *last > depth) {
            return false;
        }
        while waiting.last() == Some(&depth) {
            waiting.pop();
            depth -= 1;
        }
        if depth == 0 {
            complete = true;
        } else {
            waiting.push(depth);
        }
    }
    complete && waiting.is_empty()
}
