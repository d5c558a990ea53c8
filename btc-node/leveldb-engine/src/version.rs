//! A version: the tables of each level at one moment.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwapOption;

use crate::cache::BlockCache;
use crate::edit::{Edit, LEVELS, TableRecord};
use crate::error::{Error, Result};
use crate::fs::{FileName, Fs};
use crate::key::{self, Kind, Sought};
use crate::table::{Found, Table, TableIter};

/// Tables of level 0 at which they are merged into level 1.
pub(crate) const LEVEL0_TRIGGER: usize = 4;
/// Tables of level 0 at which writers wait.
pub(crate) const LEVEL0_STOP: usize = 12;
/// Bytes of a table that are merged in about the time of one read from a disk.
const BYTES_PER_SEEK: u64 = 16 << 10;
/// Even a small table is not merged before so many blocks of it were read in vain.
const LEAST_PATIENCE: u64 = 100;
/// The deepest level to which a table goes straight from memory.
const MAX_FLUSH_LEVEL: usize = 2;

/// A table of a version. It is opened when it is first needed.
#[derive(Debug)]
pub(crate) struct TableFile {
    pub(crate) record: TableRecord,
    table: ArcSwapOption<Table>,
    /// Blocks that may still be read in vain before merging the table is the cheaper.
    patience: AtomicI64,
}

impl TableFile {
    fn new(record: TableRecord) -> Self {
        let patience = (record.size / BYTES_PER_SEEK).max(LEAST_PATIENCE);
        Self {
            record,
            table: ArcSwapOption::empty(),
            patience: AtomicI64::new(patience as i64),
        }
    }

    /// Notes that a block was read in vain; whether this was one too many. That is so once.
    pub(crate) fn read_in_vain(&self) -> bool {
        self.patience.fetch_sub(1, Relaxed) == 1
    }

    fn smallest(&self) -> &[u8] {
        key::user(&self.record.smallest)
    }

    fn largest(&self) -> &[u8] {
        key::user(&self.record.largest)
    }

    /// Whether the table can hold keys in the range; `None` is without bound.
    fn overlaps(&self, range: UserRange<'_>) -> bool {
        range.0.is_none_or(|begin| self.largest() >= begin)
            && range.1.is_none_or(|end| self.smallest() <= end)
    }
}

/// User keys from the first to the second, both included; `None` is without bound.
pub(crate) type UserRange<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);
/// Tables of one level.
pub(crate) type Files = Vec<Arc<TableFile>>;

/// Opens tables, and keeps no more than a number of them open.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) dir: PathBuf,
    pub(crate) cache: Arc<BlockCache>,
    max_open: usize,
    opened: Mutex<VecDeque<Weak<TableFile>>>,
}

impl Tables {
    pub(crate) fn new(fs: Arc<dyn Fs>, dir: PathBuf, cache_size: usize, max_open: usize) -> Self {
        Self {
            fs,
            dir,
            cache: Arc::new(BlockCache::new(cache_size)),
            max_open,
            opened: Mutex::default(),
        }
    }

    /// The open table.
    pub(crate) fn table(&self, file: &Arc<TableFile>) -> Result<Arc<Table>> {
        match file.table.load_full() {
            Some(table) => Ok(table),
            None => self.open(file),
        }
    }

    /// What a point read finds in a table; if that is open, no lock is taken and no reference is counted.
    fn get(&self, file: &Arc<TableFile>, sought: &Sought<'_>) -> Result<Found> {
        match &*file.table.load() {
            Some(table) => table.get(sought),
            None => self.open(file)?.get(sought),
        }
    }

