//! The calls that change the disk, with a gate before each: a test lets any of them fail, and sees what the node makes
//! of it and what is there afterwards.
//!
//! Block files, their key and the databases of our engine go through it. The files of a loaded snapshot, `mempool.dat`
//! and what the program keeps besides do not, nor does the system's LevelDB.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
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
    pub(super) fn enter(&self, call: Call, path: &Path) -> io::Result<()> {
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

    /// The file system for our engine.
    pub(super) fn engine_fs(&self) -> Arc<dyn Fs> {
        match self.0 {
            Some(_) => Arc::new(GatedFs(self.clone())),
            None => Arc::new(RealFs),
        }
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
    path: std::path::PathBuf,
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
