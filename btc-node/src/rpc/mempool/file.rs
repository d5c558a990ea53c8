//! The methods that write the mempool to a file and read it from one.

use crate::mempool::persist::LoadOptions;
use crate::rpc::context::{Entry, NodeParts};
use crate::rpc::registry::{RequestContext, RpcResult};
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code, value};
use serde_json::{Value, json};
use std::path::Path;

/// The methods of this module.
pub(super) const METHODS: &[Entry] = &[
    Entry {
        method: Method {
            name: "importmempool",
            category: "blockchain",
            summary: "Reads a mempool file and takes in what is fit. Do not import what others made, least of all their metadata.",
            args: &[
                Arg::required("filepath", Kind::String, "The file"),
                Arg::optional("options", Kind::ObjectNamedParams, "Options")
                    .shown_as("options")
                    .with(&[
                        Arg::default(
                            "use_current_time",
                            Kind::Bool,
                            "true",
                            "Transactions count as come now, rather than when the file says",
                        ),
                        Arg::default(
                            "apply_fee_delta_priority",
                            Kind::Bool,
                            "false",
                            "Add what the file says of priorities to those there are",
                        ),
                        Arg::default(
                            "apply_unbroadcast_set",
                            Kind::Bool,
                            "false",
                            "Announce what the file says is still to be announced",
                        ),
                    ]),
            ],
            results: &[Shape::object("", "", &[])],
            examples: &["/path/to/mempool.dat"],
        },
        run: import_mempool,
    },
    Entry {
        method: Method {
            name: "savemempool",
            category: "blockchain",
            summary: "Writes the mempool to its file. It fails until the file was read.",
            args: &[],
            results: &[Shape::object(
                "",
                "The file",
                &[Shape::string("filename", "The file")],
            )],
            examples: &[""],
        },
        run: save_mempool,
    },
];

fn import_mempool(parts: &NodeParts, context: &RequestContext<'_>) -> RpcResult {
    if parts.chain.is_initial_block_download() {
        return Err(RpcError::new(
            code::CLIENT_IN_INITIAL_DOWNLOAD,
            "Can only import the mempool after the block download and sync is done.",
        ));
    }
    let path = Path::new(context.arguments.string(0)?);
    let given = context.arguments.opt(1).map(value::object).transpose()?;
    let option = |name: &str, default: bool| match given.and_then(|given| given.get(name)) {
        None | Some(Value::Null) => Ok(default),
        Some(given) => value::boolean(given),
    };
    let options = LoadOptions {
        current_time: option("use_current_time", true)?,
        fee_deltas: option("apply_fee_delta_priority", false)?,
        unbroadcast: option("apply_unbroadcast_set", false)?,
    };
    let failed = || {
        RpcError::new(
            code::MISC_ERROR,
            "Unable to import mempool file, see debug log for details.",
        )
    };
    if !path.exists() {
        tracing::warn!("Failed to open mempool file. Continuing anyway.");
        return Err(failed());
    }
    let interrupted = || context.interrupt.is_raised();
    parts
        .mempool
        .import(&parts.chain, path, options, interrupted)
        .map_err(|error| {
            tracing::warn!(
                "Failed to deserialize mempool data on file: {error}. Continuing anyway."
            );
            failed()
        })?;
    Ok(json!({}))
}

fn save_mempool(parts: &NodeParts, _: &RequestContext<'_>) -> RpcResult {
    if !parts.mempool.info().loaded {
        return Err(RpcError::new(
            code::MISC_ERROR,
            "The mempool was not loaded yet",
        ));
    }
    parts
        .mempool
        .dump(&parts.mempool_path, false)
        .map_err(|error| {
            tracing::error!("Failed to dump mempool: {error}");
            RpcError::new(code::MISC_ERROR, "Unable to dump mempool to disk")
        })?;
    Ok(json!({ "filename": parts.mempool_path.to_string_lossy() }))
}
