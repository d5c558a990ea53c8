//! `blk?????.dat` and `rev?????.dat`: blocks in the order they came, and what it takes to undo them.
//!
//! Each record is framed by the network's magic and its length. A file is left for the next when a block would pass
//! 128 MiB; both files of a pair have the same number. All bytes are obfuscated with the key in `xor.dat`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bitcoin::BlockHash;

use super::block_reader::BlockReader;
use super::codec::{DecodeError, Reader, write_varint};
use super::data_dir::{read_file, replace_file_on, replacement};
use super::disk::Disk;
use super::error::StoreError;
use super::flat_file::FlatFiles;
use super::obfuscation::{KEY_SIZE, Obfuscation};
use super::undo::{BlockUndo, checksum};
use crate::chain::record::FilePos;

/// Bytes by which block files grow.
pub const BLOCK_CHUNK: u64 = 16 << 20;
/// Bytes by which undo files grow.
pub const UNDO_CHUNK: u64 = 1 << 20;
/// Size that a block file does not pass.
const MAX_BLOCK_FILE: u32 = 128 << 20;
/// The same under `-fastprune`.
const FAST_PRUNE_BLOCK_FILE: u32 = 64 << 10;
/// Growth under `-fastprune`.
const FAST_PRUNE_CHUNK: u64 = 16 << 10;
/// Most bytes of `xor.dat` that are read; what comes after the key means nothing.
const MAX_KEY_FILE: u64 = 1 << 10;
/// Magic and length before each record.
pub const RECORD_HEADER: u32 = 8;
/// Checksum after each undo record.
pub(super) const UNDO_CHECKSUM: u32 = 32;

/// What is in one pair of files, as the block index database keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileInfo {
    /// Number of blocks.
    pub blocks: u32,
    /// Used bytes of the block file.
    pub size: u32,
    /// Used bytes of the undo file.
    pub undo_size: u32,
    /// Lowest height of a block in it.
    pub height_first: u32,
    /// Highest height of a block in it.
    pub height_last: u32,
    /// Earliest block time in it, in seconds.
    pub time_first: u64,
    /// Latest block time in it, in seconds.
    pub time_last: u64,
}

impl FileInfo {
    fn add_block(&mut self, height: u32, time: u32) {
        let time = u64::from(time);
        if self.blocks == 0 || self.height_first > height {
            self.height_first = height;
        }
        if self.blocks == 0 || self.time_first > time {
            self.time_first = time;
        }
        self.blocks += 1;
        self.height_last = self.height_last.max(height);
        self.time_last = self.time_last.max(time);
    }

    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for field in [
            self.blocks,
            self.size,
            self.undo_size,
            self.height_first,
            self.height_last,
        ] {
            write_varint(&mut out, field.into());
        }
        write_varint(&mut out, self.time_first);
        write_varint(&mut out, self.time_last);
        out
    }

    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            blocks: reader.varint_u32()?,
            size: reader.varint_u32()?,
            undo_size: reader.varint_u32()?,
            height_first: reader.varint_u32()?,
            height_last: reader.varint_u32()?,
            time_first: reader.varint_u64()?,
            time_last: reader.varint_u64()?,
        })
    }
}

/// How block files are kept.
#[derive(Clone, Copy, Debug)]
pub struct BlockFilesOptions {
    /// The network's magic, which frames records.
    pub magic: [u8; 4],
    /// Whether a new directory gets a random obfuscation key (`-blocksxor`).
    pub xor: bool,
    /// Small files, for tests of pruning (`-fastprune`).
    pub fast_prune: bool,
}

/// A file that grows.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    file: u32,
    /// Highest height whose undo record is in it; tells when the undo file is complete.
    undo_height: u32,
}

