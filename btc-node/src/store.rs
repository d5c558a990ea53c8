//! Files and databases, in Bitcoin Core's formats. The only room that touches the file system.
//!
//! | module | what it keeps |
//! |---|---|
//! | [`data_dir`] | the data directory: layout, locks, atomic file replacement |
//! | [`kv`], [`engine`], [`obfuscation`] | the key-value seam, our engine for LevelDB's files behind it, and the value obfuscation on top |
//! | `leveldb` | the system's LevelDB behind the same seam, with feature `system-leveldb` |
//! | [`disk`] | a gate before every call that changes files of the store, for tests of what a failing disk leaves |
//! | [`descriptors`] | the file descriptors that databases and sockets share |
//! | [`codec`], [`compress`], [`undo`] | the encodings of Core's records |
//! | [`flat_file`], [`block_files`], [`block_reader`] | `blk?????.dat` and `rev?????.dat` with `xor.dat` |
//! | [`index_db`] | the block index database, `blocks/index` |
//! | [`coins_db`] | the UTXO database, `chainstate` |
//! | [`import`] | block files made elsewhere, read through whatever garbage they hold |
//! | [`utxo_snapshot`] | snapshots of the UTXO set, as files and as a second directory of coins |
//! | [`mempool_file`] | `mempool.dat` |
//!
//! What is absent: the store knows no consensus rule. It says what the bytes are, not whether they are right.

pub mod block_files;
pub mod block_reader;
pub mod checked_file;
pub mod codec;
pub mod coins_db;
pub mod compress;
pub mod data_dir;
pub mod descriptors;
pub mod disk;
pub mod engine;
pub mod error;
pub mod flat_file;
pub mod import;
pub mod index_db;
pub mod kv;
#[cfg(feature = "system-leveldb")]
pub mod leveldb;
pub mod mempool_file;
pub mod obfuscation;
pub mod undo;
pub mod utxo_snapshot;

pub use error::StoreError;

/// The engine of the node's databases.
#[cfg(not(feature = "system-leveldb"))]
pub type Database = engine::EngineDb;
/// The engine of the node's databases.
#[cfg(feature = "system-leveldb")]
pub type Database = leveldb::LevelDb;
