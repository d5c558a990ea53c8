//! New blocks told to peers.

use super::Peers;
use super::event::PeerId;
use crate::net::Message;
use bitcoin::BlockHash;
use bitcoin::block::Header;
use bitcoin::p2p::message_blockdata::Inventory;

/// Above this many new blocks a peer is told of the last only.
const MAX_BLOCKS: usize = 8;

impl Peers {
    pub(super) fn tip_changed(&mut self, hash: BlockHash, fork_height: u32) {
        self.downloads.tip_changed();
        if self.chain.is_initial_block_download() {
            return;
        }
        self.remember_tip(hash);
        let mut new = Vec::new();
        let mut walk = hash;
        while let Some(block) = self.chain.block_summary(&walk)
            && block.height > fork_height
            && new.len() < MAX_BLOCKS
        {
            new.push(block.hash);
            walk = block.header.prev_blockhash;
        }
        new.reverse();
        for peer in self.peers.values_mut() {
            // One that never asks what was announced is told of the newest only, so the list stays short.
            peer.to_announce.extend(&new);
            let excess = peer.to_announce.len().saturating_sub(MAX_BLOCKS + 1);
            peer.to_announce.drain(..excess);
        }
    }

    /// Tells a peer of the blocks that came since it was told last.
    pub(super) fn announce_blocks(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let new = std::mem::take(&mut peer.to_announce);
        let (prefers_headers, wants_compact) = (peer.prefers_headers, peer.high_bandwidth_from);
        let Some(newest) = new.last().copied() else {
            return;
        };
        self.resolve_unknown(id);
        let by_header = prefers_headers || (wants_compact && new.len() == 1);
        if by_header
            && new.len() <= MAX_BLOCKS
            && let Some(headers) = self.headers_to_announce(id, &new)
        {
            let Some(last) = headers.last().map(Header::block_hash) else {
                return;
            };
            // Of more than one at a time the peer rather wants to know which there are.
            if wants_compact && headers.len() == 1 && self.announce_compactly(id, last) {
                return;
            }
            if prefers_headers {
                self.with(id, |peer| peer.best_sent = Some(last));
                self.send(id, Message::Headers(headers));
                return;
            }
        }
        if !self.peer_has(id, &newest) {
            self.send(id, Message::Inv(vec![Inventory::Block(newest)]));
        }
    }

    /// The headers of new blocks that a peer lacks; `None` if it would not know where they belong.
    fn headers_to_announce(&self, id: PeerId, new: &[BlockHash]) -> Option<Vec<Header>> {
        let mut headers: Vec<Header> = Vec::new();
        for hash in new {
            let block = self.chain.block_summary(hash)?;
            if !block.active {
                return None;
            }
            match headers.last() {
                Some(last) if last.block_hash() != block.header.prev_blockhash => return None,
                Some(_) => headers.push(block.header),
                None if self.peer_has(id, hash) => {}
                None if block.height == 0 || self.peer_has(id, &block.header.prev_blockhash) => {
                    headers.push(block.header);
                }
                None => return None,
            }
        }
        Some(headers)
    }

    /// Whether a peer is known to have a block.
    pub(super) fn peer_has(&self, id: PeerId, hash: &BlockHash) -> bool {
        let Some((peer, block)) = self.peers.get(&id).zip(self.chain.block_summary(hash)) else {
            return false;
        };
        [peer.best_known, peer.best_sent]
            .into_iter()
            .flatten()
            .any(|best| self.chain.ancestor(&best, block.height) == Some(block.hash))
    }

    /// Asks a peer to announce blocks by header (BIP 130), once its chain is worth it.
    pub(super) fn maybe_send_headers_wish(&mut self, id: PeerId) {
        const SENDHEADERS_VERSION: u32 = 70_012;
        let minimum = self.chain.options().minimum_chain_work;
        let wish = self.peers.get(&id).is_some_and(|peer| {
            !peer.sent_headers_wish && peer.common_version >= SENDHEADERS_VERSION
        });
        if wish
            && self
                .best_known(id)
                .is_some_and(|best| best.chainwork > minimum)
        {
            self.with(id, |peer| peer.sent_headers_wish = true);
            self.send(id, Message::SendHeaders);
        }
    }
}
