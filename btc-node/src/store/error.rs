//! What can go wrong between the node and its disk.

use std::io;
use std::path::{Path, PathBuf};

use super::codec::DecodeError;
use super::kv::KvError;

/// A failure of the store. None of them says anything about the validity of a block.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The key-value engine failed; the text is Core's.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// An operating system call failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as an infinitive: "open", "write".
        action: &'static str,
        /// The file or directory concerned.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Bytes on disk do not mean what they should.
    #[error("corrupt {what}: {reason}")]
    Corrupt {
        /// Which record or file.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is shorter than what it holds; the text is Core's.
    #[error("AutoFile::read: end of file: iostream error")]
    EndOfFile,
    /// A file that is there cannot be read; the text is Core's.
    #[error("AutoFile::read: fread failed: iostream error")]
    Unreadable,
    /// A file that is needed cannot be opened; the text is Core's.
    #[error("AutoFile::read: file handle is nullptr: iostream error")]
    NotOpened,
    /// Less than the reserve would be left on the file system.
    #[error("Disk space is too low!")]
    DiskSpace,
    /// `-blocksxor=0` on a directory whose files are obfuscated.
    #[error(
        "The blocksdir XOR-key can not be disabled when a random key was already stored! \
         Stored key: '{key}', stored path: '{}'.", path.display()
    )]
    XorKeyStored {
        /// The stored key in hexadecimal. It obscures data from virus scanners and is no secret.
        key: String,
        /// Where it is stored.
        path: PathBuf,
    },
}

impl StoreError {
    /// Wraps an I/O error with what was attempted on which path.
    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// A record that does not decode.
    pub(crate) fn corrupt(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Corrupt {
            what: what.into(),
            reason: reason.to_string(),
        }
    }

    /// Turns a decoding failure into a corrupt `what`.
    pub(crate) fn decode(what: &'static str) -> impl FnOnce(DecodeError) -> Self {
        move |error| Self::corrupt(what, error)
    }
}
