//! The database.

mod open;
mod worker;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::batch::Batch;
use crate::edit::LEVELS;
use crate::error::{Error, Result};
use crate::fs::{FileName, Fs, LockGuard};
use crate::iter::Iter;
use crate::key::{self, Sought};
use crate::log::LogWriter;
use crate::memtable::{MemIter, MemTable};
use crate::merge::{LevelIter, MergeIter, Source};
use crate::options::Options;
use crate::version::{LEVEL0_STOP, Tables, UserRange, Version};

/// How often a flag is looked at by a thread that waits.
const FLAG_INTERVAL: Duration = Duration::from_millis(50);

/// When a write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once the system has it: survives the process, not the power.
    Lazy,
    /// Once the disk has it, and all that was written before.
    Durable,
}

/// A database that is open. It may be used by several threads at once.
///
/// Dropping it stops the background thread after what it is at; what was written stays in the log until the next time
/// the database is opened.
#[derive(Debug)]
pub struct Db {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
    _lock: Box<dyn LockGuard>,
}

/// What readers need, replaced as a whole.
#[derive(Debug)]
pub(crate) struct ReadState {
    /// Takes the writes.
    memory: Arc<MemTable>,
    /// Full, and on its way to a table.
    full: Option<Arc<MemTable>>,
    version: Arc<Version>,
}

#[derive(Debug)]
struct Shared {
    tables: Arc<Tables>,
    options: Options,
    state: ArcSwap<ReadState>,
    /// The last change that readers may see.
    last_sequence: AtomicU64,
    /// Whether `state` has a full memory table, and whether the database is being closed: looked at for every entry of
    /// a compaction.
    has_full: AtomicBool,
    closing: AtomicBool,
    /// Held while writing. Taken before `inner`, never after.
    log: Mutex<Log>,
    inner: Mutex<Inner>,
    /// There is something for the background thread.
    work: Condvar,
    /// The background thread did something.
    done: Condvar,
}

/// The write-ahead log.
#[derive(Debug)]
struct Log {
    writer: LogWriter,
    /// Whether the file's name is on the disk.
    named: bool,
}

#[derive(Debug)]
struct Inner {
    next_file: u64,
    /// The log that `memory` is kept in. Older ones are needed while there is a full table.
    log_number: u64,
    compact_pointers: [Option<Vec<u8>>; LEVELS],
    /// Sequence numbers of the snapshots, and how many there are of each.
    snapshots: BTreeMap<u64, usize>,
    /// The first failure of the log or of the background thread. Nothing is written after it.
    failure: Option<Error>,
    manual: Option<Manual>,
    /// Level and number of a table that is read in vain too often.
    wasteful: Option<(usize, u64)>,
}

/// A compaction that a caller waits for.
#[derive(Clone, Debug)]
struct Manual {
    level: usize,
    begin: Option<Vec<u8>>,
    end: Option<Vec<u8>>,
    /// Set by the caller to have it given up.
    stop: Arc<AtomicBool>,
    /// Whether the background thread is at it: only that thread may then put an end to it.
    running: bool,
}

