//! Addresses and labels.

use super::{Call, Entry};
use crate::db::Batch;
use crate::error::{Result, WalletError};
use crate::options::parse_address_type;
use crate::wallet::addresses::{RECEIVE, SEND, parse_address};
use crate::wallet::{State, Wallet};
use bitcoin::{Address, Network, PublicKey, Script, WitnessVersion};
use btc_interfaces::AddressType;
use btc_interfaces::address;
use btc_interfaces::descriptor::{Descriptor, ExpandedScript, Expansion, SecretKeys};
use btc_interfaces::message;
use btc_interfaces::rpc::code;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getnewaddress",
            category: "wallet",
            summary: "A new address to be paid to.",
            args: &[
                Arg::default("label", Kind::String, "\"\"", "The label for the address"),
                Arg::hint(
                    "address_type",
                    Kind::String,
                    "set by -addresstype",
                    "\"legacy\", \"p2sh-segwit\", \"bech32\" or \"bech32m\"",
                ),
            ],
            results: &[Shape::string("", "The new address")],
            examples: &[""],
        },
        run: get_new_address,
    },
    Entry {
        method: Method {
            name: "getrawchangeaddress",
            category: "wallet",
            summary: "A new address for change, for use with raw transactions.",
            args: &[Arg::hint(
                "address_type",
                Kind::String,
                "set by -changetype",
                "\"legacy\", \"p2sh-segwit\", \"bech32\" or \"bech32m\"",
            )],
            results: &[Shape::string("", "The address")],
            examples: &[""],
        },
        run: get_raw_change_address,
    },
    Entry {
        method: Method {
            name: "getaddressinfo",
            category: "wallet",
            summary: "What the wallet knows of an address.",
            args: &[Arg::required("address", Kind::String, "The address")],
            results: super::results::GET_ADDRESS_INFO,
            examples: &["\"bc1q09vm5lfy0j5reeulh4x5752q25uqqvz34hufdl\""],
        },
        run: get_address_info,
    },
    Entry {
        method: Method {
            name: "setlabel",
            category: "wallet",
            summary: "Sets the label of an address.",
            args: &[
                Arg::required("address", Kind::String, "The address"),
                Arg::required("label", Kind::String, "The label"),
            ],
            results: &[Shape::null()],
            examples: &["\"bc1q09vm5lfy0j5reeulh4x5752q25uqqvz34hufdl\" \"tabby\""],
        },
        run: set_label,
    },
    Entry {
        method: Method {
            name: "listlabels",
            category: "wallet",
            summary: "All labels, or those of addresses with a purpose.",
            args: &[Arg::optional(
                "purpose",
                Kind::String,
                "\"send\" or \"receive\"",
            )],
            results: &[Shape::array("", "", &[Shape::string("", "")])],
            examples: &["", "receive"],
        },
        run: list_labels,
    },
    Entry {
        method: Method {
            name: "getaddressesbylabel",
            category: "wallet",
            summary: "The addresses with a label.",
            args: &[Arg::required("label", Kind::String, "The label")],
            results: &[Shape::map(
                "",
                "",
                &[Shape::object(
                    "address",
                    "",
                    &[Shape::string("purpose", "receive or send")],
                )],
            )],
            examples: &["\"tabby\""],
        },
        run: get_addresses_by_label,
    },
    Entry {
        method: Method {
            name: "keypoolrefill",
            category: "wallet",
            summary: "Derives addresses ahead, in all descriptors that give new ones.",
            args: &[Arg::hint(
                "newsize",
                Kind::Number,
                "1000, or as set by -keypool",
                "How many",
            )],
            results: &[Shape::null()],
            examples: &[""],
        },
        run: keypool_refill,
    },
    Entry {
        method: Method {
            name: "signmessage",
            category: "wallet",
            summary: "Signs a message with the private key of an address.",
            args: &[
                Arg::required("address", Kind::String, "The address of the key, P2PKH"),
                Arg::required("message", Kind::String, "The message"),
            ],
            results: &[Shape::string("", "The signature in base64")],
            examples: &["\"1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX\" \"my message\""],
        },
        run: sign_message,
    },
];

