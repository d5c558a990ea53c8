//! Snapshots of all unspent outputs, as `dumptxoutset` writes and `loadtxoutset` reads them, and the directory in which
//! a loaded one lies.
//!
//! A file begins with [`SnapshotMetadata`]. Then come the coins, transaction by transaction in the order of the UTXO
//! database: the txid, the number of its coins as a compact size, and for each the output's number as a compact size and
//! the coin as the database stores it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, OutPoint, Txid};
use btc_consensus::Coin;
use btc_consensus::params::{Chain, chain_by_magic};

use super::codec::{DecodeError, MAX_SIZE, Reader, write_compact_size};
use super::coins_db::coins_dir;
use super::compress::{read_coin, write_coin};
use super::data_dir::replace_file_on;
use super::disk::Disk;
use super::error::StoreError;

/// What each file begins with.
const MAGIC: [u8; 5] = *b"utxo\xff";
/// The one version of the format that there is.
const VERSION: u16 = 2;
/// Bytes read at a time.
const CHUNK: usize = 1 << 16;
/// In a snapshot's directory, the hash of the block that its coins are from.
const BASE_FILE: &str = "base_blockhash";

/// What a snapshot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotMetadata {
    /// The block after which the coins are unspent.
    pub base: BlockHash,
    /// How many coins there are.
    pub coins: u64,
}

/// Why the start of a file is not that of a snapshot for this network. The texts are Core's.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The file is shorter than that, or cannot be read.
    #[error("AutoFile::read: end of file: iostream error")]
    Read(#[source] io::Error),
    /// It is something else.
    #[error(
        "Invalid UTXO set snapshot magic bytes. Please check if this is indeed a snapshot file or if you are using an \
         outdated snapshot format."
    )]
    Magic,
    /// A version that is not known.
    #[error("Version of snapshot {0} does not match any of the supported versions.")]
    Version(u16),
    /// It is of another network.
    #[error(
        "The network of the snapshot ({}) does not match the network of this node ({}).",
        snapshot.name(),
        node.name()
    )]
    Network {
        /// The snapshot's.
        snapshot: Chain,
        /// This node's.
        node: Chain,
    },
    /// It is of a network that is not known.
    #[error(
        "This snapshot has been created for an unrecognized network. This could be a custom signet, a new testnet or \
         possibly caused by data corruption."
    )]
    UnknownNetwork,
}

impl SnapshotMetadata {
    /// The start of a file, for the network with that magic.
    pub fn encode(&self, network: [u8; 4]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&network);
        out.extend_from_slice(self.base.as_byte_array());
        out.extend_from_slice(&self.coins.to_le_bytes());
        out
    }

    /// Reads the start of a file, which must be for `chain`, whose magic is `network`.
    ///
    /// # Errors
    /// See [`MetadataError`].
    pub fn read(
        input: &mut impl Read,
        chain: Chain,
        network: [u8; 4],
    ) -> Result<Self, MetadataError> {
        fn array<const N: usize>(input: &mut impl Read) -> Result<[u8; N], MetadataError> {
            let mut bytes = [0; N];
            input.read_exact(&mut bytes).map_err(MetadataError::Read)?;
            Ok(bytes)
        }
        if array(input)? != MAGIC {
            return Err(MetadataError::Magic);
        }
        let version = u16::from_le_bytes(array(input)?);
        if version != VERSION {
            return Err(MetadataError::Version(version));
        }
        let magic = array(input)?;
        if magic != network {
            return Err(match chain_by_magic(magic) {
                Some(snapshot) => MetadataError::Network {
                    snapshot,
                    node: chain,
                },
                None => MetadataError::UnknownNetwork,
            });
        }
        Ok(Self {
            base: BlockHash::from_byte_array(array(input)?),
            coins: u64::from_le_bytes(array(input)?),
        })
    }
}