impl Shared {
    /// Every update of the state leaves it whole, so a panic elsewhere does not spoil it.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, event: &Condvar, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        event.wait(inner).unwrap_or_else(PoisonError::into_inner)
    }

    /// As `wait`, but no longer than until a flag that nobody announces should be looked at.
    fn wait_a_moment<'a>(
        &self,
        event: &Condvar,
        inner: MutexGuard<'a, Inner>,
    ) -> MutexGuard<'a, Inner> {
        let waited = event.wait_timeout(inner, FLAG_INTERVAL);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Keeps the first failure, and lets everybody know.
    fn fail(&self, error: Error) {
        self.inner().failure.get_or_insert(error);
        self.work.notify_all();
        self.done.notify_all();
    }

    /// State and sequence number that belong together. The state comes first: a state that is newer than the number may
    /// lack what the number still needs.
    fn read_point(&self) -> (Arc<ReadState>, u64) {
        let state = self.state.load_full();
        (state, self.last_sequence.load(Ordering::Acquire))
    }

    fn get(&self, state: &ReadState, key: &[u8], sequence: u64) -> Result<Option<Vec<u8>>> {
        let full = || state.full.as_ref()?.get(key, sequence);
        if let Some(change) = state.memory.get(key, sequence).or_else(full) {
            return Ok(change);
        }
        let sought = Sought::new(key, sequence);
        let found = state.version.get(&self.tables, &sought, |level, file| {
            if file.read_in_vain() {
                self.inner().wasteful = Some((level, file.record.number));
                self.work.notify_one();
            }
        });
        Ok(found?.flatten())
    }

    fn iter(&self, state: Arc<ReadState>, sequence: u64) -> Result<Iter<'_>> {
        let memories = [Some(&state.memory), state.full.as_ref()];
        let mut sources: Vec<_> = memories
            .into_iter()
            .flatten()
            .map(|memory| Source::Memory(MemIter::new(Arc::clone(memory))))
            .collect();
        for file in &state.version.levels[0] {
            sources.push(Source::Table(self.tables.iter(file, false)?));
        }
        for files in state.version.levels[1..].iter().filter(|f| !f.is_empty()) {
            let files = files.clone();
            sources.push(Source::Level(LevelIter::new(
                Arc::clone(&self.tables),
                files,
                false,
            )));
        }
        Ok(Iter::new(MergeIter::new(sources), sequence, state))
    }
}

