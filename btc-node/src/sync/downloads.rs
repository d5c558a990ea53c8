//! Transactions fetched from peers and judged, with those that wait for their parents.

use super::Peers;
use super::event::PeerId;
use super::orphans::{OrphanInfo, Orphanage};
use super::requests::{GenTxid, TxRequests};
use super::serve::describe;
use crate::mempool::package::package_id;
use crate::mempool::{PackageMember, PackageOutcome, Reject, RejectClass};
use crate::net::Message;
use crate::net::recent::RecentSet;
use bitcoin::hashes::Hash;
use bitcoin::key::rand::Rng;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{Block, Transaction, Txid, Wtxid};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Announcements of one peer that are remembered.
const MAX_ANNOUNCED: usize = 5000;
/// Transactions asked of one peer at a time, beyond which it is asked with a delay.
const MAX_IN_FLIGHT: usize = 100;
/// Peers that made the connection are asked this much later.
const INBOUND_DELAY: Duration = Duration::from_secs(2);
/// A transaction is asked for by its txid this much later, while there are peers that name it by its wtxid.
const TXID_DELAY: Duration = Duration::from_secs(2);
/// Peers that have enough to do are asked this much later.
const OVERLOADED_DELAY: Duration = Duration::from_secs(2);
/// After this time without an answer another peer is asked.
const EXPIRY: Duration = Duration::from_secs(60);
/// Items in one `getdata`.
const MAX_ITEMS: usize = 1000;
/// Transactions refused since the tip last changed that are remembered.
const MAX_REJECTS: usize = 120_000;
/// Transactions of the last blocks that are remembered.
const MAX_CONFIRMED: usize = 48_000;
/// Orphans judged again after one event: a peer that makes many ready must not keep the others waiting.
const ORPHANS_AT_ONCE: usize = 16;

/// What is known of transactions that are not in the mempool.
#[derive(Debug)]
pub(super) struct Downloads {
    pub(super) requests: TxRequests,
    pub(super) orphans: Orphanage,
    /// Refused since the tip changed last, by wtxid, or by txid where no witness could help.
    rejects: RecentSet<[u8; 32]>,
    /// Refused for their fees, by wtxid, and packages by their hash: with another child they may do.
    reconsiderable: RecentSet<[u8; 32]>,
    /// In the last blocks, by either id.
    confirmed: RecentSet<[u8; 32]>,
}

impl Downloads {
    /// Nothing is known. `key` is known to nobody else.
    pub(super) fn new(key: u64) -> Self {
        Self {
            requests: TxRequests::new(key),
            orphans: Orphanage::default(),
            rejects: RecentSet::new(MAX_REJECTS),
            reconsiderable: RecentSet::new(MAX_REJECTS),
            confirmed: RecentSet::new(MAX_CONFIRMED),
        }
    }

    pub(super) fn forget_peer(&mut self, id: PeerId) {
        self.orphans.forget_peer(id);
        self.requests.forget_peer(id);
    }

    /// A transaction refused for the old tip may be fine now.
    pub(super) fn tip_changed(&mut self) {
        self.rejects.clear();
        self.reconsiderable.clear();
    }

    fn forget_request(&mut self, txid: &Txid, wtxid: &Wtxid) {
        self.requests.forget(&txid.to_byte_array());
        self.requests.forget(&wtxid.to_byte_array());
    }

    fn is_reconsiderable(&self, wtxid: &Wtxid) -> bool {
        self.reconsiderable.contains(&wtxid.to_byte_array())
    }
}

/// A transaction whose fee is too low, and a child that may pay for it.
struct Package {
    txs: [Arc<Transaction>; 2],
    sender: PeerId,
}

impl Package {
    fn id(&self) -> [u8; 32] {
        package_id(&self.txs.each_ref().map(|tx| tx.compute_wtxid()))
    }
}

/// What a transaction spends from, each once.
fn parents(tx: &Transaction) -> BTreeSet<Txid> {
    let inputs = tx.input.iter();
    inputs.map(|input| input.previous_output.txid).collect()
}

