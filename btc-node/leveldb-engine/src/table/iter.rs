//! Going through a table.

use std::sync::Arc;

use super::{Handle, Table};
use crate::block::BlockIter;
use crate::error::Result;

/// Goes through the entries of a table in order.
#[derive(Debug)]
pub(crate) struct TableIter {
    table: Arc<Table>,
    fill_cache: bool,
    index: BlockIter,
    data: Option<BlockIter>,
}

impl TableIter {
    /// An iterator that stands nowhere; `fill_cache` says whether the blocks it reads are kept.
    pub(crate) fn new(table: Arc<Table>, fill_cache: bool) -> Self {
        Self {
            index: table.index.iter(),
            table,
            fill_cache,
            data: None,
        }
    }

    pub(crate) fn seek_to_first(&mut self) -> Result<()> {
        self.index.seek_to_first()?;
        self.enter_block(|data| data.seek_to_first())
    }

    /// Goes to the first entry whose key is not before `target`.
    pub(crate) fn seek(&mut self, target: &[u8]) -> Result<()> {
        self.index.seek(target)?;
        self.enter_block(|data| data.seek(target))
    }

    pub(crate) fn next(&mut self) -> Result<()> {
        if let Some(data) = &mut self.data {
            data.next()?;
            self.skip_empty()?;
        }
        Ok(())
    }

    pub(crate) fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.data.as_ref()?.entry()
    }

    /// Loads the block that the index stands on, and stands in it as `place` says.
    fn enter_block(&mut self, place: impl FnOnce(&mut BlockIter) -> Result<()>) -> Result<()> {
        let Some((_, mut handle)) = self.index.entry() else {
            self.data = None;
            return Ok(());
        };
        let block = self
            .table
            .block(Handle::take(&mut handle)?, self.fill_cache)?;
        let data = match &mut self.data {
            Some(data) => {
                data.reset(block);
                data
            }
            none => none.insert(BlockIter::new(block)),
        };
        place(data)?;
        self.skip_empty()
    }

    /// Goes on to the next block for as long as there is no entry.
    fn skip_empty(&mut self) -> Result<()> {
        while self
            .data
            .as_ref()
            .is_some_and(|data| data.entry().is_none())
        {
            self.index.next()?;
            let Some((_, mut handle)) = self.index.entry() else {
                self.data = None;
                return Ok(());
            };
            let block = self
                .table
                .block(Handle::take(&mut handle)?, self.fill_cache)?;
            if let Some(data) = &mut self.data {
                data.reset(block);
                data.seek_to_first()?;
            }
        }
        Ok(())
    }
}
