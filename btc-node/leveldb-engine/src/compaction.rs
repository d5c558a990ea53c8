//! Which tables to merge, and what to keep of them.

use std::sync::Arc;

use crate::edit::{Edit, LEVELS};
use crate::error::Result;
use crate::key::{self, Kind};
use crate::merge::{LevelIter, MergeIter, Source};
use crate::version::{Files, Tables, UserRange, Version, total_size, user_range};

/// Bytes of tables two levels down that one output may overlap, in tables of full size.
const GRANDPARENT_FACTOR: u64 = 10;
/// Bytes up to which a compaction takes more tables of its level along, in tables of full size.
const EXPANSION_FACTOR: u64 = 25;

/// How many bytes two levels down a table may overlap.
pub(crate) fn max_grandparent(max_file_size: usize) -> u64 {
    GRANDPARENT_FACTOR * max_file_size as u64
}

/// Tables of a level to be merged with those of the next level that they overlap.
#[derive(Debug)]
pub(crate) struct Compaction {
    pub(crate) level: usize,
    version: Arc<Version>,
    inputs: [Files; 2],
    grandparents: Files,
    max_file_size: usize,
    /// The largest key of this level's inputs: the next compaction of the level begins after it.
    pub(crate) pointer: Vec<u8>,
}

impl Compaction {
    /// The compaction that `version` needs most, beginning after the level's `pointers`.
    pub(crate) fn needed(
        version: &Arc<Version>,
        pointers: &[Option<Vec<u8>>; LEVELS],
        max_file_size: usize,
    ) -> Option<Self> {
        let level = version.full_level()?;
        let files = &version.levels[level];
        let after = |pointer: &Vec<u8>| {
            // Level 0 is newest first; there the file with the smallest key serves.
            files
                .iter()
                .filter(|file| key::compare(&file.record.largest, pointer).is_gt())
                .min_by(|a, b| key::compare(&a.record.smallest, &b.record.smallest))
        };
        let first = pointers[level].as_ref().and_then(after);
        let first = Arc::clone(first.or_else(|| files.first())?);
        let chosen = vec![first];
        Self::of(version, level, chosen, max_file_size)
    }

    /// The first compaction towards merging all tables of a level that hold keys of the range, if there are any.
    pub(crate) fn of_range(
        version: &Arc<Version>,
        level: usize,
        range: UserRange<'_>,
        max_file_size: usize,
    ) -> Option<Self> {
        let mut chosen = version.overlapping(level, range);
        if level > 0 {
            // A large range is merged bit by bit. Level 0 cannot be: newer tables must not sink below older ones.
            let mut total = 0;
            let enough = chosen.iter().position(|file| {
                total += file.record.size;
                total >= max_file_size as u64
            });
            chosen.truncate(enough.map_or(chosen.len(), |at| at + 1));
        }
        Self::of(version, level, chosen, max_file_size)
    }

    /// The compaction that takes one table out of its level, if it is still there and there is a next level.
    pub(crate) fn of_table(
        version: &Arc<Version>,
        level: usize,
        number: u64,
        max_file_size: usize,
    ) -> Option<Self> {
        if level + 1 >= LEVELS {
            return None;
        }
        let mut files = version.levels[level].iter();
        let file = files.find(|file| file.record.number == number)?;
        Self::of(version, level, vec![Arc::clone(file)], max_file_size)
    }

    fn of(
        version: &Arc<Version>,
        level: usize,
        chosen: Files,
        max_file_size: usize,
    ) -> Option<Self> {
        let range = user_range(&chosen)?;
        let mut upper = match level {
            0 => version.overlapping(0, bounds(&range)),
            _ => chosen,
        };
        add_boundaries(version, level, &mut upper);
        let mut lower = version.overlapping(level + 1, bounds(&user_range(&upper)?));
        add_boundaries(version, level + 1, &mut lower);
        if !lower.is_empty() {
            // More tables of this level come along if they need no more of the next.
            let all = user_range(&[&upper[..], &lower[..]].concat())?;
            let mut wider = version.overlapping(level, bounds(&all));
            add_boundaries(version, level, &mut wider);
            let limit = EXPANSION_FACTOR * max_file_size as u64;
            if wider.len() > upper.len() && total_size(&wider) + total_size(&lower) < limit {
                let mut same = version.overlapping(level + 1, bounds(&user_range(&wider)?));
                add_boundaries(version, level + 1, &mut same);
                if same.len() == lower.len() {
                    upper = wider;
                }
            }
        }
        let all = user_range(&[&upper[..], &lower[..]].concat())?;
        let grandparents = match level + 2 {
            below if below < LEVELS => version.overlapping(below, bounds(&all)),
            _ => Files::new(),
        };
        let pointer = upper
            .iter()
            .map(|file| &file.record.largest)
            .max_by(|a, b| key::compare(a, b))?
            .clone();
        Some(Self {
            level,
            version: Arc::clone(version),
            inputs: [upper, lower],
            grandparents,
            max_file_size,
            pointer,
        })
    }

    /// Whether moving the one table down a level does as well as merging it with nothing.
    pub(crate) fn is_move(&self) -> bool {
        self.inputs[0].len() == 1
            && self.inputs[1].is_empty()
            && total_size(&self.grandparents) <= max_grandparent(self.max_file_size)
    }

