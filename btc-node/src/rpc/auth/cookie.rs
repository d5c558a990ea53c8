//! The cookie file: a password for whoever may read the data directory.

use bitcoin::hex::DisplayHex as _;
use bitcoin::secp256k1::rand::{RngCore as _, rngs::OsRng};
use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The user that the cookie file names.
pub const COOKIE_USER: &str = "__cookie__";

/// Who may read the cookie file, from `-rpccookieperms`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CookiePerms {
    /// The user that runs the node.
    #[default]
    Owner,
    /// That user's group, too.
    Group,
    /// Everybody.
    All,
}

impl CookiePerms {
    /// What `-rpccookieperms` says: `owner`, `group` or `all`.
    pub fn from_option(text: &str) -> Option<Self> {
        match text {
            "owner" => Some(Self::Owner),
            "group" => Some(Self::Group),
            "all" => Some(Self::All),
            _ => None,
        }
    }

    /// As `ls` shows them.
    pub const fn symbols(self) -> &'static str {
        match self {
            Self::Owner => "rw-------",
            Self::Group => "rw-r-----",
            Self::All => "rw-r--r--",
        }
    }

    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o640,
            Self::All => 0o644,
        }
    }
}

/// The cookie file cannot be written or read.
#[derive(Debug, Error)]
#[error("cookie authentication file {}: {source}", .path.display())]
pub struct CookieError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// A cookie file that this process wrote; dropping it deletes the file.
pub struct CookieFile {
    path: PathBuf,
    password: String,
}

impl fmt::Debug for CookieFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CookieFile({})", self.path.display())
    }
}

impl CookieFile {
    /// Writes a new random password to `path`. The file appears whole or not at all, and is never readable by more than
    /// `perms` says.
    pub fn create(path: &Path, perms: CookiePerms) -> Result<Self, CookieError> {
        let mut secret = [0_u8; 32];
        OsRng.fill_bytes(&mut secret);
        let password = secret.to_lower_hex_string();
        write(path, &password, perms).map_err(|source| CookieError {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            password,
        })
    }

    /// User and password in it.
    pub fn credentials(&self) -> (&'static str, &str) {
        (COOKIE_USER, &self.password)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first line of another process's cookie file: `user:password`.
    pub fn read(path: &Path) -> Result<String, CookieError> {
        let text = fs::read_to_string(path).map_err(|source| CookieError {
            path: path.to_owned(),
            source,
        })?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

impl Drop for CookieFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(
                "Unable to remove random auth cookie file {}: {error}",
                self.path.display()
            );
        }
    }
}

fn write(path: &Path, password: &str, perms: CookiePerms) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    // A file left by a crash may have other permissions, and create_new refuses it.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    write!(file, "{COOKIE_USER}:{password}")?;
    file.set_permissions(Permissions::from_mode(perms.mode()))?;
    drop(file);
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_lives_as_long_as_its_owner() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(".cookie");
        let cookie = CookieFile::create(&path, CookiePerms::Owner).expect("written");
        let mode = fs::metadata(&path).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (user, password) = cookie.credentials();
        assert_eq!(
            CookieFile::read(&path).expect("read"),
            format!("{user}:{password}")
        );
        assert!(!format!("{cookie:?}").contains(password));
        drop(cookie);
        assert!(!path.exists());
    }

    #[test]
    fn permissions_as_asked_and_a_stale_temporary_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(".cookie");
        fs::write(dir.path().join(".cookie.tmp"), "old").expect("written");
        let _cookie = CookieFile::create(&path, CookiePerms::All).expect("written");
        let mode = fs::metadata(&path).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        assert!(CookieFile::create(&dir.path().join("no/such"), CookiePerms::Owner).is_err());
    }
}
