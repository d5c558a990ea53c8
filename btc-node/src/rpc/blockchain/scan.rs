//! Looking for unspent outputs by their scripts.

use super::super::context::{Entry, NodeParts, submit_error};
use super::super::registry::{RequestContext, RpcResult};
use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, ScriptBuf};
use btc_consensus::Coin;
use btc_interfaces::descriptor::Descriptor;
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The one scan that may be under way.
#[derive(Debug, Default)]
pub struct Scan {
    running: AtomicBool,
    abort: AtomicBool,
    /// In percent.
    progress: AtomicU32,
}

/// Ends the scan when dropped.
struct Running<'a>(&'a Scan);

impl Scan {
    fn start(&self) -> Option<Running<'_>> {
        let free = !self.running.swap(true, Ordering::AcqRel);
        free.then(|| {
            self.abort.store(false, Ordering::Release);
            self.progress.store(0, Ordering::Release);
            Running(self)
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

/// Descriptors to look for, as elements of an argument.
pub(in crate::rpc) const SCAN_OBJECTS: &[Arg] = &[
    Arg::optional("descriptor", Kind::String, "A descriptor"),
    Arg::optional("", Kind::Object, "A descriptor with a range").with(&[
        Arg::required("desc", Kind::String, "The descriptor"),
        Arg::default(
            "range",
            Kind::Range,
            "1000",
            "Up to which index, or from which to which",
        ),
    ]),
];

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[Entry {
    method: Method {
        name: "scantxoutset",
        category: "blockchain",
        summary: "Looks through all unspent outputs for those that descriptors describe.",
        args: &[
            Arg::required(
                "action",
                Kind::String,
                "start looks, abort ends a search under way, status shows how far it is",
            ),
            Arg::optional("scanobjects", Kind::Array, "Descriptors; needed to start")
                .with(SCAN_OBJECTS)
                .shown_as("[scanobjects,...]"),
        ],
        results: crate::rpc::results::chain::SCAN_TX_OUT_SET,
        examples: &["start \"[\\\"raw(51)#8lvh9jxk\\\"]\"", "status", "abort"],
    },
    run: scan_tx_out_set,
}];

fn scan_tx_out_set(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let scan = &parts.scan;
    match context.arguments.string(0)? {
        "status" => Ok(if scan.running.load(Ordering::Acquire) {
            json!({ "progress": scan.progress.load(Ordering::Acquire) })
        } else {
            Value::Null
        }),
        "abort" => {
            let running = scan.running.load(Ordering::Acquire);
            scan.abort.store(running, Ordering::Release);
            Ok(json!(running))
        }
        "start" => start(parts, context),
        other => Err(RpcError::new(
            code::INVALID_PARAMETER,
            format!("Invalid action '{other}'"),
        )),
    }
}

fn start(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let Some(running) = parts.scan.start() else {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            "Scan already in progress, use action \"abort\" or \"status\"",
        ));
    };
    if context.arguments.opt(1).is_none() {
        return Err(RpcError::new(
            code::MISC_ERROR,
            "scanobjects argument is required for the start action",
        ));
    }
    let mut needles = HashMap::new();
    for object in context.arguments.array(1)? {
        needles.extend(scripts(parts, object)?);
    }
    let scan = running.0;
    let (mut searched, mut completed) = (0u64, true);
    let mut found: Vec<(OutPoint, Coin)> = Vec::new();
    let best_block = parts
        .chain
        .scan_coins(|outpoint, coin| {
            if searched.is_multiple_of(8192) {
                // Coins come in the order of the ids' bytes.
                let [first, second, ..] = outpoint.txid.to_byte_array();
                let part = u32::from(first) * 256 + u32::from(second);
                scan.progress.store(part * 100 / 65_536, Ordering::Release);
                if scan.abort.load(Ordering::Acquire) || context.interrupt.is_raised() {
                    completed = false;
                    return false;
                }
            }
            searched += 1;
            if needles.contains_key(&coin.output.script_pubkey) {
                found.push((*outpoint, coin.clone()));
            }
            true
        })
        .map_err(submit_error)?;
    let tip = parts.block(&best_block)?;
    found.sort_by_key(|(outpoint, _)| (outpoint.txid.to_byte_array(), outpoint.vout));
    let total: Amount = found.iter().map(|(_, coin)| coin.output.value).sum();
    let unspents = found.iter().map(|(outpoint, coin)| {
        let script = &coin.output.script_pubkey;
        json!({
            "txid": outpoint.txid.to_string(),
            "vout": outpoint.vout,
            "scriptPubKey": script.to_hex_string(),
            "desc": needles.get(script),
            "amount": value::from_amount(coin.output.value),
            "coinbase": coin.coinbase,
            "height": coin.height,
            "blockhash": parts.chain.hash_at(coin.height).map(|hash| hash.to_string()),
            "confirmations": tip.height.saturating_sub(coin.height) + 1,
        })
    });
    Ok(json!({
        "success": completed,
        "txouts": searched,
        "height": tip.height,
        "bestblock": best_block.to_string(),
        "unspents": unspents.collect::<Vec<_>>(),
        "total_amount": value::from_amount(total),
    }))
}

/// The scripts that an element of `scanobjects` stands for, each with the descriptor that is shown for it.
pub(super) fn scripts(
    parts: &NodeParts,
    object: &Value,
) -> Result<Vec<(ScriptBuf, String)>, RpcError> {
    let (text, range) = match object {
        Value::String(text) => (text.as_str(), None),
        Value::Object(fields) => {
            let text = fields.get("desc").ok_or_else(|| {
                RpcError::new(
                    code::INVALID_PARAMETER,
                    "Descriptor needs to be provided in scan object",
                )
            })?;
            let range = fields.get("range").filter(|range| !range.is_null());
            (
                value::string(text)?,
                range.map(value::descriptor_range).transpose()?,
            )
        }
        _ => {
            return Err(RpcError::new(
                code::INVALID_PARAMETER,
                "Scan object needs to be either a string or an object",
            ));
        }
    };
    let invalid = |error: &dyn std::fmt::Display| {
        RpcError::new(code::INVALID_ADDRESS_OR_KEY, error.to_string())
    };
    let descriptors = Descriptor::parse_multipath(text, parts.network(), false)
        .map_err(|error| invalid(&error))?;
    // The texts of one multipath descriptor differ in numbers alone.
    let range = if descriptors[0].descriptor.is_range() {
        range.unwrap_or(0..=1000)
    } else {
        0..=0
    };
    let mut scripts = Vec::new();
    for parsed in &descriptors {
        let mut cache = Default::default();
        for index in range.clone() {
            let expansion = parsed
                .descriptor
                .expand(index, &parsed.secrets, &mut cache)
                .map_err(|_| {
                    invalid(&format!(
                        "Cannot derive script without private keys: '{text}'"
                    ))
                })?;
            for script in &expansion.scripts {
                let shown = Descriptor::infer(script, &expansion.keys, parts.network()).to_string();
                scripts.push((script.script_pubkey.clone(), shown));
            }
        }
    }
    Ok(scripts)
}
