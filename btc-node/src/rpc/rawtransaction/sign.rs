//! Signing with keys that the caller gives, and joining what several have signed.

use super::super::context::{Entry, NodeParts, decode_transaction, store_error};
use super::super::registry::{RequestContext, RpcResult};
use super::signer::{Coverage, Known, Signer};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hex::DisplayHex;
use bitcoin::sighash::{EcdsaSighashType, TapSighashType};
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Txid};
use btc_consensus::script::{self, ScriptError, ScriptFlags, TransactionChecker};
use btc_consensus::sighash::Spend;
use btc_interfaces::descriptor::Secret;
use btc_interfaces::rpc::encode::script_to_asm;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::value::{self, Field};
use btc_interfaces::rpc::{RpcError, code};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The greatest number of copies that are joined: a guard, not a rule.
const MAX_COPIES: usize = 1_000;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "combinerawtransaction",
            category: "rawtransactions",
            summary: "Joins the signatures of several copies of one transaction, each of which may be partly signed.",
            args: &[
                Arg::required("txs", Kind::Array, "The copies").with(&[Arg::optional(
                    "hexstring",
                    Kind::StringHex,
                    "A transaction",
                )]),
            ],
            results: &[Shape::string("", "The transaction with all signatures")],
            examples: &["'[\"myhex1\", \"myhex2\", \"myhex3\"]'"],
        },
        run: combine_raw_transaction,
    },
    Entry {
        method: Method {
            name: "signrawtransactionwithkey",
            category: "rawtransactions",
            summary: "Signs the inputs of a transaction with keys from the call.",
            args: &[
                Arg::required("hexstring", Kind::String, "The transaction"),
                Arg::required("privkeys", Kind::Array, "Private keys in WIF").with(&[
                    Arg::optional("privatekey", Kind::StringHex, "A key"),
                ]),
                Arg::optional(
                    "prevtxs",
                    Kind::Array,
                    "Outputs that are not in the chain or the mempool yet, or whose scripts this node does not know",
                )
                .with(&[Arg::optional("", Kind::Object, "An output").with(&[
                    Arg::required("txid", Kind::StringHex, "Its transaction"),
                    Arg::required("vout", Kind::Number, "Its number"),
                    Arg::required("scriptPubKey", Kind::StringHex, "Its script"),
                    Arg::optional("redeemScript", Kind::StringHex, "For P2SH: the script behind the hash"),
                    Arg::optional("witnessScript", Kind::StringHex, "For P2WSH: the script behind the hash"),
                    Arg::optional("amount", Kind::Amount, "For segwit: its value in BTC"),
                ])]),
                Arg::default(
                    "sighashtype",
                    Kind::String,
                    "\"DEFAULT for Taproot, ALL otherwise\"",
                    "What signatures cover: DEFAULT, ALL, NONE, SINGLE, or the last three with |ANYONECANPAY",
                ),
            ],
            results: crate::rpc::results::transactions::SIGN_RAW_TRANSACTION_WITH_KEY,
            examples: &["\"myhex\" \"[\\\"key1\\\",\\\"key2\\\"]\""],
        },
        run: sign_raw_transaction_with_key,
    },
];

fn undecodable(text: &str) -> RpcError {
    RpcError::new(code::DESERIALIZATION_ERROR, text)
}

fn invalid(text: impl Into<String>) -> RpcError {
    RpcError::new(code::INVALID_PARAMETER, text)
}

/// The outputs that a transaction spends, in the order of its inputs, as far as they are known.
pub(super) fn find_outputs(
    parts: &NodeParts,
    tx: &Transaction,
) -> Result<Vec<Option<TxOut>>, RpcError> {
    let find = |input: &TxIn| {
        let coin = parts.mempool.coin(&parts.chain, &input.previous_output);
        Ok(coin.map_err(store_error)?.map(|coin| coin.output))
    };
    tx.input.iter().map(find).collect()
}

const DEFAULT_COVERAGE: Coverage = Coverage {
    ecdsa: EcdsaSighashType::All,
    taproot: TapSighashType::Default,
};

fn combine_raw_transaction(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let raw = context.arguments.array(0)?;
    let too_few = || undecodable("Missing transactions. At least two transactions required.");
    if raw.len() < 2 {
        return Err(too_few());
    }
    if raw.len() > MAX_COPIES {
        return Err(invalid(format!("more than {MAX_COPIES} transactions")));
    }
    let mut copies = Vec::with_capacity(raw.len());
    for (number, text) in raw.iter().enumerate() {
        let tx = decode_transaction(value::string(text)?).ok_or_else(|| {
            undecodable(&format!(
                "TX decode failed for tx {number}. Make sure the tx has at least one input."
            ))
        })?;
        copies.push(tx);
    }
    let [first, rest @ ..] = copies.as_slice() else {
        return Err(too_few());
    };
    for (number, other) in (2..).zip(rest) {
        if without_signatures(other) != without_signatures(first) {
            return Err(invalid(format!(
                "Transaction number {number} not compatible with first transaction"
            )));
        }
    }
    let outputs = find_outputs(parts, first)?;
    if outputs.iter().any(Option::is_none) {
        return Err(RpcError::new(
            code::VERIFY_ERROR,
            "Input not found or already spent",
        ));
    }
    let known = Known::default();
    let mut combined = first.clone();
    for index in 0..first.input.len() {
        let inputs: Vec<&TxIn> = copies.iter().map(|copy| &copy.input[index]).collect();
        let signer = Signer::new(first, index, &outputs, &known, DEFAULT_COVERAGE, &inputs);
        if let Some((script_sig, witness)) = signer.and_then(Signer::sign) {
            combined.input[index].script_sig = script_sig;
            combined.input[index].witness = witness;
        }
    }
    Ok(json!(serialize_hex(&combined)))
}

