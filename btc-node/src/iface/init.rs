//! [`Init`]: what this process offers to another.

use super::{chain, echo::LocalEcho, mining, node, rpc};
use crate::node::Context;
use btc_interfaces::{
    Chain, Echo, Error, GlobalArgs, Init, Mining, Node, Result, Rpc, WalletLoader,
};
use std::sync::Arc;

/// The node's objects. Wallets are made by the wallet's process, so there is no loader here.
pub struct NodeInit {
    context: Arc<Context>,
}

impl NodeInit {
    /// Offers the objects of this node.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

impl Init for NodeInit {
    fn make_echo(&self) -> Result<Arc<dyn Echo>> {
        Ok(Arc::new(LocalEcho))
    }

    fn make_mining_old2(&self) -> Result<()> {
        Err(Error::failed(
            "Old mining interface (@2) not supported. Please update your client!",
        ))
    }

    fn make_mining(&self) -> Result<Arc<dyn Mining>> {
        // Sockets are open before the chain is, and miners want blocks of it.
        self.context.wait_loaded()?;
        Ok(Arc::new(mining::ContextMining::new(self.context.clone())))
    }

    fn make_rpc(&self) -> Result<Arc<dyn Rpc>> {
        Ok(Arc::new(rpc::ContextRpc::new(self.context.clone())))
    }

    fn make_chain(&self) -> Result<Arc<dyn Chain>> {
        Ok(Arc::new(chain::ContextChain::new(self.context.clone())))
    }

    fn make_node(&self) -> Result<Arc<dyn Node>> {
        Ok(Arc::new(node::ContextNode::new(self.context.clone())))
    }

    fn make_wallet_loader(
        &self,
        _global_args: GlobalArgs,
        _chain: Arc<dyn Chain>,
    ) -> Result<Arc<dyn WalletLoader>> {
        Err(Error::unsupported("wallet loader"))
    }
}
