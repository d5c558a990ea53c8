//! The way along the chain that all indexes have in common.
//!
//! At first a thread goes from the index's best block to the tip and reads blocks from disk. Once it is there, the index
//! is *synced*, the thread ends, and events bring each further block. The step from one to the other is taken under the
//! chainstate's lock, where events are queued, so that no block falls between.
//!
//! The chain is the one that was validated from its first block on. Above a UTXO snapshot that is not validated yet the
//! index takes in nothing; when it is, a thread goes from there to the active chain's tip.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bitcoin::{Block, BlockHash};

use super::db::{IndexDb, encode_locator};
use super::error::{IndexError, StartIndexError};
use crate::chainstate::{BlockSummary, ChainstateManager};
use crate::notify::{BlockEvent, Event, Registration};
use crate::store::kv::Batch;
use crate::store::undo::BlockUndo;

/// Time between two lines in the log, and between two commits, while an index catches up.
const SYNC_INTERVAL: Duration = Duration::from_secs(30);

/// A block on its way into an index or out of it.
pub(super) struct IndexedBlock<'a> {
    /// Its place in the chain.
    pub(super) summary: &'a BlockSummary,
    chain: &'a ChainstateManager,
    at_hand: Option<Arc<Block>>,
}

impl IndexedBlock<'_> {
    /// The hash of the block before it.
    pub(super) fn prev(&self) -> BlockHash {
        self.summary.header.prev_blockhash
    }

    /// Its transactions.
    pub(super) fn block(&self) -> Result<Arc<Block>, IndexError> {
        if let Some(block) = &self.at_hand {
            return Ok(Arc::clone(block));
        }
        let hash = self.summary.hash;
        let block = self.chain.read_block(&hash)?;
        block.map(Arc::new).ok_or(IndexError::NoBlock(hash))
    }

    /// What it spent: nothing for the genesis block.
    pub(super) fn undo(&self) -> Result<BlockUndo, IndexError> {
        if self.summary.height == 0 {
            return Ok(BlockUndo::default());
        }
        let hash = self.summary.hash;
        self.chain.read_undo(&hash)?.ok_or(IndexError::NoUndo(hash))
    }
}

/// What an index writes. One thread at a time calls it.
pub(super) trait Contents: Send {
    /// The database.
    fn db(&self) -> &IndexDb;

    /// Where the locator of the best block is kept.
    fn best_key(&self) -> &'static [u8];

    /// The best block as last committed.
    fn best_block(&self) -> Result<Option<BlockHash>, IndexError> {
        self.db().best_block(self.best_key())
    }

    /// Whether blocks may be pruned once it has passed them.
    fn allows_pruning(&self) -> bool;

    /// Whether it needs what blocks spent.
    fn needs_undo(&self) -> bool;

    /// Loads what it keeps in memory; `best` is the last block that was committed.
    fn load(&mut self, best: Option<&BlockSummary>) -> Result<(), IndexError>;

    /// Takes in the block after the last one.
    fn append(&mut self, block: &IndexedBlock<'_>) -> Result<(), IndexError>;

    /// Takes out the last block, which left the active chain.
    fn remove(&mut self, block: &IndexedBlock<'_>) -> Result<(), IndexError>;

    /// Adds to `batch` what must be written together with the best block.
    fn commit(&mut self, batch: &mut Batch) -> Result<(), IndexError>;
}

/// How far an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexInfo {
    /// Its name, as `getindexinfo` shows it.
    pub name: &'static str,
    /// Whether it has caught up with the chain once.
    pub synced: bool,
    /// Its best block's height; 0 if it has none.
    pub height: u32,
    /// Its best block; the genesis block if it has none.
    pub hash: BlockHash,
}

/// What is written, and up to where.
struct Writer {
    contents: Box<dyn Contents>,
    best: Option<Best>,
}

/// The block that an index is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Best {
    hash: BlockHash,
    height: u32,
}