/// Writes blocks and undo records, and keeps the books about the files.
#[derive(Debug)]
pub struct BlockFiles {
    reader: BlockReader,
    dir: PathBuf,
    fast_prune: bool,
    infos: Vec<FileInfo>,
    dirty: BTreeSet<u32>,
    /// The files that grow: that of ordinary blocks, and that of blocks above a snapshot which is not yet validated. They
    /// are kept apart, since each file should hold blocks that may be deleted at about the same time.
    cursors: [Option<Cursor>; 2],
    /// The height from which on blocks go to the second of them.
    snapshot_height: Option<u32>,
    /// New blocks go to files from this one on: the books do not tell yet what lies in those before.
    first_free: u32,
    /// Whether a file took more of the disk since [`take_grown`](Self::take_grown) was last asked.
    grown: bool,
}

impl BlockFiles {
    /// Opens the directory: reads its `xor.dat`, or makes one. Books are empty until [`load`](Self::load).
    pub fn open(dir: &Path, options: &BlockFilesOptions) -> Result<Self, StoreError> {
        Self::open_on(&Disk::default(), dir, options)
    }

    /// As [`open`](Self::open), on a disk with a gate.
    pub fn open_on(
        disk: &Disk,
        dir: &Path,
        options: &BlockFilesOptions,
    ) -> Result<Self, StoreError> {
        let obfuscation = xor_key(disk, dir, options.xor)?;
        tracing::info!(
            "Using obfuscation key for blocksdir *.dat files ({}): '{}'",
            dir.display(),
            obfuscation.hex()
        );
        let chunk = if options.fast_prune {
            FAST_PRUNE_CHUNK
        } else {
            BLOCK_CHUNK
        };
        let reader = BlockReader {
            magic: options.magic,
            obfuscation,
            blocks: FlatFiles::new(dir.to_owned(), "blk", chunk, obfuscation).on(disk.clone()),
            undo: FlatFiles::new(dir.to_owned(), "rev", UNDO_CHUNK, obfuscation).on(disk.clone()),
        };
        Ok(Self {
            reader,
            dir: dir.to_owned(),
            fast_prune: options.fast_prune,
            infos: vec![FileInfo::default()],
            dirty: BTreeSet::new(),
            cursors: [Some(Cursor::default()), None],
            snapshot_height: None,
            first_free: 0,
            grown: false,
        })
    }

    /// Takes over the books that the block index database kept.
    /// Blocks from `snapshot_height` on lie apart, if there is one.
    pub fn load(&mut self, infos: Vec<FileInfo>, snapshot_height: Option<u32>) {
        self.snapshot_height = snapshot_height;
        for (file, info) in (0..).zip(&infos) {
            let kind = self.kind(info.height_last);
            self.cursors[kind] = Some(Cursor {
                file,
                undo_height: 0,
            });
        }
        if !infos.is_empty() {
            self.infos = infos;
        }
    }

    /// Keeps new blocks out of the files that are on disk, until [`all_adopted`](Self::all_adopted): while the index is
    /// built anew, what seems to be the end of a file may be the place of a block that was not met yet.
    pub fn keep_apart(&mut self) {
        let there = (0..).take_while(|file| self.reader.has_block_file(*file));
        self.first_free = there.count() as u32;
    }

    /// Lets files grow again: all blocks in them are in the books.
    pub fn all_adopted(&mut self) {
        self.first_free = 0;
    }

    /// Puts blocks from a height on apart from now on, or not any more at the next start.
    pub fn set_snapshot_height(&mut self, height: u32) {
        self.snapshot_height = Some(height);
    }

    /// Which of the cursors stands for a height.
    fn kind(&self, height: u32) -> usize {
        usize::from(self.snapshot_height.is_some_and(|from| height >= from))
    }

    /// The files that grow, with their used bytes.
    pub fn open_ends(&self) -> Vec<(u32, u32)> {
        let files = self.cursors.iter().flatten().map(|cursor| cursor.file);
        files
            .map(|file| (file, self.infos[file as usize].size))
            .collect()
    }