/// Appends the coins of one transaction, in the order in which the database gives them.
pub fn write_coins(out: &mut Vec<u8>, txid: &Txid, coins: &[(u32, Coin)]) {
    out.extend_from_slice(txid.as_byte_array());
    write_compact_size(out, coins.len() as u64);
    for (vout, coin) in coins {
        write_compact_size(out, (*vout).into());
        write_coin(out, coin);
    }
}

/// Why coins cannot be read from a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum CoinsError {
    /// The file ends early, or cannot be read.
    #[error("cannot read the snapshot: {0}")]
    Read(#[from] io::Error),
    /// Bytes that make no coin.
    #[error("malformed coin: {0}")]
    Format(DecodeError),
    /// A transaction has more coins than are left.
    #[error("Mismatch in coins count in snapshot metadata and actual snapshot data")]
    Count,
}

/// The coins of a snapshot, after its [`SnapshotMetadata`]. Gives as many as that says, or an error, after which it ends.
/// Memory is bounded by the largest coin that the format allows.
pub struct SnapshotCoins<R> {
    input: R,
    /// Bytes that are read and not used; the first is at `start`.
    window: Vec<u8>,
    start: usize,
    /// Coins that are still to come.
    left: u64,
    txid: Txid,
    /// Of those, coins of the present transaction.
    left_of_tx: u64,
}

impl<R: Read> SnapshotCoins<R> {
    /// Reads `coins` coins from `input`.
    pub fn new(input: R, coins: u64) -> Self {
        Self {
            input,
            window: Vec::new(),
            start: 0,
            left: coins,
            txid: Txid::all_zeros(),
            left_of_tx: 0,
        }
    }

    /// Whether nothing follows. To be asked at the end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_exhausted(&mut self) -> io::Result<bool> {
        Ok(self.start == self.window.len() && self.fill()? == 0)
    }

    /// Reads another piece; says how long it is.
    fn fill(&mut self) -> io::Result<usize> {
        self.window.drain(..self.start);
        self.start = 0;
        let wanted = CHUNK.max(self.window.len()) as u64;
        self.input
            .by_ref()
            .take(wanted)
            .read_to_end(&mut self.window)
    }

    /// Decodes something, reading on as far as it takes.
    fn decode<T>(
        &mut self,
        decode: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, CoinsError> {
        loop {
            let bytes = &self.window[self.start..];
            let mut reader = Reader::new(bytes);
            match decode(&mut reader) {
                Ok(value) => {
                    self.start += bytes.len() - reader.rest().len();
                    return Ok(value);
                }
                Err(DecodeError::End) if (bytes.len() as u64) < 2 * MAX_SIZE => {
                    if self.fill()? == 0 {
                        return Err(CoinsError::Format(DecodeError::End));
                    }
                }
                Err(error) => return Err(CoinsError::Format(error)),
            }
        }
    }

    fn next_coin(&mut self) -> Result<(OutPoint, Coin), CoinsError> {
        while self.left_of_tx == 0 {
            let (txid, count) = self.decode(|reader| {
                Ok((
                    Txid::from_byte_array(reader.array()?),
                    reader.compact_size()? as u64,
                ))
            })?;
            if count > self.left {
                return Err(CoinsError::Count);
            }
            (self.txid, self.left_of_tx) = (txid, count);
        }
        let (vout, coin) =
            self.decode(|reader| Ok((reader.compact_size()? as u32, read_coin(reader)?)))?;
        self.left -= 1;
        self.left_of_tx -= 1;
        let txid = self.txid;
        Ok((OutPoint { txid, vout }, coin))
    }
}

impl<R: Read> Iterator for SnapshotCoins<R> {
    type Item = Result<(OutPoint, Coin), CoinsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let coin = self.next_coin();
        if coin.is_err() {
            self.left = 0;
        }
        Some(coin)
    }
}

/// Where the coins of a snapshot lie in a network's directory.
pub fn snapshot_dir(net: &Path) -> PathBuf {
    net.join("chainstate_snapshot")
}

