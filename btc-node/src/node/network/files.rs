//! What the node knows of addresses, kept over a restart: `peers.dat`, `banlist.json`, `anchors.dat`; and the keys of its
//! own addresses on I2P and Tor, `i2p_private_key` and `onion_v3_private_key`.

use crate::net::addrman::{AddrMan, AddrManFileError};
use crate::net::asmap::Asmap;
use crate::net::bans::Bans;
use crate::net::dial::i2p::KeyFile;
use crate::net::message::{Reader, put};
use crate::net::netgroup::NetGroups;
use crate::net::{Directory, PeerAddress};
use crate::node::{StartError, settings};
use crate::store::checked_file::{self, CheckedFile};
use crate::store::data_dir::replace_file;
use bitcoin::Txid;
use bitcoin::consensus::encode::VarInt;
use bitcoin::hashes::Hash;
use bitcoin::key::rand::{RngCore, rngs::OsRng};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where to tell of an error that is none of the user's making.
const BUG_REPORT: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");
/// Peers for blocks that are tried first after a restart.
pub(super) const MAX_ANCHORS: usize = 2;

/// The greatest map of operators, in bytes; those in use take some two million.
const MAX_ASMAP: u64 = 100_000_000;

/// Where the files are, and of which network.
#[derive(Clone, Debug)]
pub(super) struct Files {
    dir: PathBuf,
    magic: [u8; 4],
}

/// How the address book is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct BookOptions {
    /// `-checkaddrman`: one of so many calls checks it all.
    pub(crate) check_ratio: u32,
    /// `-test=addrman`: without secrets.
    pub(crate) deterministic: bool,
    /// `-bantime`, in seconds.
    pub(crate) ban_time: i64,
}

/// A file with a key of this node: who has it can take the node's place.
#[derive(Clone, Debug)]
pub(super) struct SecretFile {
    path: PathBuf,
}

impl SecretFile {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        let path = dir.join(name);
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> String {
        format!("\"{}\": {error}", self.path.display())
    }

    /// Writes it anew, for its owner's eyes only whatever the process's habit is.
    fn write(&self, key: &[u8]) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(key)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)
    }
}

