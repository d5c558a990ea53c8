//! Making transactions without signatures.

use super::super::context::{Entry, NodeParts};
use super::super::mining::address_script;
use super::super::registry::{RequestContext, RpcResult};
use bitcoin::absolute::LockTime;
use bitcoin::consensus::Encodable;
use bitcoin::hex::DisplayHex;
use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use btc_interfaces::rpc::table::{Arg, Arguments, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// The inputs of a transaction to make.
pub(super) const INPUTS: Arg =
    Arg::required("inputs", Kind::Array, "The inputs").with(&[Arg::optional(
        "",
        Kind::Object,
        "An input",
    )
    .with(&[
        Arg::required(
            "txid",
            Kind::StringHex,
            "The id of the transaction to spend from",
        ),
        Arg::required("vout", Kind::Number, "The number of the output to spend"),
        Arg::hint(
            "sequence",
            Kind::Number,
            "depends on the value of the 'replaceable' and 'locktime' arguments",
            "The sequence number",
        ),
    ])]);

/// Its outputs.
pub(super) const OUTPUTS: Arg = Arg::required(
    "outputs",
    Kind::Array,
    "The outputs, no address twice; or an object of the same keys and values, for old callers",
)
.with(&[
    Arg::optional("", Kind::ObjectUserKeys, "").with(&[Arg::required(
        "address",
        Kind::Amount,
        "A key-value pair. The key (string) is the bitcoin address, the value (float or string) is the amount in BTC",
    )]),
    Arg::optional("", Kind::Object, "").with(&[Arg::required(
        "data",
        Kind::StringHex,
        "A key-value pair. The key must be \"data\", the value is hex-encoded data that becomes a part of an OP_RETURN output",
    )]),
])
.unchecked();

/// Its lock time.
pub(super) const LOCK_TIME: Arg = Arg::default(
    "locktime",
    Kind::Number,
    "0",
    "The lock time; other than 0 it makes inputs non-final",
);

/// Whether it may be replaced.
pub(super) const REPLACEABLE: Arg = Arg::default(
    "replaceable",
    Kind::Bool,
    "true",
    "Mark the transaction as replaceable (BIP 125)",
);

/// Its version.
pub(super) const VERSION: Arg = Arg::default("version", Kind::Number, "2", "The version");

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[Entry {
    method: Method {
        name: "createrawtransaction",
        category: "rawtransactions",
        summary: "Makes a transaction of given inputs and outputs, without signatures. It is neither kept nor announced.",
        args: &[INPUTS, OUTPUTS, LOCK_TIME, REPLACEABLE, VERSION],
        results: &[Shape::hex("", "The transaction")],
        examples: &[
            "\"[{\\\"txid\\\":\\\"myid\\\",\\\"vout\\\":0}]\" \"[{\\\"address\\\":0.01}]\"",
        ],
    },
    run: create_raw_transaction,
}];

fn invalid(message: impl Into<String>) -> RpcError {
    RpcError::new(code::INVALID_PARAMETER, message)
}

fn create_raw_transaction(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    Ok(json!(encode_plain(&construct(parts, context.arguments)?)))
}

/// The transaction that the first five arguments describe.
pub(super) fn construct(parts: &NodeParts, arguments: &Arguments) -> Result<Transaction, RpcError> {
    let lock_time: i64 = arguments.opt_int(2)?.unwrap_or(0);
    let lock_time = u32::try_from(lock_time)
        .map_err(|_| invalid("Invalid parameter, locktime out of range"))?;
    let replaceable = arguments.opt_bool(3)?;
    let version: u32 = arguments.int(4)?;
    let version = i32::try_from(version)
        .ok()
        .filter(|version| (1..=3).contains(version))
        .ok_or_else(|| invalid("Invalid parameter, version out of range(1~3)"))?;
    let sequence = match replaceable {
        None | Some(true) => Sequence::ENABLE_RBF_NO_LOCKTIME,
        Some(false) if lock_time != 0 => Sequence::ENABLE_LOCKTIME_NO_RBF,
        Some(false) => Sequence::MAX,
    };
    let mut input = Vec::new();
    for entry in arguments.array(0)? {
        input.push(parse_input(value::object(entry)?, sequence)?);
    }
    let tx = Transaction {
        version: Version(version),
        lock_time: LockTime::from_consensus(lock_time),
        input,
        output: parse_outputs(parts, arguments, 1)?,
    };
    let signals = tx.input.iter().any(|input| input.sequence.is_rbf());
    if replaceable == Some(true) && !tx.input.is_empty() && !signals {
        return Err(invalid(
            "Invalid parameter combination: Sequence number(s) contradict replaceable option",
        ));
    }
    Ok(tx)
}

fn parse_input(fields: &Map<String, Value>, sequence: Sequence) -> Result<TxIn, RpcError> {
    let txid = value::hash(fields.get("txid").unwrap_or(&Value::Null), "txid")?;
    let vout = fields
        .get("vout")
        .filter(|vout| vout.is_number())
        .ok_or_else(|| invalid("Invalid parameter, missing vout key"))?;
    let vout = u32::try_from(value::int::<i32>(vout)?)
        .map_err(|_| invalid("Invalid parameter, vout cannot be negative"))?;
    let sequence = match fields.get("sequence").filter(|given| given.is_number()) {
        None => sequence,
        Some(given) => u32::try_from(value::int::<i64>(given)?)
            .map(Sequence)
            .map_err(|_| invalid("Invalid parameter, sequence number is out of range"))?,
    };
    Ok(TxIn {
        previous_output: OutPoint::new(txid, vout),
        script_sig: ScriptBuf::new(),
        sequence,
        witness: Witness::new(),
    })
}

fn parse_outputs(
    parts: &NodeParts,
    arguments: &Arguments,
    index: usize,
) -> Result<Vec<TxOut>, RpcError> {
    let repeated = arguments.repeated_key(index);
    let pairs: Vec<(&String, &Value)> = match arguments.get(index) {
        Value::Null => {
            return Err(invalid(
                "Invalid parameter, output argument must be non-null",
            ));
        }
        Value::Object(fields) => fields.iter().collect(),
        other => {
            if arguments.elements_with_repeated_key(index).next().is_some() {
                return Err(invalid(
                    "Invalid parameter, key-value pair must contain exactly one key",
                ));
            }
            let mut pairs = Vec::new();
            for entry in value::array(other)? {
                let Value::Object(fields) = entry else {
                    return Err(invalid(
                        "Invalid parameter, key-value pair not an object as expected",
                    ));
                };
                let mut fields = fields.iter();
                match (fields.next(), fields.next()) {
                    (Some(pair), None) => pairs.push(pair),
                    _ => {
                        return Err(invalid(
                            "Invalid parameter, key-value pair must contain exactly one key",
                        ));
                    }
                }
            }
            pairs
        }
    };
    let mut seen = HashSet::new();
    let mut parsed = Vec::with_capacity(pairs.len());
    for (name, given) in pairs {
        if name == "data" {
            let script_pubkey = data_script(given)?;
            if !seen.insert(ScriptBuf::new()) || repeated.as_ref() == Some(name) {
                return Err(invalid("Invalid parameter, duplicate key: data"));
            }
            parsed.push(TxOut {
                value: Amount::ZERO,
                script_pubkey,
            });
            continue;
        }
        let amount = value::amount(given)?;
        let script_pubkey = address_script(parts, name).ok_or_else(|| {
            RpcError::new(
                code::INVALID_ADDRESS_OR_KEY,
                format!("Invalid Bitcoin address: {name}"),
            )
        })?;
        if !seen.insert(script_pubkey.clone()) || repeated.as_ref() == Some(name) {
            return Err(invalid(format!(
                "Invalid parameter, duplicated address: {name}"
            )));
        }
        parsed.push(TxOut {
            value: amount,
            script_pubkey,
        });
    }
    Ok(parsed)
}

fn data_script(given: &Value) -> Result<ScriptBuf, RpcError> {
    let data = match given {
        // A number's digits may be meant as hexadecimal too.
        Value::Number(number) => value::hex(&json!(number.to_string()), "Data")?,
        other => value::hex(other, "Data")?,
    };
    let data = PushBytesBuf::try_from(data)
        .map_err(|_| invalid("Invalid parameter, data is too large"))?;
    Ok(Builder::new()
        .push_opcode(OP_RETURN)
        .push_slice(data)
        .into_script())
}

/// In the form without witnesses: there are none, and without inputs the other form could not be told from it.
pub(super) fn encode_plain(tx: &Transaction) -> String {
    let mut bytes = Vec::new();
    let mut write = |part: &dyn Fn(&mut Vec<u8>) -> Result<usize, bitcoin::io::Error>| {
        part(&mut bytes).expect("writing to memory does not fail");
    };
    write(&|out| tx.version.consensus_encode(out));
    write(&|out| tx.input.consensus_encode(out));
    write(&|out| tx.output.consensus_encode(out));
    write(&|out| tx.lock_time.consensus_encode(out));
    bytes.to_lower_hex_string()
}
