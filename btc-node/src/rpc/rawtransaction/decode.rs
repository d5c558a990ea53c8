//! Showing transactions and scripts.

use super::super::context::{Entry, NodeParts};
use super::super::registry::{RequestContext, RpcResult};
use bitcoin::consensus::{Decodable, deserialize};
use bitcoin::hashes::{Hash, hash160};
use bitcoin::hex::FromHex;
use bitcoin::{Address, Script, ScriptBuf, Transaction, WPubkeyHash};
use btc_interfaces::descriptor::{checksum, infer_miniscript};
use btc_interfaces::rpc::encode::{
    Pushes, ScriptKind, TxDetails, infer_descriptor, script_details, transaction,
};
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "decoderawtransaction",
            category: "rawtransactions",
            summary: "Shows a transaction that is given in hexadecimal.",
            args: &[
                Arg::required("hexstring", Kind::StringHex, "The transaction"),
                Arg::hint(
                    "iswitness",
                    Kind::Bool,
                    "depends on heuristic tests",
                    "Whether the hex is in the form that has witnesses; a transaction without inputs can be read both ways",
                ),
            ],
            results: crate::rpc::results::transactions::DECODE_RAW_TRANSACTION,
            examples: &["\"hexstring\""],
        },
        run: decode_raw_transaction,
    },
    Entry {
        method: Method {
            name: "decodescript",
            category: "rawtransactions",
            summary: "Shows a script that is given in hexadecimal, and what wraps it.",
            args: &[Arg::required("hexstring", Kind::StringHex, "The script")],
            results: crate::rpc::results::transactions::DECODE_SCRIPT,
            examples: &["\"hexstring\""],
        },
        run: decode_script,
    },
];

fn decode_raw_transaction(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let hex = context.arguments.string(0)?;
    let witness = context.arguments.opt_bool(1)?;
    let bytes = Vec::from_hex(hex).ok();
    let tx = bytes
        .and_then(|bytes| decode(&bytes, witness != Some(true), witness != Some(false)))
        .ok_or_else(|| RpcError::new(code::DESERIALIZATION_ERROR, "TX decode failed"))?;
    let details = TxDetails {
        include_hex: false,
        ..TxDetails::plain(parts.network())
    };
    Ok(Value::Object(transaction(&tx, &details)))
}

/// Reads a transaction in the form with witnesses, or in the one without, or in whichever gives scripts that make sense:
/// without inputs the forms look alike.
pub(super) fn decode(bytes: &[u8], try_plain: bool, try_witness: bool) -> Option<Transaction> {
    let extended: Option<Transaction> = try_witness.then(|| deserialize(bytes).ok()).flatten();
    if extended.as_ref().is_some_and(is_sane) {
        return extended;
    }
    let plain = try_plain.then(|| decode_plain(bytes)).flatten();
    if plain.as_ref().is_some_and(is_sane) {
        plain
    } else {
        extended.or(plain)
    }
}

/// The form without witnesses, which may have no inputs.
fn decode_plain(mut bytes: &[u8]) -> Option<Transaction> {
    let tx = Transaction {
        version: Decodable::consensus_decode(&mut bytes).ok()?,
        input: Decodable::consensus_decode(&mut bytes).ok()?,
        output: Decodable::consensus_decode(&mut bytes).ok()?,
        lock_time: Decodable::consensus_decode(&mut bytes).ok()?,
    };
    bytes.is_empty().then_some(tx)
}

fn is_sane(tx: &Transaction) -> bool {
    let inputs = tx
        .input
        .iter()
        .filter(|_| !tx.is_coinbase())
        .map(|input| &input.script_sig);
    let mut scripts = inputs.chain(tx.output.iter().map(|output| &output.script_pubkey));
    scripts.all(|script| script.len() <= 10_000 && has_valid_operations(script))
}