    /// A reader that shares nothing that changes.
    pub fn reader(&self) -> &BlockReader {
        &self.reader
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes in use by all files.
    pub fn usage(&self) -> u64 {
        self.infos
            .iter()
            .map(|info| u64::from(info.size) + u64::from(info.undo_size))
            .sum()
    }

    /// Number of the last file.
    pub fn last_file(&self) -> u32 {
        (self.infos.len() - 1) as u32
    }

    /// The books of one file.
    pub fn info(&self, file: u32) -> Option<&FileInfo> {
        self.infos.get(file as usize)
    }

    /// The books of all files but those that are still written to.
    pub fn finished(&self) -> impl Iterator<Item = (u32, &FileInfo)> {
        let grows = |file| {
            let mut cursors = self.cursors.iter().flatten();
            cursors.any(|cursor| cursor.file == file)
        };
        (0..)
            .zip(&self.infos)
            .filter(move |(file, _)| !grows(*file))
    }

    /// Whether files took more of the disk since the last call.
    pub fn take_grown(&mut self) -> bool {
        std::mem::take(&mut self.grown)
    }

    /// Makes [`take_grown`](Self::take_grown) say yes once more.
    pub fn set_grown(&mut self) {
        self.grown = true;
    }

    /// Empties the books of a file that is to be deleted. The file itself goes with [`unlink`](Self::unlink), once the
    /// books are on disk.
    pub fn forget(&mut self, file: u32) {
        if let Some(info) = self.infos.get_mut(file as usize) {
            *info = FileInfo::default();
            self.dirty.insert(file);
        }
    }

    /// Deletes the files of the given numbers, block and undo. What cannot be deleted is told and stays, without harm:
    /// the next start tries again.
    pub fn unlink(&self, files: impl IntoIterator<Item = u32>) {
        for file in files {
            for removed in [
                self.reader.blocks.remove(file),
                self.reader.undo.remove(file),
            ] {
                match removed {
                    Ok(true) => tracing::debug!(
                        target: "blockstorage",
                        "Prune: UnlinkPrunedFiles deleted blk/rev ({file:05})"
                    ),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(target: "blockstorage", "{error}"),
                }
            }
        }
    }

    /// Deletes what a reindex under `-prune` cannot use: all undo files, and the block files after the first gap.
    ///
    /// # Errors
    /// The directory cannot be listed, or a file not be deleted.
    pub fn clear_unusable(&self) -> Result<(), StoreError> {
        tracing::info!(
            "Removing unusable blk?????.dat and rev?????.dat files for -reindex with -prune"
        );
        let mut expected = 0;
        for file in self.reader.undo.list()? {
            self.reader.undo.remove(file)?;
        }
        for file in self.reader.blocks.list()? {
            if file == expected {
                expected += 1;
            } else {
                self.reader.blocks.remove(file)?;
            }
        }
        Ok(())
    }

    /// Takes the books that changed since the last call.
    pub fn take_dirty(&mut self) -> Vec<(u32, FileInfo)> {
        std::mem::take(&mut self.dirty)
            .into_iter()
            .map(|file| (file, self.infos[file as usize]))
            .collect()
    }

    /// Puts books back that could not be written.
    pub fn restore_dirty(&mut self, files: impl IntoIterator<Item = u32>) {
        self.dirty.extend(files);
    }

    /// Appends a block, given as its bytes, and says where they start.
    pub fn write_block(
        &mut self,
        block: &[u8],
        height: u32,
        time: u32,
    ) -> Result<FilePos, StoreError> {
        let framed = framed(self.reader.magic, block);
        let start = self.next_block_pos(framed.len() as u32, height)?;
        self.grown |= self.reader.blocks.allocate(start, framed.len() as u64)?;
        let len = framed.len() as u32;
        self.reader.blocks.write(start, framed)?;
        // The books change only once the bytes are there: a failed write leaves a gap to be overwritten, no more.
        let info = &mut self.infos[start.file as usize];
        info.add_block(height, time);
        info.size += len;
        self.dirty.insert(start.file);
        Ok(FilePos {
            offset: start.offset + RECORD_HEADER,
            ..start
        })
    }

    /// Enters a block that lies in a file already, as reindexing finds it.
    pub fn adopt_block(&mut self, pos: FilePos, len: u32, height: u32, time: u32) {
        while self.infos.len() <= pos.file as usize {
            self.infos.push(FileInfo::default());
        }
        let cursor =
            &mut self.cursors[usize::from(self.snapshot_height.is_some_and(|from| height >= from))];
        if cursor.is_none_or(|cursor| cursor.file < pos.file) {
            *cursor = Some(Cursor {
                file: pos.file,
                undo_height: 0,
            });
        }
        let info = &mut self.infos[pos.file as usize];
        info.add_block(height, time);
        info.size = info.size.max(pos.offset.saturating_add(len));
        self.dirty.insert(pos.file);
    }

    /// Appends the undo record of the block at `height` to the file that pairs with the block's file.
    pub fn write_undo(
        &mut self,
        file: u32,
        height: u32,
        previous: &BlockHash,
        undo: &BlockUndo,
    ) -> Result<FilePos, StoreError> {
        let record = undo.encode();
        let mut bytes = framed(self.reader.magic, &record);
        bytes.extend_from_slice(&checksum(previous, &record));
        let info = self.infos.get_mut(file as usize).ok_or_else(|| {
            StoreError::corrupt("block index", format!("block file {file} is not known"))
        })?;
        let start = FilePos {
            file,
            offset: info.undo_size,
        };
        let len = bytes.len() as u32;
        self.grown |= self.reader.undo.allocate(start, len.into())?;
        self.reader.undo.write(start, bytes)?;
        info.undo_size += len;
        let last_height = info.height_last;
        let kind = self.kind(height);
        let current = self.cursors[kind].is_some_and(|cursor| cursor.file == file);
        let complete = !current && height == last_height;
        self.dirty.insert(file);
        if complete {
            // The block file was left earlier; with its last undo record this one is finished too.
            if let Err(error) = self.flush_undo(file, true) {
                tracing::warn!(target: "validation", "failed to flush undo file {file:05}: {error}");
            }
        } else if current && let Some(cursor) = &mut self.cursors[kind] {
            cursor.undo_height = cursor.undo_height.max(height);
        }
        Ok(FilePos {
            offset: start.offset + RECORD_HEADER,
            ..start
        })
    }

    /// Makes everything written since the books were last taken durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        for &file in &self.dirty {
            let info = self.infos[file as usize];
            if info.size > 0 {
                self.reader.blocks.flush(
                    FilePos {
                        file,
                        offset: info.size,
                    },
                    false,
                )?;
            }
            // The undo file of a file that grows is there from the start, as for Core.
            let grows = self.cursors.iter().flatten().any(|it| it.file == file);
            if info.undo_size > 0 || (grows && info.size > 0) {
                self.flush_undo(file, false)?;
            }
        }
        Ok(())
    }

    fn flush_undo(&self, file: u32, finalize: bool) -> Result<(), StoreError> {
        let offset = self.infos[file as usize].undo_size;
        self.reader.undo.flush(FilePos { file, offset }, finalize)
    }

    /// Where a framed record of `len` bytes goes; moves on to a new file if the current one would grow too large.
    fn next_block_pos(&mut self, len: u32, height: u32) -> Result<FilePos, StoreError> {
        let limit = if self.fast_prune {
            FAST_PRUNE_BLOCK_FILE.max(len.saturating_add(1))
        } else {
            MAX_BLOCK_FILE
        };
        let kind = self.kind(height);
        let Some(cursor) = self.cursors[kind] else {
            return Ok(self.next_file(kind));
        };
        let leaving = cursor.file;
        if leaving < self.first_free {
            return Ok(self.next_file(kind));
        }
        let info = self.infos[leaving as usize];
        if info.size.saturating_add(len) < limit || info.size == 0 {
            return Ok(FilePos {
                file: leaving,
                offset: info.size,
            });
        }
        let undo_complete = info.height_last == cursor.undo_height;
        // A failure here loses nothing that was promised: the flush before the next index write repeats it.
        let end = FilePos {
            file: leaving,
            offset: info.size,
        };
        let mut flushed = self.reader.blocks.flush(end, true);
        if flushed.is_ok() && undo_complete {
            flushed = self.flush_undo(leaving, true);
        }
        if let Err(error) = flushed {
            tracing::warn!(
                target: "validation",
                "failed to flush block file {leaving:05} before block {height}: {error}"
            );
        }
        Ok(self.next_file(kind))
    }

    /// Begins a new file.
    fn next_file(&mut self, kind: usize) -> FilePos {
        let file = (self.last_file() + 1).max(self.first_free);
        self.infos.resize(file as usize + 1, FileInfo::default());
        self.cursors[kind] = Some(Cursor {
            file,
            undo_height: 0,
        });
        FilePos { file, offset: 0 }
    }
}

