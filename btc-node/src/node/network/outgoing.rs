//! Connections that this node makes: those that the user wants, and those that it chooses.

use super::{Network, lock};
use crate::net::PeerAddress;
use crate::sync::dial::{Dial, Situation};
use crate::sync::links::{Attempt, Links};
use crate::sync::{ConnectionKind, admission};
use bitcoin::p2p::ServiceFlags;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the RPC waits for a connection that it asks for.
const MAX_ATTEMPT_WAIT: Duration = Duration::from_secs(20);
/// Between attempts to reach a peer that the user wants.
const RETRY_ADDED: Duration = Duration::from_secs(60);
const RETRY_CONNECT: Duration = Duration::from_millis(500);

impl Network {
    /// Begins to make a connection. Gives the attempt's number, if there is anything to try.
    pub(super) fn connect(&self, attempt: Attempt) -> Option<u64> {
        let target = match (&attempt.name, attempt.address) {
            (Some(name), _) => name.clone(),
            (None, Some(address)) => address.endpoint.to_string(),
            (None, None) => return None,
        };
        let hours = attempt.address.map_or(0.0, |address| {
            (self.seconds() - i64::from(address.time)) as f64 / 3600.0
        });
        tracing::debug!(
            target: "net",
            "trying {} connection ({}) to {target}, lastseen={hours:.1}hrs",
            if attempt.v2 { "v2" } else { "v1" },
            attempt.kind.as_str()
        );
        let v2 = attempt.v2;
        let number = lock(&self.links).begin(attempt);
        self.connections.connect(number, target, v2);
        Some(number)
    }

    /// Waits for the end of an attempt, well or not, as long as one usually takes.
    pub(super) fn wait_for(&self, attempt: u64) {
        let links = lock(&self.links);
        let pending = |links: &mut Links| links.is_pending(attempt) && !self.stop.is_stopped();
        // What is not over by then goes on by itself.
        let _ = self
            .attempt_ended
            .wait_timeout_while(links, MAX_ATTEMPT_WAIT, pending);
    }

    /// Tries to reach the peers that the user wants and that are not there.
    pub(super) fn connect_wanted(&self) {
        if !self.is_active() {
            return;
        }
        // Not the mocked time: a clock that stands still must not keep peers away.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut due = Vec::new();
        {
            let mut links = lock(&self.links);
            let targets: Vec<(usize, String, bool)> = links
                .wanted
                .iter()
                .enumerate()
                .filter(|(_, wanted)| now >= wanted.next)
                .map(|(index, wanted)| (index, wanted.target.clone(), wanted.v2))
                .filter(|(_, target, _)| !links.reaches(target, &self.notation))
                .collect();
            for (index, target, v2) in targets {
                let wanted = &mut links.wanted[index];
                wanted.next = now
                    + if wanted.fixed {
                        RETRY_CONNECT
                    } else {
                        RETRY_ADDED
                    };
                due.push((target, v2));
            }
        }
        for (target, v2) in due {
            let _ = self.connect(Attempt {
                name: Some(target),
                address: None,
                kind: ConnectionKind::Manual,
                v2,
            });
        }
    }

    /// Makes the connections that are due by the node's own choice.
    pub(super) fn dial(&self) {
        if !self.is_active() || !self.dials {
            return;
        }
        let has_added = lock(&self.links).wanted.iter().any(|wanted| !wanted.fixed);
        lock(&self.fixed_seeds).help(self, has_added);
        let (extra, limited_is_enough) = {
            let peers = lock(&self.peers);
            (peers.wants_extra(), peers.limited_is_enough())
        };
        let connections = lock(&self.links).connections();
        let situation = Situation {
            now: self.now(),
            connections: &connections,
            is_added: &|endpoint| lock(&self.links).is_added(endpoint, &self.notation),
            try_extra: extra.0,
            extra_block_relay: extra.1,
            limited_is_enough,
        };
        let dials = lock(&self.dialer).next(&situation, &self.directory);
        for dial in dials {
            match dial {
                Dial::Fetch(name) => {
                    let _ = self.connect(Attempt {
                        name: Some(name),
                        address: None,
                        kind: ConnectionKind::AddrFetch,
                        v2: self.v2,
                    });
                }
                Dial::Peer {
                    address,
                    kind,
                    count_failure,
                } => self.dial_peer(address, kind, count_failure),
            }
        }
    }

    fn dial_peer(&self, address: PeerAddress, kind: ConnectionKind, count_failure: bool) {
        let connections = lock(&self.links).connections();
        let endpoint = address.endpoint;
        let now = self.seconds();
        if admission::outgoing(endpoint, count_failure, &connections, &self.directory, now) {
            let encrypts = ServiceFlags::from(address.services).has(ServiceFlags::P2P_V2);
            let _ = self.connect(Attempt {
                name: None,
                address: Some(address),
                kind,
                v2: self.v2 && encrypts,
            });
        }
    }
}
