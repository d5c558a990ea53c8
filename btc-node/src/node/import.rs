//! What a node reads in while it already runs: block files from elsewhere, then the mempool of its last run.

use super::context::Context;
use crate::store::StoreError;
use crate::store::import::BlockScanner;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Reads them on a thread of its own.
pub(super) fn spawn(context: &Arc<Context>) -> std::io::Result<JoinHandle<()>> {
    let context = Arc::clone(context);
    std::thread::Builder::new()
        .name("initload".to_owned())
        .spawn(move || {
            tracing::info!("initload thread start");
            run(&context);
            tracing::info!("initload thread exit");
        })
}

fn run(context: &Context) {
    let (Ok(chainstate), Ok(mempool)) = (context.chainstate(), context.mempool()) else {
        return;
    };
    let stopping = || context.shutdown.is_requested();

    if let Err(error) = chainstate.reindex_block_files() {
        return context.fatal(&error.to_string());
    }
    for path in &context.options.load_blocks {
        if stopping() {
            tracing::info!("Interrupt requested. Exit block importing.");
            return;
        }
        let mut scanner = match BlockScanner::open(path, context.params.magic) {
            Ok(scanner) => scanner,
            Err(error) => {
                tracing::warn!("Could not open blocks file {}: {error}", path.display());
                continue;
            }
        };
        tracing::info!("Importing blocks file {}...", path.display());
        match chainstate.import_blocks(&mut scanner) {
            Ok(report) => tracing::info!(
                "Of {}: {} blocks new, {} known, {} without parent, {} invalid, {} bytes skipped{}",
                path.display(),
                report.loaded,
                report.known,
                report.orphans,
                report.invalid,
                report.scan.skipped,
                if report.scan.truncated {
                    ", cut short"
                } else {
                    ""
                },
            ),
            Err(error) => return context.fatal(&error.to_string()),
        }
    }
    if let Err(error) = chainstate.activate_best_chain() {
        return context.fatal(&error.to_string());
    }
    if context.options.stop_after_import {
        tracing::info!("Stopping after block import");
        return context.shutdown.request();
    }
    if let Ok(indexes) = context.indexes()
        && let Err(error) = indexes.start()
    {
        context.messages.error(error.to_string());
        return context.fatal("Failed to start indexes, shutting down…");
    }
    if context.options.persist_mempool {
        load_mempool(context, &context.mempool_path());
    } else {
        mempool.set_loaded();
    }
}

fn load_mempool(context: &Context, path: &Path) {
    let (Ok(chainstate), Ok(mempool)) = (context.chainstate(), context.mempool()) else {
        return;
    };
    match mempool.load(&chainstate, path, || context.shutdown.is_requested()) {
        Ok(_) => {}
        Err(StoreError::Io { source, .. }) => {
            tracing::debug!("cannot open {}: {source}", path.display());
            tracing::info!("Failed to open mempool file. Continuing anyway.");
        }
        Err(error) => {
            tracing::info!(
                "Failed to deserialize mempool data on file: {error}. Continuing anyway."
            );
        }
    }
}
