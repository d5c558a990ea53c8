//! The one error of every remote call.

use std::sync::Arc;

use crate::wire::WireError;

/// What a call may end in instead of its result.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer is gone.
    #[error("{}", disconnect_text(*during))]
    Disconnected {
        /// Whether it went while the call was under way, so that the call may have had its effect.
        during: bool,
    },
    /// The peer answered with an exception.
    #[error("{reason}")]
    Remote {
        /// How the exception is classed.
        kind: ExceptionKind,
        /// Its text, without the `std::exception: ` that it bears on the wire.
        reason: String,
    },
    /// The call was cancelled before it ended.
    #[error("call was cancelled")]
    Cancelled,
    /// The call took longer than its caller allowed.
    #[error("call timed out")]
    Timeout,
    /// The peer sent something that does not mean what the schema says.
    #[error("cannot decode `{what}`: {source}")]
    Decode {
        /// Which parameter, result or field.
        what: &'static str,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A limit of this side was reached; see [`Limits`](crate::Limits).
    #[error("limit of {limit} {what} reached")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// How many or how much is allowed.
        limit: u64,
    },
    /// The process on the other side is not the one that was wanted; see [`PeerCheck`](crate::PeerCheck).
    #[error("peer is {}, not user {wanted}", user_text(*user))]
    WrongPeer {
        /// The user id of its process; `None` where the transport cannot tell.
        user: Option<u32>,
        /// The user id that it must have.
        wanted: u32,
    },
    /// The object was destroyed by its owner.
    #[error("object was destroyed")]
    Destroyed,
    /// The call cannot be made from here, for the reason given.
    #[error("{0}")]
    Local(String),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        source: Arc<std::io::Error>,
    },
}

/// How a remote exception is classed. The names and meanings are those of Cap'n Proto's RPC protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExceptionKind {
    /// Something went wrong.
    Failed,
    /// There is too much to do now; trying later may work.
    Overloaded,
    /// The object's own connection to something is gone.
    Disconnected,
    /// The method does not exist on that side.
    Unimplemented,
}

/// Why a value cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The message itself is broken.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// An integer does not fit the type it is read into, or the field it is written to.
    #[error("out of bound int received")]
    IntegerRange,
    /// An integer is no value of its enum.
    #[error("{0} is no value of {1}")]
    NoVariant(i64, &'static str),
    /// A capability that must be there is null or not in the message's table.
    #[error("missing capability")]
    MissingCapability,
    /// The field is of a kind that the Rust type cannot be kept in.
    #[error("schema keeps {schema} here, not {rust}")]
    Kind {
        /// What the schema says.
        schema: &'static str,
        /// What the Rust type wants.
        rust: &'static str,
    },
    /// A value that its own decoder refuses, in that decoder's words.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// An error of a server method, with the text that the caller is to see.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Remote {
            kind: ExceptionKind::Failed,
            reason: reason.into(),
        }
    }

    /// A method that is declared but not offered.
    pub fn unimplemented(reason: impl Into<String>) -> Self {
        Self::Remote {
            kind: ExceptionKind::Unimplemented,
            reason: reason.into(),
        }
    }

    /// A request refused because there are too many.
    pub fn overloaded(reason: impl Into<String>) -> Self {
        Self::Remote {
            kind: ExceptionKind::Overloaded,
            reason: reason.into(),
        }
    }

    /// A value that cannot be decoded.
    pub fn decode(what: &'static str, source: impl Into<DecodeError>) -> Self {
        Self::Decode {
            what,
            source: source.into(),
        }
    }

    /// Whether the peer is gone.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected { .. })
    }

    pub(crate) fn io(what: &'static str, source: impl Into<std::io::Error>) -> Self {
        Self::Io {
            what,
            source: Arc::new(source.into()),
        }
    }

    /// Class and text of the exception that the caller of a failed method gets, as it stands on the wire.
    pub(crate) fn to_exception(&self) -> (ExceptionKind, String) {
        let kind = match self {
            Self::Remote { kind, .. } => *kind,
            Self::Limit { .. } => ExceptionKind::Overloaded,
            Self::Disconnected { .. } => ExceptionKind::Disconnected,
            _ => ExceptionKind::Failed,
        };
        let text = self.to_string();
        match kind {
            // The runtime's own words for a missing method, which peers compare.
            ExceptionKind::Unimplemented => (kind, text),
            _ => (kind, format!("{WIRE_PREFIX}{text}")),
        }
    }

    pub(crate) fn from_exception(kind: ExceptionKind, reason: &str) -> Self {
        let reason = reason
            .strip_prefix(WIRE_PREFIX)
            .unwrap_or(reason)
            .to_owned();
        Self::Remote { kind, reason }
    }
}

impl From<WireError> for Error {
    fn from(source: WireError) -> Self {
        Self::decode("message", source)
    }
}

/// What libmultiprocess puts before the text of an undeclared exception.
const WIRE_PREFIX: &str = "std::exception: ";

fn user_text(user: Option<u32>) -> String {
    user.map_or_else(|| "unknown".to_owned(), |user| format!("user {user}"))
}

fn disconnect_text(during: bool) -> &'static str {
    if during {
        "IPC client method call interrupted by disconnect."
    } else {
        "IPC client method called after disconnect."
    }
}
