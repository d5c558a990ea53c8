//! Partially signed transactions without a wallet.

mod decode;
mod process;

use super::super::context::{Entry, NodeParts};
use super::super::registry::{RequestContext, RpcResult};
use super::create::{INPUTS, LOCK_TIME, OUTPUTS, REPLACEABLE, VERSION, construct, encode_plain};
use super::decode::decode as decode_transaction;
use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hex::FromHex;
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, Witness};
use btc_consensus::script::{self, ScriptFlags, TransactionChecker};
use btc_consensus::sighash::Spend;
use btc_consensus::tx::sigop_cost;
use btc_interfaces::psbt::{self, Analysis, Psbt, PsbtInput, PsbtVersion};
use btc_interfaces::rpc::table::{Arg, Arguments, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The greatest number of them that one call takes: a guard, not a rule.
const MAX_COPIES: usize = 1_000;

const PSBT: Arg = Arg::required("psbt", Kind::String, "The transaction in base64");

const PSBT_VERSION: Arg = Arg::default("psbt_version", Kind::Number, "2", "The format's version");

/// The methods of this module.
pub(super) fn methods() -> impl Iterator<Item = Entry> {
    let own = METHODS.iter().chain(decode::METHODS);
    own.chain(process::METHODS).copied()
}

const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "analyzepsbt",
            category: "rawtransactions",
            summary: "Tells how far a partially signed transaction and its inputs are.",
            args: &[PSBT],
            results: crate::rpc::results::psbt::ANALYZE_PSBT,
            examples: &["\"psbt\""],
        },
        run: analyze,
    },
    Entry {
        method: Method {
            name: "combinepsbt",
            category: "rawtransactions",
            summary: "Joins what several copies of one partially signed transaction know.",
            args: &[Arg::required("txs", Kind::Array, "The copies in base64")
                .with(&[Arg::optional("psbt", Kind::String, "A copy")])],
            results: &[Shape::string("", "The transaction in base64")],
            examples: &["'[\"mybase64_1\", \"mybase64_2\", \"mybase64_3\"]'"],
        },
        run: combine,
    },
    Entry {
        method: Method {
            name: "converttopsbt",
            category: "rawtransactions",
            summary: "Makes a partially signed transaction of one that createrawtransaction or fundrawtransaction made.",
            args: &[
                Arg::required("hexstring", Kind::StringHex, "The transaction"),
                Arg::default(
                    "permitsigdata",
                    Kind::Bool,
                    "false",
                    "Drop the signatures that it holds; else they are an error",
                ),
                Arg::hint(
                    "iswitness",
                    Kind::Bool,
                    "depends on heuristic tests",
                    "Whether the hex is in the form that has witnesses; a transaction without inputs can be read both ways",
                ),
                PSBT_VERSION,
            ],
            results: &[Shape::string("", "The transaction in base64")],
            examples: &["\"rawtransaction\""],
        },
        run: convert,
    },
    Entry {
        method: Method {
            name: "createpsbt",
            category: "rawtransactions",
            summary: "Makes a partially signed transaction of given inputs and outputs. It is neither kept nor announced.",
            args: &[
                INPUTS,
                OUTPUTS,
                LOCK_TIME,
                REPLACEABLE,
                VERSION,
                PSBT_VERSION,
            ],
            results: &[Shape::string("", "The transaction in base64")],
            examples: &[
                "\"[{\\\"txid\\\":\\\"myid\\\",\\\"vout\\\":0}]\" \"[{\\\"address\\\":0.01}]\"",
            ],
        },
        run: create,
    },
    Entry {
        method: Method {
            name: "finalizepsbt",
            category: "rawtransactions",
            summary: "Finishes the inputs whose signatures are there; once all are, gives the transaction to send.",
            args: &[
                PSBT,
                Arg::default(
                    "extract",
                    Kind::Bool,
                    "true",
                    "Give the transaction rather than the partially signed one, once it is complete",
                ),
            ],
            results: &[Shape::object(
                "",
                "",
                &[
                    Shape::string(
                        "psbt",
                        "The partially signed transaction in base64, if none was extracted",
                    )
                    .optional(),
                    Shape::hex("hex", "The transaction, if it was extracted").optional(),
                    Shape::bool("complete", "Whether all inputs are finished"),
                ],
            )],
            examples: &["\"psbt\""],
        },
        run: finalize,
    },
    Entry {
        method: Method {
            name: "joinpsbts",
            category: "rawtransactions",
            summary: "Puts different partially signed transactions of version 0 into one, with all inputs and outputs in random order.",
            args: &[
                Arg::required("txs", Kind::Array, "The transactions in base64")
                    .with(&[Arg::required("psbt", Kind::String, "A transaction")]),
            ],
            results: &[Shape::string("", "The transaction in base64")],
            examples: &["\"psbt\""],
        },
        run: join,
    },
];

