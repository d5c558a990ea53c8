//! A file system in memory that fails on demand and forgets what was not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{AppendFile, Fs, LockGuard, ReadFile};

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and changes nothing; later calls work.
    Fail,
    /// There is no space: half of an append is written; this and all later appends and creations fail.
    NoSpace,
    /// Half of an append is written and it fails; later calls work.
    ShortWrite,
    /// This and all later calls fail, as for a process that is gone.
    Crash,
}

/// What the disk holds after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process died; the system wrote everything.
    Process,
    /// The power failed; only what was synced is there, names and bytes alike.
    Power,
    /// The power failed; names are as they were last, of the unsynced bytes of each file about half are there.
    Torn,
}

/// The bytes of one file.
#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: usize,
}

type Shared = Arc<Mutex<Content>>;

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<PathBuf, Shared>,
    // Names that would be there after a power failure.
    durable: BTreeMap<PathBuf, Shared>,
    locks: BTreeSet<PathBuf>,
    calls: u64,
    fault: Option<(u64, Fault)>,
    full: bool,
    dead: bool,
}

/// A file system in memory. Clones share the files.
#[derive(Clone, Debug, Default)]
pub struct MemoryFs(Arc<Mutex<Disk>>);

/// What an append may do.
enum Permit {
    Whole,
    Half(io::Error),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "No such file or directory")
}

fn no_space() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "No space left on device")
}

fn injected() -> io::Error {
    io::Error::other("Input/output error")
}

impl Disk {
    /// Counts a call that changes the disk, and decides whether it goes wrong.
    fn enter(&mut self, grows: bool) -> io::Result<Permit> {
        if self.dead {
            return Err(injected());
        }
        if self.full && grows {
            return Err(no_space());
        }
        let call = self.calls;
        self.calls += 1;
        match self.fault {
            Some((at, fault)) if at == call => match fault {
                Fault::Fail => Err(injected()),
                Fault::NoSpace => {
                    self.full = true;
                    if grows {
                        Ok(Permit::Half(no_space()))
                    } else {
                        Ok(Permit::Whole)
                    }
                }
                Fault::ShortWrite => Ok(Permit::Half(injected())),
                Fault::Crash => {
                    self.dead = true;
                    Ok(Permit::Half(injected()))
                }
            },
            _ => Ok(Permit::Whole),
        }
    }

    /// As `enter`, for calls that happen wholly or not at all.
    fn enter_whole(&mut self, grows: bool) -> io::Result<()> {
        match self.enter(grows)? {
            Permit::Whole => Ok(()),
            Permit::Half(error) => Err(error),
        }
    }
}

impl MemoryFs {
    /// An empty file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the call with this number, counted from now, go wrong. Calls that only read are not counted.
    pub fn inject(&self, after: u64, fault: Fault) {
        let mut disk = lock(&self.0);
        disk.fault = Some((disk.calls + after, fault));
    }

    /// How many calls that change the disk there were.
    pub fn calls(&self) -> u64 {
        lock(&self.0).calls
    }

    /// A new disk with what this one holds after a crash.
    pub fn after(&self, crash: Crash) -> Self {
        let disk = lock(&self.0);
        let names = match crash {
            Crash::Process | Crash::Torn => &disk.files,
            Crash::Power => &disk.durable,
        };
        let files: BTreeMap<_, _> = names
            .iter()
            .map(|(path, content)| {
                let content = lock(content);
                let kept = match crash {
                    Crash::Process => content.bytes.len(),
                    Crash::Power => content.synced,
                    Crash::Torn => content.synced + (content.bytes.len() - content.synced) / 2,
                };
                let content = Content {
                    bytes: content.bytes[..kept].to_vec(),
                    synced: kept,
                };
                (path.clone(), Arc::new(Mutex::new(content)))
            })
            .collect();
        Self(Arc::new(Mutex::new(Disk {
            durable: files.clone(),
            files,
            ..Disk::default()
        })))
    }

    /// The bytes of a file.
    pub fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        let disk = lock(&self.0);
        let content = disk.files.get(path).ok_or_else(missing)?;
        Ok(lock(content).bytes.clone())
    }

    /// Sets the bytes of a file, as something outside the engine would.
    pub fn overwrite(&self, path: &Path, bytes: &[u8]) {
        let mut disk = lock(&self.0);
        let content = Arc::new(Mutex::new(Content {
            bytes: bytes.to_vec(),
            synced: bytes.len(),
        }));
        disk.durable.insert(path.into(), Arc::clone(&content));
        disk.files.insert(path.into(), content);
    }
}

impl Fs for MemoryFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let mut disk = lock(&self.0);
        disk.enter_whole(true)?;
        let content = Shared::default();
        disk.files.insert(path.into(), Arc::clone(&content));
        Ok(Box::new(Appender {
            fs: self.clone(),
            content,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let disk = lock(&self.0);
        if disk.dead {
            return Err(injected());
        }
        let content = disk.files.get(path).ok_or_else(missing)?;
        Ok(Arc::new(Reader(Arc::clone(content))))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = lock(&self.0);
        if disk.dead {
            return Err(injected());
        }
        Ok(disk
            .files
            .keys()
            .filter(|path| path.parent() == Some(dir))
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        disk.enter_whole(false)?;
        disk.files.remove(path).map(drop).ok_or_else(missing)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        disk.enter_whole(false)?;
        let content = disk.files.remove(from).ok_or_else(missing)?;
        disk.files.insert(to.into(), content);
        Ok(())
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        lock(&self.0).enter_whole(false)
    }

    fn remove_dir(&self, _dir: &Path) -> io::Result<()> {
        lock(&self.0).enter_whole(false)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        disk.enter_whole(false)?;
        let Disk { files, durable, .. } = &mut *disk;
        durable.retain(|path, _| path.parent() != Some(dir));
        durable.extend(
            files
                .iter()
                .filter(|(path, _)| path.parent() == Some(dir))
                .map(|(path, content)| (path.clone(), Arc::clone(content))),
        );
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(lock(&self.0).files.contains_key(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        let mut disk = lock(&self.0);
        disk.enter_whole(false)?;
        if !disk.locks.insert(path.into()) {
            return Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                "already held by process",
            ));
        }
        disk.files.entry(path.into()).or_default();
        Ok(Box::new(Lock {
            fs: self.clone(),
            path: path.into(),
        }))
    }
}

#[derive(Debug)]
struct Appender {
    fs: MemoryFs,
    content: Shared,
}

impl AppendFile for Appender {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let permit = lock(&self.fs.0).enter(true)?;
        let mut content = lock(&self.content);
        match permit {
            Permit::Whole => {
                content.bytes.extend_from_slice(bytes);
                Ok(())
            }
            Permit::Half(error) => {
                content.bytes.extend_from_slice(&bytes[..bytes.len() / 2]);
                Err(error)
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        lock(&self.fs.0).enter_whole(false)?;
        let mut content = lock(&self.content);
        content.synced = content.bytes.len();
        Ok(())
    }
}

#[derive(Debug)]
struct Reader(Shared);

impl ReadFile for Reader {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = lock(&self.0);
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.bytes.len());
        let rest = &content.bytes[start..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.0).bytes.len() as u64)
    }
}

#[derive(Debug)]
struct Lock {
    fs: MemoryFs,
    path: PathBuf,
}

impl LockGuard for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        lock(&self.fs.0).locks.remove(&self.path);
    }
}
