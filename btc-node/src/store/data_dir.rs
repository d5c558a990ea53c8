//! The data directory: where things lie, who holds it, and how a small file is replaced without a moment of loss.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bitcoin::Network;
use rustix::fs::{FlockOperation, fcntl_lock};

use super::disk::Disk;
use super::error::StoreError;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process, or another node in this process, uses it. Core's text.
    #[error("Cannot obtain a lock on directory {}. {client} is probably already running.", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The program's name, as in "Bitcoin Core".
        client: String,
    },
    /// Nothing can be created in it. Core's text.
    #[error("Cannot write to directory '{}'; check permissions.", dir.display())]
    NotWritable {
        /// The directory.
        dir: PathBuf,
    },
    /// `-datadir` names nothing. Core's text.
    #[error("Specified data directory \"{}\" does not exist.", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// `-blocksdir` names nothing. Core's text.
    #[error("Specified blocks directory \"{}\" does not exist.", dir.display())]
    MissingBlocks {
        /// The directory.
        dir: PathBuf,
    },
    /// A file system call failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The subdirectory of the data directory in which a network's files lie; empty for the main network.
pub fn network_subdirectory(network: Network) -> &'static str {
    match network {
        Network::Testnet => "testnet3",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
        _ => "",
    }
}

/// A data directory that is held: as long as this lives, no other node can open it.
#[derive(Debug)]
pub struct DataDir {
    base: PathBuf,
    net: PathBuf,
    blocks: PathBuf,
    _locks: [DirLock; 2],
}

impl DataDir {
    /// Creates what is missing and locks it.
    ///
    /// `base` must exist already if the user named it, which the caller knows: see [`DataDirError::Missing`]. Blocks
    /// lie under `blocks_dir` (`-blocksdir`) if given, which must exist, in the network's subdirectory.
    ///
    /// # Errors
    /// See [`DataDirError`]. `client` is the program's name in Core's texts.
    pub fn open(
        base: &Path,
        network: Network,
        blocks_dir: Option<&Path>,
        client: &str,
    ) -> Result<Self, DataDirError> {
        let subdirectory = network_subdirectory(network);
        let net = base.join(subdirectory);
        create(&net)?;
        let blocks = match blocks_dir {
            None => net.join("blocks"),
            Some(dir) if dir.is_dir() => dir.join(subdirectory).join("blocks"),
            Some(dir) => {
                return Err(DataDirError::MissingBlocks {
                    dir: dir.to_owned(),
                });
            }
        };
        create(&blocks)?;
        let net_lock = DirLock::take(&net, client)?;
        let blocks_lock = DirLock::take(&blocks, client)?;
        Ok(Self {
            base: base.to_owned(),
            net,
            blocks,
            _locks: [net_lock, blocks_lock],
        })
    }

    /// The directory that the user named.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The network's own directory: `base` itself, or `base/regtest` and so on.
    pub fn net(&self) -> &Path {
        &self.net
    }

    /// Where `blk?????.dat` and `rev?????.dat` lie.
    pub fn blocks(&self) -> &Path {
        &self.blocks
    }
}

fn create(dir: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(dir).map_err(StoreError::io("create directory", dir))
}

/// Directories that this process holds. The system's locks are per process, so a second node in the same process is
/// told apart here; and closing any descriptor of a lock file would drop the lock, so it must not be opened twice.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A lock on a directory, through its `.lock` file, of the kind that Core takes: each keeps the other out.
#[derive(Debug)]
pub struct DirLock {
    path: PathBuf,
    file: Option<File>,
}

impl DirLock {
    /// Takes the lock or says who is in the way.
    pub fn take(dir: &Path, client: &str) -> Result<Self, DataDirError> {
        let locked = || DataDirError::Locked {
            dir: dir.to_owned(),
            client: client.to_owned(),
        };
        let not_writable = |_| DataDirError::NotWritable {
            dir: dir.to_owned(),
        };
        let path = fs::canonicalize(dir).map_err(not_writable)?.join(".lock");
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains(&path) {
            return Err(locked());
        }
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(not_writable)?;
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| locked())?;
        held.insert(path.clone());
        Ok(Self {
            path,
            file: Some(file),
        })
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closed while nobody can take it anew: closing later would drop the newcomer's lock too, which is the
        // process's own.
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.file.take());
        held.remove(&self.path);
    }
}

