//! Why a node does not start.

use super::settings::SettingsError;
use super::wallets::WalletsError;
use crate::chainstate::OpenError;
use crate::index::{IndexError, StartIndexError};
use crate::store::StoreError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a node does not start. The texts are those that Core's daemon prints after `Error: `.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// An option is unknown, malformed or not to be had together with another.
    #[error(transparent)]
    Args(#[from] btc_interfaces::args::ArgsError),
    /// An option's value makes no sense.
    #[error("{0}")]
    Option(String),
    /// `settings.json` cannot be read.
    #[error("Settings file could not be read:\n- {0}")]
    ReadSettings(#[source] SettingsError),
    /// `settings.json` cannot be written.
    #[error("Settings file could not be written:\n- {0}")]
    WriteSettings(#[source] SettingsError),
    /// The data directory is in use, or not writable.
    #[error(transparent)]
    DataDir(#[from] crate::store::data_dir::DataDirError),
    /// The log is not to be had as the options ask for it.
    #[error(transparent)]
    Log(#[from] btc_interfaces::logging::LogError),
    /// The pid file cannot be written.
    #[error("Unable to create the PID file '{}': {}", .path.display(), system_text(.source))]
    PidFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The chain's databases cannot be opened or are not those of this chain.
    #[error("{}", with_remedy(.0))]
    Chainstate(#[from] OpenError),
    /// Blocks that an earlier run had stored cannot be entered.
    #[error("Error initializing block database: {0}")]
    Recover(#[source] crate::chainstate::SubmitError),
    /// Too little room is left to begin; told when it was found. Core's text.
    #[error("Error: Disk space is low for \"{}\"", .0.display())]
    DiskSpace(PathBuf),
    /// Old block files cannot be deleted as `-prune` asks for.
    #[error("Failed to flush state: {0}")]
    Prune(#[source] crate::chainstate::SubmitError),
    /// An index cannot be opened.
    #[error(transparent)]
    Index(#[from] crate::index::StartIndexError),
    /// The RPC server cannot start.
    #[error("Unable to start HTTP server. See debug log for details.")]
    Server,
    /// The process that started this one cannot be served.
    #[error("Invalid -ipcfd: {0}")]
    Parent(String),
    /// A socket of `-ipcbind` cannot be made.
    #[cfg(feature = "ipc")]
    #[error("Unable to bind to IPC address '{address}'. {source}")]
    IpcBind {
        /// The address as given.
        address: String,
        /// Why.
        source: super::serve::BindError,
    },
    /// The network of peers cannot be opened.
    #[error("{0}")]
    Network(String),
    /// The wallets cannot be started.
    #[error(transparent)]
    Wallets(#[from] WalletsError),
    /// The wallets refuse to load what is to be loaded, for reasons they have told.
    #[error("{}", .0.join("\n"))]
    WalletsRefused(Vec<String>),
    /// The system has no thread for a part of the node.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// A shutdown was asked for before the node was up.
    #[error("the start was interrupted by a shutdown")]
    Interrupted,
}

/// The system's words with its number, as Core prints them.
fn system_text(error: &std::io::Error) -> String {
    error.to_string().replace("(os error ", "(")
}

/// The error, and that a reindex may help where it may.
fn with_remedy(error: &OpenError) -> String {
    if remediable(error) {
        format!("{error}.\nPlease restart with -reindex or -reindex-chainstate to recover.")
    } else {
        error.to_string()
    }
}

/// Whether building the databases anew may help.
pub(super) fn remediable(error: &OpenError) -> bool {
    matches!(
        error,
        OpenError::BlockDatabase(_)
            | OpenError::BlockIndex(_)
            | OpenError::Store(_)
            | OpenError::BlockTree(_)
            | OpenError::MissingBlockFile { .. }
            | OpenError::BadProofOfWork(_)
            | OpenError::Pruned
            | OpenError::CoinsDatabase(_)
            | OpenError::Replay { .. }
            | OpenError::Initialize { .. }
            | OpenError::MissingWitness { .. }
            | OpenError::FromTheFuture
            | OpenError::Corrupted { .. }
    )
}

impl StartError {
    /// What is printed for it, if that is not its text after `Error: `. Where the error says how the user may mend it,
    /// Core asks a question and prints it as it is; the failure of an index's database is one that Core does not catch
    /// before its last line.
    pub(crate) fn printed(&self) -> Option<String> {
        match self {
            Self::Chainstate(error) if remediable(error) => Some(format!("{self}\n")),
            Self::Index(
                StartIndexError::Store(StoreError::Kv(error))
                | StartIndexError::State {
                    source: IndexError::Store(StoreError::Kv(error)),
                    ..
                },
            ) => Some(format!(
                "\n\n************************\nEXCEPTION: 15dbwrapper_error       \n{error}       \nbitcoin in \
                 AppInit()       \n\n"
            )),
            _ => None,
        }
    }

    /// Whether its reasons were passed on as [messages](super::Message::Error) when they came up.
    pub fn is_told(&self) -> bool {
        matches!(self, Self::WalletsRefused(_) | Self::DiskSpace(_))
    }
}
