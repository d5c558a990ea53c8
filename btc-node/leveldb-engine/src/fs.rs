//! The file system as the engine sees it, so that a test can make any call fail.

mod memory;
mod real;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::key;

pub use memory::{Crash, Fault, MemoryFs};
pub use real::RealFs;

/// What the engine needs of a file system. Paths are those of the database's directory and of files right in it.
pub trait Fs: Send + Sync + Debug {
    /// Creates an empty file for appending; one that is there loses what it holds.
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>>;

    /// Names of the files in a directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name; a file that has that name is replaced in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Creates a directory and those above it; that it exists is no error.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Returns once the names of the directory's files are on the disk.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Whether there is a file of that name.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Creates the file if need be and locks it against this and other processes until the guard drops.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>>;
}

/// A file that grows at its end.
pub trait AppendFile: Send + Debug {
    /// Writes all of `bytes`. After an error any part of them may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns once what was appended is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is read at any place, by several threads at once.
pub trait ReadFile: Send + Sync + Debug {
    /// Reads into `buffer` from `offset`; fewer bytes than asked for only at the file's end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The file's size in bytes.
    fn size(&self) -> io::Result<u64>;
}

/// Holds a lock until it drops.
pub trait LockGuard: Send + Sync + Debug {}

/// Kinds of files in a database, with the number in the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    Current,
    Lock,
    InfoLog,
    Log(u64),
    Table(u64),
    Manifest(u64),
    Temporary(u64),
}

impl FileName {
    /// Reads a name; `None` for one that is not the engine's.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "CURRENT" => return Some(Self::Current),
            "LOCK" => return Some(Self::Lock),
            "LOG" | "LOG.old" => return Some(Self::InfoLog),
            _ => {}
        }
        if let Some(digits) = name.strip_prefix("MANIFEST-") {
            return number(digits).map(Self::Manifest);
        }
        let (digits, suffix) = name.split_once('.')?;
        let number = number(digits)?;
        match suffix {
            "log" => Some(Self::Log(number)),
            "ldb" | "sst" => Some(Self::Table(number)),
            "dbtmp" => Some(Self::Temporary(number)),
            _ => None,
        }
    }

    /// The path of this file in the database's directory.
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        dir.join(match self {
            Self::Current => "CURRENT".into(),
            Self::Lock => "LOCK".into(),
            Self::InfoLog => "LOG".into(),
            Self::Log(n) => format!("{n:06}.log"),
            Self::Table(n) => format!("{n:06}.ldb"),
            Self::Manifest(n) => format!("MANIFEST-{n:06}"),
            Self::Temporary(n) => format!("{n:06}.dbtmp"),
        })
    }
}

/// Digits alone: `parse` would also take a sign. As in the manifest, numbers have 56 bits.
fn number(digits: &str) -> Option<u64> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
        .filter(|&number| number <= key::MAX_SEQUENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_strangers_are_left_alone() {
        for file in [
            FileName::Current,
            FileName::Lock,
            FileName::Log(7),
            FileName::Table(1_234_567),
            FileName::Manifest(3),
            FileName::Temporary(9),
        ] {
            let path = file.path(Path::new("/db"));
            let name = path.file_name().and_then(|n| n.to_str()).expect("named");
            assert_eq!(FileName::parse(name), Some(file), "{name}");
        }
        assert_eq!(FileName::parse("000005.sst"), Some(FileName::Table(5)));
        for name in [
            "",
            ".log",
            "+1.log",
            "1.txt",
            "MANIFEST-",
            "MANIFEST-1x",
            "notes.ldb",
            "CURRENT.bak",
            "99999999999999999999.ldb",
            "18446744073709551615.log",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }
}