struct Shared {
    name: &'static str,
    allows_pruning: bool,
    needs_undo: bool,
    chain: Arc<ChainstateManager>,
    /// Held by the thread while the index catches up, and by the delivery of events afterwards.
    writer: Mutex<Writer>,
    /// The writer's best block, for everybody.
    best: Mutex<Option<Best>>,
    synced: AtomicBool,
    interrupt: AtomicBool,
    failed: AtomicBool,
    thread_name: &'static str,
    /// The thread that catches up, or did.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// An index's way along the chain. Dropping it stops it.
pub struct Follower {
    shared: Arc<Shared>,
    registration: Mutex<Option<Registration>>,
}

impl Follower {
    /// An index at its last committed block, told of events from now on.
    pub(super) fn open(
        thread_name: &'static str,
        chain: &Arc<ChainstateManager>,
        mut contents: Box<dyn Contents>,
    ) -> Result<Self, StartIndexError> {
        let name = contents.db().name();
        let state = |source| StartIndexError::State { name, source };
        let best = match contents.best_block().map_err(state)? {
            None => None,
            Some(hash) => Some(
                chain
                    .block_summary(&hash)
                    .ok_or(StartIndexError::UnknownBest { name })?,
            ),
        };
        contents.load(best.as_ref()).map_err(state)?;
        let best = best.map(|summary| Best {
            hash: summary.hash,
            height: summary.height,
        });
        let shared = Arc::new(Shared {
            name,
            allows_pruning: contents.allows_pruning(),
            needs_undo: contents.needs_undo(),
            chain: Arc::clone(chain),
            writer: Mutex::new(Writer { contents, best }),
            best: Mutex::new(None),
            synced: AtomicBool::new(false),
            interrupt: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            thread_name,
            thread: Mutex::default(),
        });
        shared.publish(best);
        let listener = Arc::downgrade(&shared);
        let registration = chain.notifier().register(Arc::new(move |event: &Event| {
            if let Some(shared) = listener.upgrade() {
                shared.event(event);
            }
        }));
        // Registered before, so that what comes after this block is told.
        shared.mark_synced(best);
        Ok(Self {
            shared,
            registration: Mutex::new(Some(registration)),
        })
    }

    /// Whether blocks between the index and the tip are missing; starting it would fail.
    ///
    /// # Errors
    /// They are: [`StartIndexError::Pruned`].
    pub(super) fn check_blocks(&self) -> Result<(), StartIndexError> {
        let shared = &self.shared;
        if shared.synced.load(Ordering::Acquire) {
            return Ok(());
        }
        let chain = &shared.chain;
        let tip = chain.validated_tip();
        let from = shared
            .best()
            .and_then(|best| chain.last_common_ancestor(&best.hash, &tip.hash))
            .and_then(|fork| chain.block_summary(&fork))
            .map_or(0, |fork| fork.height);
        let first = chain.first_stored(&tip.hash, shared.needs_undo);
        if first.is_none_or(|first| first.height > from) {
            return Err(StartIndexError::Pruned {
                name: shared.name,
                undo: shared.needs_undo,
            });
        }
        Ok(())
    }

    /// Lets the index catch up, on a thread of its own.
    pub(super) fn start(&self) -> Result<(), StartIndexError> {
        self.shared
            .start()
            .map_err(|source| StartIndexError::Thread {
                name: self.shared.name,
                source,
            })
    }

    /// Makes the thread end soon.
    pub(super) fn interrupt(&self) {
        self.shared.interrupt.store(true, Ordering::Release);
    }

    /// Ends the thread, and is told of nothing more.
    pub(super) fn stop(&self) {
        self.interrupt();
        let registration = lock(&self.registration).take();
        drop(registration);
        self.shared.join(lock(&self.shared.thread).take());
    }

    /// How far it is.
    pub fn info(&self) -> IndexInfo {
        let shared = &self.shared;
        let genesis = Best {
            hash: shared.chain.params().genesis_hash,
            height: 0,
        };
        let best = shared.best().unwrap_or(genesis);
        IndexInfo {
            name: shared.name,
            synced: shared.synced.load(Ordering::Acquire),
            height: best.height,
            hash: best.hash,
        }
    }

    /// Whether a block is the best one or before it. Others may have left records behind, if the node was killed.
    pub(super) fn is_on_its_chain(&self, block: &BlockHash) -> bool {
        let chain = &self.shared.chain;
        let (Some(best), Some(summary)) = (self.shared.best(), chain.block_summary(block)) else {
            return false;
        };
        chain.ancestor(&best.hash, summary.height) == Some(*block)
    }

    /// The chain that it follows.
    pub(super) fn chain(&self) -> &Arc<ChainstateManager> {
        &self.shared.chain
    }

