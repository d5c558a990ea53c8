//! Numbered files that grow by appending, in pre-allocated steps.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::disk::{Call, Disk};
use super::error::StoreError;
use super::obfuscation::Obfuscation;
use crate::chain::record::FilePos;

/// What must stay free on the file system after a write, in bytes.
pub const DISK_RESERVE: u64 = 50 << 20;

/// The files `<prefix>00000.dat`, `<prefix>00001.dat`, … of one directory.
#[derive(Clone, Debug)]
pub struct FlatFiles {
    dir: PathBuf,
    prefix: &'static str,
    chunk: u64,
    obfuscation: Obfuscation,
    disk: Disk,
}

impl FlatFiles {
    /// A sequence that grows by `chunk` bytes at a time.
    pub fn new(dir: PathBuf, prefix: &'static str, chunk: u64, obfuscation: Obfuscation) -> Self {
        Self {
            dir,
            prefix,
            chunk,
            obfuscation,
            disk: Disk::default(),
        }
    }

    /// The same files on a disk with a gate.
    #[must_use]
    pub fn on(self, disk: Disk) -> Self {
        Self { disk, ..self }
    }

    /// The path of one file.
    pub fn path(&self, file: u32) -> PathBuf {
        self.dir.join(format!("{}{file:05}.dat", self.prefix))
    }

    /// Opens a file for reading. It reads what is on disk: still obfuscated.
    pub fn open(&self, file: u32) -> Result<File, StoreError> {
        let path = self.path(file);
        File::open(&path).map_err(StoreError::io("open", &path))
    }

    /// Opens a file for reading from `pos` on.
    pub fn open_at(&self, pos: FilePos) -> Result<File, StoreError> {
        let mut file = self.open(pos.file)?;
        let path = self.path(pos.file);
        file.seek(SeekFrom::Start(pos.offset.into()))
            .map_err(StoreError::io("seek in", &path))?;
        Ok(file)
    }

    fn open_for_writing(&self, file: u32) -> Result<File, StoreError> {
        let path = self.path(file);
        let open = || {
            if !path.exists() {
                self.disk.enter(Call::Create, &path)?;
            }
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
        };
        open().map_err(StoreError::io("open", &path))
    }

    /// Opens a file to make it durable, which also takes one that may only be read, as reindexing may find it.
    fn open_for_sync(&self, file: u32) -> Result<File, StoreError> {
        match File::open(self.path(file)) {
            Ok(file) => Ok(file),
            Err(_) => self.open_for_writing(file),
        }
    }

    /// Reads `len` bytes at `pos` and reveals them.
    pub fn read(&self, pos: FilePos, len: usize) -> Result<Vec<u8>, StoreError> {
        let mut file = self.open(pos.file)?;
        self.read_from(&mut file, pos, len)
    }

    /// Like [`read`](Self::read), from a file that is open already.
    pub fn read_from(
        &self,
        file: &mut File,
        pos: FilePos,
        len: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let path = self.path(pos.file);
        let mut bytes = vec![0; len];
        file.seek(SeekFrom::Start(pos.offset.into()))
            .map_err(StoreError::io("seek in", &path))?;
        file.read_exact(&mut bytes)
            .map_err(StoreError::io("read", &path))?;
        self.obfuscation.apply(&mut bytes, pos.offset.into());
        Ok(bytes)
    }

    /// Obfuscates `bytes` and writes them at `pos`. Durable only after [`flush`](Self::flush).
    pub fn write(&self, pos: FilePos, mut bytes: Vec<u8>) -> Result<(), StoreError> {
        let path = self.path(pos.file);
        self.obfuscation.apply(&mut bytes, pos.offset.into());
        let mut file = self.open_for_writing(pos.file)?;
        file.seek(SeekFrom::Start(pos.offset.into()))
            .map_err(StoreError::io("seek in", &path))?;
        self.disk
            .write(&mut file, &path, &bytes)
            .map_err(StoreError::io("write", &path))
    }

    /// Makes room for `len` bytes at `pos`, in whole steps; says whether the file grew.
    ///
    /// # Errors
    /// [`StoreError::DiskSpace`] if less than [`DISK_RESERVE`] would be left.
    pub fn allocate(&self, pos: FilePos, len: u64) -> Result<bool, StoreError> {
        let start = u64::from(pos.offset);
        let wanted = (start + len).div_ceil(self.chunk);
        if wanted <= start.div_ceil(self.chunk) {
            return Ok(false);
        }
        let added = wanted * self.chunk - start;
        check_disk_space(&self.dir, added)?;
        let path = self.path(pos.file);
        let file = self.open_for_writing(pos.file)?;
        self.disk
            .enter(Call::Write, &path)
            .and_then(|()| extend(&file, start, added))
            .map_err(StoreError::io("extend", &path))?;
        Ok(true)
    }

