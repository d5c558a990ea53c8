//! The system's file system.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{AppendFile, Fs, LockGuard, ReadFile};

/// The system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(Appender(File::create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        Ok(Arc::new(Reader(File::open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // None of the engine's names is outside Unicode.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Windows has no such call; its file systems keep names in a journal.
        if cfg!(unix) {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        Lock::take(path).map(|lock| Box::new(lock) as Box<dyn LockGuard>)
    }
}

#[derive(Debug)]
struct Appender(File);

impl AppendFile for Appender {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[derive(Debug)]
struct Reader(File);

impl ReadFile for Reader {
    fn read_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
        let mut total = 0;
        while !buffer.is_empty() {
            match read_once(&self.0, buffer, offset) {
                Ok(0) => break,
                Ok(read) => {
                    total += read;
                    offset += read as u64;
                    buffer = &mut buffer[read..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(unix)]
fn read_once(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    // Past the C library, where reading is a point at which a thread may be cancelled: that costs as much as the call.
    Ok(rustix::io::pread(file, buffer, offset)?)
}

#[cfg(windows)]
fn read_once(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// Files that this process has locked: the system's record locks do not hold within one process.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A file locked as LevelDB locks it, so that each engine keeps the other out.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    // Dropped before the path leaves the set, or another thread could lock a file that closing this one unlocks.
    file: Option<File>,
}

impl Lock {
    fn take(path: &Path) -> io::Result<Self> {
        // One name for each file, whatever links lead to it.
        let path = match (path.parent(), path.file_name()) {
            (Some(dir), Some(name)) => fs::canonicalize(dir)?.join(name),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        // Before opening: closing any handle of the file would give up the lock that is held.
        if held.contains(&path) {
            return Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                "already held by process",
            ));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        lock_file(&file)?;
        held.insert(path.clone());
        Ok(Self {
            path,
            file: Some(file),
        })
    }
}

#[cfg(unix)]
fn lock_file(file: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    Ok(fcntl_lock(file, FlockOperation::NonBlockingLockExclusive)?)
}

#[cfg(windows)]
fn lock_file(file: &File) -> io::Result<()> {
    file.try_lock().map_err(io::Error::from)
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        self.file = None;
        held.remove(&self.path);
    }
}

impl LockGuard for Lock {}
