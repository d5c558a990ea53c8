//! The wallet's transactions.

use super::addresses::parent_descriptors;
use super::{Call, Entry, invalid_parameter, last_processed};
use crate::db::Batch;
use crate::error::{Result, WalletError};
use crate::tx::TxState;
use crate::wallet::state::WalletTx;
use crate::wallet::{State, Wallet, WatchFrom};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{SignedAmount, Txid};
use btc_interfaces::rpc::encode::{self, TxDetails};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{code, value};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;

pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "listtransactions",
            category: "wallet",
            summary: "The latest transactions, payments and receipts apart.",
            args: &[
                Arg::optional(
                    "label",
                    Kind::String,
                    "Only receipts under this label; \"*\" for all",
                ),
                Arg::default("count", Kind::Number, "10", "How many"),
                Arg::default(
                    "skip",
                    Kind::Number,
                    "0",
                    "How many of the latest to leave out",
                ),
                Arg::default("include_watchonly", Kind::Bool, "false", "No longer used"),
            ],
            results: super::results::LIST_TRANSACTIONS,
            examples: &["", "\"*\" 20 100"],
        },
        run: list_transactions,
    },
    Entry {
        method: Method {
            name: "gettransaction",
            category: "wallet",
            summary: "Details of a transaction of the wallet.",
            args: &[
                Arg::required("txid", Kind::String, "The transaction id"),
                Arg::default("include_watchonly", Kind::Bool, "false", "No longer used"),
                Arg::default(
                    "verbose",
                    Kind::Bool,
                    "false",
                    "Whether to decode it as well",
                ),
            ],
            results: super::results::GET_TRANSACTION,
            examples: &["\"1075db55d416d3ca199f55b6084e2115b9345e16c5cf302fc80e9d5fbf5d48d\""],
        },
        run: get_transaction,
    },
    Entry {
        method: Method {
            name: "abandontransaction",
            category: "wallet",
            summary: "Gives up a transaction that is neither in a block nor in the mempool, so that its coins can be spent again.",
            args: &[Arg::required("txid", Kind::StringHex, "The transaction id")],
            results: &[Shape::null()],
            examples: &["\"1075db55d416d3ca199f55b6084e2115b9345e16c5cf302fc80e9d5fbf5d48d\""],
        },
        run: abandon_transaction,
    },
    Entry {
        method: Method {
            name: "removeprunedfunds",
            category: "wallet",
            summary: "Deletes a transaction from the wallet, and with it what it adds to the balance. Deprecated: needs -deprecatedrpc=removeprunedfunds.",
            args: &[Arg::required("txid", Kind::StringHex, "The transaction id")],
            results: &[Shape::null()],
            examples: &["\"a8d0c0184dde994a09ec054286f1ce581bebf46446a512166eae7628734ea0a5\""],
        },
        run: remove_pruned_funds,
    },
    Entry {
        method: Method {
            name: "rescanblockchain",
            category: "wallet",
            summary: "Looks through blocks again for the wallet's transactions.",
            args: &[
                Arg::default("start_height", Kind::Number, "0", "The first block"),
                Arg::optional(
                    "stop_height",
                    Kind::Number,
                    "The last block; the tip if left out",
                ),
            ],
            results: &[Shape::object(
                "",
                "",
                &[
                    Shape::number(
                        "start_height",
                        "Height of the first block that was searched",
                    ),
                    Shape::number(
                        "stop_height",
                        "Height of the last block that was searched; null if the chain changed and none was",
                    ),
                ],
            )],
            examples: &["100000 120000"],
        },
        run: rescan_blockchain,
    },
    Entry {
        method: Method {
            name: "abortrescan",
            category: "wallet",
            summary: "Stops a rescan that a call started.",
            args: &[],
            results: &[Shape::bool("", "Whether there was one to stop")],
            examples: &[""],
        },
        run: |call| {
            let wallet = call.wallet()?;
            if wallet.scan.status().is_none() {
                return Ok(false.into());
            }
            Ok((!wallet.scan.abort.swap(true, Ordering::Relaxed)).into())
        },
    },
];

