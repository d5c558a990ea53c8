//! LevelDB's files in safe Rust.
#![forbid(unsafe_code)]
#![allow(dead_code)]

mod batch;
mod block;
mod bloom;
mod cache;
mod coding;
mod error;
mod fs;
mod key;
mod log;
mod memtable;
mod options;
mod table;

pub use batch::{Batch, Change};
pub use error::{Error, Result};
pub use fs::{AppendFile, Crash, Fault, Fs, LockGuard, MemoryFs, ReadFile, RealFs};
pub use options::Options;
