//! Filling in what descriptors, the chain and the mempool know, and signing with keys of descriptors.

use super::super::super::context::{Entry, NodeParts, store_error};
use super::super::super::registry::{RequestContext, RpcResult};
use super::super::get::find_in_index;
use super::super::sign::coverage;
use super::{PSBT, is_right, read};
use bitcoin::consensus::encode::serialize_hex;
use btc_interfaces::descriptor::Descriptor;
use btc_interfaces::psbt::sign::{Missing, Options, Session, SignError, sign_input, update_output};
use btc_interfaces::psbt::table::{FINALIZE, PROCESSED, SIGHASH_TYPE, WITH_ORIGINS};
use btc_interfaces::psbt::{self, Provider, Psbt};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};

const DESCRIPTOR: &[Arg] = &[
    Arg::optional("", Kind::String, "A descriptor"),
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
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "descriptorprocesspsbt",
            category: "rawtransactions",
            summary: "Fills in what descriptors, the chain and the mempool know of a partially signed transaction, and signs with the descriptors' keys.",
            args: &[
                PSBT,
                Arg::required(
                    "descriptors",
                    Kind::Array,
                    "Descriptors, each a string or an object",
                )
                .with(DESCRIPTOR),
                SIGHASH_TYPE,
                WITH_ORIGINS,
                FINALIZE,
            ],
            results: PROCESSED,
            examples: &["\"psbt\" \"[\\\"descriptor1\\\", \\\"descriptor2\\\"]\""],
        },
        run: descriptor_process,
    },
    Entry {
        method: Method {
            name: "utxoupdatepsbt",
            category: "rawtransactions",
            summary: "Fills in what descriptors, the chain and the mempool know of a partially signed transaction.",
            args: &[
                PSBT,
                Arg::optional(
                    "descriptors",
                    Kind::Array,
                    "Descriptors, each a string or an object",
                )
                .with(DESCRIPTOR),
            ],
            results: &[Shape::string(
                "",
                "The partially signed transaction in base64",
            )],
            examples: &["\"psbt\""],
        },
        run: update,
    },
];

/// Adds a descriptor of the call, and its secrets if they are wanted.
fn add_descriptor(
    parts: &NodeParts,
    given: &Value,
    with_secrets: bool,
    provider: &mut Provider,
) -> Result<(), RpcError> {
    let invalid = |text: &str| RpcError::new(code::INVALID_PARAMETER, text);
    let (text, range) = match given {
        Value::String(text) => (text.as_str(), None),
        Value::Object(fields) => {
            let text = fields
                .get("desc")
                .filter(|text| !text.is_null())
                .ok_or_else(|| invalid("Descriptor needs to be provided in scan object"))?;
            let range = fields.get("range").filter(|range| !range.is_null());
            let range = range.map(value::descriptor_range).transpose()?;
            (value::string(text)?, range)
        }
        _ => {
            return Err(invalid(
                "Scan object needs to be either a string or an object",
            ));
        }
    };
    let wrong = |text: String| RpcError::new(code::INVALID_ADDRESS_OR_KEY, text);
    for parsed in Descriptor::parse_multipath(text, parts.network(), false)
        .map_err(|error| wrong(error.to_string()))?
    {
        let descriptor = &parsed.descriptor;
        let range = match descriptor.is_range() {
            true => range.clone().unwrap_or(0..=1000),
            false => 0..=0,
        };
        let mut cache = Default::default();
        for index in range {
            let expansion = descriptor
                .expand(index, &parsed.secrets, &mut cache)
                .map_err(|_| {
                    wrong(format!(
                        "Cannot derive script without private keys: '{text}'"
                    ))
                })?;
            provider.add_expansion(&expansion);
            if with_secrets {
                let secrets = descriptor.secrets_at(index, &parsed.secrets);
                for secret in secrets.map_err(|error| wrong(error.to_string()))? {
                    provider.add_secret(secret);
                }
            }
        }
    }
    Ok(())
}

fn sign_error(error: SignError) -> RpcError {
    let code = match error {
        SignError::SighashMismatch => code::DESERIALIZATION_ERROR,
        _ => code::VERIFY_ERROR,
    };
    RpcError::new(code, error.to_string())
}

fn process(
    parts: &NodeParts,
    text: &str,
    provider: &Provider,
    options: Options,
) -> Result<Psbt, RpcError> {
    let mut psbt = read(text)?;
    let index = parts.indexes.txs.as_ref();
    if let Some(index) = index {
        index.follower().wait_until_synced();
    }
    for input in &mut psbt.inputs {
        if input.non_witness_utxo.is_some() {
            continue;
        }
        let outpoint = input.previous_output;
        let found = find_in_index(index, &outpoint.txid)?.map(|found| found.tx);
        let found = found.or_else(|| parts.mempool.get(&outpoint.txid).map(|tx| (*tx).clone()));
        if let Some(tx) = found {
            input.non_witness_utxo = Some(tx);
            continue;
        }
        let coin = parts.mempool.coin(&parts.chain, &outpoint);
        if let Some(coin) = coin.map_err(store_error)?
            && provider.is_segwit(&coin.output.script_pubkey)
        {
            input.witness_utxo = Some(coin.output);
        }
    }
    let tx = psbt
        .unsigned_tx()
        .ok_or_else(|| sign_error(SignError::InvalidTx))?;
    let mut session = Session::new(&psbt, &tx);
    for (index, input) in psbt.inputs.iter_mut().enumerate() {
        let mut missing = Missing::default();
        let outcome = sign_input(provider, input, index, &mut session, options, &mut missing);
        // Whatever else lacks may come from others.
        if let Err(error @ SignError::SighashMismatch) = outcome {
            return Err(sign_error(error));
        }
    }
    for output in &mut psbt.outputs {
        update_output(provider, output);
    }
    psbt.remove_unnecessary_transactions();
    Ok(psbt)
}

fn update(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let arguments = context.arguments;
    let mut provider = Provider::new();
    if let Some(descriptors) = arguments.opt(1) {
        for descriptor in value::array(descriptors)? {
            add_descriptor(parts, descriptor, false, &mut provider)?;
        }
    }
    let options = Options {
        sighash_type: None,
        finalize: false,
    };
    let psbt = process(parts, arguments.string(0)?, &provider, options)?;
    Ok(json!(psbt.to_base64()))
}

fn descriptor_process(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let arguments = context.arguments;
    let mut provider = Provider::new();
    for descriptor in arguments.array(1)? {
        add_descriptor(parts, descriptor, true, &mut provider)?;
    }
    let sighash_type = match arguments.opt(2) {
        None => None,
        Some(name) => Some(u32::from(coverage(name)?.taproot as u8)),
    };
    if !arguments.bool(3)? {
        provider.hide_origins();
    }
    let options = Options {
        sighash_type,
        finalize: arguments.bool(4)?,
    };
    let psbt = process(parts, arguments.string(0)?, &provider, options)?;
    let tx = psbt
        .unsigned_tx()
        .ok_or_else(|| sign_error(SignError::InvalidTx))?;
    let mut inputs = psbt.inputs.iter().enumerate();
    let complete = inputs.all(|(index, input)| is_right(&psbt, &tx, index, input));
    let mut out = Map::new();
    out.insert("psbt".into(), json!(psbt.to_base64()));
    out.insert("complete".into(), json!(complete));
    if complete && let Some(tx) = psbt::extract(&psbt) {
        out.insert("hex".into(), json!(serialize_hex(&tx)));
    }
    Ok(Value::Object(out))
}