/// The coins that are no longer needed, on their way out.
fn discarded_dir(net: &Path) -> PathBuf {
    net.join("chainstate_todelete")
}

/// The block that the snapshot in a network's directory is of; `None` if there is no snapshot, or none that was loaded to
/// the end.
///
/// # Errors
/// The file that says so cannot be read, or is too short.
pub fn read_base(net: &Path) -> Result<Option<BlockHash>, StoreError> {
    let dir = snapshot_dir(net);
    if !dir.exists() {
        return Ok(None);
    }
    let path = dir.join(BASE_FILE);
    if !path.exists() {
        tracing::warn!(
            "[snapshot] snapshot chainstate dir is malformed! no base blockhash file exists at path {}. Try deleting {} \
             and calling loadtxoutset again?",
            dir.display(),
            path.display()
        );
        return Ok(None);
    }
    let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
    let Some((hash, rest)) = bytes.split_first_chunk() else {
        let reason = format!("{} bytes instead of 32", bytes.len());
        return Err(StoreError::corrupt(BASE_FILE, reason));
    };
    if !rest.is_empty() {
        tracing::warn!("[snapshot] unexpected trailing data in {}", path.display());
    }
    Ok(Some(BlockHash::from_byte_array(*hash)))
}

/// Says of which block the coins are, once all of them are in the snapshot's directory. From then on it counts.
///
/// # Errors
/// The disk failed.
pub fn write_base(disk: &Disk, net: &Path, base: &BlockHash) -> Result<(), StoreError> {
    replace_file_on(
        disk,
        &snapshot_dir(net).join(BASE_FILE),
        base.as_byte_array(),
    )
}

/// Deletes the snapshot's directory, if there is one. Its database must be closed.
///
/// # Errors
/// Something in it cannot be deleted.
pub fn remove_snapshot(disk: &Disk, net: &Path) -> Result<(), StoreError> {
    // First what makes it count.
    let base = snapshot_dir(net).join(BASE_FILE);
    match disk.remove_file(&base) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", &base)(error))
        }
        _ => remove_dir(disk, &snapshot_dir(net)),
    }
}

/// Sets a snapshot that proved wrong aside, for whoever wants to find out why; gives where it is.
///
/// # Errors
/// It cannot be renamed.
pub fn set_invalid_aside(disk: &Disk, net: &Path) -> Result<PathBuf, StoreError> {
    let (from, to) = (snapshot_dir(net), net.join("chainstate_snapshot_INVALID"));
    tracing::info!(
        "[snapshot] renaming snapshot datadir {} to {}",
        from.display(),
        to.display()
    );
    rename(disk, &from, &to)?;
    Ok(to)
}

/// Puts a snapshot that was validated in the place of the coins that validated it. Both databases must be closed.
///
/// # Errors
/// A directory cannot be renamed.
pub fn adopt_snapshot(disk: &Disk, net: &Path) -> Result<(), StoreError> {
    let (old, new) = (coins_dir(net), snapshot_dir(net));
    tracing::info!(
        "[snapshot] deleting background chainstate directory (now unnecessary) ({})",
        old.display()
    );
    rename(disk, &old, &discarded_dir(net))?;
    finish_adopting(disk, net)?;
    tracing::info!(
        "[snapshot] moved snapshot chainstate ({}) to default chainstate directory ({})",
        new.display(),
        old.display()
    );
    Ok(())
}

/// Does what [`adopt_snapshot`] left undone when it was interrupted, if it was.
///
/// # Errors
/// A directory cannot be renamed.
pub fn finish_adopting(disk: &Disk, net: &Path) -> Result<(), StoreError> {
    let (discarded, coins) = (discarded_dir(net), coins_dir(net));
    if !discarded.exists() {
        return Ok(());
    }
    if !coins.exists() && snapshot_dir(net).exists() {
        rename(disk, &snapshot_dir(net), &coins)?;
    }
    if let Err(error) = remove_dir(disk, &discarded) {
        // Nobody looks at it any more.
        tracing::warn!(
            "Deletion of {} failed. Please remove it manually, as the directory is now unnecessary. ({error})",
            discarded.display()
        );
    }
    Ok(())
}

