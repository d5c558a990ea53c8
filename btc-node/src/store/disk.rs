//! The calls that change the disk, with a gate before each: a test lets any of them fail, and sees what the node makes
//! of it and what is there afterwards.
//!
//! Block files and their key, the databases of our engine, the files of indexes and UTXO snapshots go through it, and
//! whatever is [replaced whole](super::data_dir::replace_file_on). The system's LevelDB does not.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leveldb_engine::{AppendFile, Fs, LockGuard, ReadFile, RealFs};

/// A call that changes the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A file or directory is made.
    Create,
    /// Bytes are written or room for them is reserved.
    Write,
    /// A file is cut.
    Truncate,
    /// What a file holds is made durable.
    Sync,
    /// What a directory holds is made durable.
    SyncDir,
    /// A file or directory is removed.
    Remove,
    /// A file gets another name.
    Rename,
}

/// Why a call fails.
#[derive(Debug)]
pub struct Refusal {
    /// What the caller is told.
    pub error: io::Error,
    /// Whether half of what was to be written is written all the same.
    pub half: bool,
}

/// Decides about each call.
pub trait Gate: Send + Sync + Debug {
    /// Lets a call on a file or directory through, or refuses it.
    ///
    /// # Errors
    /// The refusal.
    fn enter(&self, call: Call, path: &Path) -> Result<(), Refusal>;
}

/// The disk, with a gate or without.
#[derive(Clone, Debug, Default)]
pub struct Disk(Option<Arc<dyn Gate>>);

impl Disk {
    /// A disk all of whose changes go through a gate.
    pub fn gated(gate: Arc<dyn Gate>) -> Self {
        Self(Some(gate))
    }

    /// To be called before a call that happens wholly or not at all.
    pub(crate) fn enter(&self, call: Call, path: &Path) -> io::Result<()> {
        match &self.0 {
            Some(gate) => gate.enter(call, path).map_err(|refusal| refusal.error),
            None => Ok(()),
        }
    }

    /// Writes through `write`: all of the bytes, or half of them and an error, or nothing and an error.
    fn write_by(
        &self,
        path: &Path,
        bytes: &[u8],
        mut write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(gate) = &self.0
            && let Err(refusal) = gate.enter(Call::Write, path)
        {
            if refusal.half {
                write(&bytes[..bytes.len() / 2])?;
            }
            return Err(refusal.error);
        }
        write(bytes)
    }

    /// Writes at the file's place.
    pub(super) fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write_by(path, bytes, |bytes| file.write_all(bytes))
    }

    /// Makes an empty file, in place of the one that is there.
    pub(crate) fn create(&self, path: &Path) -> io::Result<DiskFile> {
        self.enter(Call::Create, path)?;
        Ok(self.file(path, File::create(path)?))
    }

    /// A file that is open, to be written to on this disk.
    pub(crate) fn file(&self, path: &Path, file: File) -> DiskFile {
        DiskFile {
            disk: self.clone(),
            path: path.to_owned(),
            file,
        }
    }

    /// Makes a directory and those above it, as far as they are missing.
    pub(crate) fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        if !dir.is_dir() {
            self.enter(Call::Create, dir)?;
        }
        fs::create_dir_all(dir)
    }

    /// Gives a file or directory another name; what had that name is replaced.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.enter(Call::Rename, to)?;
        fs::rename(from, to)
    }

    /// Removes a file.
    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.enter(Call::Remove, path)?;
        fs::remove_file(path)
    }

    /// Removes a directory with all that is in it.
    pub(crate) fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.enter(Call::Remove, dir)?;
        fs::remove_dir_all(dir)
    }

    /// Makes durable what a directory holds.
    pub(crate) fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.enter(Call::SyncDir, dir)?;
        File::open(dir)?.sync_all()
    }

    /// The file system for our engine.
    pub(super) fn engine_fs(&self) -> Arc<dyn Fs> {
        match self.0 {
            Some(_) => Arc::new(GatedFs(self.clone())),
            None => Arc::new(RealFs),
        }
    }
}

/// A file that is written from its beginning to its end.
#[derive(Debug)]
pub(crate) struct DiskFile {
    disk: Disk,
    path: PathBuf,
    file: File,
}

impl DiskFile {
    /// Makes durable what was written. A pipe has nothing to be made durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if !self.file.metadata()?.is_file() {
            return Ok(());
        }
        self.disk.enter(Call::Sync, &self.path)?;
        self.file.sync_all()
    }
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.write(&mut self.file, &self.path, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The engine's file system with the gate before it.
#[derive(Debug)]
struct GatedFs(Disk);

impl Fs for GatedFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.0.enter(Call::Create, path)?;
        Ok(Box::new(GatedFile {
            disk: self.0.clone(),
            path: path.to_owned(),
            file: RealFs.create(path)?,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        RealFs.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealFs.list(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.enter(Call::Remove, path)?;
        RealFs.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.enter(Call::Rename, to)?;
        RealFs.rename(from, to)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.enter(Call::Create, dir)?;
        RealFs.create_dir(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.enter(Call::Remove, dir)?;
        RealFs.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.enter(Call::SyncDir, dir)?;
        RealFs.sync_dir(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealFs.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.0.enter(Call::Create, path)?;
        RealFs.lock(path)
    }
}

#[derive(Debug)]
struct GatedFile {
    disk: Disk,
    path: PathBuf,
    file: Box<dyn AppendFile>,
}

impl AppendFile for GatedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = &mut self.file;
        self.disk
            .write_by(&self.path, bytes, |bytes| file.append(bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.enter(Call::Sync, &self.path)?;
        self.file.sync()
    }
}