impl Peers {
    /// All transactions that wait for their parents.
    pub fn orphans(&self) -> Vec<OrphanInfo> {
        self.downloads.orphans.list()
    }

    /// Whether a transaction is here, or was refused by this tip. Orphans are looked for by wtxid alone: another
    /// witness may be the right one. So are those that packages may help, and only if `reconsiderable`.
    pub(super) fn has_tx(&self, id: GenTxid, reconsiderable: bool) -> bool {
        let (hash, downloads) = (id.hash(), &self.downloads);
        // Without a witness the txid is the wtxid as well.
        downloads.orphans.contains(&Wtxid::from_byte_array(hash))
            || (reconsiderable && downloads.reconsiderable.contains(&hash))
            || downloads.confirmed.contains(&hash)
            || downloads.rejects.contains(&hash)
            || match id {
                GenTxid::Txid(txid) => self.mempool.contains(&txid),
                GenTxid::Wtxid(wtxid) => self.mempool.get_by_wtxid(&wtxid).is_some(),
            }
    }

    /// A peer says that it has a transaction.
    pub(super) fn tx_announced(&mut self, id: PeerId, item: &Inventory, tx: GenTxid) {
        let known = self.take_announcement(id, tx);
        tracing::debug!(
            target: "net",
            "got inv: {} {} peer={id}",
            describe(item),
            if known { "have" } else { "new" }
        );
    }

    /// Remembers an announcement; says whether the transaction is known.
    fn take_announcement(&mut self, id: PeerId, tx: GenTxid) -> bool {
        if let GenTxid::Wtxid(wtxid) = tx
            && let Some(orphan) = self.downloads.orphans.get(&wtxid).cloned()
        {
            // Who has it may have its parents.
            let missing = self.missing_parents(&orphan);
            if !missing.is_empty() && self.ask_for_parents(id, &wtxid, &missing) {
                self.downloads.orphans.add(&orphan, id);
            }
            return true;
        }
        if self.has_tx(tx, true) {
            return true;
        }
        let Some(peer) = self.peers.get(&id) else {
            return false;
        };
        let (relay, preferred) = (peer.permissions.relay, peer.is_preferred());
        if !relay && self.downloads.requests.count(id) >= MAX_ANNOUNCED {
            return false;
        }
        let by_txid = matches!(tx, GenTxid::Txid(_));
        let ready = self.now + self.request_delay(id, by_txid);
        let requests = &mut self.downloads.requests;
        requests.announced(id, tx, preferred, ready);
        false
    }

    /// How much later than at once a peer is asked.
    fn request_delay(&self, id: PeerId, by_txid: bool) -> Duration {
        let mut delay = Duration::ZERO;
        let Some(peer) = self.peers.get(&id) else {
            return delay;
        };
        if !peer.is_preferred() {
            delay += INBOUND_DELAY;
        }
        let wtxid_peers =
            || (self.peers.values()).any(|peer| peer.handshake_done && peer.wtxid_relay);
        if by_txid && wtxid_peers() {
            delay += TXID_DELAY;
        }
        if !peer.permissions.relay && self.downloads.requests.in_flight(id) >= MAX_IN_FLIGHT {
            delay += OVERLOADED_DELAY;
        }
        delay
    }

    /// The parents of an orphan that are not here.
    fn missing_parents(&self, orphan: &Transaction) -> BTreeSet<Txid> {
        let mut missing = parents(orphan);
        missing.retain(|txid| !self.has_tx(GenTxid::Txid(*txid), false));
        missing
    }

    /// Takes a peer for one that has an orphan's parents, unless it has announced too much.
    fn ask_for_parents(&mut self, id: PeerId, wtxid: &Wtxid, missing: &BTreeSet<Txid>) -> bool {
        let Some(peer) = self.peers.get(&id).filter(|peer| !peer.disconnecting) else {
            return false;
        };
        if self.downloads.orphans.is_announced_by(wtxid, id) {
            return false;
        }
        let preferred = peer.is_preferred();
        let would_be = self.downloads.requests.count(id) + missing.len();
        if !peer.permissions.relay && would_be > MAX_ANNOUNCED {
            return false;
        }
        // The parents may be on their way already.
        let ready = self.now + self.request_delay(id, true);
        for parent in missing {
            let requests = &mut self.downloads.requests;
            requests.announced(id, GenTxid::Txid(*parent), preferred, ready);
        }
        tracing::debug!(
            target: "txpackages",
            "added peer={id} as a candidate for resolving orphan {wtxid}"
        );
        true
    }