fn rename(disk: &Disk, from: &Path, to: &Path) -> Result<(), StoreError> {
    disk.rename(from, to)
        .map_err(StoreError::io("rename", from))?;
    match from.parent() {
        Some(dir) => disk
            .sync_dir(dir)
            .map_err(StoreError::io("sync directory", dir)),
        None => Ok(()),
    }
}

fn remove_dir(disk: &Disk, dir: &Path) -> Result<(), StoreError> {
    if !dir.exists() {
        return Ok(());
    }
    match disk.remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::{Amount, ScriptBuf, TxOut};
    use proptest::prelude::*;

    use super::*;

    const REGTEST: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

    fn coin(n: u32) -> Coin {
        Coin {
            output: TxOut {
                value: Amount::from_sat(u64::from(n) * 1000),
                script_pubkey: ScriptBuf::from_bytes(vec![0x51; n as usize % 300]),
            },
            height: n,
            coinbase: n.is_multiple_of(2),
        }
    }

    proptest! {
        #[test]
        fn coins_come_back_however_the_file_is_read(
            sizes in proptest::collection::vec(1_u32..5, 0..40), piece in 1_usize..200, cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for (n, size) in (0_u8..).zip(&sizes) {
                let txid = Txid::from_byte_array([n; 32]);
                let coins: Vec<_> = (0..*size).map(|vout| (vout, coin(vout * 100 + u32::from(n)))).collect();
                write_coins(&mut bytes, &txid, &coins);
                expected.extend(coins.into_iter().map(|(vout, coin)| (OutPoint { txid, vout }, coin)));
            }
            let mut coins = SnapshotCoins::new(Pieces(&bytes, piece), expected.len() as u64);
            let read: Vec<_> = coins.by_ref().map(|coin| coin.expect("reads")).collect();
            prop_assert_eq!(&read, &expected);
            prop_assert!(coins.is_exhausted().expect("reads"));
            // A file that is cut short gives some of them and one error.
            if !bytes.is_empty() {
                let short = &bytes[..cut.index(bytes.len())];
                let read: Vec<_> = SnapshotCoins::new(short, expected.len() as u64).collect();
                prop_assert!(read.len() <= expected.len());
                prop_assert!(read.last().is_some_and(Result::is_err));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = SnapshotMetadata::read(&mut &bytes[..], Chain::Regtest, REGTEST);
            let _ = SnapshotCoins::new(&bytes[..], 10).count();
        }
    }

    /// Gives a few bytes at a time.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(out.len());
            self.0.read(&mut out[..len])
        }
    }

    #[test]
    fn metadata_is_for_one_network_and_version() {
        let metadata = SnapshotMetadata {
            base: BlockHash::from_byte_array([7; 32]),
            coins: 298,
        };
        let bytes = metadata.encode(REGTEST);
        assert_eq!(bytes.len(), 51);
        let read = |bytes: &[u8]| {
            SnapshotMetadata::read(&mut &bytes[..], Chain::Regtest, REGTEST)
                .map_err(|error| error.to_string())
        };
        assert_eq!(read(&bytes), Ok(metadata));
        let mut other = bytes.clone();
        other[5] = 3;
        let expected = "Version of snapshot 3 does not match any of the supported versions.";
        assert_eq!(read(&other), Err(expected.into()));
        let main = metadata.encode([0xf9, 0xbe, 0xb4, 0xd9]);
        let expected =
            "The network of the snapshot (main) does not match the network of this node (regtest).";
        assert_eq!(read(&main), Err(expected.into()));
        assert!(read(&bytes[..50]).is_err() && read(b"utxo").is_err());
    }
}
