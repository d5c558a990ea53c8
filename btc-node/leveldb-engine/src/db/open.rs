//! Opening: reading the manifest, replaying the logs, beginning anew.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex};

use arc_swap::ArcSwap;

use super::worker::Worker;
use super::{Db, Inner, Log, ReadState, Shared};
use crate::batch::Batch;
use crate::edit::{Edit, TableRecord};
use crate::error::{Error, Result};
use crate::fs::{FileName, Fs, LockGuard};
use crate::log::{LogReader, LogWriter};
use crate::manifest::{self, ManifestWriter, Recovered};
use crate::memtable::{MemIter, MemTable};
use crate::options::Options;
use crate::table::TableBuilder;
use crate::version::Tables;

fn take_lock(fs: &dyn Fs, dir: &Path) -> Result<Box<dyn LockGuard>> {
    let path = FileName::Lock.path(dir);
    fs.lock(&path)
        .map_err(|error| Error::from_io(format!("lock {}", path.display()), &error))
}

pub(super) fn open(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<Db> {
    fs.create_dir(dir).map_err(Error::io(dir))?;
    let lock = take_lock(&*fs, dir)?;
    let current = FileName::Current.path(dir);
    if !fs.exists(&current).map_err(Error::io(&current))? {
        if !options.create_if_missing {
            return Err(Error::InvalidArgument(format!(
                "{}: does not exist (create_if_missing is false)",
                dir.display()
            )));
        }
        remove_logs(&*fs, dir)?;
        manifest::create_empty(&*fs, dir)?;
    }
    let recovered = manifest::recover(&*fs, dir)?;
    let logs = find_logs(&*fs, dir, &recovered)?;
    let tables = Arc::new(Tables::new(
        fs,
        dir.into(),
        options.block_cache_size,
        options.max_open_files,
    ));
    let mut replay = Replay {
        tables: &tables,
        options: &options,
        next_file: logs.last().map_or(recovered.next_file, |last| {
            recovered.next_file.max(last + 1)
        }),
        last_sequence: recovered.last_sequence,
        added: Vec::new(),
    };
    for number in logs {
        replay.log(number)?;
    }
    let mut next_file = replay.next_file;
    let last_sequence = replay.last_sequence;
    let added = Edit {
        added: replay.added,
        ..Edit::default()
    };
    let version = Arc::new(recovered.version.edited(&[added])?);

    let log_number = next_file;
    let manifest_number = next_file + 1;
    next_file += 2;
    let path = FileName::Log(log_number).path(dir);
    let file = tables.fs.create(&path).map_err(Error::io(&path))?;
    let writer = LogWriter::new(file, path);
    let all = Edit {
        log_number: Some(log_number),
        prev_log_number: Some(0),
        next_file: Some(next_file),
        last_sequence: Some(last_sequence),
        ..manifest::whole(&version, &recovered.compact_pointers)
    };
    let manifest = ManifestWriter::begin(&*tables.fs, dir, manifest_number, &all)?;
    let shared = Arc::new(Shared {
        state: ArcSwap::from_pointee(ReadState {
            memory: Arc::new(MemTable::new(options.write_buffer_size)),
            full: None,
            version: Arc::clone(&version),
        }),
        last_sequence: AtomicU64::new(last_sequence),
        has_full: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        log: Mutex::new(Log {
            writer,
            named: true,
        }),
        inner: Mutex::new(Inner {
            next_file,
            log_number,
            compact_pointers: recovered.compact_pointers,
            snapshots: BTreeMap::new(),
            failure: None,
            manual: None,
            wasteful: None,
        }),
        work: Condvar::new(),
        done: Condvar::new(),
        tables,
        options,
    });
    let worker = Worker::new(Arc::clone(&shared), manifest, log_number, &version);
    worker.remove_obsolete();
    let worker = std::thread::Builder::new()
        .name("leveldb".into())
        .spawn(move || worker.run())
        .map_err(|error| Error::from_io("start background thread".into(), &error))?;
    Ok(Db {
        shared,
        worker: Some(worker),
        _lock: lock,
    })
}

/// Removes logs that an interrupted [`destroy`] left behind: a new database would replay them as its own.
fn remove_logs(fs: &dyn Fs, dir: &Path) -> Result<()> {
    for name in fs.list(dir).map_err(Error::io(dir))? {
        if let Some(FileName::Log(_)) = FileName::parse(&name) {
            let path = dir.join(name);
            fs.remove(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

/// The logs to replay, oldest first, after a look whether all tables are there.
fn find_logs(fs: &dyn Fs, dir: &Path, recovered: &Recovered) -> Result<Vec<u64>> {
    let files = recovered.version.levels.iter().flatten();
    let mut missing: BTreeSet<u64> = files.map(|file| file.record.number).collect();
    let mut logs = Vec::new();
    for name in fs.list(dir).map_err(Error::io(dir))? {
        match FileName::parse(&name) {
            Some(FileName::Table(number)) => {
                missing.remove(&number);
            }
            Some(FileName::Log(number))
                if number >= recovered.log_number || number == recovered.prev_log_number =>
            {
                logs.push(number);
            }
            _ => {}
        }
    }
    if let Some(first) = missing.first() {
        let path = FileName::Table(*first).path(dir);
        let what = format!("{} missing files; e.g.", missing.len());
        return Err(Error::corrupt(&what, &path));
    }
    logs.sort_unstable();
    Ok(logs)
}

/// Turns logs into tables of level 0.
struct Replay<'a> {
    tables: &'a Tables,
    options: &'a Options,
    next_file: u64,
    last_sequence: u64,
    added: Vec<(usize, TableRecord)>,
}

impl Replay<'_> {
    fn log(&mut self, number: u64) -> Result<()> {
        let path = FileName::Log(number).path(&self.tables.dir);
        let file = self.tables.fs.open(&path).map_err(Error::io(&path))?;
        let mut reader = LogReader::new(file, path);
        let buffer = self.options.write_buffer_size;
        let mut memory = Arc::new(MemTable::new(buffer));
        while let Some(record) = reader.next()? {
            if record.len() < 12 {
                return Err(Error::corrupt("log record too small", reader.path()));
            }
            let (sequence, batch) = Batch::decode(&record)?;
            let end = sequence.checked_add(batch.len() as u64);
            let Some(end) = end.filter(|&end| end - 1 <= crate::key::MAX_SEQUENCE && sequence > 0)
            else {
                return Err(Error::corrupt("bad sequence number in log", reader.path()));
            };
            memory.apply(&batch, sequence);
            self.last_sequence = self.last_sequence.max(end - 1);
            if memory.memory() > buffer {
                self.table(&memory)?;
                memory = Arc::new(MemTable::new(buffer));
            }
        }
        self.table(&memory)
    }

    fn table(&mut self, memory: &Arc<MemTable>) -> Result<()> {
        let number = self.next_file;
        if let Some(record) = write_table(self.tables, self.options, number, memory)? {
            self.next_file += 1;
            self.added.push((0, record));
        }
        Ok(())
    }
}

/// Writes what is in memory to the table `number`; nothing if there is nothing.
///
/// # Errors
/// The file system's; part of the file may then be there.
pub(super) fn write_table(
    tables: &Tables,
    options: &Options,
    number: u64,
    memory: &Arc<MemTable>,
) -> Result<Option<TableRecord>> {
    let mut entries = MemIter::new(Arc::clone(memory));
    entries.seek_to_first();
    if entries.entry().is_none() {
        return Ok(None);
    }
    let mut builder = begin_table(tables, options, number)?;
    while let Some((key, value)) = entries.entry() {
        builder.add(key, value)?;
        entries.next();
    }
    finish_table(builder, number).map(Some)
}

pub(super) fn begin_table(tables: &Tables, options: &Options, number: u64) -> Result<TableBuilder> {
    let path: PathBuf = FileName::Table(number).path(&tables.dir);
    let file = tables.with_descriptor(|| tables.fs.create(&path));
    let file = file.map_err(Error::io(&path))?;
    Ok(TableBuilder::new(file, path, options))
}

pub(super) fn finish_table(builder: TableBuilder, number: u64) -> Result<TableRecord> {
    let (smallest, largest) = builder.range();
    let size = builder.finish()?;
    Ok(TableRecord {
        number,
        size,
        smallest,
        largest,
    })
}

pub(super) fn destroy(fs: &dyn Fs, dir: &Path) -> Result<()> {
    let names = match fs.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(dir)(error)),
    };
    let mut files: Vec<_> = names
        .iter()
        .filter_map(|name| Some((FileName::parse(name)?, name)))
        .filter(|(file, _)| *file != FileName::Lock)
        .collect();
    // Without the file that says what belongs to it, the rest is no database: should this be interrupted, a new one is
    // made in its place.
    files.sort_by_key(|(file, _)| *file != FileName::Current);
    let lock = take_lock(fs, dir)?;
    for (_, name) in files {
        let path = dir.join(name);
        fs.remove(&path).map_err(Error::io(&path))?;
    }
    drop(lock);
    let path = FileName::Lock.path(dir);
    fs.remove(&path).map_err(Error::io(&path))?;
    // Something else may be in the directory, which then stays.
    match fs.remove_dir(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(error) => Err(Error::io(dir)(error)),
    }
}