fn address_type(call: &Call<'_>, index: usize) -> Result<Option<AddressType>> {
    call.args
        .opt_string(index)?
        .map(|text| {
            parse_address_type(text).ok_or_else(|| {
                WalletError::refused(
                    code::INVALID_ADDRESS_OR_KEY,
                    format!("Unknown address type '{text}'"),
                )
            })
        })
        .transpose()
}

fn ensure_can_give(wallet: &Wallet, internal: bool) -> Result<()> {
    if wallet.lock().can_give_addresses(internal) {
        return Ok(());
    }
    Err(WalletError::refused(
        code::WALLET_ERROR,
        "Error: This wallet has no available keys",
    ))
}

fn get_new_address(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    ensure_can_give(&wallet, false)?;
    let label = call.label(0)?;
    let kind = address_type(call, 1)?.unwrap_or(wallet.context.options.address_type);
    Ok(wallet.new_address(kind, &label)?.into())
}

fn get_raw_change_address(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    ensure_can_give(&wallet, true)?;
    let options = &wallet.context.options;
    let kind = address_type(call, 0)?
        .or(options.change_type)
        .unwrap_or(options.address_type);
    Ok(wallet.new_change_address(kind)?.into())
}

fn invalid_address(message: &str) -> WalletError {
    WalletError::refused(code::INVALID_ADDRESS_OR_KEY, message)
}

/// The fields that tell what kind of script an address pays to.
fn describe_script(script: &Script, into: &mut Map<String, Value>) {
    let is_script = script.is_p2sh() || script.is_p2wsh() || script.is_p2tr();
    let witness = script.witness_version();
    // A witness program of a version to come says nothing about keys or scripts.
    if witness.is_none_or(|version| version == WitnessVersion::V0) || script.is_p2tr() {
        into.insert("isscript".to_owned(), is_script.into());
    }
    into.insert("iswitness".to_owned(), witness.is_some().into());
    if let Some(version) = witness {
        into.insert("witness_version".to_owned(), version.to_num().into());
        let program = &script.to_hex_string()[4..];
        into.insert("witness_program".to_owned(), program.into());
    }
}

fn describe_key(script: &Script, expansion: &Expansion, into: &mut Map<String, Value>) {
    let matching = |key: &PublicKey| {
        (script.is_p2pkh() && script.as_bytes()[3..23] == key.pubkey_hash()[..])
            || (script.is_p2wpkh() && script.as_bytes()[2..22] == key.pubkey_hash()[..])
    };
    let Some(derived) = expansion.keys.iter().find(|derived| matching(&derived.key)) else {
        return;
    };
    into.insert("pubkey".to_owned(), derived.key.to_string().into());
    if script.is_p2pkh() {
        into.insert("iscompressed".to_owned(), derived.key.compressed.into());
    }
}

