//! The block index database, `blocks/index`: every header known, where its block lies, how far it was checked.

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, CompactTarget, TxMerkleNode};

use super::block_files::FileInfo;
use super::codec::{DecodeError, Reader, write_compact_size, write_varint};
use super::error::StoreError;
use super::kv::{Batch, KvStore, Sync};
use crate::chain::record::{IndexRecord, status};

const BLOCK: u8 = b'b';
const FILE: u8 = b'f';
const FLAG: u8 = b'F';
const LAST_FILE: u8 = b'l';
const REINDEX: u8 = b'R';
/// The named mark of a directory from which block files were deleted.
pub const PRUNED_FLAG: &str = "prunedblockfiles";
/// The version number that Core writes at the start of each record and never reads.
const RECORD_VERSION: u64 = 259_900;

/// The bytes of a header's record.
pub fn encode_record(record: &IndexRecord) -> Vec<u8> {
    let mut out = Vec::with_capacity(100);
    write_varint(&mut out, RECORD_VERSION);
    write_varint(&mut out, record.height.into());
    write_varint(&mut out, record.status.into());
    write_varint(&mut out, record.n_tx.into());
    if record.status & (status::HAVE_DATA | status::HAVE_UNDO) != 0 {
        write_varint(&mut out, record.file.into());
    }
    if record.status & status::HAVE_DATA != 0 {
        write_varint(&mut out, record.data_pos.into());
    }
    if record.status & status::HAVE_UNDO != 0 {
        write_varint(&mut out, record.undo_pos.into());
    }
    let header = &record.header;
    out.extend_from_slice(&header.version.to_consensus().to_le_bytes());
    out.extend_from_slice(header.prev_blockhash.as_byte_array());
    out.extend_from_slice(header.merkle_root.as_byte_array());
    out.extend_from_slice(&header.time.to_le_bytes());
    out.extend_from_slice(&header.bits.to_consensus().to_le_bytes());
    out.extend_from_slice(&header.nonce.to_le_bytes());
    out
}

/// Reads a header's record.
pub fn decode_record(bytes: &[u8]) -> Result<IndexRecord, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.varint_i31()?;
    let height = reader.varint_i31()?;
    let status = reader.varint_u32()?;
    let n_tx = reader.varint_u32()?;
    let mut field = |bits: u32| {
        if status & bits != 0 {
            reader.varint_u32()
        } else {
            Ok(0)
        }
    };
    let file = field(status::HAVE_DATA | status::HAVE_UNDO)?;
    let data_pos = field(status::HAVE_DATA)?;
    let undo_pos = field(status::HAVE_UNDO)?;
    let header = Header {
        version: Version::from_consensus(i32::from_le_bytes(reader.array()?)),
        prev_blockhash: BlockHash::from_byte_array(reader.array()?),
        merkle_root: TxMerkleNode::from_byte_array(reader.array()?),
        time: reader.u32_le()?,
        bits: CompactTarget::from_consensus(reader.u32_le()?),
        nonce: reader.u32_le()?,
    };
    Ok(IndexRecord {
        height,
        status,
        n_tx,
        file,
        data_pos,
        undo_pos,
        header,
    })
}

/// The database of headers and files.
pub struct IndexDb {
    db: Box<dyn KvStore>,
}

impl IndexDb {
    /// Over an open store. Its values are not obfuscated.
    pub fn new(db: Box<dyn KvStore>) -> Self {
        Self { db }
    }

