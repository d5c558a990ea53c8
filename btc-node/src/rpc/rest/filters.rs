//! Compact filters and their headers.

use super::blocks::active_blocks;
use super::format::{Cache, Failure, bad_request, hash, not_found, reply};
use super::{Answer, Request};
use crate::chain::Validity;
use crate::index::{FilterIndex, IndexError};
use bitcoin::BlockHash;
use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash;
use bitcoin::hex::DisplayHex;
use serde_json::json;

/// The number of basic filters in messages of peers.
const BASIC: u8 = 0;

/// The index of a type of filters.
fn index<'a>(request: &'a Request<'_>, name: &str) -> Result<&'a FilterIndex, Failure> {
    if name != "basic" {
        return Err(bad_request(format!("Unknown filtertype {name}")));
    }
    let index = request.parts.indexes.filters.as_ref();
    index.ok_or_else(|| bad_request(format!("Index is not enabled for filtertype {name}")))
}

/// What the index has; what it cannot read is told in the log and counts as missing.
fn found<T>(read: Result<Option<T>, IndexError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        tracing::error!("{error}");
        None
    })
}

fn missing(synced: bool) -> Failure {
    not_found(if synced {
        "Filter not found. This error is unexpected and indicates index corruption."
    } else {
        "Filter not found. Block filters are still in the process of being indexed."
    })
}

pub(super) fn filter(request: &Request<'_>) -> Answer {
    let [kind, text] = request.path()[..] else {
        return Err(bad_request(
            "Invalid URI format. Expected /rest/blockfilter/<filtertype>/<blockhash>",
        ));
    };
    let hash: BlockHash = hash(text)?;
    let index = index(request, kind)?;
    let block = request
        .parts
        .chain
        .block_summary(&hash)
        .ok_or_else(|| not_found(format!("{text} not found")))?;
    let synced = index.follower().wait_until_synced();
    let filter = found(index.filter(&block)).ok_or_else(|| {
        if block.validity < Validity::Scripts {
            not_found("Filter not found. Block was not connected to active chain.")
        } else {
            missing(synced)
        }
    })?;
    reply(
        request.format,
        Cache::Immutable,
        || {
            let mut bytes = vec![BASIC];
            bytes.extend_from_slice(hash.as_byte_array());
            bytes.extend(serialize(&filter.content));
            bytes
        },
        || json!({"filter": filter.content.to_lower_hex_string()}),
    )
}

pub(super) fn headers(request: &Request<'_>) -> Answer {
    let (kind, old_count, text) = match request.path()[..] {
        [kind, count, hash] => (kind, Some(count), hash),
        [kind, hash] => (kind, None, hash),
        _ => {
            return Err(bad_request(
                "Invalid URI format. Expected /rest/blockfilterheaders/<filtertype>/<blockhash>.<ext>?count=<count>",
            ));
        }
    };
    let count = request.count(old_count)?;
    let first: BlockHash = hash(text)?;
    let index = index(request, kind)?;
    let blocks = active_blocks(request, &first, count);
    let synced = index.follower().wait_until_synced();
    let headers = blocks
        .iter()
        .map(|block| found(index.header(block)).ok_or_else(|| missing(synced)));
    let headers = headers.collect::<Result<Vec<_>, _>>()?;
    reply(
        request.format,
        Cache::NoStore,
        || {
            let bytes = headers.iter().map(|header| header.to_byte_array());
            bytes.collect::<Vec<_>>().concat()
        },
        || {
            headers
                .iter()
                .map(|header| json!(header.to_string()))
                .collect()
        },
    )
}
