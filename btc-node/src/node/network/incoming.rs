//! Peers that connect to this node, and every connection once it is there.

use super::options::Listen;
use super::{Network, lock};
use crate::net::connections::{Answer, Opened, Origin};
use crate::net::{Endpoint, NetAddress};
use crate::sync::admission::{self, Verdict};
use crate::sync::{ConnectionKind, Event, NewPeer, PeerId, Permissions};
use std::net::SocketAddr;

impl Network {
    /// Where a peer came, as the options have it.
    fn listen_of(&self, listener: SocketAddr) -> Option<&Listen> {
        self.listen.iter().find(|listen| listen.address == listener)
    }

    /// What a peer may do that made its connection. Those of Tor all have the proxy's address.
    fn inbound_permissions(&self, address: NetAddress, listener: SocketAddr) -> Permissions {
        let listen = self.listen_of(listener);
        let granted = listen.map_or(Permissions::default(), |listen| listen.permissions);
        match listen {
            Some(Listen { onion: true, .. }) => granted,
            _ => granted.union(self.whitelist.permissions(address, true)),
        }
    }

    /// Decides whether a peer's connection is taken.
    pub(super) fn knock(&self, address: Endpoint, listener: SocketAddr, answer: Answer) {
        let dropped = |why: &str| {
            tracing::debug!(target: "net", "connection from {address} dropped{why}");
        };
        if !self.is_active() {
            dropped(": not accepting new connections");
            return;
        }
        let permissions = self.inbound_permissions(address.address, listener);
        let inbound = lock(&self.links).count(ConnectionKind::Inbound);
        let (address_alone, now) = (address.address, self.seconds());
        match admission::incoming(
            address_alone,
            permissions,
            (inbound, self.max_inbound),
            &self.directory,
            now,
        ) {
            Verdict::Take => {}
            Verdict::MakeRoom => {
                let (made, actions) = lock(&self.peers).make_room();
                self.carry_out(actions);
                if !made {
                    tracing::debug!(
                        target: "net",
                        "failed to find an eviction candidate - connection dropped (full)"
                    );
                    return;
                }
            }
            Verdict::Drop(why) => {
                dropped(&format!(" ({why})"));
                return;
            }
        }
        tracing::debug!(target: "net", "connection from {address} accepted");
        answer.take();
    }

    /// Makes a peer of a connection.
    pub(super) fn opened(&self, opened: &Opened) {
        let (id, address) = (PeerId(opened.id), opened.address);
        // Addresses of peers stand in the log only if the user wants them there.
        if self.log_ips {
            tracing::debug!(target: "net", "connection made: peer={id}, peeraddr={address}");
        }
        let link = {
            let mut links = lock(&self.links);
            let attempt = match opened.origin {
                Origin::Attempt(number) => links.end(number),
                Origin::Listener(_) => None,
            };
            links.add(opened, attempt)
        };
        self.attempt_ended.notify_all();
        let mut new = NewPeer::new(id, link.kind, address);
        match opened.origin {
            Origin::Attempt(_) => {
                new.permissions = self.whitelist.permissions(address.address, false);
            }
            Origin::Listener(listener) => {
                new.permissions = self.inbound_permissions(address.address, listener);
                new.listener = Some(listener);
                new.onion = self.listen_of(listener).is_some_and(|listen| listen.onion);
                new.prefer_evict = self.directory.bans().is_discouraged(address.address);
            }
        }
        self.handle(Event::Connected(new));
        // It came while the network was switched off.
        if !self.is_active() {
            self.connections.close(opened.id);
        }
    }
}
