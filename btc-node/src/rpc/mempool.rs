//! The methods that show the mempool.

mod file;
mod view;

use super::context::{Entry, NodeParts, TextEntry};
use super::registry::{RequestContext, RpcResult, TextResult};
use crate::mempool::{self, Pool};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Transaction, Txid};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::value::Field;
use btc_interfaces::rpc::writer::JsonWriter;
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::LazyLock;
use view::View;

const TXID: Arg = Arg::required("txid", Kind::StringHex, "The transaction's id");

const VERBOSE: Arg = Arg::default(
    "verbose",
    Kind::Bool,
    "false",
    "Objects by id, or else a list of ids",
);

/// The methods of this module.
pub fn methods() -> &'static [Entry] {
    static ALL: LazyLock<Vec<Entry>> = LazyLock::new(|| [METHODS, file::METHODS].concat());
    &ALL
}

const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "getmempoolinfo",
            category: "blockchain",
            summary: "Shows figures of the mempool and its rules.",
            args: &[],
            results: crate::rpc::results::mempool::GET_MEMPOOL_INFO,
            examples: &[""],
        },
        run: get_mempool_info,
    },
    Entry {
        method: Method {
            name: "getmempoolentry",
            category: "blockchain",
            summary: "Shows a transaction of the mempool.",
            args: &[TXID],
            results: crate::rpc::results::mempool::GET_MEMPOOL_ENTRY,
            examples: &["\"mytxid\""],
        },
        run: |parts, context| {
            let txid = context.arguments.hash(0)?;
            parts
                .mempool
                .read(|pool| entry(pool, &txid, parts))
                .ok_or_else(not_in_mempool)
        },
    },
    Entry {
        method: Method {
            name: "getmempoolancestors",
            category: "blockchain",
            summary: "Lists what a transaction of the mempool descends from, within the mempool.",
            args: &[TXID, VERBOSE],
            results: crate::rpc::results::mempool::RELATIVES,
            examples: &["\"mytxid\""],
        },
        run: |parts, context| {
            relatives(parts, context, |pool, txid| pool.graph().ancestors([txid]))
        },
    },
    Entry {
        method: Method {
            name: "getmempooldescendants",
            category: "blockchain",
            summary: "Lists what descends from a transaction of the mempool, within the mempool.",
            args: &[TXID, VERBOSE],
            results: crate::rpc::results::mempool::RELATIVES,
            examples: &["\"mytxid\""],
        },
        run: |parts, context| {
            relatives(parts, context, |pool, txid| {
                pool.graph().descendants([txid])
            })
        },
    },
    Entry {
        method: Method {
            name: "getmempoolcluster",
            category: "blockchain",
            summary: "Shows the cluster of a transaction of the mempool, chunk by chunk.",
            args: &[TXID],
            results: &[Shape::object(
                "",
                "",
                &[
                    Shape::number("clusterweight", "Sigops-adjusted weight"),
                    Shape::number("txcount", "Transactions"),
                    Shape::array(
                        "chunks",
                        "In the order in which they would be mined",
                        &[Shape::object(
                            "",
                            "",
                            &[
                                Shape::number("chunkfee", "Fees in BTC"),
                                Shape::number("chunkweight", "Sigops-adjusted weight"),
                                Shape::array("txs", "Ids", &[Shape::hex("", "")]),
                            ],
                        )],
                    ),
                ],
            )],
            examples: &["\"mytxid\""],
        },
        run: get_mempool_cluster,
    },
    Entry {
        method: Method {
            name: "getmempoolfeeratediagram",
            category: "hidden",
            summary: "Shows the fees that a block of each size could earn.",
            args: &[],
            results: &[Shape::array(
                "",
                "Points of the curve",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::number("weight", "Weight"),
                        Shape::number("fee", "The fee in BTC, if what it spends is known"),
                    ],
                )],
            )],
            examples: &[""],
        },
        run: get_feerate_diagram,
    },
    Entry {
        method: Method {
            name: "gettxspendingprevout",
            category: "blockchain",
            summary: "Finds the transactions that spend given outputs: in the mempool and, with -txospenderindex, in the chain.",
            args: &[
                Arg::required(
                    "outputs",
                    Kind::Array,
                    "The outputs, each with txid and vout",
                )
                .with(&[Arg::required("output", Kind::Object, "An output").with(
                    &[
                        TXID,
                        Arg::required("vout", Kind::Number, "The output's number"),
                    ],
                )]),
                Arg::optional("options", Kind::ObjectNamedParams, "Options").with(&[
                    Arg::hint(
                        "mempool_only",
                        Kind::Bool,
                        "true without -txospenderindex, else false",
                        "Look into the mempool only",
                    ),
                    Arg::hint(
                        "return_spending_tx",
                        Kind::Bool,
                        "false",
                        "Show the spending transaction too",
                    ),
                ]),
            ],
            results: &[Shape::array(
                "",
                "",
                &[Shape::object(
                    "",
                    "",
                    &[
                        Shape::hex("txid", "The output's transaction"),
                        Shape::number("vout", "Its number"),
                        Shape::hex("spendingtxid", "The spender").optional(),
                        Shape::hex("spendingtx", "The spender itself").optional(),
                        Shape::hex("blockhash", "The block's hash").optional(),
                    ],
                )],
            )],
            examples: &["\"[{\\\"txid\\\":\\\"mytxid\\\",\\\"vout\\\":3}]\""],
        },
        run: get_tx_spending_prevout,
    },
];

