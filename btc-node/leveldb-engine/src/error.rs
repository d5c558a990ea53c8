//! What can go wrong, in the words LevelDB uses, since people search for them.

use std::io;
use std::path::Path;

/// What the engine's functions give.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure. Cloneable, because a failure of the background thread is given to every later write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Files do not hold what the format asks for.
    #[error("Corruption: {0}")]
    Corruption(String),
    /// The files use a part of the format that this engine does not read.
    #[error("Not implemented: {0}")]
    NotSupported(String),
    /// The caller asked for what cannot be done.
    #[error("Invalid argument: {0}")]
    InvalidArgument(String),
    /// The file system refused.
    #[error("{}: {context}: {reason}", prefix(*.kind))]
    Io {
        /// The file, or what was tried with it.
        context: String,
        /// The class of the failure.
        kind: io::ErrorKind,
        /// The system's words.
        reason: String,
    },
}

/// LevelDB sets a missing file apart from other failures.
fn prefix(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "NotFound",
        _ => "IO error",
    }
}

impl Error {
    /// Corruption of the named file.
    pub(crate) fn corrupt(what: &str, file: &Path) -> Self {
        Self::Corruption(format!("{what}: {}", file.display()))
    }

    /// For `map_err`: a failure of the system on the named file.
    pub(crate) fn io(file: &Path) -> impl FnOnce(io::Error) -> Self + use<'_> {
        move |error| Self::from_io(file.display().to_string(), &error)
    }

    /// A failure of the system while doing what `context` says.
    pub(crate) fn from_io(context: String, error: &io::Error) -> Self {
        let text = error.to_string();
        // The system's message alone, without the number that the standard library appends.
        let reason = match text.split_once(" (os error ") {
            Some((message, _)) => message.to_owned(),
            None => text,
        };
        Self::Io {
            context,
            kind: error.kind(),
            reason,
        }
    }
}
