//! RPC as it crosses the parts: a request, a reply, who answers.
//!
//! The node owns the HTTP port. A part that has methods of its own, the wallet, registers each with
//! [`Chain::handle_rpc`](crate::Chain::handle_rpc); the node forwards the calls.

pub mod convert;
pub mod encode;
pub mod json;
pub mod table;
pub mod value;
pub mod writer;

use crate::Result;
use serde_json::Value;

/// The RPC server of a node as one call: a JSON-RPC request in, a JSON-RPC reply out. Source: Core's `interfaces::Rpc`.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::rpc::RPC))]
pub trait Rpc: Send + Sync {
    /// Runs `request`, the JSON text of an object or a batch, as if it had come over HTTP to `uri` from `user`.
    ///
    /// It is a text since a value would not tell of keys that come twice, which some methods refuse.
    fn execute_rpc(&self, request: String, uri: String, user: String) -> Result<Value>;
}

/// One call of one method, its arguments not yet checked.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::RPC_REQUEST))]
pub struct RpcRequest {
    /// The method's name.
    pub method: String,
    /// An array, an object of named arguments (with positional ones under `args`), or null.
    pub params: Value,
    /// The request's path, `/` or `/wallet/<name, percent-encoded>`.
    pub uri: String,
    /// Who asks, as the HTTP server authenticated them.
    pub auth_user: String,
    /// The keys that objects in `params` had more than once, as JSON pointers from there; the first one of each object.
    pub repeated: Vec<String>,
}

/// The answer to an [`RpcRequest`]: either half is set. It is built from a `Result<Value, RpcError>` and turns back
/// into one.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::RPC_REPLY))]
pub struct RpcReply {
    /// The result, where there is no error.
    pub result: Value,
    /// The error, where there is one.
    pub error: Option<RpcError>,
}

/// An error as JSON-RPC reports it. Codes are those of Core's `rpc/protocol.h`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::RPC_ERROR))]
#[error("{message}")]
pub struct RpcError {
    /// One of the constants in [`code`].
    pub code: i32,
    /// The text for the caller.
    pub message: String,
}

/// What a part tells of a method when it registers it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::RPC_COMMAND))]
pub struct RpcCommand {
    /// The group that `help` lists it under.
    pub category: String,
    /// The method's name.
    pub name: String,
    /// The arguments' names in order, aliases joined by `|`.
    pub arguments: Vec<String>,
    /// The text of `help <name>`.
    pub help: String,
    /// What an OpenRPC document says of it: a Method Object, without hidden arguments.
    pub openrpc: Value,
    /// How a command line passes its arguments: arrays of the method's name, the argument's position and name, and whether
    /// it is a string.
    pub conversions: Value,
}

/// Answers one registered method.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::chain::RPC_HANDLER))]
pub trait RpcHandler: Send + Sync {
    /// Runs the call to its end; a failure of the call itself is in the reply.
    fn call(&self, request: RpcRequest) -> Result<RpcReply>;
}

impl From<std::result::Result<Value, RpcError>> for RpcReply {
    fn from(result: std::result::Result<Value, RpcError>) -> Self {
        match result {
            Ok(result) => Self {
                result,
                error: None,
            },
            Err(error) => Self {
                result: Value::Null,
                error: Some(error),
            },
        }
    }
}

impl RpcReply {
    /// The reply as a `Result`.
    pub fn into_result(self) -> std::result::Result<Value, RpcError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.result),
        }
    }
}

impl RpcError {
    /// An error with this code and text.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Error codes. Source: the JSON-RPC 2.0 specification and Core's `rpc/protocol.h`.
pub mod code {
    /// The request is no valid JSON-RPC object.
    pub const INVALID_REQUEST: i32 = -32600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// Arguments don't fit (by name or number).
    pub const INVALID_PARAMS: i32 = -32602;
    /// The server failed.
    pub const INTERNAL_ERROR: i32 = -32603;
    /// The text is no JSON.
    pub const PARSE_ERROR: i32 = -32700;
    /// An exception of no other class; also the help text on a wrong number of arguments.
    pub const MISC_ERROR: i32 = -1;
    /// A value has the wrong type.
    pub const TYPE_ERROR: i32 = -3;
    /// An invalid address or key.
    pub const INVALID_ADDRESS_OR_KEY: i32 = -5;
    /// Out of memory.
    pub const OUT_OF_MEMORY: i32 = -7;
    /// An invalid, missing or duplicate parameter.
    pub const INVALID_PARAMETER: i32 = -8;
    /// A database failed.
    pub const DATABASE_ERROR: i32 = -20;
    /// Something that should decode does not.
    pub const DESERIALIZATION_ERROR: i32 = -22;
    /// A transaction or block submission failed.
    pub const VERIFY_ERROR: i32 = -25;
    /// The rules of the network or of this node's mempool reject it.
    pub const VERIFY_REJECTED: i32 = -26;
    /// The transaction's outputs are already in the UTXO set.
    pub const VERIFY_ALREADY_IN_UTXO_SET: i32 = -27;
    /// The node is starting.
    pub const IN_WARMUP: i32 = -28;
    /// The method is deprecated and not enabled.
    pub const METHOD_DEPRECATED: i32 = -32;
    /// Not connected to any peer.
    pub const CLIENT_NOT_CONNECTED: i32 = -9;
    /// Still downloading blocks.
    pub const CLIENT_IN_INITIAL_DOWNLOAD: i32 = -10;
    /// The peer is on the list already.
    pub const CLIENT_NODE_ALREADY_ADDED: i32 = -23;
    /// The peer is not on the list.
    pub const CLIENT_NODE_NOT_ADDED: i32 = -24;
    /// What names no address and no range of addresses.
    pub const CLIENT_INVALID_IP_OR_SUBNET: i32 = -30;
    /// There are as many connections of a kind as there may be.
    pub const CLIENT_NODE_CAPACITY_REACHED: i32 = -34;
    /// There is no connection to the peer.
    pub const CLIENT_NODE_NOT_CONNECTED: i32 = -29;
    /// There is no network of peers.
    pub const CLIENT_P2P_DISABLED: i32 = -31;
    /// The wallet failed in a way of no other code.
    pub const WALLET_ERROR: i32 = -4;
    /// Not enough funds.
    pub const WALLET_INSUFFICIENT_FUNDS: i32 = -6;
    /// An invalid label.
    pub const WALLET_INVALID_LABEL_NAME: i32 = -11;
    /// The keypool is empty.
    pub const WALLET_KEYPOOL_RAN_OUT: i32 = -12;
    /// The passphrase is needed first.
    pub const WALLET_UNLOCK_NEEDED: i32 = -13;
    /// The passphrase is wrong.
    pub const WALLET_PASSPHRASE_INCORRECT: i32 = -14;
    /// The wallet's encryption state does not fit the call.
    pub const WALLET_WRONG_ENC_STATE: i32 = -15;
    /// Encrypting the wallet failed.
    pub const WALLET_ENCRYPTION_FAILED: i32 = -16;
    /// The wallet is unlocked already.
    pub const WALLET_ALREADY_UNLOCKED: i32 = -17;
    /// No such wallet is loaded, or it is not found.
    pub const WALLET_NOT_FOUND: i32 = -18;
    /// Several wallets are loaded and the request names none.
    pub const WALLET_NOT_SPECIFIED: i32 = -19;
    /// The wallet is loaded already.
    pub const WALLET_ALREADY_LOADED: i32 = -35;
    /// A wallet of that name exists.
    pub const WALLET_ALREADY_EXISTS: i32 = -36;
}
