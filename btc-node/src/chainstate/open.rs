//! From the files on disk to a chainstate that is ready, also after an unclean stop.

mod coins;

use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use bitcoin::BlockHash;
use bitcoin::consensus::serialize;
use btc_consensus::Work;
use btc_consensus::header::check_proof_of_work;
use btc_consensus::limits::MAX_FUTURE_BLOCK_TIME;
use btc_consensus::params::{AssumeUtxo, BuriedDeployment};

use super::checks::CheckQueue;
use super::clock::Clock;
use super::error::OpenError;
use super::flush::next_write;
use super::options::Options;
use super::prune::{MIN_BLOCKS_TO_KEEP, PruneTarget, Pruning};
use super::read_ahead::ReadAhead;
use super::script_cache::ScriptCache;
use super::snapshot::Snapshot;
use super::state::{PublishedTip, Shared, State};
use super::summary::{BlockSummary, VerifyError};
use super::text::{iso8601, work_hex};
use crate::chain::entry::{SEQUENCE_BEST_CHAIN, SEQUENCE_FROM_DISK};
use crate::chain::{ActiveChain, BlockTree, Candidates, Validity};
use crate::notify::{Event, Notifier};
use crate::store::block_files::{BlockFiles, BlockFilesOptions};
use crate::store::coins_db::coins_dir;
use crate::store::index_db::{IndexDb, PRUNED_FLAG};
use crate::store::kv::KvError;
use crate::store::{Database, StoreError};

pub(super) use coins::open_coins_db;
use coins::{find_best, find_snapshot, open_all_coins};

/// Most memory for the block index database, in bytes.
const MAX_INDEX_CACHE: usize = 2 << 20;
/// Most memory for the coins database, in bytes; more is better spent on coins themselves.
const MAX_COINS_DB_CACHE: usize = 8 << 20;
/// Least `-dbcache`, in bytes.
const MIN_DBCACHE: usize = 4 << 20;

/// How `-dbcache` is divided.
struct Budget {
    index: usize,
    coins_db: usize,
    coins: usize,
}

impl Budget {
    fn of(dbcache: usize) -> Self {
        let total = dbcache.max(MIN_DBCACHE);
        let index = (total / 8).min(MAX_INDEX_CACHE);
        let coins_db = ((total - index) / 2).min(MAX_COINS_DB_CACHE);
        Self {
            index,
            coins_db,
            coins: total - index - coins_db,
        }
    }
}

/// The block index as loaded.
struct Loaded {
    tree: BlockTree,
    index: IndexDb,
    files: BlockFiles,
    files_indexed: bool,
    pruning: Pruning,
}

