//! Balances and coins.

use super::addresses::{inferred, parent_descriptors};
use super::{Call, Entry, invalid_parameter, last_processed};
use crate::db::Batch;
use crate::error::{Result, WalletError};
use crate::sign;
use crate::spend::CoinFilter;
use crate::wallet::FLAG_AVOID_REUSE;
use crate::wallet::addresses::parse_address;
use crate::wallet::balance::Spent;
use bitcoin::{OutPoint, Txid};
use btc_interfaces::TxAncestry;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{code, value};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getbalance",
            category: "wallet",
            summary: "The balance that the wallet can spend.",
            args: &[
                Arg::optional(
                    "dummy",
                    Kind::String,
                    "Only for the sake of old callers: must be left out or \"*\"",
                )
                .placeholder(),
                Arg::default(
                    "minconf",
                    Kind::Number,
                    "0",
                    "Only what is confirmed at least so often",
                ),
                Arg::default("include_watchonly", Kind::Bool, "false", "No longer used"),
                Arg::default(
                    "avoid_reuse",
                    Kind::Bool,
                    "true",
                    "If the wallet avoids reuse, leave out coins on addresses that were spent from",
                ),
            ],
            results: &[Shape::amount("", "The balance in BTC")],
            examples: &["", "\"*\" 6"],
        },
        run: get_balance,
    },
    Entry {
        method: Method {
            name: "getbalances",
            category: "wallet",
            summary: "All balances in BTC.",
            args: &[],
            results: super::results::GET_BALANCES,
            examples: &[""],
        },
        run: get_balances,
    },
    Entry {
        method: Method {
            name: "listunspent",
            category: "wallet",
            summary: "The wallet's unspent outputs.",
            args: &[
                Arg::default("minconf", Kind::Number, "1", "The least confirmations"),
                Arg::default("maxconf", Kind::Number, "9999999", "The most confirmations"),
                Arg::default(
                    "addresses",
                    Kind::Array,
                    "[]",
                    "Only outputs to these addresses",
                )
                .with(&[Arg::optional("address", Kind::String, "An address")]),
                Arg::default(
                    "include_unsafe",
                    Kind::Bool,
                    "true",
                    "Also outputs that are not safe to spend",
                ),
                Arg::optional(
                    "query_options",
                    Kind::ObjectNamedParams,
                    "Further conditions",
                )
                .shown_as("query_options")
                .with(&[
                    Arg::default(
                        "minimumAmount",
                        Kind::Amount,
                        "\"0.00\"",
                        "The least value of each",
                    ),
                    Arg::hint(
                        "maximumAmount",
                        Kind::Amount,
                        "unlimited",
                        "The greatest value of each",
                    ),
                    Arg::hint(
                        "maximumCount",
                        Kind::Number,
                        "unlimited",
                        "The most outputs",
                    ),
                    Arg::hint(
                        "minimumSumAmount",
                        Kind::Amount,
                        "unlimited",
                        "The least value of all together",
                    ),
                    Arg::default(
                        "include_immature_coinbase",
                        Kind::Bool,
                        "false",
                        "Also outputs of young coinbases",
                    ),
                ]),
            ],
            results: super::results::LIST_UNSPENT,
            examples: &["", "6 9999999"],
        },
        run: list_unspent,
    },
    Entry {
        method: Method {
            name: "lockunspent",
            category: "wallet",
            summary: "Keeps outputs from being spent, or lets them be spent again; without outputs, lets all.",
            args: &[
                Arg::required("unlock", Kind::Bool, "Whether to let them be spent again"),
                Arg::default("transactions", Kind::Array, "[]", "The outputs").with(&[
                    Arg::optional("", Kind::Object, "An output").with(&[
                        Arg::required("txid", Kind::StringHex, "Its transaction"),
                        Arg::required("vout", Kind::Number, "Its number"),
                    ]),
                ]),
                Arg::default(
                    "persistent",
                    Kind::Bool,
                    "false",
                    "Whether to keep that on disk",
                ),
            ],
            results: &[Shape::bool("", "Whether the command was successful or not")],
            examples: &["true"],
        },
        run: lock_unspent,
    },
    Entry {
        method: Method {
            name: "listlockunspent",
            category: "wallet",
            summary: "Outputs that are kept from being spent.",
            args: &[],
            results: &[Shape::array(
                "",
                "",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::hex("txid", "The transaction's id"),
                        Shape::number("vout", "The number of the output"),
                    ],
                )],
            )],
            examples: &[""],
        },
        run: |call| {
            let wallet = call.wallet()?;
            let state = wallet.lock();
            let locked: Vec<Value> = state
                .locked
                .keys()
                .map(|outpoint| json!({ "txid": outpoint.txid.to_string(), "vout": outpoint.vout }))
                .collect();
            Ok(locked.into())
        },
    },
];