/// A record with its magic and length in front.
fn framed(magic: [u8; 4], record: &[u8]) -> Vec<u8> {
    let mut out =
        Vec::with_capacity(record.len() + RECORD_HEADER as usize + UNDO_CHECKSUM as usize);
    out.extend_from_slice(&magic);
    out.extend_from_slice(&(record.len() as u32).to_le_bytes());
    out.extend_from_slice(record);
    out
}

/// Reads `xor.dat`, or makes it: random in a directory that is new, zeros in one whose files were written without.
fn xor_key(disk: &Disk, dir: &Path, wanted: bool) -> Result<Obfuscation, StoreError> {
    let path = dir.join("xor.dat");
    let key = if path.exists() {
        let bytes = read_file(&path, MAX_KEY_FILE).map_err(|error| match error {
            StoreError::Io { .. } => StoreError::NotOpened,
            other => other,
        })?;
        let key: [u8; KEY_SIZE] = bytes
            .get(..KEY_SIZE)
            .and_then(|key| key.try_into().ok())
            .ok_or(StoreError::EndOfFile)?;
        Obfuscation::new(key)
    } else {
        let unfinished = replacement(&path);
        if unfinished.exists() {
            disk.remove_file(&unfinished)
                .map_err(StoreError::io("remove", &unfinished))?;
        }
        let key = if wanted && is_new(dir)? {
            Obfuscation::random()
        } else {
            Obfuscation::default()
        };
        // A key that is there in part would keep every later start from reading the blocks.
        replace_file_on(disk, &path, &key.key())?;
        key
    };
    if !wanted && !key.is_none() {
        let key = key.hex();
        return Err(StoreError::XorKeyStored { key, path });
    }
    Ok(key)
}

