//! Where wallets lie, and which files are wallets.

use super::DbError;
use bitcoin::p2p::Magic;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// The database's name within a wallet's directory.
pub(crate) const DATA_FILE: &str = "wallet.dat";

const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
const APPLICATION_ID_OFFSET: usize = 68;
const SQLITE_MIN_SIZE: u64 = 512;
const BDB_MIN_SIZE: u64 = 4096;
const BDB_MAGIC_OFFSET: usize = 12;
const BDB_MAGIC: [u8; 4] = [0x62, 0x31, 0x05, 0x00];
/// Directories below the wallets' directory that a listing looks into.
const MAX_LIST_DEPTH: usize = 8;

/// What kind of wallet a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// SQLite, for this network.
    Sqlite,
    /// Berkeley DB: a wallet of old, which must be migrated by Core first.
    Berkeley,
}

fn head<const N: usize>(path: &Path, min_size: u64) -> Option<[u8; N]> {
    let mut file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() < min_size {
        return None;
    }
    let mut head = [0; N];
    file.read_exact(&mut head).ok()?;
    Some(head)
}

fn is_sqlite(path: &Path, magic: Magic) -> bool {
    head::<{ APPLICATION_ID_OFFSET + 4 }>(path, SQLITE_MIN_SIZE).is_some_and(|head| {
        head.starts_with(SQLITE_MAGIC) && head[APPLICATION_ID_OFFSET..] == magic.to_bytes()
    })
}

fn is_berkeley(path: &Path) -> bool {
    head::<{ BDB_MAGIC_OFFSET + 4 }>(path, BDB_MIN_SIZE).is_some_and(|head| {
        let found = &head[BDB_MAGIC_OFFSET..];
        found == BDB_MAGIC || found.iter().rev().eq(&BDB_MAGIC)
    })
}

/// The directory of the wallet `name`, which need not exist, below `wallets`. Names may be absolute paths.
pub(crate) fn wallet_path(wallets: &Path, name: &str) -> Result<PathBuf, DbError> {
    let path = Path::new(name);
    // A normal name loses nothing by being taken apart and put together, but for a slash at its end.
    let normal: PathBuf = path.components().collect();
    let trimmed = Path::new(
        name.strip_suffix('/')
            .filter(|rest| !rest.is_empty())
            .unwrap_or(name),
    );
    let leaves_here = path.components().next() == Some(Component::CurDir) && name != ".";
    let has_inner_parent = path
        .components()
        .skip_while(|part| *part == Component::ParentDir)
        .any(|part| part == Component::ParentDir);
    if normal.as_os_str() != trimmed.as_os_str() || leaves_here || has_inner_parent {
        return Err(DbError::NotNormalized);
    }
    match path.components().next() {
        Some(Component::CurDir | Component::ParentDir) => return Err(DbError::OutsideWallets),
        Some(Component::RootDir) if path.components().nth(1).is_none() => {
            return Err(DbError::RootPath);
        }
        _ => {}
    }
    let full = wallets.join(path);
    let usable = match fs::symlink_metadata(&full) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => {
            return Err(DbError::Access {
                path: full,
                reason: error.to_string(),
            });
        }
        Ok(found) => {
            found.is_dir()
                || found.is_symlink() && full.is_dir()
                || found.is_file() && path.components().count() == 1
        }
    };
    if !usable {
        return Err(DbError::BadPath {
            name: name.to_owned(),
            wallets: wallets.to_owned(),
        });
    }
    Ok(full)
}

/// What lies at a wallet's path: `Ok(None)` if nothing does or a directory without a wallet.
pub(crate) fn detect(path: &Path, magic: Magic) -> Result<Option<Format>, DbError> {
    let berkeley = if path.is_file() {
        is_berkeley(path)
    } else {
        is_berkeley(&path.join(DATA_FILE))
    };
    let sqlite = is_sqlite(&path.join(DATA_FILE), magic);
    match (berkeley, sqlite) {
        (true, true) => Err(DbError::Ambiguous(path.to_owned())),
        (true, false) => Ok(Some(Format::Berkeley)),
        (false, true) => Ok(Some(Format::Sqlite)),
        (false, false) => Ok(None),
    }
}

/// The wallets below `wallets`, by name, sorted; what cannot be read is passed over.
pub(crate) fn list(wallets: &Path, magic: Magic) -> Vec<(String, Format)> {
    let mut found = Vec::new();
    let mut pending = vec![(wallets.to_owned(), 0)];
    while let Some((directory, depth)) = pending.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            tracing::warn!(
                "Error scanning directory entries under {}",
                directory.display()
            );
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(relative) = path.strip_prefix(wallets) else {
                continue;
            };
            if path.is_dir() {
                if let Ok(Some(format)) = detect(&path, magic) {
                    found.push((relative.to_string_lossy().into_owned(), format));
                }
                // Links to directories count as wallets, but are not followed further: they may lead in circles.
                if depth < MAX_LIST_DEPTH && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    pending.push((path, depth + 1));
                }
            } else if depth == 0
                && entry.file_type().is_ok_and(|kind| kind.is_file())
                && path.extension().is_none_or(|extension| extension != "bak")
            {
                let default = path.file_name().is_some_and(|name| name == DATA_FILE);
                let name = if default {
                    String::new()
                } else {
                    relative.to_string_lossy().into_owned()
                };
                if is_berkeley(&path) {
                    found.push((name, Format::Berkeley));
                } else if default && is_sqlite(&path, magic) {
                    found.push((name, Format::Sqlite));
                }
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
