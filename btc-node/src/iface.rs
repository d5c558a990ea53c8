//! The traits of `btc-interfaces` over a running node: adapters, no logic.
//!
//! | trait | adapter |
//! |---|---|
//! | [`Init`](btc_interfaces::Init) | [`NodeInit`] |
//! | [`Chain`](btc_interfaces::Chain) | [`ContextChain`] |
//! | [`Mining`](btc_interfaces::Mining), [`BlockTemplate`](btc_interfaces::BlockTemplate) | [`ContextMining`] |
//! | [`Node`](btc_interfaces::Node) | [`ContextNode`] |
//! | [`Rpc`](btc_interfaces::Rpc) | [`ContextRpc`] |
//! | [`Echo`](btc_interfaces::Echo) | [`LocalEcho`] |

mod chain;
mod echo;
mod init;
mod mining;
mod node;
mod notifications;
mod rpc;

pub use chain::ContextChain;
pub use echo::LocalEcho;
pub use init::NodeInit;
pub use mining::ContextMining;
pub use node::ContextNode;
pub use rpc::ContextRpc;

use bitcoin::BlockHash;
use btc_interfaces::BlockRef;

/// A block's place as the interfaces give it.
fn block_ref(hash: BlockHash, height: u32) -> BlockRef {
    BlockRef {
        hash,
        height: signed(height),
    }
}

/// A height as the interfaces give it.
fn signed(height: u32) -> i32 {
    // Heights fit: a chain of 2^31 blocks would take 40,000 years.
    i32::try_from(height).unwrap_or(i32::MAX)
}