/// What all views of a transaction show.
fn describe(
    state: &State,
    wallet: &Wallet,
    txid: &Txid,
    tx: &WalletTx,
    entry: &mut Map<String, Value>,
) {
    let record = &tx.record;
    let mut put = |name: &str, value: Value| {
        entry.insert(name.to_owned(), value);
    };
    put("confirmations", state.depth(tx).into());
    if record.tx.is_coinbase() {
        put("generated", true.into());
    }
    match record.state {
        TxState::Confirmed {
            block,
            height,
            index,
        } => {
            put("blockhash", block.to_string().into());
            put("blockheight", height.into());
            put("blockindex", index.into());
            if let Some(time) = state.block_times.get(&block) {
                put("blocktime", (*time).into());
            }
        }
        _ => {
            let spend_zero_conf = wallet.context.options.spend_zero_conf_change;
            let trusted = state.is_trusted(txid, spend_zero_conf, &mut HashSet::new());
            put("trusted", trusted.into());
        }
    }
    put("txid", txid.to_string().into());
    let own = record.tx.compute_wtxid();
    put("wtxid", own.to_string().into());
    let others: Vec<String> = record
        .variants()
        .map(bitcoin::Transaction::compute_wtxid)
        .filter(|wtxid| *wtxid != own)
        .map(|wtxid| wtxid.to_string())
        .collect();
    put("alternate_wtxids", others.into());
    let conflicts: BTreeSet<String> = record
        .tx
        .input
        .iter()
        .filter_map(|input| state.spends.get(&input.previous_output))
        .flatten()
        .filter(|other| *other != txid)
        .map(ToString::to_string)
        .collect();
    put(
        "walletconflicts",
        conflicts.into_iter().collect::<Vec<_>>().into(),
    );
    let mempool: Vec<String> = tx
        .mempool_conflicts
        .iter()
        .map(ToString::to_string)
        .collect();
    put("mempoolconflicts", mempool.into());
    put("time", record.time().into());
    put("timereceived", record.time_received.into());
    if let Some(comment) = &record.comment {
        put("comment", comment.clone().into());
    }
    if let Some(to) = &record.comment_to {
        put("to", to.clone().into());
    }
    if let Some(replaced) = record.replaces {
        put("replaces_txid", replaced.to_string().into());
    }
    if let Some(replacement) = record.replaced_by {
        put("replaced_by_txid", replacement.to_string().into());
    }
}

/// The payments and receipts of a transaction.
fn list(
    state: &State,
    wallet: &Wallet,
    txid: &Txid,
    tx: &WalletTx,
    long: bool,
    label: Option<&str>,
) -> Vec<Value> {
    let record = &tx.record;
    let debit = state.debit(&record.tx);
    let from_me = debit > bitcoin::Amount::ZERO;
    let abandoned = record.state.is_abandoned();
    let mut entries = Vec::new();
    let output_sum: i64 = record
        .tx
        .output
        .iter()
        .map(|output| output.value.to_sat().cast_signed())
        .sum();
    if from_me && label.is_none() {
        for (output, vout) in record.tx.output.iter().zip(0_u32..) {
            if state.is_change(&output.script_pubkey) {
                continue;
            }
            let mut entry = Map::new();
            let address = state.address_of(&output.script_pubkey);
            if !address.is_empty() {
                entry.insert("address".to_owned(), address.clone().into());
            }
            entry.insert("category".to_owned(), "send".into());
            entry.insert(
                "amount".to_owned(),
                value::from_sat(-output.value.to_sat().cast_signed()),
            );
            if let Some(label) = state
                .book_entry(&address)
                .and_then(|entry| entry.label.clone())
            {
                entry.insert("label".to_owned(), label.into());
            }
            entry.insert("vout".to_owned(), vout.into());
            entry.insert(
                "fee".to_owned(),
                value::from_sat(output_sum - debit.to_sat().cast_signed()),
            );
            if long {
                describe(state, wallet, txid, tx, &mut entry);
            }
            entry.insert("abandoned".to_owned(), abandoned.into());
            entries.push(entry.into());
        }
    }
    let depth = state.depth(tx);
    if depth < 0 {
        return entries;
    }
    for (output, vout) in record.tx.output.iter().zip(0_u32..) {
        let script = &output.script_pubkey;
        if !state.is_mine(script) || from_me && state.is_change(script) {
            continue;
        }
        let address = state.address_of(script);
        let known = state
            .book_entry(&address)
            .and_then(|entry| entry.label.clone());
        if label.is_some_and(|wanted| wanted != known.as_deref().unwrap_or_default()) {
            continue;
        }
        let mut entry = Map::new();
        if !address.is_empty() {
            entry.insert("address".to_owned(), address.into());
        }
        entry.insert(
            "parent_descs".to_owned(),
            parent_descriptors(state, script).into(),
        );
        let category = match () {
            () if !record.tx.is_coinbase() => "receive",
            () if depth < 1 => "orphan",
            () if state.blocks_to_maturity(tx) > 0 => "immature",
            () => "generate",
        };
        entry.insert("category".to_owned(), category.into());
        entry.insert("amount".to_owned(), value::from_amount(output.value));
        if let Some(known) = known {
            entry.insert("label".to_owned(), known.into());
        }
        entry.insert("vout".to_owned(), vout.into());
        entry.insert("abandoned".to_owned(), abandoned.into());
        if long {
            describe(state, wallet, txid, tx, &mut entry);
        }
        entries.push(entry.into());
    }
    entries
}

