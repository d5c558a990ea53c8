//! Compact filters for peers that ask for them (BIP 157).

use super::Peers;
use super::event::PeerId;
use crate::chainstate::BlockSummary;
use crate::net::Message;
use crate::net::message::Command;
use bitcoin::BlockHash;
use bitcoin::bip158::{FilterHash, FilterHeader};
use bitcoin::consensus::encode::{VarInt, deserialize_partial, serialize};
use bitcoin::hashes::Hash;

/// The type of basic filters, the only one that there is.
const BASIC: u8 = 0;
/// The most filters that a request may ask for.
const MAX_FILTERS: u32 = 1000;
/// The most filter hashes that a request may ask for.
const MAX_HASHES: u32 = 2000;
/// Blocks between two headers of filters that `getcfcheckpt` asks for.
const CHECKPOINT_INTERVAL: u32 = 1000;
/// Filters read at a time.
const CHUNK: u32 = 100;
/// Requests for filters of one peer that wait to be answered; further ones are dropped.
const MAX_WAITING: usize = 100;

/// Where filters come from. Answers are `None` for blocks whose filters are not, or not yet, there.
pub trait FilterSource: Send + Sync {
    /// The filters of the blocks from a height up to `stop` on its chain, each with its block.
    fn filters(&self, from: u32, stop: &BlockSummary) -> Option<Vec<(BlockHash, Vec<u8>)>>;

    /// The hashes of the same filters.
    fn hashes(&self, from: u32, stop: &BlockSummary) -> Option<Vec<FilterHash>>;

    /// The header of a block's filter.
    fn header(&self, block: &BlockSummary) -> Option<FilterHeader>;
}

/// Filters that a peer waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct WantedFilters {
    next: u32,
    stop_height: u32,
    stop: BlockHash,
}

impl Peers {
    /// Answers `getcfilters`, `getcfheaders` or `getcfcheckpt`; one that does not decode is passed over.
    pub(super) fn filter_request(&mut self, id: PeerId, command: &str, payload: &[u8]) {
        let Some((kind, rest)) = payload.split_first() else {
            return;
        };
        let (start, rest) = if command == "getcfcheckpt" {
            (0, rest)
        } else {
            let Ok((start, used)) = deserialize_partial::<u32>(rest) else {
                return;
            };
            (start, &rest[used..])
        };
        let Ok((stop, _)) = deserialize_partial::<BlockHash>(rest) else {
            return;
        };
        let most = match command {
            "getcfilters" => MAX_FILTERS,
            "getcfheaders" => MAX_HASHES,
            _ => u32::MAX,
        };
        let Some(stop) = self.check_filter_request(id, *kind, start, &stop, most) else {
            return;
        };
        match command {
            "getcfilters" => {
                let wanted = WantedFilters {
                    next: start,
                    stop_height: stop.height,
                    stop: stop.hash,
                };
                self.with(id, |peer| {
                    if peer.wanted_filters.len() < MAX_WAITING {
                        peer.wanted_filters.push_back(wanted);
                    }
                });
                self.serve_filters(id);
            }
            "getcfheaders" => self.give_filter_hashes(id, start, &stop),
            _ => self.give_filter_checkpoints(id, &stop),
        }
    }

    /// The block up to which a peer asks; `None` if it asks for what it may not.
    fn check_filter_request(
        &mut self,
        id: PeerId,
        kind: u8,
        start: u32,
        stop: &BlockHash,
        most: u32,
    ) -> Option<BlockSummary> {
        if kind != BASIC || self.filters.is_none() {
            self.disconnect(
                id,
                &format!("peer requested unsupported block filter type: {kind}"),
            );
            return None;
        }
        let found = self.chain.block_summary(stop);
        let Some(block) = found.filter(|block| self.may_be_given(block)) else {
            self.disconnect(id, &format!("peer requested invalid block hash: {stop}"));
            return None;
        };
        let Some(span) = block.height.checked_sub(start) else {
            self.disconnect(
                id,
                &format!(
                    "peer sent invalid getcfilters/getcfheaders with start height {start} and stop height {}",
                    block.height
                ),
            );
            return None;
        };
        if span >= most {
            let asked = u64::from(span) + 1;
            self.disconnect(
                id,
                &format!("peer requested too many cfilters/cfheaders: {asked} / {most}"),
            );
            return None;
        }
        Some(block)
    }

