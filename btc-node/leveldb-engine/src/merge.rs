//! Going through several sorted sources as if they were one.

use std::sync::Arc;

use crate::error::Result;
use crate::key;
use crate::memtable::MemIter;
use crate::table::TableIter;
use crate::version::{Files, Tables};

/// Goes through the tables of a level that do not overlap, and opens each when it comes to it.
#[derive(Debug)]
pub(crate) struct LevelIter {
    tables: Arc<Tables>,
    files: Files,
    fill_cache: bool,
    at: usize,
    table: Option<TableIter>,
}

impl LevelIter {
    /// An iterator that stands nowhere.
    pub(crate) fn new(tables: Arc<Tables>, files: Files, fill_cache: bool) -> Self {
        Self {
            tables,
            files,
            fill_cache,
            at: 0,
            table: None,
        }
    }

    fn enter(&mut self, at: usize, target: Option<&[u8]>) -> Result<()> {
        self.at = at;
        self.table = None;
        if let Some(file) = self.files.get(at) {
            let mut table = self.tables.iter(file, self.fill_cache)?;
            match target {
                Some(target) => table.seek(target)?,
                None => table.seek_to_first()?,
            }
            self.table = Some(table);
        }
        self.skip_empty()
    }

    fn skip_empty(&mut self) -> Result<()> {
        match &self.table {
            Some(table) if table.entry().is_none() => self.enter(self.at + 1, None),
            _ => Ok(()),
        }
    }
}

/// A sorted source of internal keys and values.
#[derive(Debug)]
pub(crate) enum Source {
    Memory(MemIter),
    Table(TableIter),
    Level(LevelIter),
}

impl Source {
    fn seek_to_first(&mut self) -> Result<()> {
        match self {
            Self::Memory(iter) => iter.seek_to_first(),
            Self::Table(iter) => iter.seek_to_first()?,
            Self::Level(iter) => iter.enter(0, None)?,
        }
        Ok(())
    }

    fn seek(&mut self, target: &[u8]) -> Result<()> {
        match self {
            Self::Memory(iter) => iter.seek(target),
            Self::Table(iter) => iter.seek(target)?,
            Self::Level(iter) => {
                let at = iter
                    .files
                    .partition_point(|file| key::compare(&file.record.largest, target).is_lt());
                iter.enter(at, Some(target))?;
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        match self {
            Self::Memory(iter) => iter.next(),
            Self::Table(iter) => iter.next()?,
            Self::Level(iter) => {
                if let Some(table) = &mut iter.table {
                    table.next()?;
                    iter.skip_empty()?;
                }
            }
        }
        Ok(())
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Self::Memory(iter) => iter.entry(),
            Self::Table(iter) => iter.entry(),
            Self::Level(iter) => iter.table.as_ref()?.entry(),
        }
    }
}

/// Goes through its sources in the order of internal keys.
#[derive(Debug)]
pub(crate) struct MergeIter {
    sources: Vec<Source>,
    current: Option<usize>,
}

impl MergeIter {
    /// An iterator that stands nowhere.
    pub(crate) fn new(sources: Vec<Source>) -> Self {
        Self {
            sources,
            current: None,
        }
    }

    pub(crate) fn seek_to_first(&mut self) -> Result<()> {
        self.current = None;
        for source in &mut self.sources {
            source.seek_to_first()?;
        }
        self.choose();
        Ok(())
    }

    /// Goes to the first entry whose key is not before `target`.
    pub(crate) fn seek(&mut self, target: &[u8]) -> Result<()> {
        self.current = None;
        for source in &mut self.sources {
            source.seek(target)?;
        }
        self.choose();
        Ok(())
    }

    pub(crate) fn next(&mut self) -> Result<()> {
        if let Some(at) = self.current.take() {
            self.sources[at].next()?;
            self.choose();
        }
        Ok(())
    }

    pub(crate) fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.sources[self.current?].entry()
    }

    /// Sources are few, so looking at each is as fast as a heap.
    fn choose(&mut self) {
        let mut best: Option<(usize, &[u8])> = None;
        for (at, source) in self.sources.iter().enumerate() {
            if let Some((key, _)) = source.entry()
                && best.is_none_or(|(_, least)| key::compare(key, least).is_lt())
            {
                best = Some((at, key));
            }
        }
        self.current = best.map(|(at, _)| at);
    }
}
