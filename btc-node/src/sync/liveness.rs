//! Pings and timeouts.

use super::Peers;
use super::event::PeerId;
use crate::net::Message;
use crate::net::connections::HandshakeStep;
use bitcoin::key::rand::Rng;
use std::time::Duration;

const PING_INTERVAL: Duration = Duration::from_secs(2 * 60);
/// How long a peer may be silent, or owe an answer to a ping.
const TIMEOUT: Duration = Duration::from_secs(20 * 60);

impl Peers {
    pub(super) fn maybe_ping(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if let Some((_, since)) = peer.ping.waiting
            && now > since + TIMEOUT
        {
            let reason = format!("ping timeout: {:.6}s", (now - since).as_secs_f64());
            self.disconnect(id, &reason);
            return;
        }
        let due = peer.ping.waiting.is_none()
            && peer
                .ping
                .last_start
                .is_none_or(|start| now > start + PING_INTERVAL);
        if !due && !peer.ping.queued {
            return;
        }
        // Zero would read as an answer to none.
        let nonce = self.rng.r#gen::<u64>().max(1);
        peer.ping.queued = false;
        peer.ping.last_start = Some(now);
        peer.ping.waiting = Some((nonce, now));
        self.send(id, Message::Ping(nonce));
    }

    pub(super) fn pong(&mut self, id: PeerId, nonce: Option<u64>) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let expected = peer.ping.waiting;
        let problem = match (expected, nonce) {
            (Some((expected, since)), Some(nonce)) if nonce == expected => {
                peer.ping.waiting = None;
                // A clock that was set back measures nothing.
                if let Some(took) = now.checked_sub(since) {
                    peer.ping.last = Some(took);
                    peer.ping.least = Some(peer.ping.least.map_or(took, |least| least.min(took)));
                    return;
                }
                "Timing mishap"
            }
            (Some(_), Some(0)) => {
                // An implementation that does not send the number back: nothing to wait for.
                peer.ping.waiting = None;
                "Nonce zero"
            }
            (Some(_), Some(_)) => "Nonce mismatch",
            (None, Some(_)) => "Unsolicited pong without ping",
            (_, None) => {
                peer.ping.waiting = None;
                "Short payload"
            }
        };
        tracing::debug!(
            target: "net",
            "pong peer={id}: {problem}, {:x} expected, {:x} received, {} bytes",
            expected.map_or(0, |(nonce, _)| nonce),
            nonce.unwrap_or(0),
            if nonce.is_some() { 8 } else { 0 },
        );
    }

    /// Takes bytes of the transport's handshake for signs of life.
    pub(super) fn transport_handshake(&mut self, id: PeerId, step: HandshakeStep) {
        let now = self.now;
        self.with(id, |peer| {
            peer.transport_pending = step != HandshakeStep::Done;
            match step {
                HandshakeStep::Sent => peer.last_sent = Some(now),
                HandshakeStep::Received | HandshakeStep::Done => peer.last_received = Some(now),
            }
        });
    }

    /// Lets go of peers that never say enough or fall silent.
    pub(super) fn check_alive(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let grace = self.config.peer_timeout;
        if now <= peer.connected.saturating_add(grace) {
            return;
        }
        let reason = if peer.last_received.is_none() || peer.last_sent.is_none() {
            let missing = |what: Option<Duration>, text: &'static str| match what {
                Some(_) => "",
                None => text,
            };
            format!(
                "socket no message in first {} seconds{}{}",
                grace.as_secs(),
                missing(peer.last_received, ", never received from peer"),
                missing(peer.last_sent, ", never sent to peer"),
            )
        } else if peer
            .last_sent
            .is_some_and(|sent| now > sent.saturating_add(TIMEOUT))
        {
            format!("socket sending timeout: {}s", TIMEOUT.as_secs())
        } else if peer
            .last_received
            .is_some_and(|received| now > received.saturating_add(TIMEOUT))
        {
            format!("socket receive timeout: {}s", TIMEOUT.as_secs())
        } else if peer.transport_pending {
            "V2 handshake timeout".to_owned()
        } else if !peer.handshake_done {
            "version handshake timeout".to_owned()
        } else {
            return;
        };
        self.disconnect(id, &reason);
    }
}
