#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

mod batch;
mod block;
mod bloom;
mod cache;
mod coding;
mod compaction;
mod db;
mod edit;
mod error;
mod fs;
mod iter;
mod key;
mod log;
mod manifest;
mod memtable;
mod merge;
mod options;
mod table;
mod version;

pub use batch::{Batch, Change};
pub use db::{Db, Durability, Snapshot};
pub use error::{Error, Result};
pub use fs::{AppendFile, Crash, Fault, Fs, LockGuard, MemoryFs, ReadFile, RealFs};
pub use iter::Iter;
pub use options::Options;
