//! Blocks from files: made elsewhere, or the node's own when the index is built anew.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bitcoin::{Block, BlockHash};
use btc_consensus::{HashedBlock, HeaderError, check_hashed_block};

use super::accept::{CHECK_ALL, Incoming};
use super::error::{BlockRejection, SubmitError};
use super::flush::FlushMode;
use super::state::Shared;
use super::summary::ImportReport;
use crate::chain::record::FilePos;
use crate::store::StoreError;
use crate::store::block_files::RECORD_HEADER;
use crate::store::import::BlockScanner;

/// Blocks whose parent was not met yet, by parent; each with its place and length.
type Waiting = HashMap<BlockHash, Vec<(FilePos, u32, BlockHash)>>;

/// Says that an import is under way, for as long as it lives.
struct Importing<'a>(&'a AtomicBool);

impl<'a> Importing<'a> {
    fn new(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Relaxed);
        Self(flag)
    }
}

impl Drop for Importing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// What became of one block.
enum Fate {
    Loaded,
    Known,
    Orphan,
    Invalid,
}

impl ImportReport {
    fn count(&mut self, fate: &Fate) {
        match fate {
            Fate::Loaded => self.loaded += 1,
            Fate::Known => self.known += 1,
            Fate::Orphan => self.orphans += 1,
            Fate::Invalid => self.invalid += 1,
        }
    }
}

/// The line of the log that ends the work on a file.
fn tell_loaded(blocks: u64, start: Instant) {
    tracing::info!(
        target: "validation",
        "Loaded {blocks} blocks from external file in {}ms",
        start.elapsed().as_millis()
    );
}

impl Shared {
    pub(super) fn import_blocks(
        &self,
        scanner: &mut BlockScanner<impl Read>,
    ) -> Result<ImportReport, SubmitError> {
        let mut report = ImportReport::default();
        let start = Instant::now();
        {
            let _importing = Importing::new(&self.importing);
            for found in scanner.by_ref() {
                if self.interrupted() {
                    break;
                }
                let block = Arc::new(
                    found
                        .map_err(|error| StoreError::corrupt("block file from elsewhere", error))?
                        .block,
                );
                let fate = self.take_in(&block, None)?;
                report.count(&fate);
                if self.options.prune.is_some() && matches!(fate, Fate::Loaded) {
                    // Only blocks that are connected may go again.
                    self.activate_best_chain(Some(&HashedBlock::new(block)))?;
                }
            }
            report.scan = scanner.report();
            tell_loaded(report.loaded, start);
        }
        self.finish_import()?;
        Ok(report)
    }

    pub(super) fn reindex_block_files(&self) -> Result<ImportReport, SubmitError> {
        let mut report = ImportReport::default();
        if self.lock().files_indexed {
            return Ok(report);
        }
        {
            let _importing = Importing::new(&self.importing);
            let mut waiting = Waiting::new();
            let total = (0..).take_while(|file| self.reader.has_block_file(*file));
            let total = total.count() as u32;
            for number in 0..total {
                tracing::info!(
                    target: "validation",
                    "Reindexing block file blk{number:05}.dat ({}% complete)...",
                    u64::from(number) * 100 / u64::from(total)
                );
                let (start, before) = (Instant::now(), report.loaded);
                self.reindex_file(number, 0, &mut waiting, &mut report)?;
                if self.interrupted() {
                    tracing::info!(target: "validation", "Interrupt requested. Exit reindexing.");
                    return Ok(report);
                }
                tell_loaded(report.loaded - before, start);
            }
            report.orphans = waiting.values().map(|blocks| blocks.len() as u64).sum();
            self.finish_reindex()?;
        }
        tracing::info!(target: "validation", "Reindexing finished");
        self.finish_import()?;
        Ok(report)
    }

    /// See [`ChainstateManager::recover_blocks`](super::ChainstateManager::recover_blocks).
    pub(super) fn recover_blocks(&self) -> Result<ImportReport, SubmitError> {
        let mut report = ImportReport::default();
        let (last, ends) = {
            let state = self.lock();
            if !state.files_indexed {
                // A reindex is under way, and will find them.
                return Ok(report);
            }
            (state.files.last_file(), state.files.open_ends())
        };
        let block_at = |file, end: u32| {
            let pos = FilePos {
                file,
                offset: end.saturating_add(RECORD_HEADER),
            };
            self.reader.read_raw_block(pos).is_ok()
        };
        let ends: Vec<_> = ends
            .into_iter()
            .filter(|(file, end)| block_at(*file, *end))
            .collect();
        // A file may have been full.
        let mut number = last.saturating_add(1);
        if ends.is_empty() && !(self.reader.has_block_file(number) && block_at(number, 0)) {
            return Ok(report);
        }
        {
            let _importing = Importing::new(&self.importing);
            let mut waiting = Waiting::new();
            for (file, end) in ends {
                self.reindex_file(file, end, &mut waiting, &mut report)?;
            }
            while self.reader.has_block_file(number) && !self.interrupted() {
                self.reindex_file(number, 0, &mut waiting, &mut report)?;
                number = number.saturating_add(1);
            }
        }
        tracing::info!(
            target: "validation",
            "Found {} blocks that an earlier run had stored but not indexed",
            report.loaded
        );
        self.finish_import()?;
        Ok(report)
    }

    /// Connects what was read in, and reconsiders whether the node is still behind.
    fn finish_import(&self) -> Result<(), SubmitError> {
        self.activate_best_chain(None)?;
        let state = self.lock();
        self.update_initial_download(&state);
        Ok(())
    }

