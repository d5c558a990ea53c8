//! What blocks and the mempool hold of some scripts.

use super::blocks::{read_block, undo_unreadable};
use super::scan::SCAN_OBJECTS;
use super::scan::scripts;
use crate::rpc::context::{Entry, NodeParts, store_error};
use crate::rpc::registry::{RequestContext, RpcResult};
use bitcoin::{BlockHash, OutPoint, ScriptBuf, Transaction, TxOut};
use btc_interfaces::rpc::encode::script_details;
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[Entry {
    method: Method {
        name: "getdescriptoractivity",
        category: "blockchain",
        summary: "Lists what was received and spent by scripts of descriptors, in blocks that scanblocks found and in the mempool.",
        args: &[
            Arg::required(
                "blockhashes",
                Kind::Array,
                "Blocks of the active chain, in any order",
            )
            .with(&[Arg::optional("blockhash", Kind::StringHex, "A block")]),
            Arg::required("scanobjects", Kind::Array, "Descriptors")
                .with(SCAN_OBJECTS)
                .shown_as("[scanobjects,...]"),
            Arg::default(
                "include_mempool",
                Kind::Bool,
                "true",
                "Look into the mempool too",
            ),
        ],
        results: crate::rpc::results::chain::GET_DESCRIPTOR_ACTIVITY,
        examples: &[
            "'[\"000000000000000000001347062c12fded7c528943c8ce133987e2e2f5a840ee\"]' '[\"addr(bc1qzl6nsgqzu89a66l50cvwapnkw5shh23zarqkw9)\"]'",
        ],
    },
    run: get_descriptor_activity,
}];

/// Collects what happened to some scripts.
struct Watch<'a> {
    parts: &'a NodeParts,
    scripts: HashSet<ScriptBuf>,
    activity: Vec<Value>,
}

/// The block that something happened in, with its height; `None` for the mempool.
type Place = Option<(BlockHash, u32)>;

impl Watch<'_> {
    fn event(&self, kind: &str, output: &TxOut, place: Place) -> Map<String, Value> {
        let mut event = Map::new();
        event.insert("type".into(), json!(kind));
        event.insert("amount".into(), value::from_amount(output.value));
        if let Some((hash, height)) = place {
            event.insert("blockhash".into(), json!(hash.to_string()));
            event.insert("height".into(), json!(height));
        }
        event
    }

    fn spent(&mut self, tx: &Transaction, vin: usize, output: &TxOut, place: Place) {
        if !self.scripts.contains(&output.script_pubkey) {
            return;
        }
        let prevout = tx.input[vin].previous_output;
        let mut event = self.event("spend", output, place);
        event.insert("spend_txid".into(), json!(tx.compute_txid().to_string()));
        event.insert("spend_vin".into(), json!(vin));
        event.insert("prevout_txid".into(), json!(prevout.txid.to_string()));
        event.insert("prevout_vout".into(), json!(prevout.vout));
        let script = script_details(&output.script_pubkey, self.parts.network(), true);
        event.insert("prevout_spk".into(), script);
        self.activity.push(Value::Object(event));
    }

    fn received(&mut self, tx: &Transaction, place: Place) {
        for (vout, output) in tx.output.iter().enumerate() {
            if !self.scripts.contains(&output.script_pubkey) {
                continue;
            }
            let mut event = self.event("receive", output, place);
            event.insert("txid".into(), json!(tx.compute_txid().to_string()));
            event.insert("vout".into(), json!(vout));
            let script = script_details(&output.script_pubkey, self.parts.network(), true);
            event.insert("output_spk".into(), script);
            self.activity.push(Value::Object(event));
        }
    }
}

fn get_descriptor_activity(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let mut blocks = BTreeMap::new();
    for given in context.arguments.array(0)? {
        let hash: BlockHash = value::hash(given, "blockhash")?;
        let summary = parts.block(&hash)?;
        if !summary.active {
            return Err(RpcError::new(
                code::INVALID_PARAMETER,
                "Block is not in main chain",
            ));
        }
        blocks.insert(summary.height, summary);
    }
    let mut watch = Watch {
        parts,
        scripts: HashSet::new(),
        activity: Vec::new(),
    };
    for object in context.arguments.array(1)? {
        let found = scripts(parts, object)?;
        watch
            .scripts
            .extend(found.into_iter().map(|(script, _)| script));
    }
    for summary in blocks.values() {
        if context.interrupt.is_raised() {
            break;
        }
        let block = read_block(parts, summary)?;
        let place = Some((summary.hash, summary.height));
        let undo = if block.txdata.len() > 1 {
            let undo = parts.chain.read_undo(&summary.hash);
            undo.ok().flatten().ok_or_else(undo_unreadable)?
        } else {
            Default::default()
        };
        for (number, tx) in block.txdata.iter().enumerate() {
            // A coinbase spends nothing, and has no undo data.
            let coins = number.checked_sub(1).and_then(|number| undo.0.get(number));
            for (vin, coin) in coins.into_iter().flatten().enumerate() {
                watch.spent(tx, vin, &coin.output, place);
            }
            watch.received(tx, place);
        }
    }
    if context.arguments.bool(2)? {
        for tx in parts.mempool.transactions() {
            let outpoints: Vec<OutPoint> =
                tx.input.iter().map(|input| input.previous_output).collect();
            for (vin, outpoint) in outpoints.iter().enumerate() {
                let coin = parts.mempool.coin(&parts.chain, outpoint);
                // It may have left the mempool meanwhile.
                if let Some(coin) = coin.map_err(store_error)? {
                    watch.spent(&tx, vin, &coin.output, None);
                }
            }
            watch.received(&tx, None);
        }
    }
    Ok(json!({ "activity": watch.activity }))
}