/// The fields about a script that another one commits to.
fn describe_inner(
    inner: &Script,
    witness_script: Option<&Script>,
    expansion: &Expansion,
    network: Network,
    into: &mut Map<String, Value>,
) {
    let kind = match () {
        () if inner.is_p2wpkh() => "witness_v0_keyhash",
        () if inner.is_p2wsh() => "witness_v0_scripthash",
        () if inner.is_p2pkh() => "pubkeyhash",
        () if inner.is_p2pk() => "pubkey",
        () if inner.is_multisig() => "multisig",
        () => "nonstandard",
    };
    into.insert("script".to_owned(), kind.into());
    into.insert("hex".to_owned(), inner.to_hex_string().into());
    if let Ok(address) = Address::from_script(inner, network) {
        let mut embedded = Map::new();
        describe_script(inner, &mut embedded);
        describe_key(inner, expansion, &mut embedded);
        if let Some(witness_script) = witness_script {
            describe_inner(witness_script, None, expansion, network, &mut embedded);
        }
        embedded.insert("address".to_owned(), address.to_string().into());
        embedded.insert("scriptPubKey".to_owned(), inner.to_hex_string().into());
        if let Some(key) = embedded.get("pubkey").cloned() {
            into.insert("pubkey".to_owned(), key);
        }
        into.insert("embedded".to_owned(), embedded.into());
    } else if inner.is_multisig() {
        let keys: Vec<String> = inner
            .instructions()
            .filter_map(|instruction| Some(instruction.ok()?.push_bytes()?.as_bytes().to_vec()))
            .filter_map(|bytes| PublicKey::from_slice(&bytes).ok())
            .map(|key| key.to_string())
            .collect();
        into.insert(
            "sigsrequired".to_owned(),
            (i32::from(inner.as_bytes()[0]) - 0x50).into(),
        );
        into.insert("pubkeys".to_owned(), keys.into());
    }
}

/// The descriptor of one script, for callers to see.
pub(super) fn inferred(
    solved: &ExpandedScript,
    expansion: &[btc_interfaces::descriptor::DerivedKey],
    network: Network,
) -> Descriptor {
    Descriptor::infer(solved, expansion, network)
}

/// The descriptors that a script comes from, in normal form.
pub(super) fn parent_descriptors(state: &State, script: &Script) -> Vec<String> {
    state
        .managers_of(script)
        .filter_map(|manager| manager.public_text(state.network_kind()).ok())
        .collect()
}

fn get_address_info(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    let network = wallet.context.options.network;
    let script = address::decode(call.args.string(0)?, network)
        .map_err(|error| invalid_address(&error.message))?;
    let state = wallet.lock();
    let address = state.address_of(&script);
    let mut info = Map::new();
    info.insert("address".to_owned(), address.clone().into());
    info.insert("scriptPubKey".to_owned(), script.to_hex_string().into());
    info.insert("ismine".to_owned(), state.is_mine(&script).into());
    let solved = state.solve(&script);
    let descriptor = solved
        .as_ref()
        .map(|(solved, expansion)| inferred(solved, &expansion.keys, network));
    let solvable = descriptor.as_ref().is_some_and(Descriptor::is_solvable);
    info.insert("solvable".to_owned(), solvable.into());
    if let Some(descriptor) = descriptor.filter(Descriptor::is_solvable) {
        info.insert("desc".to_owned(), descriptor.to_string().into());
    }
    let manager = state.managers_of(&script).next();
    if let Some(text) = manager.and_then(|manager| manager.public_text(state.network_kind()).ok()) {
        info.insert("parent_desc".to_owned(), text.into());
    }
    info.insert("iswatchonly".to_owned(), false.into());
    describe_script(&script, &mut info);
    if let Some((solved, expansion)) = &solved {
        describe_key(&script, expansion, &mut info);
        let witness_script = solved.witness_script.as_deref();
        if let Some(redeem) = &solved.redeem_script {
            describe_inner(redeem, witness_script, expansion, network, &mut info);
        } else if let Some(witness_script) = witness_script {
            describe_inner(witness_script, None, expansion, network, &mut info);
        }
    }
    info.insert("ischange".to_owned(), state.is_change(&script).into());
    if let (Some(manager), Some((_, expansion))) = (manager, &solved)
        && let [key] = expansion.keys.as_slice()
    {
        info.insert("timestamp".to_owned(), manager.value().creation_time.into());
        let mut path = "m".to_owned();
        for step in &key.origin.path {
            // `Display` of a hardened step uses the apostrophe.
            path.push('/');
            path.push_str(&step.to_string().replace('\'', "h"));
        }
        info.insert("hdkeypath".to_owned(), path.into());
        info.insert("hdseedid".to_owned(), "0".repeat(40).into());
        info.insert(
            "hdmasterfingerprint".to_owned(),
            key.origin.fingerprint.to_string().into(),
        );
    }
    let labels: Vec<String> = state
        .book_entry(&address)
        .and_then(|entry| entry.label.clone())
        .into_iter()
        .collect();
    info.insert("labels".to_owned(), labels.into());
    Ok(info.into())
}

