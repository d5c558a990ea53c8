//! Transactions, unspent outputs, the mempool, figures of the chain.

use super::format::{
    self, Cache, Failure, Format, bad_request, hash, integral, internal, json_only, no_format,
    not_found, reply,
};
use super::{Answer, Request};
use crate::store::codec::Reader;
use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash;
use bitcoin::hex::FromHex;
use bitcoin::{BlockHash, OutPoint, Transaction, Txid};
use btc_consensus::Coin;
use btc_interfaces::rpc::encode::{TxDetails, script_pubkey, transaction};
use btc_interfaces::rpc::value::from_amount;
use serde_json::{Value, json};
use std::sync::Arc;

/// Outputs that may be asked for at once.
const MAX_OUTPOINTS: usize = 15;
/// Bytes of an outpoint.
const OUTPOINT: usize = 36;

/// A transaction, and the block that it is in if it is in one.
type Found = (Arc<Transaction>, Option<BlockHash>);

pub(super) fn tx(request: &Request<'_>) -> Answer {
    let text = request.param;
    let (tx, block) =
        find(request, &hash(text)?)?.ok_or_else(|| not_found(format!("{text} not found")))?;
    reply(
        request.format,
        Cache::NoStore,
        || serialize(&*tx),
        || {
            let mut shown = transaction(&tx, &TxDetails::plain(request.parts.network()));
            if let Some(block) = block {
                shown.insert("blockhash".into(), json!(block.to_string()));
            }
            Value::Object(shown)
        },
    )
}

/// A transaction of the mempool or, if it is indexed, of the chain.
fn find(request: &Request<'_>, txid: &Txid) -> Result<Option<Found>, Failure> {
    let index = request.parts.indexes.txs.as_ref();
    if let Some(index) = index {
        index.follower().wait_until_synced();
    }
    if let Some(tx) = request.parts.mempool.get(txid) {
        return Ok(Some((tx, None)));
    }
    let Some(index) = index else { return Ok(None) };
    let found = index
        .find(txid)
        .map_err(|error| internal(error.to_string()))?;
    Ok(found.map(|found| (Arc::new(found.tx), Some(found.block))))
}

pub(super) fn chain_info(request: &Request<'_>) -> Answer {
    if request.format != Some(Format::Json) {
        return Err(json_only());
    }
    let info = request.call("getblockchaininfo", json!([]))?;
    Ok(format::json(&info, Cache::NoStore))
}

pub(super) fn deployment_info(request: &Request<'_>) -> Answer {
    if request.format != Some(Format::Json) {
        return Err(json_only());
    }
    let text = request.param;
    if text.is_empty() {
        let info = request.call("getdeploymentinfo", json!([]))?;
        return Ok(format::json(&info, Cache::NoStore));
    }
    let hash: BlockHash = hash(text)?;
    if request.parts.chain.block_summary(&hash).is_none() {
        return Err(bad_request("Block not found"));
    }
    let info = request.call("getdeploymentinfo", json!([text]))?;
    Ok(format::json(&info, Cache::Immutable))
}

pub(super) fn mempool(request: &Request<'_>) -> Answer {
    if !matches!(request.param, "contents" | "info") {
        return Err(bad_request(
            "Invalid URI format. Expected /rest/mempool/<info|contents>.json",
        ));
    }
    if request.format != Some(Format::Json) {
        return Err(json_only());
    }
    if request.param == "info" {
        let info = request.call("getmempoolinfo", json!([]))?;
        return Ok(format::json(&info, Cache::NoStore));
    }
    let flag = |name: &str, default: &str| {
        let text = request.query.get(name);
        match text.as_deref().unwrap_or(default) {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(bad_request(format!(
                "The \"{name}\" query parameter must be either \"true\" or \"false\"."
            ))),
        }
    };
    let (verbose, sequence) = (flag("verbose", "true")?, flag("mempool_sequence", "false")?);
    if verbose && sequence {
        return Err(bad_request(
            "Verbose results cannot contain mempool sequence values. (hint: set \"verbose=false\")",
        ));
    }
    let contents = request.call("getrawmempool", json!([verbose, sequence]))?;
    Ok(format::json(&contents, Cache::NoStore))
}

/// Outputs that are asked for, and whether the mempool counts.
struct Wanted {
    outpoints: Vec<OutPoint>,
    mempool: bool,
}

/// Reads `checkmempool/txid-n/txid-n` after a slash; `None` if there is nothing.
fn wanted_by_path(param: &str) -> Result<Option<Wanted>, Failure> {
    let Some(path) = param.get(1..).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let mut parts = path.split('/').peekable();
    let mempool = parts.next_if_eq(&"checkmempool").is_some();
    let parse_error = || bad_request("Parse error");
    let mut outpoints = Vec::new();
    for part in parts {
        let (txid, vout) = part.split_once('-').ok_or_else(parse_error)?;
        let txid = hash(txid).map_err(|_| parse_error())?;
        let vout = integral(vout).ok_or_else(parse_error)?;
        outpoints.push(OutPoint { txid, vout });
    }
    if outpoints.is_empty() {
        return Err(bad_request("Error: empty request"));
    }
    Ok(Some(Wanted { outpoints, mempool }))
}

