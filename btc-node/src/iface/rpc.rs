//! [`Rpc`]: JSON-RPC without HTTP.

use crate::node::Context;
use crate::rpc::auth::Whitelist;
use crate::rpc::jsonrpc::{Caller, handle};
use btc_interfaces::rpc::json;
use btc_interfaces::{Error, Result, Rpc};
use serde_json::Value;
use std::sync::Arc;

/// Runs requests on a node's registry, as the HTTP server would.
pub struct ContextRpc {
    context: Arc<Context>,
}

impl ContextRpc {
    /// The RPC of this node.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

impl Rpc for ContextRpc {
    fn execute_rpc(&self, request: String, uri: String, user: String) -> Result<Value> {
        let caller = Caller {
            uri: &uri,
            user: &user,
            peer: None,
        };
        let reply = handle(
            &self.context.registry,
            // Whoever holds this object was let in by other means than a password.
            &Whitelist::default(),
            caller,
            request.as_bytes(),
        );
        match reply.body {
            None => Ok(Value::Null),
            Some(body) => json::value(&body).map_err(Error::failed),
        }
    }
}
