//! The wallet's database: SQLite files with one table of keys and values, as Core writes them.
//!
//! A [`Database`] knows bytes; `record` knows what they mean. Changes are gathered in a [`Batch`] and go to disk in
//! one transaction: after [`Database::commit`] returns they survive the end of the process and of the machine, and
//! before that none of them is there. The file is locked for as long as it is open.

pub(crate) mod codec;
pub(crate) mod file;
mod private_key;
pub(crate) mod record;

pub use codec::CodecError;
pub use file::Format;

use bitcoin::p2p::Magic;
use btc_interfaces::rpc::code;
use file::DATA_FILE;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::fmt;
use std::path::{Path, PathBuf};

/// The only schema there has been.
const SCHEMA_VERSION: i32 = 0;

/// Why a wallet's file cannot be opened, read or written. Texts are Core's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// A name with `.` or `..` or doubled slashes in it.
    #[error("Wallet name given as a path must be normalized")]
    NotNormalized,
    /// A name that leads out of the directory.
    #[error(
        "Wallet name given as a relative path cannot begin with ./ or ../, for wallets not in the walletdir, please use an absolute path."
    )]
    OutsideWallets,
    /// The name `/`.
    #[error("Wallet name cannot be the root path")]
    RootPath,
    /// Something else lies where the directory should be.
    #[error(
        "Invalid -wallet path '{name}'. -wallet path should point to a directory where wallet.dat and database/log.?????????? files can be stored, a location where such a directory could be created, or (for backwards compatibility) the name of an existing data file in -walletdir (\"{}\")",
        wallets.display()
    )]
    BadPath {
        /// The wallet's name.
        name: String,
        /// The wallets' directory.
        wallets: PathBuf,
    },
    /// The path cannot be looked at.
    #[error("Failed to access database path '{}': {reason}", path.display())]
    Access {
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Nothing is there.
    #[error("Failed to load database path '{}'. Path does not exist.", .0.display())]
    NotFound(PathBuf),
    /// Something is there, but no wallet of this network.
    #[error("Failed to load database path '{}'. Data is not in recognized format.", .0.display())]
    BadFormat(PathBuf),
    /// Two kinds of wallet are there.
    #[error("Failed to load database path '{}'. Data is in ambiguous format.", .0.display())]
    Ambiguous(PathBuf),
    /// A wallet is there that is to be created.
    #[error("Failed to create database path '{}'. Database already exists.", .0.display())]
    AlreadyExists(PathBuf),
    /// A Berkeley DB file.
    #[error(
        "Failed to open database path '{}'. The wallet appears to be a Legacy wallet, please use the wallet migration tool (migratewallet RPC or the GUI option).",
        .0.display()
    )]
    Legacy(PathBuf),
    /// Another process, or this one, has it open.
    #[error(
        "SQLiteDatabase: Unable to obtain an exclusive lock on the database, is it being used by another instance of {}?",
        btc_interfaces::CLIENT_NAME
    )]
    Locked,
    /// A wallet of another network.
    #[error("SQLiteDatabase: Unexpected application id. Expected {expected}, got {found}")]
    ApplicationId {
        /// This network's magic bytes, as a big-endian number.
        expected: u32,
        /// The file's.
        found: u32,
    },
    /// A later schema.
    #[error(
        "SQLiteDatabase: Unknown sqlite wallet schema version {0}. Only version 0 is supported"
    )]
    Schema(i32),
    /// The integrity check found damage.
    #[error("Failed to verify database\n{0}")]
    Damaged(String),
    /// The directory cannot be made or written to.
    #[error("SQLiteDatabase: Failed to open database in directory '{}': {reason}", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        reason: String,
    },
    /// SQLite failed.
    #[error("SQLiteDatabase: {what}: {source}")]
    Sqlite {
        /// What was attempted.
        what: &'static str,
        /// Its reason.
        source: rusqlite::Error,
    },
}

