//! The methods about addresses and descriptors.

mod multisig;

use super::context::{Entry, NodeParts};
use super::registry::{RequestContext, RpcResult};
use bitcoin::hex::DisplayHex;
use bitcoin::{Address, ScriptBuf};
use btc_interfaces::address::{self, AddressError};
use btc_interfaces::descriptor::{Descriptor, Parsed, Secret};
use btc_interfaces::message;
use btc_interfaces::rpc::encode::{self, ScriptKind};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code};
use serde_json::{Map, Value, json};
use std::ops::RangeInclusive;
use std::sync::LazyLock;

/// The methods of this module.
pub fn methods() -> &'static [Entry] {
    static ALL: LazyLock<Vec<Entry>> = LazyLock::new(|| [METHODS, multisig::METHODS].concat());
    &ALL
}

const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "validateaddress",
            category: "util",
            summary: "Return information about the given bitcoin address.",
            args: &[Arg::required("address", Kind::String, "The address")],
            results: crate::rpc::results::util::VALIDATE_ADDRESS,
            examples: &["\"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq\""],
        },
        run: validate_address,
    },
    Entry {
        method: Method {
            name: "getdescriptorinfo",
            category: "util",
            summary: "Shows what a descriptor describes.",
            args: &[Arg::required("descriptor", Kind::String, "The descriptor")],
            results: crate::rpc::results::util::GET_DESCRIPTOR_INFO,
            examples: &["\"raw(51)\""],
        },
        run: get_descriptor_info,
    },
    Entry {
        method: Method {
            name: "deriveaddresses",
            category: "util",
            summary: "Lists the addresses that a descriptor stands for.",
            args: &[
                Arg::required(
                    "descriptor",
                    Kind::String,
                    "The descriptor, with its checksum",
                ),
                Arg::optional(
                    "range",
                    Kind::Range,
                    "For one that stands for a range: its last index, or the first and last",
                ),
            ],
            results: &[
                Shape::array(
                    "",
                    "The addresses; for a multipath descriptor an array of such arrays",
                    &[Shape::string("", "")],
                )
                .when("one path"),
                Shape::array(
                    "",
                    "The addresses; for a multipath descriptor an array of such arrays",
                    &[Shape::array("", "", &[Shape::string("", "")])],
                )
                .when("a multipath descriptor"),
            ],
            examples: &["\"raw(51)#8lvh9jxk\""],
        },
        run: derive_addresses,
    },
    Entry {
        method: Method {
            name: "verifymessage",
            category: "util",
            summary: "Whether a message was signed with the key of an address.",
            args: &[
                Arg::required("address", Kind::String, "The address of the key, P2PKH"),
                Arg::required("signature", Kind::String, "The signature in base64"),
                Arg::required("message", Kind::String, "The message"),
            ],
            results: &[Shape::bool("", "Whether it was")],
            examples: &["\"1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX\" \"signature\" \"my message\""],
        },
        run: verify_message,
    },
    Entry {
        method: Method {
            name: "signmessagewithprivkey",
            category: "util",
            summary: "Signs a message with a private key.",
            args: &[
                Arg::required("privkey", Kind::String, "The key in WIF"),
                Arg::required("message", Kind::String, "The message"),
            ],
            results: &[Shape::string("", "The signature in base64")],
            examples: &["\"privkey\" \"my message\""],
        },
        run: sign_message,
    },
    Entry {
        method: Method {
            name: "getindexinfo",
            category: "util",
            summary: "Shows the indexes that are kept.",
            args: &[Arg::optional(
                "index_name",
                Kind::String,
                "Only the index of this name",
            )],
            results: &[Shape::map(
                "",
                "",
                &[Shape::object(
                    "name",
                    "An index",
                    &[
                        Shape::bool("synced", "Whether it has caught up with the chain"),
                        Shape::number("best_block_height", "The height that it is at"),
                    ],
                )],
            )],
            examples: &["", "txindex"],
        },
        run: get_index_info,
    },
];

fn get_index_info(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let name = match context.arguments.opt(0) {
        Some(_) => context.arguments.string(0)?,
        None => "",
    };
    let infos = parts.indexes.infos();
    let shown = infos
        .iter()
        .filter(|info| name.is_empty() || info.name == name);
    let indexes: Map<String, Value> = shown
        .map(|info| {
            let state = json!({"synced": info.synced, "best_block_height": info.height});
            (info.name.to_owned(), state)
        })
        .collect();
    Ok(Value::Object(indexes))
}

fn validate_address(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let text = context.arguments.string(0)?;
    let mut out = Map::new();
    let script = match address::decode(text, parts.network()) {
        Ok(script) => script,
        Err(AddressError { message, locations }) => {
            out.insert("isvalid".into(), json!(false));
            out.insert("error_locations".into(), json!(locations));
            out.insert("error".into(), json!(message));
            return Ok(Value::Object(out));
        }
    };
    out.insert("isvalid".into(), json!(true));
    out.insert(
        "address".into(),
        json!(encode::address(&script, parts.network())),
    );
    out.insert("scriptPubKey".into(), json!(script.to_hex_string()));
    let (is_script, is_witness) = match ScriptKind::of(&script) {
        ScriptKind::PubKeyHash => (Some(false), false),
        ScriptKind::ScriptHash => (Some(true), false),
        ScriptKind::WitnessV0KeyHash => (Some(false), true),
        ScriptKind::WitnessUnknown => (None, true),
        _ => (Some(true), true),
    };
    if let Some(is_script) = is_script {
        out.insert("isscript".into(), json!(is_script));
    }
    out.insert("iswitness".into(), json!(is_witness));
    if let Some((version, program)) = witness_program(&script).filter(|_| is_witness) {
        out.insert("witness_version".into(), json!(version));
        out.insert(
            "witness_program".into(),
            json!(program.to_lower_hex_string()),
        );
    }
    Ok(Value::Object(out))
}

