//! How fast transactions are told (`-txsendrate`).
//!
//! All that is to be told goes through two buckets, one for the peers that made the connection and one for those that
//! this node chose. Each lets so many through in a second, and in times without news gathers room for more at once. In
//! a flood the best-paying ones go first.

use super::Peers;
use super::event::PeerId;
use crate::mempool::Pool;
use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Txid, Wtxid};
use std::cmp::Reverse;
use std::time::Duration;

/// Transactions in a second, unless the user says otherwise.
pub const DEFAULT_RATE: u32 = 14;
/// How much faster than to others transactions are told to peers that this node chose: they are told as much oftener.
const OUTBOUND_FACTOR: f64 = 2.5;
/// A bucket holds what may be told in so many seconds.
const SECONDS_HELD: f64 = 30.0;
/// What is taken beyond the bucket's content at most, in seconds, so that the backlog is not sorted for each one.
const SECONDS_BORROWED: f64 = 5.0;
/// Bytes of transactions: in a second, at the start, at most, and borrowed at most.
const BYTES_PER_SECOND: f64 = 20_000.0;
const BYTES_AT_START: f64 = 12_000_000.0;
const MAX_BYTES: f64 = 50_000_000.0;
const BYTES_BORROWED: f64 = 50_000.0;
/// How often it is looked whether there is room again.
const INTERVAL: Duration = Duration::from_millis(100);

/// Tokens that come at a rate and are spent.
#[derive(Clone, Copy, Debug)]
struct TokenBucket {
    rate: f64,
    most: f64,
    tokens: f64,
    filled: Option<Duration>,
}

impl TokenBucket {
    fn new(rate: f64, tokens: f64, most: f64) -> Self {
        Self {
            rate,
            most,
            tokens: tokens.min(most),
            filled: None,
        }
    }

    fn fill(&mut self, now: Duration) {
        if let Some(elapsed) = self.filled.and_then(|last| now.checked_sub(last)) {
            let tokens = self.tokens + self.rate * elapsed.as_secs_f64();
            self.tokens = self.tokens.max(tokens.min(self.most));
        }
        self.filled = Some(now);
    }
}

/// What waits to be told to peers of one direction.
#[derive(Clone, Debug)]
struct Backlog {
    waiting: Vec<Wtxid>,
    count: TokenBucket,
    bytes: TokenBucket,
    least_count: f64,
}

impl Backlog {
    fn new(rate: u32, factor: f64) -> Self {
        let rate = f64::from(rate);
        let held = rate * SECONDS_HELD;
        Self {
            waiting: Vec::new(),
            count: TokenBucket::new(rate * factor, held, held),
            bytes: TokenBucket::new(BYTES_PER_SECOND * factor, BYTES_AT_START, MAX_BYTES),
            least_count: -rate * SECONDS_BORROWED,
        }
    }

    fn fill(&mut self, now: Duration) {
        self.count.fill(now);
        self.bytes.fill(now);
    }

    fn may_take(&self) -> bool {
        !self.waiting.is_empty() && self.count.tokens > 0.0 && self.bytes.tokens > 0.0
    }

    /// Takes out what may be told now, the best first. What left the mempool meanwhile is dropped.
    fn take(&mut self, pool: &Pool) -> Vec<Wtxid> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        waiting.dedup();
        let sorted = in_mining_order(pool, waiting);
        let mut taken = Vec::new();
        let mut more = true;
        for (wtxid, bytes) in sorted {
            if !more {
                self.waiting.push(wtxid);
                continue;
            }
            taken.push(wtxid);
            self.count.tokens -= 1.0;
            self.bytes.tokens -= bytes as f64;
            more = self.count.tokens > self.least_count && self.bytes.tokens > -BYTES_BORROWED;
        }
        taken
    }

    fn info(&self) -> BacklogInfo {
        BacklogInfo {
            waiting: self.waiting.len(),
            count_tokens: self.count.tokens,
            byte_tokens: self.bytes.tokens,
        }
    }
}

/// Transactions of the mempool with their sizes in bytes, in the order in which miners take them: parents first, then
/// by feerate.
pub(super) fn in_mining_order(
    pool: &Pool,
    wtxids: impl IntoIterator<Item = Wtxid>,
) -> Vec<(Wtxid, usize)> {
    let graph = pool.graph();
    let mut found: Vec<_> = wtxids
        .into_iter()
        .filter_map(|wtxid| {
            let entry = graph.get_by_wtxid(&wtxid)?;
            let cluster = graph.cluster_of(&entry.txid);
            let chunk = graph.chunk_of(&entry.txid)?;
            let position = cluster
                .iter()
                .flat_map(|chunk| &chunk.txids)
                .position(|txid| *txid == entry.txid)?;
            let of: &Txid = cluster.first()?.txids.first()?;
            let key = (Reverse(chunk.feerate), *of, position);
            Some((key, wtxid, entry.tx.total_size()))
        })
        .collect();
    found.sort_unstable_by_key(|(key, ..)| *key);
    found
        .into_iter()
        .map(|(_, wtxid, size)| (wtxid, size))
        .collect()
}