    fn open(&self, file: &Arc<TableFile>) -> Result<Arc<Table>> {
        let (number, size) = (file.record.number, file.record.size);
        let mut path = FileName::Table(number).path(&self.dir);
        let opened = match self.with_descriptor(|| self.fs.open(&path)) {
            // Old versions of LevelDB named their tables so.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let old = path.with_extension("sst");
                self.with_descriptor(|| self.fs.open(&old))
                    .inspect(|_| path = old)
                    .map_err(|_| error)
            }
            other => other,
        };
        let reader = opened.map_err(Error::io(&path))?;
        let table = Arc::new(Table::open(
            reader,
            path,
            number,
            size,
            Arc::clone(&self.cache),
        )?);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        file.table.store(Some(Arc::clone(&table)));
        opened.push_back(Arc::downgrade(file));
        while opened.len() > self.max_open {
            if let Some(oldest) = opened.pop_front().and_then(|file| file.upgrade()) {
                oldest.table.store(None);
            }
        }
        Ok(table)
    }

    /// Does what needs a file descriptor. Where the system has none left, tables are closed and it is tried again.
    pub(crate) fn with_descriptor<T>(
        &self,
        mut work: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match work() {
                Err(error) if is_out_of_descriptors(&error) && self.close_half() => {}
                done => return done,
            }
        }
    }

    /// Returns once the names of all files are on the disk.
    pub(crate) fn sync_dir(&self) -> Result<()> {
        let synced = self.with_descriptor(|| self.fs.sync_dir(&self.dir));
        synced.map_err(Error::io(&self.dir))
    }

    /// Closes the half of the open tables that was opened first, and says whether there was any. A table that is being
    /// read stays open until that is done.
    fn close_half(&self) -> bool {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let half = opened.len().div_ceil(2);
        for file in opened.drain(..half).filter_map(|file| file.upgrade()) {
            file.table.store(None);
        }
        half > 0
    }

    /// An iterator through one table.
    pub(crate) fn iter(&self, file: &Arc<TableFile>, fill_cache: bool) -> Result<TableIter> {
        Ok(TableIter::new(self.table(file)?, fill_cache))
    }
}

#[cfg(unix)]
fn is_out_of_descriptors(error: &io::Error) -> bool {
    let system = rustix::io::Errno::from_io_error(error);
    matches!(
        system,
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)
    )
}

#[cfg(not(unix))]
fn is_out_of_descriptors(_error: &io::Error) -> bool {
    false
}

/// The tables of each level. Level 0 is newest first and may overlap; the others are in key order and do not.
#[derive(Debug, Default)]
pub(crate) struct Version {
    pub(crate) levels: [Files; LEVELS],
    /// Prefixes of the last keys of each level's tables, to find a table without looking at all of them.
    last: [Vec<u64>; LEVELS],
}

impl Version {
    /// This version with an edit applied.
    ///
    /// # Errors
    /// Tables of a level that must not overlap would.
    pub(crate) fn edited(&self, edits: &[Edit]) -> Result<Self> {
        let mut levels = self.levels.clone();
        for edit in edits {
            let gone: BTreeSet<_> = edit.deleted.iter().copied().collect();
            for (level, files) in levels.iter_mut().enumerate() {
                files.retain(|file| !gone.contains(&(level, file.record.number)));
            }
            for (level, record) in &edit.added {
                levels[*level].push(self.file(record));
            }
        }
        levels[0].sort_by_key(|file| std::cmp::Reverse(file.record.number));
        for files in &mut levels[1..] {
            files.sort_by(|a, b| key::compare(&a.record.smallest, &b.record.smallest));
            let disjoint = files.windows(2).all(|pair| {
                key::compare(&pair[0].record.largest, &pair[1].record.smallest).is_lt()
            });
            if !disjoint {
                return Err(Error::Corruption("overlapping ranges in same level".into()));
            }
        }
        let last = std::array::from_fn(|level| {
            let last = levels[level].iter().map(|f| key::prefix(f.largest()));
            last.collect()
        });
        Ok(Self { levels, last })
    }

    /// A table by its record: the one that is there, if it only moves to another level.
    fn file(&self, record: &TableRecord) -> Arc<TableFile> {
        let known = self.levels.iter().flatten();
        match known.into_iter().find(|file| file.record == *record) {
            Some(file) => Arc::clone(file),
            None => Arc::new(TableFile::new(record.clone())),
        }
    }

    /// The newest change of the sought key at or before its sequence number: `Some(None)` for a deletion. `idle` is told
    /// of the first table whose block was looked at in vain, with its level.
    ///
    /// # Errors
    /// A table cannot be read or is damaged.
    pub(crate) fn get(
        &self,
        tables: &Tables,
        sought: &Sought<'_>,
        idle: impl FnOnce(usize, &Arc<TableFile>),
    ) -> Result<Option<Option<Vec<u8>>>> {
        let user = sought.user;
        let overlapping = self.levels[0]
            .iter()
            .filter(|file| file.overlaps((Some(user), Some(user))))
            .map(|file| (0, file));
        let deeper = (1..LEVELS).filter_map(|level| {
            let file = self.candidate(level, sought)?;
            (file.smallest() <= user).then_some((level, file))
        });
        let mut in_vain = None;
        let mut change = None;
        for (level, file) in overlapping.chain(deeper) {
            let found = tables.get(file, sought)?;
            if let Some((trailer, value)) = found.entry {
                change = match key::parse_trailer(trailer) {
                    Some((_, Kind::Value)) => Some(Some(value)),
                    Some((_, Kind::Deletion)) => Some(None),
                    None => {
                        return Err(Error::Corruption(format!(
                            "corrupted key for table {}",
                            file.record.number
                        )));
                    }
                };
                break;
            }
            if found.looked {
                in_vain = in_vain.or(Some((level, file)));
            }
        }
        if let Some((level, file)) = in_vain {
            idle(level, file);
        }
        Ok(change)
    }

