//! How the network of peers is opened.

use super::files::BookOptions;
use super::onion::OnionOptions;
use super::seeds::SeedOptions;
use crate::net::Endpoint;
use crate::node::options::{ConnectionLimit, RouteOptions, Whitelist};
use crate::sync::Permissions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) address: SocketAddr,
    /// What peers who come there may do (`-whitebind`).
    pub(crate) permissions: Permissions,
    /// Tor sends its peers there.
    pub(crate) onion: bool,
}

/// How the network is opened.
#[derive(Clone, Debug)]
pub(crate) struct NetworkOptions {
    /// Where to listen; empty for nowhere.
    pub(crate) listen: Vec<Listen>,
    /// Listen at these too if that works (the default addresses).
    pub(crate) listen_if_possible: Vec<SocketAddr>,
    /// Whether others may connect at all.
    pub(crate) listens: bool,
    /// `-connect`, without 0.
    pub(crate) connect: Vec<String>,
    /// Peers of the book are connected to: there is no `-connect`.
    pub(crate) dials: bool,
    /// `-addnode`.
    pub(crate) add: Vec<String>,
    /// `-seednode`.
    pub(crate) seed_nodes: Vec<String>,
    /// DNS.
    pub(crate) seeds: SeedOptions,
    /// Connections in all, and what they are limited by.
    pub(crate) limit: ConnectionLimit,
    /// Connections that this node makes by itself, at most.
    pub(crate) max_automatic: usize,
    /// Connections that others make, at most.
    pub(crate) max_inbound: usize,
    /// Of those, such that transactions are told to.
    pub(crate) max_inbound_relaying: usize,
    /// The chain's port.
    pub(crate) default_port: u16,
    /// The port of addresses of this node: where it listens.
    pub(crate) listen_port: u16,
    /// How peers are reached, and in which networks.
    pub(crate) ways: RouteOptions,
    /// `-timeout`.
    pub(crate) connect_timeout: Duration,
    /// `-peertimeout`.
    pub(crate) peer_timeout: Duration,
    /// `-v2transport`.
    pub(crate) v2: bool,
    /// `-dns`.
    pub(crate) look_up_names: bool,
    /// `-maxreceivebuffer` in bytes.
    pub(crate) max_receive_buffer: usize,
    /// `-maxsendbuffer` in bytes.
    pub(crate) max_send_buffer: usize,
    /// `-blocksonly`.
    pub(crate) blocks_only: bool,
    /// `-txreconciliation`.
    pub(crate) reconciliation: bool,
    /// `-peerbloomfilters`.
    pub(crate) bloom_filters: bool,
    /// `-maxuploadtarget` in bytes.
    pub(crate) upload_target: u64,
    /// `-txsendrate`.
    pub(crate) tx_send_rate: u32,
    /// `-blockreconstructionextratxn`.
    pub(crate) extra_transactions: usize,
    /// `-logips`.
    pub(crate) log_ips: bool,
    /// `-whitelist`.
    pub(crate) whitelist: Whitelist,
    /// `-peerblockfilters`.
    pub(crate) filters: bool,
    /// `-networkactive`.
    pub(crate) active: bool,
    /// `-externalip`.
    pub(crate) external: Vec<Endpoint>,
    /// `-discover`.
    pub(crate) discover: bool,
    /// `-capturemessages`.
    pub(crate) capture: bool,
    /// By what addresses are grouped (`-asmap`): a file, or nothing for the map in the program.
    pub(crate) asmap: Option<Option<PathBuf>>,
    /// The node's onion service, if it has one (`-listenonion`).
    pub(crate) onion: Option<OnionOptions>,
    /// `-fixedseeds`.
    pub(crate) fixed_seeds: bool,
    /// The address book.
    pub(crate) book: BookOptions,
}