fn get_balance(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    if call.args.opt_string(0)?.is_some_and(|dummy| dummy != "*") {
        return Err(WalletError::refused(
            code::METHOD_DEPRECATED,
            "dummy first argument must be excluded or set to \"*\".",
        ));
    }
    let min_depth = call.args.int::<i32>(1)?;
    let given = call.args.opt_bool(3)?;
    let state = wallet.lock();
    let avoids = state.has_flag(FLAG_AVOID_REUSE);
    if given == Some(true) && !avoids {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "wallet does not have the \"avoid reuse\" feature enabled",
        ));
    }
    let spend_zero_conf = wallet.context.options.spend_zero_conf_change;
    let balances = state.balances(min_depth, given.unwrap_or(avoids), false, spend_zero_conf);
    Ok(value::from_amount(balances.trusted))
}

fn get_balances(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let state = wallet.lock();
    let balances = state.balances(0, true, true, wallet.context.options.spend_zero_conf_change);
    let mut mine = json!({
        "trusted": value::from_amount(balances.trusted),
        "untrusted_pending": value::from_amount(balances.untrusted_pending),
        "immature": value::from_amount(balances.immature),
        "nonmempool": value::from_sat(balances.nonmempool.to_sat()),
    });
    if state.has_flag(FLAG_AVOID_REUSE) {
        mine["used"] = value::from_amount(balances.used);
    }
    Ok(json!({ "mine": mine, "lastprocessedblock": last_processed(state.last_block) }))
}

fn list_unspent(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    let network = wallet.context.options.network;
    let mut filter = CoinFilter::spendable(wallet.context.options.spend_zero_conf_change);
    filter.min_depth = call.args.int(0)?;
    filter.max_depth = call.args.int(1)?;
    filter.avoid_reuse = false;
    let mut scripts = HashSet::new();
    for address in call.args.array(2)? {
        let text = value::string(address)?;
        let script = parse_address(text, network).ok_or_else(|| {
            WalletError::refused(
                code::INVALID_ADDRESS_OR_KEY,
                format!("Invalid Bitcoin address: {text}"),
            )
        })?;
        if !scripts.insert(script) {
            return Err(invalid_parameter(format!(
                "Invalid parameter, duplicated address: {text}"
            )));
        }
    }
    filter.include_unsafe = call.args.bool(3)?;
    let (mut min_sum, mut max_count) = (None, None);
    if call.args.opt(4).is_some() {
        use value::Field;
        let options = call.args.get(4);
        value::check_object(
            options,
            &[
                ("minimumAmount", Field::Any),
                ("maximumAmount", Field::Any),
                ("minimumSumAmount", Field::Any),
                ("maximumCount", Field::Of("number")),
                ("include_immature_coinbase", Field::Of("bool")),
            ],
            true,
            true,
        )?;
        let given = |name: &str| options.get(name).filter(|value| !value.is_null());
        if let Some(least) = given("minimumAmount") {
            filter.min_amount = value::amount(least)?;
        }
        if let Some(most) = given("maximumAmount") {
            filter.max_amount = value::amount(most)?;
        }
        min_sum = given("minimumSumAmount").map(value::amount).transpose()?;
        max_count = given("maximumCount").map(value::int::<i64>).transpose()?;
        if let Some(immature) = given("include_immature_coinbase") {
            filter.include_immature = value::boolean(immature)?;
        }
    }
    wallet.sync_with_chain()?;

    // The chain is asked before the lock is taken for good; a coin that comes in between shows no ancestors.
    let unconfirmed: HashSet<Txid> = wallet
        .lock()
        .coins(&filter)
        .iter()
        .filter(|coin| coin.depth == 0)
        .map(|coin| coin.outpoint.txid)
        .collect();
    let mut ancestry: HashMap<Txid, TxAncestry> = HashMap::new();
    for txid in unconfirmed {
        ancestry.insert(txid, wallet.context.chain.transaction_ancestry(txid)?);
    }
    let state = wallet.lock();
    let avoids = state.has_flag(FLAG_AVOID_REUSE);
    let mut results = Vec::new();
    let mut sum = bitcoin::Amount::ZERO;
    for coin in state.coins(&filter) {
        if max_count.is_some_and(|most| most > 0 && results.len() as i64 >= most)
            || min_sum.is_some_and(|least| sum >= least)
        {
            break;
        }
        sum = sum
            .checked_add(coin.output.value)
            .unwrap_or(bitcoin::Amount::MAX_MONEY);
        let script = &coin.output.script_pubkey;
        if !scripts.is_empty() && !scripts.contains(script) {
            continue;
        }
        let mut entry = Map::new();
        entry.insert("txid".to_owned(), coin.outpoint.txid.to_string().into());
        entry.insert("vout".to_owned(), coin.outpoint.vout.into());
        let address = state.address_of(script);
        if !address.is_empty() {
            if let Some(label) = state
                .book_entry(&address)
                .and_then(|entry| entry.label.clone())
            {
                entry.insert("address".to_owned(), address.into());
                entry.insert("label".to_owned(), label.into());
            } else {
                entry.insert("address".to_owned(), address.into());
            }
            if let Some((solved, _)) = &coin.solved {
                if let Some(redeem) = &solved.redeem_script {
                    entry.insert("redeemScript".to_owned(), redeem.to_hex_string().into());
                }
                if let Some(witness) = &solved.witness_script {
                    entry.insert("witnessScript".to_owned(), witness.to_hex_string().into());
                }
            }
        }
        entry.insert("scriptPubKey".to_owned(), script.to_hex_string().into());
        entry.insert("amount".to_owned(), value::from_amount(coin.output.value));
        entry.insert("confirmations".to_owned(), coin.depth.into());
        if let Some(ancestry) = ancestry
            .get(&coin.outpoint.txid)
            .filter(|found| found.ancestors > 0)
        {
            entry.insert("ancestorcount".to_owned(), ancestry.ancestors.into());
            entry.insert("ancestorsize".to_owned(), ancestry.ancestor_size.into());
            entry.insert("ancestorfees".to_owned(), ancestry.ancestor_fees.into());
        }
        entry.insert("spendable".to_owned(), true.into());
        let solvable = coin
            .solved
            .as_ref()
            .filter(|(solved, keys)| sign::dummy_input(solved, keys).is_some());
        entry.insert("solvable".to_owned(), solvable.is_some().into());
        if let Some((solved, keys)) = solvable {
            entry.insert(
                "desc".to_owned(),
                inferred(solved, keys, network).to_string().into(),
            );
        }
        entry.insert(
            "parent_descs".to_owned(),
            parent_descriptors(&state, script).into(),
        );
        if avoids {
            entry.insert("reused".to_owned(), state.is_used(script).into());
        }
        entry.insert("safe".to_owned(), coin.safe.into());
        results.push(entry.into());
    }
    Ok(Value::Array(results))
}