impl DbError {
    /// The RPC code by which `loadwallet` and `createwallet` report it.
    pub fn rpc_code(&self) -> i32 {
        match self {
            Self::NotFound(_) | Self::BadFormat(_) | Self::Legacy(_) | Self::Ambiguous(_) => {
                code::WALLET_NOT_FOUND
            }
            Self::AlreadyExists(_) => code::WALLET_ALREADY_EXISTS,
            _ => code::WALLET_ERROR,
        }
    }
}

/// Gives a failed call of SQLite its place in the error.
trait Attempt<T> {
    fn attempt(self, what: &'static str) -> Result<T, DbError>;
}

impl<T> Attempt<T> for Result<T, rusqlite::Error> {
    fn attempt(self, what: &'static str) -> Result<T, DbError> {
        self.map_err(|source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                DbError::Locked
            }
            _ => DbError::Sqlite { what, source },
        })
    }
}

/// What [`Database::open`] is to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// A wallet.
    Existing,
    /// No wallet yet.
    New,
}

/// How to open a database.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// What there must be.
    pub expect: Expect,
    /// The network's magic bytes, which the file carries.
    pub magic: Magic,
    /// Whether to check the whole file for damage.
    pub verify: bool,
    /// `-unsafesqlitesync`: don't wait for the disk; a power failure may then damage the file.
    pub unsafe_sync: bool,
}

/// An open wallet file.
pub struct Database {
    connection: Connection,
    path: PathBuf,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Opens or creates the wallet in `directory`.
    pub fn open(directory: &Path, options: OpenOptions) -> Result<Self, DbError> {
        let exists = std::fs::symlink_metadata(directory).is_ok();
        let format = if exists {
            file::detect(directory, options.magic)?
        } else if options.expect == Expect::Existing {
            return Err(DbError::NotFound(directory.to_owned()));
        } else {
            None
        };
        match (format, options.expect) {
            (None, Expect::Existing) => return Err(DbError::BadFormat(directory.to_owned())),
            (Some(_), Expect::New) => return Err(DbError::AlreadyExists(directory.to_owned())),
            (Some(Format::Berkeley), Expect::Existing) => {
                return Err(DbError::Legacy(directory.to_owned()));
            }
            (None, Expect::New) | (Some(Format::Sqlite), Expect::Existing) => {}
        }
        std::fs::create_dir_all(directory).map_err(|error| DbError::Directory {
            directory: directory.to_owned(),
            reason: error.to_string(),
        })?;
        let database = Self::connect(&directory.join(DATA_FILE), options)?;
        if options.verify {
            database.verify(options.magic)?;
        }
        Ok(database)
    }

