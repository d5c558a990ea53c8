//! Which chains peers have: headers first, blocks only of chains that are worth it.

use super::Peers;
use super::blocks::Origin;
use super::event::{ConnectionKind, PeerId};
use super::presync::Outcome;
use crate::chainstate::{BlockSummary, SubmitError};
use crate::net::Message;
use crate::net::message::{Locator, MAX_HEADERS, no_stop};
use bitcoin::BlockHash;
use bitcoin::block::Header;
use btc_consensus::BlockFault;
use btc_consensus::header::check_proof_of_work;
use btc_consensus::pow::Work;
use std::time::Duration;

/// A peer is not asked again while it may still answer.
const RESPONSE_TIME: Duration = Duration::from_secs(2 * 60);
/// While this node catches up, the one peer that is asked may take so long, and longer for each header that is likely to
/// come.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(15 * 60);
const TIME_PER_HEADER: Duration = Duration::from_millis(1);
/// Headers newer than this are asked of every peer, older ones of one at a time.
const NEARLY_SYNCED: Duration = Duration::from_secs(24 * 60 * 60);
/// Blocks by which a chain may leave the active one and be kept without having as much work.
const FORK_DEPTH: u32 = 144;

impl Peers {
    /// Asks a new peer for headers, if it is its turn.
    pub(super) fn start_headers_sync(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        if peer.sync_started || !peer.serves_blocks() || self.chain.is_importing() {
            return;
        }
        let best = self.chain.best_header();
        let recent = Duration::from_secs(best.time.into()) + NEARLY_SYNCED > self.now;
        if !recent {
            let others = || self.peers.values().filter(|peer| peer.handshake_done);
            let is_answering = |peer: &super::peer::Peer| peer.sync_started && !peer.sync_given_up;
            if others().any(is_answering) {
                return;
            }
            let busy = !self.in_flight.is_empty();
            if busy && !peer.is_preferred() && others().any(super::peer::Peer::is_preferred) {
                return;
            }
        }
        // From the block before, so that the answer is not empty and shows what the peer has.
        let from = if best.height > 0 {
            best.header.prev_blockhash
        } else {
            best.hash
        };
        let hashes = self.chain.locator_of(&from).unwrap_or_default();
        if self.ask_for_headers(id, hashes) {
            tracing::debug!(
                target: "net",
                "initial getheaders ({}) to peer={id} (startheight:{})",
                best.height,
                self.peers.get(&id).map_or(-1, |peer| peer.start_height)
            );
            let age = self
                .now
                .saturating_sub(Duration::from_secs(best.time.into()));
            let spacing = u64::from(self.chain.params().pow_target_spacing);
            let likely = u32::try_from(age.as_secs() / spacing).unwrap_or(u32::MAX);
            let deadline = self.now + HEADERS_TIMEOUT + TIME_PER_HEADER * likely;
            self.with(id, |peer| {
                peer.sync_started = true;
                peer.headers_deadline = Some(deadline);
            });
        }
    }

    /// Lets go of the one peer whose headers are waited for, if they do not come and others could be asked.
    pub(super) fn check_headers_timeout(&mut self, id: PeerId) {
        let Some(deadline) = self.peers.get(&id).and_then(|peer| peer.headers_deadline) else {
            return;
        };
        let best = Duration::from_secs(self.chain.best_header().time.into());
        if best + NEARLY_SYNCED > self.now {
            // It has done its part.
            self.with(id, |peer| peer.headers_deadline = None);
            return;
        }
        let alone = self.peers.values().filter(|peer| peer.sync_started).count() == 1;
        let others = self
            .peers
            .values()
            .any(|peer| peer.id != id && peer.handshake_done && peer.is_preferred());
        if self.now <= deadline || !alone || !others {
            return;
        }
        if self
            .peers
            .get(&id)
            .is_some_and(|peer| peer.permissions.no_ban)
        {
            tracing::info!(
                "Timeout downloading headers from noban peer, not disconnecting peer={id}"
            );
            self.with(id, |peer| {
                peer.sync_started = false;
                peer.headers_deadline = None;
                peer.last_getheaders = None;
            });
        } else {
            tracing::info!("Timeout downloading headers, disconnecting peer={id}");
            self.disconnect(id, "Timeout downloading headers");
        }
    }