fn lock_unspent(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let unlock = call.args.bool(0)?;
    let persistent = call.args.bool(2)?;
    let mut state = wallet.lock();
    let mut batch = Batch::new();
    let Some(given) = call.args.opt(1) else {
        if unlock {
            for (outpoint, stored) in std::mem::take(&mut state.locked) {
                if stored {
                    batch.lock_coin(&outpoint, false);
                }
            }
            state.db.commit(batch)?;
        }
        return Ok(true.into());
    };
    let mut outpoints = Vec::new();
    for output in value::array(given)? {
        use value::Field;
        value::check_object(
            output,
            &[("txid", Field::Of("string")), ("vout", Field::Of("number"))],
            false,
            false,
        )?;
        let txid: Txid = value::hash(&output["txid"], "txid")?;
        let vout = u32::try_from(value::int::<i32>(&output["vout"])?)
            .map_err(|_| invalid_parameter("Invalid parameter, vout cannot be negative"))?;
        let outpoint = OutPoint { txid, vout };
        let tx = state
            .txs
            .get(&txid)
            .ok_or_else(|| invalid_parameter("Invalid parameter, unknown transaction"))?;
        if vout as usize >= tx.record.tx.output.len() {
            return Err(invalid_parameter(
                "Invalid parameter, vout index out of bounds",
            ));
        }
        if state.how_spent(&outpoint) != Spent::No {
            return Err(invalid_parameter(
                "Invalid parameter, expected unspent output",
            ));
        }
        let locked = state.locked.get(&outpoint).copied();
        if unlock && locked.is_none() {
            return Err(invalid_parameter(
                "Invalid parameter, expected locked output",
            ));
        }
        if !unlock && (locked == Some(true) || locked == Some(false) && !persistent) {
            return Err(invalid_parameter(
                "Invalid parameter, output already locked",
            ));
        }
        outpoints.push(outpoint);
    }
    for outpoint in &outpoints {
        if unlock {
            batch.lock_coin(outpoint, false);
        } else if persistent {
            batch.lock_coin(outpoint, true);
        }
    }
    state.db.commit(batch)?;
    for outpoint in outpoints {
        if unlock {
            state.locked.remove(&outpoint);
        } else {
            state.locked.insert(outpoint, persistent);
        }
    }
    Ok(true.into())
}