fn without_signatures(tx: &Transaction) -> Txid {
    let mut bare = tx.clone();
    for input in &mut bare.input {
        input.script_sig = ScriptBuf::new();
    }
    bare.compute_txid()
}

fn sign_raw_transaction_with_key(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let arguments = context.arguments;
    let mut tx = decode_transaction(arguments.string(0)?)
        .ok_or_else(|| undecodable("TX decode failed. Make sure the tx has at least one input."))?;
    let mut known = Known::default();
    for key in arguments.array(1)? {
        let key = Secret::from_wif(value::string(key)?, parts.network().into())
            .ok_or_else(|| RpcError::new(code::INVALID_ADDRESS_OR_KEY, "Invalid private key"))?;
        known.keys.push(key);
    }
    let mut outputs = find_outputs(parts, &tx)?;
    let mut without_amount = HashMap::new();
    if let Some(given) = arguments.opt(2) {
        for output in value::array(given)? {
            let given = given_output(output, &mut known)?;
            for (index, input) in tx.input.iter().enumerate() {
                if input.previous_output != given.outpoint {
                    continue;
                }
                let script = &given.output.script_pubkey;
                if let Some(there) = &outputs[index]
                    && there.script_pubkey != *script
                {
                    return Err(undecodable(&format!(
                        "Previous output scriptPubKey mismatch:\n{}\nvs:\n{}",
                        script_to_asm(&there.script_pubkey, false),
                        script_to_asm(script, false)
                    )));
                }
                outputs[index] = Some(given.output.clone());
                without_amount.insert(index, !given.has_amount);
            }
        }
    }
    let coverage = coverage(arguments.get(3))?;
    let unsigned = tx.clone();
    for index in 0..tx.input.len() {
        let copies = [&unsigned.input[index]];
        let signer = Signer::new(&unsigned, index, &outputs, &known, coverage, &copies);
        if let Some((script_sig, witness)) = signer.and_then(Signer::sign) {
            if !witness.is_empty() && without_amount.get(&index) == Some(&true) {
                return Err(missing_amount(outputs[index].as_ref()));
            }
            tx.input[index].script_sig = script_sig;
            tx.input[index].witness = witness;
        }
    }
    let errors = check(&tx, &outputs);
    let mut out = Map::new();
    out.insert("hex".into(), json!(serialize_hex(&tx)));
    out.insert("complete".into(), json!(errors.is_empty()));
    if !errors.is_empty() {
        let shown = errors.iter().map(|(index, error)| {
            let input = &tx.input[*index];
            let witness: Vec<String> = input
                .witness
                .iter()
                .map(|element| element.to_lower_hex_string())
                .collect();
            json!({
                "txid": input.previous_output.txid.to_string(),
                "vout": input.previous_output.vout,
                "witness": witness,
                "scriptSig": input.script_sig.to_hex_string(),
                "sequence": input.sequence.0,
                "error": error,
            })
        });
        out.insert("errors".into(), shown.collect());
    }
    Ok(Value::Object(out))
}

fn missing_amount(output: Option<&TxOut>) -> RpcError {
    let (value, script) = output.map_or((0, String::new()), |output| {
        (
            output.value.to_sat(),
            output
                .script_pubkey
                .to_hex_string()
                .chars()
                .take(30)
                .collect(),
        )
    });
    RpcError::new(
        code::TYPE_ERROR,
        format!(
            "Missing amount for CTxOut(nValue={}.{:08}, scriptPubKey={script})",
            value / 100_000_000,
            value % 100_000_000
        ),
    )
}

/// The inputs that are not fully signed, each with what is wrong.
fn check(tx: &Transaction, outputs: &[Option<TxOut>]) -> Vec<(usize, String)> {
    let unknown = TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::new(),
    };
    let spent: Vec<TxOut> = outputs
        .iter()
        .map(|output| output.clone().unwrap_or_else(|| unknown.clone()))
        .collect();
    let spend = Spend::new(Arc::new(tx.clone()), spent);
    let mut errors = Vec::new();
    for (index, (input, output)) in tx.input.iter().zip(outputs).enumerate() {
        let Some(output) = output else {
            errors.push((index, "Input not found or already spent".to_owned()));
            continue;
        };
        let checker = spend
            .as_ref()
            .ok()
            .and_then(|spend| TransactionChecker::new(spend, index).ok());
        let Some(checker) = checker else {
            continue;
        };
        let verdict = script::verify(
            &input.script_sig,
            &output.script_pubkey,
            &input.witness,
            ScriptFlags::STANDARD,
            &checker,
        );
        if let Err(error) = verdict {
            errors.push((index, explain(error)));
        }
    }
    errors
}