/// The methods with large results.
pub(super) const TEXTS: &[TextEntry] = &[TextEntry {
    method: Method {
        name: "getrawmempool",
        category: "blockchain",
        summary: "Lists the mempool's transactions.",
        args: &[
            VERBOSE,
            Arg::default(
                "mempool_sequence",
                Kind::Bool,
                "false",
                "With ids: an object that also tells the number of changes so far",
            ),
        ],
        results: crate::rpc::results::mempool::GET_RAW_MEMPOOL,
        examples: &["true"],
    },
    run: get_raw_mempool,
}];

fn not_in_mempool() -> RpcError {
    RpcError::new(code::INVALID_ADDRESS_OR_KEY, "Transaction not in mempool")
}

fn get_mempool_info(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    let info = parts.mempool.info();
    let policy = &info.policy;
    let rate = |rate: mempool::Feerate| value::from_sat(rate.per_thousand());
    let mut out = Map::new();
    out.insert("loaded".into(), json!(info.loaded));
    out.insert("size".into(), json!(info.size));
    out.insert("bytes".into(), json!(info.bytes));
    out.insert("usage".into(), json!(info.usage));
    out.insert("total_fee".into(), value::from_sat(info.total_fee));
    out.insert("maxmempool".into(), json!(info.max_bytes));
    out.insert("mempoolminfee".into(), rate(info.min_feerate));
    out.insert("minrelaytxfee".into(), rate(policy.min_relay_feerate));
    out.insert(
        "incrementalrelayfee".into(),
        rate(policy.incremental_feerate),
    );
    out.insert("unbroadcastcount".into(), json!(info.unbroadcast));
    out.insert(
        "permitbaremultisig".into(),
        json!(policy.permit_bare_multisig),
    );
    out.insert(
        "maxdatacarriersize".into(),
        json!(policy.max_datacarrier_bytes.unwrap_or(0)),
    );
    out.insert("limitclustercount".into(), json!(policy.cluster_count));
    out.insert("limitclustersize".into(), json!(policy.cluster_vsize));
    out.insert("optimal".into(), json!(info.optimal));
    if parts.is_deprecated_enabled("fullrbf") {
        out.insert("fullrbf".into(), json!(true));
    }
    Ok(Value::Object(out))
}