fn invalid(text: impl Into<String>) -> RpcError {
    RpcError::new(code::INVALID_PARAMETER, text)
}

fn read(text: &str) -> Result<Psbt, RpcError> {
    Psbt::from_base64(text).map_err(|error| {
        RpcError::new(
            code::DESERIALIZATION_ERROR,
            format!("TX decode failed {error}"),
        )
    })
}

fn read_all(texts: &[Value]) -> Result<Vec<Psbt>, RpcError> {
    if texts.len() > MAX_COPIES {
        return Err(invalid(format!("more than {MAX_COPIES} transactions")));
    }
    texts
        .iter()
        .map(|text| read(value::string(text)?))
        .collect()
}

fn version(arguments: &Arguments, index: usize) -> Result<PsbtVersion, RpcError> {
    PsbtVersion::from_number(arguments.int(index)?)
        .ok_or_else(|| invalid("The PSBT version can only be 2 or 0"))
}

fn create(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let tx = construct(parts, context.arguments)?;
    let version = version(context.arguments, 5)?;
    Ok(json!(Psbt::from_unsigned(&tx, version).to_base64()))
}

fn convert(_: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let arguments = context.arguments;
    let permit = arguments.bool(1)?;
    let witness = arguments.opt_bool(2)?;
    let undecodable = |text: &str| RpcError::new(code::DESERIALIZATION_ERROR, text);
    let mut tx = Vec::from_hex(arguments.string(0)?)
        .ok()
        .and_then(|bytes| decode_transaction(&bytes, witness != Some(true), witness != Some(false)))
        .ok_or_else(|| undecodable("TX decode failed"))?;
    for input in &mut tx.input {
        let signed = !input.script_sig.is_empty() || !input.witness.is_empty();
        if signed && !permit {
            return Err(undecodable(
                "Inputs must not have scriptSigs and scriptWitnesses",
            ));
        }
        input.script_sig = ScriptBuf::new();
        input.witness = Witness::new();
    }
    let version = version(arguments, 3)?;
    Ok(json!(Psbt::from_unsigned(&tx, version).to_base64()))
}

fn combine(_: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let copies = context.arguments.array(0)?;
    if copies.is_empty() {
        return Err(invalid("Parameter 'txs' cannot be empty"));
    }
    let mut copies = read_all(copies)?.into_iter();
    let mut all = copies.next().ok_or_else(|| invalid("no transaction"))?;
    for copy in copies {
        if !all.merge(&copy) {
            return Err(invalid("PSBTs not compatible (different transactions)"));
        }
    }
    Ok(json!(all.to_base64()))
}

fn finalize(_: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let mut psbt = read(context.arguments.string(0)?)?;
    let extract = context.arguments.bool(1)?;
    let complete = psbt::finalize(&mut psbt);
    let tx = complete.then(|| psbt::extract(&psbt)).flatten();
    Ok(match tx {
        Some(tx) if extract => {
            let hex = match tx.input.is_empty() {
                true => encode_plain(&tx),
                false => serialize_hex(&tx),
            };
            json!({"hex": hex, "complete": true})
        }
        _ => json!({"psbt": psbt.to_base64(), "complete": complete}),
    })
}

fn join(_: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let texts = context.arguments.array(0)?;
    if texts.len() <= 1 {
        return Err(invalid("At least two PSBTs are required to join PSBTs."));
    }
    let all = read_all(texts)?;
    if all.iter().any(|psbt| psbt.version() != PsbtVersion::Zero) {
        return Err(invalid("joinpsbts only operates on version 0 PSBTs"));
    }
    let best_version = all.iter().map(|psbt| psbt.tx_version.0.cast_unsigned());
    let lock_times = all.iter().map(|psbt| {
        let lock_time = psbt.fallback_lock_time.unwrap_or(LockTime::ZERO);
        lock_time.to_consensus_u32()
    });
    let blank = Transaction {
        version: bitcoin::transaction::Version(
            best_version.max().unwrap_or(1).max(1).cast_signed(),
        ),
        lock_time: LockTime::from_consensus(lock_times.min().unwrap_or(0)),
        input: Vec::new(),
        output: Vec::new(),
    };
    let mut joined = Psbt::from_unsigned(&blank, PsbtVersion::Zero);
    for psbt in all {
        joined.merge_xpubs(&psbt);
        for (key, record) in psbt.unknown {
            joined.unknown.entry(key).or_insert(record);
        }
        for input in psbt.inputs {
            let outpoint = input.previous_output;
            if !joined.add_input(input) {
                return Err(invalid(format!(
                    "Input {}:{} exists in multiple PSBTs",
                    outpoint.txid, outpoint.vout
                )));
            }
        }
        joined.outputs.extend(psbt.outputs);
    }
    // The order must not tell whose is what.
    shuffle(&mut joined.inputs);
    shuffle(&mut joined.outputs);
    // Core leaves the extended keys of those it joined away.
    joined.xpubs.clear();
    Ok(json!(joined.to_base64()))
}

