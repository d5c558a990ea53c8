//! The filter index as peers are served from it.

use crate::chainstate::BlockSummary;
use crate::index::{FilterIndex, IndexError, Indexes};
use crate::sync::FilterSource;
use bitcoin::BlockHash;
use bitcoin::bip158::{FilterHash, FilterHeader};
use std::sync::Arc;

/// Filters of the index, if it is kept.
pub(super) struct IndexFilters(pub(super) Arc<Indexes>);

impl IndexFilters {
    /// Asks the index. What it cannot read is told in the log, and the peer gets no answer.
    fn ask<T>(
        &self,
        question: impl FnOnce(&FilterIndex) -> Result<Option<T>, IndexError>,
    ) -> Option<T> {
        let index = self.0.filters.as_ref()?;
        question(index).unwrap_or_else(|error| {
            tracing::error!("{error}");
            None
        })
    }
}

impl FilterSource for IndexFilters {
    fn filters(&self, from: u32, stop: &BlockSummary) -> Option<Vec<(BlockHash, Vec<u8>)>> {
        let filters = self.ask(|index| index.filters(from, stop))?;
        let contents = filters
            .into_iter()
            .map(|(block, filter)| (block, filter.content));
        Some(contents.collect())
    }

    fn hashes(&self, from: u32, stop: &BlockSummary) -> Option<Vec<FilterHash>> {
        self.ask(|index| index.hashes(from, stop))
    }

    fn header(&self, block: &BlockSummary) -> Option<FilterHeader> {
        self.ask(|index| index.header(block))
    }
}
