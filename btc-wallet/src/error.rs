//! The one error of the wallet's own operations.

use crate::db::DbError;
use crate::db::record::RecordError;
use crate::keys::KeyError;
use btc_interfaces::descriptor::DescriptorError;
use btc_interfaces::rpc::{RpcError, code};

/// Why the wallet could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// The node is gone or failed.
    #[error(transparent)]
    Chain(#[from] btc_interfaces::Error),
    /// The wallet's file cannot be used.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The wallet's file holds something else than a wallet.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Keys cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A refusal with its RPC code.
    #[error(transparent)]
    Refused(#[from] RpcError),
}

impl From<DescriptorError> for WalletError {
    fn from(error: DescriptorError) -> Self {
        Self::Key(error.into())
    }
}

impl WalletError {
    /// A refusal with this code and text.
    pub fn refused(code: i32, message: impl Into<String>) -> Self {
        Self::Refused(RpcError::new(code, message))
    }

    /// The RPC code that reports it.
    pub fn code(&self) -> i32 {
        match self {
            Self::Chain(_) => code::MISC_ERROR,
            Self::Db(error) => error.rpc_code(),
            Self::Record(RecordError::Db(error)) => error.rpc_code(),
            Self::Record(_) => code::WALLET_ERROR,
            Self::Key(KeyError::KeypoolRanOut) => code::WALLET_KEYPOOL_RAN_OUT,
            Self::Key(_) => code::WALLET_ERROR,
            Self::Refused(error) => error.code,
        }
    }
}

impl From<WalletError> for RpcError {
    fn from(error: WalletError) -> Self {
        match error {
            WalletError::Refused(error) => error,
            other => RpcError::new(other.code(), other.to_string()),
        }
    }
}

/// What the wallet's operations return.
pub type Result<T, E = WalletError> = std::result::Result<T, E>;