    /// The change that moves the table.
    pub(crate) fn moved(&self) -> Edit {
        let mut edit = self.removed();
        let records = self.inputs[0].iter().map(|file| file.record.clone());
        edit.added = records.map(|record| (self.level + 1, record)).collect();
        edit
    }

    /// The change that takes the inputs out.
    pub(crate) fn removed(&self) -> Edit {
        let levels = [self.level, self.level + 1];
        Edit {
            compact_pointers: vec![(self.level, self.pointer.clone())],
            deleted: levels
                .into_iter()
                .zip(&self.inputs)
                .flat_map(|(level, files)| files.iter().map(move |f| (level, f.record.number)))
                .collect(),
            ..Edit::default()
        }
    }

    /// The entries of all inputs in order.
    ///
    /// # Errors
    /// A table cannot be opened.
    pub(crate) fn entries(&self, tables: &Arc<Tables>) -> Result<MergeIter> {
        let level =
            |files: &Files| Source::Level(LevelIter::new(Arc::clone(tables), files.clone(), false));
        let mut sources = Vec::new();
        if self.level == 0 {
            for file in &self.inputs[0] {
                sources.push(Source::Table(tables.iter(file, false)?));
            }
        } else {
            sources.push(level(&self.inputs[0]));
        }
        sources.push(level(&self.inputs[1]));
        let mut entries = MergeIter::new(sources);
        entries.seek_to_first()?;
        Ok(entries)
    }
}

fn bounds((low, high): &(Vec<u8>, Vec<u8>)) -> UserRange<'_> {
    (Some(low), Some(high))
}

/// Adds the tables of a level that begin with the user key with which one of `files` ends: older changes of a key must
/// not stay above newer ones.
fn add_boundaries(version: &Version, level: usize, files: &mut Files) {
    if level == 0 {
        return;
    }
    while let Some(last) = files
        .iter()
        .max_by(|a, b| key::compare(&a.record.largest, &b.record.largest))
    {
        let end = &last.record.largest;
        let next = version.levels[level].iter().find(|file| {
            let begin = &file.record.smallest;
            key::compare(begin, end).is_gt() && key::user(begin) == key::user(end)
        });
        match next {
            Some(next) => files.push(Arc::clone(next)),
            None => return,
        }
    }
}

/// Decides, entry by entry in order, what of a compaction's inputs is kept.
#[derive(Debug)]
pub(crate) struct Sieve<'a> {
    compaction: &'a Compaction,
    /// No reader looks at changes older than the newest up to here.
    oldest_snapshot: u64,
    user_key: Option<Vec<u8>>,
    newer: u64,
    deeper: [usize; LEVELS],
    grandparent: usize,
    overlapped: u64,
}

/// What to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) keep: bool,
    /// Its user key is not that of the entry before, so that an output may end here.
    pub(crate) new_key: bool,
    /// An output that went on would overlap too much two levels down.
    pub(crate) split: bool,
}

impl<'a> Sieve<'a> {
    pub(crate) fn new(compaction: &'a Compaction, oldest_snapshot: u64) -> Self {
        Self {
            compaction,
            oldest_snapshot,
            user_key: None,
            newer: u64::MAX,
            deeper: [0; LEVELS],
            grandparent: 0,
            overlapped: 0,
        }
    }

    /// Looks at the next entry.
    ///
    /// # Errors
    /// The entry is neither a value nor a deletion.
    pub(crate) fn look(&mut self, internal_key: &[u8]) -> Result<Verdict> {
        let (user, trailer) = key::split(internal_key);
        let (sequence, kind) = key::parse_trailer(trailer).ok_or_else(|| {
            crate::error::Error::Corruption("corrupted internal key in compaction".into())
        })?;
        let new_key = self.user_key.as_deref() != Some(user);
        if new_key {
            let current = self.user_key.get_or_insert_default();
            current.clear();
            current.extend_from_slice(user);
            self.newer = u64::MAX;
        }
        let hidden = self.newer <= self.oldest_snapshot;
        // A deletion that hides nothing further down, and that no snapshot needs, has done its work.
        let spent =
            kind == Kind::Deletion && sequence <= self.oldest_snapshot && self.nothing_deeper(user);
        self.newer = sequence;
        Ok(Verdict {
            keep: !hidden && !spent,
            new_key,
            split: self.split_before(internal_key),
        })
    }

    /// Whether no table below the output level can hold the key. Keys come in order.
    fn nothing_deeper(&mut self, user_key: &[u8]) -> bool {
        let levels = self.compaction.version.levels.iter().enumerate();
        for (level, files) in levels.skip(self.compaction.level + 2) {
            let at = &mut self.deeper[level];
            while files
                .get(*at)
                .is_some_and(|file| key::user(&file.record.largest) < user_key)
            {
                *at += 1;
            }
            if files
                .get(*at)
                .is_some_and(|file| key::user(&file.record.smallest) <= user_key)
            {
                return false;
            }
        }
        true
    }

    fn split_before(&mut self, internal_key: &[u8]) -> bool {
        let files = &self.compaction.grandparents;
        while let Some(file) = files.get(self.grandparent)
            && key::compare(internal_key, &file.record.largest).is_gt()
        {
            self.overlapped = self.overlapped.saturating_add(file.record.size);
            self.grandparent += 1;
        }
        let split = self.overlapped > max_grandparent(self.compaction.max_file_size);
        if split {
            self.overlapped = 0;
        }
        split
    }
}