/// Whether the script can be read to its end, with no opcode beyond those that exist and no push beyond 520 bytes.
pub(super) fn has_valid_operations(script: &Script) -> bool {
    Pushes::new(script.as_bytes()).all(|push| {
        push.is_ok_and(|push| push.opcode <= 0xb9 && push.data.is_none_or(|data| data.len() <= 520))
    })
}

fn decode_script(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let script = match context.arguments.string(0)? {
        "" => ScriptBuf::new(),
        _ => ScriptBuf::from_bytes(value::hex(context.arguments.value(0), "argument")?),
    };
    let network = parts.network();
    let mut out = match script_details(&script, network, false) {
        Value::Object(out) => out,
        _ => Map::new(),
    };
    let kind = ScriptKind::of(&script);
    if can_be_hashed(&script, &kind) {
        // Its size, which nobody could spend from, does not matter here.
        let p2sh = Address::p2sh_from_hash(script.script_hash(), network);
        out.insert("p2sh".into(), json!(p2sh.to_string()));
        if let Some(program) = witness_program(&script, &kind) {
            let mut segwit = Map::new();
            if let Value::Object(shown) = script_details(&program, network, true) {
                segwit.extend(shown);
            }
            // The script behind the hash is known here.
            let inner = match kind {
                ScriptKind::Multisig { .. } => {
                    let inner = infer_descriptor(&script, network);
                    inner.split('#').next().map(str::to_owned)
                }
                ScriptKind::NonStandard => infer_miniscript(&script),
                _ => None,
            };
            if let Some(inner) = inner {
                let text = format!("wsh({inner})");
                let sum = checksum(&text).unwrap_or_default();
                segwit.insert("desc".into(), json!(format!("{text}#{sum}")));
            }
            let nested = Address::p2sh(&program, network)
                .ok()
                .map(|address| address.to_string());
            segwit.insert("p2sh-segwit".into(), json!(nested));
            out.insert("segwit".into(), Value::Object(segwit));
        }
    }
    Ok(Value::Object(out))
}

/// Whether it makes sense to pay to the script's hash.
fn can_be_hashed(script: &Script, kind: &ScriptKind<'_>) -> bool {
    let fits = matches!(
        kind,
        ScriptKind::Multisig { .. }
            | ScriptKind::NonStandard
            | ScriptKind::PubKey { .. }
            | ScriptKind::PubKeyHash
            | ScriptKind::WitnessV0KeyHash
            | ScriptKind::WitnessV0ScriptHash
    );
    fits && !script.is_op_return()
        && script.len() <= 10_000
        && has_valid_operations(script)
        && Pushes::new(script.as_bytes())
            .all(|push| push.is_ok_and(|push| !is_tapscript_only(push.opcode)))
}

/// `OP_CHECKSIGADD` and the opcodes that make any tapscript succeed.
fn is_tapscript_only(opcode: u8) -> bool {
    matches!(
        opcode,
        80 | 98 | 126..=129 | 131..=134 | 137..=138 | 141..=142 | 149..=153 | 186..=254
    )
}

/// The witness program that stands for the script; `None` for scripts that cannot be in a witness.
fn witness_program(script: &Script, kind: &ScriptKind<'_>) -> Option<ScriptBuf> {
    let is_compressed = |key: &[u8]| key.len() == 33;
    match kind {
        ScriptKind::PubKey { key } => is_compressed(key)
            .then(|| ScriptBuf::new_p2wpkh(&WPubkeyHash::from_raw_hash(hash160::Hash::hash(key)))),
        ScriptKind::PubKeyHash => {
            let hash = hash160::Hash::from_slice(script.as_bytes().get(3..23)?).ok()?;
            Some(ScriptBuf::new_p2wpkh(&WPubkeyHash::from_raw_hash(hash)))
        }
        ScriptKind::Multisig { keys, .. } => keys
            .iter()
            .all(|key| is_compressed(key))
            .then(|| script.to_p2wsh()),
        ScriptKind::NonStandard => Some(script.to_p2wsh()),
        _ => None,
    }
}
