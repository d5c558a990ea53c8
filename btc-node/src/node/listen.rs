//! `-ipcbind`: sockets on which the node offers its objects to other programs.
//!
//! Who can open the socket has full control of the node, so its directory's permissions are its only protection; the
//! path lies in the data directory unless the user says otherwise.

use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The size of a Unix address's path on Linux, its final zero included.
const MAX_PATH: usize = 108;

/// Why an address cannot be used. Texts are Core's where it has them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is neither `unix` nor `unix:<path>`.
    #[error("Unrecognized address '{0}'")]
    Unrecognized(String),
    /// The system takes no path of this length.
    #[error("Unix address path \"{}\" exceeded maximum socket path length", .0.display())]
    TooLong(PathBuf),
    /// The socket cannot be made.
    #[error("{}: {source}", .path.display())]
    Bind {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The path of a socket's address: `unix` means `<net_dir>/<name>.sock`, `unix:<path>` that path, from `net_dir` on if
/// it is relative.
pub(crate) fn socket_path(
    address: &str,
    net_dir: &Path,
    name: &str,
) -> Result<PathBuf, AddressError> {
    let path = match address.strip_prefix("unix") {
        Some("" | ":") => net_dir.join(format!("{name}.sock")),
        Some(rest) if rest.starts_with(':') => net_dir.join(&rest[1..]),
        _ => return Err(AddressError::Unrecognized(address.to_owned())),
    };
    if path.as_os_str().len() >= MAX_PATH {
        return Err(AddressError::TooLong(path));
    }
    Ok(path)
}

/// Listens on a Unix socket, in place of one that an earlier run left. Anything else that lies there stays.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, AddressError> {
    let failed = |source| AddressError::Bind {
        path: path.to_owned(),
        source,
    };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    if std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
        std::fs::remove_file(path).map_err(failed)?;
    }
    UnixListener::bind(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_core_reads_them() {
        let net_dir = Path::new("/data/regtest");
        let path = |address: &str| {
            socket_path(address, net_dir, "node")
                .map(|path| path.display().to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(path("unix").unwrap(), "/data/regtest/node.sock");
        assert_eq!(path("unix:").unwrap(), "/data/regtest/node.sock");
        assert_eq!(path("unix:path.sock").unwrap(), "/data/regtest/path.sock");
        assert_eq!(path("unix:/run/b.sock").unwrap(), "/run/b.sock");
        assert_eq!(
            path("invalid").unwrap_err(),
            "Unrecognized address 'invalid'"
        );
        assert_eq!(path("unixx").unwrap_err(), "Unrecognized address 'unixx'");
        let long = format!("unix:{}.sock", "0".repeat(100));
        assert_eq!(
            path(&long).unwrap_err(),
            format!(
                "Unix address path \"/data/regtest/{}.sock\" exceeded maximum socket path length",
                "0".repeat(100)
            )
        );
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/node.sock");
        drop(bind(&path).unwrap());
        assert!(path.exists(), "nothing removes it at the end");
        bind(&path).unwrap();
        let file = dir.path().join("precious");
        std::fs::write(&file, "x").unwrap();
        assert!(matches!(bind(&file), Err(AddressError::Bind { .. })));
        assert_eq!(std::fs::read_to_string(file).unwrap(), "x");
    }
}