impl Shared {
    /// Opens everything; see [`ChainstateManager::open`](super::ChainstateManager::open).
    pub(super) fn open(
        options: Options,
        clock: Arc<dyn Clock>,
        notifier: Arc<Notifier>,
    ) -> Result<Self, OpenError> {
        say_what_is_taken_for_granted(&options);
        let snapshot = find_snapshot(&options)?;
        let budget = Budget::of(options.dbcache);
        if options.reindex {
            // Before the index: coins of blocks that no index knows would be taken for damage by the next start, if this
            // one were to end here.
            let coins = coins_dir(&options.dirs.net);
            Database::destroy_on(&options.disk, &coins).map_err(OpenError::CoinsDatabase)?;
        }
        let loaded = load_index(&options, &budget, snapshot.as_ref(), &notifier)?;
        let reader = loaded.files.reader().clone();
        let opened = open_all_coins(&options, &budget, &loaded, snapshot.as_ref(), &notifier)?;
        let (coins, background) = opened;
        let snapshot = background.as_ref().map(|background| Snapshot {
            base: background.target,
            validated: false,
        });
        let ahead =
            ReadAhead::new(reader.clone(), options.params.clone()).map_err(OpenError::Thread)?;
        let mut state = State {
            tree: loaded.tree,
            chain: ActiveChain::new(),
            candidates: Candidates::new(),
            coins,
            files: loaded.files,
            ahead,
            index: loaded.index,
            best_invalid: None,
            next_sequence: SEQUENCE_FROM_DISK + 1,
            precious_sequence: -1,
            precious_work: Work::ZERO,
            notified_header: None,
            next_write: next_write(),
            files_indexed: loaded.files_indexed,
            pruning: loaded.pruning,
            snapshot,
            background,
            told_of_scripts: None,
            failed: None,
        };
        load_tip(&mut state)?;
        if let Some(tip) = state.chain.tip().map(|tip| state.tree.entry(tip)) {
            tracing::info!(
                "Loaded best chain: hashBestChain={} height={} date={}",
                tip.hash,
                tip.height,
                iso8601(tip.time())
            );
        }
        check_witnesses(&state, &options)?;
        check_future(&state, clock.as_ref())?;
        let genesis = genesis_summary(&options);
        let checks = CheckQueue::new(options.script_threads).map_err(OpenError::Thread)?;
        let scripts = Arc::new(ScriptCache::new(options.script_cache));
        let check = (options.check_level, options.check_blocks);
        let defer = options.reindex || options.reindex_chainstate || !state.files_indexed;
        let had_tip = state.chain.tip().is_some();
        let chains = 1 + usize::from(state.background.is_some());
        let files_indexed = state.files_indexed;
        let shared = Self {
            options,
            clock,
            notifier,
            reader,
            mempool: OnceLock::new(),
            checks,
            scripts,
            thresholds: Mutex::default(),
            coins_budget: budget.coins,
            coins_db_budget: budget.coins_db / chains,
            loading_snapshot: AtomicBool::new(false),
            state: Mutex::new(state),
            tip: Mutex::new(PublishedTip {
                summary: genesis,
                closed: false,
            }),
            tip_changed: Condvar::new(),
            connected: Mutex::default(),
            initial_download: AtomicBool::new(true),
            importing: AtomicBool::new(!files_indexed),
            index_checks: AtomicU32::new(0),
        };
        shared.notifier.send(Event::Progress {
            title: "Verifying blocks…".to_owned(),
            percent: 0,
        });
        if had_tip {
            if check.1 > MIN_BLOCKS_TO_KEEP && shared.lock().pruning.happened {
                tracing::warn!(
                    "pruned datadir may not have more than {MIN_BLOCKS_TO_KEEP} blocks; only checking available blocks"
                );
            }
            match shared.verify_chain(check.0, check.1) {
                // The check goes as far as memory allows; what it saw was sound.
                Ok(()) | Err(VerifyError::MissingBlocks) => {}
                Err(VerifyError::TooLittleMemory) if shared.options.full_check => {
                    return Err(OpenError::TooLittleMemory);
                }
                Err(VerifyError::TooLittleMemory) => {}
                Err(VerifyError::Corrupted(reason)) => return Err(OpenError::Corrupted { reason }),
                Err(VerifyError::Interrupted) => return Err(OpenError::Interrupted),
            }
        }
        shared.start(defer).map_err(|error| OpenError::Initialize {
            reason: error.to_string(),
        })?;
        if shared.interrupted() {
            // What was connected so far is kept.
            let flushed = shared.flush_all();
            flushed.map_err(|error| OpenError::Initialize {
                reason: error.to_string(),
            })?;
            return Err(OpenError::Interrupted);
        }
        Ok(shared)
    }

    /// Connects the genesis block, and unless the caller does so later, what else waits on disk.
    fn start(&self, defer: bool) -> Result<(), super::error::SubmitError> {
        let mut state = self.lock_for_change()?;
        if state.chain.tip().is_none() {
            let genesis = Self::find(&state, &self.options.params.genesis_hash)?;
            let hash = state.tree.entry(genesis).hash;
            state.coins.set_best_block(hash);
            let State { tree, chain, .. } = &mut *state;
            chain.set_tip(tree, Some(genesis));
        }
        let State {
            tree, background, ..
        } = &mut *state;
        if let Some(background) = background
            && background.chain.tip().is_none()
            && let Some(genesis) = tree.ancestor(background.target, 0)
        {
            background.coins.set_best_block(tree.entry(genesis).hash);
            background.chain.set_tip(tree, Some(genesis));
        }
        self.collect_candidates(&mut state);
        for id in state.tree.ids() {
            if state.tree.entry(id).failed() {
                self.note_best_invalid(&mut state, id);
            }
        }
        state.notified_header = state.tree.best_header();
        self.update_initial_download(&state);
        let tip = state.chain.tip();
        self.announce_tip(&state, tip);
        drop(state);
        if !defer {
            self.activate_best_chain(None)?;
        }
        Ok(())
    }
}

