//! The RPC method `echoipc`.

use super::context::Context;
use crate::rpc::registry::Registration;
use btc_interfaces::rpc::table::{Arg, Kind, Method, Shape};
use btc_interfaces::rpc::{RpcError, code};
use serde_json::Value;
use std::sync::Arc;

const ECHO_IPC: Method = Method {
    name: "echoipc",
    category: "hidden",
    summary: "Returns its argument, by way of the wallets' process if they run in one. For tests.",
    args: &[Arg::required("arg", Kind::String, "What to return")],
    results: &[Shape::string("", "The argument")],
    examples: &["\"hello\""],
};

pub(super) fn register(context: &Arc<Context>) -> Registration {
    let node = Arc::downgrade(context);
    context.registry.register(
        &ECHO_IPC,
        Arc::new(move |call| {
            let text = call.arguments.string(0)?.to_owned();
            let failed =
                |error: &dyn std::fmt::Display| RpcError::new(code::MISC_ERROR, error.to_string());
            let context = node
                .upgrade()
                .ok_or_else(|| failed(&"the node has stopped"))?;
            let echo = match context.wallets() {
                Some(wallets) => wallets.echo().map_err(|error| failed(&error))?,
                None => Arc::new(crate::iface::LocalEcho),
            };
            echo.echo(text)
                .map(Value::String)
                .map_err(|error| failed(&error))
        }),
    )
}
