//! The background thread: writes full memory tables to disk and merges tables.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::open::{begin_table, finish_table, write_table};
use super::{Manual, ReadState, Shared};
use crate::compaction::{Compaction, Sieve, max_grandparent};
use crate::edit::{Edit, TableRecord};
use crate::error::{Error, Result};
use crate::fs::FileName;
use crate::key;
use crate::manifest::ManifestWriter;
use crate::version::Version;

/// What the background thread owns. Only it changes the set of tables.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    manifest: ManifestWriter,
    /// The oldest log that the manifest says is needed.
    log_number: u64,
    /// Tables that are being written and are in no version. None are between two jobs.
    pending: BTreeSet<u64>,
    /// Versions that an iterator may still read.
    versions: Vec<Weak<Version>>,
}

/// What there is to do.
enum Job {
    Flush,
    Manual(Manual),
    Compact(Compaction),
}

/// Lets writers know if the thread dies of a panic, which is a bug of the engine.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let what = "background thread panicked".to_owned();
            self.0.fail(Error::Corruption(what));
        }
    }
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        manifest: ManifestWriter,
        log_number: u64,
        version: &Arc<Version>,
    ) -> Self {
        Self {
            shared,
            manifest,
            log_number,
            pending: BTreeSet::new(),
            versions: vec![Arc::downgrade(version)],
        }
    }

    /// Works until the database is closed or something fails.
    pub(super) fn run(mut self) {
        let _farewell = Farewell(Arc::clone(&self.shared));
        while let Some(job) = self.next_job() {
            let result = match job {
                Job::Flush => self.flush(true),
                Job::Manual(manual) => self.manual(&manual),
                Job::Compact(compaction) => self.compact(&compaction),
            };
            if let Err(error) = result {
                // Nobody can say then which files the manifest names, so none is deleted.
                return self.shared.fail(error);
            }
            // Only now: a compaction keeps the version that it took its inputs from.
            self.remove_obsolete();
            self.shared.done.notify_all();
        }
    }

    fn closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire)
    }

    fn next_job(&self) -> Option<Job> {
        let shared = &*self.shared;
        let mut inner = shared.inner();
        loop {
            if self.closing() || inner.failure.is_some() {
                return None;
            }
            if shared.has_full.load(Ordering::Acquire) {
                return Some(Job::Flush);
            }
            if let Some(manual) = &mut inner.manual {
                manual.running = true;
                return Some(Job::Manual(manual.clone()));
            }
            let version = Arc::clone(&shared.state.load().version);
            let max = shared.options.max_file_size;
            if let Some(job) = Compaction::needed(&version, &inner.compact_pointers, max) {
                return Some(Job::Compact(job));
            }
            let wasteful = inner.wasteful.take();
            let job =
                wasteful.and_then(|(level, file)| Compaction::of_table(&version, level, file, max));
            if let Some(job) = job {
                return Some(Job::Compact(job));
            }
            drop(version);
            inner = shared.wait(&shared.work, inner);
        }
    }

    fn version(&self) -> Arc<Version> {
        Arc::clone(&self.shared.state.load().version)
    }

    fn new_table(&mut self) -> u64 {
        let mut inner = self.shared.inner();
        let number = inner.next_file;
        inner.next_file += 1;
        self.pending.insert(number);
        number
    }

    /// Writes the full memory table to disk. `alone` says that no compaction is under way whose outputs a table deeper
    /// than level 0 could overlap.
    fn flush(&mut self, alone: bool) -> Result<()> {
        let state = self.shared.state.load_full();
        let Some(full) = &state.full else {
            return Ok(());
        };
        let number = self.new_table();
        let shared = Arc::clone(&self.shared);
        let record = write_table(&shared.tables, &shared.options, number, full)?;
        let mut edit = Edit {
            log_number: Some(shared.inner().log_number),
            ..Edit::default()
        };
        if let Some(record) = record {
            let range = (
                Some(key::user(&record.smallest)),
                Some(key::user(&record.largest)),
            );
            let limit = max_grandparent(shared.options.max_file_size);
            let level = match alone {
                true => state.version.flush_level(range, limit),
                false => 0,
            };
            edit.added.push((level, record));
        }
        drop(state);
        self.apply(edit, true)?;
        self.pending.remove(&number);
        self.remove_obsolete();
        self.shared.done.notify_all();
        Ok(())
    }

    /// Puts a change into force: first on the disk, then for readers.
    fn apply(&mut self, mut edit: Edit, flushed: bool) -> Result<()> {
        let shared = &*self.shared;
        let log_number = edit.log_number.unwrap_or(self.log_number);
        edit.log_number = Some(log_number);
        edit.prev_log_number = Some(0);
        edit.last_sequence = Some(shared.last_sequence.load(Ordering::Acquire));
        edit.next_file = Some(shared.inner().next_file);
        let version = Arc::new(self.version().edited(std::slice::from_ref(&edit))?);
        self.manifest.add(&shared.tables, &edit)?;

        let mut inner = shared.inner();
        for (level, pointer) in edit.compact_pointers {
            inner.compact_pointers[level] = Some(pointer);
        }
        let state = shared.state.load_full();
        shared.state.store(Arc::new(ReadState {
            memory: Arc::clone(&state.memory),
            full: state.full.clone().filter(|_| !flushed),
            version: Arc::clone(&version),
        }));
        if flushed {
            shared.has_full.store(false, Ordering::Release);
        }
        drop(inner);
        self.log_number = log_number;
        self.versions.retain(|version| version.strong_count() > 0);
        self.versions.push(Arc::downgrade(&version));
        Ok(())
    }

    /// One step of a manual compaction.
    fn manual(&mut self, manual: &Manual) -> Result<()> {
        let range = (manual.begin.as_deref(), manual.end.as_deref());
        let max = self.shared.options.max_file_size;
        let step = Compaction::of_range(&self.version(), manual.level, range, max);
        let mut rest = None;
        if let Some(step) = step {
            let pointer = key::user(&step.pointer).to_vec();
            let done = self.compact_by_merging(&step, Some(&manual.stop))?;
            // Level 0 was taken whole; deeper levels go on after the last key that was dealt with.
            if done && manual.level > 0 && !manual.stop.load(Ordering::Relaxed) {
                let mut begin = pointer;
                begin.push(0);
                rest = Some(Manual {
                    begin: Some(begin),
                    running: false,
                    ..manual.clone()
                });
            }
        }
        self.shared.inner().manual = rest;
        Ok(())
    }

    fn compact(&mut self, compaction: &Compaction) -> Result<()> {
        if compaction.is_move() {
            return self.apply(compaction.moved(), false);
        }
        self.compact_by_merging(compaction, None).map(drop)
    }

    /// Whether it was done to the end.
    fn compact_by_merging(
        &mut self,
        compaction: &Compaction,
        stop: Option<&AtomicBool>,
    ) -> Result<bool> {
        let mut outputs = Vec::new();
        if !self.merge(compaction, stop, &mut outputs)? {
            // The outputs are no tables of any version: they go with what else is not needed.
            self.pending.clear();
            return Ok(false);
        }
        let mut edit = compaction.removed();
        let level = compaction.level + 1;
        edit.added = outputs.into_iter().map(|record| (level, record)).collect();
        self.apply(edit, false)?;
        self.pending.clear();
        Ok(true)
    }

    /// Merges the inputs into new tables; `false` if it was given up because the database is being closed or `stop` set.
    fn merge(
        &mut self,
        compaction: &Compaction,
        stop: Option<&AtomicBool>,
        outputs: &mut Vec<TableRecord>,
    ) -> Result<bool> {
        let shared = Arc::clone(&self.shared);
        let max = shared.options.max_file_size as u64;
        let oldest_snapshot = {
            let inner = shared.inner();
            let first = inner.snapshots.keys().next().copied();
            first.unwrap_or_else(|| shared.last_sequence.load(Ordering::Acquire))
        };
        let mut sieve = Sieve::new(compaction, oldest_snapshot);
        let mut entries = compaction.entries(&shared.tables)?;
        let mut output = None;
        while let Some((key, value)) = entries.entry() {
            if self.closing() || stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return Ok(false);
            }
            if shared.has_full.load(Ordering::Acquire) {
                self.flush(false)?;
            }
            let verdict = sieve.look(key)?;
            let full = |(_, builder): &mut (u64, crate::table::TableBuilder)| {
                verdict.new_key && (verdict.split || builder.size() >= max)
            };
            if let Some((number, builder)) = output.take_if(full) {
                outputs.push(finish_table(builder, number)?);
            }
            if verdict.keep {
                let (_, builder) = match &mut output {
                    Some(output) => output,
                    none => {
                        let number = self.new_table();
                        none.insert((
                            number,
                            begin_table(&shared.tables, &shared.options, number)?,
                        ))
                    }
                };
                builder.add(key, value)?;
            }
            entries.next()?;
        }
        if let Some((number, builder)) = output {
            outputs.push(finish_table(builder, number)?);
        }
        Ok(true)
    }

    /// Deletes files that nothing needs. What cannot be deleted now is tried again later.
    pub(super) fn remove_obsolete(&self) {
        let tables = &self.shared.tables;
        let mut live = self.pending.clone();
        for version in self.versions.iter().filter_map(Weak::upgrade) {
            live.extend(
                version
                    .levels
                    .iter()
                    .flatten()
                    .map(|file| file.record.number),
            );
        }
        let Ok(names) = tables.fs.list(&tables.dir) else {
            return;
        };
        for name in names {
            let needed = match FileName::parse(&name) {
                Some(FileName::Log(number)) => number >= self.log_number,
                Some(FileName::Manifest(number)) => number >= self.manifest.number,
                Some(FileName::Table(number)) => live.contains(&number),
                Some(FileName::Temporary(_)) => false,
                Some(FileName::Current | FileName::Lock | FileName::InfoLog) | None => true,
            };
            if !needed {
                let _ = tables.fs.remove(&tables.dir.join(name));
            }
        }
    }
}