    /// Sends `getheaders`, unless the last one is still unanswered; says whether it did.
    ///
    /// It never names a block to stop at: what is announced while an answer is on its way would be left out of it and
    /// not asked for again.
    pub(super) fn ask_for_headers(&mut self, id: PeerId, hashes: Vec<BlockHash>) -> bool {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return false;
        };
        if peer
            .last_getheaders
            .is_some_and(|last| now <= last.saturating_add(RESPONSE_TIME))
        {
            return false;
        }
        peer.last_getheaders = Some(now);
        let stop = no_stop();
        self.send(id, Message::GetHeaders(Locator { hashes, stop }));
        true
    }

    /// Asks for what follows the best header known.
    pub(super) fn ask_from_best_header(&mut self, id: PeerId) -> bool {
        let best = self.chain.best_header();
        let hashes = self.chain.locator_of(&best.hash).unwrap_or_default();
        self.ask_for_headers(id, hashes)
    }

    pub(super) fn headers(&mut self, id: PeerId, headers: &[Header]) {
        self.take_headers(id, headers, Origin::Whole);
    }

    fn take_headers(&mut self, id: PeerId, headers: &[Header], origin: Origin) {
        if self.chain.is_importing() {
            tracing::debug!(target: "net", "ignoring headers from peer={id} while blocks are imported");
            return;
        }
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            // No announcement is empty, so this is an answer.
            self.with(id, |peer| {
                peer.last_getheaders = None;
                peer.presync = None;
            });
            return;
        };
        let params = self.chain.params();
        if headers
            .iter()
            .any(|header| check_proof_of_work(header, params).is_err())
        {
            self.misbehaving(id, "header with invalid proof of work");
            return;
        }
        let continuous = headers
            .windows(2)
            .all(|pair| pair[1].prev_blockhash == pair[0].block_hash());
        if !continuous {
            self.misbehaving(id, "non-continuous headers sequence");
            return;
        }
        if self
            .peers
            .get(&id)
            .is_some_and(|peer| peer.presync.is_some())
        {
            self.with(id, |peer| peer.last_getheaders = None);
            self.continue_presync(id, headers);
            return;
        }
        let Some(parent) = self.chain.block_summary(&first.prev_blockhash) else {
            self.unconnecting(id, first, last.block_hash());
            return;
        };
        // What connects may be the answer to the last question; the next may be asked.
        self.with(id, |peer| peer.last_getheaders = None);
        let trusted = (self.peers.get(&id)).is_some_and(|peer| peer.permissions.no_ban);
        let known = trusted
            || self
                .chain
                .block_summary(&last.block_hash())
                .is_some_and(|block| block.active || self.is_on_best_header_chain(&block));
        let threshold = self.work_threshold();
        let work = claimed_work(parent.chainwork, headers);
        if !known && work < threshold {
            if headers.len() == MAX_HEADERS {
                self.start_presync(id, &parent, threshold, headers);
            } else {
                tracing::debug!(
                    target: "net",
                    "Ignoring low-work chain (height={}) from peer={id}",
                    parent.height as usize + headers.len()
                );
            }
            return;
        }
        self.store_headers(id, headers, origin);
    }

    /// A header of which a compact block told that is too far ahead to be put together.
    pub(super) fn take_announced_header(&mut self, id: PeerId, header: &Header) {
        self.take_headers(id, std::slice::from_ref(header), Origin::Compact);
    }

    /// Headers whose parent is not known: maybe the announcement of a block that came before its parent's.
    fn unconnecting(&mut self, id: PeerId, first: &Header, last: BlockHash) {
        if self.ask_from_best_header(id) {
            tracing::debug!(
                target: "net",
                "received header {}: missing prev block {}, sending getheaders ({}) to end (peer={id})",
                first.block_hash(),
                first.prev_blockhash,
                self.chain.best_header().height
            );
        }
        self.note_block(id, last);
    }

    fn is_on_best_header_chain(&self, block: &BlockSummary) -> bool {
        let best = self.chain.best_header();
        self.chain.ancestor(&best.hash, block.height) == Some(block.hash)
    }

    /// The least work of a chain whose headers are kept.
    pub(super) fn work_threshold(&self) -> Work {
        let tip = self.chain.tip();
        let bits = tip.header.bits.to_consensus();
        let block = Work::from_compact(bits).value();
        let margin = (0..FORK_DEPTH).try_fold(btc_consensus::uint256::U256::ZERO, |sum, _| {
            sum.checked_add(block)
        });
        let near_tip = margin
            .and_then(|margin| tip.chainwork.value().checked_sub(margin))
            .map_or(Work::ZERO, Work::new);
        near_tip.max(self.chain.options().minimum_chain_work)
    }

    fn continue_presync(&mut self, id: PeerId, headers: &[Header]) {
        let Some(mut presync) = self.peers.get_mut(&id).and_then(|peer| peer.presync.take()) else {
            return;
        };
        match presync.take(headers, self.chain.params()) {
            Outcome::Ask(last) => {
                let mut hashes = vec![last];
                hashes.extend(self.chain.locator_of(&presync.start()).unwrap_or_default());
                self.with(id, |peer| peer.presync = Some(presync));
                if let Some(last) = headers.last() {
                    self.report_presync(id, last.time);
                }
                self.ask_for_headers(id, hashes);
            }
            Outcome::Store { finished } => {
                if !finished {
                    self.with(id, |peer| peer.presync = Some(presync));
                }
                self.store_headers(id, headers, Origin::Whole);
            }
            Outcome::Abandon(reason) => {
                tracing::debug!(target: "net", "Initial headers sync aborted with peer={id}: {reason}");
                // Another peer may be asked instead.
                self.with(id, |peer| peer.sync_given_up = true);
            }
        }
    }

    fn start_presync(
        &mut self,
        id: PeerId,
        parent: &BlockSummary,
        threshold: Work,
        headers: &[Header],
    ) {
        tracing::debug!(
            target: "net",
            "Initial headers sync started with peer={id}: height={}",
            parent.height
        );
        let presync = super::presync::Presync::new(parent, threshold, self.now);
        self.with(id, |peer| peer.presync = Some(presync));
        self.continue_presync(id, headers);
    }

    /// Headers that are worth keeping.
    fn store_headers(&mut self, id: PeerId, headers: &[Header], origin: Origin) {
        let Some(last) = headers.last().map(Header::block_hash) else {
            return;
        };
        let was_known = self.chain.block_summary(&last).is_some();
        let best_before = self.chain.best_header();
        for header in headers {
            if let Err(error) = self.chain.submit_header(header) {
                self.header_refused(id, header, &error, origin);
                return;
            }
        }
        if !was_known && let Some(block) = self.chain.block_summary(&last) {
            self.report_headers(&best_before, &block);
            self.log_new_header(id, &block, "");
            if block.chainwork > self.chain.tip().chainwork {
                let now = self.now;
                self.with(id, |peer| peer.last_announcement = Some(now));
            }
        }
        self.note_block(id, last);
        let more = headers.len() == MAX_HEADERS;
        if more {
            let presync = self.peers.get(&id).and_then(|peer| peer.presync.as_ref());
            let hashes = if presync.is_some() {
                vec![last]
            } else {
                self.chain.locator_of(&last).unwrap_or_default()
            };
            self.ask_for_headers(id, hashes);
        }
        self.check_useful(id, more);
        self.maybe_protect(id);
        self.fetch_announced(id, &last);
    }

    /// While this node catches up, a peer that it chose and that has too little work is of no use.
    fn check_useful(&mut self, id: PeerId, more: bool) {
        if more || !self.chain.is_initial_block_download() {
            return;
        }
        let minimum = self.chain.options().minimum_chain_work;
        let chosen = self.peers.get(&id).is_some_and(|peer| {
            matches!(
                peer.kind,
                ConnectionKind::OutboundFullRelay | ConnectionKind::BlockRelayOnly
            )
        });
        if chosen
            && self
                .best_known(id)
                .is_some_and(|best| best.chainwork < minimum)
        {
            self.disconnect(id, "outbound peer headers chain has insufficient work");
        }
    }

    /// Says in the log that there is a new block, and who told: if blocks that displace each other come at nearly one
    /// time, somebody may have held one back.
    pub(super) fn log_new_header(&self, id: PeerId, block: &BlockSummary, how: &str) {
        let text = format!(
            "Saw new {how}header hash={} height={} peer={id}",
            block.hash, block.height
        );
        // While this node catches up, that would be a line for each block there is.
        if self.chain.is_initial_block_download() {
            tracing::debug!(target: "validation", "{text}");
        } else {
            tracing::info!("{text}");
        }
    }

    fn header_refused(&mut self, id: PeerId, header: &Header, error: &SubmitError, origin: Origin) {
        tracing::debug!(
            target: "net",
            "header {} from peer={id} is refused: {error}",
            header.block_hash()
        );
        self.punish_for_block(id, error, "invalid header received", origin);
    }

    /// A peer that sent what no valid chain holds is let go; one that could not know is not. Compact blocks may be told
    /// before more than their headers is checked (BIP 152).
    pub(super) fn punish_for_block(
        &mut self,
        id: PeerId,
        error: &SubmitError,
        what: &str,
        origin: Origin,
    ) {
        let SubmitError::Rejected(rejection) = error else {
            return;
        };
        let whole = origin == Origin::Whole;
        let is_outbound = (self.peers.get(&id)).is_some_and(|peer| !peer.is_inbound());
        let at_fault = match rejection.fault() {
            Some(BlockFault::InvalidHeader | BlockFault::InvalidPrev | BlockFault::MissingPrev) => {
                true
            }
            Some(BlockFault::Consensus | BlockFault::Mutated) => whole,
            // Found invalid before, maybe by a peer that learned of it no earlier than we: those that we chose should
            // be on our chain, others need not be.
            Some(BlockFault::CachedInvalid) => whole && is_outbound,
            Some(BlockFault::TimeFuture | BlockFault::HeaderLowWork) | None => false,
        };
        if at_fault {
            self.misbehaving(id, what);
        } else {
            tracing::debug!(target: "net", "peer={id}: {what}");
        }
    }

    /// Remembers that a peer has a block.
    pub(super) fn note_block(&mut self, id: PeerId, hash: BlockHash) {
        self.resolve_unknown(id);
        let Some(block) = self.chain.block_summary(&hash) else {
            self.with(id, |peer| peer.unknown_block = Some(hash));
            return;
        };
        if self
            .best_known(id)
            .is_none_or(|best| block.chainwork >= best.chainwork)
        {
            self.with(id, |peer| peer.best_known = Some(hash));
        }
    }

    /// The header of a block that a peer announced may have come meanwhile.
    pub(super) fn resolve_unknown(&mut self, id: PeerId) {
        let Some(hash) = self.peers.get(&id).and_then(|peer| peer.unknown_block) else {
            return;
        };
        let Some(block) = self.chain.block_summary(&hash) else {
            return;
        };
        let better = self
            .best_known(id)
            .is_none_or(|best| block.chainwork >= best.chainwork);
        self.with(id, |peer| {
            peer.unknown_block = None;
            if better {
                peer.best_known = Some(hash);
            }
        });
    }
}

/// The work of a chain with these headers on top, by what they say.
pub(super) fn claimed_work(before: Work, headers: &[Header]) -> Work {
    headers.iter().fold(before, |work, header| {
        work.saturating_add(Work::from_compact(header.bits.to_consensus()))
    })
}