    /// All records, in the order of their hashes' bytes.
    pub fn records(
        &self,
    ) -> Result<impl Iterator<Item = Result<(BlockHash, IndexRecord), StoreError>> + '_, StoreError>
    {
        let entries = self.db.iter_from(&[BLOCK])?;
        Ok(entries.map_while(|entry| {
            let (key, value) = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error.into())),
            };
            let (&BLOCK, hash) = key.split_first()? else {
                return None;
            };
            Some(decode_entry(hash, &value))
        }))
    }

    /// The books about each file, up to the last.
    pub fn file_infos(&self) -> Result<Vec<FileInfo>, StoreError> {
        let mut infos = Vec::new();
        /// More files than fit on any disk: a larger number is damage, not to be counted up to.
        const MOST_FILES: u32 = 1_000_000;
        let last = match self.db.get(&[LAST_FILE])? {
            Some(value) => Reader::new(&value)
                .u32_le()
                .map_err(StoreError::decode("last block file"))?,
            None => 0,
        };
        if last > MOST_FILES {
            let reason = format!("file number {last} is beyond reason");
            return Err(StoreError::corrupt("last block file", reason));
        }
        loop {
            let file = infos.len() as u32;
            match self.db.get(&file_key(file))? {
                Some(value) => infos
                    .push(FileInfo::decode(&value).map_err(StoreError::decode("block file info"))?),
                // Files up to the last one were all in use once; a missing record means an empty file.
                None if file <= last => infos.push(FileInfo::default()),
                None => return Ok(infos),
            }
        }
    }

    /// Writes what changed, durably and at once.
    pub fn write(
        &self,
        files: &[(u32, FileInfo)],
        last_file: u32,
        records: impl Iterator<Item = (BlockHash, IndexRecord)>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for (file, info) in files {
            batch.put(file_key(*file), info.encode());
        }
        batch.put([LAST_FILE], last_file.to_le_bytes());
        for (hash, record) in records {
            let mut key = vec![BLOCK];
            key.extend_from_slice(hash.as_byte_array());
            batch.put(key, encode_record(&record));
        }
        Ok(self.db.write(&batch, Sync::Durable)?)
    }

    /// Whether a reindex was begun and not finished.
    pub fn reindexing(&self) -> Result<bool, StoreError> {
        Ok(self.db.contains(&[REINDEX])?)
    }

    /// Remembers that a reindex is under way, or that it is done.
    pub fn set_reindexing(&self, on: bool) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        if on {
            batch.put([REINDEX], [b'1']);
        } else {
            batch.delete([REINDEX]);
        }
        Ok(self.db.write(&batch, Sync::Lazy)?)
    }

    /// A named mark, such as `prunedblockfiles`; false if it was never set.
    pub fn flag(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.db.get(&flag_key(name))?.as_deref() == Some(b"1"))
    }

    /// Sets a named mark.
    pub fn set_flag(&self, name: &str, on: bool) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(flag_key(name), [if on { b'1' } else { b'0' }]);
        Ok(self.db.write(&batch, Sync::Lazy)?)
    }
}

fn decode_entry(hash: &[u8], value: &[u8]) -> Result<(BlockHash, IndexRecord), StoreError> {
    let hash = BlockHash::from_slice(hash)
        .map_err(|error| StoreError::corrupt("block index key", error))?;
    let record = decode_record(value).map_err(StoreError::decode("block index record"))?;
    if record.header.block_hash() != hash {
        return Err(StoreError::corrupt(
            "block index record",
            format!("header does not hash to {hash}"),
        ));
    }
    Ok((hash, record))
}

fn file_key(file: u32) -> Vec<u8> {
    let mut key = vec![FILE];
    key.extend_from_slice(&file.to_le_bytes());
    key
}

fn flag_key(name: &str) -> Vec<u8> {
    let mut key = vec![FLAG];
    write_compact_size(&mut key, name.len() as u64);
    key.extend_from_slice(name.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::constants::genesis_block;
    use proptest::prelude::*;

    use super::*;
    use crate::store::kv::MemoryKv;

    proptest! {
        #[test]
        fn records_round_trip(
            height in 0..1_u32 << 31, status: u32, n_tx: u32, file: u32, data_pos: u32, undo_pos: u32,
        ) {
            let header = genesis_block(Network::Bitcoin).header;
            let data = status & status::HAVE_DATA != 0;
            let undo = status & status::HAVE_UNDO != 0;
            let record = IndexRecord {
                height,
                status,
                n_tx,
                file: if data || undo { file } else { 0 },
                data_pos: if data { data_pos } else { 0 },
                undo_pos: if undo { undo_pos } else { 0 },
                header,
            };
            prop_assert_eq!(decode_record(&encode_record(&record)), Ok(record));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..150)) {
            let _ = decode_record(&bytes);
            let _ = FileInfo::decode(&bytes);
        }
    }

    #[test]
    fn records_files_and_marks_are_kept() {
        let db = IndexDb::new(Box::new(MemoryKv::new()));
        let header = genesis_block(Network::Regtest).header;
        let record = IndexRecord {
            height: 0,
            status: status::HAVE_DATA | status::VALID_TRANSACTIONS,
            n_tx: 1,
            file: 0,
            data_pos: 8,
            undo_pos: 0,
            header,
        };
        let info = FileInfo {
            blocks: 1,
            size: 293,
            ..FileInfo::default()
        };
        db.write(
            &[(0, info)],
            1,
            std::iter::once((header.block_hash(), record)),
        )
        .expect("writes");
        let records: Vec<_> = db
            .records()
            .expect("reads")
            .map(|record| record.expect("decodes"))
            .collect();
        assert_eq!(records, [(header.block_hash(), record)]);
        assert_eq!(db.file_infos().expect("reads"), [info, FileInfo::default()]);
        assert!(!db.reindexing().expect("reads"));
        db.set_reindexing(true).expect("writes");
        assert!(db.reindexing().expect("reads"));
        db.set_flag("prunedblockfiles", true).expect("writes");
        assert!(db.flag("prunedblockfiles").expect("reads"));
        assert!(!db.flag("txindex").expect("reads"));
    }
}
