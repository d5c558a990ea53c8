//! What was received by addresses, whether it is still there or not.

use super::{Call, Entry};
use crate::error::{Result, WalletError};
use crate::wallet::State;
use crate::wallet::addresses::parse_address;
use bitcoin::{Amount, ScriptBuf, Txid};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{code, value};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

const MINCONF: Arg = Arg::default(
    "minconf",
    Kind::Number,
    "1",
    "Only transactions confirmed at least so often",
);
const IMMATURE: Arg = Arg::default(
    "include_immature_coinbase",
    Kind::Bool,
    "false",
    "Also coinbases that cannot be spent yet",
);
const INCLUDE_EMPTY: Arg = Arg::default(
    "include_empty",
    Kind::Bool,
    "false",
    "Also those that received nothing",
);
const WATCH_ONLY: Arg = Arg::default("include_watchonly", Kind::Bool, "false", "No longer used");
const SUM: &[Shape] = &[Shape::amount("", "The sum in BTC")];

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getreceivedbyaddress",
            category: "wallet",
            summary: "The sum that an address received.",
            args: &[
                Arg::required("address", Kind::String, "The address"),
                MINCONF,
                IMMATURE,
            ],
            results: SUM,
            examples: &["\"bc1q09vm5lfy0j5reeulh4x5752q25uqqvz34hufdl\" 6"],
        },
        run: by_address,
    },
    Entry {
        method: Method {
            name: "getreceivedbylabel",
            category: "wallet",
            summary: "The sum that all addresses with a label received.",
            args: &[
                Arg::required("label", Kind::String, "The label; \"\" is the default one"),
                MINCONF,
                IMMATURE,
            ],
            results: SUM,
            examples: &["\"tabby\" 6"],
        },
        run: by_label,
    },
    Entry {
        method: Method {
            name: "listreceivedbyaddress",
            category: "wallet",
            summary: "What each address received.",
            args: &[
                MINCONF,
                INCLUDE_EMPTY,
                WATCH_ONLY,
                Arg::optional("address_filter", Kind::String, "Only this address"),
                IMMATURE,
            ],
            results: &[Shape::array(
                "",
                "",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::string("address", "The address"),
                        Shape::amount("amount", "The sum in BTC"),
                        Shape::number(
                            "confirmations",
                            "Confirmations of the latest of the transactions",
                        ),
                        Shape::string("label", "The address's label"),
                        Shape::array("txids", "The transactions", &[Shape::hex("", "")]),
                    ],
                )],
            )],
            examples: &["", "6 true"],
        },
        run: list_by_address,
    },
    Entry {
        method: Method {
            name: "listreceivedbylabel",
            category: "wallet",
            summary: "What the addresses of each label received.",
            args: &[MINCONF, INCLUDE_EMPTY, WATCH_ONLY, IMMATURE],
            results: &[Shape::array(
                "",
                "",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::amount("amount", "The sum in BTC"),
                        Shape::number(
                            "confirmations",
                            "Confirmations of the latest of the transactions",
                        ),
                        Shape::string("label", "The label"),
                    ],
                )],
            )],
            examples: &["", "6 true"],
        },
        run: list_by_label,
    },
];

/// What one script received.
#[derive(Default)]
struct Tally {
    sum: Amount,
    /// Confirmations of the latest transaction; `None` as long as there is none.
    depth: Option<i32>,
    txids: BTreeSet<Txid>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.sum = self.sum.checked_add(other.sum).unwrap_or(Amount::MAX_MONEY);
        self.depth = self.depth.into_iter().chain(other.depth).min();
        self.txids.extend(&other.txids);
    }

    fn confirmations(&self) -> i32 {
        self.depth.unwrap_or(0)
    }
}

/// Which transactions count.
struct Filter {
    least_depth: i32,
    immature_too: bool,
}