    /// Asks a peer for the transactions that it is its turn to give.
    pub(super) fn request_transactions(&mut self, id: PeerId) {
        for (peer, tx) in self.downloads.requests.advance(self.now) {
            tracing::debug!(
                target: "net",
                "timeout of inflight {} from peer={peer}",
                tx.describe()
            );
        }
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let witness = peer.serves_witnesses();
        let mut items: Vec<Inventory> = Vec::new();
        for tx in self.downloads.requests.due(id) {
            let hash = tx.hash();
            if self.has_tx(tx, false) {
                self.downloads.requests.forget(&hash);
                continue;
            }
            tracing::debug!(target: "net", "Requesting {} peer={id}", tx.describe());
            let until = self.now + EXPIRY;
            self.downloads.requests.asked(id, &hash, until);
            items.push(tx.to_inventory(witness));
        }
        for items in items.chunks(MAX_ITEMS) {
            self.send(id, Message::GetData(items.to_vec()));
        }
    }

    /// A peer sends a transaction.
    pub(super) fn tx(&mut self, id: PeerId, tx: Arc<Transaction>) {
        if !self.takes_transactions(id) {
            self.disconnect(id, "transaction sent in violation of protocol");
            return;
        }
        // A node that catches up cannot judge them.
        if self.chain.is_initial_block_download() {
            return;
        }
        let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
        self.with(id, |peer| {
            peer.known_transactions.insert(if peer.wtxid_relay {
                wtxid.to_byte_array()
            } else {
                txid.to_byte_array()
            });
        });
        let requests = &mut self.downloads.requests;
        requests.answered(id, &txid.to_byte_array());
        requests.answered(id, &wtxid.to_byte_array());
        let known = self.has_tx(GenTxid::Wtxid(wtxid), false);
        if known || self.downloads.is_reconsiderable(&wtxid) {
            let forced = (self.peers.get(&id)).is_some_and(|peer| peer.permissions.force_relay);
            if forced {
                self.force_relay(id, txid, wtxid);
            }
            if !known {
                tracing::debug!(
                    target: "txpackages",
                    "found tx {txid} (wtxid={wtxid}) in reconsiderable rejects, looking for child in orphanage"
                );
                self.try_package(id, &tx);
            }
            return;
        }
        match self.mempool.submit(&self.chain, Arc::clone(&tx)) {
            Ok(accepted) => {
                self.tx_accepted(id, &tx, &accepted.replaced);
                let now = self.now;
                self.with(id, |peer| peer.last_transaction = Some(now));
            }
            Err(reject) => {
                self.tx_refused(id, &tx, &reject, true);
                if reject.class() == RejectClass::Reconsiderable {
                    tracing::debug!(
                        target: "txpackages",
                        "tx {txid} (wtxid={wtxid}) failed but reconsiderable, looking for child in orphanage"
                    );
                    self.try_package(id, &tx);
                }
            }
        }
    }

    /// Tells all of a known transaction again: this node is the way out for the peer that sent it.
    fn force_relay(&mut self, id: PeerId, txid: Txid, wtxid: Wtxid) {
        let Some(tx) = self.mempool.get(&txid) else {
            tracing::info!(
                "Not relaying non-mempool transaction {txid} (wtxid={wtxid}) from forcerelay peer={id}"
            );
            return;
        };
        tracing::info!("Force relaying tx {txid} (wtxid={wtxid}) from peer={id}");
        self.broadcast(&tx);
    }