    /// Gives a peer filters that it waits for, as fast as its connection takes them.
    pub(super) fn serve_filters(&mut self, id: PeerId) {
        let Some(source) = self.filters.clone() else {
            return;
        };
        while let Some(peer) = self.peers.get_mut(&id)
            && !peer.congested
            && !peer.disconnecting
            && let Some(wanted) = peer.wanted_filters.front_mut()
        {
            let (from, stop) = (wanted.next, wanted.stop);
            let to = from.saturating_add(CHUNK - 1).min(wanted.stop_height);
            wanted.next = to + 1;
            if to == wanted.stop_height {
                peer.wanted_filters.pop_front();
            }
            let last = self.chain.ancestor(&stop, to);
            let last = last.and_then(|hash| self.chain.block_summary(&hash));
            let Some(filters) = last.and_then(|last| source.filters(from, &last)) else {
                tracing::debug!(
                    target: "net",
                    "Failed to find block filter in index: filter_type=basic, start_height={from}, stop_hash={stop}"
                );
                self.with(id, |peer| {
                    peer.wanted_filters.retain(|other| other.stop != stop);
                });
                continue;
            };
            for (block, filter) in filters {
                let mut payload = vec![BASIC];
                payload.extend_from_slice(block.as_byte_array());
                payload.extend(serialize(&filter));
                self.send_filter_message(id, "cfilter", payload);
            }
        }
    }

    fn give_filter_hashes(&mut self, id: PeerId, start: u32, stop: &BlockSummary) {
        let Some(source) = self.filters.clone() else {
            return;
        };
        let before = match start.checked_sub(1) {
            None => Some(FilterHeader::all_zeros()),
            Some(height) => {
                let block = self.chain.ancestor(&stop.hash, height);
                let block = block.and_then(|hash| self.chain.block_summary(&hash));
                block.and_then(|block| source.header(&block))
            }
        };
        let Some((before, hashes)) = before.zip(source.hashes(start, stop)) else {
            tracing::debug!(
                target: "net",
                "Failed to find block filter hashes in index: filter_type=basic, start_height={start}, stop_hash={}",
                stop.hash
            );
            return;
        };
        let mut payload = vec![BASIC];
        payload.extend_from_slice(stop.hash.as_byte_array());
        payload.extend_from_slice(before.as_byte_array());
        payload.extend(serialize(&VarInt(hashes.len() as u64)));
        for hash in hashes {
            payload.extend_from_slice(hash.as_byte_array());
        }
        self.send_filter_message(id, "cfheaders", payload);
    }

    fn give_filter_checkpoints(&mut self, id: PeerId, stop: &BlockSummary) {
        let Some(source) = self.filters.clone() else {
            return;
        };
        let count = stop.height / CHECKPOINT_INTERVAL;
        let headers = (1..=count).map(|number| {
            let hash = self
                .chain
                .ancestor(&stop.hash, number * CHECKPOINT_INTERVAL)?;
            source.header(&self.chain.block_summary(&hash)?)
        });
        let Some(headers) = headers.collect::<Option<Vec<FilterHeader>>>() else {
            tracing::debug!(
                target: "net",
                "Failed to find block filter header in index: filter_type=basic, block_hash={}",
                stop.hash
            );
            return;
        };
        let mut payload = vec![BASIC];
        payload.extend_from_slice(stop.hash.as_byte_array());
        payload.extend(serialize(&VarInt(headers.len() as u64)));
        for header in headers {
            payload.extend_from_slice(header.as_byte_array());
        }
        self.send_filter_message(id, "cfcheckpt", payload);
    }

    fn send_filter_message(&mut self, id: PeerId, name: &str, payload: Vec<u8>) {
        let command = Command::new(name).expect("the names of BIP 157 are short and printable");
        self.send(id, Message::Other { command, payload });
    }
}
