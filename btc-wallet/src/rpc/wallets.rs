//! Wallets as a whole: creating, loading, listing, telling about them.

use super::{Call, Entry, last_processed, push_warnings};
use crate::db::Format;
use crate::db::file;
use crate::error::{Result, WalletError};
use crate::keys::KeyManager;
use crate::wallet::{
    FLAG_AVOID_REUSE, FLAG_BLANK, FLAG_DESCRIPTORS, FLAG_DISABLE_PRIVATE_KEYS,
    FLAG_EXTERNAL_SIGNER, FLAG_KEY_ORIGIN_METADATA, FLAG_LAST_HARDENED_XPUB_CACHED,
};
use btc_interfaces::WalletFlags;
use btc_interfaces::rpc::code;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use serde_json::{Map, Value, json};
use std::path::Path;
use zeroize::Zeroizing;

/// What Core reports as the version of every descriptor wallet.
const WALLET_VERSION: i32 = 169_900;

const LOAD_ON_STARTUP: Arg = Arg::optional(
    "load_on_startup",
    Kind::Bool,
    "Whether the node loads the wallet at its next starts; null leaves that as it is",
);

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "createwallet",
            category: "wallet",
            summary: "Creates and loads a new wallet.",
            args: &[
                Arg::required(
                    "wallet_name",
                    Kind::String,
                    "The new wallet's name; a path makes it at that place",
                ),
                Arg::default(
                    "disable_private_keys",
                    Kind::Bool,
                    "false",
                    "Make a wallet that never holds private keys",
                ),
                Arg::default("blank", Kind::Bool, "false", "Make a wallet without keys"),
                Arg::optional(
                    "passphrase",
                    Kind::String,
                    "Encrypt the wallet with this passphrase",
                ),
                Arg::default(
                    "avoid_reuse",
                    Kind::Bool,
                    "false",
                    "Keep coins of reused addresses apart",
                ),
                Arg::default("descriptors", Kind::Bool, "true", "Must be true"),
                LOAD_ON_STARTUP,
                Arg::default(
                    "external_signer",
                    Kind::Bool,
                    "false",
                    "Sign with an external device",
                ),
            ],
            results: &[Shape::object(
                "",
                "",
                &[
                    Shape::string("name", "The wallet's name"),
                    Shape::array("warnings", "What is to be minded", &[Shape::string("", "")])
                        .optional(),
                ],
            )],
            examples: &["\"testwallet\""],
        },
        run: create_wallet,
    },
    Entry {
        method: Method {
            name: "loadwallet",
            category: "wallet",
            summary: "Loads a wallet from a wallet file or directory.",
            args: &[
                Arg::required(
                    "filename",
                    Kind::String,
                    "The wallet's directory, absolute or below the wallets' directory",
                ),
                LOAD_ON_STARTUP,
            ],
            results: &[Shape::object(
                "",
                "",
                &[
                    Shape::string("name", "The wallet's name"),
                    Shape::array("warnings", "What is to be minded", &[Shape::string("", "")])
                        .optional(),
                ],
            )],
            examples: &["\"walletname\""],
        },
        run: load_wallet,
    },
    Entry {
        method: Method {
            name: "unloadwallet",
            category: "wallet",
            summary: "Unloads the wallet that the request's path or the argument names.",
            args: &[
                Arg::hint(
                    "wallet_name",
                    Kind::String,
                    "the wallet name from the RPC endpoint",
                    "The wallet's name",
                ),
                LOAD_ON_STARTUP,
            ],
            results: &[Shape::object(
                "",
                "",
                &[
                    Shape::array("warnings", "What is to be minded", &[Shape::string("", "")])
                        .optional(),
                ],
            )],
            examples: &["wallet_name"],
        },
        run: unload_wallet,
    },
    Entry {
        method: Method {
            name: "listwallets",
            category: "wallet",
            summary: "The names of the loaded wallets.",
            args: &[],
            results: &[Shape::array("", "", &[Shape::string("", "")])],
            examples: &[""],
        },
        run: |call| {
            let names = call
                .loader
                .loaded()
                .iter()
                .map(|wallet| Value::from(wallet.name()))
                .collect();
            Ok(Value::Array(names))
        },
    },
    Entry {
        method: Method {
            name: "listwalletdir",
            category: "wallet",
            summary: "The wallets in the wallets' directory.",
            args: &[],
            results: &[Shape::object(
                "",
                "",
                &[Shape::array(
                    "wallets",
                    "The wallets",
                    &[Shape::object(
                        "",
                        "",
                        &[
                            Shape::string("name", "The wallet's name"),
                            Shape::array(
                                "warnings",
                                "What is to be minded",
                                &[Shape::string("", "")],
                            )
                            .optional(),
                        ],
                    )],
                )],
            )],
            examples: &[""],
        },
        run: list_wallet_dir,
    },
    Entry {
        method: Method {
            name: "getwalletinfo",
            category: "wallet",
            summary: "State of the wallet.",
            args: &[],
            results: super::results::GET_WALLET_INFO,
            examples: &[""],
        },
        run: get_wallet_info,
    },
    Entry {
        method: Method {
            name: "backupwallet",
            category: "wallet",
            summary: "Copies the wallet's file safely, to a directory or a path with a file name.",
            args: &[Arg::required(
                "destination",
                Kind::String,
                "The directory or file",
            )],
            results: &[Shape::null()],
            examples: &["\"backup.dat\""],
        },
        run: backup_wallet,
    },
];