    fn tx_accepted(&mut self, id: PeerId, tx: &Arc<Transaction>, replaced: &[Arc<Transaction>]) {
        let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
        self.downloads.forget_request(&txid, &wtxid);
        let rng = &mut self.rng;
        let orphans = &mut self.downloads.orphans;
        orphans.parent_came(tx, |count| rng.gen_range(0..count));
        orphans.remove(&wtxid);
        let info = self.mempool.info();
        tracing::debug!(
            target: "mempool",
            "AcceptToMemoryPool: peer={id}: accepted {txid} (wtxid={wtxid}) (poolsz {} txn, {} kB)",
            info.size,
            info.usage / 1000
        );
        for replaced in replaced {
            self.extra.add(replaced);
        }
        self.broadcast(tx);
    }

    /// Draws the conclusions from a refusal: whether the transaction is to be asked for again, or may be fine with its
    /// parents or a child. `first`: it was not judged before.
    fn tx_refused(&mut self, id: PeerId, tx: &Arc<Transaction>, reject: &Reject, first: bool) {
        let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
        tracing::debug!(
            target: "mempoolrej",
            "{txid} (wtxid={wtxid}) from peer={id} was not accepted: {}",
            reject.text()
        );
        let class = reject.class();
        let downloads = &mut self.downloads;
        let mut keep_for_blocks = first;
        match class {
            RejectClass::MissingInputs if first => {
                keep_for_blocks &= !downloads.orphans.contains(&wtxid);
                self.keep_orphan(id, tx);
            }
            // It is among the orphans already; this node failed; the witness may have been cut off.
            RejectClass::MissingInputs => {}
            RejectClass::Internal => return,
            RejectClass::WitnessStripped => keep_for_blocks = false,
            RejectClass::Reconsiderable => {
                downloads.reconsiderable.insert(wtxid.to_byte_array());
                downloads.requests.forget(&wtxid.to_byte_array());
            }
            _ => {
                downloads.rejects.insert(wtxid.to_byte_array());
                downloads.requests.forget(&wtxid.to_byte_array());
                if class == RejectClass::InputsNotStandard {
                    // Another witness cannot help.
                    downloads.rejects.insert(txid.to_byte_array());
                    downloads.requests.forget(&txid.to_byte_array());
                }
            }
        }
        if keep_for_blocks {
            self.extra.add(tx);
        }
        if class != RejectClass::MissingInputs && self.downloads.orphans.remove(&wtxid) {
            tracing::debug!(target: "txpackages", "   removed orphan tx {txid} (wtxid={wtxid})");
        }
    }

    /// Keeps a transaction whose parents are missing, and asks for them; not if one of them was refused.
    fn keep_orphan(&mut self, id: PeerId, tx: &Arc<Transaction>) {
        let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
        let downloads = &self.downloads;
        if downloads.rejects.contains(&wtxid.to_byte_array()) {
            return;
        }
        let parents = parents(tx);
        let refused = |parent: &Txid| downloads.rejects.contains(&parent.to_byte_array());
        // One that pays too little may come in together with this one, two may not.
        let poor = |parent: &&Txid| {
            downloads.reconsiderable.contains(&parent.to_byte_array())
                && !self.mempool.contains(parent)
        };
        if parents.iter().any(refused) || parents.iter().filter(poor).count() > 1 {
            tracing::debug!(
                target: "mempool",
                "not keeping orphan with rejected parents {txid} (wtxid={wtxid})"
            );
            // Whatever its witness, its parents will not come.
            let downloads = &mut self.downloads;
            downloads.rejects.insert(txid.to_byte_array());
            downloads.rejects.insert(wtxid.to_byte_array());
            downloads.forget_request(&txid, &wtxid);
            return;
        }
        let missing = self.missing_parents(tx);
        let mut candidates = vec![id];
        for hash in [txid.to_byte_array(), wtxid.to_byte_array()] {
            candidates.extend(self.downloads.requests.candidates(&hash));
        }
        for candidate in candidates {
            if self.ask_for_parents(candidate, &wtxid, &missing) {
                self.downloads.orphans.add(tx, candidate);
            }
        }
        self.downloads.forget_request(&txid, &wtxid);
        self.with(id, |peer| {
            for parent in &missing {
                peer.known_transactions.insert(parent.to_byte_array());
            }
        });
    }