/// A script's failure in words for somebody who signs.
fn explain(error: ScriptError) -> String {
    match error {
        ScriptError::InvalidStackOperation => {
            "Unable to sign input, invalid stack size (possibly missing key)".to_owned()
        }
        ScriptError::SigNullFail => {
            "CHECK(MULTI)SIG failing with non-zero signature (possibly need more signatures)"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// An output that the caller tells of.
struct GivenOutput {
    outpoint: OutPoint,
    output: TxOut,
    has_amount: bool,
}

/// Reads one, and remembers the scripts that come with it.
fn given_output(given: &Value, known: &mut Known) -> Result<GivenOutput, RpcError> {
    if !given.is_object() {
        return Err(undecodable(
            "expected object with {\"txid'\",\"vout\",\"scriptPubKey\"}",
        ));
    }
    let fields = [
        ("txid", Field::Of("string")),
        ("vout", Field::Of("number")),
        ("scriptPubKey", Field::Of("string")),
    ];
    value::check_object(given, &fields, false, false)?;
    let txid: Txid = value::hash(&given["txid"], "txid")?;
    let vout = u32::try_from(value::int::<i32>(&given["vout"])?)
        .map_err(|_| undecodable("vout cannot be negative"))?;
    let script_pubkey = ScriptBuf::from_bytes(value::hex(&given["scriptPubKey"], "scriptPubKey")?);
    let amount = match &given["amount"] {
        Value::Null => None,
        amount => Some(value::amount(amount)?),
    };
    if script_pubkey.is_p2sh() || script_pubkey.is_p2wsh() {
        let fields = [
            ("redeemScript", Field::Of("string")),
            ("witnessScript", Field::Of("string")),
        ];
        value::check_object(given, &fields, true, false)?;
        given_scripts(given, &script_pubkey, known)?;
    }
    Ok(GivenOutput {
        outpoint: OutPoint::new(txid, vout),
        output: TxOut {
            value: amount.unwrap_or(Amount::MAX_MONEY),
            script_pubkey,
        },
        has_amount: amount.is_some(),
    })
}

/// The scripts behind an output's hash: they must fit each other and the output.
fn given_scripts(given: &Value, output: &ScriptBuf, known: &mut Known) -> Result<(), RpcError> {
    let script = |name: &str| -> Result<Option<ScriptBuf>, RpcError> {
        match &given[name] {
            Value::Null => Ok(None),
            text => Ok(Some(ScriptBuf::from_bytes(value::hex(text, name)?))),
        }
    };
    let (redeem, witness) = (script("redeemScript")?, script("witnessScript")?);
    let inner = witness
        .clone()
        .or_else(|| redeem.clone())
        .ok_or_else(|| invalid("Missing redeemScript/witnessScript"))?;
    // A P2SH output may hold the P2WSH of either.
    let program = inner.to_p2wsh();
    if let (Some(redeem), Some(witness)) = (&redeem, &witness)
        && redeem != witness
        && *redeem != program
    {
        return Err(invalid("redeemScript does not correspond to witnessScript"));
    }
    let fits = if output.is_p2sh() {
        *output == inner.to_p2sh() || *output == program.to_p2sh()
    } else {
        *output == program
    };
    if !fits {
        return Err(invalid(
            "redeemScript/witnessScript does not match scriptPubKey",
        ));
    }
    known.scripts.push(inner);
    known.scripts.push(program);
    Ok(())
}

/// What signatures cover, by name.
pub(super) fn coverage(given: &Value) -> Result<Coverage, RpcError> {
    use EcdsaSighashType as Ecdsa;
    use TapSighashType as Tap;
    let name = match given {
        Value::Null => return Ok(DEFAULT_COVERAGE),
        given => value::string(given)?,
    };
    let (ecdsa, taproot) = match name {
        "DEFAULT" => (Ecdsa::All, Tap::Default),
        "ALL" => (Ecdsa::All, Tap::All),
        "ALL|ANYONECANPAY" => (Ecdsa::AllPlusAnyoneCanPay, Tap::AllPlusAnyoneCanPay),
        "NONE" => (Ecdsa::None, Tap::None),
        "NONE|ANYONECANPAY" => (Ecdsa::NonePlusAnyoneCanPay, Tap::NonePlusAnyoneCanPay),
        "SINGLE" => (Ecdsa::Single, Tap::Single),
        "SINGLE|ANYONECANPAY" => (Ecdsa::SinglePlusAnyoneCanPay, Tap::SinglePlusAnyoneCanPay),
        other => {
            return Err(invalid(format!(
                "'{other}' is not a valid sighash parameter."
            )));
        }
    };
    Ok(Coverage { ecdsa, taproot })
}
