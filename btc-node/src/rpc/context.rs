//! What the methods of the chain, the mempool and mining work on, and how a category registers them.

use super::registry::{Registration, Registry, RequestContext, RpcResult, TextResult};
use crate::chainstate::{BlockSummary, ChainstateManager, SubmitError};
use crate::index::{IndexError, Indexes};
use crate::mempool::Mempool;
use crate::mining::TemplateOptions;
use crate::store::StoreError;
use bitcoin::{BlockHash, Network, Transaction};
use btc_interfaces::rpc::table::Method;
use btc_interfaces::rpc::{RpcError, code};
use std::path::PathBuf;
use std::sync::Arc;

/// The parts of a node that its RPC methods show and change.
#[derive(Clone)]
pub struct NodeParts {
    /// The chain.
    pub chain: Arc<ChainstateManager>,
    /// The mempool.
    pub mempool: Arc<Mempool>,
    /// The indexes that are kept.
    pub indexes: Arc<Indexes>,
    /// How block templates are made.
    pub template: TemplateOptions,
    /// The template that miners were given last.
    pub given_template: Arc<super::mining::GivenTemplate>,
    /// The user agent, `/Name:1.2.3(comment)/`.
    pub subversion: String,
    /// The version as one number, 10000 * major + 100 * minor + patch.
    pub client_version: i64,
    /// Warnings to show, now.
    pub warnings: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Methods that `-deprecatedrpc` names.
    pub deprecated: Vec<String>,
    /// The network, once it is open.
    pub peers: super::network::FindPeers,
    /// Whether transactions are taken from peers (not `-blocksonly`).
    pub relays_transactions: bool,
    /// Where `savemempool` writes.
    pub mempool_path: PathBuf,
    /// Whether scanning of the coins is under way, and how far.
    pub scan: Arc<super::blockchain::scan::Scan>,
    /// Whether a search in the filters is under way, and how far.
    pub filter_scan: Arc<super::blockchain::filters::FilterScan>,
}

/// A method and what runs it.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The method's table.
    pub method: Method,
    /// Runs a call.
    pub run: fn(&NodeParts, &RequestContext<'_>) -> RpcResult,
}

/// A method with a large result, and what writes it.
#[derive(Clone, Copy)]
pub struct TextEntry {
    /// The method's table.
    pub method: Method,
    /// Runs a call.
    pub run: fn(&NodeParts, &RequestContext<'_>) -> TextResult,
}

/// Registers the methods of one category; they are gone when the registrations are dropped.
#[must_use = "dropping the registrations takes the methods away"]
pub fn register(
    registry: &Registry,
    parts: &Arc<NodeParts>,
    entries: &'static [Entry],
) -> Vec<Registration> {
    entries
        .iter()
        .map(|entry| {
            let parts = Arc::clone(parts);
            registry.register(
                &entry.method,
                Arc::new(move |context: &RequestContext<'_>| (entry.run)(&parts, context)),
            )
        })
        .collect()
}

/// Registers the methods of every category that works on these parts.
#[must_use = "dropping the registrations takes the methods away"]
pub fn register_all(registry: &Registry, parts: &Arc<NodeParts>) -> Vec<Registration> {
    entries()
        .into_iter()
        .flat_map(|entries| register(registry, parts, entries))
        .chain(register_texts(registry, parts))
        .collect()
}

/// The methods of every category, but for those with large results.
pub(super) fn entries() -> [&'static [Entry]; 7] {
    [
        super::blockchain::methods(),
        super::fees::methods(),
        super::mempool::methods(),
        super::mining::methods(),
        super::network::methods(),
        super::rawtransaction::methods(),
        super::util::methods(),
    ]
}

/// The methods with large results.
pub(super) fn text_entries() -> impl Iterator<Item = &'static TextEntry> {
    let categories = [
        super::blockchain::TEXTS,
        super::mempool::TEXTS,
        super::mining::TEXTS,
    ];
    categories.into_iter().flatten()
}

fn register_texts(registry: &Registry, parts: &Arc<NodeParts>) -> Vec<Registration> {
    text_entries()
        .map(|entry| {
            let parts = Arc::clone(parts);
            registry.register_text(
                &entry.method,
                Arc::new(move |context: &RequestContext<'_>| (entry.run)(&parts, context)),
            )
        })
        .collect()
}

impl NodeParts {
    /// The network whose addresses are shown.
    pub fn network(&self) -> Network {
        self.chain.params().chain.network()
    }

    /// A block that the caller named.
    pub fn block(&self, hash: &BlockHash) -> Result<BlockSummary, RpcError> {
        self.chain.block_summary(hash).ok_or_else(block_not_found)
    }

    /// Whether `-deprecatedrpc` names it.
    pub fn is_deprecated_enabled(&self, name: &str) -> bool {
        self.deprecated.iter().any(|enabled| enabled == name)
    }
}

/// No such block is known.
pub fn block_not_found() -> RpcError {
    RpcError::new(code::INVALID_ADDRESS_OR_KEY, "Block not found")
}

/// The node's own disk or database failed.
pub fn store_error(error: StoreError) -> RpcError {
    RpcError::new(code::INTERNAL_ERROR, error.to_string())
}

/// An index failed.
pub fn index_error(error: IndexError) -> RpcError {
    RpcError::new(code::INTERNAL_ERROR, error.to_string())
}

/// A change of the chain failed.
pub fn submit_error(error: SubmitError) -> RpcError {
    match error {
        SubmitError::UnknownBlock(_) => block_not_found(),
        SubmitError::Rejected(rejection) => {
            RpcError::new(code::DATABASE_ERROR, crate::mining::reject_text(&rejection))
        }
        other => RpcError::new(code::DATABASE_ERROR, other.to_string()),
    }
}

/// A transaction from hexadecimal text, with or without witnesses; `None` if it is none.
pub fn decode_transaction(hex: &str) -> Option<Transaction> {
    let bytes = <Vec<u8> as bitcoin::hex::FromHex>::from_hex(hex).ok()?;
    bitcoin::consensus::deserialize(&bytes).ok()
}
