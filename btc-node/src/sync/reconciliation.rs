//! Who agreed to reconcile transactions (BIP 330): the handshake of it. Reconciling itself is not there yet, in Core
//! neither, so transactions are told to these peers as to all.

use super::Peers;
use super::event::{ConnectionKind, PeerId};
use crate::net::Message;
use bitcoin::key::rand::Rng;

/// The version of the protocol.
const VERSION: u32 = 1;

/// How far a peer and this node have come to an agreement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reconciliation {
    /// Nothing was said.
    #[default]
    None,
    /// This node offered it.
    Offered,
    /// Both did.
    Agreed,
}

impl Peers {
    /// Offers it to a peer that transactions travel to and from.
    pub(super) fn offer_reconciliation(&mut self, id: PeerId) {
        let fits = self.peers.get(&id).is_some_and(|peer| {
            peer.relays_transactions() && peer.kind != ConnectionKind::AddrFetch
        });
        if !self.config.reconciliation || !fits || self.config.blocks_only {
            return;
        }
        self.with(id, |peer| peer.reconciliation = Reconciliation::Offered);
        let salt = self.rng.r#gen();
        self.send(
            id,
            Message::SendTxRcncl {
                version: VERSION,
                salt,
            },
        );
    }

    /// Takes a peer's offer.
    pub(super) fn take_reconciliation(&mut self, id: PeerId, version: u32) {
        if !self.config.reconciliation {
            tracing::debug!(
                target: "net",
                "sendtxrcncl from peer={id} ignored, as our node does not have txreconciliation enabled"
            );
            return;
        }
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        if peer.handshake_done {
            self.disconnect(id, "sendtxrcncl received after verack");
        } else if !self.takes_transactions(id) {
            self.disconnect(id, "sendtxrcncl received to which we indicated no tx relay");
        } else if !peer.relays_transactions() {
            self.disconnect(id, "sendtxrcncl received which indicated no tx relay to us");
        } else {
            match peer.reconciliation {
                Reconciliation::None => tracing::debug!(
                    target: "net",
                    "Ignore unexpected txreconciliation signal from peer={id}"
                ),
                Reconciliation::Agreed => self.disconnect(
                    id,
                    "txreconciliation protocol violation (sendtxrcncl received from already registered peer)",
                ),
                Reconciliation::Offered if version < VERSION => {
                    self.disconnect(id, "txreconciliation protocol violation");
                }
                Reconciliation::Offered => {
                    let inbound = u8::from(peer.is_inbound());
                    tracing::debug!(
                        target: "txreconciliation",
                        "Register peer={id} (inbound={inbound})"
                    );
                    self.with(id, |peer| peer.reconciliation = Reconciliation::Agreed);
                }
            }
        }
    }

    /// At the end of the handshake an agreement counts only with a peer that names transactions by wtxid.
    pub(super) fn settle_reconciliation(&mut self, id: PeerId) {
        self.with(id, |peer| {
            let agreed = peer.reconciliation == Reconciliation::Agreed && peer.wtxid_relay;
            if !agreed && peer.reconciliation != Reconciliation::None {
                peer.reconciliation = Reconciliation::None;
                tracing::debug!(
                    target: "txreconciliation",
                    "Forget txreconciliation state of peer={id}"
                );
            }
        });
    }
}