/// What the options let this node believe without a check, for the log.
fn say_what_is_taken_for_granted(options: &Options) {
    match options.assume_valid {
        Some(block) => {
            tracing::info!("Assuming ancestors of block {block} have valid signatures.");
        }
        None => tracing::info!("Validating signatures for all blocks."),
    }
    let (work, usual) = (
        options.minimum_chain_work,
        options.params.minimum_chain_work,
    );
    tracing::info!("Setting nMinimumChainWork={}", work_hex(work));
    if work < usual {
        tracing::warn!(
            "nMinimumChainWork set below default value of {}",
            work_hex(usual)
        );
    }
    match options.prune {
        Some(PruneTarget::Manual) => tracing::info!(
            "Block pruning enabled. Use RPC call pruneblockchain(height) to manually prune block and undo files."
        ),
        Some(PruneTarget::Bytes(bytes)) => tracing::info!(
            "Prune configured to target {} MiB on disk for block and undo files.",
            bytes >> 20
        ),
        None => {}
    }
}

/// Reads the block index and the books about files, or starts them anew.
fn load_index(
    options: &Options,
    budget: &Budget,
    snapshot: Option<&AssumeUtxo>,
    notifier: &Notifier,
) -> Result<Loaded, OpenError> {
    let blocks = &options.dirs.blocks;
    // The index stays in the network's directory when -blocksdir moves the files elsewhere.
    let index_dir = options.dirs.net.join("blocks").join("index");
    let files_options = BlockFilesOptions {
        magic: options.params.magic,
        xor: options.blocks_xor,
        fast_prune: options.fast_prune,
    };
    // The key file must be made before anything else is in the directory: that is how a new one is told.
    let mut files = BlockFiles::open_on(&options.disk, blocks, &files_options)
        .map_err(OpenError::BlockFiles)?;
    if options.reindex {
        Database::destroy_on(&options.disk, &index_dir).map_err(OpenError::BlockDatabase)?;
    }
    let index = IndexDb::new(Box::new(
        Database::open_on(&options.disk, &index_dir, &options.database(budget.index))
            .map_err(OpenError::BlockDatabase)?,
    ));
    if options.reindex {
        index.set_reindexing(true)?;
        if options.prune.is_some() {
            files.clear_unusable()?;
        }
    }
    let mut tree = read_tree(options, &index, snapshot)?;
    let pruning = Pruning::new(index.flag(PRUNED_FLAG)?);
    if pruning.happened {
        tracing::info!("Loading block index db: Block files have previously been pruned");
        if options.prune.is_none() {
            return Err(OpenError::Pruned);
        }
    }
    files.load(
        index.file_infos().map_err(OpenError::BlockIndex)?,
        snapshot.map(|known| known.height),
    );
    for entry in tree.ids().map(|id| tree.entry(id)) {
        if let Some(pos) = entry.data()
            && pos.file > files.last_file()
        {
            return Err(OpenError::MissingBlockFile { file: pos.file });
        }
    }
    tracing::info!("Checking all blk files are present...");
    let used: std::collections::BTreeSet<u32> = tree
        .ids()
        .filter_map(|id| tree.entry(id).data())
        .map(|pos| pos.file)
        .collect();
    if let Some(file) = used
        .into_iter()
        .find(|file| !files.reader().can_open_block_file(*file))
    {
        return Err(OpenError::MissingBlockFile { file });
    }
    if pruning.happened {
        // Those that a kill left over.
        let emptied = files.finished().filter(|(_, info)| info.size == 0);
        files.unlink(emptied.map(|(file, _)| file));
    }
    let files_indexed = !index.reindexing()?;
    if !files_indexed {
        files.keep_apart();
    }
    insert_genesis(options, &mut tree, &mut files, files_indexed).map_err(|error| {
        if matches!(error, StoreError::DiskSpace) {
            let message = error.to_string();
            notifier.send(Event::Fatal { message });
        }
        OpenError::Genesis(error)
    })?;
    Ok(Loaded {
        tree,
        index,
        files,
        files_indexed,
        pruning,
    })
}

