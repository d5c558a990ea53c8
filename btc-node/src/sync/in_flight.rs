//! Which blocks were asked of whom.

use super::Peers;
use super::compact::PartialBlock;
use super::event::PeerId;
use bitcoin::BlockHash;
use std::collections::HashMap;

/// Peers that one block is asked of at a time: more than one only while it is put together from its parts.
pub(super) const MAX_PARALLEL: usize = 3;

/// What a peer is waited for to send.
#[derive(Debug)]
pub(super) enum Awaited {
    /// The whole block, or the ids of its transactions.
    Block,
    /// The transactions that a block told compactly lacks.
    Parts(Box<PartialBlock>),
    /// The whole block, since its parts made none. They are not tried again.
    BlockInstead,
}

/// A block asked of a peer.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) peer: PeerId,
    pub(super) height: u32,
    pub(super) awaited: Awaited,
}

/// All blocks that peers were asked for. Each has at most one download of each peer, the first that was asked first.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    downloads: HashMap<BlockHash, Vec<Download>>,
}

impl InFlight {
    pub(super) fn is_empty(&self) -> bool {
        self.downloads.is_empty()
    }

    pub(super) fn contains(&self, hash: &BlockHash) -> bool {
        self.downloads.contains_key(hash)
    }

    /// Whether nothing else is waited for.
    pub(super) fn has_no_other(&self, hash: &BlockHash) -> bool {
        self.downloads.keys().all(|other| other == hash)
    }

    /// The downloads of a block.
    pub(super) fn of(&self, hash: &BlockHash) -> &[Download] {
        self.downloads.get(hash).map_or(&[], Vec::as_slice)
    }

    /// A peer's download of a block.
    pub(super) fn get(&self, hash: &BlockHash, peer: PeerId) -> Option<&Download> {
        self.of(hash).iter().find(|download| download.peer == peer)
    }

    pub(super) fn get_mut(&mut self, hash: &BlockHash, peer: PeerId) -> Option<&mut Download> {
        let downloads = self.downloads.get_mut(hash)?;
        downloads.iter_mut().find(|download| download.peer == peer)
    }

    /// Whether a peer is the first that is asked, or would be.
    pub(super) fn is_first(&self, hash: &BlockHash, peer: PeerId) -> bool {
        self.of(hash).first().is_none_or(|first| first.peer == peer)
    }
}

impl Peers {
    /// Notes that a block is asked of a peer; nothing changes if it is already.
    pub(super) fn begin_download(&mut self, id: PeerId, hash: BlockHash, height: u32) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if self.in_flight.get(&hash, id).is_some() {
            return;
        }
        if peer.blocks_asked.is_empty() {
            peer.downloading_since = now;
        }
        peer.blocks_asked.push_back(hash);
        let downloads = self.in_flight.downloads.entry(hash).or_default();
        downloads.push(Download {
            peer: id,
            height,
            awaited: Awaited::Block,
        });
    }

    /// Waits for a block no longer: from one peer, or from all.
    pub(super) fn end_download(&mut self, hash: &BlockHash, from: Option<PeerId>) {
        let Some(downloads) = self.in_flight.downloads.get_mut(hash) else {
            return;
        };
        let mut ended = Vec::new();
        downloads.retain(|download| {
            let ends = from.is_none_or(|peer| peer == download.peer);
            if ends {
                ended.push(download.peer);
            }
            !ends
        });
        if downloads.is_empty() {
            self.in_flight.downloads.remove(hash);
        }
        let now = self.now;
        for id in ended {
            self.with(id, |peer| {
                if peer.blocks_asked.front() == Some(hash) {
                    // The next one's time begins.
                    peer.downloading_since = peer.downloading_since.max(now);
                }
                peer.blocks_asked.retain(|asked| asked != hash);
                peer.stalling_since = None;
            });
        }
    }

    /// A peer is gone, and with it all that it was asked for.
    pub(super) fn end_downloads_of(&mut self, id: PeerId) {
        self.in_flight.downloads.retain(|_, downloads| {
            downloads.retain(|download| download.peer != id);
            !downloads.is_empty()
        });
    }
}