    /// Judges a transaction that pays too little together with a child of the same peer, if there is one to try.
    fn try_package(&mut self, id: PeerId, parent: &Arc<Transaction>) {
        let downloads = &self.downloads;
        let children = downloads.orphans.children_of(&parent.compute_txid(), id);
        let package = children
            .into_iter()
            .map(|child| Package {
                txs: [Arc::clone(parent), child],
                sender: id,
            })
            .find(|package| {
                let child = package.txs[1].compute_txid();
                !downloads.reconsiderable.contains(&package.id())
                    && !downloads.rejects.contains(&child.to_byte_array())
            });
        if let Some(package) = package {
            let outcome = self.mempool.submit_package(&self.chain, &package.txs, None);
            self.package_judged(&package, outcome);
        }
    }

    fn package_judged(&mut self, package: &Package, outcome: PackageOutcome) {
        let sender = package.sender;
        let [parent, child] = package.txs.each_ref().map(|tx| tx.compute_wtxid());
        tracing::debug!(
            target: "txpackages",
            "package evaluation for parent {parent} (sender={sender}) + child {child} (sender={sender}): {}",
            if outcome.error.is_some() { "package rejected" } else { "package accepted" }
        );
        if outcome.error.is_some() {
            self.downloads.reconsiderable.insert(package.id());
        }
        let mut members = outcome.members;
        // The child first: it is no orphan any more when its parent comes.
        for tx in package.txs.iter().rev() {
            match members.remove(&tx.compute_wtxid()) {
                Some(PackageMember::Accepted(accepted)) => {
                    self.tx_accepted(sender, tx, &accepted.replaced);
                }
                Some(PackageMember::Rejected(reject)) => {
                    self.tx_refused(sender, tx, &reject, false);
                }
                Some(PackageMember::OtherWitness(_)) => {
                    self.tx_refused(sender, tx, &Reject::SameTxidInMempool, false);
                }
                Some(PackageMember::Present { .. }) | None => {}
            }
        }
    }

    /// Judges orphans again whose parents came, some at a time, each peer in its turn.
    pub(super) fn process_orphans(&mut self) {
        let mut left = ORPHANS_AT_ONCE;
        loop {
            let peers = self.downloads.orphans.peers_with_work();
            if peers.is_empty() {
                return;
            }
            for id in peers {
                if left == 0 {
                    return;
                }
                left -= 1;
                if let Some(tx) = self.downloads.orphans.next_ready(id) {
                    self.judge_orphan(id, &tx);
                }
            }
        }
    }

    fn judge_orphan(&mut self, id: PeerId, tx: &Arc<Transaction>) {
        let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
        match self.mempool.submit(&self.chain, Arc::clone(tx)) {
            Ok(accepted) => {
                tracing::debug!(
                    target: "txpackages",
                    "   accepted orphan tx {txid} (wtxid={wtxid})"
                );
                self.tx_accepted(id, tx, &accepted.replaced);
            }
            // It waits on.
            Err(reject) if reject.class() == RejectClass::MissingInputs => {}
            Err(reject) => {
                tracing::debug!(
                    target: "txpackages",
                    "   invalid orphan tx {txid} (wtxid={wtxid}) from peer={id}. {}",
                    reject.text()
                );
                self.tx_refused(id, tx, &reject, false);
            }
        }
    }

    /// A block became part of the active chain.
    pub(super) fn block_connected(&mut self, block: &Block) {
        let downloads = &mut self.downloads;
        downloads.orphans.block_connected(block);
        for tx in &block.txdata {
            let rng = &mut self.rng;
            downloads
                .orphans
                .parent_came(tx, |count| rng.gen_range(0..count));
            let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
            downloads.confirmed.insert(txid.to_byte_array());
            downloads.confirmed.insert(wtxid.to_byte_array());
            downloads.forget_request(&txid, &wtxid);
        }
    }

    /// A block left the active chain: its transactions may come again.
    pub(super) fn block_disconnected(&mut self) {
        self.downloads.confirmed.clear();
    }
}
