//! REST: public data of the chain and the mempool over plain GET requests, without a password (`-rest`).
//!
//! | module | what it answers |
//! |---|---|
//! | `blocks` | blocks, parts of them, headers, hashes, what blocks spent |
//! | `filters` | compact filters and their headers |
//! | `transactions` | transactions, unspent outputs, the mempool, figures of the chain |
//! | `format` | what a request's path says, and how a reply is written |
//!
//! Paths, parameters, formats and error texts are those of Core's `doc/REST-interface.md`.

mod blocks;
mod filters;
mod format;
mod transactions;

use super::context::NodeParts;
use super::registry::Registry;
use btc_interfaces::rpc::RpcRequest;
pub use format::Reply;
use format::{Failure, Format, Query, bad_request, internal, split_format};
use serde_json::Value;
use std::sync::{Arc, PoisonError, RwLock};

/// Where REST paths begin.
pub const PREFIX: &str = "/rest/";

/// What answers REST requests. Until the chain is loaded it says that the node is warming up.
pub struct Rest {
    registry: Registry,
    parts: RwLock<Option<Arc<NodeParts>>>,
}

/// A request on its way to an answer.
struct Request<'a> {
    rest: &'a Rest,
    parts: &'a NodeParts,
    /// The path after the prefix, without query and format.
    param: &'a str,
    format: Option<Format>,
    query: Query<'a>,
    body: &'a [u8],
}

type Answer = Result<Reply, Failure>;
type Handler = fn(&Request<'_>) -> Answer;

/// Prefixes of paths after [`PREFIX`]; the first that fits counts.
const HANDLERS: &[(&str, Handler)] = &[
    ("tx/", transactions::tx),
    ("block/notxdetails/", blocks::block_without_details),
    ("block/", blocks::block),
    ("blockpart/", blocks::block_part),
    ("blockfilter/", filters::filter),
    ("blockfilterheaders/", filters::headers),
    ("chaininfo", transactions::chain_info),
    ("mempool/", transactions::mempool),
    ("headers/", blocks::headers),
    ("getutxos", transactions::utxos),
    ("deploymentinfo/", transactions::deployment_info),
    ("deploymentinfo", transactions::deployment_info),
    ("blockhashbyheight/", blocks::hash_by_height),
    ("spenttxouts/", blocks::spent_outputs),
];

impl Rest {
    /// REST of a node that is not loaded yet.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            parts: RwLock::default(),
        }
    }

    /// Answers from these parts from now on.
    pub fn open(&self, parts: Arc<NodeParts>) {
        *self.parts.write().unwrap_or_else(PoisonError::into_inner) = Some(parts);
    }

    /// Lets the parts go; requests are refused from now on.
    pub fn close(&self) {
        *self.parts.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Answers a request for a path with its query, which begins with [`PREFIX`]; `None` if there is no such thing.
    pub fn answer(&self, target: &str, body: &[u8]) -> Option<Reply> {
        let rest = target.strip_prefix(PREFIX)?;
        let (part, handler) = HANDLERS
            .iter()
            .find_map(|(prefix, handler)| Some((rest.strip_prefix(prefix)?, handler)))?;
        let answer = self.parts().and_then(|parts| {
            let (param, format) = split_format(part);
            handler(&Request {
                rest: self,
                parts: &parts,
                param,
                format,
                query: Query::of(target),
                body,
            })
        });
        Some(answer.unwrap_or_else(Failure::into_reply))
    }

    fn parts(&self) -> Result<Arc<NodeParts>, Failure> {
        let unavailable = |status: &str| {
            let text = format!("Service temporarily unavailable: {status}");
            Failure::new(503, text)
        };
        if let Some(status) = self.registry.warmup_status() {
            return Err(unavailable(&status));
        }
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        parts.clone().ok_or_else(|| unavailable("Shutting down"))
    }
}

impl Request<'_> {
    /// What an RPC method gives.
    fn call(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let reply = self.rest.registry.execute(RpcRequest {
            method: method.to_owned(),
            params,
            uri: "/".to_owned(),
            auth_user: String::new(),
            repeated: Vec::new(),
        });
        match reply.error {
            None => Ok(reply.result),
            Some(error) => Err(internal(error.message)),
        }
    }

    /// The parts of the path.
    fn path(&self) -> Vec<&str> {
        self.param.split('/').collect()
    }

    /// The number of headers that is asked for, by the path in its old form or by the query.
    fn count(&self, old: Option<&str>) -> Result<usize, Failure> {
        const MAX: usize = 2000;
        let text = match old {
            Some(text) => text.to_owned(),
            None => self.query.get("count").unwrap_or_else(|| "5".to_owned()),
        };
        format::integral(&text)
            .filter(|count| (1..=MAX).contains(count))
            .ok_or_else(|| {
                bad_request(format!(
                    "Header count is invalid or out of acceptable range (1-{MAX}): {text}"
                ))
            })
    }
}