    /// Reads one of the node's own block files, from `offset` on, into the index.
    fn reindex_file(
        &self,
        number: u32,
        offset: u32,
        waiting: &mut Waiting,
        report: &mut ImportReport,
    ) -> Result<(), SubmitError> {
        let mut scanner = self.reader.scan(number, offset)?;
        for found in scanner.by_ref() {
            if self.interrupted() {
                break;
            }
            let found = found
                .map_err(|error| StoreError::corrupt(format!("block file {number}"), error))?;
            let offset = u32::try_from(found.offset).map_err(|_| {
                StoreError::corrupt(format!("block file {number}"), "it is longer than 4 GiB")
            })?;
            let stored = (
                FilePos {
                    file: number,
                    offset,
                },
                found.len,
            );
            let block = Arc::new(found.block);
            let hash = block.block_hash();
            let fate = self.take_in(&block, Some(stored))?;
            if matches!(fate, Fate::Orphan) {
                let parent = block.header.prev_blockhash;
                // Tools look for this line and the one of the child, under the name of the step in bitcoind.
                tracing::debug!(
                    target: "reindex",
                    "LoadExternalBlockFile: Out of order block {hash}, parent {parent} not known"
                );
                let children = waiting.entry(parent).or_default();
                children.push((stored.0, stored.1, hash));
                continue;
            }
            report.count(&fate);
            self.take_in_waiting(hash, waiting, report)?;
        }
        let scan = scanner.report();
        report.scan.blocks += scan.blocks;
        report.scan.bad += scan.bad;
        report.scan.skipped += scan.skipped;
        report.scan.truncated |= scan.truncated;
        Ok(())
    }

    /// Takes in the blocks that waited for `parent`, and those that waited for them.
    fn take_in_waiting(
        &self,
        parent: BlockHash,
        waiting: &mut Waiting,
        report: &mut ImportReport,
    ) -> Result<(), SubmitError> {
        let mut parents = vec![parent];
        while let Some(parent) = parents.pop() {
            for (pos, len, hash) in waiting.remove(&parent).into_iter().flatten() {
                let block = match self.reader.read_block(pos, &hash) {
                    Ok(block) => Arc::new(block),
                    Err(error) => {
                        // It is as good as not there; those that wait for it go on waiting.
                        tracing::warn!(target: "validation", "block {hash} cannot be read again: {error}");
                        report.count(&Fate::Invalid);
                        continue;
                    }
                };
                tracing::debug!(
                    target: "reindex",
                    "LoadExternalBlockFile: Processing out of order child {hash} of {parent}"
                );
                report.count(&self.take_in(&block, Some((pos, len)))?);
                parents.push(hash);
            }
        }
        Ok(())
    }

    /// Stores one block from a file, or enters it where it lies.
    fn take_in(
        &self,
        block: &Arc<Block>,
        stored: Option<(FilePos, u32)>,
    ) -> Result<Fate, SubmitError> {
        let hash = block.block_hash();
        let mut state = self.lock_for_change()?;
        if hash == self.options.params.genesis_hash {
            // It is in the tree from the start, and its place becomes known here.
            let id = Self::find(&state, &hash)?;
            if let (None, Some((pos, len))) = (state.tree.entry(id).data(), stored) {
                state.files.adopt_block(pos, len, 0, block.header.time);
                state.tree.modify(id).set_data(pos, true);
                return Ok(Fate::Loaded);
            }
            return Ok(Fate::Known);
        }
        if state.tree.find(&block.header.prev_blockhash).is_none() {
            return Ok(Fate::Orphan);
        }
        if let Some(id) = state.tree.find(&hash)
            && state.tree.entry(id).data().is_some()
        {
            return Ok(Fate::Known);
        }
        let block = HashedBlock::new(Arc::clone(block));
        if check_hashed_block(&block, &CHECK_ALL, &self.options.params).is_err() {
            return Ok(Fate::Invalid);
        }
        let accepted = self.accept_block(
            &mut state,
            &Incoming {
                block: &block,
                force: true,
                stored,
            },
        );
        match accepted {
            Ok((_, true)) => Ok(Fate::Loaded),
            Ok((_, false)) => Ok(Fate::Known),
            Err(SubmitError::Rejected(BlockRejection::Rule(error))) => {
                tracing::debug!(target: "reindex", "block {hash} is not taken: {}", error.reject_reason());
                let orphan = error == HeaderError::PrevNotFound.into();
                Ok(if orphan { Fate::Orphan } else { Fate::Invalid })
            }
            Err(error) => Err(error),
        }
    }

    /// Remembers that the index is complete, and that the genesis block has its place.
    fn finish_reindex(&self) -> Result<(), SubmitError> {
        let mut state = self.lock_for_change()?;
        let genesis = Self::find(&state, &self.options.params.genesis_hash)?;
        if state.tree.entry(genesis).data().is_none() {
            let block = &self.options.params.genesis;
            let bytes = bitcoin::consensus::serialize(block);
            match state.files.write_block(&bytes, 0, block.header.time) {
                Ok(pos) => state.tree.modify(genesis).set_data(pos, true),
                Err(error) => return Err(self.fail(&mut state, error)),
            }
        }
        state.files_indexed = true;
        state.files.all_adopted();
        self.flush_state(&mut state, FlushMode::Always)?;
        if let Err(error) = state.index.set_reindexing(false) {
            return Err(self.fail(&mut state, error));
        }
        Ok(())
    }
}
