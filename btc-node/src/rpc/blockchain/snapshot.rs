//! Snapshots of all unspent outputs.

use super::super::block_json::target_hex;
use super::super::context::{Entry, NodeParts};
use super::super::numbers::{difficulty, real};
use super::super::registry::{RequestContext, RpcResult};
use super::stats::find_block;
use crate::chainstate::ChainstateInfo;
use crate::chainstate::dump::{DumpError, DumpSource};
use crate::store::utxo_snapshot::SnapshotMetadata;
use btc_interfaces::rpc::table::{Arg, Kind, Method};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Value, json};
use std::fs::File;
use std::io::BufReader;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
    method: Method {
        name: "dumptxoutset",
        category: "blockchain",
        summary: "Writes all unspent outputs to a file. Going back to an earlier block may take long.",
        args: &[
            Arg::required(
                "path",
                Kind::String,
                "The file; if relative, to the network's data directory",
            ),
            Arg::default(
                "type",
                Kind::String,
                "\"\"",
                "latest for the tip; rollback for an earlier block, without option rollback the newest that \
                 loadtxoutset knows",
            ),
            Arg::optional("options", Kind::ObjectNamedParams, "Options").with(&[
                Arg::optional(
                    "rollback",
                    Kind::Number,
                    "The earlier block's height or hash",
                ).unchecked().labelled("", "string or numeric"),
                Arg::default(
                    "in_memory",
                    Kind::Bool,
                    "false",
                    "Keep the copy in which blocks are undone in memory: faster, but it must fit",
                ),
            ]),
        ],
        results: crate::rpc::results::chain::DUMP_TX_OUT_SET,
        examples: &["utxo.dat latest", "utxo.dat rollback"],
    },
    run: dump_tx_out_set,
},
    Entry {
        method: Method {
            name: "loadtxoutset",
            category: "blockchain",
            summary: "Goes on from the unspent outputs in a file that dumptxoutset wrote, if this program knows their \
                      digest. The blocks below are fetched and validated meanwhile.",
            args: &[Arg::required(
                "path",
                Kind::String,
                "The file; if relative, to the network's data directory",
            )],
            results: crate::rpc::results::chain::LOAD_TX_OUT_SET,
            examples: &["utxo.dat"],
        },
        run: load_tx_out_set,
    },
    Entry {
        method: Method {
            name: "getchainstates",
            category: "blockchain",
            summary: "Shows the chains whose unspent outputs the node keeps: one, or below a snapshot two.",
            args: &[],
            results: crate::rpc::results::chain::GET_CHAINSTATES,
            examples: &[""],
        },
        run: get_chainstates,
    },
];

fn invalid(message: impl Into<String>) -> RpcError {
    RpcError::new(code::INVALID_PARAMETER, message)
}

/// Which coins are wanted.
fn source(parts: &NodeParts, context: &RequestContext<'_>) -> Result<DumpSource, RpcError> {
    let kind = context.arguments.string(1)?;
    let options = context.arguments.opt(2).map(value::object).transpose()?;
    let option = |name: &str| {
        let given = options.and_then(|options| options.get(name));
        given.filter(|value| !value.is_null())
    };
    let target = match (option("rollback"), kind) {
        (Some(given), "" | "rollback") => find_block(parts, given)?,
        (Some(_), other) => {
            return Err(invalid(format!(
                "Invalid snapshot type \"{other}\" specified with rollback option"
            )));
        }
        (None, "rollback") => {
            let known = &parts.chain.params().assume_utxo;
            let newest = known.iter().map(|snapshot| snapshot.height).max();
            let newest = newest.ok_or_else(|| invalid("No snapshot of this network is known"))?;
            find_block(parts, &json!(newest))?
        }
        (None, "latest") => return Ok(DumpSource::Tip),
        (None, other) => {
            return Err(invalid(format!(
                "Invalid snapshot type \"{other}\" specified. Please specify \"rollback\" or \"latest\""
            )));
        }
    };
    if target.hash == parts.chain.tip().hash {
        return Ok(DumpSource::Tip);
    }
    Ok(DumpSource::Block {
        hash: target.hash,
        in_memory: option("in_memory").map_or(Ok(false), value::boolean)?,
    })
}

fn dump_tx_out_set(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let source = source(parts, context)?;
    let path = parts
        .chain
        .options()
        .dirs
        .net
        .join(context.arguments.string(0)?);
    let interrupted = || context.interrupt.is_raised();
    let report = parts
        .chain
        .dump_coins(&path, source, &interrupted)
        .map_err(|error| match error {
            DumpError::Exists(_) | DumpError::Open(_) | DumpError::NotActive(_) => {
                invalid(error.to_string())
            }
            DumpError::Pruned => RpcError::new(code::MISC_ERROR, error.to_string()),
            DumpError::Interrupted => RpcError::new(code::CLIENT_NOT_CONNECTED, "Shutting down"),
            DumpError::Store(_) | DumpError::Flush(_) => {
                RpcError::new(code::INTERNAL_ERROR, error.to_string())
            }
        })?;
    Ok(json!({
        "coins_written": report.coins,
        "base_hash": report.base.hash.to_string(),
        "base_height": report.base.height,
        "path": Value::String(path.to_string_lossy().into_owned()),
        "txoutset_hash": report.hash.to_string(),
        "nchaintx": report.base.chain_tx,
    }))
}

fn load_tx_out_set(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    let chain = &parts.chain;
    let path = chain.options().dirs.net.join(context.arguments.string(0)?);
    let file = File::open(&path);
    // A directory can be opened, but not read.
    let file = file
        .ok()
        .filter(|file| file.metadata().is_ok_and(|it| it.is_file()));
    let file = file.ok_or_else(|| {
        invalid(format!(
            "Couldn't open file {} for reading.",
            path.display()
        ))
    })?;
    let mut input = BufReader::new(file);
    let params = chain.params();
    let metadata =
        SnapshotMetadata::read(&mut input, params.chain, params.magic).map_err(|error| {
            let message = format!("Unable to parse metadata: {error}");
            RpcError::new(code::DESERIALIZATION_ERROR, message)
        })?;
    let base = chain
        .load_snapshot(&metadata, &mut input)
        .map_err(|error| {
            let message = format!(
                "Unable to load UTXO snapshot: {error}. ({})",
                path.display()
            );
            RpcError::new(code::INTERNAL_ERROR, message)
        })?;
    Ok(json!({
        "coins_loaded": metadata.coins,
        "tip_hash": base.hash.to_string(),
        "base_height": base.height,
        "path": path.to_string_lossy(),
    }))
}

fn get_chainstates(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    let chainstates: Vec<Value> = parts.chain.chainstates().iter().map(chainstate).collect();
    Ok(json!({
        "headers": parts.chain.best_header().height,
        "chainstates": chainstates,
    }))
}

fn chainstate(info: &ChainstateInfo) -> Value {
    let bits = info.tip.header.bits.to_consensus();
    let mut out = json!({
        "blocks": info.tip.height,
        "bestblockhash": info.tip.hash.to_string(),
        "bits": format!("{bits:08x}"),
        "target": target_hex(bits),
        "difficulty": real(difficulty(bits)),
        "verificationprogress": real(info.progress),
        "coins_db_cache_bytes": info.coins_db_cache,
        "coins_tip_cache_bytes": info.coins_cache,
    });
    if let Some(base) = info.snapshot {
        out["snapshot_blockhash"] = json!(base.to_string());
    }
    out["validated"] = json!(info.validated);
    out
}