    /// The one table of a level that does not overlap in which the sought key can be, by its end.
    fn candidate(&self, level: usize, sought: &Sought<'_>) -> Option<&Arc<TableFile>> {
        let at = self.last[level].partition_point(|&prefix| prefix < sought.prefix);
        let files = &self.levels[level][at..];
        let before = |file: &Arc<TableFile>| sought.compare(&file.record.largest).is_lt();
        // The first one is it, unless several tables end in keys that begin alike.
        match files.first() {
            Some(first) if before(first) => files.get(files.partition_point(before)),
            first => first,
        }
    }

    /// Tables of a level that can hold keys in the range. On level 0 the range grows with what overlaps it, for a
    /// newer table must not sink below an older one.
    pub(crate) fn overlapping(&self, level: usize, range: UserRange<'_>) -> Files {
        let within = |range: UserRange<'_>| -> Files {
            let files = self.levels[level].iter();
            files.filter(|file| file.overlaps(range)).cloned().collect()
        };
        let mut found = within(range);
        if level > 0 {
            return found;
        }
        while let Some((low, high)) = user_range(&found) {
            let more = within((
                range.0.map(|begin| begin.min(&low)),
                range.1.map(|end| end.max(&high)),
            ));
            if more.len() == found.len() {
                break;
            }
            found = more;
        }
        found
    }

    /// Whether a table of the level can hold keys in the range.
    pub(crate) fn overlaps(&self, level: usize, range: UserRange<'_>) -> bool {
        self.levels[level].iter().any(|file| file.overlaps(range))
    }

    /// The level for a table from memory: as deep as nothing is in its way, so that it need not be merged soon.
    pub(crate) fn flush_level(&self, range: UserRange<'_>, max_grandparent: u64) -> usize {
        if self.overlaps(0, range) {
            return 0;
        }
        let free = |level: &usize| {
            !self.overlaps(*level, range)
                && total_size(&self.overlapping(level + 1, range)) <= max_grandparent
        };
        (1..=MAX_FLUSH_LEVEL).take_while(free).last().unwrap_or(0)
    }

    /// The level that most needs merging into the next, if one does.
    pub(crate) fn full_level(&self) -> Option<usize> {
        let scores = self.levels[..LEVELS - 1]
            .iter()
            .enumerate()
            .map(|(level, files)| {
                let score = match level {
                    0 => files.len() as f64 / LEVEL0_TRIGGER as f64,
                    _ => total_size(files) as f64 / (1_048_576.0 * 10f64.powi(level as i32)),
                };
                (level, score)
            });
        let (level, score) = scores.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?;
        (score >= 1.0).then_some(level)
    }

    /// About how many bytes of tables come before an internal key.
    pub(crate) fn offset_of(&self, tables: &Tables, sought: &[u8]) -> Result<u64> {
        let mut total = 0u64;
        for file in self.levels.iter().flatten() {
            if key::compare(&file.record.largest, sought).is_le() {
                total = file.record.size.saturating_add(total);
            } else if key::compare(&file.record.smallest, sought).is_le() {
                total = tables.table(file)?.offset_of(sought)?.saturating_add(total);
            }
        }
        Ok(total)
    }
}

/// Bytes of the tables together. The sizes are what a manifest says, so they may be any numbers.
pub(crate) fn total_size(files: &Files) -> u64 {
    let sizes = files.iter().map(|file| file.record.size);
    sizes.fold(0, u64::saturating_add)
}

/// Smallest and largest user key of the tables.
pub(crate) fn user_range(files: &Files) -> Option<(Vec<u8>, Vec<u8>)> {
    let low = files.iter().map(|file| file.smallest()).min()?;
    let high = files.iter().map(|file| file.largest()).max()?;
    Some((low.to_vec(), high.to_vec()))
}