impl Db {
    /// Opens the database in `dir`, or creates it.
    ///
    /// # Errors
    /// Another process or this one has it open; files are missing or damaged; the file system's.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<Self> {
        open::open(fs, dir, options.sanitized())
    }

    /// Deletes the database in `dir`, and the directory if nothing else is in it. That there is none is no error.
    ///
    /// # Errors
    /// It is open; a file cannot be deleted.
    pub fn destroy(fs: &dyn Fs, dir: &Path) -> Result<()> {
        open::destroy(fs, dir)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// A table cannot be read or is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        // A borrowed state costs no reference count; the order of the two loads is that of `read_point`.
        let state = self.shared.state.load();
        let sequence = self.shared.last_sequence.load(Ordering::Acquire);
        self.shared.get(&state, key, sequence)
    }

    /// Applies a batch. Readers see all of it or nothing.
    ///
    /// # Errors
    /// The log cannot be written, or something failed before: the database must then be opened anew. The batch holds a
    /// key or value that is too long; then nothing happened.
    pub fn write(&self, batch: &Batch, durability: Durability) -> Result<()> {
        let shared = &*self.shared;
        let mut log = shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = shared.last_sequence.load(Ordering::Acquire) + 1;
        let header = batch.header(sequence)?;
        let last = sequence - 1 + batch.len() as u64;
        if last > key::MAX_SEQUENCE {
            return Err(Error::InvalidArgument("sequence numbers used up".into()));
        }
        self.make_room(&mut log, false)?;
        let written = log.writer.add(&header, batch.body());
        let written = written.and_then(|()| match durability {
            Durability::Lazy => Ok(()),
            Durability::Durable => log.sync(shared),
        });
        if let Err(error) = written {
            // The log may end in half a record, or in a whole one that is not reported as written.
            shared.fail(error.clone());
            return Err(error);
        }
        shared.state.load().memory.apply(batch, sequence);
        shared.last_sequence.store(last, Ordering::Release);
        Ok(())
    }

    /// Waits until the memory table can take a batch; begins another if it is full, or in any case if `force` is set
    /// and it is not empty.
    fn make_room(&self, log: &mut Log, force: bool) -> Result<()> {
        let shared = &*self.shared;
        let mut inner = shared.inner();
        loop {
            if let Some(error) = &inner.failure {
                return Err(error.clone());
            }
            let state = shared.state.load();
            let size = state.memory.memory();
            let wanted = force || size > shared.options.write_buffer_size;
            if !wanted || state.memory.is_empty() {
                return Ok(());
            }
            if state.full.is_none() && state.version.levels[0].len() < LEVEL0_STOP {
                break;
            }
            drop(state);
            inner = shared.wait(&shared.done, inner);
        }
        let number = inner.next_file;
        inner.next_file += 1;
        drop(inner);
        // Were the old log to lose its tail after the new one got to the disk, a hole would be in the history.
        let path = FileName::Log(number).path(&shared.tables.dir);
        let begun = log.writer.sync().and_then(|()| {
            let tables = &shared.tables;
            let file = tables.with_descriptor(|| tables.fs.create(&path));
            Ok(LogWriter::new(
                file.map_err(Error::io(&path))?,
                path.clone(),
            ))
        });
        match begun {
            Ok(writer) => {
                *log = Log {
                    writer,
                    named: false,
                }
            }
            Err(error) => {
                shared.fail(error.clone());
                return Err(error);
            }
        }
        let mut inner = shared.inner();
        inner.log_number = number;
        let state = shared.state.load_full();
        shared.state.store(Arc::new(ReadState {
            memory: Arc::new(MemTable::new(shared.options.write_buffer_size)),
            full: Some(Arc::clone(&state.memory)),
            version: Arc::clone(&state.version),
        }));
        shared.has_full.store(true, Ordering::Release);
        drop(inner);
        shared.work.notify_one();
        Ok(())
    }

    /// The database as it is now. Keeping it keeps what is overwritten or deleted meanwhile.
    pub fn snapshot(&self) -> Snapshot<'_> {
        // Under the lock, so that a compaction that begins knows of it.
        let mut inner = self.shared.inner();
        let sequence = self.shared.last_sequence.load(Ordering::Acquire);
        *inner.snapshots.entry(sequence).or_insert(0) += 1;
        Snapshot { db: self, sequence }
    }

    /// An iterator over what is there now; it stands nowhere.
    ///
    /// # Errors
    /// A table cannot be opened.
    pub fn iter(&self) -> Result<Iter<'_>> {
        let (state, sequence) = self.shared.read_point();
        self.shared.iter(state, sequence)
    }

    /// About how many bytes of tables the keys in `start..end` take. What is in memory still is not counted.
    ///
    /// # Errors
    /// A table cannot be opened.
    pub fn approximate_size(&self, start: &[u8], end: &[u8]) -> Result<u64> {
        let state = self.shared.state.load_full();
        let offset = |key: &[u8]| {
            let sought = key::internal(key, key::seek_trailer(key::MAX_SEQUENCE));
            state.version.offset_of(&self.shared.tables, &sought)
        };
        Ok(offset(end)?.saturating_sub(offset(start)?))
    }

    /// Rewrites the tables with keys from `begin` to `end`, both included, without what was overwritten or deleted;
    /// `None` is without bound. Returns when it is done. Reads and writes go on meanwhile.
    ///
    /// It needs room on the disk for the tables of two levels that it merges, and about a megabyte of memory for the
    /// table that it writes, besides a block of each table that it reads and those tables' indexes and filters.
    ///
    /// # Errors
    /// Something failed, now or before.
    pub fn compact(&self, begin: Option<&[u8]>, end: Option<&[u8]>) -> Result<()> {
        self.compact_until(begin, end, &Arc::default()).map(drop)
    }

    /// As [`compact`](Self::compact), but given up within moments once `stop` is set; what was merged until then stays so.
    /// Gives whether it was done to the end.
    ///
    /// # Errors
    /// Something failed, now or before.
    pub fn compact_until(
        &self,
        begin: Option<&[u8]>,
        end: Option<&[u8]>,
        stop: &Arc<AtomicBool>,
    ) -> Result<bool> {
        let range: UserRange<'_> = (begin, end);
        self.flush()?;
        let version = Arc::clone(&self.shared.state.load().version);
        let deepest = (1..LEVELS)
            .rev()
            .find(|&level| version.overlaps(level, range));
        drop(version);
        for level in 0..deepest.unwrap_or(1) {
            let mut inner = self.wait_for_manual(None)?;
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            inner.manual = Some(Manual {
                level,
                begin: begin.map(<[u8]>::to_vec),
                end: end.map(<[u8]>::to_vec),
                stop: Arc::clone(stop),
                running: false,
            });
            self.shared.work.notify_one();
            drop(inner);
            drop(self.wait_for_manual(Some(stop))?);
        }
        Ok(!stop.load(Ordering::Relaxed))
    }

    /// Waits until no manual compaction is asked for; withdraws that with this flag if the flag is set.
    fn wait_for_manual(&self, stop: Option<&Arc<AtomicBool>>) -> Result<MutexGuard<'_, Inner>> {
        let mut inner = self.shared.inner();
        loop {
            if let Some(error) = &inner.failure {
                return Err(error.clone());
            }
            let Some(manual) = &inner.manual else {
                return Ok(inner);
            };
            let ours = stop.is_some_and(|stop| Arc::ptr_eq(stop, &manual.stop));
            if ours && !manual.running && manual.stop.load(Ordering::Relaxed) {
                inner.manual = None;
                self.shared.done.notify_all();
                return Ok(inner);
            }
            // Nobody is told when the flag is set.
            inner = match ours {
                true => self.shared.wait_a_moment(&self.shared.done, inner),
                false => self.shared.wait(&self.shared.done, inner),
            };
        }
    }

    /// Writes what is in memory to a table. Returns when the disk has it.
    ///
    /// # Errors
    /// Something failed, now or before.
    pub fn flush(&self) -> Result<()> {
        let mut log = self
            .shared
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.make_room(&mut log, true)?;
        drop(log);
        let mut inner = self.shared.inner();
        while self.shared.has_full.load(Ordering::Acquire) && inner.failure.is_none() {
            inner = self.shared.wait(&self.shared.done, inner);
        }
        match &inner.failure {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// How many tables each level has.
    pub fn tables_per_level(&self) -> [usize; LEVELS] {
        let state = self.shared.state.load();
        std::array::from_fn(|level| state.version.levels[level].len())
    }

    /// Bytes of memory in write buffers and block cache. Indexes and filters of open tables come on top.
    pub fn memory(&self) -> usize {
        let state = self.shared.state.load();
        let full = state.full.as_ref().map_or(0, |full| full.memory());
        state.memory.memory() + full + self.shared.tables.cache.size()
    }
}

impl Log {
    fn sync(&mut self, shared: &Shared) -> Result<()> {
        if !self.named {
            shared.tables.sync_dir()?;
            self.named = true;
        }
        self.writer.sync()
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        // The worker looks at the flag under the lock before it waits: without it the notice could come between.
        drop(self.shared.inner());
        self.shared.work.notify_all();
        if let Some(worker) = self.worker.take() {
            // A worker that panicked has left its failure for the writers.
            let _ = worker.join();
        }
    }
}

/// The database as it was at one moment.
#[derive(Debug)]
pub struct Snapshot<'db> {
    db: &'db Db,
    sequence: u64,
}

impl<'db> Snapshot<'db> {
    /// The value that `key` had.
    ///
    /// # Errors
    /// As [`Db::get`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let shared = &self.db.shared;
        shared.get(&shared.state.load(), key, self.sequence)
    }

    /// An iterator over what was there; it stands nowhere.
    ///
    /// # Errors
    /// As [`Db::iter`].
    pub fn iter(&self) -> Result<Iter<'db>> {
        let shared = &self.db.shared;
        shared.iter(shared.state.load_full(), self.sequence)
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        let mut inner = self.db.shared.inner();
        if let Some(count) = inner.snapshots.get_mut(&self.sequence) {
            *count -= 1;
            if *count == 0 {
                inner.snapshots.remove(&self.sequence);
            }
        }
    }
}
