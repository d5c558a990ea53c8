//! From the files on disk to a chainstate that is ready, also after an unclean stop.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use bitcoin::BlockHash;
use bitcoin::consensus::serialize;
use btc_consensus::Work;
use btc_consensus::header::check_proof_of_work;
use btc_consensus::limits::MAX_FUTURE_BLOCK_TIME;
use btc_consensus::params::{AssumeUtxo, BuriedDeployment};

use super::background::Background;
use super::checks::CheckQueue;
use super::clock::Clock;
use super::coins_cache::{CoinsCache, Overlay};
use super::connect::{disconnect_block, roll_forward};
use super::error::OpenError;
use super::flush::next_write;
use super::options::Options;
use super::prune::Pruning;
use super::snapshot::{PopulationError, Snapshot, rejection, serialized_hash};
use super::state::{PublishedTip, Shared, State};
use super::summary::{BlockSummary, VerifyError};
use crate::chain::entry::{SEQUENCE_BEST_CHAIN, SEQUENCE_FROM_DISK};
use crate::chain::{ActiveChain, BlockId, BlockTree, Candidates, Validity};
use crate::notify::{Event, Notifier};
use crate::store::Database;
use crate::store::StoreError;
use crate::store::block_files::{BlockFiles, BlockFilesOptions};
use crate::store::block_reader::BlockReader;
use crate::store::coins_db::{CoinsDb, HeadBlocks, coins_dir};
use crate::store::index_db::{IndexDb, PRUNED_FLAG};
use crate::store::obfuscation::ObfuscatedKv;
use crate::store::utxo_snapshot;

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
        let snapshot = find_snapshot(&options)?;
        let budget = Budget::of(options.dbcache);
        let loaded = load_index(&options, &budget, snapshot.as_ref())?;
        let reader = loaded.files.reader().clone();
        let opened = open_all_coins(&options, &budget, &loaded, snapshot.as_ref(), &notifier)?;
        let (coins, background) = opened;
        let snapshot = background.as_ref().map(|background| Snapshot {
            base: background.target,
            validated: false,
        });
        let mut state = State {
            tree: loaded.tree,
            chain: ActiveChain::new(),
            candidates: Candidates::new(),
            coins,
            files: loaded.files,
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
            failed: None,
        };
        load_tip(&mut state)?;
        check_witnesses(&state, &options)?;
        check_future(&state, clock.as_ref())?;
        let genesis = genesis_summary(&options);
        let checks = CheckQueue::new(options.script_threads).map_err(OpenError::Thread)?;
        let check = (options.check_level, options.check_blocks);
        let defer = options.reindex || options.reindex_chainstate || !state.files_indexed;
        let had_tip = state.chain.tip().is_some();
        let shared = Self {
            options,
            clock,
            notifier,
            reader,
            mempool: OnceLock::new(),
            checks,
            coins_budget: budget.coins,
            coins_db_budget: budget.coins_db,
            loading_snapshot: AtomicBool::new(false),
            state: Mutex::new(state),
            tip: Mutex::new(PublishedTip {
                summary: genesis,
                closed: false,
            }),
            tip_changed: Condvar::new(),
            initial_download: AtomicBool::new(true),
            importing: AtomicBool::new(false),
        };
        shared.notifier.send(Event::Progress {
            title: "Verifying blocks…".to_owned(),
            percent: 0,
        });
        if had_tip {
            match shared.verify_chain(check.0, check.1) {
                // The check goes as far as memory allows; what it saw was sound.
                Ok(()) | Err(VerifyError::TooLittleMemory | VerifyError::MissingBlocks) => {}
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

/// Reads the block index and the books about files, or starts them anew.
fn load_index(
    options: &Options,
    budget: &Budget,
    snapshot: Option<&AssumeUtxo>,
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
    let mut files = BlockFiles::open(blocks, &files_options)?;
    if options.reindex {
        Database::destroy(&index_dir).map_err(OpenError::BlockIndex)?;
    }
    let index = IndexDb::new(Box::new(
        Database::open(&index_dir, budget.index).map_err(OpenError::BlockIndex)?,
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
    let used: std::collections::BTreeSet<u32> = tree
        .ids()
        .filter_map(|id| tree.entry(id).data())
        .map(|pos| pos.file)
        .collect();
    if let Some(file) = used
        .into_iter()
        .find(|file| !files.reader().has_block_file(*file))
    {
        return Err(OpenError::MissingBlockFile { file });
    }
    if pruning.happened {
        // Those that a kill left over.
        let emptied = files.finished().filter(|(_, info)| info.size == 0);
        files.unlink(emptied.map(|(file, _)| file));
    }
    let files_indexed = !index.reindexing()?;
    insert_genesis(options, &mut tree, &mut files, files_indexed)?;
    Ok(Loaded {
        tree,
        index,
        files,
        files_indexed,
        pruning,
    })
}

fn read_tree(
    options: &Options,
    index: &IndexDb,
    snapshot: Option<&AssumeUtxo>,
) -> Result<BlockTree, OpenError> {
    let mut records = Vec::new();
    for record in index.records().map_err(OpenError::BlockIndex)? {
        let (hash, record) = record.map_err(OpenError::BlockIndex)?;
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
) -> Result<(), OpenError> {
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

/// The snapshot that lies in the directory, if there is one. A reindex does away with it.
fn find_snapshot(options: &Options) -> Result<Option<AssumeUtxo>, OpenError> {
    let net = &options.dirs.net;
    utxo_snapshot::finish_adopting(net)?;
    let Some(base) = utxo_snapshot::read_base(net)? else {
        return Ok(None);
    };
    if options.reindex || options.reindex_chainstate {
        tracing::info!("[snapshot] deleting snapshot chainstate due to reindexing");
        utxo_snapshot::remove_snapshot(net)?;
        return Ok(None);
    }
    tracing::info!(
        "[snapshot] detected active snapshot chainstate ({}) - loading",
        utxo_snapshot::snapshot_dir(net).display()
    );
    let mut all = options.params.assume_utxo.iter();
    match all.find(|known| known.block_hash == base) {
        Some(known) => Ok(Some(*known)),
        None => Err(OpenError::UnknownSnapshot(base)),
    }
}

/// Opens the coins of the active chain, and of the one that is validated below a snapshot. If that one is done, the
/// snapshot takes its place first.
fn open_all_coins(
    options: &Options,
    budget: &Budget,
    loaded: &Loaded,
    snapshot: Option<&AssumeUtxo>,
    notifier: &Notifier,
) -> Result<(CoinsCache, Option<Background>), OpenError> {
    let net = &options.dirs.net;
    let open = |dir: &Path, cache| open_coins(options, dir, cache, loaded, notifier);
    let Some(known) = snapshot else {
        return Ok((open(&coins_dir(net), budget.coins_db)?, None));
    };
    let active = open(&utxo_snapshot::snapshot_dir(net), budget.coins_db / 2)?;
    let below = open(&coins_dir(net), budget.coins_db / 2)?;
    let height = |coins: &CoinsCache| {
        let best = coins.best_block().and_then(|best| loaded.tree.find(&best));
        best.map_or(0, |best| loaded.tree.entry(best).height)
    };
    if below.best_block() != Some(known.block_hash) {
        let target = loaded.tree.find(&known.block_hash);
        let target = target.ok_or_else(|| OpenError::Initialize {
            reason: format!(
                "the snapshot's block {} is not in the block index",
                known.block_hash
            ),
        })?;
        let mut chain = ActiveChain::new();
        if let Some(best) = below.best_block() {
            chain.set_tip(&loaded.tree, Some(find_best(&loaded.tree, best)?));
        }
        let background = Background {
            chain,
            coins: below,
            target,
        };
        return Ok((active, Some(background)));
    }
    let interrupted = || options.interrupt.load(Ordering::Relaxed);
    let found = serialized_hash(below.db(), known.block_hash, known.height, &interrupted);
    match found {
        Ok(found) if found == known.hash_serialized => {}
        Ok(found) => {
            let expected = known.hash_serialized;
            tracing::warn!("[snapshot] hash mismatch: actual={found}, expected={expected}");
            let message = rejection(height(&active), height(&below));
            drop(active);
            utxo_snapshot::set_invalid_aside(net)?;
            return Err(OpenError::InvalidSnapshot(message));
        }
        Err(PopulationError::Store(error)) => return Err(error.into()),
        Err(_) => return Err(OpenError::Interrupted),
    }
    tracing::info!(
        "[snapshot] snapshot beginning at {} has been fully validated",
        known.block_hash
    );
    tracing::info!("[snapshot] cleaning up unneeded background chainstate, then reinitializing");
    drop((active, below));
    utxo_snapshot::adopt_snapshot(net)?;
    Ok((open(&coins_dir(net), budget.coins_db)?, None))
}

/// Opens one directory of coins, and completes a flush that was interrupted.
fn open_coins(
    options: &Options,
    dir: &Path,
    cache: usize,
    loaded: &Loaded,
    notifier: &Notifier,
) -> Result<CoinsCache, OpenError> {
    if options.reindex || options.reindex_chainstate {
        Database::destroy(dir).map_err(OpenError::CoinsDatabase)?;
    }
    let db = open_coins_db(dir, cache).map_err(OpenError::CoinsDatabase)?;
    if db.needs_upgrade()? {
        return Err(OpenError::OldCoinsDatabase);
    }
    let mut coins = CoinsCache::new(Arc::new(db))?;
    if let Some(heads) = coins.db().head_blocks()? {
        let reader = loaded.files.reader();
        replay(&mut coins, heads, &loaded.tree, reader, notifier)?;
    }
    Ok(coins)
}

pub(super) fn open_coins_db(dir: &Path, cache: usize) -> Result<CoinsDb, StoreError> {
    let db = ObfuscatedKv::open(Box::new(Database::open(dir, cache)?), true)?;
    Ok(CoinsDb::new(Box::new(db)))
}

/// Brings coins that a flush left between two tips to the newer one. Every step may have been done before.
fn replay(
    coins: &mut CoinsCache,
    heads: HeadBlocks,
    tree: &BlockTree,
    reader: &BlockReader,
    notifier: &Notifier,
) -> Result<(), OpenError> {
    let failed = |reason: String| OpenError::Replay { reason };
    let store = |error: StoreError| OpenError::Replay {
        reason: error.to_string(),
    };
    tracing::info!(target: "validation", "Replaying blocks");
    notifier.send(Event::Progress {
        title: "Replaying blocks…".to_owned(),
        percent: 0,
    });
    let new = tree
        .find(&heads.new)
        .ok_or_else(|| failed("reorganization to unknown block requested".into()))?;
    let old = match heads.old {
        None => None,
        Some(old) => Some(
            tree.find(&old)
                .ok_or_else(|| failed("reorganization from unknown block requested".into()))?,
        ),
    };
    let fork = old.and_then(|old| tree.last_common_ancestor(old, new));
    let mut overlay = Overlay::new(coins);
    let read = |id| {
        let entry = tree.entry(id);
        let pos = entry
            .data()
            .ok_or_else(|| failed(format!("block {} has no data", entry.hash)))?;
        reader.read_block(pos, &entry.hash).map_err(store)
    };
    let mut walk = old;
    while let (Some(id), true) = (walk, walk != fork) {
        let entry = tree.entry(id);
        if entry.height > 0 {
            let block = read(id)?;
            let pos = entry
                .undo()
                .ok_or_else(|| failed(format!("block {} has no undo data", entry.hash)))?;
            let undo = reader
                .read_undo(pos, &entry.header.prev_blockhash)
                .map_err(store)?;
            // Unclean is expected: some of the changes were not written.
            disconnect_block(&block, entry.height, undo, &mut overlay).map_err(store)?;
        }
        walk = entry.prev;
    }
    let fork_height = fork.map_or(0, |fork| tree.entry(fork).height);
    for height in fork_height + 1..=tree.entry(new).height {
        let Some(id) = tree.ancestor(new, height) else {
            break;
        };
        roll_forward(&read(id)?, height, &mut overlay).map_err(store)?;
    }
    overlay.set_best_block(heads.new);
    overlay.commit();
    coins.flush(false).map_err(store)
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

fn find_best(tree: &BlockTree, best: BlockHash) -> Result<BlockId, OpenError> {
    tree.find(&best).ok_or_else(|| OpenError::Initialize {
        reason: format!("the coins' best block {best} is not in the block index"),
    })
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
