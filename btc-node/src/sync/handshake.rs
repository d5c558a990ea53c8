//! From `version` to `verack`.

use super::dial::desirable_services;
use super::event::{ConnectionKind, PeerId};
use super::{Peers, peer::Peer};
use crate::net::{Endpoint, Message, NetAddress, PROTOCOL_VERSION, Version};
use bitcoin::key::rand::Rng;
use bitcoin::p2p::ServiceFlags;

/// Peers with an older protocol are let go.
const MIN_VERSION: u32 = 31_800;
/// `wtxidrelay` and `sendaddrv2` are known from here on.
const WTXID_RELAY_VERSION: u32 = 70_016;
/// `feature` is known from here on.
const FEATURE_VERSION: u32 = 70_017;
/// Compact blocks are known from here on.
const COMPACT_BLOCKS_VERSION: u32 = 70_014;

impl Peers {
    /// Whoever makes a connection speaks first.
    pub(super) fn greet(&mut self, id: PeerId) {
        if self.peers.get(&id).is_some_and(|peer| !peer.is_inbound()) {
            self.send_version(id);
        }
    }

    fn send_version(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let nonce = self.rng.r#gen();
        let version = Version {
            version: PROTOCOL_VERSION,
            services: self.services(),
            time: i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX),
            receiver: if peer.address.address.is_routable()
                && peer.address.address.is_v1_compatible()
            {
                peer.address
            } else {
                Endpoint::new(NetAddress::UNSPECIFIED, 0)
            },
            receiver_services: ServiceFlags::NONE,
            nonce,
            user_agent: self.config.user_agent.clone(),
            start_height: i32::try_from(self.chain.tip().height).unwrap_or(i32::MAX),
            relay: self.takes_transactions(id),
        };
        self.with(id, |peer| peer.our_nonce = Some(nonce));
        self.send(id, Message::Version(Box::new(version)));
    }

    /// Takes the messages of the handshake, and those that must not come at this point; gives back the others.
    pub(super) fn shake_hands(&mut self, id: PeerId, message: Message) -> Option<Message> {
        let peer = self.peers.get(&id)?;
        match message {
            Message::Version(_) if peer.version != 0 => {
                tracing::debug!(target: "net", "redundant version message from peer={id}");
            }
            Message::Version(version) => self.version(id, *version),
            _ if peer.version == 0 => tracing::debug!(
                target: "net",
                "non-version message before version handshake. Message \"{}\" from peer={id}",
                message.describe()
            ),
            Message::Verack if peer.handshake_done => {
                tracing::debug!(target: "net", "ignoring redundant verack message from peer={id}");
            }
            Message::Verack => self.verack(id),
            Message::WtxidRelay | Message::SendAddrV2 | Message::Feature { .. }
                if peer.handshake_done =>
            {
                let reason = format!("{} received after verack", message.name());
                self.disconnect(id, &reason);
            }
            Message::WtxidRelay => self.with(id, |peer| {
                if peer.common_version < WTXID_RELAY_VERSION {
                    tracing::debug!(
                        target: "net",
                        "ignoring wtxidrelay due to old common version={} from peer={id}",
                        peer.common_version
                    );
                } else if std::mem::replace(&mut peer.wtxid_relay, true) {
                    tracing::debug!(target: "net", "ignoring duplicate wtxidrelay from peer={id}");
                }
            }),
            Message::SendAddrV2 => self.with(id, |peer| peer.wants_addrv2 = true),
            Message::Feature { .. } if peer.common_version < FEATURE_VERSION => {
                let reason = format!(
                    "feature received with incompatible version {}",
                    peer.common_version
                );
                self.disconnect(id, &reason);
            }
            Message::Feature { id: name, .. } => tracing::debug!(
                target: "net",
                "unknown feature advertised: {}",
                crate::net::version::printable(&name)
            ),
            Message::SendTxRcncl { version, .. } => self.take_reconciliation(id, version),
            _ if !peer.handshake_done => tracing::debug!(
                target: "net",
                "Unsupported message \"{}\" prior to verack from peer={id}",
                message.describe()
            ),
            message => return Some(message),
        }
        None
    }

    fn version(&mut self, id: PeerId, theirs: Version) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let (kind, address) = (peer.kind, peer.address);
        if !peer.is_inbound() {
            let services = theirs.services.to_u64();
            self.directory.book().set_services(address, services);
        }
        let expected = desirable_services(theirs.services, self.limited_is_enough());
        let useful = matches!(
            kind,
            ConnectionKind::OutboundFullRelay
                | ConnectionKind::BlockRelayOnly
                | ConnectionKind::AddrFetch
        );
        if useful && !theirs.services.has(expected) {
            let reason = format!(
                "peer does not offer the expected services ({:08x} offered, {:08x} expected)",
                theirs.services.to_u64(),
                expected.to_u64()
            );
            self.disconnect(id, &reason);
            return;
        }
        if theirs.version < MIN_VERSION {
            let reason = format!("peer using obsolete version {}", theirs.version);
            self.disconnect(id, &reason);
            return;
        }
        if kind == ConnectionKind::Inbound && self.is_own_nonce(theirs.nonce) {
            tracing::info!(target: "net", "connected to self at {address}, disconnecting");
            self.disconnect(id, "connected to self");
            return;
        }
        if kind == ConnectionKind::Inbound {
            if theirs.receiver.address.is_routable() {
                self.directory.local().seen(theirs.receiver.address);
            }
            self.send_version(id);
        }
        let common = theirs.version.min(PROTOCOL_VERSION);
        let now = i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX);
        tracing::debug!(
            target: "net",
            "receive version message: {}: version {}, blocks={}, us={}, txrelay={}, peer={id}",
            if theirs.user_agent.is_empty() { "<no user agent>" } else { &theirs.user_agent },
            theirs.version,
            theirs.start_height,
            theirs.receiver,
            u8::from(theirs.relay),
        );
        let offers_bloom = self.services().has(ServiceFlags::BLOOM);
        self.with(id, |peer| {
            peer.version = theirs.version;
            peer.common_version = common;
            peer.services = theirs.services;
            peer.time_offset = theirs.time.saturating_sub(now);
            peer.user_agent = theirs.user_agent;
            peer.start_height = theirs.start_height;
            peer.wants_transactions = theirs.relay;
            peer.may_relay = !matches!(
                kind,
                ConnectionKind::BlockRelayOnly | ConnectionKind::Feeler
            ) && (theirs.relay || offers_bloom);
            peer.addresses.seen_as = Some(theirs.receiver);
        });
        if common >= WTXID_RELAY_VERSION {
            self.send(id, Message::WtxidRelay);
            self.send(id, Message::SendAddrV2);
            self.offer_reconciliation(id);
        }
        if self.over_relay_capacity(id, "version") {
            return;
        }
        self.send(id, Message::Verack);
        self.ask_for_addresses(id);
        if kind != ConnectionKind::Inbound {
            self.directory.book().good(address, now);
        }
        if kind == ConnectionKind::Feeler {
            self.disconnect(id, "feeler connection completed");
        }
    }

    /// Whether a number is in a version message of ours that is not answered yet.
    fn is_own_nonce(&self, nonce: u64) -> bool {
        self.peers
            .values()
            .any(|peer| !peer.is_inbound() && !peer.handshake_done && peer.our_nonce == Some(nonce))
    }

    fn verack(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.handshake_done = true;
        log_new_peer(peer);
        let compact = peer.common_version >= COMPACT_BLOCKS_VERSION;
        self.settle_reconciliation(id);
        if compact {
            self.send(
                id,
                Message::SendCmpct {
                    announce: 0,
                    version: 2,
                },
            );
        }
    }
}

/// Only connections that this node makes are always told: anybody can make others.
fn log_new_peer(peer: &Peer) {
    let text = format!(
        "New {} peer connected: transport: v1, version: {}, peer={}",
        peer.kind.as_str(),
        peer.version,
        peer.id
    );
    if peer.is_inbound() {
        tracing::debug!(target: "net", "{text}");
    } else {
        tracing::info!("{text}");
    }
}
