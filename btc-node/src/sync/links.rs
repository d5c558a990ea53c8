//! Which connections there are, are being made, and are wanted.

use super::ConnectionKind;
use crate::net::connections::Opened;
use crate::net::dial::SharedRoutes;
use crate::net::{Endpoint, PeerAddress};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A connection to be made, or made.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What the user wrote, if it was the user.
    pub name: Option<String>,
    /// The address, if it is one.
    pub address: Option<PeerAddress>,
    /// What for.
    pub kind: ConnectionKind,
    /// Encrypted if the peer can.
    pub v2: bool,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Link {
    /// The peer's address.
    pub address: Endpoint,
    /// What the user wrote to reach it.
    pub name: Option<String>,
    /// Who made it, and what for.
    pub kind: ConnectionKind,
    /// How it came about, if this node made it.
    attempt: Option<Attempt>,
}

impl Link {
    /// What it offers, as the book says.
    pub fn services(&self) -> u64 {
        self.attempt
            .as_ref()
            .and_then(|attempt| attempt.address)
            .map_or(0, |address| address.services)
    }
}

/// A peer that the user wants to be connected to.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// An address or name, with or without port.
    pub target: String,
    /// Encrypted if the peer can.
    pub v2: bool,
    /// Of `-connect`: not shown, and tried all the time.
    pub fixed: bool,
    /// When it is tried next, since 1970.
    pub next: Duration,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Links {
    /// Those that are there, by their names.
    pub open: BTreeMap<u64, Link>,
    /// Those that the user wants.
    pub wanted: Vec<Wanted>,
    attempts: HashMap<u64, Attempt>,
    next_attempt: u64,
}

impl Links {
    /// None yet, and those that the user wants.
    pub fn new(wanted: Vec<Wanted>) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// Notes that a connection is being made, and gives its number.
    pub fn begin(&mut self, attempt: Attempt) -> u64 {
        let number = self.next_attempt;
        self.next_attempt += 1;
        self.attempts.insert(number, attempt);
        number
    }

    /// Whether an attempt is under way.
    pub fn is_pending(&self, number: u64) -> bool {
        self.attempts.contains_key(&number)
    }

    /// An attempt came to its end.
    pub fn end(&mut self, number: u64) -> Option<Attempt> {
        self.attempts.remove(&number)
    }

    /// A connection is gone; its attempt goes on under its number, if it is tried once more.
    pub fn remove(&mut self, id: u64, retrying: Option<u64>) {
        let link = self.open.remove(&id);
        if let (Some(number), Some(attempt)) = (retrying, link.and_then(|link| link.attempt)) {
            self.attempts.insert(
                number,
                Attempt {
                    v2: false,
                    ..attempt
                },
            );
        }
    }

    /// A connection is there.
    pub fn add(&mut self, opened: &Opened, attempt: Option<Attempt>) -> Link {
        let link = Link {
            address: opened.address,
            kind: attempt
                .as_ref()
                .map_or(ConnectionKind::Inbound, |attempt| attempt.kind),
            name: attempt.as_ref().and_then(|attempt| attempt.name.clone()),
            attempt,
        };
        self.open.insert(opened.id, link.clone());
        link
    }

    /// Connections of a kind, those being made included.
    pub fn count(&self, kind: ConnectionKind) -> usize {
        let open = self.open.values().filter(|link| link.kind == kind);
        let begun = self
            .attempts
            .values()
            .filter(|attempt| attempt.kind == kind);
        open.count() + begun.count()
    }

    /// Connections that this node made or makes by itself.
    pub fn automatic(&self) -> usize {
        let open = self.open.values().filter(|link| link.kind.is_automatic());
        let begun = self
            .attempts
            .values()
            .filter(|attempt| attempt.kind.is_automatic());
        open.count() + begun.count()
    }

    /// Kind and address of every connection, those being made included.
    pub fn connections(&self) -> Vec<(ConnectionKind, Endpoint)> {
        let open = self.open.values().map(|link| (link.kind, link.address));
        let begun = self
            .attempts
            .values()
            .filter_map(|attempt| Some((attempt.kind, attempt.address?.endpoint)));
        open.chain(begun).collect()
    }

    /// Whether there is a connection to what the user wrote, or one is being made.
    pub fn reaches(&self, target: &str, notation: &Notation) -> bool {
        self.find(target, notation).is_some()
            || self
                .attempts
                .values()
                .any(|attempt| attempt.name.as_deref() == Some(target))
    }

    /// The connection to what the user wrote.
    pub fn find(&self, target: &str, notation: &Notation) -> Option<(u64, &Link)> {
        let address = notation.read(target);
        self.open
            .iter()
            .find(|(_, link)| link.name.as_deref() == Some(target) || address == Some(link.address))
            .map(|(id, link)| (*id, link))
    }

    /// Whether the user keeps a connection to an address.
    pub fn is_added(&self, endpoint: Endpoint, notation: &Notation) -> bool {
        self.wanted
            .iter()
            .any(|wanted| notation.read(&wanted.target) == Some(endpoint))
    }
}

/// How addresses are read that the user writes.
#[derive(Clone, Debug)]
pub struct Notation {
    /// The port of those that name none.
    pub default_port: u16,
    /// Which networks are reached how.
    pub routes: SharedRoutes,
}

impl Notation {
    /// The address that a text stands for; `None` if it is a name.
    pub fn read(&self, text: &str) -> Option<Endpoint> {
        self.routes.parse(text, self.default_port)
    }

    /// Whether two targets are one: written alike, or the same address.
    pub fn same(&self, one: &str, other: &str) -> bool {
        let address = self.read(one);
        one == other || (address.is_some() && address == self.read(other))
    }
}
