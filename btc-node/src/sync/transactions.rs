//! Transactions fetched and told.

use super::Peers;
use super::event::{ConnectionKind, PeerId};
use crate::mempool::{Reject, RejectClass};
use crate::net::Message;
use bitcoin::hashes::Hash;
use bitcoin::key::rand::Rng;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{BlockHash, Transaction, Txid, Wtxid};
use std::sync::Arc;
use std::time::Duration;

/// Mean time between announcements to peers that made the connection.
const INBOUND_INTERVAL: Duration = Duration::from_secs(5);
/// Mean time between announcements to peers that this node chose.
const OUTBOUND_INTERVAL: Duration = Duration::from_secs(2);

impl Peers {
    /// Whether transactions are taken from a peer.
    pub(super) fn takes_transactions(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| {
            !matches!(
                peer.kind,
                ConnectionKind::BlockRelayOnly | ConnectionKind::Feeler
            ) && (!self.config.blocks_only || peer.permissions.relay)
        })
    }

    pub(super) fn inv(&mut self, id: PeerId, items: &[Inventory]) {
        let mut newest = None;
        for item in items {
            match item {
                Inventory::Block(hash) | Inventory::WitnessBlock(hash) => {
                    self.note_block(id, *hash);
                    let known = self.chain.block_summary(hash).is_some();
                    tracing::debug!(
                        target: "net",
                        "got inv: block {hash}  {} peer={id}",
                        if known { "have" } else { "new" }
                    );
                    if !known && !self.in_flight.contains(hash) {
                        newest = Some(*hash);
                    }
                }
                Inventory::Transaction(txid) => self.announced(id, *item, txid.to_byte_array()),
                Inventory::WTx(wtxid) => self.announced(id, *item, wtxid.to_byte_array()),
                _ => tracing::debug!(target: "net", "Unknown inv type received from peer={id}"),
            }
            if self.peers.get(&id).is_none_or(|peer| peer.disconnecting) {
                return;
            }
        }
        if let Some(hash) = newest {
            self.ask_about(id, hash);
        }
    }

    /// Asks for the headers up to a block that is not known.
    fn ask_about(&mut self, id: PeerId, hash: BlockHash) {
        if self.chain.is_importing() {
            return;
        }
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        // While one peer's headers are waited for, each block makes one other be asked, so that a silent one does not
        // keep this node back, nor is every peer asked for the same.
        if !peer.sync_started {
            if peer.asked_before_sync || self.last_asked_for == Some(hash) {
                return;
            }
            self.last_asked_for = Some(hash);
            self.with(id, |peer| peer.asked_before_sync = true);
        }
        if self.ask_from_best_header(id) {
            tracing::debug!(
                target: "net",
                "getheaders ({}) {hash} to peer={id}",
                self.chain.best_header().height
            );
        }
    }

    fn announced(&mut self, id: PeerId, item: Inventory, tx: [u8; 32]) {
        if !self.takes_transactions(id) {
            let hash = bitcoin::Txid::from_byte_array(tx);
            let reason = format!("transaction ({hash}) inv sent in violation of protocol");
            self.disconnect(id, &reason);
            return;
        }
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        // Each connection has one kind of ids (BIP 339).
        if peer.wtxid_relay != matches!(item, Inventory::WTx(_)) {
            return;
        }
        peer.known_transactions.insert(tx);
        let preferred = peer.is_preferred();
        if self.chain.is_initial_block_download() || self.has_tx(&item) {
            return;
        }
        let ask_for = match item {
            Inventory::Transaction(txid) => Inventory::WitnessTransaction(txid),
            other => other,
        };
        self.requests
            .announced(id, tx, ask_for, preferred, self.now);
    }

    /// Whether a transaction is here, or was refused by this tip.
    fn has_tx(&self, item: &Inventory) -> bool {
        match item {
            Inventory::Transaction(txid) | Inventory::WitnessTransaction(txid) => {
                self.rejects.contains(&txid.to_byte_array()) || self.mempool.contains(txid)
            }
            Inventory::WTx(wtxid) => {
                self.rejects.contains(&wtxid.to_byte_array())
                    || self.mempool.get_by_wtxid(wtxid).is_some()
            }
            _ => false,
        }
    }

    /// Asks a peer for the transactions that it is its turn to give.
    pub(super) fn request_transactions(&mut self, id: PeerId) {
        /// Items in one `getdata`.
        const MAX_ITEMS: usize = 1000;
        let mut due = self.requests.due(id, self.now);
        due.retain(|item| {
            let known = self.has_tx(item);
            if known && let Some(hash) = item.network_hash() {
                self.requests.forget(&hash);
            }
            !known
        });
        for items in due.chunks(MAX_ITEMS) {
            self.send(id, Message::GetData(items.to_vec()));
        }
    }

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
        let (by_txid, by_wtxid) = (txid.to_byte_array(), wtxid.to_byte_array());
        self.requests.answered(id, &by_txid);
        self.requests.answered(id, &by_wtxid);
        self.with(id, |peer| {
            peer.known_transactions
                .insert(if peer.wtxid_relay { by_wtxid } else { by_txid });
        });
        if self.has_tx(&Inventory::WTx(wtxid)) {
            if self
                .peers
                .get(&id)
                .is_some_and(|peer| peer.permissions.force_relay)
            {
                self.force_relay(id, txid, wtxid);
            }
            return;
        }
        match self.mempool.submit(&self.chain, Arc::clone(&tx)) {
            Ok(accepted) => {
                tracing::debug!(
                    target: "mempool",
                    "AcceptToMemoryPool: peer={id}: accepted {txid} (wtxid={wtxid}) (poolsz {} txn)",
                    self.mempool.info().size
                );
                debug_assert_eq!(accepted.txid, txid);
                let now = self.now;
                self.with(id, |peer| peer.last_transaction = Some(now));
                for replaced in &accepted.replaced {
                    self.extra.add(replaced);
                }
                self.requests.forget(&by_txid);
                self.requests.forget(&by_wtxid);
            }
            Err(reject) => {
                if reject.class() != RejectClass::WitnessStripped {
                    self.extra.add(&tx);
                }
                self.tx_refused(id, txid, wtxid, &reject);
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
        self.tx_sent_again(&tx);
    }

    fn tx_refused(&mut self, id: PeerId, txid: Txid, wtxid: Wtxid, reject: &Reject) {
        tracing::debug!(
            target: "mempoolrej",
            "{txid} (wtxid={wtxid}) from peer={id} was not accepted: {}",
            reject.text()
        );
        match reject.class() {
            // With its parents, with another witness, or at another time it may be fine.
            RejectClass::MissingInputs | RejectClass::Internal => return,
            RejectClass::WitnessStripped => {}
            // Another witness cannot help, so whatever has this id is out.
            RejectClass::InputsNotStandard => {
                self.rejects.insert(txid.to_byte_array());
                self.rejects.insert(wtxid.to_byte_array());
            }
            _ => self.rejects.insert(wtxid.to_byte_array()),
        }
        self.requests.forget(&wtxid.to_byte_array());
    }

    pub(super) fn not_found(&mut self, id: PeerId, items: &[Inventory]) {
        for item in items {
            match item {
                Inventory::Block(hash) | Inventory::WitnessBlock(hash) => {
                    self.block_not_found(id, hash);
                }
                _ => {
                    if let Some(hash) = item.network_hash() {
                        self.requests.answered(id, &hash);
                    }
                }
            }
        }
    }

    /// The user sent a transaction that the mempool has: who did not answer may not have heard of it.
    pub(super) fn tx_sent_again(&mut self, tx: &Transaction) {
        let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
        for peer in self.peers.values_mut() {
            let id = if peer.wtxid_relay {
                wtxid.to_byte_array()
            } else {
                txid.to_byte_array()
            };
            if peer.handshake_done
                && peer.relays_transactions()
                && !peer.known_transactions.contains(&id)
            {
                peer.transactions_to_tell.insert(txid, wtxid);
            }
        }
        self.work_all();
    }

    /// The mempool took a transaction: whoever may want it is told in time.
    pub(super) fn tx_added(&mut self, tx: &Transaction) {
        let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
        for peer in self.peers.values_mut() {
            if peer.handshake_done && peer.relays_transactions() {
                peer.transactions_to_tell.insert(txid, wtxid);
            }
        }
        self.work_all();
    }

    /// Tells a peer of transactions, at times that do not give away when they came.
    pub(super) fn trickle(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        if !peer.relays_transactions() {
            return;
        }
        let at_once = peer.permissions.no_ban;
        if now >= peer.next_trickle || at_once {
            let next = if peer.is_inbound() {
                if self.next_inbound_trickle <= now {
                    self.next_inbound_trickle = now + self.delay(INBOUND_INTERVAL);
                }
                self.next_inbound_trickle
            } else {
                now + self.delay(OUTBOUND_INTERVAL)
            };
            self.with(id, |peer| peer.next_trickle = next);
            self.tell_transactions(id);
        }
    }

    /// A random time with this mean, as between independent events.
    pub(super) fn delay(&mut self, mean: Duration) -> Duration {
        let uniform: f64 = self.rng.gen_range(f64::EPSILON..1.0);
        mean.mul_f64(-uniform.ln())
    }

    fn tell_transactions(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let waiting = std::mem::take(&mut peer.transactions_to_tell);
        let (filter, by_wtxid) = (peer.fee_filter, peer.wtxid_relay);
        let (mut found, sequence) = self.mempool.read(|pool| {
            let found: Vec<(u64, Txid, Wtxid)> = waiting
                .keys()
                .filter_map(|txid| pool.graph().get(txid))
                .filter(|entry| {
                    let pays = i128::from(entry.fee) * 1000;
                    pays >= i128::from(filter) * i128::from(entry.vsize())
                })
                .map(|entry| (entry.sequence, entry.txid, entry.wtxid))
                .collect();
            (found, pool.sequence())
        });
        // Parents came in before their children.
        found.sort_unstable();
        let max = self.config.max_announced;
        if let Some(bloom) = self.peers.get_mut(&id).and_then(|peer| peer.bloom.as_mut()) {
            found.retain(|(_, txid, _)| {
                let tx = self.mempool.get(txid);
                tx.is_some_and(|tx| bloom.matches(&tx))
            });
        }
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let mut items = Vec::new();
        for (_, txid, wtxid) in found {
            let (hash, item) = if by_wtxid {
                (wtxid.to_byte_array(), Inventory::WTx(wtxid))
            } else {
                (txid.to_byte_array(), Inventory::Transaction(txid))
            };
            if peer.known_transactions.contains(&hash) {
                continue;
            }
            if items.len() == max {
                peer.transactions_to_tell.insert(txid, wtxid);
                continue;
            }
            peer.known_transactions.insert(hash);
            items.push(item);
        }
        peer.told_sequence = sequence;
        if !items.is_empty() {
            self.send(id, Message::Inv(items));
        }
    }
}