fn set_label(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    let network = wallet.context.options.network;
    let script = parse_address(call.args.string(0)?, network)
        .ok_or_else(|| invalid_address("Invalid Bitcoin address"))?;
    let label = call.label(1)?;
    let mut state = wallet.lock();
    let address = state.address_of(&script);
    let purpose = if state.is_mine(&script) {
        RECEIVE
    } else {
        SEND
    };
    let mut batch = Batch::new();
    state.set_label(&address, &label, Some(purpose), &mut batch);
    state.db.commit(batch)?;
    Ok(Value::Null)
}

fn list_labels(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    let purpose = call.args.opt_string(0)?.filter(|text| !text.is_empty());
    if purpose.is_some_and(|text| !matches!(text, SEND | RECEIVE)) {
        return Err(WalletError::refused(
            code::INVALID_PARAMETER,
            "Invalid 'purpose' argument, must be a known purpose string, typically 'send', or 'receive'.",
        ));
    }
    let state = wallet.lock();
    let labels: BTreeSet<String> = state
        .address_book
        .values()
        .filter(|entry| purpose.is_none() || entry.purpose.as_deref() == purpose)
        .filter_map(|entry| entry.label.clone())
        .collect();
    Ok(labels.into_iter().collect::<Vec<_>>().into())
}

fn get_addresses_by_label(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    let label = call.label(0)?;
    let state = wallet.lock();
    let found: Map<String, Value> = state
        .address_book
        .iter()
        .filter(|(_, entry)| entry.label.as_ref() == Some(&label))
        .map(|(address, entry)| {
            let purpose = entry.purpose.as_deref().unwrap_or("unknown");
            (address.clone(), json!({ "purpose": purpose }))
        })
        .collect();
    if found.is_empty() {
        return Err(WalletError::refused(
            code::WALLET_INVALID_LABEL_NAME,
            format!("No addresses with label {label}"),
        ));
    }
    Ok(found.into())
}

fn keypool_refill(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    let size = match call.args.opt_int::<i64>(0)? {
        None => None,
        Some(size) => Some(
            u32::try_from(size)
                .ok()
                .filter(|size| *size <= i32::MAX as u32)
                .ok_or_else(|| {
                    WalletError::refused(
                        code::INVALID_PARAMETER,
                        "Invalid parameter, expected valid size.",
                    )
                })?,
        ),
    };
    wallet.ensure_unlocked()?;
    let mut state = wallet.lock();
    let size = size.filter(|size| *size > 0).unwrap_or(state.keypool);
    state.top_up_all(size)?;
    Ok(Value::Null)
}

fn sign_message(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.ensure_unlocked()?;
    let network = wallet.context.options.network;
    let script = parse_address(call.args.string(0)?, network)
        .ok_or_else(|| invalid_address("Invalid address"))?;
    let signer = Address::from_script(&script, network)
        .ok()
        .and_then(|address| address.pubkey_hash())
        .ok_or_else(|| WalletError::refused(code::TYPE_ERROR, "Address does not refer to key"))?;
    let mut secrets = SecretKeys::new(network.into());
    wallet.lock().collect_secrets(&script, &mut secrets)?;
    let (_, key) = secrets
        .iter()
        .find(|(public, _)| public.pubkey_hash() == signer)
        .ok_or_else(|| {
            WalletError::refused(code::INVALID_ADDRESS_OR_KEY, "Private key not available")
        })?;
    Ok(json!(message::sign(key, call.args.string(1)?)))
}