fn get_raw_mempool(parts: &NodeParts, context: &RequestContext<'_>) -> TextResult {
    let (verbose, with_sequence) = (context.arguments.bool(0)?, context.arguments.bool(1)?);
    if verbose && with_sequence {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            "Verbose results cannot contain mempool sequence values.",
        ));
    }
    let in_order = |pool: &Pool| -> Vec<Txid> {
        let chunks = pool.graph().chunks();
        chunks
            .flat_map(|chunk| chunk.txids.iter().copied())
            .collect()
    };
    // What is written is taken out first: the mempool is not kept from its work while a long text is made.
    if verbose {
        let entries: Vec<View> = parts.mempool.read(|pool| {
            let txids = in_order(pool).into_iter();
            txids
                .filter_map(|txid| View::of(pool, &txid, parts))
                .collect()
        });
        let mut out = JsonWriter::with_capacity(entries.len() * View::ROOM);
        out.object(|out| {
            for entry in &entries {
                out.key(&entry.txid.to_string());
                entry.write(out);
            }
        });
        return Ok(out.into_text());
    }
    let (txids, sequence) = parts.mempool.read(|pool| (in_order(pool), pool.sequence()));
    let mut out = JsonWriter::with_capacity(txids.len() * 68 + 64);
    let list = |out: &mut JsonWriter| {
        out.array(|out| {
            for txid in &txids {
                out.hash(txid.to_byte_array());
            }
        });
    };
    if with_sequence {
        out.object(|out| {
            list(out.key("txids"));
            out.key("mempool_sequence").number(sequence);
        });
    } else {
        list(&mut out);
    }
    Ok(out.into_text())
}

/// Transactions as ids, or as objects by id.
fn list(pool: &Pool, txids: impl Iterator<Item = Txid>, verbose: bool, parts: &NodeParts) -> Value {
    if !verbose {
        return txids.map(|txid| json!(txid.to_string())).collect();
    }
    let entries = txids.filter_map(|txid| Some((txid.to_string(), entry(pool, &txid, parts)?)));
    Value::Object(entries.collect())
}

fn relatives(
    parts: &NodeParts,
    context: &RequestContext<'_>,
    relatives: impl Fn(&Pool, Txid) -> std::collections::BTreeSet<Txid>,
) -> RpcResult {
    let txid = context.arguments.hash(0)?;
    let verbose = context.arguments.bool(1)?;
    parts.mempool.read(|pool| {
        if !pool.graph().contains(&txid) {
            return Err(not_in_mempool());
        }
        let mut found = relatives(pool, txid);
        found.remove(&txid);
        Ok(list(pool, found.into_iter(), verbose, parts))
    })
}

/// One transaction of the mempool with its figures.
fn entry(pool: &Pool, txid: &Txid, parts: &NodeParts) -> Option<Value> {
    View::of(pool, txid, parts).map(|view| view.value())
}

fn get_mempool_cluster(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let txid = context.arguments.hash(0)?;
    parts.mempool.read(|pool| {
        let chunks = pool.graph().cluster_of(&txid);
        if chunks.is_empty() {
            return Err(not_in_mempool());
        }
        let weight: i64 = chunks.iter().map(|chunk| chunk.feerate.size).sum();
        let count: usize = chunks.iter().map(|chunk| chunk.txids.len()).sum();
        let chunks = chunks.iter().map(|chunk| {
            json!({
                "chunkfee": value::from_sat(chunk.feerate.fee),
                "chunkweight": chunk.feerate.size,
                "txs": chunk.txids.iter().map(Txid::to_string).collect::<Vec<_>>(),
            })
        });
        Ok(json!({
            "clusterweight": weight,
            "txcount": count,
            "chunks": chunks.collect::<Vec<_>>(),
        }))
    })
}

