//! Addresses that take several signatures.

use crate::rpc::context::{Entry, NodeParts};
use crate::rpc::registry::{RequestContext, RpcResult};
use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::script::Builder;
use bitcoin::{PublicKey, ScriptBuf};
use btc_interfaces::descriptor::{DerivedKey, Descriptor, ExpandedScript, KeyOrigin};
use btc_interfaces::rpc::encode;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};

/// Most keys of `OP_CHECKMULTISIG`.
const MAX_KEYS: usize = 20;
/// Largest script that P2SH can spend, in bytes.
const MAX_REDEEM_SCRIPT: usize = 520;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[Entry {
    method: Method {
        name: "createmultisig",
        category: "util",
        summary: "Makes an address that takes several signatures.",
        args: &[
            Arg::required("nrequired", Kind::Number, "How many signatures it takes"),
            Arg::required("keys", Kind::Array, "Public keys").with(&[Arg::optional(
                "key",
                Kind::StringHex,
                "A public key",
            )]),
            Arg::default(
                "address_type",
                Kind::String,
                "\"legacy\"",
                "\"legacy\", \"p2sh-segwit\" or \"bech32\"",
            ),
        ],
        results: &[Shape::object(
            "",
            "",
            &[
                Shape::string("address", "The address"),
                Shape::hex("redeemScript", "The script behind it"),
                Shape::string("descriptor", "A descriptor of it"),
                Shape::array(
                    "warnings",
                    "What is other than asked for",
                    &[Shape::string("", "")],
                )
                .optional(),
            ],
        )],
        examples: &[
            "2 \"[\\\"03789ed0bb717d88f7d321a368d905e7430207ebbd82bd342cf11ae157a7ace5fd\\\",\\\"03dbc6764b8884a92e871274b87583e6d5c2a58819473e17e107ef3f6aa5a61626\\\"]\"",
        ],
    },
    run: create_multisig,
}];

fn bad_key(text: String) -> RpcError {
    RpcError::new(code::INVALID_ADDRESS_OR_KEY, text)
}

fn invalid(text: impl Into<String>) -> RpcError {
    RpcError::new(code::INVALID_PARAMETER, text)
}

fn public_key(given: &Value) -> Result<PublicKey, RpcError> {
    let text = value::string(given)?;
    let bytes = <Vec<u8> as bitcoin::hex::FromHex>::from_hex(text)
        .map_err(|_| bad_key(format!("Pubkey \"{text}\" must be a hex string")))?;
    if ![33, 65].contains(&bytes.len()) {
        return Err(bad_key(format!(
            "Pubkey \"{text}\" must have a length of either 33 or 65 bytes"
        )));
    }
    PublicKey::from_slice(&bytes).map_err(|_| {
        bad_key(format!(
            "Pubkey \"{text}\" must be cryptographically valid."
        ))
    })
}

fn create_multisig(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let required: i32 = context.arguments.int(0)?;
    let keys = context.arguments.array(1)?;
    let keys = keys.iter().map(public_key).collect::<Result<Vec<_>, _>>()?;
    let wanted = context.arguments.string(2)?;
    match wanted {
        "legacy" | "p2sh-segwit" | "bech32" => {}
        "bech32m" => {
            return Err(bad_key(
                "createmultisig cannot create bech32m multisig addresses".into(),
            ));
        }
        other => return Err(bad_key(format!("Unknown address type '{other}'"))),
    }
    let inner = multisig(required, &keys)?;
    // Segwit takes compressed keys only.
    let legacy = wanted == "legacy" || keys.iter().any(|key| !key.compressed);
    if legacy && inner.len() > MAX_REDEEM_SCRIPT {
        return Err(invalid(format!(
            "redeemScript exceeds size limit: {} > {MAX_REDEEM_SCRIPT}",
            inner.len()
        )));
    }
    let program = inner.to_p2wsh();
    let known = match wanted {
        _ if legacy => ExpandedScript {
            redeem_script: Some(inner.clone()),
            ..ExpandedScript::plain(inner.to_p2sh())
        },
        "bech32" => ExpandedScript {
            witness_script: Some(inner.clone()),
            ..ExpandedScript::plain(program)
        },
        _ => ExpandedScript {
            witness_script: Some(inner.clone()),
            redeem_script: Some(program.clone()),
            ..ExpandedScript::plain(program.to_p2sh())
        },
    };
    let derived: Vec<DerivedKey> = keys.iter().map(|key| derived(*key)).collect();
    let descriptor = Descriptor::infer(&known, &derived, parts.network());
    let mut out = Map::new();
    let address = encode::address(&known.script_pubkey, parts.network());
    out.insert("address".into(), json!(address));
    out.insert("redeemScript".into(), json!(inner.to_hex_string()));
    out.insert("descriptor".into(), json!(descriptor.to_string()));
    if legacy && wanted != "legacy" {
        out.insert(
            "warnings".into(),
            json!([
                "Unable to make chosen address type, please ensure no uncompressed public keys are present."
            ]),
        );
    }
    Ok(Value::Object(out))
}

/// A key that is its own origin.
fn derived(key: PublicKey) -> DerivedKey {
    let mut fingerprint = [0; 4];
    fingerprint.copy_from_slice(&key.pubkey_hash()[..4]);
    DerivedKey {
        key,
        origin: KeyOrigin {
            fingerprint: fingerprint.into(),
            path: Vec::new(),
        },
    }
}

/// The script that takes `required` signatures by `keys`, in their order.
fn multisig(required: i32, keys: &[PublicKey]) -> Result<ScriptBuf, RpcError> {
    if required < 1 {
        return Err(invalid(
            "a multisignature address must require at least one key to redeem",
        ));
    }
    let count = i32::try_from(keys.len()).unwrap_or(i32::MAX);
    if count < required {
        return Err(invalid(format!(
            "not enough keys supplied (got {count} keys, but need at least {required} to redeem)"
        )));
    }
    if keys.len() > MAX_KEYS {
        return Err(invalid(format!(
            "Number of keys involved in the multisignature address creation > {MAX_KEYS}\nReduce the number"
        )));
    }
    let mut builder = Builder::new().push_int(i64::from(required));
    for key in keys {
        builder = builder.push_key(key);
    }
    Ok(builder
        .push_int(i64::from(count))
        .push_opcode(OP_CHECKMULTISIG)
        .into_script())
}
