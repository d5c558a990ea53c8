//! `mempool.dat`: the transactions that wait, kept over a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bitcoin::consensus::encode::deserialize_partial;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Txid};

use super::codec::{DecodeError, Reader, write_compact_size};
use super::data_dir::{read_file, replace_file_on};
use super::disk::Disk;
use super::error::StoreError;
use super::obfuscation::{KEY_SIZE, Obfuscation};

/// Version without obfuscation.
const VERSION_PLAIN: u64 = 1;
/// Version with an obfuscation key in front.
const VERSION: u64 = 2;
/// Largest file that is read, far above what a mempool of the default size makes.
const MAX_FILE: u64 = 4 << 30;

/// One waiting transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MempoolRecord {
    /// The transaction, with witness.
    pub transaction: Transaction,
    /// When it entered the mempool, in seconds since 1970.
    pub time: i64,
    /// What `prioritisetransaction` added to its fee, in satoshis.
    pub fee_delta: i64,
}

/// The file's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MempoolDump {
    /// The transactions; each comes after those that it spends from.
    pub transactions: Vec<MempoolRecord>,
    /// Fee deltas in satoshis of transactions that are not in the mempool.
    pub deltas: BTreeMap<Txid, i64>,
    /// Transactions that no peer has asked for yet.
    pub unbroadcast: BTreeSet<Txid>,
}

/// A file as far as it could be read.
#[derive(Debug)]
pub struct Reading {
    /// What was found.
    pub dump: MempoolDump,
    /// Why there is no more.
    pub failure: Option<StoreError>,
}

/// Reads the file, as far as it is good.
///
/// # Errors
/// It cannot be opened ([`StoreError::Io`]) or read, its beginning is cut short, or it has another version. Core goes on
/// without it then, and so may the caller.
pub fn read(path: &Path) -> Result<Reading, StoreError> {
    decode(&mut read_file(path, MAX_FILE)?)
}

/// Writes the file so that a crash leaves the old or the new one. `plain` writes version 1 (`-persistmempoolv1`).
///
/// # Errors
/// The disk's; the file that was there is then still there.
pub fn write(path: &Path, dump: &MempoolDump, plain: bool) -> Result<(), StoreError> {
    write_on(&Disk::default(), path, dump, plain)
}

/// As [`write()`], on a disk with a gate.
///
/// # Errors
/// As [`write()`].
pub fn write_on(
    disk: &Disk,
    path: &Path,
    dump: &MempoolDump,
    plain: bool,
) -> Result<(), StoreError> {
    let obfuscation = (!plain).then(Obfuscation::random);
    replace_file_on(disk, path, &encode(dump, obfuscation))
}

/// Core's text for a file that ends too early, whatever was to come.
fn failure(error: DecodeError) -> StoreError {
    match error {
        DecodeError::End => StoreError::EndOfFile,
        other => StoreError::corrupt("mempool.dat", other),
    }
}

fn decode(bytes: &mut [u8]) -> Result<Reading, StoreError> {
    let mut reader = Reader::new(bytes);
    let start = match reader.u64_le().map_err(failure)? {
        VERSION_PLAIN => 8,
        VERSION => {
            let size = reader.compact_size().map_err(failure)?;
            let key: [u8; KEY_SIZE] = reader.array().map_err(failure)?;
            if size != KEY_SIZE {
                return Err(StoreError::corrupt(
                    "mempool.dat",
                    "obfuscation key size should be exactly 8 bytes long",
                ));
            }
            let start = 9 + KEY_SIZE;
            // The key's phase counts from the start of the file.
            Obfuscation::new(key).apply(&mut bytes[start..], start as u64);
            start
        }
        other => {
            return Err(StoreError::corrupt(
                "mempool.dat",
                format!("version {other} is not known"),
            ));
        }
    };
    let mut dump = MempoolDump::default();
    let parsed = parse(&bytes[start..], &mut dump);
    Ok(Reading {
        dump,
        failure: parsed.err().map(failure),
    })
}