/// What each of the wallet's scripts received.
fn tallies(state: &State, filter: &Filter) -> HashMap<ScriptBuf, Tally> {
    let mut tallies: HashMap<ScriptBuf, Tally> = HashMap::new();
    for (txid, tx) in &state.txs {
        let depth = state.depth(tx);
        let orphaned = tx.record.tx.is_coinbase() && depth < 1;
        let immature = state.blocks_to_maturity(tx) > 0;
        if depth < filter.least_depth || orphaned || (immature && !filter.immature_too) {
            continue;
        }
        for output in &tx.record.tx.output {
            if state.is_mine(&output.script_pubkey) {
                let tally = tallies.entry(output.script_pubkey.clone()).or_default();
                tally.add(&Tally {
                    sum: output.value,
                    depth: Some(depth),
                    txids: BTreeSet::from([*txid]),
                });
            }
        }
    }
    tallies
}

fn by_address(call: &Call<'_>) -> Result<Value> {
    let network = call.wallet()?.context.options.network;
    let script = parse_address(call.args.string(0)?, network).ok_or_else(|| {
        WalletError::refused(code::INVALID_ADDRESS_OR_KEY, "Invalid Bitcoin address")
    })?;
    received(call, vec![script])
}

fn by_label(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    let label = call.label(0)?;
    let scripts: Vec<ScriptBuf> = wallet
        .lock()
        .address_book
        .iter()
        .filter(|(_, entry)| entry.label.as_ref() == Some(&label))
        .filter_map(|(address, _)| parse_address(address, wallet.context.options.network))
        .collect();
    if scripts.is_empty() {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "Label not found in wallet",
        ));
    }
    received(call, scripts)
}

/// The sum of all outputs with one of these scripts, as far as they are the wallet's.
fn received(call: &Call<'_>, scripts: Vec<ScriptBuf>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let filter = Filter {
        least_depth: call.args.int(1)?,
        immature_too: call.args.bool(2)?,
    };
    let state = wallet.lock();
    let mine: HashSet<ScriptBuf> = scripts
        .into_iter()
        .filter(|script| state.is_mine(script))
        .collect();
    if mine.is_empty() {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "Address not found in wallet",
        ));
    }
    let tallies = tallies(&state, &filter);
    let mut total = Tally::default();
    for tally in mine.iter().filter_map(|script| tallies.get(script)) {
        total.add(tally);
    }
    Ok(value::from_amount(total.sum))
}

/// Addresses with a label, and what they received; those without anything only if asked for.
fn labelled(
    call: &Call<'_>,
    only: Option<&str>,
    immature_index: usize,
) -> Result<Vec<(String, String, Tally)>> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let filter = Filter {
        least_depth: call.args.int(0)?,
        immature_too: call.args.bool(immature_index)?,
    };
    let include_empty = call.args.bool(1)?;
    let network = wallet.context.options.network;
    let only = only
        .map(|text| {
            parse_address(text, network).ok_or_else(|| {
                WalletError::refused(code::WALLET_ERROR, "address_filter parameter was invalid")
            })
        })
        .transpose()?;
    let state = wallet.lock();
    let mut tallies = tallies(&state, &filter);
    let mut found = Vec::new();
    for (address, entry) in &state.address_book {
        // What has no label is change.
        let Some(label) = &entry.label else { continue };
        let script = parse_address(address, network);
        if only.is_some() && script != only {
            continue;
        }
        let tally = script.and_then(|script| tallies.remove(&script));
        if tally.is_some() || include_empty {
            found.push((address.clone(), label.clone(), tally.unwrap_or_default()));
        }
    }
    Ok(found)
}

fn list_by_address(call: &Call<'_>) -> Result<Value> {
    let found = labelled(call, call.args.opt_string(3)?, 4)?;
    let rows = found.into_iter().map(|(address, label, tally)| {
        let txids: Vec<String> = tally.txids.iter().map(Txid::to_string).collect();
        json!({
            "address": address,
            "amount": value::from_amount(tally.sum),
            "confirmations": tally.confirmations(),
            "label": label,
            "txids": txids,
        })
    });
    Ok(rows.collect())
}

fn list_by_label(call: &Call<'_>) -> Result<Value> {
    let mut labels: BTreeMap<String, Tally> = BTreeMap::new();
    for (_, label, tally) in labelled(call, None, 3)? {
        labels.entry(label).or_default().add(&tally);
    }
    let rows = labels.into_iter().map(|(label, tally)| {
        json!({
            "amount": value::from_amount(tally.sum),
            "confirmations": tally.confirmations(),
            "label": label,
        })
    });
    Ok(rows.collect())
}