fn list_transactions(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let label = match call.args.opt_string(0)? {
        None | Some("*") => None,
        Some("") => {
            return Err(invalid_parameter(
                "Label argument must be a valid label name or \"*\".",
            ));
        }
        Some(label) => Some(label),
    };
    let count: i32 = call.args.int(1)?;
    let skip: i32 = call.args.int(2)?;
    let count = usize::try_from(count).map_err(|_| invalid_parameter("Negative count"))?;
    let skip = usize::try_from(skip).map_err(|_| invalid_parameter("Negative from"))?;
    let state = wallet.lock();
    let mut txs: Vec<_> = state.txs.iter().collect();
    txs.sort_by_key(|(_, tx)| std::cmp::Reverse(tx.record.order));
    // Latest first, as one looks back; the answer is in order of time.
    let mut entries = Vec::new();
    for (txid, tx) in txs {
        entries.extend(list(&state, &wallet, txid, tx, true, label));
        if entries.len() >= count + skip {
            break;
        }
    }
    let chosen: Vec<Value> = entries.into_iter().skip(skip).take(count).collect();
    Ok(chosen.into_iter().rev().collect::<Vec<_>>().into())
}

fn unknown_transaction() -> WalletError {
    WalletError::refused(
        code::INVALID_ADDRESS_OR_KEY,
        "Invalid or non-wallet transaction id",
    )
}

fn get_transaction(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let txid: Txid = call.args.hash(0)?;
    let verbose = call.args.bool(2)?;
    let state = wallet.lock();
    let tx = state.txs.get(&txid).ok_or_else(unknown_transaction)?;
    let record = &tx.record;
    let sat = |amount: bitcoin::Amount| SignedAmount::from_sat(amount.to_sat().cast_signed());
    let credit = if state.blocks_to_maturity(tx) > 0 {
        SignedAmount::ZERO
    } else {
        sat(state.credit(&record.tx))
    };
    let debit = sat(state.debit(&record.tx));
    let from_me = state.is_from_me(&record.tx);
    let fee = if from_me {
        sat(record.tx.output.iter().map(|output| output.value).sum()) - debit
    } else {
        SignedAmount::ZERO
    };
    let mut entry = Map::new();
    entry.insert(
        "amount".to_owned(),
        value::from_sat((credit - debit - fee).to_sat()),
    );
    if from_me {
        entry.insert("fee".to_owned(), value::from_sat(fee.to_sat()));
    }
    describe(&state, &wallet, &txid, tx, &mut entry);
    entry.insert(
        "details".to_owned(),
        list(&state, &wallet, &txid, tx, false, None).into(),
    );
    entry.insert("hex".to_owned(), serialize_hex(&record.tx).into());
    if verbose {
        let details = TxDetails {
            include_hex: false,
            ..TxDetails::plain(wallet.context.options.network)
        };
        let mut decoded = encode::transaction(&record.tx, &details);
        if let Some(Value::Array(outputs)) = decoded.get_mut("vout") {
            for (shown, output) in outputs.iter_mut().zip(&record.tx.output) {
                if state.is_change(&output.script_pubkey) {
                    shown["ischange"] = true.into();
                }
            }
        }
        entry.insert("decoded".to_owned(), decoded.into());
    }
    entry.insert(
        "lastprocessedblock".to_owned(),
        last_processed(state.last_block),
    );
    Ok(entry.into())
}

