//! Long chains of headers, before they are known to be worth keeping.
//!
//! Headers with little work cost nothing to make, and every header kept takes memory for good. So a chain that does not
//! show enough work at once is walked through twice: first only its work is summed up and the hash at the end of every
//! message kept; once there is enough, it is asked for again, and a message is stored only if it ends as it did the
//! first time. What is stored is then part of a chain with the work that was claimed.

use super::headers::claimed_work;
use crate::chainstate::BlockSummary;
use crate::net::message::MAX_HEADERS;
use bitcoin::BlockHash;
use bitcoin::block::Header;
use btc_consensus::params::ChainParams;
use btc_consensus::pow::{Work, is_permitted_transition};
use std::time::Duration;

/// A chain can grow by no more blocks than this in a second, by the rule of the median time past.
const MAX_BLOCKS_PER_SECOND: u64 = 6;
/// How far ahead of the clock a header may be, in seconds.
const MAX_FUTURE: u64 = 2 * 60 * 60;

/// What is to be done with a message of headers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Keep none of it, and ask for what follows this block.
    Ask(BlockHash),
    /// Keep it.
    Store {
        /// Whether the chain has shown all the work that was asked of it: what follows is as any other.
        finished: bool,
    },
    /// Give the chain up.
    Abandon(&'static str),
}

#[derive(Debug)]
enum Phase {
    Sum,
    /// The message that comes next, among those of the first walk.
    Again(usize),
}

/// The walk through one peer's chain.
#[derive(Debug)]
pub(super) struct Presync {
    start: BlockHash,
    start_height: u32,
    start_bits: u32,
    start_work: Work,
    threshold: Work,
    phase: Phase,
    last: BlockHash,
    last_bits: u32,
    height: u32,
    work: Work,
    /// Of each message: how many headers it had, and the last one's hash.
    ends: Vec<(usize, BlockHash)>,
    max_messages: usize,
}

impl Presync {
    /// A chain that leaves the known ones after `parent` and has to show a work of `threshold`.
    pub(super) fn new(parent: &BlockSummary, threshold: Work, now: Duration) -> Self {
        let seconds = (now.as_secs() + MAX_FUTURE).saturating_sub(parent.median_time_past.into());
        let max_headers = seconds.saturating_mul(MAX_BLOCKS_PER_SECOND);
        let bits = parent.header.bits.to_consensus();
        Self {
            start: parent.hash,
            start_height: parent.height,
            start_bits: bits,
            start_work: parent.chainwork,
            threshold,
            phase: Phase::Sum,
            last: parent.hash,
            last_bits: bits,
            height: parent.height,
            work: parent.chainwork,
            ends: Vec::new(),
            max_messages: usize::try_from(max_headers / MAX_HEADERS as u64 + 1)
                .unwrap_or(usize::MAX),
        }
    }

    /// The height that the first walk has come to; `None` on the second.
    pub(super) fn height(&self) -> Option<u32> {
        self.progress().map(|(height, _)| height)
    }

    /// As before, with the work up to there.
    pub(super) fn progress(&self) -> Option<(u32, Work)> {
        matches!(self.phase, Phase::Sum).then_some((self.height, self.work))
    }

    /// The block it starts after.
    pub(super) fn start(&self) -> BlockHash {
        self.start
    }

    /// Takes the next message. Its headers follow each other and have the proof of work that they say.
    pub(super) fn take(&mut self, headers: &[Header], params: &ChainParams) -> Outcome {
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            return Outcome::Abandon("it ends before it has enough work");
        };
        if first.prev_blockhash != self.last {
            return Outcome::Abandon("headers do not continue it");
        }
        let expected = match self.phase {
            Phase::Sum => headers.len(),
            // The last message may have grown since.
            Phase::Again(next) => self.ends[next].0,
        };
        let Some(checked) = headers.get(..expected) else {
            return Outcome::Abandon("it is shorter than before");
        };
        for header in checked {
            let bits = header.bits.to_consensus();
            self.height = self.height.saturating_add(1);
            if !is_permitted_transition(params, self.height, self.last_bits, bits) {
                return Outcome::Abandon("its difficulty changes as none may");
            }
            self.last_bits = bits;
        }
        self.last = last.block_hash();
        match self.phase {
            Phase::Sum => self.sum(headers),
            Phase::Again(next) => {
                let (_, end) = self.ends[next];
                if checked.last().map(Header::block_hash) != Some(end) {
                    return Outcome::Abandon("it is not the same as before");
                }
                self.phase = Phase::Again(next + 1);
                Outcome::Store {
                    finished: next + 1 == self.ends.len(),
                }
            }
        }
    }

    fn sum(&mut self, headers: &[Header]) -> Outcome {
        self.work = claimed_work(self.work, headers);
        self.ends.push((headers.len(), self.last));
        if self.work >= self.threshold {
            self.phase = Phase::Again(0);
            self.last = self.start;
            self.last_bits = self.start_bits;
            self.height = self.start_height;
            self.work = self.start_work;
            return Outcome::Ask(self.start);
        }
        if headers.len() < MAX_HEADERS {
            return Outcome::Abandon("it ends before it has enough work");
        }
        if self.ends.len() >= self.max_messages {
            return Outcome::Abandon("it is longer than any chain can be by now");
        }
        Outcome::Ask(self.last)
    }
}