fn named(name: &str, warnings: Vec<String>) -> Value {
    let mut object = Map::new();
    object.insert("name".to_owned(), name.into());
    push_warnings(&mut object, warnings);
    Value::Object(object)
}

fn create_wallet(call: &Call<'_>) -> Result<Value> {
    let args = &call.args;
    let mut warnings = Vec::new();
    let passphrase = args
        .opt_string(3)?
        .map(|text| Zeroizing::new(text.to_owned()));
    if passphrase.as_ref().is_some_and(|text| text.is_empty()) {
        warnings.push("Empty string given as passphrase, wallet will not be encrypted.".to_owned());
    }
    if !args.bool(5)? {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "descriptors argument must be set to \"true\"; it is no longer possible to create a legacy wallet.",
        ));
    }
    if args.bool(7)? {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "Compiled without external signing support (required for external signing)",
        ));
    }
    let flags = WalletFlags {
        disable_private_keys: args.bool(1)?,
        blank: args.bool(2)?,
        avoid_reuse: args.bool(4)?,
    };
    let name = args.string(0)?;
    let passphrase = passphrase.filter(|text| !text.is_empty());
    let wallet = call.loader.create(
        name,
        flags,
        passphrase.as_ref(),
        args.opt_bool(6)?,
        &mut warnings,
    )?;
    Ok(named(wallet.name(), warnings))
}

fn load_wallet(call: &Call<'_>) -> Result<Value> {
    let mut warnings = Vec::new();
    let wallet =
        call.loader
            .load_one(call.args.string(0)?, call.args.opt_bool(1)?, &mut warnings)?;
    Ok(named(wallet.name(), warnings))
}

fn unload_wallet(call: &Call<'_>) -> Result<Value> {
    let name = call.unique_name(call.args.opt_string(0)?)?;
    let wallet = call.named(&name)?;
    let load_on_startup = call.args.opt_bool(1)?;
    let Some(_scan) = wallet.scan.reserve() else {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "Wallet is currently rescanning. Abort existing rescan or wait.",
        ));
    };
    let mut warnings = Vec::new();
    if !call
        .loader
        .unload(&wallet, load_on_startup, &mut warnings)?
    {
        return Err(WalletError::refused(
            code::MISC_ERROR,
            "Requested wallet already unloaded",
        ));
    }
    let mut object = Map::new();
    push_warnings(&mut object, warnings);
    Ok(Value::Object(object))
}