/// Reads a whole file of at most `most` bytes.
///
/// # Errors
/// [`StoreError::Io`] if it cannot be opened, [`StoreError::Unreadable`] if it cannot be read then;
/// [`StoreError::Corrupt`] if it is longer.
pub fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut bytes = Vec::new();
    if let Err(error) = file.take(most.saturating_add(1)).read_to_end(&mut bytes) {
        tracing::debug!("cannot read {}: {error}", path.display());
        return Err(StoreError::Unreadable);
    }
    if bytes.len() as u64 > most {
        let name = path.file_name().unwrap_or(path.as_os_str());
        return Err(StoreError::corrupt(
            name.display().to_string(),
            format!("more than {most} bytes are too many"),
        ));
    }
    Ok(bytes)
}

/// Replaces a file's content so that at every instant either the old or the new content is there, whole.
///
/// The new content is written beside it as `<name>.new`, made durable, and renamed over it.
///
/// # Errors
/// The disk's. Then one of the two is there, and perhaps the new one beside it, in part.
pub fn replace_file(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    replace_file_on(&Disk::default(), path, content)
}

/// As [`replace_file`], on a disk with a gate.
///
/// # Errors
/// As [`replace_file`].
pub fn replace_file_on(disk: &Disk, path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let temporary = replacement(path);
    let mut file = disk
        .create(&temporary)
        .map_err(StoreError::io("create", &temporary))?;
    file.write_all(content)
        .map_err(StoreError::io("write", &temporary))?;
    file.sync().map_err(StoreError::io("sync", &temporary))?;
    drop(file);
    disk.rename(&temporary, path)
        .map_err(StoreError::io("replace", path))?;
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => disk
            .sync_dir(dir)
            .map_err(StoreError::io("sync directory", dir)),
        _ => Ok(()),
    }
}

/// Where a file's new content is until it is whole.
pub(super) fn replacement(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_has_its_subdirectory() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let data = DataDir::open(dir.path(), Network::Regtest, None, "Test").expect("opens");
        assert_eq!(data.net(), dir.path().join("regtest"));
        assert!(dir.path().join("regtest/blocks/.lock").exists());
        DataDir::open(dir.path(), Network::Bitcoin, None, "Test").expect("another network is free");
    }

    #[test]
    fn a_held_directory_is_refused_until_it_is_let_go() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let held = DataDir::open(dir.path(), Network::Regtest, None, "Test").expect("opens");
        let error = DataDir::open(dir.path(), Network::Regtest, None, "Test").expect_err("is held");
        assert_eq!(
            error.to_string(),
            format!(
                "Cannot obtain a lock on directory {}. Test is probably already running.",
                dir.path().join("regtest").display()
            )
        );
        drop(held);
        DataDir::open(dir.path(), Network::Regtest, None, "Test").expect("is free again");
    }

    #[test]
    fn a_blocks_directory_must_exist() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let missing = dir.path().join("elsewhere");
        let error = DataDir::open(dir.path(), Network::Regtest, Some(&missing), "Test")
            .expect_err("is missing");
        assert!(matches!(error, DataDirError::MissingBlocks { .. }));
        fs::create_dir(&missing).expect("creates");
        let data =
            DataDir::open(dir.path(), Network::Regtest, Some(&missing), "Test").expect("opens");
        assert_eq!(data.blocks(), missing.join("regtest/blocks"));
    }

    #[test]
    fn a_replaced_file_has_the_new_content_and_leaves_nothing_beside() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("settings.json");
        replace_file(&path, b"one").expect("writes");
        replace_file(&path, b"two").expect("writes");
        assert_eq!(fs::read(&path).expect("reads"), b"two");
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 1);
    }
}
