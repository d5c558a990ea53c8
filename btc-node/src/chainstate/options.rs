//! How a chainstate is opened, and how a block is submitted.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bitcoin::BlockHash;
use btc_consensus::params::ChainParams;
use btc_consensus::pow::Work;

use super::prune::PruneTarget;
use super::script_cache::DEFAULT_SCRIPT_CACHE_BYTES;
use crate::store::coins_db::Writing;
use crate::store::data_dir::DataDir;
use crate::store::disk::Disk;
use crate::store::kv::DatabaseOptions;

/// Where the files lie. The directories exist and are held by the caller, usually through a [`DataDir`].
#[derive(Clone, Debug)]
pub struct Dirs {
    /// The network's directory, in which `chainstate/` lies.
    pub net: PathBuf,
    /// The directory of block files, in which `index/` lies.
    pub blocks: PathBuf,
}

impl From<&DataDir> for Dirs {
    fn from(dir: &DataDir) -> Self {
        Self {
            net: dir.net().to_owned(),
            blocks: dir.blocks().to_owned(),
        }
    }
}

/// How a chainstate is opened. [`Options::new`] gives Core's defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the files lie.
    pub dirs: Dirs,
    /// The network's rules.
    pub params: ChainParams,
    /// Memory for coins and databases in bytes (`-dbcache`).
    pub dbcache: usize,
    /// How coins are written to their database (`-dbbatchsize`, `-dbcrashratio`).
    pub coins_writing: Writing,
    /// Rewrite the databases without what was deleted when they are opened (`-forcecompactdb`).
    pub compact_databases: bool,
    /// Threads that check scripts (`-par`), besides the one that connects blocks; with none that one checks them too.
    pub script_threads: usize,
    /// Memory for signatures and scripts found good, in bytes (`-maxsigcachesize`).
    pub script_cache: usize,
    /// Rebuild the block index and the chainstate from the block files (`-reindex`).
    pub reindex: bool,
    /// Rebuild the chainstate from the block index (`-reindex-chainstate`).
    pub reindex_chainstate: bool,
    /// How many of the last blocks are checked on opening; 0 means all (`-checkblocks`).
    pub check_blocks: u32,
    /// How thoroughly, 0 to 4 (`-checklevel`).
    pub check_level: u32,
    /// Whether a check that stops early for want of memory is an error, as it is for who asked for it.
    pub full_check: bool,
    /// After how many changes the rules of the block index are checked over the whole of it; 0 for never
    /// (`-checkblockindex`).
    pub check_index: u32,
    /// Whether the blocks that follow are connected, and their coins fetched, while scripts are checked; they are at
    /// the disk otherwise when their turn comes (`-prevoutfetchthreads=0`).
    pub connect_ahead: bool,
    /// Whether new block files are obfuscated (`-blocksxor`).
    pub blocks_xor: bool,
    /// Small block files, for tests (`-fastprune`).
    pub fast_prune: bool,
    /// Delete old block files (`-prune`).
    pub prune: Option<PruneTarget>,
    /// Block whose ancestors' scripts are taken as checked (`-assumevalid`); `None` checks all.
    pub assume_valid: Option<BlockHash>,
    /// Work that the best chain must have before the node believes that it has caught up (`-minimumchainwork`).
    pub minimum_chain_work: Work,
    /// Age of the tip above which the node thinks that it is behind (`-maxtipage`).
    pub max_tip_age: Duration,
    /// The disk: a test has one that fails.
    pub disk: Disk,
    /// Set by anyone to make long tasks end soon, opening included.
    pub interrupt: Arc<AtomicBool>,
}

impl Options {
    /// Core's defaults for a network.
    pub fn new(dirs: Dirs, params: ChainParams) -> Self {
        Self {
            dirs,
            dbcache: 450 << 20,
            coins_writing: Writing::default(),
            compact_databases: false,
            script_threads: 0,
            script_cache: DEFAULT_SCRIPT_CACHE_BYTES,
            reindex: false,
            reindex_chainstate: false,
            check_blocks: 6,
            check_level: 3,
            full_check: false,
            check_index: 0,
            connect_ahead: true,
            blocks_xor: true,
            fast_prune: false,
            prune: None,
            assume_valid: params.assume_valid,
            minimum_chain_work: params.minimum_chain_work,
            max_tip_age: Duration::from_secs(24 * 60 * 60),
            disk: Disk::default(),
            interrupt: Arc::default(),
            params,
        }
    }
}

impl Options {
    /// How a database with `cache` bytes of memory is opened.
    pub(super) fn database(&self, cache: usize) -> DatabaseOptions {
        DatabaseOptions {
            compact: self.compact_databases,
            ..DatabaseOptions::new(cache)
        }
    }
}

/// How a block is taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubmitOptions {
    /// Whether it was asked for: then it is stored even if it has little work or lies far ahead. A block that a peer
    /// pushes is not.
    pub force: bool,
}