    /// Waits until every block that the chain has now is indexed, if the index has caught up before; gives whether it
    /// has. Must not be called by a listener of events, nor with a lock that one takes.
    pub fn wait_until_synced(&self) -> bool {
        let shared = &self.shared;
        if !shared.synced.load(Ordering::Acquire) {
            return false;
        }
        let tip = shared.chain.validated_tip();
        let reached = shared
            .best()
            .is_some_and(|best| shared.chain.ancestor(&best.hash, tip.height) == Some(tip.hash));
        if !reached {
            tracing::info!("{} is catching up on block notifications", shared.name);
            shared.chain.notifier().sync_with_queue();
        }
        true
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these guard is replaced whole, or marked as failed by whoever gave up half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn best(&self) -> Option<Best> {
        *lock(&self.best)
    }

    /// Shows everybody where the index is. Last in each step: whoever sees it may read the records.
    fn publish(&self, best: Option<Best>) {
        if let (true, Some(best)) = (self.allows_pruning, best) {
            self.chain.set_prune_lock(self.name, best.height);
        }
        *lock(&self.best) = best;
    }

    /// Lets events take over if the index is at the tip.
    fn mark_synced(&self, best: Option<Best>) -> bool {
        self.chain.with_validated_tip(|tip| {
            let there = best.is_some_and(|best| best.hash == *tip);
            if there {
                self.synced.store(true, Ordering::Release);
            }
            there
        })
    }

    /// The thread: goes to the tip.
    fn sync(&self) {
        let mut writer = lock(&self.writer);
        if !self.synced.load(Ordering::Acquire) {
            if let Err(error) = self.catch_up(&mut writer) {
                return self.fail(&error);
            }
            if !self.synced.load(Ordering::Acquire) {
                return;
            }
        }
        match writer.best {
            Some(best) => tracing::info!("{} is enabled at height {}", self.name, best.height),
            None => tracing::info!("{} is enabled", self.name),
        }
    }

    /// Goes on until the tip is reached or the wish to stop is raised.
    fn catch_up(&self, writer: &mut Writer) -> Result<(), Failure> {
        let (mut logged, mut committed) = (Instant::now(), Instant::now());
        loop {
            if self.interrupt.load(Ordering::Acquire) {
                tracing::info!("{}: interrupted; exiting its thread", self.name);
                self.commit(writer);
                return Ok(());
            }
            let Some(next) = self.next(writer.best)? else {
                self.commit(writer);
                if self.mark_synced(writer.best) {
                    return Ok(());
                }
                continue;
            };
            self.go_to(writer, &next, None)?;
            if logged.elapsed() >= SYNC_INTERVAL {
                logged = Instant::now();
                tracing::info!(
                    "Syncing {} with block chain from height {}",
                    self.name,
                    next.height
                );
            }
            if committed.elapsed() >= SYNC_INTERVAL {
                committed = Instant::now();
                self.commit(writer);
            }
        }
    }

    /// The block to take in after `best`; `None` at the tip.
    fn next(&self, best: Option<Best>) -> Result<Option<BlockSummary>, IndexError> {
        let hash = best.map(|best| best.hash);
        if let Some(hash) = hash
            && self.chain.block_summary(&hash).is_none()
        {
            return Err(IndexError::UnknownBlock(hash));
        }
        Ok(self.chain.next_validated(hash.as_ref()))
    }

    /// Takes a block in, after taking out those that are not before it.
    fn go_to(
        &self,
        writer: &mut Writer,
        next: &BlockSummary,
        at_hand: Option<Arc<Block>>,
    ) -> Result<(), Failure> {
        if let Some(best) = writer.best
            && best.hash != next.header.prev_blockhash
        {
            self.rewind(writer, next).map_err(|source| Failure {
                text: format!("Failed to rewind {} to a previous chain tip", self.name),
                source,
            })?;
        }
        let block = IndexedBlock {
            summary: next,
            chain: &self.chain,
            at_hand,
        };
        writer
            .contents
            .append(&block)
            .map_err(|source| Failure::of_append(next.hash, source))?;
        writer.best = Some(Best {
            hash: next.hash,
            height: next.height,
        });
        self.publish(writer.best);
        Ok(())
    }

    /// Takes blocks out until the best one is the one before `next`.
    fn rewind(&self, writer: &mut Writer, next: &BlockSummary) -> Result<(), IndexError> {
        let target = next.header.prev_blockhash;
        while let Some(best) = writer.best.filter(|best| best.hash != target) {
            if best.height == 0 {
                return Err(IndexError::UnknownBlock(target));
            }
            let summary = self
                .chain
                .block_summary(&best.hash)
                .ok_or(IndexError::UnknownBlock(best.hash))?;
            let block = IndexedBlock {
                summary: &summary,
                chain: &self.chain,
                at_hand: None,
            };
            writer.contents.remove(&block)?;
            writer.best = Some(Best {
                hash: block.prev(),
                height: best.height - 1,
            });
        }
        // Not committed here: the chain on disk may still have the blocks that were taken out.
        self.publish(writer.best);
        Ok(())
    }

    /// Writes where the index is, unless the chain on disk is not there yet: after a kill, it could not go on from a
    /// block that the chain has lost.
    fn commit(&self, writer: &mut Writer) {
        let Some(best) = writer.best else { return };
        match self.try_commit(writer, best) {
            Ok(true) => {}
            Ok(false) => tracing::debug!(
                target: "coindb",
                "Skipping commit, {} is ahead of flushed chainstate (index height {})",
                self.name,
                best.height
            ),
            // Nothing is lost but time: the index goes on from an earlier block.
            Err(error) => {
                tracing::error!("Failed to commit latest {} state: {error}", self.name);
            }
        }
    }

    fn try_commit(&self, writer: &mut Writer, best: Best) -> Result<bool, IndexError> {
        let Some(flushed) = self.chain.last_validated_flushed()? else {
            return Ok(false);
        };
        if self.chain.ancestor(&flushed, best.height) != Some(best.hash) {
            return Ok(false);
        }
        let locator = self
            .chain
            .locator_of(&best.hash)
            .ok_or(IndexError::UnknownBlock(best.hash))?;
        let mut batch = Batch::new();
        writer.contents.commit(&mut batch)?;
        batch.put(writer.contents.best_key(), encode_locator(&locator));
        writer.contents.db().write(&batch)?;
        Ok(true)
    }

    fn event(self: &Arc<Self>, event: &Event) {
        if !self.synced.load(Ordering::Acquire) || self.failed.load(Ordering::Acquire) {
            return;
        }
        match event {
            Event::BlockConnected(block) | Event::HistoricalBlockConnected(block)
                if block.validated =>
            {
                self.block_connected(block);
            }
            Event::ChainFlushed { .. } => self.commit(&mut lock(&self.writer)),
            Event::SnapshotValidated => self.follow_active_chain(),
            _ => {}
        }
    }

    /// Lets the thread run that goes to the tip, unless it still does.
    fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let mut thread = lock(&self.thread);
        if thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        self.join(thread.take());
        let shared = Arc::clone(self);
        let name = self.thread_name;
        let run = move || {
            tracing::info!("{name} thread start");
            shared.sync();
            tracing::info!("{name} thread exit");
        };
        *thread = Some(
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(run)?,
        );
        Ok(())
    }

