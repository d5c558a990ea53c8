//! Messages written to files, for those who study the network (`-capturemessages`).

use crate::net::address::Endpoint;
use crate::net::message::Command;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Which way a message went.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Received,
    Sent,
}

/// The messages of one connection, in a folder named by the peer's address.
pub(super) struct Capture {
    folder: PathBuf,
}

impl Capture {
    pub(super) fn new(parent: &Path, peer: Endpoint) -> Self {
        Self {
            // Colons mean something in paths of some systems.
            folder: parent.join(peer.to_string().replace(':', "_")),
        }
    }

    /// Appends a message. A failure is told and costs the record alone.
    pub(super) fn write(&self, direction: Direction, command: Command, payload: &[u8]) {
        if let Err(error) = self.append(direction, command, payload) {
            let folder = self.folder.display();
            tracing::warn!(target: "net", "cannot write a message to {folder}: {error}");
        }
    }

    /// An entry is the time in microseconds, the type's name, the payload's length and the payload.
    fn append(&self, direction: Direction, command: Command, payload: &[u8]) -> io::Result<()> {
        let name = match direction {
            Direction::Received => "msgs_recv.dat",
            Direction::Sent => "msgs_sent.dat",
        };
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let length = u32::try_from(payload.len()).expect("a message is short");
        let mut entry = Vec::with_capacity(24 + payload.len());
        entry.extend(time.to_le_bytes());
        entry.extend(command.to_wire());
        entry.extend(length.to_le_bytes());
        entry.extend_from_slice(payload);
        std::fs::create_dir_all(&self.folder)?;
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(name))?
            .write_all(&entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_can_be_read_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let peer = Endpoint::parse("127.0.0.1:7", 0).expect("an address");
        let capture = Capture::new(dir.path(), peer);
        let command = Command::new("ping").expect("is short");
        capture.write(Direction::Sent, command, &[1, 2, 3]);
        capture.write(Direction::Sent, command, &[]);
        let file = dir.path().join("127.0.0.1_7/msgs_sent.dat");
        let bytes = std::fs::read(file).expect("was written");
        assert_eq!(bytes.len(), 24 + 3 + 24);
        assert_eq!(&bytes[8..20], b"ping\0\0\0\0\0\0\0\0");
        assert_eq!(&bytes[20..27], [3, 0, 0, 0, 1, 2, 3]);
    }
}