/// Reads what is sent as bytes (BIP 64).
fn wanted_by_body(body: &[u8]) -> Option<Wanted> {
    let mut reader = Reader::new(body);
    let mempool = reader.u8().ok()? != 0;
    let count = reader.compact_size().ok()?;
    if count > reader.rest().len() / OUTPOINT {
        return None;
    }
    let mut outpoints = Vec::with_capacity(count);
    for _ in 0..count {
        outpoints.push(OutPoint {
            txid: Txid::from_byte_array(reader.array().ok()?),
            vout: reader.u32_le().ok()?,
        });
    }
    Some(Wanted { outpoints, mempool })
}

fn wanted(request: &Request<'_>) -> Result<Wanted, Failure> {
    let empty = || bad_request("Error: empty request");
    let by_path = wanted_by_path(request.param)?;
    if by_path.is_none() && request.body.is_empty() {
        return Err(empty());
    }
    let body = match request.format {
        None => return Err(no_format()),
        Some(Format::Json) => return by_path.ok_or_else(empty),
        Some(Format::Binary) => request.body.to_vec(),
        Some(Format::Hex) => {
            let text = String::from_utf8_lossy(request.body);
            Vec::from_hex(text.trim()).unwrap_or_default()
        }
    };
    match by_path {
        Some(_) if !body.is_empty() => Err(bad_request(
            "Combination of URI scheme inputs and raw post data is not allowed",
        )),
        Some(wanted) => Ok(wanted),
        None if body.is_empty() => Ok(Wanted {
            outpoints: Vec::new(),
            mempool: false,
        }),
        None => wanted_by_body(&body).ok_or_else(|| bad_request("Parse error")),
    }
}

pub(super) fn utxos(request: &Request<'_>) -> Answer {
    let Wanted { outpoints, mempool } = wanted(request)?;
    if outpoints.len() > MAX_OUTPOINTS {
        return Err(bad_request(format!(
            "Error: max outpoints exceeded (max: {MAX_OUTPOINTS}, tried: {})",
            outpoints.len()
        )));
    }
    let parts = request.parts;
    let coins = outpoints.iter().map(|outpoint| {
        let coin = if mempool {
            parts.mempool.unspent(&parts.chain, outpoint)
        } else {
            parts.chain.coin(outpoint)
        };
        coin.map_err(|error| internal(error.to_string()))
    });
    let coins = coins.collect::<Result<Vec<Option<Coin>>, Failure>>()?;
    let tip = parts.chain.tip();
    let found = || coins.iter().flatten();
    reply(
        request.format,
        Cache::NoStore,
        || {
            let mut bitmap = vec![0_u8; coins.len().div_ceil(8)];
            for (index, _) in coins.iter().enumerate().filter(|(_, coin)| coin.is_some()) {
                bitmap[index / 8] |= 1 << (index % 8);
            }
            let mut out = tip.height.to_le_bytes().to_vec();
            out.extend_from_slice(tip.hash.as_byte_array());
            out.extend(serialize(&bitmap));
            out.extend(serialize(&bitcoin::VarInt(found().count() as u64)));
            for coin in found() {
                // Where the transaction's version once stood.
                out.extend_from_slice(&0_u32.to_le_bytes());
                out.extend_from_slice(&coin.height.to_le_bytes());
                out.extend(serialize(&coin.output));
            }
            out
        },
        || {
            let bits = coins
                .iter()
                .map(|coin| if coin.is_some() { '1' } else { '0' });
            let shown = found().map(|coin| {
                json!({
                    "height": coin.height,
                    "value": from_amount(coin.output.value),
                    "scriptPubKey": script_pubkey(&coin.output.script_pubkey, parts.network()),
                })
            });
            json!({
                "chainHeight": tip.height,
                "chaintipHash": tip.hash.to_string(),
                "bitmap": bits.collect::<String>(),
                "utxos": shown.collect::<Vec<_>>(),
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_body_is_too_strange(body in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Some(wanted) = wanted_by_body(&body) {
                prop_assert!(wanted.outpoints.len() <= body.len() / OUTPOINT);
            }
        }
    }

    #[test]
    fn paths_name_outputs() {
        let txid = "00".repeat(31) + "01";
        let read = |path: &str| wanted_by_path(path).map_err(|failure| failure.to_string());
        assert!(matches!(read(""), Ok(None)));
        assert!(matches!(read("/"), Ok(None)));
        let wanted = read(&format!("/checkmempool/{txid}-1/{txid}-2"));
        let wanted = wanted.expect("is fine").expect("is there");
        assert!(wanted.mempool);
        assert_eq!(wanted.outpoints.len(), 2);
        assert_eq!(wanted.outpoints[1].vout, 2);
        for path in [
            "/x",
            "/checkmempool",
            "/aa-1",
            &format!("/{txid}-+1"),
            &format!("/{txid}--1"),
        ] {
            assert!(read(path).is_err(), "{path}");
        }
    }
}
