//! What the RPC methods about the server ask of the node.

use super::context::Context;
use crate::rpc::control::ControlHooks;
use btc_interfaces::logging::Logger;
use btc_interfaces::rpc::{RpcError, code};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The node behind `stop`, `setmocktime` and their like. It does not keep the node alive, since the registry that holds
/// it belongs to the node.
pub(super) struct Control(Weak<Context>);

impl Control {
    pub(super) fn new(context: &Arc<Context>) -> Self {
        Self(Arc::downgrade(context))
    }

    fn logger(&self) -> Option<Logger> {
        self.0.upgrade()?.logger.clone()
    }

    fn context(&self) -> Result<Arc<Context>, RpcError> {
        self.0
            .upgrade()
            .ok_or_else(|| RpcError::new(code::INTERNAL_ERROR, "the node has stopped"))
    }
}

impl ControlHooks for Control {
    fn client_name(&self) -> String {
        crate::CLIENT_NAME.to_owned()
    }

    fn request_shutdown(&self) {
        if let Some(context) = self.0.upgrade() {
            context.shutdown.request();
        }
    }

    fn log_path(&self) -> String {
        let path = self
            .logger()
            .and_then(|logger| logger.path().map(ToOwned::to_owned));
        path.map_or_else(String::new, |path| path.display().to_string())
    }

    fn is_mockable_chain(&self) -> bool {
        self.0
            .upgrade()
            .is_some_and(|context| context.params.chain == btc_consensus::params::Chain::Regtest)
    }

    fn set_mock_time(&self, time: i64) -> Result<(), RpcError> {
        self.context()?.set_mock_time(time);
        Ok(())
    }

    fn mock_scheduler(&self, seconds: i64) -> Result<(), RpcError> {
        let context = self.context()?;
        context.notifier.sync_with_queue();
        let forward = Duration::from_secs(seconds.unsigned_abs());
        context.timers.forward(forward);
        match context.wallets() {
            Some(wallets) => wallets
                .scheduler_mock_forward(seconds)
                .map_err(|error| RpcError::new(code::WALLET_ERROR, error.to_string())),
            None => Ok(()),
        }
    }

    fn log_categories(&self) -> Vec<(String, bool)> {
        self.logger()
            .map_or_else(Vec::new, |logger| logger.categories())
    }

    fn set_log_category(&self, category: &str, enabled: bool) -> bool {
        self.logger()
            .is_some_and(|logger| logger.set_category(category, enabled))
    }
}