/// Adds what the bytes hold, up to the first that make no sense.
fn parse(bytes: &[u8], dump: &mut MempoolDump) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes);
    for _ in 0..reader.u64_le()? {
        let (transaction, used) =
            deserialize_partial::<Transaction>(reader.rest()).map_err(|_| DecodeError::End)?;
        reader.take(used)?;
        let time = reader.u64_le()? as i64;
        let fee_delta = reader.u64_le()? as i64;
        dump.transactions.push(MempoolRecord {
            transaction,
            time,
            fee_delta,
        });
    }
    for _ in 0..reader.compact_size()? {
        let txid = Txid::from_byte_array(reader.array()?);
        dump.deltas.insert(txid, reader.u64_le()? as i64);
    }
    for _ in 0..reader.compact_size()? {
        dump.unbroadcast
            .insert(Txid::from_byte_array(reader.array()?));
    }
    Ok(())
}

fn encode(dump: &MempoolDump, obfuscation: Option<Obfuscation>) -> Vec<u8> {
    let mut out = Vec::new();
    match obfuscation {
        None => out.extend_from_slice(&VERSION_PLAIN.to_le_bytes()),
        Some(obfuscation) => {
            out.extend_from_slice(&VERSION.to_le_bytes());
            write_compact_size(&mut out, KEY_SIZE as u64);
            out.extend_from_slice(&obfuscation.key());
        }
    }
    let start = out.len();
    out.extend_from_slice(&(dump.transactions.len() as u64).to_le_bytes());
    for record in &dump.transactions {
        out.extend_from_slice(&serialize(&record.transaction));
        out.extend_from_slice(&record.time.to_le_bytes());
        out.extend_from_slice(&record.fee_delta.to_le_bytes());
    }
    write_compact_size(&mut out, dump.deltas.len() as u64);
    for (txid, delta) in &dump.deltas {
        out.extend_from_slice(txid.as_byte_array());
        out.extend_from_slice(&delta.to_le_bytes());
    }
    write_compact_size(&mut out, dump.unbroadcast.len() as u64);
    for txid in &dump.unbroadcast {
        out.extend_from_slice(txid.as_byte_array());
    }
    if let Some(obfuscation) = obfuscation {
        obfuscation.apply(&mut out[start..], start as u64);
    }
    out
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::constants::genesis_block;

    use super::*;

    fn dump() -> MempoolDump {
        let transaction = genesis_block(Network::Bitcoin).txdata.remove(0);
        let txid = transaction.compute_txid();
        MempoolDump {
            transactions: vec![MempoolRecord {
                transaction,
                time: 1_700_000_000,
                fee_delta: -5,
            }],
            deltas: [(txid, 1000)].into(),
            unbroadcast: [txid].into(),
        }
    }

    #[test]
    fn both_versions_round_trip() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("mempool.dat");
        let missing = read(&path).expect_err("nothing is there");
        assert!(matches!(missing, StoreError::Io { .. }), "{missing}");
        for plain in [false, true] {
            write(&path, &dump(), plain).expect("writes");
            let reading = read(&path).expect("reads");
            assert!(reading.failure.is_none());
            assert_eq!(reading.dump, dump());
        }
    }

    #[test]
    fn of_a_file_cut_short_there_is_what_came_before_and_an_error() {
        let mut two = dump();
        two.transactions.push(two.transactions[0].clone());
        let whole = encode(&two, Some(Obfuscation::new([1; 8])));
        let mut found = 0;
        for len in 0..whole.len() {
            let error = match decode(&mut whole[..len].to_vec()) {
                Err(error) => error,
                Ok(reading) => {
                    assert!(reading.dump.transactions.len() >= found, "cut at {len}");
                    found = reading.dump.transactions.len();
                    reading.failure.expect("it was cut")
                }
            };
            assert_eq!(
                error.to_string(),
                "AutoFile::read: end of file: iostream error",
                "cut at {len}"
            );
        }
        assert_eq!(found, 2);
    }

    #[test]
    fn another_version_is_refused() {
        let error = decode(&mut 3_u64.to_le_bytes().to_vec()).expect_err("unknown version");
        assert_eq!(
            error.to_string(),
            "corrupt mempool.dat: version 3 is not known"
        );
    }
}