/// Version and program, but for an anchor, whose program says nothing.
fn witness_program(script: &ScriptBuf) -> Option<(u8, &[u8])> {
    if matches!(ScriptKind::of(script), ScriptKind::Anchor) {
        return None;
    }
    let version = script.witness_version()?.to_num();
    Some((version, script.as_bytes().get(2..)?))
}

/// One descriptor, or those that a multipath one stands for.
fn parse(parts: &NodeParts, text: &str, require_checksum: bool) -> Result<Vec<Parsed>, RpcError> {
    Descriptor::parse_multipath(text, parts.network(), require_checksum)
        .map_err(|error| RpcError::new(code::INVALID_ADDRESS_OR_KEY, error.to_string()))
}

fn get_descriptor_info(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let text = context.arguments.string(0)?;
    let parsed = parse(parts, text, false)?;
    let payload = text.split('#').next().unwrap_or_default();
    let first = &parsed[0];
    let mut out = Map::new();
    let text = first.descriptor.to_string();
    out.insert("descriptor".into(), json!(text));
    if parsed.len() > 1 {
        let all: Vec<String> = parsed
            .iter()
            .map(|parsed| parsed.descriptor.to_string())
            .collect();
        out.insert("multipath_expansion".into(), json!(all));
    }
    let checksum = btc_interfaces::descriptor::checksum(payload);
    out.insert("checksum".into(), json!(checksum));
    out.insert("isrange".into(), json!(first.descriptor.is_range()));
    out.insert("issolvable".into(), json!(first.descriptor.is_solvable()));
    out.insert("hasprivatekeys".into(), json!(!first.secrets.is_empty()));
    Ok(Value::Object(out))
}

fn derive_addresses(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let invalid = |message: &str| RpcError::new(code::INVALID_PARAMETER, message);
    let range = context.arguments.opt_range(1)?;
    let parsed = parse(parts, context.arguments.string(0)?, true)?;
    let range = match (parsed[0].descriptor.is_range(), range) {
        (false, Some(_)) => {
            return Err(invalid(
                "Range should not be specified for an un-ranged descriptor",
            ));
        }
        (true, None) => return Err(invalid("Range must be specified for a ranged descriptor")),
        (_, range) => range.unwrap_or(0..=0),
    };
    let mut all = Vec::new();
    for parsed in &parsed {
        all.push(addresses(parts, parsed, range.clone())?);
    }
    Ok(match all.as_slice() {
        [addresses] => json!(addresses),
        several => json!(several),
    })
}

/// The addresses of one descriptor at some indexes.
fn addresses(
    parts: &NodeParts,
    parsed: &Parsed,
    range: RangeInclusive<u32>,
) -> Result<Vec<String>, RpcError> {
    let refused = |message: &str| RpcError::new(code::INVALID_ADDRESS_OR_KEY, message);
    let mut cache = Default::default();
    let mut addresses = Vec::new();
    for index in range {
        let expansion = parsed
            .descriptor
            .expand(index, &parsed.secrets, &mut cache)
            .map_err(|_| refused("Cannot derive script without private keys"))?;
        for script in &expansion.scripts {
            let address = encode::address(&script.script_pubkey, parts.network());
            // combo() has a script without an address among others that have one.
            match address {
                Some(address) => addresses.push(address),
                None if expansion.scripts.len() > 1 => {}
                None => {
                    return Err(refused("Descriptor does not have a corresponding address"));
                }
            }
        }
    }
    if addresses.is_empty() {
        return Err(RpcError::new(code::MISC_ERROR, "Unexpected empty result"));
    }
    Ok(addresses)
}

fn verify_message(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let script = address::decode(context.arguments.string(0)?, parts.network())
        .map_err(|_| RpcError::new(code::INVALID_ADDRESS_OR_KEY, "Invalid address"))?;
    let signer = Address::from_script(&script, parts.network())
        .ok()
        .and_then(|address| address.pubkey_hash())
        .ok_or_else(|| RpcError::new(code::TYPE_ERROR, "Address does not refer to key"))?;
    let (signature, message) = (context.arguments.string(1)?, context.arguments.string(2)?);
    message::verify(signer, signature, message)
        .map(Value::Bool)
        .map_err(|error| RpcError::new(code::TYPE_ERROR, error.to_string()))
}

fn sign_message(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let key = Secret::from_wif(context.arguments.string(0)?, parts.network().into())
        .ok_or_else(|| RpcError::new(code::INVALID_ADDRESS_OR_KEY, "Invalid private key"))?;
    Ok(json!(message::sign(&key, context.arguments.string(1)?)))
}
