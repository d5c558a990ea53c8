//! Announcements taken and made.

use super::Peers;
use super::event::{ConnectionKind, PeerId};
use super::relay::told_id;
use super::requests::GenTxid;
use crate::net::Message;
use bitcoin::hashes::Hash;
use bitcoin::key::rand::Rng;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{BlockHash, Txid};
use std::collections::HashSet;
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
        let mut seen = HashSet::new();
        for item in items {
            if GenTxid::from_inventory(item).is_some_and(|tx| !seen.insert(tx)) {
                continue;
            }
            match item {
                Inventory::Block(hash) | Inventory::WitnessBlock(hash) => {
                    self.note_block(id, *hash);
                    let known = self.chain.block_summary(hash).is_some();
                    tracing::debug!(
                        target: "net",
                        "got inv: block {hash} {} peer={id}",
                        if known { "have" } else { "new" }
                    );
                    if !known && !self.in_flight.contains(hash) {
                        newest = Some(*hash);
                    }
                }
                item => match GenTxid::from_inventory(item) {
                    Some(tx) => self.announced(id, item, tx),
                    None => {
                        tracing::debug!(target: "net", "Unknown inv type received from peer={id}");
                    }
                },
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

    fn announced(&mut self, id: PeerId, item: &Inventory, tx: GenTxid) {
        if !self.takes_transactions(id) {
            let hash = Txid::from_byte_array(tx.hash());
            let reason = format!("transaction ({hash}) inv sent in violation of protocol");
            self.disconnect(id, &reason);
            return;
        }
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        // Each connection has one kind of ids (BIP 339).
        let mismatch = if peer.wtxid_relay {
            matches!(item, Inventory::Transaction(_))
        } else {
            matches!(item, Inventory::WTx(_))
        };
        if mismatch {
            return;
        }
        peer.known_transactions.insert(tx.hash());
        if !self.chain.is_initial_block_download() {
            self.tx_announced(id, item, tx);
        }
    }

    pub(super) fn not_found(&mut self, id: PeerId, items: &[Inventory]) {
        for item in items {
            match item {
                Inventory::Block(hash) | Inventory::WitnessBlock(hash) => {
                    self.block_not_found(id, hash);
                }
                _ => {
                    if let Some(tx) = GenTxid::from_inventory(item) {
                        self.downloads.requests.answered(id, &tx.hash());
                    }
                }
            }
        }
    }

    /// Tells a peer of transactions, at times that do not give away when they came.
    pub(super) fn trickle(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        if !peer.relays_transactions() {
            self.with(id, |peer| peer.transactions_to_tell.clear());
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
        /// Items in one `inv`.
        const MAX_ITEMS: usize = 50_000;
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        if peer.transactions_to_tell.is_empty() {
            return;
        }
        let by_wtxid = peer.wtxid_relay;
        let (mut news, sequence) = self.take_news(id);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        // It may ask for what it is told of.
        peer.told_sequence = sequence;
        news.retain(|(txid, wtxid)| {
            let known = told_id(by_wtxid, *txid, *wtxid);
            !peer.known_transactions.contains(&known)
        });
        if let Some(bloom) = peer.bloom.as_mut() {
            news.retain(|(txid, _)| {
                let tx = self.mempool.get(txid);
                tx.is_some_and(|tx| bloom.matches(&tx))
            });
        }
        let mut items = Vec::with_capacity(news.len());
        for (txid, wtxid) in news {
            peer.known_transactions
                .insert(told_id(by_wtxid, txid, wtxid));
            items.push(if by_wtxid {
                Inventory::WTx(wtxid)
            } else {
                Inventory::Transaction(txid)
            });
        }
        for items in items.chunks(MAX_ITEMS) {
            self.send(id, Message::Inv(items.to_vec()));
        }
    }
}
