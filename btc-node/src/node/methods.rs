//! The RPC methods that stand on the chain and the mempool.

use super::context::{Context, Loaded};
use crate::rpc::context::{NodeParts, register_all};
use crate::rpc::network::PeerHooks;
use crate::rpc::registry::Registration;
use std::sync::Arc;

/// Registers them; they are gone when the registrations are dropped.
pub(super) fn register(context: &Arc<Context>, loaded: &Loaded) -> Vec<Registration> {
    let node = Arc::downgrade(context);
    let for_peers = Arc::downgrade(context);
    let parts = NodeParts {
        chain: Arc::clone(&loaded.chainstate),
        mempool: Arc::clone(&loaded.mempool),
        indexes: Arc::clone(&loaded.indexes),
        template: context.template_options(),
        given_template: Arc::default(),
        subversion: context.options.subversion.clone(),
        client_version: crate::CLIENT_VERSION,
        warnings: Arc::new(move || {
            node.upgrade().map_or_else(Vec::new, |context| {
                // The queue that tells of blocks may not have come to the last one.
                context.new_rules.check(&context);
                context.warnings.texts()
            })
        }),
        deprecated: context.args().values("deprecatedrpc"),
        peers: Arc::new(move || {
            let network = for_peers.upgrade()?.network()?;
            Some(network as Arc<dyn PeerHooks>)
        }),
        relays_transactions: !context.options.network.blocks_only,
        mempool_path: context.mempool_path(),
        scan: Arc::default(),
        filter_scan: Arc::default(),
    };
    let parts = Arc::new(parts);
    if let Some(rest) = &context.rest {
        rest.open(Arc::clone(&parts));
    }
    register_all(&context.registry, &parts)
}
