//! The one error of every interface method.

use thiserror::Error;

/// Why a call through an interface gave no result.
///
/// A refusal that belongs to the method's own business (a transaction that the mempool rejects, a wallet that is not
/// found) is part of its result; this is for calls that did not come to a result at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The other process is gone. `during` tells whether the call may have taken effect there.
    #[error("{}", disconnected(*.during))]
    Disconnected {
        /// The connection ended after the call was sent and before its reply came.
        during: bool,
    },
    /// The implementation failed, with its reason.
    #[error("{0}")]
    Failed(String),
    /// The implementation does not offer this method.
    #[error("{0} is not supported here")]
    Unsupported(String),
    /// The call was given up by its caller or by a shutdown.
    #[error("call cancelled")]
    Cancelled,
    /// The reply did not come in the time the caller allows.
    #[error("call timed out")]
    TimedOut,
    /// A bound on size, depth or number was exceeded.
    #[error("{0}")]
    Limit(String),
    /// What arrived is not what the interface says.
    #[error("malformed message: {0}")]
    Malformed(String),
}

/// What every interface method returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn disconnected(during: bool) -> &'static str {
    if during {
        "IPC client method call interrupted by disconnect."
    } else {
        "IPC client method called after disconnect."
    }
}

impl Error {
    /// An error with the implementation's own reason.
    pub fn failed(reason: impl std::fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }

    /// The implementation does not offer `what`.
    pub fn unsupported(what: &str) -> Self {
        Self::Unsupported(what.to_owned())
    }

    /// Whether the process on the other side is gone.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected { .. })
    }
}