    /// Makes a file and its directory entry durable; `finalize` first cuts what was pre-allocated beyond `end`.
    pub fn flush(&self, end: FilePos, finalize: bool) -> Result<(), StoreError> {
        let path = self.path(end.file);
        let file = if finalize {
            self.open_for_writing(end.file)?
        } else {
            self.open_for_sync(end.file)?
        };
        if finalize {
            self.disk
                .enter(Call::Truncate, &path)
                .and_then(|()| file.set_len(end.offset.into()))
                .map_err(StoreError::io("truncate", &path))?;
        }
        self.disk
            .enter(Call::Sync, &path)
            .and_then(|()| file.sync_data())
            .map_err(StoreError::io("sync", &path))?;
        self.disk
            .sync_dir(&self.dir)
            .map_err(StoreError::io("sync directory", &self.dir))
    }

    /// Deletes a file; says whether it was there.
    pub fn remove(&self, file: u32) -> Result<bool, StoreError> {
        let path = self.path(file);
        match self.disk.remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", &path)(error)),
        }
    }

    /// The numbers of the files that are there, in rising order.
    pub fn list(&self) -> Result<Vec<u32>, StoreError> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(StoreError::io("list", &self.dir))? {
            let name = entry
                .map_err(StoreError::io("list", &self.dir))?
                .file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix(self.prefix)?.strip_suffix(".dat"))
                .filter(|digits| digits.len() >= 5)
                .and_then(|digits| digits.parse::<u32>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// Reserves bytes so that a later write cannot fail for lack of space; where the file system cannot, writes zeros.
fn extend(file: &File, start: u64, len: u64) -> io::Result<()> {
    if rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), start, len).is_ok() {
        return Ok(());
    }
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut file = file;
    file.seek(SeekFrom::Start(start))?;
    let mut left = len;
    while left > 0 {
        let step = left.min(ZEROS.len() as u64) as usize;
        file.write_all(&ZEROS[..step])?;
        left -= step as u64;
    }
    Ok(())
}

/// Fails if writing `added` bytes under `dir` would leave less than [`DISK_RESERVE`].
pub fn check_disk_space(dir: &Path, added: u64) -> Result<(), StoreError> {
    let stat =
        rustix::fs::statvfs(dir).map_err(|errno| StoreError::io("stat", dir)(errno.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < DISK_RESERVE.saturating_add(added) {
        return Err(StoreError::DiskSpace);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_grow_in_steps_and_are_cut_when_finished() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let files = FlatFiles::new(
            dir.path().to_owned(),
            "blk",
            1000,
            Obfuscation::new([1, 2, 3, 4, 5, 6, 7, 8]),
        );
        let pos = FilePos { file: 3, offset: 0 };
        files.allocate(pos, 10).expect("allocates");
        let path = dir.path().join("blk00003.dat");
        let size = || fs::metadata(&path).expect("exists").len();
        assert_eq!(size(), 1000);
        files.write(pos, b"hello block".to_vec()).expect("writes");
        assert_eq!(files.read(pos, 11).expect("reads"), b"hello block");
        assert_ne!(fs::read(&path).expect("reads")[..11], b"hello block"[..]);
        let next = FilePos {
            file: 3,
            offset: 990,
        };
        files.allocate(next, 10).expect("allocates");
        assert_eq!(size(), 1000, "the last byte of a step needs no new step");
        files.allocate(next, 11).expect("allocates");
        assert_eq!(size(), 2000);
        files
            .flush(
                FilePos {
                    file: 3,
                    offset: 11,
                },
                true,
            )
            .expect("flushes");
        assert_eq!(size(), 11);
        assert!(
            files.read(pos, 12).is_err(),
            "reading past the end is an error"
        );
    }

    #[test]
    fn a_file_that_may_only_be_read_is_made_durable_and_not_cut() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("temporary directory");
        let key = Obfuscation::new([0; 8]);
        let files = FlatFiles::new(dir.path().to_owned(), "blk", 1000, key);
        let path = dir.path().join("blk00000.dat");
        fs::write(&path, [7; 100]).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("protects");
        let end = FilePos {
            file: 0,
            offset: 50,
        };
        files.flush(end, false).expect("it need not be written");
        // Who may do everything may write all the same.
        if OpenOptions::new().write(true).open(&path).is_err() {
            files.flush(end, true).expect_err("it cannot be cut");
            assert_eq!(fs::metadata(&path).expect("exists").len(), 100);
        }
    }
}