impl KeyFile for SecretFile {
    fn load(&self) -> Result<Option<Vec<u8>>, String> {
        /// Keys are shorter, of whatever kind.
        const MAX_KEY: u64 = 10_000;
        let mut key = Vec::new();
        let read = File::open(&self.path).and_then(|file| file.take(MAX_KEY).read_to_end(&mut key));
        match read {
            Ok(_) => Ok(Some(key)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn save(&self, key: &[u8]) -> Result<(), String> {
        self.write(key).map_err(|error| self.failed(&error))
    }
}

impl Files {
    pub(super) fn new(dir: &Path, magic: [u8; 4]) -> Self {
        Self {
            dir: dir.to_owned(),
            magic,
        }
    }

    fn peers(&self) -> PathBuf {
        self.dir.join("peers.dat")
    }

    fn bans(&self) -> PathBuf {
        self.dir.join("banlist.json")
    }

    fn anchors(&self) -> PathBuf {
        self.dir.join("anchors.dat")
    }

    /// Reads the address book, or makes a new one.
    /// What addresses are grouped by: a map from a file, `Some(None)` for one that this program does not bring along.
    pub(super) fn load_groups(
        &self,
        asmap: Option<&Option<PathBuf>>,
    ) -> Result<NetGroups, StartError> {
        let failed = |text: String| Err(StartError::Network(text));
        let path = match asmap {
            None => {
                tracing::info!("Using /16 prefix for IP bucketing");
                return Ok(NetGroups::default());
            }
            Some(None) => return failed("Embedded asmap data not available".to_owned()),
            Some(Some(path)) => self.dir.join(path),
        };
        let quoted = format!("\"{}\"", path.display());
        if !path.exists() {
            return failed(format!("Could not find asmap file {quoted}"));
        }
        let unreadable = || failed(format!("Could not parse asmap file {quoted}"));
        let length = std::fs::metadata(&path).map_or(u64::MAX, |metadata| metadata.len());
        if length > MAX_ASMAP {
            tracing::warn!("asmap file {quoted} is larger than any map");
            return unreadable();
        }
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!("Failed to open asmap file from disk: {error}");
                return unreadable();
            }
        };
        tracing::info!(
            "Opened asmap file {quoted} ({} bytes) from disk",
            bytes.len()
        );
        let Ok(asmap) = Asmap::new(bytes) else {
            tracing::warn!("Sanity check of asmap file {quoted} failed");
            return unreadable();
        };
        // Hashes are shown with their bytes in reverse.
        let version = Txid::from_byte_array(asmap.version());
        tracing::info!("Using asmap version {version} for IP bucketing");
        Ok(NetGroups::new(Some(asmap)))
    }

    /// Reads the address book.
    pub(super) fn load_book(
        &self,
        options: &BookOptions,
        groups: NetGroups,
    ) -> Result<AddrMan, StartError> {
        let started = Instant::now();
        let path = self.peers();
        let quoted = format!("\"{}\"", path.display());
        let corrupt = |reason: String| {
            StartError::Network(format!(
                "Invalid or corrupt peers.dat ({reason}). If you believe this is a bug, please report it to {BUG_REPORT}. As a workaround, you can move the file ({quoted}) out of the way (rename, move, or delete) to have a new one created on the next start."
            ))
        };
        let mut seed = [0; 32];
        OsRng.fill_bytes(&mut seed);
        let fresh = || {
            let groups = groups.clone();
            if options.deterministic {
                AddrMan::deterministic(groups, options.check_ratio)
            } else {
                AddrMan::new(groups, seed, options.check_ratio)
            }
        };
        let file = CheckedFile::open(&path).map_err(|error| corrupt(error.to_string()))?;
        let Some(file) = file else {
            tracing::info!("Creating peers.dat because the file was not found ({quoted})");
            let book = fresh();
            self.save_book(&book);
            return Ok(book);
        };
        let content = file
            .content(self.magic)
            .map_err(|error| corrupt(error.to_string()))?;
        let groups = groups.clone();
        match AddrMan::decode(content, groups, seed, options.check_ratio) {
            Ok((book, length)) => {
                file.verify(length)
                    .map_err(|error| corrupt(error.to_string()))?;
                tracing::info!(
                    "Loaded {} addresses from peers.dat {}ms",
                    book.len(),
                    started.elapsed().as_millis()
                );
                Ok(book)
            }
            Err(AddrManFileError::Version { .. }) => {
                let backup = self.dir.join("peers.dat.bak");
                std::fs::rename(&path, backup).map_err(|_| {
                    StartError::Network(
                        "Failed to rename invalid peers.dat file. Please move or delete it and try again."
                            .into(),
                    )
                })?;
                tracing::warn!(
                    "Creating new peers.dat because the file version was not compatible ({quoted}). Original backed up to peers.dat.bak"
                );
                let book = fresh();
                self.save_book(&book);
                Ok(book)
            }
            Err(error @ AddrManFileError::Corrupt(_)) => Err(corrupt(error.to_string())),
        }
    }

    pub(super) fn save_book(&self, book: &AddrMan) {
        let started = Instant::now();
        match checked_file::write(&self.peers(), self.magic, &book.encode()) {
            Ok(()) => tracing::debug!(
                target: "net",
                "Flushed {} addresses to peers.dat  {}ms",
                book.len(),
                started.elapsed().as_millis()
            ),
            // They are found again.
            Err(error) => tracing::error!("cannot write peers.dat: {error}"),
        }
    }

    /// Reads the bans, or begins without.
    pub(super) fn load_bans(&self, default_time: i64) -> Bans {
        let path = self.bans();
        // It has the form of the settings, and what keeps it from being read is told as for those.
        let read = match settings::read(&path) {
            Ok(_) => std::fs::read_to_string(&path).ok(),
            Err(error) => {
                tracing::warn!("Cannot load banlist {}: {error}", path.display());
                None
            }
        };
        let parsed = read.and_then(|text| {
            Bans::parse(&text, default_time)
                .inspect_err(|error| {
                    tracing::warn!("Cannot parse banlist {}: {error}", path.display());
                })
                .ok()
        });
        parsed.unwrap_or_else(|| {
            tracing::info!("Recreating the banlist database");
            let bans = Bans::new(default_time);
            self.save_bans(&bans);
            bans
        })
    }

    pub(super) fn save_bans(&self, bans: &Bans) {
        if let Err(error) = replace_file(&self.bans(), bans.to_json().as_bytes()) {
            tracing::error!("cannot write banlist.json: {error}");
        }
    }

    /// Takes the last run's peers for blocks; they are tried once, so the file is gone then.
    pub(super) fn take_anchors(&self) -> Vec<PeerAddress> {
        let path = self.anchors();
        let anchors = match CheckedFile::open(&path) {
            Ok(Some(file)) => self.read_anchors(&file),
            Ok(None) | Err(_) => None,
        };
        if let Some(anchors) = &anchors {
            tracing::info!("Loaded {} addresses from \"anchors.dat\"", anchors.len());
        }
        // Usually there is none.
        let _ = std::fs::remove_file(&path);
        let mut anchors = anchors.unwrap_or_default();
        anchors.truncate(MAX_ANCHORS);
        tracing::info!(
            "{} block-relay-only anchors will be tried for connections.",
            anchors.len()
        );
        anchors
    }

    fn read_anchors(&self, file: &CheckedFile) -> Option<Vec<PeerAddress>> {
        let content = file.content(self.magic).ok()?;
        let mut reader = Reader::new(content);
        let count = reader.read::<VarInt>().ok()?.0;
        let mut anchors = Vec::new();
        for _ in 0..count {
            anchors.push(PeerAddress::decode_disk(&mut reader, true).ok()?);
        }
        file.verify(content.len() - reader.left()).ok()?;
        Some(anchors)
    }

    pub(super) fn save_anchors(&self, anchors: &[PeerAddress]) {
        let what = format!(
            "DumpAnchors: Flush {} outbound block-relay-only peer addresses to anchors.dat",
            anchors.len()
        );
        let started = Instant::now();
        tracing::info!("{what} started");
        let mut content = Vec::new();
        put(&mut content, &VarInt(anchors.len() as u64));
        for anchor in anchors {
            anchor.encode_disk(&mut content);
        }
        if let Err(error) = checked_file::write(&self.anchors(), self.magic, &content) {
            tracing::error!("cannot write anchors.dat: {error}");
        }
        tracing::info!("{what} completed ({:.2}s)", started.elapsed().as_secs_f64());
    }

    /// Writes the book and the bans.
    pub(super) fn save(&self, directory: &Directory) {
        self.save_book(&directory.book());
        self.save_bans(&directory.bans());
    }
}