/// How one direction's bucket stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BacklogInfo {
    /// Transactions that wait.
    pub waiting: usize,
    /// Transactions that may be told at once; negative if more were than should.
    pub count_tokens: f64,
    /// The same in bytes.
    pub byte_tokens: f64,
}

/// How fast transactions are told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RelayInfo {
    /// Transactions in a second to peers that made the connection.
    pub rate: u32,
    /// To these.
    pub inbound: BacklogInfo,
    /// To peers that this node chose.
    pub outbound: BacklogInfo,
}

/// Both directions.
#[derive(Clone, Debug)]
pub(super) struct Backlogs {
    rate: u32,
    inbound: Backlog,
    outbound: Backlog,
    next_look: Duration,
}

impl Backlogs {
    /// Nothing waits. `rate` is in transactions for a second.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate,
            inbound: Backlog::new(rate, 1.0),
            outbound: Backlog::new(rate, OUTBOUND_FACTOR),
            next_look: Duration::ZERO,
        }
    }
}

impl Peers {
    /// How fast transactions are told, and how many wait.
    pub fn relay_info(&self) -> RelayInfo {
        RelayInfo {
            rate: self.backlogs.rate,
            inbound: self.backlogs.inbound.info(),
            outbound: self.backlogs.outbound.info(),
        }
    }

    /// A transaction of the mempool is to be told to all who don't know it, in time.
    pub(super) fn broadcast(&mut self, tx: &Transaction) {
        let wtxid = tx.compute_wtxid();
        self.backlogs.inbound.waiting.push(wtxid);
        self.backlogs.outbound.waiting.push(wtxid);
        self.release(true);
    }

    /// Hands transactions to peers as fast as the rate allows. `news`: there is a new one.
    pub(super) fn release(&mut self, news: bool) {
        let now = self.now;
        let backlogs = &mut self.backlogs;
        if !news && now <= backlogs.next_look {
            return;
        }
        backlogs.next_look = now + INTERVAL;
        backlogs.inbound.fill(now);
        backlogs.outbound.fill(now);
        if !backlogs.inbound.may_take() && !backlogs.outbound.may_take() {
            return;
        }
        let [inbound, outbound] = self.mempool.read(|pool| {
            [&mut backlogs.inbound, &mut backlogs.outbound].map(|backlog| {
                if backlog.may_take() {
                    backlog.take(pool)
                } else {
                    Vec::new()
                }
            })
        });
        let mut connected = [false; 2];
        for peer in self.peers.values_mut() {
            // Who shakes hands could tell by what it is told first when it came here.
            if !peer.handshake_done || !peer.may_relay {
                continue;
            }
            let is_inbound = peer.is_inbound();
            connected[usize::from(is_inbound)] = true;
            let news = if is_inbound { &inbound } else { &outbound };
            peer.transactions_to_tell.extend(news);
        }
        // With nobody to tell nothing needs to wait.
        if !inbound.is_empty() || !outbound.is_empty() {
            let [any_outbound, any_inbound] = connected;
            if !any_inbound {
                self.backlogs.inbound.waiting.clear();
            }
            if !any_outbound {
                self.backlogs.outbound.waiting.clear();
            }
        }
    }

    /// Transactions that a peer is to be told now, best first, without those that pay too little for it.
    pub(super) fn take_news(&mut self, id: PeerId) -> (Vec<(Txid, Wtxid)>, u64) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return (Vec::new(), 0);
        };
        let waiting = std::mem::take(&mut peer.transactions_to_tell);
        let filter = peer.fee_filter;
        self.mempool.read(|pool| {
            let sorted = in_mining_order(pool, waiting);
            let news = sorted
                .into_iter()
                .filter_map(|(wtxid, _)| pool.graph().get_by_wtxid(&wtxid))
                .filter(|entry| {
                    let pays = i128::from(entry.fee) * 1000;
                    pays >= i128::from(filter) * i128::from(entry.vsize())
                })
                .map(|entry| (entry.txid, entry.wtxid))
                .collect();
            (news, pool.sequence())
        })
    }
}

/// The id by which a peer is told of a transaction.
pub(super) fn told_id(by_wtxid: bool, txid: Txid, wtxid: Wtxid) -> [u8; 32] {
    if by_wtxid {
        wtxid.to_byte_array()
    } else {
        txid.to_byte_array()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_at_its_rate_and_no_higher_than_its_rim() {
        let at = Duration::from_secs;
        let mut bucket = TokenBucket::new(2.0, 100.0, 60.0);
        bucket.fill(at(1000));
        assert_eq!(bucket.tokens, 60.0);
        bucket.tokens = -10.0;
        bucket.fill(at(1010));
        assert_eq!(bucket.tokens, 10.0);
        // A clock that is set back gives nothing.
        bucket.fill(at(500));
        assert_eq!(bucket.tokens, 10.0);
        bucket.fill(at(900));
        assert_eq!(bucket.tokens, 60.0);
    }
}