    fn connect(path: &Path, options: OpenOptions) -> Result<Self, DbError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_FULL_MUTEX;
        let connection =
            Connection::open_with_flags(path, flags).attempt("Failed to open database")?;
        // Whoever holds the lock keeps it until it closes the wallet: waiting would be in vain.
        connection
            .busy_timeout(std::time::Duration::ZERO)
            .attempt("Failed to set the busy timeout")?;
        connection
            .pragma_update(None, "locking_mode", "exclusive")
            .attempt("Unable to change database locking mode to exclusive")?;
        connection
            .execute_batch("BEGIN EXCLUSIVE TRANSACTION; COMMIT")
            .attempt("Unable to begin exclusive lock transaction")?;
        connection
            .pragma_update(None, "fullfsync", true)
            .attempt("Failed to enable fullfsync")?;
        if options.unsafe_sync {
            connection
                .pragma_update(None, "synchronous", "OFF")
                .attempt("Failed to set synchronous mode to OFF")?;
        }
        let table: Option<String> = connection
            .query_row(
                "SELECT name FROM sqlite_master WHERE type='table' AND name='main'",
                [],
                |row| row.get(0),
            )
            .optional()
            .attempt("Failed to check table existence")?;
        if table.is_none() {
            let application_id = i32::from_be_bytes(options.magic.to_bytes());
            // One transaction, so that no crash leaves a wallet without its network's mark.
            connection
                .execute_batch(&format!(
                    "BEGIN; CREATE TABLE main(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL); \
                     PRAGMA application_id = {application_id}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
                ))
                .attempt("Failed to create new database")?;
        }
        Ok(Self {
            connection,
            path: path.to_owned(),
        })
    }

    fn verify(&self, magic: Magic) -> Result<(), DbError> {
        let pragma = |name: &str| {
            self.connection
                .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
        };
        let found = pragma("application_id").attempt("Failed to fetch the application id")?;
        let expected = u32::from_be_bytes(magic.to_bytes());
        if found.cast_unsigned() != expected {
            return Err(DbError::ApplicationId {
                expected,
                found: found.cast_unsigned(),
            });
        }
        let version =
            pragma("user_version").attempt("Failed to fetch sqlite wallet schema version")?;
        if version != SCHEMA_VERSION {
            return Err(DbError::Schema(version));
        }
        let mut damage = String::new();
        self.connection
            .pragma_query(None, "integrity_check", |row| {
                let line: String = row.get(0)?;
                if line != "ok" {
                    damage.push_str(&line);
                    damage.push('\n');
                }
                Ok(())
            })
            .attempt("Failed to execute statement to verify database")?;
        if damage.is_empty() {
            Ok(())
        } else {
            Err(DbError::Damaged(damage))
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `visit` with every key and value; stops at its first error.
    pub(crate) fn for_each<E: From<DbError>>(
        &self,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        const WHAT: &str = "Failed to read the database";
        let mut statement = self
            .connection
            .prepare("SELECT key, value FROM main")
            .attempt(WHAT)?;
        let mut rows = statement.query([]).attempt(WHAT)?;
        while let Some(row) = rows.next().attempt(WHAT)? {
            let key = row.get_ref(0).attempt(WHAT)?;
            let value = row.get_ref(1).attempt(WHAT)?;
            let bytes =
                |value: rusqlite::types::ValueRef<'_>| value.as_bytes().map(<[u8]>::to_vec).ok();
            match (bytes(key), bytes(value)) {
                (Some(key), Some(value)) => visit(&key, &value)?,
                _ => return Err(DbError::Damaged("a record is no blob".to_owned()).into()),
            }
        }
        Ok(())
    }

    /// Writes a batch, all or nothing, and waits for the disk.
    pub fn commit(&mut self, batch: Batch) -> Result<(), DbError> {
        const WHAT: &str = "Failed to write to the database";
        if batch.changes.is_empty() {
            return Ok(());
        }
        let transaction = self
            .connection
            .transaction()
            .attempt("Failed to begin the transaction")?;
        for change in &batch.changes {
            match change {
                Change::Put(key, value) => transaction
                    .prepare_cached("INSERT or REPLACE into main values(?, ?)")
                    .and_then(|mut statement| statement.execute(params![key, value.as_slice()])),
                Change::Erase(key) => transaction
                    .prepare_cached("DELETE FROM main WHERE key = ?")
                    .and_then(|mut statement| statement.execute(params![key])),
            }
            .attempt(WHAT)?;
        }
        transaction
            .commit()
            .attempt("Failed to commit the transaction")
    }

    /// Writes the file anew, so that erased records leave no trace in it.
    pub fn rewrite(&self) -> Result<(), DbError> {
        self.connection
            .execute_batch("VACUUM")
            .attempt("Failed to rewrite the database")
    }

    /// Copies the wallet into the file `target`.
    pub fn backup(&self, target: &Path) -> Result<(), DbError> {
        const WHAT: &str = "Failed to back up the database";
        let mut copy = Connection::open(target).attempt(WHAT)?;
        let backup = rusqlite::backup::Backup::new(&self.connection, &mut copy).attempt(WHAT)?;
        match backup.step(-1).attempt(WHAT)? {
            rusqlite::backup::StepResult::Done => Ok(()),
            _ => Err(DbError::Locked),
        }
    }
}

enum Change {
    Put(Vec<u8>, zeroize::Zeroizing<Vec<u8>>),
    Erase(Vec<u8>),
}

/// Changes that go to disk together.
#[derive(Default)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// Nothing to change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes
            .push(Change::Put(key, zeroize::Zeroizing::new(value)));
    }

    pub(crate) fn erase(&mut self, key: Vec<u8>) {
        self.changes.push(Change::Erase(key));
    }
}
