//! The coins of the active chain, and of the one below a snapshot, opened and brought to where a flush was to bring them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bitcoin::BlockHash;
use btc_consensus::params::AssumeUtxo;

use super::{Budget, Loaded};
use crate::chain::{ActiveChain, BlockId, BlockTree};
use crate::chainstate::background::Background;
use crate::chainstate::coins_cache::{CoinsCache, Overlay};
use crate::chainstate::connect::{disconnect_block, roll_forward};
use crate::chainstate::error::OpenError;
use crate::chainstate::options::Options;
use crate::chainstate::snapshot::{PopulationError, rejection, serialized_hash};
use crate::notify::{Event, Notifier};
use crate::store::block_reader::BlockReader;
use crate::store::coins_db::{CoinsDb, HeadBlocks, coins_dir};
use crate::store::obfuscation::ObfuscatedKv;
use crate::store::{Database, StoreError, utxo_snapshot};

/// The snapshot that lies in the directory, if there is one. A reindex does away with it.
pub(super) fn find_snapshot(options: &Options) -> Result<Option<AssumeUtxo>, OpenError> {
    let (disk, net) = (&options.disk, &options.dirs.net);
    utxo_snapshot::finish_adopting(disk, net)?;
    let Some(base) = utxo_snapshot::read_base(net)? else {
        return Ok(None);
    };
    if options.reindex || options.reindex_chainstate {
        tracing::info!("[snapshot] deleting snapshot chainstate due to reindexing");
        utxo_snapshot::remove_snapshot(disk, net)?;
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
pub(super) fn open_all_coins(
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
            utxo_snapshot::set_invalid_aside(&options.disk, net)?;
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
    utxo_snapshot::adopt_snapshot(&options.disk, net)?;
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
    // A full rebuild has removed them before the index.
    if options.reindex_chainstate && !options.reindex {
        Database::destroy_on(&options.disk, dir).map_err(OpenError::CoinsDatabase)?;
    }
    let db = open_coins_db(dir, cache, options).map_err(OpenError::CoinsDatabase)?;
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

pub(in crate::chainstate) fn open_coins_db(
    dir: &Path,
    cache: usize,
    options: &Options,
) -> Result<CoinsDb, StoreError> {
    let engine = Database::open_on(&options.disk, dir, &options.database(cache))?;
    let db = ObfuscatedKv::open(Box::new(engine), true)?;
    Ok(CoinsDb::new(Box::new(db)).with_writing(options.coins_writing))
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

/// The coins' best block in the tree.
pub(super) fn find_best(tree: &BlockTree, best: BlockHash) -> Result<BlockId, OpenError> {
    tree.find(&best).ok_or_else(|| OpenError::Initialize {
        reason: format!("the coins' best block {best} is not in the block index"),
    })
}
