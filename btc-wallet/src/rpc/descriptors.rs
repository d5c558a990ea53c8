//! Descriptors in and out.

use super::{Call, Entry, invalid_parameter};
use crate::error::{Result, WalletError};
use crate::wallet::import::Import;
use crate::wallet::{FLAG_DISABLE_PRIVATE_KEYS, State, WatchFrom};
use btc_interfaces::WantBlock;
use btc_interfaces::descriptor::{Descriptor, KeyCache};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};

/// Seconds around a key's birth in which its first transaction is looked for.
const TIMESTAMP_WINDOW: i64 = 2 * 60 * 60;

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "listdescriptors",
            category: "wallet",
            summary: "The wallet's descriptors.",
            args: &[Arg::default(
                "private",
                Kind::Bool,
                "false",
                "Whether to show private keys",
            )],
            results: super::results::LIST_DESCRIPTORS,
            examples: &["", "true"],
        },
        run: list_descriptors,
    },
    Entry {
        method: Method {
            name: "importdescriptors",
            category: "wallet",
            summary: "Imports descriptors and looks for their transactions.",
            args: &[Arg::required("requests", Kind::Array, "The descriptors")
                .shown_as("requests")
                .with(&[Arg::optional("", Kind::Object, "A descriptor").with(&[
                    Arg::required("desc", Kind::String, "The descriptor with its checksum"),
                    Arg::default(
                        "active",
                        Kind::Bool,
                        "false",
                        "Whether new addresses come from it",
                    ),
                    Arg::optional("range", Kind::Range, "Its last index, or first and last"),
                    Arg::optional("next_index", Kind::Number, "The next index to hand out"),
                    Arg::required(
                        "timestamp",
                        Kind::Number,
                        "Since when it is used, or \"now\"",
                    )
                    .labelled("timestamp | \"now\"", "integer / string"),
                    Arg::default(
                        "internal",
                        Kind::Bool,
                        "false",
                        "Whether it gives change addresses",
                    ),
                    Arg::default("label", Kind::String, "\"\"", "The label of its addresses"),
                ])])],
            results: &[Shape::array(
                "",
                "",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::bool("success", "Whether it was taken"),
                        Shape::array("warnings", "What is to be minded", &[Shape::string("", "")])
                            .optional(),
                        Shape::object(
                            "error",
                            "What is wrong",
                            &[
                                Shape::number("code", "The code, as of JSON-RPC"),
                                Shape::string("message", "What is wrong"),
                            ],
                        )
                        .optional(),
                    ],
                )],
            )],
            examples: &["'[{ \"desc\": \"<my descriptor>\", \"timestamp\": 1455191478 }]'"],
        },
        run: import_descriptors,
    },
];

fn list_descriptors(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    let private = call.args.bool(0)?;
    if private && wallet.lock().has_flag(FLAG_DISABLE_PRIVATE_KEYS) {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "Can't get private descriptor string for watch-only wallets",
        ));
    }
    if private {
        wallet.ensure_unlocked()?;
    }
    let state = wallet.lock();
    let mut listed = Vec::new();
    for (id, manager) in &state.managers {
        let text = if private {
            let secrets = manager.secrets(state.unlocked.as_ref(), state.network_kind());
            manager.descriptor().to_private_string(&secrets)?
        } else {
            manager.public_text(state.network_kind())?
        };
        let internal = state.is_internal(id);
        let mut entry = json!({
            "desc": text,
            "timestamp": manager.value().creation_time,
            "active": internal.is_some(),
        });
        if let Some(internal) = internal {
            entry["internal"] = internal.into();
        }
        if manager.descriptor().is_range() {
            let value = manager.value();
            entry["range"] = json!([value.range_start, value.range_end - 1]);
            entry["next"] = value.next_index.into();
            entry["next_index"] = value.next_index.into();
        }
        listed.push((text, entry));
    }
    listed.sort_by(|a, b| a.0.cmp(&b.0));
    let descriptors: Vec<Value> = listed.into_iter().map(|(_, entry)| entry).collect();
    Ok(json!({ "wallet_name": wallet.name(), "descriptors": descriptors }))
}

fn import_time(request: &Value, now: i64) -> Result<i64> {
    match request.get("timestamp") {
        None | Some(Value::Null) => Err(WalletError::refused(
            code::TYPE_ERROR,
            "Missing required timestamp field for key",
        )),
        Some(number @ Value::Number(_)) => Ok(value::int(number)?),
        Some(Value::String(text)) if text == "now" => Ok(now),
        Some(other) => Err(WalletError::refused(
            code::TYPE_ERROR,
            format!(
                "Expected number or \"now\" timestamp value for key. got type {}",
                value::type_name(other)
            ),
        )),
    }
}