fn get_feerate_diagram(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    Ok(parts.mempool.read(|pool| {
        let mut total = mempool::Feerate::ZERO;
        let mut points = vec![json!({ "weight": 0, "fee": value::from_sat(0) })];
        for chunk in pool.graph().chunks() {
            total += chunk.feerate;
            points.push(json!({ "weight": total.size, "fee": value::from_sat(total.fee) }));
        }
        Value::Array(points)
    }))
}

fn get_tx_spending_prevout(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let invalid = |message: &str| RpcError::new(code::INVALID_PARAMETER, message);
    let outputs = context.arguments.array(0)?;
    if outputs.is_empty() {
        return Err(invalid("Invalid parameter, outputs are missing"));
    }
    let mut outpoints = Vec::with_capacity(outputs.len());
    for output in outputs {
        let required = [("txid", Field::Of("string")), ("vout", Field::Of("number"))];
        value::check_object(output, &required, false, true)?;
        let fields = value::object(output)?;
        let txid: Txid = value::hash(fields.get("txid").unwrap_or(&Value::Null), "txid")?;
        let vout: i32 = value::int(fields.get("vout").unwrap_or(&Value::Null))?;
        let vout = u32::try_from(vout)
            .map_err(|_| invalid("Invalid parameter, vout cannot be negative"))?;
        outpoints.push(OutPoint::new(txid, vout));
    }
    let options = context.arguments.opt(1).cloned().unwrap_or(json!({}));
    let fields = [
        ("mempool_only", Field::Of("bool")),
        ("return_spending_tx", Field::Of("bool")),
    ];
    value::check_object(&options, &fields, true, true)?;
    let option = |name: &str| options.get(name).and_then(Value::as_bool);
    let with_tx = option("return_spending_tx").unwrap_or(false);
    let index = parts.indexes.spenders.as_ref();
    let mempool_only = option("mempool_only").unwrap_or(index.is_none());
    let spenders: Vec<Option<Arc<Transaction>>> = parts.mempool.read(|pool| {
        let spender = |outpoint| pool.graph().get(&pool.graph().spender(outpoint)?);
        let found = outpoints.iter().map(|outpoint| {
            let entry = spender(outpoint)?;
            Some(Arc::clone(&entry.tx))
        });
        found.collect()
    });
    let index = if mempool_only || spenders.iter().all(Option::is_some) {
        None
    } else {
        let synced = index.filter(|index| index.follower().wait_until_synced());
        Some(synced.ok_or_else(|| {
            RpcError::new(
                code::MISC_ERROR,
                "Mempool lacks a relevant spend, and txospenderindex is unavailable.",
            )
        })?)
    };
    let mut shown = Vec::with_capacity(outpoints.len());
    for (outpoint, spender) in outpoints.iter().zip(spenders) {
        let mut out = Map::new();
        out.insert("txid".into(), json!(outpoint.txid.to_string()));
        out.insert("vout".into(), json!(outpoint.vout));
        let (spender, block) = match (spender, index) {
            (None, Some(index)) => {
                let found = index.find(outpoint).map_err(|error| {
                    tracing::error!("Deserialize or I/O error - {error}");
                    let text = format!(
                        "IO error finding spending tx for outpoint {}:{}.",
                        outpoint.txid, outpoint.vout
                    );
                    RpcError::new(code::MISC_ERROR, text)
                })?;
                found.map_or((None, None), |found| {
                    (Some(Arc::new(found.tx)), Some(found.block))
                })
            }
            (spender, _) => (spender, None),
        };
        if let Some(tx) = spender {
            let txid = tx.compute_txid().to_string();
            out.insert("spendingtxid".into(), json!(txid));
            if with_tx {
                out.insert("spendingtx".into(), json!(serialize_hex(&*tx)));
            }
        }
        if let Some(block) = block {
            out.insert("blockhash".into(), json!(block.to_string()));
        }
        shown.push(Value::Object(out));
    }
    Ok(Value::Array(shown))
}