/// Damage to the index is told apart from files of it that cannot be read.
fn unreadable_index(error: StoreError) -> OpenError {
    match error {
        StoreError::Kv(KvError::Engine(ref reason)) if reason.starts_with("IO error") => {
            OpenError::Store(error)
        }
        error => OpenError::BlockIndex(error),
    }
}

fn read_tree(
    options: &Options,
    index: &IndexDb,
    snapshot: Option<&AssumeUtxo>,
) -> Result<BlockTree, OpenError> {
    let mut records = Vec::new();
    for record in index.records().map_err(unreadable_index)? {
        let (hash, record) = record.map_err(unreadable_index)?;
        if check_proof_of_work(&record.header, &options.params).is_err() {
            return Err(OpenError::BadProofOfWork(hash));
        }
        records.push((hash, record));
    }
    let foreign = |records: &[(BlockHash, _)]| {
        !records.is_empty()
            && records
                .iter()
                .all(|(hash, _)| *hash != options.params.genesis_hash)
    };
    if foreign(&records) {
        return Err(OpenError::WrongGenesis);
    }
    let known = snapshot.map(|known| (known.block_hash, known.chain_tx_count));
    Ok(BlockTree::load(records, known)?)
}

/// Makes sure that the genesis block is in the tree. During a reindex it is found in the files later; otherwise it is
/// written to them now.
fn insert_genesis(
    options: &Options,
    tree: &mut BlockTree,
    files: &mut BlockFiles,
    files_indexed: bool,
) -> Result<(), StoreError> {
    let genesis = &options.params.genesis;
    let hash = options.params.genesis_hash;
    let id = match tree.find(&hash) {
        Some(id) if tree.entry(id).chain_tx > 0 => return Ok(()),
        Some(id) => id,
        None => tree.insert(hash, genesis.header),
    };
    if files_indexed {
        let pos = files.write_block(&serialize(genesis), 0, genesis.header.time)?;
        tree.modify(id)
            .set_data(pos, options.params.is_active(BuriedDeployment::Segwit, 0));
    }
    tree.receive_block(id, genesis.txdata.len() as u32);
    Ok(())
}

/// Finds the coins' best block in the tree, and makes it the tip.
fn load_tip(state: &mut State) -> Result<(), OpenError> {
    let Some(best) = state.coins.best_block() else {
        return Ok(());
    };
    let tip = find_best(&state.tree, best)?;
    state.chain.set_tip(&state.tree, Some(tip));
    // The chain that was active before the stop wins ties.
    let mut walk = Some(tip);
    while let Some(id) = walk {
        state.tree.set_sequence(id, SEQUENCE_BEST_CHAIN);
        walk = state.tree.entry(id).prev;
    }
    Ok(())
}

fn check_witnesses(state: &State, options: &Options) -> Result<(), OpenError> {
    let mut walk = state.chain.tip();
    while let Some(entry) = walk.map(|id| state.tree.entry(id)) {
        if !options
            .params
            .is_active(BuriedDeployment::Segwit, entry.height)
        {
            break;
        }
        // A genesis block that a reindex has not met yet has no data and no witness.
        if !entry.has_witness() && entry.height > 0 {
            return Err(OpenError::MissingWitness {
                height: options.params.segwit_height,
            });
        }
        walk = entry.prev;
    }
    Ok(())
}

fn check_future(state: &State, clock: &dyn Clock) -> Result<(), OpenError> {
    let Some(tip) = state.chain.tip() else {
        return Ok(());
    };
    let time = i64::from(state.tree.entry(tip).time());
    if time > clock.now().saturating_add(i64::from(MAX_FUTURE_BLOCK_TIME)) {
        return Err(OpenError::FromTheFuture);
    }
    Ok(())
}

/// The genesis block, as the tip is shown until the real one is known.
fn genesis_summary(options: &Options) -> BlockSummary {
    let header = options.params.genesis.header;
    BlockSummary {
        hash: options.params.genesis_hash,
        header,
        height: 0,
        time: header.time,
        median_time_past: header.time,
        time_max: header.time,
        chainwork: Work::from_compact(header.bits.to_consensus()),
        n_tx: options.params.genesis.txdata.len() as u32,
        chain_tx: options.params.genesis.txdata.len() as u64,
        validity: Validity::Unknown,
        failed: false,
        has_data: false,
        has_undo: false,
        pruned: false,
        data_pos: None,
        active: true,
        next: None,
    }
}