/// Checks one request and what it would import.
fn checked(
    state: &State,
    request: &Value,
    timestamp: i64,
    warnings: &mut Vec<String>,
) -> Result<Import> {
    let given = |name: &str| request.get(name).filter(|value| !value.is_null());
    let flag = |name: &str| given(name).map_or(Ok(false), value::boolean);
    let text = given("desc").ok_or_else(|| invalid_parameter("Descriptor not found."))?;
    let text = value::string(text)?;
    let active = flag("active")?;
    let label = given("label").map_or(Ok(""), value::string)?;
    if label == "*" {
        return Err(WalletError::refused(
            code::WALLET_INVALID_LABEL_NAME,
            "Invalid label name",
        ));
    }
    let parsed = Descriptor::parse(text, state.network, true)
        .map_err(|error| WalletError::refused(code::INVALID_ADDRESS_OR_KEY, error.to_string()))?;
    let internal = flag("internal")?;
    let ranged = parsed.descriptor.is_range();
    let (mut range, mut next_index) = ((0, 1), 0);
    if !ranged && given("range").is_some() {
        return Err(invalid_parameter(
            "Range should not be specified for an un-ranged descriptor",
        ));
    }
    if ranged {
        range = match given("range") {
            Some(given) => {
                let given = value::descriptor_range(given)?;
                let start = i32::try_from(*given.start());
                let end = i32::try_from(*given.end())
                    .ok()
                    .and_then(|end| end.checked_add(1));
                match (start, end) {
                    (Ok(start), Some(end)) => (start, end),
                    _ => return Err(invalid_parameter("End of range is too high")),
                }
            }
            None => {
                warnings.push("Range not given, using default keypool range".to_owned());
                (0, i32::try_from(state.keypool).unwrap_or(i32::MAX))
            }
        };
        next_index = range.0;
        if let Some(given) = given("next_index") {
            let given: i64 = value::int(given)?;
            next_index = i32::try_from(given)
                .ok()
                .filter(|index| (range.0..range.1).contains(index))
                .ok_or_else(|| invalid_parameter("next_index is out of range"))?;
        }
    }
    if active && !ranged {
        return Err(invalid_parameter("Active descriptors must be ranged"));
    }
    if ranged && given("label").is_some() {
        return Err(invalid_parameter(
            "Ranged descriptors should not have a label",
        ));
    }
    if internal && given("label").is_some() {
        return Err(invalid_parameter(
            "Internal addresses should not have a label",
        ));
    }
    if active && !parsed.descriptor.is_single_type() {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "Combo descriptors cannot be set to active",
        ));
    }
    let watch_only = state.has_flag(FLAG_DISABLE_PRIVATE_KEYS);
    if watch_only && !parsed.secrets.is_empty() {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "Cannot import private keys to a wallet with private keys disabled",
        ));
    }
    parsed
        .descriptor
        .expand(0, &parsed.secrets, &mut KeyCache::default())
        .map_err(|error| WalletError::refused(code::WALLET_ERROR, error.to_string()))?;
    if !watch_only {
        if parsed.secrets.is_empty() {
            return Err(WalletError::refused(
                code::WALLET_ERROR,
                "Cannot import descriptor without private keys to a wallet with private keys enabled",
            ));
        }
        if !parsed.descriptor.has_all_secrets(&parsed.secrets) {
            warnings.push(
                "Not all private keys provided. Some wallet functionality may return unexpected errors".to_owned(),
            );
        }
    }
    if active && parsed.descriptor.address_type().is_none() {
        warnings.push("Unknown output type, cannot set descriptor to active.".to_owned());
    }
    Ok(Import {
        descriptor: parsed.descriptor,
        secrets: parsed.secrets,
        timestamp,
        range,
        next_index,
        label: label.to_owned(),
        active,
        internal,
    })
}

fn result_of(outcome: Result<()>, warnings: Vec<String>) -> Value {
    let mut result = Map::new();
    match outcome {
        Ok(()) => {
            result.insert("success".to_owned(), true.into());
        }
        Err(error) => {
            let error = RpcError::from(error);
            result.insert("success".to_owned(), false.into());
            result.insert(
                "error".to_owned(),
                json!({ "code": error.code, "message": error.message }),
            );
        }
    }
    super::push_warnings(&mut result, warnings);
    result.into()
}

fn import_descriptors(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    let Some(_guard) = wallet.scan.reserve() else {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "Wallet is currently rescanning. Abort existing rescan or wait.",
        ));
    };
    wallet.sync_with_chain()?;
    wallet.ensure_unlocked()?;
    let requests = call.args.array(0)?;
    let chain = &wallet.context.chain;
    let last = wallet.lock().last_block;
    let (mut lowest, now) = match last {
        Some((_, hash)) => chain
            .find_block(hash, WantBlock::default())?
            .map_or((0, 0), |found| (found.time, found.mtp_time)),
        None => (0, 0),
    };
    let mut times = Vec::new();
    let mut response = Vec::new();
    let mut any = false;
    for request in requests {
        let timestamp = import_time(request, now)?.max(1);
        let mut warnings = Vec::new();
        let outcome = {
            let mut state = wallet.lock();
            checked(&state, request, timestamp, &mut warnings)
                .and_then(|import| state.import(import))
        };
        any |= outcome.is_ok();
        lowest = lowest.min(timestamp);
        times.push(timestamp);
        response.push(result_of(outcome, warnings));
    }
    if any {
        let scanned = wallet.scan_from(WatchFrom::Time(lowest), None)?;
        if scanned.aborted {
            return Err(WalletError::refused(
                code::MISC_ERROR,
                "Rescan aborted by user.",
            ));
        }
        if let Some((_, hash)) = scanned.failed {
            let failed_time = chain
                .find_block(hash, WantBlock::default())?
                .map_or(i64::MAX, |found| found.max_time);
            let scanned_time = failed_time.saturating_add(TIMESTAMP_WINDOW + 1);
            for (result, timestamp) in response.iter_mut().zip(times) {
                if timestamp >= scanned_time || result.get("error").is_some() {
                    continue;
                }
                let message = format!(
                    "Rescan failed for descriptor with timestamp {timestamp}. There was an error reading a block from time {failed_time}, which is after or within {TIMESTAMP_WINDOW} seconds of key creation, and could contain transactions pertaining to the desc. As a result, transactions and coins using this desc may not appear in the wallet."
                );
                *result = json!({ "success": false, "error": { "code": code::MISC_ERROR, "message": message } });
            }
        }
        wallet.offer_unconfirmed()?;
    }
    Ok(response.into())
}