fn abandon_transaction(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let txid: Txid = call.args.hash(0)?;
    let mut state = wallet.lock();
    let tx = state.txs.get(&txid).ok_or_else(unknown_transaction)?;
    if state.depth(tx) != 0
        || tx.record.state == TxState::InMempool
        || tx.record.state.is_abandoned()
    {
        return Err(WalletError::refused(
            code::INVALID_ADDRESS_OR_KEY,
            "Transaction not eligible for abandonment",
        ));
    }
    let mut batch = Batch::new();
    state.update_descendants(txid, &mut batch, |tx| {
        if tx.record.state.is_unconfirmed() && tx.record.state != TxState::InMempool {
            tx.record.state = TxState::Inactive { abandoned: true };
            true
        } else {
            false
        }
    });
    state.db.commit(batch)?;
    Ok(Value::Null)
}

fn remove_pruned_funds(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    let method = "removeprunedfunds";
    if !wallet
        .context
        .chain
        .rpc_enable_deprecated(method.to_owned())?
    {
        return Err(WalletError::refused(
            code::METHOD_DEPRECATED,
            format!(
                "DEPRECATION WARNING: This feature will be removed in the next major release. \
                 Start bitcoind with the `-deprecatedrpc={method}` option in order to use this."
            ),
        ));
    }
    let txid: Txid = call.args.hash(0)?;
    let mut state = wallet.lock();
    let Some(tx) = state.txs.get(&txid) else {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            format!("Transaction {txid} does not belong to this wallet"),
        ));
    };
    let mut batch = Batch::new();
    batch.erase_tx(&txid, &tx.record);
    state.db.commit(batch)?;
    state.forget_tx(&txid);
    Ok(Value::Null)
}

fn rescan_blockchain(call: &Call<'_>) -> Result<Value> {
    let wallet = call.wallet()?;
    wallet.sync_with_chain()?;
    let Some(_guard) = wallet.scan.reserve() else {
        return Err(WalletError::refused(
            code::WALLET_ERROR,
            "Wallet is currently rescanning. Abort existing rescan or wait.",
        ));
    };
    wallet.ensure_unlocked()?;
    let Some((tip, hash)) = wallet.lock().last_block else {
        return Err(WalletError::refused(
            code::MISC_ERROR,
            "there is no chain yet",
        ));
    };
    let start: i32 = call.args.int(0)?;
    if start < 0 || start > tip {
        return Err(invalid_parameter("Invalid start_height"));
    }
    let stop: Option<i32> = call.args.opt_int(1)?;
    if let Some(stop) = stop {
        if stop < 0 || stop > tip {
            return Err(invalid_parameter("Invalid stop_height"));
        }
        if stop < start {
            return Err(invalid_parameter(
                "stop_height must be greater than start_height",
            ));
        }
    }
    let chain = &wallet.context.chain;
    if !chain.has_blocks(hash, start, stop)? {
        let message = if chain.have_pruned()?
            && chain.prune_height()?.is_some_and(|height| height >= start)
        {
            "Can't rescan beyond pruned data. Use RPC call getblockchaininfo to determine your pruned height."
        } else {
            "Failed to rescan unavailable blocks, potentially caused by data corruption. If the issue persists you may want to reindex (see -reindex option)."
        };
        return Err(WalletError::refused(code::MISC_ERROR, message));
    }
    let scanned = wallet.scan_from(WatchFrom::Height(start), stop)?;
    if scanned.aborted {
        return Err(WalletError::refused(code::MISC_ERROR, "Rescan aborted."));
    }
    if scanned.failed.is_some() {
        return Err(WalletError::refused(
            code::MISC_ERROR,
            "Rescan failed. Potentially corrupted data files.",
        ));
    }
    Ok(json!({ "start_height": start, "stop_height": scanned.last.map(|(height, _)| height) }))
}