fn list_wallet_dir(call: &Call<'_>) -> Result<Value> {
    let context = &call.loader.context;
    let wallets: Vec<Value> = file::list(&context.options.wallets_dir(), context.magic())
        .into_iter()
        .map(|(name, format)| {
            let warnings: &[&str] = match format {
                Format::Sqlite => &[],
                Format::Berkeley => &[
                    "This wallet is a legacy wallet and will need to be migrated with migratewallet before it can be loaded",
                ],
            };
            json!({ "name": name, "warnings": warnings })
        })
        .collect();
    Ok(json!({ "wallets": wallets }))
}

fn get_wallet_info(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let scanning = wallet.scan.status();
    let state = wallet.lock();
    let pool = |internal: bool| -> i64 {
        state
            .active
            .iter()
            .filter(|((_, side), _)| *side == internal)
            .filter_map(|(_, id)| state.managers.get(id))
            .map(KeyManager::keypool_size)
            .sum()
    };
    let mut info = json!({
        "walletname": wallet.name(),
        "walletversion": WALLET_VERSION,
        "format": "sqlite",
        "txcount": state.txs.len(),
        "keypoolsize": pool(false),
        "keypoolsize_hd_internal": pool(true),
    });
    if state.is_encrypted() {
        info["unlocked_until"] = state.unlocked_until.into();
    }
    info["private_keys_enabled"] = (!state.has_flag(FLAG_DISABLE_PRIVATE_KEYS)).into();
    info["avoid_reuse"] = state.has_flag(FLAG_AVOID_REUSE).into();
    info["scanning"] = match scanning {
        Some((since, progress)) => json!({ "duration": since.as_secs(), "progress": progress }),
        None => false.into(),
    };
    info["descriptors"] = state.has_flag(FLAG_DESCRIPTORS).into();
    info["external_signer"] = state.has_flag(FLAG_EXTERNAL_SIGNER).into();
    info["blank"] = state.has_flag(FLAG_BLANK).into();
    if let Some(birth_time) = state.birth_time {
        info["birthtime"] = birth_time.into();
    }
    let flags: Vec<String> = (0..u64::BITS)
        .filter(|bit| state.flags >> bit & 1 == 1)
        .map(|bit| match 1 << bit {
            FLAG_AVOID_REUSE => "avoid_reuse".to_owned(),
            FLAG_KEY_ORIGIN_METADATA => "key_origin_metadata".to_owned(),
            FLAG_LAST_HARDENED_XPUB_CACHED => "last_hardened_xpub_cached".to_owned(),
            FLAG_DISABLE_PRIVATE_KEYS => "disable_private_keys".to_owned(),
            FLAG_BLANK => "blank".to_owned(),
            FLAG_DESCRIPTORS => "descriptor_wallet".to_owned(),
            FLAG_EXTERNAL_SIGNER => "external_signer".to_owned(),
            _ => format!("unknown_flag_{bit}"),
        })
        .collect();
    info["flags"] = flags.into();
    info["lastprocessedblock"] = last_processed(state.last_block);
    Ok(info)
}

fn backup_wallet(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let given = Path::new(call.args.string(0)?);
    let state = wallet.lock();
    let target = if given.is_dir() {
        given.join(state.db.path().file_name().unwrap_or_default())
    } else {
        given.to_owned()
    };
    let same = match (target.canonicalize(), state.db.path().canonicalize()) {
        (Ok(target), Ok(own)) => target == own,
        _ => false,
    };
    let backed_up = if same {
        Err("the target is the wallet itself".to_owned())
    } else {
        state.db.backup(&target).map_err(|error| error.to_string())
    };
    backed_up.map_err(|reason| {
        tracing::warn!(target: "wallet", "[{}] backup failed: {reason}", wallet.name());
        WalletError::refused(code::WALLET_ERROR, "Error: Wallet backup failed!")
    })?;
    Ok(Value::Null)
}
