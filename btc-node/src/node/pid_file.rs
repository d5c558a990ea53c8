//! The file that tells other programs the node's process id.

use std::path::{Path, PathBuf};

/// A pid file, removed on drop.
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes this process's id and a line feed to `path`.
    pub(crate) fn create(path: &Path) -> std::io::Result<Self> {
        std::fs::write(path, format!("{}\n", std::process::id()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!("Unable to remove PID file ({}): {error}", self.0.display());
        }
    }
}
