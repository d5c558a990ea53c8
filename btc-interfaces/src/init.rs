//! The first object of a connection.

use crate::{Chain, Echo, GlobalArgs, Mining, Node, Result, Rpc, WalletLoader};
use std::sync::Arc;

/// Makes the other objects of a process. Which of them a process offers depends on what it is: a node offers all but
/// the wallet loader, a wallet only that; the others answer with [`Error::Unsupported`](crate::Error::Unsupported).
///
/// Source: Core's `interfaces::Init`; ordinals 5 to 7 are those of its multiprocess branch.
#[cfg_attr(feature = "ipc", mp_core::interface(codec = crate::ipc::Btc, schema = crate::ipc::schema::init::INIT))]
pub trait Init: Send + Sync {
    /// An [`Echo`].
    fn make_echo(&self) -> Result<Arc<dyn Echo>>;
    /// Where `makeMining` stood in Core 30; calling it is an error that says so.
    fn make_mining_old2(&self) -> Result<()>;
    /// The block templates of this node.
    fn make_mining(&self) -> Result<Arc<dyn Mining>>;
    /// The RPC server of this node, without HTTP and without credentials: who holds it holds the node.
    fn make_rpc(&self) -> Result<Arc<dyn Rpc>>;
    /// The chain as wallets see it.
    fn make_chain(&self) -> Result<Arc<dyn Chain>>;
    /// The node as a GUI sees it.
    fn make_node(&self) -> Result<Arc<dyn Node>>;
    /// The wallets of this process, working on `chain`, configured by `global_args`.
    fn make_wallet_loader(
        &self,
        global_args: GlobalArgs,
        chain: Arc<dyn Chain>,
    ) -> Result<Arc<dyn WalletLoader>>;
}