/// Whether a blocks directory holds hidden files only, such as the lock.
fn is_new(dir: &Path) -> Result<bool, StoreError> {
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let entry = entry.map_err(StoreError::io("list", dir))?;
        let is_file = entry
            .file_type()
            .map_err(StoreError::io("stat", dir))?
            .is_file();
        if !is_file || !entry.file_name().as_encoded_bytes().starts_with(b".") {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use bitcoin::consensus::serialize;
    use bitcoin::constants::genesis_block;
    use bitcoin::hashes::Hash;
    use bitcoin::{Amount, Network, ScriptBuf, TxOut};
    use btc_consensus::Coin;

    use super::*;

    const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

    fn options() -> BlockFilesOptions {
        BlockFilesOptions {
            magic: MAGIC,
            xor: true,
            fast_prune: false,
        }
    }

    fn undo(outputs: usize) -> BlockUndo {
        let coin = |n| Coin {
            output: TxOut {
                value: Amount::from_sat(n as u64),
                script_pubkey: ScriptBuf::from_bytes(vec![0x51; 30_000 % (n + 1)]),
            },
            height: 7,
            coinbase: false,
        };
        BlockUndo(vec![(0..outputs).map(coin).collect()])
    }

    #[test]
    fn blocks_and_undo_come_back_as_written() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let block = genesis_block(Network::Regtest);
        let hash = block.block_hash();
        let mut files = BlockFiles::open(dir.path(), &options()).expect("opens");
        let pos = files
            .write_block(&serialize(&block), 0, block.header.time)
            .expect("writes");
        assert_eq!(pos, FilePos { file: 0, offset: 8 });
        let undo = undo(3);
        let undo_pos = files.write_undo(0, 0, &hash, &undo).expect("writes");
        files.flush().expect("flushes");
        assert_eq!(
            fs::metadata(dir.path().join("blk00000.dat"))
                .expect("exists")
                .len(),
            BLOCK_CHUNK
        );

        let again = BlockFiles::open(dir.path(), &options()).expect("opens with the stored key");
        assert_eq!(again.reader().read_block(pos, &hash).expect("reads"), block);
        assert_eq!(
            again.reader().read_undo(undo_pos, &hash).expect("reads"),
            undo
        );
        // The checksum ties the record to its place in the chain.
        let error = again
            .reader()
            .read_undo(undo_pos, &BlockHash::all_zeros())
            .expect_err("checksum");
        assert!(error.to_string().contains("checksum mismatch"), "{error}");
        let error = again
            .reader()
            .read_block(pos, &BlockHash::all_zeros())
            .expect_err("hash");
        assert!(
            error.to_string().contains("does not match the index"),
            "{error}"
        );
        let off = FilePos {
            offset: pos.offset + 1,
            ..pos
        };
        assert!(again.reader().read_block(off, &hash).is_err());
    }

    #[test]
    fn a_full_file_is_cut_and_the_next_begun() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let block = serialize(&genesis_block(Network::Regtest));
        let mut files = BlockFiles::open(
            dir.path(),
            &BlockFilesOptions {
                fast_prune: true,
                ..options()
            },
        )
        .expect("opens");
        let framed = block.len() as u32 + RECORD_HEADER;
        let per_file = (FAST_PRUNE_BLOCK_FILE - 1) / framed;
        for height in 0..=per_file {
            let pos = files.write_block(&block, height, 1).expect("writes");
            assert_eq!(pos.file, u32::from(height == per_file));
        }
        let size = fs::metadata(dir.path().join("blk00000.dat"))
            .expect("exists")
            .len();
        assert_eq!(size, u64::from(per_file * framed));
        assert_eq!(files.last_file(), 1);
        let dirty: Vec<_> = files
            .take_dirty()
            .into_iter()
            .map(|(file, _)| file)
            .collect();
        assert_eq!(dirty, [0, 1]);
        let info = files.infos[0];
        assert_eq!(FileInfo::decode(&info.encode()), Ok(info));
    }

    #[test]
    fn files_from_before_obfuscation_stay_plain() {
        let dir = tempfile::tempdir().expect("temporary directory");
        fs::write(dir.path().join("blk00000.dat"), b"").expect("writes");
        BlockFiles::open(dir.path(), &options()).expect("opens");
        assert_eq!(fs::read(dir.path().join("xor.dat")).expect("reads"), [0; 8]);
    }

    #[test]
    fn a_stored_key_cannot_be_switched_off() {
        let dir = tempfile::tempdir().expect("temporary directory");
        BlockFiles::open(dir.path(), &options()).expect("opens");
        let error = BlockFiles::open(
            dir.path(),
            &BlockFilesOptions {
                xor: false,
                ..options()
            },
        )
        .expect_err("refuses");
        assert!(
            error
                .to_string()
                .starts_with("The blocksdir XOR-key can not be disabled"),
            "{error}"
        );
    }
}