    fn join(&self, thread: Option<JoinHandle<()>>) {
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("{} thread ended with a panic", self.thread_name);
        }
    }

    /// The chain that the index is at the end of goes on where the active one is already: a thread goes there.
    fn follow_active_chain(self: &Arc<Self>) {
        if self.interrupt.load(Ordering::Acquire) {
            return;
        }
        // The thread ends after it has said that the index is synced: what it still does is not long.
        self.join(lock(&self.thread).take());
        self.synced.store(false, Ordering::Release);
        if let Err(error) = self.start() {
            tracing::error!(
                "Failed to restart {} on the snapshot's chain: {error}",
                self.name
            );
            self.failed.store(true, Ordering::Release);
            self.chain.notifier().send(Event::Fatal {
                message: format!("Failed to start {}: {error}", self.name),
            });
        }
    }

    fn block_connected(&self, event: &BlockEvent) {
        let mut writer = lock(&self.writer);
        let Some(summary) = self.chain.block_summary(&event.hash) else {
            return;
        };
        if let (Some(best), Some(parent)) = (writer.best, event.height.checked_sub(1))
            && self.chain.ancestor(&best.hash, parent) != Some(event.block.header.prev_blockhash)
        {
            // Queued before the index had caught up: its thread went another way meanwhile.
            tracing::warn!(
                "Block {} does not connect to an ancestor of known best chain (tip={}); not updating index",
                event.hash,
                best.hash
            );
            return;
        }
        if let Err(failure) = self.go_to(&mut writer, &summary, Some(Arc::clone(&event.block))) {
            self.fail(&failure);
        }
    }

    /// The index cannot go on, and the node should not without it.
    fn fail(&self, failure: &Failure) {
        self.failed.store(true, Ordering::Release);
        tracing::error!("{}: {}", self.name, failure.source);
        self.chain.notifier().send(Event::Fatal {
            message: failure.text.clone(),
        });
    }
}

/// Why an index stops: a text that Core has too, and the reason.
struct Failure {
    text: String,
    source: IndexError,
}

impl Failure {
    fn of_append(hash: BlockHash, source: IndexError) -> Self {
        let text = match source {
            IndexError::NoBlock(_) => format!("Failed to read block {hash} from disk"),
            IndexError::NoUndo(_) => format!("Failed to read undo block data {hash} from disk"),
            _ => format!("Failed to write block {hash} to index database"),
        };
        Self { text, source }
    }
}

impl From<IndexError> for Failure {
    fn from(source: IndexError) -> Self {
        Self {
            text: source.to_string(),
            source,
        }
    }
}