/// Every order is as likely as any other.
fn shuffle<T>(items: &mut [T]) {
    use bitcoin::secp256k1::rand::Rng;
    let mut random = bitcoin::secp256k1::rand::thread_rng();
    for last in (1..items.len()).rev() {
        items.swap(last, random.gen_range(0..=last));
    }
}

/// Whether a finished input may spend what it spends.
fn is_right(psbt: &Psbt, tx: &Transaction, index: usize, input: &PsbtInput) -> bool {
    let unknown = TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::new(),
    };
    let spent = psbt
        .inputs
        .iter()
        .map(|input| input.utxo().unwrap_or(&unknown).clone());
    let Some(output) = input.utxo() else {
        return false;
    };
    let Ok(spend) = Spend::new(Arc::new(tx.clone()), spent.collect()) else {
        return false;
    };
    let Ok(checker) = TransactionChecker::new(&spend, index) else {
        return false;
    };
    let script_sig = input.final_script_sig.clone().unwrap_or_default();
    let witness = input.final_script_witness.clone().unwrap_or_default();
    let flags = ScriptFlags::STANDARD;
    let verdict = script::verify(
        &script_sig,
        &output.script_pubkey,
        &witness,
        flags,
        &checker,
    );
    verdict.is_ok()
}

fn analyze(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let psbt = read(context.arguments.string(0)?)?;
    let tx = psbt.unsigned_tx();
    let right = |index: usize, input: &PsbtInput| {
        let tx = tx.as_ref();
        tx.is_some_and(|tx| is_right(&psbt, tx, index, input))
    };
    let (inputs, next, fee, estimate) = match psbt::analyze(&psbt, &right) {
        Analysis::Invalid(error) => return Ok(json!({"next": "creator", "error": error})),
        Analysis::Valid {
            inputs,
            next,
            fee,
            estimate,
        } => (inputs, next, fee, estimate),
    };
    let mut out = Map::new();
    if !inputs.is_empty() {
        out.insert("inputs".into(), inputs.iter().map(input_analysis).collect());
    }
    if let (Some(fee), Some(tx)) = (fee, estimate) {
        let spent = psbt.spent_outputs().unwrap_or_default();
        let sigops = sigop_cost(&tx, &spent, ScriptFlags::STANDARD);
        let per_sigop = parts.mempool.info().policy.bytes_per_sigop;
        // Both are far below the range.
        let weight = match tx.input.is_empty() {
            true => 4 * tx.base_size() as i64,
            false => tx.weight().to_wu().cast_signed(),
        };
        let size = (weight.max(sigops.cast_signed() * per_sigop) + 3) / 4;
        out.insert("estimated_vsize".into(), json!(size));
        // Rounded down, as Core shows feerates.
        let rate = (i128::from(fee) * 1000).div_euclid(i128::from(size.max(1)));
        out.insert("estimated_feerate".into(), value::decimal(rate, 8));
    }
    if let Some(fee) = fee {
        out.insert("fee".into(), value::from_sat(fee));
    }
    out.insert("next".into(), json!(next.name()));
    Ok(Value::Object(out))
}

fn input_analysis(input: &psbt::InputAnalysis) -> Value {
    use bitcoin::hex::DisplayHex;
    let hashes = |hashes: &[bitcoin::PubkeyHash]| -> Value {
        let bytes = hashes.iter().map(|hash| hash[..].to_lower_hex_string());
        bytes.collect()
    };
    let mut missing = Map::new();
    if !input.missing.keys.is_empty() {
        missing.insert("pubkeys".into(), hashes(&input.missing.keys));
    }
    if let Some(hash) = &input.missing.redeem_script {
        missing.insert("redeemscript".into(), json!(hash[..].to_lower_hex_string()));
    }
    if let Some(hash) = &input.missing.witness_script {
        missing.insert("witnessscript".into(), json!(hash.to_lower_hex_string()));
    }
    if !input.missing.signatures.is_empty() {
        missing.insert("signatures".into(), hashes(&input.missing.signatures));
    }
    let mut out = Map::new();
    out.insert("has_utxo".into(), json!(input.has_utxo));
    out.insert("is_final".into(), json!(input.is_final));
    out.insert("next".into(), json!(input.next.name()));
    if !missing.is_empty() {
        out.insert("missing".into(), Value::Object(missing));
    }
    Value::Object(out)
}
