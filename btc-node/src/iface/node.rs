//! [`Node`]: what a GUI shows and does.

use crate::node::{Context, Message};
use crate::notify::Event;
use btc_interfaces::rpc::{RpcReply, RpcRequest};
use btc_interfaces::{FnHandler, Handler, Node, NodeEvents, NodeStatus, Result, WalletLoader};
use serde_json::Value;
use std::sync::Arc;

/// A node, seen from outside.
pub struct ContextNode {
    context: Arc<Context>,
}

impl ContextNode {
    /// This node.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

impl Node for ContextNode {
    fn status(&self) -> Result<Option<NodeStatus>> {
        if self.context.registry.warmup_status().is_some() {
            return Ok(None);
        }
        let chainstate = self.context.chainstate()?;
        let tip = chainstate.tip();
        let header = chainstate.best_header();
        Ok(Some(NodeStatus {
            chain: self.context.chain_name().to_owned(),
            tip: super::block_ref(tip.hash, tip.height),
            header_tip: super::block_ref(header.hash, header.height),
            tip_time: i64::from(tip.time),
            verification_progress: chainstate.verification_progress(),
            initial_block_download: chainstate.is_initial_block_download(),
            connections: 0,
            mempool_size: self.context.mempool()?.info().size as u64,
            warnings: self.context.warnings.texts().join("\n"),
        }))
    }

    fn start_shutdown(&self) -> Result<()> {
        self.context.shutdown.request();
        Ok(())
    }

    fn shutdown_requested(&self) -> Result<bool> {
        Ok(self.context.shutdown.is_requested())
    }

    fn execute_rpc(&self, method: String, params: Value, wallet_name: String) -> Result<RpcReply> {
        let uri = match wallet_name.as_str() {
            "" => "/".to_owned(),
            name => format!("/wallet/{}", percent_encode(name)),
        };
        Ok(self.context.registry.execute(RpcRequest {
            method,
            params,
            uri,
            auth_user: String::new(),
            repeated: Vec::new(),
        }))
    }

    fn list_rpc_commands(&self) -> Result<Vec<String>> {
        Ok(self
            .context
            .registry
            .list()
            .into_iter()
            .map(|listed| listed.name)
            .collect())
    }

    fn wallet_loader(&self) -> Result<Option<Arc<dyn WalletLoader>>> {
        Ok(self.context.wallets().and_then(|wallets| wallets.loader()))
    }

    fn handle_events(&self, events: Arc<dyn NodeEvents>) -> Result<Arc<dyn Handler>> {
        let messages = self.context.messages.listen({
            let events = events.clone();
            move |message| {
                if let Message::Progress(text) = message {
                    log_failure(events.init_message(text.clone()));
                }
            }
        });
        let context = Arc::downgrade(&self.context);
        let tips = self
            .context
            .notifier
            .register(Arc::new(move |event: &Event| {
                let Event::TipChanged { hash, height, .. } = event else {
                    return;
                };
                let Some(chainstate) = context
                    .upgrade()
                    .and_then(|context| context.chainstate().ok())
                else {
                    return;
                };
                let time = chainstate
                    .block_summary(hash)
                    .map_or(0, |block| i64::from(block.time));
                log_failure(events.block_tip(
                    super::block_ref(*hash, *height),
                    time,
                    chainstate.verification_progress(),
                ));
            }));
        Ok(Arc::new(FnHandler::new(move || drop((messages, tips)))))
    }
}

fn log_failure(result: Result<()>) {
    if let Err(error) = result {
        tracing::debug!("a listener of the node failed: {error}");
    }
}

/// Everything but the characters that need no encoding in a path.
fn percent_encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::percent_encode;

    #[test]
    fn a_wallet_name_becomes_one_segment_of_a_path() {
        assert_eq!(percent_encode("a b/ü"), "a%20b%2F%C3%BC");
        assert_eq!(percent_encode("plain-1_2.3~"), "plain-1_2.3~");
    }
}
