//! What the node knows of addresses, in one place: the book, the bans, its own.

use super::address::{NetAddress, Network, PeerAddress};
use super::addrman::AddrMan;
use super::bans::Bans;
use super::local::LocalAddresses;
use super::netgroup::NetGroups;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All of it. No two of its locks are held at once.
#[derive(Debug)]
pub struct Directory {
    book: Mutex<AddrMan>,
    bans: Mutex<Bans>,
    local: Mutex<LocalAddresses>,
    reachable: Mutex<Vec<Network>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic leaves may be less than complete, and is bounded and checked wherever it is used.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Directory {
    /// Of these, for a node that reaches these networks.
    pub fn new(book: AddrMan, bans: Bans, reachable: Vec<Network>) -> Self {
        Self {
            book: Mutex::new(book),
            bans: Mutex::new(bans),
            local: Mutex::default(),
            reachable: Mutex::new(reachable),
        }
    }

    /// With nothing in it, for a node that reaches the internet.
    pub fn empty(seed: [u8; 32]) -> Self {
        const BAN_TIME: i64 = 24 * 60 * 60;
        let book = AddrMan::new(NetGroups::default(), seed, 0);
        Self::new(
            book,
            Bans::new(BAN_TIME),
            vec![Network::Ipv4, Network::Ipv6],
        )
    }

    /// The book.
    pub fn book(&self) -> MutexGuard<'_, AddrMan> {
        lock(&self.book)
    }

    /// The bans.
    pub fn bans(&self) -> MutexGuard<'_, Bans> {
        lock(&self.bans)
    }

    /// This node's own addresses.
    pub fn local(&self) -> MutexGuard<'_, LocalAddresses> {
        lock(&self.local)
    }

    /// The networks that are reached.
    pub fn reachable(&self) -> Vec<Network> {
        lock(&self.reachable).clone()
    }

    /// There is a way to a network from now on.
    pub fn reach(&self, network: Network) {
        let mut reachable = lock(&self.reachable);
        if !reachable.contains(&network) {
            reachable.push(network);
        }
    }

    /// Whether an address is of a network that is reached.
    pub fn reaches(&self, address: NetAddress) -> bool {
        lock(&self.reachable).contains(&address.network())
    }

    /// Addresses of the book at random, without those that are not connected to. See
    /// [`AddrMan::addresses`].
    pub fn addresses(
        &self,
        max: usize,
        max_percent: usize,
        network: Option<Network>,
        now: i64,
    ) -> Vec<PeerAddress> {
        let mut found = self.book().addresses(max, max_percent, network, true, now);
        let bans = self.bans();
        found.retain(|told| {
            let address = told.endpoint.address;
            !bans.is_banned(address, now) && !bans.is_discouraged(address)
        });
        found
    }
}
