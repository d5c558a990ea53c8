//! What can be wrong with the log.

use std::path::PathBuf;
use thiserror::Error;

/// Why there is no log as the options ask for it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// `-debug` or `-debugexclude` names no category.
    #[error("Unsupported logging category -{option}={category}.")]
    Category {
        /// The option.
        option: &'static str,
        /// What it names.
        category: String,
    },
    /// `-loglevel` names no level.
    #[error("Unsupported global logging level -loglevel={0}. Valid values: info, debug, trace.")]
    Level(String),
    /// `-loglevel` names no category and level.
    #[error(
        "Unsupported category-specific logging level -loglevel={0}. Expected -loglevel=<category>:<loglevel>. Valid categories: {categories}. Valid loglevels: info, debug, trace.",
        categories = super::CATEGORIES.join(", ")
    )]
    CategoryLevel(String),
    /// The file cannot be opened.
    #[error("Could not open debug log file {}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The process has a log already.
    #[error("this process logs already")]
    Installed,
}
