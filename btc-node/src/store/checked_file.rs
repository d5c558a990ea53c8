//! Small files with the network's magic before and a checksum after: `peers.dat` and `anchors.dat`.

use super::data_dir::{read_file, replace_file_on};
use super::disk::Disk;
use super::error::StoreError;
use bitcoin::hashes::{Hash, sha256d};
use std::path::Path;

/// Length of the checksum.
const CHECKSUM: usize = 32;
/// Largest file that is read, far above what a full table of addresses makes.
const MAX_FILE: u64 = 256 << 20;

/// Why a file's content is not to be trusted. Texts are Core's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckedFileError {
    /// It ends too early.
    #[error("AutoFile::read: end of file: iostream error")]
    End,
    /// It is another network's.
    #[error("Invalid network magic number")]
    Magic,
    /// It is not as it was written.
    #[error("Checksum mismatch, data corrupted")]
    Checksum,
}

/// A file's bytes. Where its content ends is known to who reads that.
#[derive(Clone, Debug)]
pub struct CheckedFile(Vec<u8>);

impl CheckedFile {
    /// Reads a file; `None` if there is none, or none that may be opened, which counts as none.
    ///
    /// # Errors
    /// The disk's; it is larger than any such file.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        match read_file(path, MAX_FILE) {
            Ok(bytes) => Ok(Some(Self(bytes))),
            Err(StoreError::Io { source, .. }) => {
                tracing::debug!("cannot open {}: {source}", path.display());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Everything after the magic.
    ///
    /// # Errors
    /// The magic is another's, or cut.
    pub fn content(&self, magic: [u8; 4]) -> Result<&[u8], CheckedFileError> {
        let (found, content) = self.0.split_first_chunk().ok_or(CheckedFileError::End)?;
        if *found != magic {
            return Err(CheckedFileError::Magic);
        }
        Ok(content)
    }

    /// Checks what follows the content, which takes `length` bytes.
    ///
    /// # Errors
    /// The checksum differs or is cut.
    pub fn verify(&self, length: usize) -> Result<(), CheckedFileError> {
        let (checked, rest) = self
            .0
            .split_at_checked(4 + length)
            .ok_or(CheckedFileError::End)?;
        let checksum: &[u8; CHECKSUM] = rest.first_chunk().ok_or(CheckedFileError::End)?;
        if sha256d::Hash::hash(checked).to_byte_array() != *checksum {
            return Err(CheckedFileError::Checksum);
        }
        Ok(())
    }
}

/// Writes a file, in place of the one that is there.
///
/// # Errors
/// The disk's; the old file is then still there.
pub fn write(path: &Path, magic: [u8; 4], content: &[u8]) -> Result<(), StoreError> {
    write_on(&Disk::default(), path, magic, content)
}

/// As [`write()`], on a disk with a gate.
///
/// # Errors
/// As [`write()`].
pub fn write_on(
    disk: &Disk,
    path: &Path,
    magic: [u8; 4],
    content: &[u8],
) -> Result<(), StoreError> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(content);
    let checksum = sha256d::Hash::hash(&bytes).to_byte_array();
    bytes.extend_from_slice(&checksum);
    replace_file_on(disk, path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_or_cut_is_not_trusted() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("peers.dat");
        assert!(
            CheckedFile::open(&path)
                .expect("nothing is there")
                .is_none()
        );
        write(&path, [1, 2, 3, 4], b"content").expect("writes");
        let file = CheckedFile::open(&path).expect("reads").expect("is there");
        assert_eq!(file.content([1, 2, 3, 5]), Err(CheckedFileError::Magic));
        let content = file.content([1, 2, 3, 4]).expect("is this network's");
        assert!(content.starts_with(b"content"));
        assert_eq!(file.verify(7), Ok(()));
        assert_eq!(file.verify(6), Err(CheckedFileError::Checksum));
        assert_eq!(file.verify(8), Err(CheckedFileError::End));
        assert_eq!(
            CheckedFile(vec![1]).content([1; 4]),
            Err(CheckedFileError::End)
        );
    }
}
